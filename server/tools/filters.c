/* The tables of the configuration, read for what they ask. */
#include "tools/filters.h"

#include <errno.h>
#include <fcntl.h>

void tool_attr_add(struct arena *a, const char *list[TOOL_ATTRS_MAX + 1], struct str attr)
{
    size_t n = 0;
    for (; list[n]; n++)
        if (str_caseeq(str_from(list[n]), attr))
            return;
    if (n < TOOL_ATTRS_MAX && attr.n)
        list[n] = arena_strz(a, attr);
}

const char *tool_any_filter(struct arena *a, const char *const *list)
{
    AUTO_BUF b = {0};
    buf_str(&b, STR("(|"));
    for (; *list; list++)
        buf_printf(&b, "(%s=*)", *list);
    buf_str(&b, STR(")"));
    return arena_strz(a, buf_view(&b));
}

static bool is_attr_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == ';' || c == '.';
}

/* Where the attribute description that ends here begins. */
static size_t attr_start(struct str filter, size_t end)
{
    while (end > 0 && is_attr_byte(filter.p[end - 1]))
        end--;
    return end;
}

/* An extensible match is ATTR[:dn][:RULE]:=VALUE (RFC 4515 section 3): the attribute comes first. */
static size_t skip_rules(struct str filter, size_t end)
{
    for (;;) {
        size_t from = attr_start(filter, end);
        if (from == 0 || filter.p[from - 1] != ':')
            return end;
        end = from - 1;
    }
}

void tool_filter_walk(struct str filter, tool_filter_fn fn, void *arg)
{
    for (size_t i = 0; i < filter.n; i++) {
        if (filter.p[i] != '=')
            continue;
        size_t end = i, from, stop = i + 1;
        bool extensible = end > 0 && filter.p[end - 1] == ':';
        while (end > 0 && strchr("<>~:", filter.p[end - 1]))
            end--;
        if (extensible)
            end = skip_rules(filter, end);
        from = attr_start(filter, end);
        while (stop < filter.n && filter.p[stop] != ')')
            stop++;
        struct str value = {filter.p + i + 1, stop - i - 1};
        if (!extensible || str_find(value, '%') >= 0)
            fn(arg, (struct str){filter.p + from, end - from}, value);
        i = stop;
    }
}

struct keyed {
    struct arena *a;
    const char **one, **both;
};

static void note_keyed(void *arg, struct str attr, struct str value)
{
    struct keyed *k = arg;
    if (str_find(value, '%') < 0)
        return;
    tool_attr_add(k->a, k->one, attr);
    tool_attr_add(k->a, k->both, attr);
}

static int read_table(const char *path, const struct ldapmap_conn_settings *defaults,
                      struct ldapmap_table **out, struct err *e)
{
    AUTO_BUF text = {0};
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fd_read_all(fd, &text, LDAPMAP_FILE_MAX) != 0)
        return err_perm(e, "%s: %s", path, strerror(errno));
    int r = ldapmap_table_parse(buf_view(&text), str_from(path), defaults, out, e);
    mem_wipe(text.p, text.n);
    return r;
}

static int add_table(struct tool_tables *t, const char *option, struct str path,
                     const struct ldapmap_conn_settings *defaults, struct arena *a, struct err *e)
{
    bool alias = strcmp(option, "virtual_alias_maps") == 0;
    bool mailbox = strcmp(option, "virtual_mailbox_maps") == 0;
    struct keyed k = {a, alias ? t->aliases : t->mailboxes, t->addresses};
    if (t->n == TOOL_TABLES_MAX)
        return err_perm(e, "more than %d tables", TOOL_TABLES_MAX);
    struct tool_table *one = &t->v[t->n];
    if (read_table(arena_strz(a, path), defaults, &one->table, e) != 0)
        return -1;
    one->option = option;
    t->n++;
    if (alias || mailbox)
        tool_filter_walk(ldapmap_table_filter(one->table), note_keyed, &k);
    for (const char *const *attr = ldapmap_table_attrs(one->table); alias && *attr; attr++)
        tool_attr_add(a, t->targets, str_from(*attr));
    return 0;
}

int tool_tables_load(const struct config *cfg, const struct ldapmap_conn_settings *defaults,
                     struct arena *a, struct tool_tables *out, struct err *e)
{
    for (size_t i = 0; i < config_option_count; i++) {
        struct str rest = cfg->value[i], piece;
        if (strcmp(config_options[i].type, "MAP") != 0)
            continue;
        while (config_map_piece(&rest, &piece))
            if (str_starts(piece, STR("ldap:")) &&
                add_table(out, config_options[i].name, str_skip(piece, 5), defaults, a, e) != 0)
                return -1;
    }
    return 0;
}

void tool_tables_free(struct tool_tables *t)
{
    for (size_t i = 0; i < t->n; i++)
        ldapmap_table_free(t->v[i].table);
}
