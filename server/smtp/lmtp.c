/*
 * LMTP (RFC 2033): other mail servers hand over mail, keep what we do not take, and hear after the
 * message what became of each recipient. So a recipient that none of its mailboxes took now is given
 * back, not queued; one that some took is ours, and the rest of it goes to the queue.
 */
#include "base/log.h"
#include "smtp/smtp.h"

#include <stdlib.h>

bool session_is_lmtp(const struct session *s)
{
    return s->service == SERVICE_LMTP;
}

bool lmtp_may_enter(const struct session *s)
{
    return !session_is_lmtp(s) || config_network_match(&session_cfg(s)->lmtp_networks, s->peer.ip);
}

void lmtp_rcpt(struct session *s, struct str original)
{
    struct rcpt_list *list = &s->mail.lmtp;
    if (!session_is_lmtp(s))
        return;
    if (list->n == list->cap) {
        list->cap = list->cap ? 2 * list->cap : 8;
        list->v = mem_grow(list->v, list->cap, sizeof *list->v);
    }
    list->v[list->n++] = original;
}

/* The same RCPT, not only the same address. */
static bool is_of(const struct target *t, struct str original)
{
    return t->original.p == original.p;
}

static bool has_taken(const struct session *s, struct str original)
{
    const struct target_list *list = &s->mail.targets;
    for (size_t i = 0; i < list->n; i++) {
        const struct target *t = list->v[i];
        if (is_of(t, original) &&
            (t->remote || t->outcome == TARGET_DELIVERED || t->outcome == TARGET_QUEUED ||
             t->outcome == TARGET_EXPANDED))
            return true;
    }
    return false;
}

size_t lmtp_give_back(struct session *s)
{
    struct target_list *list = &s->mail.targets;
    size_t n = 0;
    for (size_t i = 0; session_is_lmtp(s) && !s->mail.hold && i < list->n; i++) {
        struct target *t = list->v[i];
        if (t->outcome == TARGET_FAILED && !t->remote && !t->unknown && !has_taken(s, t->original)) {
            t->outcome = TARGET_GIVEN_BACK;
            n++;
        }
    }
    return n;
}

/* What is said of one RCPT. One whose mailboxes an earlier one reached has none of its own: then the
 * worst that happened counts. */
static bool is_safe(const struct session *s, struct str original)
{
    const struct target_list *list = &s->mail.targets;
    bool own = false, safe = true;
    for (size_t i = 0; i < list->n; i++) {
        bool good = list->v[i]->outcome != TARGET_GIVEN_BACK;
        if (is_of(list->v[i], original) && !own) {
            own = true;
            safe = good;
        } else if (is_of(list->v[i], original) || !own) {
            safe = safe && good;
        }
    }
    return safe;
}

void lmtp_reply(struct session *s, const char *queue_id)
{
    const struct rcpt_list *list = &s->mail.lmtp;
    s->mail.final_replies = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct str to = list->v[i];
        if (!is_safe(s, to))
            reply(s, "451 4.2.0 <%.*s> Mailbox not available now, try again later", STR_FMT(to));
        else if (queue_id[0])
            reply(s, "250 2.1.5 <%.*s> Ok: taken, as %s", STR_FMT(to), queue_id);
        else
            reply(s, "250 2.1.5 <%.*s> Ok: delivered", STR_FMT(to));
    }
}
