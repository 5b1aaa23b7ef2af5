/* IMAP's words for a message. */
#include "mail/imap_text.h"

/* --- strings --- */

/* How a string is made fit before it is written. */
enum clean {
    CLEAN_LINES, /* line ends go away, a bare CR becomes a blank */
    CLEAN_HUMAN, /* each run of white space becomes one blank, none at the ends */
};

#define TRY(x)                                                                                     \
    do {                                                                                           \
        if ((x) != 0)                                                                              \
            return -1;                                                                             \
    } while (0)

static bool white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A NUL cannot be said in IMAP outside a literal8: U+FFFD stands for it. */
static int add_clean(struct buf *out, struct str s, enum clean how)
{
    bool blank_due = false;
    size_t start = out->n;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (how == CLEAN_HUMAN && white(c)) {
            blank_due = out->n > start;
            continue;
        }
        if (c == '\n' || (c == '\r' && i + 1 < s.n && s.p[i + 1] == '\n'))
            continue;
        if (c == '\r')
            c = ' ';
        if (blank_due)
            TRY(buf_byte(out, ' '));
        blank_due = false;
        TRY(c ? buf_byte(out, c) : buf_add(out, "\xef\xbf\xbd", 3));
    }
    return 0;
}

static int add_quoted(struct buf *out, struct str s)
{
    TRY(buf_byte(out, '"'));
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            TRY(buf_byte(out, '\\'));
        TRY(buf_byte(out, s.p[i]));
    }
    return buf_byte(out, '"');
}

/* True when s may stand between quotes (RFC 3501 section 9: TEXT-CHAR; RFC 6855 section 3). */
static bool quotable(struct str s, unsigned flags)
{
    bool high = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\0' || s.p[i] == '\r' || s.p[i] == '\n')
            return false;
        high |= (unsigned char)s.p[i] >= 0x80;
    }
    return !high || ((flags & MAIL_IMAP_UTF8) && str_is_utf8(s));
}

int mail_imap_nstring(struct buf *out, struct str s, unsigned flags)
{
    if (!s.p)
        return buf_str(out, STR("NIL"));
    if (quotable(s, flags))
        return add_quoted(out, s);
    TRY(buf_printf(out, "{%zu}\r\n", s.n));
    return buf_str(out, s);
}

/* Most strings need no cleaning at all. */
static bool is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c < ' ' || c == 0x7f || c == '"' || c == '\\')
            return false;
        if (c == ' ' && (i == 0 || i + 1 == s.n || s.p[i + 1] == ' '))
            return false;
    }
    return true;
}

static int add_string(struct buf *out, struct str s, enum clean how, unsigned flags)
{
    if (!s.p)
        return buf_str(out, STR("NIL"));
    if (is_clean(s)) {
        char *to = buf_room(out, s.n + 2);
        if (!to)
            return -1;
        *to++ = '"';
        memcpy(to, s.p, s.n);
        to[s.n] = '"';
        out->n += s.n + 2;
        return 0;
    }
    AUTO_BUF tmp = {0};
    TRY(add_clean(&tmp, s, how));
    return mail_imap_nstring(out, (struct str){tmp.p ? tmp.p : "", tmp.n}, flags);
}

/* --- ENVELOPE --- */

/* A mailbox without a domain would read as the start of a group, one without a local part as its
 * end: words stand for them, the same that Dovecot uses. */
static int add_address(struct buf *out, const struct mail_addr *m, unsigned flags)
{
    if (m->kind == MAIL_ADDR_GROUP_END)
        return buf_str(out, STR("(NIL NIL NIL NIL)"));
    struct str route = m->route, local = m->local, domain = m->domain;
    if (m->kind == MAIL_ADDR_MAILBOX) {
        if (m->bad_route)
            route = STR("INVALID_ROUTE");
        if (!local.p)
            local = STR("MISSING_MAILBOX");
        if (!domain.p)
            domain = m->bad_angle ? STR("SYNTAX_ERROR") : STR("MISSING_DOMAIN");
    }
    TRY(buf_byte(out, '('));
    TRY(add_string(out, m->name, CLEAN_HUMAN, flags));
    TRY(buf_byte(out, ' '));
    TRY(add_string(out, route, CLEAN_LINES, flags));
    TRY(buf_byte(out, ' '));
    TRY(add_string(out, local, CLEAN_HUMAN, flags));
    TRY(buf_byte(out, ' '));
    TRY(add_string(out, domain, CLEAN_LINES, flags));
    return buf_byte(out, ')');
}

static int add_list(struct buf *out, const struct mail_addr_list *l, unsigned flags)
{
    if (l->n == 0)
        return buf_str(out, STR("NIL"));
    TRY(buf_byte(out, '('));
    for (size_t i = 0; i < l->n; i++)
        TRY(add_address(out, &l->v[i], flags));
    return buf_byte(out, ')');
}

int mail_imap_envelope(struct buf *out, const struct mail_envelope *env, unsigned flags)
{
    /* RFC 3501 section 7.4.2: Sender and Reply-To default to From. */
    const struct mail_addr_list *lists[] = {
        &env->from, env->sender.n ? &env->sender : &env->from,
        env->reply_to.n ? &env->reply_to : &env->from, &env->to, &env->cc, &env->bcc};
    TRY(buf_byte(out, '('));
    TRY(add_string(out, env->date, CLEAN_LINES, flags));
    TRY(buf_byte(out, ' '));
    TRY(add_string(out, env->subject, CLEAN_HUMAN, flags));
    TRY(buf_byte(out, ' '));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        TRY(add_list(out, lists[i], flags));
        TRY(buf_byte(out, ' '));
    }
    TRY(add_string(out, env->in_reply_to, CLEAN_LINES, flags));
    TRY(buf_byte(out, ' '));
    TRY(add_string(out, env->message_id, CLEAN_LINES, flags));
    return buf_byte(out, ')');
}

/* --- BODY and BODYSTRUCTURE --- */

struct writer {
    struct buf *out;
    struct arena *arena;
    struct str message;
    bool extended;
    unsigned flags;
};

static int add_params(struct writer *w, const struct mail_param *v, size_t n, bool text)
{
    /* RFC 2045 section 5.2: text without a charset is us-ascii. */
    const struct mail_param *charset = mail_param_find(v, n, STR("charset"));
    bool ascii = text && (!charset || charset->extended);
    if (n == 0 && !ascii)
        return buf_str(w->out, STR("NIL"));
    TRY(buf_byte(w->out, '('));
    for (size_t i = 0; i < n; i++) {
        struct str name = v[i].name;
        if (v[i].extended)
            name = arena_concat(w->arena, name, STR("*"));
        if (i)
            TRY(buf_byte(w->out, ' '));
        TRY(add_string(w->out, name, CLEAN_LINES, w->flags));
        TRY(buf_byte(w->out, ' '));
        TRY(add_string(w->out, v[i].value, CLEAN_LINES, w->flags));
    }
    if (ascii)
        TRY(buf_printf(w->out, "%s\"charset\" \"us-ascii\"", n ? " " : ""));
    return buf_byte(w->out, ')');
}

/* body-ext-1part and body-ext-mpart from the disposition on. */
static int add_extension(struct writer *w, const struct mail_part *p)
{
    if (p->disposition.p) {
        TRY(buf_byte(w->out, '('));
        TRY(add_string(w->out, p->disposition, CLEAN_LINES, w->flags));
        TRY(buf_byte(w->out, ' '));
        TRY(add_params(w, p->disposition_params, p->disposition_param_count, false));
        TRY(buf_byte(w->out, ')'));
    } else {
        TRY(buf_str(w->out, STR("NIL")));
    }
    TRY(buf_byte(w->out, ' '));
    if (p->language_count == 0)
        TRY(buf_str(w->out, STR("NIL")));
    for (size_t i = 0; i < p->language_count; i++) {
        TRY(buf_byte(w->out, i ? ' ' : '('));
        TRY(add_string(w->out, p->languages[i], CLEAN_LINES, w->flags));
    }
    if (p->language_count)
        TRY(buf_byte(w->out, ')'));
    TRY(buf_byte(w->out, ' '));
    return add_string(w->out, p->location, CLEAN_LINES, w->flags);
}

/* Type and subtype. A message or multipart that was not taken apart must not be called one, because
 * its grammar differs. */
static int add_type(struct writer *w, const struct mail_part *p)
{
    struct str type = p->type, subtype = p->subtype;
    if (!type.p) {
        bool text = p->kind == MAIL_PART_TEXT;
        type = text ? STR("text") : STR("message");
        subtype = text ? STR("plain") : STR("rfc822");
    } else if (p->kind == MAIL_PART_LEAF &&
               ((str_caseeq(type, STR("message")) && str_caseeq(subtype, STR("rfc822"))) ||
                str_caseeq(type, STR("multipart")))) {
        type = STR("application");
        subtype = STR("octet-stream");
    }
    TRY(add_string(w->out, type, CLEAN_LINES, w->flags));
    TRY(buf_byte(w->out, ' '));
    return add_string(w->out, subtype, CLEAN_LINES, w->flags);
}

static int add_part(struct writer *w, const struct mail_part *p);

static int add_multipart(struct writer *w, const struct mail_part *p)
{
    /* A multipart has at least one part in the grammar (RFC 3501 section 9, body-type-mpart). */
    if (!p->first)
        TRY(buf_printf(w->out,
                       "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0%s)",
                       w->extended ? " NIL NIL NIL NIL" : ""));
    for (const struct mail_part *c = p->first; c; c = c->next)
        TRY(add_part(w, c));
    TRY(buf_byte(w->out, ' '));
    TRY(add_string(w->out, p->subtype, CLEAN_LINES, w->flags));
    if (!w->extended)
        return 0;
    TRY(buf_byte(w->out, ' '));
    TRY(add_params(w, p->params, p->param_count, false));
    TRY(buf_byte(w->out, ' '));
    return add_extension(w, p);
}

static int add_nested_message(struct writer *w, const struct mail_part *p)
{
    struct mail_envelope env;
    mail_envelope_parse(w->arena, mail_part_header(w->message, p->first), &env);
    TRY(buf_byte(w->out, ' '));
    TRY(mail_imap_envelope(w->out, &env, w->flags));
    TRY(buf_byte(w->out, ' '));
    return add_part(w, p->first);
}

static int add_single(struct writer *w, const struct mail_part *p)
{
    TRY(add_type(w, p));
    TRY(buf_byte(w->out, ' '));
    TRY(add_params(w, p->params, p->param_count, p->kind == MAIL_PART_TEXT));
    TRY(buf_byte(w->out, ' '));
    TRY(add_string(w->out, p->id, CLEAN_LINES, w->flags));
    TRY(buf_byte(w->out, ' '));
    TRY(add_string(w->out, p->description, CLEAN_LINES, w->flags));
    TRY(buf_byte(w->out, ' '));
    TRY(add_string(w->out, p->encoding.p ? p->encoding : STR("7bit"), CLEAN_LINES, w->flags));
    TRY(buf_printf(w->out, " %llu", (unsigned long long)p->body.wire));
    if (p->kind == MAIL_PART_MESSAGE)
        TRY(add_nested_message(w, p));
    if (p->kind == MAIL_PART_MESSAGE || p->kind == MAIL_PART_TEXT)
        TRY(buf_printf(w->out, " %lu", (unsigned long)p->body.lines));
    if (!w->extended)
        return 0;
    TRY(buf_byte(w->out, ' '));
    TRY(add_string(w->out, p->md5, CLEAN_LINES, w->flags));
    TRY(buf_byte(w->out, ' '));
    return add_extension(w, p);
}

static int add_part(struct writer *w, const struct mail_part *p)
{
    TRY(buf_byte(w->out, '('));
    TRY(p->kind == MAIL_PART_MULTIPART ? add_multipart(w, p) : add_single(w, p));
    return buf_byte(w->out, ')');
}

int mail_imap_body(struct buf *out, struct arena *a, struct str message, const struct mail_part *p,
                   bool extended, unsigned flags)
{
    struct writer w = {.out = out, .arena = a, .message = message, .extended = extended,
                       .flags = flags};
    return add_part(&w, p);
}
