/* Reading and extending dovecot-keywords. */
#include "store/keywords.h"
#include "store/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_NAME "dovecot-keywords"
#define MAX_BYTES 65536

void store_keywords_free(struct store_keywords *k)
{
    for (size_t i = 0; i < STORE_KEYWORDS_MAX; i++) {
        free(k->name[i]);
        k->name[i] = NULL;
    }
}

static void parse_line(struct store_keywords *k, struct str line)
{
    uint32_t index;
    ptrdiff_t blank = str_find(line, ' ');
    if (blank < 0 || str_u32(str_head(line, (size_t)blank), &index) < 0 ||
        index >= STORE_KEYWORDS_MAX)
        return;
    struct str name = str_skip(line, (size_t)blank + 1);
    if (name.n == 0 || name.n > STORE_KEYWORD_LEN_MAX || !str_is_graph(name) ||
        store_keywords_find(k, name) >= 0)
        return;
    free(k->name[index]);
    k->name[index] = mem_strdup(name);
}

void store_keywords_note(struct store_keywords *k, uint32_t used)
{
    k->used |= used;
    for (unsigned i = 0; i < STORE_KEYWORDS_MAX; i++) {
        char name[32];
        if (k->name[i] || !(k->used >> i & 1))
            continue;
        snprintf(name, sizeof name, "unknown-%u", i); /* the name Dovecot gives it */
        if (store_keywords_find(k, str_from(name)) < 0)
            k->name[i] = mem_strdup(str_from(name));
    }
}

static bool unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Nearly always it is, and a look is cheaper than to open what may not be there. */
static bool looks_unchanged(const struct store_keywords *k, int dir_fd)
{
    struct stat st = {0};
    return (fstatat(dir_fd, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno == ENOENT) &&
           unchanged(&st, &k->seen);
}

int store_keywords_refresh(struct store_keywords *k, int dir_fd, struct err *e)
{
    struct stat st = {0};
    struct str rest, line;
    AUTO_BUF text = BUF_MAX(MAX_BYTES + 32768);
    if (k->known && looks_unchanged(k, dir_fd))
        return 0;
    AUTO_FD fd = store_file_open(dir_fd, FILE_NAME, O_RDONLY, &st);
    if (fd < 0 && errno != ENOENT)
        return store_errno(e, "open " FILE_NAME);
    if (k->known && unchanged(&st, &k->seen))
        return 0;
    if (fd >= 0 && fd_read_all(fd, &text, MAX_BYTES) < 0)
        return store_errno(e, "read " FILE_NAME);
    store_keywords_free(k);
    rest = buf_view(&text);
    while (str_line(&rest, &line))
        parse_line(k, line);
    k->seen = st;
    k->known = true;
    store_keywords_note(k, 0);
    return 0;
}

int store_keywords_find(const struct store_keywords *k, struct str name)
{
    for (int i = 0; i < STORE_KEYWORDS_MAX; i++)
        if (k->name[i] && str_caseeq(str_from(k->name[i]), name))
            return i;
    return -1;
}

/* atom-char of RFC 3501 section 9, and "]" is refused too. */
static bool is_atom(struct str name)
{
    if (name.n == 0 || name.n > STORE_KEYWORD_LEN_MAX || !str_is_graph(name))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (strchr("(){%*\"\\]", name.p[i]))
            return false;
    return true;
}

/* Whoever holds the uidlist's lock is the only one to write here, in Dovecot too: there is no other lock. */
static int write_file(struct store_keywords *k, int dir_fd, struct err *e)
{
    AUTO_BUF text = BUF_MAX(MAX_BYTES);
    for (unsigned i = 0; i < STORE_KEYWORDS_MAX; i++)
        if (k->name[i])
            buf_printf(&text, "%u %s\n", i, k->name[i]);
    return store_file_replace_locked(dir_fd, FILE_NAME, buf_view(&text), &k->seen, e);
}

static int add_locked(struct store_keywords *k, int dir_fd, struct str name, unsigned *letter,
                      struct err *e)
{
    if (store_keywords_refresh(k, dir_fd, e) != 0)
        return -1;
    int found = store_keywords_find(k, name);
    if (found >= 0) {
        *letter = (unsigned)found;
        return 0;
    }
    unsigned i = 0;
    while (i < STORE_KEYWORDS_MAX && k->name[i])
        i++;
    if (i == STORE_KEYWORDS_MAX) {
        err_perm(e, "keyword %.*s: all 26 keywords of this folder are in use", STR_FMT(name));
        return err_client(e, "Too many keywords in this mailbox (26 at most)");
    }
    k->name[i] = mem_strdup(name);
    if (write_file(k, dir_fd, e) != 0) {
        free(k->name[i]);
        k->name[i] = NULL;
        return -1;
    }
    *letter = i;
    return 0;
}

int store_keywords_add(struct store_keywords *k, struct store_uidlist *u, struct str name,
                       unsigned *letter, struct err *e)
{
    if (!is_atom(name)) {
        err_perm(e, "keyword \"%.*s\": not an atom of at most %d bytes", STR_FMT(str_head(name, 100)),
                 STORE_KEYWORD_LEN_MAX);
        return err_client(e, "Invalid keyword");
    }
    int found = store_keywords_find(k, name);
    if (found >= 0) {
        *letter = (unsigned)found;
        return 0;
    }
    bool locked = u->lock.fd >= 0;
    if (!locked && store_uidlist_lock(u, e) != 0)
        return -1;
    int r = add_locked(k, u->dir_fd, name, letter, e);
    if (!locked)
        store_uidlist_unlock(u);
    return r;
}
