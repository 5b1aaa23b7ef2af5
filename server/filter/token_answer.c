/* An introspection answer. */
#include "filter/token_answer.h"

#include <jansson.h>

static const json_t *part(const json_t *all, struct str name)
{
    return json_object_getn(all, name.p, name.n);
}

static struct str string_of(const json_t *v)
{
    return (struct str){json_string_value(v), json_string_length(v)};
}

/* A string, a number or a truth value, as text; empty: something else. */
static struct str text_of(const json_t *v, char room[32])
{
    if (json_is_string(v))
        return string_of(v);
    if (json_is_integer(v))
        snprintf(room, 32, "%lld", (long long)json_integer_value(v));
    else
        snprintf(room, 32, "%s", json_is_true(v) ? "true" : json_is_false(v) ? "false" : "");
    return str_from(room);
}

static bool has_word(struct str words, struct str word)
{
    struct str one;
    while (str_token(&words, " ", &one))
        if (str_eq(one, word))
            return true;
    return false;
}

/* Words with blanks between (RFC 7662 section 2.2); some servers say a list of words. */
static bool has_scope(const json_t *scope, struct str wanted)
{
    if (json_is_string(scope))
        return has_word(string_of(scope), wanted);
    for (size_t i = 0; i < json_array_size(scope); i++)
        if (json_is_string(json_array_get(scope, i)) &&
            str_eq(string_of(json_array_get(scope, i)), wanted))
            return true;
    return false;
}

static int read_active(const json_t *all, const struct token_rules *rules, int64_t now_s,
                       bool *active, struct err *e)
{
    char room[32];
    const json_t *said = part(all, rules->active_attribute), *until = part(all, STR("exp"));
    if (!said && rules->active_needed)
        return err_temp(e, "the answer has no %.*s (oauth2_active_attribute)",
                        STR_FMT(str_head(rules->active_attribute, 100)));
    if (until && !json_is_number(until))
        return err_temp(e, "exp is no number");
    *active = (!said || str_eq(text_of(said, room), rules->active_value)) &&
              (!until || json_number_value(until) > (double)now_s);
    return 0;
}

static int read_user(const json_t *all, const struct token_rules *rules, struct buf *user,
                     struct err *e)
{
    const json_t *v = part(all, rules->username_attribute);
    if (!json_is_string(v) || json_string_length(v) == 0 ||
        json_string_length(v) > TOKEN_USER_MAX)
        return err_temp(e, "the answer names nobody in %.*s (oauth2_username_attribute)",
                        STR_FMT(str_head(rules->username_attribute, 100)));
    buf_str(user, string_of(v));
    return 0;
}

static int read_all(const json_t *all, const struct token_rules *rules, int64_t now_s,
                    enum token_state *state, struct buf *user, struct err *e)
{
    bool active;
    if (!json_is_object(all))
        return err_temp(e, "the answer is no JSON object");
    if (read_active(all, rules, now_s, &active, e) != 0)
        return -1;
    *state = active ? TOKEN_GOOD : TOKEN_NOT_ACTIVE;
    for (size_t i = 0; active && i < rules->scope->n; i++)
        if (!has_scope(part(all, STR("scope")), rules->scope->v[i]))
            *state = TOKEN_LACKS_SCOPE;
    return *state == TOKEN_GOOD ? read_user(all, rules, user, e) : 0;
}

int token_answer_read(struct str json, const struct token_rules *rules, int64_t now_s,
                      enum token_state *state, struct buf *user, struct err *e)
{
    json_error_t why;
    if (json.n > TOKEN_ANSWER_MAX)
        return err_temp(e, "the answer is too long");
    json_t *all = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &why);
    if (!all)
        return err_temp(e, "the answer is no JSON: %s", why.text);
    int r = read_all(all, rules, now_s, state, user, e);
    json_decref(all);
    return r;
}
