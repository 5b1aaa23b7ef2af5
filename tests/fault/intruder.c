/*
 * Plays the intruder in a program that was taken over: on a signal it makes whatever system call the
 * test (tests/system/intruder.py) wrote into a shared page, with the program's own rights, and writes
 * down what the kernel said. Where the page names a descriptor to listen on, the next message there is
 * the intruder's, and not the program's. FACTEUR_INTRUDER names the page's file.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ORDER_SIGNAL (SIGRTMIN + 7)
#define DATA_SIZE 8192
#define TRIES_MAX 50000000 /* to hear an answer */

struct page {
    _Atomic uint32_t done;
    int32_t error;
    int64_t number, result;
    int64_t argument[6];
    uint64_t pointers; /* bit n: argument n is an offset into data */
    int64_t listen, heard; /* a descriptor, or -1; bytes that came to lie in data */
    char data[DATA_SIZE];
};

static struct page *page;

static long value(int i)
{
    int64_t v = page->argument[i];
    return page->pointers >> i & 1 ? (long)(page->data + v) : (long)v;
}

static void listen_for(int fd)
{
    page->heard = -1;
    for (long tries = 0; page->heard < 0 && tries < TRIES_MAX; tries++)
        page->heard = read(fd, page->data, DATA_SIZE);
}

static void obey(int number)
{
    int saved = errno;
    (void)number;
    errno = 0;
    page->result = syscall(page->number, value(0), value(1), value(2), value(3), value(4), value(5));
    page->error = errno;
    if (page->listen >= 0)
        listen_for((int)page->listen);
    atomic_store(&page->done, 1);
    errno = saved;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FACTEUR_INTRUDER");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    struct sigaction order = {.sa_handler = obey, .sa_flags = SA_RESTART};
    if (page != MAP_FAILED)
        sigaction(ORDER_SIGNAL, &order, NULL);
}
