/* A layer below TLS that waits for a bounded time. */
#include "ldapmap/patience.h"

#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/time.h>

struct patience {
    int ms; /* -1: without end */
};

/* The socket may be a blocking one, or not. */
static int wait_for(Sockbuf_IO_Desc *layer, short events)
{
    const struct patience *p = layer->sbiod_pvt;
    struct pollfd fd = {.fd = -1, .events = events};
    int ready;
    ber_sockbuf_ctrl(layer->sbiod_sb, LBER_SB_OPT_GET_FD, &fd.fd);
    do
        ready = poll(&fd, 1, p->ms);
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        errno = ETIMEDOUT; /* not EAGAIN, at which it would be asked again */
    return ready > 0 ? 0 : -1;
}

static ber_slen_t patience_read(Sockbuf_IO_Desc *layer, void *p, ber_len_t n)
{
    return wait_for(layer, POLLIN) == 0 ? LBER_SBIOD_READ_NEXT(layer, p, n) : -1;
}

static ber_slen_t patience_write(Sockbuf_IO_Desc *layer, void *p, ber_len_t n)
{
    return wait_for(layer, POLLOUT) == 0 ? LBER_SBIOD_WRITE_NEXT(layer, p, n) : -1;
}

static int patience_setup(Sockbuf_IO_Desc *layer, void *arg)
{
    layer->sbiod_pvt = arg;
    return 0;
}

static int patience_remove(Sockbuf_IO_Desc *layer)
{
    free(layer->sbiod_pvt);
    return 0;
}

static int patience_ctrl(Sockbuf_IO_Desc *layer, int option, void *arg)
{
    return LBER_SBIOD_CTRL_NEXT(layer, option, arg);
}

static int patience_close(Sockbuf_IO_Desc *layer)
{
    (void)layer;
    return 0;
}

static Sockbuf_IO patience_io = {patience_setup, patience_remove, patience_ctrl,
                                 patience_read,  patience_write,  patience_close};

/* The socket is connected, and nothing was said: TLS will lie above. */
static int on_connected(LDAP *ld, Sockbuf *sb, LDAPURLDesc *url, struct sockaddr *addr,
                        struct ldap_conncb *cb)
{
    struct patience *p = MEM_NEW(struct patience);
    struct timeval *wait = NULL;
    (void)url;
    (void)addr;
    (void)cb;
    p->ms = -1;
    if (ldap_get_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &wait) == LDAP_OPT_SUCCESS && wait) {
        if (wait->tv_sec > 0 && wait->tv_sec < INT_MAX / 1000)
            p->ms = (int)wait->tv_sec * 1000;
        ldap_memfree(wait);
    }
    if (ber_sockbuf_add_io(sb, &patience_io, LBER_SBIOD_LEVEL_TRANSPORT, p) == 0)
        return 0;
    free(p);
    return -1;
}

static void on_closed(LDAP *ld, Sockbuf *sb, struct ldap_conncb *cb)
{
    (void)ld;
    (void)sb;
    (void)cb;
}

int patience_begin(LDAP *ld)
{
    static struct ldap_conncb cb = {on_connected, on_closed, NULL};
    return ldap_set_option(ld, LDAP_OPT_CONNECT_CB, &cb);
}

void patience_end(LDAP *ld)
{
    Sockbuf *sb = NULL;
    if (ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sb) == LDAP_OPT_SUCCESS && sb)
        ber_sockbuf_remove_io(sb, &patience_io, LBER_SBIOD_LEVEL_TRANSPORT);
}
