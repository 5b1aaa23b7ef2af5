/*
 * APPEND (RFC 3501 6.3.11), with several messages (3502), UIDs told (4315) and sizes bounded.
 *
 * The message goes from the input straight into a file; OK is said when all of them are durable, and
 * nothing of them is left otherwise.
 */
#include "session/imap.h"

#include "base/clock.h"
#include "store/quota.h"

#include <stdlib.h>

struct append {
    struct imap_session *s;
    struct store_folder *folder;
    struct store_save *save;
    uint64_t bytes;  /* of all messages so far */
    bool failed;     /* a reply is set; what still comes is thrown away */
};

/* [SP flag-list] [SP date-time] SP, before a message literal. */
static int get_options(struct append *ap, struct imap_cursor *c, struct imap_flags *flags,
                       int64_t *date)
{
    *flags = (struct imap_flags){0};
    *date = clock_real_us() / 1000000;
    if (imap_get_space(c) != 0)
        return -1;
    if (imap_peek(c, '(') &&
        (imap_get_flags(c, ap->s->arena, false, flags) != 0 || imap_get_space(c) != 0))
        return -1;
    if (imap_peek(c, '"') && (imap_get_date_time(c, date) != 0 || imap_get_space(c) != 0))
        return -1;
    return imap_get_end(c);
}

static int refuse(struct append *ap, const struct err *e)
{
    if (!ap->failed)
        imap_reply_error(ap->s, e);
    ap->failed = true;
    return -1;
}

static int refuse_no(struct append *ap, const char *text)
{
    if (!ap->failed)
        imap_reply_no(ap->s, "%s", text);
    ap->failed = true;
    return -1;
}

/* Checks that the message at hand is wanted, before the client is asked for it. */
static int check_size(struct append *ap)
{
    const struct session_settings *set = ap->s->settings;
    uint64_t size = ap->s->reader.literal;
    struct err e = {0};
    if (ap->s->reader.binary)
        return refuse_no(ap, "[UNKNOWN-CTE] Binary literals are not known here");
    if (size == 0) /* RFC 3502 4: it takes the whole command back */
        return refuse_no(ap, "[CANNOT] The message is empty");
    if (set->message_size_limit && size > set->message_size_limit)
        return refuse_no(ap, "[TOOBIG] The message is larger than this server takes");
    int r = store_quota_check(set->maildir_fd, set->quota_bytes, ap->bytes + size, NULL, &e);
    if (r == STORE_FULL)
        return refuse_no(ap, "[OVERQUOTA] The mailbox is full");
    ap->bytes += size;
    return r == 0 ? 0 : refuse(ap, &e);
}

static int open_folder(struct append *ap, struct str name)
{
    struct err e = {0};
    int r = store_folder_open(ap->s->settings->maildir_fd, name, &ap->folder, &e);
    if (r > 0) /* RFC 3501 6.3.11: the client may create it and try again */
        return refuse_no(ap, "[TRYCREATE] No such mailbox");
    if (r < 0)
        return refuse(ap, &e);
    ap->save = store_save_new(ap->folder);
    return 0;
}

static int begin_message(struct append *ap, struct imap_cursor *c)
{
    struct imap_flags flags;
    struct err e = {0};
    int64_t date;
    if (get_options(ap, c, &flags, &date) != 0) {
        imap_reply_bad(ap->s, c->wrong);
        ap->failed = true;
        return -1;
    }
    for (size_t i = 0; i < flags.n; i++)
        if (flags.keywords[i].n > ap->s->settings->keyword_length_max)
            return refuse_no(ap, "[LIMIT] Keyword too long");
    if (check_size(ap) != 0)
        return -1;
    if (store_save_begin(ap->save, imap_store_flags(flags.system), flags.keywords, flags.n, date,
                         0, &e) != 0)
        return refuse(ap, &e);
    return 0;
}

/* Takes the literal. 0, or -1 when the client is gone. A failure of the disk does not stop it: the
 * bytes are read and thrown away, so that the next command is found. */
static int take_message(struct append *ap)
{
    struct imap_session *s = ap->s;
    struct err e = {0};
    bool more = true;
    while (more) {
        struct str in = imap_input(s), piece;
        if (in.n == 0 && s->reader.left > 0) {
            if (!imap_input_read(s))
                return -1;
            continue;
        }
        more = imap_reader_message(&s->reader, &in, &piece);
        if (!ap->failed && store_save_write(ap->save, piece, &e) != 0)
            refuse(ap, &e);
        imap_input_eat(s, in);
    }
    if (!ap->failed && store_save_end(ap->save, &e) != 0)
        refuse(ap, &e);
    return 0;
}

static void commit(struct append *ap)
{
    uint32_t uidvalidity, *uids = NULL;
    size_t count;
    struct err e = {0};
    int r = store_save_commit(ap->save, &uidvalidity, &uids, &count, &e);
    ap->save = NULL;
    if (r != 0) {
        refuse(ap, &e);
        return;
    }
    AUTO_BUF set = {0};
    imap_write_uids(&set, uids, count);
    imap_reply_ok(ap->s, "[APPENDUID %u %s] APPEND completed", uidvalidity, buf_z(&set));
    free(uids);
}

/* What follows a message: the end, another message, or something wrong. True while there is more. */
static bool after_message(struct append *ap)
{
    struct imap_session *s = ap->s;
    struct imap_line line;
    for (;;) {
        struct str in = imap_input(s);
        if (in.n == 0 && !imap_input_read(s))
            return false;
        in = imap_input(s);
        enum imap_event event = imap_reader_feed(&s->reader, &in, &line);
        imap_input_eat(s, in);
        if (event == IMAP_MORE)
            continue;
        if (event == IMAP_MESSAGE) {
            if (ap->failed || begin_message(ap, &line.args) != 0) {
                imap_reader_refuse(&s->reader);
                return false;
            }
            if (s->reader.sync)
                output_z(&s->out, "+ OK\r\n");
            return true;
        }
        if (event == IMAP_COMMAND && imap_get_end(&line.args) != 0)
            s->reader.wrong = line.args.wrong;
        if (s->reader.wrong && !ap->failed) {
            imap_reply_bad(s, s->reader.wrong);
            ap->failed = true;
        }
        imap_reader_next(&s->reader);
        return false;
    }
}

static void append(struct append *ap, struct imap_cursor *args)
{
    struct imap_session *s = ap->s;
    struct str name;
    if (imap_get_space(args) != 0 || imap_get_mailbox(args, s->arena, &name) != 0) {
        imap_reply_bad(s, args->wrong);
        ap->failed = true;
    }
    if (ap->failed || open_folder(ap, name) != 0 || begin_message(ap, args) != 0) {
        imap_reader_refuse(&s->reader);
        return;
    }
    if (s->reader.sync)
        output_z(&s->out, "+ OK\r\n");
    do {
        if (take_message(ap) != 0)
            return;
    } while (after_message(ap));
    if (!ap->failed && !s->done)
        commit(ap);
}

void imap_cmd_append(struct imap_session *s, struct imap_cursor *args)
{
    struct append ap = {.s = s};
    if (!imap_reader_at_message(&s->reader)) {
        imap_reply_bad(s, "Expected a message literal");
        return;
    }
    append(&ap, args);
    store_save_abort(ap.save);
    store_folder_close(ap.folder);
}
