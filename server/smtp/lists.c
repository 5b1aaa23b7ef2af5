/*
 * Mailing lists: what goes to the members of one is a letter of its own, with the list's owner as the
 * envelope sender (RFC 5321 section 3.9.2) and the list's header lines before the message.
 */
#include "mail/header.h"
#include "mail/list.h"
#include "smtp/smtp.h"

#define PREFIX_MAX 2000 /* messages.def */

struct letter *lists_letter(struct session *s, const struct msg_resolve_reply *r)
{
    struct mail *m = &s->mail;
    if (r->list.n == 0)
        return NULL;
    for (struct letter *l = m->letters; l; l = l->next)
        if (str_eq(l->list, r->list))
            return l;
    struct letter *l = ARENA_NEW(m->arena, struct letter);
    *l = (struct letter){.next = m->letters, .number = m->letters ? m->letters->number + 1 : 1,
                         .list = arena_str(m->arena, r->list), .closed = r->list_closed,
                         .sender = arena_str(m->arena, r->list_sender)};
    m->letters = l;
    return l;
}

/* A report stays one that nobody is told of (RFC 5321 section 4.5.5). */
struct str lists_sender(const struct session *s, const struct letter *l)
{
    return l && l->sender.n && s->mail.sender.n ? l->sender : s->mail.sender;
}

void lists_look(struct session *s)
{
    struct str header = message_header(&s->mail.message);
    s->mail.of_list = mail_header_count(header, STR("List-Id")) > 0;
}

/* A list within a list keeps the name of the outer one: RFC 2919 section 3 allows one field. */
void lists_prepare(struct session *s)
{
    for (struct letter *l = s->mail.letters; l; l = l->next) {
        AUTO_BUF lines = BUF_MAX(PREFIX_MAX);
        buf_printf(&lines, "Delivered-To: %.*s\n", STR_FMT(l->list));
        if (!s->mail.of_list && mail_list_fields(l->list, l->closed, &lines) != 0)
            buf_clear(&lines);
        l->prefix = arena_str(s->mail.arena, buf_view(&lines));
    }
}

/* The members have had it: one of them stays, as the list, for the report to its owner. */
void lists_mark_loop(struct session *s, struct str key)
{
    struct target_list *list = &s->mail.targets;
    size_t kept = 0;
    bool told = false;
    for (size_t i = 0; i < list->n; i++) {
        struct target *t = list->v[i];
        bool loops = t->letter && str_eq(t->letter->list, key);
        if (loops) {
            grant_drop(s->smtpd, &t->grant);
            *t = (struct target){.address = t->letter->list, .key = t->key, .original = t->original,
                                 .letter = t->letter, .loops = true};
        }
        if (!loops || !told)
            list->v[kept++] = t;
        told = told || loops;
    }
    list->n = kept;
}
