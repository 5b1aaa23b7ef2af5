/*
 * The rules for the header of a submitted message (RFC 6409 sections 6.1 and 8): it is a header, it
 * has one From, and who it says to come from is the one who logged in.
 */
#include "mail/header.h"
#include "mail/rfc5322.h"
#include "smtp/smtp.h"

#define ARENA_FIRST 2048
#define ADDRESS_MAX 1000 /* what sender_ask can carry */

/* The field whose address must belong to the login: the newest Resent-From before From (RFC 5322
 * section 3.6.6), and Sender beside a From that names several (section 3.6.2). */
struct author {
    const char *field;
    struct str address;
};

static int refuse(struct err *e, const char *text)
{
    err_perm(e, "%s", text);
    return err_client(e, "550 5.6.0 Error: %s", text);
}

/* Other programs may end the header at such a line, and see another From than we do. */
static int check_lines(struct str header, struct err *e)
{
    struct mail_header_walk w = mail_header_walk(header);
    struct mail_field f;
    while (mail_header_next(&w, &f))
        if (!f.colon || f.name.n == 0)
            return refuse(e, "a line in the header is no header field");
    return 0;
}

static int check_from_count(struct str header, struct err *e)
{
    size_t n = mail_header_count(header, STR("From"));
    if (n == 0)
        return refuse(e, "the message has no From header");
    if (n > 1)
        return refuse(e, "the message has more than one From header");
    return 0;
}

/* The mailboxes in a field (groups opened): their number, and the first of them. */
static int mailboxes(struct arena *a, struct str value, size_t *count, struct mail_addr *first,
                     struct err *e)
{
    struct mail_addr_list list = {0};
    mail_addrs_parse(a, value, &list);
    if (list.broken || list.truncated)
        return refuse(e, "an address in the header cannot be understood");
    *count = 0;
    for (size_t i = 0; i < list.n; i++) {
        if (list.v[i].kind != MAIL_ADDR_MAILBOX)
            continue;
        if (list.v[i].broken)
            return refuse(e, "an address in the header cannot be understood");
        if ((*count)++ == 0)
            *first = list.v[i];
    }
    return 0;
}

/* As the directory is asked for it: the normal form of an envelope address. */
static int normal_form(struct arena *a, const struct mail_addr *from, struct str *out,
                       struct err *e)
{
    struct mail_address m;
    AUTO_BUF text = BUF_MAX(ADDRESS_MAX);
    if (from->domain.n == 0)
        return refuse(e, "an address in the header has no domain");
    if (mail_local_print(&text, from->local) != 0 || buf_byte(&text, '@') != 0 ||
        buf_str(&text, from->domain) != 0)
        return refuse(e, "an address in the header is too long");
    unsigned flags = MAIL_ADDRESS_UTF8 | MAIL_ADDRESS_LENIENT;
    if (mail_address_parse(a, buf_view(&text), flags, &m, e) != 0)
        return refuse(e, "an address in the header cannot be understood");
    *out = mail_address_print(a, &m);
    return 0;
}

static int sender_address(struct arena *a, struct str header, const char *name, const char *beside,
                          struct mail_addr *out, struct err *e)
{
    struct mail_field f;
    size_t count = 0;
    if (mail_header_count(header, str_from(name)) != 1) {
        err_perm(e, "no %s", name);
        return err_client(e, "550 5.6.0 Error: %s does not name one address, and there is no %s",
                          beside, name);
    }
    mail_header_find(header, str_from(name), 0, &f);
    if (mailboxes(a, f.value, &count, out, e) != 0)
        return -1;
    if (count != 1)
        return refuse(e, "Sender does not name one address");
    return 0;
}

static int find_author(struct arena *a, struct str header, struct author *out, struct err *e)
{
    struct mail_field f;
    struct mail_addr first;
    size_t count;
    bool resent = mail_header_find(header, STR("Resent-From"), 0, &f);
    if (!resent)
        mail_header_find(header, STR("From"), 0, &f);
    out->field = resent ? "Resent-From" : "From";
    if (mailboxes(a, f.value, &count, &first, e) != 0)
        return -1;
    if (count != 1) {
        const char *beside = out->field;
        out->field = resent ? "Resent-Sender" : "Sender";
        if (sender_address(a, header, out->field, beside, &first, e) != 0)
            return -1;
    }
    return normal_form(a, &first, &out->address, e);
}

/* --- asking whose it is --- */

static void on_owner(struct session *s, void *arg, struct msg *m)
{
    const struct author *author = arg;
    uint8_t verdict = m ? m->sender_reply.verdict : VERDICT_CANNOT_SAY;
    s->verb = "DATA";
    if (verdict == VERDICT_YES) {
        house_start(s);
        return;
    }
    struct str address = author->address;
    if (verdict == VERDICT_CANNOT_SAY)
        reply(s, "451 4.3.0 <%.*s>: Temporary lookup failure", STR_FMT(address));
    else
        reply(s, "550 5.7.1 <%.*s>: %s header rejected: not owned by user %s", STR_FMT(address),
              author->field, s->login);
    mail_reset(s);
}

static void ask_owner(struct session *s, const struct author *found)
{
    struct msg m = MSG_INIT(sender_ask);
    struct author *author = ARENA_NEW(s->mail.arena, struct author);
    *author = (struct author){found->field, arena_str(s->mail.arena, found->address)};
    m.sender_ask.grant = s->grant;
    m.sender_ask.address = author->address;
    ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, on_owner, author);
}

static int check(struct session *s, struct arena *a, struct author *author, struct err *e)
{
    struct str header = message_header(&s->mail.message);
    if (check_lines(header, e) != 0 || check_from_count(header, e) != 0)
        return -1;
    if (!session_cfg(s)->reject_header_from_login_mismatch)
        return 0;
    return find_author(a, header, author, e);
}

void submit_message(struct session *s)
{
    AUTO_ARENA a = arena_new(ARENA_FIRST);
    struct author author = {NULL, {NULL, 0}};
    struct err e = {0};
    if (check(s, a, &author, &e) != 0) {
        reply_err(s, &e);
        mail_reset(s);
        return;
    }
    /* MAIL has asked already when it is the same address. */
    bool known = session_cfg(s)->reject_sender_login_mismatch &&
                 str_eq(author.address, s->mail.from.path);
    if (!author.field || !s->login || known)
        house_start(s);
    else
        ask_owner(s, &author);
}
