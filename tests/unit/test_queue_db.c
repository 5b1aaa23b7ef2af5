/* The queue's database: what waits, in whose turn, and what came of it. */
#include "tests/unit/queue_fixture.h"

#include <stdio.h>

struct seen {
    struct buf text;
    uint64_t ids[20];
    size_t n;
    uint64_t busy; /* a recipient in flight */
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
    struct place p = place_new();
    struct queue_db *db = queue_open(&p);
    struct seen s = {0};
    queue_add(db, 3, 300, STR("c"), STR("a"));
    queue_add(db, 1, 500, STR("a"), STR(""));
    queue_add(db, 2, 100, STR("b"), STR(""));
    queue_expect_lanes(db, false, "a=301 b=100 c=300 ");
    queue_expect_lanes(db, true, "");
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
    place_remove(&p);
}

/* Ten messages of one sender stand before one of each of two others, who get their turn. */
static void senders_take_turns(void)
{
    struct place p = place_new();
    struct queue_db *db = queue_open(&p);
    struct err e = {0};
    struct seen s = {0};
    int64_t after = -1;
    bool gone, bea = false, cleo = false;
    for (uint64_t id = 1; id <= 12; id++) {
        struct queue_message m = {.id = id, .size = 1, .session = STR("s"),
                                  .sender = id == 11   ? STR("bea")
                                            : id == 12 ? STR("cleo")
                                                       : STR("ann")};
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
    place_remove(&p);
}

static void outcomes(void)
{
    struct place p = place_new();
    struct queue_db *db = queue_open(&p);
    struct seen s = {0};
    struct err e = {0};
    struct queue_counts c;
    bool gone = true, has;
    queue_add(db, 7, 100, STR("a"), STR("b"));
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
    queue_list(db, note, &s);
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
    place_remove(&p);
}

static void clock_that_jumped(void)
{
    struct place p = place_new();
    struct queue_db *db = queue_open(&p);
    struct err e = {0};
    struct seen s = {0};
    queue_add(db, 1, 1000000, STR("far"), STR(""));
    queue_add(db, 2, 5000, STR("near"), STR(""));
    bool some = false;
    CU_ASSERT(queue_db_unstick(db, 1000, 10000, &some, &e) == 0 && some);
    CU_ASSERT(queue_db_unstick(db, 1000, 10000, &some, &e) == 0 && !some);
    see_due(db, 1000, &s, "1:far:0:0: ");
    buf_free(&s.text);
    queue_db_close(db);
    place_remove(&p);
}

static void reopened(void)
{
    struct place p = place_new();
    struct err e = {0};
    struct seen s = {0};
    uint64_t id = 1;
    struct queue_db *db = queue_open(&p);
    CU_ASSERT(queue_db_last_id(db, &id, &e) == 0 && id == 0);
    queue_add(db, 42, 100, STR("a"), STR(""));
    queue_db_close(db);
    db = queue_open(&p);
    CU_ASSERT(queue_db_last_id(db, &id, &e) == 0 && id == 42);
    queue_list(db, note, &s);
    UNIT_STR(buf_view(&s.text), "42:a:0:0: ");
    see_due(db, 100, &s, "42:a:0:0: ");
    buf_free(&s.text);
    queue_db_close(db);
    place_remove(&p);
}

static void same_id_twice(void)
{
    struct place p = place_new();
    struct queue_db *db = queue_open(&p);
    struct err e = {0};
    struct queue_message m = {.id = 5};
    struct queue_recipient r = {.address = STR("a"), .original = STR("a")};
    queue_add(db, 5, 1, STR("a"), STR(""));
    CU_ASSERT(queue_db_begin(db, &e) == 0);
    CU_ASSERT(queue_db_add(db, &m, &r, 1, &e) == -1);
    CU_ASSERT(!queue_db_is_full(db) && !queue_db_is_broken(db));
    queue_db_rollback(db);
    queue_add(db, 6, 1, STR("a"), STR(""));
    queue_db_close(db);
    place_remove(&p);
}

/* --- other servers --- */

static bool see_remote(void *ctx, const struct queue_message *m, const struct queue_recipient *r)
{
    struct seen *s = ctx;
    CU_ASSERT(r->route == QUEUE_REMOTE);
    buf_printf(&s->text, "%llu:%.*s ", (unsigned long long)m->id, STR_FMT(r->address));
    return true;
}

static void expect_remote(struct queue_db *db, const char *destination, size_t max, uint64_t busy,
                          const char *want)
{
    struct err e = {0};
    struct seen s = {.busy = busy};
    int64_t after = -1;
    CU_ASSERT(queue_db_pick(db, true, str_from(destination), 1000, max, &after, is_free, see_remote,
                            &s, &e) == 0);
    UNIT_STR(buf_view(&s.text), want);
    buf_free(&s.text);
}

/* By destination, one message at a time, and never among the local ones. */
static void remote_recipients(void)
{
    struct place p = place_new();
    struct queue_db *db = queue_open(&p);
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
    queue_expect_lanes(db, true, "x=100 y=5000 ");
    buf_free(&local.text);
    queue_db_close(db);
    place_remove(&p);
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
    struct place p = place_new();
    struct queue_db *db = queue_open(&p);
    struct err e = {0};
    size_t n = 0;
    struct queue_message m = {.id = 9, .size = 1, .session = STR("s"), .sender = STR("f"), .ret = 2,
                              .envid = STR("id+2B1")};
    struct queue_recipient r = {.address = STR("a"), .original = STR("o"), .notify = 5,
                                .orcpt = STR("rfc822;a+40b")};
    CU_ASSERT(queue_db_add(db, &m, &r, 1, &e) == 0);
    CU_ASSERT(queue_db_add_recipient(db, 9, m.sender, &r, &e) == 0);
    queue_list(db, see_dsn, &n);
    CU_ASSERT(n == 2);
    queue_db_close(db);
    place_remove(&p);
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
    buf_printf(ctx, "%.*s=%.*s=%lld ", STR_FMT(p->domain), STR_FMT(p->id),
               (long long)p->expires_ms);
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
    struct place p = place_new();
    struct queue_db *db = queue_open(&p);
    keep_policy(db, "a.example", "1", 500);
    keep_policy(db, "b.example", "7", 300);
    keep_policy(db, "a.example", "2", 400);
    queue_db_close(db);
    db = queue_open(&p);
    expect_policies(db, 200, "b.example=7=300 a.example=2=400 ");
    expect_policies(db, 300, "a.example=2=400 ");
    expect_policies(db, 400, "");
    queue_db_close(db);
    place_remove(&p);
}

static void count_policy(void *ctx, const struct queue_policy *p)
{
    (void)p;
    ++*(size_t *)ctx;
}

/* Those whose time ends first make room. */
static void policies_are_bounded(void)
{
    struct place p = place_new();
    struct queue_db *db = queue_open(&p);
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
    place_remove(&p);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"mailboxes and their mail", mailboxes},
        {"senders take turns", senders_take_turns},
        {"the words of RFC 3461 are kept", envelope_words},
        {"outcomes", outcomes},
        {"a clock that jumped", clock_that_jumped},
        {"reopened, and read beside the writer", reopened},
        {"the same id twice", same_id_twice},
        {"policies of MTA-STS", policies},
        {"policies are bounded", policies_are_bounded},
        {"recipients at other servers", remote_recipients},
        {NULL, NULL},
    };
    return unit_main("queue-db", tests);
}
