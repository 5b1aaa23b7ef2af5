/* Finding messages and telling them; see search_run.h. */
#include "session/search_run.h"

#include "session/search_match.h"
#include "session/search_text.h"

#include <stdlib.h>

void search_found_free(struct search_found *f)
{
    free(f->v);
    *f = (struct search_found){0};
}

static void found_add(struct search_found *f, size_t index)
{
    if (f->n == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 64;
        f->v = mem_grow(f->v, f->cap, sizeof *f->v);
    }
    f->v[f->n++] = (uint32_t)index;
}

static bool charset_known(struct imap_session *s, struct str charset)
{
    return charset.n == 0 || str_caseeq(charset, STR("UTF-8")) ||
           str_caseeq(charset, STR("US-ASCII")) || mail_conv_known(s->conv, charset);
}

/* A search that fails saves nothing, which is not what was saved before (RFC 5182 2.1). */
static int refuse(struct imap_session *s, const struct imap_search_command *what)
{
    if (what->returns & IMAP_RETURN_SAVE)
        search_forget(s);
    return -1;
}

int search_begin(struct imap_session *s, struct imap_search_command *what)
{
    if (what->modseq && imap_refuse_modseq(s))
        return -1;
    if (!charset_known(s, what->charset))
        imap_reply_no(s, "[BADCHARSET (US-ASCII UTF-8)] The charset is not known here");
    else if (search_prepare(s, what->root, what->charset) != 0)
        imap_reply_no(s, "[LIMIT] The search text is too long");
    else {
        search_text_ask(s, what->root);
        return 0;
    }
    return refuse(s, what);
}

/* --- finding --- */

/* MIN or MAX alone need no more than the first message from that end. */
static bool ends_suffice(const struct imap_search_command *what)
{
    const unsigned ends = IMAP_RETURN_MIN | IMAP_RETURN_MAX;
    return (what->returns & ends) && !(what->returns & ~(ends | IMAP_RETURN_SAVE));
}

static void find_ends(struct search_match *x, const struct imap_search_command *what, size_t count,
                      struct search_found *found)
{
    size_t at = 0, end = count;
    if (what->returns & IMAP_RETURN_MIN) {
        while (at < count && !x->failed && !search_match(x, what->root, at))
            at++;
        if (at < count && !x->failed)
            found_add(found, at++);
    }
    if (!(what->returns & IMAP_RETURN_MAX))
        return;
    while (end > at && !x->failed && !search_match(x, what->root, end - 1))
        end--;
    if (end > at && !x->failed)
        found_add(found, end - 1);
}

int search_find(struct imap_session *s, const struct imap_search_command *what, bool sorted,
                struct search_found *found)
{
    struct search_match x;
    size_t count = store_mailbox_count(s->mailbox);
    *found = (struct search_found){0};
    search_match_begin(&x, s);
    if (!sorted && ends_suffice(what))
        find_ends(&x, what, count, found);
    else
        for (size_t i = 0; i < count && !x.failed; i++)
            if (search_match(&x, what->root, i))
                found_add(found, i);
    bool failed = x.failed;
    if (failed)
        imap_reply_error(s, &x.e);
    search_match_end(&x);
    if (!failed)
        return 0;
    search_found_free(found);
    return refuse(s, what);
}

/* --- telling --- */

uint32_t search_number(struct imap_session *s, uint32_t index)
{
    return s->command->uid ? store_mailbox_at(s->mailbox, index)->uid : index + 1;
}

/* The highest mod-sequence of the messages told; of MIN and MAX alone only theirs (RFC 7162 3.1.5,
 * RFC 4731 3.2). 0: none was found. */
static uint64_t highest_found(struct imap_session *s, const struct imap_search_command *what,
                              const struct search_found *found)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < found->n; i++) {
        bool told = !ends_suffice(what) ||
                    (i == 0 && (what->returns & IMAP_RETURN_MIN)) ||
                    (i == found->n - 1 && (what->returns & IMAP_RETURN_MAX));
        uint64_t modseq = store_mailbox_at(s->mailbox, found->v[i])->modseq;
        highest = told && modseq > highest ? modseq : highest;
    }
    return highest;
}

static void write_plain(struct imap_session *s, const struct imap_search_command *what,
                        const char *name, const struct search_found *found)
{
    output_printf(&s->out, "* %s", name);
    for (size_t i = 0; i < found->n; i++) {
        output_z(&s->out, " ");
        output_number(&s->out, search_number(s, found->v[i]));
    }
    if (what->modseq && found->n)
        output_printf(&s->out, " (MODSEQ %llu)",
                      (unsigned long long)highest_found(s, what, found));
    output_z(&s->out, "\r\n");
}

/* A part of the results as a set, in their order: only what rises by one is drawn together. */
static void write_set(struct imap_session *s, const struct search_found *found, size_t from,
                      size_t end)
{
    for (size_t i = from; i < end;) {
        uint32_t first = search_number(s, found->v[i]), last = first;
        size_t j = i + 1;
        while (j < end && search_number(s, found->v[j]) == last + 1) {
            last++;
            j++;
        }
        output_printf(&s->out, last > first ? "%s%u:%u" : "%s%u", i > from ? "," : "", first, last);
        i = j;
    }
}

static void write_partial(struct imap_session *s, const struct imap_partial *p,
                          const struct search_found *found)
{
    const char *sign = p->from_end ? "-" : "";
    size_t from, end;
    imap_partial_bounds(p, found->n, &from, &end);
    output_printf(&s->out, " PARTIAL (%s%u:%s%u ", sign, p->first, sign, p->last);
    if (from == end)
        output_z(&s->out, "NIL");
    write_set(s, found, from, end);
    output_z(&s->out, ")");
}

/* For SORT the lowest and the highest are the first and the last in order (RFC 5267 3.1). */
static void write_extended(struct imap_session *s, const struct imap_search_command *what,
                           const struct search_found *found)
{
    output_printf(&s->out, "* ESEARCH (TAG \"%s\")%s", s->tag, s->command->uid ? " UID" : "");
    if ((what->returns & IMAP_RETURN_MIN) && found->n)
        output_printf(&s->out, " MIN %u", search_number(s, found->v[0]));
    if ((what->returns & IMAP_RETURN_MAX) && found->n)
        output_printf(&s->out, " MAX %u", search_number(s, found->v[found->n - 1]));
    if ((what->returns & IMAP_RETURN_ALL) && found->n) {
        output_z(&s->out, " ALL ");
        write_set(s, found, 0, found->n);
    }
    if (what->returns & IMAP_RETURN_PARTIAL)
        write_partial(s, &what->partial, found);
    if (what->returns & IMAP_RETURN_COUNT)
        output_printf(&s->out, " COUNT %zu", found->n);
    if (what->modseq && found->n)
        output_printf(&s->out, " MODSEQ %llu",
                      (unsigned long long)highest_found(s, what, found));
    output_z(&s->out, "\r\n");
}

/* --- the saved result --- */

void search_forget(struct imap_session *s)
{
    free(s->saved.ranges);
    s->saved = (struct imap_set){0};
}

void search_leave(struct imap_session *s)
{
    search_forget(s);
    search_text_free(s);
}

static int by_number(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return a < b ? -1 : a > b;
}

/* UIDs are kept, as ranges: a message that is expunged is gone from them by itself, since no other
 * ever has its UID (RFC 5182 2.1). */
static void save(struct imap_session *s, uint32_t *index, size_t n)
{
    size_t cap = 0;
    search_forget(s);
    if (n)
        qsort(index, n, sizeof *index, by_number);
    for (size_t i = 0; i < n; i++) {
        uint32_t uid = store_mailbox_at(s->mailbox, index[i])->uid;
        struct imap_set *set = &s->saved;
        if (set->n && uid <= set->ranges[set->n - 1].last + 1) {
            set->ranges[set->n - 1].last = uid;
            continue;
        }
        if (set->n == cap) {
            cap = cap ? cap * 2 : 16;
            set->ranges = mem_grow(set->ranges, cap, sizeof *set->ranges);
        }
        set->ranges[set->n++] = (struct imap_range){uid, uid};
    }
}

/* RFC 5182 2.4 and RFC 9394 3.2: MIN, MAX and PARTIAL save what they tell, unless ALL or COUNT is
 * there too. */
static void save_results(struct imap_session *s, const struct imap_search_command *what,
                         const struct search_found *found)
{
    const unsigned some = IMAP_RETURN_MIN | IMAP_RETURN_MAX | IMAP_RETURN_PARTIAL;
    size_t from = 0, end = found->n, n = 0;
    uint32_t *v = mem_array(found->n + 2, sizeof *v);
    if ((what->returns & some) && !(what->returns & (IMAP_RETURN_ALL | IMAP_RETURN_COUNT))) {
        end = 0;
        if (what->returns & IMAP_RETURN_PARTIAL)
            imap_partial_bounds(&what->partial, found->n, &from, &end);
        if ((what->returns & IMAP_RETURN_MIN) && found->n)
            v[n++] = found->v[0];
        if ((what->returns & IMAP_RETURN_MAX) && found->n)
            v[n++] = found->v[found->n - 1];
    }
    for (size_t i = from; i < end; i++)
        v[n++] = found->v[i];
    save(s, v, n);
    free(v);
}

void search_answer(struct imap_session *s, const struct imap_search_command *what,
                   const char *name, const struct search_found *found)
{
    struct imap_search_command all = *what;
    all.returns = IMAP_RETURN_ALL;
    bool search = str_eq(str_from(name), STR("SEARCH"));
    if (!what->extended && search && imap_is_rev2(s)) /* RFC 9051 6.4.4 */
        write_extended(s, &all, found);
    else if (!what->extended)
        write_plain(s, what, name, found);
    else if (what->returns != IMAP_RETURN_SAVE) /* which alone is silent (RFC 5182 2.1) */
        write_extended(s, what, found);
    if (what->returns & IMAP_RETURN_SAVE)
        save_results(s, what, found);
    imap_reply_done(s);
}
