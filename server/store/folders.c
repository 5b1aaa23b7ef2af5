/* Names, listing, making and removing of folders. */
#include "store/folders.h"
#include "store/fs.h"
#include "store/maildir.h"
#include "store/uidlist.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int bad_name(struct err *e, struct str name, const char *why)
{
    err_perm(e, "folder name \"%.*s\": %s", STR_FMT(str_head(name, STORE_FOLDER_NAME_MAX)), why);
    return err_client(e, "Invalid mailbox name: %s", why);
}

/* "&" starts a run of modified base64 that "-" ends (RFC 3501 section 5.1.3). */
static bool is_utf7(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] != '&')
            continue;
        for (i++; i < name.n && name.p[i] != '-'; i++) {
            char c = name.p[i];
            if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '+' || c == ','))
                return false;
        }
        if (i == name.n)
            return false;
    }
    return true;
}

int store_folder_name_check(struct str name, struct err *e)
{
    if (name.n == 0)
        return bad_name(e, name, "empty");
    if (name.n > STORE_FOLDER_NAME_MAX)
        return bad_name(e, name, "too long");
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '/')
            return bad_name(e, name, "\"/\" is not allowed");
        if (name.p[i] < 0x20 || name.p[i] > 0x7e)
            return bad_name(e, name, "control or 8-bit characters");
        if (name.p[i] == STORE_FOLDER_SEP &&
            (i == 0 || i + 1 == name.n || name.p[i + 1] == STORE_FOLDER_SEP))
            return bad_name(e, name, "an empty level of hierarchy");
    }
    if (!is_utf7(name))
        return bad_name(e, name, "not modified UTF-7");
    return 0;
}

bool store_folder_is_inbox(struct str name)
{
    return str_caseeq(name, STR("INBOX"));
}

int store_folder_dir(struct str name, char out[256], struct err *e)
{
    if (store_folder_name_check(name, e) != 0)
        return -1;
    if (store_folder_is_inbox(name))
        snprintf(out, 256, ".");
    else
        snprintf(out, 256, ".%.*s", STR_FMT(name));
    return 0;
}

static int stat_cur(int root_fd, const char *dir, struct stat *st)
{
    char cur[264];
    snprintf(cur, sizeof cur, "%s/cur", dir);
    return fstatat(root_fd, cur, st, AT_SYMLINK_NOFOLLOW);
}

int store_folder_cur_stat(int root_fd, struct str name, struct stat *st)
{
    char dir[256];
    return store_folder_dir(name, dir, NULL) == 0 && stat_cur(root_fd, dir, st) == 0 ? 0 : -1;
}

int store_folder_dir_open(int root_fd, struct str name, int *fd, struct err *e)
{
    char dir[256];
    struct stat st;
    *fd = -1;
    if (store_folder_dir(name, dir, e) != 0)
        return -1;
    if (strcmp(dir, ".") != 0 && stat_cur(root_fd, dir, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 1;
    *fd = store_dir_open(root_fd, dir);
    if (*fd >= 0)
        return 0;
    return errno == ENOENT ? 1 : store_errno(e, "open folder %s", dir);
}

/* ---- listing ---- */

struct listing {
    int root_fd;
    struct arena *a;
    struct store_names *out;
    size_t cap;
    struct str under; /* only this name and those below it, with or without cur/; empty: all folders */
    struct err *e;
};

static bool is_dir(int at, const char *path, unsigned char type)
{
    struct stat st;
    if (type != DT_UNKNOWN)
        return type == DT_DIR;
    return fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static bool is_under(struct str name, struct str top)
{
    return str_starts(name, top) && (name.n == top.n || name.p[top.n] == STORE_FOLDER_SEP);
}

static int list_one(void *ctx, struct str file, unsigned char type)
{
    struct listing *l = ctx;
    char cur[STORE_NAME_MAX + 8];
    struct str name = str_skip(file, 1);
    if (file.p[0] != '.' || !is_dir(l->root_fd, file.p, type) ||
        store_folder_name_check(name, NULL) != 0 || store_folder_is_inbox(name))
        return 0;
    snprintf(cur, sizeof cur, "%s/cur", file.p);
    if (l->under.n ? !is_under(name, l->under) : !is_dir(l->root_fd, cur, DT_UNKNOWN))
        return 0;
    if (l->out->count == l->cap) {
        struct str *old = l->out->name;
        l->cap = l->cap ? l->cap * 2 : 32;
        l->out->name = arena_array(l->a, l->cap, sizeof *old);
        if (old)
            memcpy(l->out->name, old, l->out->count * sizeof *old);
    }
    l->out->name[l->out->count++] = arena_str(l->a, name);
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

int store_folder_list(int root_fd, struct arena *a, struct store_names *out, struct err *e)
{
    struct listing l = {.root_fd = root_fd, .a = a, .out = out, .e = e, .cap = 32};
    out->name = arena_array(a, l.cap, sizeof *out->name);
    out->name[0] = STR("INBOX");
    out->count = 1;
    if (store_dir_each(root_fd, list_one, &l, e) != 0)
        return -1;
    qsort(out->name + 1, out->count - 1, sizeof *out->name, by_bytes);
    return 0;
}

/* ---- making and removing ---- */

/* tmp/ of the root is on the same file system and nobody lists it: half-made and half-removed folders
 * lie there, and store_maildir_clean takes what a crash left. */
static int make_aside(int root_fd, const char *aside, struct err *e)
{
    if (mkdirat(root_fd, aside, 0700) < 0)
        return store_errno(e, "mkdir %s", aside);
    AUTO_FD fd = store_dir_open(root_fd, aside);
    if (fd < 0)
        return store_errno(e, "open %s", aside);
    if (store_maildir_complete(fd, e) != 0)
        return -1;
    AUTO_FD mark = store_file_open(fd, "maildirfolder", O_WRONLY | O_CREAT | O_EXCL, NULL);
    if (mark < 0)
        return store_errno(e, "create maildirfolder");
    return store_uidlist_create(fd, root_fd, e);
}

int store_folder_create(int root_fd, struct str name, struct err *e)
{
    char dir[256], unique[64], aside[80];
    struct stat st;
    if (store_folder_dir(name, dir, e) != 0)
        return -1;
    if (strcmp(dir, ".") == 0 || fstatat(root_fd, dir, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    store_random_name(unique, "facteur-gone-");
    snprintf(aside, sizeof aside, "tmp/%s", unique);
    int r = make_aside(root_fd, aside, e);
    if (r == 0 && renameat2(root_fd, aside, root_fd, dir, RENAME_NOREPLACE) < 0)
        r = errno == EEXIST ? 1 : store_errno(e, "rename %s to %s", aside, dir);
    if (r != 0) {
        store_dir_remove(root_fd, aside, 2, NULL);
        return r;
    }
    return store_dir_sync(root_fd, e);
}

int store_folder_delete(int root_fd, struct str name, struct err *e)
{
    char dir[256], unique[64], aside[80];
    if (store_folder_dir(name, dir, e) != 0)
        return -1;
    if (strcmp(dir, ".") == 0) {
        err_perm(e, "INBOX cannot be deleted");
        return err_client(e, "INBOX cannot be deleted");
    }
    AUTO_FD fd = store_dir_open(root_fd, dir);
    if (fd < 0)
        return errno == ENOENT ? 1 : store_errno(e, "open folder %s", dir);
    store_random_name(unique, "facteur-gone-");
    snprintf(aside, sizeof aside, "tmp/%s", unique);
    if (renameat(root_fd, dir, root_fd, aside) < 0)
        return errno == ENOENT ? 1 : store_errno(e, "rename %s to %s", dir, aside);
    if (store_dir_sync(root_fd, e) != 0)
        return -1;
    /* The folder is gone; what cannot be removed now, the next cleaning of tmp/ takes. */
    (void)store_dir_remove(root_fd, aside, 4, NULL);
    return 0;
}

/* ---- renaming ---- */

struct moving {
    int root_fd;
    struct str from, to;
    struct store_names names;
    struct arena *a;
};

/* The directory that names[i] becomes. */
static const char *new_dir(const struct moving *m, size_t i)
{
    struct str rest = str_skip(m->names.name[i], m->from.n);
    return arena_printf(m->a, ".%.*s%.*s", STR_FMT(m->to), STR_FMT(rest)).p;
}

static const char *old_dir(const struct moving *m, size_t i)
{
    return arena_printf(m->a, ".%.*s", STR_FMT(m->names.name[i])).p;
}

static int check_targets(const struct moving *m, bool *existing, struct err *e)
{
    struct stat st;
    for (size_t i = 0; i < m->names.count; i++) {
        const char *dir = new_dir(m, i);
        if (store_folder_name_check(str_from(dir + 1), e) != 0)
            return -1;
        if (fstatat(m->root_fd, dir, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            *existing = true;
            return 1;
        }
    }
    return 0;
}

static int move_all(const struct moving *m, bool *existing, struct err *e)
{
    size_t done = 0;
    for (; done < m->names.count; done++)
        if (renameat2(m->root_fd, old_dir(m, done), m->root_fd, new_dir(m, done),
                      RENAME_NOREPLACE) < 0)
            break;
    if (done == m->names.count)
        return store_dir_sync(m->root_fd, e);
    *existing = errno == EEXIST;
    store_errno(e, "rename %s", old_dir(m, done));
    while (done-- > 0)
        (void)renameat2(m->root_fd, new_dir(m, done), m->root_fd, old_dir(m, done),
                        RENAME_NOREPLACE);
    return *existing ? 1 : -1;
}

struct emptying {
    int from, to;
    struct err *e;
};

static int move_message(void *ctx, struct str file, unsigned char type)
{
    struct emptying *m = ctx;
    struct store_name parsed;
    (void)type;
    if (!store_name_parse(file, &parsed) || store_file_move(m->from, file.p, m->to, file.p) == 0 ||
        errno == ENOENT)
        return 0;
    return store_errno(m->e, "move message %s", file.p);
}

static int copy_keywords(int from, int to, struct err *e)
{
    AUTO_BUF text = BUF_MAX(100000);
    int r = store_file_read(from, "dovecot-keywords", &text, 65536, e);
    return r == 0 ? store_file_replace(to, "dovecot-keywords", buf_view(&text), e) : r < 0 ? -1 : 0;
}

/* New messages get their UIDs in the new folder when it is first looked at. */
static int move_inbox(int root_fd, struct str to, bool *existing, struct err *e)
{
    static const char *const sub[] = {"new", "cur"};
    AUTO_FD dest = -1;
    int r = store_folder_create(root_fd, to, e);
    *existing = r == 1;
    if (r != 0)
        return r;
    if (store_folder_dir_open(root_fd, to, &dest, e) != 0 || copy_keywords(root_fd, dest, e) != 0)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        AUTO_FD a = store_dir_open(root_fd, sub[i]);
        AUTO_FD b = store_dir_open(dest, sub[i]);
        if (a < 0 || b < 0)
            return store_errno(e, "open %s", sub[i]);
        struct emptying m = {a, b, e};
        if (store_dir_each(a, move_message, &m, e) != 0 || store_dir_sync(b, e) != 0 ||
            store_dir_sync(a, e) != 0)
            return -1;
    }
    return 0;
}

int store_folder_rename(int root_fd, struct str from, struct str to, bool *existing, struct err *e)
{
    AUTO_ARENA a = arena_new(4096);
    struct moving m = {.root_fd = root_fd, .from = from, .to = to, .a = a};
    *existing = false;
    if (store_folder_name_check(from, e) != 0 || store_folder_name_check(to, e) != 0)
        return -1;
    if (store_folder_is_inbox(to)) {
        *existing = true;
        return 1;
    }
    if (store_folder_is_inbox(from))
        return move_inbox(root_fd, to, existing, e);
    if (is_under(to, from))
        return bad_name(e, to, "a folder cannot be moved below itself");
    struct listing l = {.root_fd = root_fd, .a = a, .out = &m.names, .under = from, .e = e};
    if (store_dir_each(root_fd, list_one, &l, e) != 0)
        return -1;
    if (m.names.count == 0)
        return 1;
    qsort(m.names.name, m.names.count, sizeof *m.names.name, by_bytes);
    int r = check_targets(&m, existing, e);
    return r != 0 ? r : move_all(&m, existing, e);
}
