/* store/: file names, dovecot-uidlist, dovecot-uidvalidity, dovecot-keywords, subscriptions. */
#include "store/folders.h"
#include "store/keywords.h"
#include "store/name.h"
#include "tests/unit/store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- names ---- */

static void name_parse(void)
{
    struct store_name n;
    CU_ASSERT_FATAL(store_name_parse(STR("1.V2M3.h,S=12,W=34:2,FSab"), &n));
    UNIT_STR(n.base, "1.V2M3.h,S=12,W=34");
    CU_ASSERT(n.size == 12 && n.vsize == 34);
    CU_ASSERT(n.flags == (STORE_FLAGGED | STORE_SEEN) && n.keywords == 3);
    CU_ASSERT_FATAL(store_name_parse(STR("1.h,W=99999999999999999999,S=x:1,ST"), &n));
    CU_ASSERT(n.size == STORE_SIZE_UNKNOWN && n.vsize == STORE_SIZE_UNKNOWN && n.flags == 0);
    CU_ASSERT_FATAL(store_name_parse(STR("anything"), &n));
    UNIT_STR(n.base, "anything");
    CU_ASSERT(!store_name_parse(STR(""), &n));
    CU_ASSERT(!store_name_parse(STR(".hidden"), &n));
    CU_ASSERT(!store_name_parse(STR(":2,S"), &n));
    CU_ASSERT(!store_name_parse(STR("a/b"), &n));
    CU_ASSERT(!store_name_parse(STR("a\nb"), &n));
    char longer[300];
    memset(longer, 'x', sizeof longer);
    CU_ASSERT(!store_name_parse((struct str){longer, 256}, &n));
    CU_ASSERT(store_name_parse((struct str){longer, 255}, &n));
}

static void check_format(const char *old, uint8_t flags, uint32_t keywords, const char *want)
{
    AUTO_BUF b = BUF_MAX(1000);
    store_name_format(&b, STR("base"), str_from(old), flags, keywords);
    UNIT_STR(buf_view(&b), want);
}

static void name_format(void)
{
    check_format("", 0, 0, "base:2,");
    check_format("base:2,S", STORE_DRAFT | STORE_FLAGGED | STORE_PASSED | STORE_ANSWERED | STORE_SEEN |
                 STORE_DELETED, 1u | 1u << 25, "base:2,DFPRSTaz");
    check_format("base:2,ASXb,extra,more", STORE_SEEN, 1, "base:2,ASXa,extra,more");
    check_format("base:1,junk", STORE_SEEN, 0, "base:2,S");
}

static int order(struct str x, struct str y)
{
    struct store_name_order a = store_name_order(x), b = store_name_order(y);
    return store_name_cmp(&a, &b);
}

static void name_order(void)
{
    /* seconds, then microseconds as numbers, then bytes */
    CU_ASSERT(order(STR("9.x"), STR("10.x")) < 0);
    CU_ASSERT(order(STR("10.V9M20.h"), STR("10.V1M100.h")) < 0);
    CU_ASSERT(order(STR("10.b"), STR("10.a")) > 0);
    CU_ASSERT(order(STR("10.P1.h"), STR("10.M5.h")) > 0);
    CU_ASSERT(order(STR("x"), STR("x")) == 0);
}

/* ---- dovecot-uidlist ---- */

static const char *const good_list = "3 V100 N7 G00112233445566778899aabbccddeeff Xmore Ykept\n"
                                     "2 W12 S10 :one\n5 :two\n";

static void uidlist_read(void)
{
    FIXTURE f = fixture_new();
    struct store_uidlist u;
    struct err e;
    fixture_put(f.fd, "dovecot-uidlist", good_list);
    store_uidlist_init(&u, f.fd, f.fd);
    CU_ASSERT_FATAL(store_uidlist_refresh(&u, &e) == 0 && u.readable);
    CU_ASSERT(u.uidvalidity == 100 && u.uidnext == 7 && u.count == 2 && u.guid[15] == 0xff);
    CU_ASSERT(store_uidlist_find(&u, STR("two")) && store_uidlist_find(&u, STR("two"))->uid == 5);
    CU_ASSERT(!store_uidlist_find(&u, STR("three")) && !store_uidlist_find(&u, STR("")));
    store_uidlist_free(&u);
}

static void uidlist_append(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct store_uidlist u;
    struct err e;
    fixture_put(f.fd, "dovecot-uidlist", good_list);
    store_uidlist_init(&u, f.fd, f.fd);
    CU_ASSERT_FATAL(store_uidlist_lock(&u, &e) == 0);
    CU_ASSERT(faccessat(f.fd, "dovecot-uidlist.lock", F_OK, 0) == 0);
    CU_ASSERT(store_uidlist_add(&u, STR("three")) == 7);
    CU_ASSERT(store_uidlist_commit(&u, &e) == 0);
    UNIT_STR(fixture_get(f.fd, "dovecot-uidlist", &b),
             "3 V100 N7 G00112233445566778899aabbccddeeff Xmore Ykept\n2 W12 S10 :one\n5 :two\n7 :three\n");
    /* rewriting keeps what is not understood */
    const bool keep[] = {true, false, true};
    store_uidlist_keep(&u, keep);
    CU_ASSERT(store_uidlist_commit(&u, &e) == 0);
    UNIT_STR(fixture_get(f.fd, "dovecot-uidlist", &b),
             "3 V100 N8 G00112233445566778899aabbccddeeff Xmore Ykept\n2 W12 S10 :one\n7 :three\n");
    store_uidlist_unlock(&u);
    CU_ASSERT(faccessat(f.fd, "dovecot-uidlist.lock", F_OK, 0) != 0);
    store_uidlist_free(&u);
}

/* A long list with ids of copies here and there. */
static void put_long_list(int dir, unsigned count)
{
    AUTO_BUF text = {0};
    buf_printf(&text, "3 V100 N%u G00112233445566778899aabbccddeeff\n", 3 * count + 1);
    for (unsigned i = 1; i <= count; i++) {
        buf_printf(&text, "%u ", 3 * i);
        if (i % 7 == 0)
            buf_printf(&text, "W%0*u Gof-%u ", (int)(i % 150), i, i);
        buf_printf(&text, ":m%u\n", i);
    }
    fixture_put(dir, "dovecot-uidlist", buf_z(&text));
}

static int seek(struct store_uidlist *u, unsigned i, const char *id)
{
    char base[24];
    struct str guid = STR("?");
    snprintf(base, sizeof base, "m%u", i);
    int r = store_uidlist_seek(u, 3 * i, str_from(base), &guid);
    UNIT_STR(guid, id);
    return r;
}

/* Some messages of a list that is not read. */
static void uidlist_seek(void)
{
    enum { N = 20000 };
    FIXTURE f = fixture_new();
    struct store_uidlist u;
    struct str guid;
    char id[24];
    put_long_list(f.fd, N);
    store_uidlist_init(&u, f.fd, f.fd);
    for (unsigned i = 1; i <= N; i += i < 300 || i > N - 300 ? 1 : 97) {
        snprintf(id, sizeof id, "of-%u", i);
        CU_ASSERT(seek(&u, i, i % 7 ? "" : id) == 0);
    }
    CU_ASSERT(seek(&u, 7, "of-7") == 0 && seek(&u, N, "") == 0 && seek(&u, 1, "") == 0);
    CU_ASSERT(u.count == 0 && u.window.n < 20000);
    /* It is not there, or it is another. */
    CU_ASSERT(seek(&u, N + 1, "?") == 1 && seek(&u, 0, "?") == 1);
    CU_ASSERT(store_uidlist_seek(&u, 3 * 50, STR("m51"), &guid) == 1);
    CU_ASSERT(store_uidlist_seek(&u, 3 * 50 + 1, STR("m50"), &guid) == 1);
    store_uidlist_free(&u);
}

/* Then the whole list is read. */
static void uidlist_seek_in_vain(void)
{
    static const char *const texts[] = {"", "3 V1", "1 100 7\n3 m1\n", "3 V1 N4\n3 no colon\n",
                                        "3 V1 N4\nthree :m1\n", "3 V1 N4\n3 :m"};
    FIXTURE f = fixture_new();
    struct store_uidlist u;
    store_uidlist_init(&u, f.fd, f.fd);
    CU_ASSERT(seek(&u, 1, "?") == 1);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        fixture_put(f.fd, "dovecot-uidlist", texts[i]);
        CU_ASSERT(seek(&u, 1, "?") == 1);
    }
    store_uidlist_free(&u);
}

/* Adds two messages; text: what the list is then. Says whether the list was read for that. */
static bool add_two(int dir, int (*lock)(struct store_uidlist *, struct err *), uint32_t uid[2], struct buf *text)
{
    struct store_uidlist u;
    struct err e;
    store_uidlist_init(&u, dir, dir);
    GOOD(lock(&u, &e));
    uid[0] = store_uidlist_add(&u, STR("new"));
    uid[1] = store_uidlist_add_as(&u, STR("copy"), STR("of-new"));
    bool whole = u.count > 2 || !u.tail;
    GOOD(store_uidlist_commit(&u, &e));
    store_uidlist_free(&u);
    fixture_get(dir, "dovecot-uidlist", text);
    return whole;
}

/* Who looks at the ends alone leaves the list that one who reads it would. */
static void check_added(const char *list, bool whole)
{
    FIXTURE f = fixture_new();
    AUTO_BUF text = {0}, want = {0}, from = {0};
    uint32_t uid[2], want_uid[2];
    if (list)
        fixture_put(f.fd, "dovecot-uidlist", list);
    else
        put_long_list(f.fd, 3000);
    fixture_get(f.fd, "dovecot-uidlist", &from);
    CU_ASSERT(add_two(f.fd, store_uidlist_lock, want_uid, &want));
    fixture_put(f.fd, "dovecot-uidlist", buf_z(&from));
    CU_ASSERT(add_two(f.fd, store_uidlist_lock_end, uid, &text) == whole);
    CU_ASSERT(uid[0] == want_uid[0] && uid[1] == uid[0] + 1 && want_uid[1] == uid[1]);
    CU_ASSERT(want.n > from.n && str_eq(buf_view(&text), buf_view(&want)));
}

#define HEADER "3 V100 N7 G00112233445566778899aabbccddeeff"

static void uidlist_lock_end(void)
{
    AUTO_BUF list = {0};
    check_added(NULL, false);
    check_added(good_list, false);                        /* the header says more */
    check_added(HEADER "\n2 :one\n9 :two\n", false);      /* the last line says more */
    check_added(HEADER "\n", true);                       /* there is none */
    check_added(HEADER "\n2 :one\n5 :tw", true); /* half of it is missing */
    buf_printf(&list, HEADER "\n2 W%05000d :one\n", 1);
    check_added(buf_z(&list), true);                      /* it is too long */
}

/* What no line can be added to gets a larger UIDVALIDITY, or the id that it lacks. */
static void uidlist_lock_end_in_vain(void)
{
    static const char *const texts[] = {"", "1 1 7\n3 m1\n", "3 V1 N4\n3 :m1\n", HEADER "\nthree :m1\n",
                                        HEADER "\n3 :\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        FIXTURE f = fixture_new();
        AUTO_BUF text = {0};
        uint32_t uid[2];
        fixture_put(f.fd, "dovecot-uidlist", texts[i]);
        CU_ASSERT(add_two(f.fd, store_uidlist_lock_end, uid, &text));
        struct str list = buf_view(&text);
        CU_ASSERT(str_starts(list, STR("3 V")) && str_ends(list, STR(" Gof-new :copy\n")));
        CU_ASSERT(!str_starts(list, STR("3 V100 ")) && str_starts(list, STR("3 V1 ")) == (i == 1 || i == 2));
    }
}

/* A list that may only be replaced is read for it. */
static void uidlist_lock_end_read_only(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF text = {0};
    uint32_t uid[2];
    fixture_put(f.fd, "dovecot-uidlist", HEADER " Ykept\n2 W12 S10 :one\n5 :two\n");
    fixture_mode(f.fd, "dovecot-uidlist", 0400);
    CU_ASSERT(!add_two(f.fd, store_uidlist_lock_end, uid, &text) && uid[0] == 7 && uid[1] == 8);
    UNIT_STR(buf_view(&text), "3 V100 N9 G00112233445566778899aabbccddeeff Ykept\n2 W12 S10 :one\n5 :two\n"
                              "7 :new\n8 Gof-new :copy\n");
}

/* Reads the text and says whether it was taken as whole. */
static bool readable(const char *text, size_t *count)
{
    FIXTURE f = fixture_new();
    struct store_uidlist u;
    fixture_put(f.fd, "dovecot-uidlist", text);
    store_uidlist_init(&u, f.fd, f.fd);
    bool r = store_uidlist_refresh(&u, NULL) == 0 && u.readable;
    *count = u.count;
    CU_ASSERT(r || u.damaged);
    store_uidlist_free(&u);
    return r;
}

static void uidlist_damaged(void)
{
    static const char *const bad[] = {
        "", "\n", "3\n", "2 V1 N1\n", "3 V0 N1\n", "3 V1 N0\n", "3 V1\n", "3 N1\n", "3 Vx N1\n",
        "3 V99999999999 N1\n", "3 V1 N1 Gxyz\n", "3 V1 N9\nx :a\n", "3 V1 N9\n0 :a\n",
        "3 V1 N9\n2 :a\n1 :b\n", "3 V1 N9\n2 :a\n2 :b\n", "3 V1 N9\n4294967295 :a\n",
        "3 V1 N9\n1 :a/b\n", "3 V1 N9\n1 :\n", "3 V1 N9\n1\n", "3 V1 N9\n1 W5\n", "1 7\n", "9 V1 N1\n",
    };
    size_t n;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (readable(bad[i], &n)) {
            printf("# taken as whole: %s\n", bad[i]);
            CU_FAIL("damaged list taken as whole");
        }
    CU_ASSERT(readable("3 V1 N9\n1 :a\n2 :b", &n) && n == 1);           /* torn end */
    CU_ASSERT(readable("1 7 3\n1 a\n2 b\n", &n) && n == 2);             /* Courier's version */
    CU_ASSERT(readable("3 V1 N9\n1 :a\n2 :b\n3 :a\n", &n) && n == 2);   /* came back: later UID */
}

static void uidlist_byte_by_byte(void)
{
    /* every cut of a good list is read without harm, and never as more than it holds */
    size_t n;
    for (size_t i = 0; i < strlen(good_list); i++) {
        char text[200];
        snprintf(text, sizeof text, "%.*s", (int)i, good_list);
        readable(text, &n);
        CU_ASSERT(n <= 2);
    }
}

static void uidlist_mended(void)
{
    FIXTURE f = fixture_new();
    struct store_uidlist u;
    struct err e;
    char text[64];
    uint32_t far = (uint32_t)time(NULL) + 5000;
    snprintf(text, sizeof text, "3 V%u N5\nrubbish\n", far);
    fixture_put(f.fd, "dovecot-uidlist", text);
    store_uidlist_init(&u, f.fd, f.fd);
    CU_ASSERT_FATAL(store_uidlist_lock(&u, &e) == 0 && u.damaged);
    CU_ASSERT(store_uidlist_add(&u, STR("a")) == 1);
    CU_ASSERT_FATAL(store_uidlist_commit(&u, &e) == 0);
    CU_ASSERT(u.uidvalidity > far);
    uint32_t first = u.uidvalidity;
    store_uidlist_free(&u);
    unlinkat(f.fd, "dovecot-uidlist", 0);
    store_uidlist_init(&u, f.fd, f.fd);
    CU_ASSERT_FATAL(store_uidlist_lock(&u, &e) == 0 && store_uidlist_commit(&u, &e) == 0);
    CU_ASSERT(u.uidvalidity > first);
    store_uidlist_free(&u);
}

static void uidlist_lock_lost(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct store_uidlist u;
    struct err e;
    fixture_put(f.fd, "dovecot-uidlist", good_list);
    store_uidlist_init(&u, f.fd, f.fd);
    CU_ASSERT_FATAL(store_uidlist_lock(&u, &e) == 0);
    store_uidlist_add(&u, STR("three"));
    unlinkat(f.fd, "dovecot-uidlist.lock", 0);
    fixture_put(f.fd, "dovecot-uidlist.lock", "1:elsewhere");
    CU_ASSERT(store_uidlist_commit(&u, &e) == -1 && e.kind == ERR_TEMPORARY);
    UNIT_STR(fixture_get(f.fd, "dovecot-uidlist", &b), good_list);
    store_uidlist_free(&u);
    CU_ASSERT(faccessat(f.fd, "dovecot-uidlist.lock", F_OK, 0) == 0); /* theirs stays */
}

static void uidlist_not_a_file(void)
{
    FIXTURE f = fixture_new();
    struct store_uidlist u;
    struct err e;
    fixture_put(f.fd, "elsewhere", good_list);
    CU_ASSERT_FATAL(symlinkat("elsewhere", f.fd, "dovecot-uidlist") == 0);
    store_uidlist_init(&u, f.fd, f.fd);
    CU_ASSERT(store_uidlist_refresh(&u, &e) == -1 && e.kind == ERR_TEMPORARY);
    unlinkat(f.fd, "dovecot-uidlist", 0);
    CU_ASSERT_FATAL(mkfifoat(f.fd, "dovecot-uidlist", 0600) == 0);
    CU_ASSERT(store_uidlist_refresh(&u, &e) == -1 && e.kind == ERR_TEMPORARY);
    store_uidlist_free(&u);
}

static void uidvalidity(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    uint32_t first, second, third;
    char text[16];
    CU_ASSERT_FATAL(store_uidvalidity_next(f.fd, 0, &first, &e) == 0);
    CU_ASSERT_FATAL(store_uidvalidity_next(f.fd, 0, &second, &e) == 0);
    CU_ASSERT_FATAL(store_uidvalidity_next(f.fd, second + 1000, &third, &e) == 0);
    CU_ASSERT(first < second && third > second + 1000);
    snprintf(text, sizeof text, "%08x", third);
    UNIT_STR(fixture_get(f.fd, "dovecot-uidvalidity", &b), text);
    CU_ASSERT(fixture_count(f.fd, ".") == 2);
}

/* ---- dovecot-keywords ---- */

static void keywords(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct store_keywords k = {0};
    struct store_uidlist u;
    struct err e;
    unsigned letter;
    store_uidlist_init(&u, f.fd, f.fd);
    fixture_put(f.fd, "dovecot-keywords", "0 $Later\njunk\n1\n99 x\n-1 y\n3 Work\n5 work\n2 \n4 a b\n");
    CU_ASSERT_FATAL(store_keywords_refresh(&k, f.fd, &e) == 0);
    CU_ASSERT(store_keywords_find(&k, STR("$LATER")) == 0 && store_keywords_find(&k, STR("work")) == 3);
    CU_ASSERT(store_keywords_find(&k, STR("x")) == -1);
    CU_ASSERT(store_keywords_add(&k, &u, STR("$later"), &letter, &e) == 0 && letter == 0);
    store_keywords_note(&k, 1u << 1);
    UNIT_STR(str_from(k.name[1]), "unknown-1");
    CU_ASSERT(store_keywords_add(&k, &u, STR("new"), &letter, &e) == 0 && letter == 2);
    UNIT_STR(fixture_get(f.fd, "dovecot-keywords", &b), "0 $Later\n1 unknown-1\n2 new\n3 Work\n");
    for (const char *const *bad = (const char *const[]){"", "a b", "a\\b", "(x", "\xc3\xa9", "x]", "a\n1 b", NULL};
         *bad; bad++)
        CU_ASSERT(store_keywords_add(&k, &u, str_from(*bad), &letter, &e) == -1 &&
                  e.kind == ERR_PERMANENT && e.client[0]);
    store_keywords_free(&k);
    store_uidlist_free(&u);
}

static void keywords_full(void)
{
    FIXTURE f = fixture_new();
    struct store_keywords k = {0};
    struct store_uidlist u;
    struct err e;
    unsigned letter;
    char name[16];
    store_uidlist_init(&u, f.fd, f.fd);
    for (int i = 0; i < 26; i++) {
        snprintf(name, sizeof name, "k%d", i);
        CU_ASSERT_FATAL(store_keywords_add(&k, &u, str_from(name), &letter, &e) == 0);
        CU_ASSERT(letter == (unsigned)i);
    }
    CU_ASSERT(store_keywords_add(&k, &u, STR("k26"), &letter, &e) == -1 && e.kind == ERR_PERMANENT);
    CU_ASSERT(strstr(e.client, "26") != NULL);
    CU_ASSERT(store_keywords_add(&k, &u, STR("K7"), &letter, &e) == 0 && letter == 7);
    CU_ASSERT(faccessat(f.fd, "dovecot-uidlist.lock", F_OK, 0) != 0);
    store_keywords_free(&k);
    store_uidlist_free(&u);
}

/* ---- subscriptions ---- */

static void check_names(int fd, const char *const *want)
{
    AUTO_ARENA a = arena_new(1024);
    struct store_names n;
    struct err e;
    CU_ASSERT_FATAL(store_subscriptions_read(fd, a, &n, &e) == 0);
    size_t i = 0;
    for (; want[i] && i < n.count; i++)
        UNIT_STR(n.name[i], want[i]);
    CU_ASSERT(i == n.count && !want[i]);
}

static void subscriptions(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    check_names(f.fd, (const char *const[]){NULL});
    fixture_put(f.fd, "subscriptions", "Sent\nA.B\ninbox\n\n../x\nSent\n");
    check_names(f.fd, (const char *const[]){"Sent", "A.B", "INBOX", NULL});
    CU_ASSERT(store_subscriptions_set(f.fd, STR("C.D"), true, &e) == 0);
    CU_ASSERT(store_subscriptions_set(f.fd, STR("Sent"), false, &e) == 0);
    UNIT_STR(fixture_get(f.fd, "subscriptions", &b), "A.B\ninbox\n\n../x\nC.D\n"); /* stays version 1 */
    fixture_put(f.fd, "subscriptions", "V\t2\n\nA\tB\nx\0011 y\n\0012\nA.C\n\001");
    check_names(f.fd, (const char *const[]){"A.B", "2", "A.C", NULL});
    CU_ASSERT(store_subscriptions_set(f.fd, STR("A.B"), false, &e) == 0);
    CU_ASSERT(store_subscriptions_set(f.fd, STR("A.D.E"), true, &e) == 0);
    CU_ASSERT(store_subscriptions_set(f.fd, STR("A.D.E"), true, &e) == 0);
    UNIT_STR(fixture_get(f.fd, "subscriptions", &b), "V\t2\n\nx\0011 y\n\0012\nA.C\n\001\nA\tD\tE\n");
    CU_ASSERT(store_subscriptions_set(f.fd, STR("a/../b"), true, &e) == -1 && e.kind == ERR_PERMANENT);
    CU_ASSERT(fixture_count(f.fd, ".") == 1);
}

/* The lock of one who dies while he writes says so: the next one need not wait until it is old. */
static void subscriptions_died(void)
{
    static const char names[] = "V\t2\n\nSome\nMore than a hundred bytes stand in this list of folders\n"
                                "which the process that adds another one may not write\n";
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    char holder[300], host[256];
    int status = 0;
    fixture_put(f.fd, "subscriptions", names);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit bytes = {100, 100}, none = {0, 0};
        signal(SIGXFSZ, SIG_DFL); /* whoever started us may ignore it */
        if (setrlimit(RLIMIT_CORE, &none) == 0 && setrlimit(RLIMIT_FSIZE, &bytes) == 0)
            store_subscriptions_set(f.fd, STR("New"), true, &e); /* dies of SIGXFSZ */
        _exit(0);
    }
    CU_ASSERT(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    gethostname(host, sizeof host);
    snprintf(holder, sizeof holder, "%d:%s", (int)child, host);
    UNIT_STR(fixture_get(f.fd, "subscriptions.lock", &b), holder);
    UNIT_STR(fixture_get(f.fd, "subscriptions", &b), names);
    GOOD(store_subscriptions_set(f.fd, STR("New"), true, &e));
    CU_ASSERT(str_ends(fixture_get(f.fd, "subscriptions", &b), STR("write\nNew\n")));
    CU_ASSERT(fixture_count(f.fd, ".") == 1);
}

static void folder_names(void)
{
    static const char *const bad[] = {"", ".", "..", ".a", "a.", "a..b", "a/b", "/", "../x", "a\x01", "\xc3\xa9",
                                      "&", "&AOk", "&A!k-", "a\n"};
    struct err e;
    char dir[256], longer[260];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT(store_folder_name_check(str_from(bad[i]), &e) == -1 && e.kind == ERR_PERMANENT &&
                  e.client[0]);
    CU_ASSERT(store_folder_name_check((struct str){"a\0b", 3}, &e) == -1);
    memset(longer, 'a', sizeof longer);
    CU_ASSERT(store_folder_name_check((struct str){longer, 201}, &e) == -1);
    CU_ASSERT(store_folder_dir(STR("inBOX"), dir, &e) == 0 && strcmp(dir, ".") == 0);
    CU_ASSERT(store_folder_dir(STR("A.&AOk-.b c"), dir, &e) == 0 && strcmp(dir, ".A.&AOk-.b c") == 0);
    CU_ASSERT(store_folder_dir(STR("&-"), dir, &e) == 0);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"names are parsed", name_parse},
        {"names are built, foreign letters kept", name_format},
        {"names have Dovecot's order", name_order},
        {"uidlist is read", uidlist_read},
        {"uidlist is appended to and rewritten", uidlist_append},
        {"a message is found in a uidlist that is not read", uidlist_seek},
        {"and not where it is not", uidlist_seek_in_vain},
        {"what is added needs the ends of a uidlist alone", uidlist_lock_end},
        {"and more where they do not tell", uidlist_lock_end_in_vain},
        {"or where nothing can be added", uidlist_lock_end_read_only},
        {"damaged uidlists are noticed", uidlist_damaged},
        {"every cut of a uidlist is harmless", uidlist_byte_by_byte},
        {"a damaged uidlist gets a larger UIDVALIDITY", uidlist_mended},
        {"a lost lock stops the writing", uidlist_lock_lost},
        {"a uidlist that is no file is refused", uidlist_not_a_file},
        {"UIDVALIDITY only grows", uidvalidity},
        {"keywords are read and added", keywords},
        {"the 27th keyword is refused", keywords_full},
        {"subscriptions in both versions", subscriptions},
        {"whoever dies while he writes subscriptions keeps nobody waiting", subscriptions_died},
        {"folder names lead nowhere else", folder_names},
        {NULL, NULL}};
    return unit_main("store-formats", tests);
}
