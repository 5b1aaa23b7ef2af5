/* Frames and commands. */
#include "protocol/milter/packet.h"

#define FRAME 4

static uint32_t number(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void put_number(struct buf *out, uint32_t n)
{
    const unsigned char b[4] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16),
                                (unsigned char)(n >> 8), (unsigned char)n};
    buf_add(out, b, sizeof b);
}

int milter_packet_take(struct str *in, struct milter_packet *p)
{
    if (in->n < FRAME)
        return 0;
    uint32_t n = number(in->p);
    if (n == 0 || n > MILTER_PACKET_MAX)
        return -1;
    if (in->n - FRAME < n)
        return 0;
    p->code = in->p[FRAME];
    p->data = (struct str){in->p + FRAME + 1, n - 1};
    *in = str_skip(*in, FRAME + n);
    return 1;
}

/* --- writing --- */

void milter_put(struct buf *out, enum milter_command code, struct str data)
{
    put_number(out, (uint32_t)data.n + 1);
    buf_byte(out, (char)code);
    buf_str(out, data);
}

void milter_put_strings(struct buf *out, enum milter_command code, const struct str *v, size_t n)
{
    size_t size = 1;
    for (size_t i = 0; i < n; i++)
        size += v[i].n + 1;
    put_number(out, (uint32_t)size);
    buf_byte(out, (char)code);
    for (size_t i = 0; i < n; i++) {
        buf_str(out, v[i]);
        buf_byte(out, '\0');
    }
}

void milter_put_negotiate(struct buf *out, uint32_t actions, uint32_t protocol)
{
    put_number(out, 13);
    buf_byte(out, MILTER_NEGOTIATE);
    put_number(out, MILTER_VERSION);
    put_number(out, actions);
    put_number(out, protocol);
}

void milter_put_connect(struct buf *out, struct str host, bool is_v4, uint16_t port, struct str ip)
{
    put_number(out, (uint32_t)(1 + host.n + 1 + 1 + 2 + ip.n + 1));
    buf_byte(out, MILTER_CONNECT);
    buf_str(out, host);
    buf_byte(out, '\0');
    buf_byte(out, is_v4 ? '4' : '6');
    buf_byte(out, (char)(port >> 8));
    buf_byte(out, (char)(port & 0xff));
    buf_str(out, ip);
    buf_byte(out, '\0');
}

/* --- macros --- */

void milter_macros_begin(struct milter_macros *m, enum milter_command before)
{
    *m = (struct milter_macros){.data = {0}};
    buf_byte(&m->data, (char)before);
}

void milter_macros_add(struct milter_macros *m, const char *name, struct str value)
{
    if (value.n == 0 || str_find(value, '\0') >= 0)
        return;
    buf_str(&m->data, str_from(name));
    buf_byte(&m->data, '\0');
    buf_str(&m->data, value);
    buf_byte(&m->data, '\0');
}

void milter_macros_put(struct milter_macros *m, struct buf *out)
{
    milter_put(out, MILTER_MACROS, buf_view(&m->data));
    buf_free(&m->data);
}
