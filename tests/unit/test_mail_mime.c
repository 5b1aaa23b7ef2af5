/*
 * mail/mime.h and mail/imap_text.h: the tree, its sizes, and IMAP's words for it.
 *
 * tests/corpus/mime holds difficult messages (.eml) and the ENVELOPE and BODYSTRUCTURE expected for
 * them (.want, two lines of a file; a CR or LF inside a literal makes no difference to the
 * comparison).
 */
#include "mail/encoding.h"
#include "mail/imap_text.h"
#include "mail/wire.h"
#include "tests/unit/mail_prefix.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

static struct str structure(struct arena *a, struct str m, bool extended)
{
    AUTO_BUF b = {0};
    CU_ASSERT(mail_imap_body(&b, a, m, mail_mime_parse(a, m), extended, 0) == 0);
    return arena_str(a, buf_view(&b));
}

static struct str envelope(struct arena *a, struct str m, unsigned flags)
{
    AUTO_BUF b = {0};
    struct mail_envelope env;
    mail_envelope_parse(a, m, &env);
    CU_ASSERT(mail_imap_envelope(&b, &env, flags) == 0);
    return arena_str(a, buf_view(&b));
}

/* RFC 3501 section 6.4.5, the example of part numbers. */
static const char numbers[] =
    "Content-Type: multipart/mixed; boundary=A\n\n"
    "--A\nContent-Type: text/plain\n\n1\n"
    "--A\nContent-Type: application/octet-stream\n\n2\n"
    "--A\nContent-Type: message/rfc822\n\n"
    "Subject: three\nContent-Type: multipart/mixed; boundary=B\n\n"
    "--B\n\n3.1\n--B\nContent-Type: application/octet-stream\n\n3.2\n--B--\n\n"
    "--A\nContent-Type: multipart/mixed; boundary=C\n\n"
    "--C\nContent-Type: image/gif\n\n4.1\n"
    "--C\nContent-Type: message/rfc822\n\n"
    "Subject: four two\nContent-Type: multipart/mixed; boundary=D\n\n"
    "--D\n\n4.2.1\n"
    "--D\nContent-Type: multipart/alternative; boundary=E\n\n"
    "--E\n\n4.2.2.1\n--E\nContent-Type: text/richtext\n\n4.2.2.2\n--E--\n--D--\n--C--\n--A--\n";

static void part_numbers(void)
{
    static const struct {
        uint32_t path[5];
        size_t n;
        const char *body; /* NULL: no such part */
    } t[] = {
        {{1}, 1, "1"}, {{2}, 1, "2"}, {{3, 1}, 2, "3.1"}, {{3, 2}, 2, "3.2"}, {{4, 1}, 2, "4.1"},
        {{4, 2, 1}, 3, "4.2.1"}, {{4, 2, 2, 1}, 4, "4.2.2.1"}, {{4, 2, 2, 2}, 4, "4.2.2.2"},
        {{5}, 1, NULL}, {{0}, 1, NULL}, {{1, 1}, 2, NULL}, {{3, 3}, 2, NULL}, {{4, 2, 2, 3}, 4, NULL},
        {{4, 2, 2, 1, 1}, 5, NULL},
    };
    AUTO_ARENA a = arena_new(1024);
    struct str m = STR(numbers);
    struct mail_part *root = mail_mime_parse(a, m);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        const struct mail_part *p = mail_part_find(root, t[i].path, t[i].n);
        CU_ASSERT((p != NULL) == (t[i].body != NULL));
        if (p && t[i].body)
            UNIT_STR(mail_part_body(m, p), t[i].body);
    }
    CU_ASSERT(mail_part_find(root, NULL, 0) == root);
    const uint32_t three = 3;
    const struct mail_part *message = mail_part_find(root, &three, 1);
    CU_ASSERT_FATAL(message && message->kind == MAIL_PART_MESSAGE);
    CU_ASSERT(str_starts(mail_part_body(m, message), STR("Subject: three\n")));
    CU_ASSERT(str_starts(mail_part_header(m, message->first), STR("Subject: three\n")));
    size_t count = 0;
    for (const struct mail_part *p = root; p; p = mail_part_next(root, p))
        count++;
    CU_ASSERT(count == 15);
}

static void single_part_numbers(void)
{
    const uint32_t path[] = {1, 1};
    AUTO_ARENA a = arena_new(1024);
    struct str m = STR("Subject: x\n\nbody\n");
    struct mail_part *root = mail_mime_parse(a, m);
    CU_ASSERT(mail_part_find(root, path, 1) == root);
    CU_ASSERT(mail_part_find(root, path, 2) == NULL);
    m = STR("Content-Type: message/rfc822\n\nSubject: y\n\nbody\n");
    root = mail_mime_parse(a, m);
    CU_ASSERT(mail_part_find(root, path, 1) == root);
    CU_ASSERT(mail_part_find(root, path, 2) == root->first);
}

/* Sizes do not depend on how lines end in the file. */
static void wire_sizes(void)
{
    AUTO_ARENA a = arena_new(1024);
    struct str lf = STR(numbers);
    AUTO_BUF crlf = {0};
    CU_ASSERT_FATAL(mail_wire_add(&crlf, lf) == 0);
    struct str x = structure(a, lf, true), y = structure(a, buf_view(&crlf), true);
    CU_ASSERT(str_eq(x, y));
    struct mail_part *p = mail_mime_parse(a, lf), *q = mail_mime_parse(a, buf_view(&crlf));
    CU_ASSERT(p->body.wire == q->body.n && q->body.wire == q->body.n && p->body.lines == q->body.lines);
    CU_ASSERT(p->header.wire + p->body.wire == mail_wire_size(lf, NULL));
}

/* --- RFC 2231 --- */

static void parameters(void)
{
    static const struct {
        const char *value, *name, *want; /* want: with a "*" in front where it is extended */
    } t[] = {
        {"message/external-body; access-type=URL; URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/x.tar\"", "url",
         "ftp://cs.utk.edu/x.tar"},
        {"application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A", "title",
         "*us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A"},
        {"application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20; "
         "title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"", "TITLE",
         "*us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn't it!"},
        {"a/b; n*=utf-8''%e2%82%ac%20rates", "n", "*utf-8''%e2%82%ac%20rates"},
        {"a/b; n*=iso-8859-1'en'%A3%20rates", "n", "*iso-8859-1'en'%A3%20rates"},
        {"a/b; n*=''%zz%4", "n", "*''%zz%4"},
        {"a/b; n*=plain", "n", "*plain"},
        {"a/b; n*1=b; n*0=a; n*2=c", "n", "abc"},
        {"a/b; n*0=a; N*1=b", "n", "ab"},
        {"a/b; n=\"=?utf-8?q?=C3=A9?=\"", "n", "=?utf-8?q?=C3=A9?="},
        {"a/b; n=\"a\\\"b\"", "n", "a\"b"},
        {"a/b; n*1=b; n*2=c", "n*1", "b"},
        {"a/b; n*0=a; n*2=c", "n*2", "c"},
        {"a/b; n*0=a; n*0=b; n*1=c", "n*1", "c"},
        {"a/b; x; n=1", "n", NULL},
        {"a/b; x; y=2; n=1", "n", "1"},
        {"a/b; n=\"unterminated", "n", NULL},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        AUTO_ARENA a = arena_new(1024);
        struct str token;
        struct mail_param *v;
        size_t n;
        mail_mime_value_parse(a, str_from(t[i].value), &token, &v, &n);
        const struct mail_param *p = mail_param_find(v, n, str_from(t[i].name));
        CU_ASSERT((p != NULL) == (t[i].want != NULL));
        if (p && t[i].want)
            UNIT_STR(arena_concat(a, p->extended ? STR("*") : STR(""), p->value), t[i].want);
        else if (t[i].want)
            printf("# %s\n", t[i].value);
    }
}

static void decoded_text(void)
{
    static const struct {
        const char *message, *want;
    } t[] = {
        {"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n"
         "caf=E9 =\nx\n", "caf\xc3\xa9 x\n"},
        {"Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: BASE64\n\nY2Fmw6k=\n",
         "caf\xc3\xa9"},
        {"Content-Type: image/png\nContent-Transfer-Encoding: base64\n\n/+8=\n", "\xff\xef"},
        {"X: y\n\n\xe9\n", "\xef\xbf\xbd\n"},
        {"Content-Type: text/plain\nContent-Transfer-Encoding: x-uuencode\n\nabc\n", "abc\n"},
        {"Content-Transfer-Encoding: base64\n\nY2Fm\n", "Y2Fm\n"}, /* does not say that it is MIME */
    };
    struct mail_conv *c = mail_conv_new();
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        AUTO_ARENA a = arena_new(1024);
        AUTO_BUF out = {0};
        struct str m = str_from(t[i].message);
        CU_ASSERT(mail_part_text(c, m, mail_mime_parse(a, m), &out) == 0);
        UNIT_STR(buf_view(&out), t[i].want);
    }
    mail_conv_free(c);
}

/* --- limits --- */

static size_t count_parts(const struct mail_part *root)
{
    size_t n = 0;
    for (const struct mail_part *p = root; p; p = mail_part_next(root, p))
        n++;
    return n;
}

static void many_parts(void)
{
    AUTO_ARENA a = arena_new(65536);
    AUTO_BUF b = {0}, out = {0};
    buf_str(&b, STR("Content-Type: multipart/mixed; boundary=b\n\n"));
    for (int i = 0; i < MAIL_MIME_PARTS_MAX + 10; i++)
        buf_str(&b, STR("--b\n\nx\n"));
    struct mail_part *root = mail_mime_parse(a, buf_view(&b));
    CU_ASSERT(count_parts(root) == MAIL_MIME_PARTS_MAX);
    CU_ASSERT(root->body.at + root->body.n == b.n);
    CU_ASSERT(mail_imap_body(&out, a, buf_view(&b), root, true, 0) == 0);
}

static void deep_parts(void)
{
    static const char *const forms[] = {
        "Content-Type: multipart/mixed; boundary=%d\n\n--%d\n", "Content-Type: message/rfc822\n\n"};
    for (size_t f = 0; f < 2; f++) {
        AUTO_ARENA a = arena_new(65536);
        AUTO_BUF b = {0}, out = {0};
        for (int i = 1000; i < 1000 + 5 * MAIL_MIME_DEPTH_MAX; i++) {
            if (f == 0)
                buf_printf(&b, "Content-Type: multipart/mixed; boundary=%d\n\n--%d\n", i, i);
            else
                buf_str(&b, str_from(forms[f]));
        }
        struct mail_part *root = mail_mime_parse(a, buf_view(&b));
        CU_ASSERT(count_parts(root) == MAIL_MIME_DEPTH_MAX);
        const struct mail_part *last = root;
        while (last->first)
            last = last->first;
        CU_ASSERT(last->kind == MAIL_PART_LEAF && last->body.at + last->body.n == b.n);
        CU_ASSERT(mail_imap_body(&out, a, buf_view(&b), root, true, 0) == 0);
        CU_ASSERT(memmem(out.p, out.n, "\"application\" \"octet-stream\"", 28) != NULL);
        AUTO_BUF small = BUF_MAX(500);
        CU_ASSERT(mail_imap_body(&small, a, buf_view(&b), root, true, 0) == -1);
    }
}

static void many_parameters(void)
{
    AUTO_ARENA a = arena_new(65536);
    AUTO_BUF b = {0};
    buf_str(&b, STR("a/b"));
    for (int i = 0; i < 3 * MAIL_MIME_PARAMS_MAX; i++)
        buf_printf(&b, "; n*%d=x", i);
    struct str token;
    struct mail_param *v;
    size_t n;
    mail_mime_value_parse(a, buf_view(&b), &token, &v, &n);
    CU_ASSERT(n == 1 && v[0].value.n == MAIL_MIME_PARAMS_MAX);
}

/* --- IMAP --- */

static void strings(void)
{
    static const struct {
        struct str in;
        unsigned flags;
        const char *want;
    } t[] = {
        {{NULL, 0}, 0, "NIL"},
        {{"", 0}, 0, "\"\""},
        {{"a b", 3}, 0, "\"a b\""},
        {{"a\"\\", 3}, 0, "\"a\\\"\\\\\""},
        {{"a\r\n", 3}, 0, "{3}\r\na\r\n"},
        {{"\xc3\xa9", 2}, 0, "{2}\r\n\xc3\xa9"},
        {{"\xc3\xa9", 2}, MAIL_IMAP_UTF8, "\"\xc3\xa9\""},
        {{"\xe9", 1}, MAIL_IMAP_UTF8, "{1}\r\n\xe9"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        AUTO_BUF b = {0};
        CU_ASSERT(mail_imap_nstring(&b, t[i].in, t[i].flags) == 0);
        UNIT_STR(buf_view(&b), t[i].want);
    }
}

/* RFC 3501 section 8, with the From of section 7.4.2's rules. */
static void imap_example(void)
{
    AUTO_ARENA a = arena_new(1024);
    struct str m = STR("Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
                       "From: Terry Gray <gray@cac.washington.edu>\r\n"
                       "Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
                       "To: imap@cac.washington.edu\r\n"
                       "cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
                       "Message-Id: <B27397-0100000@cac.washington.edu>\r\n"
                       "MIME-Version: 1.0\r\n"
                       "Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\nx\r\n");
    UNIT_STR(envelope(a, m, 0),
             "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" "
             "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
             "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
             "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
             "((NIL NIL \"imap\" \"cac.washington.edu\")) "
             "((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) "
             "NIL NIL \"<B27397-0100000@cac.washington.edu>\")");
    UNIT_STR(structure(a, m, false),
             "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7bit\" 3 1)");
    UNIT_STR(structure(a, m, true),
             "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7bit\" 3 1 NIL NIL NIL NIL)");
}

static void feed(struct arena *a, struct str m)
{
    struct mail_part *root = mail_mime_parse(a, m);
    for (const struct mail_part *p = root; p; p = mail_part_next(root, p)) {
        CU_ASSERT(p->header.at + p->header.n <= p->body.at && p->body.at + p->body.n <= m.n);
        CU_ASSERT(mail_wire_size(mail_part_body(m, p), NULL) == p->body.wire);
        CU_ASSERT(mail_wire_size(mail_part_header(m, p), NULL) == p->header.wire);
        if (p->parent)
            CU_ASSERT(p->header.at >= p->parent->body.at &&
                      p->body.at + p->body.n <= p->parent->body.at + p->parent->body.n);
    }
    (void)structure(a, m, true);
    (void)envelope(a, m, MAIL_IMAP_UTF8);
}

/* --- corpus --- */

static void read_file(const char *name, const char *ending, struct buf *out)
{
    const char *dir = getenv("FACTEUR_SRCDIR");
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/corpus/mime/%s%s", dir ? dir : ".", name, ending);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fd_read_all(fd, out, 1 << 20) != 0) {
        printf("# cannot read %s\n", path);
        CU_FAIL("corpus file");
    }
}

static void corpus_message(const char *name)
{
    AUTO_ARENA a = arena_new(1024);
    AUTO_BUF m = {0}, want = {0}, crlf = {0};
    read_file(name, ".eml", &m);
    read_file(name, ".want", &want);
    struct str view = buf_view(&m);
    struct str got = arena_printf(a, "ENVELOPE %.*s\nBODYSTRUCTURE %.*s\n",
                                  STR_FMT(envelope(a, view, 0)), STR_FMT(structure(a, view, true)));
    bool same = str_eq(got, buf_view(&want));
    CU_ASSERT(same);
    if (!same)
        printf("# %s: got\n# %.*s", name, STR_FMT(got));
    CU_ASSERT(mail_wire_add(&crlf, view) == 0);
    CU_ASSERT(str_eq(structure(a, view, true), structure(a, buf_view(&crlf), true)));
    each_prefix(view, feed);
}

static void corpus(void)
{
    const char *src = getenv("FACTEUR_SRCDIR");
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/corpus/mime", src ? src : ".");
    DIR *d = opendir(path);
    CU_ASSERT_FATAL(d != NULL);
    size_t count = 0;
    for (struct dirent *e; (e = readdir(d));) {
        struct str name = str_from(e->d_name);
        if (!str_ends(name, STR(".eml")))
            continue;
        AUTO_ARENA a = arena_new(256);
        corpus_message(arena_strz(a, str_head(name, name.n - 4)));
        count++;
    }
    closedir(d);
    CU_ASSERT(count >= 50);
}

static void number_prefixes(void)
{
    each_prefix(STR(numbers), feed);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"part numbers", part_numbers},
        {"part numbers of a single part", single_part_numbers},
        {"sizes with LF and CR LF", wire_sizes},
        {"every prefix of a nested message", number_prefixes},
        {"parameters of RFC 2231", parameters},
        {"decoded text", decoded_text},
        {"more parts than allowed", many_parts},
        {"deeper than allowed", deep_parts},
        {"more parameters than allowed", many_parameters},
        {"IMAP strings", strings},
        {"IMAP example", imap_example},
        {"corpus", corpus},
        {NULL, NULL},
    };
    return unit_main("mail-mime", tests);
}
