/* The ports of the configuration: which sockets are wanted, and opening them. */
#ifndef FACTEUR_MASTER_PORTS_H
#define FACTEUR_MASTER_PORTS_H

#include "ipc/message.h"
#include "master/material.h"

#include <sys/socket.h>

struct port {
    enum service service;
    struct sockaddr_storage sa;
    socklen_t sa_length;
    bool may_lack;   /* its protocol need not exist on this machine */
    int fd;          /* -1: not open */
    uint32_t number; /* as told to the programs; 0: not told yet */
};

struct ports {
    struct port *v;
    size_t n;
};

/* The wanted ones, closed. Errors in addresses or two services on one port become findings. */
void ports_want(const struct config *cfg, struct ports *out, struct findings *f);

/* Opens those that are closed; takes over descriptors of the same service and address from old
 * (which keeps them too, see ports_close_others). 0, or -1 and an error naming the port; patience_ms:
 * how long to wait for a port that is in use. */
int ports_open(struct ports *p, const struct ports *old, int patience_ms, struct err *e);

/* Closes the descriptors in p that are not in kept. */
void ports_close_others(struct ports *p, const struct ports *kept);
/* Forgets the list, not the descriptors. */
void ports_free(struct ports *p);

/* "127.0.0.1:25", "[::1]:25". */
void port_text(const struct port *p, char out[64]);

#endif
