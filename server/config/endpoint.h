/*
 * Places of milters, policy servers and the introspection server, as Postfix writes them:
 * inet:HOST:PORT, unix:/PATH. HOST is
 * an address (IPv6 in brackets) or localhost: names are not looked up, for what looks them up would
 * decide whom the mail is shown to. Milters may be written as Sendmail does too: inet:PORT@HOST,
 * local:/PATH.
 */
#ifndef FACTEUR_CONFIG_ENDPOINT_H
#define FACTEUR_CONFIG_ENDPOINT_H

#include "base/err.h"
#include "base/str.h"

#include <sys/socket.h>

struct config_endpoint {
    struct sockaddr_storage sa;
    socklen_t length;
};

/* 0, or -1 with a permanent error. */
int config_endpoint_parse(struct str text, struct config_endpoint *out, struct err *e);

#endif
