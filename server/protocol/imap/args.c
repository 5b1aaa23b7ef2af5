/* Flags, STORE, STATUS, ID and mailbox names; see args.h. */
#include "protocol/imap/args.h"

static const struct {
    const char *name;
    unsigned flag;
} system_flags[] = {
    {"\\Answered", IMAP_ANSWERED}, {"\\Flagged", IMAP_FLAGGED}, {"\\Deleted", IMAP_DELETED},
    {"\\Seen", IMAP_SEEN},         {"\\Draft", IMAP_DRAFT},     {"\\Recent", IMAP_RECENT},
};

static int get_system_flag(struct imap_cursor *c, struct imap_flags *flags)
{
    for (size_t i = 0; i < sizeof system_flags / sizeof *system_flags; i++) {
        if (!imap_try_word(c, str_from(system_flags[i].name)))
            continue;
        if (system_flags[i].flag == IMAP_RECENT)
            return imap_wrong(c, "\\Recent cannot be set"); /* RFC 3501 2.3.2 */
        flags->system |= system_flags[i].flag;
        return 0;
    }
    return imap_wrong(c, "Unknown system flag");
}

/* Appends a view to a growing array in the arena. */
static int push(struct imap_cursor *c, struct arena *a, struct str **list, size_t *n, struct str s)
{
    if (*n >= c->limits->items)
        return imap_wrong(c, "Too many items");
    if ((*n & (*n - 1)) == 0) { /* full at every power of two */
        struct str *more = arena_array(a, *n ? *n * 2 : 1, sizeof *more);
        if (*n)
            memcpy(more, *list, *n * sizeof *more);
        *list = more;
    }
    (*list)[(*n)++] = s;
    return 0;
}

static int get_flag(struct imap_cursor *c, struct arena *a, struct imap_flags *flags)
{
    struct str word;
    if (imap_peek(c, '\\'))
        return get_system_flag(c, flags);
    if (imap_get_atom(c, &word) != 0)
        return -1;
    for (size_t i = 0; i < flags->n; i++)
        if (str_caseeq(flags->keywords[i], word))
            return 0;
    if (flags->n >= 1000)
        return imap_wrong(c, "Too many flags");
    return push(c, a, &flags->keywords, &flags->n, word);
}

int imap_get_flags(struct imap_cursor *c, struct arena *a, bool bare, struct imap_flags *flags)
{
    *flags = (struct imap_flags){0};
    bool list = imap_try(c, '(');
    if (!list && !bare)
        return imap_wrong(c, "Expected a list of flags");
    if (list && imap_try(c, ')'))
        return 0;
    do {
        if (get_flag(c, a, flags) != 0)
            return -1;
    } while (imap_try(c, ' '));
    return list ? imap_get_char(c, ')') : 0;
}

int imap_get_store(struct imap_cursor *c, struct arena *a, struct imap_store *store)
{
    *store = (struct imap_store){.mode = IMAP_STORE_SET};
    if (imap_try(c, '(')) {
        store->guarded = true;
        if (!imap_try_word(c, STR("UNCHANGEDSINCE")))
            return imap_wrong(c, "Unknown STORE modifier");
        if (imap_get_space(c) != 0 || imap_get_number64(c, &store->unchanged_since) != 0 ||
            imap_get_char(c, ')') != 0 || imap_get_space(c) != 0)
            return -1;
    }
    if (imap_try(c, '+'))
        store->mode = IMAP_STORE_ADD;
    else if (imap_try(c, '-'))
        store->mode = IMAP_STORE_REMOVE;
    store->silent = imap_try_word(c, STR("FLAGS.SILENT"));
    if (!store->silent && !imap_try_word(c, STR("FLAGS")))
        return imap_wrong(c, "Unknown STORE item");
    if (imap_get_space(c) != 0)
        return -1;
    return imap_get_flags(c, a, true, &store->flags);
}

/* A set without "*", in rising order. */
static int get_known(struct imap_cursor *c, struct arena *a, struct imap_set *out)
{
    struct imap_set set;
    if (imap_get_set(c, a, &set) != 0)
        return -1;
    if (set.saved)
        return imap_wrong(c, "$ is not allowed here");
    for (size_t i = 0; i < set.n; i++)
        if (set.ranges[i].first == IMAP_STAR || set.ranges[i].last == IMAP_STAR)
            return imap_wrong(c, "* is not allowed here");
    *out = imap_set_resolve(a, &set, 0);
    return 0;
}

static int get_qresync(struct imap_cursor *c, struct arena *a, struct imap_select *q)
{
    struct imap_set numbers, uids;
    if (imap_get_space(c) != 0 || imap_get_char(c, '(') != 0 ||
        imap_get_nz_number(c, &q->uidvalidity) != 0 || imap_get_space(c) != 0 ||
        imap_get_number64(c, &q->modseq) != 0)
        return -1;
    bool more = imap_try(c, ' ');
    if (more && !imap_peek(c, '(')) {
        q->known = true;
        if (get_known(c, a, &q->uids) != 0)
            return -1;
        more = imap_try(c, ' ');
    }
    /* Which numbers belong to which UIDs helps servers that forget what vanished; here it is only
     * read (RFC 7162 3.2.5.2). */
    if (more && (imap_get_char(c, '(') != 0 || get_known(c, a, &numbers) != 0 ||
                 imap_get_space(c) != 0 || get_known(c, a, &uids) != 0 ||
                 imap_get_char(c, ')') != 0))
        return -1;
    return imap_get_char(c, ')');
}

int imap_get_select(struct imap_cursor *c, struct arena *a, struct imap_select *q)
{
    *q = (struct imap_select){0};
    if (imap_at_end(c))
        return 0;
    if (imap_get_space(c) != 0 || imap_get_char(c, '(') != 0)
        return -1;
    do {
        if (!q->condstore && imap_try_word(c, STR("CONDSTORE")))
            q->condstore = true;
        else if (!q->qresync && imap_try_word(c, STR("QRESYNC")))
            q->qresync = true;
        else
            return imap_wrong(c, "Unknown SELECT parameter");
        if (q->qresync && q->uidvalidity == 0 && get_qresync(c, a, q) != 0)
            return -1;
    } while (imap_try(c, ' '));
    return imap_get_char(c, ')') != 0 ? -1 : imap_get_end(c);
}

int imap_get_status_items(struct imap_cursor *c, unsigned *items)
{
    static const struct {
        const char *name;
        unsigned item;
    } known[] = {
        {"MESSAGES", IMAP_STATUS_MESSAGES}, {"RECENT", IMAP_STATUS_RECENT},
        {"UIDNEXT", IMAP_STATUS_UIDNEXT},   {"UIDVALIDITY", IMAP_STATUS_UIDVALIDITY},
        {"UNSEEN", IMAP_STATUS_UNSEEN},     {"SIZE", IMAP_STATUS_SIZE},
        {"DELETED-STORAGE", IMAP_STATUS_DELETED_STORAGE},
        {"DELETED", IMAP_STATUS_DELETED},   {"APPENDLIMIT", IMAP_STATUS_APPENDLIMIT},
        {"MAILBOXID", IMAP_STATUS_MAILBOXID},
        {"HIGHESTMODSEQ", IMAP_STATUS_HIGHESTMODSEQ},
    };
    *items = 0;
    if (imap_get_char(c, '(') != 0)
        return -1;
    do {
        unsigned item = 0;
        for (size_t i = 0; i < sizeof known / sizeof *known && !item; i++)
            if (imap_try_word(c, str_from(known[i].name)))
                item = known[i].item;
        if (!item)
            return imap_wrong(c, "Unknown STATUS item");
        *items |= item;
    } while (imap_try(c, ' '));
    return imap_get_char(c, ')');
}

static int get_use(struct imap_cursor *c, unsigned *uses)
{
    static const struct {
        const char *name;
        enum imap_use use;
    } known[] = {
        {"Archive", IMAP_USE_ARCHIVE}, {"Drafts", IMAP_USE_DRAFTS}, {"Junk", IMAP_USE_JUNK},
        {"Sent", IMAP_USE_SENT},       {"Trash", IMAP_USE_TRASH},
    };
    struct str name;
    if (!imap_try(c, '\\'))
        return imap_wrong(c, "Expected a special use");
    if (imap_get_atom(c, &name) != 0)
        return -1;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (str_caseeq(name, str_from(known[i].name))) {
            *uses |= known[i].use;
            return 0;
        }
    }
    *uses |= IMAP_USE_OTHER;
    return 0;
}

int imap_get_create_params(struct imap_cursor *c, unsigned *uses)
{
    *uses = 0;
    if (imap_get_char(c, '(') != 0)
        return -1;
    if (!imap_try_word(c, STR("USE")))
        return imap_wrong(c, "Unknown CREATE parameter");
    if (imap_get_space(c) != 0 || imap_get_char(c, '(') != 0)
        return -1;
    if (!imap_try(c, ')')) {
        do {
            if (get_use(c, uses) != 0)
                return -1;
        } while (imap_try(c, ' '));
        if (imap_get_char(c, ')') != 0)
            return -1;
    }
    return imap_get_char(c, ')');
}

int imap_get_id(struct imap_cursor *c, struct arena *a, struct imap_id *id)
{
    size_t views = 0;
    *id = (struct imap_id){0};
    if (imap_try_word(c, STR("NIL")))
        return 0;
    if (imap_get_char(c, '(') != 0)
        return -1;
    if (imap_try(c, ')'))
        return 0;
    do {
        struct str field, value;
        bool nil;
        /* RFC 2971 3.3: at most 30 pairs, names of 30 bytes, values of 1024. */
        if (imap_get_string(c, &field) != 0 || imap_get_space(c) != 0 ||
            imap_get_nstring(c, &value, &nil) != 0)
            return -1;
        if (id->n >= 30 || field.n > 30 || value.n > 1024)
            return imap_wrong(c, "ID list too large");
        if (push(c, a, &id->fields, &views, field) != 0 ||
            push(c, a, &id->fields, &views, value) != 0)
            return -1;
        id->n++;
    } while (imap_try(c, ' '));
    return imap_get_char(c, ')');
}

int imap_get_mailbox(struct imap_cursor *c, struct arena *a, struct str *name)
{
    struct str s;
    if (imap_get_astring(c, &s) != 0)
        return -1;
    *name = arena_str(a, str_caseeq(s, STR("INBOX")) ? STR("INBOX") : s);
    return 0;
}
