/* The lock of a maildrop among POP3 sessions; see pop3.h. */
#include "session/pop3.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>

static const char lock_name[] = "facteur-pop3.lock";

/* A client that comes back at once may find its last session still ending. */
enum { PATIENCE_MS = 1000, RETRY_MS = 50 };

int pop3_lock(struct pop3_session *s, struct err *e)
{
    const struct timespec pause = {0, RETRY_MS * 1000000L};
    int64_t end = clock_mono_ms() + PATIENCE_MS;
    s->lock_fd = store_file_open(s->settings->maildir_fd, lock_name, O_RDWR | O_CREAT, NULL);
    if (s->lock_fd < 0)
        return store_errno(e, "cannot open %s", lock_name);
    while (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        int why = errno;
        if (why == EINTR || (why == EWOULDBLOCK && clock_mono_ms() < end)) {
            nanosleep(&pause, NULL);
            continue;
        }
        fd_closep(&s->lock_fd);
        errno = why;
        return why == EWOULDBLOCK ? 1 : store_errno(e, "cannot lock %s", lock_name);
    }
    return 0;
}

void pop3_unlock(struct pop3_session *s)
{
    fd_closep(&s->lock_fd);
}
