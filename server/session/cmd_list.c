/*
 * LIST and LSUB (RFC 3501 6.3.8, 6.3.9), LIST in its extended form (RFC 5258) with CHILDREN (3348),
 * SPECIAL-USE (6154) and STATUS (5819).
 */
#include "session/imap.h"

#include "base/log.h"
#include "base/map.h"
#include "protocol/imap/list.h"
#include "session/list_match.h"
#include "store/special_use.h"

#include <stdlib.h>

struct listing {
    struct imap_session *s;
    struct imap_list what;
    bool utf8;              /* patterns are held against names in UTF-8 */
    struct map *folders;    /* those that exist */
    struct map *parents;    /* names that have an existing one below them */
    struct map *subscribed;
    struct map *above;      /* with RECURSIVEMATCH: names above one that meets the criteria ... */
    struct map *above_unseen; /* ... and is not listed itself */
    struct store_uses uses;
};

/* --- what there is --- */

/* Notes every level above a name. */
static void add_parents(struct map *parents, struct str name)
{
    for (size_t i = 1; i + 1 < name.n; i++)
        if (name.p[i] == STORE_FOLDER_SEP)
            map_put(parents, str_head(name, i), parents);
}

static int read_all(struct listing *l, struct err *e)
{
    struct store_names names;
    int root = l->s->settings->maildir_fd;
    if (store_folder_list(root, l->s->arena, &names, e) != 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        map_put(l->folders, names.name[i], l);
        add_parents(l->parents, names.name[i]);
    }
    if (store_uses_read(root, l->s->arena, l->folders, &l->uses, e) != 0 ||
        store_subscriptions_read(root, l->s->arena, &names, e) != 0)
        return -1;
    for (size_t i = 0; i < names.count; i++)
        map_put(l->subscribed, names.name[i], l);
    return 0;
}

static bool exists(const struct listing *l, struct str name)
{
    return map_get(l->folders, name) != NULL;
}

/* --- which of it --- */

static bool matches(struct listing *l, struct str name)
{
    struct str wire = l->utf8 ? imap_folder_utf8(l->s->arena, name) : name;
    for (size_t i = 0; i < l->what.n; i++)
        if (l->what.patterns[i].n && list_match(l->what.patterns[i], wire, STORE_FOLDER_SEP))
            return true;
    return false;
}

/* The selection criteria (RFC 5258 3); without any, all that is a mailbox or has one below it. */
static bool meets(const struct listing *l, struct str name)
{
    unsigned select = l->what.select;
    if ((select & IMAP_LIST_SUBSCRIBED) && !map_get(l->subscribed, name))
        return false;
    if ((select & IMAP_LIST_SPECIAL_USE) && !store_uses_of(&l->uses, name))
        return false;
    return (select & (IMAP_LIST_SUBSCRIBED | IMAP_LIST_SPECIAL_USE)) || exists(l, name) ||
           map_get(l->parents, name);
}

static void add_keys(struct map *to, const struct map *from)
{
    struct str key;
    size_t at = 0;
    void *value;
    while (map_next(from, &at, &key, &value))
        map_put(to, key, to);
}

/* RECURSIVEMATCH: what lies above those that meet the criteria. */
static void find_above(struct listing *l, struct map *all)
{
    AUTO_ARENA a = arena_new(4096);
    struct str *names = arena_array(a, map_count(all) + 1, sizeof *names), key;
    size_t at = 0, n = 0;
    void *value;
    while (map_next(all, &at, &key, &value))
        if (meets(l, key))
            names[n++] = arena_str(a, key);
    for (size_t i = 0; i < n; i++) {
        add_parents(l->above, names[i]);
        if (!matches(l, names[i]))
            add_parents(l->above_unseen, names[i]);
    }
    add_keys(all, l->above);
}

static int by_name(const void *x, const void *y)
{
    const struct str *a = x, *b = y;
    bool a_inbox = str_eq(*a, STR("INBOX")), b_inbox = str_eq(*b, STR("INBOX"));
    return a_inbox != b_inbox ? (a_inbox ? -1 : 1) : str_cmp(*a, *b);
}

static struct str *sorted_keys(struct arena *a, const struct map *m, size_t *n)
{
    struct str *v = arena_array(a, map_count(m) + 1, sizeof *v), key;
    size_t at = 0;
    void *value;
    *n = 0;
    while (map_next(m, &at, &key, &value))
        v[(*n)++] = arena_str(a, key);
    if (*n > 1)
        qsort(v, *n, sizeof *v, by_name);
    return v;
}

/* --- what is said of each --- */

static void add_attribute(struct buf *b, bool *first, const char *attribute)
{
    buf_printf(b, "%s%s", *first ? "" : " ", attribute);
    *first = false;
}

/* missing: the attribute of a name that cannot be selected, or NULL. */
static void tell_folder(struct listing *l, struct str name, const char *missing, bool child_info)
{
    struct buf *b = output_buf(&l->s->out);
    bool first = true;
    buf_printf(b, "* %s (", l->s->command->name);
    if (missing)
        add_attribute(b, &first, missing);
    add_attribute(b, &first, map_get(l->parents, name) ? "\\HasChildren" : "\\HasNoChildren");
    if ((l->what.returns & IMAP_RETURN_SUBSCRIBED) && map_get(l->subscribed, name))
        add_attribute(b, &first, "\\Subscribed");
    unsigned uses = missing ? 0 : store_uses_of(&l->uses, name);
    for (unsigned bit = 1; bit < 1u << STORE_USES; bit <<= 1)
        if (uses & bit)
            add_attribute(b, &first, store_use_name(bit));
    buf_printf(b, ") \"%c\" ", STORE_FOLDER_SEP);
    imap_write_folder(l->s, name);
    if (child_info)
        buf_str(b, STR(" (\"CHILDINFO\" (\"SUBSCRIBED\"))"));
    output_z(&l->s->out, "\r\n");
}

/* LIST's line, and STATUS's where it was asked for: one that cannot be had makes the mailbox
 * \Noselect, or is left out (RFC 5819 2). */
static void tell_listed(struct listing *l, struct str name)
{
    struct store_status status;
    struct err e = {0};
    bool here = exists(l, name);
    int r = 1;
    bool plain = !l->what.extended && !imap_is_rev2(l->s);
    const char *missing = here ? NULL : plain ? "\\Noselect" : "\\NonExistent";
    if ((l->what.returns & IMAP_RETURN_STATUS) && here && meets(l, name)) {
        r = imap_status_get(l->s, name, l->what.status, &status, &e);
        if (r > 0)
            missing = "\\Noselect";
        if (r < 0)
            log_warning("imap-list-status", LS("user", l->s->settings->user), LS("mailbox", name),
                        LZ("error", e.log));
    }
    tell_folder(l, name, missing, map_get(l->above, name));
    if (r == 0)
        imap_status_tell(l->s, name, l->what.status, &status);
}

static void list_all(struct listing *l)
{
    struct map *all = map_new();
    size_t n;
    add_keys(all, l->folders);
    add_keys(all, l->parents);
    if (l->what.select & IMAP_LIST_SUBSCRIBED)
        add_keys(all, l->subscribed);
    if (l->what.select & IMAP_LIST_RECURSIVE)
        find_above(l, all);
    const struct str *v = sorted_keys(l->s->arena, all, &n);
    for (size_t i = 0; i < n && !l->s->out.failed; i++)
        if (matches(l, v[i]) && (meets(l, v[i]) || map_get(l->above_unseen, v[i])))
            tell_listed(l, v[i]);
    map_free(all, NULL);
}

/* --- LSUB --- */

/* A subscribed name that the pattern misses only because it lies deeper is told as its parent, when
 * the pattern ends in "%" (RFC 3501 6.3.9). */
static struct str matching_parent(struct listing *l, struct str name)
{
    struct str pattern = l->what.patterns[0];
    if (pattern.n == 0 || pattern.p[pattern.n - 1] != '%')
        return (struct str){0};
    for (size_t i = name.n; i-- > 1;)
        if (name.p[i] == STORE_FOLDER_SEP && matches(l, str_head(name, i)))
            return str_head(name, i);
    return (struct str){0};
}

static void list_subscribed(struct listing *l)
{
    struct map *found = map_new();
    struct str name;
    size_t at = 0, n;
    void *value;
    while (map_next(l->subscribed, &at, &name, &value)) {
        struct str above = matches(l, name) ? name : matching_parent(l, name);
        if (above.n)
            map_put(found, above, found);
    }
    const struct str *v = sorted_keys(l->s->arena, found, &n);
    for (size_t i = 0; i < n; i++) {
        bool plain = map_get(l->subscribed, v[i]) && exists(l, v[i]);
        tell_folder(l, v[i], plain ? NULL : "\\Noselect", false);
    }
    map_free(found, NULL);
}

/* --- the commands --- */

static void run(struct listing *l, bool lsub)
{
    struct imap_session *s = l->s;
    struct err e = {0};
    l->folders = map_new();
    l->parents = map_new();
    l->subscribed = map_new();
    l->above = map_new();
    l->above_unseen = map_new();
    if (read_all(l, &e) != 0) {
        imap_reply_error(s, &e);
    } else {
        if (lsub)
            list_subscribed(l);
        else
            list_all(l);
        imap_reply_done(s);
    }
    map_free(l->folders, NULL);
    map_free(l->parents, NULL);
    map_free(l->subscribed, NULL);
    map_free(l->above, NULL);
    map_free(l->above_unseen, NULL);
}

/* Puts the reference before every pattern; an empty one among others matches nothing (RFC 5258 3). */
static int join_patterns(struct listing *l)
{
    l->utf8 = imap_speaks_utf8(l->s);
    for (size_t i = 0; i < l->what.n; i++) {
        struct str *p = &l->what.patterns[i];
        if (p->n)
            *p = arena_concat(l->s->arena, l->what.reference, *p);
        if (p->n > LIST_MATCH_MAX) {
            imap_reply_bad(l->s, "Mailbox pattern too long");
            return -1;
        }
        for (size_t j = 0; j < p->n; j++)
            l->utf8 |= (unsigned char)p->p[j] >= 0x80;
    }
    return 0;
}

static void list(struct imap_session *s, struct imap_cursor *args, bool lsub)
{
    struct listing l = {.s = s};
    if (imap_get_list(args, s->arena, &l.what) != 0 || (lsub && l.what.extended)) {
        imap_reply_bad(s, args->wrong ? args->wrong : "LSUB has no options");
        return;
    }
    /* An empty mailbox name asks for the separator, and the root of the reference (RFC 3501 6.3.8). */
    if (l.what.n == 1 && l.what.patterns[0].n == 0 && !l.what.select) {
        output_printf(&s->out, "* %s (\\Noselect) \"%c\" \"\"\r\n", s->command->name,
                      STORE_FOLDER_SEP);
        imap_reply_done(s);
        return;
    }
    if (join_patterns(&l) == 0)
        run(&l, lsub);
}

void imap_list_selected(struct imap_session *s)
{
    if (!imap_is_rev2(s))
        return;
    output_printf(&s->out, "* LIST () \"%c\" ", STORE_FOLDER_SEP);
    imap_write_folder(s, str_from(s->mailbox_name));
    output_z(&s->out, "\r\n");
}

void imap_cmd_list(struct imap_session *s, struct imap_cursor *args)
{
    list(s, args, false);
}

void imap_cmd_lsub(struct imap_session *s, struct imap_cursor *args)
{
    list(s, args, true);
}
