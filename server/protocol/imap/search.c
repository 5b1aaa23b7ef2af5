/* Search keys; see search.h. */
#include "protocol/imap/search.h"

enum argument { NONE, STRING, DATE, NUMBER, SECONDS, ID };

/* One row a key. The flag rows: negated ones are NOT of the plain one. */
static const struct key {
    const char *name;
    enum imap_search_key key;
    enum argument argument;
    unsigned flag;
    bool negated;
    const char *field;
} keys[] = {
    {"ALL", IMAP_SEARCH_ALL, NONE, 0, false, NULL},
    {"ANSWERED", IMAP_SEARCH_FLAG, NONE, IMAP_ANSWERED, false, NULL},
    {"BCC", IMAP_SEARCH_HEADER, STRING, 0, false, "Bcc"},
    {"BEFORE", IMAP_SEARCH_BEFORE, DATE, 0, false, NULL},
    {"BODY", IMAP_SEARCH_BODY, STRING, 0, false, NULL},
    {"CC", IMAP_SEARCH_HEADER, STRING, 0, false, "Cc"},
    {"DELETED", IMAP_SEARCH_FLAG, NONE, IMAP_DELETED, false, NULL},
    {"DRAFT", IMAP_SEARCH_FLAG, NONE, IMAP_DRAFT, false, NULL},
    {"EMAILID", IMAP_SEARCH_EMAIL_ID, ID, 0, false, NULL},
    {"FLAGGED", IMAP_SEARCH_FLAG, NONE, IMAP_FLAGGED, false, NULL},
    {"FROM", IMAP_SEARCH_HEADER, STRING, 0, false, "From"},
    {"LARGER", IMAP_SEARCH_LARGER, NUMBER, 0, false, NULL},
    {"OLD", IMAP_SEARCH_FLAG, NONE, IMAP_RECENT, true, NULL},
    {"OLDER", IMAP_SEARCH_OLDER, SECONDS, 0, false, NULL},
    {"ON", IMAP_SEARCH_ON, DATE, 0, false, NULL},
    {"RECENT", IMAP_SEARCH_FLAG, NONE, IMAP_RECENT, false, NULL},
    {"SAVEDATESUPPORTED", IMAP_SEARCH_SAVE_DATE_SUPPORTED, NONE, 0, false, NULL},
    {"SAVEDBEFORE", IMAP_SEARCH_SAVED_BEFORE, DATE, 0, false, NULL},
    {"SAVEDON", IMAP_SEARCH_SAVED_ON, DATE, 0, false, NULL},
    {"SAVEDSINCE", IMAP_SEARCH_SAVED_SINCE, DATE, 0, false, NULL},
    {"SEEN", IMAP_SEARCH_FLAG, NONE, IMAP_SEEN, false, NULL},
    {"SENTBEFORE", IMAP_SEARCH_SENT_BEFORE, DATE, 0, false, NULL},
    {"SENTON", IMAP_SEARCH_SENT_ON, DATE, 0, false, NULL},
    {"SENTSINCE", IMAP_SEARCH_SENT_SINCE, DATE, 0, false, NULL},
    {"SINCE", IMAP_SEARCH_SINCE, DATE, 0, false, NULL},
    {"SMALLER", IMAP_SEARCH_SMALLER, NUMBER, 0, false, NULL},
    {"SUBJECT", IMAP_SEARCH_HEADER, STRING, 0, false, "Subject"},
    {"TEXT", IMAP_SEARCH_TEXT, STRING, 0, false, NULL},
    {"THREADID", IMAP_SEARCH_THREAD_ID, ID, 0, false, NULL},
    {"TO", IMAP_SEARCH_HEADER, STRING, 0, false, "To"},
    {"UNANSWERED", IMAP_SEARCH_FLAG, NONE, IMAP_ANSWERED, true, NULL},
    {"UNDELETED", IMAP_SEARCH_FLAG, NONE, IMAP_DELETED, true, NULL},
    {"UNDRAFT", IMAP_SEARCH_FLAG, NONE, IMAP_DRAFT, true, NULL},
    {"UNFLAGGED", IMAP_SEARCH_FLAG, NONE, IMAP_FLAGGED, true, NULL},
    {"UNSEEN", IMAP_SEARCH_FLAG, NONE, IMAP_SEEN, true, NULL},
    {"YOUNGER", IMAP_SEARCH_YOUNGER, SECONDS, 0, false, NULL},
};

struct parse {
    struct imap_cursor *c;
    struct arena *a;
    size_t count;
    unsigned depth;
    bool modseq;
};

static int get_key(struct parse *p, struct imap_search **out);

static struct imap_search *node(struct parse *p, enum imap_search_key key)
{
    struct imap_search *s = ARENA_NEW(p->a, struct imap_search);
    s->key = key;
    return s;
}

static struct imap_search *wrap(struct parse *p, enum imap_search_key key, struct imap_search *kid)
{
    struct imap_search *s = node(p, key);
    s->kids = kid;
    return s;
}

/* search-key *(SP search-key), as one AND. */
static int get_keys(struct parse *p, struct imap_search **out)
{
    struct imap_search *all = node(p, IMAP_SEARCH_AND), **tail = &all->kids;
    do {
        if (get_key(p, tail) != 0)
            return -1;
        tail = &(*tail)->next;
    } while (imap_try(p->c, ' '));
    *out = all;
    return 0;
}

/* objectid = 1*255(ALPHA / DIGIT / "_" / "-") (RFC 8474 7). */
static int get_object_id(struct imap_cursor *c, struct str *s)
{
    if (imap_get_atom(c, s) != 0)
        return -1;
    bool good = s->n <= 255;
    for (size_t i = 0; i < s->n && good; i++) {
        char l = (char)(s->p[i] | 0x20);
        good = (l >= 'a' && l <= 'z') || (s->p[i] >= '0' && s->p[i] <= '9') || s->p[i] == '_' ||
               s->p[i] == '-';
    }
    return good ? 0 : imap_wrong(c, "Invalid object identifier");
}

static int get_seconds(struct imap_cursor *c, uint64_t *n)
{
    uint32_t seconds;
    if (imap_get_nz_number(c, &seconds) != 0) /* RFC 5032 5 */
        return -1;
    *n = seconds;
    return 0;
}

static int get_argument(struct parse *p, const struct key *k, struct imap_search *s)
{
    struct imap_cursor *c = p->c;
    if (k->argument == NONE)
        return 0;
    if (imap_get_space(c) != 0)
        return -1;
    switch (k->argument) {
    case STRING:
        return imap_get_astring(c, &s->text);
    case NUMBER:
        return imap_get_number64(c, &s->number);
    case SECONDS:
        return get_seconds(c, &s->number);
    case ID:
        return get_object_id(c, &s->text);
    default:
        return imap_get_date(c, &s->date);
    }
}

static int get_simple(struct parse *p, const struct key *k, struct imap_search **out)
{
    struct imap_search *s = node(p, k->key);
    s->number = k->flag;
    s->field = str_from(k->field);
    *out = k->negated ? wrap(p, IMAP_SEARCH_NOT, s) : s;
    return get_argument(p, k, s);
}

static int get_or(struct parse *p, struct imap_search **out)
{
    struct imap_search *s = *out = node(p, IMAP_SEARCH_OR);
    if (imap_get_space(p->c) != 0 || get_key(p, &s->kids) != 0 || imap_get_space(p->c) != 0)
        return -1;
    return get_key(p, &s->kids->next);
}

static int get_not(struct parse *p, struct imap_search **out)
{
    *out = node(p, IMAP_SEARCH_NOT);
    return imap_get_space(p->c) != 0 ? -1 : get_key(p, &(*out)->kids);
}

static int get_header(struct parse *p, struct imap_search **out)
{
    struct imap_search *s = *out = node(p, IMAP_SEARCH_HEADER);
    if (imap_get_space(p->c) != 0 || imap_get_astring(p->c, &s->field) != 0 ||
        imap_get_space(p->c) != 0)
        return -1;
    return imap_get_astring(p->c, &s->text);
}

static int get_keyword(struct parse *p, bool negated, struct imap_search **out)
{
    struct imap_search *s = node(p, IMAP_SEARCH_KEYWORD);
    *out = negated ? wrap(p, IMAP_SEARCH_NOT, s) : s;
    return imap_get_space(p->c) != 0 ? -1 : imap_get_atom(p->c, &s->text);
}

static int get_uid(struct parse *p, struct imap_search **out)
{
    *out = node(p, IMAP_SEARCH_UID);
    return imap_get_space(p->c) != 0 ? -1 : imap_get_set(p->c, p->a, &(*out)->set);
}

static int get_new(struct parse *p, struct imap_search **out)
{
    struct imap_search *recent = node(p, IMAP_SEARCH_FLAG), *seen = node(p, IMAP_SEARCH_FLAG);
    recent->number = IMAP_RECENT;
    seen->number = IMAP_SEEN;
    recent->next = wrap(p, IMAP_SEARCH_NOT, seen);
    *out = wrap(p, IMAP_SEARCH_AND, recent);
    return 0;
}

/* MODSEQ [entry-name SP entry-type-req SP] mod-sequence-valzer. Only the metadata of flags could be
 * named, and a server may take the mod-sequence of the whole message for it (RFC 7162 3.1.5). */
static int get_modseq(struct parse *p, struct imap_search **out)
{
    struct imap_cursor *c = p->c;
    struct str entry;
    *out = node(p, IMAP_SEARCH_MODSEQ);
    p->modseq = true;
    if (imap_get_space(c) != 0)
        return -1;
    if (imap_peek(c, '"')) {
        if (imap_get_string(c, &entry) != 0 || imap_get_space(c) != 0)
            return -1;
        if (!str_casestarts(entry, STR("/flags/")))
            return imap_wrong(c, "Unknown entry name");
        if (!imap_try_word(c, STR("priv")) && !imap_try_word(c, STR("shared")) &&
            !imap_try_word(c, STR("all")))
            return imap_wrong(c, "Unknown entry type");
        if (imap_get_space(c) != 0)
            return -1;
    }
    return imap_get_number64(c, &(*out)->number);
}

static int get_named(struct parse *p, struct imap_search **out)
{
    struct imap_cursor *c = p->c;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (imap_try_word(c, str_from(keys[i].name)))
            return get_simple(p, &keys[i], out);
    if (imap_try_word(c, STR("OR")))
        return get_or(p, out);
    if (imap_try_word(c, STR("NOT")))
        return get_not(p, out);
    if (imap_try_word(c, STR("HEADER")))
        return get_header(p, out);
    if (imap_try_word(c, STR("KEYWORD")))
        return get_keyword(p, false, out);
    if (imap_try_word(c, STR("UNKEYWORD")))
        return get_keyword(p, true, out);
    if (imap_try_word(c, STR("UID")))
        return get_uid(p, out);
    if (imap_try_word(c, STR("NEW")))
        return get_new(p, out);
    if (imap_try_word(c, STR("MODSEQ")))
        return get_modseq(p, out);
    return imap_wrong(c, imap_at_end(c) ? "Missing search key" : "Unknown search key");
}

static int get_key(struct parse *p, struct imap_search **out)
{
    struct imap_cursor *c = p->c;
    int r;
    if (++p->count > c->limits->items)
        return imap_wrong(c, "Too many search keys");
    if (p->depth >= c->limits->nesting)
        return imap_wrong(c, "Search nested too deeply");
    p->depth++;
    if (imap_try(c, '(')) {
        r = get_keys(p, out) == 0 ? imap_get_char(c, ')') : -1;
    } else if (c->p < c->end && (*c->p == '*' || *c->p == '$' || (*c->p >= '0' && *c->p <= '9'))) {
        *out = node(p, IMAP_SEARCH_SET);
        r = imap_get_set(c, p->a, &(*out)->set);
    } else {
        r = get_named(p, out);
    }
    p->depth--;
    return r;
}

int imap_get_search_keys(struct imap_cursor *c, struct arena *a, struct imap_search_command *search)
{
    struct parse p = {.c = c, .a = a};
    if (get_keys(&p, &search->root) != 0)
        return -1;
    search->modseq = p.modseq;
    return imap_get_end(c);
}
