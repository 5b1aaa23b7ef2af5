/* Checking a place, and writing into it as its owner. */
#include "deliver/place.h"
#include "base/log.h"
#include "base/mem.h"
#include "confine/confine.h"
#include "store/home.h"
#include "store/maildir.h"
#include "store/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The maildir must be one directory in the home: what the owner's rights reach, and nothing
 * else. */
static int check_name(const struct msg_redeem_reply *r, struct str *name, struct err *e)
{
    struct str path = r->maildir;
    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    *name = str_skip(path, r->home.n + 1);
    bool below = path.n > r->home.n + 1 && str_starts(path, r->home) && path.p[r->home.n] == '/';
    if (!below || str_find(*name, '/') >= 0 || str_find(*name, '\0') >= 0 || name->p[0] == '.')
        return err_temp(e, "maildir %.*s is not a directory of the home %.*s", STR_FMT(r->maildir),
                        STR_FMT(r->home));
    return 0;
}

/* An id of all ones would mean "unchanged" to setresuid(2), and so root. */
static int check_id(const char *what, uint32_t id, const struct config *cfg, struct err *e)
{
    if (id == 0 || id == UINT32_MAX || id < (uint64_t)cfg->virtual_minimum_uid)
        return err_temp(e, "%s %lu is below virtual_minimum_uid or no one's", what,
                        (unsigned long)id);
    return 0;
}

int deliver_place_check(const struct config *cfg, const struct msg_redeem_reply *r,
                        struct deliver_place *out, struct err *e)
{
    *out = (struct deliver_place){.base = cfg->virtual_mailbox_base.p, .home = r->home,
                                  .uid = r->uid, .gid = r->gid, .limit = r->limit};
    if (cfg->single_uid) {
        out->uid = geteuid();
        out->gid = getegid();
    } else if (check_id("uid", r->uid, cfg, e) != 0 || check_id("gid", r->gid, cfg, e) != 0) {
        return -1;
    }
    if (store_home_check(out->base, out->home, e) != 0 || check_name(r, &out->name, e) != 0) {
        e->kind = ERR_TEMPORARY;
        return -1;
    }
    return 0;
}

/* --- as the owner --- */

static void act_back(void)
{
    struct err e = {0};
    if (confine_act_back(&e) == 0)
        return;
    log_error("deliver-end", LZ("why", e.log));
    _exit(1);
}

static int act_as(const struct deliver_place *p, struct err *e)
{
    int r = confine_act_as(p->uid, p->gid, e);
    if (r == 0 && (geteuid() != p->uid || getegid() != p->gid))
        r = err_temp(e, "not acting as uid %u gid %u", (unsigned)p->uid, (unsigned)p->gid);
    if (r != 0)
        act_back();
    return r;
}

static enum verdict room(int dir, const struct deliver_place *p, uint64_t size, struct err *e)
{
    int r = store_quota_check(dir, p->limit, size, NULL, e);
    if (r == STORE_ROOM)
        return VERDICT_YES;
    return r == STORE_FULL ? VERDICT_FULL : VERDICT_CANNOT_SAY;
}

static int open_maildir(const struct deliver_place *p, int home, bool create, int *dir,
                        struct err *e)
{
    if (store_maildir_open(home, p->name, create, dir, e) != 0)
        return err_prefix(e, "%.*s", STR_FMT(p->home));
    return 0;
}

static enum verdict write_inside(const struct deliver_place *p, int home, struct str header,
                                 int body_fd, uint64_t size, struct store_delivered *out,
                                 struct err *e)
{
    AUTO_FD dir = -1;
    if (open_maildir(p, home, true, &dir, e) != 0)
        return VERDICT_CANNOT_SAY;
    enum verdict v = room(dir, p, size + header.n, e);
    if (v == VERDICT_YES && store_deliver(dir, header, body_fd, size, out, e) != 0)
        v = VERDICT_CANNOT_SAY;
    return v;
}

static int check_body(int fd, uint64_t size, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return err_temp(e, "the message is not a file");
    if ((uint64_t)st.st_size < size)
        return err_temp(e, "the message has %llu bytes, %llu were said",
                        (unsigned long long)st.st_size, (unsigned long long)size);
    return 0;
}

enum verdict deliver_place_write(const struct deliver_place *p, struct str header, int body_fd,
                                 uint64_t size, struct store_delivered *out, struct err *e)
{
    AUTO_FD home = -1;
    if (check_body(body_fd, size, e) != 0 ||
        store_home_make(p->base, p->home, p->uid, p->gid, &home, e) != 0 || act_as(p, e) != 0)
        return VERDICT_CANNOT_SAY;
    enum verdict v = write_inside(p, home, header, body_fd, size, out, e);
    act_back();
    return v;
}

/* --- looking --- */

/* Nothing is there yet: it would be made on the disk of dir. */
static enum verdict probe_unmade(int dir, const struct deliver_place *p, uint64_t size, struct err *e)
{
    if (p->limit && size > p->limit) {
        err_perm(e, "larger than the whole mailbox may be");
        err_client(e, "mailbox is full");
        return VERDICT_FULL;
    }
    return store_disk_check(dir, size, e) == 0 ? VERDICT_YES : VERDICT_CANNOT_SAY;
}

static enum verdict probe_base(const struct deliver_place *p, uint64_t size, struct err *e)
{
    AUTO_FD base = open(p->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (base >= 0)
        return probe_unmade(base, p, size, e);
    err_temp(e, "%s: %s", p->base, strerror(errno));
    return VERDICT_CANNOT_SAY;
}

static bool is_missing(int home, struct str name)
{
    AUTO_FREE char *z = mem_strdup(name);
    struct stat st;
    return fstatat(home, z, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

static enum verdict probe_inside(const struct deliver_place *p, int home, uint64_t size,
                                 struct err *e)
{
    AUTO_FD dir = -1;
    if (is_missing(home, p->name))
        return probe_unmade(home, p, size, e);
    if (open_maildir(p, home, false, &dir, e) != 0)
        return VERDICT_CANNOT_SAY;
    return room(dir, p, size, e);
}

enum verdict deliver_place_probe(const struct deliver_place *p, uint64_t size, struct err *e)
{
    AUTO_FD home = -1;
    int r = store_home_open(p->base, p->home, p->uid, &home, e);
    if (r == 1)
        return probe_base(p, size, e);
    if (r != 0 || act_as(p, e) != 0)
        return VERDICT_CANNOT_SAY;
    enum verdict v = probe_inside(p, home, size, e);
    act_back();
    return v;
}
