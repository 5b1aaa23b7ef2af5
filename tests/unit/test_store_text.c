/* store/text.h: the text index. */
#include "store/text.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const unsigned char guid[16] = "0123456789abcde";
static char top[] = "/tmp/store-text-XXXXXX";
static int dir;

static void add(struct store_text *t, int64_t folder, uint32_t uid, const char *head, const char *body)
{
    struct str h = str_from(head), b = str_from(body);
    CU_ASSERT(store_text_add(t, folder, uid, uid * 10, head ? &h : NULL, body ? &b : NULL) == 0);
}

static int64_t fill(struct store_text *t)
{
    int64_t folder;
    uint32_t upto;
    CU_ASSERT(store_text_folder(t, guid, 5, true, &folder, &upto) == 0 && upto == 0);
    CU_ASSERT(store_text_begin(t) == 0);
    add(t, folder, 1, "SUBJECT: ONE", "THE \"QUOTED\" BODY");
    add(t, folder, 3, "SUBJECT: TWO\nFROM: A@B", "GRU\xcc\x88\xc3\x9f" "E AUS KO\xcc\x88LN");
    add(t, folder, 4, NULL, NULL);
    add(t, folder, 4000000000u, "ONE", "");
    CU_ASSERT(store_text_set_upto(t, folder, 4) == 0);
    CU_ASSERT(store_text_commit(t) == 0);
    return folder;
}

static void on_uid(void *ctx, uint32_t uid)
{
    buf_printf(ctx, "%u ", uid);
}

static void on_known(void *ctx, uint32_t uid, uint64_t base)
{
    buf_printf(ctx, "%u=%u ", uid, (unsigned)base);
}

static void check_find(struct store_text *t, int64_t folder, unsigned where, const char *needle,
                       const char *want)
{
    AUTO_BUF b = {0};
    if (store_text_find(t, folder, where, str_from(needle), on_uid, &b) != 0)
        buf_str(&b, STR("no"));
    UNIT_STR(b, want);
}

static void finding(void)
{
    enum { H = STORE_TEXT_HEAD, B = STORE_TEXT_BODY };
    struct store_text *t = store_text_new(dir);
    CU_ASSERT(!store_text_exists(t));
    int64_t folder = fill(t);
    CU_ASSERT(store_text_exists(t));
    check_find(t, folder, B, "QUOTED", "1 ");
    check_find(t, folder, B, "E \"QUO", "1 ");
    check_find(t, folder, B, "\"QUOTED\" B", "1 ");
    check_find(t, folder, B, "ONE", "");
    check_find(t, folder, H, "ONE", "1 4000000000 ");
    check_find(t, folder, B | H, "QUOTED", "1 ");
    check_find(t, folder, H, "SUBJECT: T", "3 ");
    check_find(t, folder, B, "O\xcc\x88L", "3 ");
    check_find(t, folder, B, "U\xcc\x88\xc3\x9f", "3 ");
    check_find(t, folder, B, "AND", "");
    check_find(t, folder, B, "XYZ* OR QUOTED", "");
    check_find(t, folder, B, "ON", "no");
    check_find(t, folder, B, "\xcc\x88", "no");
    check_find(t, folder, B, "", "no");
    check_find(t, folder + 1, B, "QUOTED", "");
    /* A long needle is looked for by its beginning, and the rest is the caller's to see. */
    AUTO_BUF longer = {0};
    while (longer.n < 100000)
        buf_str(&longer, STR("THE \"QUOTED\" BODY"));
    check_find(t, folder, B, buf_z(&longer), "");
    store_text_free(t);
}

static void knowing(void)
{
    struct store_text *t = store_text_new(dir), *u = store_text_new(dir);
    AUTO_BUF b = {0};
    int64_t folder, other;
    uint32_t upto;
    CU_ASSERT(store_text_folder(t, guid, 5, false, &folder, &upto) == 0 && upto == 4);
    CU_ASSERT(store_text_folder(t, guid, 6, false, &other, &upto) == 1);
    CU_ASSERT(store_text_known(t, folder, on_known, &b) == 0);
    UNIT_STR(b, "1=10 3=30 4000000000=1345294336 ");
    /* Another one's changes are seen, and change the version; two cannot change it at once. */
    uint64_t version = store_text_version(t);
    const uint32_t gone[] = {1, 2};
    CU_ASSERT(store_text_begin(u) == 0 && store_text_begin(t) == -1);
    CU_ASSERT(store_text_drop(u, folder, gone, 2) == 0 && store_text_commit(u) == 0);
    CU_ASSERT(store_text_version(t) != version);
    buf_clear(&b);
    CU_ASSERT(store_text_known(t, folder, on_known, &b) == 0);
    UNIT_STR(b, "3=30 4000000000=1345294336 ");
    /* What is not committed was not. */
    CU_ASSERT(store_text_begin(t) == 0);
    add(t, folder, 9, "X", "Y");
    store_text_rest(t);
    buf_clear(&b);
    CU_ASSERT(store_text_known(t, folder, on_known, &b) == 0);
    UNIT_STR(b, "3=30 4000000000=1345294336 ");
    store_text_free(t);
    store_text_free(u);
}

static void count_known(void *ctx, uint32_t uid, uint64_t base)
{
    uint64_t *sum = ctx;
    sum[0]++;
    sum[1] += uid;
    CU_ASSERT(base == uid + 7u);
}

/* More messages than a block holds, and one that is told twice. */
static void knowing_many(void)
{
    static const unsigned char other[16] = "another folder";
    enum { N = 5000 };
    struct store_text *t = store_text_new(dir);
    struct str x = STR("SOME TEXT");
    uint64_t sum[2] = {0};
    int64_t folder;
    uint32_t upto, odd[N / 2];
    CU_ASSERT(store_text_folder(t, other, 5, true, &folder, &upto) == 0);
    CU_ASSERT(store_text_begin(t) == 0);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t uid = 1 + i;
        CU_ASSERT_FATAL(store_text_add(t, folder, uid, uid + 7u, &x, &x) == 0);
    }
    CU_ASSERT(store_text_add(t, folder, 3, 10, &x, &x) == 0);
    CU_ASSERT(store_text_commit(t) == 0);
    CU_ASSERT(store_text_known(t, folder, count_known, sum) == 0);
    CU_ASSERT(sum[0] == N && sum[1] == (uint64_t)N * (N + 1) / 2);
    for (uint32_t i = 0; i < N / 2; i++)
        odd[i] = 2 * i + 1;
    CU_ASSERT(store_text_begin(t) == 0 && store_text_drop(t, folder, odd, N / 2) == 0 &&
              store_text_commit(t) == 0);
    sum[0] = sum[1] = 0;
    CU_ASSERT(store_text_known(t, folder, count_known, sum) == 0);
    CU_ASSERT(sum[0] == N / 2 && sum[1] == (uint64_t)(N / 2) * (N / 2 + 1));
    store_text_free(t);
    t = store_text_new(dir);
    sum[0] = sum[1] = 0;
    CU_ASSERT(store_text_known(t, folder, count_known, sum) == 0 && sum[0] == N / 2);
    CU_ASSERT(store_text_known(t, folder + 1, count_known, sum) == 0 && sum[0] == N / 2);
    store_text_free(t);
}

static void write_file(const char *text)
{
    int fd = openat(dir, "facteur.text.sqlite", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CU_ASSERT(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

/* What is no index of ours is removed; for a while there is none then, and later a new one. */
static void damage(void)
{
    int64_t folder;
    uint32_t upto;
    struct store_text *t = store_text_new(dir);
    unlinkat(dir, "facteur.text.sqlite-wal", 0);
    unlinkat(dir, "facteur.text.sqlite-shm", 0);
    write_file("this is not a database, and long enough to be looked at as one: "
               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    CU_ASSERT(store_text_folder(t, guid, 5, true, &folder, &upto) == -1);
    CU_ASSERT(!store_text_exists(t));
    CU_ASSERT(store_text_folder(t, guid, 5, true, &folder, &upto) == -1);
    store_text_free(t);
    t = store_text_new(dir);
    fill(t);
    /* Removed under the hands of one that uses it. */
    CU_ASSERT(unlinkat(dir, "facteur.text.sqlite", 0) == 0);
    CU_ASSERT(store_text_folder(t, guid, 5, false, &folder, &upto) == 1);
    CU_ASSERT(store_text_folder(t, guid, 5, true, &folder, &upto) == 0 && upto == 0);
    check_find(t, folder, STORE_TEXT_BODY, "QUOTED", "");
    store_text_free(t);
    /* A symbolic link is not followed. */
    unlinkat(dir, "facteur.text.sqlite", 0);
    CU_ASSERT(symlinkat("elsewhere", dir, "facteur.text.sqlite") == 0);
    t = store_text_new(dir);
    CU_ASSERT(store_text_folder(t, guid, 5, true, &folder, &upto) == -1);
    CU_ASSERT(faccessat(dir, "elsewhere", F_OK, 0) != 0);
    store_text_free(t);
    unlinkat(dir, "facteur.text.sqlite", 0);
}

/* An index of which most is gone is made anew. */
static void renewal(void)
{
    enum { N = 12000 };
    struct store_text *t = store_text_new(dir);
    uint32_t *uids = mem_array(N, sizeof *uids), upto;
    int64_t folder = fill(t);
    struct str empty = STR("A B C");
    CU_ASSERT(store_text_begin(t) == 0);
    for (uint32_t i = 0; i < N; i++) {
        uids[i] = i + 100;
        CU_ASSERT_FATAL(store_text_add(t, folder, uids[i], 1, &empty, &empty) == 0);
    }
    CU_ASSERT(store_text_commit(t) == 0 && store_text_begin(t) == 0);
    CU_ASSERT(store_text_drop(t, folder, uids, 5000) == 0 && store_text_commit(t) == 0);
    CU_ASSERT(store_text_begin(t) == 0 && store_text_drop(t, folder, uids + 5000, N - 5000) == -1);
    CU_ASSERT(!store_text_exists(t));
    CU_ASSERT(store_text_folder(t, guid, 5, true, &folder, &upto) == 0 && upto == 0);
    check_find(t, folder, STORE_TEXT_BODY, "QUOTED", "");
    free(uids);
    store_text_free(t);
}

/* The tokenizer tells a message's trigrams once each; what it remembers of others must not hide any. */
static void repeated(void)
{
    enum { MANY = 65537 };
    struct store_text *t = store_text_new(dir);
    int64_t folder = fill(t);
    AUTO_BUF b = {0};
    struct str empty = STR(""), rare = STR("QUI"), often = STR("DAS");
    for (unsigned i = 0; i < 30000; i++) /* more trigrams than it remembers, and some that are too long */
        buf_printf(&b, "%x %s", i * 7919u, i % 100 ? "" : "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e");
    buf_str(&b, STR("ZULETZT"));
    struct str body = buf_view(&b);
    CU_ASSERT(store_text_begin(t) == 0 && store_text_add(t, folder, 100, 1, &empty, &body) == 0);
    for (uint32_t i = 1; i <= MANY; i++) { /* it counts messages in 16 bits */
        const struct str *x = i == 1 || i >= MANY - 2 ? &rare : &often;
        CU_ASSERT_FATAL(store_text_add(t, folder, 100 + i, 1, &empty, x) == 0);
    }
    CU_ASSERT(store_text_commit(t) == 0);
    check_find(t, folder, STORE_TEXT_BODY, "QUI", "101 65635 65636 65637 ");
    check_find(t, folder, STORE_TEXT_BODY, "ZULETZT", "100 ");
    check_find(t, folder, STORE_TEXT_BODY, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "100 ");
    char last[16];
    snprintf(last, sizeof last, "%x", 29999u * 7919u);
    check_find(t, folder, STORE_TEXT_BODY, last, "100 ");
    store_text_free(t);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"finding", finding}, {"knowing", knowing}, {"damage", damage}, {"renewal", renewal},
        {"repeated", repeated}, {"knowing many", knowing_many},
        {NULL, NULL},
    };
    if (!mkdtemp(top) || (dir = open(top, O_RDONLY | O_DIRECTORY)) < 0)
        return 1;
    int status = unit_main("store-text", tests);
    static const char *const files[] = {"facteur.text.sqlite", "facteur.text.sqlite-wal",
                                        "facteur.text.sqlite-shm"};
    for (size_t i = 0; i < 3; i++)
        unlinkat(dir, files[i], 0);
    rmdir(top);
    return status;
}
