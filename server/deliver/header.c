/* Trace lines. */
#include "deliver/header.h"

static int check(const char *name, struct str value, bool may_be_empty, struct err *e)
{
    if (value.n == 0 && !may_be_empty)
        return err_perm(e, "%s is empty", name);
    if (!str_is_text(value))
        return err_perm(e, "%s holds control characters or is not UTF-8", name);
    return 0;
}

static int check_prefix(struct str prefix, struct err *e)
{
    struct str line;
    if (prefix.n && prefix.p[prefix.n - 1] != '\n')
        return err_perm(e, "prefix does not end with a line");
    while (str_line(&prefix, &line))
        if (check("prefix", line, false, e) != 0)
            return -1;
    return 0;
}

int deliver_header(struct buf *out, struct str sender, struct str original, struct str address,
                   struct str prefix, struct err *e)
{
    size_t start = out->n;
    if (check("sender", sender, true, e) != 0 || check("original", original, false, e) != 0 ||
        check("address", address, false, e) != 0 || check_prefix(prefix, e) != 0)
        return -1;
    if (buf_printf(out, "Return-Path: <%.*s>\nX-Original-To: %.*s\nDelivered-To: %.*s\n%.*s",
                   STR_FMT(sender), STR_FMT(original), STR_FMT(address), STR_FMT(prefix)) != 0) {
        out->n = start;
        return err_perm(e, "trace lines too long");
    }
    return 0;
}
