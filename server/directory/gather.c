/* The octets of an LDAP connection, in few system calls. */
#include "directory/gather.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

#define UNSENT_MAX ((size_t)4 << 20)

struct gather {
    Sockbuf *sockbuf;
    bool writes, readable;
    Sockbuf_IO_Desc *layer;
    /* Being written: TLS wants the same octets at the same place again when the socket was full, so
     * nothing is added there meanwhile, but to next. */
    struct buf out, next;
    size_t written;
    bool full, broken;
    struct event *flush, *writable;
    gather_fn failed;
    void *arg;
};

/* --- what is sent may be a password --- */

static void forget(struct buf *b)
{
    if (b->p)
        mem_wipe(b->p, b->n);
    buf_clear(b);
}

/* Its old place is wiped, where it moves. */
static void keep(struct buf *b, const void *p, size_t n)
{
    if (b->n + n > b->cap) {
        struct buf moved = {0};
        buf_room(&moved, 2 * (b->n + n));
        buf_str(&moved, buf_view(b));
        forget(b);
        buf_free(b);
        *b = moved;
    }
    buf_add(b, p, n);
}

/* --- writing --- */

static bool is_full(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

/* What may be written, and is not: 0; -1: the connection is broken. */
static int write_out(struct gather *g)
{
    while (g->written < g->out.n) {
        ber_slen_t n = LBER_SBIOD_WRITE_NEXT(g->layer, g->out.p + g->written,
                                             g->out.n - g->written);
        g->full = n < 0 && is_full(errno);
        if (g->full)
            return 0;
        if (n <= 0 && errno != EINTR)
            return -1;
        g->written += n > 0 ? (size_t)n : 0;
    }
    g->written = 0;
    forget(&g->out);
    return 0;
}

static int flush(struct gather *g)
{
    if (write_out(g) != 0)
        return -1;
    if (g->full || g->next.n == 0)
        return 0;
    struct buf empty = g->out;
    g->out = g->next;
    g->next = empty;
    return write_out(g);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct gather *g = arg;
    (void)fd;
    (void)what;
    if (g->broken)
        return;
    g->broken = flush(g) != 0;
    if (g->broken)
        g->failed(g->arg);
    else if (g->full)
        event_add(g->writable, NULL);
}

static ber_slen_t gather_write(Sockbuf_IO_Desc *layer, void *p, ber_len_t n)
{
    struct gather *g = layer->sbiod_pvt;
    if (!g->writes)
        return LBER_SBIOD_WRITE_NEXT(layer, p, n);
    if (g->broken || g->out.n + g->next.n + n > UNSENT_MAX) {
        errno = EPIPE;
        return -1;
    }
    keep(g->full ? &g->next : &g->out, p, n);
    if (!g->full)
        event_active(g->flush, EV_TIMEOUT, 0);
    return (ber_slen_t)n;
}

/* --- reading --- */

static ber_slen_t gather_read(Sockbuf_IO_Desc *layer, void *p, ber_len_t n)
{
    struct gather *g = layer->sbiod_pvt;
    g->readable = false;
    return LBER_SBIOD_READ_NEXT(layer, p, n);
}

void gather_readable(struct gather *g)
{
    g->readable = true;
}

bool gather_has_more(const struct gather *g)
{
    return ber_sockbuf_ctrl(g->sockbuf, LBER_SB_OPT_DATA_READY, NULL) > 0;
}

/* --- the layer --- */

static int gather_setup(Sockbuf_IO_Desc *layer, void *arg)
{
    struct gather *g = arg;
    layer->sbiod_pvt = g;
    g->layer = layer;
    return 0;
}

static int gather_remove(Sockbuf_IO_Desc *layer)
{
    struct gather *g = layer->sbiod_pvt;
    event_free(g->flush);
    event_free(g->writable);
    forget(&g->out);
    buf_free(&g->out);
    forget(&g->next);
    buf_free(&g->next);
    free(g);
    return 0;
}

static int gather_ctrl(Sockbuf_IO_Desc *layer, int option, void *arg)
{
    struct gather *g = layer->sbiod_pvt;
    if (option == LBER_SB_OPT_DATA_READY && g->readable)
        return 1;
    return LBER_SBIOD_CTRL_NEXT(layer, option, arg);
}

/* The goodbye too, as far as the server takes it. */
static int gather_close(Sockbuf_IO_Desc *layer)
{
    struct gather *g = layer->sbiod_pvt;
    event_del(g->flush);
    event_del(g->writable);
    if (!g->broken)
        g->broken = flush(g) != 0;
    return 0;
}

struct gather *gather_new(LDAP *ld, struct event_base *base, bool writes, gather_fn failed,
                          void *arg)
{
    static Sockbuf_IO io = {gather_setup, gather_remove, gather_ctrl,
                            gather_read,  gather_write,  gather_close};
    Sockbuf *sockbuf = NULL;
    int fd = -1;
    if (ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sockbuf) != LDAP_OPT_SUCCESS || !sockbuf ||
        ldap_get_option(ld, LDAP_OPT_DESC, &fd) != LDAP_OPT_SUCCESS || fd < 0)
        return NULL;
    if (ber_sockbuf_add_io(sockbuf, &ber_sockbuf_io_readahead, LBER_SBIOD_LEVEL_PROVIDER, NULL) != 0)
        return NULL;
    struct gather *g = MEM_NEW(struct gather);
    *g = (struct gather){.sockbuf = sockbuf, .writes = writes, .failed = failed, .arg = arg};
    g->flush = evtimer_new(base, on_flush, g);
    g->writable = event_new(base, fd, EV_WRITE, on_flush, g);
    if (ber_sockbuf_add_io(sockbuf, &io, LBER_SBIOD_LEVEL_APPLICATION, g) == 0)
        return g;
    event_free(g->flush);
    event_free(g->writable);
    free(g);
    return NULL;
}
