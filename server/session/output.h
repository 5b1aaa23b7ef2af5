/*
 * session/output: bytes to the client, gathered and written in large pieces.
 *
 * Never blocks longer than the write timeout; after a failure everything is thrown away and
 * output_failed() says so: the session ends at the next command.
 */
#ifndef FACTEUR_SESSION_OUTPUT_H
#define FACTEUR_SESSION_OUTPUT_H

#include "base/mem.h"

struct output {
    int fd;
    int64_t timeout_ms;
    struct buf b;
    bool failed;
    uint64_t written; /* bytes */
    struct squeeze *squeeze; /* borrowed: what goes out is compressed; or NULL */
    struct buf packed;
};

void output_init(struct output *o, int fd, int64_t timeout_ms);
void output_free(struct output *o);

void output_str(struct output *o, struct str s);
void output_z(struct output *o, const char *z);
void output_number(struct output *o, uint64_t n); /* decimal */
void output_printf(struct output *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The buffer itself, for writers that append to one; call output_check() afterwards. */
struct buf *output_buf(struct output *o);
void output_check(struct output *o); /* writes when enough has gathered */
void output_flush(struct output *o); /* writes all */

#endif
