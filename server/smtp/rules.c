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
#include "mail/hostname.h"
#include "smtp/rules_private.h"

bool rules_may_relay(const struct session *s)
{
    const struct config *c = session_cfg(s);
    return s->login || (config_network_match(&c->mynetworks, s->peer.ip) &&
                        rule_permits_mynetworks(c->smtpd_relay_restrictions,
                                                c->smtpd_recipient_restrictions));
}

/* --- names --- */

static bool is_fqdn(struct str name)
{
    return rules_is_literal(name) || (str_find(name, '.') > 0 && name.p[name.n - 1] != '.');
}

/* What a greeting is checked for first: -1 when it is a bad literal, which is refused; 1 when it is a
 * good one, which no rule is about; 0 when it is a name. */
static int greeting_kind(struct str helo)
{
    return !rules_is_literal(helo) ? 0 : hostname_is_literal(helo) ? 1 : -1;
}

/* A name that ends with a dot is as good. */
static struct str without_dot(struct str name)
{
    return name.n > 1 && name.p[name.n - 1] == '.' ? str_head(name, name.n - 1) : name;
}

/* --- one rule --- */

static enum rule_outcome greeting_rule(struct session *s, struct rules *r, struct str helo)
{
    int kind = greeting_kind(helo);
    struct str name = without_dot(helo);
    if (kind != 0)
        return kind > 0 ? GOES_ON : rules_refuse_subject(s, r, "501 5.5.2", STR("invalid ip address"));
    switch (r->step.rule) {
    case RULE_HELO_INVALID:
        return hostname_is_valid(name) || hostname_is_address(name)
                   ? GOES_ON
                   : rules_refuse_subject(s, r, "501 5.5.2", STR("Invalid name"));
    case RULE_HELO_NOT_FQDN:
        return hostname_is_valid(name) && str_find(name, '.') > 0
                   ? GOES_ON
                   : rules_refuse_subject(s, r, "504 5.5.2", STR("need fully-qualified hostname"));
    default:
        return hostname_is_valid(helo)
                   ? rules_need_domain(s, r, helo)
                   : rules_refuse_subject(s, r, "450 4.7.1", STR("Host not found"));
    }
}

static enum rule_outcome names_rule(struct session *s, struct rules *r, struct str sender)
{
    switch (r->step.rule) {
    case RULE_SENDER_NOT_FQDN:
        return sender.n == 0 || is_fqdn(rules_domain(sender))
                   ? GOES_ON
                   : rules_refuse_subject(s, r, "504 5.5.2", STR("need fully-qualified address"));
    case RULE_RECIPIENT_NOT_FQDN:
        return str_caseeq(r->recipient, STR("postmaster")) || is_fqdn(rules_domain(r->recipient))
                   ? GOES_ON
                   : rules_refuse_subject(s, r, "504 5.5.2", STR("need fully-qualified address"));
    default:
        return GOES_ON;
    }
}

static enum rule_outcome destination_rule(struct rules *r)
{
    const char *status = r->step.rule == RULE_REJECT_ELSEWHERE ? "554 5.7.1" : "454 4.7.1";
    if (r->step.rule == RULE_PERMIT_OURS)
        return r->elsewhere ? GOES_ON : PERMITS;
    return !r->elsewhere ? GOES_ON
                         : rules_refuse(r, "%s <%.*s>: Relay access denied", status,
                                        STR_FMT(r->recipient));
}

static enum rule_outcome name_list(struct session *s, struct rules *r, struct str name)
{
    return str_eq(name, STR("unknown")) ? GOES_ON : rules_ask_list(s, r, name);
}

static enum rule_outcome client_rule(struct session *s, struct rules *r)
{
    struct str name = names_verified(s), reverse = names_reverse(s);
    switch (r->step.rule) {
    case RULE_CHECK_CLIENT:
        return rules_look_up_client(s, r, name);
    case RULE_CHECK_REVERSE:
        return rules_look_up_client(s, r, reverse);
    case RULE_RHSBL_CLIENT:
        return name_list(s, r, name);
    case RULE_RHSBL_REVERSE:
        return name_list(s, r, reverse);
    case RULE_CLIENT_UNKNOWN:
        return s->names.verified[0]
                   ? GOES_ON
                   : rules_refuse(r, "450 4.7.25 Client host rejected: cannot find your hostname, "
                                     "[%s]", s->peer.text);
    default:
        return s->names.reverse[0]
                   ? GOES_ON
                   : rules_refuse(r, "450 4.7.1 Client host rejected: cannot find your reverse "
                                     "hostname, [%s]", s->peer.text);
    }
}

static void on_policy(struct session *s, void *arg, struct str action)
{
    rules_go_on(s, arg, rules_act(s, arg, action));
}

static void on_names(struct session *s, void *arg)
{
    rules_go_on(s, arg, client_rule(s, arg));
}

static enum rule_outcome run(struct session *s, struct rules *r)
{
    struct str helo = str_from(s->hello), sender = s->mail.from.path;
    switch (r->step.rule) {
    case RULE_PERMIT:
        return PERMITS;
    case RULE_REJECT:
        return rules_refuse_subject(s, r, "554 5.7.1", STR("Access denied"));
    case RULE_DEFER:
        return rules_refuse_subject(s, r, "450 4.3.2", STR("Try again later"));
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
        return rules_look_up(s, r, ACCESS_DOMAIN, helo);
    case RULE_CHECK_SENDER:
        return rules_look_up(s, r, ACCESS_ADDRESS, sender);
    case RULE_CHECK_RECIPIENT:
        return rules_look_up(s, r, ACCESS_ADDRESS, r->recipient);
    case RULE_CHECK_POLICY:
        policy_ask(s, r->arena, r->step.argument, r->recipient, on_policy, r);
        return WAITS;
    case RULE_HELO_INVALID:
    case RULE_HELO_NOT_FQDN:
    case RULE_HELO_UNKNOWN:
        return greeting_rule(s, r, helo);
    case RULE_SENDER_UNKNOWN:
        return rules_need_sender_domain(s, r);
    case RULE_RECIPIENT_UNKNOWN:
        /* The house's own domains need no DNS. */
        return r->elsewhere ? rules_need_domain(s, r, rules_domain(r->recipient)) : GOES_ON;
    case RULE_AHEAD:
        /* RFC 2920: only who has seen PIPELINING in the answer to EHLO may send ahead. */
        return s->esmtp || conn_in(s->conn).n == 0
                   ? GOES_ON
                   : rules_refuse_subject(s, r, "503 5.5.0",
                                          STR("Improper use of SMTP command pipelining"));
    case RULE_RBL_CLIENT:
        return rules_ask_list(s, r, (struct str){0});
    case RULE_RHSBL_HELO:
        return rules_ask_list(s, r, helo);
    case RULE_RHSBL_SENDER:
        return rules_ask_list(s, r, rules_domain(sender));
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

void rules_go_on(struct session *s, struct rules *r, enum rule_outcome o)
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
    rules_go_on(s, r, GOES_ON);
}
