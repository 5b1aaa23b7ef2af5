/*
 * Rewriting an address of an envelope or a header as Postfix's cleanup does: sender_canonical_maps
 * or recipient_canonical_maps, then canonical_maps, each again and again until nothing changes, then
 * masquerade_domains; each for the classes of addresses that its option of classes names.
 */
#ifndef FACTEUR_DIRECTORY_REWRITE_H
#define FACTEUR_DIRECTORY_REWRITE_H

#include "directory/find.h"
#include "ipc/message.h"

/* YES: address is the normal form of what it became (arena's). CANNOT_SAY: why, for the log. NO: it is
 * no address. */
typedef void (*rewrite_fn)(void *arg, enum verdict verdict, struct str address, const char *why);

/* classes: the one REWRITE_* of ipc/message.h. fn comes once, possibly from inside; the set must be
 * held meanwhile. */
void rewrite_run(struct dirset *set, struct arena *a, struct str address, unsigned class,
                 rewrite_fn fn, void *arg);
/* False when nothing can change such addresses. */
bool rewrite_is_wanted(const struct dirset *set, unsigned class);

/* Options of classes: "envelope_sender, header_recipient" as bits of REWRITE_*; 0, or -1 with a
 * permanent error. */
int rewrite_classes(const struct config_list *names, const char *option, unsigned *out,
                    struct err *e);

#endif
