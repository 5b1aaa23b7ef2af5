/* Making UIDs durable: appending to dovecot-uidlist or writing it anew, and the next UIDVALIDITY. */
#include "store/uidlist.h"
#include "store/fs.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

/* In decimal, with a blank behind it. There may be a million. */
static void add_number(struct buf *out, uint32_t n)
{
    char digits[STR_U64_MAX + 1];
    char *end = str_put_u64(digits, n);
    *end++ = ' ';
    buf_add(out, digits, (size_t)(end - digits));
}

static void add_record(struct buf *out, const struct store_uidlist *u, const struct store_uidrec *r)
{
    add_number(out, r->uid);
    if (r->ext_len) {
        buf_add(out, u->names.p + r->off - r->ext_len, r->ext_len);
        if (out->p[out->n - 1] != ' ')
            buf_byte(out, ' ');
    }
    buf_byte(out, ':');
    buf_str(out, store_uidlist_base(u, r));
    buf_byte(out, '\n');
}

static void add_header(struct buf *out, const struct store_uidlist *u)
{
    buf_printf(out, "3 V%u N%u G", u->uidvalidity, u->uidnext);
    for (size_t i = 0; i < 16; i++)
        buf_printf(out, "%02x", u->guid[i]);
    buf_str(out, str_from(u->header_ext));
    buf_byte(out, '\n');
}

static int write_anew(struct store_uidlist *u, struct err *e)
{
    AUTO_BUF text = {0};
    if (!u->readable && store_uidvalidity_next(u->root_fd, u->uidvalidity, &u->uidvalidity, e) != 0)
        return -1;
    if (!u->have_guid && getrandom(u->guid, sizeof u->guid, 0) != (ssize_t)sizeof u->guid)
        return err_temp(e, "no random bytes");
    add_header(&text, u);
    for (size_t i = 0; i < u->count; i++)
        add_record(&text, u, &u->recs[i]);
    if (store_file_replace_locked(u->dir_fd, "dovecot-uidlist", buf_view(&text), &u->seen, e) != 0)
        return -1;
    u->have_guid = u->readable = true;
    u->lines = u->count;
    return 0;
}

/* 0; 1: the file is not the one that was read, so it has to be written anew; -1. */
static int write_end(struct store_uidlist *u, struct err *e)
{
    struct stat st;
    AUTO_BUF text = {0};
    AUTO_FD fd = store_file_open(u->dir_fd, "dovecot-uidlist", O_WRONLY | O_APPEND, &st);
    if (fd < 0)
        return errno == ENOENT || errno == EACCES ? 1 : store_errno(e, "open dovecot-uidlist");
    if (st.st_ino != u->seen.st_ino || st.st_size != u->seen.st_size)
        return 1;
    for (size_t i = u->saved; i < u->count; i++)
        add_record(&text, u, &u->recs[i]);
    if (fd_write_all(fd, text.p, text.n) < 0 || fsync(fd) < 0) {
        store_errno(e, "append to dovecot-uidlist");
        if (ftruncate(fd, st.st_size) < 0) /* else the next writer sees a torn line and mends it */
            err_prefix(e, "not undone");
        return -1;
    }
    u->lines += u->count - u->saved;
    fstat(fd, &u->seen);
    return 0;
}

static bool too_many_lines(const struct store_uidlist *u)
{
    size_t records = u->before + u->count;
    return u->lines > records + records / 3 + 64;
}

/* A list of which only the end is known cannot be written anew: reads it whole, and adds again. */
static int know_all(struct store_uidlist *u, struct err *e)
{
    AUTO_BUF fresh = {0};
    for (size_t i = u->saved; i < u->count; i++) {
        buf_str(&fresh, store_uidlist_base(u, &u->recs[i]));
        buf_byte(&fresh, '\0');
        buf_str(&fresh, store_uidlist_guid(u, &u->recs[i]));
        buf_byte(&fresh, '\0');
    }
    buf_z(&fresh);
    uint32_t uidnext = u->uidnext;
    u->tail = u->readable = false;
    if (store_uidlist_refresh(u, e) != 0)
        return -1;
    for (struct str rest = buf_view(&fresh); rest.n;) {
        struct str base = str_from(rest.p), guid = str_from(rest.p + base.n + 1);
        rest = str_skip(rest, base.n + guid.n + 2);
        if (!store_uidlist_find(u, base) && !store_uidlist_add_as(u, base, guid))
            return err_temp(e, "the folder has run out of UIDs");
    }
    return u->uidnext == uidnext ? 0 : err_temp(e, "dovecot-uidlist is not what was read before");
}

int store_uidlist_commit(struct store_uidlist *u, struct err *e)
{
    int r = 1;
    if (u->readable && !u->rewrite && u->saved == u->count)
        return 0;
    if (u->tail && too_many_lines(u) && store_dotlock_held(&u->lock) && know_all(u, e) != 0) {
        u->readable = false;
        return -1;
    }
    if (!store_dotlock_held(&u->lock))
        r = err_temp(e, "dovecot-uidlist.lock: taken over by another program");
    else if (u->readable && !u->rewrite && (u->tail || !too_many_lines(u)))
        r = write_end(u, e);
    if (r == 1 && u->tail && know_all(u, e) != 0)
        r = -1;
    if (r == 1)
        r = write_anew(u, e);
    if (r == 0) {
        u->rewrite = u->torn = u->damaged = false;
        u->saved = u->count;
        return 0;
    }
    u->readable = false; /* so that the next refresh reads what is on disk */
    u->saved = u->count;
    return -1;
}

int store_uidlist_create(int dir_fd, int root_fd, struct err *e)
{
    struct store_uidlist u;
    store_uidlist_init(&u, dir_fd, root_fd);
    int r = store_uidlist_lock(&u, e);
    if (r == 0 && !u.readable)
        r = store_uidlist_commit(&u, e);
    store_uidlist_free(&u);
    return r;
}

/* ---- dovecot-uidvalidity and dovecot-uidvalidity.<hex> ---- */

static bool parse_hex8(struct str s, uint32_t *out)
{
    uint32_t v = 0;
    if (s.n != 8)
        return false;
    for (size_t i = 0; i < 8; i++) {
        char c = s.p[i];
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0')
                       : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10) : 16;
        if (digit > 15)
            return false;
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

static int find_largest(void *ctx, struct str name, unsigned char type)
{
    uint32_t *largest = ctx, v;
    (void)type;
    if (str_starts(name, STR("dovecot-uidvalidity.")) && parse_hex8(str_skip(name, 20), &v) &&
        v > *largest)
        *largest = v;
    return 0;
}

/* Steps the counter from one value to a larger one in one rename: 0; 1 another process was first. */
static int step_counter(int root_fd, uint32_t from, uint32_t to, struct err *e)
{
    char a[48], b[48];
    snprintf(a, sizeof a, "dovecot-uidvalidity.%08x", from);
    snprintf(b, sizeof b, "dovecot-uidvalidity.%08x", to);
    if (from == 0) {
        int fd = openat(root_fd, b, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
        if (fd < 0)
            return errno == EEXIST ? 1 : store_errno(e, "create %s", b);
        close(fd);
        return 0;
    }
    if (renameat2(root_fd, a, root_fd, b, RENAME_NOREPLACE) == 0)
        return 0;
    return errno == ENOENT || errno == EEXIST ? 1 : store_errno(e, "rename %s to %s", a, b);
}

/* Not synced: the list that is written next holds the number too, and is. Where a power cut takes the
 * counter back, the clock gives a larger one. */
static int write_counter(int root_fd, uint32_t value, struct err *e)
{
    char text[16];
    snprintf(text, sizeof text, "%08x", value);
    AUTO_FD fd = store_file_open(root_fd, "dovecot-uidvalidity", O_WRONLY | O_CREAT, NULL);
    if (fd < 0 || pwrite(fd, text, 8, 0) != 8)
        return store_errno(e, "write dovecot-uidvalidity");
    return 0;
}

int store_uidvalidity_next(int root_fd, uint32_t above, uint32_t *out, struct err *e)
{
    for (int i = 0; i < 20; i++) {
        uint32_t largest = 0;
        if (store_dir_each(root_fd, find_largest, &largest, e) != 0)
            return -1;
        uint32_t next = (uint32_t)(clock_real_us() / 1000000);
        if (next <= largest)
            next = largest + 1;
        if (next <= above)
            next = above + 1;
        if (next == 0)
            return err_temp(e, "dovecot-uidvalidity has run out of numbers");
        int r = step_counter(root_fd, largest, next, e);
        if (r < 0)
            return -1;
        if (r > 0)
            continue;
        *out = next;
        return write_counter(root_fd, next, e);
    }
    return err_temp(e, "dovecot-uidvalidity: changed by others at every attempt");
}
