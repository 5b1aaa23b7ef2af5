/* quoted-printable (RFC 2045 section 6.7). */
#include "mail/encoding.h"

static size_t flush_held(struct mail_qp *s, char *out)
{
    size_t n = s->held_n;
    memcpy(out, s->held, n);
    s->held_n = 0;
    return n;
}

static bool only_blanks(const struct mail_qp *s)
{
    return s->held_n && s->held[0] != '=';
}

/* A byte behind "=": 0 to 3 bytes of output, or the byte must be looked at again. */
static size_t after_equals(struct mail_qp *s, char c, char *out, bool *again)
{
    char second = s->held_n > 1 ? s->held[1] : '\0';
    *again = false;
    if (c == '\n') { /* soft line break, blanks before the line end allowed (rule 3) */
        if (s->held_n == 1 || second == '\r' || second == ' ' || second == '\t') {
            s->held_n = 0;
            return 0;
        }
    } else if (s->held_n == 1 && (str_hex_digit(c) >= 0 || c == '\r' || c == ' ' || c == '\t')) {
        s->held[s->held_n++] = c;
        return 0;
    } else if (s->held_n == 2 && str_hex_digit(second) >= 0 && str_hex_digit(c) >= 0) {
        out[0] = (char)(str_hex_digit(second) << 4 | str_hex_digit(c));
        s->held_n = 0;
        return 1;
    } else if (s->held_n < sizeof s->held && (second == ' ' || second == '\t') &&
               (c == ' ' || c == '\t' || c == '\r')) {
        s->held[s->held_n++] = c;
        return 0;
    }
    *again = true; /* no code: it stays as it is */
    return flush_held(s, out);
}

static size_t plain(struct mail_qp *s, char c, char *out)
{
    size_t n = 0;
    if (c == ' ' || c == '\t' || c == '\r') {
        if (s->held_n == sizeof s->held)
            n = flush_held(s, out);
        s->held[s->held_n++] = c;
        return n;
    }
    if (c == '\n') { /* blanks at the end of a line were added on the way (rule 3) */
        bool cr = s->held_n && s->held[s->held_n - 1] == '\r';
        s->held_n = 0;
        if (cr)
            out[n++] = '\r';
        out[n++] = '\n';
        return n;
    }
    n = flush_held(s, out);
    if (c == '=')
        s->held[s->held_n++] = c;
    else
        out[n++] = c;
    return n;
}

size_t mail_qp_decode(struct mail_qp *s, struct str in, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        bool again = true;
        if (s->held_n && !only_blanks(s))
            n += after_equals(s, in.p[i], out + n, &again);
        if (again)
            n += plain(s, in.p[i], out + n);
    }
    return n;
}

size_t mail_qp_end(struct mail_qp *s, char *out)
{
    bool soft = s->held_n == 1 && s->held[0] == '=';
    if (soft || only_blanks(s)) {
        s->held_n = 0;
        return 0;
    }
    return flush_held(s, out);
}
