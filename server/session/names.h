/*
 * session/names: mailbox names between the wire and the store.
 */
#ifndef FACTEUR_SESSION_NAMES_H
#define FACTEUR_SESSION_NAMES_H

#include "base/mem.h"

struct imap_session;

/* True when strings may hold UTF-8 between quotes (UTF8=ACCEPT or IMAP4rev2 is enabled). */
bool imap_speaks_utf8(const struct imap_session *s);

/* Writes a mailbox name of the store to the client, in the form that it understands. */
void imap_write_folder(struct imap_session *s, struct str name);
/* The name in UTF-8, in the arena; one that is no modified UTF-7 stays as it is. */
struct str imap_folder_utf8(struct arena *a, struct str name);

#endif
