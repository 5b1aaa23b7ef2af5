/*
 * Preloaded into every program of an instance, it sets the clock of the day (not the one that only goes
 * forward) as far ahead or back as a shared file says, at any moment. FACTEUR_CLOCK names the file: one
 * 64-bit number, in seconds. The driver is tests/system/scarce.py. What the kernel writes (times of
 * files) stays true, as with a clock that was wrong for a while.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t *offset;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FACTEUR_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (p != MAP_FAILED)
        offset = p;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    int done = (int)syscall(SYS_clock_gettime, id, t);
    if (done == 0 && offset && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        t->tv_sec += atomic_load(offset);
    return done;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec t;
    (void)zone;
    int done = clock_gettime(CLOCK_REALTIME, &t);
    *tv = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
    return done;
}

time_t time(time_t *to)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_REALTIME, &t);
    if (to)
        *to = t.tv_sec;
    return t.tv_sec;
}
