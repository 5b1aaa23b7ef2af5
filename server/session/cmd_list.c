/* LIST and LSUB (RFC 3501 6.3.8, 6.3.9), with CHILDREN (3348) and SPECIAL-USE (6154). */
#include "session/imap.h"

#include "base/map.h"
#include "protocol/imap/write.h"
#include "session/list_match.h"

#include <stdlib.h>

struct listing {
    struct imap_session *s;
    struct str pattern;
    struct map *folders; /* those that can be selected */
    struct map *parents; /* names that have something below them */
};

static const struct {
    const char *name, *attribute;
} special_uses[] = {
    {"Sent", "\\Sent"}, {"Drafts", "\\Drafts"},   {"Trash", "\\Trash"},
    {"Junk", "\\Junk"}, {"Archive", "\\Archive"},
};

/* " reference pattern": one pattern, the reference put before it. */
static int get_pattern(struct imap_session *s, struct imap_cursor *args, struct str *pattern)
{
    struct str reference, mailbox;
    if (imap_get_space(args) != 0 || imap_get_astring(args, &reference) != 0 ||
        imap_get_space(args) != 0 || imap_get_list_mailbox(args, &mailbox) != 0 ||
        imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return -1;
    }
    *pattern = arena_concat(s->arena, reference, mailbox);
    if (pattern->n > LIST_MATCH_MAX) {
        imap_reply_bad(s, "Mailbox pattern too long");
        return -1;
    }
    /* An empty mailbox name asks for the separator, and the root of the reference (RFC 3501 6.3.8). */
    if (mailbox.n == 0) {
        output_printf(&s->out, "* %s (\\Noselect) \"%c\" \"\"\r\n", s->command->name,
                      STORE_FOLDER_SEP);
        imap_reply_done(s);
        return 1;
    }
    return 0;
}

/* Notes every level above a name. */
static void add_parents(struct map *parents, struct str name)
{
    for (size_t i = 1; i + 1 < name.n; i++)
        if (name.p[i] == STORE_FOLDER_SEP)
            map_put(parents, str_head(name, i), parents);
}

static void tell_folder(struct listing *l, struct str name, bool selectable)
{
    struct buf *b = output_buf(&l->s->out);
    buf_printf(b, "* %s (%s\\%s", l->s->command->name, selectable ? "" : "\\Noselect ",
               map_get(l->parents, name) ? "HasChildren" : "HasNoChildren");
    for (size_t i = 0; selectable && i < sizeof special_uses / sizeof *special_uses; i++)
        if (str_eq(name, str_from(special_uses[i].name)))
            buf_printf(b, " %s", special_uses[i].attribute);
    buf_printf(b, ") \"%c\" ", STORE_FOLDER_SEP);
    imap_write_astring(b, name);
    output_z(&l->s->out, "\r\n");
}

static int by_name(const void *x, const void *y)
{
    const struct str *a = x, *b = y;
    bool a_inbox = str_eq(*a, STR("INBOX")), b_inbox = str_eq(*b, STR("INBOX"));
    return a_inbox != b_inbox ? (a_inbox ? -1 : 1) : str_cmp(*a, *b);
}

static struct str *sorted_keys(struct arena *a, const struct map *m, size_t *n)
{
    struct str *v = arena_array(a, map_count(m), sizeof *v), key;
    size_t at = 0;
    void *value;
    *n = 0;
    while (map_next(m, &at, &key, &value))
        v[(*n)++] = key;
    if (*n > 1)
        qsort(v, *n, sizeof *v, by_name);
    return v;
}

static int read_folders(struct listing *l, struct err *e)
{
    struct store_names names;
    if (store_folder_list(l->s->settings->maildir_fd, l->s->arena, &names, e) != 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        map_put(l->folders, names.name[i], l);
        add_parents(l->parents, names.name[i]);
    }
    return 0;
}

static void list_all(struct listing *l)
{
    struct map *all = map_new();
    struct str key;
    size_t at = 0, n;
    void *value;
    while (map_next(l->folders, &at, &key, &value))
        map_put(all, key, all);
    at = 0;
    while (map_next(l->parents, &at, &key, &value))
        map_put(all, key, all);
    const struct str *v = sorted_keys(l->s->arena, all, &n);
    for (size_t i = 0; i < n; i++)
        if (list_match(l->pattern, v[i], STORE_FOLDER_SEP))
            tell_folder(l, v[i], map_get(l->folders, v[i]) != NULL);
    map_free(all, NULL);
}

/* A subscribed name that the pattern misses only because it lies deeper is told as its parent, when
 * the pattern ends in "%" (RFC 3501 6.3.9). */
static struct str matching_parent(struct listing *l, struct str name)
{
    if (l->pattern.n == 0 || l->pattern.p[l->pattern.n - 1] != '%')
        return (struct str){0};
    for (size_t i = name.n; i-- > 1;)
        if (name.p[i] == STORE_FOLDER_SEP &&
            list_match(l->pattern, str_head(name, i), STORE_FOLDER_SEP))
            return str_head(name, i);
    return (struct str){0};
}

static int list_subscribed(struct listing *l, struct err *e)
{
    struct store_names names;
    struct map *found = map_new();
    size_t n;
    if (store_subscriptions_read(l->s->settings->maildir_fd, l->s->arena, &names, e) != 0) {
        map_free(found, NULL);
        return -1;
    }
    char subscribed = 0, parent = 0;
    for (size_t i = 0; i < names.count; i++) {
        struct str name = names.name[i];
        if (list_match(l->pattern, name, STORE_FOLDER_SEP)) {
            map_put(found, name, &subscribed);
            continue;
        }
        struct str above = matching_parent(l, name);
        if (above.n && !map_get(found, above))
            map_put(found, above, &parent);
    }
    const struct str *v = sorted_keys(l->s->arena, found, &n);
    for (size_t i = 0; i < n; i++)
        tell_folder(l, v[i], map_get(found, v[i]) == &subscribed && map_get(l->folders, v[i]));
    map_free(found, NULL);
    return 0;
}

static void list(struct imap_session *s, struct imap_cursor *args, bool subscribed)
{
    struct listing l = {.s = s};
    struct err e = {0};
    if (get_pattern(s, args, &l.pattern) != 0)
        return;
    l.folders = map_new();
    l.parents = map_new();
    int r = read_folders(&l, &e);
    if (r == 0 && subscribed)
        r = list_subscribed(&l, &e);
    else if (r == 0)
        list_all(&l);
    if (r == 0)
        imap_reply_done(s);
    else
        imap_reply_error(s, &e);
    map_free(l.folders, NULL);
    map_free(l.parents, NULL);
}

void imap_cmd_list(struct imap_session *s, struct imap_cursor *args)
{
    list(s, args, false);
}

void imap_cmd_lsub(struct imap_session *s, struct imap_cursor *args)
{
    list(s, args, true);
}
