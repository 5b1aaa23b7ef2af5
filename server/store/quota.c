/* maildirsize: reading, adding up, counting anew; and the room left on the disk. */
#include "store/quota.h"
#include "store/folders.h"
#include "store/fs.h"
#include "store/name.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILE_NAME "maildirsize"
#define MAX_BYTES 5120            /* Maildir++: a file this long is counted anew */
#define STALE_SECONDS (15 * 60)   /* and one that says "full" for longer than this */
#define DISK_RESERVE (16u << 20)

/* ---- counting ---- */

struct counting {
    int fd;
    struct store_usage *sum;
    struct err *e;
};

static int count_file(void *ctx, struct str file, unsigned char type)
{
    struct counting *c = ctx;
    struct store_name n;
    struct stat st;
    (void)type;
    if (!store_name_parse(file, &n))
        return 0;
    if (n.size == STORE_SIZE_UNKNOWN) {
        if (fstatat(c->fd, file.p, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return errno == ENOENT ? 0 : store_errno(c->e, "stat %s", file.p);
        n.size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    }
    c->sum->bytes += n.size;
    c->sum->messages++;
    return 0;
}

static int count_folder(int dir_fd, struct store_usage *sum, struct err *e)
{
    static const char *const sub[] = {"new", "cur"};
    for (size_t i = 0; i < 2; i++) {
        AUTO_FD fd = store_dir_open(dir_fd, sub[i]);
        if (fd < 0 && errno == ENOENT)
            continue;
        if (fd < 0)
            return store_errno(e, "open %s", sub[i]);
        struct counting c = {fd, sum, e};
        if (store_dir_each(fd, count_file, &c, e) != 0)
            return -1;
    }
    return 0;
}

/* Counts by looking at every file. */
static int count_all(int root_fd, struct store_usage *out, struct err *e)
{
    AUTO_ARENA a = arena_new(4096);
    struct store_names folders;
    *out = (struct store_usage){0};
    if (store_folder_list(root_fd, a, &folders, e) != 0)
        return -1;
    for (size_t i = 0; i < folders.count; i++) {
        AUTO_FD fd = -1;
        int r = store_folder_dir_open(root_fd, folders.name[i], &fd, e);
        if (r == 0)
            r = count_folder(fd, out, e);
        if (r < 0)
            return -1;
    }
    return 0;
}

/* ---- the file ---- */

struct sizefile {
    uint64_t limit;
    struct store_usage sum;
    size_t bytes; /* length of the file */
    int64_t age;  /* seconds since it was last written */
    bool good;
};

static bool signed_number(struct str s, int64_t *out)
{
    uint64_t v;
    bool minus = s.n && s.p[0] == '-';
    if (str_u64(minus ? str_skip(s, 1) : s, &v) < 0 || v > INT64_MAX / 2)
        return false;
    *out = minus ? -(int64_t)v : (int64_t)v;
    return true;
}

/* "<bytes>S,<count>C" in any order; both may be missing. */
static bool parse_limit(struct str line, uint64_t *limit)
{
    struct str part;
    uint64_t v;
    *limit = 0;
    while (str_token(&line, ",", &part)) {
        if (str_u64(str_head(part, part.n - 1), &v) < 0)
            return false;
        if (part.p[part.n - 1] == 'S')
            *limit = v;
        else if (part.p[part.n - 1] != 'C')
            return false;
    }
    return true;
}

static bool parse_file(struct str text, struct sizefile *f)
{
    struct str line, a, b;
    int64_t bytes = 0, messages = 0, x, y;
    if (text.n == 0 || text.p[text.n - 1] != '\n' || !str_line(&text, &line) ||
        !parse_limit(line, &f->limit))
        return false;
    while (str_line(&text, &line)) {
        if (!str_token(&line, " ", &a) || !str_token(&line, " ", &b) || !signed_number(a, &x) ||
            !signed_number(b, &y) || __builtin_add_overflow(bytes, x, &bytes) ||
            __builtin_add_overflow(messages, y, &messages))
            return false;
    }
    if (bytes < 0 || messages < 0)
        return false;
    f->sum = (struct store_usage){(uint64_t)bytes, (uint64_t)messages};
    return true;
}

/* A missing or damaged file is not good, and no error. */
static int read_sizefile(int root_fd, struct sizefile *f, struct err *e)
{
    AUTO_BUF text = BUF_MAX(4 * MAX_BYTES + 32768);
    struct stat st;
    *f = (struct sizefile){0};
    AUTO_FD fd = store_file_open(root_fd, FILE_NAME, O_RDONLY, &st);
    if (fd < 0)
        return errno == ENOENT ? 0 : store_errno(e, "open " FILE_NAME);
    if (st.st_size > 4 * MAX_BYTES)
        return 0;
    if (fd_read_all(fd, &text, 4 * MAX_BYTES) < 0)
        return store_errno(e, "read " FILE_NAME);
    f->bytes = text.n;
    f->age = clock_real_us() / 1000000 - st.st_mtime;
    f->good = parse_file(buf_view(&text), f);
    return 0;
}

static int recount(int root_fd, uint64_t limit, struct store_usage *out, struct err *e)
{
    AUTO_BUF text = BUF_MAX(256);
    if (count_all(root_fd, out, e) != 0)
        return -1;
    buf_printf(&text, "%lluS\n%llu %llu\n", (unsigned long long)limit,
               (unsigned long long)out->bytes, (unsigned long long)out->messages);
    return store_file_replace(root_fd, FILE_NAME, buf_view(&text), e);
}

static bool is_full(const struct store_usage *u, uint64_t limit, uint64_t extra)
{
    return u->bytes > limit || extra > limit - u->bytes;
}

int store_quota_check(int root_fd, uint64_t limit_bytes, uint64_t extra, struct store_usage *usage,
                      struct err *e)
{
    struct sizefile f;
    struct store_usage sum;
    if (store_disk_check(root_fd, extra, e) != 0)
        return -1;
    if (limit_bytes == 0) {
        if (usage)
            *usage = (struct store_usage){0};
        return STORE_ROOM;
    }
    if (read_sizefile(root_fd, &f, e) != 0)
        return -1;
    sum = f.sum;
    bool again = !f.good || f.limit != limit_bytes || f.bytes > MAX_BYTES || f.age < 0 ||
                 (is_full(&f.sum, limit_bytes, extra) && f.age > STALE_SECONDS);
    if (again && recount(root_fd, limit_bytes, &sum, e) != 0)
        return -1;
    if (usage)
        *usage = sum;
    if (!is_full(&sum, limit_bytes, extra))
        return STORE_ROOM;
    err_perm(e, "mailbox full: %llu of %llu bytes used, %llu more wanted",
             (unsigned long long)sum.bytes, (unsigned long long)limit_bytes,
             (unsigned long long)extra);
    err_client(e, "Mailbox is full");
    return STORE_FULL;
}

int store_quota_add(int root_fd, int64_t bytes, int64_t messages, struct err *e)
{
    char line[64];
    AUTO_FD fd = store_file_open(root_fd, FILE_NAME, O_WRONLY | O_APPEND, NULL);
    if (fd < 0)
        return errno == ENOENT ? 0 : store_errno(e, "open " FILE_NAME);
    int n = snprintf(line, sizeof line, "%lld %lld\n", (long long)bytes, (long long)messages);
    /* One write with O_APPEND: lines of several programs never mix. */
    if (write(fd, line, (size_t)n) != n)
        return store_errno(e, "append to " FILE_NAME);
    return 0;
}

int store_disk_check(int fd, uint64_t extra, struct err *e)
{
    struct statvfs v;
    if (fstatvfs(fd, &v) < 0)
        return store_errno(e, "look at the free disk space");
    uint64_t room = (uint64_t)v.f_bavail * v.f_frsize;
    if (room >= DISK_RESERVE && room - DISK_RESERVE >= extra && (v.f_files == 0 || v.f_favail > 8))
        return 0;
    err_temp(e, "the disk is nearly full: %llu bytes and %llu files left",
             (unsigned long long)room, (unsigned long long)v.f_favail);
    return err_client(e, "No space left for mail, try again later");
}
