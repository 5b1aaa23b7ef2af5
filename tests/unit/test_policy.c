/* protocol/policy/: what policy servers are told and answer. */
#include "protocol/policy/policy.h"
#include "tests/unit/unit.h"

static void attributes_are_lines(void)
{
    AUTO_BUF b = {0};
    policy_put(&b, "sender", STR("a@b"));
    policy_put(&b, "helo_name", ((struct str){"x\ny=z\r\0\x7f", 8}));
    policy_put_number(&b, "size", 12345678901);
    policy_put_end(&b);
    CU_ASSERT(str_eq(buf_view(&b), STR("sender=a@b\nhelo_name=x?y=z???\nsize=12345678901\n\n")));
}

/* However it is cut: more is wanted until it is whole. */
static bool says(const char *text, const char *want)
{
    struct str all = str_from(text), in, action;
    struct err e = {0};
    for (size_t n = 0; n < all.n; n++) {
        in = str_head(all, n);
        if (policy_answer_take(&in, &action, &e) != 0)
            return false;
    }
    in = all;
    return policy_answer_take(&in, &action, &e) == 1 && in.n == 0 &&
           str_eq(action, str_from(want));
}

static bool makes_no_sense(struct str in)
{
    struct str action;
    struct err e = {0};
    return policy_answer_take(&in, &action, &e) == -1 && e.log[0];
}

static void answers_are_read(void)
{
    CU_ASSERT(says("action=DUNNO\n\n", "DUNNO"));
    CU_ASSERT(says("action= DEFER_IF_PERMIT Greylisted, see = \r\n\r\n", "DEFER_IF_PERMIT Greylisted, see ="));
    CU_ASSERT(says("other=x\naction=550 5.7.1 no\nmore=\n\n", "550 5.7.1 no"));
    struct str in = STR("action=OK\n\naction=REJECT\n\n"), action;
    struct err e = {0};
    CU_ASSERT(policy_answer_take(&in, &action, &e) == 1 && str_eq(action, STR("OK")));
    CU_ASSERT(policy_answer_take(&in, &action, &e) == 1 && str_eq(action, STR("REJECT")));
    CU_ASSERT(in.n == 0);
}

static void nonsense_is_none(void)
{
    char big[POLICY_ANSWER_MAX + 2];
    CU_ASSERT(makes_no_sense(STR("\n")));
    CU_ASSERT(makes_no_sense(STR("DUNNO\n\n")));
    CU_ASSERT(makes_no_sense(STR("=x\n")));
    CU_ASSERT(makes_no_sense(STR("other=x\n\n")));
    CU_ASSERT(makes_no_sense(STR("action=OK\naction=REJECT\n\n")));
    CU_ASSERT(makes_no_sense(((struct str){"action=O\0K\n\n", 12})));
    CU_ASSERT(makes_no_sense(STR("action=O\x1bK\n\n")));
    CU_ASSERT(makes_no_sense(STR("action=\xff\n\n")));
    memset(big, 'x', sizeof big);
    CU_ASSERT(makes_no_sense((struct str){big, sizeof big}));
    memcpy(big, "action=", 7);
    memcpy(big + sizeof big - 2, "\n\n", 2);
    CU_ASSERT(makes_no_sense((struct str){big, sizeof big}));
    memset(big, '\n', sizeof big);
    for (size_t i = 0; i + 4 < sizeof big; i += 4)
        memcpy(big + i, "a=b\n", 4);
    CU_ASSERT(makes_no_sense((struct str){big, sizeof big}));
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"attributes are lines", attributes_are_lines},
        {"answers are read", answers_are_read},
        {"nonsense is none", nonsense_is_none},
        {NULL, NULL},
    };
    return unit_main("policy", tests);
}
