/*
 * Packets of the Sendmail milter protocol, version 6 (and 2 to 5, which are parts of it): what the
 * mail server writes, and the frame of what it reads. A packet is a 32-bit length in network order,
 * one byte that says what it is, and data; strings in it end with NUL. Pure; nothing is kept.
 */
#ifndef FACTEUR_PROTOCOL_MILTER_PACKET_H
#define FACTEUR_PROTOCOL_MILTER_PACKET_H

#include "base/mem.h"

#define MILTER_VERSION 6
#define MILTER_VERSION_MIN 2
#define MILTER_PACKET_MAX (1024 * 1024) /* what is taken from a filter */
#define MILTER_CHUNK_MAX 65535          /* octets of body in one packet */

/* What the server says. */
enum milter_command {
    MILTER_ABORT = 'A', MILTER_BODY = 'B', MILTER_CONNECT = 'C', MILTER_MACROS = 'D',
    MILTER_BODY_END = 'E', MILTER_HELO = 'H', MILTER_HEADER = 'L', MILTER_MAIL = 'M',
    MILTER_HEADER_END = 'N', MILTER_NEGOTIATE = 'O', MILTER_QUIT = 'Q', MILTER_RCPT = 'R',
    MILTER_DATA = 'T',
};

/* What the filter may do to a message. */
enum {
    MILTER_MAY_ADD_HEADERS = 0x1, MILTER_MAY_CHANGE_BODY = 0x2, MILTER_MAY_ADD_RCPT = 0x4,
    MILTER_MAY_DELETE_RCPT = 0x8, MILTER_MAY_CHANGE_HEADERS = 0x10, MILTER_MAY_QUARANTINE = 0x20,
    MILTER_MAY_CHANGE_SENDER = 0x40, MILTER_MAY_ADD_RCPT_ARGS = 0x80, MILTER_MAY_NAME_MACROS = 0x100,
    MILTER_MAY_ALL = 0x1ff,
};

/* What it does not want to be told, and what it does not answer. */
enum {
    MILTER_NO_CONNECT = 0x1, MILTER_NO_HELO = 0x2, MILTER_NO_MAIL = 0x4, MILTER_NO_RCPT = 0x8,
    MILTER_NO_BODY = 0x10, MILTER_NO_HEADERS = 0x20, MILTER_NO_HEADER_END = 0x40,
    MILTER_SILENT_HEADER = 0x80, MILTER_NO_UNKNOWN = 0x100, MILTER_NO_DATA = 0x200,
    MILTER_MAY_SKIP = 0x400, MILTER_SILENT_CONNECT = 0x1000, MILTER_SILENT_HELO = 0x2000,
    MILTER_SILENT_MAIL = 0x4000, MILTER_SILENT_RCPT = 0x8000, MILTER_SILENT_DATA = 0x10000,
    MILTER_SILENT_UNKNOWN = 0x20000, MILTER_SILENT_HEADER_END = 0x40000,
    MILTER_SILENT_BODY = 0x80000, MILTER_LEADING_SPACE = 0x100000,
    MILTER_OFFERED = 0x1ff7ff, /* all but the recipients that we refused ourselves */
};

struct milter_packet {
    char code;
    struct str data;
};

/* Takes one packet from the front of *in. 1: taken; 0: it is not whole yet; -1: its length is none
 * that a packet has. */
int milter_packet_take(struct str *in, struct milter_packet *p);

/* --- writing: appends one packet --- */
void milter_put(struct buf *out, enum milter_command code, struct str data);
void milter_put_strings(struct buf *out, enum milter_command code, const struct str *v, size_t n);
void milter_put_negotiate(struct buf *out, uint32_t actions, uint32_t protocol);
/* host: the client's name, or its address in brackets. */
void milter_put_connect(struct buf *out, struct str host, bool is_v4, uint16_t port, struct str ip);

/* Macros for the command that follows: collected, then put. */
struct milter_macros {
    struct buf data;
};
void milter_macros_begin(struct milter_macros *m, enum milter_command before);
void milter_macros_add(struct milter_macros *m, const char *name, struct str value); /* not if empty */
void milter_macros_put(struct milter_macros *m, struct buf *out); /* frees them */

#endif
