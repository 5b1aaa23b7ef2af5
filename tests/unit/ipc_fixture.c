#include "tests/unit/ipc_fixture.h"

#include "tests/unit/unit.h"

#include <string.h>
#include <sys/mman.h>

void ipc_turn(struct event_base *base)
{
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

int ipc_memfd(const char *text)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0);
    return fd;
}
