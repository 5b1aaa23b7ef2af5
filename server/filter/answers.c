/* What a milter answers, and what that means at the event it answers. */
#include "filter/filter.h"

#define CHANGES_MAX (4 * 1024 * 1024) /* octets of changes to an envelope */

/* It is through with this message, whatever it said. */
static void settle(struct link *l, enum filter_action action, struct str text)
{
    bool session = l->event <= EVENT_HELO, recipient = l->event == EVENT_RCPT;
    l->waiting = false;
    if (action != FILTER_CONTINUE && session && action != FILTER_DISCARD) {
        l->refused = action;
        snprintf(l->refusal, sizeof l->refusal, "%.*s", STR_FMT(text));
    }
    if (action == FILTER_CONTINUE || !recipient || action == FILTER_DISCARD) {
        l->skip = true;
        l->in_message = false;
    }
    if (action == FILTER_CONTINUE && session)
        l->skip_session = true;
    l->event = EVENT_NONE;
    conn_deadline(l->conn, 0);
    visit_link_done(l->visit, action, text);
}

static void reply_line(struct link *l, struct str text)
{
    char line[480];
    struct err e = {0};
    if (milter_reply_line(text, line, sizeof line, &e) != 0)
        link_broken(l, e.log);
    else
        settle(l, FILTER_REPLY, str_from(line));
}

/* --- changes --- */

/* LF for CR LF, and for what else ends a line. */
static int take_body(struct link *l, struct str octets, struct err *e)
{
    struct message *m = &l->visit->message;
    if (!l->body_replaced) {
        buf_free(&m->body);
        m->body.max = l->visit->settings->cfg->message_size_limit;
        m->body_changed = l->body_replaced = true;
        l->body_last = '\0';
    }
    if (m->body.n + octets.n > m->body.max)
        return err_perm(e, "its new body is larger than message_size_limit");
    for (size_t i = 0; i < octets.n; i++) {
        char c = octets.p[i];
        if (c != '\n' || l->body_last != '\r')
            buf_byte(&m->body, c == '\r' ? '\n' : c);
        l->body_last = c;
    }
    return 0;
}

static int change_envelope(struct link *l, enum milter_edit tag, struct str address,
                           struct err *e)
{
    struct str text = milter_address(address);
    struct buf *edits = &l->visit->message.edits;
    if (text.n > MILTER_EDIT_TEXT_MAX || !str_is_text(text))
        return err_perm(e, "an address it wrote is none");
    if (edits->n > CHANGES_MAX)
        return err_perm(e, "it changes too many recipients");
    milter_edits_add(edits, tag, text);
    return 0;
}

static int change(struct link *l, const struct milter_reply *r, struct err *e)
{
    struct milter_fields *f = &l->visit->message.fields;
    bool spaced = l->terms.protocol & MILTER_LEADING_SPACE;
    switch (r->says) {
    case MILTER_ADD_RCPT:
    case MILTER_ADD_RCPT_ARGS:
        return change_envelope(l, MILTER_EDIT_ADD_RCPT, r->text, e);
    case MILTER_DELETE_RCPT:
        return change_envelope(l, MILTER_EDIT_DELETE_RCPT, r->text, e);
    case MILTER_CHANGE_SENDER:
        return change_envelope(l, MILTER_EDIT_SENDER, r->text, e);
    case MILTER_REPLACE_BODY:
        return take_body(l, r->text, e);
    case MILTER_ADD_HEADER:
        return milter_fields_add(f, r->text, r->value, spaced, e);
    case MILTER_INSERT_HEADER:
        return milter_fields_insert(f, r->index, r->text, r->value, spaced, e);
    case MILTER_CHANGE_HEADER:
        return milter_fields_change(f, r->index, r->text, r->value, spaced, e);
    case MILTER_QUARANTINE:
        visit_quarantine(l->visit, r->text);
        return 0;
    default:
        return err_perm(e, "its answer \"%c\" has no place at the end of a message", (int)r->says);
    }
}

/* A last line without an end gets one. */
static void end_body(struct link *l)
{
    struct message *m = &l->visit->message;
    if (l->body_replaced && m->body.n && m->body.p[m->body.n - 1] != '\n')
        buf_byte(&m->body, '\n');
}

/* --- answers --- */

static void take_change(struct link *l, const struct milter_reply *r)
{
    struct err e = {0};
    if (l->event != EVENT_BODY_END)
        link_broken(l, "it changes a message before it has seen it");
    else if (change(l, r, &e) != 0)
        link_broken(l, e.log);
    else
        link_deadline(l);
}

static void skip(struct link *l)
{
    if (l->event != EVENT_BODY) {
        link_broken(l, "it skips what is no body");
        return;
    }
    l->waiting = false;
    l->event = EVENT_BODY_END;
    events_go(l);
}

static void judge(struct link *l, const struct milter_reply *r)
{
    static const struct str nothing = {"", 0};
    switch (r->says) {
    case MILTER_CONTINUE:
        if (l->event == EVENT_BODY_END)
            l->in_message = false;
        events_next(l);
        break;
    case MILTER_ACCEPT:
        settle(l, FILTER_CONTINUE, nothing);
        break;
    case MILTER_REJECT:
        settle(l, FILTER_REJECT, nothing);
        break;
    case MILTER_TEMPFAIL:
        settle(l, FILTER_TEMPFAIL, nothing);
        break;
    case MILTER_DISCARD:
        settle(l, FILTER_DISCARD, nothing);
        break;
    case MILTER_REPLY_CODE:
        reply_line(l, r->text);
        break;
    case MILTER_SKIP:
        skip(l);
        break;
    case MILTER_PROGRESS:
        link_deadline(l);
        break;
    case MILTER_SHUTDOWN:
    case MILTER_CONNECTION_FAILS:
        link_broken(l, "it ends the connection");
        break;
    default:
        take_change(l, r);
    }
}

static void negotiated(struct link *l, const struct milter_packet *p)
{
    struct err e = {0};
    if (milter_terms_parse(p, &l->terms, &e) != 0)
        link_broken(l, e.log);
    else
        events_next(l);
}

void answers_take(struct link *l, const struct milter_packet *p)
{
    struct milter_reply r;
    struct err e = {0};
    if (l->event == EVENT_NEGOTIATE) {
        negotiated(l, p);
        return;
    }
    if (milter_reply_parse(p, l->terms.actions, &r, &e) != 0) {
        link_broken(l, e.log);
        return;
    }
    if (r.says == MILTER_CONTINUE || r.says == MILTER_ACCEPT)
        end_body(l);
    judge(l, &r);
}
