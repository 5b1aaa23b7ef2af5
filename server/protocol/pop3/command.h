/*
 * pop3/command: what a line of a POP3 client means, and the lists that the server answers with.
 *
 * RFC 1939, CAPA (RFC 2449), STLS (RFC 2595), AUTH (RFC 5034), UTF8 (RFC 6856). Pure. The one table
 * of commands is here; the programs say when each is allowed.
 */
#ifndef FACTEUR_POP3_COMMAND_H
#define FACTEUR_POP3_COMMAND_H

#include "base/mem.h"

enum pop3_verb {
    POP3_UNKNOWN,
    POP3_APOP,
    POP3_AUTH,
    POP3_CAPA,
    POP3_DELE,
    POP3_LIST,
    POP3_NOOP,
    POP3_PASS,
    POP3_QUIT,
    POP3_RETR,
    POP3_RSET,
    POP3_STAT,
    POP3_STLS,
    POP3_TOP,
    POP3_UIDL,
    POP3_USER,
    POP3_UTF8,
};

struct pop3_command {
    enum pop3_verb verb;
    struct str text;    /* USER and PASS: the argument; AUTH: the mechanism */
    struct str initial; /* AUTH: the initial response; p is NULL without one */
    uint32_t number;    /* of a message; 0: none given (LIST and UIDL), else at least 1 */
    uint64_t lines;     /* TOP */
};

/* Views into line. NULL, or a literal that tells the client what is wrong. *c is filled as far as
 * understood: an unknown command is POP3_UNKNOWN. A message number too large for its field is
 * UINT32_MAX, which no maildrop has. */
const char *pop3_command_parse(struct str line, struct pop3_command *c);

enum pop3_capa {
    POP3_CAPA_CLEAR = 1,   /* before login, and no password is taken */
    POP3_CAPA_STLS = 2,    /* before login, TLS can be started */
    POP3_CAPA_LOGIN = 4,   /* before login, passwords are taken */
    POP3_CAPA_MAILDROP = 8 /* after login */
};

/* The lines of a CAPA answer, with the dot that ends it (RFC 2449 section 5). mechanisms: of SASL beyond
 * PLAIN and LOGIN, each with a blank before it. */
void pop3_write_capabilities(struct buf *b, enum pop3_capa state, const char *mechanisms);

#endif
