/*
 * smtpd_*_restrictions: what the house asks about client, greeting, sender and recipient. The lists
 * are gone through at RCPT, one after the other, as Postfix does (smtpd_delay_reject): a permit ends
 * its list, a refusal ends all. What needs an answer of others is asked of the directory (tables), of
 * the relay (DNS) and of the filter program (policy servers).
 *
 * None of this lets anybody send to other servers: that is rules_may_relay, and the queue checks it
 * again.
 */
#include "base/log.h"
#include "config/rules.h"
#include "mail/address.h"
#include "mail/hostname.h"
#include "smtp/smtp.h"

#define LISTS 5

enum outcome_of_rule { GOES_ON, PERMITS, REFUSES, WAITS };

struct rules {
    struct arena *arena;
    bool elsewhere; /* the recipient is another server's */
    struct str recipient;
    rules_fn fn;
    struct str lists[LISTS], rest;
    size_t list;
    struct rule_step step;
    bool warn;      /* the rule at hand only warns */
    bool maybe;     /* defer_if_permit: maybe_text is said unless something worse is */
    char text[500], maybe_text[500];
    struct str zone, filter, domain; /* of the DNS list that is asked */
};

bool rules_may_relay(const struct session *s)
{
    const struct config *c = session_cfg(s);
    return s->login || (config_network_match(&c->mynetworks, s->peer.ip) &&
                        rule_permits_mynetworks(c->smtpd_relay_restrictions,
                                                c->smtpd_recipient_restrictions));
}

/* --- what is said --- */

static enum outcome_of_rule refuse(struct rules *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static enum outcome_of_rule refuse(struct rules *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->text, sizeof r->text, fmt, ap);
    va_end(ap);
    /* RFC 5321 section 4.2: a reply is one line of ASCII. */
    for (char *c = r->text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return REFUSES;
}

/* Which of the four a rule is about, as replies name it; some are about what their list is about. */
static struct str subject_of(struct session *s, const struct rules *r)
{
    enum rule rule = r->step.rule;
    bool any = rule == RULE_CHECK_POLICY || rule == RULE_REJECT || rule == RULE_DEFER;
    size_t list = any ? r->list : LISTS;
    if (list == 1 || rule == RULE_CHECK_HELO ||
        (rule >= RULE_HELO_INVALID && rule <= RULE_HELO_UNKNOWN))
        return arena_printf(r->arena, "<%.200s>: Helo command rejected", s->hello);
    if (list == 2 || rule == RULE_CHECK_SENDER || rule == RULE_SENDER_NOT_FQDN ||
        rule == RULE_SENDER_UNKNOWN)
        return arena_printf(r->arena, "<%.*s>: Sender address rejected",
                            STR_FMT(s->mail.from.path));
    if (rule == RULE_CHECK_REVERSE)
        return arena_printf(r->arena, "<%.*s>: Unverified Client host rejected",
                            STR_FMT(names_reverse(s)));
    if (list == 0 || rule == RULE_CHECK_CLIENT)
        return arena_printf(r->arena, "<%.*s[%s]>: Client host rejected",
                            STR_FMT(names_known(s) ? names_verified(s) : STR("")), s->peer.text);
    return arena_printf(r->arena, "<%.*s>: Recipient address rejected", STR_FMT(r->recipient));
}

static enum outcome_of_rule refuse_subject(struct session *s, struct rules *r, const char *status,
                                           struct str why)
{
    struct str subject = subject_of(s, r);
    return refuse(r, "%s %.*s: %.*s", status, STR_FMT(str_head(subject, 280)),
                  STR_FMT(str_head(why, 450)));
}

static enum outcome_of_rule cannot_say(struct session *s, struct rules *r)
{
    return refuse_subject(s, r, "451 4.3.0", STR("Temporary lookup failure"));
}

/* --- access tables (access(5)) --- */

/* "REJECT", "4NN text", …: the word, and the text behind it. */
static struct str split_action(struct str action, struct str *text)
{
    struct str word = {0};
    str_token(&action, " \t", &word);
    *text = str_trim(action);
    return word;
}

static bool is_number(struct str word)
{
    uint64_t n;
    return str_u64(word, &n) == 0;
}

/* "550 5.7.1 text" or "550 text": a code with a status of its class. */
static enum outcome_of_rule refuse_coded(struct session *s, struct rules *r, struct str code,
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
    return refuse_subject(s, r, status, text.n ? text : STR("Access denied"));
}

static enum outcome_of_rule act(struct session *s, struct rules *r, struct str action)
{
    struct str text, word = split_action(str_trim(action), &text);
    if (str_caseeq(word, STR("REJECT")))
        return refuse_coded(s, r, STR("554"), text);
    if (str_caseeq(word, STR("DEFER")))
        return refuse_coded(s, r, STR("450"), text);
    if (word.n == 3 && is_number(word) && (word.p[0] == '4' || word.p[0] == '5'))
        return refuse_coded(s, r, word, text);
    if (str_caseeq(word, STR("DEFER_IF_PERMIT"))) {
        enum outcome_of_rule o = refuse_coded(s, r, STR("450"), text);
        if (r->warn)
            return o;
        memcpy(r->maybe_text, r->text, sizeof r->text);
        r->maybe = true;
        return GOES_ON;
    }
    if (str_caseeq(word, STR("HOLD"))) {
        s->mail.hold = true;
        log_info("hold", LZ("session", s->id), LS("from", s->mail.from.path),
                 LS("to", r->recipient), LS("why", text));
        return GOES_ON;
    }
    if (str_caseeq(word, STR("WARN")) || str_caseeq(word, STR("INFO"))) {
        log_warning("access-warn", LZ("session", s->id), LZ("client", s->peer.text),
                    LS("from", s->mail.from.path), LS("to", r->recipient), LS("why", text));
        return GOES_ON;
    }
    if (str_caseeq(word, STR("DUNNO")))
        return GOES_ON;
    if (str_caseeq(word, STR("PREPEND"))) {
        policy_prepend(s, text);
        return GOES_ON;
    }
    if (str_caseeq(word, STR("DISCARD"))) {
        s->mail.discard = true;
        log_info("discard", LZ("session", s->id), LS("from", s->mail.from.path),
                 LS("to", r->recipient), LS("why", text));
        return PERMITS;
    }
    /* A name that nobody confirmed permits nothing. */
    bool unsafe = r->step.rule == RULE_CHECK_REVERSE;
    if ((str_caseeq(word, STR("OK")) || str_caseeq(word, STR("permit")) || is_number(word)) &&
        !unsafe)
        return PERMITS;
    log_error("access", LZ("session", s->id), LS("table", r->step.argument),
              LS("action", action),
              LZ("why", unsafe ? "not with names that the client chooses; say DUNNO"
                               : "no action that is known here"));
    return refuse(r, "451 4.3.5 Server configuration error");
}

static void step(struct session *s, struct rules *r, enum outcome_of_rule o);

static void on_policy(struct session *s, void *arg, struct str action)
{
    step(s, arg, act(s, arg, action));
}

static void on_access(struct session *s, void *arg, struct msg *m)
{
    struct rules *r = arg;
    uint8_t v = m ? m->access_reply.verdict : VERDICT_CANNOT_SAY;
    if (v == VERDICT_YES)
        step(s, r, act(s, r, m->access_reply.action));
    else
        step(s, r, v == VERDICT_NO ? GOES_ON : cannot_say(s, r));
}

static enum outcome_of_rule look_up_with(struct session *s, struct rules *r, uint8_t kind,
                                         struct str subject, ask_fn fn)
{
    struct msg m = MSG_INIT(access_ask);
    m.access_ask.kind = kind;
    m.access_ask.table = r->step.argument;
    m.access_ask.subject = subject.n ? subject : STR("<>");
    ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, fn, r);
    return WAITS;
}

static enum outcome_of_rule look_up(struct session *s, struct rules *r, uint8_t kind,
                                    struct str subject)
{
    return look_up_with(s, r, kind, subject, on_access);
}

/* The client's name, with the domains above it, then its address. */
static void on_name_access(struct session *s, void *arg, struct msg *m)
{
    struct rules *r = arg;
    if (m && m->access_reply.verdict == VERDICT_NO)
        look_up(s, r, ACCESS_CLIENT, str_from(s->peer.text));
    else
        on_access(s, r, m);
}

/* --- names --- */

static bool is_literal(struct str name)
{
    return name.n && name.p[0] == '[';
}

static bool is_fqdn(struct str name)
{
    return is_literal(name) || (str_find(name, '.') > 0 && name.p[name.n - 1] != '.');
}

/* What a greeting is checked for first: -1 when it is a bad literal, which is refused; 1 when it is a
 * good one, which no rule is about; 0 when it is a name. */
static int greeting_kind(struct str helo)
{
    return !is_literal(helo) ? 0 : hostname_is_literal(helo) ? 1 : -1;
}

/* A name that ends with a dot is as good. */
static struct str without_dot(struct str name)
{
    return name.n > 1 && name.p[name.n - 1] == '.' ? str_head(name, name.n - 1) : name;
}

static struct str domain_of(struct str path)
{
    ptrdiff_t at = str_rfind(path, '@');
    return at < 0 ? (struct str){"", 0} : str_skip(path, (size_t)at + 1);
}

/* --- DNS --- */

static void ask_dns(struct session *s, struct rules *r, uint8_t kind, struct str name, ask_fn fn)
{
    struct msg m = MSG_INIT(dns_ask);
    m.dns_ask.kind = kind;
    m.dns_ask.name = str_head(name, 300);
    ask(s, s->smtpd->relay, &m, session_cfg(s)->smtpd_dns_timeout * 1000, fn, r);
}

static enum outcome_of_rule lookup_failed(struct session *s, struct rules *r, const char *status,
                                          const struct msg *m)
{
    log_warning("dns", LZ("session", s->id), LS("why", names_why(m)));
    return refuse_subject(s, r, status, STR("Domain lookup failed for now"));
}

static void on_exists(struct session *s, void *arg, struct msg *m)
{
    struct rules *r = arg;
    uint8_t v = m ? m->dns_reply.verdict : VERDICT_CANNOT_SAY;
    bool helo = r->step.rule == RULE_HELO_UNKNOWN, sender = r->step.rule == RULE_SENDER_UNKNOWN;
    const char *status = helo ? "450 4.7.1" : sender ? "450 4.1.8" : "450 4.1.2";
    if (v == VERDICT_YES || (v == VERDICT_REFUSED && helo))
        step(s, r, GOES_ON);
    else if (v == VERDICT_REFUSED)
        step(s, r, refuse_subject(s, r, sender ? "550 5.7.27" : "556 5.1.10",
                                  arena_printf(r->arena, "Domain %.*s does not accept mail (nullMX)",
                                               STR_FMT(domain_of(sender ? s->mail.from.path
                                                                        : r->recipient)))));
    else if (v == VERDICT_NO)
        step(s, r, refuse_subject(s, r, status, helo ? STR("Host not found")
                                                     : STR("Domain not found")));
    else
        step(s, r, lookup_failed(s, r, status, m));
}

static enum outcome_of_rule need_domain(struct session *s, struct rules *r, uint8_t kind,
                                        struct str domain)
{
    if (domain.n == 0 || is_literal(domain))
        return GOES_ON;
    ask_dns(s, r, kind, domain, on_exists);
    return WAITS;
}

/* The house's own domains need no DNS, which may not know them. */
static void on_own_domain(struct session *s, void *arg, struct msg *m)
{
    struct rules *r = arg;
    uint8_t v = m ? m->resolve_reply.verdict : VERDICT_CANNOT_SAY;
    if (v == VERDICT_YES)
        step(s, r, GOES_ON);
    else if (v == VERDICT_CANNOT_SAY)
        step(s, r, cannot_say(s, r));
    else
        step(s, r, need_domain(s, r, DNS_ASK_MAIL, domain_of(s->mail.from.path)));
}

static enum outcome_of_rule need_sender_domain(struct session *s, struct rules *r)
{
    struct msg m = MSG_INIT(resolve_ask);
    struct str domain = domain_of(s->mail.from.path);
    if (domain.n == 0 || is_literal(domain))
        return GOES_ON;
    m.resolve_ask.address = s->mail.from.path;
    m.resolve_ask.flags = RESOLVE_DOMAIN;
    ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, on_own_domain, r);
    return WAITS;
}

/* The name of an address in a list (RFC 5782 section 2.1 and 2.4). */
static struct str reversed(const struct session *s, struct arena *a, struct str zone)
{
    const unsigned char *ip = s->peer.ip;
    AUTO_BUF out = {0};
    if (s->peer.is_v4)
        return arena_printf(a, "%u.%u.%u.%u.%.*s", ip[15], ip[14], ip[13], ip[12], STR_FMT(zone));
    for (int i = 15; i >= 0; i--)
        buf_printf(&out, "%x.%x.", ip[i] & 15u, ip[i] >> 4);
    buf_str(&out, zone);
    return arena_str(a, buf_view(&out));
}

static bool has_value(struct str values, struct str wanted)
{
    struct str one;
    while (str_token(&values, " ", &one))
        if (wanted.n == 0 ? str_starts(one, STR("127.")) : str_eq(one, wanted))
            return true;
    return false;
}

static void on_listed(struct session *s, void *arg, struct msg *m)
{
    struct rules *r = arg;
    uint8_t v = m ? m->dns_reply.verdict : VERDICT_CANNOT_SAY;
    /* A list that does not answer stops no mail, as in Postfix. */
    if (v == VERDICT_CANNOT_SAY)
        log_warning("dns-list", LZ("session", s->id), LS("zone", r->zone),
                    LS("why", names_why(m)));
    if (v != VERDICT_YES || !has_value(m->dns_reply.values, r->filter)) {
        step(s, r, GOES_ON);
        return;
    }
    struct str text = str_head(m->dns_reply.text, 150);
    AUTO_BUF what = {0};
    if (r->step.rule == RULE_RBL_CLIENT)
        buf_printf(&what, "Client host [%s]", s->peer.text);
    else if (r->step.rule == RULE_RHSBL_CLIENT || r->step.rule == RULE_RHSBL_REVERSE)
        buf_printf(&what, "%sClient host [%.*s]",
                   r->step.rule == RULE_RHSBL_REVERSE ? "Unverified " : "",
                   STR_FMT(str_head(r->domain, 100)));
    else if (r->step.rule == RULE_RHSBL_HELO)
        buf_printf(&what, "Helo command [%.*s]", STR_FMT(str_head(r->domain, 100)));
    else
        buf_printf(&what, "Sender address [%.*s]", STR_FMT(str_head(r->domain, 100)));
    step(s, r, refuse(r, "554 5.7.1 Service unavailable; %.*s blocked using %.*s%s%.*s",
                      STR_FMT(buf_view(&what)), STR_FMT(str_head(r->zone, 100)),
                      text.n ? "; " : "", STR_FMT(text)));
}

/* "zen.example.org" or "zen.example.org=127.0.0.2" */
static enum outcome_of_rule ask_list(struct session *s, struct rules *r, struct str domain)
{
    ptrdiff_t eq = str_find(r->step.argument, '=');
    r->zone = eq < 0 ? r->step.argument : str_head(r->step.argument, (size_t)eq);
    r->filter = eq < 0 ? (struct str){0} : str_skip(r->step.argument, (size_t)eq + 1);
    r->domain = domain;
    bool by_address = r->step.rule == RULE_RBL_CLIENT;
    if (!by_address && (domain.n == 0 || is_literal(domain)))
        return GOES_ON;
    ask_dns(s, r, DNS_ASK_LIST,
            by_address ? reversed(s, r->arena, r->zone)
                       : arena_printf(r->arena, "%.*s.%.*s", STR_FMT(domain), STR_FMT(r->zone)),
            on_listed);
    return WAITS;
}

/* --- one rule --- */

static enum outcome_of_rule greeting_rule(struct session *s, struct rules *r, struct str helo)
{
    int kind = greeting_kind(helo);
    struct str name = without_dot(helo);
    if (kind != 0)
        return kind > 0 ? GOES_ON : refuse_subject(s, r, "501 5.5.2", STR("invalid ip address"));
    switch (r->step.rule) {
    case RULE_HELO_INVALID:
        return hostname_is_valid(name) || hostname_is_address(name)
                   ? GOES_ON
                   : refuse_subject(s, r, "501 5.5.2", STR("Invalid name"));
    case RULE_HELO_NOT_FQDN:
        return hostname_is_valid(name) && str_find(name, '.') > 0
                   ? GOES_ON
                   : refuse_subject(s, r, "504 5.5.2", STR("need fully-qualified hostname"));
    default:
        return hostname_is_valid(helo)
                   ? need_domain(s, r, DNS_ASK_MAIL, helo)
                   : refuse_subject(s, r, "450 4.7.1", STR("Host not found"));
    }
}

static enum outcome_of_rule names_rule(struct session *s, struct rules *r, struct str sender)
{
    switch (r->step.rule) {
    case RULE_SENDER_NOT_FQDN:
        return sender.n == 0 || is_fqdn(domain_of(sender))
                   ? GOES_ON
                   : refuse_subject(s, r, "504 5.5.2", STR("need fully-qualified address"));
    case RULE_RECIPIENT_NOT_FQDN:
        return str_caseeq(r->recipient, STR("postmaster")) || is_fqdn(domain_of(r->recipient))
                   ? GOES_ON
                   : refuse_subject(s, r, "504 5.5.2", STR("need fully-qualified address"));
    default:
        return GOES_ON;
    }
}

static enum outcome_of_rule destination_rule(struct rules *r)
{
    bool stranger = r->elsewhere;
    switch (r->step.rule) {
    case RULE_PERMIT_OURS:
        return stranger ? GOES_ON : PERMITS;
    case RULE_REJECT_ELSEWHERE:
        return !stranger ? GOES_ON
                         : refuse(r, "554 5.7.1 <%.*s>: Relay access denied", STR_FMT(r->recipient));
    default:
        return !stranger ? GOES_ON
                         : refuse(r, "454 4.7.1 <%.*s>: Relay access denied", STR_FMT(r->recipient));
    }
}

static enum outcome_of_rule name_list(struct session *s, struct rules *r, struct str name)
{
    return str_eq(name, STR("unknown")) ? GOES_ON : ask_list(s, r, name);
}

static enum outcome_of_rule client_rule(struct session *s, struct rules *r)
{
    struct str name = names_verified(s), reverse = names_reverse(s);
    switch (r->step.rule) {
    case RULE_CHECK_CLIENT:
        return look_up_with(s, r, ACCESS_DOMAIN, name, on_name_access);
    case RULE_CHECK_REVERSE:
        return look_up_with(s, r, ACCESS_DOMAIN, reverse, on_name_access);
    case RULE_RHSBL_CLIENT:
        return name_list(s, r, name);
    case RULE_RHSBL_REVERSE:
        return name_list(s, r, reverse);
    case RULE_CLIENT_UNKNOWN:
        return s->names.verified[0]
                   ? GOES_ON
                   : refuse(r, "450 4.7.25 Client host rejected: cannot find your hostname, [%s]",
                            s->peer.text);
    default:
        return s->names.reverse[0] ? GOES_ON
                                   : refuse(r, "450 4.7.1 Client host rejected: cannot find your "
                                               "reverse hostname, [%s]", s->peer.text);
    }
}

static void on_names(struct session *s, void *arg)
{
    step(s, arg, client_rule(s, arg));
}

static enum outcome_of_rule run(struct session *s, struct rules *r)
{
    struct str helo = str_from(s->hello), sender = s->mail.from.path;
    switch (r->step.rule) {
    case RULE_PERMIT:
        return PERMITS;
    case RULE_REJECT:
        return refuse_subject(s, r, "554 5.7.1", STR("Access denied"));
    case RULE_DEFER:
        return refuse_subject(s, r, "450 4.3.2", STR("Try again later"));
    case RULE_PERMIT_MYNETWORKS:
        return config_network_match(&session_cfg(s)->mynetworks, s->peer.ip) ? PERMITS : GOES_ON;
    case RULE_PERMIT_LOGIN:
        return s->login ? PERMITS : GOES_ON;
    case RULE_PERMIT_OURS:
    case RULE_REJECT_ELSEWHERE:
    case RULE_DEFER_ELSEWHERE:
        return destination_rule(r);
    case RULE_CHECK_CLIENT:
    case RULE_CHECK_REVERSE:
    case RULE_CLIENT_UNKNOWN:
    case RULE_REVERSE_UNKNOWN:
    case RULE_RHSBL_CLIENT:
    case RULE_RHSBL_REVERSE:
        if (names_known(s))
            return client_rule(s, r);
        names_need(s, on_names, r);
        return WAITS;
    case RULE_CHECK_HELO:
        return look_up(s, r, ACCESS_DOMAIN, helo);
    case RULE_CHECK_SENDER:
        return look_up(s, r, ACCESS_ADDRESS, sender);
    case RULE_CHECK_RECIPIENT:
        return look_up(s, r, ACCESS_ADDRESS, r->recipient);
    case RULE_CHECK_POLICY:
        policy_ask(s, r->arena, r->step.argument, r->recipient, on_policy, r);
        return WAITS;
    case RULE_HELO_INVALID:
    case RULE_HELO_NOT_FQDN:
    case RULE_HELO_UNKNOWN:
        return greeting_rule(s, r, helo);
    case RULE_SENDER_UNKNOWN:
        return need_sender_domain(s, r);
    case RULE_RECIPIENT_UNKNOWN:
        /* The house's own domains need no DNS. */
        return r->elsewhere ? need_domain(s, r, DNS_ASK_MAIL, domain_of(r->recipient)) : GOES_ON;
    case RULE_RBL_CLIENT:
        return ask_list(s, r, (struct str){0});
    case RULE_RHSBL_HELO:
        return ask_list(s, r, helo);
    case RULE_RHSBL_SENDER:
        return ask_list(s, r, domain_of(sender));
    default:
        return names_rule(s, r, sender);
    }
}

/* --- all of them --- */

static void end(struct session *s, struct rules *r, const char *text)
{
    s->verb = "RCPT";
    r->fn(s, text);
}

/* The next rule; false when all lists are through. */
static bool next_rule(struct rules *r)
{
    r->warn = false;
    while (r->list < LISTS) {
        while (rule_next(&r->rest, &r->step)) {
            if (r->step.rule != RULE_WARN)
                return true;
            r->warn = true;
        }
        if (++r->list < LISTS)
            r->rest = r->lists[r->list];
    }
    return false;
}

/* What the rule at hand said, and then the following ones as far as they answer at once. */
static void step(struct session *s, struct rules *r, enum outcome_of_rule o)
{
    for (;;) {
        if (o == WAITS)
            return;
        if (o == REFUSES && r->warn)
            log_warning("warn-if-reject", LZ("session", s->id), LZ("client", s->peer.text),
                        LZ("text", r->text));
        else if (o == REFUSES)
            break;
        if (o == PERMITS)
            r->rest = (struct str){"", 0};
        if (!next_rule(r)) {
            end(s, r, r->maybe ? r->maybe_text : NULL);
            return;
        }
        o = run(s, r);
    }
    end(s, r, r->text);
}

void rules_run(struct session *s, struct arena *a, struct str recipient, bool elsewhere,
               rules_fn fn)
{
    const struct config *c = session_cfg(s);
    struct rules *r = ARENA_NEW(a, struct rules);
    *r = (struct rules){.arena = a, .elsewhere = elsewhere, .recipient = recipient, .fn = fn,
                        .lists = {c->smtpd_client_restrictions, c->smtpd_helo_restrictions,
                                  c->smtpd_sender_restrictions, c->smtpd_relay_restrictions,
                                  c->smtpd_recipient_restrictions}};
    r->rest = r->lists[0];
    step(s, r, GOES_ON);
}
