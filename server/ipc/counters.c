/* Shared connection counts. */
#include "ipc/counters.h"
#include "base/mem.h"

#include <sodium.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUCKETS 65536

struct counters {
    unsigned char key[crypto_shorthash_KEYBYTES];
    _Atomic uint32_t total[COUNTERS_ROWS];
    _Atomic uint16_t n[COUNTERS_ROWS][BUCKETS];
};

int counters_create(void)
{
    int fd = memfd_create("facteur-counters", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, sizeof(struct counters)) != 0) {
        fd_closep(&fd);
        return -1;
    }
    unsigned char key[crypto_shorthash_KEYBYTES];
    randombytes_buf(key, sizeof key);
    if (fd_write_all(fd, key, sizeof key) != 0)
        fd_closep(&fd);
    return fd;
}

struct counters *counters_open(int fd)
{
    void *p = mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

void counters_close(struct counters *c)
{
    if (c)
        munmap(c, sizeof *c);
}

void counters_wipe(struct counters *c, unsigned row)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        if (atomic_load(&c->n[row][i]))
            atomic_store(&c->n[row][i], 0);
    atomic_store(&c->total[row], 0);
}

static unsigned bucket(const struct counters *c, const unsigned char ip[16])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    unsigned char name[16] = {0};
    uint64_t h;
    memcpy(name, ip, memcmp(ip, mapped, 12) == 0 ? 16 : 8);
    crypto_shorthash((unsigned char *)&h, name, sizeof name, c->key);
    return (unsigned)(h % BUCKETS);
}

unsigned counters_add(struct counters *c, unsigned row, const unsigned char ip[16])
{
    unsigned b = bucket(c, ip), sum = 0;
    if (row < COUNTERS_ROWS) {
        atomic_fetch_add(&c->total[row], 1);
        if (atomic_load(&c->n[row][b]) < UINT16_MAX)
            atomic_fetch_add(&c->n[row][b], 1);
    }
    for (unsigned i = 0; i < COUNTERS_ROWS; i++)
        sum += atomic_load(&c->n[i][b]);
    return sum;
}

void counters_sub(struct counters *c, unsigned row, const unsigned char ip[16])
{
    unsigned b = bucket(c, ip);
    if (row >= COUNTERS_ROWS)
        return;
    if (atomic_load(&c->total[row]) > 0)
        atomic_fetch_sub(&c->total[row], 1);
    if (atomic_load(&c->n[row][b]) > 0)
        atomic_fetch_sub(&c->n[row][b], 1);
}

unsigned counters_total(const struct counters *c)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < COUNTERS_ROWS; i++)
        sum += atomic_load(&c->total[i]);
    return sum;
}
