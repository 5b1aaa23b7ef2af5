/* TLS policies and TLSA records. */
#include "relay/policy.h"

#include <openssl/ssl.h>

static const char *const names[] = {"none", "may", "encrypt", "verify", "secure", "dane",
                                    "dane-only"};

const char *tls_level_name(enum tls_level level)
{
    return names[level];
}

static int version_of(struct str s)
{
    return str_caseeq(s, STR("TLSv1.2"))   ? TLS1_2_VERSION
           : str_caseeq(s, STR("TLSv1.3")) ? TLS1_3_VERSION
           : str_caseeq(s, STR("SSLv2")) || str_caseeq(s, STR("SSLv3")) ||
                   str_caseeq(s, STR("TLSv1")) || str_caseeq(s, STR("TLSv1.1"))
               ? 1
               : 0;
}

static void at_least(struct tls_policy *p, int version)
{
    if (version > p->min_version)
        p->min_version = version;
}

/* "!TLSv1.2", ">=TLSv1.3", "<=TLSv1.2", or a name: of those that are named without a mark, one is
 * enough. What is older than TLS 1.2 is never spoken, so saying no to it changes nothing. */
static int take_protocol(struct tls_policy *p, struct str word, bool named[2], struct err *e)
{
    struct str name = str_skip(word, str_starts(word, STR("!"))    ? 1
                                     : str_starts(word, STR(">=")) ? 2
                                     : str_starts(word, STR("<=")) ? 2
                                                                   : 0);
    int version = version_of(name);
    if (version == 0)
        return err_perm(e, "protocols: \"%.*s\" is not known", STR_FMT(str_head(word, 40)));
    if (word.p[0] == '>') {
        at_least(p, version);
    } else if (word.p[0] == '<') {
        if (version == 1)
            return err_perm(e, "protocols: nothing older than TLSv1.2 is spoken");
        p->max_version = version;
    } else if (word.p[0] != '!') {
        named[0] = named[0] || version == TLS1_2_VERSION;
        named[1] = named[1] || version == TLS1_3_VERSION;
    } else if (version == TLS1_2_VERSION) {
        at_least(p, TLS1_3_VERSION);
    } else if (version == TLS1_3_VERSION) {
        p->max_version = TLS1_2_VERSION;
    }
    return 0;
}

static int take_protocols(struct tls_policy *p, struct str value, struct err *e)
{
    struct str word;
    bool named[2] = {false, false};
    while (str_token(&value, ":,", &word))
        if (take_protocol(p, word, named, e) != 0)
            return -1;
    if (named[1] && !named[0])
        at_least(p, TLS1_3_VERSION);
    if (named[0] && !named[1])
        p->max_version = TLS1_2_VERSION;
    if (p->max_version && p->min_version > p->max_version)
        return err_perm(e, "protocols: none is left");
    return 0;
}

static int take_attribute(struct tls_policy *p, struct str word, struct err *e)
{
    ptrdiff_t eq = str_find(word, '=');
    struct str name = str_head(word, eq < 0 ? word.n : (size_t)eq);
    struct str value = eq < 0 ? (struct str){"", 0} : str_skip(word, (size_t)eq + 1);
    if (value.n == 0)
        return err_perm(e, "\"%.*s\" is not ATTRIBUTE=VALUE", STR_FMT(str_head(word, 80)));
    if (str_caseeq(name, STR("protocols")))
        return take_protocols(p, value, e);
    if (str_caseeq(name, STR("match"))) {
        if (p->level != TLS_VERIFY && p->level != TLS_SECURE)
            return err_perm(e, "match= is for verify and secure");
        p->match = value;
    } else if (str_caseeq(name, STR("ciphers")) || str_caseeq(name, STR("exclude")) ||
               str_caseeq(name, STR("connection_reuse"))) {
        p->ignored = name;
    } else {
        return err_perm(e, "attribute \"%.*s\" is not known", STR_FMT(str_head(name, 80)));
    }
    return 0;
}

int tls_policy_parse(struct str text, struct tls_policy *out, struct err *e)
{
    struct str word;
    size_t level = 0;
    *out = (struct tls_policy){0};
    if (!str_token(&text, " \t", &word))
        return err_perm(e, "a TLS policy starts with a level");
    while (level <= TLS_DANE_ONLY && !str_caseeq(word, str_from(names[level])))
        level++;
    if (level > TLS_DANE_ONLY)
        return err_perm(e, "\"%.*s\" is no TLS level", STR_FMT(str_head(word, 80)));
    out->level = (enum tls_level)level;
    while (str_token(&text, " \t", &word))
        if (take_attribute(out, word, e) != 0)
            return -1;
    return 0;
}

size_t tls_policy_keys(struct str destination, struct str keys[TLS_POLICY_KEYS])
{
    size_t n = 0;
    keys[n++] = destination;
    if (str_find(destination, '[') >= 0 || str_find(destination, ':') >= 0)
        return n;
    struct str rest = destination;
    for (ptrdiff_t dot; n < TLS_POLICY_KEYS && (dot = str_find(rest, '.')) >= 0; n++) {
        keys[n] = str_skip(rest, (size_t)dot);
        rest = str_skip(rest, (size_t)dot + 1);
    }
    return n;
}

bool tlsa_read(struct str rdata, struct tlsa *out)
{
    enum { DANE_TA = 2, DANE_EE = 3, WHOLE = 0, SHA2_256 = 1, SHA2_512 = 2 };
    if (rdata.n < 4)
        return false;
    const unsigned char *b = (const unsigned char *)rdata.p;
    *out = (struct tlsa){b[0], b[1], b[2], str_skip(rdata, 3)};
    return (out->usage == DANE_TA || out->usage == DANE_EE) && out->selector <= 1 &&
           (out->matching == WHOLE || (out->matching == SHA2_256 && out->data.n == 32) ||
            (out->matching == SHA2_512 && out->data.n == 64));
}
