/*
 * ldap_table(5) files: lines "name = value", continued by lines that begin with a blank, with
 * comment lines and empty lines anywhere between. The bytes belong to the caller; the table owns
 * all it keeps.
 */
#include "base/log.h"
#include "ldapmap/internal.h"

#include <limits.h>
#include <stdlib.h>

/* The names that are a table's own; those of the connection are in settings.c. The ignored ones are
 * read by Postfix and mean nothing here. */
enum own {
    OWN_QUERY_FILTER,
    OWN_RESULT_FORMAT,
    OWN_RESULT_FILTER,
    OWN_DOMAIN,
    OWN_RESULT,
    OWN_SPECIAL,
    OWN_TERMINAL,
    OWN_LEAF,
    OWN_RECURSION,
    OWN_EXPANSION,
    OWN_SIZE,
    OWN_IGNORED, /* and all that follow */
    OWN_COUNT = OWN_IGNORED + 5
};

static const char *const own_names[OWN_COUNT] = {
    "query_filter",
    "result_format",
    "result_filter",
    "domain",
    "result_attribute",
    "special_result_attribute",
    "terminal_result_attribute",
    "leaf_result_attribute",
    "recursion_limit",
    "expansion_limit",
    "size_limit",
    "cache",
    "cache_expiry",
    "cache_size",
    "sasl_realm",
    "sasl_minssf",
};

#define CONN_MAX 32

/* One setting as the file said it last. */
struct said {
    bool set;
    size_t line;
    struct str name, value;
};

struct reading {
    char *joined; /* continued lines put together; every view below looks in here */
    size_t room;
    struct said own[OWN_COUNT];
    struct said conn[CONN_MAX];
    struct str file;
};

static const char *any_name(size_t i)
{
    return i < OWN_IGNORED ? own_names[i] : ldapmap_conn_name(i - OWN_IGNORED);
}

static int at_line(const struct reading *r, size_t line, struct err *e)
{
    struct str file = str_head(r->file, 200);
    return line == 0 ? err_prefix(e, "%.*s", STR_FMT(file))
                     : err_prefix(e, "%.*s: line %zu", STR_FMT(file), line);
}

static struct said *find_said(struct reading *r, struct str name)
{
    for (size_t i = 0; i < OWN_COUNT; i++)
        if (str_eq(name, str_from(own_names[i])))
            return &r->own[i];
    for (size_t i = 0; i < CONN_MAX && ldapmap_conn_name(i) != NULL; i++)
        if (str_eq(name, str_from(ldapmap_conn_name(i))))
            return &r->conn[i];
    return NULL;
}

/* One logical line: NAME, "=", value. */
static int take_setting(struct reading *r, struct str text, size_t line, struct err *e)
{
    size_t n = 0;
    while (n < text.n && text.p[n] != '=' && text.p[n] != ' ' && text.p[n] != '\t')
        n++;
    struct str name = str_head(text, n);
    struct str rest = str_trim(str_skip(text, n));
    if (n == 0 || rest.n == 0 || rest.p[0] != '=') {
        err_perm(e, "\"name = value\" is needed, not \"%.*s\"", STR_FMT(str_head(text, 64)));
        return at_line(r, line, e);
    }
    struct said *s = find_said(r, name);
    if (s == NULL) {
        struct str near = ldapmap_nearest(name, any_name);
        err_perm(e, "unknown name \"%.*s\" (did you mean %.*s?)", STR_FMT(str_head(name, 64)),
                 STR_FMT(near));
        return at_line(r, line, e);
    }
    if (s->set)
        log_warning("ldap_table_twice", LS("file", r->file), LN("line", line), LS("name", name));
    *s = (struct said){
        .set = true, .line = line, .name = name, .value = str_trim(str_skip(rest, 1))};
    return 0;
}

static bool is_void(struct str line)
{
    struct str s = str_trim(line);
    return s.n == 0 || s.p[0] == '#';
}

static int read_lines(struct reading *r, struct str text, struct err *e)
{
    struct str line;
    size_t number = 0, started = 0, end = 0, begin = 0;
    while (str_line(&text, &line)) {
        number++;
        if (is_void(line))
            continue;
        bool continues = line.p[0] == ' ' || line.p[0] == '\t';
        if (continues && started == 0) {
            err_perm(e, "a continued line with nothing before it");
            return at_line(r, number, e);
        }
        if (!continues) {
            struct str logical = {r->joined + begin, end - begin};
            if (started != 0 && take_setting(r, logical, started, e) < 0)
                return -1;
            begin = end;
            started = number;
        }
        memcpy(r->joined + end, line.p, line.n);
        end += line.n;
    }
    struct str logical = {r->joined + begin, end - begin};
    return started == 0 ? 0 : take_setting(r, logical, started, e);
}

static int settle_connection(struct reading *r, struct ldapmap_table *t, bool had_defaults,
                             struct err *e)
{
    const struct said *host = find_said(r, STR("server_host"));
    const struct said *port = find_said(r, STR("server_port"));
    if (port->set) {
        if (ldapmap_conn_set(&t->conn, t->arena, port->name, port->value, e) < 0)
            return at_line(r, port->line, e);
        if (!host->set && had_defaults) {
            err_perm(e, "server_port without server_host");
            return at_line(r, port->line, e);
        }
        if (!host->set)
            ldapmap_conn_set(&t->conn, t->arena, STR("server_host"), STR("localhost"), NULL);
    }
    for (size_t i = 0; i < CONN_MAX; i++) {
        const struct said *s = &r->conn[i];
        if (s->set && s != port && ldapmap_conn_set(&t->conn, t->arena, s->name, s->value, e) < 0)
            return at_line(r, s->line, e);
    }
    const struct said *base = find_said(r, STR("search_base"));
    if (!base->set && t->conn.search_base.p == NULL)
        return err_perm(e, "%.*s: search_base is not set, neither here nor before",
                        STR_FMT(str_head(r->file, 200)));
    return 0;
}

/* A filter that cannot be right would make each lookup fail (RFC 4515, section 3: a literal
 * parenthesis in a value is written as an escape, so they must balance). */
static int check_filter(struct str filter, struct err *e)
{
    size_t depth = 0;
    if (str_trim(filter).n == 0)
        return err_perm(e, "query_filter: a filter is needed");
    for (size_t i = 0; i < filter.n; i++) {
        if (filter.p[i] == '(') {
            depth++;
        } else if (filter.p[i] == ')' && depth-- == 0) {
            return err_perm(e, "query_filter: a \")\" too many");
        }
    }
    return depth == 0 ? 0 : err_perm(e, "query_filter: a \")\" is missing");
}

static int check_template(struct reading *r, enum own what, struct ldapmap_table *t,
                          struct str text, bool *dynamic, struct err *e)
{
    const struct said *s = &r->own[what];
    bool is_result = what != OWN_QUERY_FILTER;
    if (ldapmap_template_check(str_from(own_names[what]), text, is_result, &t->parts, dynamic, e) <
        0)
        return at_line(r, s->line, e);
    return 0;
}

static int settle_templates(struct reading *r, struct ldapmap_table *t, struct err *e)
{
    bool dynamic;
    const struct said *base = find_said(r, STR("search_base"));
    if (ldapmap_template_check(STR("search_base"), t->conn.search_base, false, &t->parts,
                               &t->dynamic_base, e) < 0)
        return at_line(r, base->line, e);
    const struct said *filter = &r->own[OWN_QUERY_FILTER];
    t->query_filter =
        arena_str(t->arena, filter->set ? filter->value : STR("(mailacceptinggeneralid=%s)"));
    if (check_filter(t->query_filter, e) < 0)
        return at_line(r, filter->line, e);
    if (check_template(r, OWN_QUERY_FILTER, t, t->query_filter, &dynamic, e) < 0)
        return -1;
    if (!dynamic)
        log_warning("ldap_table_fixed_filter", LS("file", r->file), LS("filter", t->query_filter));
    /* Postfix takes an empty result_format for one that is not set. */
    enum own format = r->own[OWN_RESULT_FORMAT].value.n > 0 ? OWN_RESULT_FORMAT : OWN_RESULT_FILTER;
    t->result_format = arena_str(t->arena, r->own[format].set ? r->own[format].value : STR("%s"));
    if (format == OWN_RESULT_FILTER && t->result_format.n == 0) {
        err_perm(e, "result_filter: a format is needed");
        return at_line(r, r->own[format].line, e);
    }
    return check_template(r, format, t, t->result_format, &dynamic, e);
}

static int settle_domains(struct reading *r, struct ldapmap_table *t, struct err *e)
{
    const struct said *s = &r->own[OWN_DOMAIN];
    struct str rest = s->value, word;
    if (!s->set || rest.n == 0)
        return 0;
    t->domains = arena_array(t->arena, rest.n, sizeof(*t->domains));
    t->has_domains = true;
    while (str_token(&rest, ", \t\r\n", &word)) {
        struct ldapmap_domain *d = &t->domains[t->domain_count++];
        while (word.n > 0 && word.p[0] == '!') {
            d->negated = !d->negated;
            word = str_skip(word, 1);
        }
        d->any = str_starts(word, STR("static:"));
        if (!d->any && (str_find(word, '/') == 0 || str_find(word, ':') >= 0)) {
            err_perm(e,
                     "domain: \"%.*s\": only names and static: are read here, no files or tables",
                     STR_FMT(str_head(word, 100)));
            return at_line(r, s->line, e);
        }
        d->name = ldapmap_key_fold(t->arena, word);
    }
    return 0;
}

/* An attribute description goes into a search as it is: RFC 4512, section 2.5. */
static bool is_attribute(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != ';' && c != '.' && c != '_')
            return false;
    }
    return true;
}

static int add_attributes(struct reading *r, struct ldapmap_table *t, enum own what,
                          const char *standard, struct err *e)
{
    const struct said *s = &r->own[what];
    struct str rest = s->set ? s->value : str_from(standard), word;
    while (str_token(&rest, ", \t\r\n", &word)) {
        if (!is_attribute(word)) {
            err_perm(e, "%s: \"%.*s\" is no attribute name", own_names[what],
                     STR_FMT(str_head(word, 64)));
            return at_line(r, s->line, e);
        }
        t->attrs[t->attr_count++] = arena_strz(t->arena, word);
    }
    return 0;
}

/* The order says what an attribute is; the first place where it stands wins. */
static int settle_attributes(struct reading *r, struct ldapmap_table *t, struct err *e)
{
    size_t room = 2 + r->own[OWN_TERMINAL].value.n + r->own[OWN_LEAF].value.n +
                  r->own[OWN_RESULT].value.n + r->own[OWN_SPECIAL].value.n;
    t->attrs = arena_array(t->arena, room, sizeof(*t->attrs));
    if (add_attributes(r, t, OWN_TERMINAL, "", e) < 0)
        return -1;
    t->terminal_end = t->attr_count;
    if (add_attributes(r, t, OWN_LEAF, "", e) < 0)
        return -1;
    t->leaf_end = t->attr_count;
    if (add_attributes(r, t, OWN_RESULT, "maildrop", e) < 0)
        return -1;
    t->ordinary_end = t->attr_count;
    return add_attributes(r, t, OWN_SPECIAL, "", e);
}

static int settle_limit(struct reading *r, enum own what, uint32_t min, uint32_t *limit,
                        struct err *e)
{
    const struct said *s = &r->own[what];
    if (s->set && ldapmap_number(s->name, s->value, min, INT_MAX, limit, e) < 0)
        return at_line(r, s->line, e);
    return 0;
}

static int settle_limits(struct reading *r, struct ldapmap_table *t, struct err *e)
{
    t->recursion_limit = 1000;
    if (settle_limit(r, OWN_RECURSION, 1, &t->recursion_limit, e) < 0 ||
        settle_limit(r, OWN_EXPANSION, 0, &t->expansion_limit, e) < 0)
        return -1;
    t->size_limit = t->expansion_limit;
    return settle_limit(r, OWN_SIZE, 0, &t->size_limit, e);
}

static void warn_ignored(const struct reading *r)
{
    for (size_t i = OWN_IGNORED; i < OWN_COUNT; i++)
        if (r->own[i].set)
            log_warning("ldap_table_ignored", LS("file", r->file), LN("line", r->own[i].line),
                        LZ("name", own_names[i]));
}

static int settle(struct reading *r, struct ldapmap_table *t,
                  const struct ldapmap_conn_settings *defaults, struct err *e)
{
    if (defaults == NULL)
        ldapmap_conn_init(&t->conn, t->arena);
    else if (ldapmap_conn_copy(&t->conn, t->arena, defaults, e) < 0)
        return -1;
    if (settle_connection(r, t, defaults != NULL, e) < 0 || settle_templates(r, t, e) < 0 ||
        settle_domains(r, t, e) < 0 || settle_attributes(r, t, e) < 0 || settle_limits(r, t, e) < 0)
        return -1;
    warn_ignored(r);
    return 0;
}

int ldapmap_table_parse(struct str text, struct str name,
                        const struct ldapmap_conn_settings *defaults, struct ldapmap_table **out,
                        struct err *e)
{
    *out = NULL;
    if (text.n > LDAPMAP_FILE_MAX)
        return err_perm(e, "%.*s: larger than %zu bytes", STR_FMT(str_head(name, 200)),
                        LDAPMAP_FILE_MAX);
    if (text.n > 0 && memchr(text.p, '\0', text.n) != NULL)
        return err_perm(e, "%.*s: a NUL byte in the file", STR_FMT(str_head(name, 200)));
    struct ldapmap_table *t = MEM_NEW(struct ldapmap_table);
    t->arena = arena_new(2048);
    t->name = arena_str(t->arena, name);
    struct reading *r = MEM_NEW(struct reading);
    r->file = t->name;
    r->room = text.n + 1;
    r->joined = mem_alloc(r->room);
    int rc = read_lines(r, text, e);
    if (rc == 0)
        rc = settle(r, t, defaults, e);
    mem_wipe(r->joined, r->room); /* bind_pw may be in it */
    free(r->joined);
    free(r);
    if (rc < 0) {
        ldapmap_table_free(t);
        return -1;
    }
    *out = t;
    return 0;
}

void ldapmap_table_free(struct ldapmap_table *t)
{
    if (t == NULL)
        return;
    ldapmap_conn_wipe(&t->conn);
    arena_free(t->arena);
    free(t);
}

const struct ldapmap_conn_settings *ldapmap_table_conn(const struct ldapmap_table *t)
{
    return &t->conn;
}

const char *const *ldapmap_table_attrs(const struct ldapmap_table *t)
{
    return t->attrs;
}

bool ldapmap_table_shares(const struct ldapmap_table *a, const struct ldapmap_table *b)
{
    return str_eq(a->query_filter, b->query_filter) && a->conn.scope == b->conn.scope &&
           str_eq(a->conn.search_base, b->conn.search_base) &&
           ldapmap_conn_same(&a->conn, &b->conn);
}

/* The filter with "=%s" for each "=*@%s"; empty when it has none, or more that the key decides. */
static struct str filter_for_addresses(struct buf *out, struct str filter)
{
    static const struct str any = {"=*@%s", 5};
    bool found = false;
    while (filter.n) {
        bool here = str_starts(filter, any);
        if (!here && (filter.p[0] == '%' || filter.p[0] == '!'))
            return (struct str){0};
        buf_str(out, here ? STR("=%s") : str_head(filter, 1));
        filter = str_skip(filter, here ? any.n : 1);
        found = found || here;
    }
    return found ? buf_view(out) : (struct str){0};
}

bool ldapmap_table_implies(const struct ldapmap_table *addresses,
                           const struct ldapmap_table *domains)
{
    AUTO_BUF out = {0};
    struct str filter = filter_for_addresses(&out, domains->query_filter);
    return filter.n && str_eq(filter, addresses->query_filter) && !domains->has_domains &&
           !domains->dynamic_base && !addresses->dynamic_base && domains->parts.labels == 0 &&
           !(domains->parts.need & (PART_KEY_DOMAIN | PART_KEY_USER)) &&
           addresses->conn.scope == domains->conn.scope &&
           addresses->conn.dereference == domains->conn.dereference &&
           str_eq(addresses->conn.search_base, domains->conn.search_base) &&
           ldapmap_conn_same(&addresses->conn, &domains->conn);
}

struct str ldapmap_table_filter(const struct ldapmap_table *t)
{
    return t->query_filter;
}
