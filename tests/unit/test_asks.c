/* ipc/: asks and answers. */
#include "ipc/rpc.h"
#include "tests/unit/ipc_fixture.h"
#include "tests/unit/unit.h"

#include <unistd.h>

struct seen {
    struct event_base *base;
    unsigned replies, empties;
    uint64_t last_id;
};

static void on_reply(void *arg, struct msg *reply)
{
    struct seen *s = arg;
    if (reply) {
        s->replies++;
        s->last_id = msg_id(reply);
    } else {
        s->empties++;
    }
}

struct asking {
    struct seen s;
    struct rpc *rpc;
    int peer[3];
};

static void asking_start(struct asking *a, unsigned links)
{
    *a = (struct asking){.peer = {-1, -1, -1}};
    a->s.base = event_base_new();
    a->rpc = rpc_new(a->s.base, SMTP, DIRECTORY);
    for (unsigned i = 0; i < links; i++) {
        int fds[2];
        CU_ASSERT_FATAL(channel_pair(fds) == 0);
        a->peer[i] = fds[1];
        rpc_link(a->rpc, i, fds[0]);
    }
}

static void asking_end(struct asking *a)
{
    rpc_free(a->rpc);
    event_base_free(a->s.base);
    for (int i = 0; i < 3; i++)
        fd_closep(&a->peer[i]);
}

static uint64_t ask(struct asking *a, int64_t timeout_ms)
{
    struct msg m = MSG_INIT(resolve_ask);
    m.resolve_ask.address = STR("a@b.example");
    return rpc_call(a->rpc, &m, timeout_ms, on_reply, &a->s);
}

/* The id of the ask that arrived there, 0 for none. */
static uint64_t heard(struct asking *a, int peer)
{
    AUTO_BUF buf = {0};
    AUTO_ARENA arena = arena_new(4096);
    struct err e;
    struct msg m;
    if (channel_recv_now(a->peer[peer], SMTP, DIRECTORY, 0, &buf, arena, &m, &e) != 1)
        return 0;
    return msg_id(&m);
}

static void reply_to(struct asking *a, int peer, uint64_t id, bool more)
{
    struct err e;
    struct msg m = MSG_INIT(resolve_reply);
    m.resolve_reply.id = id;
    m.resolve_reply.more = more;
    CU_ASSERT(channel_send_now(a->peer[peer], &m, &e) == 0);
    ipc_turn(a->s.base);
}

static void answers_find_their_asks(void)
{
    struct asking a;
    asking_start(&a, 1);
    uint64_t one = ask(&a, 10000), two = ask(&a, 10000);
    CU_ASSERT(one != 0 && one != two && rpc_under_way(a.rpc) == 2);
    CU_ASSERT(heard(&a, 0) == one && heard(&a, 0) == two);
    reply_to(&a, 0, two, false);
    CU_ASSERT(a.s.replies == 1 && a.s.last_id == two);
    reply_to(&a, 0, two, false); /* once only */
    reply_to(&a, 0, 999, false); /* never asked */
    CU_ASSERT(a.s.replies == 1);
    reply_to(&a, 0, one, true);
    reply_to(&a, 0, one, true);
    CU_ASSERT(a.s.replies == 3 && rpc_under_way(a.rpc) == 1);
    reply_to(&a, 0, one, false);
    CU_ASSERT(a.s.replies == 4 && rpc_under_way(a.rpc) == 0);
    asking_end(&a);
}

static void what_was_not_read_is_answered_with_nothing(void)
{
    struct asking a;
    struct err e;
    int fds[2];
    struct msg ask = MSG_INIT(deliver_ask), unread = MSG_INIT(unread);
    asking_start(&a, 0);
    rpc_free(a.rpc);
    a.rpc = rpc_new(a.s.base, SMTP, DELIVER);
    CU_ASSERT_FATAL(channel_pair(fds) == 0);
    a.peer[0] = fds[1];
    rpc_link(a.rpc, 0, fds[0]);
    memset(&ask.deliver_ask.grant, 0x55, sizeof ask.deliver_ask.grant);
    AUTO_FD memfd = ask.fd = ipc_memfd("x");
    unread.unread.id = rpc_call(a.rpc, &ask, 10000, on_reply, &a.s);
    CU_ASSERT(channel_send_now(fds[1], &unread, &e) == 0);
    ipc_turn(a.s.base);
    CU_ASSERT(a.s.empties == 1 && a.s.replies == 0 && rpc_connected(a.rpc) && rpc_under_way(a.rpc) == 0);
    asking_end(&a);
}

static void the_least_busy_is_asked(void)
{
    struct asking a;
    asking_start(&a, 3);
    for (int i = 0; i < 6; i++)
        ask(&a, 10000);
    uint64_t first = heard(&a, 1);
    for (int i = 0; i < 3; i++)
        CU_ASSERT(i == 1 || heard(&a, i) != 0);
    CU_ASSERT(first != 0 && heard(&a, 1) != 0 && heard(&a, 1) == 0);
    reply_to(&a, 1, first, false);
    ask(&a, 10000);
    CU_ASSERT(heard(&a, 1) != 0);
    asking_end(&a);
}

static void death_answers_nothing(void)
{
    struct asking a;
    asking_start(&a, 2);
    for (int i = 0; i < 4; i++)
        ask(&a, 10000);
    fd_closep(&a.peer[0]);
    ipc_turn(a.s.base);
    CU_ASSERT(a.s.empties == 2 && rpc_under_way(a.rpc) == 2 && rpc_connected(a.rpc));
    fd_closep(&a.peer[1]);
    ipc_turn(a.s.base);
    CU_ASSERT(a.s.empties == 4 && !rpc_connected(a.rpc));
    ask(&a, 10000); /* nobody there: told from the loop, not from inside the call */
    CU_ASSERT(a.s.empties == 4);
    ipc_turn(a.s.base);
    CU_ASSERT(a.s.empties == 5);
    asking_end(&a);
}

static void a_new_link_replaces_the_old(void)
{
    struct asking a;
    int fds[2];
    asking_start(&a, 1);
    ask(&a, 10000);
    CU_ASSERT_FATAL(channel_pair(fds) == 0);
    rpc_link(a.rpc, 0, fds[0]);
    CU_ASSERT(a.s.empties == 1);
    fd_closep(&a.peer[0]);
    a.peer[0] = fds[1];
    ipc_turn(a.s.base);
    uint64_t id = ask(&a, 10000);
    CU_ASSERT(heard(&a, 0) == id);
    reply_to(&a, 0, id, false);
    CU_ASSERT(a.s.replies == 1 && a.s.empties == 1);
    asking_end(&a);
}

static void ask_again(void *arg, struct msg *reply)
{
    struct asking *a = arg;
    on_reply(&a->s, reply);
    if (!reply)
        ask(a, 10000);
}

/* What is asked in answer to the loss goes over the new channel, and is answered there. */
static void asks_made_while_a_link_is_replaced_live(void)
{
    struct asking a;
    struct msg m = MSG_INIT(resolve_ask);
    int fds[2];
    asking_start(&a, 1);
    rpc_call(a.rpc, &m, 10000, ask_again, &a);
    CU_ASSERT_FATAL(channel_pair(fds) == 0);
    rpc_link(a.rpc, 0, fds[0]);
    fd_closep(&a.peer[0]);
    a.peer[0] = fds[1];
    CU_ASSERT(a.s.empties == 1 && rpc_under_way(a.rpc) == 1);
    reply_to(&a, 0, heard(&a, 0), false);
    CU_ASSERT(a.s.empties == 1 && a.s.replies == 1);
    asking_end(&a);
}

static void answers_of_another_kind_end_the_channel(void)
{
    struct asking a;
    struct err e;
    struct msg m = MSG_INIT(auth_reply);
    asking_start(&a, 1);
    m.auth_reply.id = ask(&a, 10000);
    memset(&m.auth_reply.grant, 0x55, sizeof m.auth_reply.grant);
    CU_ASSERT(channel_send_now(a.peer[0], &m, &e) == 0);
    ipc_turn(a.s.base);
    CU_ASSERT(a.s.replies == 0 && a.s.empties == 1 && !rpc_connected(a.rpc));
    asking_end(&a);
}

static void abandoned_asks_are_heard_by_another(void)
{
    struct asking a;
    struct seen heir = {0};
    asking_start(&a, 1);
    uint64_t id = ask(&a, 10000);
    rpc_abandon(a.rpc, id, on_reply, &heir);
    rpc_abandon(a.rpc, id + 1, on_reply, &heir);
    reply_to(&a, 0, id, false);
    CU_ASSERT(a.s.replies == 0 && a.s.empties == 0 && heir.replies == 1 && heir.last_id == id);
    asking_end(&a);
}

static void time_runs_out(void)
{
    struct asking a;
    asking_start(&a, 1);
    uint64_t cancelled = ask(&a, 10000);
    uint64_t late = ask(&a, 20);
    rpc_cancel(a.rpc, cancelled);
    usleep(30000);
    ipc_turn(a.s.base);
    CU_ASSERT(a.s.empties == 1 && a.s.replies == 0 && rpc_under_way(a.rpc) == 0);
    reply_to(&a, 0, late, false);
    reply_to(&a, 0, cancelled, false);
    CU_ASSERT(a.s.replies == 0);
    asking_end(&a);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"what was not read is answered with nothing", what_was_not_read_is_answered_with_nothing},
        {"answers find their asks", answers_find_their_asks},
        {"the least busy is asked", the_least_busy_is_asked},
        {"death answers nothing", death_answers_nothing},
        {"a new link replaces the old", a_new_link_replaces_the_old},
        {"asks made while a link is replaced live", asks_made_while_a_link_is_replaced_live},
        {"answers of another kind end the channel", answers_of_another_kind_end_the_channel},
        {"abandoned asks are heard by another", abandoned_asks_are_heard_by_another},
        {"time runs out", time_runs_out},
        {NULL, NULL},
    };
    return unit_main("asks", tests);
}
