/* Ids, roots and process attributes. */
#include "confine/layers.h"

#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

static int enter_root(const char *root, struct err *e)
{
    if (root && (chroot(root) != 0 || chdir("/") != 0))
        return err_perm(e, "root %s: %s", root, strerror(errno));
    return 0;
}

static bool is_all(uid_t uid, gid_t gid)
{
    uid_t u[3];
    gid_t g[3];
    return getresuid(&u[0], &u[1], &u[2]) == 0 && getresgid(&g[0], &g[1], &g[2]) == 0 &&
           u[0] == uid && u[1] == uid && u[2] == uid && g[0] == gid && g[1] == gid && g[2] == gid &&
           getgroups(0, NULL) == 0;
}

static int become(uid_t uid, gid_t gid, struct err *e)
{
    if (uid == 0 || gid == 0)
        return err_perm(e, "uid %u gid %u is no ordinary user", (unsigned)uid, (unsigned)gid);
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return err_perm(e, "becoming uid %u gid %u: %s", (unsigned)uid, (unsigned)gid,
                        strerror(errno));
    if (!is_all(uid, gid) || setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0 || !caps_none())
        return err_perm(e, "uid %u could become root again", (unsigned)uid);
    return 0;
}

/* After each change of ids again: that sets it to fs.suid_dumpable, 2 where systemd-coredump is, which has
 * a core handed to it whatever RLIMIT_CORE says. LeakSanitizer traces its own process at the end, which one
 * that is not dumpable refuses. */
static int leave_no_core(struct err *e)
{
#ifndef FACTEUR_SANITIZERS
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_perm(e, "prctl: %s", strerror(errno));
#endif
    (void)e;
    return 0;
}

static int attributes(struct err *e)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_perm(e, "prctl: %s", strerror(errno));
    return leave_no_core(e);
}

int confine_enter(const struct confine *c, struct err *e)
{
    bool changes = c->uid != 0 && !c->keep_privilege;
    if (enter_root(c->root, e) != 0)
        return -1;
    if ((changes || c->keep_privilege) && geteuid() == 0 && caps_limit(c->self, e) != 0)
        return -1;
    if (changes && become(c->uid, c->gid, e) != 0)
        return -1;
    if (limits_set(changes, e) != 0)
        return -1;
    return attributes(e);
}

int confine_act_as(uid_t uid, gid_t gid, struct err *e)
{
    return confine_act_as_member(uid, gid, NULL, 0, e);
}

int confine_act_as_member(uid_t uid, gid_t gid, const gid_t *groups, size_t n, struct err *e)
{
    if (geteuid() != 0)
        return 0; /* single_uid: we are the owner */
    if (uid == 0 || gid == 0)
        return err_perm(e, "uid %u gid %u is no ordinary user", (unsigned)uid, (unsigned)gid);
    /* From the second time on there are none left to be given up. */
    bool as_before = n == 0 && getgroups(0, NULL) == 0;
    if ((!as_before && setgroups(n, groups) != 0) || setresgid((gid_t)-1, gid, (gid_t)-1) != 0 ||
        setresuid((uid_t)-1, uid, (uid_t)-1) != 0)
        return err_temp(e, "acting as uid %u gid %u: %s", (unsigned)uid, (unsigned)gid,
                        strerror(errno));
    return leave_no_core(e);
}

int confine_act_back(struct err *e)
{
    uid_t real, effective, saved;
    if (getresuid(&real, &effective, &saved) == 0 && saved != 0)
        return 0;
    if (setresuid((uid_t)-1, 0, (uid_t)-1) != 0 || setresgid((gid_t)-1, 0, (gid_t)-1) != 0)
        return err_temp(e, "acting as root again: %s", strerror(errno));
    return leave_no_core(e);
}

int confine_become(uid_t uid, gid_t gid, const char *const *writable, struct err *e)
{
    /* The paths first: an ancestor of the home may be closed to its owner. */
    if (attributes(e) != 0 || confine_paths(writable, e) != 0)
        return -1;
    if (geteuid() == 0 && (become(uid, gid, e) != 0 || leave_no_core(e) != 0))
        return -1;
    return confine_lock_owner(e);
}
