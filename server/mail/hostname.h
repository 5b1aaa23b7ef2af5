/* Names of hosts, as they are said in greetings. Pure. */
#ifndef FACTEUR_MAIL_HOSTNAME_H
#define FACTEUR_MAIL_HOSTNAME_H

#include "base/str.h"

/* A name as Postfix takes it: labels of 1 to 63 letters, digits, underscores, and hyphens inside; 253
 * octets at most, no final dot, and not digits alone, which would be an address (RFC 1123 section
 * 2.1). */
bool hostname_is_valid(struct str name);

/* 192.0.2.1 or 2001:db8::1 */
bool hostname_is_address(struct str text);

/* [192.0.2.1] or [IPv6:2001:db8::1] (RFC 5321 section 4.1.3) */
bool hostname_is_literal(struct str text);

#endif
