/* OAUTHBEARER and XOAUTH2. */
#include "protocol/sasl/bearer.h"

#define END '\1' /* kvsep (RFC 7628 section 3.1) */

static bool is_oauthbearer(struct str mechanism)
{
    return str_caseeq(mechanism, STR("OAUTHBEARER"));
}

bool sasl_is_bearer(struct str mechanism)
{
    return is_oauthbearer(mechanism) || str_caseeq(mechanism, STR("XOAUTH2"));
}

static int no_message(struct err *e, const char *why)
{
    return err_perm(e, "not a message with a token: %s", why);
}

static int take_user(struct sasl_bearer *out, struct str user, struct err *e)
{
    if (user.n > SASL_BEARER_USER_MAX || !str_is_text(user))
        return no_message(e, "a user name that nobody has");
    memcpy(out->user, user.p, user.n);
    out->user[user.n] = '\0';
    return 0;
}

/* saslname (RFC 5801 section 4): "=2C" and "=3D" stand for a comma and an equals sign. */
static int take_authzid(struct sasl_bearer *out, struct str coded, struct err *e)
{
    char room[SASL_BEARER_USER_MAX];
    size_t n = 0;
    for (size_t i = 0; i < coded.n; i++) {
        struct str rest = str_skip(coded, i);
        bool comma = str_casestarts(rest, STR("=2C")), equals = str_casestarts(rest, STR("=3D"));
        if (n == sizeof room || (coded.p[i] == '=' && !comma && !equals))
            return no_message(e, "a user name that nobody has");
        room[n++] = comma ? ',' : coded.p[i];
        i += comma || equals ? 2 : 0;
    }
    return take_user(out, (struct str){room, n}, e);
}

/* "n,a=USER,": channel binding (p) is not offered (RFC 7628 section 3.1; RFC 5801 section 4). */
static int take_header(struct sasl_bearer *out, struct str header, struct err *e)
{
    if (!str_starts(header, STR("n,")) && !str_starts(header, STR("y,")))
        return no_message(e, "another header than \"n,\"");
    header = str_skip(header, 2);
    if (header.n == 0 || str_find(header, ',') != (ptrdiff_t)header.n - 1)
        return no_message(e, "a header without its end");
    header.n--;
    if (header.n == 0)
        return 0;
    if (!str_starts(header, STR("a=")))
        return no_message(e, "a header with something else than a user name");
    return take_authzid(out, str_skip(header, 2), e);
}

/* b64token (RFC 6750 section 2.1). */
static bool is_token(struct str s)
{
    static const char others[] = "-._~+/";
    size_t n = s.n;
    while (n && s.p[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++) {
        char c = s.p[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && !memchr(others, c, sizeof others - 1))
            return false;
    }
    return n > 0;
}

static int take_token(struct sasl_bearer *out, struct str value, struct err *e)
{
    if (out->token.p)
        return no_message(e, "two of them");
    if (!str_casestarts(value, STR("Bearer ")))
        return no_message(e, "another scheme than Bearer");
    value = str_skip(value, strlen("Bearer "));
    while (str_starts(value, STR(" ")))
        value = str_skip(value, 1);
    if (value.n > SASL_TOKEN_MAX || !is_token(value))
        return no_message(e, "the token is none");
    out->token = value;
    return 0;
}

/* "KEY=VALUE" after "KEY=VALUE", each with its end, and an end more. Keys that are not known (host,
 * port) mean nothing here. */
static int take_pairs(struct sasl_bearer *out, struct str rest, bool has_user, struct err *e)
{
    for (ptrdiff_t end; (end = str_find(rest, END)) > 0; rest = str_skip(rest, (size_t)end + 1)) {
        struct str pair = str_head(rest, (size_t)end);
        int r = 0;
        if (str_find(pair, '=') <= 0)
            return no_message(e, "no \"=\" where one belongs");
        if (str_casestarts(pair, STR("auth=")))
            r = take_token(out, str_skip(pair, 5), e);
        else if (has_user && str_casestarts(pair, STR("user=")))
            r = take_user(out, str_skip(pair, 5), e);
        if (r != 0)
            return -1;
    }
    if (rest.n != 1)
        return no_message(e, "its end is missing");
    return out->token.p ? 0 : no_message(e, "there is none in it");
}

int sasl_bearer_parse(struct str mechanism, struct str said, struct sasl_bearer *out, struct err *e)
{
    *out = (struct sasl_bearer){.user = ""};
    if (!is_oauthbearer(mechanism))
        return take_pairs(out, said, true, e);
    ptrdiff_t end = str_find(said, END);
    if (end < 0)
        return no_message(e, "its end is missing");
    if (take_header(out, str_head(said, (size_t)end), e) != 0)
        return -1;
    return take_pairs(out, str_skip(said, (size_t)end + 1), false, e);
}

/* XOAUTH2 has numbers in place of the words of RFC 6750 section 3.1. */
void sasl_bearer_refuse(struct buf *out, struct str mechanism, enum sasl_bearer_fault fault,
                        struct str scope)
{
    static const char *const words[] = {"invalid_request", "invalid_token", "insufficient_scope"};
    static const char *const numbers[] = {"400", "401", "403"};
    bool has_words = is_oauthbearer(mechanism);
    buf_printf(out, "{\"status\":\"%s\"", (has_words ? words : numbers)[fault]);
    if (!has_words)
        buf_str(out, STR(",\"schemes\":\"bearer\""));
    if (scope.n)
        buf_str(out, STR(",\"scope\":\""));
    for (size_t i = 0; i < scope.n; i++) /* RFC 6749 section 3.3 has neither of these in a scope */
        if (scope.p[i] != '"' && scope.p[i] != '\\' && scope.p[i] >= ' ')
            buf_byte(out, scope.p[i]);
    buf_str(out, scope.n ? STR("\"}") : STR("}"));
}
