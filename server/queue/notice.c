/*
 * The text of a report: a part for people, one for programs (RFC 3464), and what it is about, in a
 * multipart/report (RFC 6522). Addresses and texts from outside were checked to be text of one line
 * when they came in. Lines end with LF, as in every message here.
 */
#include "mail/header.h"
#include "mail/rfc5322.h"
#include "protocol/smtp/dsn.h"
#include "queue/queue.h"

#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#define HEADER_MAX (64 * 1024)

/* Addresses beyond ASCII need the types of RFC 6533. */
static bool is_global(const struct queue_notice *n)
{
    bool ascii = str_is_ascii(n->to);
    for (size_t i = 0; i < n->count; i++)
        ascii = ascii && str_is_ascii(n->attempts[i]->recipient.address) &&
                str_is_ascii(n->attempts[i]->recipient.original) &&
                str_is_ascii(n->attempts[i]->recipient.orcpt);
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
    buf_printf(out, "Subject: %s\n",
               n->say == QUEUE_SAY_DELAYED  ? "Your mail is late"
               : n->say == QUEUE_SAY_FAILED ? "Your mail could not be delivered"
                                            : "Your mail has arrived");
    buf_printf(out, "Message-ID: <%llx.report@%.*s>\n", (unsigned long long)n->id, STR_FMT(host));
    buf_printf(out, "Auto-Submitted: auto-replied\nMIME-Version: 1.0\n"
                    "Content-Type: multipart/report; report-type=delivery-status;\n"
                    "\tboundary=\"%s\"\n", boundary);
    buf_printf(out, "Content-Transfer-Encoding: 8bit\n\n"
                    "This is a report in MIME format (RFC 6522).\n");
}

/* Words of the other server, and not of ours about it: they begin with the code of a reply. */
static bool is_reply(const struct queue_attempt *a)
{
    size_t digits = strspn(a->why, "0123456789");
    return a->server[0] && digits == 3 && (a->why[3] == ' ' || a->why[3] == '-' || a->why[3] == '\0');
}

/* --- for people --- */

static void print_reason(const struct queue_notice *n, const struct queue_attempt *a,
                         struct buf *out)
{
    buf_printf(out, "<%.*s>", STR_FMT(a->recipient.address));
    if (!str_eq(a->recipient.address, a->recipient.original))
        buf_printf(out, " (sent to <%.*s>)", STR_FMT(a->recipient.original));
    buf_str(out, STR(":\n"));
    if (n->say == QUEUE_SAY_FAILED || n->say == QUEUE_SAY_DELAYED)
        queue_words_print(a, out);
    if (a->say == QUEUE_SAY_RELAYED)
        buf_printf(out, "    handed on to another mail server, which sends no receipts itself\n");
    if (is_reply(a))
        buf_printf(out, "    The server %s said:\n    %s\n\n", a->server, a->why);
    else if (a->server[0])
        buf_printf(out, "    %s (the server was %s)\n\n", a->why, a->server);
    else
        buf_printf(out, "    %s\n\n", a->why);
}

static void print_age(const struct queue_notice *n, struct buf *out)
{
    long long minutes = (long long)(queue_now_ms() - n->message->created_ms) / 60000;
    if (minutes >= 120)
        buf_printf(out, "%lld hours", minutes / 60);
    else
        buf_printf(out, "%lld minute%s", minutes, minutes == 1 ? "" : "s");
}

static void print_delay(const struct queue_notice *n, struct buf *out)
{
    char room[MAIL_DATE_SIZE];
    buf_str(out, STR("Your mail has not reached the recipients below for "));
    print_age(n, out);
    buf_printf(out, ". You need not do\nanything: it will be tried again until %.*s.\nIf it does "
                    "not succeed by then you will hear of it.\n\n",
               STR_FMT(date(room, n->message->created_ms + n->cfg->maximal_queue_lifetime * 1000)));
}

static void print_text(const struct queue_notice *n, struct buf *out)
{
    buf_printf(out, "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n");
    buf_printf(out, "This is the mail server %.*s.\n\n", STR_FMT(n->cfg->myhostname));
    if (n->say == QUEUE_SAY_DELAYED)
        print_delay(n, out);
    else if (n->say == QUEUE_SAY_FAILED)
        buf_printf(out, "Your mail could not be delivered to the recipients below. It will not be "
                        "tried\nagain. The mail itself, or its header, is attached.\n\n");
    else
        buf_printf(out, "You asked for a receipt: your mail has come as far as is said below.\n\n");
    for (size_t i = 0; i < n->count; i++)
        print_reason(n, n->attempts[i], out);
}

/* --- for programs --- */

static const char *action_of(const struct queue_attempt *a)
{
    static const char *const names[] = {
        [QUEUE_SAY_NOTHING] = "failed",      [QUEUE_SAY_FAILED] = "failed",
        [QUEUE_SAY_DELAYED] = "delayed",     [QUEUE_SAY_DELIVERED] = "delivered",
        [QUEUE_SAY_RELAYED] = "relayed",     [QUEUE_SAY_EXPANDED] = "expanded"};
    return names[a->say];
}

/* A status of another class than the action would be a lie (RFC 3464 section 2.3.4). */
static const char *status_of(const struct queue_notice *n, const struct queue_attempt *a)
{
    char class_digit = a->status[0];
    if (n->say == QUEUE_SAY_FAILED)
        return class_digit == '4' || class_digit == '5' ? a->status : "5.0.0";
    if (n->say == QUEUE_SAY_DELAYED)
        return class_digit == '4' ? a->status : "4.0.0";
    return class_digit == '2' ? a->status : "2.0.0";
}

/* As the sender said it, decoded; or as it stood in RCPT (RFC 3461 section 6.2.2 wants the former
 * alone, but a person wants to know). */
static void print_original(const struct queue_attempt *a, const char *type, struct buf *out)
{
    ptrdiff_t semicolon = str_find(a->recipient.orcpt, ';');
    buf_str(out, STR("\nOriginal-Recipient: "));
    if (semicolon < 0) {
        buf_printf(out, "%s; %.*s\n", type, STR_FMT(a->recipient.original));
        return;
    }
    struct str kind = str_head(a->recipient.orcpt, (size_t)semicolon);
    struct str value = str_skip(a->recipient.orcpt, (size_t)semicolon + 1);
    buf_printf(out, "%.*s; ", STR_FMT(kind));
    if (str_caseeq(kind, STR("utf-8")))
        buf_str(out, value);
    else
        smtp_xtext_decode(value, out);
    buf_byte(out, '\n');
}

static void print_server(const struct queue_attempt *a, struct buf *out)
{
    struct str name = str_from(a->server);
    ptrdiff_t bracket = str_find(name, '[');
    if (bracket > 0)
        name = str_head(name, (size_t)bracket);
    buf_printf(out, "Remote-MTA: dns; %.*s\nDiagnostic-Code: %s; %s\n", STR_FMT(name),
               is_reply(a) ? "smtp" : "X-Facteur", a->why);
}

static void print_recipient(const struct queue_notice *n, const struct queue_attempt *a, bool global,
                            struct buf *out)
{
    const char *type = global ? "utf-8" : "rfc822";
    char room[MAIL_DATE_SIZE];
    print_original(a, type, out);
    buf_printf(out, "Final-Recipient: %s; %.*s\nAction: %s\nStatus: %s\n", type,
               STR_FMT(a->recipient.address), action_of(a), status_of(n, a));
    if (a->server[0])
        print_server(a, out);
    else if (n->say == QUEUE_SAY_FAILED || n->say == QUEUE_SAY_DELAYED)
        buf_printf(out, "Diagnostic-Code: X-Facteur; %s\n", a->why);
    buf_printf(out, "Last-Attempt-Date: %.*s\n", STR_FMT(date(room, queue_now_ms())));
    if (n->say == QUEUE_SAY_DELAYED)
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
    buf_byte(out, '\n');
    if (n->message->envid.n) {
        buf_str(out, STR("Original-Envelope-Id: "));
        smtp_xtext_decode(n->message->envid, out);
        buf_byte(out, '\n');
    }
    buf_printf(out, "Reporting-MTA: dns; %.*s\n", STR_FMT(n->cfg->myhostname));
    buf_printf(out, "X-Facteur-Queue-ID: %s\nArrival-Date: %.*s\n", id,
               STR_FMT(date(room, n->message->created_ms)));
    for (size_t i = 0; i < n->count; i++)
        print_recipient(n, n->attempts[i], global, out);
}

/* --- what it is about --- */

static void print_message(const struct queue_notice *n, struct buf *out)
{
    /* RET is about failures (RFC 3461 section 4.3); all other reports bring the header. */
    bool whole = n->say == QUEUE_SAY_FAILED && n->message->ret != SMTP_RET_HDRS &&
                 n->message->size <= n->cfg->bounce_size_limit;
    uint64_t max = whole ? n->message->size : HEADER_MAX;
    size_t size = (size_t)(n->message->size < max ? n->message->size : max);
    AUTO_FREE char *bytes = mem_alloc(size + 1);
    struct str text = {bytes, size};
    if (n->message_fd < 0 || fd_pread_all(n->message_fd, bytes, size, 0) != 0)
        text.n = 0;
    if (!whole)
        text = str_head(text, mail_header_size(text));
    bool ascii = str_is_ascii(text), plain = str_is_ascii(str_head(text, mail_header_size(text)));
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
