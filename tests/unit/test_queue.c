/* The queue's pauses and lanes, and messages in parts. */
#include "queue/backoff.h"
#include "queue/lanes.h"
#include "queue/queue.h"
#include "tests/unit/unit.h"

#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

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
        m.enqueue_ask.part = (uint32_t)parts++;
        queue_gather(&c, &m, VERDICT_YES, "");
    }
    CU_ASSERT(closed && parts > 60000 && parts < 1000000);
    queue_gather_end(&c);
    channel_free(c.ch);
    close(fds[1]);
    event_base_free(base);
}

/* What lost its beginning on the way is not taken for a message of fewer recipients. */
static void missing_part(void)
{
    static const struct channel_ops ops = {ignore_message, note_close};
    struct event_base *base = event_base_new();
    struct queue q = {.nothing = -1};
    struct queue_client c = {.queue = &q, .entries = 1};
    struct arena *a = arena_new(256);
    struct msg m = MSG_INIT(enqueue_ask), reply;
    bool closed = false;
    AUTO_BUF bytes = {0};
    struct err e;
    int fds[2];
    CU_ASSERT_FATAL(channel_pair(fds) == 0);
    c.ch = channel_new(base, fds[0], QUEUE, SMTP, &ops, &closed);
    m.enqueue_ask.id = 7;
    m.enqueue_ask.part = 1;
    m.enqueue_ask.session = STR("cut");
    queue_gather(&c, &m, VERDICT_YES, "");
    CU_ASSERT_FATAL(channel_recv_now(fds[1], QUEUE, SMTP, 1000, &bytes, a, &reply, &e) == 1);
    CU_ASSERT(reply.type == MSG_enqueue_reply && reply.enqueue_reply.id == 7);
    CU_ASSERT(reply.enqueue_reply.verdict == VERDICT_CANNOT_SAY);
    queue_gather_end(&c);
    channel_free(c.ch);
    close(fds[1]);
    arena_free(a);
    event_base_free(base);
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

int main(void)
{
    static const struct unit_test tests[] = {
        {"pauses double within bounds", pauses},
        {"lanes go around", lanes_go_around},
        {"lanes are woken", lanes_are_woken},
        {"lanes come out in order", lanes_in_order},
        {"endless parts of a message", endless_parts},
        {"a message that lost its beginning", missing_part},
        {NULL, NULL},
    };
    return sodium_init() < 0 ? 99 : unit_main("queue", tests);
}
