/*
 * Watching a folder's cur/ and new/ with inotify: the names that other programs touched.
 *
 * What this session changes itself is announced and not told again. Where inotify cannot be had, fd
 * is -1 and the folder's stamp has to do.
 */
#ifndef FACTEUR_STORE_WATCH_H
#define FACTEUR_STORE_WATCH_H

#include "base/mem.h"

#define STORE_WATCH_NAMES 64  /* more than these are worth a look at everything */
#define STORE_WATCH_MOST 4096 /* and more than these, during one, are not told one by one */

struct store_watch {
    int fd, cur_wd, new_wd;
    uint64_t *own;          /* hashes of events of our own that are still to come */
    size_t own_at, own_n, own_cap;
    struct buf names;       /* touched by others in cur/: '+' or '-', the name, NUL */
    size_t pending;
    uint32_t moving;        /* the cookie of a rename of which only the first half was read; 0: none */
    bool new_touched;       /* something happened in new/ */
    bool rescan;            /* too much, or too little is known: look at all */
};

#define STORE_WATCH_NONE {.fd = -1, .cur_wd = -1, .new_wd = -1}

/* Does only this machine change files here? Elsewhere neither events nor a directory's time tell all. */
bool store_watch_tells_all(int dir);
/* spare: what store_watch_leave gave, or -1; it is taken over. */
void store_watch_open(struct store_watch *w, int cur_fd, int new_fd, int spare);
void store_watch_close(struct store_watch *w);
/* Ends the watch but keeps its descriptor, for the next one: closing it takes the kernel 5 to 25 ms.
 * -1: there is none. */
int store_watch_leave(struct store_watch *w);

/* Announces what this process has just done: a rename, or with to NULL a removal. */
void store_watch_own(struct store_watch *w, bool from_new, const char *from, bool to_new,
                     const char *to);
/* Did others change something that is not looked at yet? Reads first. */
bool store_watch_touched(struct store_watch *w);
/* Forgets what was touched so far: a look at everything is about to begin. */
void store_watch_clear(struct store_watch *w);

#endif
