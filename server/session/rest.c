/*
 * Little memory while the client is silent: the database is closed, a view of the selected mailbox shrinks
 * to what the client knows, buffers and what the allocator holds back go.
 */
#include "session/imap.h"

#include "base/clock.h"
#include "base/log.h"
#include "session/search_text.h"
#include "session/squeeze.h"

#include <malloc.h>
#include <stdlib.h>

void imap_nap_begin(struct imap_session *s)
{
    s->nap_at = clock_mono_ms() + s->settings->rest_ms;
}

int64_t imap_nap_due(const struct imap_session *s)
{
    return s->nap_at;
}

static void free_if_empty(struct buf *b)
{
    if (b->n == 0)
        buf_free(b);
}

void imap_nap(struct imap_session *s)
{
    if (search_text_due(s) != INT64_MAX) { /* it needs the messages, and is not done */
        imap_nap_begin(s);
        return;
    }
    s->nap_at = INT64_MAX;
    search_text_free(s);
    imap_leave_status(s);
    if (s->mailbox && store_mailbox_unsettled(s->mailbox)) /* IDLE came right after SELECT */
        store_mailbox_settle(s->mailbox, true);
    if (s->mailbox)
        (void)store_mailbox_sleep(s->mailbox);
    store_index_rest(s->index);
    if (s->squeeze)
        squeeze_rest(s->squeeze);
    free_if_empty(&s->in);
    free_if_empty(&s->out.b);
    free_if_empty(&s->out.packed);
    if (!s->idling) { /* IDLE's own is still to be sent */
        buf_free(&s->reply);
        if (imap_reader_idle(&s->reader)) {
            imap_reader_free(&s->reader);
            imap_reader_init(&s->reader, &s->limits);
        }
    }
    malloc_trim(0);
}

int imap_wake(struct imap_session *s)
{
    struct err e = {0};
    if (!s->mailbox || !store_mailbox_asleep(s->mailbox))
        return 0;
    if (store_mailbox_wake(s->mailbox, &e) == 0) {
        (void)imap_tell_changes(s, false); /* what has come has numbers now */
        return s->done ? -1 : 0;
    }
    log_warning("imap-wake", LS("user", s->settings->user), LZ("mailbox", s->mailbox_name),
                LZ("error", e.log));
    imap_bye(s, "[UNAVAILABLE] The mailbox cannot be read now, or was replaced");
    return -1;
}
