/* protocol/imap: cutting bytes into commands, at every possible boundary. */
#include "protocol/imap/reader.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static const struct imap_limits limits = {
    .line = 200, .literal = 100, .literals = 150, .nesting = 5, .items = 10};

/* Writes down what the reader says, so that one text can be compared:
 * "tag name args;" for a command, "+" for a wanted continuation, "M<size>(args)<bytes>" for a
 * message, "!tag:why;" for an error. */
struct script {
    struct imap_reader reader;
    struct buf said;
    bool message;
    bool refuse;
};

static void on_message(struct script *s, struct str *in)
{
    struct str piece;
    s->message = imap_reader_message(&s->reader, in, &piece);
    buf_str(&s->said, piece);
    if (!s->message)
        buf_byte(&s->said, '>');
}

static void on_event(struct script *s, enum imap_event e, struct imap_line *line)
{
    struct str args = {line->args.p, (size_t)(line->args.end - line->args.p)};
    switch (e) {
    case IMAP_MORE:
        return;
    case IMAP_LITERAL:
        buf_byte(&s->said, '+');
        return;
    case IMAP_MESSAGE:
        buf_printf(&s->said, "M%u%s(%.*s)<", (unsigned)s->reader.literal,
                   s->reader.sync ? "+" : "", STR_FMT(args));
        if (s->refuse)
            imap_reader_refuse(&s->reader);
        else
            s->message = true;
        return;
    case IMAP_COMMAND:
        buf_printf(&s->said, "%.*s %.*s%.*s;", STR_FMT(line->tag), STR_FMT(line->name),
                   STR_FMT(args));
        break;
    case IMAP_WRONG:
        buf_printf(&s->said, "!%.*s:%s;", STR_FMT(line->tag), s->reader.wrong);
        break;
    }
    imap_reader_next(&s->reader);
}

static void run(struct script *s, struct str all, size_t step)
{
    struct imap_line line;
    for (size_t at = 0; at < all.n; at += step) {
        struct str in = str_head(str_skip(all, at), step);
        while (in.n || (s->message && s->reader.left == 0)) {
            if (s->message)
                on_message(s, &in);
            else
                on_event(s, imap_reader_feed(&s->reader, &in, &line), &line);
        }
    }
}

/* The same answer whatever the pieces the bytes come in. */
static void expect_refusing(struct str all, const char *want, bool refuse)
{
    for (size_t step = 1; step <= all.n; step += step < 40 ? 1 : 37) {
        struct script s = {.refuse = refuse};
        imap_reader_init(&s.reader, &limits);
        run(&s, all, step);
        UNIT_STR(s.said, want);
        imap_reader_free(&s.reader);
        buf_free(&s.said);
    }
}

#define EXPECT(text, want) expect_refusing(STR(text), want, false)

static void commands(void)
{
    EXPECT("a NOOP\r\nb2 SELECT \"x y\"\r\n", "a NOOP;b2 SELECT \"x y\";");
    EXPECT("a NOOP\nb NOOP\n", "a NOOP;b NOOP;");
}

static void literals(void)
{
    EXPECT("a LOGIN {3}\r\nfoo {0}\r\n\r\n", "++a LOGIN {3}\r\nfoo {0}\r\n;");
    EXPECT("a LOGIN {3+}\r\nf\r\n {1+}\r\nx\r\nb NOOP\r\n",
           "a LOGIN {3+}\r\nf\r\n {1+}\r\nx;b NOOP;");
    /* In an open quote it is no literal (and a syntax error later). */
    EXPECT("a LOGIN \"x {3}\r\nb NOOP\r\n", "a LOGIN \"x {3};b NOOP;");
    EXPECT("a LOGIN \"x\\\" {3}\r\nb NOOP\r\n", "a LOGIN \"x\\\" {3};b NOOP;");
}

static void large_literals(void)
{
    EXPECT("a LOGIN {101}\r\nb NOOP\r\n", "!a:Literal too large;b NOOP;");
    /* What looks like commands in a literal that is skipped is not read as such. */
    EXPECT("a LOGIN {102+}\r\nz NOOP\r\n"
           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"
           "\r\n x {3+}\r\nabc\r\nb NOOP\r\n",
           "!a:Literal too large;b NOOP;");
    EXPECT("a LOGIN {99999999999999999999}\r\n", "!a:Literal too large;");
}

static void long_lines(void)
{
    struct buf b = {0};
    buf_str(&b, STR("a NOOP "));
    for (int i = 0; i < 500; i++)
        buf_byte(&b, 'x');
    buf_str(&b, STR("\r\nb NOOP\r\n"));
    expect_refusing(buf_view(&b), "!a:Command line too long;b NOOP;", false);
    buf_clear(&b);
    buf_str(&b, STR("a NOOP "));
    for (int i = 0; i < 500; i++)
        buf_byte(&b, 'x');
    buf_str(&b, STR(" {8+}\r\nc NOOP\r\n\r\nb NOOP\r\n"));
    expect_refusing(buf_view(&b), "!a:Command line too long;b NOOP;", false);
    buf_free(&b);
}

static void wrong_lines(void)
{
    EXPECT("\r\n", "!:Missing or invalid tag;");
    EXPECT("a\r\nb \r\n+ NOOP\r\n", "!:Missing or invalid tag;!b:Missing command name;"
                                     "!:Missing or invalid tag;");
    EXPECT("a X\0Y\r\nb NOOP\r\n", "!a:NUL or bare CR in command;b NOOP;");
    EXPECT("a X\rY\r\nb NOOP\r\n", "!a:NUL or bare CR in command;b NOOP;");
    EXPECT("a L {3+}\r\nx\0z y\r\nb NOOP\r\n", "!a:NUL in literal;b NOOP;");
}

static void messages(void)
{
    EXPECT("a APPEND in (\\Seen) {5}\r\nab\r\nc\r\nb NOOP\r\n",
           "M5+( in (\\Seen) )<ab\r\nc>a APPEND;b NOOP;");
    EXPECT("a append {2+}\r\nin {0+}\r\n\r\n", "M0( {2+}\r\nin )<>a append;");
    /* More than one message (RFC 3502), and something else behind one. */
    EXPECT("a APPEND in {1+}\r\nx {2+}\r\nyz extra\r\n", "M1( in )<x>M2( )<yz>a APPEND extra;");
    /* Its size is not bound by the limit of other literals. */
    EXPECT("a APPEND in ~{500}\r\n", "M500+( in )<");
}

static void refused_messages(void)
{
    expect_refusing(STR("a APPEND in {5}\r\nb NOOP\r\n"), "M5+( in )<b NOOP;", true);
    expect_refusing(STR("a APPEND in {8+}\r\nc NOOP\r\n {2+}\r\nxx\r\nb NOOP\r\n"),
                    "M8( in )<b NOOP;", true);
}

/* REPLACE has its message behind the number and the mailbox name, which may be a literal. */
static void replacements(void)
{
    EXPECT("a REPLACE 4 Sent (\\Seen) {3+}\r\nabc\r\n",
           "M3( 4 Sent (\\Seen) )<abc>a REPLACE;");
    EXPECT("a uid replace 7 {4+}\r\nSent {3}\r\nabc\r\n",
           "M3+( replace 7 {4+}\r\nSent )<abc>a uid;");
    EXPECT("a UID REPLACE 7 {4+}\r\nSent\r\n", "a UID REPLACE 7 {4+}\r\nSent;");
    EXPECT("a UID FETCH 7 x {4+}\r\nSent\r\n", "a UID FETCH 7 x {4+}\r\nSent;");
    /* What stands right behind the message is not the command's name. */
    EXPECT("a APPEND x {3+}\r\nabcy\r\n", "M3( x )<abc>a APPENDy;");
}

/* After a literal of absurd size that comes unasked nothing is a command. */
static void absurd_literals(void)
{
    EXPECT("a b {99999999999999999999999999999999999999999999+}\r\nc DELETE x\r\n",
           "!a:Literal too large;");
    EXPECT("a b {9223372036854775808+}\r\nc NOOP\r\n", "!a:Literal too large;");
    EXPECT("a APPEND x {9223372036854775808+}\r\nc NOOP\r\n", "!a:Literal too large;");
    EXPECT("a b {9223372036854775808}\r\nc NOOP\r\n", "!a:Literal too large;c NOOP;");
    EXPECT("a b \"{99999999999999999999+}\r\nc NOOP\r\n",
           "a b \"{99999999999999999999+};c NOOP;");
    struct buf b = {0};
    buf_str(&b, STR("a b "));
    for (size_t i = 0; i < limits.line; i++)
        buf_byte(&b, 'x');
    buf_printf(&b, "{%060d+}\r\nc NOOP\r\n", 9);
    expect_refusing(buf_view(&b), "!a:Literal too large;", false);
    buf_free(&b);
}

static void plain_lines(void)
{
    struct imap_reader r;
    struct imap_line line;
    imap_reader_init(&r, &limits);
    struct str in = STR("dGVzdA== {3}\r\nDONE\r\na NOOP\r\n");
    imap_reader_plain(&r);
    CU_ASSERT(imap_reader_feed(&r, &in, &line) == IMAP_COMMAND);
    UNIT_STR(((struct str){line.args.p, (size_t)(line.args.end - line.args.p)}), "dGVzdA== {3}");
    CU_ASSERT(line.tag.n == 0);
    imap_reader_next(&r);
    imap_reader_plain(&r);
    CU_ASSERT(imap_reader_feed(&r, &in, &line) == IMAP_COMMAND);
    imap_reader_next(&r);
    CU_ASSERT(imap_reader_feed(&r, &in, &line) == IMAP_COMMAND);
    UNIT_STR(line.name, "NOOP");
    imap_reader_next(&r);
    imap_reader_free(&r);
}

static void passwords_are_wiped(void)
{
    static const struct imap_limits login = IMAP_LIMITS_LOGIN;
    struct imap_reader r;
    struct imap_line line;
    imap_reader_init(&r, &login);
    const char *before = r.cmd.p;
    memset(r.cmd.p, 'x', r.cmd.cap); /* all of it is read below */
    struct str in = STR("a LOGIN me geheim\r\n");
    CU_ASSERT(imap_reader_feed(&r, &in, &line) == IMAP_COMMAND);
    imap_reader_next(&r);
    CU_ASSERT(r.cmd.p == before);
    CU_ASSERT(!memmem(r.cmd.p, r.cmd.cap, "geheim", 6));
    imap_reader_free(&r);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"commands", commands},
        {"literals", literals},
        {"large literals", large_literals},
        {"long lines", long_lines},
        {"wrong lines", wrong_lines},
        {"messages of APPEND", messages},
        {"refused messages", refused_messages},
        {"messages of REPLACE", replacements},
        {"literals of absurd size", absurd_literals},
        {"plain lines", plain_lines},
        {"passwords are wiped", passwords_are_wiped},
        {NULL, NULL},
    };
    return unit_main("imap reader", tests);
}
