/*
 * Preloaded into every program of an instance, it counts what was refused to it for want of memory (ENOMEM) and
 * of descriptors (EMFILE), so that a test of limits knows that they were met. FACTEUR_SCARCE names a mapped file
 * of two 64-bit numbers, memory and descriptors; the driver is tests/system/scarce.py.
 */
#include "opens.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct refused {
    _Atomic uint64_t memory, descriptors;
};

static struct refused *refused;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FACTEUR_SCARCE");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof *refused, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p != MAP_FAILED)
        refused = p;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* --- descriptors --- */

static long got(long fd)
{
    if (fd < 0 && (errno == EMFILE || errno == ENFILE) && refused)
        atomic_fetch_add(&refused->descriptors, 1);
    return fd;
}

int accept4(int fd, struct sockaddr *from, socklen_t *n, int flags)
{
    return (int)got(REAL(accept4)(fd, from, n, flags));
}

int socket(int family, int type, int protocol)
{
    return (int)got(REAL(socket)(family, type, protocol));
}

int socketpair(int family, int type, int protocol, int fds[2])
{
    return (int)got(REAL(socketpair)(family, type, protocol, fds));
}

int epoll_create1(int flags)
{
    return (int)got(REAL(epoll_create1)(flags));
}

int eventfd(unsigned first, int flags)
{
    return (int)got(REAL(eventfd)(first, flags));
}

int memfd_create(const char *name, unsigned flags)
{
    return (int)got(REAL(memfd_create)(name, flags));
}

/* A descriptor that there is no room for is left out of a message, which is told by a flag. */
ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    size_t room = m->msg_controllen;
    ssize_t n = REAL(recvmsg)(fd, m, flags);
    if (n >= 0 && room && m->msg_flags & MSG_CTRUNC && refused)
        atomic_fetch_add(&refused->descriptors, 1);
    return n;
}

static int opens_plain(int at, const char *path, int flags, mode_t mode)
{
    return (int)got(REAL(openat)(at, path, flags, mode));
}

long syscall(long number, ...)
{
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    return got(REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}

/* --- memory; a sanitizer brings its own --- */
#ifndef FAULT_NO_MALLOC

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static void *had(void *p)
{
    if (!p && refused)
        atomic_fetch_add(&refused->memory, 1);
    return p;
}

void *malloc(size_t size)
{
    return had(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
    return had(__libc_calloc(n, size));
}

void *realloc(void *p, size_t size)
{
    void *q = __libc_realloc(p, size);
    return size ? had(q) : q;
}
#endif

/* A stack that cannot be had. */
int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *arg)
{
    int error = REAL(pthread_create)(thread, how, run, arg);
    if (error && refused)
        atomic_fetch_add(&refused->memory, 1);
    return error;
}
