/* Addresses of clients: 16 bytes (IPv4 as ::ffff:a.b.c.d), port, and text. */
#ifndef FACTEUR_IO_ADDR_H
#define FACTEUR_IO_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
    unsigned char ip[16];
    uint16_t port;
    bool is_v4;
    char text[46]; /* "192.0.2.1" or "2001:db8::1" */
};

/* From what accept(2) or getpeername(2) gave; a Unix socket becomes ::1. */
void addr_from_sockaddr(struct addr *a, const struct sockaddr *sa);
int addr_peer(int fd, struct addr *a); /* 0, or -1 and errno */
int addr_own(int fd, struct addr *a);  /* the socket's own end; the same */

#endif
