/* SELECT, EXAMINE, CLOSE, UNSELECT, EXPUNGE and UID EXPUNGE (RFC 3501 6.3.1, 6.4.2; 3691; 4315; 7162). */
#include "session/imap.h"

static void tell_mailbox(struct imap_session *s)
{
    struct store_mailbox *mb = s->mailbox;
    size_t count = store_mailbox_count(mb), unseen = store_mailbox_first_unseen(mb);
    imap_list_selected(s);
    imap_tell_flags(s);
    imap_tell_exists(s, count, store_mailbox_recent(mb));
    if (unseen < count && !imap_is_rev2(s))
        output_printf(&s->out, "* OK [UNSEEN %zu] First unseen\r\n", unseen + 1);
    output_printf(&s->out, "* OK [UIDVALIDITY %u] UIDs valid\r\n", store_mailbox_uidvalidity(mb));
    output_printf(&s->out, "* OK [UIDNEXT %u] Predicted next UID\r\n", store_mailbox_uidnext(mb));
    imap_tell_highest(s);
    s->told_modseq = store_mailbox_highest(mb);
    output_z(&s->out, "* OK [MAILBOXID (");
    imap_write_mailboxid(output_buf(&s->out), store_mailbox_guid(mb));
    output_z(&s->out, ")] Mailbox id\r\n");
}

/* What changed since the client was last here (RFC 7162 3.2.5): by the code that QRESYNC and a session
 * that takes over another one's view share. */
static void resynchronise(struct imap_session *s, const struct imap_select *how)
{
    const struct imap_set *known = how->known ? &how->uids : NULL;
    if (!how->qresync || how->uidvalidity != store_mailbox_uidvalidity(s->mailbox) ||
        !store_mailbox_highest(s->mailbox))
        return;
    imap_tell_vanished(s, how->modseq, known);
    imap_tell_changed(s, how->modseq, known);
}

static void open_mailbox(struct imap_session *s, struct str name, const struct imap_select *how,
                         bool read_only)
{
    struct err e = {0};
    if (s->mailbox) /* RFC 7162 3.2.11 */
        output_z(&s->out, "* OK [CLOSED] Previous mailbox is closed\r\n");
    /* Even a SELECT that fails leaves the mailbox selected before (RFC 3501 6.3.1). */
    imap_unselect(s);
    int r = store_mailbox_open(s->settings->maildir_fd, name, read_only, s->index, &s->mailbox, &e);
    if (r < 0) {
        imap_reply_error(s, &e);
    } else if (r > 0) {
        imap_reply_no(s, "[NONEXISTENT] No such mailbox");
    } else {
        s->mailbox_name = mem_strdup(name);
        tell_mailbox(s);
        resynchronise(s, how);
        imap_reply_ok(s, "[%s] %s completed", read_only ? "READ-ONLY" : "READ-WRITE",
                      s->command->name);
    }
}

static void select_mailbox(struct imap_session *s, struct imap_cursor *args, bool read_only)
{
    struct str name;
    struct imap_select how;
    if (imap_get_folder(s, args, &name) != 0)
        return;
    if (imap_get_select(args, s->arena, &how) != 0) {
        imap_reply_bad(s, args->wrong);
        return;
    }
    if (how.qresync && !(s->enabled & IMAP_ON_QRESYNC)) {
        imap_reply_bad(s, "QRESYNC is not enabled"); /* RFC 7162 3.2.5 */
        return;
    }
    if (how.condstore)
        s->enabled |= IMAP_ON_CONDSTORE;
    open_mailbox(s, name, &how, read_only);
}

void imap_cmd_select(struct imap_session *s, struct imap_cursor *args)
{
    select_mailbox(s, args, false);
}

void imap_cmd_examine(struct imap_session *s, struct imap_cursor *args)
{
    select_mailbox(s, args, true);
}

void imap_cmd_unselect(struct imap_session *s, struct imap_cursor *args)
{
    if (imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return;
    }
    imap_unselect(s);
    imap_reply_done(s);
}

static bool is_deleted(const struct store_msg *m)
{
    return (m->flags & STORE_DELETED) && !m->gone;
}

/* Removes what is marked \Deleted among these messages. How many, or -1 with a reply set. */
static ptrdiff_t expunge(struct imap_session *s, const struct imap_indexes *among)
{
    struct err e = {0};
    ptrdiff_t n = 0;
    for (size_t i = 0; i < among->n; i++) {
        if (!is_deleted(store_mailbox_at(s->mailbox, among->v[i])))
            continue;
        n++;
        if (store_mailbox_expunge(s->mailbox, among->v[i], &e) < 0) {
            store_mailbox_settle(s->mailbox, false);
            imap_reply_error(s, &e);
            return -1;
        }
    }
    if (n)
        store_mailbox_settle(s->mailbox, false);
    return n;
}

static struct imap_indexes all_messages(struct imap_session *s)
{
    struct imap_range range = {1, IMAP_STAR};
    const struct imap_set set = {.ranges = &range, .n = 1};
    struct imap_indexes all;
    imap_indexes(s, &set, false, &all);
    return all;
}

/* CLOSE expunges without telling; a read-only mailbox is left as it is (RFC 3501 6.4.2). */
void imap_cmd_close(struct imap_session *s, struct imap_cursor *args)
{
    if (imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return;
    }
    if (!store_mailbox_read_only(s->mailbox)) {
        struct imap_indexes all = all_messages(s);
        if (expunge(s, &all) < 0)
            return;
    }
    imap_unselect(s);
    imap_reply_done(s);
}

void imap_cmd_expunge(struct imap_session *s, struct imap_cursor *args)
{
    struct imap_indexes among;
    if (s->command->uid) {
        if (imap_get_indexes(s, args, &among) != 0)
            return;
    } else {
        among = all_messages(s);
    }
    if (imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return;
    }
    if (imap_refuse_read_only(s))
        return;
    ptrdiff_t n = expunge(s, &among);
    if (n > 0 && imap_tells_modseq(s)) /* RFC 7162 3.2.7 */
        imap_reply_ok(s, "[HIGHESTMODSEQ %llu] %s completed",
                      (unsigned long long)store_mailbox_highest(s->mailbox), s->command->name);
    else if (n >= 0)
        imap_reply_done(s);
}
