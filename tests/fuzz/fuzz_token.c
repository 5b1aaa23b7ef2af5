/* Logins with a token: the client's message, what it is told when it is refused, and what the
 * introspection server answers. The first octet says how the rest is read. */
#include "filter/token_answer.h"
#include "protocol/sasl/bearer.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is handed on in a request's body stays one value there. */
static void check_token(struct str token, struct str said)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";
    assert(token.n > 0 && token.n <= SASL_TOKEN_MAX);
    assert(token.p >= said.p && token.p + token.n <= said.p + said.n);
    for (size_t i = 0; i < token.n; i++)
        assert(memchr(alphabet, token.p[i], sizeof alphabet - 1));
}

static void message(struct str mechanism, struct str said)
{
    struct sasl_bearer b;
    struct err e = {0};
    if (sasl_bearer_parse(mechanism, said, &b, &e) != 0) {
        assert(e.kind == ERR_PERMANENT && e.log[0]);
        return;
    }
    assert(memchr(b.user, 0, sizeof b.user) && str_is_text(str_from(b.user)));
    check_token(b.token, said);
}

/* It goes into a line of base64 and must be JSON, whatever scope the configuration has. */
static void refusal(struct str mechanism, struct str scope)
{
    AUTO_BUF out = {0};
    size_t quotes = 0;
    sasl_bearer_refuse(&out, mechanism, SASL_BEARER_SCOPE, scope);
    struct str text = buf_view(&out);
    for (size_t i = 0; i < text.n; i++) {
        assert((unsigned char)text.p[i] >= ' ' && text.p[i] != '\\');
        quotes += text.p[i] == '"';
    }
    assert(text.p[0] == '{' && text.p[text.n - 1] == '}');
    assert(quotes == (str_caseeq(mechanism, STR("XOAUTH2")) ? 8u : 4u) + (scope.n ? 4u : 0u));
}

static void answer(struct str json, bool needed, bool scoped)
{
    struct str wanted[] = {STR("mail")};
    struct config_list scope = {wanted, scoped ? 1 : 0};
    struct token_rules rules = {STR("active"), STR("true"), STR("username"), needed, &scope};
    AUTO_BUF user = {0};
    struct err e = {0};
    enum token_state state = TOKEN_NOT_ACTIVE;
    if (token_answer_read(json, &rules, 1700000000, &state, &user, &e) != 0)
        assert(e.kind == ERR_TEMPORARY && e.log[0]);
    else if (state == TOKEN_GOOD)
        assert(user.n > 0 && user.n <= TOKEN_USER_MAX && !memchr(user.p, 0, user.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct str rest = {(const char *)data + 1, size - 1};
    struct str mechanism = data[0] & 1 ? STR("XOAUTH2") : STR("OAUTHBEARER");
    if (data[0] & 2) {
        answer(rest, data[0] & 4, data[0] & 8);
        return 0;
    }
    message(mechanism, rest);
    refusal(mechanism, rest);
    return 0;
}
