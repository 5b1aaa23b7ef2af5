/*
 * Asking the directory for the first of several keys that a map knows: how Postfix searches a table
 * by address, domain and parent domain. The asker makes the list of keys.
 */
#ifndef FACTEUR_IPC_KEYS_H
#define FACTEUR_IPC_KEYS_H

#include "ipc/rpc.h"

struct keys_ask;

/* at: the place of the key that was found. For NO and CANNOT_SAY value is empty. A view for the time
 * of the call. */
typedef void (*keys_fn)(void *arg, enum verdict verdict, size_t at, struct str value);

/* Asks the keys in turn (copied; empty ones are passed over) until one is known or one cannot be
 * said; fn comes once, from the event loop. directory: an rpc to the directory. */
struct keys_ask *keys_start(struct rpc *directory, const char *option, const struct str *keys,
                            size_t n, int64_t timeout_ms, keys_fn fn, void *arg);
void keys_cancel(struct keys_ask *k); /* NULL is fine; no callback is made */

#endif
