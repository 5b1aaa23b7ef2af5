/*
 * What the house makes of a message that it takes: the sender and the addresses in the header are
 * rewritten (canonical_maps, masquerade_domains), and blind copies go where always_bcc and its kin
 * say. The directory knows what becomes of an address; here are the places where they stand.
 */
#include "base/log.h"
#include "mail/header.h"
#include "mail/spots.h"
#include "smtp/smtp.h"

#include <stdlib.h>

#define SPOTS_MAX 2000 /* addresses of a header; those behind stay as they are */
#define AT_ONCE 50

struct spot {
    struct str text, to;
    uint32_t class;
};

struct house {
    struct arena *arena;
    struct str header;
    struct spot *v;
    size_t n, next, under_way;
    bool failed;
    house_fn fn;
};

/* --- what is wanted --- */

static bool is_sender_class(uint32_t class)
{
    return class & (REWRITE_ENVELOPE_SENDER | REWRITE_HEADER_SENDER);
}

static bool is_wanted(const struct config *c, uint32_t class)
{
    return c->canonical_maps.n || c->masquerade_domains.n ||
           (is_sender_class(class) ? c->sender_canonical_maps.n : c->recipient_canonical_maps.n);
}

/* local_header_rewrite_clients: a header from the world is its author's, and perhaps signed. */
static bool is_local_client(const struct session *s)
{
    const struct config *c = session_cfg(s);
    const struct config_list *list = &c->local_header_rewrite_clients;
    for (size_t i = 0; i < list->n; i++) {
        if (str_eq(list->v[i], STR("permit_inet_interfaces")) && s->from_here)
            return true;
        if (str_eq(list->v[i], STR("permit_mynetworks")) &&
            config_network_match(&c->mynetworks, s->peer.ip))
            return true;
        if (str_eq(list->v[i], STR("permit_sasl_authenticated")) && s->login)
            return true;
    }
    return false;
}

/* As Postfix sorts them. */
static uint32_t class_of_field(struct str name)
{
    static const struct str senders[] = {
        {"From", 4}, {"Sender", 6}, {"Reply-To", 8}, {"Errors-To", 9}, {"Return-Receipt-To", 17},
        {"Resent-From", 11}, {"Resent-Sender", 13}, {"Resent-Reply-To", 15},
        {"Mail-Followup-To", 16}};
    static const struct str recipients[] = {{"To", 2}, {"Cc", 2}, {"Bcc", 3}, {"Resent-To", 9},
                                            {"Resent-Cc", 9}, {"Resent-Bcc", 10},
                                            {"Apparently-To", 13}};
    for (size_t i = 0; i < sizeof senders / sizeof senders[0]; i++)
        if (str_caseeq(name, senders[i]))
            return REWRITE_HEADER_SENDER;
    for (size_t i = 0; i < sizeof recipients / sizeof recipients[0]; i++)
        if (str_caseeq(name, recipients[i]))
            return REWRITE_HEADER_RECIPIENT;
    return 0;
}

/* --- the header --- */

static void find_spots(const struct config *c, struct house *h)
{
    struct mail_header_walk w = mail_header_walk(h->header);
    struct mail_field f;
    struct str spot;
    h->v = arena_array(h->arena, SPOTS_MAX, sizeof *h->v);
    while (mail_header_next(&w, &f)) {
        uint32_t class = f.colon ? class_of_field(f.name) : 0;
        if (class == 0 || !is_wanted(c, class))
            continue;
        struct str rest = f.value;
        while (h->n < SPOTS_MAX && mail_spot_next(&rest, &spot))
            if (spot.n <= 1000)
                h->v[h->n++] = (struct spot){.text = spot, .class = class};
    }
}

void house_free(struct session *s)
{
    struct house *h = s->mail.house;
    if (!h)
        return;
    arena_free(h->arena);
    free(h);
    s->mail.house = NULL;
}

static void print(struct session *s, const struct house *h)
{
    struct buf *out = &s->mail.message.rewritten;
    const char *from = h->header.p;
    for (size_t i = 0; i < h->n; i++) {
        const struct spot *p = &h->v[i];
        if (p->to.n == 0 || str_eq(p->to, p->text))
            continue;
        buf_add(out, from, (size_t)(p->text.p - from));
        buf_str(out, p->to);
        from = p->text.p + p->text.n;
    }
    buf_add(out, from, (size_t)(h->header.p + h->header.n - from));
}

static void header_done(struct session *s)
{
    struct house *h = s->mail.house;
    house_fn fn = h->fn;
    bool ok = !h->failed;
    if (ok)
        print(s, h);
    house_free(s);
    fn(s, ok);
}

static void ask_spots(struct session *s);

static void on_spot(struct session *s, void *arg, struct msg *m)
{
    struct house *h = s->mail.house;
    struct spot *p = arg;
    uint8_t v = m ? m->rewrite_reply.verdict : VERDICT_CANNOT_SAY;
    if (v == VERDICT_CANNOT_SAY)
        h->failed = true;
    else if (v == VERDICT_YES) /* what is no address stays as it is */
        p->to = arena_str(h->arena, m->rewrite_reply.address);
    h->under_way--;
    ask_spots(s);
}

static void ask_spots(struct session *s)
{
    struct house *h = s->mail.house;
    while (!h->failed && h->next < h->n && h->under_way < AT_ONCE) {
        struct spot *p = &h->v[h->next++];
        struct msg m = MSG_INIT(rewrite_ask);
        m.rewrite_ask.class = p->class;
        m.rewrite_ask.address = p->text;
        h->under_way++;
        ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, on_spot, p);
    }
    if (h->under_way == 0)
        header_done(s);
}

void house_header(struct session *s, house_fn fn)
{
    const struct config *c = session_cfg(s);
    struct message *m = &s->mail.message;
    bool wanted = (is_wanted(c, REWRITE_HEADER_SENDER) || is_wanted(c, REWRITE_HEADER_RECIPIENT)) &&
                  is_local_client(s);
    if (!wanted || m->looked_at) {
        fn(s, true);
        return;
    }
    m->looked_at = true;
    struct house *h = s->mail.house = MEM_NEW(struct house);
    h->fn = fn;
    h->arena = arena_new(4096);
    h->header = arena_str(h->arena, message_header(m));
    find_spots(c, h);
    ask_spots(s);
}

/* --- blind copies --- */

static void copies(struct session *s);

static void fail(struct session *s)
{
    s->verb = "DATA";
    reply(s, "451 4.3.0 Error: the directory cannot say now what becomes of the message");
    mail_reset(s);
}

static void add_copy(struct session *s, const struct msg_target *t, struct letter *letter)
{
    struct target *mine = target_join(s, t, letter);
    if (!mine)
        return;
    mine->original = mine->address;
    mine->notify = letter ? 0 : SMTP_NOTIFY_NEVER; /* its sender knows of no copy */
    mine->away = false;
}

static void on_copy(struct session *s, void *arg, struct msg *m)
{
    (void)arg;
    uint8_t v = m ? m->resolve_reply.verdict : VERDICT_CANNOT_SAY;
    struct letter *letter = m ? lists_letter(s, &m->resolve_reply) : NULL;
    if (v == VERDICT_YES || v == VERDICT_REMOTE)
        for (size_t i = 0; i < m->resolve_reply.targets.n; i++)
            add_copy(s, &m->resolve_reply.targets.v[i], letter);
    else if (v != VERDICT_NO)
        s->mail.copies_failed = true;
    if (m && m->resolve_reply.more)
        return;
    s->mail.copies--;
    copies(s);
}

static void ask_copy(struct session *s, struct str address, uint32_t flag)
{
    struct msg m = MSG_INIT(resolve_ask);
    m.resolve_ask.address = address;
    m.resolve_ask.flags = flag;
    s->mail.copies++;
    ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, on_copy, NULL);
}

static void copies(struct session *s)
{
    if (s->mail.copies > 0)
        return;
    if (s->mail.copies_failed)
        fail(s);
    else
        handing_start(s);
}

static void ask_copies(struct session *s)
{
    const struct config *c = session_cfg(s);
    s->mail.copies = 1; /* ours, so that no answer ends it before all are asked */
    if (c->always_bcc.n)
        ask_copy(s, c->always_bcc, RESOLVE_BCC_ALWAYS);
    if (c->sender_bcc_maps.n && s->mail.sender.n)
        ask_copy(s, s->mail.sender, RESOLVE_BCC_SENDER);
    for (struct original *o = s->mail.originals; c->recipient_bcc_maps.n && o; o = o->next)
        ask_copy(s, o->address, RESOLVE_BCC_RECIPIENT);
    s->mail.copies--;
    copies(s);
}

/* --- the sender --- */

static void on_sender(struct session *s, void *arg, struct msg *m)
{
    (void)arg;
    uint8_t v = m ? m->rewrite_reply.verdict : VERDICT_CANNOT_SAY;
    if (v == VERDICT_CANNOT_SAY) {
        fail(s);
        return;
    }
    if (v == VERDICT_YES)
        s->mail.sender = arena_str(s->mail.arena, m->rewrite_reply.address);
    ask_copies(s);
}

static void on_header(struct session *s, bool ok)
{
    struct msg m = MSG_INIT(rewrite_ask);
    s->verb = "DATA";
    if (!ok) {
        fail(s);
        return;
    }
    s->mail.sender = s->mail.from.path;
    if (s->mail.sender.n == 0 || !is_wanted(session_cfg(s), REWRITE_ENVELOPE_SENDER)) {
        ask_copies(s);
        return;
    }
    m.rewrite_ask.class = REWRITE_ENVELOPE_SENDER;
    m.rewrite_ask.address = s->mail.sender;
    ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, on_sender, NULL);
}

void house_start(struct session *s)
{
    house_header(s, on_header);
}
