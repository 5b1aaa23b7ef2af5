/* The lines of policy servers. */
#include "protocol/policy/policy.h"

void policy_put(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, "%s=", name);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        buf_byte(out, c < ' ' || c == 0x7f ? '?' : (char)c);
    }
    buf_byte(out, '\n');
}

void policy_put_number(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, "%s=%llu\n", name, (unsigned long long)value);
}

void policy_put_end(struct buf *out)
{
    buf_byte(out, '\n');
}

/* True when the line is the answer's action; other attributes mean nothing here. */
static int take_line(struct str line, struct str *action, struct err *e)
{
    ptrdiff_t eq = str_find(line, '=');
    if (eq <= 0)
        return err_perm(e, "a line of its answer is not NAME=VALUE");
    if (!str_eq(str_head(line, (size_t)eq), STR("action")))
        return 0;
    if (action->n)
        return err_perm(e, "its answer has two actions");
    *action = str_trim(str_skip(line, (size_t)eq + 1));
    if (action->n > POLICY_ACTION_MAX)
        return err_perm(e, "its action is too long");
    return str_is_text(*action) ? 0 : err_perm(e, "its action is no text");
}

int policy_answer_take(struct str *in, struct str *action, struct err *e)
{
    struct str rest = *in;
    *action = (struct str){"", 0};
    for (;;) {
        ptrdiff_t lf = str_find(rest, '\n');
        if (lf < 0)
            break;
        size_t n = (size_t)lf;
        struct str line = str_head(rest, n && rest.p[n - 1] == '\r' ? n - 1 : n);
        rest = str_skip(rest, n + 1);
        if (in->n - rest.n > POLICY_ANSWER_MAX)
            break;
        if (line.n) {
            if (take_line(line, action, e) != 0)
                return -1;
            continue;
        }
        if (action->n == 0)
            return err_perm(e, "its answer has no action");
        *in = rest;
        return 1;
    }
    return in->n > POLICY_ANSWER_MAX ? err_perm(e, "its answer is too long") : 0;
}
