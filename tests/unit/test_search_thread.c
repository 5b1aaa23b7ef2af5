/* session/search_thread.h: threads (RFC 5256). */
#include "base/map.h"
#include "session/search_thread.h"
#include "tests/unit/unit.h"

#include <stdio.h>

struct row {
    int date;
    const char *id, *references; /* separated by blanks */
    const char *subject;
    bool reply;
};

static uint64_t hash(struct str s)
{
    return s.n ? map_hash(s) | 1 : 0;
}

static void add_row(struct search_thread *t, uint32_t number, const struct row *r)
{
    struct str rest = str_from(r->references), one;
    uint64_t refs[32];
    size_t n = 0;
    while (str_token(&rest, " ", &one))
        refs[n++] = hash(one);
    const struct search_thread_message m = {
        .number = number, .date = r->date, .subject = hash(str_from(r->subject)), .reply = r->reply,
        .id = hash(str_from(r->id)), .references = refs, .reference_count = n};
    search_thread_add(t, &m);
}

static void check(enum imap_thread how, const struct row *rows, size_t n, const char *want)
{
    struct search_thread *t = search_thread_new(how);
    AUTO_BUF out = {0};
    for (size_t i = 0; i < n; i++)
        add_row(t, (uint32_t)i + 1, &rows[i]);
    search_thread_finish(t);
    while (search_thread_next(t, &out))
        continue;
    UNIT_STR(out, want);
    search_thread_free(t);
}

#define CHECK(how, want, ...)                                                                      \
    do {                                                                                           \
        const struct row rows_[] = {__VA_ARGS__};                                                  \
        check(how, rows_, sizeof rows_ / sizeof *rows_, want);                                     \
    } while (0)
#define REFS(want, ...) CHECK(IMAP_THREAD_REFERENCES, want, __VA_ARGS__)
#define SUBJ(want, ...) CHECK(IMAP_THREAD_ORDEREDSUBJECT, want, __VA_ARGS__)

/* The shape of the example "(2)(3 6 (4 23)(44 7 96))" of RFC 5256, BASE.7.2.THREAD. */
static void example(void)
{
    REFS("(1)(2 4 (3 6)(7 5 8))", {1, "a", "", "", false}, {2, "b", "", "", false},
         {4, "c", "b d", "", false}, {3, "d", "b", "", false}, {7, "e", "b d g", "", false},
         {5, "f", "b d c", "", false}, {6, "g", "b d", "", false}, {8, "h", "b d g e", "", false});
}

static void references(void)
{
        REFS("(2 1)", {2, "a", "b", "", false}, {1, "b", "", "", false});
    /* A missing parent of one is left out, of several it stays as a place. */
    REFS("(1)", {1, "a", "x y z", "", false});
    REFS("((1)(2))", {1, "a", "x", "", false}, {2, "b", "x", "", false});
    REFS("((1)(2 3))", {1, "a", "x y", "", false}, {2, "b", "x z", "", false},
         {3, "c", "x z b", "", false});
    /* Missing ones between two messages are left out. */
    REFS("(1 2)", {1, "a", "", "", false}, {2, "b", "a x y", "", false});
    REFS("(1 (2)(3))", {1, "a", "", "", false}, {2, "b", "a x", "", false},
         {3, "c", "a x y", "", false});
    /* What a message says of itself counts more than what others say (1 B). */
    REFS("(3)(2 1)", {3, "c", "b a", "", false}, {2, "a", "", "", false}, {1, "b", "", "", false});
    REFS("(2 1 3)", {2, "a", "", "", false}, {1, "b", "", "", false}, {3, "c", "b a", "", false});
    /* No Message-ID, and one that was there already. */
    REFS("(1 3)(2)", {1, "a", "", "", false}, {2, "a", "", "", false}, {3, "", "a", "", false});
    REFS("(1)(2)", {1, "", "", "", false}, {2, "", "", "", false});
    /* Loops. */
    REFS("(1)", {1, "a", "a", "", false});
    REFS("(2 1)", {1, "a", "b", "", false}, {2, "b", "a", "", false});
    REFS("(3 1 2)", {1, "a", "c", "", false}, {2, "b", "a", "", false}, {3, "c", "b", "", false});
    REFS("(1)", {1, "a", "x y x y a x", "", false});
    /* Siblings and threads by date, then by number. */
    REFS("(2)(1 (4)(3))", {5, "a", "", "", false}, {1, "b", "", "", false},
         {9, "c", "a", "", false}, {8, "d", "a", "", false});
    REFS("(1)(2)", {1, "a", "", "", false}, {1, "b", "", "", false});
}

static void subjects_of_references(void)
{
    /* 5: a reply goes below what is none. */
    REFS("(1 2)", {1, "a", "", "s", false}, {2, "b", "", "s", true});
    REFS("(2 1)", {1, "a", "", "s", true}, {2, "b", "", "s", false});
    REFS("((1)(2))", {1, "a", "", "s", false}, {2, "b", "", "s", false});
    REFS("((1)(2))", {1, "a", "", "s", true}, {2, "b", "", "s", true});
    REFS("((1)(2)(3))", {1, "a", "", "s", false}, {2, "b", "", "s", false},
         {3, "c", "", "s", true});
    /* Dummies: both; a message and a dummy, in either order. */
    REFS("((1)(2)(3)(4))", {1, "a", "x", "s", false}, {2, "b", "x", "", false},
         {3, "c", "y", "s", false}, {4, "d", "y", "", false});
    REFS("((1)(2)(3))", {1, "a", "x", "s", false}, {2, "b", "x", "", false},
         {3, "c", "", "s", false});
    REFS("((1)(2)(3))", {1, "c", "", "s", false}, {2, "a", "x", "s", false},
         {3, "b", "x", "", false});
    /* One message below a missing one stands for itself (3). */
    REFS("(2 1)", {1, "a", "x", "s", true}, {2, "b", "", "s", false});
    /* No subject joins nothing, and different ones neither. */
    REFS("(1)(2)(3)", {1, "a", "", "", false}, {2, "b", "", "", true}, {3, "c", "", "t", true});
}

static void ordered_subjects(void)
{
    SUBJ("(1 3)(2)", {1, "", "", "s", false}, {2, "", "", "t", false}, {3, "", "", "s", true});
    SUBJ("(3 (4)(1))(2)", {4, "", "", "s", false}, {3, "", "", "t", false}, {1, "", "", "s", true},
         {2, "", "", "s", true});
    SUBJ("(1 2)", {1, "", "", "", false}, {1, "", "", "", false});
}

/* 100,000 of anything takes neither stack nor long. */
static size_t big(size_t n, struct str (*above)(struct arena *, size_t i))
{
    struct search_thread *t = search_thread_new(IMAP_THREAD_REFERENCES);
    AUTO_ARENA a = arena_new(4096);
    AUTO_BUF out = {0};
    size_t threads = 0;
    for (size_t i = 1; i <= n; i++) {
        arena_reset(a);
        struct str text = above(a, i);
        uint64_t ref = hash(text);
        const struct search_thread_message m = {
            .number = (uint32_t)i, .date = (int64_t)i, .id = hash(arena_printf(a, "m%zu", i)),
            .references = &ref, .reference_count = text.n > 0};
        search_thread_add(t, &m);
    }
    search_thread_finish(t);
    while (search_thread_next(t, &out))
        threads++;
    search_thread_free(t);
    return threads;
}

static struct str before(struct arena *a, size_t i)
{
    return i > 1 ? arena_printf(a, "m%zu", i - 1) : (struct str){0};
}

static struct str after(struct arena *a, size_t i)
{
    return arena_printf(a, "m%zu", i + 1);
}

static struct str ring(struct arena *a, size_t i)
{
    return arena_printf(a, "m%zu", i % 100000 + 1);
}

static struct str one(struct arena *a, size_t i)
{
    return i > 1 ? arena_printf(a, "m1") : (struct str){0};
}

static struct str halves(struct arena *a, size_t i)
{
    return arena_printf(a, "m%zu", i / 2);
}

/* A chain, and then pairs that hang on its end, child first: every link has to look upwards. */
static struct str climbing(struct arena *a, size_t i)
{
    if (i <= 50000)
        return before(a, i);
    return i % 2 ? arena_printf(a, "m%zu", i + 1) : arena_printf(a, "m50000");
}

static void large(void)
{
    CU_ASSERT_EQUAL(big(100000, before), 1);
    CU_ASSERT_EQUAL(big(100000, after), 1);
    CU_ASSERT_EQUAL(big(100000, ring), 1);
    CU_ASSERT_EQUAL(big(100000, one), 1);
    CU_ASSERT_EQUAL(big(100000, halves), 1);
    CU_ASSERT(big(100000, climbing) > 0);
}

/* A message after another, each with as many references as count: memory stays bounded, and threads
 * that are there already go on. */
static void many_references(void)
{
    enum { N = SEARCH_THREAD_REFERENCES_MAX, MESSAGES = 3000 };
    uint64_t refs[N], next = 1 << 20;
    struct search_thread *t = search_thread_new(IMAP_THREAD_REFERENCES);
    AUTO_BUF out = {0};
    for (uint32_t m = 1; m <= MESSAGES; m++) {
        for (size_t i = 0; i < N; i++)
            refs[i] = next++;
        const struct search_thread_message one = {
            .number = m, .date = m, .id = m, .references = refs, .reference_count = N};
        search_thread_add(t, &one);
    }
    refs[0] = MESSAGES;
    const struct search_thread_message last = {.number = MESSAGES + 1, .date = MESSAGES + 1,
                                               .references = refs, .reference_count = 1};
    search_thread_add(t, &last);
    search_thread_finish(t);
    while (search_thread_next(t, &out))
        continue;
    CU_ASSERT(str_ends(buf_view(&out), STR("(2999)(3000 3001)")));
    search_thread_free(t);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"example", example},
        {"references", references},
        {"subjects of references", subjects_of_references},
        {"ordered subjects", ordered_subjects},
        {"large", large},
        {"many references", many_references},
        {NULL, NULL},
    };
    return unit_main("search-thread", tests);
}
