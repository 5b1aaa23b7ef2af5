/* The header of the PROXY protocol (doc/proxy-protocol.txt of HAProxy; section 2 is its syntax). */
#include "io/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define V1_MAX 107 /* section 2.1, CR LF included */
#define V2_FIXED 16

static const struct str v1_begin = {"PROXY ", 6};
static const struct str v2_begin = {"\r\n\r\n\0\r\nQUIT\n", 12};

/* --- version 1: a line --- */

static int port_of(struct str text, in_port_t *out)
{
    uint32_t n;
    if (text.n == 0 || (text.p[0] == '0' && text.n > 1) || str_u32(text, &n) != 0 || n > 65535)
        return -1;
    *out = htons((uint16_t)n);
    return 0;
}

static int address_of(int family, struct str text, void *out)
{
    char z[INET6_ADDRSTRLEN];
    if (text.n >= sizeof z)
        return -1;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    return strlen(z) == text.n && inet_pton(family, z, out) == 1 ? 0 : -1;
}

/* One blank between words, none at the ends. */
static bool next_word(struct str *rest, struct str *word)
{
    ptrdiff_t blank = str_find(*rest, ' ');
    *word = blank < 0 ? *rest : str_head(*rest, (size_t)blank);
    *rest = str_skip(*rest, blank < 0 ? rest->n : (size_t)blank + 1);
    return word->n > 0;
}

struct v1_words {
    struct str source, target, source_port, target_port;
};

static int client_v4(const struct v1_words *w, struct addr *out)
{
    struct sockaddr_in source = {.sin_family = AF_INET}, target;
    if (address_of(AF_INET, w->source, &source.sin_addr) != 0 ||
        address_of(AF_INET, w->target, &target.sin_addr) != 0 ||
        port_of(w->source_port, &source.sin_port) != 0 ||
        port_of(w->target_port, &target.sin_port) != 0)
        return -1;
    addr_from_sockaddr(out, (const struct sockaddr *)&source);
    return 0;
}

static int client_v6(const struct v1_words *w, struct addr *out)
{
    struct sockaddr_in6 source = {.sin6_family = AF_INET6}, target;
    if (address_of(AF_INET6, w->source, &source.sin6_addr) != 0 ||
        address_of(AF_INET6, w->target, &target.sin6_addr) != 0 ||
        port_of(w->source_port, &source.sin6_port) != 0 ||
        port_of(w->target_port, &target.sin6_port) != 0)
        return -1;
    addr_from_sockaddr(out, (const struct sockaddr *)&source);
    return 0;
}

/* What stands behind "PROXY ", without its end. */
static int v1_line(struct str line, struct proxy_header *out, struct err *e)
{
    struct v1_words w;
    struct str family, rest = line;
    next_word(&rest, &family);
    if (str_eq(family, STR("UNKNOWN"))) { /* what follows has to be ignored */
        out->local = true;
        return 0;
    }
    bool v4 = str_eq(family, STR("TCP4"));
    if (!v4 && !str_eq(family, STR("TCP6")))
        return err_perm(e, "neither TCP4 nor TCP6 nor UNKNOWN");
    bool whole = next_word(&rest, &w.source) && next_word(&rest, &w.target) &&
                 next_word(&rest, &w.source_port) && next_word(&rest, &w.target_port) &&
                 w.target_port.p + w.target_port.n == line.p + line.n;
    if (!whole || (v4 ? client_v4(&w, &out->client) : client_v6(&w, &out->client)) != 0)
        return err_perm(e, "two addresses and two ports are no such");
    return 0;
}

static enum proxy_event v1_parse(struct str in, size_t *used, struct proxy_header *out,
                                 struct err *e)
{
    struct str room = str_head(in, V1_MAX);
    ptrdiff_t lf = str_find(room, '\n');
    if (lf < 0 && in.n < V1_MAX)
        return PROXY_MORE;
    if (lf < 0 || room.p[lf - 1] != '\r') {
        err_perm(e, lf < 0 ? "its line is too long" : "its line does not end in CR LF");
        return PROXY_BAD;
    }
    *used = (size_t)lf + 1;
    struct str line = str_head(room, (size_t)lf - 1);
    return v1_line(str_skip(line, v1_begin.n), out, e) == 0 ? PROXY_DONE : PROXY_BAD;
}

/* --- version 2: octets --- */

enum { COMMAND_LOCAL, COMMAND_PROXY };
enum { FAMILY_UNSPEC, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX };
enum { TRANSPORT_UNSPEC, TRANSPORT_STREAM, TRANSPORT_DATAGRAM };
#define TLV_CRC32C 3

static unsigned octet(struct str s, size_t at)
{
    return (unsigned char)s.p[at];
}

static unsigned pair(struct str s, size_t at)
{
    return octet(s, at) << 8 | octet(s, at + 1);
}

/* Castagnoli's, reflected; four octets from hole on count as zero. */
static uint32_t crc32c(struct str s, size_t hole)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < s.n; i++) {
        crc ^= i >= hole && i < hole + 4 ? 0 : octet(s, i);
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

/* The extensions behind the addresses (section 2.2.1 and on): whole ones, and a checksum that is
 * right where there is one (2.2.3). */
static int check_extensions(struct str header, size_t at, struct err *e)
{
    while (at < header.n) {
        if (header.n - at < 3 || header.n - at - 3 < pair(header, at + 1))
            return err_perm(e, "an extension is cut off");
        unsigned type = octet(header, at), length = pair(header, at + 1);
        at += 3;
        if (type == TLV_CRC32C &&
            (length != 4 || ((uint32_t)pair(header, at) << 16 | pair(header, at + 2)) !=
                                crc32c(header, at)))
            return err_perm(e, "its checksum is wrong");
        at += length;
    }
    return 0;
}

static int v2_client(struct str header, struct proxy_header *out, struct err *e)
{
    unsigned family = octet(header, 13) >> 4;
    const char *addresses = header.p + V2_FIXED;
    size_t size = family == FAMILY_INET ? 12 : 36;
    if (header.n - V2_FIXED < size)
        return err_perm(e, "its addresses are cut off");
    if (family == FAMILY_INET) {
        struct sockaddr_in sa = {.sin_family = AF_INET};
        memcpy(&sa.sin_addr, addresses, 4);
        memcpy(&sa.sin_port, addresses + 8, 2);
        addr_from_sockaddr(&out->client, (const struct sockaddr *)&sa);
    } else {
        struct sockaddr_in6 sa = {.sin6_family = AF_INET6};
        memcpy(&sa.sin6_addr, addresses, 16);
        memcpy(&sa.sin6_port, addresses + 32, 2);
        addr_from_sockaddr(&out->client, (const struct sockaddr *)&sa);
    }
    return check_extensions(header, V2_FIXED + size, e);
}

static int v2_judge(struct str header, struct proxy_header *out, struct err *e)
{
    unsigned family = octet(header, 13) >> 4, transport = octet(header, 13) & 15;
    if ((octet(header, 12) & 15) == COMMAND_LOCAL || family == FAMILY_UNSPEC) {
        out->local = true; /* section 2.2: whatever follows is thrown away */
        return 0;
    }
    if (family == FAMILY_UNIX || transport != TRANSPORT_STREAM)
        return err_perm(e, "its client did not come over TCP");
    return v2_client(header, out, e);
}

static enum proxy_event v2_parse(struct str in, size_t *used, struct proxy_header *out,
                                 struct err *e)
{
    if (in.n > 12 && (octet(in, 12) >> 4 != 2 || (octet(in, 12) & 15) > COMMAND_PROXY)) {
        err_perm(e, "its version or command is not known");
        return PROXY_BAD;
    }
    if (in.n > 13 && (octet(in, 13) >> 4 > FAMILY_UNIX || (octet(in, 13) & 15) > TRANSPORT_DATAGRAM)) {
        err_perm(e, "its family is not known");
        return PROXY_BAD;
    }
    if (in.n < V2_FIXED)
        return PROXY_MORE;
    *used = V2_FIXED + pair(in, 14);
    if (*used > PROXY_HEADER_MAX) {
        err_perm(e, "it is longer than %d octets", PROXY_HEADER_MAX);
        return PROXY_BAD;
    }
    if (in.n < *used)
        return PROXY_MORE;
    return v2_judge(str_head(in, *used), out, e) == 0 ? PROXY_DONE : PROXY_BAD;
}

/* --- both --- */

static bool agrees(struct str in, struct str begin)
{
    return str_starts(in.n < begin.n ? begin : in, in.n < begin.n ? in : begin);
}

enum proxy_event proxy_header_parse(struct str in, size_t *used, struct proxy_header *out,
                                    struct err *e)
{
    *out = (struct proxy_header){.local = false};
    if (in.n == 0)
        return PROXY_MORE;
    if (agrees(in, v1_begin))
        return in.n <= v1_begin.n ? PROXY_MORE : v1_parse(in, used, out, e);
    if (agrees(in, v2_begin))
        return v2_parse(in, used, out, e);
    err_perm(e, "no header of the PROXY protocol came");
    return PROXY_BAD;
}
