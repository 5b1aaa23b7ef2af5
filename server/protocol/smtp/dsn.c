/* Values of RFC 3461. */
#include "protocol/smtp/dsn.h"

/* --- NOTIFY and RET --- */

static const struct {
    struct str word;
    unsigned bit;
} notify_words[] = {
    {STR("SUCCESS"), SMTP_NOTIFY_SUCCESS}, {STR("FAILURE"), SMTP_NOTIFY_FAILURE},
    {STR("DELAY"), SMTP_NOTIFY_DELAY},     {STR("NEVER"), SMTP_NOTIFY_NEVER},
};
#define NOTIFY_WORDS (sizeof notify_words / sizeof notify_words[0])

static unsigned notify_bit(struct str word)
{
    for (size_t i = 0; i < NOTIFY_WORDS; i++)
        if (str_caseeq(word, notify_words[i].word))
            return notify_words[i].bit;
    return 0;
}

/* RFC 3461 section 4.1: NEVER stands alone. */
unsigned smtp_notify_parse(struct str value)
{
    unsigned all = 0;
    for (bool more = true; more;) {
        ptrdiff_t comma = str_find(value, ',');
        more = comma >= 0;
        unsigned bit = notify_bit(more ? str_head(value, (size_t)comma) : value);
        if (bit == 0 || all & (SMTP_NOTIFY_NEVER | bit) || (all && bit == SMTP_NOTIFY_NEVER))
            return 0;
        all |= bit;
        value = str_skip(value, more ? (size_t)comma + 1 : 0);
    }
    return all;
}

void smtp_notify_print(unsigned notify, struct buf *out)
{
    const char *between = "";
    for (size_t i = 0; i < NOTIFY_WORDS; i++) {
        if (!(notify & notify_words[i].bit))
            continue;
        buf_printf(out, "%s%.*s", between, STR_FMT(notify_words[i].word));
        between = ",";
    }
}

enum smtp_ret smtp_ret_parse(struct str value)
{
    if (str_caseeq(value, STR("FULL")))
        return SMTP_RET_FULL;
    return str_caseeq(value, STR("HDRS")) ? SMTP_RET_HDRS : SMTP_RET_NONE;
}

/* --- xtext (RFC 3461 section 4) --- */

/* The next octet that xtext stands for, or -1. hexchar is upper case; lower case is read too. */
static int take_octet(struct str *s)
{
    unsigned char c = (unsigned char)s->p[0];
    if (c != '+') {
        *s = str_skip(*s, 1);
        return c > 0x20 && c < 0x7f && c != '=' ? c : -1;
    }
    int octet = str_hex_octet(str_skip(*s, 1));
    *s = str_skip(*s, octet < 0 ? 0 : 3);
    return octet;
}

static bool is_printable_xtext(struct str s)
{
    while (s.n) {
        int c = take_octet(&s);
        if (c < 0x20 || c > 0x7e)
            return false;
    }
    return true;
}

bool smtp_envid_is_sound(struct str value)
{
    return value.n > 0 && value.n <= SMTP_ENVID_MAX && is_printable_xtext(value);
}

static bool is_atom(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c >= 0x7f || (c && strchr("()<>@,;:\\\"/[]?.=+", c)))
            return false;
    }
    return s.n > 0;
}

bool smtp_orcpt_is_sound(struct str value)
{
    ptrdiff_t semicolon = str_find(value, ';');
    if (semicolon <= 0 || value.n > SMTP_ORCPT_MAX)
        return false;
    struct str type = str_head(value, (size_t)semicolon);
    struct str address = str_skip(value, (size_t)semicolon + 1);
    if (!is_atom(type) || address.n == 0)
        return false;
    /* utf-8-addr-unitext is plain UTF-8 (RFC 6533 section 3). */
    if (str_caseeq(type, STR("utf-8")))
        return str_is_text(address);
    return is_printable_xtext(address);
}

void smtp_xtext_decode(struct str xtext, struct buf *out)
{
    while (xtext.n) {
        int c = take_octet(&xtext);
        if (c < 0)
            return;
        buf_byte(out, (char)c);
    }
}

void smtp_xtext_encode(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c > 0x20 && c < 0x7f && c != '+' && c != '=')
            buf_byte(out, (char)c);
        else
            buf_printf(out, "+%02X", c);
    }
}
