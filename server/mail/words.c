/*
 * Encoded words (RFC 2047).
 *
 * More is taken than the grammar allows, because much mail needs it: words that touch other text,
 * that are longer than 75 bytes, that hold blanks, and characters that were cut between two words
 * of one charset.
 */
#include "mail/encoding.h"
#include "mail/header.h"

#define CHARSET_MAX 64

struct word {
    struct str charset; /* without a language (RFC 2231 section 5) */
    char encoding;      /* 'b' or 'q' */
    struct str text;
    size_t size; /* bytes from "=?" to "?=" */
};

struct decoder {
    struct mail_conv *conv;
    struct buf *out;
    struct buf bytes; /* decoded words of one charset that wait for conversion */
    struct str charset;
};

static bool word_at(struct str s, struct word *w)
{
    if (!str_starts(s, STR("=?")))
        return false;
    struct str rest = str_skip(s, 2);
    ptrdiff_t q = str_find(str_head(rest, CHARSET_MAX), '?');
    if (q <= 0)
        return false;
    w->charset = str_head(rest, (size_t)q);
    ptrdiff_t star = str_find(w->charset, '*');
    if (star >= 0)
        w->charset.n = (size_t)star;
    rest = str_skip(rest, (size_t)q + 1);
    if (rest.n < 2 || rest.p[1] != '?')
        return false;
    w->encoding = (char)(rest.p[0] | 0x20);
    rest = str_skip(rest, 2);
    ptrdiff_t end = str_find(rest, '?');
    if ((w->encoding != 'b' && w->encoding != 'q') || end < 0 || (size_t)end + 1 >= rest.n ||
        rest.p[end + 1] != '=')
        return false;
    w->text = str_head(rest, (size_t)end);
    w->size = (size_t)(rest.p - s.p) + (size_t)end + 2;
    return true;
}

/* The "Q" encoding (RFC 2047 section 4.2); folds inside are dropped. */
static size_t decode_q(struct str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        int code = c == '=' ? str_hex_octet(str_skip(s, i + 1)) : -1;
        if (code >= 0) {
            c = (char)code;
            i += 2;
        } else if (c == '\r' || c == '\n') {
            continue;
        } else if (c == '_') {
            c = ' ';
        }
        out[n++] = c;
    }
    return n;
}

static int flush(struct decoder *d)
{
    int r = d->bytes.n ? mail_conv_utf8(d->conv, d->charset, buf_view(&d->bytes), d->out) : 0;
    buf_clear(&d->bytes);
    return r;
}

static int add_word(struct decoder *d, const struct word *w)
{
    if (!str_caseeq(d->charset, w->charset) && flush(d) != 0)
        return -1;
    d->charset = w->charset;
    char *room = buf_room(&d->bytes, w->text.n + 4);
    struct mail_base64 b64 = {0};
    d->bytes.n += w->encoding == 'b' ? mail_base64_decode(&b64, w->text, room)
                                     : decode_q(w->text, room);
    return 0;
}

/* Text between words, its line ends dropped. */
static int add_plain(struct decoder *d, struct str s)
{
    if (flush(d) != 0)
        return -1;
    while (s.n) {
        size_t n = 0;
        while (n < s.n && s.p[n] != '\n' && !(s.p[n] == '\r' && n + 1 < s.n && s.p[n + 1] == '\n'))
            n++;
        if (mail_conv_utf8(d->conv, (struct str){0}, str_head(s, n), d->out) != 0)
            return -1;
        s = str_skip(s, n + 1);
    }
    return 0;
}

static bool only_white(struct str s)
{
    return str_trim(s).n == 0;
}

/* Most values are one line without a word in it. */
static bool is_simple(struct str s)
{
    return s.n == 0 || (!memmem(s.p, s.n, "=?", 2) && !memchr(s.p, '\n', s.n));
}

int mail_words_decode(struct mail_conv *c, struct str value, struct buf *out)
{
    if (is_simple(value))
        return mail_conv_utf8(c, (struct str){0}, value, out);
    struct decoder d = {.conv = c, .out = out};
    bool after_word = false;
    size_t from = 0, at = 0;
    int r = 0;
    while (r == 0 && at < value.n) {
        ptrdiff_t next = str_find(str_skip(value, at), '=');
        struct word w;
        if (next < 0)
            break;
        at += (size_t)next;
        if (!word_at(str_skip(value, at), &w)) {
            at++;
            continue;
        }
        struct str between = {value.p + from, at - from};
        if (!after_word || !only_white(between)) /* RFC 2047 section 6.2 */
            r = add_plain(&d, between);
        r = r != 0 ? r : add_word(&d, &w);
        at += w.size;
        from = at;
        after_word = true;
    }
    if (r == 0)
        r = flush(&d);
    if (r == 0)
        r = add_plain(&d, str_skip(value, from));
    buf_free(&d.bytes);
    return r;
}

struct str mail_words_text(struct arena *a, struct mail_conv *c, struct str value)
{
    AUTO_BUF out = BUF_MAX(4 * MAIL_FIELD_VALUE_MAX);
    (void)mail_words_decode(c, value, &out);
    return arena_str(a, buf_view(&out));
}

/* --- encoding --- */

#define WORD_BYTES 45 /* in base64, with "=?utf-8?B?" and "?=": 72 of the 75 that RFC 2047 allows */

/* As many bytes of the front as fit a word and end with a character (section 5). */
static size_t word_size(struct str s)
{
    size_t n = s.n < WORD_BYTES ? s.n : WORD_BYTES;
    while (n > 1 && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return n;
}

int mail_words_encode(struct str utf8, struct buf *out)
{
    if (str_is_ascii(utf8))
        return buf_str(out, utf8);
    for (bool first = true; utf8.n; first = false) {
        size_t n = word_size(utf8);
        if (buf_str(out, first ? STR("=?utf-8?B?") : STR("\n =?utf-8?B?")) != 0 ||
            mail_base64_encode(out, str_head(utf8, n), false) != 0 || buf_str(out, STR("?=")) != 0)
            return -1;
        utf8 = str_skip(utf8, n);
    }
    return 0;
}
