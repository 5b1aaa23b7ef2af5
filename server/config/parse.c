/*
 * facteur.conf: lines of "name = value", continued by lines that start with a blank, comments from
 * # at the start of a line; $name, ${name} and $(name) stand for another option's value, $$ for $.
 */
#include "config/config.h"
#include "config/rules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_LIMIT (1024 * 1024)
#define VALUE_LIMIT 65536
#define EXPANSION_DEPTH 16

struct parser {
    struct config *c;
    const char *file, *dir;
    struct err *e;
};

static size_t number_of(const struct config_option *o)
{
    return (size_t)(o - config_options);
}

static int fail_at(struct parser *p, const struct config_option *o, const char *what)
{
    unsigned line = p->c->line[number_of(o)];
    if (line == 0)
        return err_perm(p->e, "%s: %s (default): %s", p->file, o->name, what);
    return err_perm(p->e, "%s:%u: %s: %s", p->file, line, o->name, what);
}

/* --- lines --- */

static int take_setting(struct parser *p, struct str text, unsigned line)
{
    ptrdiff_t eq = str_find(text, '=');
    struct str name = str_trim(eq < 0 ? text : str_head(text, (size_t)eq));
    if (eq < 0 || name.n == 0)
        return err_perm(p->e, "%s:%u: expected \"name = value\"", p->file, line);
    const struct config_option *o = config_find(name);
    if (!o)
        return err_perm(p->e, "%s:%u: unknown option \"%.*s\"; did you mean \"%s\"?", p->file, line,
                        STR_FMT(str_head(name, 100)), config_nearest(name)->name);
    p->c->source[number_of(o)] = arena_str(p->c->arena, str_trim(str_skip(text, (size_t)eq + 1)));
    p->c->line[number_of(o)] = line;
    return 0;
}

static bool is_continuation(struct str line)
{
    return line.n && (line.p[0] == ' ' || line.p[0] == '\t') && str_trim(line).n;
}

static bool is_nothing(struct str line)
{
    struct str t = str_trim(line);
    return t.n == 0 || t.p[0] == '#';
}

static int take_lines(struct parser *p, struct str text)
{
    AUTO_BUF setting = BUF_MAX(VALUE_LIMIT);
    struct str line;
    unsigned number = 0, start = 0;
    while (str_line(&text, &line)) {
        number++;
        if (is_nothing(line))
            continue;
        bool more = is_continuation(line);
        if (more && start == 0)
            return err_perm(p->e, "%s:%u: a continuation line with nothing before it", p->file, number);
        if (!more) {
            if (start && take_setting(p, buf_view(&setting), start) != 0)
                return -1;
            buf_clear(&setting);
            start = number;
        }
        if ((more && buf_byte(&setting, ' ') != 0) || buf_str(&setting, str_trim(line)) != 0)
            return err_perm(p->e, "%s:%u: value longer than %d bytes", p->file, start, VALUE_LIMIT);
    }
    return start ? take_setting(p, buf_view(&setting), start) : 0;
}

/* --- $name --- */

static int expand(struct parser *p, const struct config_option *o, struct str text, struct buf *out,
                  unsigned depth);

static struct str source_of(struct parser *p, const struct config_option *o)
{
    struct str given = p->c->source[number_of(o)];
    return given.p ? given : str_from(o->def);
}

static bool name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* *rest stands behind a '$': takes the name of the reference. */
static struct str take_reference(struct str *rest)
{
    char close = 0;
    if (rest->n && (rest->p[0] == '{' || rest->p[0] == '(')) {
        close = rest->p[0] == '{' ? '}' : ')';
        *rest = str_skip(*rest, 1);
    }
    size_t n = 0;
    while (n < rest->n && name_byte(rest->p[n]))
        n++;
    struct str name = str_head(*rest, n);
    *rest = str_skip(*rest, n);
    if (close && (rest->n == 0 || rest->p[0] != close))
        return (struct str){NULL, 0};
    if (close)
        *rest = str_skip(*rest, 1);
    return name;
}

static int expand_reference(struct parser *p, const struct config_option *o, struct str *rest,
                            struct buf *out, unsigned depth)
{
    if (rest->n && rest->p[0] == '$') {
        *rest = str_skip(*rest, 1);
        return buf_byte(out, '$');
    }
    struct str name = take_reference(rest);
    const struct config_option *other = config_find(name);
    if (!other) {
        char text[128];
        snprintf(text, sizeof text, "\"$%.*s\" is no option", (int)(name.n < 64 ? name.n : 64),
                 name.n ? name.p : "");
        return fail_at(p, o, text);
    }
    return expand(p, o, source_of(p, other), out, depth + 1);
}

static int expand(struct parser *p, const struct config_option *o, struct str text, struct buf *out,
                  unsigned depth)
{
    if (depth > EXPANSION_DEPTH)
        return fail_at(p, o, "its $names lead in a circle");
    while (text.n) {
        ptrdiff_t dollar = str_find(text, '$');
        size_t plain = dollar < 0 ? text.n : (size_t)dollar;
        if (buf_str(out, str_head(text, plain)) != 0)
            return fail_at(p, o, "value too long");
        text = str_skip(text, dollar < 0 ? plain : plain + 1);
        if (dollar >= 0 && expand_reference(p, o, &text, out, depth) != 0)
            return p->e && p->e->kind ? -1 : fail_at(p, o, "value too long");
    }
    return 0;
}

/* --- typed values --- */

static int parse_BOOL(struct parser *p, const struct config_option *o, struct str v, bool *out)
{
    if (!str_eq(v, STR("yes")) && !str_eq(v, STR("no")))
        return fail_at(p, o, "must be yes or no");
    *out = str_eq(v, STR("yes"));
    if ((uint64_t)*out < o->min)
        return fail_at(p, o, "only yes is possible here");
    return 0;
}

/* Which of these letters stands behind a number, or -1. */
static ptrdiff_t unit_of(struct str v, const char *units)
{
    return v.n > 1 ? str_find(str_from(units), (char)(v.p[v.n - 1] | 0x20)) : -1;
}

/* A number with a unit letter from units ("kmg"), each worth factors[i]; no letter: factor. */
static int parse_units(struct parser *p, const struct config_option *o, struct str v, const char *units,
                       const uint64_t *factors, uint64_t factor, uint64_t *out)
{
    uint64_t n;
    ptrdiff_t unit = unit_of(v, units);
    if (unit >= 0) {
        factor = factors[unit];
        v.n--;
    }
    if (str_u64(v, &n) != 0 || __builtin_mul_overflow(n, factor, &n))
        return fail_at(p, o, v.n ? "is not a number" : "needs a value");
    if (n < o->min || n > o->max) {
        char text[96];
        snprintf(text, sizeof text, "must lie between %llu and %llu%s", (unsigned long long)o->min,
                 (unsigned long long)o->max, *units == 's' ? " seconds" : *units == 'k' ? " bytes" : "");
        return fail_at(p, o, text);
    }
    *out = n;
    return 0;
}

static int parse_INT(struct parser *p, const struct config_option *o, struct str v, int64_t *out)
{
    uint64_t n;
    if (parse_units(p, o, v, "", NULL, 1, &n) != 0)
        return -1;
    *out = (int64_t)n;
    return 0;
}

static int parse_SIZE(struct parser *p, const struct config_option *o, struct str v, uint64_t *out)
{
    static const uint64_t factors[] = {1024, 1024 * 1024, 1024 * 1024 * 1024};
    return parse_units(p, o, v, "kmg", factors, 1, out);
}

/* Without a unit a time has that of its default, as in Postfix: "maximal_queue_lifetime = 5" are days. */
static int parse_TIME(struct parser *p, const struct config_option *o, struct str v, int64_t *out)
{
    static const char units[] = "smhdw";
    static const uint64_t factors[] = {1, 60, 3600, 86400, 604800};
    uint64_t n;
    ptrdiff_t usual = unit_of(str_from(o->def), units);
    if (parse_units(p, o, v, units, factors, factors[usual < 0 ? 0 : usual], &n) != 0)
        return -1;
    *out = (int64_t)n;
    return 0;
}

/* Which of the choices it is, or -1. */
static int choice_of(struct str choices, struct str v)
{
    struct str choice;
    for (int i = 0; str_token(&choices, " ", &choice); i++)
        if (str_caseeq(choice, v))
            return i;
    return -1;
}

/* The choices are "all" and two parts, as inet_protocols has them: Postfix takes a list, and both parts are all. */
static int choice_of_parts(struct str choices, struct str v)
{
    struct str word;
    int found = -1;
    while (str_token(&v, ", \t", &word)) {
        int i = choice_of(choices, word);
        if (i < 0)
            return -1;
        found = found < 0 || found == i ? i : 0;
    }
    return found;
}

static int parse_ENUM(struct parser *p, const struct config_option *o, struct str v, int *out)
{
    struct str choices = str_from(o->help);
    choices = str_head(choices, (size_t)str_find(choices, '|'));
    bool parts = o->min == 2 && str_starts(choices, STR("all "));
    int i = (parts ? choice_of_parts : choice_of)(choices, v);
    if (i >= 0) {
        *out = i;
        return 0;
    }
    char text[160];
    snprintf(text, sizeof text, "must be one of: %.*s", STR_FMT(choices));
    return fail_at(p, o, text);
}

/* Printable ASCII without what ends or quotes in a comment (RFC 5322 section 3.2.2). */
static bool fits_comment(struct str s)
{
    return s.n > 0 && str_is_ascii(s) && str_is_text(s) && str_find(s, '(') < 0 && str_find(s, ')') < 0 &&
           str_find(s, '\\') < 0;
}

static int parse_STRING(struct parser *p, const struct config_option *o, struct str v,
                        struct str *out)
{
    if (o->min == 1 && !fits_comment(v))
        return fail_at(p, o, "must be some printable ASCII characters other than ( ) and \\");
    *out = v;
    return 0;
}

#define parse_PASSWORD parse_STRING

/* The value's text becomes absolute too, for it is what other programs are given: those know no
 * directory of ours. */
static int parse_PATH(struct parser *p, const struct config_option *o, struct str v, struct str *out)
{
    *out = v;
    if (v.n && v.p[0] != '/')
        *out = arena_printf(p->c->arena, "%s/%.*s", p->dir, STR_FMT(v));
    p->c->value[number_of(o)] = *out;
    return 0;
}

/* Every file in the list gets its absolute path; the rest stays as it is, but for "proxy:" before a source:
 * Postfix's programs share connections by that, and here all ask one program anyway. */
static int parse_MAP(struct parser *p, const struct config_option *o, struct str v, struct str *out)
{
    AUTO_BUF text = BUF_MAX(VALUE_LIMIT);
    struct str rest = v, piece;
    int r = 0;
    while (config_map_piece(&rest, &piece)) {
        if (str_starts(piece, STR("proxy:")))
            piece = str_skip(piece, 6);
        struct str file = config_map_file(piece);
        size_t type = file.n ? piece.n - file.n : 0;
        r |= text.n ? buf_byte(&text, ' ') : 0;
        r |= type && piece.p[type] != '/'
                 ? buf_printf(&text, "%.*s%s/%.*s", (int)type, piece.p, p->dir,
                              STR_FMT(str_skip(piece, type)))
                 : buf_str(&text, piece);
    }
    if (r != 0)
        return fail_at(p, o, "value too long");
    *out = p->c->value[number_of(o)] = arena_str(p->c->arena, buf_view(&text));
    return 0;
}

static int parse_RULES(struct parser *p, const struct config_option *o, struct str v,
                       struct str *out)
{
    struct err e = {0};
    if (parse_MAP(p, o, v, out) != 0)
        return -1;
    return rule_check(*out, o->name, &e) == 0 ? 0 : fail_at(p, o, e.log + strlen(o->name) + 2);
}

static int parse_LIST(struct parser *p, const struct config_option *o, struct str v,
                      struct config_list *out)
{
    (void)o;
    struct str rest = v, piece;
    size_t n = 0;
    while (str_token(&rest, ", \t", &piece))
        n++;
    out->v = arena_array(p->c->arena, n ? n : 1, sizeof *out->v);
    out->n = 0;
    rest = v;
    while (str_token(&rest, ", \t", &piece))
        out->v[out->n++] = piece;
    return 0;
}

/* --- the whole --- */

static int take_value(struct parser *p, const struct config_option *o, struct str *value)
{
    AUTO_BUF text = BUF_MAX(VALUE_LIMIT);
    if (expand(p, o, source_of(p, o), &text, 0) != 0)
        return -1;
    if (text.n && memchr(text.p, '\0', text.n))
        return fail_at(p, o, "holds a NUL byte");
    *value = arena_str(p->c->arena, str_trim(buf_view(&text)));
    return 0;
}

/* An empty myhostname means the machine's name, and must be known before $myhostname is used. */
static void default_hostname(struct parser *p)
{
    char name[256] = "";
    const struct config_option *o = config_find(STR("myhostname"));
    if (source_of(p, o).n || gethostname(name, sizeof name - 1) != 0)
        return;
    p->c->source[number_of(o)] = arena_str(p->c->arena, str_from(name));
}

/* mydomain: what follows the first dot of myhostname, when that is a domain itself. */
static void default_domain(struct parser *p)
{
    const struct config_option *o = config_find(STR("mydomain"));
    struct str host = source_of(p, config_find(STR("myhostname")));
    ptrdiff_t dot = str_find(host, '.');
    if (source_of(p, o).n || host.n == 0)
        return;
    struct str above = dot < 0 ? host : str_skip(host, (size_t)dot + 1);
    p->c->source[number_of(o)] = str_find(above, '.') > 0 ? above : host;
}

/* Where mynetworks is empty mynetworks_style stands for it. Programs other than the master are given
 * the result. */
static void default_networks(struct parser *p)
{
    static const struct str names[] = {{"none", 4}, {"host", 4}, {"subnet", 6}, {"class", 5}};
    const struct config_option *o = config_find(STR("mynetworks"));
    struct str style = source_of(p, config_find(STR("mynetworks_style")));
    AUTO_BUF text = {0};
    if (source_of(p, o).n)
        return;
    for (int i = STYLE_HOST; i <= STYLE_CLASS; i++) {
        if (!str_caseeq(style, names[i]))
            continue;
        config_style_networks((enum config_style)i, &text);
        p->c->source[number_of(o)] = arena_str(p->c->arena, buf_view(&text));
    }
}

/* myorigin = /etc/mailname: the first line of that file. */
static int origin_of_file(struct parser *p)
{
    const struct config_option *o = config_find(STR("myorigin"));
    struct str path = source_of(p, o), rest, line = {0};
    AUTO_BUF text = {0};
    if (path.n == 0 || path.p[0] != '/')
        return 0;
    AUTO_FREE char *z = mem_strdup(path);
    AUTO_FD fd = open(z, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fd_read_all(fd, &text, 4096) != 0) {
        char why[512];
        snprintf(why, sizeof why, "%.*s: %s", STR_FMT(str_head(path, 256)), strerror(errno));
        return fail_at(p, o, why);
    }
    rest = buf_view(&text);
    if (!str_line(&rest, &line) || !str_is_graph(str_trim(line)) || str_trim(line).n == 0)
        return fail_at(p, o, "the first line of the file is no domain");
    p->c->source[number_of(o)] = arena_str(p->c->arena, str_trim(line));
    return 0;
}

static int take_all(struct parser *p)
{
    size_t i = 0;
#define OPTION(type, name, def, min, max, who, help)                                               \
    if (take_value(p, &config_options[i], &p->c->value[i]) != 0 ||                                 \
        parse_##type(p, &config_options[i], p->c->value[i], &p->c->name) != 0)                     \
        return -1;                                                                                 \
    i++;
#include "config/options.def"
#undef OPTION
    return 0;
}

int config_parse(struct str text, const char *file, const char *dir, struct config **out,
                 struct err *e)
{
    struct err local = {0};
    struct parser p = {.c = MEM_NEW(struct config), .file = file, .dir = dir, .e = &local};
    p.c->arena = arena_new(16384);
    p.c->source = arena_array(p.c->arena, config_option_count, sizeof *p.c->source);
    p.c->value = arena_array(p.c->arena, config_option_count, sizeof *p.c->value);
    p.c->line = arena_array(p.c->arena, config_option_count, sizeof *p.c->line);
    int r = take_lines(&p, text);
    if (r == 0) {
        default_hostname(&p);
        default_domain(&p);
        default_networks(&p);
        r = origin_of_file(&p) == 0 ? take_all(&p) : -1;
    }
    if (r != 0) {
        config_free(p.c);
        if (e)
            *e = local;
        return -1;
    }
    *out = p.c;
    return 0;
}

int config_load(const char *file, struct config **out, struct err *e)
{
    AUTO_FD fd = open(file, O_RDONLY | O_CLOEXEC);
    AUTO_BUF text = {0};
    if (fd < 0 || fd_read_all(fd, &text, FILE_LIMIT) != 0)
        return err_perm(e, "%s: %s", file, strerror(errno));
    AUTO_FREE char *real = realpath(file, NULL);
    if (!real)
        return err_perm(e, "%s: %s", file, strerror(errno));
    *strrchr(real, '/') = '\0';
    return config_parse(buf_view(&text), file, real, out, e);
}

void config_free(struct config *c)
{
    if (!c)
        return;
    arena_free(c->arena);
    free(c);
}
