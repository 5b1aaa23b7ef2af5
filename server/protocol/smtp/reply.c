/* Reading replies. */
#include "protocol/smtp/reply.h"

#include <stdio.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* --- enhanced status codes (RFC 2034, RFC 3463 section 2) --- */

static size_t take_number(struct str s, size_t at)
{
    size_t n = 0;
    while (at + n < s.n && n < 3 && is_digit(s.p[at + n]))
        n++;
    return n;
}

static void find_status(struct smtp_reply *r, struct str text)
{
    if (text.n < 5 || text.p[0] != (char)('0' + r->code / 100) || text.p[1] != '.')
        return;
    size_t subject = take_number(text, 2), at = 2 + subject;
    if (subject == 0 || at >= text.n || text.p[at] != '.')
        return;
    size_t detail = take_number(text, at + 1);
    at += 1 + detail;
    if (detail == 0 || (at < text.n && text.p[at] != ' '))
        return;
    snprintf(r->status, sizeof r->status, "%.*s", STR_FMT(str_head(text, at)));
}

/* --- what EHLO offers --- */

/* "AUTH PLAIN LOGIN", and "AUTH=PLAIN LOGIN" of servers from before RFC 2554. */
static void take_mechanisms(struct smtp_reply *r, struct str line)
{
    struct str word;
    while (str_token(&line, " \t=", &word))
        r->offers |= str_caseeq(word, STR("PLAIN"))   ? SMTP_OFFERS_AUTH_PLAIN
                     : str_caseeq(word, STR("LOGIN")) ? SMTP_OFFERS_AUTH_LOGIN
                                                      : 0;
}

unsigned smtp_offers_of(struct str keyword)
{
    static const struct {
        struct str word;
        unsigned bits;
    } known[] = {
        {STR("PIPELINING"), SMTP_OFFERS_PIPELINING}, {STR("SIZE"), SMTP_OFFERS_SIZE},
        {STR("8BITMIME"), SMTP_OFFERS_8BITMIME},     {STR("SMTPUTF8"), SMTP_OFFERS_SMTPUTF8},
        {STR("STARTTLS"), SMTP_OFFERS_STARTTLS},     {STR("ENHANCEDSTATUSCODES"), SMTP_OFFERS_STATUSES},
        {STR("DSN"), SMTP_OFFERS_DSN},               {STR("CHUNKING"), SMTP_OFFERS_CHUNKING},
        {STR("AUTH"), SMTP_OFFERS_AUTH_PLAIN | SMTP_OFFERS_AUTH_LOGIN},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (str_caseeq(keyword, known[i].word))
            return known[i].bits;
    return 0;
}

static void take_offer(struct smtp_reply *r, struct str line)
{
    struct str word, value;
    if (str_casestarts(line, STR("AUTH ")) || str_casestarts(line, STR("AUTH="))) {
        take_mechanisms(r, str_skip(line, 5));
        return;
    }
    if (!str_token(&line, " \t", &word) || str_caseeq(word, STR("AUTH")))
        return;
    r->offers |= smtp_offers_of(word);
    if (str_caseeq(word, STR("SIZE")) && str_token(&line, " \t", &value))
        str_u64(value, &r->size);
}

/* --- lines --- */

/* Others' bytes will stand in logs and reports: what is not printable ASCII becomes '?'. */
static void add_text(struct smtp_reply *r, struct str s)
{
    size_t n = strlen(r->text);
    if (n && n + 1 < sizeof r->text)
        r->text[n++] = ' ';
    for (size_t i = 0; i < s.n && n + 1 < sizeof r->text; i++)
        r->text[n++] = s.p[i] >= ' ' && s.p[i] < 0x7f ? s.p[i] : '?';
    r->text[n] = '\0';
}

static enum smtp_reply_event take_line(struct smtp_reply *r, struct str line)
{
    bool has_code = line.n >= 3 && line.p[0] >= '2' && line.p[0] <= '5' && is_digit(line.p[1]) &&
                    is_digit(line.p[2]);
    if (!has_code || (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-'))
        return SMTP_REPLY_BAD;
    unsigned code = (unsigned)(line.p[0] - '0') * 100 + (unsigned)(line.p[1] - '0') * 10 +
                    (unsigned)(line.p[2] - '0');
    struct str text = str_skip(line, 4);
    if (r->lines++ == 0) {
        struct str rest = text, word;
        r->code = code;
        if (str_token(&rest, " \t", &word))
            snprintf(r->first, sizeof r->first, "%.*s", STR_FMT(str_head(word, 255)));
        find_status(r, text);
        add_text(r, line);
    } else if (code != r->code || r->lines > SMTP_REPLY_LINES_MAX) {
        return SMTP_REPLY_BAD;
    } else {
        take_offer(r, text);
        add_text(r, text);
    }
    return line.n > 3 && line.p[3] == '-' ? SMTP_REPLY_MORE : SMTP_REPLY_DONE;
}

enum smtp_reply_event smtp_reply_take(struct smtp_reply *r, struct str *in)
{
    ptrdiff_t end = str_find(*in, '\n');
    if (end < 0)
        return in->n > SMTP_REPLY_LINE_MAX ? SMTP_REPLY_BAD : SMTP_REPLY_MORE;
    struct str line = str_head(*in, (size_t)end);
    *in = str_skip(*in, (size_t)end + 1);
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line.n > SMTP_REPLY_LINE_MAX ? SMTP_REPLY_BAD : take_line(r, line);
}
