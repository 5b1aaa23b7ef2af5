/* The queue's database, its pauses and files, and the lines that delivery writes before a
 * message. */
#include "base/clock.h"
#include "base/mem.h"
#include "deliver/header.h"
#include "deliver/place.h"
#include "queue/backoff.h"
#include "queue/db.h"
#include "queue/lanes.h"
#include "queue/queue.h"
#include "queue/spool.h"
#include "queue/syncer.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char dir[64];
};

static struct place new_place(void)
{
    struct place p = {"/tmp/unit-queue.XXXXXX"};
    CU_ASSERT_FATAL(mkdtemp(p.dir) != NULL);
    return p;
}

static void remove_place(const struct place *p)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", p->dir);
    CU_ASSERT(system(command) == 0);
}

static void path_in(char out[128], const struct place *p, const char *name)
{
    snprintf(out, 128, "%s/%s", p->dir, name);
}

/* --- pauses --- */

static void pauses(void)
{
    const int64_t min = 300, max = 4000;
    for (uint32_t attempts = 0; attempts < 100; attempts++) {
        int64_t plain = attempts < 2 ? 300000 : attempts < 5 ? 300000LL << (attempts - 1) : 4000000;
        int64_t low = plain, high = 0;
        for (uint32_t random = 0; random < 2000000; random += 4999) {
            int64_t ms = queue_backoff_ms(min, max, attempts, random);
            low = ms < low ? ms : low;
            high = ms > high ? ms : high;
        }
        CU_ASSERT(low >= plain - plain / 8 && low <= plain - plain / 9);
        CU_ASSERT(high <= max * 1000 && high <= plain + plain / 8 + 1);
        CU_ASSERT(plain == max * 1000 || high >= plain + plain / 9);
    }
    CU_ASSERT(queue_backoff_ms(1, 864000, UINT32_MAX, 0) > 0);
    CU_ASSERT(queue_backoff_ms(600, 10, 1, 0) >= 500000); /* bounds the wrong way round */
}

/* --- trace lines --- */

static void trace_lines(void)
{
    struct err e = {0};
    AUTO_BUF b = BUF_MAX(4096);
    CU_ASSERT(deliver_header(&b, STR("a@x.example"), STR("info@y.example"), STR("b@y.example"),
                             STR(""), &e) == 0);
    UNIT_STR(buf_view(&b), "Return-Path: <a@x.example>\nX-Original-To: info@y.example\n"
                           "Delivered-To: b@y.example\n");
    buf_clear(&b);
    CU_ASSERT(deliver_header(&b, STR(""), STR("\"a b\"@y"), STR("h\xc3\xa9@y"), STR("X: 1\nY: 2\n"), &e) == 0);
    UNIT_STR(buf_view(&b), "Return-Path: <>\nX-Original-To: \"a b\"@y\n"
                           "Delivered-To: h\xc3\xa9@y\nX: 1\nY: 2\n");
}

static void trace_lines_cannot_be_forged(void)
{
    static const struct {
        struct str sender, original, address, prefix;
    } bad[] = {
        {STR("a\nX: 1"), STR("o"), STR("d"), STR("")}, {STR("a"), STR("o\r\nX: 1"), STR("d"), STR("")},
        {STR("a"), STR("o"), STR("d\rX: 1"), STR("")}, {STR("a\0b"), STR("o"), STR("d"), STR("")},
        {STR("a\x7f"), STR("o"), STR("d"), STR("")},   {STR("a\xc2\x85z"), STR("o"), STR("d"), STR("")},
        {STR("a\xff"), STR("o"), STR("d"), STR("")},   {STR("a"), STR(""), STR("d"), STR("")},
        {STR("a"), STR("o"), STR(""), STR("")},
        {STR("a"), STR("o"), STR("d"), STR("X: 1")},
        {STR("a"), STR("o"), STR("d"), STR("X: 1\n\nbody\n")},
        {STR("a"), STR("o"), STR("d"), STR("X: \x01\n")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err e = {0};
        AUTO_BUF b = BUF_MAX(4096);
        buf_str(&b, STR("before"));
        CU_ASSERT(deliver_header(&b, bad[i].sender, bad[i].original, bad[i].address, bad[i].prefix,
                                 &e) == -1);
        CU_ASSERT(e.kind == ERR_PERMANENT);
        UNIT_STR(buf_view(&b), "before");
    }
    char big[5000];
    struct err e = {0};
    AUTO_BUF b = BUF_MAX(4096);
    memset(big, 'a', sizeof big);
    CU_ASSERT(deliver_header(&b, (struct str){big, sizeof big}, STR("o"), STR("d"), STR(""),
                             &e) == -1);
    CU_ASSERT(b.n == 0);
}

/* --- what a grant may say --- */

static void places(void)
{
    struct config *cfg;
    struct err e = {0};
    struct deliver_place p;
    struct str text = STR("virtual_mailbox_base = /var/vmail\nvirtual_minimum_uid = 1000\n");
    CU_ASSERT_FATAL(config_parse(text, "test", "/", &cfg, &e) == 0);
    struct msg_redeem_reply good = {.uid = 1000, .gid = 1001, .home = STR("/var/vmail/x/anna"),
                                    .maildir = STR("/var/vmail/x/anna/mailbox/"), .limit = 7};
    CU_ASSERT(deliver_place_check(cfg, &good, &p, &e) == 0);
    UNIT_STR(p.name, "mailbox");
    CU_ASSERT(p.uid == 1000 && p.gid == 1001 && p.limit == 7);
    static const struct {
        uint32_t uid, gid;
        struct str home, maildir;
    } bad[] = {
        {0, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/mailbox")},
        {1000, 0, STR("/var/vmail/a"), STR("/var/vmail/a/mailbox")},
        {999, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/mailbox")},
        {1000, 999, STR("/var/vmail/a"), STR("/var/vmail/a/mailbox")},
        {UINT32_MAX, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/mailbox")},
        {1000, UINT32_MAX, STR("/var/vmail/a"), STR("/var/vmail/a/mailbox")},
        {1000, 1000, STR("/var/vmail"), STR("/var/vmail/mailbox")},
        {1000, 1000, STR("/var/vmailx/a"), STR("/var/vmailx/a/mailbox")},
        {1000, 1000, STR("/var/vmail/../a"), STR("/var/vmail/../a/mailbox")},
        {1000, 1000, STR("/etc"), STR("/etc/mailbox")},
        {1000, 1000, STR("var/vmail/a"), STR("var/vmail/a/mailbox")},
        {1000, 1000, STR(""), STR("/mailbox")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/b/mailbox")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/ab")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/a")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/..")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/x/y")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/a//mailbox")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/m\0x")},
        {1000, 1000, STR("/var/vmail/a"), STR("")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct msg_redeem_reply r = {.uid = bad[i].uid, .gid = bad[i].gid, .home = bad[i].home,
                                     .maildir = bad[i].maildir};
        e = (struct err){0};
        int got = deliver_place_check(cfg, &r, &p, &e);
        if (got != -1 || e.kind != ERR_TEMPORARY)
            printf("# place %zu was let through\n", i);
        CU_ASSERT(got == -1 && e.kind == ERR_TEMPORARY && e.log[0]);
    }
    config_free(cfg);
}

/* --- the database --- */

static struct queue_db *open_db(const struct place *p)
{
    struct queue_db *db = NULL;
    struct err e = {0};
    int r = queue_db_open(p->dir, false, &db, &e);
    if (r != 0)
        printf("# %s\n", e.log);
    CU_ASSERT_FATAL(r == 0);
    return db;
}

static void add(struct queue_db *db, uint64_t id, int64_t next, struct str first, struct str second)
{
    struct err e = {0};
    struct queue_message m = {.id = id, .created_ms = (int64_t)id * 10, .size = 99, .flags = 1,
                              .session = STR("s"), .sender = STR("from@x")};
    struct queue_recipient r[2] = {
        {.address = first, .original = STR("o1"), .next_ms = next},
        {.address = second, .original = STR("o2"), .next_ms = next + 1},
    };
    CU_ASSERT(queue_db_begin(db, &e) == 0);
    CU_ASSERT(queue_db_add(db, &m, r, second.n ? 2 : 1, &e) == 0);
    CU_ASSERT(queue_db_commit(db, &e) == 0);
}

struct seen {
    struct buf text;
    uint64_t ids[20];
    size_t n;
    uint64_t busy; /* a recipient in flight */
    struct queue_db *db;
    int64_t now;
};

static bool is_free(void *ctx, uint64_t recipient)
{
    return recipient != ((struct seen *)ctx)->busy;
}

static bool note(void *ctx, const struct queue_message *m, const struct queue_recipient *r)
{
    struct seen *s = ctx;
    s->ids[s->n++ % 20] = r->id;
    buf_printf(&s->text, "%llu:%.*s:%u:%d:%.*s ", (unsigned long long)m->id, STR_FMT(r->address),
               r->attempts, r->state, STR_FMT(r->error));
    return true;
}

static void see_lane(void *ctx, struct str lane, int64_t due_ms)
{
    struct seen *s = ctx;
    buf_printf(&s->text, "%.*s=%lld ", STR_FMT(lane), (long long)due_ms);
}

static void expect_lanes(struct queue_db *db, bool remote, const char *want)
{
    struct err e = {0};
    struct seen s = {0};
    CU_ASSERT(queue_db_lanes(db, remote, see_lane, &s, &e) == 0);
    UNIT_STR(buf_view(&s.text), want);
    buf_free(&s.text);
}

/* All that is due in the mailboxes a, b and c, at most 20 of one message. */
static void see_due(struct queue_db *db, int64_t now, struct seen *s, const char *want)
{
    static const char *const lanes[] = {"a", "b", "c", "far", "near"};
    struct err e = {0};
    s->n = 0;
    buf_clear(&s->text);
    for (size_t i = 0; i < sizeof lanes / sizeof lanes[0]; i++) {
        int64_t after = -1;
        CU_ASSERT(queue_db_pick(db, false, str_from(lanes[i]), now, 20, &after, is_free, note, s,
                                &e) == 0);
    }
    UNIT_STR(buf_view(&s->text), want);
}

static void mailboxes(void)
{
    struct place p = new_place();
    struct queue_db *db = open_db(&p);
    struct seen s = {0};
    add(db, 3, 300, STR("c"), STR("a"));
    add(db, 1, 500, STR("a"), STR(""));
    add(db, 2, 100, STR("b"), STR(""));
    expect_lanes(db, false, "a=301 b=100 c=300 ");
    expect_lanes(db, true, "");
    see_due(db, 99, &s, "");
    see_due(db, 1000, &s, "3:a:0:0: 2:b:0:0: 3:c:0:0: ");
    s.busy = 2; /* the first one of a */
    see_due(db, 1000, &s, "1:a:0:0: 2:b:0:0: 3:c:0:0: ");
    int64_t next;
    struct err e = {0};
    CU_ASSERT(queue_db_lane_next(db, false, STR("a"), 301, &next, &e) == 0 && next == 500);
    CU_ASSERT(queue_db_lane_next(db, false, STR("a"), 500, &next, &e) == 0 && next == INT64_MAX);
    CU_ASSERT(queue_db_lane_next(db, true, STR("a"), 0, &next, &e) == 0 && next == INT64_MAX);
    buf_free(&s.text);
    queue_db_close(db);
    remove_place(&p);
}

/* Ten messages of one sender stand before one of each of two others, who get their turn. */
static void senders_take_turns(void)
{
    struct place p = new_place();
    struct queue_db *db = open_db(&p);
    struct err e = {0};
    struct seen s = {0};
    int64_t after = -1;
    bool gone, bea = false, cleo = false;
    for (uint64_t id = 1; id <= 12; id++) {
        struct queue_message m = {.id = id, .size = 1, .session = STR("s"),
                                  .sender = id == 11 ? STR("bea") : id == 12 ? STR("cleo") : STR("ann")};
        struct queue_recipient r = {.route = QUEUE_REMOTE, .destination = STR("x"),
                                    .address = m.sender, .original = STR("o"),
                                    .next_ms = (int64_t)id, .error = STR("")};
        CU_ASSERT(queue_db_add(db, &m, &r, 1, &e) == 0);
    }
    for (int i = 0; i < 3; i++) {
        s.n = 0;
        CU_ASSERT(queue_db_pick(db, true, STR("x"), 100, 20, &after, is_free, note, &s, &e) == 0);
        CU_ASSERT_FATAL(s.n == 1);
        CU_ASSERT(queue_db_done(db, s.ids[0], &e) == 0);
        CU_ASSERT(queue_db_sweep(db, s.ids[0], &gone, &e) == 0 && gone);
        bea = bea || s.ids[0] == 11;
        cleo = cleo || s.ids[0] == 12;
    }
    CU_ASSERT(bea && cleo);
    buf_free(&s.text);
    queue_db_close(db);
    remove_place(&p);
}

static void outcomes(void)
{
    struct place p = new_place();
    struct queue_db *db = open_db(&p);
    struct seen s = {0};
    struct err e = {0};
    struct queue_counts c;
    bool gone = true, has;
    add(db, 7, 100, STR("a"), STR("b"));
    see_due(db, 200, &s, "7:a:0:0: 7:b:0:0: ");
    uint64_t a = s.ids[0], b = s.ids[1];
    CU_ASSERT(queue_db_begin(db, &e) == 0);
    CU_ASSERT(queue_db_done(db, a, &e) == 0);
    CU_ASSERT(queue_db_sweep(db, 7, &gone, &e) == 0 && !gone);
    CU_ASSERT(queue_db_retry(db, b, 900, STR("why"), &e) == 0);
    CU_ASSERT(queue_db_commit(db, &e) == 0);
    see_due(db, 200, &s, "");
    see_due(db, 900, &s, "7:b:1:0:why ");
    CU_ASSERT(queue_db_begin(db, &e) == 0);
    CU_ASSERT(queue_db_hold(db, b, STR("gone"), &e) == 0);
    CU_ASSERT(queue_db_commit(db, &e) == 0);
    see_due(db, INT64_MAX, &s, "");
    CU_ASSERT(queue_db_count(db, 5000, &c, &e) == 0);
    CU_ASSERT(c.messages == 1 && c.recipients == 1 && c.held == 1 && c.due == 0);
    CU_ASSERT(c.oldest_ms == 70);
    s.n = 0;
    buf_clear(&s.text);
    CU_ASSERT(queue_db_list(db, note, &s, &e) == 0);
    UNIT_STR(buf_view(&s.text), "7:b:2:1:gone ");
    CU_ASSERT(queue_db_begin(db, &e) == 0);
    CU_ASSERT(queue_db_done(db, b, &e) == 0 && queue_db_sweep(db, 7, &gone, &e) == 0 && gone);
    queue_db_rollback(db);
    CU_ASSERT(queue_db_has(db, 7, &has, &e) == 0 && has);
    CU_ASSERT(queue_db_begin(db, &e) == 0);
    CU_ASSERT(queue_db_done(db, b, &e) == 0 && queue_db_sweep(db, 7, &gone, &e) == 0 && gone);
    CU_ASSERT(queue_db_commit(db, &e) == 0);
    CU_ASSERT(queue_db_has(db, 7, &has, &e) == 0 && !has);
    buf_free(&s.text);
    queue_db_close(db);
    remove_place(&p);
}

static void clock_that_jumped(void)
{
    struct place p = new_place();
    struct queue_db *db = open_db(&p);
    struct err e = {0};
    struct seen s = {0};
    add(db, 1, 1000000, STR("far"), STR(""));
    add(db, 2, 5000, STR("near"), STR(""));
    bool some = false;
    CU_ASSERT(queue_db_unstick(db, 1000, 10000, &some, &e) == 0 && some);
    CU_ASSERT(queue_db_unstick(db, 1000, 10000, &some, &e) == 0 && !some);
    see_due(db, 1000, &s, "1:far:0:0: ");
    buf_free(&s.text);
    queue_db_close(db);
    remove_place(&p);
}

static void reopened(void)
{
    struct place p = new_place();
    struct err e = {0};
    struct seen s = {0};
    uint64_t id = 1;
    struct queue_db *db = open_db(&p);
    CU_ASSERT(queue_db_last_id(db, &id, &e) == 0 && id == 0);
    add(db, 42, 100, STR("a"), STR(""));
    struct queue_db *reader = NULL;
    CU_ASSERT(queue_db_open(p.dir, true, &reader, &e) == 0);
    CU_ASSERT(queue_db_list(reader, note, &s, &e) == 0);
    UNIT_STR(buf_view(&s.text), "42:a:0:0: ");
    queue_db_close(reader);
    queue_db_close(db);
    db = open_db(&p);
    CU_ASSERT(queue_db_last_id(db, &id, &e) == 0 && id == 42);
    see_due(db, 100, &s, "42:a:0:0: ");
    buf_free(&s.text);
    queue_db_close(db);
    remove_place(&p);
}

static void same_id_twice(void)
{
    struct place p = new_place();
    struct queue_db *db = open_db(&p);
    struct err e = {0};
    struct queue_message m = {.id = 5};
    struct queue_recipient r = {.address = STR("a"), .original = STR("a")};
    add(db, 5, 1, STR("a"), STR(""));
    CU_ASSERT(queue_db_begin(db, &e) == 0);
    CU_ASSERT(queue_db_add(db, &m, &r, 1, &e) == -1);
    CU_ASSERT(!queue_db_is_full(db) && !queue_db_is_broken(db));
    queue_db_rollback(db);
    add(db, 6, 1, STR("a"), STR(""));
    queue_db_close(db);
    remove_place(&p);
}

/* --- databases that are refused --- */

static void run_sql(const struct place *p, const char *text)
{
    char path[128];
    sqlite3 *raw;
    path_in(path, p, "queue.db");
    CU_ASSERT_FATAL(sqlite3_open(path, &raw) == SQLITE_OK);
    CU_ASSERT(sqlite3_exec(raw, text, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(raw);
}

static void expect_refused(const struct place *p, enum err_kind kind, const char *word)
{
    struct queue_db *db = NULL;
    struct err e = {0};
    CU_ASSERT(queue_db_open(p->dir, false, &db, &e) == -1);
    bool good = e.kind == kind && strstr(e.log, word) && strstr(e.log, "queue.db");
    if (!good)
        printf("# kind %d, \"%s\", want %d with \"%s\"\n", e.kind, e.log, kind, word);
    CU_ASSERT(good);
}

static void newer_version(void)
{
    struct place p = new_place();
    queue_db_close(open_db(&p));
    run_sql(&p, "PRAGMA user_version = 6");
    expect_refused(&p, ERR_PERMANENT, "version 6");
    remove_place(&p);
}

static bool look_at_old(void *ctx, const struct queue_message *m, const struct queue_recipient *r)
{
    size_t *n = ctx;
    CU_ASSERT(r->route == QUEUE_LOCAL && r->destination.n == 0 && !r->warned);
    CU_ASSERT(r->notify == 0 && r->orcpt.n == 0 && m->ret == 0 && m->envid.n == 0);
    UNIT_STR(r->address, "a");
    ++*n;
    return true;
}

#define LANE_INDEXES                                                                               \
    "DROP INDEX recipient_local; DROP INDEX recipient_remote; DROP INDEX recipient_local_due;"     \
    "DROP INDEX recipient_remote_due; DROP INDEX recipient_next; DROP INDEX recipient_held;"

static const char back_to_4[] = "DROP TABLE told; PRAGMA user_version = 4";
static const char back_to_3[] = "DROP TABLE sts_policy; PRAGMA user_version = 3";
static const char back_to_2[] =
    LANE_INDEXES "ALTER TABLE message DROP COLUMN ret; ALTER TABLE message DROP COLUMN envid;"
    "ALTER TABLE recipient DROP COLUMN notify; ALTER TABLE recipient DROP COLUMN orcpt;"
    "ALTER TABLE recipient DROP COLUMN sender_key;"
    "CREATE INDEX recipient_due ON recipient(state, next_attempt, address);"
    "CREATE INDEX recipient_local ON recipient(next_attempt, address) WHERE state = 0 AND route <> 1;"
    "CREATE INDEX recipient_remote ON recipient(destination, next_attempt, message)"
    " WHERE state = 0 AND route = 1; PRAGMA user_version = 2";
static const char back_to_1[] =
    "DROP INDEX recipient_local; DROP INDEX recipient_remote;"
    "ALTER TABLE recipient DROP COLUMN route; ALTER TABLE recipient DROP COLUMN destination;"
    "ALTER TABLE recipient DROP COLUMN warned; PRAGMA user_version = 1";

/* One of an older version, with mail in it. */
static void older_version(int version)
{
    struct place p = new_place();
    struct queue_db *db = open_db(&p);
    struct err e = {0};
    size_t n = 0;
    add(db, 5, 100, STR("a"), STR(""));
    queue_db_close(db);
    run_sql(&p, back_to_4);
    if (version <= 3)
        run_sql(&p, back_to_3);
    if (version <= 2)
        run_sql(&p, back_to_2);
    if (version == 1)
        run_sql(&p, back_to_1);
    for (int again = 0; again < 2; again++) {
        db = open_db(&p);
        CU_ASSERT(queue_db_list(db, look_at_old, &n, &e) == 0);
        expect_lanes(db, false, "a=100 ");
        expect_lanes(db, true, "");
        queue_db_close(db);
    }
    CU_ASSERT(n == 2);
    remove_place(&p);
}

static void older_version_1(void)
{
    older_version(1);
}

static void older_version_2(void)
{
    older_version(2);
}

static void older_version_3(void)
{
    older_version(3);
}

static void older_version_4(void)
{
    older_version(4);
}

/* --- policies --- */

static void keep_policy(struct queue_db *db, const char *domain, const char *id, int64_t expires)
{
    struct err e = {0};
    struct queue_policy p = {.domain = str_from(domain), .id = str_from(id), .mode = 2,
                             .fetched_ms = 10, .expires_ms = expires, .mx = STR("mx.a *.b")};
    CU_ASSERT(queue_db_begin(db, &e) == 0);
    CU_ASSERT(queue_db_keep_policy(db, &p, 100, &e) == 0);
    CU_ASSERT(queue_db_commit(db, &e) == 0);
}

static void note_policy(void *ctx, const struct queue_policy *p)
{
    CU_ASSERT(p->mode == 2 && p->fetched_ms == 10);
    UNIT_STR(p->mx, "mx.a *.b");
    buf_printf(ctx, "%.*s=%.*s=%lld ", STR_FMT(p->domain), STR_FMT(p->id), (long long)p->expires_ms);
}

static void expect_policies(struct queue_db *db, int64_t now, const char *want)
{
    AUTO_BUF text = {0};
    struct err e = {0};
    CU_ASSERT(queue_db_policies(db, now, note_policy, &text, &e) == 0);
    UNIT_STR(buf_view(&text), want);
}

static void policies(void)
{
    struct place p = new_place();
    struct queue_db *db = open_db(&p);
    keep_policy(db, "a.example", "1", 500);
    keep_policy(db, "b.example", "7", 300);
    keep_policy(db, "a.example", "2", 400);
    queue_db_close(db);
    db = open_db(&p);
    expect_policies(db, 200, "b.example=7=300 a.example=2=400 ");
    expect_policies(db, 300, "a.example=2=400 ");
    expect_policies(db, 400, "");
    queue_db_close(db);
    remove_place(&p);
}

static void count_policy(void *ctx, const struct queue_policy *p)
{
    (void)p;
    ++*(size_t *)ctx;
}

/* Those whose time ends first make room. */
static void policies_are_bounded(void)
{
    struct place p = new_place();
    struct queue_db *db = open_db(&p);
    struct err e = {0};
    size_t n = 0;
    CU_ASSERT(queue_db_begin(db, &e) == 0);
    for (int i = 0; i < QUEUE_POLICIES_MAX + 20; i++) {
        char domain[40];
        snprintf(domain, sizeof domain, "%d.example", i);
        struct queue_policy one = {.domain = str_from(domain), .id = STR("1"), .mx = STR("mx"),
                                   .expires_ms = 1000 + i};
        CU_ASSERT(queue_db_keep_policy(db, &one, 100, &e) == 0);
    }
    CU_ASSERT(queue_db_commit(db, &e) == 0);
    CU_ASSERT(queue_db_policies(db, 100, count_policy, &n, &e) == 0 && n == QUEUE_POLICIES_MAX);
    n = 0;
    CU_ASSERT(queue_db_policies(db, 1019, count_policy, &n, &e) == 0 && n == QUEUE_POLICIES_MAX);
    queue_db_close(db);
    remove_place(&p);
}

/* --- parts of messages --- */

static void ignore_message(struct channel *ch, void *arg, struct msg *m)
{
    (void)ch;
    (void)arg;
    (void)m;
}

static void note_close(struct channel *ch, void *arg)
{
    (void)ch;
    *(bool *)arg = true;
}

/* An SMTP program that never says the end of a message does not fill our memory. */
static void endless_parts(void)
{
    static const struct channel_ops ops = {ignore_message, note_close};
    struct event_base *base = event_base_new();
    struct queue q = {.nothing = -1};
    struct queue_client c = {.queue = &q, .entries = 1};
    struct msg m = MSG_INIT(enqueue_ask);
    bool closed = false;
    size_t parts = 0;
    int fds[2];
    CU_ASSERT_FATAL(channel_pair(fds) == 0);
    c.ch = channel_new(base, fds[0], QUEUE, SMTP, &ops, &closed);
    m.enqueue_ask.more = 1;
    m.enqueue_ask.session = STR("endless");
    while (!closed && parts < 1000000) {
        m.enqueue_ask.id = ++parts;
        queue_gather(&c, &m, VERDICT_YES, "");
    }
    CU_ASSERT(closed && parts > 60000 && parts < 1000000);
    queue_gather_end(&c);
    channel_free(c.ch);
    close(fds[1]);
    event_base_free(base);
}

struct remote_seen {
    struct buf text;
    uint64_t busy; /* a recipient in flight */
};

static bool is_idle(void *ctx, uint64_t recipient)
{
    return recipient != ((struct remote_seen *)ctx)->busy;
}

static bool see_remote(void *ctx, const struct queue_message *m, const struct queue_recipient *r)
{
    struct remote_seen *s = ctx;
    CU_ASSERT(r->route == QUEUE_REMOTE);
    buf_printf(&s->text, "%llu:%.*s ", (unsigned long long)m->id, STR_FMT(r->address));
    return true;
}

static void expect_remote(struct queue_db *db, const char *destination, size_t max, uint64_t busy,
                          const char *want)
{
    struct err e = {0};
    struct remote_seen s = {.busy = busy};
    int64_t after = -1;
    CU_ASSERT(queue_db_pick(db, true, str_from(destination), 1000, max, &after, is_idle, see_remote,
                            &s, &e) == 0);
    UNIT_STR(buf_view(&s.text), want);
    buf_free(&s.text);
}

/* By destination, one message at a time, and never among the local ones. */
static void remote_recipients(void)
{
    struct place p = new_place();
    struct queue_db *db = open_db(&p);
    struct err e = {0};
    struct seen local = {0};
    for (uint64_t id = 1; id <= 2; id++) {
        struct queue_message m = {.id = id, .size = 1, .session = STR("s"), .sender = STR("f")};
        struct queue_recipient r[] = {
            {.route = QUEUE_REMOTE, .destination = STR("x"), .address = STR("1@x"),
             .original = STR("o"), .next_ms = 300 - 100 * (int64_t)id, .error = STR("")},
            {.route = QUEUE_REMOTE, .destination = STR("x"), .address = STR("2@x"),
             .original = STR("o"), .next_ms = 400, .error = STR("")},
            {.route = QUEUE_REMOTE, .destination = STR("y"), .address = STR("3@y"),
             .original = STR("o"), .next_ms = 5000, .error = STR("")},
        };
        CU_ASSERT(queue_db_add(db, &m, r, 3, &e) == 0);
    }
    see_due(db, 10000, &local, "");
    expect_remote(db, "x", 20, 0, "2:1@x 2:2@x ");
    expect_remote(db, "x", 1, 0, "2:1@x ");
    expect_remote(db, "x", 20, 4, "1:1@x 1:2@x ");
    expect_remote(db, "y", 20, 0, "");
    expect_remote(db, "z", 20, 0, "");
    expect_lanes(db, true, "x=100 y=5000 ");
    buf_free(&local.text);
    queue_db_close(db);
    remove_place(&p);
}

/* RFC 3461's words come back as they were. */
static bool see_dsn(void *ctx, const struct queue_message *m, const struct queue_recipient *r)
{
    ++*(size_t *)ctx;
    CU_ASSERT(m->ret == 2 && r->notify == 5);
    UNIT_STR(m->envid, "id+2B1");
    UNIT_STR(r->orcpt, "rfc822;a+40b");
    return true;
}

static void envelope_words(void)
{
    struct place p = new_place();
    struct queue_db *db = open_db(&p);
    struct err e = {0};
    size_t n = 0;
    struct queue_message m = {.id = 9, .size = 1, .session = STR("s"), .sender = STR("f"), .ret = 2,
                              .envid = STR("id+2B1")};
    struct queue_recipient r = {.address = STR("a"), .original = STR("o"), .notify = 5,
                                .orcpt = STR("rfc822;a+40b")};
    CU_ASSERT(queue_db_add(db, &m, &r, 1, &e) == 0);
    CU_ASSERT(queue_db_add_recipient(db, 9, m.sender, &r, &e) == 0);
    CU_ASSERT(queue_db_list(db, see_dsn, &n, &e) == 0 && n == 2);
    queue_db_close(db);
    remove_place(&p);
}

/* --- lanes --- */

static void expect_turn(struct lanes *l, int64_t now, const char *want)
{
    struct lane *lane = lanes_take(l, now);
    UNIT_STR(lane ? str_from(lane->name) : STR("-"), want);
    if (lane)
        lanes_put(l, lane, now);
}

static void lanes_go_around(void)
{
    struct lanes l;
    lanes_init(&l);
    lanes_due(&l, STR("b"), 20);
    lanes_due(&l, STR("a"), 10);
    lanes_due(&l, STR("late"), 1000);
    lanes_due(&l, STR("late"), 2000); /* the earlier time stays */
    CU_ASSERT(lanes_next(&l) == 10);
    expect_turn(&l, 9, "-");
    expect_turn(&l, 50, "a");
    expect_turn(&l, 50, "b");
    expect_turn(&l, 50, "a");
    lanes_due(&l, STR("new"), 0); /* behind those who stand there */
    expect_turn(&l, 50, "b");
    expect_turn(&l, 50, "a");
    expect_turn(&l, 50, "new");
    struct lane *b = lanes_take(&l, 50);
    UNIT_STR(str_from(b->name), "b");
    b->jobs = 1;
    lanes_park(b);
    expect_turn(&l, 50, "a");
    expect_turn(&l, 50, "new");
    expect_turn(&l, 50, "a");
    lanes_job_over(&l, b, 50);
    expect_turn(&l, 50, "new");
    expect_turn(&l, 50, "a");
    expect_turn(&l, 50, "b");
    while (l.n || l.ring) /* nothing waits any more: they are gone */
        lanes_put(&l, lanes_take(&l, 5000), INT64_MAX);
    CU_ASSERT(map_count(l.by_name) == 0 && lanes_next(&l) == INT64_MAX);
    lanes_free(&l);
}

/* What becomes due while a lane is out, or parked with nothing waiting, is not forgotten. */
static void lanes_are_woken(void)
{
    struct lanes l;
    lanes_init(&l);
    lanes_due(&l, STR("a"), 10);
    struct lane *a = lanes_take(&l, 10);
    lanes_due(&l, STR("a"), 30);
    lanes_put(&l, a, INT64_MAX);
    CU_ASSERT(lanes_next(&l) == 30);
    a = lanes_take(&l, 30);
    a->jobs = 1;
    lanes_put(&l, a, INT64_MAX);
    CU_ASSERT(lanes_next(&l) == INT64_MAX && lanes_find(&l, STR("a")) == a);
    lanes_due(&l, STR("a"), 40);
    CU_ASSERT(lanes_next(&l) == 40);
    lanes_job_over(&l, a, 35);
    CU_ASSERT(lanes_next(&l) == 40);
    lanes_free(&l);
}

/* Many at random times come out in order. */
static void lanes_in_order(void)
{
    struct lanes l;
    char name[16];
    int64_t last = 0;
    lanes_init(&l);
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "%d", i % 1500);
        lanes_due(&l, str_from(name), 1 + (int64_t)(randombytes_random() % 100000));
    }
    for (size_t n = map_count(l.by_name); n > 0; n--) {
        int64_t now = lanes_next(&l) ? lanes_next(&l) : last; /* 0: of the same time */
        struct lane *lane = lanes_take(&l, now);
        CU_ASSERT(lane && now >= last && lane->due_ms == now);
        last = now;
        lane->jobs = 1;
        lanes_put(&l, lane, INT64_MAX);
    }
    CU_ASSERT(last > 0 && lanes_take(&l, INT64_MAX) == NULL);
    lanes_free(&l);
}

static void foreign_database(void)
{
    struct place p = new_place();
    run_sql(&p, "CREATE TABLE t(x)");
    expect_refused(&p, ERR_PERMANENT, "not a queue database");
    remove_place(&p);
}

static void overwrite(const struct place *p, off_t at, size_t n)
{
    char path[128];
    path_in(path, p, "queue.db");
    AUTO_FD fd = open(path, O_WRONLY | O_CREAT, 0600);
    AUTO_FREE char *junk = mem_alloc(n);
    memset(junk, 0x5a, n);
    CU_ASSERT(pwrite(fd, junk, n, at) == (ssize_t)n);
}

static void not_a_database(void)
{
    struct place p = new_place();
    overwrite(&p, 0, 8192);
    expect_refused(&p, ERR_PERMANENT, "not a database");
    remove_place(&p);
}

static void damaged_database(void)
{
    struct place p = new_place();
    struct queue_db *db = open_db(&p);
    for (uint64_t i = 1; i < 200; i++)
        add(db, i, 1, STR("somebody@somewhere.example"), STR(""));
    queue_db_close(db);
    overwrite(&p, 2 * 4096, 4096);
    expect_refused(&p, ERR_PERMANENT, "damaged");
    remove_place(&p);
}

static void locked_database(void)
{
    struct place p = new_place();
    char path[128];
    sqlite3 *raw;
    queue_db_close(open_db(&p));
    path_in(path, &p, "queue.db");
    CU_ASSERT_FATAL(sqlite3_open(path, &raw) == SQLITE_OK);
    CU_ASSERT(sqlite3_exec(raw, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE", 0, 0, 0) == 0);
    expect_refused(&p, ERR_TEMPORARY, "locked");
    sqlite3_close(raw);
    queue_db_close(open_db(&p));
    remove_place(&p);
}

/* --- files --- */

static int body_of(const char *text)
{
    int fd = memfd_create("unit-queue", MFD_CLOEXEC);
    CU_ASSERT(fd_write_all(fd, text, strlen(text)) == 0);
    return fd;
}

static void files(void)
{
    struct place p = new_place();
    struct queue_spool s;
    struct queue_copy why;
    struct err e = {0};
    struct stat st;
    bool missing, full;
    char text[16] = "";
    CU_ASSERT_FATAL(queue_spool_open(p.dir, &s, &e) == 0);
    AUTO_FD body = body_of("0123456789");
    CU_ASSERT(queue_spool_copy(&s, 0x1f, STR(""), body, 11, &why, &e) == -1); /* shorter than said */
    CU_ASSERT(!why.full && !why.taken);
    CU_ASSERT(queue_spool_read(&s, 0x1f, 11, &missing, &e) == -1 && missing);
    AUTO_FD file = queue_spool_copy(&s, 0x1f, STR(""), body, 8, &why, &e);
    CU_ASSERT(file >= 0);
    CU_ASSERT(queue_spool_copy(&s, 0x1f, STR(""), body, 8, &why, &e) == -1 && why.taken);
    CU_ASSERT(queue_spool_sync(&s, &file, 1, &full, &e) == 0);
    CU_ASSERT(pwrite(body, "XXXX", 4, 0) == 4); /* too late for our copy */
    AUTO_FD back = queue_spool_read(&s, 0x1f, 8, &missing, &e);
    CU_ASSERT(back >= 0 && fd_pread_all(back, text, 8, 0) == 0 && strcmp(text, "01234567") == 0);
    CU_ASSERT(fstat(back, &st) == 0 && (st.st_mode & 0777) == 0600);
    CU_ASSERT(queue_spool_read(&s, 0x1f, 9, &missing, &e) == -1 && !missing);
    queue_spool_remove(&s, 0x1f);
    CU_ASSERT(queue_spool_read(&s, 0x1f, 8, &missing, &e) == -1 && missing);
    int ends[2];
    CU_ASSERT_FATAL(pipe(ends) == 0);
    CU_ASSERT(queue_spool_copy(&s, 0x20, STR(""), ends[0], 1, &why, &e) == -1);
    close(ends[0]);
    close(ends[1]);
    AUTO_FD blank = queue_spool_blank(&s, &e);
    CU_ASSERT(blank >= 0 && fstat(blank, &st) == 0 && st.st_nlink == 0);
    queue_spool_close(&s);
    remove_place(&p);
}

static bool only_five(void *ctx, uint64_t id)
{
    (void)ctx;
    return id == 5;
}

static void put_file(const struct place *p, const char *name, int age)
{
    char path[128];
    path_in(path, p, name);
    AUTO_FD fd = open(path, O_WRONLY | O_CREAT, 0600);
    struct timespec then = {clock_real_us() / 1000000 - age, 0}, t[2] = {then, then};
    CU_ASSERT(futimens(fd, t) == 0);
}

static bool is_there(const struct place *p, const char *name)
{
    char path[128];
    path_in(path, p, name);
    return access(path, F_OK) == 0;
}

static void orphans(void)
{
    struct place p = new_place();
    struct queue_spool s;
    struct err e = {0};
    CU_ASSERT_FATAL(queue_spool_open(p.dir, &s, &e) == 0);
    put_file(&p, "messages/5", 90000);
    put_file(&p, "messages/6", 90000);
    put_file(&p, "messages/7", 60);
    put_file(&p, "messages/notes", 90000);
    put_file(&p, "spool/blank.0123", 1);
    queue_spool_clean(&s, only_five, NULL);
    CU_ASSERT(is_there(&p, "messages/5"));
    CU_ASSERT(!is_there(&p, "messages/6"));
    CU_ASSERT(is_there(&p, "messages/7"));
    CU_ASSERT(is_there(&p, "messages/notes"));
    CU_ASSERT(!is_there(&p, "spool/blank.0123"));
    queue_spool_close(&s);
    remove_place(&p);
}

/* More files than threads, again and again; one that cannot be synced is told of, wherever it stands. */
static void files_at_once(void)
{
    struct place p = new_place();
    struct queue_syncer *s = queue_syncer_new();
    int fds[50];
    for (int i = 0; i < 50; i++) {
        char name[20], path[128];
        snprintf(name, sizeof name, "%d", i);
        path_in(path, &p, name);
        fds[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        CU_ASSERT_FATAL(fds[i] >= 0);
    }
    for (size_t n = 0; n <= 50; n++) {
        CU_ASSERT(queue_syncer_run(s, fds, n) == 0);
        int kept = n ? fds[n / 2] : -1;
        if (n == 0)
            continue;
        fds[n / 2] = -1;
        CU_ASSERT(queue_syncer_run(s, fds, n) == -1 && errno == EBADF);
        fds[n / 2] = kept;
    }
    queue_syncer_free(s);
    for (int i = 0; i < 50; i++)
        close(fds[i]);
    remove_place(&p);
}

static void directories_that_are_refused(void)
{
    struct place p = new_place();
    struct queue_spool s, second;
    struct err e = {0};
    char path[128], link[128];
    CU_ASSERT(chmod(p.dir, 0750) == 0);
    CU_ASSERT(queue_spool_open(p.dir, &s, &e) == -1 && strstr(e.log, "chmod 700"));
    CU_ASSERT(chmod(p.dir, 0700) == 0);
    path_in(path, &p, "q");
    path_in(link, &p, "l");
    CU_ASSERT(symlink("q", link) == 0);
    CU_ASSERT(queue_spool_open(path, &s, &e) == 0);
    CU_ASSERT(queue_spool_open(link, &second, &e) == -1);
    CU_ASSERT(queue_spool_open(path, &second, &e) == -1 && strstr(e.log, "another queue"));
    queue_spool_close(&s);
    CU_ASSERT(queue_spool_open("/nowhere/at/all", &s, &e) == -1);
    remove_place(&p);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"pauses double within bounds", pauses},
        {"trace lines", trace_lines},
        {"trace lines cannot be forged", trace_lines_cannot_be_forged},
        {"places out of bounds are refused", places},
        {"mailboxes and their mail", mailboxes},
        {"senders take turns", senders_take_turns},
        {"the words of RFC 3461 are kept", envelope_words},
        {"lanes go around", lanes_go_around},
        {"lanes are woken", lanes_are_woken},
        {"lanes come out in order", lanes_in_order},
        {"outcomes", outcomes},
        {"a clock that jumped", clock_that_jumped},
        {"reopened, and read beside the writer", reopened},
        {"the same id twice", same_id_twice},
        {"a newer version is refused", newer_version},
        {"a version 1 is brought up to date", older_version_1},
        {"a version 2 is brought up to date", older_version_2},
        {"a version 3 is brought up to date", older_version_3},
        {"a version 4 is brought up to date", older_version_4},
        {"policies of MTA-STS", policies},
        {"policies are bounded", policies_are_bounded},
        {"endless parts of a message", endless_parts},
        {"recipients at other servers", remote_recipients},
        {"a foreign database is refused", foreign_database},
        {"a file that is no database is refused", not_a_database},
        {"a damaged database is refused", damaged_database},
        {"a locked database is refused", locked_database},
        {"files", files},
        {"orphans", orphans},
        {"files are synced at once", files_at_once},
        {"directories that are refused", directories_that_are_refused},
        {NULL, NULL},
    };
    return sodium_init() < 0 ? 99 : unit_main("queue", tests);
}
