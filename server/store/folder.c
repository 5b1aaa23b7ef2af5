/* Opening a folder, its stamp, and pictures of it. */
#include "store/folder.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define TIME_KNOWN_MS 60000 /* two clocks drift less than a tick in this */
#define STEP_MS 5           /* more than that is a step of one of them */

static struct store_folder *folder_new(int root_fd)
{
    struct store_folder *f = MEM_NEW(struct store_folder);
    f->root_fd = root_fd;
    f->dir_fd = f->cur_fd = f->new_fd = -1;
    store_uidlist_init(&f->uids, -1, root_fd);
    return f;
}

static int open_subs(struct store_folder *f, struct err *e)
{
    if (store_maildir_complete(f->dir_fd, e) != 0)
        return -1;
    f->cur_fd = store_dir_open(f->dir_fd, "cur");
    f->new_fd = store_dir_open(f->dir_fd, "new");
    if (f->cur_fd < 0 || f->new_fd < 0)
        return store_errno(e, "open cur and new");
    store_uidlist_init(&f->uids, f->dir_fd, f->root_fd);
    return store_keywords_refresh(&f->keywords, f->dir_fd, e);
}

int store_folder_open(int root_fd, struct str name, struct store_folder **out, struct err *e)
{
    struct store_folder *f = folder_new(root_fd);
    *out = NULL;
    int r = store_folder_dir_open(root_fd, name, &f->dir_fd, e);
    if (r == 0)
        r = open_subs(f, e);
    if (r == 0)
        *out = f;
    else
        store_folder_close(f);
    return r;
}

void store_folder_close(struct store_folder *f)
{
    if (!f)
        return;
    store_uidlist_free(&f->uids);
    store_keywords_free(&f->keywords);
    fd_closep(&f->cur_fd);
    fd_closep(&f->new_fd);
    fd_closep(&f->dir_fd);
    free(f);
}

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int store_folder_list_stamp(const struct store_folder *f, struct store_stamp *out, struct err *e)
{
    struct stat list = {0};
    if (fstatat(f->dir_fd, "dovecot-uidlist", &list, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
        return store_errno(e, "stat dovecot-uidlist");
    *out = (struct store_stamp){.list_ns = nanoseconds(list.st_mtim), .list_ino = list.st_ino,
                                .list_size = (uint64_t)list.st_size};
    return 0;
}

int store_folder_stamp(const struct store_folder *f, struct store_stamp *out, struct err *e)
{
    struct stat cur, new;
    if (fstat(f->cur_fd, &cur) < 0 || fstat(f->new_fd, &new) < 0)
        return store_errno(e, "stat cur and new");
    if (store_folder_list_stamp(f, out, e) != 0)
        return -1;
    out->cur_ns = nanoseconds(cur.st_mtim);
    out->new_ns = nanoseconds(new.st_mtim);
    return 0;
}

/* The clock of the day has gone on evenly since, and not for long. */
static bool time_known(const struct store_folder *f, int64_t real_us, int64_t mono_ms)
{
    int64_t by_mono = mono_ms - f->time.mono_ms, by_real = (real_us - f->time.real_us) / 1000;
    return f->time.mono_ms && by_mono < TIME_KNOWN_MS && by_real - by_mono <= STEP_MS &&
           by_mono - by_real <= STEP_MS;
}

int64_t store_folder_now(struct store_folder *f)
{
    int64_t real_us = clock_real_us(), mono_ms = clock_mono_ms();
    if (!time_known(f, real_us, mono_ms)) {
        int64_t now = store_maildir_now(f->dir_fd);
        real_us = clock_real_us();
        f->time.ahead_ns = real_us * 1000 - now;
        f->time.real_us = real_us;
        f->time.mono_ms = mono_ms;
    }
    return real_us * 1000 - f->time.ahead_ns;
}

bool store_stamp_eq(const struct store_stamp *a, const struct store_stamp *b)
{
    return a->cur_ns == b->cur_ns && a->new_ns == b->new_ns && a->list_ns == b->list_ns &&
           a->list_ino == b->list_ino && a->list_size == b->list_size;
}

void store_picture_free(struct store_picture *p)
{
    free(p->entry);
    buf_free(&p->names);
    *p = (struct store_picture){0};
}
