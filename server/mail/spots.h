/* Where addresses stand in an address list of a header (RFC 5322 section 3.4), so that they can be
 * replaced in place. Tolerant: what is no clear address is passed over. Pure. */
#ifndef FACTEUR_MAIL_SPOTS_H
#define FACTEUR_MAIL_SPOTS_H

#include "base/str.h"

/* Takes *rest past the next address: spot is a view of it, "user@domain" or "user" without brackets,
 * route and comments. False at the end. */
bool mail_spot_next(struct str *rest, struct str *spot);

#endif
