/* Names as the directory is asked for them. */
#include "directory/names.h"
#include "mail/address.h"

#include <ldap.h>
#include <stdlib.h>

/* --- addresses --- */

static struct str print_address(struct arena *a, struct str local, const struct mail_address *m)
{
    struct mail_address copy = *m;
    copy.local = local;
    return mail_address_print(a, &copy);
}

int name_address_read(struct arena *a, const struct name_rules *rules, struct str text,
                      struct name_address *out, struct err *e)
{
    struct mail_address m;
    unsigned flags = MAIL_ADDRESS_NO_DOMAIN | MAIL_ADDRESS_LENIENT;
    if (mail_address_parse(a, text, flags | (rules->utf8 ? MAIL_ADDRESS_UTF8 : 0), &m, e) != 0)
        return -1;
    bool postmaster = str_caseeq(m.local, STR("postmaster"));
    if (m.domain.n == 0)
        m.domain = m.utf8_domain = postmaster ? rules->myhostname : rules->myorigin;
    if (m.domain.n == 0)
        return err_perm(e, "an address without domain, and myorigin is empty");
    *out = (struct name_address){.domain = m.domain, .is_postmaster = postmaster};
    mail_local_split(m.local, rules->delimiters, &out->user, &out->extension);
    if (out->user.n < m.local.n)
        out->extension = str_skip(m.local, out->user.n);
    else
        out->extension = (struct str){0};
    out->printed = print_address(a, m.local, &m);
    out->key = mail_fold_case(a, out->printed);
    if (out->extension.n)
        out->short_key = mail_fold_case(a, print_address(a, out->user, &m));
    out->at_domain = arena_concat(a, STR("@"), m.domain);
    return 0;
}

/* Where the first c outside "quotes", or the end, stands; a backslash takes the next byte along. */
static size_t find_unquoted(struct str s, char c)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < s.n && (quoted || s.p[i] != c); i++) {
        if (s.p[i] == '\\' && i + 1 < s.n)
            i++;
        else if (s.p[i] == '"')
            quoted = !quoted;
    }
    return i;
}

bool name_list_next(struct str *rest, struct str *piece)
{
    while (rest->n) {
        size_t n = find_unquoted(*rest, ',');
        *piece = str_trim(str_head(*rest, n));
        *rest = str_skip(*rest, n + 1);
        if (piece->n)
            return true;
    }
    return false;
}

struct str name_alias_target(struct arena *a, const struct name_address *from, struct str value,
                             struct str extension)
{
    AUTO_BUF local = {0};
    if (value.n && value.p[0] == '@') {
        struct str kept = extension.n ? (struct str){0} : from->extension;
        mail_local_print(&local, arena_concat(a, from->user, kept));
        value = arena_concat(a, buf_view(&local), value);
    }
    if (extension.n == 0)
        return value;
    ptrdiff_t at = str_rfind(value, '@');
    struct str before = at < 0 ? value : str_head(value, (size_t)at);
    /* Inside the quotes of a quoted local part, where it stays part of it. */
    if (before.n > 1 && before.p[before.n - 1] == '"')
        before.n--;
    struct str after = str_skip(value, before.n);
    return arena_printf(a, "%.*s%.*s%.*s", STR_FMT(before), STR_FMT(extension), STR_FMT(after));
}

/* --- logins --- */

int name_login_read(struct arena *a, struct str text, struct str *out, struct err *e)
{
    text = str_trim(text);
    if (text.n == 0 || text.n > NAME_LOGIN_MAX || !str_is_text(text))
        return err_perm(e, "a login name must have 1 to %d bytes of text", NAME_LOGIN_MAX);
    *out = mail_fold_case(a, text);
    return 0;
}

/* The letter of the variable at the start of s (after its %), and its length; 0: none we know. */
static char variable_at(struct str s, size_t *n)
{
    size_t i = s.n && s.p[0] == 'L' ? 1 : 0;
    *n = i + 1;
    if (i >= s.n)
        return 0;
    char c = s.p[i];
    return c == 'u' || c == 'n' || c == 'd' || (c == '%' && i == 0) ? c : 0;
}

int name_template_check(struct str template, const char *option, struct err *e)
{
    ptrdiff_t percent;
    bool names_user = false;
    size_t n;
    struct str rest = template;
    while ((percent = str_find(rest, '%')) >= 0) {
        rest = str_skip(rest, (size_t)percent + 1);
        char c = variable_at(rest, &n);
        if (c == 0)
            return err_perm(e, "%s: \"%%%.*s\" is none of %%u, %%n, %%d", option,
                            STR_FMT(str_head(rest, 1)));
        names_user = names_user || c == 'u' || c == 'n';
        rest = str_skip(rest, n);
    }
    if (!names_user)
        return err_perm(e, "%s: has neither %%u nor %%n and so would be the same for everybody",
                        option);
    return 0;
}

static struct str variable_value(char c, struct str login)
{
    ptrdiff_t at = str_rfind(login, '@');
    if (c == 'u' || (c == 'n' && at < 0))
        return login;
    if (c == 'n')
        return str_head(login, (size_t)at);
    return at < 0 ? (struct str){0} : str_skip(login, (size_t)at + 1);
}

void name_template_expand(struct buf *out, struct str template, struct str login,
                          int (*escape)(struct buf *, struct str))
{
    while (template.n) {
        ptrdiff_t percent = str_find(template, '%');
        size_t plain = percent < 0 ? template.n : (size_t)percent, n;
        buf_str(out, str_head(template, plain));
        template = str_skip(template, percent < 0 ? plain : plain + 1);
        if (percent < 0)
            break;
        char c = variable_at(template, &n);
        if (c == '%')
            buf_byte(out, '%');
        else if (c != 0)
            escape(out, variable_value(c, login));
        template = str_skip(template, n);
    }
}

/* --- DNs --- */

static struct str single_blanks(struct arena *a, struct str s)
{
    s = str_trim(s);
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ' || out[n - 1] != ' ')
            out[n++] = s.p[i];
    return (struct str){out, n};
}

/* The length before each value keeps any byte in it from being taken for a separator. */
static struct str ava_text(struct arena *a, const LDAPAVA *ava)
{
    struct str value = {ava->la_value.bv_val, ava->la_value.bv_len};
    char *type = arena_strz(a, (struct str){ava->la_attr.bv_val, ava->la_attr.bv_len});
    str_lower(type, ava->la_attr.bv_len);
    value = mail_fold_case(a, single_blanks(a, value));
    return arena_printf(a, "%s=%zu:%.*s", type, value.n, STR_FMT(value));
}

static int compare_text(const void *x, const void *y)
{
    return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

static void add_rdn(struct arena *a, struct buf *out, LDAPRDN rdn)
{
    size_t n = 0;
    while (rdn[n])
        n++;
    struct str *parts = arena_array(a, n, sizeof *parts);
    for (size_t i = 0; i < n; i++)
        parts[i] = ava_text(a, rdn[i]);
    qsort(parts, n, sizeof *parts, compare_text);
    for (size_t i = 0; i < n; i++) {
        buf_byte(out, i ? '+' : ',');
        buf_str(out, parts[i]);
    }
}

struct str name_dn(struct arena *a, struct str dn)
{
    LDAPDN parsed = NULL;
    AUTO_BUF out = {0};
    if (dn.n == 0 || memchr(dn.p, '\0', dn.n) ||
        ldap_str2dn(arena_strz(a, dn), &parsed, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS || !parsed)
        return (struct str){0};
    for (size_t i = 0; parsed[i]; i++)
        add_rdn(a, &out, parsed[i]);
    ldap_dnfree(parsed);
    return arena_str(a, buf_view(&out));
}
