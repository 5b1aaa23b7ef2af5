/* What the introspection server says of a token (RFC 7662 section 2.2), read by libjansson. Pure. */
#ifndef FACTEUR_FILTER_TOKEN_ANSWER_H
#define FACTEUR_FILTER_TOKEN_ANSWER_H

#include "base/err.h"
#include "config/config.h"

#define TOKEN_ANSWER_MAX 65536
#define TOKEN_USER_MAX 1000

enum token_state { TOKEN_GOOD, TOKEN_NOT_ACTIVE, TOKEN_LACKS_SCOPE };

struct token_rules {
    struct str active_attribute, active_value, username_attribute;
    bool active_needed; /* the answer must say it; else it need not */
    const struct config_list *scope;
};

/* now_s: seconds since 1970; a token past its "exp" is not active, whatever else is said. user: whose a
 * good one is. 0, or -1 and a temporary error when the answer makes no sense. */
int token_answer_read(struct str json, const struct token_rules *rules, int64_t now_s,
                      enum token_state *state, struct buf *user, struct err *e);

#endif
