/* Giving up rights. */
#include "confine/confine.h"

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

static int become(uid_t uid, gid_t gid, struct err *e)
{
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return err_perm(e, "becoming uid %u gid %u: %s", (unsigned)uid, (unsigned)gid,
                        strerror(errno));
    if (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
        return err_perm(e, "uid %u could become root again", (unsigned)uid);
    return 0;
}

int confine_enter(const struct confine *c, struct err *e)
{
    if (enter_root(c->root, e) != 0)
        return -1;
    if (c->uid != 0 && !c->keep_privilege && become(c->uid, c->gid, e) != 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_perm(e, "prctl: %s", strerror(errno));
    return 0;
}

int confine_lock(unsigned self, struct err *e)
{
    (void)self;
    (void)e;
    return 0;
}

int confine_act_as(uid_t uid, gid_t gid, struct err *e)
{
    if (geteuid() != 0)
        return 0; /* single_uid: we are the owner */
    if (setgroups(0, NULL) != 0 || setresgid((gid_t)-1, gid, (gid_t)-1) != 0 ||
        setresuid((uid_t)-1, uid, (uid_t)-1) != 0)
        return err_temp(e, "acting as uid %u gid %u: %s", (unsigned)uid, (unsigned)gid,
                        strerror(errno));
    return 0;
}

int confine_act_back(struct err *e)
{
    uid_t real, effective, saved;
    if (getresuid(&real, &effective, &saved) == 0 && saved != 0)
        return 0;
    if (setresuid((uid_t)-1, 0, (uid_t)-1) != 0 || setresgid((gid_t)-1, 0, (gid_t)-1) != 0)
        return err_temp(e, "acting as root again: %s", strerror(errno));
    return 0;
}

int confine_become(uid_t uid, gid_t gid, const char *const *writable, struct err *e)
{
    (void)writable;
    if (getuid() == 0 && become(uid, gid, e) != 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_perm(e, "prctl: %s", strerror(errno));
    return 0;
}
