/* One message looked up in the middle of dovecot-uidlist, which is in the order of UIDs. What stands there never
 * changes: the file is replaced, or added to. */
#include "store/uidlist.h"
#include "store/fs.h"

#include <fcntl.h>
#include <unistd.h>

#define LOOK 1024   /* bytes that hold the end of a line and the beginning of the next one */
#define WINDOW 8192 /* bytes that are gone through, and as many again are kept for the messages that follow */

static struct str look_at(int fd, off_t at, char *room, size_t n)
{
    ssize_t got = pread(fd, room, n, at);
    return (struct str){room, got > 0 ? (size_t)got : 0};
}

/* Halves the place from *lo to before *hi in which the line of the UID begins. -1: this is no such list. */
static int narrow(int fd, uint32_t uid, off_t *lo, off_t *hi)
{
    char room[LOOK];
    struct str ext, base;
    while (*hi - *lo > WINDOW) {
        off_t mid = *lo + (*hi - *lo) / 2;
        struct str text = look_at(fd, mid, room, sizeof room), line;
        uint32_t there;
        ptrdiff_t end = str_find(text, '\n');
        text = str_skip(text, (size_t)(end + 1));
        if (end < 0 || !str_line(&text, &line) || store_uidlist_split(3, line, &there, &ext, &base) != 0)
            return -1;
        if (there > uid)
            *hi = mid + 1;
        else
            *lo = mid + end + 1;
    }
    return 0;
}

/* Fills the window with whole lines around that UID. */
static int read_window(struct store_uidlist *u, uint32_t uid)
{
    struct stat st;
    char room[2 * WINDOW];
    AUTO_FD fd = store_file_open(u->dir_fd, "dovecot-uidlist", O_RDONLY, &st);
    struct str header = fd < 0 ? (struct str){0} : look_at(fd, 0, room, LOOK);
    ptrdiff_t end = str_find(header, '\n');
    if (end < 0 || !str_starts(header, STR("3 ")))
        return -1;
    off_t lo = end + 1, hi = st.st_size;
    if (narrow(fd, uid, &lo, &hi) != 0)
        return -1;
    struct str text = look_at(fd, lo, room, sizeof room);
    buf_clear(&u->window);
    return buf_str(&u->window, str_head(text, (size_t)(str_rfind(text, '\n') + 1)));
}

static bool find(const struct store_uidlist *u, uint32_t uid, struct str base, struct str *guid)
{
    struct str rest = buf_view(&u->window), line, ext, name;
    uint32_t there = 0;
    while (there < uid && str_line(&rest, &line))
        if (store_uidlist_split(3, line, &there, &ext, &name) != 0)
            return false;
    if (there != uid || !str_eq(name, base))
        return false;
    *guid = store_uidlist_ext_guid(ext);
    return true;
}

int store_uidlist_seek(struct store_uidlist *u, uint32_t uid, struct str base, struct str *guid)
{
    if (find(u, uid, base, guid))
        return 0;
    return read_window(u, uid) == 0 && find(u, uid, base, guid) ? 0 : 1;
}
