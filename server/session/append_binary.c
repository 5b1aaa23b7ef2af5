/* Binary parts of appended messages; see append_binary.h. */
#include "session/append_binary.h"

#include "mail/encoding.h"
#include "mail/header.h"
#include "mail/mime.h"

/* True for text in lines that end in CR LF, which storage and answers keep as it is. */
static bool is_lines(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\0' || (s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r')))
            return false;
        if (s.p[i] == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n'))
            return false;
    }
    return true;
}

static bool must_encode(struct str message, const struct mail_part *p)
{
    return (p->kind == MAIL_PART_LEAF || p->kind == MAIL_PART_TEXT) &&
           str_caseeq(p->encoding, STR("binary")) && !is_lines(mail_part_body(message, p));
}

/* The part's header with another label: everything from *at on, up to its body. */
static void add_header(struct buf *out, struct str message, const struct mail_part *p, size_t *at)
{
    struct mail_header_walk w = mail_header_walk(mail_part_header(message, p));
    struct mail_field f;
    while (mail_header_next(&w, &f)) {
        if (!str_caseeq(f.name, STR("Content-Transfer-Encoding")))
            continue;
        size_t start = (size_t)(f.whole.p - message.p);
        buf_add(out, message.p + *at, start - *at);
        buf_str(out, STR("Content-Transfer-Encoding: base64\r\n"));
        *at = start + f.whole.n;
    }
    buf_add(out, message.p + *at, p->body.at - *at);
    *at = p->body.at;
}

bool append_binary_encode(struct str message, struct buf *out)
{
    AUTO_ARENA a = arena_new(16384);
    const struct mail_part *root = mail_mime_parse(a, message);
    size_t at = 0;
    bool any = false;
    for (const struct mail_part *p = root; p; p = mail_part_next(root, p)) {
        if (p->body.at < at || !must_encode(message, p))
            continue;
        any = true;
        add_header(out, message, p, &at);
        mail_base64_encode(out, mail_part_body(message, p), true);
        at = p->body.at + p->body.n;
    }
    if (any)
        buf_add(out, message.p + at, message.n - at);
    return any;
}

void append_header_look(struct append_header *h, struct str piece)
{
    for (size_t i = 0; i < piece.n && !h->ended; i++) {
        unsigned char c = (unsigned char)piece.p[i];
        h->eight_bit |= c >= 0x80;
        if (c == '\n') {
            h->ended = !h->in_line;
            h->in_line = false;
        } else {
            h->in_line |= c != '\r';
        }
    }
}
