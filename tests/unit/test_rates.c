/* ipc/rates.c: counts in shared memory. */
#include "ipc/rates.h"
#include "tests/unit/unit.h"

#include <unistd.h>

static const unsigned char v4[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 7};
static const unsigned char v6[16] = {0x20, 1, 0x0d, 0xb8, 1, 2, 3, 4, 5};

struct site {
    int fd;
    struct rates *r;
    struct config *cfg;
};

static bool open_site(struct site *s, struct str conf)
{
    struct err e = {0};
    s->fd = rates_create();
    s->r = s->fd >= 0 ? rates_open(s->fd) : NULL;
    bool ok = s->r && config_parse(conf, "facteur.conf", "/", &s->cfg, &e) == 0;
    if (ok)
        rates_configure(s->r, s->cfg);
    return ok;
}

static void close_site(struct site *s)
{
    rates_close(s->r);
    config_free(s->cfg);
    close(s->fd);
}

static void counts_are_shared(void)
{
    struct site s;
    CU_ASSERT_FATAL(open_site(&s, STR("anvil_rate_time_unit = 1d\n")));
    struct rates *other = rates_open(s.fd);
    rates_configure(other, s.cfg);
    CU_ASSERT(rates_add(s.r, RATE_MESSAGES, STR("a")) == 1);
    CU_ASSERT(rates_add(other, RATE_MESSAGES, STR("a")) == 2);
    CU_ASSERT(rates_add(s.r, RATE_MESSAGES, STR("b")) == 1);
    CU_ASSERT(rates_add(s.r, RATE_RECIPIENTS, STR("a")) == 1);
    rates_take_back(s.r, RATE_MESSAGES, STR("a"));
    CU_ASSERT(rates_add(other, RATE_MESSAGES, STR("a")) == 2);
    rates_take_back(s.r, RATE_MESSAGES, STR("never seen"));
    CU_ASSERT(rates_add(s.r, RATE_MESSAGES, STR("never seen")) == 1);
    rates_close(other);
    close_site(&s);
    CU_ASSERT(rates_add(NULL, RATE_MESSAGES, STR("a")) == 0);
}

/* Full of what still counts: newcomers are not counted, nothing else happens. */
static void the_table_is_bounded(void)
{
    struct site s;
    size_t uncounted = 0;
    CU_ASSERT_FATAL(open_site(&s, STR("anvil_rate_time_unit = 1d\n")));
    CU_ASSERT(rates_add(s.r, RATE_MESSAGES, STR("first")) == 1);
    for (uint32_t i = 0; i < 400000; i++)
        uncounted += rates_add(s.r, RATE_MESSAGES, (struct str){(const char *)&i, sizeof i}) == 0;
    CU_ASSERT(uncounted > 200000);
    CU_ASSERT(rates_add(s.r, RATE_MESSAGES, STR("first")) == 2);
    close_site(&s);
}

static void windows_end(void)
{
    struct site s;
    CU_ASSERT_FATAL(open_site(&s, STR("anvil_rate_time_unit = 1s\n")));
    uint32_t n = 0;
    bool again = false;
    for (int i = 0; i < 200 && !again; i++) {
        uint32_t now = rates_add(s.r, RATE_MESSAGES, STR("a"));
        again = now < n;
        n = now;
        usleep(20000);
    }
    CU_ASSERT(again);
    close_site(&s);
}

static void names_of_clients(void)
{
    char room[17];
    CU_ASSERT(rates_client(v4, room).n == 16 && rates_network(v4, room).n == 15);
    CU_ASSERT(rates_client(v6, room).n == 8 && rates_network(v6, room).n == 8);
}

static void guesses_are_limited(void)
{
    struct site s;
    struct rates_guess g;
    const unsigned char near[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 99};
    CU_ASSERT_FATAL(open_site(&s, STR("auth_failure_user_limit = 2\nauth_failure_network_limit = 4\n"
                                      "auth_failure_exceptions = 10.0.0.0/8\n"
                                      "auth_failure_time_unit = 1d\n")));
    CU_ASSERT(rates_guess_begin(s.r, s.cfg, v4, STR("Bob"), &g));
    CU_ASSERT(rates_guess_begin(s.r, s.cfg, near, STR("bob"), &g));
    CU_ASSERT(!rates_guess_begin(s.r, s.cfg, v4, STR("BOB"), &g) && !g.counted);
    /* Somebody elsewhere is another matter, and so is another user, up to the network's limit. */
    CU_ASSERT(rates_guess_begin(s.r, s.cfg, v6, STR("bob"), &g));
    CU_ASSERT(rates_guess_begin(s.r, s.cfg, v4, STR("eve"), &g));
    rates_guess_forgive(s.r, &g);
    rates_guess_forgive(s.r, &g); /* once is enough */
    CU_ASSERT(rates_guess_begin(s.r, s.cfg, v4, STR("eve"), &g));
    CU_ASSERT(rates_guess_begin(s.r, s.cfg, v4, STR("eve"), &g));
    CU_ASSERT(!rates_guess_begin(s.r, s.cfg, v4, STR("zoe"), &g));
    const unsigned char trusted[16] = {[10] = 0xff, [11] = 0xff, 10, 1, 1, 1};
    for (int i = 0; i < 9; i++)
        CU_ASSERT(rates_guess_begin(s.r, s.cfg, trusted, STR("bob"), &g) && !g.counted);
    close_site(&s);
}

static void delays_grow(void)
{
    struct site s;
    struct rates_guess g = {.tries = 0};
    static const int want[] = {2, 4, 8, 10, 10};
    CU_ASSERT_FATAL(open_site(&s, STR("auth_failure_delay = 2s\nauth_failure_delay_limit = 10s\n")));
    CU_ASSERT(rates_guess_delay(s.cfg, &g) == 2);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        CU_ASSERT(rates_guess_begin(s.r, s.cfg, v4, STR("bob"), &g));
        CU_ASSERT(rates_guess_delay(s.cfg, &g) == want[i]);
    }
    /* From elsewhere it is another count. */
    CU_ASSERT(rates_guess_begin(s.r, s.cfg, v6, STR("bob"), &g) && rates_guess_delay(s.cfg, &g) == 2);
    g.tries = UINT32_MAX;
    CU_ASSERT(rates_guess_delay(s.cfg, &g) == 10);
    close_site(&s);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"counts are shared", counts_are_shared},
        {"the table is bounded", the_table_is_bounded},
        {"windows end", windows_end},
        {"names of clients", names_of_clients},
        {"guesses are limited", guesses_are_limited},
        {"delays grow", delays_grow},
        {NULL, NULL},
    };
    return unit_main("rates", tests);
}
