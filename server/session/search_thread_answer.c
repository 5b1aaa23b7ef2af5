/* THREAD: messages handed to the threads, and the answer (RFC 5256). */
#include "session/search_order.h"

#include "mail/rfc5322.h"
#include "mail/subject.h"
#include "session/search_fields.h"
#include "session/search_thread.h"

struct work {
    struct imap_session *s;
    struct search_fields fields;
    struct search_thread *threads;
    struct buf base, subject;
    struct str reference[SEARCH_THREAD_REFERENCES_MAX];
};

/* The references of a message: those of References, of which the last ones stay when there are too
 * many; without a valid one there the first of In-Reply-To. */
static size_t get_references(struct work *w, const struct str **out)
{
    struct arena *a = w->fields.arena;
    struct str rest = w->fields.value[SEARCH_REFERENCES], id;
    size_t n = 0;
    while (rest.n && mail_msgid_next(a, &rest, &id))
        w->reference[n++ % SEARCH_THREAD_REFERENCES_MAX] = id;
    rest = w->fields.value[SEARCH_IN_REPLY_TO];
    if (n == 0 && rest.n && mail_msgid_next(a, &rest, &id))
        w->reference[n++] = id;
    *out = w->reference;
    if (n <= SEARCH_THREAD_REFERENCES_MAX)
        return n;
    struct str *turned = arena_array(a, SEARCH_THREAD_REFERENCES_MAX, sizeof *turned);
    for (size_t i = 0; i < SEARCH_THREAD_REFERENCES_MAX; i++)
        turned[i] = w->reference[(n + i) % SEARCH_THREAD_REFERENCES_MAX];
    *out = turned;
    return SEARCH_THREAD_REFERENCES_MAX;
}

static void add(struct work *w, uint32_t index)
{
    struct search_thread_message m = {.number = search_number(w->s, index),
                                      .date = search_fields_sent(&w->fields, index)};
    struct str id = w->fields.value[SEARCH_MESSAGE_ID];
    buf_clear(&w->base);
    buf_clear(&w->subject);
    (void)mail_subject_base(w->s->conv, w->fields.value[SEARCH_SUBJECT], &w->base, &m.reply);
    (void)mail_casemap(buf_view(&w->base), &w->subject);
    m.subject = buf_view(&w->subject);
    if (id.n && !mail_msgid_next(w->fields.arena, &id, &m.id))
        m.id = (struct str){0};
    m.reference_count = get_references(w, &m.references);
    search_thread_add(w->threads, &m);
}

static int gather(struct work *w, const struct search_found *found, struct err *e)
{
    for (size_t i = 0; i < found->n; i++) {
        if (search_fields_get(&w->fields, found->v[i], e) < 0)
            return -1;
        add(w, found->v[i]);
    }
    return 0;
}

static void tell(struct work *w)
{
    struct output *out = &w->s->out;
    bool first = true;
    search_thread_finish(w->threads);
    output_z(out, "* THREAD");
    buf_clear(&w->base);
    while (search_thread_next(w->threads, &w->base)) {
        if (first)
            output_z(out, " ");
        first = false;
        output_str(out, buf_view(&w->base));
        buf_clear(&w->base);
    }
    output_z(out, "\r\n");
}

void search_thread_answer(struct imap_session *s, const struct imap_search_command *what,
                          const struct search_found *found)
{
    unsigned wanted = 1u << SEARCH_DATE | 1u << SEARCH_SUBJECT;
    struct err e = {0};
    struct work *w = MEM_NEW(struct work);
    w->s = s;
    if (what->thread == IMAP_THREAD_REFERENCES)
        wanted |= 1u << SEARCH_MESSAGE_ID | 1u << SEARCH_IN_REPLY_TO | 1u << SEARCH_REFERENCES;
    search_fields_begin(&w->fields, s, wanted);
    w->threads = search_thread_new(what->thread);
    if (gather(w, found, &e) == 0) {
        tell(w);
        imap_reply_done(s);
    } else {
        imap_reply_error(s, &e);
    }
    search_thread_free(w->threads);
    search_fields_end(&w->fields);
    buf_free(&w->base);
    buf_free(&w->subject);
    mem_freep(&w);
}
