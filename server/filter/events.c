/* What a milter is told, and in which order; what it negotiated away is left out. */
#include "filter/filter.h"

#define OUT_MAX 262144 /* past this much unsent output more of the body waits */
#define VALUE_MAX 60000 /* libmilter takes packets of 65535 octets */

static const struct {
    uint32_t never, silent; /* bits of what was negotiated */
} about[] = {
    [EVENT_NEGOTIATE] = {0, 0},
    [EVENT_CONNECT] = {MILTER_NO_CONNECT, MILTER_SILENT_CONNECT},
    [EVENT_HELO] = {MILTER_NO_HELO, MILTER_SILENT_HELO},
    [EVENT_MAIL] = {MILTER_NO_MAIL, MILTER_SILENT_MAIL},
    [EVENT_RCPT] = {MILTER_NO_RCPT, MILTER_SILENT_RCPT},
    [EVENT_DATA] = {MILTER_NO_DATA, MILTER_SILENT_DATA},
    [EVENT_HEADER] = {MILTER_NO_HEADERS, MILTER_SILENT_HEADER},
    [EVENT_HEADER_END] = {MILTER_NO_HEADER_END, MILTER_SILENT_HEADER_END},
    [EVENT_BODY] = {MILTER_NO_BODY, MILTER_SILENT_BODY},
    [EVENT_BODY_END] = {0, 0},
};

/* --- macros (as Postfix and Sendmail tell them) --- */

static struct str number(char text[24], unsigned n)
{
    snprintf(text, 24, "%u", n);
    return str_from(text);
}

static void connect_macros(const struct visit *v, struct milter_macros *m)
{
    const struct config *cfg = v->settings->cfg;
    char port[24], place[340];
    snprintf(place, sizeof place, "%.*s [%.*s]", STR_FMT(v->name), STR_FMT(v->client));
    milter_macros_add(m, "j", cfg->myhostname);
    milter_macros_add(m, "_", str_from(place));
    milter_macros_add(m, "{daemon_name}", cfg->milter_macro_daemon_name);
    milter_macros_add(m, "v", STR("Facteur"));
    milter_macros_add(m, "{client_addr}", v->client);
    milter_macros_add(m, "{client_port}", number(port, v->port));
    milter_macros_add(m, "{client_name}", v->name);
    milter_macros_add(m, "{client_ptr}", v->reverse);
}

static void helo_macros(const struct visit *v, struct milter_macros *m)
{
    char bits[24];
    milter_macros_add(m, "{tls_version}", v->tls_protocol);
    milter_macros_add(m, "{cipher}", v->tls_cipher);
    if (v->tls_bits)
        milter_macros_add(m, "{cipher_bits}", number(bits, v->tls_bits));
}

static void mail_macros(const struct visit *v, struct milter_macros *m)
{
    milter_macros_add(m, "i", v->id);
    milter_macros_add(m, "{mail_addr}", v->sender);
    milter_macros_add(m, "{auth_authen}", v->login);
    if (v->login.n)
        milter_macros_add(m, "{auth_type}", STR("PLAIN"));
    helo_macros(v, m);
}

static void put_macros(const struct link *l, enum milter_command before, struct buf *out)
{
    struct milter_macros m;
    const struct visit *v = l->visit;
    milter_macros_begin(&m, before);
    if (before == MILTER_CONNECT)
        connect_macros(v, &m);
    else if (before == MILTER_HELO)
        helo_macros(v, &m);
    else
        mail_macros(v, &m);
    if (before == MILTER_RCPT)
        milter_macros_add(&m, "{rcpt_addr}", v->rcpt);
    milter_macros_put(&m, out);
}

/* --- events --- */

static void put_address(struct link *l, enum milter_command code, struct str address,
                        struct buf *out)
{
    AUTO_BUF b = {0};
    put_macros(l, code, out);
    buf_printf(&b, "<%.*s>", STR_FMT(address));
    struct str argument = buf_view(&b);
    milter_put_strings(out, code, &argument, 1);
}

static void put_connect(struct link *l, struct buf *out)
{
    const struct visit *v = l->visit;
    char host[80];
    bool v4 = str_find(v->client, ':') < 0;
    snprintf(host, sizeof host, "[%.*s]", STR_FMT(v->client));
    put_macros(l, MILTER_CONNECT, out);
    milter_put_connect(out, str_eq(v->name, STR("unknown")) ? str_from(host) : v->name, v4, v->port,
                       v->client);
}

/* False: there is no such field (any more). */
static bool put_field(struct link *l, struct buf *out)
{
    const struct milter_fields *f = &l->visit->message.fields;
    while (l->header_at < f->n && f->v[l->header_at].name.n == 0)
        l->header_at++;
    if (l->header_at == f->n)
        return false;
    struct str strings[2] = {f->v[l->header_at].name, f->v[l->header_at].value};
    if (!(l->terms.protocol & MILTER_LEADING_SPACE) && strings[1].n && strings[1].p[0] == ' ')
        strings[1] = str_skip(strings[1], 1);
    /* A NUL would end the string where the message does not end it. */
    for (int i = 0; i < 2; i++) {
        ptrdiff_t nul = str_find(strings[i], '\0');
        strings[i] = str_head(strings[i], nul < 0 ? VALUE_MAX : (size_t)nul);
    }
    milter_put_strings(out, MILTER_HEADER, strings, 2);
    l->header_at++;
    return true;
}

static int put_body(struct link *l, struct buf *out, struct err *e)
{
    AUTO_BUF piece = {0};
    int r = message_body(&l->visit->message, &l->body_read, &piece, e);
    if (r > 0)
        milter_put(out, MILTER_BODY, buf_view(&piece));
    return r;
}

/* 1: said; 0: there is nothing to say here (any more); -1: error. */
static int put_event(struct link *l, struct buf *out, struct err *e)
{
    static const struct str nothing = {"", 0};
    struct visit *v = l->visit;
    switch (l->event) {
    case EVENT_NEGOTIATE:
        milter_put_negotiate(out, MILTER_MAY_ALL, MILTER_OFFERED);
        return 1;
    case EVENT_CONNECT:
        put_connect(l, out);
        return 1;
    case EVENT_HELO:
        l->helo = v->helo;
        put_macros(l, MILTER_HELO, out);
        milter_put_strings(out, MILTER_HELO, &v->helo, 1);
        return 1;
    case EVENT_MAIL:
        l->in_message = true;
        put_address(l, MILTER_MAIL, v->sender, out);
        return 1;
    case EVENT_RCPT:
        put_address(l, MILTER_RCPT, v->rcpt, out);
        return 1;
    case EVENT_DATA:
        put_macros(l, MILTER_DATA, out);
        milter_put(out, MILTER_DATA, nothing);
        return 1;
    case EVENT_HEADER:
        return put_field(l, out);
    case EVENT_HEADER_END:
        milter_put(out, MILTER_HEADER_END, nothing);
        return 1;
    case EVENT_BODY:
        return put_body(l, out, e);
    case EVENT_BODY_END:
        put_macros(l, MILTER_BODY_END, out);
        milter_put(out, MILTER_BODY_END, nothing);
        return 1;
    case EVENT_NONE:
        break;
    }
    return 0;
}

static bool is_repeated(enum link_event event)
{
    return event == EVENT_HEADER || event == EVENT_BODY;
}

/* The event after this one; EVENT_NONE where the ask ends. */
static enum link_event following(enum link_event event)
{
    if (event == EVENT_MAIL || event == EVENT_RCPT || event == EVENT_BODY_END)
        return EVENT_NONE;
    return event + 1;
}

/* MAIL is skipped in words only: the transaction has begun all the same. */
static void leave_out(struct link *l)
{
    if (l->event == EVENT_MAIL)
        l->in_message = true;
    if (l->event == EVENT_HELO)
        l->helo = l->visit->helo;
    l->event = following(l->event);
}

void events_go(struct link *l)
{
    while (l->event != EVENT_NONE && !l->waiting) {
        AUTO_BUF out = {0};
        struct err e = {0};
        if (l->terms.protocol & about[l->event].never) {
            leave_out(l);
            continue;
        }
        int r = put_event(l, &out, &e);
        if (r < 0) {
            link_broken(l, e.log);
            return;
        }
        if (r == 0) {
            l->event = following(l->event);
            continue;
        }
        conn_write(l->conn, out.p, out.n);
        l->waiting = !(l->terms.protocol & about[l->event].silent);
        link_deadline(l);
        if (!l->waiting && !is_repeated(l->event))
            l->event = following(l->event);
        if (!l->waiting && conn_out_size(l->conn) > OUT_MAX)
            return; /* goes on when that has left */
    }
    if (l->event == EVENT_NONE) {
        conn_deadline(l->conn, 0);
        visit_link_done(l->visit, FILTER_CONTINUE, (struct str){"", 0});
    }
}

void events_next(struct link *l)
{
    l->waiting = false;
    if (!is_repeated(l->event))
        l->event = following(l->event);
    events_go(l);
}
