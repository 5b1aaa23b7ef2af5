/* Restrictions that look into access tables (access(5)), and what those may say. */
#include "base/log.h"
#include "smtp/rules_private.h"

static bool is_number(struct str word)
{
    uint64_t n;
    return str_u64(word, &n) == 0;
}

/* "550 5.7.1 text" or "550 text": a code with a status of its class. */
static enum rule_outcome refuse_coded(struct session *s, struct rules *r, struct str code,
                                      struct str text)
{
    struct str rest = text, word;
    char status[32];
    bool own = str_token(&rest, " ", &word) && word.n > 4 && word.p[0] == code.p[0] &&
               word.p[1] == '.';
    snprintf(status, sizeof status, "%.3s %.*s", code.p, own ? (int)(word.n < 12 ? word.n : 12) : 5,
             own ? word.p : code.p[0] == '4' ? "4.7.1" : "5.7.1");
    if (own)
        text = str_trim(rest);
    return rules_refuse_subject(s, r, status, text.n ? text : STR("Access denied"));
}

/* --- the words of a table --- */

static enum rule_outcome act_reject(struct session *s, struct rules *r, struct str text)
{
    return refuse_coded(s, r, STR("554"), text);
}

static enum rule_outcome act_defer(struct session *s, struct rules *r, struct str text)
{
    return refuse_coded(s, r, STR("450"), text);
}

static enum rule_outcome act_defer_if_permit(struct session *s, struct rules *r, struct str text)
{
    enum rule_outcome o = act_defer(s, r, text);
    if (r->warn)
        return o;
    memcpy(r->maybe_text, r->text, sizeof r->text);
    r->maybe = true;
    return GOES_ON;
}

static void note(const struct session *s, const struct rules *r, const char *event, struct str why)
{
    log_info(event, LZ("session", s->id), LS("from", s->mail.from.path), LS("to", r->recipient),
             LS("why", why));
}

static enum rule_outcome act_hold(struct session *s, struct rules *r, struct str text)
{
    s->mail.hold = true;
    note(s, r, "hold", text);
    return GOES_ON;
}

static enum rule_outcome act_discard(struct session *s, struct rules *r, struct str text)
{
    s->mail.discard = true;
    note(s, r, "discard", text);
    return PERMITS;
}

static enum rule_outcome act_warn(struct session *s, struct rules *r, struct str text)
{
    log_warning("access-warn", LZ("session", s->id), LZ("client", s->peer.text),
                LS("from", s->mail.from.path), LS("to", r->recipient), LS("why", text));
    return GOES_ON;
}

static enum rule_outcome act_prepend(struct session *s, struct rules *r, struct str text)
{
    (void)r;
    policy_prepend(s, text);
    return GOES_ON;
}

static enum rule_outcome act_dunno(struct session *s, struct rules *r, struct str text)
{
    (void)s;
    (void)r;
    (void)text;
    return GOES_ON;
}

static const struct {
    const char *word;
    enum rule_outcome (*act)(struct session *s, struct rules *r, struct str text);
} actions[] = {
    {"REJECT", act_reject}, {"DEFER", act_defer}, {"DEFER_IF_PERMIT", act_defer_if_permit},
    {"HOLD", act_hold}, {"DISCARD", act_discard}, {"WARN", act_warn}, {"INFO", act_warn},
    {"PREPEND", act_prepend}, {"DUNNO", act_dunno},
};

/* OK, or a number. A name that nobody confirmed permits nothing. */
static enum rule_outcome act_permit(struct session *s, struct rules *r, struct str action,
                                    struct str word)
{
    bool unsafe = r->step.rule == RULE_CHECK_REVERSE;
    bool permits = str_caseeq(word, STR("OK")) || str_caseeq(word, STR("permit")) || is_number(word);
    if (permits && !unsafe)
        return PERMITS;
    log_error("access", LZ("session", s->id), LS("table", r->step.argument), LS("action", action),
              LZ("why", unsafe ? "not with names that the client chooses; say DUNNO"
                               : "no action that is known here"));
    return rules_refuse(r, "451 4.3.5 Server configuration error");
}

enum rule_outcome rules_act(struct session *s, struct rules *r, struct str action)
{
    struct str text = action, word = {0};
    str_token(&text, " \t", &word);
    text = str_trim(text);
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (str_caseeq(word, str_from(actions[i].word)))
            return actions[i].act(s, r, text);
    if (word.n == 3 && is_number(word) && (word.p[0] == '4' || word.p[0] == '5'))
        return refuse_coded(s, r, word, text);
    return act_permit(s, r, action, word);
}

/* --- asking it --- */

static void on_access(struct session *s, void *arg, struct msg *m)
{
    struct rules *r = arg;
    uint8_t v = m ? m->access_reply.verdict : VERDICT_CANNOT_SAY;
    if (v == VERDICT_YES)
        rules_go_on(s, r, rules_act(s, r, m->access_reply.action));
    else
        rules_go_on(s, r, v == VERDICT_NO ? GOES_ON : rules_cannot_say(s, r));
}

static enum rule_outcome look_up_with(struct session *s, struct rules *r, uint8_t kind,
                                      struct str subject, ask_fn fn)
{
    struct msg m = MSG_INIT(access_ask);
    m.access_ask.kind = kind;
    m.access_ask.table = r->step.argument;
    m.access_ask.subject = subject.n ? subject : STR("<>");
    ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, fn, r);
    return WAITS;
}

enum rule_outcome rules_look_up(struct session *s, struct rules *r, uint8_t kind,
                                struct str subject)
{
    return look_up_with(s, r, kind, subject, on_access);
}

static void on_name_access(struct session *s, void *arg, struct msg *m)
{
    struct rules *r = arg;
    if (m && m->access_reply.verdict == VERDICT_NO)
        rules_look_up(s, r, ACCESS_CLIENT, str_from(s->peer.text));
    else
        on_access(s, r, m);
}

enum rule_outcome rules_look_up_client(struct session *s, struct rules *r, struct str name)
{
    return look_up_with(s, r, ACCESS_DOMAIN, name, on_name_access);
}
