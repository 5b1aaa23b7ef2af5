/* Hiding the machines of a domain behind it, as Postfix's masquerade_domains does. Pure. */
#ifndef FACTEUR_DIRECTORY_MASQUERADE_H
#define FACTEUR_DIRECTORY_MASQUERADE_H

#include "config/config.h"

/* The domain to put in place of an address's (lower case): the first element of domains that it
 * equals or lies below decides, and one with "!" before it leaves it as it is. user: the local
 * part, kept as it is when it is one of exceptions. False: nothing changes. */
bool masquerade_domain(const struct config_list *domains, const struct config_list *exceptions,
                       struct str user, struct str domain, struct str *out);

#endif
