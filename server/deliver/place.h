/*
 * From what a grant says to a written message, and the checks on the way.
 *
 * Starts privileged: checks uid, gid and path again (the directory is believed only within
 * virtual_minimum_uid and virtual_mailbox_base), finds or makes the home, and does everything
 * inside the home, reading the message too, as its owner. If acting as root again fails the process
 * ends.
 */
#ifndef FACTEUR_DELIVER_PLACE_H
#define FACTEUR_DELIVER_PLACE_H

#include "base/err.h"
#include "config/config.h"
#include "ipc/message.h"
#include "store/deliver.h"

/* Whose mailbox, checked; strings are borrowed from the reply and the configuration. */
struct deliver_place {
    const char *base;
    struct str home;
    struct str name; /* of the maildir inside the home */
    uint32_t uid, gid;
    uint64_t limit;  /* bytes; 0: none */
};

/* 0, or -1 and a temporary error that says what is out of bounds. In single_uid mode the place
 * belongs to the calling user, whatever the directory says. */
int deliver_place_check(const struct config *cfg, const struct msg_redeem_reply *r,
                        struct deliver_place *out, struct err *e);

/* Writes header and size bytes of body_fd: VERDICT_YES, VERDICT_FULL or VERDICT_CANNOT_SAY; *e
 * is filled for the last two. */
enum verdict deliver_place_write(const struct deliver_place *p, struct str header, int body_fd,
                                 uint64_t size, struct store_delivered *out, struct err *e);

/* Would size bytes fit, in a sound place? Makes no home and no maildir. Verdicts as above. */
enum verdict deliver_place_probe(const struct deliver_place *p, uint64_t size, struct err *e);

#endif
