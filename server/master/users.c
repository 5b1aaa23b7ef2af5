/* The users of the programs, by name or as uid:gid. */
#include "master/material.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

struct user_option {
    enum kind kind;
    const char *name;
    struct str value;
};

static bool by_number(struct str text, struct identity *out)
{
    ptrdiff_t colon = str_find(text, ':');
    uint32_t uid, gid;
    if (colon < 0 || str_u32(str_head(text, (size_t)colon), &uid) != 0 ||
        str_u32(str_skip(text, (size_t)colon + 1), &gid) != 0)
        return false;
    *out = (struct identity){uid, gid};
    return true;
}

static void by_name(const struct user_option *o, struct identity *out, struct findings *f)
{
    char room[16384], name[256];
    struct passwd pw, *found = NULL;
    snprintf(name, sizeof name, "%.*s", STR_FMT(str_head(o->value, 255)));
    int r = getpwnam_r(name, &pw, room, sizeof room, &found);
    if (!found && r != 0)
        finding_error(f, "%s: user %s: %s", o->name, name, strerror(r));
    else if (!found)
        finding_error(f,
                      "%s: this machine has no user %s: useradd --system --no-create-home "
                      "--shell /usr/sbin/nologin %s",
                      o->name, name, name);
    else
        *out = (struct identity){found->pw_uid, found->pw_gid};
}

static void check_one(const struct material *m, const struct user_option *o, struct findings *f)
{
    const struct identity *id = &m->user[o->kind];
    if (id->uid == 0 || id->gid == 0)
        finding_error(f, "%s: must be neither root nor in root's group", o->name);
    else if (id->uid >= (uint64_t)m->cfg->virtual_minimum_uid)
        finding_warning(f, "%s: uid %u could own a mailbox (virtual_minimum_uid is %lld)", o->name,
                        (unsigned)id->uid, (long long)m->cfg->virtual_minimum_uid);
}

/* Two programs of one uid could read each other's memory. */
static void check_apart(const struct material *m, const struct user_option *o, size_t n,
                        struct findings *f)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (m->user[o[i].kind].uid && m->user[o[i].kind].uid == m->user[o[j].kind].uid)
                finding_error(f, "%s and %s: are the same user, uid %u", o[j].name, o[i].name,
                              (unsigned)m->user[o[i].kind].uid);
}

/* A milter's socket is often open to a group alone, and an administrator adds our user to it. */
static void filter_groups(struct material *m)
{
    char name[256];
    snprintf(name, sizeof name, "%.*s", STR_FMT(str_head(m->cfg->filter_user, 255)));
    struct identity by;
    if (by_number(m->cfg->filter_user, &by))
        return;
    int n = FILTER_GROUPS_MAX;
    if (getgrouplist(name, m->user[KIND_FILTER].gid, m->filter_groups, &n) >= 0)
        m->filter_group_count = n;
}

static void resolve_all(struct material *m, struct findings *f)
{
    const struct user_option options[] = {
        {KIND_SMTP, "smtp_user", m->cfg->smtp_user},
        {KIND_ACCESS, "access_user", m->cfg->access_user},
        {KIND_DIRECTORY, "directory_user", m->cfg->directory_user},
        {KIND_QUEUE, "queue_user", m->cfg->queue_user},
        {KIND_RELAY, "relay_user", m->cfg->relay_user},
        {KIND_FILTER, "filter_user", m->cfg->filter_user},
    };
    size_t n = sizeof options / sizeof options[0];
    for (size_t i = 0; i < n; i++) {
        unsigned before = f->errors;
        struct identity *id = &m->user[options[i].kind];
        if (!by_number(options[i].value, id))
            by_name(&options[i], id, f);
        if (f->errors == before)
            check_one(m, &options[i], f);
    }
    check_apart(m, options, n, f);
    filter_groups(m);
}

void users_resolve(struct material *m, struct findings *f)
{
    if (m->own_uids && m->cfg->single_uid)
        finding_error(f, "single_uid: is for ordinary users; root gives every program a user of "
                         "its own");
    else if (m->own_uids)
        resolve_all(m, f);
    else if (!m->cfg->single_uid)
        finding_error(f, "started without root: every program needs a user of its own; start it as "
                         "root, or say single_uid = yes to run everything as yourself for a trial");
    else
        finding_warning(f, "single_uid: every program runs as the same user, so none is protected "
                           "from another");
}
