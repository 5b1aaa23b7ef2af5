/*
 * Copies within a user's mail by hard link, straight to their place.
 *
 * What is linked is found first, and gets its name; the links are made when the folder's list is locked.
 * Durable means the content too: what was written a short while ago by a program of unknown habits (rsync,
 * a person with mv) is synced. Runs as the owner.
 */
#ifndef FACTEUR_STORE_COPY_H
#define FACTEUR_STORE_COPY_H

#include "store/maildir.h"

struct store_copies { /* for all copies of one save */
    char host[128], unique[64];
    size_t made;
    int64_t since; /* seconds since 1970: what is younger may not be on disk; 0: not known yet */
    size_t young; /* sources whose content may not be on disk */
};

void store_copies_begin(struct store_copies *c);
/* Gives the copy of src_dir/src a name (w->base) and sizes, without linking it. 0; 1: it is gone; 2: it has to
 * be read, and so copied by store_writer_link; -1. */
int store_copies_add(struct store_copies *c, struct store_writer *w, int dir_fd, int src_dir,
                     const char *src, struct err *e);
/* Links it into the folder's new/ (under its bare name) or cur/. 0; 1: not possible now, as store_writer_link is;
 * -1. */
int store_copies_place(struct store_writer *w, int src_dir, const char *src, int to_dir, bool in_new,
                       uint8_t flags, uint32_t keywords, struct err *e);
/* Makes the content of all copies durable; the directories are the caller's. */
int store_copies_sync(const struct store_copies *c, int dir_fd, struct err *e);

#endif
