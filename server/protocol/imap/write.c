/* Strings in answers; see write.h. */
#include "protocol/imap/write.h"

#include "protocol/imap/cursor.h"

static bool can_quote(struct str s, bool utf8)
{
    if (s.n > 1024)
        return false;
    if (utf8)
        return str_is_text(s);
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x7f || (unsigned char)s.p[i] < 0x20)
            return false;
    return true;
}

/* Writes what comes before the first character that needs care, and takes it off. */
static int write_run(struct buf *b, struct str *s, char care, char also)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != care && s->p[n] != also)
        n++;
    int r = n ? buf_add(b, s->p, n) : 0;
    *s = str_skip(*s, n);
    return r;
}

static int write_string(struct buf *b, struct str s, bool utf8)
{
    int r = 0;
    if (can_quote(s, utf8)) {
        r |= buf_byte(b, '"');
        r |= write_run(b, &s, '"', '\\');
        while (s.n) {
            r |= buf_byte(b, '\\') | buf_byte(b, s.p[0]);
            s = str_skip(s, 1);
            r |= write_run(b, &s, '"', '\\');
        }
        return r | buf_byte(b, '"');
    }
    r |= buf_printf(b, "{%zu}\r\n", s.n);
    r |= write_run(b, &s, '\0', '\0');
    while (s.n) {
        r |= buf_byte(b, '\x80');
        s = str_skip(s, 1);
        r |= write_run(b, &s, '\0', '\0');
    }
    return r;
}

int imap_write_string(struct buf *b, struct str s)
{
    return write_string(b, s, false);
}

int imap_write_utf8(struct buf *b, struct str s)
{
    return write_string(b, s, true);
}

int imap_write_astring(struct buf *b, struct str s)
{
    bool atom = s.n > 0 && !str_caseeq(s, STR("NIL"));
    for (size_t i = 0; i < s.n && atom; i++)
        atom = imap_is_astring_char(s.p[i]);
    return atom ? buf_str(b, s) : imap_write_string(b, s);
}

int imap_write_text(struct buf *b, struct str s)
{
    int r = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char u = (unsigned char)s.p[i];
        r |= buf_byte(b, u < 0x20 || u >= 0x7f ? '?' : s.p[i]);
    }
    return r;
}
