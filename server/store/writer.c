/* One message from chunks to a durable file: tmp/, its bytes on the disk, rename without replacing, fsync
 * of file and directory. */
#include "store/maildir.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CHUNK 65536

static void tmp_name(struct store_writer *w)
{
    char host[128], unique[64];
    store_name_host(host);
    store_random_name(unique, "R");
    snprintf(w->tmp, sizeof w->tmp, "tmp/%lld.%s.%.60s", (long long)(clock_real_us() / 1000000),
             unique, host);
}

static void reset(struct store_writer *w, int dir_fd)
{
    *w = (struct store_writer){.dir_fd = dir_fd, .fd = -1, .date = INT64_MIN};
}

static void know_inode(struct store_writer *w, const struct stat *st)
{
    w->device = st->st_dev;
    w->inode = st->st_ino;
    w->shared = st->st_nlink > 1;
}

int store_writer_begin(struct store_writer *w, int dir_fd, struct err *e)
{
    struct stat st;
    reset(w, dir_fd);
    tmp_name(w);
    w->fd = store_file_open(dir_fd, w->tmp, O_RDWR | O_CREAT | O_EXCL, &st);
    if (w->fd < 0) {
        store_errno(e, "create %s", w->tmp);
        w->tmp[0] = '\0';
        return -1;
    }
    know_inode(w, &st);
    return 0;
}

/* Counts n octets, which are more than none. */
static void count(struct store_writer *w, const char *p, size_t n)
{
    const char *end = p + n;
    for (const char *at = p; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) {
        w->lines++;
        w->vsize += (at > p ? at[-1] : w->last) != '\r';
    }
    w->last = end[-1];
    w->size += n;
    w->vsize += n;
}

/* Writes bytes as they are, counting. */
static int put(struct store_writer *w, const char *p, size_t n, struct err *e)
{
    if (n == 0)
        return 0;
    if (w->max && (n > w->max || w->size > w->max - n)) {
        err_perm(e, "message larger than %llu bytes", (unsigned long long)w->max);
        return err_client(e, "Message too large");
    }
    if (fd_write_all(w->fd, p, n) < 0)
        return store_errno(e, "write %s", w->tmp);
    count(w, p, n);
    return 0;
}

/* Copies data to out without the CRs that stand before an LF; at most data.n + 1 bytes. */
static size_t without_cr(struct store_writer *w, struct str data, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < data.n; i++) {
        if (w->cr && data.p[i] != '\n')
            out[n++] = '\r';
        w->cr = data.p[i] == '\r';
        if (!w->cr)
            out[n++] = data.p[i];
    }
    return n;
}

int store_writer_write(struct store_writer *w, struct str data, struct err *e)
{
    char out[CHUNK + 1];
    while (data.n) {
        struct str piece = str_head(data, CHUNK);
        data = str_skip(data, piece.n);
        if (!w->cr && !memchr(piece.p, '\r', piece.n)) {
            if (put(w, piece.p, piece.n, e) != 0)
                return -1;
            continue;
        }
        if (put(w, out, without_cr(w, piece, out), e) != 0)
            return -1;
    }
    return 0;
}

static int end_content(struct store_writer *w, struct err *e)
{
    if (w->cr) {
        w->cr = false;
        if (put(w, "\r", 1, e) != 0)
            return -1;
    }
    if (w->date != INT64_MIN) {
        struct timespec when[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = w->date}};
        if (futimens(w->fd, when) < 0)
            return store_errno(e, "set the date of %s", w->tmp);
    }
    return 0;
}

int store_writer_finish(struct store_writer *w, struct err *e)
{
    if (end_content(w, e) != 0)
        return -1;
    if (fsync(w->fd) < 0)
        return store_errno(e, "fsync %s", w->tmp);
    fd_closep(&w->fd);
    return 0;
}

/* All of its changes go through one journal in their order. */
static bool has_one_journal(int fd)
{
    struct statfs s;
    return fstatfs(fd, &s) == 0 && (s.f_type == EXT4_SUPER_MAGIC || s.f_type == XFS_SUPER_MAGIC);
}

/*
 * After this a name in new/ stands for the whole message, whenever the power goes. Where there is one
 * journal, it is enough that the bytes are written: what says where they lie stands in it before the
 * rename, so one commit at the end serves for both. Elsewhere it takes a sync now.
 */
static int write_content(struct store_writer *w, struct err *e)
{
    const unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                         SYNC_FILE_RANGE_WAIT_AFTER;
    if (end_content(w, e) != 0)
        return -1;
    int r = has_one_journal(w->fd) ? sync_file_range(w->fd, 0, 0, all) : fsync(w->fd);
    return r == 0 ? 0 : store_errno(e, "write %s to the disk", w->tmp);
}

/* "<seconds>.V<device>I<inode>M<micros>.<host>,S=<size>,W=<vsize>"; a number that counts links apart
 * after M, since copies by link share device and inode. */
static int make_base(struct store_writer *w, unsigned try, struct err *e)
{
    char host[128], apart[64] = "";
    store_name_host(host);
    if (w->shared || try > 0)
        store_random_name(apart, "R");
    int64_t now = clock_real_us();
    int n = snprintf(w->base, sizeof w->base, "%lld.V%llxI%llxM%06lld%.20s.%.100s,S=%llu,W=%llu",
                     (long long)(now / 1000000), (unsigned long long)w->device,
                     (unsigned long long)w->inode, (long long)(now % 1000000), apart, host,
                     (unsigned long long)w->size, (unsigned long long)w->vsize);
    return n > 0 && (size_t)n < sizeof w->base ? 0 : err_temp(e, "message file name too long");
}

int store_writer_place(struct store_writer *w, bool in_new, uint8_t flags, uint32_t keywords,
                       struct err *e)
{
    if (flags || keywords)
        in_new = false;
    for (unsigned try = 0; try < 8; try++) {
        AUTO_BUF to = BUF_MAX(STORE_NAME_MAX + 8);
        if (make_base(w, try, e) != 0)
            return -1;
        buf_str(&to, in_new ? STR("new/") : STR("cur/"));
        if (in_new)
            buf_str(&to, str_from(w->base));
        else
            store_name_format(&to, str_from(w->base), STR(""), flags, keywords);
        if (store_file_move(w->dir_fd, w->tmp, w->dir_fd, buf_z(&to)) == 0) {
            w->tmp[0] = '\0';
            return 0;
        }
        if (errno != EEXIST)
            return store_errno(e, "rename %s to %s", w->tmp, buf_z(&to));
    }
    return err_temp(e, "%s: no free name", w->base);
}

int store_writer_commit_new(struct store_writer *w, struct err *e)
{
    AUTO_FD dir = store_dir_open(w->dir_fd, "new");
    if (dir < 0) {
        store_errno(e, "open new");
        store_writer_abort(w);
        return -1;
    }
    if (write_content(w, e) != 0 || store_writer_place(w, true, 0, 0, e) != 0) {
        store_writer_abort(w);
        return -1;
    }
    int r = fsync(w->fd) == 0 ? store_dir_sync(dir, e) : store_errno(e, "fsync %s", w->base);
    fd_closep(&w->fd);
    /* Not known to be durable: the caller is told no, so the file may not stay either. */
    if (r != 0)
        unlinkat(dir, w->base, 0);
    return r;
}

void store_writer_abort(struct store_writer *w)
{
    fd_closep(&w->fd);
    if (w->tmp[0])
        unlinkat(w->dir_fd, w->tmp, 0);
    w->tmp[0] = '\0';
}

/* Takes sizes from the old name, or counts; the date comes along with the inode. */
static int adopt(struct store_writer *w, const char *src, struct err *e)
{
    struct store_name name;
    struct stat st;
    if (fstatat(w->dir_fd, w->tmp, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return store_errno(e, "stat %s", w->tmp);
    if (!S_ISREG(st.st_mode))
        return err_temp(e, "%s: not a regular file", src);
    know_inode(w, &st);
    if (store_name_parse(str_from(src), &name) && name.vsize != STORE_SIZE_UNKNOWN &&
        name.size == (uint64_t)st.st_size) {
        w->size = name.size;
        w->vsize = name.vsize;
        return 0;
    }
    AUTO_FD fd = store_file_open(w->dir_fd, w->tmp, O_RDONLY, NULL);
    if (fd < 0)
        return store_errno(e, "open %s", w->tmp);
    return store_message_count(fd, &w->size, &w->vsize, e);
}

/* A copy by bytes, as they are: where hard links are refused (other file system, Landlock). */
static int copy_bytes(struct store_writer *w, int src, struct err *e)
{
    char chunk[CHUNK];
    struct stat st;
    if (fstat(src, &st) < 0)
        return store_errno(e, "stat a message to copy");
    w->date = st.st_mtime;
    for (off_t at = 0;;) {
        ssize_t n = pread(src, chunk, sizeof chunk, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return store_errno(e, "read a message to copy");
        if (n == 0)
            return store_writer_finish(w, e);
        if (put(w, chunk, (size_t)n, e) != 0)
            return -1;
        at += n;
    }
}

int store_writer_link(struct store_writer *w, int dir_fd, int src_dir_fd, const char *src,
                      struct err *e)
{
    reset(w, dir_fd);
    tmp_name(w);
    if (linkat(src_dir_fd, src, dir_fd, w->tmp, 0) == 0) {
        if (adopt(w, src, e) == 0)
            return 0;
        store_writer_abort(w);
        return -1;
    }
    w->tmp[0] = '\0';
    AUTO_FD from = store_file_open(src_dir_fd, src, O_RDONLY, NULL);
    if (from < 0)
        return errno == ENOENT ? 1 : store_errno(e, "open %s", src);
    if (store_writer_begin(w, dir_fd, e) == 0 && copy_bytes(w, from, e) == 0)
        return 0;
    store_writer_abort(w);
    return -1;
}

int store_message_count(int fd, uint64_t *size, uint64_t *vsize, struct err *e)
{
    char chunk[CHUNK];
    char last = 0;
    uint64_t bytes = 0, added = 0;
    for (;;) {
        ssize_t n = pread(fd, chunk, sizeof chunk, (off_t)bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return store_errno(e, "read a message");
        if (n == 0)
            break;
        for (ssize_t i = 0; i < n; i++) {
            added += chunk[i] == '\n' && last != '\r';
            last = chunk[i];
        }
        bytes += (uint64_t)n;
    }
    *size = bytes;
    *vsize = bytes + added;
    return 0;
}
