/*
 * The delivery worker: takes a grant, an envelope and a message as a descriptor, and writes the
 * message into the one mailbox the grant stands for. One at a time, blocking; several workers run
 * beside each other.
 *
 * Starts privileged and acts as the mailbox's owner whenever it touches a mailbox or reads the
 * message; it never parses one. Everything except a full mailbox is "cannot say": the mail waits in
 * the queue until a person has mended what is wrong.
 */
#include "base/log.h"
#include "confine/confine.h"
#include "deliver/header.h"
#include "deliver/place.h"
#include "deliver/redeem.h"
#include "ipc/program.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define SIZE_MAX_BYTES (UINT64_C(1) << 33) /* twice the largest message_size_limit */

struct client {
    struct client *next, **link;
    struct worker *worker;
    struct channel *ch;
};

struct worker {
    struct program *program;
    struct config *cfg;
    struct client *clients;
    struct deliver_redeemer redeemer;
    uint64_t delivered, refused;
    bool confined; /* to virtual_mailbox_base */
};

/* What the log says about one delivery or probe. */
struct report {
    enum verdict verdict;
    struct str address;
    struct store_delivered file;
    struct err e;
};

static const char *verdict_word(enum verdict v)
{
    return v == VERDICT_YES ? "delivered" : v == VERDICT_FULL ? "full" : "cannot-say";
}

static struct str client_text(const struct report *r)
{
    if (r->verdict == VERDICT_YES)
        return STR("");
    return r->e.client[0] ? str_head(str_from(r->e.client), 250)
                          : STR("mailbox cannot be written now");
}

/* The base may be a disk that is mounted later; as soon as it is there, nothing else can be
 * reached. */
static int confine_to_base(struct worker *w, struct err *e)
{
    const char *const reach[] = {w->cfg->virtual_mailbox_base.p, NULL};
    if (w->confined)
        return 0;
    if (access(reach[0], F_OK) != 0)
        return err_temp(e, "virtual_mailbox_base %s: %s", reach[0], strerror(errno));
    w->confined = confine_paths(reach, e) == 0;
    return w->confined ? 0 : -1;
}

static int be_ready(struct worker *w, uint64_t size, struct err *e)
{
    if (!w->cfg)
        return err_temp(e, "not configured yet");
    if (size > SIZE_MAX_BYTES)
        return err_temp(e, "message of an impossible size");
    return confine_to_base(w, e);
}

/* --- delivering --- */

static enum verdict deliver(struct worker *w, const struct msg *m, struct report *r)
{
    const struct msg_deliver_ask *ask = &m->deliver_ask;
    struct msg_redeem_reply right;
    struct deliver_place place;
    AUTO_BUF header = BUF_MAX(8192);
    if (be_ready(w, ask->size, &r->e) != 0 ||
        deliver_redeem(&w->redeemer, &ask->grant, REDEEM_USE, &right, &r->e) != 0)
        return VERDICT_CANNOT_SAY;
    r->address = right.address;
    if (deliver_header(&header, ask->sender, ask->original, right.address, ask->prefix,
                       &r->e) != 0 ||
        deliver_place_check(w->cfg, &right, &place, &r->e) != 0)
        return VERDICT_CANNOT_SAY;
    return deliver_place_write(&place, buf_view(&header), m->fd, ask->size, &r->file, &r->e);
}

static void on_deliver(struct client *c, const struct msg *m)
{
    struct worker *w = c->worker;
    struct report r = {0};
    struct msg reply = MSG_INIT(deliver_reply);
    r.verdict = deliver(w, m, &r);
    bool good = r.verdict == VERDICT_YES;
    if (good)
        w->delivered++;
    else
        w->refused++;
    LOG_AT(good ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "deliver",
           LS("session", m->deliver_ask.session), LZ("by", program_name(channel_peer(c->ch))),
           LS("from", m->deliver_ask.sender), LS("to", r.address),
           LS("original", m->deliver_ask.original), LN("size", m->deliver_ask.size),
           LZ("verdict", verdict_word(r.verdict)),
           LZ(good ? "file" : "why", good ? r.file.base : r.e.log));
    reply.deliver_reply.id = m->deliver_ask.id;
    reply.deliver_reply.verdict = (uint8_t)r.verdict;
    reply.deliver_reply.text = client_text(&r);
    channel_send(c->ch, &reply);
}

/* --- probing --- */

static enum verdict probe(struct worker *w, const struct msg_probe_ask *ask, struct report *r)
{
    struct msg_redeem_reply right;
    struct deliver_place place;
    if (be_ready(w, ask->size, &r->e) != 0 ||
        deliver_redeem(&w->redeemer, &ask->grant, REDEEM_LOOK, &right, &r->e) != 0)
        return VERDICT_CANNOT_SAY;
    r->address = right.address;
    if (deliver_place_check(w->cfg, &right, &place, &r->e) != 0)
        return VERDICT_CANNOT_SAY;
    return deliver_place_probe(&place, ask->size, &r->e);
}

static void on_probe(struct client *c, const struct msg *m)
{
    struct report r = {0};
    struct msg reply = MSG_INIT(probe_reply);
    r.verdict = probe(c->worker, &m->probe_ask, &r);
    if (r.verdict != VERDICT_YES)
        log_warning("deliver-probe", LS("to", r.address), LN("size", m->probe_ask.size),
                    LZ("verdict", verdict_word(r.verdict)), LZ("why", r.e.log));
    reply.probe_reply.id = m->probe_ask.id;
    reply.probe_reply.verdict = (uint8_t)r.verdict;
    reply.probe_reply.text = client_text(&r);
    channel_send(c->ch, &reply);
}

/* --- those who ask --- */

static void on_message(struct channel *ch, void *arg, struct msg *m)
{
    (void)ch;
    if (m->type == MSG_deliver_ask)
        on_deliver(arg, m);
    else if (m->type == MSG_probe_ask)
        on_probe(arg, m);
}

static void on_close(struct channel *ch, void *arg)
{
    struct client *c = arg;
    channel_free(ch);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    free(c);
}

static void add_client(struct worker *w, unsigned peer, int fd)
{
    static const struct channel_ops ops = {on_message, on_close};
    struct client *c = MEM_NEW(struct client);
    c->worker = w;
    c->next = w->clients;
    c->link = &w->clients;
    if (c->next)
        c->next->link = &c->next;
    w->clients = c;
    c->ch = channel_new(w->program->base, fd, DELIVER, peer, &ops, c);
}

static void on_link(struct program *p, unsigned peer, unsigned index, int fd)
{
    struct worker *w = p->arg;
    (void)index;
    w->program = p;
    if (peer == DIRECTORY)
        deliver_redeemer_link(&w->redeemer, fd);
    else if (peer == SMTP || peer == QUEUE)
        add_client(w, peer, fd);
    else
        close(fd);
}

/* --- life --- */

static int on_configure(struct program *p, struct config *cfg, const struct bundle *b, bool reload,
                        struct err *e)
{
    struct worker *w = p->arg;
    (void)b;
    (void)reload;
    if (cfg->single_uid && geteuid() == 0)
        return err_perm(e, "single_uid is refused as root");
    if (!cfg->single_uid && geteuid() != 0)
        return err_perm(e, "delivering to different owners needs root; see single_uid");
    if (cfg->virtual_mailbox_base.n < 2)
        return err_perm(e, "virtual_mailbox_base may not be empty or /");
    if (w->confined && !str_eq(w->cfg->virtual_mailbox_base, cfg->virtual_mailbox_base))
        return err_perm(e, "virtual_mailbox_base changes at a restart only");
    config_free(w->cfg);
    w->cfg = cfg;
    struct err why = {0};
    if (confine_to_base(w, &why) != 0)
        log_warning("deliver-base", LZ("why", why.log));
    return 0;
}

static void on_status(struct program *p, struct buf *out)
{
    const struct worker *w = p->arg;
    buf_printf(out, "delivered=%llu refused=%llu directory=%s", (unsigned long long)w->delivered,
               (unsigned long long)w->refused, w->redeemer.fd >= 0 ? "yes" : "no");
}

int main(int argc, char **argv)
{
    static const struct program_ops ops = {
        .self = DELIVER, .name = "facteur/deliver", .keep_privilege = true,
        .configure = on_configure, .link = on_link, .status = on_status,
    };
    struct worker w = {0};
    signal(SIGXFSZ, SIG_IGN); /* a limit on file size is an error of write(2), not our end */
    deliver_redeemer_init(&w.redeemer);
    int status = program_run(&ops, &w, argc, argv);
    while (w.clients)
        on_close(w.clients->ch, w.clients);
    deliver_redeemer_free(&w.redeemer);
    config_free(w.cfg);
    return status;
}
