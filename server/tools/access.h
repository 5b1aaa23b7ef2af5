/* Commands that talk to the directory themselves: whom they are there, how LDIF is printed. */
#ifndef FACTEUR_TOOLS_ACCESS_H
#define FACTEUR_TOOLS_ACCESS_H

#include "config/config.h"
#include "ldapmap/ldapmap_client.h"

/* -D DN with -W or -y FILE, -Y EXTERNAL, -H URI, as ldapadd(1) has them; without them the reader of
 * facteur.conf, who may only look. */
struct access_options {
    const char *dn, *password_file, *uri;
    bool ask, external;
};
#define ACCESS_LETTERS "D:Wy:Y:H:"
#define ACCESS_USAGE "[-D DN -W | -D DN -y FILE | -Y EXTERNAL] [-H URI]"

/* False: not one of the letters. *bad: a value that cannot be. */
bool access_option(struct access_options *o, int letter, const char *value, bool *bad);
bool access_is_reader(const struct access_options *o);

/* The settings for a connection, to be wiped with ldapmap_conn_wipe: 0, or -1 and an error. The
 * reader's password may come from ldap_bind_pw_file too. */
int access_settings(const struct access_options *o, const struct config *cfg, struct arena *a,
                    struct ldapmap_conn_settings *out, struct err *e);

/* The first line of a small file, which may be a password: in the arena. 0, or -1 and an error. */
int access_first_line(const char *path, struct arena *a, struct str *out, struct err *e);

/* An LDIF line (RFC 2849): base64 where the value needs it. */
void access_ldif_line(struct buf *out, const char *attr, struct str value);
/* A whole record: a new entry, or changes to one; with an empty line at its end. */
void access_ldif_add(struct buf *out, const char *dn, const struct ldapmap_change *v, size_t n);
void access_ldif_modify(struct buf *out, const char *dn, const struct ldapmap_change *v, size_t n);

#endif
