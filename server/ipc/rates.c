/* Shared counts by time. */
#include "ipc/rates.h"
#include "base/clock.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ENTRIES 131072
#define PROBES 8
#define HOUR 3600

/* tag: hash (40 bits), kind (8), number of the window (16). */
struct entry {
    _Atomic uint64_t tag;
    _Atomic uint32_t n;
};

struct table {
    unsigned char key[crypto_shorthash_KEYBYTES];
    struct entry entry[ENTRIES];
};

struct rates {
    struct table *table;
    int64_t period[RATES];
};

int rates_create(void)
{
    unsigned char key[crypto_shorthash_KEYBYTES];
    int fd = memfd_create("facteur-rates", MFD_CLOEXEC);
    randombytes_buf(key, sizeof key);
    if (fd >= 0 && ftruncate(fd, sizeof(struct table)) == 0 &&
        fd_write_all(fd, key, sizeof key) == 0)
        return fd;
    fd_closep(&fd);
    return -1;
}

struct rates *rates_open(int fd)
{
    void *p = mmap(NULL, sizeof(struct table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return NULL;
    struct rates *r = MEM_NEW(struct rates);
    r->table = p;
    for (int i = 0; i < RATES; i++)
        r->period[i] = HOUR;
    return r;
}

void rates_close(struct rates *r)
{
    if (!r)
        return;
    munmap(r->table, sizeof *r->table);
    free(r);
}

void rates_configure(struct rates *r, const struct config *cfg)
{
    if (!r)
        return;
    for (int i = RATE_CONNECTIONS; i <= RATE_AUTHS; i++)
        r->period[i] = cfg->anvil_rate_time_unit;
    r->period[RATE_NETWORK_FAILURES] = r->period[RATE_USER_FAILURES] =
        cfg->auth_failure_time_unit;
}

/* --- the table --- */

static uint64_t window(const struct rates *r, unsigned what)
{
    return (uint64_t)(clock_mono_ms() / 1000 / r->period[what < RATES ? what : 0]) & 0xffff;
}

static bool is_over(const struct rates *r, uint64_t tag)
{
    unsigned what = (unsigned)(tag >> 16) & 0xff;
    return tag == 0 || what >= RATES || window(r, what) != (tag & 0xffff);
}

static struct entry *find(struct rates *r, enum rate what, struct str name)
{
    uint64_t h;
    crypto_shorthash((unsigned char *)&h, (const unsigned char *)name.p, name.n, r->table->key);
    h += (uint64_t)what * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t tag = (h & ~UINT64_C(0xffffff)) | (uint64_t)what << 16 | window(r, what);
    for (unsigned i = 0; i < PROBES; i++) {
        struct entry *e = &r->table->entry[(h + i) % ENTRIES];
        if (atomic_load(&e->tag) == tag)
            return e;
    }
    for (unsigned i = 0; i < PROBES; i++) {
        struct entry *e = &r->table->entry[(h + i) % ENTRIES];
        uint64_t old = atomic_load(&e->tag);
        if (is_over(r, old) && atomic_compare_exchange_strong(&e->tag, &old, tag)) {
            atomic_store(&e->n, 0);
            return e;
        }
    }
    return NULL;
}

uint32_t rates_add(struct rates *r, enum rate what, struct str name)
{
    struct entry *e = r ? find(r, what, name) : NULL;
    return e ? atomic_fetch_add(&e->n, 1) + 1 : 0;
}

void rates_take_back(struct rates *r, enum rate what, struct str name)
{
    struct entry *e = r ? find(r, what, name) : NULL;
    if (e && atomic_load(&e->n) > 0)
        atomic_fetch_sub(&e->n, 1);
}

/* --- names --- */

static struct str prefix(const unsigned char ip[16], size_t v4_bytes, char out[17])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    size_t n = memcmp(ip, mapped, sizeof mapped) == 0 ? 12 + v4_bytes : 8;
    memcpy(out, ip, n);
    return (struct str){out, n};
}

struct str rates_client(const unsigned char ip[16], char out[17])
{
    return prefix(ip, 4, out);
}

struct str rates_network(const unsigned char ip[16], char out[17])
{
    return prefix(ip, 3, out);
}

/* --- guesses --- */

static bool is_past(uint32_t n, int64_t limit)
{
    return limit > 0 && n > limit;
}

bool rates_guess_begin(struct rates *r, const struct config *cfg, const unsigned char ip[16],
                       struct str user, struct rates_guess *g)
{
    *g = (struct rates_guess){.counted = false};
    if (!r || config_network_match(&cfg->auth_failure_exceptions, ip))
        return true;
    struct str network = rates_network(ip, g->network);
    g->network_n = network.n;
    user = str_head(str_trim(user), sizeof g->user - network.n); /* blanks make no other user */
    memcpy(g->user, network.p, network.n);
    if (user.n)
        memcpy(g->user + network.n, user.p, user.n);
    g->user_n = network.n + user.n;
    str_lower(g->user + network.n, user.n);
    g->counted = true;
    uint32_t all = rates_add(r, RATE_NETWORK_FAILURES, network);
    uint32_t own = user.n ? rates_add(r, RATE_USER_FAILURES, (struct str){g->user, g->user_n}) : 0;
    g->tries = own;
    if (!is_past(all, cfg->auth_failure_network_limit) && !is_past(own, cfg->auth_failure_user_limit))
        return true;
    rates_guess_forgive(r, g);
    return false;
}

void rates_guess_forgive(struct rates *r, struct rates_guess *g)
{
    if (!g->counted)
        return;
    g->counted = false;
    rates_take_back(r, RATE_NETWORK_FAILURES, (struct str){g->network, g->network_n});
    if (g->user_n > g->network_n)
        rates_take_back(r, RATE_USER_FAILURES, (struct str){g->user, g->user_n});
}

int64_t rates_guess_delay(const struct config *cfg, const struct rates_guess *g)
{
    int64_t delay = cfg->auth_failure_delay, most = cfg->auth_failure_delay_limit;
    for (uint32_t i = 1; i < g->tries && delay > 0 && delay < most; i++)
        delay = 2 * delay < most ? 2 * delay : most;
    return delay;
}
