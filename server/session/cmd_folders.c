/* CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 6.3.3 to 6.3.7, RFC 5530). */
#include "session/imap.h"

/* " name" and nothing more: 0, or -1 with BAD. */
static int get_one_name(struct imap_session *s, struct imap_cursor *args, struct str *name)
{
    if (imap_get_space(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return -1;
    }
    if (imap_get_folder(s, args, name) != 0)
        return -1;
    if (imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return -1;
    }
    return 0;
}

/* A separator at the end only says that children will follow (RFC 3501 6.3.3). */
static struct str without_separator(struct str name)
{
    if (name.n > 1 && name.p[name.n - 1] == STORE_FOLDER_SEP)
        name.n--;
    return name;
}

void imap_cmd_create(struct imap_session *s, struct imap_cursor *args)
{
    struct str name;
    struct err e = {0};
    if (get_one_name(s, args, &name) != 0)
        return;
    name = without_separator(name);
    if (imap_refuse_spelling(s, name))
        return;
    int r = store_folder_is_inbox(name) ? 1 : store_folder_create(s->settings->maildir_fd, name, &e);
    if (r < 0)
        imap_reply_error(s, &e);
    else if (r > 0)
        imap_reply_no(s, "[ALREADYEXISTS] The mailbox exists already");
    else
        imap_reply_done(s);
}

static bool is_selected(struct imap_session *s, struct str name)
{
    return s->mailbox_name && str_eq(str_from(s->mailbox_name), name);
}

void imap_cmd_delete(struct imap_session *s, struct imap_cursor *args)
{
    struct str name;
    struct err e = {0};
    if (get_one_name(s, args, &name) != 0)
        return;
    if (store_folder_is_inbox(name)) {
        imap_reply_no(s, "[CANNOT] INBOX cannot be deleted");
        return;
    }
    int r = store_folder_delete(s->settings->maildir_fd, name, &e);
    if (r < 0) {
        imap_reply_error(s, &e);
    } else if (r > 0) {
        imap_reply_no(s, "[NONEXISTENT] No such mailbox");
    } else {
        if (is_selected(s, name))
            imap_unselect(s);
        imap_reply_done(s);
    }
}

/* The mailbox that was renamed while it is selected, or lies below it, is no longer there. */
static void unselect_renamed(struct imap_session *s, struct str from)
{
    struct str open = str_from(s->mailbox_name);
    if (store_folder_is_inbox(from) || !str_starts(open, from))
        return;
    if (open.n == from.n || open.p[from.n] == STORE_FOLDER_SEP)
        imap_unselect(s);
}

void imap_cmd_rename(struct imap_session *s, struct imap_cursor *args)
{
    struct str from, to;
    struct err e = {0};
    bool existing = false;
    if (imap_get_space(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return;
    }
    if (imap_get_folder(s, args, &from) != 0 || get_one_name(s, args, &to) != 0)
        return;
    to = without_separator(to);
    if (imap_refuse_spelling(s, to))
        return;
    int r = 1;
    if (store_folder_is_inbox(to))
        existing = true;
    else
        r = store_folder_rename(s->settings->maildir_fd, from, to, &existing, &e);
    if (r < 0) {
        imap_reply_error(s, &e);
    } else if (r > 0) {
        imap_reply_no(s, existing ? "[ALREADYEXISTS] The new name is taken"
                                  : "[NONEXISTENT] No such mailbox");
    } else {
        unselect_renamed(s, from);
        imap_reply_done(s);
    }
}

static void set_subscription(struct imap_session *s, struct imap_cursor *args, bool on)
{
    struct str name;
    struct err e = {0};
    if (get_one_name(s, args, &name) != 0)
        return;
    if (store_subscriptions_set(s->settings->maildir_fd, without_separator(name), on, &e) != 0)
        imap_reply_error(s, &e);
    else
        imap_reply_done(s);
}

void imap_cmd_subscribe(struct imap_session *s, struct imap_cursor *args)
{
    set_subscription(s, args, true);
}

void imap_cmd_unsubscribe(struct imap_session *s, struct imap_cursor *args)
{
    set_subscription(s, args, false);
}
