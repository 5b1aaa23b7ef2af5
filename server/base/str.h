/*
 * Byte views: a pointer and a length, never owned, never NUL-terminated by promise.
 *
 * Everything that came from outside travels as a struct str, so that lengths stay explicit.
 * All comparisons "case" are ASCII only; Unicode folding lives in mail/.
 */
#ifndef FACTEUR_BASE_STR_H
#define FACTEUR_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

/* A view of a string literal, and the printf pair for "%.*s" (views longer than INT_MAX are ours
 * alone to make, and we make none). */
#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
#define STR_FMT(s) (int)(s).n, (s).p

/* A view of a C string; NULL gives the empty view. */
struct str str_from(const char *z);

bool str_eq(struct str a, struct str b);
bool str_caseeq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_casestarts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* Total order by bytes, shorter first when one is a prefix of the other: <0, 0, >0. */
int str_cmp(struct str a, struct str b);

/* Position of the first (last) c in s, or -1. */
ptrdiff_t str_find(struct str s, char c);
ptrdiff_t str_rfind(struct str s, char c);
/* True when needle stands somewhere in s, ASCII case ignored. */
bool str_casecontains(struct str s, struct str needle);

/* s without its first n bytes (all of it when n is larger); the first n bytes of s. */
struct str str_skip(struct str s, size_t n);
struct str str_head(struct str s, size_t n);

/* s without blanks, tabs, CR and LF at both ends. */
struct str str_trim(struct str s);

/* Takes the next piece up to (and past) any of the bytes in seps from *rest; empty pieces are
 * skipped. False when nothing is left. */
bool str_token(struct str *rest, const char *seps, struct str *piece);

/* Takes one line from *rest without its LF or CR LF; the last line may lack it. False at the end. */
bool str_line(struct str *rest, struct str *line);

/* Decimal digits only, whole view, no sign, no overflow: 0, else -1 and *out untouched. */
int str_u64(struct str s, uint64_t *out);
int str_u32(struct str s, uint32_t *out);
/* The other way: writes at most STR_U64_MAX digits at p and returns the place behind them. */
#define STR_U64_MAX 20
char *str_put_u64(char *p, uint64_t n);

/* A hexadecimal digit's value, and the octet that the first two of s say; -1: they are none. */
int str_hex_digit(char c);
int str_hex_octet(struct str s);

/* Edits that lead from one name to the other (Levenshtein): for "did you mean". SIZE_MAX when one is
 * longer than 63 bytes. */
size_t str_distance(struct str a, struct str b);

/* ASCII letters to lower case, in place. */
void str_lower(char *p, size_t n);

/* True when every byte is printable ASCII (0x21 to 0x7e). */
bool str_is_graph(struct str s);
/* True when no byte is above 0x7f. */
bool str_is_ascii(struct str s);
/* True when s is well-formed UTF-8 without NUL. */
bool str_is_utf8(struct str s);
/* True when s is such UTF-8 without control characters (C0, DEL, C1): fit for one header line. */
bool str_is_text(struct str s);

#endif
