/* directory/servers.h, without any server: they are told to be sick and well. */
#include "directory/servers.h"
#include "tests/unit/test_directory.h"

#include <stddef.h>

struct fixture {
    struct event_base *base;
    struct servers *servers;
    struct ldapmap_conn_settings settings;
    struct servers_user user;
    unsigned changes, probes;
    size_t probed;
};

static struct fixture *of(struct servers_user *u)
{
    return (struct fixture *)((char *)u - offsetof(struct fixture, user));
}

static void on_changed(struct servers_user *u)
{
    of(u)->changes++;
}

static void on_probe(struct servers_user *u, size_t place)
{
    of(u)->probes++;
    of(u)->probed = place;
}

static void begin(struct fixture *f, size_t count)
{
    static const struct str urls[] = {{"ldap://a", 8}, {"ldap://b", 8}, {"ldap://c", 8}};
    *f = (struct fixture){.base = event_base_new()};
    f->servers = servers_new(f->base);
    f->settings.server_count = count;
    for (size_t i = 0; i < count; i++)
        f->settings.servers[i] = urls[i];
    f->user = (struct servers_user){
        .settings = &f->settings, .changed = on_changed, .probe = on_probe};
    servers_join(f->servers, &f->user);
}

static void end(struct fixture *f)
{
    servers_leave(&f->user);
    servers_free(f->servers);
    event_base_free(f->base);
}

static bool is_order(struct fixture *f, uint64_t number, size_t x, size_t y, size_t z)
{
    size_t order[LDAPMAP_SERVERS_MAX];
    servers_order(f->servers, &f->settings, number, order);
    return order[0] == x && order[1] == y && order[2] == z;
}

void test_servers_in_order(void)
{
    struct fixture f;
    begin(&f, 3);
    CU_ASSERT(is_order(&f, 1, 0, 1, 2));
    servers_failed(f.servers, f.settings.servers[0], "test");
    CU_ASSERT(f.changes == 1 && is_order(&f, 1, 1, 2, 0));
    servers_failed(f.servers, f.settings.servers[0], "test");
    CU_ASSERT(f.changes == 1);
    servers_failed(f.servers, f.settings.servers[1], "test");
    CU_ASSERT(is_order(&f, 1, 2, 0, 1));
    servers_answered(f.servers, f.settings.servers[0]);
    CU_ASSERT(f.changes == 3 && is_order(&f, 1, 0, 2, 1));
    servers_answered(f.servers, f.settings.servers[0]);
    CU_ASSERT(f.changes == 3);
    end(&f);
}

/* What "facteur status" tells. */
void test_servers_told(void)
{
    struct fixture f;
    AUTO_BUF out = {0};
    begin(&f, 3);
    struct server *a = servers_find(f.servers, f.settings.servers[0]);
    servers_find(f.servers, f.settings.servers[1]);
    servers_find(f.servers, f.settings.servers[2]);
    servers_find(f.servers, STR("ldap://of-a-configuration-before"));
    server_asked(a);
    server_asked(a);
    server_failed(a);
    servers_answered(f.servers, f.settings.servers[1]);
    servers_failed(f.servers, f.settings.servers[2], "test");
    servers_print(f.servers, &out, 1000);
    UNIT_STR(buf_view(&out), "\nldap-server url=ldap://a state=failing asked=2 failed=1"
                             "\nldap-server url=ldap://b state=well asked=0 failed=0"
                             "\nldap-server url=ldap://c state=resting asked=0 failed=0 rests_s=1");
    server_heard(a, 1);
    buf_clear(&out);
    servers_print(f.servers, &out, 60);
    UNIT_STR(buf_view(&out), "\nldap-server url=ldap://a state=well asked=2 failed=1");
    end(&f);
}

/* One who is sick is tried by one user, once, and again only when that is known to have failed. */
void test_servers_probed(void)
{
    struct fixture f;
    begin(&f, 3);
    servers_failed(f.servers, f.settings.servers[1], "test");
    event_base_loop(f.base, EVLOOP_ONCE);
    CU_ASSERT(f.probes == 1 && f.probed == 1);
    CU_ASSERT(event_base_loop(f.base, EVLOOP_NONBLOCK) == 1); /* nothing waits */
    servers_failed(f.servers, f.settings.servers[1], "test");
    CU_ASSERT(event_base_loop(f.base, EVLOOP_NONBLOCK) == 0);
    servers_answered(f.servers, f.settings.servers[1]);
    CU_ASSERT(event_base_loop(f.base, EVLOOP_NONBLOCK) == 1);
    CU_ASSERT(f.probes == 1 && is_order(&f, 1, 0, 1, 2));
    end(&f);
}

void test_servers_single(void)
{
    struct fixture f;
    begin(&f, 1);
    servers_failed(f.servers, f.settings.servers[0], "test");
    CU_ASSERT(f.changes == 0);
    end(&f);
}

/* Each number has an order of its own, which those who are away leave as it was. */
void test_servers_at_random(void)
{
    struct fixture f;
    size_t first[3] = {0}, before[50][LDAPMAP_SERVERS_MAX], order[LDAPMAP_SERVERS_MAX];
    begin(&f, 3);
    servers_set_random(f.servers, true);
    CU_ASSERT(f.changes == 1);
    for (uint64_t i = 0; i < 50; i++) {
        servers_order(f.servers, &f.settings, i, before[i]);
        first[before[i][0]]++;
    }
    CU_ASSERT(first[0] > 0 && first[1] > 0 && first[2] > 0);
    servers_failed(f.servers, f.settings.servers[2], "test");
    for (uint64_t i = 0; i < 50; i++) {
        size_t at = 0;
        servers_order(f.servers, &f.settings, i, order);
        for (size_t k = 0; k < 3; k++)
            if (before[i][k] != 2)
                CU_ASSERT(order[at++] == before[i][k]);
        CU_ASSERT(order[2] == 2);
    }
    end(&f);
}
