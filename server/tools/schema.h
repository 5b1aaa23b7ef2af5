/* What the schema of a directory server has (RFC 4512 section 4.2). */
#ifndef FACTEUR_TOOLS_SCHEMA_H
#define FACTEUR_TOOLS_SCHEMA_H

#include "base/map.h"
#include "ldapmap/ldapmap_client.h"

struct schema_name {
    const char *name; /* of an attribute type or an object class */
    bool known;       /* the answer */
};

/* Looks for n names. 0, or -1 and an error. A server that does not show its schema knows none. */
int schema_look(struct ldapmap_client *c, struct schema_name *v, size_t n, struct err *e);

/* Puts into out, for each name of an attribute type in lower case, the first of its names (a char *, in the
 * arena): uid and userid are one (RFC 4519 section 2.39). 0, or -1 and an error. */
int schema_attributes(struct ldapmap_client *c, struct arena *a, struct map *out, struct err *e);

#endif
