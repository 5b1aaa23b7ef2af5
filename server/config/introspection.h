/*
 * The server that says whose an OAuth 2.0 token is (RFC 7662), as the oauth2_* options name it.
 */
#ifndef FACTEUR_CONFIG_INTROSPECTION_H
#define FACTEUR_CONFIG_INTROSPECTION_H

#include "config/config.h"

#define CONFIG_INTROSPECTION_PLACES 8

struct config_introspection {
    bool tls;        /* https; else http, to this machine only */
    struct str host; /* without brackets */
    uint16_t port;
    bool by_name; /* the one place has the host's name, whose addresses the DNS knows */
    struct str place[CONFIG_INTROSPECTION_PLACES]; /* as endpoint.h has them, to be tried in turn */
    size_t places;
};

/* From options that are not empty; what it makes lies in the arena. 0, or -1 with a permanent error
 * that names the option. */
int config_introspection_read(const struct config *cfg, struct arena *a,
                              struct config_introspection *out, struct err *e);

#endif
