/*
 * The programs that smtp, access and relay ask: directory, deliver, queue, filter, relay. Every message goes through its
 * encoding, so that one past its limits shows, and answers lie where they are gone afterwards.
 */
#include "fake_world.h"

#include "ipc/front.h"
#include "protocol/milter/edits.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct rpc {
    struct event_base *world;
    unsigned self, peer;
    uint64_t last_id;
};

struct call {
    struct rpc *rpc;
    struct call *next;
    uint64_t id;
    rpc_fn fn;
    void *arg;
    struct buf bytes; /* the ask */
    int fd;
};

typedef void (*answer_fn)(struct event_base *w, struct arena *a, const struct msg *ask, struct msg *reply);

/* --- settings: whoever runs the client owns them, and sees whether all were given back --- */

struct front_settings *front_settings_hold(struct front_settings *s)
{
    s->holders++;
    return s;
}

void front_settings_drop(struct front_settings *s)
{
    s->holders--;
}

/* --- grants --- */

static struct grant grant_new(struct event_base *w, enum fake_grant kind)
{
    struct grant g = {{0}};
    unsigned n = w->grant_count + 1;
    if (n < FAKE_GRANTS) {
        w->grants[w->grant_count = n] = (uint8_t)kind;
        memcpy(g.b, &n, sizeof n);
    }
    return g;
}

uint8_t *fake_grant_state(struct event_base *w, const struct grant *g)
{
    unsigned n;
    memcpy(&n, g->b, sizeof n);
    REQUIRE(n > 0 && n <= w->grant_count);
    return &w->grants[n];
}

/* --- the directory --- */

static bool is_hosted(struct str address)
{
    return str_ends(address, STR("@hosted.example"));
}

static void add_targets(struct event_base *w, struct arena *a, struct str address, struct msg_targets *to,
                        size_t n, bool remote)
{
    to->v = arena_array(a, n, sizeof *to->v);
    to->n = n;
    for (size_t i = 0; i < n; i++)
        to->v[i] = (struct msg_target){
            .grant = grant_new(w, GRANT_FOR_MAIL), .remote = remote && i == 0,
            .address = i ? arena_printf(a, "user%zu@hosted.example", i) : arena_str(a, address)};
}

static void on_resolve(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    static const uint8_t refusals[] = {VERDICT_NO, VERDICT_CANNOT_SAY, VERDICT_FULL, VERDICT_REFUSED};
    struct msg_resolve_reply *r = &reply->resolve_reply;
    uint32_t how = fake_dice(w, 12);
    r->text = fake_words(w, 250);
    r->verdict = VERDICT_NOT_HERE;
    if (!is_hosted(m->resolve_ask.address))
        return;
    r->verdict = how < 8 ? VERDICT_YES : refusals[how - 8];
    r->more = how == 5;
    if (how < 7)
        add_targets(w, a, how == 4 ? STR("far@elsewhere.example") : m->resolve_ask.address, &r->targets,
                    how > 3 ? 4 : 1 + how, how == 4);
}

static void on_auth(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    static const uint8_t verdicts[] = {VERDICT_YES, VERDICT_YES, VERDICT_NO, VERDICT_CANNOT_SAY,
                                       VERDICT_REFUSED};
    struct msg_auth_reply *r = &reply->auth_reply;
    (void)a;
    REQUIRE(m->auth_ask.user.n && m->auth_ask.password.n && (!w->conn || conn_is_tls(w->conn)));
    r->verdict = verdicts[fake_dice(w, 5)];
    r->state = r->verdict == VERDICT_YES ? AUTH_PLAIN : (uint8_t)fake_dice(w, AUTH_TOO_MANY + 1);
    if (r->verdict != VERDICT_YES)
        return;
    r->grant = grant_new(w, GRANT_OF_LOGIN);
    r->login = STR("alice");
}

static void on_auth_step(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    struct msg_auth_step_reply *r = &reply->auth_step_reply;
    (void)a;
    (void)m;
    REQUIRE(!w->conn || conn_is_tls(w->conn));
    r->data = fake_words(w, 400);
    r->go_on = fake_dice(w, 3) == 1;
    r->verdict = fake_dice(w, 3) == 2 ? VERDICT_NO : VERDICT_YES;
    if (r->go_on || r->verdict == VERDICT_NO)
        return;
    r->grant = grant_new(w, GRANT_OF_LOGIN);
    r->login = STR("alice");
}

static void on_sender(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    static const uint8_t verdicts[] = {VERDICT_YES, VERDICT_YES, VERDICT_NO, VERDICT_CANNOT_SAY};
    (void)a;
    (void)m;
    reply->sender_reply.verdict = verdicts[fake_dice(w, 4)];
    reply->sender_reply.text = fake_words(w, 250);
}

static void on_rewrite(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    static const uint8_t verdicts[] = {VERDICT_YES, VERDICT_YES, VERDICT_YES, VERDICT_NO,
                                       VERDICT_CANNOT_SAY};
    uint32_t how = fake_dice(w, 3);
    (void)a;
    reply->rewrite_reply.verdict = verdicts[fake_dice(w, 5)];
    reply->rewrite_reply.address = how == 0   ? m->rewrite_ask.address
                                   : how == 1 ? STR("other@hosted.example")
                                              : fake_words(w, 1000);
}

static struct str action(struct event_base *w)
{
    static const char *const known[] = {"DUNNO", "OK", "REJECT", "REJECT no", "DEFER", "PREPEND X-A: b",
                                        "WARN what", "HOLD", "DISCARD", "DEFER_IF_PERMIT",
                                        "550 5.7.1 not you", "4.7.1 x", "FILTER x", "permit", ""};
    uint32_t n = sizeof known / sizeof *known, how = fake_dice(w, n + 3);
    return how < n ? str_from(known[how]) : fake_words(w, 500);
}

static void on_access(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    static const uint8_t verdicts[] = {VERDICT_NO, VERDICT_YES, VERDICT_YES, VERDICT_CANNOT_SAY};
    (void)a;
    (void)m;
    reply->access_reply.verdict = verdicts[fake_dice(w, 4)];
    reply->access_reply.action = action(w);
}

/* What maps say of the ways to other servers: the first is known to none, and the last is anything. */
static struct str map_value(struct event_base *w, struct str option)
{
    static const char *const ways[] = {"", "lmtp:[lmtp.far.example]:24", "smtp:[192.0.2.9]:2525", "relay:other.example",
                                       "error:5.7.1 not there", "retry:", "discard:", "local:"};
    static const char *const levels[] = {"", "encrypt", "secure match=.far.example:nexthop", "dane-only", "none", "may",
                                         "verify protocols=TLSv1.3", "dane"};
    uint32_t how = fake_dice(w, 9);
    if (how == 8)
        return fake_words(w, 500);
    if (str_eq(option, STR("smtp_sasl_password_maps")))
        return how % 4 == 3 ? STR("") : STR(FAKE_LOGIN);
    return str_from(str_eq(option, STR("transport_maps")) ? ways[how] : levels[how]);
}

static void on_map(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    (void)a;
    reply->map_reply.value = map_value(w, m->map_ask.option);
    reply->map_reply.verdict = fake_dice(w, 12) == 11          ? VERDICT_CANNOT_SAY
                               : reply->map_reply.value.n ? VERDICT_YES
                                                          : VERDICT_NO;
}

/* --- a message in somebody's hands --- */

static void check_message(struct event_base *w, int fd, uint64_t size, struct str session)
{
    struct stat st;
    AUTO_BUF all = {0};
    const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
    REQUIRE(fd >= 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_size == size && size > 0);
    REQUIRE((fcntl(fd, F_GET_SEALS) & seals) == seals);
    char *p = buf_room(&all, size);
    REQUIRE(fd_pread_all(fd, p, size, 0) == 0);
    all.n = size;
    REQUIRE(str_starts(buf_view(&all), STR("Received: ")));
    REQUIRE(w->edited || (!memchr(p, '\r', size) && p[size - 1] == '\n'));
    if (!str_eq(session, str_from(w->message))) {
        w->messages++;
        snprintf(w->message, sizeof w->message, "%.*s", STR_FMT(session));
    }
}

static void on_probe(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    static const uint8_t verdicts[] = {VERDICT_YES, VERDICT_YES, VERDICT_YES, VERDICT_FULL, VERDICT_NO,
                                       VERDICT_CANNOT_SAY};
    (void)a;
    REQUIRE(*fake_grant_state(w, &m->probe_ask.grant) == GRANT_FOR_MAIL);
    reply->probe_reply.verdict = verdicts[fake_dice(w, 6)];
    reply->probe_reply.text = fake_words(w, 250);
}

static void on_deliver(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    static const uint8_t verdicts[] = {VERDICT_YES, VERDICT_YES, VERDICT_CANNOT_SAY, VERDICT_NO,
                                       VERDICT_FULL};
    uint8_t *grant = fake_grant_state(w, &m->deliver_ask.grant);
    (void)a;
    REQUIRE(*grant == GRANT_FOR_MAIL);
    *grant = GRANT_OVER;
    check_message(w, m->fd, m->deliver_ask.size, m->deliver_ask.session);
    reply->deliver_reply.verdict = verdicts[fake_dice(w, 5)];
    reply->deliver_reply.text = fake_words(w, 250);
}

static void on_spool(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    bool yes = fake_dice(w, 4) < 3;
    (void)a;
    (void)m;
    reply->fd = yes ? memfd_create("spool", MFD_CLOEXEC) : open("/dev/null", O_RDWR | O_CLOEXEC);
    reply->spool_reply.verdict = yes ? VERDICT_YES : VERDICT_CANNOT_SAY;
}

/* To other servers goes what somebody sends who has logged in, and what the directory leads there. */
static void check_remote(struct event_base *w, const struct msg_enqueue_ask *ask)
{
    if (!grant_is_none(&ask->grant)) {
        REQUIRE(*fake_grant_state(w, &ask->grant) == GRANT_OF_LOGIN);
        return;
    }
    for (size_t i = 0; i < ask->recipients.n; i++)
        REQUIRE(*fake_grant_state(w, &ask->recipients.v[i].grant) == GRANT_FOR_MAIL);
}

static void check_enqueue(struct event_base *w, const struct msg *m)
{
    REQUIRE(m->enqueue_ask.recipients.n > 0);
    check_message(w, m->fd, m->enqueue_ask.size, m->enqueue_ask.session);
    if (m->enqueue_ask.flags & ENQUEUE_REMOTE)
        check_remote(w, &m->enqueue_ask);
}

static void on_enqueue(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    static const uint8_t verdicts[] = {VERDICT_YES, VERDICT_YES, VERDICT_CANNOT_SAY, VERDICT_REFUSED,
                                       VERDICT_FULL};
    (void)a;
    REQUIRE(!m->enqueue_ask.more);
    check_enqueue(w, m);
    reply->enqueue_reply.verdict = verdicts[fake_dice(w, 5)];
    reply->enqueue_reply.queue_id = STR("Q1");
    reply->enqueue_reply.text = fake_words(w, 250);
}

/* --- filters and the DNS --- */

static uint8_t filter_action(struct event_base *w)
{
    uint32_t how = fake_dice(w, 12);
    return how > FILTER_DISCARD ? FILTER_CONTINUE : (uint8_t)how;
}

static struct str filter_text(struct event_base *w)
{
    return fake_dice(w, 2) ? fake_words(w, 500) : STR("450 4.7.1 later");
}

static void on_filter_mail(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    (void)a;
    (void)m;
    reply->filter_mail_reply.action = filter_action(w);
    reply->filter_mail_reply.text = filter_text(w);
}

static void on_filter_rcpt(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    (void)a;
    (void)m;
    reply->filter_rcpt_reply.action = filter_action(w);
    reply->filter_rcpt_reply.text = filter_text(w);
}

static void add_edit(struct event_base *w, struct buf *edits)
{
    static const char tags[] = {MILTER_EDIT_ADD_RCPT, MILTER_EDIT_HEADER, MILTER_EDIT_BODY,
                                MILTER_EDIT_SENDER, MILTER_EDIT_DELETE_RCPT, MILTER_EDIT_QUARANTINE};
    uint32_t how = fake_dice(w, sizeof tags + 1);
    if (how == sizeof tags)
        buf_str(edits, fake_words(w, 100)); /* no edit at all */
    else
        milter_edits_add(edits, (enum milter_edit)tags[how],
                         how == 0 ? STR("<user1@hosted.example>") : fake_words(w, 1000));
}

static int edits_fd(struct event_base *w)
{
    AUTO_BUF edits = {0};
    for (uint32_t n = fake_dice(w, 5); n; n--)
        add_edit(w, &edits);
    if (edits.n == 0)
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    w->edited = true;
    int fd = memfd_create("edits", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    REQUIRE(fd >= 0 && fd_write_all(fd, edits.p, edits.n) == 0);
    if (fake_dice(w, 16) < 15)
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK);
    return fd;
}

static void on_filter_message(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    (void)a;
    REQUIRE(m->filter_message_ask.skip <= m->filter_message_ask.size);
    reply->fd = edits_fd(w);
    reply->filter_message_reply.action = filter_action(w);
    reply->filter_message_reply.text = filter_text(w);
}

static void on_policy(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    struct str all = m->policy_ask.attributes, line;
    (void)a;
    while (str_line(&all, &line))
        REQUIRE(line.n == 0 || str_find(line, '=') > 0);
    reply->policy_reply.verdict = fake_dice(w, 5) < 4 ? VERDICT_YES : VERDICT_CANNOT_SAY;
    reply->policy_reply.action = action(w);
}

static void on_dns(struct event_base *w, struct arena *a, const struct msg *m, struct msg *reply)
{
    static const uint8_t verdicts[] = {VERDICT_YES, VERDICT_NO, VERDICT_CANNOT_SAY, VERDICT_REFUSED};
    (void)a;
    reply->dns_reply.verdict = verdicts[fake_dice(w, 4)];
    reply->dns_reply.values = fake_dice(w, 3) == 2               ? fake_words(w, 1000)
                              : m->dns_ask.kind == DNS_ASK_CLIENT ? STR("client.example")
                                                                  : STR("127.0.0.2 127.0.0.4");
    reply->dns_reply.text = fake_words(w, 400);
}

/* --- asking --- */

static const struct {
    enum msg_type ask, reply;
    answer_fn fn;
} answers[] = {
    {MSG_resolve_ask, MSG_resolve_reply, on_resolve},
    {MSG_auth_ask, MSG_auth_reply, on_auth},
    {MSG_auth_step_ask, MSG_auth_step_reply, on_auth_step},
    {MSG_sender_ask, MSG_sender_reply, on_sender},
    {MSG_rewrite_ask, MSG_rewrite_reply, on_rewrite},
    {MSG_access_ask, MSG_access_reply, on_access},
    {MSG_map_ask, MSG_map_reply, on_map},
    {MSG_probe_ask, MSG_probe_reply, on_probe},
    {MSG_deliver_ask, MSG_deliver_reply, on_deliver},
    {MSG_spool_ask, MSG_spool_reply, on_spool},
    {MSG_enqueue_ask, MSG_enqueue_reply, on_enqueue},
    {MSG_filter_mail_ask, MSG_filter_mail_reply, on_filter_mail},
    {MSG_filter_rcpt_ask, MSG_filter_rcpt_reply, on_filter_rcpt},
    {MSG_filter_message_ask, MSG_filter_message_reply, on_filter_message},
    {MSG_policy_ask, MSG_policy_reply, on_policy},
    {MSG_dns_ask, MSG_dns_reply, on_dns},
};

static struct msg make_answer(struct event_base *w, struct arena *a, const struct msg *ask)
{
    struct msg reply = {.fd = -1};
    size_t i = 0;
    while (i < sizeof answers / sizeof *answers && answers[i].ask != ask->type)
        i++;
    REQUIRE(i < sizeof answers / sizeof *answers);
    reply.type = answers[i].reply;
    answers[i].fn(w, a, ask, &reply);
    msg_set_id(&reply, msg_id(ask));
    return reply;
}

static bool more_follow(const struct msg *m)
{
    return m->type == MSG_resolve_reply && m->resolve_reply.more;
}

static void call_free(struct call *c)
{
    struct call **at = &c->rpc->world->calls;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    buf_free(&c->bytes);
    fd_closep(&c->fd);
    free(c);
}

static void deliver_answer(struct call *c, struct msg *m)
{
    rpc_fn fn = c->fn;
    void *arg = c->arg;
    if (!m || !more_follow(m))
        call_free(c);
    fn(arg, m);
}

/* Encoded and decoded, so that the receiver sees what it would see of another process. */
static void answer(struct call *c)
{
    struct event_base *w = c->rpc->world;
    AUTO_ARENA a = arena_new(4096);
    AUTO_BUF bytes = {0};
    struct msg ask, out, in;
    struct err e = {0};
    unsigned self = c->rpc->self, peer = c->rpc->peer;
    REQUIRE(msg_decode(buf_view(&c->bytes), self, peer, a, &ask, &e) == 0);
    ask.fd = c->fd;
    out = make_answer(w, a, &ask);
    REQUIRE(msg_encode(&out, &bytes, &e) == 0);
    REQUIRE(msg_decode(buf_view(&bytes), peer, self, a, &in, &e) == 0);
    in.fd = out.fd;
    deliver_answer(c, &in);
    if (in.fd >= 0)
        close(in.fd);
}

bool fake_rpc_step(struct event_base *w)
{
    struct call *c = w->calls;
    for (uint32_t skip = fake_dice(w, 3); skip && c && c->next; skip--)
        c = c->next;
    if (!c)
        return false;
    if (fake_dice(w, 24) == 23)
        deliver_answer(c, NULL);
    else
        answer(c);
    return true;
}

struct rpc *rpc_new(struct event_base *base, unsigned self, unsigned peer)
{
    struct rpc *r = MEM_NEW(struct rpc);
    *r = (struct rpc){.world = base, .self = self, .peer = peer};
    return r;
}

void rpc_free(struct rpc *r)
{
    free(r);
}

static void encode(const struct rpc *r, const struct msg *m, struct buf *out)
{
    struct err e = {0};
    struct msg back;
    AUTO_ARENA a = arena_new(1024);
    REQUIRE(msg_encode(m, out, &e) == 0);
    REQUIRE(msg_decode(buf_view(out), r->self, r->peer, a, &back, &e) == 0);
}

/* The first that is asked is answered first, where the dice have nothing against it. */
uint64_t rpc_call(struct rpc *r, struct msg *m, int64_t timeout_ms, rpc_fn fn, void *arg)
{
    struct call *c = MEM_NEW(struct call), **at = &r->world->calls;
    *c = (struct call){.rpc = r, .id = ++r->last_id, .fn = fn, .arg = arg, .fd = -1};
    REQUIRE(timeout_ms > 0);
    msg_set_id(m, c->id);
    encode(r, m, &c->bytes);
    /* Read by whom the grant's end is told too, later: now is when it must be good. */
    if (m->type == MSG_sender_ask)
        REQUIRE(*fake_grant_state(r->world, &m->sender_ask.grant) == GRANT_OF_LOGIN);
    if (m->fd >= 0)
        c->fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 3);
    while (*at)
        at = &(*at)->next;
    *at = c;
    return c->id;
}

static struct call *find(struct rpc *r, uint64_t id)
{
    struct call *c = r->world->calls;
    while (c && (c->rpc != r || c->id != id))
        c = c->next;
    return c;
}

void rpc_cancel(struct rpc *r, uint64_t id)
{
    struct call *c = find(r, id);
    if (c)
        call_free(c);
}

void rpc_abandon(struct rpc *r, uint64_t id, rpc_fn fn, void *arg)
{
    struct call *c = find(r, id);
    if (!c)
        return;
    c->fn = fn;
    c->arg = arg;
}

void rpc_tell(struct rpc *r, struct msg *m)
{
    AUTO_BUF bytes = {0};
    encode(r, m, &bytes);
    if (m->type == MSG_enqueue_ask) {
        REQUIRE(m->enqueue_ask.more);
        check_enqueue(r->world, m);
    }
    if (m->type != MSG_grant_drop)
        return;
    uint8_t *grant = fake_grant_state(r->world, &m->grant_drop.grant);
    REQUIRE(*grant == GRANT_FOR_MAIL || *grant == GRANT_OF_LOGIN);
    *grant = GRANT_OVER;
}
