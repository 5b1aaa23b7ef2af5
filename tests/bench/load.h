/* The kinds of load; each takes its options and returns the exit status. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "loop.h"

int load_smtp(const struct options *options);   /* load_smtp.c: deliveries and submissions */
int load_login(const struct options *options);  /* load_imap.c: login and logout, IMAP or POP3 */
int load_idle(const struct options *options);   /* load_imap.c: sessions that hold still */
int load_script(const struct options *options); /* load_imap.c: the time of each command */
int load_mixed(const struct options *options);  /* load_mixed.c: many clients at once */
int load_disk(const struct options *options);   /* load_limit.c: what the disk can do */
int load_ldap(const struct options *options);   /* load_ldap.c: searches and binds */
int load_directory(const struct options *options); /* load_directory.c: the same through the program */
int load_tls(const struct options *options);    /* load_limit.c: what a handshake costs */

/* Shared by the IMAP loads. A figure of merit: 0 for a tagged OK, 1 for NO or BAD, -1 when gone. */
int imap_login(struct conn *conn, struct loop *loop, int port, const struct user *user);
int imap_command(struct conn *conn, const char *command, size_t len);

#endif
