/*
 * What the directory program did for one question, told while it does it: every search with its
 * result, every decision. A question that is to be explained runs through the same code as any
 * other, with a copy of its dirset that has a trace; without one nothing is told.
 *
 * A line is a kind and key=value pairs parted by tabs. In values a backslash stands before what would
 * be taken for something else: \t, \n, \\, and \xNN for other control bytes.
 */
#ifndef FACTEUR_DIRECTORY_TRACE_H
#define FACTEUR_DIRECTORY_TRACE_H

#include "base/mem.h"
#include "directory/search.h"

#define TRACE_LINES_MAX 2000
#define TRACE_LINE_MAX 7500

struct trace;
struct dirset;

typedef void (*trace_fn)(void *arg, struct str line);

struct trace_pair {
    const char *key;
    struct str value;
};

/* A set that is the same in everything and has a trace; one user, who releases it. It holds set. */
struct dirset *trace_dirset(struct dirset *set, trace_fn fn, void *arg);
/* Another one listens, with the same arg; it hears the next line whatever the limit. */
void trace_listen(struct dirset *traced, trace_fn fn);
/* Nobody listens any more; what is under way goes on. */
void trace_silence(struct dirset *traced);
/* For dirset_free: the trace and the copy go, its original is released. */
void trace_dirset_free(struct dirset *traced);

/* t: NULL for nobody. */
void trace_put(struct trace *t, const char *kind, const struct trace_pair *pairs, size_t n);
#define TRACE(t, kind, ...)                                                                        \
    do {                                                                                           \
        const struct trace_pair trace_pairs_[] = {__VA_ARGS__};                                    \
        trace_put((t), (kind), trace_pairs_, sizeof trace_pairs_ / sizeof trace_pairs_[0]);        \
    } while (0)
/* A decision in words. */
void trace_decision(struct trace *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A search that is over, with its entries. why: the maps or the purpose; began: clock_real_us. */
void trace_search(struct trace *t, struct str why, struct str key,
                  const struct ldapmap_search *search, const struct search_result *r,
                  int64_t began);

#endif
