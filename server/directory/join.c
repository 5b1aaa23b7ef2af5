/* Several searches as one. */
#include "directory/join.h"
#include "base/clock.h"
#include "directory/trace.h"

#include <stdlib.h>

#define PARTS_MAX 8

enum match { MATCH_NO, MATCH_YES, MATCH_DOUBT };

struct part {
    struct join *join;
    struct searcher *searcher;
    struct ldapmap_search search;
    unsigned flags;
    struct str label, key;
    search_fn fn;
    void *arg;
    struct str attr, value; /* of a plain filter; empty: it is another one */
    bool joined, in_doubt;
    struct ldapmap_entry *entries;
    size_t count;
};

struct join {
    struct dirset *set;
    struct arena *arena;
    bool sent;
    struct part parts[PARTS_MAX];
    size_t n;
    struct ldapmap_search search; /* of all that are joined */
    int64_t began;
};

struct join *join_new(struct dirset *set, struct arena *a)
{
    struct join *j = ARENA_NEW(a, struct join);
    *j = (struct join){.set = set, .arena = a};
    return j;
}

/* --- plain filters --- */

/* RFC 4515 section 3. False: a presence or substring filter, or a damaged one. */
static bool unescape(struct arena *a, struct str text, struct str *out)
{
    char *to = arena_alloc(a, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '*' || c == '(' || c == ')')
            return false;
        if (c == '\\') {
            int octet = str_hex_octet(str_skip(text, i + 1));
            if (octet < 0)
                return false;
            c = (char)octet;
            i += 2;
        }
        to[n++] = c;
    }
    *out = (struct str){to, n};
    return n > 0;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = (char)(s.p[i] | 0x20);
        if (!(c >= 'a' && c <= 'z') && !(i > 0 && (s.p[i] == '-' || str_hex_digit(s.p[i]) >= 0)))
            return false;
    }
    return s.n > 0;
}

/* ATTRIBUTE=VALUE, in parentheses or not: 0. */
static int split_filter(struct str filter, struct str *attr, struct str *value)
{
    if (filter.n > 1 && filter.p[0] == '(' && filter.p[filter.n - 1] == ')')
        filter = (struct str){filter.p + 1, filter.n - 2};
    ptrdiff_t eq = str_find(filter, '=');
    if (eq <= 0 || !is_name(str_head(filter, (size_t)eq)))
        return -1;
    *attr = str_head(filter, (size_t)eq);
    *value = str_skip(filter, (size_t)eq + 1);
    return 0;
}

bool join_fits(const struct ldapmap_table *x, const struct ldapmap_table *y)
{
    const struct ldapmap_conn_settings *a = ldapmap_table_conn(x), *b = ldapmap_table_conn(y);
    struct str attr, value;
    return split_filter(ldapmap_table_filter(x), &attr, &value) == 0 && str_eq(value, STR("%s")) &&
           split_filter(ldapmap_table_filter(y), &attr, &value) == 0 && str_eq(value, STR("%s")) &&
           ldapmap_conn_same(a, b) && str_eq(a->search_base, b->search_base) &&
           a->scope == b->scope && a->dereference == b->dereference;
}

/* --- whose an entry is --- */

/* What a matching rule might take for the same: blanks and case are dropped. False: letters beyond
 * ASCII, which rules compare in ways of their own. */
static bool bare(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c > '~')
            return false;
        if (c != ' ')
            buf_byte(out, (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c));
    }
    return true;
}

static enum match value_match(struct str have, struct str wanted)
{
    AUTO_BUF x = {0};
    AUTO_BUF y = {0};
    if (str_eq(have, wanted))
        return MATCH_YES;
    if (!bare(&x, have) || !bare(&y, wanted) || str_eq(buf_view(&x), buf_view(&y)))
        return MATCH_DOUBT;
    return MATCH_NO;
}

static enum match part_match(const struct part *p, const struct ldapmap_entry *entry)
{
    enum match all = MATCH_NO;
    for (size_t i = 0; i < entry->count; i++) {
        const struct ldapmap_attr *attr = &entry->attrs[i];
        for (size_t k = 0; str_caseeq(attr->name, p->attr) && k < attr->count; k++) {
            enum match m = value_match(attr->values[k], p->value);
            if (m == MATCH_YES)
                return m;
            all = m == MATCH_DOUBT ? m : all;
        }
    }
    /* Not there, or not for our eyes: it may have matched all the same. */
    return ldapmap_entry_attr(entry, arena_strz(p->join->arena, p->attr)) ? all : MATCH_DOUBT;
}

/* Attributes with options, or under other names than were asked for, match without being seen. */
static bool has_strange_attrs(const struct join *j, const struct ldapmap_entry *entry)
{
    for (size_t i = 0; i < entry->count; i++) {
        const char *const *name = j->search.attrs;
        while (*name && !str_caseeq(entry->attrs[i].name, str_from(*name)))
            name++;
        if (!*name && !picture_is_stamp(entry->attrs[i].name))
            return true;
    }
    return false;
}

static void give(struct part *p, size_t room, const struct ldapmap_entry *entry)
{
    if (!p->entries)
        p->entries = arena_array(p->join->arena, room, sizeof *p->entries);
    p->entries[p->count++] = *entry;
}

/* An entry that came must be somebody's: with a single doubt, there is none. */
static void sort_entry(struct join *j, const struct ldapmap_entry *entry, size_t room)
{
    bool strange = has_strange_attrs(j, entry);
    size_t yes = 0, doubts = 0;
    enum match m[PARTS_MAX];
    for (size_t i = 0; i < j->n; i++) {
        m[i] = strange ? MATCH_DOUBT : part_match(&j->parts[i], entry);
        yes += j->parts[i].joined && m[i] == MATCH_YES;
        doubts += j->parts[i].joined && m[i] == MATCH_DOUBT;
    }
    for (size_t i = 0; i < j->n; i++) {
        struct part *p = &j->parts[i];
        if (!p->joined)
            continue;
        if (m[i] == MATCH_YES || (m[i] == MATCH_DOUBT && yes == 0 && doubts == 1))
            give(p, room, entry);
        else if (m[i] == MATCH_DOUBT || yes + doubts == 0)
            p->in_doubt = true;
    }
}

/* --- the answer --- */

static void ask_alone(struct join *j, struct part *p)
{
    picture_search(j->set->picture, p->searcher, j->arena, &p->search, p->flags, p->fn, p->arg);
}

/* Words, each once: a map may have been asked for several keys. */
static void add_words(struct buf *words, struct str more)
{
    struct str word, have;
    while (str_token(&more, " ", &word)) {
        struct str rest = buf_view(words);
        bool is_there = false;
        while (!is_there && str_token(&rest, " ", &have))
            is_there = str_eq(have, word);
        if (!is_there)
            buf_printf(words, "%s%.*s", words->n ? " " : "", STR_FMT(word));
    }
}

static void trace_joined(const struct join *j, const struct search_result *r)
{
    AUTO_BUF label = {0};
    struct str key = {0};
    for (size_t i = 0; i < j->n; i++) {
        const struct part *p = &j->parts[i];
        if (!p->joined)
            continue;
        key = key.n ? key : p->key;
        add_words(&label, p->label);
    }
    trace_search(j->set->trace, buf_view(&label), key, &j->search, r, j->began);
}

/* Nobody answers, or nobody has time: asking again, in pieces, would not help. */
static bool is_unreachable(int code)
{
    return code < 0 || code == LDAP_TIMELIMIT_EXCEEDED || code == LDAP_BUSY ||
           code == LDAP_UNAVAILABLE;
}

/* The arena may end with the last part that is told. */
static void on_joined(void *arg, const struct search_result *r)
{
    struct join *j = arg;
    size_t last = 0;
    if (j->set->trace)
        trace_joined(j, r);
    for (size_t i = 0; r->code == LDAP_SUCCESS && i < r->count; i++)
        sort_entry(j, &r->entries[i], r->count);
    for (size_t i = 0; i < j->n; i++) {
        struct part *p = &j->parts[i];
        p->in_doubt = p->in_doubt || (r->code != LDAP_SUCCESS && !is_unreachable(r->code));
        if (p->joined && p->in_doubt)
            ask_alone(j, p);
        else if (p->joined)
            last = i + 1;
    }
    struct search_result one = *r;
    one.told = true;
    for (size_t i = 0; i < last; i++) {
        struct part *p = &j->parts[i];
        if (!p->joined || p->in_doubt)
            continue;
        one.entries = p->entries;
        one.count = p->count;
        p->fn(p->arg, &one);
    }
}

/* --- the question --- */

bool join_add(struct join *j, struct searcher *s, const struct ldapmap_search *what, unsigned flags,
              struct str label, struct str key, search_fn fn, void *arg)
{
    if (j->sent || j->n == PARTS_MAX)
        return false;
    struct part *p = &j->parts[j->n++];
    *p = (struct part){.join = j, .searcher = s, .search = *what, .flags = flags, .label = label,
                       .key = key, .fn = fn, .arg = arg};
    if (split_filter(str_from(what->filter), &p->attr, &p->value) != 0 ||
        !unescape(j->arena, p->value, &p->value))
        p->attr = (struct str){0};
    return true;
}

static bool goes_with(const struct part *p, const struct part *leader)
{
    return p->attr.n && p->searcher == leader->searcher && p->flags == leader->flags &&
           strcmp(p->search.base, leader->search.base) == 0 &&
           p->search.scope == leader->search.scope && p->search.deref == leader->search.deref &&
           p->search.timelimit == leader->search.timelimit;
}

static size_t choose(struct join *j)
{
    const struct part *leader = NULL;
    size_t joined = 0;
    for (size_t i = 0; i < j->n; i++) {
        struct part *p = &j->parts[i];
        leader = leader ? leader : p->attr.n ? p : NULL;
        p->joined = leader && goes_with(p, leader);
        joined += p->joined;
    }
    return joined;
}

static size_t add_attr(const char **out, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (str_caseeq(str_from(out[i]), str_from(name)))
            return n;
    out[n] = name;
    return n + 1;
}

static size_t attr_count(const char *const *attrs)
{
    size_t n = 0;
    while (attrs[n])
        n++;
    return n;
}

/* Those of all parts, and those that the filters compare. */
static const char *const *joined_attrs(const struct join *j)
{
    size_t room = 1, n = 0;
    for (size_t i = 0; i < j->n; i++)
        room += 1 + attr_count(j->parts[i].search.attrs);
    const char **out = arena_array(j->arena, room, sizeof *out);
    for (size_t i = 0; i < j->n; i++) {
        const struct part *p = &j->parts[i];
        if (!p->joined)
            continue;
        for (const char *const *name = p->search.attrs; *name; name++)
            if (strcmp(*name, LDAP_NO_ATTRS) != 0)
                n = add_attr(out, n, *name);
        n = add_attr(out, n, arena_strz(j->arena, p->attr));
    }
    out[n] = NULL;
    return out;
}

/* Room for the entries of each part; each checks its own limit again. */
static int joined_limit(const struct join *j)
{
    int64_t sum = 0;
    for (size_t i = 0; i < j->n; i++) {
        if (!j->parts[i].joined)
            continue;
        if (j->parts[i].search.sizelimit == 0)
            return 0;
        sum += j->parts[i].search.sizelimit;
    }
    return sum > INT32_MAX ? 0 : (int)sum;
}

static void make_search(struct join *j)
{
    AUTO_BUF filter = {0};
    buf_str(&filter, STR("(|"));
    for (size_t i = 0; i < j->n; i++) {
        const struct part *p = &j->parts[i];
        bool wrapped = p->search.filter[0] == '(';
        if (!p->joined)
            continue;
        j->search = p->search;
        buf_printf(&filter, "%s%s%s", wrapped ? "" : "(", p->search.filter, wrapped ? "" : ")");
    }
    buf_byte(&filter, ')');
    j->search.filter = arena_strz(j->arena, buf_view(&filter));
    j->search.attrs = joined_attrs(j);
    j->search.sizelimit = joined_limit(j);
}

void join_send(struct join *j)
{
    struct part *one = NULL;
    size_t joined = choose(j);
    j->sent = true;
    for (size_t i = 0; i < j->n; i++) {
        struct part *p = &j->parts[i];
        if (p->joined && joined > 1)
            one = p;
        else
            ask_alone(j, p);
    }
    if (!one)
        return;
    make_search(j);
    j->began = j->set->trace ? clock_real_us() : 0;
    picture_search(j->set->picture, one->searcher, j->arena, &j->search, one->flags, on_joined, j);
}
