/*
 * Fuzzer of the message that sendmail reads: who it is for, and what it becomes. Whatever it is: each recipient fits
 * into one command, what is sent is lines without an end in between, the header has what it must and Bcc not, and
 * the body comes out as it went in.
 */
#include "mail/header.h"
#include "sendmail/sendmail.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As the server sees it: lines end in CR LF, doubled dots are one. */
static void receive(struct str wire, struct buf *message)
{
    while (wire.n) {
        ptrdiff_t lf = str_find(wire, '\n');
        assert(lf > 0 && wire.p[lf - 1] == '\r');
        struct str line = str_head(wire, (size_t)lf - 1);
        wire = str_skip(wire, (size_t)lf + 1);
        assert(str_find(line, '\r') < 0);
        if (line.n && line.p[0] == '.') {
            assert(line.n > 1 && line.p[1] == '.');
            line = str_skip(line, 1);
        }
        buf_str(message, line);
        buf_byte(message, '\n');
    }
}

static void check_header(struct str message)
{
    static const char *const needed[] = {"From", "Date", "Message-ID"};
    static const char *const hidden[] = {"Bcc", "Resent-Bcc"};
    assert(mail_header_ends(str_head(message, mail_header_size(message))));
    for (size_t i = 0; i < 3; i++)
        assert(mail_header_count(message, str_from(needed[i])) > 0);
    for (size_t i = 0; i < 2; i++)
        assert(mail_header_count(message, str_from(hidden[i])) == 0);
}

/* What stands behind the first empty line, of a message that has one and begins with a field. */
static void check_body(struct str before, struct str after)
{
    struct str was = str_skip(before, mail_header_size(before)), line;
    struct str is = str_skip(after, mail_header_size(after)), other;
    struct mail_header_walk w = mail_header_walk(before);
    struct mail_field f;
    if (str_starts(before, STR("From ")) || !mail_header_ends(str_head(before, mail_header_size(before))) ||
        !mail_header_next(&w, &f) || !f.colon)
        return;
    while (str_line(&was, &line)) {
        if (was.n == 0 && str_ends(line, STR("\r")) && !str_ends(before, STR("\n")))
            line.n--; /* half of the last line's end */
        bool same = str_line(&is, &other) && other.n == line.n;
        for (size_t i = 0; same && i < line.n; i++)
            same = line.p[i] == other.p[i] || (line.p[i] == '\r' && other.p[i] == ' ');
        assert(same);
    }
    assert(is.n == 0);
}

static void check_recipients(const struct envelope *v)
{
    for (size_t i = 0; i < v->n; i++) {
        assert(v->to[i].n > 0);
        for (size_t k = 0; k < v->to[i].n; k++)
            assert((unsigned char)v->to[i].p[k] >= ' ' && v->to[i].p[k] != 0x7f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str message = {(const char *)data, size};
    AUTO_ARENA a = arena_new(4096);
    AUTO_BUF wire = {0};
    AUTO_BUF seen = {0};
    struct envelope v = {.arena = a, .sender = STR("ann"), .name = str_head(message, 40)};
    struct err e = {0};
    int r = message_recipients(message, &v, &e);
    assert(r == 0 ? v.n > 0 : e.log[0] != '\0');
    check_recipients(&v);
    message_print(message, &v, STR("host.example"), &wire);
    receive(buf_view(&wire), &seen);
    check_header(buf_view(&seen));
    check_body(message, buf_view(&seen));
    return 0;
}
