/* Bundles: u32 name length, u32 bytes length, name, bytes; again and again. */
#include "ipc/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUNDLE_LIMIT (64 * 1024 * 1024)
#define HEAD (2 * sizeof(uint32_t))

void bundle_add(struct buf *b, struct str name, struct str bytes)
{
    uint32_t head[2] = {(uint32_t)name.n, (uint32_t)bytes.n};
    buf_add(b, head, sizeof head);
    buf_str(b, name);
    buf_str(b, bytes);
}

int bundle_memfd(const struct buf *b)
{
    int fd = memfd_create("facteur-bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    if (fd_write_all(fd, b->p, b->n) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int bundle_open(int fd, struct bundle *b, struct err *e)
{
    struct stat st;
    *b = (struct bundle){NULL, 0};
    if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > BUNDLE_LIMIT)
        return err_perm(e, "bundle of a wrong size");
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || !(seals & F_SEAL_WRITE))
        return err_perm(e, "bundle is not sealed");
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return err_perm(e, "bundle: %s", strerror(errno));
    madvise(p, (size_t)st.st_size, MADV_DONTDUMP);
    *b = (struct bundle){p, (size_t)st.st_size};
    return 0;
}

void bundle_close(struct bundle *b)
{
    if (b->p)
        munmap((void *)b->p, b->n);
    *b = (struct bundle){NULL, 0};
}

bool bundle_next(const struct bundle *b, size_t *at, struct str *name, struct str *bytes)
{
    uint32_t head[2];
    if (*at > b->n || b->n - *at < HEAD)
        return false;
    memcpy(head, b->p + *at, HEAD);
    size_t rest = b->n - *at - HEAD;
    if (head[0] > rest || head[1] > rest - head[0])
        return false;
    *name = (struct str){b->p + *at + HEAD, head[0]};
    *bytes = (struct str){name->p + name->n, head[1]};
    *at += HEAD + head[0] + head[1];
    return true;
}

bool bundle_get(const struct bundle *b, struct str name, struct str *bytes)
{
    size_t at = 0;
    struct str n;
    while (bundle_next(b, &at, &n, bytes))
        if (str_eq(n, name))
            return true;
    return false;
}
