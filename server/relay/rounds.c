/*
 * The rounds of a job: transport_maps may send recipients of one job different ways, by their
 * addresses. Those that go the same way make a round, and the rounds come one after the other.
 */
#include "base/log.h"
#include "relay/relay.h"

#define ASK_MS 30000

static void refuse(struct job *j, size_t i, enum fate fate, const char *status, const char *text)
{
    j->rcpt[i].round = j->round;
    job_recipient(j, i, fate, status, "", text);
}

/* --- one round --- */

static void round_ends(struct job *j, enum fate fate, const char *status, struct str text)
{
    const char *z = arena_strz(j->arena, text);
    for (size_t i = 0; i < j->rcpts; i++)
        if (j->rcpt[i].round == j->round)
            job_recipient(j, i, fate, arena_strz(j->arena, str_from(status)), "", z);
    job_round_over(j);
}

static void run(struct job *j, const struct transport *t)
{
    switch (t->kind) {
    case TRANSPORT_ERROR:
        round_ends(j, FATE_NO, t->status, t->text);
        break;
    case TRANSPORT_RETRY:
        round_ends(j, FATE_LATER, t->status, t->text);
        break;
    case TRANSPORT_DISCARD:
        round_ends(j, FATE_YES, t->status, t->text);
        break;
    case TRANSPORT_LOCAL:
        log_error("transport", LS("domain", j->domain),
                  LZ("why", "local: and virtual: are for the domains of this server, and this is none"));
        round_ends(j, FATE_LATER, "4.3.5",
                   STR("the transport says that this domain is one of this server, and it is not"));
        break;
    default:
        j->lmtp = t->kind == TRANSPORT_LMTP;
        destination_start(j, t->nexthop);
    }
}

static void begin(struct job *j, struct str way)
{
    struct err e = {0};
    struct transport t = {.kind = TRANSPORT_SMTP};
    if (way.n && transport_parse(way, &t, &e) != 0) {
        log_error("transport", LS("domain", j->domain), LZ("why", e.log));
        round_ends(j, FATE_LATER, "4.3.5", STR("the transport for this domain makes no sense"));
        return;
    }
    run(j, &t);
}

bool rounds_next(struct job *j)
{
    size_t first = 0;
    while (first < j->rcpts && j->rcpt[first].round)
        first++;
    if (first == j->rcpts)
        return false;
    struct str way = j->rcpt[first].way;
    j->round++;
    for (size_t i = first; i < j->rcpts; i++)
        if (!j->rcpt[i].round && str_eq(j->rcpt[i].way, way))
            j->rcpt[i].round = j->round;
    begin(j, way);
    return true;
}

/* --- which way --- */

static void ask(struct job *j);

static void on_transport(void *arg, enum verdict verdict, size_t at, struct str value)
{
    struct job *j = arg;
    (void)at;
    j->asking = NULL;
    if (verdict == VERDICT_YES)
        j->rcpt[j->asked].way = arena_str(j->arena, value);
    else if (verdict != VERDICT_NO)
        refuse(j, j->asked, FATE_LATER, "4.3.0",
               "the transport for this domain cannot be looked up now");
    j->asked++;
    ask(j);
}

static void ask(struct job *j)
{
    struct str keys[TRANSPORT_KEYS];
    if (j->asked == j->rcpts) {
        job_round_over(j);
        return;
    }
    size_t n = transport_keys(j->arena, j->rcpt[j->asked].address, j->domain,
                              j->settings->cfg->recipient_delimiter, keys);
    j->asking = keys_start(j->relay->directory, "transport_maps", keys, n, ASK_MS, on_transport, j);
}

void rounds_start(struct job *j)
{
    j->round = 1;
    if (j->settings->cfg->transport_maps.n)
        ask(j);
    else
        job_round_over(j);
}
