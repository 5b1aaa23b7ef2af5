/*
 * GETQUOTA and GETQUOTAROOT (RFC 9208): one root for all mailboxes, limited in STORAGE.
 *
 * The limit is the directory's, so there is no SETQUOTA; a user without a limit has no root.
 */
#include "session/imap.h"

#include "store/quota.h"

enum { UNIT = 1024 }; /* octets: RFC 9208 5.1 */

static const char root[] = "User quota";

/* "* QUOTA ..."; 0, or -1 with a reply. */
static int tell_quota(struct imap_session *s)
{
    struct store_usage usage;
    struct err e = {0};
    if (store_quota_check(s->settings->maildir_fd, s->settings->quota_bytes, 0, &usage, &e) < 0) {
        imap_reply_error(s, &e);
        return -1;
    }
    output_printf(&s->out, "* QUOTA \"%s\" (STORAGE %llu %llu)\r\n", root,
                  (unsigned long long)((usage.bytes + UNIT - 1) / UNIT),
                  (unsigned long long)(s->settings->quota_bytes / UNIT));
    return 0;
}

void imap_cmd_getquota(struct imap_session *s, struct imap_cursor *args)
{
    struct str name;
    if (imap_get_space(args) != 0 || imap_get_astring(args, &name) != 0 || imap_get_end(args) != 0)
        imap_reply_bad(s, args->wrong);
    else if (!s->settings->quota_bytes || !str_eq(name, STR(root)))
        imap_reply_no(s, "[NONEXISTENT] No such quota root");
    else if (tell_quota(s) == 0)
        imap_reply_done(s);
}

/* The mailbox need not exist (RFC 9208 4.1.2). */
void imap_cmd_getquotaroot(struct imap_session *s, struct imap_cursor *args)
{
    struct str name;
    if (imap_get_last_folder(s, args, &name) != 0)
        return;
    output_z(&s->out, "* QUOTAROOT ");
    imap_write_folder(s, name);
    if (s->settings->quota_bytes)
        output_printf(&s->out, " \"%s\"", root);
    output_z(&s->out, "\r\n");
    if (!s->settings->quota_bytes || tell_quota(s) == 0)
        imap_reply_done(s);
}
