/* Restrictions that the DNS answers: does a domain exist, and is somebody in a list (RFC 5782)? */
#include "base/log.h"
#include "smtp/rules_private.h"

bool rules_is_literal(struct str name)
{
    return name.n && name.p[0] == '[';
}

struct str rules_domain(struct str path)
{
    ptrdiff_t at = str_rfind(path, '@');
    return at < 0 ? (struct str){"", 0} : str_skip(path, (size_t)at + 1);
}

/* --- does it exist? --- */

static void ask_dns(struct session *s, struct rules *r, uint8_t kind, struct str name, ask_fn fn)
{
    struct msg m = MSG_INIT(dns_ask);
    m.dns_ask.kind = kind;
    m.dns_ask.name = str_head(name, 300);
    ask(s, s->smtpd->relay, &m, session_cfg(s)->smtpd_dns_timeout * 1000, fn, r);
}

static enum rule_outcome judge_domain(struct session *s, struct rules *r, const struct msg *m)
{
    uint8_t verdict = m ? m->dns_reply.verdict : VERDICT_CANNOT_SAY;
    bool helo = r->step.rule == RULE_HELO_UNKNOWN, sender = r->step.rule == RULE_SENDER_UNKNOWN;
    const char *status = helo ? "450 4.7.1" : sender ? "450 4.1.8" : "450 4.1.2";
    struct str domain = rules_domain(sender ? s->mail.from.path : r->recipient);
    if (verdict == VERDICT_YES || (verdict == VERDICT_REFUSED && helo))
        return GOES_ON;
    if (verdict == VERDICT_REFUSED)
        return rules_refuse_subject(s, r, sender ? "550 5.7.27" : "556 5.1.10",
                                    arena_printf(r->arena,
                                                 "Domain %.*s does not accept mail (nullMX)",
                                                 STR_FMT(domain)));
    if (verdict == VERDICT_NO)
        return rules_refuse_subject(s, r, status,
                                    helo ? STR("Host not found") : STR("Domain not found"));
    log_warning("dns", LZ("session", s->id), LS("why", names_why(m)));
    return rules_refuse_subject(s, r, status, STR("Domain lookup failed for now"));
}

static void on_exists(struct session *s, void *arg, struct msg *m)
{
    rules_go_on(s, arg, judge_domain(s, arg, m));
}

enum rule_outcome rules_need_domain(struct session *s, struct rules *r, struct str domain)
{
    if (domain.n == 0 || rules_is_literal(domain))
        return GOES_ON;
    ask_dns(s, r, DNS_ASK_MAIL, domain, on_exists);
    return WAITS;
}

static void on_own_domain(struct session *s, void *arg, struct msg *m)
{
    struct rules *r = arg;
    uint8_t v = m ? m->resolve_reply.verdict : VERDICT_CANNOT_SAY;
    if (m && m->resolve_reply.more) /* the last part goes on: this walk may end with it */
        return;
    if (v == VERDICT_YES)
        rules_go_on(s, r, GOES_ON);
    else if (v == VERDICT_CANNOT_SAY)
        rules_go_on(s, r, rules_cannot_say(s, r));
    else
        rules_go_on(s, r, rules_need_domain(s, r, rules_domain(s->mail.from.path)));
}

enum rule_outcome rules_need_sender_domain(struct session *s, struct rules *r)
{
    struct msg m = MSG_INIT(resolve_ask);
    struct str domain = rules_domain(s->mail.from.path);
    if (domain.n == 0 || rules_is_literal(domain))
        return GOES_ON;
    m.resolve_ask.address = s->mail.from.path;
    m.resolve_ask.flags = RESOLVE_DOMAIN;
    ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, on_own_domain, r);
    return WAITS;
}

/* --- lists --- */

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

static struct str listed_subject(const struct session *s, const struct rules *r)
{
    struct str domain = str_head(r->domain, 100);
    switch (r->step.rule) {
    case RULE_RBL_CLIENT:
        return arena_printf(r->arena, "Client host [%s]", s->peer.text);
    case RULE_RHSBL_CLIENT:
        return arena_printf(r->arena, "Client host [%.*s]", STR_FMT(domain));
    case RULE_RHSBL_REVERSE:
        return arena_printf(r->arena, "Unverified Client host [%.*s]", STR_FMT(domain));
    case RULE_RHSBL_HELO:
        return arena_printf(r->arena, "Helo command [%.*s]", STR_FMT(domain));
    default:
        return arena_printf(r->arena, "Sender address [%.*s]", STR_FMT(domain));
    }
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
        rules_go_on(s, r, GOES_ON);
        return;
    }
    struct str text = str_head(m->dns_reply.text, 150);
    rules_go_on(s, r, rules_refuse(r, "554 5.7.1 Service unavailable; %.*s blocked using %.*s%s%.*s",
                                   STR_FMT(listed_subject(s, r)), STR_FMT(str_head(r->zone, 100)),
                                   text.n ? "; " : "", STR_FMT(text)));
}

enum rule_outcome rules_ask_list(struct session *s, struct rules *r, struct str domain)
{
    ptrdiff_t eq = str_find(r->step.argument, '=');
    r->zone = eq < 0 ? r->step.argument : str_head(r->step.argument, (size_t)eq);
    r->filter = eq < 0 ? (struct str){0} : str_skip(r->step.argument, (size_t)eq + 1);
    r->domain = domain;
    bool by_address = r->step.rule == RULE_RBL_CLIENT;
    if (!by_address && (domain.n == 0 || rules_is_literal(domain)))
        return GOES_ON;
    ask_dns(s, r, DNS_ASK_LIST,
            by_address ? reversed(s, r->arena, r->zone)
                       : arena_printf(r->arena, "%.*s.%.*s", STR_FMT(domain), STR_FMT(r->zone)),
            on_listed);
    return WAITS;
}
