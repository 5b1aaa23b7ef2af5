/*
 * APPEND (RFC 3501 6.3.11), with several messages (3502), binary ones (3516), UTF-8 headers (6855), UIDs
 * told (4315) and sizes bounded; REPLACE (8508).
 *
 * The message goes from the input straight into a file (a binary one through memory, since its parts
 * may have to be encoded); OK is said when all of them are durable, and nothing of them is left
 * otherwise.
 */
#include "session/imap.h"

#include "base/clock.h"
#include "session/append_binary.h"
#include "store/quota.h"

#include <stdlib.h>
#include <sys/stat.h>

#define BINARY_MAX ((size_t)64 << 20) /* bytes of a binary message where no other bound is set */

struct append {
    struct imap_session *s;
    struct store_folder *folder;
    struct store_save *save;
    uint64_t bytes;  /* of all messages so far */
    bool failed;     /* a reply is set; what still comes is thrown away */
    bool utf8;       /* the message at hand stands in "UTF8 (...)" */
    struct append_header header; /* of the message at hand */
    struct buf binary; /* the message at hand, when it is binary */
    bool replace;
    size_t replaced; /* index of the message that goes */
    uint64_t freed;  /* its bytes on disk */
};

/* [SP flag-list] [SP date-time] SP ["UTF8" SP "("], before a message literal. */
static int get_options(struct append *ap, struct imap_cursor *c, struct imap_flags *flags,
                       int64_t *date)
{
    *flags = (struct imap_flags){0};
    *date = clock_real_us() / 1000000;
    ap->utf8 = false;
    if (imap_get_space(c) != 0)
        return -1;
    if (imap_peek(c, '(') &&
        (imap_get_flags(c, ap->s->arena, false, flags) != 0 || imap_get_space(c) != 0))
        return -1;
    if (imap_peek(c, '"') && (imap_get_date_time(c, date) != 0 || imap_get_space(c) != 0))
        return -1;
    if (imap_try_word(c, STR("UTF8"))) {
        ap->utf8 = true;
        if (imap_get_space(c) != 0 || imap_get_char(c, '(') != 0)
            return -1;
        if (!ap->s->reader.binary)
            return imap_wrong(c, "UTF8 takes a binary literal"); /* RFC 6855 4 */
    }
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

/* Is there room for so many more bytes? What REPLACE takes away counts (RFC 8508 3.4). */
static int check_room(struct append *ap, uint64_t size)
{
    const struct session_settings *set = ap->s->settings;
    struct err e = {0};
    ap->bytes += size;
    uint64_t net = ap->bytes > ap->freed ? ap->bytes - ap->freed : 0;
    int r = store_quota_check(set->maildir_fd, set->quota_bytes, net, NULL, &e);
    if (r == STORE_FULL && net > 0)
        return refuse_no(ap, "[OVERQUOTA] The mailbox is full");
    return r == 0 || r == STORE_FULL ? 0 : refuse(ap, &e);
}

/* Checks that the message at hand is wanted, before the client is asked for it. */
static int check_size(struct append *ap)
{
    const struct session_settings *set = ap->s->settings;
    uint64_t size = ap->s->reader.literal;
    if (size == 0) /* RFC 3502 4: it takes the whole command back */
        return refuse_no(ap, "[CANNOT] The message is empty");
    if (set->message_size_limit && size > set->message_size_limit)
        return refuse_no(ap, "[TOOBIG] The message is larger than this server takes");
    if (ap->s->reader.binary && !set->message_size_limit && size > BINARY_MAX)
        return refuse_no(ap, "[TOOBIG] The binary message is larger than this server takes");
    return check_room(ap, size);
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
                         0, &e) == 0)
        return 0;
    if (e.kind == ERR_PERMANENT && flags.n) /* the 27th keyword, or one that cannot be */
        return refuse_no(ap, "[LIMIT] No room for more keywords");
    return refuse(ap, &e);
}

static void take_piece(struct append *ap, struct str piece)
{
    struct err e = {0};
    append_header_look(&ap->header, piece);
    if (ap->failed)
        return;
    /* RFC 6855 4: who has not enabled UTF-8 sends none in a header. */
    if (ap->header.eight_bit && !imap_speaks_utf8(ap->s))
        refuse_no(ap, "[CANNOT] 8-bit characters in the header need ENABLE UTF8=ACCEPT");
    else if (ap->s->reader.binary)
        buf_str(&ap->binary, piece);
    else if (store_save_write(ap->save, piece, &e) != 0)
        refuse(ap, &e);
}

/* Writes a binary message, its parts encoded where they have to be. */
static void write_binary(struct append *ap)
{
    AUTO_BUF encoded = {0};
    struct err e = {0};
    struct str message = buf_view(&ap->binary);
    if (append_binary_encode(message, &encoded)) {
        size_t more = encoded.n > message.n ? encoded.n - message.n : 0;
        message = buf_view(&encoded);
        if (check_room(ap, more) != 0)
            return;
    }
    if (store_save_write(ap->save, message, &e) != 0)
        refuse(ap, &e);
}

/* Takes the literal. 0, or -1 when the client is gone. A failure of the disk does not stop it: the
 * bytes are read and thrown away, so that the next command is found. */
static int take_message(struct append *ap)
{
    struct imap_session *s = ap->s;
    struct err e = {0};
    bool more = true;
    ap->header = (struct append_header){0};
    buf_clear(&ap->binary);
    while (more) {
        struct str in = imap_input(s), piece;
        if (in.n == 0 && s->reader.left > 0) {
            if (!imap_input_read(s))
                return -1;
            continue;
        }
        more = imap_reader_message(&s->reader, &in, &piece);
        take_piece(ap, piece);
        imap_input_eat(s, in);
    }
    if (s->reader.binary && !ap->failed)
        write_binary(ap);
    buf_free(&ap->binary);
    if (!ap->failed && store_save_end(ap->save, &e) != 0)
        refuse(ap, &e);
    return 0;
}

/* The new message is safe; now the old one goes (RFC 8508 3.4, 4.3). */
static void end_replace(struct append *ap, uint32_t uidvalidity, const char *uid)
{
    struct imap_session *s = ap->s;
    struct err e = {0};
    output_printf(&s->out, "* OK [APPENDUID %u %s] Replacement message ready\r\n", uidvalidity, uid);
    int r = store_mailbox_expunge(s->mailbox, ap->replaced, &e);
    store_mailbox_settle(s->mailbox, false);
    if (r < 0)
        refuse(ap, &e);
    else
        imap_reply_done(s);
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
    free(uids);
    if (ap->replace)
        end_replace(ap, uidvalidity, buf_z(&set));
    else
        imap_reply_ok(ap->s, "[APPENDUID %u %s] APPEND completed", uidvalidity, buf_z(&set));
}

/* The parenthesis that "UTF8 (" opened, and one message only for REPLACE (RFC 8508 4.7). */
static int close_message(struct append *ap, struct imap_cursor *c, bool another)
{
    if (ap->utf8 && imap_get_char(c, ')') != 0)
        return -1;
    return another && ap->replace ? imap_wrong(c, "REPLACE takes one message") : 0;
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
            if (!ap->failed && close_message(ap, &line.args, true) != 0) {
                imap_reply_bad(s, line.args.wrong);
                ap->failed = true;
            }
            if (ap->failed || begin_message(ap, &line.args) != 0) {
                imap_reader_refuse(&s->reader);
                return false;
            }
            if (s->reader.sync)
                output_z(&s->out, "+ OK\r\n");
            return true;
        }
        if (event == IMAP_COMMAND &&
            (close_message(ap, &line.args, false) != 0 || imap_get_end(&line.args) != 0))
            s->reader.wrong = line.args.wrong;
        if (s->reader.wrong && !ap->failed) {
            imap_reply_bad(s, s->reader.wrong);
            ap->failed = true;
        }
        imap_reader_next(&s->reader);
        return false;
    }
}

/* " mailbox", and it is opened. 0, or -1 with a reply. */
static int begin_append(struct append *ap, struct imap_cursor *args)
{
    struct str name;
    if (imap_get_folder(ap->s, args, &name) != 0 || open_folder(ap, name) != 0)
        return -1;
    return begin_message(ap, args);
}

static void append(struct append *ap, struct imap_cursor *args)
{
    struct imap_session *s = ap->s;
    if (begin_append(ap, args) != 0) {
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

static void end_append(struct append *ap)
{
    store_save_abort(ap->save);
    store_folder_close(ap->folder);
    buf_free(&ap->binary);
}

void imap_cmd_append(struct imap_session *s, struct imap_cursor *args)
{
    struct append ap = {.s = s};
    if (!imap_reader_at_message(&s->reader)) {
        imap_reply_bad(s, "Expected a message literal");
        return;
    }
    append(&ap, args);
    end_append(&ap);
}

/* Is it still there, and how large? 0, or -1 with a reply. */
static int look_at_replaced(struct append *ap)
{
    struct err e = {0};
    struct stat st;
    AUTO_FD fd = -1;
    int r = store_mailbox_read(ap->s->mailbox, ap->replaced, &fd, NULL, &e);
    if (r > 0)
        imap_reply_no(ap->s, "[EXPUNGEISSUED] The message no longer exists");
    else if (r < 0)
        imap_reply_error(ap->s, &e);
    else if (fstat(fd, &st) == 0)
        ap->freed = (uint64_t)st.st_size;
    return r == 0 ? 0 : -1;
}

/* " number" or " *": the message that is to be replaced. 0, or -1 with a reply. */
static int get_replaced(struct append *ap, struct imap_cursor *args)
{
    struct imap_session *s = ap->s;
    struct imap_range range = {IMAP_STAR, IMAP_STAR};
    const struct imap_set set = {.ranges = &range, .n = 1};
    struct imap_indexes at;
    if (imap_get_space(args) != 0 ||
        (!imap_try(args, '*') && imap_get_nz_number(args, &range.first) != 0)) {
        imap_reply_bad(s, args->wrong);
        return -1;
    }
    range.last = range.first;
    if (imap_indexes(s, &set, s->command->uid, &at) != 0) {
        imap_reply_bad(s, "No such message number");
        return -1;
    }
    if (at.n != 1) {
        imap_reply_no(s, "[NONEXISTENT] No such message");
        return -1;
    }
    if (imap_refuse_read_only(s))
        return -1;
    ap->replaced = at.v[0];
    return look_at_replaced(ap);
}

void imap_cmd_replace(struct imap_session *s, struct imap_cursor *args)
{
    struct append ap = {.s = s, .replace = true};
    if (!imap_reader_at_message(&s->reader)) {
        imap_reply_bad(s, "Expected a message literal");
        return;
    }
    if (get_replaced(&ap, args) != 0)
        imap_reader_refuse(&s->reader);
    else
        append(&ap, args);
    end_append(&ap);
}
