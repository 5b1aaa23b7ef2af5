/* The end of a POP3 session: deletions and read marks; see pop3.h. */
#include "session/pop3.h"

#include "base/log.h"

static void log_trouble(struct pop3_session *s, const char *what, size_t messages,
                        const struct err *e)
{
    log_error("pop3-update", LS("user", s->settings->user), LZ("cannot", what),
              LN("messages", messages), LZ("error", e->log));
}

/* What unlink did must outlive a power cut before it is acknowledged. */
static int make_durable(struct pop3_session *s, struct err *e)
{
    struct store_folder *f = store_mailbox_folder(s->mailbox);
    int r = store_dir_sync(f->cur_fd, e);
    return store_dir_sync(f->new_fd, e) == 0 ? r : -1;
}

/* The rest is removed although one could not be (RFC 1939 section 6). */
int pop3_update(struct pop3_session *s)
{
    struct err e = {0}, first = {0};
    size_t failed = 0, wanted = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        if (!s->message[i].deleted || s->message[i].gone)
            continue;
        wanted++;
        int r = store_mailbox_expunge(s->mailbox, i, &e);
        if (r < 0 && failed++ == 0)
            first = e;
        s->deleted += r == 0;
    }
    if (failed)
        log_trouble(s, "remove", failed, &first);
    if (wanted && make_durable(s, &e) != 0) {
        log_trouble(s, "sync", wanted, &e);
        return -1;
    }
    return failed ? -1 : 0;
}

void pop3_mark_read(struct pop3_session *s)
{
    struct err e = {0}, first = {0};
    size_t failed = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct pop3_message *m = &s->message[i];
        if (!m->read || m->deleted || m->gone ||
            (store_mailbox_at(s->mailbox, i)->flags & STORE_SEEN))
            continue;
        if (store_mailbox_store(s->mailbox, i, STORE_OP_ADD, STORE_SEEN, 0, &e) < 0 &&
            failed++ == 0)
            first = e;
    }
    if (failed)
        log_trouble(s, "mark", failed, &first);
}
