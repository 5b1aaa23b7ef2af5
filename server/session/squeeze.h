/*
 * session/squeeze: COMPRESS=DEFLATE (RFC 4978) for one session, both directions.
 *
 * What comes in is inflated a bounded piece at a time, so that a few bytes which stand for millions
 * cost no memory.
 */
#ifndef FACTEUR_SESSION_SQUEEZE_H
#define FACTEUR_SESSION_SQUEEZE_H

#include "base/mem.h"

struct squeeze;

struct squeeze *squeeze_new(void);
void squeeze_free(struct squeeze *q); /* NULL is fine */

/* Deflates plain and appends to out. flush: everything given so far can be inflated by the other end
 * then; nothing is added when it can be already. */
void squeeze_deflate(struct squeeze *q, struct str plain, bool flush, struct buf *out);

/* Gives the deflater's memory back, when all it was given can be inflated by the other end: one without
 * memory of what it sent may go on with the same stream. */
void squeeze_rest(struct squeeze *q);
/* Appends what another process needs to go on with both streams (as squeeze_rest for the way out): what
 * came in last. False when the client's stream stands in the middle of something. */
bool squeeze_write_state(const struct squeeze *q, struct buf *out);
/* One that goes on from there; NULL: it makes no sense. */
struct squeeze *squeeze_resume(struct str state);

/* Bytes that came in are handed over. */
void squeeze_feed(struct squeeze *q, struct str packed);
/* True while there is something to inflate without reading more. */
bool squeeze_pending(const struct squeeze *q);
/* Inflates at most max bytes to the end of out. 0, or -1 when the stream is damaged or ended. */
int squeeze_inflate(struct squeeze *q, size_t max, struct buf *out);

#endif
