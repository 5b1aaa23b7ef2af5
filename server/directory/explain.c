/* Explaining one question. No grant is given out: the answer is for reading only. */
#include "directory/explain.h"
#include "base/clock.h"
#include "base/log.h"
#include "directory/login.h"
#include "directory/question.h"
#include "directory/resolve.h"
#include "directory/sender.h"
#include "directory/trace.h"

#include <stdlib.h>

struct explain {
    struct peer *peer;
    struct dirset *set; /* with the trace */
    struct arena *arena;
    uint64_t id;
    enum explain_what what;
    struct str address;
    struct str login; /* of the entry that was found */
    int64_t began;
};

static void send_line(struct explain *x, struct str line, bool more)
{
    struct msg m = MSG_INIT(explain_reply);
    m.explain_reply.id = x->id;
    m.explain_reply.more = more;
    m.explain_reply.line = line;
    peer_send(x->peer, &m);
}

static void on_trace(void *arg, struct str line)
{
    send_line(arg, line, true);
}

static void last_line(void *arg, struct str line)
{
    send_line(arg, line, false);
}

/* --- the answer --- */

static void end_with(struct explain *x, enum verdict verdict, enum auth_state state,
                     const char *text, const char *why)
{
    const char *name = question_verdict_name(verdict);
    char number[8], state_number[8];
    snprintf(state_number, sizeof state_number, "%d", state);
    AUTO_BUF us = {0};
    buf_printf(&us, "%lld", (long long)(clock_real_us() - x->began));
    snprintf(number, sizeof number, "%d", verdict);
    log_info("explain", LS("address", x->address), LZ("verdict", name));
    trace_listen(x->set, last_line);
    TRACE(x->set->trace, "answer", {"number", str_from(number)}, {"state", str_from(state_number)},
          {"verdict", str_from(name)}, {"text", str_from(text)}, {"why", str_from(why)},
          {"login", x->login}, {"us", buf_view(&us)});
    trace_silence(x->set);
    dirset_release(x->set);
    peer_release(x->peer);
    arena_free(x->arena);
    free(x);
}

static void end(struct explain *x, enum verdict verdict, const char *text, const char *why)
{
    end_with(x, verdict, AUTH_PLAIN, text, why);
}

static void on_resolved(void *arg, const struct resolve_result *r)
{
    struct explain *x = arg;
    for (size_t i = 0; i < r->count; i++)
        TRACE(x->set->trace, "target", {"address", r->targets[i].address},
              {"remote", r->targets[i].remote ? STR("yes") : STR("no")},
              {"maildir", r->targets[i].box.m.maildir}, {"dn", r->targets[i].box.dn});
    end(x, r->verdict, r->text, r->why);
}

static void on_sender(void *arg, enum verdict verdict, const char *why)
{
    end(arg, verdict, "", why);
}

static void on_login(void *arg, const struct login_result *r)
{
    struct explain *x = arg;
    bool found = r->box.login.n && r->box.dn.n;
    if (found && (x->what != EXPLAIN_SEND || r->verdict == VERDICT_CANNOT_SAY))
        x->login = arena_str(x->arena, r->box.login);
    bool asks = x->what == EXPLAIN_SEND && found && r->verdict == VERDICT_CANNOT_SAY;
    if (asks && x->address.n == 0)
        /* RFC 5321 section 4.5.5: receipts and reports have no sender. */
        end(x, VERDICT_YES, "", "whoever has logged in may send without a sender");
    else if (asks)
        sender_run(x->set, x->address, x->login, r->box.dn, on_sender, x);
    else
        end_with(x, r->verdict, r->state, "", r->why);
}

/* --- the question --- */

void explain_run(struct peer *p, const struct msg_explain_ask *m)
{
    struct explain *x;
    if (!p->d->set) {
        struct msg reply = MSG_INIT(explain_reply);
        reply.explain_reply.id = m->id;
        reply.explain_reply.line = STR("answer\tnumber=0\tverdict=cannot-say\twhy=not configured yet");
        peer_send(p, &reply);
        return;
    }
    x = MEM_NEW(struct explain);
    *x = (struct explain){.peer = p, .id = m->id, .what = (enum explain_what)m->what,
                          .began = clock_real_us()};
    x->arena = arena_new(1024);
    x->address = arena_str(x->arena, m->address);
    x->set = trace_dirset(p->d->set, on_trace, x);
    peer_hold(p);
    if (x->what == EXPLAIN_RCPT)
        resolve_run(x->set, m->address, (struct str){0}, RESOLVE_ANY_SENDER, on_resolved, x);
    else
        login_run(x->set, m->login, x->what == EXPLAIN_LOGIN ? m->password : (struct str){0},
                  NULL, on_login, x);
}
