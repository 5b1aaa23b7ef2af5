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

void fixture_say(const struct err *e)
{
    printf("# %s\n", e->log);
    fflush(stdout);
}

uint32_t fixture_add(int root, const char *folder, uint8_t flags, const char *keyword,
                     const char *text)
{
    struct store_folder *f;
    struct err e;
    struct str kw = str_from(keyword);
    uint32_t validity, *uids, uid;
    size_t n;
    if (store_folder_open(root, str_from(folder), &f, &e) != 0)
        abort();
    struct store_save *s = store_save_new(f);
    if (store_save_begin(s, flags, &kw, keyword ? 1 : 0, 1000000000, 0, &e) != 0 ||
        store_save_write(s, str_from(text), &e) != 0 || store_save_end(s, &e) != 0 ||
        store_save_commit(s, &validity, &uids, &n, &e) != 0)
        abort();
    uid = uids[0];
    free(uids);
    store_folder_close(f);
    return uid;
}

struct store_mailbox *fixture_box(int root, const char *folder, bool read_only)
{
    struct store_mailbox *mb;
    struct err e;
    if (store_mailbox_open(root, str_from(folder), read_only, NULL, &mb, &e) != 0) {
        fixture_say(&e);
        abort();
    }
    return mb;
}

const char *fixture_view(struct store_mailbox *mb, struct buf *b)
{
    buf_clear(b);
    for (size_t i = 0; i < store_mailbox_count(mb); i++) {
        const struct store_msg *m = store_mailbox_at(mb, i);
        buf_printf(b, "%s%u:%x%s%s", i ? " " : "", m->uid, m->flags, m->recent ? "R" : "",
                   m->gone ? "!" : "");
    }
    return buf_z(b);
}
