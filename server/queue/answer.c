/* The answer of somebody who is away. */
#include "queue/answer.h"
#include "mail/address.h"
#include "mail/encoding.h"
#include "mail/header.h"
#include "mail/rfc5322.h"

#define SUBJECT_MAX 400
#define REFERENCES_MAX 20
#define ID_MAX 250
#define LINE_MAX_PLAIN 900 /* RFC 5322 section 2.1.1: 998 */
#define BASE64_LINE 57     /* bytes that become 76 characters (RFC 2045 section 6.8) */

/* --- which mail has no answer --- */

/* Programs that send mail, and addresses of lists (RFC 3834 section 2). */
static bool is_program(struct arena *a, struct str sender)
{
    static const char *const names[] = {"mailer-daemon", "listserv", "majordomo", "double-bounce"};
    static const char *const ends[] = {"-request", "-owner", "-bounces"};
    ptrdiff_t at = str_rfind(sender, '@');
    struct str local = mail_fold_case(a, at < 0 ? sender : str_head(sender, (size_t)at));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (str_eq(local, str_from(names[i])))
            return true;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (str_ends(local, str_from(ends[i])))
            return true;
    return str_starts(local, STR("owner-"));
}

/* A keyword, before any comment or parameter. */
static struct str keyword(struct str value)
{
    struct str piece = {0};
    str_token(&value, "; \t\r\n(", &piece);
    return piece;
}

static const char *forbids(const struct mail_field *f)
{
    struct str word = keyword(f->value);
    if (str_casestarts(f->name, STR("List-")))
        return "it is from a mailing list"; /* RFC 2369, RFC 2919 */
    if (str_caseeq(f->name, STR("Auto-Submitted")) && !str_caseeq(word, STR("no")))
        return "a program sent it"; /* RFC 3834 section 5 */
    if (str_caseeq(f->name, STR("Precedence")) &&
        (str_caseeq(word, STR("bulk")) || str_caseeq(word, STR("list")) ||
         str_caseeq(word, STR("junk"))))
        return "it was sent to many";
    return NULL;
}

const char *answer_forbidden(struct arena *a, struct str sender, struct str header)
{
    struct mail_header_walk w = mail_header_walk(header);
    struct mail_field f;
    const char *why = NULL;
    if (sender.n == 0)
        return "it has no sender";
    if (is_program(a, sender))
        return "a program or a list sent it";
    while (!why && mail_header_next(&w, &f))
        why = f.colon ? forbids(&f) : NULL;
    return why;
}

/* --- whose address it is --- */

/* In one form for all; empty when it is none. */
static struct str normal(struct arena *a, struct str text, struct str delimiters, bool shorten)
{
    struct mail_address m;
    struct err ignored = {0};
    struct str extension;
    if (mail_address_parse(a, text, MAIL_ADDRESS_UTF8 | MAIL_ADDRESS_LENIENT, &m, &ignored) != 0)
        return (struct str){0};
    if (shorten && delimiters.n)
        mail_local_split(m.local, delimiters, &m.local, &extension);
    return mail_fold_case(a, mail_address_print(a, &m));
}

bool answer_has_address(struct arena *a, struct str addresses, struct str delimiters,
                        struct str address, struct str *own)
{
    struct str whole = normal(a, address, delimiters, false), line;
    struct str part = normal(a, address, delimiters, true);
    while (str_line(&addresses, &line)) {
        struct str mine = normal(a, line, delimiters, false);
        if (mine.n == 0 || (!str_eq(mine, whole) && !str_eq(mine, part)))
            continue;
        *own = line;
        return true;
    }
    return false;
}

static bool is_for(struct arena *a, struct str value, struct str addresses, struct str delimiters,
                   struct str *own)
{
    struct mail_addr_list list = {0};
    mail_addrs_parse(a, value, &list);
    for (size_t i = 0; i < list.n; i++) {
        const struct mail_addr *m = &list.v[i];
        AUTO_BUF text = {0};
        if (m->kind != MAIL_ADDR_MAILBOX || !m->local.p || !m->domain.p)
            continue;
        mail_local_print(&text, m->local);
        buf_printf(&text, "@%.*s", STR_FMT(m->domain));
        if (answer_has_address(a, addresses, delimiters, arena_str(a, buf_view(&text)), own))
            return true;
    }
    return false;
}

bool answer_addressee(struct arena *a, struct str header, struct str addresses,
                      struct str delimiters, struct str *own)
{
    static const char *const names[] = {"To", "Cc", "Resent-To", "Resent-Cc"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct mail_field f;
        for (size_t n = 0; mail_header_find(header, str_from(names[i]), n, &f); n++)
            if (is_for(a, f.value, addresses, delimiters, own))
                return true;
    }
    return false;
}

/* --- its text --- */

static bool is_shown(struct str subject)
{
    return subject.n && subject.n <= SUBJECT_MAX && str_is_text(subject);
}

static void print_subject(struct arena *a, const struct answer *n, struct buf *out)
{
    struct mail_field f;
    struct str subject = n->subject;
    if (subject.n == 0) {
        bool has = mail_header_find(n->header, STR("Subject"), 0, &f);
        subject = has ? str_trim(mail_value_unfold(a, f.value)) : (struct str){0};
        /* RFC 3834 section 3.1.5 */
        subject = arena_concat(a, STR("Auto: "), is_shown(subject) ? subject : STR("your message"));
    }
    buf_str(out, STR("Subject: "));
    mail_words_encode(subject, out);
    buf_byte(out, '\n');
}

static bool next_id(struct arena *a, struct str *rest, struct str *id)
{
    while (mail_msgid_next(a, rest, id))
        if (id->n <= ID_MAX && str_is_text(*id))
            return true;
    return false;
}

static size_t ids_of(struct arena *a, struct str header, struct str name, struct str *v)
{
    struct mail_field f;
    size_t n = 0;
    if (!mail_header_find(header, name, 0, &f))
        return 0;
    struct str rest = f.value, id;
    while (next_id(a, &rest, &id)) {
        if (n == REFERENCES_MAX) { /* the first and the newest stay */
            n--;
            memmove(v + 1, v + 2, (n - 1) * sizeof *v);
        }
        v[n++] = id;
    }
    return n;
}

/* RFC 5322 section 3.6.4. */
static void print_thread(struct arena *a, const struct answer *n, struct buf *out)
{
    struct str v[REFERENCES_MAX], own[REFERENCES_MAX];
    if (ids_of(a, n->header, STR("Message-ID"), own) == 0)
        return;
    size_t count = ids_of(a, n->header, STR("References"), v);
    if (count == 0) {
        count = ids_of(a, n->header, STR("In-Reply-To"), v);
        count = count == 1 ? 1 : 0;
    }
    buf_printf(out, "In-Reply-To: <%.*s>\nReferences:", STR_FMT(own[0]));
    for (size_t i = 0; i < count; i++)
        buf_printf(out, " <%.*s>\n", STR_FMT(v[i]));
    buf_printf(out, " <%.*s>\n", STR_FMT(own[0]));
}

static bool is_plain(struct str text)
{
    struct str line;
    while (str_line(&text, &line)) {
        if (line.n > LINE_MAX_PLAIN)
            return false;
        for (size_t i = 0; i < line.n; i++)
            if ((unsigned char)line.p[i] >= 0x7f || (unsigned char)line.p[i] < ' ')
                return false;
    }
    return true;
}

static void print_text(struct str text, struct buf *out)
{
    bool plain = is_plain(text);
    buf_printf(out, "MIME-Version: 1.0\nContent-Type: text/plain; charset=%s\n"
                    "Content-Transfer-Encoding: %s\n\n",
               plain ? "us-ascii" : "utf-8", plain ? "7bit" : "base64");
    AUTO_BUF lines = {0};
    struct str line;
    while (str_line(&text, &line))
        buf_printf(&lines, "%.*s%s", STR_FMT(line), plain ? "\n" : "\r\n");
    struct str rest = buf_view(&lines);
    if (plain)
        buf_str(out, rest);
    for (; !plain && rest.n; rest = str_skip(rest, BASE64_LINE)) {
        mail_base64_encode(out, str_head(rest, BASE64_LINE), false);
        buf_byte(out, '\n');
    }
}

void answer_print(struct arena *a, const struct answer *n, struct buf *out)
{
    char room[MAIL_DATE_SIZE];
    buf_printf(out, "Date: %.*s\n", STR_FMT(mail_date_print(room, n->now_ms / 1000, 0)));
    buf_printf(out, "From: <%.*s>\nTo: <%.*s>\n", STR_FMT(n->from), STR_FMT(n->to));
    print_subject(a, n, out);
    buf_printf(out, "Message-ID: <%llx.away@%.*s>\n", (unsigned long long)n->id, STR_FMT(n->host));
    print_thread(a, n, out);
    buf_printf(out, "Auto-Submitted: auto-replied\n"); /* RFC 3834 section 3.1.7 */
    print_text(n->text, out);
}
