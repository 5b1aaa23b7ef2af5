/*
 * Address lists (RFC 5322 sections 3.4 and 4.4).
 *
 * Where a list goes wrong, what was understood so far is kept and the rest is given up, with broken
 * set: a reader that guesses further may show another person than we would check.
 */
#include "mail/header.h"
#include "mail/lex.h"
#include "mail/rfc5322.h"

struct parser {
    struct mail_lex x;
    struct mail_lex_out out;
    struct arena *arena;
    struct mail_addr_list *list;
    bool in_group;
    bool stop;
};

static struct str written(const struct parser *p, size_t from)
{
    return (struct str){p->out.p + from, p->out.n - from};
}

static void add(struct parser *p, struct mail_addr m)
{
    struct mail_addr_list *l = p->list;
    if (m.broken)
        l->broken = true;
    if (l->n >= MAIL_ADDRS_MAX) {
        l->truncated = l->broken = p->stop = true;
        return;
    }
    if (l->n >= l->cap) {
        l->cap = l->cap ? l->cap * 2 : 4;
        struct mail_addr *v = arena_array(p->arena, l->cap, sizeof *v);
        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
    }
    l->v[l->n++] = m;
}

static void give_up(struct parser *p)
{
    p->list->broken = p->stop = true;
}

/* phrase = 1*word, with the dots of obs-phrase; words are joined by one blank. False when a quoted
 * string or a comment does not end; text holds what came before. */
static bool phrase(struct parser *p, struct str *text, size_t *words)
{
    size_t from = p->out.n;
    *words = 0;
    *text = written(p, from);
    for (;;) {
        int c = mail_lex_peek(&p->x);
        size_t mark = p->out.n;
        if (mark > from)
            p->out.p[p->out.n++] = ' ';
        size_t word = p->out.n;
        if (c == '"') {
            if (!mail_lex_quoted(&p->x, &p->out))
                return false;
        } else {
            struct str atom = mail_lex_atom(&p->x, true);
            mail_lex_put(&p->out, atom);
            if (atom.n == 0) {
                p->out.n = mark;
                break;
            }
        }
        if (p->out.n == word)
            p->out.n = mark; /* an empty quoted string adds no blank */
        ++*words;
        *text = written(p, from);
        if (!mail_lex_cfws(&p->x))
            return false;
    }
    return true;
}

/* local-part, and obs-local-part with blanks around its dots. False when a quoted string or a
 * comment does not end; text.p is NULL when there is none. */
static bool local_part(struct parser *p, struct str *text)
{
    size_t from = p->out.n;
    bool any = false, dot = true;
    for (;;) {
        int c = mail_lex_peek(&p->x);
        if (c == '.') {
            p->out.p[p->out.n++] = '.';
            p->x.at++;
            any = dot = true;
        } else if (c == '"' && dot) {
            if (!mail_lex_quoted(&p->x, &p->out))
                return false;
            any = true;
            dot = false;
        } else {
            struct str atom = dot ? mail_lex_atom(&p->x, false) : (struct str){0};
            if (atom.n == 0)
                break;
            mail_lex_put(&p->out, atom);
            any = true;
            dot = false;
        }
        if (!mail_lex_cfws(&p->x))
            return false;
    }
    *text = any ? written(p, from) : (struct str){0};
    return true;
}

static bool domain_literal(struct parser *p)
{
    size_t start = p->x.at;
    for (; mail_lex_peek(&p->x) >= 0; p->x.at++) {
        int c = mail_lex_peek(&p->x);
        if (c == '\\')
            p->x.at++;
        else if (c == ']')
            break;
    }
    if (mail_lex_peek(&p->x) < 0) {
        p->x.at = p->x.s.n;
        return false;
    }
    p->x.at++;
    for (size_t i = start; i < p->x.at; i++)
        if (p->x.s.p[i] != '\r' && p->x.s.p[i] != '\n')
            p->out.p[p->out.n++] = p->x.s.p[i];
    return mail_lex_cfws(&p->x);
}

/* domain and obs-domain, with the white space behind it. */
static bool domain(struct parser *p, struct str *text)
{
    size_t from = p->out.n;
    *text = (struct str){0};
    if (!mail_lex_cfws(&p->x))
        return false;
    if (mail_lex_peek(&p->x) == '[') {
        if (!domain_literal(p))
            return false;
        *text = written(p, from);
        return true;
    }
    for (;;) {
        struct str atom = mail_lex_atom(&p->x, false);
        if (atom.n == 0)
            return false;
        mail_lex_put(&p->out, atom);
        if (!mail_lex_cfws(&p->x))
            return false;
        if (mail_lex_peek(&p->x) != '.')
            break;
        p->x.at++;
        p->out.p[p->out.n++] = '.';
        if (!mail_lex_cfws(&p->x))
            return false;
    }
    *text = written(p, from);
    return true;
}

/* obs-route = "@" domain *("," ["@" domain]) ":"  (RFC 5322 section 4.4) */
static void route(struct parser *p, struct mail_addr *m)
{
    size_t from = p->out.n;
    for (;;) {
        int c = mail_lex_peek(&p->x);
        struct str hop;
        if (c == '@') {
            if (p->out.n > from)
                p->out.p[p->out.n++] = ',';
            p->out.p[p->out.n++] = '@';
            p->x.at++;
            if (!domain(p, &hop))
                break;
        } else if (c == ',') {
            p->x.at++;
            if (!mail_lex_cfws(&p->x))
                break;
        } else {
            break;
        }
    }
    m->bad_route = mail_lex_peek(&p->x) != ':';
    m->broken |= m->bad_route;
    if (!m->bad_route) {
        m->route = written(p, from);
        p->x.at++;
        if (!mail_lex_cfws(&p->x))
            m->bad_angle = true;
    }
}

/* angle-addr, its "<" at the front. */
static void angle(struct parser *p, struct mail_addr *m)
{
    p->x.at++;
    bool whole = mail_lex_cfws(&p->x);
    if (whole && mail_lex_peek(&p->x) == '@')
        route(p, m);
    whole = whole && !m->bad_angle && local_part(p, &m->local);
    if (whole && mail_lex_peek(&p->x) == '@') {
        p->x.at++;
        whole = domain(p, &m->domain);
    }
    if (whole && mail_lex_peek(&p->x) == '>') {
        p->x.at++;
        whole = mail_lex_cfws(&p->x);
    } else {
        m->domain = (struct str){0};
        m->bad_angle = true;
    }
    m->broken |= !whole || m->bad_angle || !m->local.p || !m->domain.p;
}

/* addr-spec, or what stands for one; words is what was read there as a phrase. Several words, or
 * one that is quoted, without "@" are a name. */
static void bare(struct parser *p, struct mail_addr *m, struct str words, bool name, size_t behind)
{
    size_t from = p->out.n;
    p->x.comment = (struct str){0};
    bool whole = local_part(p, &m->local);
    if (whole && mail_lex_peek(&p->x) == '@') {
        p->x.at++;
        if (!domain(p, &m->domain))
            m->domain = (struct str){0};
    } else if (!whole || name) {
        if (name)
            m->name = words;
        m->local = (struct str){0};
        p->out.n = from;
        p->x.at = behind;
    }
    if (!m->name.p && m->local.p && p->x.comment.n) {
        size_t at = p->out.n;
        mail_lex_unquote(&p->out, p->x.comment);
        m->name = written(p, at);
    }
    m->broken = !m->local.p || !m->domain.p;
}

static void address(struct parser *p)
{
    struct mail_addr m = {.kind = MAIL_ADDR_MAILBOX};
    size_t start = p->x.at, from = p->out.n, words = 0;
    struct str text = {0};
    bool whole = phrase(p, &text, &words);
    int c = mail_lex_peek(&p->x);
    if (whole && c == '<') {
        if (text.n)
            m.name = text;
        angle(p, &m);
    } else if (whole && c == ':' && !p->in_group) {
        p->x.at++;
        p->in_group = true;
        add(p, (struct mail_addr){.kind = MAIL_ADDR_GROUP_START, .local = text});
        if (!mail_lex_cfws(&p->x))
            give_up(p);
        return;
    } else {
        size_t behind = p->x.at;
        bool name = words > 1 || (whole && words == 1 && p->x.s.p[start] == '"');
        if (!name)
            p->out.n = from;
        p->x.at = start;
        bare(p, &m, text, name, behind);
    }
    add(p, m);
}

static void group_end(struct parser *p)
{
    p->in_group = false;
    add(p, (struct mail_addr){.kind = MAIL_ADDR_GROUP_END});
}

/* What stands behind an address: "," or ";" or the end. */
static void separator(struct parser *p)
{
    if (p->in_group && mail_lex_peek(&p->x) == ';') {
        p->x.at++;
        group_end(p);
        if (!mail_lex_cfws(&p->x))
            give_up(p);
    }
    int c = mail_lex_peek(&p->x);
    if (c < 0)
        return;
    if (c != ',') {
        give_up(p);
        return;
    }
    p->x.at++;
    if (!mail_lex_cfws(&p->x))
        give_up(p);
}

void mail_addrs_parse(struct arena *a, struct str value, struct mail_addr_list *list)
{
    struct parser p = {.arena = a, .list = list};
    p.x.s = str_head(value, MAIL_FIELD_VALUE_MAX);
    if (value.n > MAIL_FIELD_VALUE_MAX)
        list->truncated = list->broken = true;
    /* An address is read twice at most, as a phrase and as what it turned out to be. */
    p.out.p = arena_alloc(a, 2 * p.x.s.n + 2);
    if (!mail_lex_cfws(&p.x))
        list->broken = true;
    while (!p.stop && p.x.at < p.x.s.n) {
        bool was_in_group = p.in_group;
        bool empty_group = p.in_group && mail_lex_peek(&p.x) == ';' && list->n > 0 &&
                           list->v[list->n - 1].kind == MAIL_ADDR_GROUP_START;
        if (!empty_group)
            address(&p);
        if (!p.stop && (was_in_group || !p.in_group))
            separator(&p);
    }
    if (p.in_group) {
        list->broken = true;
        group_end(&p);
    }
}
