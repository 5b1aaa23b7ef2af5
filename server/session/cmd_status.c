/* STATUS (RFC 3501 6.3.10), with SIZE (8438), DELETED and DELETED-STORAGE (9208), APPENDLIMIT (7889),
 * MAILBOXID (8474), HIGHESTMODSEQ (7162). */
#include "session/imap.h"

void imap_write_mailboxid(struct buf *b, const unsigned char guid[16])
{
    /* RFC 8474 8.1: a letter first, and no ids that differ by case only. */
    buf_byte(b, 'F');
    for (size_t i = 0; i < 16; i++)
        buf_printf(b, "%02x", guid[i]);
}

int imap_status_get(struct imap_session *s, struct str name, unsigned items,
                    struct store_status *status, struct err *e)
{
    unsigned want = (items & IMAP_STATUS_SIZE ? STORE_STATUS_SIZE : 0u) |
                    (items & IMAP_STATUS_DELETED_STORAGE ? STORE_STATUS_DELETED_SIZE : 0u);
    if (items & IMAP_STATUS_HIGHESTMODSEQ)
        imap_use_modseq(s);
    if (s->mailbox && store_mailbox_unsettled(s->mailbox) && str_eq(name, str_from(s->mailbox_name)))
        store_mailbox_settle(s->mailbox, false); /* or the folder would have to be looked into */
    return store_status(s->settings->maildir_fd, name, s->index, &s->status_view, want, status, e);
}

static void add_name(struct buf *b, bool *first, const char *name)
{
    buf_printf(b, "%s%s ", *first ? "" : " ", name);
    *first = false;
}

void imap_status_tell(struct imap_session *s, struct str name, unsigned items,
                      const struct store_status *st)
{
    const struct {
        unsigned item;
        const char *name;
        uint64_t value;
    } rows[] = {
        {IMAP_STATUS_MESSAGES, "MESSAGES", st->messages},
        {IMAP_STATUS_RECENT, "RECENT", st->recent},
        {IMAP_STATUS_UIDNEXT, "UIDNEXT", st->uidnext},
        {IMAP_STATUS_UIDVALIDITY, "UIDVALIDITY", st->uidvalidity},
        {IMAP_STATUS_UNSEEN, "UNSEEN", st->unseen},
        {IMAP_STATUS_SIZE, "SIZE", st->size},
        {IMAP_STATUS_DELETED, "DELETED", st->deleted},
        {IMAP_STATUS_DELETED_STORAGE, "DELETED-STORAGE", st->deleted_size},
        {IMAP_STATUS_HIGHESTMODSEQ, "HIGHESTMODSEQ", st->highest},
    };
    struct buf *b = output_buf(&s->out);
    bool first = true;
    buf_str(b, STR("* STATUS "));
    imap_write_folder(s, name);
    buf_str(b, STR(" ("));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!(items & rows[i].item))
            continue;
        add_name(b, &first, rows[i].name);
        buf_printf(b, "%llu", (unsigned long long)rows[i].value);
    }
    if (items & IMAP_STATUS_APPENDLIMIT) {
        add_name(b, &first, "APPENDLIMIT");
        if (s->settings->message_size_limit)
            buf_printf(b, "%llu", (unsigned long long)s->settings->message_size_limit);
        else
            buf_str(b, STR("NIL"));
    }
    if (items & IMAP_STATUS_MAILBOXID) {
        add_name(b, &first, "MAILBOXID");
        buf_byte(b, '(');
        imap_write_mailboxid(b, st->guid);
        buf_byte(b, ')');
    }
    output_z(&s->out, ")\r\n");
}

void imap_cmd_status(struct imap_session *s, struct imap_cursor *args)
{
    struct str name;
    unsigned items;
    struct err e = {0};
    struct store_status status;
    if (imap_get_folder(s, args, &name) != 0)
        return;
    if (imap_get_space(args) != 0 || imap_get_status_items(args, &items) != 0 ||
        imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return;
    }
    int r = imap_status_get(s, name, items, &status, &e);
    if (r > 0) {
        imap_reply_no(s, "[NONEXISTENT] No such mailbox");
    } else if (r < 0) {
        imap_reply_error(s, &e);
    } else {
        imap_status_tell(s, name, items, &status);
        imap_reply_done(s);
    }
}
