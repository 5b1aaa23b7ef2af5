/* Checking what the directory says about a mailbox. */
#include "directory/mailbox.h"

/* Values come from the directory, not from clients; still they go into the log short. */
#define SHOWN(s) STR_FMT(str_head((s), 120))

int mailbox_id_read(const struct mailbox_rules *rules, const char *what, struct str value,
                    uint32_t *out, struct err *e)
{
    uint32_t id;
    if (str_u32(value, &id) != 0 || id == UINT32_MAX)
        return err_perm(e, "%s \"%.*s\" is not a number from 0 to 4294967294", what, SHOWN(value));
    if (id < rules->minimum)
        return err_perm(e, "%s %u is below virtual_minimum_uid (%u)", what, (unsigned)id,
                        (unsigned)rules->minimum);
    *out = id;
    return 0;
}

static const char *part_fault(struct str part)
{
    if (part.n == 0)
        return "has an empty part";
    if (str_eq(part, STR(".")) || str_eq(part, STR("..")))
        return "has a part \".\" or \"..\"";
    return part.n > 255 ? "has a part of more than 255 bytes" : NULL;
}

/* What is wrong with an absolute path without a slash at its end, or NULL. */
static const char *path_fault(struct str path)
{
    if (path.n < 2 || path.p[0] != '/')
        return "is not absolute";
    if (path.n > MAILBOX_PATH_MAX)
        return "is too long";
    if (!str_is_text(path))
        return "has control characters or is not UTF-8";
    struct str rest = str_skip(path, 1);
    for (;;) {
        ptrdiff_t slash = str_find(rest, '/');
        const char *fault = part_fault(slash < 0 ? rest : str_head(rest, (size_t)slash));
        if (fault || slash < 0)
            return fault;
        rest = str_skip(rest, (size_t)slash + 1);
    }
}

static bool is_below(struct str path, struct str base)
{
    return path.n > base.n + 1 && str_starts(path, base) && path.p[base.n] == '/';
}

int mailbox_path_read(const struct mailbox_rules *rules, const char *what, struct str value,
                      bool is_maildir, struct str *out, struct err *e)
{
    bool slash = value.n > 1 && value.p[value.n - 1] == '/';
    struct str path = slash ? str_head(value, value.n - 1) : value;
    const char *fault = path_fault(path);
    if (!fault && is_maildir && !slash)
        fault = "does not end with a slash, as a maildir must";
    if (fault)
        return err_perm(e, "%s \"%.*s\" %s", what, SHOWN(value), fault);
    if (!is_below(path, rules->base))
        return err_perm(e, "%s \"%.*s\" does not lie below virtual_mailbox_base %.*s", what,
                        SHOWN(value), SHOWN(rules->base));
    *out = is_maildir ? value : path;
    return 0;
}

struct str mailbox_home(const struct mailbox_rules *rules, struct str maildir,
                        const struct str *candidates, size_t count)
{
    struct str inside = str_head(maildir, maildir.n - 1), home;
    struct err ignored;
    for (size_t i = 0; i < count; i++)
        if (mailbox_path_read(rules, "home", candidates[i], false, &home, &ignored) == 0 &&
            (str_eq(inside, home) || is_below(inside, home)))
            return home;
    struct str parent = str_head(inside, (size_t)str_rfind(inside, '/'));
    return is_below(parent, rules->base) ? parent : inside;
}
