/* What the commands that ask LDAP tables have in common. */
#ifndef FACTEUR_LDAPMAP_LDAPMAP_ASK_H
#define FACTEUR_LDAPMAP_LDAPMAP_ASK_H

#include "ldapmap/ldapmap.h"

/* Asks the tables of the files (ldap:FILE, NULL-terminated) for a key, or with the key "-" for each
 * line of standard input, and prints values and complaints as postmap -q does. defaults (may be
 * NULL) stands for what a file does not say. Returns the exit status: 0 found, 1 anything else. */
int ldapmap_ask(char *const *files, const char *key, const struct ldapmap_conn_settings *defaults);

#endif
