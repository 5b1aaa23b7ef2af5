/* Private directories and files for tests of the store room. */
#include "tests/unit/store_fixture.h"
#include "store/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture fixture_new(void)
{
    struct fixture f = {.path = "/tmp/unit-store-XXXXXX", .uid = geteuid()};
    if (!mkdtemp(f.path))
        abort();
    if (f.uid == 0) {
        f.uid = 64321;
        if (chown(f.path, f.uid, f.uid) < 0 || setegid(f.uid) < 0 || seteuid(f.uid) < 0)
            abort();
    }
    f.fd = open(f.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return f;
}

void fixture_free(struct fixture *f)
{
    close(f->fd);
    if (getuid() == 0 && (seteuid(0) < 0 || setegid(0) < 0))
        abort();
    store_dir_remove(AT_FDCWD, f->path, 12, NULL);
}

void fixture_put(int at, const char *name, const char *text)
{
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    close(fd);
}

struct str fixture_get(int at, const char *name, struct buf *b)
{
    buf_clear(b);
    return store_file_read(at, name, b, 1 << 24, NULL) == 0 ? buf_view(b) : STR("(none)");
}

static int count_one(void *ctx, struct str name, unsigned char type)
{
    (void)name;
    (void)type;
    ++*(size_t *)ctx;
    return 0;
}

size_t fixture_count(int at, const char *dir)
{
    size_t n = 0;
    AUTO_FD fd = store_dir_open(at, dir);
    if (fd >= 0)
        store_dir_each(fd, count_one, &n, NULL);
    return n;
}

void fixture_mode(int at, const char *name, unsigned mode)
{
    if (fchmodat(at, name, mode, 0) < 0)
        abort();
}

int fixture_maildir(struct fixture *f)
{
    int fd;
    struct err e;
    if (store_maildir_open(f->fd, STR("mailbox"), true, &fd, &e) != 0) {
        fprintf(stderr, "%s\n", e.log);
        abort();
    }
    return fd;
}
