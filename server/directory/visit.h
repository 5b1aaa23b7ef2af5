/*
 * One address on its way to its mailboxes: a node of a recipient's graph and the lookups about it.
 * resolve.c walks from address to address, visit.c asks about one, decide.c says what the answers mean,
 * ends.c what the address turns out to be.
 */
#ifndef FACTEUR_DIRECTORY_VISIT_H
#define FACTEUR_DIRECTORY_VISIT_H

#include "directory/box.h"
#include "directory/domains.h"
#include "directory/graph.h"
#include "directory/lookup.h"
#include "directory/resolve.h"

enum { KEY_FULL, KEY_SHORT, KEY_OWN_FULL, KEY_OWN_SHORT, KEY_DOMAIN, KEYS };
enum { CLASSES = 4 };

struct resolve {
    struct dirset *set;
    struct arena *arena;
    unsigned flags;
    resolve_fn fn;
    void *arg;
    struct name_address said;
    struct str sender; /* empty: <> */
    struct graph *graph;
    struct graph_node *root;
    const char *led_by; /* the option whose address stands for the one asked; NULL: none */
    bool changed;       /* the address asked was rewritten */
    size_t under_way; /* addresses with lookups under way */
    bool starting;    /* inside the loop of visit_next */
    bool answered;    /* fn was called; the rest only drains */
    bool any_remote, all_unknown; /* of the targets */
    bool any_disabled; /* some mailbox takes no mail now */
    bool stale; /* some answer is from before an outage */
    struct err err;
    struct resolve_target *targets;
    size_t count;
};

/* One address on its way. */
struct visit {
    struct resolve *r;
    struct graph_node *node;
    size_t pending;
    enum domain_class class;
    struct lookup_want classes[CLASSES];
    bool class_asked, class_told, moved_known;
    struct lookup_want aliases[KEYS];
    bool alias_asked[KEYS];
    struct lookup_want boxes[KEY_OWN_FULL][BOX_WANTS];
    bool box_asked[KEY_OWN_FULL];
    struct lookup_want groups[KEY_OWN_FULL];
    bool group_asked[KEY_OWN_FULL];
    struct join *join; /* what is asked now goes as one search where it can; NULL: not now */
};

/* What may be asked before any answer; visit_decide is called when all lookups have ended. */
void visit_ask_first(struct visit *v);

/* One more round of questions. What is asked between begin and end goes as one search where it can.
 * What was asked already, or has no key, is not asked again. */
void visit_ask_begin(struct visit *v);
void visit_ask_end(struct visit *v);
void visit_ask_alias(struct visit *v, size_t i); /* i: one of KEY_... */
void visit_ask_catch_all(struct visit *v);
void visit_ask_boxes(struct visit *v);
void visit_ask_class(struct visit *v);
void visit_on_lookup(void *arg); /* one of v->pending has ended; arg: the visit */

/* The key an alias is asked by; empty: none. In the arena of v->r. */
struct str visit_alias_key(const struct visit *v, size_t i);

/* Whether this is the address as the client said it (or as it was rewritten). */
bool visit_was_said(const struct visit *v);

/* v->class from the answers; 0, or -1 and v->r->err when the directory cannot say. */
int visit_decide_class(struct visit *v);
void visit_trace_class(const struct visit *v, bool known);
/* Whether the alias that was found (key) makes the domain's class matter no more. */
bool visit_is_class_settled(const struct visit *v, int found, size_t key);

/* All that was asked is answered (decide.c). */
void visit_decide(struct visit *v);

/* The end of a visit; v and v->r may be gone after each of these and of the ends below. */
void visit_end(struct visit *v);  /* the walk goes on */
void visit_fail(struct visit *v); /* the directory cannot say: v->r->err */
void visit_answer(struct visit *v, enum verdict verdict, const char *text); /* of the whole walk */

/* What the address turns out to be (ends.c). */
void visit_end_mailbox(struct visit *v, const struct box *box);
void visit_end_remote(struct visit *v);
void visit_end_elsewhere(struct visit *v); /* not by our doing: not hosted here */
void visit_end_unknown(struct visit *v);   /* a no to whoever said it, a failure to an alias */
/* Postmaster of a hosted domain, whom the directory need not have: unknown, he is postmaster_address. */
bool visit_is_owed_postmaster(const struct visit *v);

/* Begins the walk, anew, at this address. */
void resolve_set_root(struct resolve *r, const struct name_address *addr);

#endif
