/*
 * Fuzzer of the IMAP grammar: the reader is fed in pieces of changing size, and every argument parser
 * reads every command. What comes in whole and what comes byte by byte must be the same commands.
 */
#include "protocol/imap/fetch.h"
#include "protocol/imap/list.h"
#include "protocol/imap/reader.h"
#include "protocol/imap/search.h"
#include "protocol/imap/write.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct imap_limits limits = {
    .line = 2000, .literal = 500, .literals = 800, .nesting = 10, .items = 50};

/* Every parser sees its own copy, since strings are unescaped in place. */
static struct imap_cursor copy_of(struct arena *a, const struct imap_cursor *args)
{
    size_t n = (size_t)(args->end - args->p);
    char *p = arena_strz(a, (struct str){args->p, n});
    return (struct imap_cursor){p, p + n, args->limits, NULL};
}

static void try_sets(struct arena *a, const struct imap_cursor *args)
{
    struct imap_cursor c = copy_of(a, args);
    struct imap_set set;
    imap_try(&c, ' ');
    if (imap_get_set(&c, a, &set) != 0) {
        assert(c.wrong);
        return;
    }
    if (set.saved)
        return;
    struct imap_set r = imap_set_resolve(a, &set, 100);
    for (size_t i = 1; i < r.n; i++)
        assert(r.ranges[i].first > r.ranges[i - 1].last);
    imap_set_has(&r, 7);
    if (imap_try(&c, ' ')) {
        struct imap_fetch f;
        struct imap_store st;
        struct imap_cursor again = copy_of(a, &c);
        AUTO_BUF b = {0};
        if (imap_get_fetch(&c, a, &f) == 0)
            for (size_t i = 0; i < f.n; i++)
                imap_section_write(&b, &f.items[i].section);
        imap_get_store(&again, a, &st);
    }
}

static void try_others(struct arena *a, const struct imap_cursor *args)
{
    struct imap_cursor c = copy_of(a, args);
    struct imap_search_command search;
    struct imap_flags flags;
    struct imap_date date;
    struct imap_id id;
    struct imap_list list;
    struct str s;
    unsigned items;
    int64_t seconds;
    imap_try(&c, ' ');
    struct imap_cursor start = c;
    if (imap_get_search(&c, a, &search) != 0)
        assert(c.wrong);
    c = copy_of(a, &start);
    if (imap_get_sort(&c, a, &search) != 0)
        assert(c.wrong);
    c = copy_of(a, &start);
    if (imap_get_thread(&c, a, &search) != 0)
        assert(c.wrong);
    c = copy_of(a, args);
    if (imap_get_list(&c, a, &list) != 0)
        assert(c.wrong);
    else
        assert(list.n > 0 && list.n <= limits.items);
    c = copy_of(a, &start);
    imap_get_create_params(&c, &items);
    c = copy_of(a, &start);
    imap_get_flags(&c, a, true, &flags);
    c = copy_of(a, &start);
    imap_get_id(&c, a, &id);
    c = copy_of(a, &start);
    imap_get_date(&c, &date);
    c = copy_of(a, &start);
    imap_get_date_time(&c, &seconds);
    c = copy_of(a, &start);
    imap_get_list_mailbox(&c, &s);
    c = copy_of(a, &start);
    if (imap_get_mailbox(&c, a, &s) == 0 && imap_try(&c, ' '))
        imap_get_status_items(&c, &items);
}

/* What decodes is the only spelling of its name. */
static void try_utf7(struct str s)
{
    AUTO_BUF utf8 = {0};
    AUTO_BUF again = {0};
    if (imap_utf7_decode(&utf8, s) != 0)
        return;
    assert(imap_utf7_encode(&again, buf_view(&utf8)) == 0);
    assert(str_eq(buf_view(&again), s));
}

/* Runs all bytes through a reader; notes what it said. */
static void run(struct arena *a, struct str all, size_t step, bool parse, struct buf *said)
{
    struct imap_reader r;
    struct imap_line line;
    struct str piece;
    bool message = false;
    imap_reader_init(&r, &limits);
    for (size_t at = 0; at < all.n; at += step) {
        struct str in = str_head(str_skip(all, at), step);
        while (in.n || (message && r.left == 0)) {
            if (message) {
                message = imap_reader_message(&r, &in, &piece);
                buf_str(said, piece);
                continue;
            }
            enum imap_event e = imap_reader_feed(&r, &in, &line);
            assert(r.cmd.n <= limits.line + limits.literals + 64);
            if (e == IMAP_MORE)
                continue;
            buf_printf(said, "<%d>", e);
            message = e == IMAP_MESSAGE;
            if ((e == IMAP_COMMAND || e == IMAP_MESSAGE) && parse) {
                try_sets(a, &line.args);
                try_others(a, &line.args);
            }
            if (e == IMAP_COMMAND)
                buf_add(said, line.args.p, (size_t)(line.args.end - line.args.p));
            if (e == IMAP_COMMAND || e == IMAP_WRONG)
                imap_reader_next(&r);
        }
    }
    imap_reader_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_ARENA a = arena_new(1000);
    AUTO_BUF whole = {0};
    AUTO_BUF bytes = {0};
    struct str all = {(const char *)data, size};
    run(a, all, size ? size : 1, true, &whole);
    run(a, all, 1 + (size ? data[0] % 7 : 0), false, &bytes);
    assert(str_eq(buf_view(&whole), buf_view(&bytes)));
    try_utf7(all);
    return 0;
}
