/* STORE and UID STORE (RFC 3501 6.4.6, RFC 2180 4.2). */
#include "session/imap.h"

static void store_all(struct imap_session *s, const struct imap_indexes *at,
                      const struct imap_store *what, uint32_t keywords)
{
    static const enum store_op ops[] = {
        [IMAP_STORE_SET] = STORE_OP_SET,
        [IMAP_STORE_ADD] = STORE_OP_ADD,
        [IMAP_STORE_REMOVE] = STORE_OP_REMOVE,
    };
    uint8_t flags = imap_store_flags(what->flags.system);
    struct err e = {0};
    size_t gone = 0;
    for (size_t i = 0; i < at->n; i++) {
        int r = store_mailbox_store(s->mailbox, at->v[i], ops[what->mode], flags, keywords, &e);
        if (r < 0) {
            imap_reply_error(s, &e);
            return;
        }
        gone += r > 0;
        if (r == 0 && !what->silent)
            imap_tell_fetch_flags(s, at->v[i], s->command->uid);
    }
    if (gone)
        imap_reply_no(s, "[EXPUNGEISSUED] Some of the messages no longer exist");
    else
        imap_reply_done(s);
}

void imap_cmd_store(struct imap_session *s, struct imap_cursor *args)
{
    struct imap_indexes at;
    struct imap_store what;
    uint32_t keywords;
    if (imap_get_indexes(s, args, &at) != 0)
        return;
    if (imap_get_space(args) != 0 || imap_get_store(args, s->arena, &what) != 0 ||
        imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return;
    }
    if (imap_refuse_read_only(s))
        return;
    if (imap_keyword_bits(s, &what.flags, what.mode != IMAP_STORE_REMOVE, &keywords) == 0)
        store_all(s, &at, &what, keywords);
}
