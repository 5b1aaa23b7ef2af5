/* SASL exchanges line by line, those that end here and those that are relayed, and who their messages
 * say the client is. */
#include "protocol/sasl/claim.h"
#include "protocol/sasl/sasl.h"

#include <assert.h>
#include <sodium.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_credentials(const struct sasl *s)
{
    assert(s->user.n > 0 && s->user.n <= SASL_USER_MAX && !memchr(s->user.p, 0, s->user.n));
    assert(s->password.n > 0 && s->password.n <= SASL_PASSWORD_MAX);
    assert(!memchr(s->password.p, 0, s->password.n));
}

static void check_challenge(const char *text)
{
    for (const char *p = text; *p; p++)
        assert((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
               *p == '+' || *p == '/' || *p == '=');
}

static void check_relay(const struct sasl *s)
{
    char room[SASL_CLAIM_MAX];
    struct str said = {s->message.p, s->message.n};
    assert(memchr(s->mechanism, 0, sizeof s->mechanism));
    assert(s->has_message || said.n == 0);
    struct str claim = sasl_claim(str_from(s->mechanism), said, room);
    assert(claim.n <= SASL_CLAIM_MAX);
}

/* True: the exchange goes on. */
static bool check(const struct sasl *s, enum sasl_event event)
{
    if (event == SASL_DONE)
        check_credentials(s);
    else if (event == SASL_RELAY)
        check_relay(s);
    else if (event == SASL_CONTINUE)
        check_challenge(s->challenge);
    else if (event == SASL_WRONG || event == SASL_REFUSED)
        assert(s->wrong);
    return event == SASL_CONTINUE || event == SASL_RELAY;
}

/* The first line begins: MECHANISM [RESPONSE]. In a relayed exchange every other line is what the
 * directory's server says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || sodium_init() < 0)
        return 0;
    struct str all = {(const char *)data + 1, size - 1}, line = {"", 0}, mechanism = {"", 0};
    struct sasl s;
    str_line(&all, &line);
    if (!str_token(&line, " ", &mechanism))
        mechanism = STR("");
    bool relayed = data[0] & 1, initial = data[0] & 2;
    enum sasl_expects expects = (enum sasl_expects)((data[0] >> 2) % 3);
    enum sasl_event event =
        (relayed ? sasl_relay_start : sasl_start)(&s, NULL, mechanism, initial ? &line : NULL);
    while (check(&s, event) && str_line(&all, &line))
        event = event == SASL_RELAY ? sasl_relay_challenge(&s, line, expects) : sasl_step(&s, line);
    sasl_free(&s);
    sasl_free(&s);
    return 0;
}
