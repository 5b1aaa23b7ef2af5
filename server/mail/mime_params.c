/* "token *(; name=value)" and the sections of RFC 2231. */
#include "mail/encoding.h"
#include "mail/header.h"
#include "mail/lex.h"
#include "mail/mime_value.h"

/* One parameter as it stands; false when it cannot be understood. Name and value may be empty
 * ("name=;"), the "=" must be there. */
static bool take_param(struct mail_lex *x, struct mail_lex_out *out, struct mail_param *p)
{
    if (!mail_lex_cfws(x))
        return false;
    p->name = mail_lex_token(x);
    if (!mail_lex_cfws(x) || mail_lex_peek(x) != '=')
        return false;
    x->at++;
    if (!mail_lex_cfws(x))
        return false;
    if (mail_lex_peek(x) != '"') {
        p->value = mail_lex_token(x);
        return mail_lex_cfws(x);
    }
    size_t from = out->n;
    if (!mail_lex_quoted(x, out))
        return false;
    p->value = (struct str){out->p + from, out->n - from};
    return mail_lex_cfws(x);
}

/* Moves past the next ";". */
static bool to_next(struct mail_lex *x)
{
    ptrdiff_t semi = str_find(str_skip(x->s, x->at), ';');
    x->at = semi < 0 ? x->s.n : x->at + (size_t)semi + 1;
    return semi >= 0;
}

/* name "*" section ["*"] (RFC 2231 section 7): false when the name is none of these. */
static bool section_of(struct str name, struct str *base, uint32_t *number, bool *extended)
{
    *extended = name.n && name.p[name.n - 1] == '*';
    if (*extended)
        name.n--;
    ptrdiff_t star = str_rfind(name, '*');
    if (star < 0) {
        *base = name;
        *number = UINT32_MAX;
        return *extended;
    }
    *base = str_head(name, (size_t)star);
    return str_u32(str_skip(name, (size_t)star + 1), number) == 0 && *number < UINT32_MAX;
}

struct section {
    struct str base;
    uint32_t number; /* UINT32_MAX: "name*" */
    bool extended;
    bool is_section;
    bool used;
    bool alone; /* the sections of this name cannot be joined */
};

static bool belongs(const struct section *s, const struct section *first)
{
    return s->is_section && s->number != UINT32_MAX && str_caseeq(s->base, first->base);
}

/* The indexes of the sections of one name in their order; 0 unless each number from 0 on is there
 * once. Otherwise all of them are left alone. */
static size_t order_sections(struct section *s, size_t n, const struct section *first,
                             size_t *order)
{
    size_t count = 0, placed = 0;
    for (size_t i = 0; i < n; i++)
        if (belongs(&s[i], first))
            order[count++] = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (!belongs(&s[i], first) || s[i].number >= count || order[s[i].number] != SIZE_MAX)
            continue;
        order[s[i].number] = i;
        placed++;
    }
    for (size_t i = 0; i < n && placed < count; i++)
        s[i].alone |= belongs(&s[i], first);
    return placed == count ? count : 0;
}

static struct mail_param join(struct arena *a, const struct mail_param *raw, struct section *s,
                              const size_t *order, size_t count)
{
    struct mail_param joined = {.name = s[order[0]].base};
    size_t size = 0;
    for (size_t k = 0; k < count; k++)
        size += raw[order[k]].value.n;
    char *p = arena_alloc(a, size + 1);
    joined.value.p = p;
    for (size_t k = 0; k < count; k++) {
        struct str v = raw[order[k]].value;
        if (v.n)
            memcpy(p + joined.value.n, v.p, v.n);
        joined.value.n += v.n;
        joined.extended |= s[order[k]].extended;
        s[order[k]].used = true;
    }
    return joined;
}

/* The plain ones first, in their order, then those of RFC 2231. */
static size_t merge(struct arena *a, const struct mail_param *raw, size_t n, struct mail_param *v)
{
    struct section s[MAIL_MIME_PARAMS_MAX] = {0};
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        s[i].is_section = section_of(raw[i].name, &s[i].base, &s[i].number, &s[i].extended);
        if (!s[i].is_section)
            v[out++] = raw[i];
    }
    for (size_t i = 0; i < n; i++) {
        size_t order[MAIL_MIME_PARAMS_MAX], count = 0;
        if (!s[i].is_section || s[i].used)
            continue;
        if (s[i].number == UINT32_MAX)
            v[out++] = (struct mail_param){s[i].base, raw[i].value, true};
        else if (!s[i].alone && (count = order_sections(s, n, &s[i], order)) > 0)
            v[out++] = join(a, raw, s, order, count);
        else
            v[out++] = raw[i];
    }
    return out;
}

static void params_parse(struct arena *a, struct mail_lex *x, struct mail_param **params,
                         size_t *count)
{
    struct mail_param raw[MAIL_MIME_PARAMS_MAX];
    struct mail_lex_out out = {.p = arena_alloc(a, x->s.n - x->at + 1)};
    size_t n = 0;
    bool sections = false;
    while (n < MAIL_MIME_PARAMS_MAX && to_next(x)) {
        raw[n] = (struct mail_param){0};
        if (!take_param(x, &out, &raw[n])) {
            /* What cannot be understood is passed over with the ";" it may stop at. */
            x->at += x->at < x->s.n;
            continue;
        }
        sections |= str_find(raw[n].name, '*') >= 0;
        n++;
    }
    *params = n ? arena_array(a, n, sizeof **params) : NULL;
    *count = n;
    if (sections)
        *count = merge(a, raw, n, *params);
    else if (n)
        memcpy(*params, raw, n * sizeof *raw);
}

void mail_mime_value_parse(struct arena *a, struct str value, struct str *token,
                           struct mail_param **params, size_t *count)
{
    struct mail_lex x = {.s = str_head(value, MAIL_FIELD_VALUE_MAX)};
    *token = (struct str){x.s.p, 0};
    if (mail_lex_cfws(&x))
        *token = mail_lex_token(&x);
    params_parse(a, &x, params, count);
}

/* type "/" subtype; both empty when the value cannot be understood. A type alone is kept. */
void mail_type_parse(struct arena *a, struct str value, struct mail_part *p)
{
    struct mail_lex x = {.s = str_head(value, MAIL_FIELD_VALUE_MAX)};
    struct str nothing = {value.p ? value.p : "", 0};
    bool ok = mail_lex_cfws(&x);
    p->type = mail_lex_token(&x);
    p->subtype = nothing;
    ok = ok && p->type.n && mail_lex_cfws(&x);
    if (ok && mail_lex_peek(&x) == '/') {
        x.at++;
        ok = mail_lex_cfws(&x);
        p->subtype = mail_lex_token(&x);
        ok = ok && p->subtype.n && mail_lex_cfws(&x) &&
             (mail_lex_peek(&x) < 0 || mail_lex_peek(&x) == ';');
    } else {
        ok = ok && mail_lex_peek(&x) < 0;
    }
    if (ok)
        params_parse(a, &x, &p->params, &p->param_count);
    else
        p->type = p->subtype = nothing;
}

void mail_languages_parse(struct arena *a, struct str value, struct mail_part *p)
{
    struct mail_lex x = {.s = str_head(value, MAIL_FIELD_VALUE_MAX)};
    struct str found[MAIL_MIME_PARAMS_MAX];
    size_t n = 0;
    while (n < MAIL_MIME_PARAMS_MAX && mail_lex_cfws(&x)) {
        struct str tag = mail_lex_token(&x);
        if (tag.n == 0)
            break;
        found[n++] = tag;
        if (!mail_lex_cfws(&x) || mail_lex_peek(&x) != ',')
            break;
        x.at++;
    }
    p->languages = n ? arena_array(a, n, sizeof *found) : NULL;
    p->language_count = n;
    if (n)
        memcpy(p->languages, found, n * sizeof *found);
}

const struct mail_param *mail_param_find(const struct mail_param *v, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_caseeq(v[i].name, name))
            return &v[i];
    return NULL;
}
