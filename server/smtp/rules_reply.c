/* What a refusal by a restriction says, in Postfix's words. */
#include "smtp/rules_private.h"

enum rule_outcome rules_refuse(struct rules *r, const char *fmt, ...)
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
    bool any = rule == RULE_CHECK_POLICY || rule == RULE_REJECT || rule == RULE_DEFER ||
               rule == RULE_AHEAD;
    size_t list = any ? r->list : LISTS;
    if (list == LIST_HELO || rule == RULE_CHECK_HELO ||
        (rule >= RULE_HELO_INVALID && rule <= RULE_HELO_UNKNOWN))
        return arena_printf(r->arena, "<%.200s>: Helo command rejected", s->hello);
    if (list == LIST_SENDER || rule == RULE_CHECK_SENDER || rule == RULE_SENDER_NOT_FQDN ||
        rule == RULE_SENDER_UNKNOWN)
        return arena_printf(r->arena, "<%.*s>: Sender address rejected",
                            STR_FMT(s->mail.from.path));
    if (rule == RULE_CHECK_REVERSE)
        return arena_printf(r->arena, "<%.*s>: Unverified Client host rejected",
                            STR_FMT(names_reverse(s)));
    if (list == LIST_CLIENT || rule == RULE_CHECK_CLIENT)
        return arena_printf(r->arena, "<%.*s[%s]>: Client host rejected",
                            STR_FMT(names_known(s) ? names_verified(s) : STR("")), s->peer.text);
    return arena_printf(r->arena, "<%.*s>: Recipient address rejected", STR_FMT(r->recipient));
}

enum rule_outcome rules_refuse_subject(struct session *s, struct rules *r, const char *status,
                                       struct str why)
{
    struct str subject = subject_of(s, r);
    return rules_refuse(r, "%s %.*s: %.*s", status, STR_FMT(str_head(subject, 280)),
                        STR_FMT(str_head(why, 450)));
}

enum rule_outcome rules_cannot_say(struct session *s, struct rules *r)
{
    return rules_refuse_subject(s, r, "451 4.3.0", STR("Temporary lookup failure"));
}
