/* What policy servers answer, whole and in pieces, and what they are told: whatever a value holds, it
 * stays one line. */
#include "protocol/policy/policy.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All answers of a stream that comes step octets at a time. */
static void answers(struct str all, size_t step, struct buf *said)
{
    AUTO_BUF held = {0};
    while (all.n) {
        buf_str(&held, str_head(all, step));
        all = str_skip(all, step);
        struct str in = buf_view(&held), action;
        struct err e = {0};
        int r;
        while ((r = policy_answer_take(&in, &action, &e)) == 1) {
            assert(action.n > 0 && action.n <= POLICY_ACTION_MAX && str_is_text(action));
            buf_printf(said, "%.*s\n", STR_FMT(action));
        }
        if (r < 0) {
            assert(e.log[0]);
            buf_str(said, STR("bad"));
            return;
        }
        assert(in.n <= POLICY_ANSWER_MAX);
        buf_consume(&held, held.n - in.n);
    }
}

static void attributes(struct str value)
{
    AUTO_BUF out = {0};
    struct str all, line;
    policy_put(&out, "sender", value);
    policy_put_end(&out);
    all = buf_view(&out);
    assert(str_line(&all, &line) && str_starts(line, STR("sender=")) && line.n == 7 + value.n);
    assert(str_eq(all, STR("\n")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct str all = {(const char *)data + 1, size - 1};
    AUTO_BUF whole = {0};
    AUTO_BUF pieces = {0};
    answers(all, all.n ? all.n : 1, &whole);
    answers(all, 1 + data[0] % 40u, &pieces);
    assert(str_eq(buf_view(&whole), buf_view(&pieces)));
    attributes(all);
    return 0;
}
