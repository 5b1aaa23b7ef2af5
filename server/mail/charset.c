/* Charsets to UTF-8, with iconv or tables made by it. */
#include "base/map.h"
#include "mail/charset_table.h"
#include "mail/encoding.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <uninorm.h>
#include <unistr.h>

#define NAME_MAX_LEN 40
#define OPEN_MAX_COUNT 64

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

enum converter_kind {
    CONV_NONE, CONV_UTF8, CONV_ICONV, CONV_TABLE, CONV_COMPOSED,
    CONV_ISO2022JP, CONV_ISO2022KR, CONV_UTF16, CONV_UTF16BE, CONV_UTF16LE
};

struct converter {
    enum converter_kind kind;
    iconv_t cd;
    bool ascii; /* bytes below 0x80 mean themselves, whatever stands before */
    bool keep;  /* opened by mail_conv_preload */
    int table;  /* its number, or that of the EUC which an ISO 2022 charset is read through */
};

struct mail_conv {
    struct map *open;
    struct charset_tables *tables;
    struct converter none, utf8;
};

struct mail_conv *mail_conv_new(void)
{
    struct mail_conv *c = MEM_NEW(struct mail_conv);
    c->open = map_new();
    c->tables = charset_tables_new();
    c->utf8.kind = CONV_UTF8;
    return c;
}

static void converter_free(void *p)
{
    struct converter *v = p;
    if (v->kind == CONV_ICONV)
        iconv_close(v->cd);
    free(v);
}

void mail_conv_free(struct mail_conv *c)
{
    if (!c)
        return;
    map_free(c->open, converter_free);
    charset_tables_free(c->tables);
    free(c);
}

/* What a label means in mail, where it is not what iconv takes it for: the superset that writers of
 * the label use. */
static const char *real_name(const char *name)
{
    static const struct {
        const char *label, *name;
    } table[] = {
        {"gb2312", "gb18030"},         {"gbk", "gb18030"},     {"x-gbk", "gb18030"},
        {"ks_c_5601-1987", "cp949"},   {"euc-kr", "cp949"},    {"shift_jis", "cp932"},
        {"shift-jis", "cp932"},        {"x-sjis", "cp932"},    {"sjis", "cp932"},
        {"iso-8859-8-i", "iso-8859-8"}, {"iso-8859-8-e", "iso-8859-8"}, {"big5", "big5-hkscs"},
        {"unicode-1-1-utf-7", "utf-7"}, {"x-mac-roman", "macintosh"},
        {"windows-31j", "cp932"},      {"x-unknown", ""},      {"unknown-8bit", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(name, table[i].label) == 0)
            return table[i].name;
    return name;
}

/* Lower case and NUL-terminated; false when it cannot be a charset's name. */
static bool clean_name(struct str charset, char out[NAME_MAX_LEN + 1])
{
    charset = str_trim(charset);
    if (charset.n == 0 || charset.n > NAME_MAX_LEN)
        return false;
    for (size_t i = 0; i < charset.n; i++) {
        char c = charset.p[i], l = (char)(c | 0x20);
        bool ok = (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-_.:+", c));
        if (!ok)
            return false;
        out[i] = c;
    }
    str_lower(out, charset.n);
    out[charset.n] = '\0';
    return true;
}

static bool is_utf8_name(const char *name)
{
    return strcmp(name, "utf-8") == 0 || strcmp(name, "utf8") == 0;
}

/* These say nothing about bytes over 0x7f. */
static bool is_ascii_name(const char *name)
{
    return strcmp(name, "us-ascii") == 0 || strcmp(name, "ascii") == 0 ||
           strcmp(name, "ansi_x3.4-1968") == 0;
}

static bool same_through(iconv_t cd, char *in, size_t n)
{
    char out[16], *pi = in, *po = out;
    size_t ni = n, no = sizeof out;
    iconv(cd, NULL, NULL, NULL, NULL);
    return iconv(cd, &pi, &ni, &po, &no) != (size_t)-1 && (size_t)(po - out) == n &&
           memcmp(in, out, n) == 0;
}

/* True when text without bytes over 0x7f converts to itself. Tried out on every ASCII byte, and on
 * the shifts of the charsets that hide others behind ASCII: ISO 2022, UTF-7 ("+"), HZ ("~"). */
static bool keeps_ascii(iconv_t cd)
{
    char escape[] = {0x1b, '$', 'B'}, shift[] = {0x0e, 'a', 'a'};
    if (!same_through(cd, escape, 3) || !same_through(cd, shift, 3))
        return false;
    for (int i = 0x20; i < 0x7f; i++) {
        char in[3] = {(char)i, '@', 'a'};
        if (!same_through(cd, in, 3))
            return false;
    }
    return true;
}

static void drop_some(struct mail_conv *c)
{
    size_t at = 0;
    struct str key;
    void *v;
    while (map_next(c->open, &at, &key, &v))
        if (!((struct converter *)v)->keep)
            converter_free(map_take(c->open, key));
}

static struct converter *converter_get(struct mail_conv *c, struct str charset)
{
    char name[NAME_MAX_LEN + 1];
    if (!clean_name(charset, name) || is_ascii_name(name))
        return &c->none;
    if (is_utf8_name(name))
        return &c->utf8;
    struct str key = str_from(name);
    struct converter *v = map_get(c->open, key);
    if (v)
        return v;
    if (map_count(c->open) >= OPEN_MAX_COUNT)
        drop_some(c);
    v = MEM_NEW(struct converter);
    v->cd = iconv_open("UTF-8", real_name(name));
    v->kind = v->cd == (iconv_t)-1 || *real_name(name) == '\0' ? CONV_NONE : CONV_ICONV;
    if (v->kind == CONV_NONE && v->cd != (iconv_t)-1)
        iconv_close(v->cd);
    v->ascii = v->kind == CONV_ICONV && keeps_ascii(v->cd);
    map_put(c->open, key, v);
    return v;
}

/* --- opened early --- */

static struct converter *open_early(struct mail_conv *c, const char *name)
{
    struct converter *v = converter_get(c, str_from(name));
    v->keep = true;
    return v;
}

static void become(struct converter *v, enum converter_kind kind, int table)
{
    if (v->kind != CONV_ICONV || table < 0)
        return;
    iconv_close(v->cd);
    v->kind = kind;
    v->table = table;
}

/* iconv lets go of what was closed when others are closed after it. UTF-7-IMAP lies in the library of
 * UTF-7, which stays. */
static void let_go(void)
{
    for (int i = 0; i < 4; i++) {
        iconv_t cd = iconv_open("UTF-8", "UTF-7-IMAP");
        if (cd != (iconv_t)-1)
            iconv_close(cd);
    }
}

void mail_conv_preload(struct mail_conv *c)
{
    static const char *const names[] = {
        "iso-8859-1",   "iso-8859-2",   "iso-8859-3",   "iso-8859-4",   "iso-8859-5", "iso-8859-6",
        "iso-8859-7",   "iso-8859-8",   "iso-8859-9",   "iso-8859-10",  "iso-8859-13",
        "iso-8859-14",  "iso-8859-15",  "iso-8859-16",  "windows-1250", "windows-1251",
        "windows-1252", "windows-1253", "windows-1254", "windows-1255", "windows-1256",
        "windows-1257", "windows-1258", "koi8-r",       "koi8-u",       "tis-620",    "windows-874",
        "macintosh",    "cp437",        "cp850",        "cp866",        "big5",       "shift_jis",
        "euc-jp",       "euc-kr",       "ks_c_5601-1987", "gb2312",     "gb18030",    "gbk",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct converter *v = open_early(c, names[i]);
        bool composed = strcmp(names[i], "windows-1255") == 0 || strcmp(names[i], "windows-1258") == 0;
        if (v->kind == CONV_ICONV)
            become(v, composed ? CONV_COMPOSED : CONV_TABLE, charset_tables_add(c->tables, v->cd));
    }
    charset_tables_seal(c->tables);
    const struct converter *jp = open_early(c, "euc-jp"), *kr = open_early(c, "euc-kr");
    become(open_early(c, "iso-2022-jp"), CONV_ISO2022JP, jp->kind == CONV_TABLE ? jp->table : -1);
    become(open_early(c, "iso-2022-kr"), CONV_ISO2022KR, kr->kind == CONV_TABLE ? kr->table : -1);
    become(open_early(c, "utf-16"), CONV_UTF16, 0);
    become(open_early(c, "utf-16be"), CONV_UTF16BE, 0);
    become(open_early(c, "utf-16le"), CONV_UTF16LE, 0);
    (void)open_early(c, "utf-7");
    let_go();
}

bool mail_conv_known(struct mail_conv *c, struct str charset)
{
    char name[NAME_MAX_LEN + 1];
    return clean_name(charset, name) &&
           (is_ascii_name(name) || converter_get(c, charset)->kind != CONV_NONE);
}

static bool all_ascii(struct str in)
{
    size_t i = 0;
    for (; i + 8 <= in.n; i += 8) {
        uint64_t w;
        memcpy(&w, in.p + i, 8);
        if (w & 0x8080808080808080u)
            return false;
    }
    for (; i < in.n; i++)
        if ((unsigned char)in.p[i] >= 0x80)
            return false;
    return true;
}

/* Well-formed UTF-8 goes through; each other byte becomes U+FFFD. */
static int add_utf8(struct str in, struct buf *out)
{
    if (all_ascii(in))
        return buf_str(out, in);
    while (in.n) {
        const uint8_t *bad = u8_check((const uint8_t *)in.p, in.n);
        size_t good = bad ? (size_t)((const char *)bad - in.p) : in.n;
        if (buf_add(out, in.p, good) != 0 || (bad && buf_add(out, replacement, 3) != 0))
            return -1;
        in = str_skip(in, good + 1);
    }
    return 0;
}

/* Text that no charset is known for. */
static int add_unknown(struct str in, struct buf *out)
{
    if (all_ascii(in) || !u8_check((const uint8_t *)(in.p ? in.p : ""), in.n))
        return buf_str(out, in);
    for (size_t i = 0; i < in.n;) {
        size_t k = i;
        while (k < in.n && (unsigned char)in.p[k] < 0x80)
            k++;
        if (buf_add(out, in.p + i, k - i) != 0 || (k < in.n && buf_add(out, replacement, 3) != 0))
            return -1;
        i = k + 1;
    }
    return 0;
}

static int add_iconv(iconv_t cd, struct str in, struct buf *out)
{
    char block[8192], *pi = (char *)(uintptr_t)in.p;
    size_t ni = in.n;
    iconv(cd, NULL, NULL, NULL, NULL);
    for (bool flushed = false; ni > 0 || !flushed;) {
        char *po = block;
        size_t no = sizeof block;
        flushed = ni == 0;
        size_t r = iconv(cd, ni ? &pi : NULL, ni ? &ni : NULL, &po, &no);
        int why = r == (size_t)-1 ? errno : 0;
        if (buf_add(out, block, (size_t)(po - block)) != 0)
            return -1;
        if ((why == EILSEQ || why == EINVAL) && ni > 0) {
            if (buf_add(out, replacement, 3) != 0)
                return -1;
            pi++;
            ni--;
        }
    }
    return 0;
}

/* A letter and the tone or point after it are one character where Unicode has it. */
static int add_composed(const struct charset_tables *t, int table, struct str in, struct buf *out)
{
    AUTO_BUF parts = {0};
    (void)charset_by_table(t, table, in, &parts);
    size_t n = 0;
    AUTO_FREE uint8_t *text = u8_normalize(UNINORM_NFC, (const uint8_t *)parts.p, parts.n, NULL, &n);
    return text ? buf_add(out, text, n) : buf_str(out, buf_view(&parts));
}

int mail_conv_utf8(struct mail_conv *c, struct str charset, struct str in, struct buf *out)
{
    struct converter *v = converter_get(c, charset);
    if (v->kind == CONV_UTF8)
        return add_utf8(in, out);
    if (v->kind == CONV_NONE)
        return add_unknown(in, out);
    if (v->ascii && all_ascii(in))
        return buf_str(out, in);
    switch (v->kind) {
    case CONV_TABLE:
        return charset_by_table(c->tables, v->table, in, out);
    case CONV_COMPOSED:
        return add_composed(c->tables, v->table, in, out);
    case CONV_ISO2022JP:
        return charset_iso2022jp(c->tables, v->table, in, out);
    case CONV_ISO2022KR:
        return charset_iso2022kr(c->tables, v->table, in, out);
    case CONV_UTF16:
        return charset_utf16(CHARSET_BY_MARK, in, out);
    case CONV_UTF16BE:
        return charset_utf16(CHARSET_BIG, in, out);
    case CONV_UTF16LE:
        return charset_utf16(CHARSET_LITTLE, in, out);
    default:
        return add_iconv(v->cd, in, out);
    }
}
