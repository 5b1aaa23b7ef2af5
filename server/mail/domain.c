/* Domain names: syntax (RFC 5321 section 4.1.2, RFC 1123 section 2.1) and IDNA (RFC 5891). */
#include "mail/address.h"

#include <idn2.h>
#include <stdlib.h>

#define LABEL_MAX 63

static bool let_dig(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static int bad(struct err *e, struct str text, const char *why)
{
    err_perm(e, "domain \"%.*s\": %s", STR_FMT(str_head(text, 260)), why);
    return err_client(e, "5.1.3 Bad domain in address: %s", why);
}

static const char *label_fault(struct str label)
{
    if (label.n == 0)
        return "empty label";
    if (label.n > LABEL_MAX)
        return "label longer than 63 octets";
    if (label.p[0] == '-' || label.p[label.n - 1] == '-')
        return "label begins or ends with a hyphen";
    for (size_t i = 0; i < label.n; i++)
        if (!let_dig(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
            return "character that no domain name has";
    return NULL;
}

/* What is wrong with an ASCII name, NULL when nothing is. The underscore is let through: such hosts
 * exist, and Postfix takes them. */
static const char *name_fault(struct str name)
{
    if (name.n == 0)
        return "missing";
    if (name.n > MAIL_DOMAIN_MAX)
        return "longer than 255 octets";
    if (name.p[name.n - 1] == '.')
        return "trailing dot";
    bool letters = false;
    for (size_t i = 0; i < name.n; i++)
        letters |= name.p[i] != '.' && !(name.p[i] >= '0' && name.p[i] <= '9');
    if (!letters)
        return "a number without brackets";
    for (struct str rest = name;;) {
        ptrdiff_t dot = str_find(rest, '.');
        const char *fault = label_fault(dot < 0 ? rest : str_head(rest, (size_t)dot));
        if (fault || dot < 0)
            return fault;
        rest = str_skip(rest, (size_t)dot + 1);
    }
}

static void idn_freep(char **p)
{
    idn2_free(*p);
}

/* The U-label form of an A-label name; itself when it is none. */
static struct str to_unicode(struct arena *a, struct str ascii)
{
    CLEANUP(idn_freep) char *out = NULL;
    if (!str_casecontains(ascii, STR("xn--")) ||
        idn2_to_unicode_8z8z(ascii.p, &out, IDN2_NONTRANSITIONAL) != IDN2_OK)
        return ascii;
    return arena_str(a, str_from(out));
}

static int from_unicode(struct arena *a, struct str text, unsigned flags, struct str *ascii,
                        struct err *e)
{
    CLEANUP(idn_freep) char *out = NULL;
    if (!(flags & MAIL_ADDRESS_UTF8)) {
        err_perm(e, "domain \"%.*s\": 8-bit without SMTPUTF8", STR_FMT(text));
        return err_client(e, "5.6.7 Internationalised domain needs SMTPUTF8");
    }
    if (!str_is_utf8(text))
        return bad(e, text, "not UTF-8");
    int r = idn2_to_ascii_8z(arena_strz(a, text), &out,
                             IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES);
    if (r != IDN2_OK)
        return bad(e, text, idn2_strerror(r));
    *ascii = arena_str(a, str_from(out));
    return 0;
}

int mail_domain_parse(struct arena *a, struct str text, unsigned flags, struct str *ascii,
                      struct str *utf8, struct err *e)
{
    struct str name = text;
    if (text.n > 4 * MAIL_DOMAIN_MAX)
        return bad(e, text, "longer than 255 octets");
    if (!str_is_ascii(text) && from_unicode(a, text, flags, &name, e) != 0)
        return -1;
    const char *fault = name_fault(name);
    if (fault)
        return bad(e, text, fault);
    char *p = arena_strz(a, name);
    str_lower(p, name.n);
    *ascii = (struct str){p, name.n};
    if (utf8)
        *utf8 = to_unicode(a, *ascii);
    return 0;
}
