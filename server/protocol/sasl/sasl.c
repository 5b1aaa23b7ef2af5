/* SASL PLAIN and LOGIN, server side. */
#include "protocol/sasl/sasl.h"
#include "protocol/sasl/bearer.h"
#include "protocol/sasl/claim.h"

#include <sodium.h>

enum state {
    STATE_OVER,
    STATE_PLAIN,
    STATE_LOGIN_USER,
    STATE_LOGIN_PASSWORD,
    STATE_RELAY,
    STATE_RELAY_LAST,
    STATE_RELAY_REFUSED
};

#define DECODED_MAX (SASL_LINE_MAX / 4 * 3)

static enum sasl_event over(struct sasl *s, enum sasl_event event, const char *why)
{
    s->state = STATE_OVER;
    s->wrong = why;
    return event;
}

static enum sasl_event ask(struct sasl *s, enum state state, const char *challenge)
{
    s->state = state;
    s->challenge = challenge;
    return SASL_CONTINUE;
}

static bool keep(const struct sasl *s, struct secret *to, struct str from)
{
    secret_free(to);
    *to = secret_pool_copy(s->pool, from);
    return to->p != NULL;
}

/* Both halves are there; the last look at them. An empty password never reaches a bind: LDAP takes
 * it as an anonymous one, which succeeds (RFC 4513 section 5.1.2). */
static enum sasl_event take(struct sasl *s, struct str user, struct str password)
{
    if (user.n == 0)
        return over(s, SASL_REFUSED, "no user name");
    if (password.n == 0)
        return over(s, SASL_REFUSED, "an empty password");
    if (user.n > SASL_USER_MAX || password.n > SASL_PASSWORD_MAX)
        return over(s, SASL_REFUSED, "user name or password too long");
    if (str_find(password, '\0') >= 0 || !str_is_utf8(user))
        return over(s, SASL_WRONG, "bytes that no user name or password has");
    if (!keep(s, &s->user, user) || !keep(s, &s->password, password))
        return over(s, SASL_NO_MEMORY, "no guarded memory");
    return over(s, SASL_DONE, NULL);
}

/* [authzid] NUL authcid NUL passwd (RFC 4616 section 2). */
static enum sasl_event plain(struct sasl *s, struct str message)
{
    ptrdiff_t first = str_find(message, '\0');
    if (first < 0)
        return over(s, SASL_WRONG, "not a PLAIN message");
    struct str authzid = str_head(message, (size_t)first);
    struct str rest = str_skip(message, (size_t)first + 1);
    ptrdiff_t second = str_find(rest, '\0');
    if (second < 0)
        return over(s, SASL_WRONG, "not a PLAIN message");
    struct str user = str_head(rest, (size_t)second);
    if (authzid.n && !str_eq(authzid, user))
        return over(s, SASL_REFUSED, "acting as another user is not offered");
    return take(s, user, str_skip(rest, (size_t)second + 1));
}

static enum sasl_event login_user(struct sasl *s, struct str user)
{
    if (user.n == 0 || user.n > SASL_USER_MAX)
        return over(s, SASL_REFUSED, user.n ? "user name too long" : "no user name");
    if (!keep(s, &s->user, user))
        return over(s, SASL_NO_MEMORY, "no guarded memory");
    return ask(s, STATE_LOGIN_PASSWORD, "UGFzc3dvcmQ6"); /* Password: */
}

static enum sasl_event login_password(struct sasl *s, struct str password)
{
    struct secret user = s->user;
    s->user = (struct secret){.p = NULL};
    enum sasl_event e = take(s, (struct str){user.p, user.n}, password);
    secret_free(&user);
    return e;
}

static enum sasl_event relay(struct sasl *s, struct str message)
{
    char room[SASL_CLAIM_MAX];
    struct str user = {0};
    if (!s->user.p)
        user = sasl_claim(str_from(s->mechanism), message, room);
    s->has_message = true;
    if ((message.n && !keep(s, &s->message, message)) || (user.n && !keep(s, &s->user, user)))
        return over(s, SASL_NO_MEMORY, "no guarded memory");
    return SASL_RELAY;
}

static enum sasl_event handle(struct sasl *s, struct str message)
{
    switch (s->state) {
    case STATE_PLAIN:
        return plain(s, message);
    case STATE_LOGIN_USER:
        return login_user(s, message);
    case STATE_LOGIN_PASSWORD:
        return login_password(s, message);
    case STATE_RELAY:
        return relay(s, message);
    case STATE_RELAY_LAST:
        return message.n ? over(s, SASL_WRONG, "nothing was to follow") : over(s, SASL_RELAYED, NULL);
    case STATE_RELAY_REFUSED:
        return over(s, SASL_RELAYED, NULL);
    default:
        return over(s, SASL_WRONG, "the exchange is over");
    }
}

/* Canonical base64 only: its padding, no blanks, no stray bits (RFC 4648 sections 3.2, 3.5). */
static enum sasl_event decode(struct sasl *s, struct str line)
{
    unsigned char message[DECODED_MAX];
    size_t n = 0;
    if (line.n > SASL_LINE_MAX)
        return over(s, SASL_WRONG, "a line too long");
    if (line.n && sodium_base642bin(message, sizeof message, line.p, line.n, NULL, &n, NULL,
                                    sodium_base64_VARIANT_ORIGINAL) != 0) {
        mem_wipe(message, sizeof message);
        return over(s, SASL_WRONG, "not base64");
    }
    enum sasl_event e = handle(s, (struct str){(const char *)message, n});
    mem_wipe(message, sizeof message);
    return e;
}

enum sasl_event sasl_start(struct sasl *s, struct secret_pool *pool, struct str mechanism,
                           const struct str *initial)
{
    *s = (struct sasl){.pool = pool, .state = STATE_OVER};
    if (str_caseeq(mechanism, STR("PLAIN")))
        ask(s, STATE_PLAIN, "");
    else if (str_caseeq(mechanism, STR("LOGIN")))
        ask(s, STATE_LOGIN_USER, "VXNlcm5hbWU6"); /* Username: */
    else
        return over(s, SASL_UNKNOWN, "no such mechanism");
    if (!initial)
        return SASL_CONTINUE;
    /* "=" stands for an initial response of no bytes (RFC 4954 section 4). */
    return decode(s, str_eq(*initial, STR("=")) ? (struct str){"", 0} : *initial);
}

enum sasl_event sasl_relay_start(struct sasl *s, struct secret_pool *pool, struct str mechanism,
                                 const struct str *initial)
{
    *s = (struct sasl){.pool = pool, .state = STATE_RELAY};
    if (mechanism.n >= sizeof s->mechanism)
        return over(s, SASL_UNKNOWN, "no such mechanism");
    for (size_t i = 0; i < mechanism.n; i++)
        s->mechanism[i] = (char)(mechanism.p[i] >= 'a' && mechanism.p[i] <= 'z' ? mechanism.p[i] - 32
                                                                                : mechanism.p[i]);
    if (!initial && sasl_is_bearer(mechanism))
        return ask(s, STATE_RELAY, ""); /* the client begins (RFC 7628 section 3) */
    if (!initial)
        return SASL_RELAY;
    return decode(s, str_eq(*initial, STR("=")) ? (struct str){"", 0} : *initial);
}

enum sasl_event sasl_relay_challenge(struct sasl *s, struct str data, enum sasl_expects next)
{
    static const enum state states[] = {[SASL_EXPECTS_MORE] = STATE_RELAY,
                                        [SASL_EXPECTS_NOTHING] = STATE_RELAY_LAST,
                                        [SASL_EXPECTS_ANYTHING] = STATE_RELAY_REFUSED};
    size_t n = sodium_base64_encoded_len(data.n, sodium_base64_VARIANT_ORIGINAL);
    buf_clear(&s->encoded);
    char *to = buf_room(&s->encoded, n);
    sodium_bin2base64(to, n, (const unsigned char *)data.p, data.n, sodium_base64_VARIANT_ORIGINAL);
    secret_free(&s->message);
    s->has_message = false;
    return ask(s, states[next], to);
}

enum sasl_event sasl_step(struct sasl *s, struct str line)
{
    if (str_eq(line, STR("*")))
        return over(s, SASL_CANCELLED, "cancelled");
    return decode(s, line);
}

void sasl_free(struct sasl *s)
{
    secret_free(&s->user);
    secret_free(&s->password);
    secret_free(&s->message);
    buf_free(&s->encoded);
    s->state = STATE_OVER;
}
