/* Directories and programs that a start needs. */
#include "master/material.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    const struct material *m;
    const char *option;
    char *path;
    struct findings *f;
};

static bool may_enter(const struct stat *st, const struct identity *id)
{
    if (id->uid == st->st_uid)
        return st->st_mode & 0100;
    return st->st_mode & (id->gid == st->st_gid ? 0010 : 0001);
}

/* Every directory above path must let the user through. */
static void check_way(const struct place *p, const struct identity *id)
{
    AUTO_FREE char *way = mem_strdup(str_from(p->path));
    struct stat st;
    for (char *slash; (slash = strrchr(way, '/')) != NULL && slash != way;) {
        *slash = '\0';
        if (stat(way, &st) == 0 && !may_enter(&st, id))
            finding_error(p->f, "%s: uid %u cannot reach %s through %s: chmod o+x %s", p->option,
                          (unsigned)id->uid, p->path, way, way);
    }
}

/* A directory still to be made needs one above it. */
static void check_parent(const struct place *p)
{
    AUTO_FREE char *parent = mem_strdup(str_from(p->path));
    char *slash = strrchr(parent, '/');
    struct stat st;
    slash[slash == parent] = '\0';
    if (stat(parent, &st) != 0 || !S_ISDIR(st.st_mode))
        finding_error(p->f, "%s: %s: there is no directory %s to make it in", p->option, p->path,
                      parent);
}

/* The directory, if it is there, is owner's and nobody else writes in it. */
static void check_directory(const struct place *p, uid_t owner, mode_t never, bool must_exist)
{
    struct stat st;
    if (stat(p->path, &st) != 0) {
        if (errno != ENOENT || must_exist)
            finding_error(p->f, "%s: %s: %s", p->option, p->path, strerror(errno));
        else
            check_parent(p);
        return;
    }
    if (!S_ISDIR(st.st_mode))
        finding_error(p->f, "%s: %s: is no directory", p->option, p->path);
    else if (st.st_uid != owner)
        finding_error(p->f, "%s: %s: belongs to uid %u: chown %u %s", p->option, p->path,
                      (unsigned)st.st_uid, (unsigned)owner, p->path);
    else if (st.st_mode & never)
        finding_error(p->f, "%s: %s: has mode %04o, too open: chmod %04o %s", p->option, p->path,
                      (unsigned)st.st_mode & 07777, (unsigned)(st.st_mode & 07777 & ~never),
                      p->path);
}

/* The article's "/" would take every check of paths away. */
static void check_base(const struct material *m, struct findings *f)
{
    AUTO_FREE char *path = mem_strdup(m->cfg->virtual_mailbox_base);
    struct place p = {m, "virtual_mailbox_base", path, f};
    if (path[0] == '\0' || strcmp(path, "/") == 0)
        finding_error(f, "virtual_mailbox_base: must be a directory of its own, as /var/vmail");
    else
        check_directory(&p, geteuid(), 0022, true);
}

static void check_program(const struct material *m, enum kind k, struct findings *f)
{
    char path[4096];
    struct stat st;
    snprintf(path, sizeof path, "%.*s/%s", STR_FMT(m->cfg->daemon_directory), kind_name(k));
    if (stat(path, &st) != 0)
        finding_error(f, "daemon_directory: %s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode) || access(path, X_OK) != 0)
        finding_error(f, "daemon_directory: %s: cannot be executed", path);
    else if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 0022))
        finding_error(f, "daemon_directory: %s: belongs to uid %u with mode %04o, so that others "
                         "could change it",
                      path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
}

void material_check_places(const struct material *m, struct findings *f)
{
    AUTO_FREE char *run = mem_strdup(m->cfg->run_directory);
    AUTO_FREE char *queue = mem_strdup(m->cfg->queue_directory);
    const struct identity *queue_user = &m->user[KIND_QUEUE];
    struct place run_place = {m, "run_directory", run, f};
    struct place queue_place = {m, "queue_directory", queue, f};
    check_directory(&run_place, geteuid(), 0022, false);
    check_directory(&queue_place, m->own_uids ? queue_user->uid : geteuid(), 0077, false);
    if (m->own_uids)
        check_way(&queue_place, queue_user);
    check_base(m, f);
    for (int k = 0; k < KINDS; k++)
        check_program(m, (enum kind)k, f);
}
