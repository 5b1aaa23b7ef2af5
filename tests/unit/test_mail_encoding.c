/* mail/encoding.h: transfer encodings, charsets, encoded words, folding for search. */
#include "mail/encoding.h"
#include "tests/unit/mail_prefix.h"
#include "tests/unit/unit.h"

#include <uninorm.h>

#include <stdio.h>

/* Decodes in pieces of step bytes. */
static struct str base64(struct arena *a, struct str in, size_t step)
{
    struct mail_base64 s = {0};
    char *out = arena_alloc(a, in.n + 8);
    size_t n = 0;
    for (size_t i = 0; i < in.n; i += step)
        n += mail_base64_decode(&s, str_head(str_skip(in, i), step), out + n);
    return (struct str){out, n};
}

static void base64_decoding(void)
{
    static const char *const t[][2] = {
        {"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYmFy", "foobar"},
        {"Zm9v\r\nYmFy\r\n", "foobar"}, {"Z m 9\tv", "foo"}, {"Zm9v!YmFy", "foobar"},
        {"Zg", "f"}, {"Zg==Zg==", "ff"}, {"Zm9vY", "foo"}, {"====", ""}, {"Zm9v--", "foo"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        for (size_t step = 1; step < 10; step++) {
            AUTO_ARENA a = arena_new(256);
            UNIT_STR(base64(a, str_from(t[i][0]), step), t[i][1]);
        }
    }
}

static void base64_encoding(void)
{
    static const char *const t[][2] = {{"", ""},         {"f", "Zg=="},         {"fo", "Zm8="},
                                       {"foo", "Zm9v"},  {"foob", "Zm9vYg=="},  {"fooba", "Zm9vYmE="},
                                       {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        AUTO_ARENA a = arena_new(64);
        AUTO_BUF b = {0};
        CU_ASSERT(mail_base64_encode(&b, str_from(t[i][0]), false) == 0);
        UNIT_STR(buf_view(&b), t[i][1]);
        UNIT_STR(base64(a, buf_view(&b), 99), t[i][0]);
    }
    char bytes[58];
    memset(bytes, 0xff, sizeof bytes);
    AUTO_BUF b = {0};
    CU_ASSERT(mail_base64_encode(&b, (struct str){bytes, 57}, true) == 0);
    CU_ASSERT(b.n == 78 && memcmp(b.p + 76, "\r\n", 2) == 0);
    buf_clear(&b);
    CU_ASSERT(mail_base64_encode(&b, (struct str){bytes, 58}, true) == 0);
    CU_ASSERT(b.n == 78 + 6);
    AUTO_BUF small = BUF_MAX(3);
    CU_ASSERT(mail_base64_encode(&small, STR("f"), false) == -1 && small.n == 0);
}

static void quoted_printable(void)
{
    static const char *const t[][2] = {
        {"", ""},
        {"a=3Db", "a=b"},
        {"a=e9=E9", "a\xe9\xe9"},
        {"Now's the time =\r\nfor all folk=\r\n to come", "Now's the time for all folk to come"},
        {"soft=\nbreak", "softbreak"},
        {"soft= \t\r\nbreak", "softbreak"},
        {"trailing \t\r\nblanks  \nx  ", "trailing\r\nblanks\nx"},
        {"a  b", "a  b"},
        {"a\rb", "a\rb"},
        {"a=20\r\nb", "a \r\nb"},
        {"a=", "a"},
        {"a=3", "a=3"},
        {"a=XY=", "a=XY"},
        {"a=3X", "a=3X"},
        {"a==3D", "a=="},
        {"a= b", "a= b"},
        {"a=\rb", "a=\rb"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct str in = str_from(t[i][0]);
        for (size_t step = 1; step < 8; step++) {
            struct mail_qp s = {.held_n = 0};
            char out[256];
            size_t n = 0;
            for (size_t k = 0; k < in.n; k += step)
                n += mail_qp_decode(&s, str_head(str_skip(in, k), step), out + n);
            n += mail_qp_end(&s, out + n);
            unit_str(out, n, t[i][1], __FILE__, __LINE__);
        }
    }
}

/* Blanks beyond what is held back go out; nothing is written past in.n + MAIL_QP_SLACK. */
static void quoted_printable_blanks(void)
{
    char in[300];
    memset(in, ' ', sizeof in);
    for (int equals = 0; equals < 2; equals++) {
        struct mail_qp s = {.held_n = 0};
        size_t total = 0;
        in[0] = equals ? '=' : ' ';
        for (size_t i = 0; i < sizeof in; i++) {
            char *out = malloc(1 + MAIL_QP_SLACK);
            total += mail_qp_decode(&s, (struct str){in + i, 1}, out);
            free(out);
        }
        CU_ASSERT(total <= sizeof in && total >= sizeof in - 2 * MAIL_QP_SLACK);
    }
}

/* --- charsets --- */

static void charsets(void)
{
    static const struct {
        const char *charset, *in, *want;
    } t[] = {
        {"utf-8", "h\xc3\xa9", "h\xc3\xa9"},
        {"UTF-8", "a\xff" "b\xc3", "a\xef\xbf\xbd" "b\xef\xbf\xbd"},
        {"iso-8859-1", "h\xe9", "h\xc3\xa9"},
        {" ISO-8859-15 ", "\xa4", "\xe2\x82\xac"},
        {"windows-1252", "\x80", "\xe2\x82\xac"},
        {"koi8-r", "\xcd\xc9\xd2", "\xd0\xbc\xd0\xb8\xd1\x80"},
        {"iso-2022-jp", "\x1b$B$\"\x1b(B!", "\xe3\x81\x82!"},
        {"utf-7", "a+AOk-b", "a\xc3\xa9" "b"},
        {"gb2312", "\xc4\xe3", "\xe4\xbd\xa0"},
        {"shift_jis", "\x82\xa0", "\xe3\x81\x82"},
        {"utf-16be", "", ""},
        {"us-ascii", "abc", "abc"},
        {"us-ascii", "h\xc3\xa9", "h\xc3\xa9"},          /* UTF-8 under a wrong label */
        {"us-ascii", "h\xe9!", "h\xef\xbf\xbd!"},
        {"", "h\xc3\xa9", "h\xc3\xa9"},
        {"no-such-charset", "h\xe9", "h\xef\xbf\xbd"},
        {"../../etc/passwd", "h\xe9", "h\xef\xbf\xbd"},
        {"utf-8//ignore", "h\xe9", "h\xef\xbf\xbd"},
        {"x-unknown", "h\xc3\xa9", "h\xc3\xa9"},
        {"euc-jp", "a\xa4", "a\xef\xbf\xbd"},               /* cut character */
        {"iso-8859-3", "\xa5x", "\xef\xbf\xbdx"},            /* no such character */
    };
    struct mail_conv *c = mail_conv_new();
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
            AUTO_BUF out = {0};
            CU_ASSERT(mail_conv_utf8(c, str_from(t[i].charset), str_from(t[i].in), &out) == 0);
            UNIT_STR(buf_view(&out), t[i].want);
        }
    }
    CU_ASSERT(mail_conv_known(c, STR("US-ASCII")) && mail_conv_known(c, STR("utf-8")));
    CU_ASSERT(mail_conv_known(c, STR("ISO-8859-2")) && !mail_conv_known(c, STR("no-such")));
    CU_ASSERT(!mail_conv_known(c, STR("")) && !mail_conv_known(c, STR("x-unknown")));
    AUTO_BUF small = BUF_MAX(2);
    CU_ASSERT(mail_conv_utf8(c, STR("iso-8859-1"), STR("abc\xe9"), &small) == -1);
    mail_conv_free(c);
}

/* Many names do not make the table grow without end, and what was opened early stays. */
static void charset_cache(void)
{
    struct mail_conv *c = mail_conv_new();
    mail_conv_preload(c);
    for (int i = 0; i < 500; i++) {
        char name[32];
        int n = snprintf(name, sizeof name, "x-none-%d", i);
        CU_ASSERT(!mail_conv_known(c, (struct str){name, (size_t)n}));
    }
    CU_ASSERT(mail_conv_known(c, STR("iso-8859-1")));
    mail_conv_free(c);
    mail_conv_free(NULL);
}

static void compare(struct mail_conv *early, struct mail_conv *late, const char *charset, struct str text)
{
    AUTO_BUF a = {0};
    AUTO_BUF b = {0};
    CU_ASSERT(mail_conv_utf8(early, str_from(charset), text, &a) == 0);
    CU_ASSERT(mail_conv_utf8(late, str_from(charset), text, &b) == 0);
    CU_ASSERT(str_eq(buf_view(&a), buf_view(&b)));
}

static bool has(struct mail_conv *c, const char *charset, struct str text)
{
    AUTO_BUF b = {0};
    return mail_conv_utf8(c, str_from(charset), text, &b) == 0 && !strstr(buf_z(&b), "\xef\xbf\xbd");
}

/* What was opened early says what iconv says, of every byte after every other one. */
static void charset_tables(void)
{
    static const char *const names[] = {
        "iso-8859-1", "iso-8859-3", "iso-8859-6", "iso-8859-7", "iso-8859-8", "iso-8859-15",
        "windows-1250", "windows-1252", "windows-1256", "koi8-r", "tis-620", "windows-874",
        "macintosh", "cp437", "euc-jp", "gb18030", "shift_jis", "big5", "euc-kr", "utf-7"};
    struct mail_conv *early = mail_conv_new(), *late = mail_conv_new();
    mail_conv_preload(early);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (unsigned first = 0; first < 256; first++) {
            char in[512];
            size_t n = 0;
            for (unsigned k = 0; k < 256; k++) {
                if (strcmp(names[i], "euc-kr") == 0 && first + k == 0xa2 + 0xe8)
                    continue; /* A2 E8: iconv swallows what it cannot read */
                in[n++] = (char)first;
                in[n++] = (char)k;
            }
            compare(early, late, names[i], (struct str){in, n});
        }
    }
    for (int i = 0x2121; i <= 0x7e7e; i++) { /* JIS X 0212 */
        const char in[] = {'a', (char)0x8f, (char)(i >> 8 | 0x80), (char)(i | 0x80), 'b'};
        compare(early, late, "euc-jp", (struct str){in, sizeof in});
    }
    mail_conv_free(early);
    mail_conv_free(late);
}

static bool in_nfc_same(struct str a, struct str b)
{
    size_t n = 0, m = 0;
    AUTO_FREE uint8_t *x = u8_normalize(UNINORM_NFC, (const uint8_t *)a.p, a.n, NULL, &n);
    AUTO_FREE uint8_t *y = u8_normalize(UNINORM_NFC, (const uint8_t *)b.p, b.n, NULL, &m);
    return x && y && n == m && memcmp(x, y, n) == 0;
}

/* Letters with a point or a tone, which iconv makes one character of in its own way: Hebrew forms that
 * Unicode takes apart again, and O with an acute and then a tilde for O with them the other way round. */
static void charset_tones(void)
{
    static const char *const names[] = {"windows-1255", "windows-1258"};
    struct mail_conv *early = mail_conv_new(), *late = mail_conv_new();
    mail_conv_preload(early);
    for (int i = 0; i < 2 * 256 * 256; i++) {
        const char in[] = {(char)(i >> 8), (char)i}, *name = names[i >> 16];
        struct str text = {in, 2};
        bool tilde = (i & 0xff) == 0xde && (i >> 16) == 1;
        if (tilde || !has(late, name, str_head(text, 1)) || !has(late, name, str_skip(text, 1)))
            continue;
        AUTO_BUF a = {0};
        AUTO_BUF b = {0};
        CU_ASSERT(mail_conv_utf8(early, str_from(name), text, &a) == 0);
        CU_ASSERT(mail_conv_utf8(late, str_from(name), text, &b) == 0);
        CU_ASSERT(in_nfc_same(buf_view(&a), buf_view(&b)));
    }
    mail_conv_free(early);
    mail_conv_free(late);
}

/* Every character of the sets, and what is cut or outside its line. */
static void charset_iso2022(void)
{
    static const struct {
        const char *charset, *in;
    } t[] = {
        {"iso-2022-jp", "\x1b$@0!\x1b(J\\~\x1b(B\\~"},
        {"iso-2022-jp", "a\x1b$B$"},
        {"iso-2022-jp", "\x1b$B$\"\x80\x1b(Bz"},
        {"iso-2022-jp", "\xe9\x1b[m"},
        {"iso-2022-kr", "\x1b$)Cabc \x0e" "0!\x0f" "d"},
        {"iso-2022-kr", "\x1b$)C\x0e" "0!0\"\x0f\nx"},
    };
    struct mail_conv *early = mail_conv_new(), *late = mail_conv_new();
    mail_conv_preload(early);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        compare(early, late, t[i].charset, str_from(t[i].in));
    for (int i = 0; i < 94 * 94; i++) {
        char jp[] = "\x1b$B..\x1b(B", kr[] = "\x1b$)C\x0e..\x0f";
        jp[3] = kr[5] = (char)(0x21 + i / 94);
        jp[4] = kr[6] = (char)(0x21 + i % 94);
        if (has(late, "iso-2022-jp", str_from(jp)))
            compare(early, late, "iso-2022-jp", str_from(jp));
        if (has(late, "iso-2022-kr", str_from(kr)) && strcmp(kr + 5, "\"h\x0f") != 0) /* see above */
            compare(early, late, "iso-2022-kr", str_from(kr));
    }
    mail_conv_free(early);
    mail_conv_free(late);
}

/* RFC 2781: a mark tells the order, and without one it is big-endian; a pair of surrogates is one
 * character; half of one, or of a unit, is none. */
static void charset_utf16_orders(void)
{
    static const struct {
        const char *charset, *in;
        size_t n;
        const char *want;
    } t[] = {
        {"utf-16", "\xfe\xff\0a", 4, "a"},
        {"utf-16", "\xff\xfe" "a\0", 4, "a"},
        {"utf-16", "\0a", 2, "a"},
        {"utf-16be", "\0a\x20\xac", 4, "a\xe2\x82\xac"},
        {"utf-16le", "a\0\xac\x20", 4, "a\xe2\x82\xac"},
        {"utf-16be", "\xd8\x3d\xde\0", 4, "\xf0\x9f\x98\x80"},
        {"utf-16be", "\xd8\x3d\0a", 4, "\xef\xbf\xbd" "a"},
        {"utf-16be", "\0a\xd8", 3, "a\xef\xbf\xbd"},
        {"utf-16", "", 0, ""},
    };
    struct mail_conv *early = mail_conv_new();
    mail_conv_preload(early);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        AUTO_BUF out = {0};
        CU_ASSERT(mail_conv_utf8(early, str_from(t[i].charset), (struct str){t[i].in, t[i].n}, &out) == 0);
        UNIT_STR(buf_view(&out), t[i].want);
    }
    mail_conv_free(early);
}

/* --- encoded words --- */

static const struct {
    const char *in, *want;
} words[] = {
    /* RFC 2047 section 8 */
    {"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"},
    {"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld J\xc3\xb8rn Simonsen"},
    {"=?ISO-8859-1?Q?Andr=E9?= Pirard", "Andr\xc3\xa9 Pirard"},
    {"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
     "If you can read this you understand the example."},
    {"(=?ISO-8859-1?Q?a?=)", "(a)"},
    {"(=?ISO-8859-1?Q?a?= b)", "(a b)"},
    {"(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"},
    {"(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"},
    {"(=?ISO-8859-1?Q?a?=\r\n  =?ISO-8859-1?Q?b?=)", "(ab)"},
    {"(=?ISO-8859-1?Q?a_b?=)", "(a b)"},
    {"(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"},
    /* what mailers do */
    {"=?utf-8?b?4oI=?= =?utf-8?b?rA==?=", "\xe2\x82\xac"},      /* a character cut in two */
    {"=?utf-8*en?q?x?=", "x"},
    {"=?utf-8?q?a b?=", "a b"},
    {"x=?utf-8?q?y?=z", "xyz"},
    {"plain text", "plain text"},
    {"folded\r\n text\n\tmore", "folded text\tmore"},
    {"raw \xe9 byte", "raw \xef\xbf\xbd byte"},
    {"raw \xc3\xa9", "raw \xc3\xa9"},
    {"=?no-such?q?=E9?=", "\xef\xbf\xbd"},
    /* no words */
    {"=?utf-8?x?y?=", "=?utf-8?x?y?="},
    {"=?utf-8?q?y", "=?utf-8?q?y"},
    {"=?utf-8?q?y?", "=?utf-8?q?y?"},
    {"=??q?y?=", "=??q?y?="},
    {"=?=", "=?="},
    {"a=b ?= =?", "a=b ?= =?"},
    {"", ""},
};

static void feed_words(struct arena *a, struct str s)
{
    struct mail_conv *c = mail_conv_new();
    struct str out = mail_words_text(a, c, s);
    CU_ASSERT(out.n <= 3 * s.n);
    mail_conv_free(c);
}

static void encoded_words(void)
{
    struct mail_conv *c = mail_conv_new();
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        AUTO_ARENA a = arena_new(256);
        UNIT_STR(mail_words_text(a, c, str_from(words[i].in)), words[i].want);
        if (i % 4 == 0)
            each_prefix(str_from(words[i].in), feed_words);
    }
    mail_conv_free(c);
}

/* What is encoded is decoded again, in words of at most 75 characters that cut none of ours in two. */
static void words_made(void)
{
    struct mail_conv *c = mail_conv_new();
    static const char *const t[] = {
        "plain", "", "f\xc3\xbcr", "\xf0\x9f\x90\x93\xf0\x9f\x90\x93\xf0\x9f\x90\x93\xf0\x9f\x90\x93"
        "\xf0\x9f\x90\x93\xf0\x9f\x90\x93\xf0\x9f\x90\x93\xf0\x9f\x90\x93\xf0\x9f\x90\x93\xf0\x9f\x90\x93"
        "\xf0\x9f\x90\x93\xf0\x9f\x90\x93\xf0\x9f\x90\x93", "a long line of ASCII and then \xc3\xa4\xc3\xb6\xc3\xbc"
        " and some more of it, so that there are several"};
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        AUTO_ARENA a = arena_new(256);
        AUTO_BUF out = {0};
        struct str rest, line;
        CU_ASSERT(mail_words_encode(str_from(t[i]), &out) == 0);
        rest = buf_view(&out);
        while (str_line(&rest, &line)) {
            CU_ASSERT(str_trim(line).n <= 75);
            for (size_t k = 0; k < line.n; k++)
                CU_ASSERT((unsigned char)line.p[k] < 0x80);
            struct str one = mail_words_text(a, c, str_trim(line));
            CU_ASSERT(str_is_utf8(one) && !memmem(one.p, one.n, "\xef\xbf\xbd", 3));
        }
        UNIT_STR(mail_words_text(a, c, buf_view(&out)), t[i]);
    }
    mail_conv_free(c);
}

/* --- search --- */

static void casemap(void)
{
    static const char *const t[][2] = {
        {"Hello, World 1", "HELLO, WORLD 1"},
        {"\xc3\xa9", "E\xcc\x81"},
        {"\xc3\x89", "E\xcc\x81"},
        {"\xc7\x84", "Dz\xcc\x8c"},        /* U+01C4, RFC 5051 section 2 */
        {"\xc7\x86", "Dz\xcc\x8c"},        /* U+01C6 */
        {"\xef\xac\x81", "fi"},            /* ligature: decomposed after the title case step */
        {"\xd0\xb0", "\xd0\x90"},
        {"\xc3\x9f", "\xc3\x9f"},
        {"a\xff" "b", "A\xff" "B"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        AUTO_BUF b = {0};
        CU_ASSERT(mail_casemap(str_from(t[i][0]), &b) == 0);
        UNIT_STR(buf_view(&b), t[i][1]);
    }
    AUTO_BUF b = {0}, scratch = {0};
    mail_casemap(STR("\xc3\x89t\xc3\xa9"), &b);
    CU_ASSERT(mail_casemap_contains(STR("un \xc3\xa9T\xc3\x89 chaud"), buf_view(&b), &scratch));
    CU_ASSERT(!mail_casemap_contains(STR("un ete"), buf_view(&b), &scratch));
    CU_ASSERT(mail_casemap_contains(STR(""), STR(""), &scratch));
    CU_ASSERT(!mail_casemap_contains(STR(""), STR("X"), &scratch));
    AUTO_BUF small = BUF_MAX(1);
    CU_ASSERT(mail_casemap(STR("ab"), &small) == -1);
    AUTO_BUF fits = BUF_MAX(2); /* one byte and two, from three bytes */
    CU_ASSERT(mail_casemap(STR("\xe2\x84\xaa" "a"), &fits) == 0); /* KELVIN SIGN */
    UNIT_STR(fits, "KA");
}

/* Eight at a time or one at a time, it is the same. */
static void casemap_ascii(void)
{
    for (size_t n = 0; n <= 20; n++) {
        for (int c = 0; c < 128; c++) {
            char text[20];
            memset(text, 'm', sizeof text);
            AUTO_BUF b = {0};
            text[n ? n - 1 : 0] = (char)c;
            CU_ASSERT_FATAL(mail_casemap((struct str){text, n}, &b) == 0 && b.n == n);
            for (size_t i = 0; i < n; i++) {
                int was = text[i], want = was >= 'a' && was <= 'z' ? was - 32 : was;
                CU_ASSERT_FATAL(b.p[i] == want);
            }
        }
    }
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"base64 decoding in pieces", base64_decoding},
        {"base64 encoding", base64_encoding},
        {"quoted-printable in pieces", quoted_printable},
        {"quoted-printable, long runs of blanks", quoted_printable_blanks},
        {"charsets", charsets},
        {"charset cache", charset_cache},
        {"charsets opened early and late say the same", charset_tables},
        {"charsets with tones and points", charset_tones},
        {"ISO 2022", charset_iso2022},
        {"UTF-16", charset_utf16_orders},
        {"encoded words", encoded_words},
        {"encoded words that we make", words_made},
        {"i;unicode-casemap", casemap},
        {"i;unicode-casemap of ASCII", casemap_ascii},
        {NULL, NULL},
    };
    return unit_main("mail-encoding", tests);
}
