/*
 * Folders of a Maildir++: INBOX is the root, "Archive.2024" is the directory ".Archive.2024".
 *
 * Names are IMAP names, '.' between levels, modified UTF-7 (RFC 3501 section 5.1.3) as they lie on disk.
 * No name leads out of the root: '/', "..", empty levels, controls and bytes above 0x7e are refused.
 * Runs as the owner.
 */
#ifndef FACTEUR_STORE_FOLDERS_H
#define FACTEUR_STORE_FOLDERS_H

#include "store/subscriptions.h"

#include <sys/stat.h>

#define STORE_FOLDER_SEP '.'
#define STORE_FOLDER_NAME_MAX 200 /* bytes */

/* 0, or -1 with a permanent *e whose client text says what is wrong with the name. */
int store_folder_name_check(struct str name, struct err *e);
bool store_folder_is_inbox(struct str name); /* "INBOX" in any case */

/* Writes the directory name (".Sent", "." for INBOX) of a checked name. */
int store_folder_dir(struct str name, char out[256], struct err *e);
/* Opens the folder's directory: 0; 1 when there is none; -1 and *e. */
int store_folder_dir_open(int root_fd, struct str name, int *fd, struct err *e);
/* What its cur/ is, by which folders are told apart. 0, or -1. */
int store_folder_cur_stat(int root_fd, struct str name, struct stat *st);

/* All folders that can be selected, INBOX first, the others sorted by bytes. */
int store_folder_list(int root_fd, struct arena *a, struct store_names *out, struct err *e);

/* Below: 0; 1 when it exists already (create, the new name of rename) or does not exist (delete, the
 * old name of rename and neither it nor a child is there); -1 and *e. All durable on return. */
int store_folder_create(int root_fd, struct str name, struct err *e);
/* Moves it aside in one step and removes it; children stay. INBOX is refused. */
int store_folder_delete(int root_fd, struct str name, struct err *e);
/* With all children, or nothing. INBOX: its messages move to a new folder and INBOX stays, empty
 * (RFC 3501 section 6.3.5). existing tells which 1 is meant: the new name is taken. */
int store_folder_rename(int root_fd, struct str from, struct str to, bool *existing, struct err *e);

#endif
