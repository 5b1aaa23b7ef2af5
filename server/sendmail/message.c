/* The message on its way through sendmail. */
#include "base/clock.h"
#include "mail/address.h"
#include "mail/header.h"
#include "mail/rfc5322.h"
#include "sendmail/sendmail.h"

#include <time.h>
#include <unistd.h>

void envelope_add(struct envelope *v, struct str address)
{
    bool is_full = (v->n & (v->n - 1)) == 0; /* the room is a power of two */
    struct str *more = is_full ? arena_array(v->arena, v->n ? 2 * v->n : 1, sizeof *more) : v->to;
    if (is_full && v->n)
        memcpy(more, v->to, v->n * sizeof *more);
    more[v->n++] = arena_str(v->arena, address);
    v->to = more;
}

static bool is_one_of(struct str name, const char *const *names)
{
    for (; *names; names++)
        if (str_caseeq(name, str_from(*names)))
            return true;
    return false;
}

static int take_addresses(struct envelope *v, struct str value, struct err *e)
{
    struct mail_addr_list list = {0};
    mail_addrs_parse(v->arena, mail_value_unfold(v->arena, value), &list);
    for (size_t i = 0; i < list.n; i++) {
        const struct mail_addr *a = &list.v[i];
        AUTO_BUF text = BUF_MAX(1000);
        if (a->kind != MAIL_ADDR_MAILBOX)
            continue;
        if (!a->local.n || mail_local_print(&text, a->local) != 0 ||
            (a->domain.n && (buf_byte(&text, '@') != 0 || buf_str(&text, a->domain) != 0)) ||
            !str_is_text(buf_view(&text))) /* it becomes part of a command */
            return err_perm(e, "an address in the header cannot be understood");
        envelope_add(v, buf_view(&text));
    }
    return 0;
}

/* With Resent fields they alone count (RFC 5322 section 3.6.6). */
int message_recipients(struct str message, struct envelope *v, struct err *e)
{
    static const char *const plain[] = {"To", "Cc", "Bcc", NULL};
    static const char *const resent[] = {"Resent-To", "Resent-Cc", "Resent-Bcc", NULL};
    struct str header = str_head(message, mail_header_size(message));
    bool again = false;
    struct mail_field f;
    for (const char *const *name = resent; *name; name++)
        again = again || mail_header_find(header, str_from(*name), 0, &f);
    struct mail_header_walk w = mail_header_walk(header);
    while (mail_header_next(&w, &f))
        if (f.colon && is_one_of(f.name, again ? resent : plain) &&
            take_addresses(v, f.value, e) != 0)
            return -1;
    return v->n ? 0 : err_perm(e, "no recipient is named, in the header or otherwise");
}

/* --- what is sent --- */

static void put_lines(struct str text, struct buf *out)
{
    while (text.n) {
        ptrdiff_t end = str_find(text, '\n');
        struct str line = end < 0 ? text : str_head(text, (size_t)end);
        text = end < 0 ? str_head(text, 0) : str_skip(text, (size_t)end + 1);
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n && line.p[0] == '.')
            buf_byte(out, '.');
        for (size_t i = 0; i < line.n; i++) /* a CR alone would be refused */
            buf_byte(out, line.p[i] == '\r' ? ' ' : line.p[i]);
        buf_str(out, STR("\r\n"));
    }
}

static void put_date(struct buf *out)
{
    char text[MAIL_DATE_SIZE];
    struct tm tm;
    time_t now = (time_t)(clock_real_us() / 1000000);
    long zone = localtime_r(&now, &tm) ? tm.tm_gmtoff / 60 : 0;
    buf_printf(out, "Date: %.*s\r\n", STR_FMT(mail_date_print(text, now, (int)zone)));
}

static void put_from(const struct envelope *v, struct buf *out)
{
    buf_str(out, STR("From: "));
    if (v->name.n && str_is_text(v->name)) {
        buf_byte(out, '"');
        for (size_t i = 0; i < v->name.n; i++) {
            if (v->name.p[i] == '"' || v->name.p[i] == '\\')
                buf_byte(out, '\\');
            buf_byte(out, v->name.p[i]);
        }
        buf_str(out, STR("\" "));
    }
    buf_printf(out, "<%.*s>\r\n", STR_FMT(v->sender));
}

static void put_missing(struct str header, const struct envelope *v, struct str host,
                        struct buf *out)
{
    struct mail_field f;
    if (!mail_header_find(header, STR("From"), 0, &f))
        put_from(v, out);
    if (!mail_header_find(header, STR("Date"), 0, &f))
        put_date(out);
    if (!mail_header_find(header, STR("Message-ID"), 0, &f))
        buf_printf(out, "Message-ID: <%lld.%ld@%.*s>\r\n", (long long)clock_real_us(),
                   (long)getpid(), STR_FMT(host));
}

void message_print(struct str message, const struct envelope *v, struct str host, struct buf *out)
{
    static const char *const hidden[] = {"Bcc", "Resent-Bcc", NULL};
    if (str_starts(message, STR("From "))) { /* the line of an mbox */
        ptrdiff_t end = str_find(message, '\n');
        message = end < 0 ? str_head(message, 0) : str_skip(message, (size_t)end + 1);
    }
    struct str header = str_head(message, mail_header_size(message));
    struct mail_header_walk w = mail_header_walk(header);
    struct mail_field f;
    bool body_only = mail_header_next(&w, &f) && !f.colon;
    if (body_only)
        header = str_head(header, 0);
    put_missing(header, v, host, out);
    w = mail_header_walk(header);
    while (mail_header_next(&w, &f))
        if (!f.colon || !is_one_of(str_trim(f.name), hidden)) /* a CR becomes a blank */
            put_lines(f.whole, out);
    /* The header's view ends behind the empty line, when there is one. */
    buf_str(out, STR("\r\n"));
    put_lines(str_skip(message, header.n), out);
}
