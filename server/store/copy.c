/* Copies by hard link; see copy.h. */
#include "store/copy.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define YOUNG_SECONDS 300 /* Linux writes what is dirty for longer than 30 s */
#define SYNC_ONE_BY_ONE 4 /* from here on all of the file system is synced at once */

void store_copies_begin(struct store_copies *c)
{
    *c = (struct store_copies){0};
    store_name_host(c->host);
    store_random_name(c->unique, "R");
}

/* Content is written when a file is made, or when it was changed last. The time of its last change of status
 * says less: a flag or a copy sets that too. */
static bool is_young(struct store_copies *c, int dir_fd, const struct statx *st)
{
    if (c->since == 0)
        c->since = store_maildir_now(dir_fd) / 1000000000 - YOUNG_SECONDS;
    int64_t made = st->stx_mask & STATX_BTIME ? st->stx_btime.tv_sec : st->stx_ctime.tv_sec;
    return made > c->since || st->stx_mtime.tv_sec > c->since;
}

/* The few are synced before they are linked: a link would make the inode dirty again. */
static int sync_content(struct store_copies *c, int src_dir, const char *src, struct err *e)
{
    if (++c->young > SYNC_ONE_BY_ONE)
        return 0;
    AUTO_FD fd = store_file_open(src_dir, src, O_RDONLY, NULL);
    if (fd < 0 && errno == ENOENT)
        return 1;
    return fd >= 0 && fdatasync(fd) == 0 ? 0 : store_errno(e, "fsync %s", src);
}

int store_copies_add(struct store_copies *c, struct store_writer *w, int dir_fd, int src_dir,
                     const char *src, struct err *e)
{
    struct store_name name;
    struct statx st;
    *w = (struct store_writer){.dir_fd = dir_fd, .fd = -1, .date = INT64_MIN};
    if (statx(src_dir, src, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
        return errno == ENOENT ? 1 : store_errno(e, "stat %s", src);
    if (!S_ISREG(st.stx_mode))
        return err_temp(e, "%s: not a regular file", src);
    if (!store_name_parse(str_from(src), &name) || name.vsize == STORE_SIZE_UNKNOWN ||
        name.size != st.stx_size)
        return 2;
    w->size = name.size;
    w->vsize = name.vsize;
    int64_t now = clock_real_us();
    dev_t device = makedev(st.stx_dev_major, st.stx_dev_minor);
    /* Copies share device and inode: what is random, and counts, keeps them apart. */
    int n = snprintf(w->base, sizeof w->base, "%lld.V%llxI%llxM%06lld%.17sN%zx.%.100s,S=%llu,W=%llu",
                     (long long)(now / 1000000), (unsigned long long)device,
                     (unsigned long long)st.stx_ino, (long long)(now % 1000000), c->unique,
                     c->made++, c->host, (unsigned long long)w->size,
                     (unsigned long long)w->vsize);
    if (n <= 0 || (size_t)n >= sizeof w->base)
        return 2;
    return is_young(c, dir_fd, &st) ? sync_content(c, src_dir, src, e) : 0;
}

int store_copies_place(struct store_writer *w, int src_dir, const char *src, int to_dir, bool in_new,
                       uint8_t flags, uint32_t keywords, struct err *e)
{
    AUTO_BUF to = BUF_MAX(STORE_NAME_MAX);
    if (in_new)
        buf_str(&to, str_from(w->base));
    else
        store_name_format(&to, str_from(w->base), STR(""), flags, keywords);
    if (linkat(src_dir, src, to_dir, buf_z(&to), 0) == 0)
        return 0;
    if (errno == ENOENT || errno == EXDEV || errno == EPERM || errno == EACCES ||
        errno == EEXIST || errno == EMLINK)
        return 1;
    return store_errno(e, "link %s to %s", src, buf_z(&to));
}

int store_copies_sync(const struct store_copies *c, int dir_fd, struct err *e)
{
    if (c->young <= SYNC_ONE_BY_ONE || syncfs(dir_fd) == 0)
        return 0;
    return store_errno(e, "sync the file system of copies");
}
