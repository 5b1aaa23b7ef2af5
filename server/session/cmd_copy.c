/* COPY and MOVE (RFC 3501 6.4.7, RFC 6851), with COPYUID (RFC 4315 3). */
#include "session/imap.h"

#include "store/quota.h"

#include <stdlib.h>

/* 0; -1 with a reply. A move makes no new bytes. */
static int check_room(struct imap_session *s, const struct imap_indexes *at)
{
    struct err e = {0};
    uint64_t bytes = 0;
    if (!s->settings->quota_bytes)
        return 0;
    for (size_t i = 0; i < at->n; i++) {
        if (store_mailbox_measure(s->mailbox, at->v[i], &e) < 0) {
            imap_reply_error(s, &e);
            return -1;
        }
        const struct store_msg *m = store_mailbox_at(s->mailbox, at->v[i]);
        bytes += m->gone || m->size == STORE_SIZE_UNKNOWN ? 0 : m->size;
    }
    int r = store_quota_check(s->settings->maildir_fd, s->settings->quota_bytes, bytes, NULL, &e);
    if (r == STORE_FULL)
        imap_reply_no(s, "[OVERQUOTA] The mailbox is full");
    else if (r != 0)
        imap_reply_error(s, &e);
    return r == 0 ? 0 : -1;
}

static void copy_to(struct imap_session *s, const struct imap_indexes *at, struct store_folder *to,
                    bool move)
{
    uint32_t uidvalidity = 0, *from = NULL, *dest = NULL;
    size_t copied = 0;
    struct err e = {0};
    if (store_mailbox_copy(s->mailbox, at->v, at->n, to, move, &uidvalidity, &from, &dest, &copied,
                           &e) != 0) {
        imap_reply_error(s, &e);
        return;
    }
    AUTO_BUF code = {0};
    if (copied) {
        buf_printf(&code, "[COPYUID %u ", uidvalidity);
        imap_write_uids(&code, from, copied);
        buf_byte(&code, ' ');
        imap_write_uids(&code, dest, copied);
        buf_str(&code, STR("] "));
    }
    free(from);
    free(dest);
    AUTO_BUF modseq = {0};
    if (move)
        store_mailbox_settle(s->mailbox, false);
    if (move && copied && imap_tells_modseq(s)) /* RFC 7162 3.2 */
        buf_printf(&modseq, "[HIGHESTMODSEQ %llu] ",
                   (unsigned long long)store_mailbox_highest(s->mailbox));
    /* RFC 6851 4.3: the client learns the new UIDs before the messages vanish. */
    if (move && copied)
        output_printf(&s->out, "* OK %sMoved\r\n", buf_z(&code));
    /* What another session expunged is left out; COPYUID says so (RFC 2180 4.4.2). */
    if (copied == 0 && at->n)
        imap_reply_no(s, "[EXPUNGEISSUED] Some of the messages no longer exist");
    else
        imap_reply_ok(s, "%s%s completed", move ? buf_z(&modseq) : buf_z(&code),
                      s->command->name);
}

static void copy(struct imap_session *s, struct imap_cursor *args, bool move)
{
    struct imap_indexes at;
    struct str name;
    struct err e = {0};
    struct store_folder *to;
    if (imap_get_indexes(s, args, &at) != 0)
        return;
    if (imap_get_last_folder(s, args, &name) != 0)
        return;
    if ((move && imap_refuse_read_only(s)) || (!move && check_room(s, &at) != 0))
        return;
    int r = store_folder_open(s->settings->maildir_fd, name, &to, &e);
    if (r > 0) {
        imap_reply_no(s, "[TRYCREATE] No such mailbox");
    } else if (r < 0) {
        imap_reply_error(s, &e);
    } else {
        copy_to(s, &at, to, move);
        store_folder_close(to);
    }
}

void imap_cmd_copy(struct imap_session *s, struct imap_cursor *args)
{
    copy(s, args, false);
}

void imap_cmd_move(struct imap_session *s, struct imap_cursor *args)
{
    copy(s, args, true);
}
