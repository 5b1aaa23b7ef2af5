/* STORE and UID STORE (RFC 3501 6.4.6, RFC 2180 4.2, RFC 7162 3.1.3). */
#include "session/imap.h"

struct storing {
    struct imap_session *s;
    struct imap_indexes at;     /* on return: those that were changed */
    struct imap_store what;
    uint32_t keywords;
    uint32_t *modified;         /* numbers or UIDs that had changed before */
    size_t modified_n, gone;
    struct err e;
};

static int store_one(struct storing *st, size_t index)
{
    static const enum store_op ops[] = {
        [IMAP_STORE_SET] = STORE_OP_SET,
        [IMAP_STORE_ADD] = STORE_OP_ADD,
        [IMAP_STORE_REMOVE] = STORE_OP_REMOVE,
    };
    struct imap_session *s = st->s;
    const struct store_msg *m = store_mailbox_at(s->mailbox, index);
    if (st->what.guarded && !m->gone && m->modseq > st->what.unchanged_since) {
        st->modified[st->modified_n++] = s->command->uid ? m->uid : (uint32_t)index + 1;
        return 1;
    }
    int r = store_mailbox_store(s->mailbox, index, ops[st->what.mode],
                                imap_store_flags(st->what.flags.system), st->keywords, &st->e);
    st->gone += r > 0;
    return r;
}

/* Changes the messages; those that are told have their mod-sequences afterwards. 0, or -1 and st->e. */
static int store_all(struct storing *st)
{
    struct imap_session *s = st->s;
    size_t n = 0;
    int r = 0;
    if (st->what.guarded) {
        /* What others did meanwhile counts (RFC 7162 3.1.3), and is told with the rest. */
        imap_tell_changes(s, false);
        if (s->done)
            return 0;
        st->modified = arena_array(s->arena, st->at.n, sizeof *st->modified);
        store_mailbox_guard(s->mailbox);
    }
    for (size_t i = 0; i < st->at.n && r >= 0; i++)
        if ((r = store_one(st, st->at.v[i])) == 0)
            st->at.v[n++] = st->at.v[i];
    st->at.n = n;
    if (imap_tells_modseq(s))
        store_mailbox_settle(s->mailbox, false);
    else
        store_mailbox_settle_later(s->mailbox);
    return r < 0 ? -1 : 0;
}

/* With mod-sequences even .SILENT is answered, but not with flags (RFC 7162 3.1.3). */
static void tell_stored(struct storing *st)
{
    struct imap_session *s = st->s;
    const enum imap_fetch_kind kinds[] = {IMAP_FETCH_UID, IMAP_FETCH_MODSEQ};
    size_t skip = s->command->uid || (s->enabled & IMAP_ON_QRESYNC) ? 0 : 1;
    bool modseq = imap_tells_modseq(s);
    for (size_t i = 0; i < st->at.n && (modseq || !st->what.silent); i++) {
        if (st->what.silent)
            imap_tell_plain(s, st->at.v[i], kinds + skip, 2 - skip);
        else
            imap_tell_fetch_flags(s, st->at.v[i], s->command->uid);
    }
}

static void reply(struct storing *st)
{
    struct imap_session *s = st->s;
    AUTO_BUF code = {0};
    if (st->modified_n) {
        buf_str(&code, STR("[MODIFIED "));
        imap_write_uids(&code, st->modified, st->modified_n);
        buf_str(&code, STR("] Conditional "));
    }
    if (st->gone)
        imap_reply_no(s, "%s", st->modified_n ? buf_z(&code)
                                              : "[EXPUNGEISSUED] Some of the messages no longer exist");
    else if (st->modified_n)
        imap_reply_ok(s, "%s%s failed", buf_z(&code), s->command->name);
    else
        imap_reply_done(s);
}

void imap_cmd_store(struct imap_session *s, struct imap_cursor *args)
{
    struct storing st = {.s = s};
    if (imap_get_indexes(s, args, &st.at) != 0)
        return;
    if (imap_get_space(args) != 0 || imap_get_store(args, s->arena, &st.what) != 0 ||
        imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return;
    }
    if ((st.what.guarded && imap_refuse_modseq(s)) || imap_refuse_read_only(s))
        return;
    if (imap_keyword_bits(s, &st.what.flags, st.what.mode != IMAP_STORE_REMOVE, &st.keywords) != 0)
        return;
    int r = store_all(&st);
    tell_stored(&st);
    if (r == 0)
        reply(&st);
    else
        imap_reply_error(s, &st.e);
}
