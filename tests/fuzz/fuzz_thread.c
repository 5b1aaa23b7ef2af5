/*
 * Fuzzer of threading and of base subjects: each line of the input is a message, whose letters are its
 * date, its Message-ID and its references. Every message must be in the answer once, in balanced
 * parentheses. The bytes as they are go through the base subject, which must be its own base.
 */
#include "mail/subject.h"
#include "session/search_thread.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGES_MAX = 2000 };

static void add_line(struct search_thread *t, uint32_t number, struct str line)
{
    uint64_t refs[64];
    size_t n = 0;
    for (; n < 64 && n + 3 < line.n; n++)
        refs[n] = (unsigned char)line.p[n + 3];
    const struct search_thread_message m = {
        .number = number,
        .date = line.n ? line.p[0] : 0,
        .id = line.n > 1 ? (unsigned char)line.p[1] : 0,
        .subject = line.n > 2 && line.p[2] != ' ' ? (unsigned char)line.p[2] : 0,
        .reply = line.n % 2,
        .references = refs,
        .reference_count = n,
    };
    search_thread_add(t, &m);
}

static void check(struct str out, uint32_t count)
{
    unsigned char *seen = calloc(count + 1, 1);
    long depth = 0;
    size_t total = 0;
    for (size_t i = 0; i < out.n;) {
        char c = out.p[i];
        depth += c == '(' ? 1 : c == ')' ? -1 : 0;
        assert(depth >= 0);
        if (c < '0' || c > '9') {
            i++;
            continue;
        }
        size_t n = 0;
        for (; i < out.n && out.p[i] >= '0' && out.p[i] <= '9'; i++)
            n = n * 10 + (size_t)(out.p[i] - '0');
        assert(n >= 1 && n <= count && !seen[n] && depth > 0);
        seen[n] = 1;
        total++;
    }
    assert(depth == 0 && total == count);
    free(seen);
}

static void thread(enum imap_thread how, struct str in)
{
    struct search_thread *t = search_thread_new(how);
    AUTO_BUF out = {0};
    struct str line;
    uint32_t count = 0;
    while (count < MESSAGES_MAX && str_line(&in, &line))
        add_line(t, ++count, line);
    search_thread_finish(t);
    while (search_thread_next(t, &out))
        continue;
    check(buf_view(&out), count);
    search_thread_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct mail_conv *conv = mail_conv_new();
    AUTO_BUF base = {0};
    thread(IMAP_THREAD_REFERENCES, in);
    thread(IMAP_THREAD_ORDEREDSUBJECT, in);
    (void)mail_subject_base(conv, in, &base, NULL);
    assert(base.n <= 4 * size);
    mail_conv_free(conv);
    return 0;
}
