/*
 * Fuzzer of the files in a maildir that are not mail: dovecot-uidlist, dovecot-keywords, subscriptions,
 * special-use, maildirsize, and the names of messages. Whatever stands in them: what is read is sound, and
 * what is written then is read back.
 */
#include "fuzz_place.h"

#include "store/keywords.h"
#include "store/quota.h"
#include "store/special_use.h"
#include "store/subscriptions.h"
#include "store/uidlist.h"

#include <assert.h>
#include <fcntl.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(int dir, const char *name, struct str bytes)
{
    AUTO_FD fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert(fd >= 0 && fd_write_all(fd, bytes.p, bytes.n) == 0);
}

static void uidlist(int dir)
{
    struct store_uidlist u, again;
    struct err e = {0};
    store_uidlist_init(&u, dir, dir);
    assert(store_uidlist_lock(&u, &e) == 0);
    for (size_t i = 0; i < u.count; i++) {
        assert(i == 0 || u.recs[i].uid > u.recs[i - 1].uid);
        assert(u.recs[i].uid < u.uidnext);
    }
    size_t count = u.count;
    uint32_t uid = store_uidlist_add(&u, STR("1.M1P1.host,S=5"));
    int result = store_uidlist_commit(&u, &e);
    store_uidlist_unlock(&u);
    store_uidlist_init(&again, dir, dir);
    if (uid && result == 0) {
        assert(store_uidlist_refresh(&again, &e) == 0 && again.readable);
        assert(again.uidvalidity == u.uidvalidity && again.uidnext == uid + 1);
        const struct store_uidrec *r = store_uidlist_find(&again, STR("1.M1P1.host,S=5"));
        assert(r && again.count <= count + 1);
    }
    store_uidlist_free(&again);
    store_uidlist_free(&u);
}

static void keywords(int dir)
{
    struct store_uidlist u;
    struct store_keywords k = {0};
    struct err e = {0};
    unsigned letter = 99;
    store_uidlist_init(&u, dir, dir);
    assert(store_keywords_refresh(&k, dir, &e) == 0);
    if (store_keywords_add(&k, &u, STR("$Fuzz"), &letter, &e) == 0) {
        struct store_keywords again = {0};
        assert(letter < STORE_KEYWORDS_MAX);
        assert(store_keywords_refresh(&again, dir, &e) == 0);
        assert(store_keywords_find(&again, STR("$fuzz")) == (int)letter);
        store_keywords_free(&again);
    }
    store_keywords_free(&k);
    store_uidlist_free(&u);
}

static bool has(const struct store_names *v, struct str name)
{
    for (size_t i = 0; i < v->count; i++)
        if (str_eq(v->name[i], name))
            return true;
    return false;
}

static void lists(int dir)
{
    AUTO_ARENA a = arena_new(1024);
    struct store_names names = {0};
    struct store_uses uses;
    struct err e = {0};
    struct map *none = map_new();
    if (store_subscriptions_read(dir, a, &names, &e) == 0 &&
        store_subscriptions_set(dir, STR("Fuzz"), true, &e) == 0) {
        assert(store_subscriptions_read(dir, a, &names, &e) == 0 && has(&names, STR("Fuzz")));
        assert(store_subscriptions_set(dir, STR("Fuzz"), false, &e) == 0);
        assert(store_subscriptions_read(dir, a, &names, &e) == 0 && !has(&names, STR("Fuzz")));
    }
    (void)store_uses_read(dir, a, none, &uses, &e);
    (void)store_uses_set(dir, STR("Sent"), STORE_USE_SENT, &e);
    map_free(none, NULL);
}

static void quota(int dir)
{
    struct store_usage usage = {0};
    struct err e = {0};
    (void)store_quota_check(dir, 1000000, 10, &usage, &e);
    (void)store_quota_add(dir, 100, 1, &e);
    (void)store_quota_check(dir, 1000000, 10, &usage, &e);
}

static void name(struct str s)
{
    struct store_name n, again;
    AUTO_BUF out = {0};
    if (!store_name_parse(s, &n))
        return;
    assert(n.base.n > 0 && n.base.n <= s.n && str_find(s, '/') < 0);
    store_name_format(&out, n.base, s, n.flags, n.keywords);
    if (!store_name_parse(buf_view(&out), &again))
        return; /* grown past the longest name there is */
    assert(str_eq(again.base, n.base) && again.flags == n.flags && again.keywords == n.keywords);
    struct store_name_order one = store_name_order(n.base), other = store_name_order(again.base);
    assert(store_name_cmp(&one, &other) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const files[] = {"dovecot-uidlist", "dovecot-keywords", "subscriptions",
                                        "special-use", "maildirsize"};
    if (size < 1)
        return 0;
    struct str bytes = {(const char *)data + 1, size - 1};
    unsigned which = data[0] % 6u;
    if (which == 5) {
        name(bytes);
        return 0;
    }
    AUTO_FD dir = fuzz_place();
    put(dir, files[which], bytes);
    if (which == 0)
        uidlist(dir);
    else if (which == 1)
        keywords(dir);
    else if (which == 4)
        quota(dir);
    else
        lists(dir);
    return 0;
}
