/*
 * Fuzzer of the POP3 grammar: lines, commands and messages; what comes whole and what comes in pieces
 * must mean the same, and a message must never end early for a client.
 */
#include "protocol/pop3/body.h"
#include "protocol/pop3/command.h"
#include "protocol/pop3/reader.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(struct str line, struct buf *said)
{
    struct pop3_command c;
    const char *wrong = pop3_command_parse(line, &c);
    buf_printf(said, "<%s %d %u %llu %.*s|%.*s>", wrong ? wrong : "", (int)c.verb, c.number,
               (unsigned long long)c.lines, STR_FMT(c.text), STR_FMT(c.initial));
    assert(wrong || c.verb != POP3_UNKNOWN);
    assert(c.text.n <= line.n && c.initial.n <= line.n);
}

static void read_lines(struct str all, size_t step, struct buf *said)
{
    struct pop3_reader r;
    struct str line;
    pop3_reader_init(&r, 60);
    for (size_t at = 0; at < all.n; at += step) {
        struct str in = str_head(str_skip(all, at), step);
        while (in.n) {
            enum pop3_event e = pop3_reader_feed(&r, &in, &line);
            assert(r.line.n <= r.max);
            if (e == POP3_MORE)
                continue;
            if (e == POP3_LINE)
                parse(line, said);
            else
                buf_printf(said, "!%s;", r.wrong);
            pop3_reader_next(&r);
        }
    }
    pop3_reader_free(&r);
}

static void send(struct str message, size_t step, uint64_t lines, struct buf *out)
{
    struct pop3_body w;
    bool more = true;
    pop3_body_init(&w, lines);
    for (size_t at = 0; at < message.n && more; at += step)
        more = pop3_body_write(&w, str_head(str_skip(message, at), step), out);
    pop3_body_end(&w, out);
}

/* The only line of one dot is the last one, and each line ends with CR LF. */
static void check_sent(struct str sent)
{
    struct str line;
    bool ended = false;
    for (size_t i = 0; i < sent.n; i++)
        assert(sent.p[i] != '\n' || (i > 0 && sent.p[i - 1] == '\r'));
    while (str_line(&sent, &line)) {
        assert(!ended);
        ended = str_eq(line, STR("."));
    }
    assert(ended);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = {(const char *)data, size};
    size_t step = 1 + (size ? data[0] % 7 : 0);
    AUTO_BUF whole = {0};
    AUTO_BUF pieces = {0};
    read_lines(all, size ? size : 1, &whole);
    read_lines(all, step, &pieces);
    assert(str_eq(buf_view(&whole), buf_view(&pieces)));
    for (int i = 0; i < 2; i++) {
        uint64_t lines = i ? POP3_LINES_ALL : step;
        buf_clear(&whole);
        buf_clear(&pieces);
        send(all, size ? size : 1, lines, &whole);
        send(all, step, lines, &pieces);
        assert(str_eq(buf_view(&whole), buf_view(&pieces)));
        check_sent(buf_view(&whole));
    }
    return 0;
}
