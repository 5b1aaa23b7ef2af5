/*
 * Charsets as tables made with iconv, and those with states that are read through such tables.
 *
 * iconv keeps a library for each charset in the process, five mappings each, and every fork copies them:
 * sessions are forks. The tables of all charsets are one mapping, shared and read-only once sealed.
 */
#ifndef FACTEUR_MAIL_CHARSET_TABLE_H
#define FACTEUR_MAIL_CHARSET_TABLE_H

#include "base/mem.h"

#include <iconv.h>

struct charset_tables;

struct charset_tables *charset_tables_new(void);
void charset_tables_free(struct charset_tables *t); /* NULL is fine */
/* Adds a charset whose bytes, or groups of up to three bytes, mean the same wherever they stand; cd
 * converts it to UTF-8. Returns its number, or -1 when it has too many groups for a table. */
int charset_tables_add(struct charset_tables *t, iconv_t cd);
/* No more are added. */
void charset_tables_seal(struct charset_tables *t);

/* These append in as UTF-8, with U+FFFD for each byte that begins nothing: 0, or -1 past the bound. */
int charset_by_table(const struct charset_tables *t, int number, struct str in, struct buf *out);
/* ISO-2022-JP (RFC 1468) by the table of EUC-JP; ISO-2022-KR (RFC 1557) by that of EUC-KR. */
int charset_iso2022jp(const struct charset_tables *t, int euc_jp, struct str in, struct buf *out);
int charset_iso2022kr(const struct charset_tables *t, int euc_kr, struct str in, struct buf *out);

enum charset_order { CHARSET_BY_MARK /* big-endian without one (RFC 2781 section 4.3) */, CHARSET_BIG, CHARSET_LITTLE };
int charset_utf16(enum charset_order order, struct str in, struct buf *out);

#endif
