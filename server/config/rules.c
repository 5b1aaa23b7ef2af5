/* The words of smtpd_*_restrictions. */
#include "config/rules.h"
#include "config/endpoint.h"

static const struct {
    struct str name;
    enum rule rule;
    enum rule_argument argument;
} table[] = {
#define ROW(name, rule, argument) {{name, sizeof(name) - 1}, RULE_##rule, RULE_##argument}
    ROW("permit", PERMIT, ALONE),
    ROW("reject", REJECT, ALONE),
    ROW("defer", DEFER, ALONE),
    ROW("permit_mynetworks", PERMIT_MYNETWORKS, ALONE),
    ROW("permit_sasl_authenticated", PERMIT_LOGIN, ALONE),
    ROW("permit_auth_destination", PERMIT_OURS, ALONE),
    ROW("reject_unauth_destination", REJECT_ELSEWHERE, ALONE),
    ROW("defer_unauth_destination", DEFER_ELSEWHERE, ALONE),
    ROW("check_client_access", CHECK_CLIENT, TAKES_MAP),
    ROW("check_reverse_client_hostname_access", CHECK_REVERSE, TAKES_MAP),
    ROW("check_helo_access", CHECK_HELO, TAKES_MAP),
    ROW("check_sender_access", CHECK_SENDER, TAKES_MAP),
    ROW("check_recipient_access", CHECK_RECIPIENT, TAKES_MAP),
    ROW("reject_unknown_client_hostname", CLIENT_UNKNOWN, ALONE),
    ROW("reject_unknown_reverse_client_hostname", REVERSE_UNKNOWN, ALONE),
    ROW("reject_invalid_helo_hostname", HELO_INVALID, ALONE),
    ROW("reject_non_fqdn_helo_hostname", HELO_NOT_FQDN, ALONE),
    ROW("reject_unknown_helo_hostname", HELO_UNKNOWN, ALONE),
    ROW("reject_non_fqdn_sender", SENDER_NOT_FQDN, ALONE),
    ROW("reject_unknown_sender_domain", SENDER_UNKNOWN, ALONE),
    ROW("reject_non_fqdn_recipient", RECIPIENT_NOT_FQDN, ALONE),
    ROW("reject_unknown_recipient_domain", RECIPIENT_UNKNOWN, ALONE),
    ROW("reject_unauth_pipelining", AHEAD, ALONE),
    ROW("check_policy_service", CHECK_POLICY, TAKES_PLACE),
    ROW("reject_rbl_client", RBL_CLIENT, TAKES_ZONE),
    ROW("reject_rhsbl_client", RHSBL_CLIENT, TAKES_ZONE),
    ROW("reject_rhsbl_reverse_client", RHSBL_REVERSE, TAKES_ZONE),
    ROW("reject_rhsbl_helo", RHSBL_HELO, TAKES_ZONE),
    ROW("reject_rhsbl_sender", RHSBL_SENDER, TAKES_ZONE),
    ROW("reject_unlisted_recipient", ALWAYS_SO, ALONE),
    ROW("reject_sender_login_mismatch", ALWAYS_SO, ALONE),
    ROW("reject_authenticated_sender_login_mismatch", ALWAYS_SO, ALONE),
    ROW("warn_if_reject", WARN, ALONE),
    /* The names of these before Postfix 2.3, which it still takes. */
    ROW("reject_unknown_client", CLIENT_UNKNOWN, ALONE),
    ROW("reject_invalid_hostname", HELO_INVALID, ALONE),
    ROW("reject_non_fqdn_hostname", HELO_NOT_FQDN, ALONE),
    ROW("reject_unknown_hostname", HELO_UNKNOWN, ALONE),
#undef ROW
};

#define ROWS (sizeof table / sizeof table[0])

bool rule_next(struct str *rest, struct rule_step *out)
{
    *out = (struct rule_step){.rule = RULE_NONE};
    if (!config_map_piece(rest, &out->name))
        return false;
    for (size_t i = 0; i < ROWS; i++) {
        if (!str_caseeq(table[i].name, out->name))
            continue;
        if (table[i].argument == RULE_ALONE || config_map_piece(rest, &out->argument))
            out->rule = table[i].rule;
    }
    return true;
}

static int unknown(const char *option, struct str name, struct err *e)
{
    size_t best = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (str_caseeq(table[i].name, name))
            return err_perm(e, "%s: %.*s needs a %s behind it", option, STR_FMT(name),
                            table[i].argument == RULE_TAKES_MAP     ? "map"
                            : table[i].argument == RULE_TAKES_PLACE ? "place"
                                                                    : "zone");
        if (str_distance(name, table[i].name) < str_distance(name, table[best].name))
            best = i;
    }
    return err_perm(e, "%s: unknown restriction \"%.*s\"; did you mean \"%.*s\"?", option,
                    STR_FMT(str_head(name, 100)), STR_FMT(table[best].name));
}

static bool is_map(struct str argument)
{
    return config_map_file(argument).n || str_starts(argument, STR("inline:")) ||
           str_starts(argument, STR("static:"));
}

static int check_place(const struct rule_step *step, const char *option, struct err *e)
{
    struct config_endpoint at;
    if (step->rule != RULE_CHECK_POLICY || config_endpoint_parse(step->argument, &at, e) == 0)
        return 0;
    return err_prefix(e, "%s", option);
}

bool rule_names_policy(const struct config *c, struct str place)
{
    const struct str lists[] = {c->smtpd_client_restrictions, c->smtpd_helo_restrictions,
                                c->smtpd_sender_restrictions, c->smtpd_relay_restrictions,
                                c->smtpd_recipient_restrictions};
    struct rule_step step;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        for (struct str rest = lists[i]; rule_next(&rest, &step);)
            if (step.rule == RULE_CHECK_POLICY && str_eq(step.argument, place))
                return true;
    return false;
}

bool rule_is_action(struct str action)
{
    static const struct str words[] = {
        {"OK", 2},    {"permit", 6}, {"DUNNO", 5}, {"REJECT", 6},  {"DEFER", 5},
        {"HOLD", 4},  {"WARN", 4},   {"INFO", 4},  {"PREPEND", 7}, {"DISCARD", 7},
        {"DEFER_IF_PERMIT", 15}};
    struct str word = {0};
    uint64_t number;
    str_token(&action, " \t", &word);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (str_caseeq(word, words[i]))
            return true;
    return str_u64(word, &number) == 0;
}

int rule_check(struct str value, const char *option, struct err *e)
{
    struct rule_step step;
    while (rule_next(&value, &step)) {
        if (step.rule == RULE_NONE)
            return unknown(option, step.name, e);
        if (check_place(&step, option, e) != 0)
            return -1;
        if (step.rule >= RULE_CHECK_CLIENT && step.rule <= RULE_CHECK_RECIPIENT &&
            !is_map(step.argument))
            return err_perm(e, "%s: %.*s: \"%.*s\" is none of ldap:FILE, texthash:FILE, "
                               "inline:{KEY=VALUE, ...}, static:VALUE", option, STR_FMT(step.name),
                            STR_FMT(str_head(step.argument, 100)));
    }
    return 0;
}

static bool is_yes_to_all(const struct rule_step *step)
{
    struct str value = str_starts(step->argument, STR("static:")) ? str_skip(step->argument, 7)
                                                                  : (struct str){0};
    return step->rule == RULE_PERMIT || str_caseeq(value, STR("OK")) ||
           str_caseeq(value, STR("permit"));
}

/* 1: it ends with a refusal of strangers; 0: it does not; -1: all are let through before. */
static int refuses(struct str value)
{
    struct rule_step step;
    bool warns = false;
    while (rule_next(&value, &step)) {
        bool refusal = step.rule == RULE_REJECT || step.rule == RULE_DEFER ||
                       step.rule == RULE_REJECT_ELSEWHERE || step.rule == RULE_DEFER_ELSEWHERE;
        if (refusal && !warns)
            return 1;
        if (is_yes_to_all(&step))
            return -1;
        warns = step.rule == RULE_WARN;
    }
    return 0;
}

int rule_check_relaying(struct str relay, struct str recipient, struct err *e)
{
    int first = refuses(relay), second = refuses(recipient);
    if (first == 1 || second == 1)
        return 0;
    return err_perm(e, "smtpd_relay_restrictions: %s: this would be an open relay; say "
                       "reject_unauth_destination",
                    first < 0 || second < 0 ? "everybody is permitted before anybody is refused"
                                            : "nobody is refused");
}

static bool permits_mynetworks(struct str value)
{
    struct rule_step step;
    while (rule_next(&value, &step))
        if (step.rule == RULE_PERMIT_MYNETWORKS)
            return true;
    return false;
}

bool rule_permits_mynetworks(struct str relay, struct str recipient)
{
    return permits_mynetworks(relay.n ? relay : recipient);
}

struct str rule_network_of_all(const struct config_list *networks)
{
    struct config_network net;
    for (size_t i = 0; i < networks->n; i++) {
        if (config_network_parse(networks->v[i], &net) != 0)
            continue;
        bool v4 = memcmp(net.addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0 && net.bits >= 96;
        if (net.bits < (v4 ? 96 + 8 : 16))
            return networks->v[i];
    }
    return (struct str){0};
}
