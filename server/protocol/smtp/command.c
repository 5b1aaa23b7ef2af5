/* SMTP commands. */
#include "protocol/smtp/command.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct str skip_blanks(struct str s)
{
    while (s.n && is_blank(s.p[0]))
        s = str_skip(s, 1);
    return s;
}

static int wrong(struct err *e, const char *why, const char *reply)
{
    err_perm(e, "%s", why);
    return err_client(e, "%s", reply);
}

void smtp_command_split(struct str line, struct str *verb, struct str *args)
{
    size_t n = 0;
    while (n < line.n && !is_blank(line.p[n]))
        n++;
    *verb = str_head(line, n);
    *args = str_trim(str_skip(line, n));
}

/* --- parameters --- */

struct parameter {
    struct str name, value;
    bool has_value;
};

struct parameters {
    struct parameter v[SMTP_PARAMETERS_MAX];
    size_t n;
};

static bool is_name(struct str s)
{
    if (s.n == 0 || s.p[0] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return true;
}

/* esmtp-value: any octet but "=", blanks and controls (RFC 5321 4.1.2, UTF-8 by RFC 6531 3.3). */
static bool is_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c == 0x7f || c == '=')
            return false;
    }
    return s.n > 0;
}

static bool named_before(const struct parameters *ps, struct str name)
{
    for (size_t i = 0; i < ps->n; i++)
        if (str_caseeq(ps->v[i].name, name))
            return true;
    return false;
}

static int take_parameter(struct parameters *ps, struct str word, struct err *e)
{
    ptrdiff_t eq = str_find(word, '=');
    struct parameter p = {.name = word};
    if (eq >= 0) {
        p.name = str_head(word, (size_t)eq);
        p.value = str_skip(word, (size_t)eq + 1);
        p.has_value = true;
    }
    if (!is_name(p.name) || (p.has_value && !is_value(p.value)))
        return wrong(e, "malformed parameter", "501 5.5.4 Syntax error in parameters");
    if (named_before(ps, p.name))
        return wrong(e, "parameter twice", "501 5.5.4 A parameter is given twice");
    if (ps->n == SMTP_PARAMETERS_MAX)
        return wrong(e, "too many parameters", "501 5.5.4 Too many parameters");
    ps->v[ps->n++] = p;
    return 0;
}

static int take_parameters(struct str rest, struct parameters *ps, struct err *e)
{
    struct str word;
    if (rest.n && !is_blank(rest.p[0]))
        return wrong(e, "no blank behind the path", "501 5.5.4 Syntax error behind the address");
    while (str_token(&rest, " \t", &word))
        if (take_parameter(ps, word, e) != 0)
            return -1;
    return 0;
}

static int not_offered(const struct parameter *p, struct err *e)
{
    struct str name = str_head(p->name, 40);
    err_perm(e, "parameter not offered");
    return err_client(e, "555 5.5.4 Unsupported parameter: %.*s", STR_FMT(name));
}

/* --- MAIL --- */

struct mail_rule {
    const char *name;
    unsigned extension;
    int (*take)(const struct parameter *p, struct smtp_mail *m, struct err *e);
};

static int take_size(const struct parameter *p, struct smtp_mail *m, struct err *e)
{
    /* At most 20 digits (RFC 1870 section 4). */
    if (!p->has_value || p->value.n > 20 || str_find(p->value, '-') >= 0)
        return wrong(e, "malformed SIZE", "501 5.5.4 Bad SIZE value");
    for (size_t i = 0; i < p->value.n; i++)
        if (p->value.p[i] < '0' || p->value.p[i] > '9')
            return wrong(e, "malformed SIZE", "501 5.5.4 Bad SIZE value");
    if (str_u64(p->value, &m->size) != 0)
        m->size = UINT64_MAX;
    return 0;
}

static int take_body(const struct parameter *p, struct smtp_mail *m, struct err *e)
{
    if (str_caseeq(p->value, STR("8BITMIME")))
        m->body = SMTP_BODY_8BITMIME;
    else if (str_caseeq(p->value, STR("7BIT")))
        m->body = SMTP_BODY_7BIT;
    else
        return wrong(e, "unknown BODY", "501 5.5.4 Bad BODY value: 7BIT or 8BITMIME");
    return 0;
}

static int take_smtputf8(const struct parameter *p, struct smtp_mail *m, struct err *e)
{
    if (p->has_value)
        return wrong(e, "SMTPUTF8 with a value", "501 5.5.4 SMTPUTF8 takes no value");
    m->smtputf8 = true;
    return 0;
}

/* Where the message was first submitted (RFC 4954 section 5): nobody here trusts it. */
static int take_auth(const struct parameter *p, struct smtp_mail *m, struct err *e)
{
    (void)m;
    if (!p->has_value)
        return wrong(e, "AUTH without a value", "501 5.5.4 Bad AUTH value");
    return 0;
}

static int take_ret(const struct parameter *p, struct smtp_mail *m, struct err *e)
{
    m->ret = smtp_ret_parse(p->value);
    return m->ret == SMTP_RET_NONE
               ? wrong(e, "unknown RET", "501 5.5.4 Bad RET value: FULL or HDRS")
               : 0;
}

static int take_envid(const struct parameter *p, struct smtp_mail *m, struct err *e)
{
    m->envid = p->value;
    return smtp_envid_is_sound(p->value) ? 0 : wrong(e, "malformed ENVID", "501 5.5.4 Bad ENVID");
}

static const struct mail_rule mail_rules[] = {
    {"SIZE", SMTP_EXT_SIZE, take_size},
    {"BODY", SMTP_EXT_8BITMIME, take_body},
    {"SMTPUTF8", SMTP_EXT_SMTPUTF8, take_smtputf8},
    {"AUTH", SMTP_EXT_AUTH, take_auth},
    {"RET", SMTP_EXT_DSN, take_ret},
    {"ENVID", SMTP_EXT_DSN, take_envid},
};

static int take_mail_parameter(const struct parameter *p, unsigned offered, struct smtp_mail *m,
                               struct err *e)
{
    for (size_t i = 0; i < sizeof mail_rules / sizeof mail_rules[0]; i++) {
        const struct mail_rule *r = &mail_rules[i];
        if (str_caseeq(p->name, str_from(r->name)))
            return offered & r->extension ? r->take(p, m, e) : not_offered(p, e);
    }
    return not_offered(p, e);
}

/* "FROM:" with blanks allowed behind the colon, as every server allows; 0 and *rest at the "<". */
static int take_keyword(struct str args, struct str keyword, struct str *rest)
{
    if (!str_casestarts(args, keyword))
        return -1;
    *rest = skip_blanks(str_skip(args, keyword.n));
    return rest->n && rest->p[0] == '<' ? 0 : -1;
}

/* The path is parsed with UTF-8 allowed, so that the refusal can say what the matter is. */
static int check_utf8(struct str path, bool smtputf8, struct err *e)
{
    if (!str_is_ascii(path) && !smtputf8)
        return wrong(e, "UTF-8 address without SMTPUTF8",
                     "553 5.6.7 Address with non-ASCII characters needs SMTPUTF8");
    return 0;
}

static struct str taken(struct str before, struct str after)
{
    return str_head(before, before.n - after.n);
}

int smtp_parse_mail(struct arena *a, struct str args, unsigned offered, struct smtp_mail *out,
                    struct err *e)
{
    struct parameters ps = {.n = 0};
    struct str rest;
    *out = (struct smtp_mail){0};
    if (take_keyword(args, STR("FROM:"), &rest) != 0)
        return wrong(e, "malformed MAIL", "501 5.5.4 Syntax: MAIL FROM:<address>");
    struct str before = rest;
    unsigned flags = MAIL_ADDRESS_NULL | MAIL_ADDRESS_UTF8 | MAIL_ADDRESS_LENIENT;
    if (mail_path_take(a, &rest, flags, &out->sender, e) != 0)
        return wrong(e, "bad sender address", "501 5.1.7 Bad sender address syntax");
    if (take_parameters(rest, &ps, e) != 0)
        return -1;
    for (size_t i = 0; i < ps.n; i++)
        if (take_mail_parameter(&ps.v[i], offered, out, e) != 0)
            return -1;
    out->path = mail_address_print(a, &out->sender);
    out->envid = arena_str(a, out->envid);
    return check_utf8(taken(before, rest), out->smtputf8, e);
}

/* --- RCPT --- */

static bool is_bare_postmaster(const struct mail_address *m)
{
    return m->domain.n == 0 && str_caseeq(m->local, STR("postmaster"));
}

static int take_rcpt_parameter(const struct parameter *p, unsigned offered, struct smtp_rcpt *r,
                               struct err *e)
{
    bool notify = str_caseeq(p->name, STR("NOTIFY")), orcpt = str_caseeq(p->name, STR("ORCPT"));
    if (!(offered & SMTP_EXT_DSN) || (!notify && !orcpt))
        return not_offered(p, e);
    if (notify && (r->notify = smtp_notify_parse(p->value)) == 0)
        return wrong(e, "malformed NOTIFY",
                     "501 5.5.4 Bad NOTIFY value: NEVER, or some of SUCCESS,FAILURE,DELAY");
    if (orcpt && !smtp_orcpt_is_sound(p->value))
        return wrong(e, "malformed ORCPT", "501 5.5.4 Bad ORCPT value");
    if (orcpt)
        r->orcpt = p->value;
    return 0;
}

int smtp_parse_rcpt(struct arena *a, struct str args, unsigned offered, bool smtputf8,
                    struct smtp_rcpt *out, struct err *e)
{
    static const char bad[] = "501 5.1.3 Bad recipient address syntax";
    struct parameters ps = {.n = 0};
    struct str rest;
    *out = (struct smtp_rcpt){0};
    if (take_keyword(args, STR("TO:"), &rest) != 0)
        return wrong(e, "malformed RCPT", "501 5.5.4 Syntax: RCPT TO:<address>");
    struct str before = rest;
    unsigned flags = MAIL_ADDRESS_NO_DOMAIN | MAIL_ADDRESS_UTF8 | MAIL_ADDRESS_LENIENT;
    if (mail_path_take(a, &rest, flags, &out->address, e) != 0)
        return wrong(e, "bad recipient address", bad);
    if (out->address.domain.n == 0 && !is_bare_postmaster(&out->address))
        return wrong(e, "recipient address without a domain", bad);
    if (take_parameters(rest, &ps, e) != 0)
        return -1;
    for (size_t i = 0; i < ps.n; i++)
        if (take_rcpt_parameter(&ps.v[i], offered, out, e) != 0)
            return -1;
    out->path = mail_address_print(a, &out->address);
    out->orcpt = arena_str(a, out->orcpt);
    return check_utf8(taken(before, rest), smtputf8, e);
}

/* --- the others --- */

/* Domain or address literal (RFC 5321 4.1.1.1), with the odd characters that machines have in their
 * names; nothing that would mean something in a Received header. */
static bool is_hello_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~:[]/+#%!*", c));
}

int smtp_parse_hello(struct str args, struct str *name, struct err *e)
{
    if (args.n == 0 || args.n > MAIL_DOMAIN_MAX)
        return wrong(e, "no host name", "501 5.5.4 Syntax: EHLO hostname");
    for (size_t i = 0; i < args.n; i++)
        if (!is_hello_char(args.p[i]))
            return wrong(e, "malformed host name", "501 5.5.4 Invalid host name");
    *name = args;
    return 0;
}

int smtp_parse_bdat(struct str args, uint64_t *size, bool *last, struct err *e)
{
    static const char syntax[] = "501 5.5.4 Syntax: BDAT size [LAST]";
    struct str number, word, extra;
    if (!str_token(&args, " \t", &number) || number.n > 20 || str_u64(number, size) != 0)
        return wrong(e, "malformed BDAT", syntax);
    *last = str_token(&args, " \t", &word);
    if (*last && (!str_caseeq(word, STR("LAST")) || str_token(&args, " \t", &extra)))
        return wrong(e, "malformed BDAT", syntax);
    return 0;
}

int smtp_parse_auth(struct str args, struct smtp_auth *out, struct err *e)
{
    struct str extra;
    *out = (struct smtp_auth){0};
    if (!str_token(&args, " \t", &out->mechanism))
        return wrong(e, "malformed AUTH", "501 5.5.4 Syntax: AUTH mechanism");
    if (!str_token(&args, " \t", &out->initial))
        out->initial = (struct str){NULL, 0};
    if (str_token(&args, " \t", &extra))
        return wrong(e, "malformed AUTH", "501 5.5.4 Syntax: AUTH mechanism [initial-response]");
    return 0;
}

/* --- enhanced status codes --- */

static bool take_digits(struct str *s)
{
    size_t n = 0;
    while (n < s->n && n < 3 && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    *s = str_skip(*s, n);
    return n > 0;
}

static bool take_char(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = str_skip(*s, 1);
    return true;
}

bool smtp_has_status(struct str text, char class_digit)
{
    return take_char(&text, class_digit) && take_char(&text, '.') && take_digits(&text) &&
           take_char(&text, '.') && take_digits(&text) && take_char(&text, ' ');
}
