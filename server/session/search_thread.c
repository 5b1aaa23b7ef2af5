/*
 * Threads; see search_thread.h. The steps are those of RFC 5256, "REFERENCES".
 *
 * Links are kept as parents alone; lists of children are made when all links are known, from nodes
 * in the order of their dates, so that every list of siblings is sorted as it is made.
 */
#include "session/search_thread.h"

#include <stdlib.h>

#define NONE UINT32_MAX
/* Ancestors that are looked at before a link is made to something that has children itself. A thread
 * may be deeper; what cannot be proven to be no loop in so many steps is taken for one. */
enum { CLIMB_MAX = 5000 };
/* Dummies beyond this number and so many a message are not made: the reference is passed over. */
enum { DUMMIES_MIN = 1000000, DUMMIES_EACH = 4 };

struct node {
    uint32_t parent, first, last, next;
    uint32_t number;   /* 0: a dummy */
    bool parental;     /* something was linked below it */
    bool reply;
    int64_t date;
    uint64_t subject;  /* hash; 0: empty */
};

/* Hash → node. */
struct table {
    struct {
        uint64_t hash;
        uint32_t node;
    } *slot;
    size_t size, used; /* size is a power of two */
};

struct search_thread {
    enum imap_thread how;
    struct node *node;
    size_t count, cap, messages;
    struct table table; /* of Message-IDs, then of subjects */
    uint32_t *root;     /* the top level, in order */
    size_t root_count, root_at;
};

/* --- table --- */

/* Where a hash belongs: its bits mixed, so that like ones do not stand side by side. */
static size_t place_of(const struct table *t, uint64_t hash)
{
    return (size_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (t->size - 1);
}

static void table_grow(struct table *t)
{
    struct table old = *t;
    t->size = old.size ? old.size * 2 : 1024;
    t->slot = mem_array(t->size, sizeof *t->slot);
    for (size_t i = 0; i < old.size; i++) {
        if (!old.slot[i].hash)
            continue;
        size_t at = place_of(t, old.slot[i].hash);
        while (t->slot[at].hash)
            at = (at + 1) & (t->size - 1);
        t->slot[at] = old.slot[i];
    }
    free(old.slot);
}

/* Where the node of this hash stands; a new place holds NONE. The pointer lives until the next call. */
static uint32_t *table_at(struct table *t, uint64_t hash)
{
    if (t->used * 4 >= t->size * 3)
        table_grow(t);
    size_t at = place_of(t, hash);
    while (t->slot[at].hash && t->slot[at].hash != hash)
        at = (at + 1) & (t->size - 1);
    if (!t->slot[at].hash) {
        t->slot[at].hash = hash;
        t->slot[at].node = NONE;
        t->used++;
    }
    return &t->slot[at].node;
}

static bool table_has(const struct table *t, uint64_t hash)
{
    size_t at = place_of(t, hash);
    while (t->size && t->slot[at].hash && t->slot[at].hash != hash)
        at = (at + 1) & (t->size - 1);
    return t->size && t->slot[at].hash;
}

static void table_free(struct table *t)
{
    free(t->slot);
    *t = (struct table){0};
}

/* --- building --- */

struct search_thread *search_thread_new(enum imap_thread how)
{
    struct search_thread *t = MEM_NEW(struct search_thread);
    t->how = how;
    return t;
}

void search_thread_free(struct search_thread *t)
{
    if (!t)
        return;
    free(t->node);
    free(t->root);
    table_free(&t->table);
    free(t);
}

static uint32_t node_new(struct search_thread *t)
{
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 256;
        t->node = mem_grow(t->node, t->cap, sizeof *t->node);
    }
    t->node[t->count] = (struct node){.parent = NONE, .first = NONE, .last = NONE, .next = NONE};
    return (uint32_t)t->count++;
}

static bool may_make_dummy(const struct search_thread *t)
{
    return t->count - t->messages < DUMMIES_MIN + DUMMIES_EACH * t->messages;
}

/* The node of a Message-ID; one is made when there is none. */
static uint32_t node_of_id(struct search_thread *t, uint64_t id)
{
    uint32_t *at = table_at(&t->table, id);
    if (*at == NONE)
        *at = node_new(t);
    return *at;
}

/* Would parent above child make a loop? What has nothing below it cannot be above anything. */
static bool loops(const struct search_thread *t, uint32_t parent, uint32_t child)
{
    if (parent == child)
        return true;
    if (!t->node[child].parental)
        return false;
    unsigned steps = 0;
    for (uint32_t up = t->node[parent].parent; up != NONE; up = t->node[up].parent)
        if (up == child || ++steps > CLIMB_MAX)
            return true;
    return false;
}

static void link_nodes(struct search_thread *t, uint32_t parent, uint32_t child)
{
    if (loops(t, parent, child))
        return;
    t->node[child].parent = parent;
    t->node[parent].parental = true;
}

/* Step 1 A: the references one below the other; returns the last one. */
static uint32_t link_references(struct search_thread *t, const struct search_thread_message *m)
{
    uint32_t above = NONE;
    for (size_t i = 0; i < m->reference_count; i++) {
        uint64_t id;
        memcpy(&id, (const char *)m->references + i * sizeof id, sizeof id);
        if (!id || (!may_make_dummy(t) && !table_has(&t->table, id)))
            continue;
        uint32_t at = node_of_id(t, id);
        if (above != NONE && t->node[at].parent == NONE)
            link_nodes(t, above, at);
        above = at;
    }
    return above;
}

void search_thread_add(struct search_thread *t, const struct search_thread_message *m)
{
    uint32_t at = NONE;
    bool references = t->how == IMAP_THREAD_REFERENCES;
    if (references && m->id)
        at = node_of_id(t, m->id);
    /* A second message of this Message-ID counts as one without. */
    if (at == NONE || t->node[at].number)
        at = node_new(t);
    t->messages++;
    struct node *n = &t->node[at];
    n->number = m->number;
    n->date = m->date;
    n->reply = m->reply;
    n->subject = m->subject;
    if (!references)
        return;
    uint32_t above = link_references(t, m);
    /* Step 1 B: what the message itself says counts more than what others said of it. */
    t->node[at].parent = NONE;
    if (above != NONE)
        link_nodes(t, above, at);
}

/* --- order --- */

static int by_date(const void *x, const void *y, void *arg)
{
    const struct search_thread *t = arg;
    const struct node *a = &t->node[*(const uint32_t *)x], *b = &t->node[*(const uint32_t *)y];
    if (a->date != b->date)
        return a->date < b->date ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

static void add_child(struct search_thread *t, uint32_t parent, uint32_t child)
{
    struct node *p = &t->node[parent];
    t->node[child].next = NONE;
    if (p->first == NONE)
        p->first = child;
    else
        t->node[p->last].next = child;
    p->last = child;
}

/* The messages, dummies left out, by date. */
static uint32_t *sorted_messages(struct search_thread *t, size_t *n)
{
    uint32_t *order = mem_array(t->count ? t->count : 1, sizeof *order);
    *n = 0;
    for (uint32_t i = 0; i < t->count; i++)
        if (t->node[i].number)
            order[(*n)++] = i;
    qsort_r(order, *n, sizeof *order, by_date, t);
    return order;
}

/* A dummy is sorted as its first child is. Only ones at the top are left then. */
static uint32_t sorted_as(const struct search_thread *t, uint32_t at)
{
    return t->node[at].number ? at : t->node[at].first;
}

static int by_first_date(const void *x, const void *y, void *arg)
{
    uint32_t a = sorted_as(arg, *(const uint32_t *)x), b = sorted_as(arg, *(const uint32_t *)y);
    return by_date(&a, &b, arg);
}

/* Lists of children from the parents; the top level by date. A dummy with nothing below it is gone,
 * and so is one that merely stands above a single message (step 3). */
static void make_lists(struct search_thread *t, const uint32_t *order, size_t n, bool promote)
{
    for (size_t i = 0; i < t->count; i++)
        t->node[i].first = t->node[i].last = t->node[i].next = NONE;
    for (size_t i = 0; i < n; i++)
        if (t->node[order[i]].parent != NONE)
            add_child(t, t->node[order[i]].parent, order[i]);
    t->root = mem_grow(t->root, t->count ? t->count : 1, sizeof *t->root);
    t->root_count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        struct node *d = &t->node[i];
        if (d->parent != NONE || (!d->number && d->first == NONE))
            continue;
        uint32_t at = i;
        if (!d->number && promote && d->first == d->last) {
            at = d->first;
            t->node[at].parent = NONE;
        }
        t->root[t->root_count++] = at;
    }
    qsort_r(t->root, t->root_count, sizeof *t->root, by_first_date, t);
}

/* --- REFERENCES --- */

/* Step 3: what a dummy stands above goes to what stands above the dummy, except at the top. The way up
 * is remembered in the dummies, so that it is gone once. */
static void skip_dummies(struct search_thread *t, uint32_t at)
{
    uint32_t top = t->node[at].parent;
    if (top == NONE)
        return;
    while (!t->node[top].number && t->node[top].parent != NONE)
        top = t->node[top].parent;
    while (at != top) {
        uint32_t up = t->node[at].parent;
        t->node[at].parent = top;
        if (t->node[up].number)
            break;
        at = up;
    }
}

static void detach_dummies(struct search_thread *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (t->node[i].number)
            skip_dummies(t, i);
}

static const struct node *subject_node(const struct search_thread *t, uint32_t at)
{
    return &t->node[sorted_as(t, at)];
}

/* Step 5 B: one message for each subject. */
static void fill_subjects(struct search_thread *t)
{
    table_free(&t->table);
    for (size_t i = 0; i < t->root_count; i++) {
        uint32_t at = t->root[i];
        uint64_t subject = subject_node(t, at)->subject;
        if (!subject)
            continue;
        uint32_t *slot = table_at(&t->table, subject);
        const struct node *now = &t->node[at];
        if (*slot == NONE ||
            (t->node[*slot].number &&
             (!now->number || (t->node[*slot].reply && !now->reply))))
            *slot = at;
    }
}

/* All that stands below one goes below the other. */
static void give_children(struct search_thread *t, uint32_t from, uint32_t to)
{
    for (uint32_t c = t->node[from].first; c != NONE; c = t->node[c].next)
        t->node[c].parent = to;
}

static void merge(struct search_thread *t, uint32_t at, uint32_t *slot)
{
    const struct node *now = &t->node[at], *there = &t->node[*slot];
    if (!now->number && !there->number) {
        give_children(t, at, *slot);
    } else if (!there->number || (now->reply && !there->reply)) {
        t->node[at].parent = *slot;
    } else {
        uint32_t other = *slot, dummy = node_new(t); /* moves the nodes */
        t->node[at].parent = t->node[other].parent = dummy;
        *slot = dummy;
    }
}

/* Step 5 C. */
static void merge_subjects(struct search_thread *t)
{
    for (size_t i = 0; i < t->root_count; i++) {
        uint32_t at = t->root[i];
        uint64_t subject = subject_node(t, at)->subject;
        if (!subject)
            continue;
        uint32_t *slot = table_at(&t->table, subject);
        if (*slot != at && t->node[at].parent == NONE)
            merge(t, at, slot);
    }
}

static void thread_references(struct search_thread *t)
{
    size_t n;
    detach_dummies(t);
    uint32_t *order = sorted_messages(t, &n);
    make_lists(t, order, n, true);
    fill_subjects(t);
    merge_subjects(t);
    make_lists(t, order, n, false);
    free(order);
}

/* --- ORDEREDSUBJECT --- */

static void thread_subjects(struct search_thread *t)
{
    size_t n;
    uint32_t *order = sorted_messages(t, &n);
    for (size_t i = 0; i < n; i++) {
        struct node *m = &t->node[order[i]];
        uint32_t *slot = table_at(&t->table, m->subject ? m->subject : 1);
        if (*slot == NONE)
            *slot = order[i];
        else
            m->parent = *slot;
    }
    make_lists(t, order, n, false);
    free(order);
}

void search_thread_finish(struct search_thread *t)
{
    if (t->how == IMAP_THREAD_REFERENCES)
        thread_references(t);
    else
        thread_subjects(t);
    table_free(&t->table);
}

/* --- writing --- */

static bool only_child(const struct search_thread *t, uint32_t parent)
{
    return t->node[parent].first == t->node[parent].last;
}

/* From what has nothing below it to the next that is to be written; NONE: the thread is over. */
static uint32_t climb(const struct search_thread *t, uint32_t at, uint32_t root, struct buf *out)
{
    while (at != root) {
        uint32_t parent = t->node[at].parent;
        if (!only_child(t, parent))
            buf_byte(out, ')');
        if (t->node[at].next != NONE) {
            buf_byte(out, '(');
            return t->node[at].next;
        }
        at = parent;
    }
    return NONE;
}

bool search_thread_next(struct search_thread *t, struct buf *out)
{
    if (t->root_at == t->root_count)
        return false;
    uint32_t root = t->root[t->root_at++], at = root;
    buf_byte(out, '(');
    while (at != NONE) {
        const struct node *n = &t->node[at];
        if (n->number)
            buf_printf(out, out->p[out->n - 1] == '(' ? "%u" : " %u", n->number);
        if (n->first == NONE) {
            at = climb(t, at, root, out);
            continue;
        }
        if (!only_child(t, at))
            buf_str(out, n->number ? STR(" (") : STR("("));
        at = n->first;
    }
    buf_byte(out, ')');
    return true;
}
