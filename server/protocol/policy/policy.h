/*
 * What is said to a policy server and what it answers (Postfix, SMTPD_POLICY_README): lines
 * NAME=VALUE, ended by an empty one. Pure: octets in, octets out.
 */
#ifndef FACTEUR_PROTOCOL_POLICY_H
#define FACTEUR_PROTOCOL_POLICY_H

#include "base/err.h"
#include "base/mem.h"

#define POLICY_ANSWER_MAX 4096
#define POLICY_ACTION_MAX 1500

/* One attribute. Octets that would end the line or the text become "?". */
void policy_put(struct buf *out, const char *name, struct str value);
void policy_put_number(struct buf *out, const char *name, uint64_t value);
/* The end of the request. */
void policy_put_end(struct buf *out);

/* Takes an answer from the front of *in: 1 and its action, a view without blanks around it; 0 when
 * more must come; -1 with a permanent error when it is none. */
int policy_answer_take(struct str *in, struct str *action, struct err *e);

#endif
