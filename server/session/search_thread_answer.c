/* THREAD: messages handed to the threads, and the answer (RFC 5256). */
#include "session/search_order.h"

#include "session/search_keys.h"
#include "session/search_thread.h"

static int gather(struct imap_session *s, struct search_thread *threads,
                  const struct search_found *found, struct err *e)
{
    struct search_keys keys;
    int r = 0;
    search_keys_begin(&keys, s);
    for (size_t i = 0; i < found->n && r >= 0; i++) {
        struct search_order order;
        r = search_keys_order(&keys, found->v[i], &order, e);
        const struct search_thread_message m = {
            .number = search_number(s, found->v[i]),
            .date = search_keys_sent(&keys, found->v[i], &order),
            .subject = order.subject,
            .reply = order.reply,
            .id = order.id,
            .references = order.references,
            .reference_count = order.reference_count,
        };
        if (r >= 0)
            search_thread_add(threads, &m);
    }
    search_keys_end(&keys);
    return r < 0 ? -1 : 0;
}

static void tell(struct imap_session *s, struct search_thread *threads)
{
    AUTO_BUF text = {0};
    bool first = true;
    search_thread_finish(threads);
    output_z(&s->out, "* THREAD");
    while (search_thread_next(threads, &text)) {
        if (first)
            output_z(&s->out, " ");
        first = false;
        output_str(&s->out, buf_view(&text));
        buf_clear(&text);
    }
    output_z(&s->out, "\r\n");
}

void search_thread_answer(struct imap_session *s, const struct imap_search_command *what,
                          const struct search_found *found)
{
    struct err e = {0};
    struct search_thread *threads = search_thread_new(what->thread);
    if (gather(s, threads, found, &e) == 0) {
        tell(s, threads);
        imap_reply_done(s);
    } else {
        imap_reply_error(s, &e);
    }
    search_thread_free(threads);
}
