/*
 * Who is logged in, and whether he still may be: mailbox sessions (the master tells of them) and
 * submission logins (grants). When the directory's entry of one changes, user_filter is asked again
 * as at a login, without the password; a "no" or another uid ends what he has. "Cannot say" ends
 * nothing, and is asked again.
 */
#ifndef FACTEUR_DIRECTORY_WATCH_H
#define FACTEUR_DIRECTORY_WATCH_H

#include "base/str.h"

struct directory;
struct watch;

struct watch *watch_new(struct directory *d);
void watch_free(struct watch *w); /* NULL is fine */

/* One session or login more, or less. name: what user_filter found him by; dn: his entry, empty
 * when it is not known: then he is looked at once now. */
void watch_add(struct watch *w, struct str login, uint32_t uid, struct str name, struct str dn);
void watch_remove(struct watch *w, struct str login, uint32_t uid);

/* This entry changed; empty: any may have. */
void watch_changed(struct watch *w, struct str dn);
size_t watch_count(const struct watch *w); /* users */

#endif
