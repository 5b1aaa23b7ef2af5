/*
 * The queue program: keeps mail that could not be finished at once, durably, and tries it again
 * until it is delivered or a person must look.
 *
 * Runs as its own user, which owns queue_directory and nothing else. It takes messages as
 * descriptors, copies them, opens no mailbox and talks to no network.
 */
#include "queue/queue.h"
#include "base/log.h"
#include "confine/confine.h"
#include "store/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_known(void *ctx, uint64_t id)
{
    struct queue *q = ctx;
    struct err e = {0};
    bool has = false;
    return queue_db_has(q->db, id, &has, &e) != 0 || has;
}

/* From here on nothing but queue_directory can be reached. */
static int open_all(struct queue *q, const struct config *cfg, struct err *e)
{
    const char *const reach[] = {cfg->queue_directory.p, NULL};
    if (queue_spool_open(cfg->queue_directory.p, &q->files, e) != 0)
        return -1;
    if (queue_db_open(cfg->queue_directory.p, &q->db, e) != 0) {
        queue_spool_close(&q->files);
        return -1;
    }
    if (queue_db_last_id(q->db, &q->last_id, e) != 0 || store_dir_sync(q->files.dir, e) != 0 ||
        confine_paths(reach, e) != 0) {
        queue_db_close(q->db);
        q->db = NULL;
        queue_spool_close(&q->files);
        return -1;
    }
    queue_spool_clean(&q->files, is_known, q);
    return 0;
}

static void log_opened(struct queue *q)
{
    struct err e = {0};
    struct queue_counts c;
    if (queue_db_count(q->db, queue_now_ms(), &c, &e) == 0)
        log_info("queue-open", LN("messages", c.messages), LN("recipients", c.recipients),
                 LN("due", c.due), LN("held", c.held));
}

/* Where the queue lies cannot change while it runs. */
static int on_configure(struct program *p, struct config *cfg, const struct bundle *b, bool reload,
                        struct err *e)
{
    struct queue *q = p->arg;
    (void)b;
    (void)reload;
    if (cfg->queue_directory.n == 0)
        return err_perm(e, "queue_directory is empty");
    if (q->cfg && !str_eq(q->cfg->queue_directory, cfg->queue_directory))
        return err_perm(e, "queue_directory changes at a restart only");
    if (!q->db) {
        if (open_all(q, cfg, e) != 0)
            return -1;
        log_opened(q);
        queue_retry_load(q);
    }
    config_free(q->cfg);
    q->cfg = cfg;
    queue_turn_soon(q);
    return 0;
}

static int on_prepare(struct program *p, struct err *e)
{
    struct queue *q = p->arg;
    umask(077);
    q->nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (q->nothing < 0)
        return err_perm(e, "/dev/null: %s", strerror(errno));
    signal(SIGXFSZ, SIG_IGN); /* a limit on file size is an error of write(2), not our end */
    q->program = p;
    queue_turn_init(q);
    queue_retry_init(q);
    return 0;
}

static void on_policy(void *arg, struct msg *m)
{
    if (m->type == MSG_sts_policy)
        queue_policy_take(arg, &m->sts_policy);
}

/* It hears what was kept before it hears of mail. */
static void link_relay(struct queue *q, unsigned index, int fd)
{
    rpc_link(q->relay, index, fd);
    rpc_on_told(q->relay, on_policy, q);
    queue_policies_tell(q);
}

static void on_link(struct program *p, unsigned peer, unsigned index, int fd)
{
    struct queue *q = p->arg;
    if (peer == SMTP)
        queue_take_link(q, peer, fd);
    else if (peer == DIRECTORY)
        rpc_link(q->directory, index, fd);
    else if (peer == DELIVER)
        rpc_link(q->deliver, index, fd);
    else if (peer == RELAY)
        link_relay(q, index, fd);
    else
        close(fd);
    if (q->db)
        queue_turn_soon(q);
}

/* What is being delivered now is not delivered again after the restart. */
static bool on_stop(struct program *p)
{
    return queue_retry_stop(p->arg);
}

static void on_status(struct program *p, struct buf *out)
{
    struct queue *q = p->arg;
    struct err e = {0};
    struct queue_counts c;
    int64_t now = queue_now_ms();
    if (!q->db || queue_db_count(q->db, now, &c, &e) != 0) {
        buf_printf(out, "queue=unreadable");
        return;
    }
    buf_printf(out, "messages=%llu recipients=%llu due=%llu held=%llu oldest_s=%lld trying=%zu remote=%zu"
                    " taken=%llu delivered=%llu failed=%llu",
               (unsigned long long)c.messages, (unsigned long long)c.recipients,
               (unsigned long long)c.due, (unsigned long long)c.held,
               c.oldest_ms && c.oldest_ms < now ? (long long)((now - c.oldest_ms) / 1000) : 0LL,
               map_count(q->in_flight), q->remote_attempts, (unsigned long long)q->taken,
               (unsigned long long)q->delivered, (unsigned long long)q->failed);
}

static void on_message(struct program *p, struct msg *m)
{
    if (m->type == MSG_order_ask)
        queue_order(p->arg, &m->order_ask);
}

int main(int argc, char **argv)
{
    static const struct program_ops ops = {
        .self = QUEUE, .name = "facteur/queue", .prepare = on_prepare,
        .configure = on_configure, .link = on_link, .message = on_message, .stop = on_stop, .status = on_status,
    };
    struct queue q = {.files = {-1, -1, -1, -1, NULL}, .nothing = -1};
    int status = program_run(&ops, &q, argc, argv);
    if (!q.program)
        return status;
    queue_vacation_end(&q);
    queue_turn_end(&q);
    queue_take_end(&q);
    queue_retry_end(&q);
    queue_db_close(q.db);
    queue_spool_close(&q.files);
    fd_closep(&q.nothing);
    config_free(q.cfg);
    return status;
}
