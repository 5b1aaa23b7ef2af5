/* Limits of a process. */
#include "confine/layers.h"

#include <errno.h>
#include <sys/resource.h>

#define FILES_MAX 65536
#define TASKS_MAX 1024 /* of one uid: up to 64 programs and their threads */

/* Lowers the limit to at most max; raises the soft one as far as the hard one allows. */
static int limit(int what, rlim_t max, struct err *e)
{
    struct rlimit r;
    if (getrlimit((__rlimit_resource_t)what, &r) != 0)
        return err_perm(e, "getrlimit: %s", strerror(errno));
    if (r.rlim_max > max)
        r.rlim_max = max;
    r.rlim_cur = r.rlim_max;
    if (setrlimit((__rlimit_resource_t)what, &r) != 0)
        return err_perm(e, "setrlimit: %s", strerror(errno));
    return 0;
}

/* A dump of memory would hold passwords and mail. The number of tasks is counted by uid, so it says
 * nothing where the uid is shared with others. */
int limits_set(bool own_uid, struct err *e)
{
    if (limit(RLIMIT_CORE, 0, e) != 0 || limit(RLIMIT_NOFILE, FILES_MAX, e) != 0)
        return -1;
    return own_uid ? limit(RLIMIT_NPROC, TASKS_MAX, e) : 0;
}
