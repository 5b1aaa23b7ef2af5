/* STATUS (RFC 3501 6.3.10). */
#include "session/imap.h"

#include "protocol/imap/write.h"

static void tell_status(struct imap_session *s, struct str name, unsigned items,
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
    };
    bool first = true;
    output_z(&s->out, "* STATUS ");
    imap_write_astring(output_buf(&s->out), name);
    output_z(&s->out, " (");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!(items & rows[i].item))
            continue;
        output_printf(&s->out, "%s%s %llu", first ? "" : " ", rows[i].name,
                      (unsigned long long)rows[i].value);
        first = false;
    }
    output_z(&s->out, ")\r\n");
}

void imap_cmd_status(struct imap_session *s, struct imap_cursor *args)
{
    struct str name;
    unsigned items;
    struct err e = {0};
    struct store_folder *folder;
    struct store_status status;
    if (imap_get_space(args) != 0 || imap_get_mailbox(args, s->arena, &name) != 0 ||
        imap_get_space(args) != 0 || imap_get_status_items(args, &items) != 0 ||
        imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return;
    }
    int r = store_folder_open(s->settings->maildir_fd, name, &folder, &e);
    if (r > 0) {
        imap_reply_no(s, "[NONEXISTENT] No such mailbox");
        return;
    }
    if (r == 0) {
        r = store_folder_status(folder, false, &status, &e);
        store_folder_close(folder);
    }
    if (r != 0) {
        imap_reply_error(s, &e);
        return;
    }
    tell_status(s, name, items, &status);
    imap_reply_done(s);
}
