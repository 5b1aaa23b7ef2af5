/* The special-use file; see special_use.h. */
#include "store/special_use.h"
#include "store/dotlock.h"
#include "store/folders.h"
#include "store/fs.h"

#define FILE_NAME "special-use"
#define MAX_BYTES ((size_t)64 << 10)

static const char *const names[STORE_USES] = {"\\Archive", "\\Drafts", "\\Junk", "\\Sent",
                                              "\\Trash"};

const char *store_use_name(unsigned bit)
{
    for (size_t i = 0; i < STORE_USES; i++)
        if (bit == 1u << i)
            return names[i];
    return "";
}

/* The file as one folder a use; p NULL where it names none. A damaged line says nothing. */
static void parse(struct str text, struct arena *a, struct store_uses *out)
{
    struct str line, word;
    *out = (struct store_uses){0};
    while (str_line(&text, &line)) {
        ptrdiff_t tab = str_find(line, '\t');
        struct str folder = str_skip(line, (size_t)(tab + 1)), uses = str_head(line, (size_t)(tab + 1));
        if (tab < 0 || store_folder_name_check(folder, NULL) != 0)
            continue;
        while (str_token(&uses, " \t", &word))
            for (size_t i = 0; i < STORE_USES; i++)
                if (str_eq(word, str_from(names[i])))
                    out->folder[i] = arena_str(a, folder);
    }
}

static int read_file(int root_fd, struct arena *a, struct store_uses *out, struct err *e)
{
    AUTO_BUF text = BUF_MAX(MAX_BYTES + 32768);
    if (store_file_read(root_fd, FILE_NAME, &text, MAX_BYTES, e) < 0)
        return -1;
    parse(buf_view(&text), a, out);
    return 0;
}

int store_uses_read(int root_fd, struct arena *a, const struct map *exists, struct store_uses *out,
                    struct err *e)
{
    if (read_file(root_fd, a, out, e) != 0)
        return -1;
    for (size_t i = 0; i < STORE_USES; i++) {
        if (out->folder[i].p && map_get(exists, out->folder[i]))
            continue;
        struct str usual = str_skip(str_from(names[i]), 1);
        out->folder[i] = map_get(exists, usual) ? usual : (struct str){0};
    }
    return 0;
}

unsigned store_uses_of(const struct store_uses *u, struct str folder)
{
    unsigned bits = 0;
    for (size_t i = 0; i < STORE_USES; i++)
        if (u->folder[i].p && str_eq(u->folder[i], folder))
            bits |= 1u << i;
    return bits;
}

static int write_file(struct store_dotlock *lock, const struct store_uses *u, struct err *e)
{
    AUTO_BUF out = BUF_MAX(MAX_BYTES);
    for (size_t i = 0; i < STORE_USES; i++)
        if (u->folder[i].p)
            buf_printf(&out, "%s\t%.*s\n", names[i], STR_FMT(u->folder[i]));
    return store_dotlock_replace(lock, buf_view(&out), e);
}

static int take(struct store_dotlock *lock, int root_fd, struct err *e)
{
    return store_dotlock_take(lock, root_fd, FILE_NAME, STORE_LOCK_SUBSCRIPTIONS_STALE, true, e);
}

int store_uses_set(int root_fd, struct str folder, unsigned uses, struct err *e)
{
    AUTO_DOTLOCK lock = STORE_DOTLOCK_NONE;
    AUTO_ARENA a = arena_new(1024);
    struct store_uses u;
    if (store_folder_name_check(folder, e) != 0 || take(&lock, root_fd, e) != 0 ||
        read_file(root_fd, a, &u, e) != 0)
        return -1;
    for (size_t i = 0; i < STORE_USES; i++)
        if (uses >> i & 1)
            u.folder[i] = folder;
    return write_file(&lock, &u, e);
}

/* The name after the rename, or the same one. */
static struct str renamed(struct arena *a, struct str name, struct str from, struct str to)
{
    bool below = name.n > from.n && str_starts(name, from) && name.p[from.n] == STORE_FOLDER_SEP;
    return below || str_eq(name, from) ? arena_concat(a, to, str_skip(name, from.n)) : name;
}

int store_uses_renamed(int root_fd, struct str from, struct str to, const struct store_uses *before,
                       struct err *e)
{
    AUTO_DOTLOCK lock = STORE_DOTLOCK_NONE;
    AUTO_ARENA a = arena_new(1024);
    struct store_uses u;
    bool touched = false;
    for (size_t i = 0; i < STORE_USES; i++)
        touched |= before->folder[i].p && !str_eq(renamed(a, before->folder[i], from, to),
                                                  before->folder[i]);
    if (!touched)
        return 0;
    if (take(&lock, root_fd, e) != 0 || read_file(root_fd, a, &u, e) != 0)
        return -1;
    for (size_t i = 0; i < STORE_USES; i++) {
        struct str had = before->folder[i];
        if (had.p && !str_eq(renamed(a, had, from, to), had))
            u.folder[i] = renamed(a, had, from, to);
    }
    return write_file(&lock, &u, e);
}

int store_uses_deleted(int root_fd, struct str folder, struct err *e)
{
    AUTO_ARENA a = arena_new(1024);
    struct store_uses u;
    if (read_file(root_fd, a, &u, e) != 0)
        return -1;
    if (!store_uses_of(&u, folder))
        return 0;
    AUTO_DOTLOCK lock = STORE_DOTLOCK_NONE;
    if (take(&lock, root_fd, e) != 0 || read_file(root_fd, a, &u, e) != 0)
        return -1;
    for (size_t i = 0; i < STORE_USES; i++)
        if (u.folder[i].p && str_eq(u.folder[i], folder))
            u.folder[i] = (struct str){0};
    return write_file(&lock, &u, e);
}
