/*
 * A view without its messages in memory: what the client knows, from which the view is built again.
 *
 * That is the UIDs in the order of their numbers and the mod-sequence up to which changes were told. The
 * rest is in the index and the maildir; what changed since then is found as QRESYNC finds it, by
 * mod-sequence, and told by the next sync. A session that waits does this to its own view, and another
 * process can take over the view of one that is gone (store_mailbox_resume).
 */
#include "store/mailbox_private.h"

#include <stdlib.h>

#define KNOWN_VERSION 1
#define KNOWN_MAX 50000000 /* messages of a view that is taken over */

/* ---- numbers and sets of UIDs, packed: gap and length of each run, seven bits a byte ---- */

static void pack_number(struct buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_byte(b, (char)(v | 0x80));
    buf_byte(b, (char)v);
}

static int unpack_number(struct str *in, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; in->n && shift < 64; shift += 7) {
        unsigned char c = (unsigned char)in->p[0];
        *in = str_skip(*in, 1);
        *out |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return 0;
    }
    return -1;
}

static void pack_uids(const struct store_mailbox *mb, size_t count, bool recent, struct buf *out)
{
    uint32_t next = 0; /* the UID behind the run at hand */
    uint64_t run = 0;
    for (size_t i = 0; i < count; i++) {
        const struct store_msg *m = &mb->msg[i];
        if (recent && !m->recent)
            continue;
        if (run && m->uid == next) {
            run++;
        } else {
            if (run)
                pack_number(out, run);
            pack_number(out, m->uid - next);
            run = 1;
        }
        next = m->uid + 1;
    }
    if (run)
        pack_number(out, run);
}

/* Calls fn for each UID of a packed set, rising. -1: it is not well formed, or has more than max. */
static int unpack_uids(struct str in, size_t max, void (*fn)(struct store_mailbox *, uint32_t),
                       struct store_mailbox *mb)
{
    uint64_t next = 0, gap, run;
    while (in.n) {
        if (unpack_number(&in, &gap) != 0 || unpack_number(&in, &run) != 0 || gap > UINT32_MAX ||
            run == 0 || run > max || next + gap == 0 || next + gap + run - 1 > UINT32_MAX)
            return -1;
        max -= run;
        for (next += gap; run > 0; run--)
            fn(mb, (uint32_t)next++);
    }
    return 0;
}

/* ---- the memo ---- */

void mailbox_forget_memo(struct store_mailbox *mb)
{
    if (!mb->memo)
        return;
    buf_free(&mb->memo->uids);
    buf_free(&mb->memo->recent);
    free(mb->memo);
    mb->memo = NULL;
    mb->asleep = mb->outlined = false;
}

static void drop_messages(struct store_mailbox *mb)
{
    free(mb->msg);
    mb->msg = NULL;
    mb->count = mb->cap = mb->names_dead = 0;
    buf_free(&mb->names);
}

static void outline_one(struct store_mailbox *mb, uint32_t uid)
{
    mailbox_append(mb, uid, STR(""), 0, 0)->blank = true;
}

int mailbox_outline(struct store_mailbox *mb)
{
    uint32_t max_uid = mb->max_uid;
    drop_messages(mb);
    int r = unpack_uids(buf_view(&mb->memo->uids), KNOWN_MAX, outline_one, mb);
    mb->max_uid = mb->max_uid > max_uid ? mb->max_uid : max_uid;
    mb->folder_id = 0;
    mb->known = 0;
    mb->outlined = true;
    return r;
}

/* Neither in the index nor in the folder. Where the index is in use, it has noted that already. */
void mailbox_drop_blank(struct store_mailbox *mb)
{
    for (size_t i = 0; i < mb->count; i++) {
        struct store_msg *m = &mb->msg[i];
        if (!m->blank)
            continue;
        m->blank = false;
        if (mb->folder_id)
            m->gone = m->logged = true;
        else
            mailbox_mark_gone(mb, m);
    }
}

static void make_recent(struct store_mailbox *mb, uint32_t uid)
{
    struct store_msg *m = mailbox_by_uid(mb, uid);
    if (m)
        m->recent = true;
}

static int rebuild(struct store_mailbox *mb, struct err *e)
{
    if (mailbox_outline(mb) != 0)
        return err_perm(e, "what the client knows cannot be read");
    mb->told_exists = mb->count;
    mb->asleep = mb->loaded = false;
    if (mailbox_look(mb, e) != 0) {
        drop_messages(mb);
        mb->asleep = true;
        return -1;
    }
    (void)unpack_uids(buf_view(&mb->memo->recent), KNOWN_MAX, make_recent, mb);
    mailbox_forget_memo(mb);
    return 0;
}

/* ---- sleeping ---- */

static bool can_sleep(const struct store_mailbox *mb)
{
    if (!mb->loaded || !mb->folder_id || !mb->known || mb->provisional || mb->lost.n ||
        mb->told_exists != mb->count || store_mailbox_unsettled(mb))
        return false;
    for (size_t i = 0; i < mb->count; i++) {
        const struct store_msg *m = &mb->msg[i];
        if (m->gone ? !m->logged : m->news || m->changed || m->stale || m->rebased)
            return false;
    }
    return true;
}

bool store_mailbox_sleep(struct store_mailbox *mb)
{
    if (mb->asleep)
        return true;
    store_mailbox_rest(mb);
    if (!can_sleep(mb))
        return false;
    mb->memo = MEM_NEW(struct mailbox_memo);
    mb->memo->told = mb->known;
    pack_uids(mb, mb->count, false, &mb->memo->uids);
    pack_uids(mb, mb->count, true, &mb->memo->recent);
    for (size_t i = 0; i < mb->count; i++)
        mb->memo->waiting += mb->msg[i].gone;
    drop_messages(mb);
    mb->asleep = true;
    return true;
}

bool store_mailbox_asleep(const struct store_mailbox *mb)
{
    return mb->asleep;
}

int store_mailbox_wake(struct store_mailbox *mb, struct err *e)
{
    return mb->asleep ? rebuild(mb, e) : 0;
}

/* ---- handing over ---- */

void store_mailbox_write_known(const struct store_mailbox *mb, uint64_t told, struct buf *out)
{
    AUTO_BUF uids = {0};
    AUTO_BUF recent = {0};
    uint64_t had = mb->asleep ? mb->memo->told : mb->known;
    if (mb->asleep) {
        buf_str(&uids, buf_view(&mb->memo->uids));
        buf_str(&recent, buf_view(&mb->memo->recent));
    } else {
        pack_uids(mb, mb->told_exists, false, &uids);
        pack_uids(mb, mb->told_exists, true, &recent);
    }
    pack_number(out, KNOWN_VERSION);
    pack_number(out, mb->uidvalidity);
    pack_number(out, told < had ? told : had); /* what the index did not see, it cannot tell apart */
    pack_number(out, uids.n);
    buf_str(out, buf_view(&uids));
    buf_str(out, buf_view(&recent));
}

static int read_known(struct store_mailbox *mb, struct str in)
{
    uint64_t version, uidvalidity, told, n;
    if (unpack_number(&in, &version) != 0 || version != KNOWN_VERSION ||
        unpack_number(&in, &uidvalidity) != 0 || uidvalidity == 0 || uidvalidity > UINT32_MAX ||
        unpack_number(&in, &told) != 0 || unpack_number(&in, &n) != 0 || n > in.n)
        return -1;
    mb->uidvalidity = (uint32_t)uidvalidity;
    mb->memo = MEM_NEW(struct mailbox_memo);
    mb->memo->told = told;
    buf_str(&mb->memo->uids, str_head(in, n));
    buf_str(&mb->memo->recent, str_skip(in, n));
    return 0;
}

int mailbox_resume(struct store_mailbox *mb, struct str known, struct err *e)
{
    if (read_known(mb, known) != 0 || mailbox_outline(mb) != 0)
        return err_perm(e, "what the client knows cannot be read");
    mb->told_exists = mb->count;
    drop_messages(mb);
    mb->asleep = true;
    return 0;
}
