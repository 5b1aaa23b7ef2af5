/* CREATE with special uses (RFC 6154), DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 6.3.3 to
 * 6.3.7, RFC 5530). */
#include "session/imap.h"

#include "base/log.h"
#include "store/special_use.h"

/* A separator at the end only says that children will follow (RFC 3501 6.3.3). */
static struct str without_separator(struct str name)
{
    if (name.n > 1 && name.p[name.n - 1] == STORE_FOLDER_SEP)
        name.n--;
    return name;
}

/* The uses of all folders as they are now. */
static int read_uses(struct imap_session *s, struct store_uses *uses, struct err *e)
{
    struct store_names names;
    int root = s->settings->maildir_fd, r = store_folder_list(root, s->arena, &names, e);
    struct map *exists = map_new();
    for (size_t i = 0; r == 0 && i < names.count; i++)
        map_put(exists, names.name[i], exists);
    if (r == 0)
        r = store_uses_read(root, s->arena, exists, uses, e);
    map_free(exists, NULL);
    return r;
}

/* Without the use there shall be no mailbox either (RFC 6154 3). 0; 1: it exists; -1 and *e. */
static int create(struct imap_session *s, struct str name, unsigned uses, struct err *e)
{
    int root = s->settings->maildir_fd;
    int r = store_folder_is_inbox(name) ? 1 : store_folder_create(root, name, e);
    if (r != 0 || !uses)
        return r;
    r = store_uses_set(root, name, uses, e);
    if (r != 0)
        (void)store_folder_delete(root, name, NULL);
    return r;
}

static void tell_created(struct imap_session *s, struct str name)
{
    struct store_status status;
    struct err e = {0};
    AUTO_BUF id = {0};
    if (imap_status_get(s, name, IMAP_STATUS_MAILBOXID, &status, &e) != 0) {
        imap_reply_done(s); /* gone again already, or unreadable: it was made all the same */
        return;
    }
    imap_write_mailboxid(&id, status.guid);
    imap_reply_ok(s, "[MAILBOXID (%s)] %s completed", buf_z(&id), s->command->name);
}

/* " name [(USE (...))]": 0, or -1 with a reply. */
static int get_create(struct imap_session *s, struct imap_cursor *args, struct str *name,
                      unsigned *uses)
{
    *uses = 0;
    if (imap_get_folder(s, args, name) != 0)
        return -1;
    if ((imap_try(args, ' ') && imap_get_create_params(args, uses) != 0) ||
        imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return -1;
    }
    return 0;
}

void imap_cmd_create(struct imap_session *s, struct imap_cursor *args)
{
    _Static_assert(IMAP_USE_ARCHIVE == (int)STORE_USE_ARCHIVE &&
                       IMAP_USE_DRAFTS == (int)STORE_USE_DRAFTS &&
                       IMAP_USE_JUNK == (int)STORE_USE_JUNK &&
                       IMAP_USE_SENT == (int)STORE_USE_SENT &&
                       IMAP_USE_TRASH == (int)STORE_USE_TRASH,
                   "the grammar's bits are the store's");
    struct str name;
    unsigned uses;
    struct err e = {0};
    if (get_create(s, args, &name, &uses) != 0)
        return;
    name = without_separator(name);
    if (imap_refuse_spelling(s, name))
        return;
    if (uses & IMAP_USE_OTHER) {
        imap_reply_no(s, "[USEATTR] No mailbox here can have that use");
        return;
    }
    int r = create(s, name, uses, &e);
    if (r < 0)
        imap_reply_error(s, &e);
    else if (r > 0)
        imap_reply_no(s, "[ALREADYEXISTS] The mailbox exists already");
    else
        tell_created(s, name);
}

static bool is_selected(struct imap_session *s, struct str name)
{
    return s->mailbox_name && str_eq(str_from(s->mailbox_name), name);
}

/* The folder is what was asked for; its use is told to the log alone. */
static void note_use_lost(struct imap_session *s, struct str name, const struct err *e)
{
    log_warning("imap-special-use", LS("user", s->settings->user), LS("mailbox", name),
                LZ("error", e->log));
}

/* A name that is no mailbox and stands only because of those below it cannot go (RFC 9051 6.3.5). */
static bool has_children(struct imap_session *s, struct str name)
{
    struct store_names names;
    struct err e = {0};
    if (store_folder_list(s->settings->maildir_fd, s->arena, &names, &e) != 0)
        return false;
    for (size_t i = 0; i < names.count; i++)
        if (names.name[i].n > name.n && str_starts(names.name[i], name) &&
            names.name[i].p[name.n] == STORE_FOLDER_SEP)
            return true;
    return false;
}

void imap_cmd_delete(struct imap_session *s, struct imap_cursor *args)
{
    struct str name;
    struct err e = {0};
    if (imap_get_last_folder(s, args, &name) != 0)
        return;
    if (store_folder_is_inbox(name)) {
        imap_reply_no(s, "[CANNOT] INBOX cannot be deleted");
        return;
    }
    int r = store_folder_delete(s->settings->maildir_fd, name, &e);
    if (r < 0) {
        imap_reply_error(s, &e);
    } else if (r > 0 && has_children(s, name)) {
        imap_reply_no(s, "[HASCHILDREN] There are mailboxes below it");
    } else if (r > 0) {
        imap_reply_no(s, "[NONEXISTENT] No such mailbox");
    } else {
        if (is_selected(s, name))
            imap_unselect(s);
        if (store_uses_deleted(s->settings->maildir_fd, name, &e) != 0)
            note_use_lost(s, name, &e);
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
    struct store_uses uses;
    bool existing = false;
    if (imap_get_folder(s, args, &from) != 0 || imap_get_last_folder(s, args, &to) != 0)
        return;
    to = without_separator(to);
    if (imap_refuse_spelling(s, to))
        return;
    int r = read_uses(s, &uses, &e);
    if (r < 0) {
        imap_reply_error(s, &e);
        return;
    }
    r = 1;
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
        if (!store_folder_is_inbox(from) &&
            store_uses_renamed(s->settings->maildir_fd, from, to, &uses, &e) != 0)
            note_use_lost(s, to, &e);
        imap_reply_done(s);
    }
}

static void set_subscription(struct imap_session *s, struct imap_cursor *args, bool on)
{
    struct str name;
    struct err e = {0};
    if (imap_get_last_folder(s, args, &name) != 0 || (on && imap_refuse_spelling(s, name)))
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
