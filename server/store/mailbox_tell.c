/* Telling a session what changed in its view since the last time. */
#include "store/mailbox_private.h"
#include "store/quota.h"

#include <stdlib.h>

static void take_out_gone(struct store_mailbox *mb, size_t gone)
{
    struct store_changes *c = &mb->changes;
    size_t n = 0, at = gone;
    mb->seqs = mem_array(gone, sizeof *mb->seqs);
    mb->uids = mem_array(gone, sizeof *mb->uids);
    for (size_t i = 0; i < mb->count; i++) {
        if (!mb->msg[i].gone) {
            mb->msg[n++] = mb->msg[i];
            continue;
        }
        if (!mb->msg[i].logged)
            buf_add(&mb->lost, &mb->msg[i].uid, sizeof mb->msg[i].uid);
        mb->names_dead += (size_t)mb->msg[i].name_len + 1;
        mb->seqs[--at] = (uint32_t)(i + 1);
        mb->uids[at] = mb->msg[i].uid;
    }
    mb->count = n;
    /* A message the client was never told of leaves without a word: it cannot be among those told. */
    size_t skip = 0;
    while (skip < gone && mb->seqs[skip] > mb->told_exists)
        skip++;
    c->expunged_seq = mb->seqs + skip;
    c->expunged_uid = mb->uids + skip;
    c->expunged = gone - skip;
}

static void tell_keywords(struct store_mailbox *mb)
{
    struct buf now = {0};
    for (size_t i = 0; i < STORE_KEYWORDS_MAX; i++) {
        buf_str(&now, str_from(mb->folder->keywords.name[i]));
        buf_byte(&now, '\n');
    }
    mb->changes.keywords_changed = !str_eq(buf_view(&now), buf_view(&mb->told_keywords));
    buf_free(&mb->told_keywords);
    mb->told_keywords = now;
}

void mailbox_note_freed(struct store_mailbox *mb)
{
    if (mb->freed_messages)
        (void)store_quota_add(mb->folder->root_fd, -mb->freed_bytes, -mb->freed_messages, NULL);
    mb->freed_bytes = mb->freed_messages = 0;
}

/* Asleep, nothing has changed but perhaps the names of keywords. */
static void tell_asleep(struct store_mailbox *mb)
{
    mb->changes.waiting = mb->memo->waiting;
    mb->changes.exists = mb->told_exists;
    tell_keywords(mb);
}

/* What vanished and what has other flags. */
static void tell_messages(struct store_mailbox *mb, bool expunge, size_t gone, size_t news)
{
    struct store_changes *c = &mb->changes;
    if (expunge && gone)
        take_out_gone(mb, gone);
    c->recent = 0;
    mb->flagged = news ? mem_array(news, sizeof *mb->flagged) : NULL;
    for (size_t i = 0; i < mb->count; i++) {
        struct store_msg *m = &mb->msg[i];
        if (m->news && !m->gone && i < mb->told_exists - c->expunged)
            mb->flagged[c->flag_count++] = (uint32_t)(i + 1);
        m->news &= m->gone;
        c->recent += m->recent;
        c->waiting += m->gone;
    }
    c->flagged = mb->flagged;
}

/* Makes the changes since the last time ready to be told. */
void mailbox_tell(struct store_mailbox *mb, bool expunge)
{
    struct store_changes *c = &mb->changes;
    size_t gone = 0, news = 0;
    free(mb->seqs);
    free(mb->uids);
    free(mb->flagged);
    mb->seqs = mb->uids = mb->flagged = NULL;
    *c = (struct store_changes){0};
    if (mb->asleep) {
        tell_asleep(mb);
        return;
    }
    for (size_t i = 0; i < mb->count; i++) {
        gone += mb->msg[i].gone;
        news += mb->msg[i].news;
        c->recent += mb->msg[i].recent;
    }
    if (gone || news)
        tell_messages(mb, expunge, gone, news);
    c->exists = mb->count;
    c->exists_grew = mb->count > mb->told_exists - c->expunged;
    mb->told_exists = mb->count;
    tell_keywords(mb);
    mailbox_note_freed(mb);
}
