/* Telling what is done for one question. */
#include "directory/trace.h"
#include "base/clock.h"
#include "directory/dirset.h"

#include <stdlib.h>

#define ENTRIES_SHOWN 50
#define VALUES_SHOWN 20

struct trace {
    struct dirset *original;
    trace_fn fn; /* NULL: silenced */
    void *arg;
    size_t lines;
};

struct dirset *trace_dirset(struct dirset *set, trace_fn fn, void *arg)
{
    struct dirset *copy = MEM_NEW(struct dirset);
    struct trace *t = MEM_NEW(struct trace);
    *t = (struct trace){.original = dirset_hold(set), .fn = fn, .arg = arg};
    *copy = *set;
    copy->users = 1;
    copy->trace = t;
    return copy;
}

void trace_listen(struct dirset *traced, trace_fn fn)
{
    traced->trace->fn = fn;
    traced->trace->lines = 0;
}

void trace_silence(struct dirset *traced)
{
    traced->trace->fn = NULL;
}

void trace_dirset_free(struct dirset *traced)
{
    dirset_release(traced->trace->original);
    free(traced->trace);
    free(traced);
}

static void put_value(struct buf *out, struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c == '\t')
            buf_str(out, STR("\\t"));
        else if (c == '\n')
            buf_str(out, STR("\\n"));
        else if (c == '\\')
            buf_str(out, STR("\\\\"));
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_byte(out, (char)c);
    }
}

void trace_put(struct trace *t, const char *kind, const struct trace_pair *pairs, size_t n)
{
    AUTO_BUF line = {0};
    if (!t || !t->fn || t->lines > TRACE_LINES_MAX)
        return;
    if (t->lines++ == TRACE_LINES_MAX) {
        t->fn(t->arg, STR("decision\ttext=more was done than is told here"));
        return;
    }
    buf_str(&line, str_from(kind));
    for (size_t i = 0; i < n; i++) {
        if (!pairs[i].value.p)
            continue;
        buf_printf(&line, "\t%s=", pairs[i].key);
        put_value(&line, str_head(pairs[i].value, TRACE_LINE_MAX / 4));
    }
    t->fn(t->arg, str_head(buf_view(&line), TRACE_LINE_MAX));
}

void trace_decision(struct trace *t, const char *fmt, ...)
{
    AUTO_BUF text = {0};
    va_list ap;
    if (!t)
        return;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    TRACE(t, "decision", {"text", buf_view(&text)});
}

static void put_attrs(struct buf *out, const struct ldapmap_entry *entry)
{
    for (size_t i = 0; i < entry->count; i++) {
        const struct ldapmap_attr *a = &entry->attrs[i];
        for (size_t j = 0; j < a->count && j < VALUES_SHOWN; j++) {
            buf_printf(out, "%s%.*s: ", out->n ? ", " : "", STR_FMT(a->name));
            buf_str(out, str_head(a->values[j], 200));
        }
    }
}

static void put_entries(struct trace *t, const struct search_result *r)
{
    for (size_t i = 0; i < r->count && i < ENTRIES_SHOWN; i++) {
        AUTO_BUF attrs = {0};
        put_attrs(&attrs, &r->entries[i]);
        TRACE(t, "entry", {"dn", r->entries[i].dn}, {"attributes", buf_view(&attrs)});
    }
}

void trace_search(struct trace *t, struct str why, struct str key,
                  const struct ldapmap_search *search, const struct search_result *r, int64_t began)
{
    static const char *const scopes[] = {"base", "one", "sub"};
    AUTO_BUF numbers = {0};
    AUTO_BUF attrs = {0};
    if (!t)
        return;
    for (const char *const *a = search->attrs; *a; a++)
        buf_printf(&attrs, "%s%s", attrs.n ? " " : "", *a);
    buf_printf(&numbers, "%zu %lld", r->count, (long long)(clock_real_us() - began));
    struct str rest = buf_view(&numbers), entries = {0}, us = {0};
    str_token(&rest, " ", &entries);
    str_token(&rest, " ", &us);
    TRACE(t, "search", {"for", why}, {"key", key},
          {"from", r->server.n ? STR("server") : STR("memory")}, {"server", r->server},
          {"base", str_from(search->base)}, {"scope", str_from(scopes[search->scope])},
          {"filter", str_from(search->filter)}, {"attributes", buf_view(&attrs)},
          {"result", str_from(ldap_err2string(r->code))}, {"diagnostic", r->diagnostic},
          {"entries", entries}, {"us", us});
    put_entries(t, r);
}
