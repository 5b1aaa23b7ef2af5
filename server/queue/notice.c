/*
 * The text of a report: a part for people, one for programs (RFC 3464), and what it is about, in a
 * multipart/report (RFC 6522). Addresses and texts from outside were checked to be text of one line
 * when they came in. Lines end with LF, as in every message here.
 */
#include "mail/header.h"
#include "mail/rfc5322.h"
#include "queue/queue.h"

#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#define HEADER_MAX (64 * 1024)

static bool is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

/* Addresses beyond ASCII need the types of RFC 6533. */
static bool is_global(const struct queue_notice *n)
{
    bool ascii = is_ascii(n->to);
    for (size_t i = 0; i < n->count; i++)
        ascii = ascii && is_ascii(n->attempts[i]->recipient.address) &&
                is_ascii(n->attempts[i]->recipient.original);
    return !ascii;
}

static struct str date(char room[MAIL_DATE_SIZE], int64_t ms)
{
    return mail_date_print(room, ms / 1000, 0);
}

static void print_header(const struct queue_notice *n, const char *boundary, struct buf *out)
{
    struct str host = n->cfg->myhostname;
    char room[MAIL_DATE_SIZE];
    buf_printf(out, "Date: %.*s\n", STR_FMT(date(room, queue_now_ms())));
    buf_printf(out, "From: Mail Delivery System <MAILER-DAEMON@%.*s>\n", STR_FMT(host));
    buf_printf(out, "To: <%.*s>\n", STR_FMT(n->to));
    buf_printf(out, "Subject: %s\n", n->delay ? "Your mail is late" : "Your mail could not be delivered");
    buf_printf(out, "Message-ID: <%llx.report@%.*s>\n", (unsigned long long)n->id, STR_FMT(host));
    buf_printf(out, "Auto-Submitted: auto-replied\nMIME-Version: 1.0\n"
                    "Content-Type: multipart/report; report-type=delivery-status;\n"
                    "\tboundary=\"%s\"\n", boundary);
    buf_printf(out, "Content-Transfer-Encoding: 8bit\n\n"
                    "This is a report in MIME format (RFC 6522).\n");
}

/* --- for people --- */

static void print_reason(const struct queue_attempt *a, struct buf *out)
{
    buf_printf(out, "<%.*s>", STR_FMT(a->recipient.address));
    if (!str_eq(a->recipient.address, a->recipient.original))
        buf_printf(out, " (sent to <%.*s>)", STR_FMT(a->recipient.original));
    if (a->server[0])
        buf_printf(out, ":\n    The server %s said:\n    %s\n\n", a->server, a->why);
    else
        buf_printf(out, ":\n    %s\n\n", a->why);
}

static void print_text(const struct queue_notice *n, struct buf *out)
{
    int64_t age_h = (queue_now_ms() - n->message->created_ms) / 3600000;
    buf_printf(out, "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n");
    buf_printf(out, "This is the mail server %.*s.\n\n", STR_FMT(n->cfg->myhostname));
    if (n->delay)
        buf_printf(out, "Your mail has not reached the following recipients for %lld hours. You need "
                        "not do\nanything: it will be tried again. If it does not succeed you will "
                        "hear of it.\n\n", (long long)age_h);
    else
        buf_printf(out, "Your mail could not be delivered to the following recipients. It will not "
                        "be tried\nagain. What the other side said stands below; the mail itself, or "
                        "its header, is\nattached.\n\n");
    for (size_t i = 0; i < n->count; i++)
        print_reason(n->attempts[i], out);
}

/* --- for programs --- */

/* "2.x.x" of a recipient that was not tried to its end would be a lie. */
static const char *status_of(const struct queue_notice *n, const struct queue_attempt *a)
{
    bool fits = n->delay ? a->status[0] == '4' : a->status[0] == '4' || a->status[0] == '5';
    if (fits)
        return a->status;
    return n->delay ? "4.0.0" : "5.0.0";
}

static void print_recipient(const struct queue_notice *n, const struct queue_attempt *a, bool global,
                            struct buf *out)
{
    const char *type = global ? "utf-8" : "rfc822";
    char room[MAIL_DATE_SIZE];
    buf_printf(out, "\nOriginal-Recipient: %s; %.*s\nFinal-Recipient: %s; %.*s\n", type,
               STR_FMT(a->recipient.original), type, STR_FMT(a->recipient.address));
    buf_printf(out, "Action: %s\nStatus: %s\n", n->delay ? "delayed" : "failed", status_of(n, a));
    if (a->server[0]) {
        struct str name = str_from(a->server);
        ptrdiff_t bracket = str_find(name, '[');
        if (bracket > 0)
            name = str_head(name, (size_t)bracket);
        buf_printf(out, "Remote-MTA: dns; %.*s\nDiagnostic-Code: smtp; %s\n", STR_FMT(name), a->why);
    } else {
        buf_printf(out, "Diagnostic-Code: X-Facteur; %s\n", a->why);
    }
    buf_printf(out, "Last-Attempt-Date: %.*s\n", STR_FMT(date(room, queue_now_ms())));
    if (n->delay)
        buf_printf(out, "Will-Retry-Until: %.*s\n",
                   STR_FMT(date(room, n->message->created_ms +
                                          n->cfg->maximal_queue_lifetime * 1000)));
}

static void print_status(const struct queue_notice *n, struct buf *out)
{
    char room[MAIL_DATE_SIZE], id[QUEUE_ID_SIZE];
    bool global = is_global(n);
    queue_id_text(id, n->message->id);
    buf_printf(out, "Content-Type: message/%sdelivery-status\n", global ? "global-" : "");
    if (global)
        buf_printf(out, "Content-Transfer-Encoding: 8bit\n");
    buf_printf(out, "\nReporting-MTA: dns; %.*s\n", STR_FMT(n->cfg->myhostname));
    buf_printf(out, "X-Facteur-Queue-ID: %s\nArrival-Date: %.*s\n", id,
               STR_FMT(date(room, n->message->created_ms)));
    for (size_t i = 0; i < n->count; i++)
        print_recipient(n, n->attempts[i], global, out);
}

/* --- what it is about --- */

static void print_message(const struct queue_notice *n, struct buf *out)
{
    bool whole = !n->delay && n->message->size <= n->cfg->bounce_size_limit;
    uint64_t max = whole ? n->message->size : HEADER_MAX;
    size_t size = (size_t)(n->message->size < max ? n->message->size : max);
    AUTO_FREE char *bytes = mem_alloc(size + 1);
    struct str text = {bytes, size};
    if (n->message_fd < 0 || fd_pread_all(n->message_fd, bytes, size, 0) != 0)
        text.n = 0;
    if (!whole)
        text = str_head(text, mail_header_size(text));
    bool ascii = is_ascii(text), plain = is_ascii(str_head(text, mail_header_size(text)));
    buf_printf(out, "Content-Type: %s\n%s\n",
               whole ? plain ? "message/rfc822" : "message/global"
                     : plain ? "text/rfc822-headers" : "message/global-headers",
               ascii ? "" : "Content-Transfer-Encoding: 8bit\n");
    buf_str(out, text);
    if (text.n && text.p[text.n - 1] != '\n')
        buf_byte(out, '\n');
}

void queue_notice_print(const struct queue_notice *n, struct buf *out)
{
    char boundary[40];
    snprintf(boundary, sizeof boundary, "=_%08x%08x%08x", randombytes_random(), randombytes_random(),
             randombytes_random());
    print_header(n, boundary, out);
    buf_printf(out, "\n--%s\n", boundary);
    print_text(n, out);
    buf_printf(out, "\n--%s\n", boundary);
    print_status(n, out);
    buf_printf(out, "\n--%s\n", boundary);
    print_message(n, out);
    buf_printf(out, "\n--%s--\n", boundary);
}
