/* base/: views, memory, tables, log escaping. */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void views(void)
{
    CU_ASSERT(str_caseeq(STR("MaIl"), STR("mAiL")));
    CU_ASSERT(!str_caseeq(STR("mail"), STR("mails")));
    CU_ASSERT(str_casecontains(STR("hello World"), STR("WORLD")));
    CU_ASSERT(!str_casecontains(STR("hello"), STR("world")));
    UNIT_STR(str_trim(STR(" \t a b\r\n")), "a b");
    CU_ASSERT(str_cmp(STR("a"), STR("ab")) < 0);
    CU_ASSERT(str_cmp((struct str){0}, STR("")) == 0);
    CU_ASSERT(str_distance(STR("kitten"), STR("sitting")) == 3);
    CU_ASSERT(str_distance(STR(""), STR("abc")) == 3 && str_distance(STR("a"), STR("a")) == 0);
}

static void lines(void)
{
    struct str rest = STR("one\r\ntwo\n\nlast"), line;
    const char *const want[] = {"one", "two", "", "last"};
    for (size_t i = 0; i < 4; i++) {
        CU_ASSERT_FATAL(str_line(&rest, &line));
        UNIT_STR(line, want[i]);
    }
    CU_ASSERT(!str_line(&rest, &line));
}

static void tokens(void)
{
    struct str rest = STR(" a,, b "), piece;
    CU_ASSERT_FATAL(str_token(&rest, ", ", &piece));
    UNIT_STR(piece, "a");
    CU_ASSERT_FATAL(str_token(&rest, ", ", &piece));
    UNIT_STR(piece, "b");
    CU_ASSERT(!str_token(&rest, ", ", &piece));
}

static void numbers(void)
{
    uint64_t v = 7;
    CU_ASSERT(str_u64(STR("18446744073709551615"), &v) == 0 && v == UINT64_MAX);
    CU_ASSERT(str_u64(STR("18446744073709551616"), &v) == -1);
    CU_ASSERT(str_u64(STR(""), &v) == -1);
    CU_ASSERT(str_u64(STR("+1"), &v) == -1);
    CU_ASSERT(str_u64(STR("1 "), &v) == -1);
    uint32_t w;
    CU_ASSERT(str_u32(STR("4294967296"), &w) == -1);
}

static void hexadecimal(void)
{
    static const struct {
        struct str in;
        int want;
    } t[] = {{STR("00"), 0}, {STR("fF"), 255}, {STR("a9z"), 0xa9}, {STR("7"), -1}, {STR(""), -1},
             {STR("g0"), -1}, {STR("0G"), -1}, {STR("@0"), -1}, {STR("0`"), -1}, {STR("0\xe9"), -1}};
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
        CU_ASSERT(str_hex_octet(t[i].in) == t[i].want);
}

static void below(void)
{
    struct {
        char other;
        uint32_t key;
    } v[5] = {{0, 2}, {0, 3}, {0, 5}, {0, 5}, {0, UINT32_MAX}}, *none = NULL;
    static const struct {
        uint32_t key;
        size_t want;
    } asked[] = {{0, 0}, {2, 0}, {3, 1}, {4, 2}, {5, 2}, {6, 4}, {UINT32_MAX, 4}};
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++)
        CU_ASSERT(MEM_BELOW(v, 5, key, asked[i].key) == asked[i].want);
    CU_ASSERT(MEM_BELOW(v, 4, key, UINT32_MAX) == 4 && MEM_BELOW(none, 0, key, 1) == 0);
}

static void utf8(void)
{
    CU_ASSERT(str_is_utf8(STR("h\xc3\xa9llo \xf0\x9f\x93\xae")));
    CU_ASSERT(!str_is_utf8(STR("\xc0\xaf")));
    CU_ASSERT(!str_is_utf8(STR("\xed\xa0\x80")));
    CU_ASSERT(!str_is_utf8(STR("\xf4\x90\x80\x80")));
    CU_ASSERT(!str_is_utf8(STR("\xe2\x82")));
}

static void text_of_one_line(void)
{
    CU_ASSERT(str_is_ascii(STR("")));
    CU_ASSERT(str_is_ascii(STR("a\x7f")));
    CU_ASSERT(!str_is_ascii(STR("a\x80")));
    CU_ASSERT(!str_is_ascii(STR("\xff")));
    CU_ASSERT(str_is_text(STR("")));
    CU_ASSERT(str_is_text(STR("\"a b\"@h\xc3\xa9llo.example")));
    CU_ASSERT(!str_is_text(STR("a\nX: b")));
    CU_ASSERT(!str_is_text(STR("a\rb")));
    CU_ASSERT(!str_is_text(STR("a\tb")));
    CU_ASSERT(!str_is_text(STR("a\0b")));
    CU_ASSERT(!str_is_text(STR("a\x7f")));
    CU_ASSERT(!str_is_text(STR("a\xc2\x85" "b")));
    CU_ASSERT(str_is_text(STR("a\xc2\xa0" "b")));
    CU_ASSERT(!str_is_text(STR("a\xff")));
}

static void arenas(void)
{
    AUTO_ARENA a = arena_new(64);
    struct str s = arena_printf(a, "%s-%d", "x", 5);
    UNIT_STR(s, "x-5");
    char *big = arena_alloc(a, 100000);
    CU_ASSERT(big[99999] == 0);
    arena_reset(a);
    CU_ASSERT(arena_used(a) == 0);
    UNIT_STR(arena_concat(a, STR("ab"), STR("cd")), "abcd");
}

static void buffers(void)
{
    AUTO_BUF b = BUF_MAX(10);
    CU_ASSERT(buf_add(&b, "12345", 5) == 0);
    CU_ASSERT(buf_add(&b, "678901", 6) == -1);
    CU_ASSERT(b.n == 5);
    CU_ASSERT(buf_printf(&b, "%d", 67890) == 0);
    buf_consume(&b, 3);
    UNIT_STR(buf_view(&b), "4567890");
}

static void tables(void)
{
    struct map *m = map_new();
    char key[16];
    for (intptr_t i = 1; i <= 1000; i++) {
        snprintf(key, sizeof key, "k%ld", (long)i);
        CU_ASSERT(map_put(m, str_from(key), (void *)i) == NULL);
    }
    CU_ASSERT(map_count(m) == 1000);
    for (intptr_t i = 1; i <= 1000; i += 2) {
        snprintf(key, sizeof key, "k%ld", (long)i);
        CU_ASSERT(map_take(m, str_from(key)) == (void *)i);
    }
    CU_ASSERT(map_get(m, STR("k2")) == (void *)2);
    CU_ASSERT(map_get(m, STR("k3")) == NULL);
    CU_ASSERT(map_put(m, STR("k2"), (void *)9) == (void *)2);
    size_t at = 0, seen = 0;
    void *value;
    struct str k;
    while (map_next(m, &at, &k, &value))
        seen++;
    CU_ASSERT(seen == 500);
    map_free(m, NULL);
}

static void secrets(void)
{
    struct secret s = secret_copy(STR("pass\0word"));
    CU_ASSERT_FATAL(s.p != NULL);
    CU_ASSERT(s.n == 9 && s.p[9] == '\0');
    CU_ASSERT(secret_eq((struct str){s.p, s.n}, STR("pass\0word")));
    CU_ASSERT(!secret_eq((struct str){s.p, s.n}, STR("pass\0wore")));
    secret_free(&s);
    CU_ASSERT(s.p == NULL);
}

static bool is_wiped(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static void secrets_kept(void)
{
    struct secret_pool *pool = secret_pool_new();
    struct secret many[100], s = secret_pool_copy(pool, STR("pass\0word"));
    CU_ASSERT(secret_eq((struct str){s.p, s.n}, STR("pass\0word")) && s.p[s.n] == '\0');
    const char *was = s.p;
    secret_free(&s);
    CU_ASSERT(s.p == NULL && s.n == 0 && is_wiped(was, 9));
    s = secret_pool_copy(pool, STR("word"));
    CU_ASSERT_PTR_EQUAL(s.p, was + 5);
    CU_ASSERT(secret_eq((struct str){s.p, s.n}, STR("word")) && is_wiped(was, 5));
    for (size_t i = 0; i < 100; i++)
        many[i] = secret_pool_copy(pool, (struct str){(const char *)&i, sizeof i});
    for (size_t i = 0; i < 100; i++) {
        CU_ASSERT(memcmp(many[i].p, &i, sizeof i) == 0);
        secret_free(&many[i]);
    }
    secret_free(&s);
    char large[5000];
    memset(large, 'x', sizeof large);
    s = secret_pool_copy(pool, (struct str){large, sizeof large});
    CU_ASSERT(s.pool == NULL && secret_eq((struct str){s.p, s.n}, (struct str){large, sizeof large}));
    secret_free(&s);
    secret_pool_free(pool);
}

/* A byte beyond the end is the end of the process, in kept memory too. */
static void secrets_guarded(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        struct secret_pool *pool = secret_pool_new();
        struct secret s = secret_pool_copy(pool, STR("one"));
        secret_free(&s);
        s = secret_pool_copy(pool, STR("word"));
        signal(SIGSEGV, SIG_DFL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        *(volatile char *)(s.p + s.n + 1) = 'x';
        _exit(0);
    }
    CU_ASSERT(waitpid(pid, &status, 0) == pid && !(WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

static void log_lines_cannot_be_forged(void)
{
    int ends[2];
    CU_ASSERT_FATAL(pipe(ends) == 0);
    int saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    log_info("test", LS("to", STR("a\nb \"c\"\xff")), LZ("empty", ""), LN("n", -3));
    log_info("test", LS("csi", STR("h\xc3\xa9\xc2\x9b" "2J\xc2\xa0")), LS("nel", STR("\xc2\x85")));
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    AUTO_BUF b = {0};
    CU_ASSERT(fd_read_all(ends[0], &b, 4096) == 0);
    close(ends[0]);
    CU_ASSERT(strstr(buf_z(&b), " info: test to=\"a\\x0ab \\\"c\\\"\\xff\" empty=\"\" n=-3\n") != NULL);
    CU_ASSERT(strstr(buf_z(&b), " test csi=\"h\xc3\xa9\\xc2\\x9b" "2J\xc2\xa0\" nel=\"\\xc2\\x85\"\n") != NULL);
}

/* What a program that logs to target sends down its descriptor. */
static void log_through(enum log_target target, char *text, size_t n)
{
    int ends[2];
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
    log_open(target, "facteur/test", ends[1]);
    log_warning("event", LZ("key", "two words"));
    log_open(LOG_TARGET_STDERR, "test", -1);
    ssize_t got = recv(ends[0], text, n - 1, MSG_DONTWAIT);
    text[got > 0 ? got : 0] = '\0';
    close(ends[0]);
    close(ends[1]);
}

/* A daemon that stands still keeps nobody waiting, and hears later what it has missed. */
static void log_daemon_stands_still(void)
{
    char text[512];
    int ends[2], taken = 0, sent = 2000;
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
    log_open(LOG_TARGET_SYSLOG, "facteur/test", ends[1]);
    for (int i = 0; i < sent; i++)
        log_warning("event", LN("number", i));
    while (recv(ends[0], text, sizeof text, MSG_DONTWAIT) > 0)
        taken++;
    CU_ASSERT(taken > 0 && taken < sent);
    log_warning("event", LZ("number", "last"));
    log_open(LOG_TARGET_STDERR, "test", -1);
    ssize_t n = recv(ends[0], text, sizeof text - 1, MSG_DONTWAIT);
    CU_ASSERT_FATAL(n > 0);
    text[n] = '\0';
    char want[64];
    snprintf(want, sizeof want, "log-lines-lost count=%d\n", sent - taken);
    CU_ASSERT(strstr(text, want) != NULL);
    n = recv(ends[0], text, sizeof text - 1, MSG_DONTWAIT);
    CU_ASSERT(n > 0 && memmem(text, (size_t)n, "number=last", 11) != NULL);
    close(ends[0]);
    close(ends[1]);
}

static void log_to_syslog_and_journal(void)
{
    char text[512];
    log_through(LOG_TARGET_SYSLOG, text, sizeof text);
    CU_ASSERT(strncmp(text, "<20>", 4) == 0); /* mail.warning, RFC 5424 section 6.2.1 */
    CU_ASSERT(strstr(text, " facteur/test[") != NULL);
    CU_ASSERT(strstr(text, "]: event key=\"two words\"\n") != NULL);
    log_through(LOG_TARGET_JOURNAL, text, sizeof text);
    UNIT_STR(str_from(text), "PRIORITY=4\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=facteur/test\n"
                             "MESSAGE=event key=\"two words\"\n");
}

/* RFC 4517 section 3.3.13. */
static void generalized_times(void)
{
    static const struct {
        const char *text;
        int64_t want; /* -1: none */
    } t[] = {
        {"19700101000000Z", 0},          {"20261224120000Z", 1798113600},
        {"2026122412Z", 1798113600},     {"202612241230Z", 1798115400},
        {"20261224120000.75Z", 1798113600}, {"20261224140000+0200", 1798113600},
        {"20261224083000,0-0330", 1798113600}, {"20240229000000Z", 1709164800},
        {"20261224130000+01", 1798113600},
        {"", -1}, {"20261224", -1}, {"20261224120000", -1}, {"20261324120000Z", -1},
        {"20260230000000Z", -1}, {"20261224250000Z", -1}, {"20261224126000Z", -1},
        {"20261224120000.Z", -1}, {"20261224120000Zx", -1}, {"20261224120000+2", -1},
        {"20261224120000+0260", -1}, {"2026-12-24", -1}, {"tomorrow", -1}, {"20260024120000Z", -1},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        int64_t got = -1;
        int r = clock_generalized(str_from(t[i].text), &got);
        CU_ASSERT(r == (t[i].want < 0 ? -1 : 0) && got == t[i].want);
    }
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"views", views},
        {"lines", lines},
        {"tokens", tokens},
        {"numbers", numbers},
        {"hexadecimal octets", hexadecimal},
        {"what is below a key", below},
        {"UTF-8", utf8},
        {"text of one line", text_of_one_line},
        {"arenas", arenas},
        {"buffers", buffers},
        {"tables", tables},
        {"secrets", secrets},
        {"secrets in kept memory", secrets_kept},
        {"kept memory is guarded", secrets_guarded},
        {"times of a directory", generalized_times},
        {"log lines cannot be forged", log_lines_cannot_be_forged},
        {"a log daemon that stands still", log_daemon_stands_still},
        {"log to syslog and journal", log_to_syslog_and_journal},
        {NULL, NULL},
    };
    return unit_main("base", tests);
}
