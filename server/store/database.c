/* Opening SQLite databases in a maildir; see database.h. */
#include "store/database.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* The directory's real path has no symbolic link in it. */
static int real_path(int root_fd, const char *name, char out[PATH_MAX])
{
    char link[48];
    snprintf(link, sizeof link, "/proc/self/fd/%d", root_fd);
    size_t room = PATH_MAX - strlen(name) - 2;
    ssize_t n = readlink(link, out, room);
    if (n <= 0 || (size_t)n == room || out[0] != '/')
        return -1;
    snprintf(out + n, PATH_MAX - (size_t)n, "/%s", name);
    return 0;
}

int store_database_open(struct store_database *d, int root_fd, const char *name, int flags)
{
    char path[PATH_MAX];
    struct stat st, again;
    AUTO_FD fd = store_file_open(root_fd, name, O_RDWR | flags, &st);
    if (fd < 0 || real_path(root_fd, name, path) != 0)
        return -1;
    d->dev = st.st_dev;
    d->ino = st.st_ino;
    if (sqlite3_open_v2(path, &d->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                            SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK)
        return -1;
    /* The path may have led elsewhere: a maildir that was moved meanwhile, a file just replaced. */
    if (stat(path, &again) != 0 || again.st_ino != st.st_ino || again.st_dev != st.st_dev)
        return -1;
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return 0;
}

bool store_database_in_place(const struct store_database *d, int root_fd, const char *name)
{
    struct stat st;
    return fstatat(root_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == d->ino &&
           st.st_dev == d->dev;
}

void store_database_remove(int root_fd, const char *name)
{
    static const char *const tails[] = {"", "-wal", "-shm"};
    char path[NAME_MAX + 1];
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(path, sizeof path, "%s%s", name, tails[i]);
        unlinkat(root_fd, path, 0);
    }
}
