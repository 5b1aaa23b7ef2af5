/*
 * store-tool: does one thing to a maildir through the store room and prints the result as text, for
 * system tests that compare with other programs.
 *
 *   store-tool MAILDIR COMMAND ARGS…      MAILDIR is made when its parent exists
 */
#include "store/deliver.h"
#include "store/mailbox.h"
#include "store/quota.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct tool {
    int root;
    char **arg;
    int count;
    struct err err;
};

static int fail(struct tool *t)
{
    fprintf(stderr, "%s: %s\n", t->err.kind == ERR_PERMANENT ? "permanent" : "temporary", t->err.log);
    return 1;
}

static struct str arg(const struct tool *t, int i)
{
    return str_from(i < t->count ? t->arg[i] : "");
}

static const struct {
    char letter;
    uint8_t flag;
    const char *name;
} flag_names[] = {{'R', STORE_ANSWERED, "\\Answered"}, {'T', STORE_DELETED, "\\Deleted"},
                  {'D', STORE_DRAFT, "\\Draft"},       {'F', STORE_FLAGGED, "\\Flagged"},
                  {'S', STORE_SEEN, "\\Seen"}};

/* "\Seen,kw" into flags and keyword names. */
static size_t parse_flags(struct str list, uint8_t *flags, struct str *kw, size_t max)
{
    struct str word;
    size_t n = 0;
    *flags = 0;
    while (str_token(&list, ",", &word)) {
        bool known = false;
        for (size_t i = 0; i < 5; i++)
            if (str_caseeq(word, str_from(flag_names[i].name))) {
                *flags |= flag_names[i].flag;
                known = true;
            }
        if (!known && n < max)
            kw[n++] = word;
    }
    return n;
}

static int open_box(struct tool *t, struct str name, bool read_only, struct store_mailbox **mb)
{
    int r = store_mailbox_open(t->root, name, read_only, NULL, mb, &t->err);
    if (r > 0)
        err_perm(&t->err, "no folder %.*s", STR_FMT(name));
    return r;
}

/* list FOLDER: uidvalidity uidnext, then "uid flags keywords vsize" lines, flags and keywords sorted */
static int cmd_list(struct tool *t)
{
    struct store_mailbox *mb;
    if (open_box(t, arg(t, 0), false, &mb) != 0)
        return fail(t);
    printf("uidvalidity %u uidnext %u\n", store_mailbox_uidvalidity(mb), store_mailbox_uidnext(mb));
    int r = 0;
    for (size_t i = 0; i < store_mailbox_count(mb) && r == 0; i++) {
        if ((r = store_mailbox_measure(mb, i, &t->err)) != 0)
            break;
        const struct store_msg *m = store_mailbox_at(mb, i);
        printf("%u", m->uid);
        for (size_t k = 0; k < 5; k++)
            if (m->flags & flag_names[k].flag)
                printf(" %s", flag_names[k].name);
        for (unsigned k = 0; k < STORE_KEYWORDS_MAX; k++)
            if (m->keywords >> k & 1)
                printf(" %.*s", STR_FMT(store_mailbox_keyword(mb, k)));
        printf(" | %llu %lld\n", (unsigned long long)m->vsize, (long long)m->date);
    }
    store_mailbox_close(mb);
    return r ? fail(t) : 0;
}

/* append FOLDER FLAGS DATE: the message on standard input */
static int cmd_append(struct tool *t)
{
    struct store_folder *f;
    struct str kw[32];
    uint8_t flags;
    uint32_t validity, *uids;
    size_t n, count = parse_flags(arg(t, 1), &flags, kw, 32);
    AUTO_BUF text = BUF_MAX(64 << 20);
    if (store_folder_open(t->root, arg(t, 0), &f, &t->err) != 0 ||
        fd_read_all(0, &text, 60 << 20) != 0)
        return fail(t);
    struct store_save *s = store_save_new(f);
    int64_t date = t->count > 2 ? atoll(t->arg[2]) : INT64_MIN;
    int r = store_save_begin(s, flags, kw, count, date, 0, &t->err);
    if (r == 0)
        r = store_save_write(s, buf_view(&text), &t->err);
    if (r == 0)
        r = store_save_end(s, &t->err);
    if (r == 0)
        r = store_save_commit(s, &validity, &uids, &n, &t->err);
    else
        store_save_abort(s);
    if (r == 0) {
        printf("%u %u\n", validity, uids[0]);
        free(uids);
    }
    store_folder_close(f);
    return r ? fail(t) : 0;
}

/* deliver: the message on standard input, which must be a file */
static int cmd_deliver(struct tool *t)
{
    struct stat st;
    struct store_delivered d;
    if (fstat(0, &st) < 0 ||
        store_deliver(t->root, STR("Delivered-To: test\r\n"), 0, (uint64_t)st.st_size, &d, &t->err) != 0)
        return fail(t);
    printf("%s\n", d.base);
    return 0;
}

/* flags FOLDER UID set|add|remove FLAGS */
static int cmd_flags(struct tool *t)
{
    struct store_mailbox *mb;
    struct str kw[32];
    uint8_t flags;
    uint32_t mask = 0;
    unsigned bit;
    bool exact;
    size_t count = parse_flags(arg(t, 3), &flags, kw, 32);
    if (open_box(t, arg(t, 0), false, &mb) != 0)
        return fail(t);
    size_t at = store_mailbox_find(mb, (uint32_t)atoll(arg(t, 1).p), &exact);
    int r = exact ? 0 : err_perm(&t->err, "no such UID");
    for (size_t i = 0; i < count && r == 0; i++) {
        r = store_mailbox_keyword_add(mb, kw[i], &bit, &t->err);
        mask |= r == 0 ? 1u << bit : 0;
    }
    enum store_op op = str_eq(arg(t, 2), STR("add"))      ? STORE_OP_ADD
                       : str_eq(arg(t, 2), STR("remove")) ? STORE_OP_REMOVE
                                                          : STORE_OP_SET;
    if (r == 0)
        r = store_mailbox_store(mb, at, op, flags, mask, &t->err);
    store_mailbox_close(mb);
    return r ? fail(t) : 0;
}

/* copy|move FOLDER UID TO */
static int copy_or_move(struct tool *t, bool move)
{
    struct store_mailbox *mb;
    struct store_folder *to = NULL;
    uint32_t validity, *src, *dst;
    size_t n = 0;
    bool exact;
    if (open_box(t, arg(t, 0), false, &mb) != 0)
        return fail(t);
    size_t at = store_mailbox_find(mb, (uint32_t)atoll(arg(t, 1).p), &exact);
    int r = exact ? store_folder_open(t->root, arg(t, 2), &to, &t->err) : -1;
    if (r == 0)
        r = store_mailbox_copy(mb, &at, 1, to, move, &validity, &src, &dst, &n, &t->err);
    if (r == 0 && n == 1)
        printf("%u %u %u\n", validity, src[0], dst[0]);
    if (r == 0) {
        free(src);
        free(dst);
    }
    store_folder_close(to);
    store_mailbox_close(mb);
    return r ? fail(t) : 0;
}

static int cmd_copy(struct tool *t)
{
    return copy_or_move(t, false);
}

static int cmd_move(struct tool *t)
{
    return copy_or_move(t, true);
}

/* expunge FOLDER UID */
static int cmd_expunge(struct tool *t)
{
    struct store_mailbox *mb;
    bool exact;
    if (open_box(t, arg(t, 0), false, &mb) != 0)
        return fail(t);
    size_t at = store_mailbox_find(mb, (uint32_t)atoll(arg(t, 1).p), &exact);
    int r = exact ? store_mailbox_expunge(mb, at, &t->err) : err_perm(&t->err, "no such UID");
    store_mailbox_close(mb);
    return r ? fail(t) : 0;
}

static int print_names(struct tool *t, int (*get)(int, struct arena *, struct store_names *, struct err *))
{
    AUTO_ARENA a = arena_new(4096);
    struct store_names names;
    if (get(t->root, a, &names, &t->err) != 0)
        return fail(t);
    for (size_t i = 0; i < names.count; i++)
        printf("%.*s\n", STR_FMT(names.name[i]));
    return 0;
}

static int cmd_folders(struct tool *t)
{
    return print_names(t, store_folder_list);
}

static int cmd_subscriptions(struct tool *t)
{
    return print_names(t, store_subscriptions_read);
}

static int cmd_create(struct tool *t)
{
    int r = store_folder_create(t->root, arg(t, 0), &t->err);
    return r < 0 ? fail(t) : r;
}

static int cmd_delete(struct tool *t)
{
    int r = store_folder_delete(t->root, arg(t, 0), &t->err);
    return r < 0 ? fail(t) : r;
}

static int cmd_rename(struct tool *t)
{
    bool existing;
    int r = store_folder_rename(t->root, arg(t, 0), arg(t, 1), &existing, &t->err);
    return r < 0 ? fail(t) : r;
}

static int cmd_subscribe(struct tool *t)
{
    return store_subscriptions_set(t->root, arg(t, 0), true, &t->err) ? fail(t) : 0;
}

static int cmd_unsubscribe(struct tool *t)
{
    return store_subscriptions_set(t->root, arg(t, 0), false, &t->err) ? fail(t) : 0;
}

/* quota LIMIT EXTRA: room|full, bytes, messages */
static int cmd_quota(struct tool *t)
{
    struct store_usage u = {0};
    int r = store_quota_check(t->root, (uint64_t)atoll(arg(t, 0).p), (uint64_t)atoll(arg(t, 1).p), &u,
                              &t->err);
    if (r < 0)
        return fail(t);
    printf("%s %llu %llu\n", r == STORE_ROOM ? "room" : "full", (unsigned long long)u.bytes,
           (unsigned long long)u.messages);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(struct tool *);
} commands[] = {{"list", cmd_list},           {"append", cmd_append},
                {"deliver", cmd_deliver},     {"flags", cmd_flags},
                {"copy", cmd_copy},           {"move", cmd_move},
                {"expunge", cmd_expunge},     {"folders", cmd_folders},
                {"create", cmd_create},       {"delete", cmd_delete},
                {"rename", cmd_rename},       {"subscribe", cmd_subscribe},
                {"unsubscribe", cmd_unsubscribe}, {"subscriptions", cmd_subscriptions},
                {"quota", cmd_quota}};

int main(int argc, char **argv)
{
    struct tool t = {.arg = argv + 3, .count = argc - 3};
    if (argc < 3)
        return 64;
    AUTO_FREE char *a = mem_strdup(str_from(argv[1])), *b = mem_strdup(str_from(argv[1]));
    AUTO_FD home = open(dirname(a), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store_maildir_open(home, str_from(basename(b)), true, &t.root, &t.err) != 0)
        return fail(&t);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[2], commands[i].name) == 0) {
            int r = commands[i].run(&t);
            close(t.root);
            return r;
        }
    return 64;
}
