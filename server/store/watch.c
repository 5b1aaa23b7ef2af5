/* inotify on cur/ and new/; see watch.h. */
#include "store/watch.h"
#include "base/map.h"

#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#define EVENTS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF)
#define OWN_READ 1024 /* events of our own after which the queue is emptied, which holds 16384 */

bool store_watch_tells_all(int dir)
{
    static const unsigned long local[] = {
        0xef53 /* ext4 */, 0x58465342 /* xfs */, 0x9123683e /* btrfs */, 0x01021994 /* tmpfs */,
        0xf2f52010 /* f2fs */, 0x2fc12fc1 /* zfs */, 0xca451a4e /* bcachefs */,
        0x794c7630 /* overlayfs */, 0x858458f6 /* ramfs */};
    struct statfs fs;
    if (fstatfs(dir, &fs) < 0)
        return false;
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if ((unsigned long)fs.f_type == local[i])
            return true;
    return false;
}

static int add(int fd, int dir)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/self/fd/%d", dir);
    return inotify_add_watch(fd, path, EVENTS);
}

void store_watch_open(struct store_watch *w, int cur_fd, int new_fd, int spare)
{
    *w = (struct store_watch)STORE_WATCH_NONE;
    w->fd = spare >= 0 ? spare : inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (!store_watch_tells_all(cur_fd))
        fd_closep(&w->fd);
    if (w->fd < 0)
        return;
    w->cur_wd = add(w->fd, cur_fd);
    w->new_wd = add(w->fd, new_fd);
    if (w->cur_wd < 0 || w->new_wd < 0)
        store_watch_close(w);
}

void store_watch_close(struct store_watch *w)
{
    fd_closep(&w->fd);
    free(w->own);
    buf_free(&w->names);
    *w = (struct store_watch)STORE_WATCH_NONE;
}

int store_watch_leave(struct store_watch *w)
{
    char chunk[4096];
    int fd = w->fd;
    if (fd < 0)
        return -1;
    inotify_rm_watch(fd, w->cur_wd);
    inotify_rm_watch(fd, w->new_wd);
    while (read(fd, chunk, sizeof chunk) > 0)
        continue;
    w->fd = -1;
    store_watch_close(w);
    return fd;
}

/* ---- our own changes ---- */

static uint64_t event_hash(bool in_new, bool came, const char *name)
{
    return map_hash(str_from(name)) * 4 + (in_new ? 2u : 0u) + (came ? 1u : 0u);
}

static void expect(struct store_watch *w, uint64_t hash)
{
    if (w->own_n == w->own_cap) {
        w->own_cap = w->own_cap ? w->own_cap * 2 : 16;
        w->own = mem_grow(w->own, w->own_cap, sizeof *w->own);
    }
    w->own[w->own_n++] = hash;
}

/* Events come in the order in which things happened, so ours come in ours. */
static bool is_own(struct store_watch *w, uint64_t hash)
{
    if (w->own_at == w->own_n || w->own[w->own_at] != hash)
        return false;
    if (++w->own_at == w->own_n)
        w->own_at = w->own_n = 0;
    return true;
}

/* ---- events ---- */

static void give_up(struct store_watch *w)
{
    w->rescan = true;
    buf_clear(&w->names);
    w->pending = w->own_at = w->own_n = 0;
}

/* The halves of a rename may be read apart, and what happens in the other directory may be told between
 * them. Renames within one directory come one after the other, so only the last can lack its half. */
static void pair(struct store_watch *w, const struct inotify_event *event)
{
    if (event->mask & IN_MOVED_FROM)
        w->moving = event->cookie;
    else if ((event->mask & IN_MOVED_TO) && event->cookie == w->moving)
        w->moving = 0;
}

static void take(struct store_watch *w, const struct inotify_event *event)
{
    pair(w, event);
    if (event->mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_DELETE_SELF | IN_UNMOUNT)) {
        give_up(w);
        return;
    }
    bool came = (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0, in_new = event->wd == w->new_wd;
    if (event->len == 0 || is_own(w, event_hash(in_new, came, event->name)))
        return;
    if (in_new) {
        w->new_touched = true;
    } else if (!w->rescan && w->pending < STORE_WATCH_MOST) {
        buf_byte(&w->names, came ? '+' : '-');
        buf_str(&w->names, str_from(event->name));
        buf_byte(&w->names, '\0');
        w->pending++;
    } else {
        w->rescan = true;
        buf_clear(&w->names);
        w->pending = 0;
    }
}

/* Takes what has happened so far. */
static void read_events(struct store_watch *w)
{
    alignas(struct inotify_event) char chunk[8192];
    while (w->fd >= 0) {
        ssize_t n = read(w->fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const void *)(chunk + at);
            take(w, event);
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
}

void store_watch_own(struct store_watch *w, bool from_new, const char *from, bool to_new,
                     const char *to)
{
    if (!w || w->fd < 0)
        return;
    expect(w, event_hash(from_new, false, from));
    if (to)
        expect(w, event_hash(to_new, true, to));
    if (w->own_n - w->own_at >= OWN_READ)
        read_events(w);
}

bool store_watch_touched(struct store_watch *w)
{
    read_events(w);
    return w->pending || w->new_touched || w->rescan;
}

void store_watch_clear(struct store_watch *w)
{
    read_events(w);
    buf_clear(&w->names);
    w->pending = w->own_at = w->own_n = 0;
    w->new_touched = w->rescan = false;
    w->moving = 0;
}
