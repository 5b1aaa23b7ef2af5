/* A directory in memory, for fuzzers. */
#include "fuzz_place.h"

#include "store/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[64];

static void remove_place(void)
{
    struct err e;
    store_dir_remove(AT_FDCWD, path, 9, &e);
}

int fuzz_place(void)
{
    if (!path[0]) {
        snprintf(path, sizeof path, "/dev/shm/facteur-fuzz-%ld", (long)getpid());
        atexit(remove_place);
    }
    remove_place();
    if (mkdir(path, 0700) != 0)
        abort();
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        abort();
    return fd;
}
