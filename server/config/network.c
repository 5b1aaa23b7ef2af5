/* Network lists, as in mynetworks. */
#include "config/config.h"

#include <arpa/inet.h>

/* The address part: 1.2.3.4, ::1 or [::1]; returns its own number of bits, 0 when it is none. */
static unsigned parse_address(struct str text, unsigned char out[16])
{
    char z[64];
    if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
        text = str_head(str_skip(text, 1), text.n - 2);
    if (text.n == 0 || text.n >= sizeof z)
        return 0;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    if (inet_pton(AF_INET6, z, out) == 1)
        return 128;
    memset(out, 0, 10);
    out[10] = out[11] = 0xff;
    return inet_pton(AF_INET, z, out + 12) == 1 ? 32 : 0;
}

int config_network_parse(struct str text, struct config_network *out)
{
    ptrdiff_t slash = str_rfind(text, '/');
    struct str address = slash < 0 ? text : str_head(text, (size_t)slash);
    unsigned width = parse_address(address, out->addr);
    uint32_t bits = width;
    if (width == 0)
        return -1;
    if (slash >= 0 && (str_u32(str_skip(text, (size_t)slash + 1), &bits) != 0 || bits > width))
        return -1;
    out->bits = bits + (128 - width);
    return 0;
}

static bool inside(const struct config_network *net, const unsigned char addr[16])
{
    unsigned bytes = net->bits / 8, rest = net->bits % 8;
    if (memcmp(net->addr, addr, bytes) != 0)
        return false;
    unsigned char mask = (unsigned char)(0xff00 >> rest);
    return rest == 0 || (net->addr[bytes] & mask) == (addr[bytes] & mask);
}

int config_network_element(struct str text, struct config_network *out, bool *wanted)
{
    *wanted = text.n == 0 || text.p[0] != '!';
    return config_network_parse(*wanted ? text : str_skip(text, 1), out);
}

bool config_network_match(const struct config_list *list, const unsigned char addr[16])
{
    struct config_network net;
    bool wanted;
    for (size_t i = 0; i < list->n; i++)
        if (config_network_element(list->v[i], &net, &wanted) == 0 && inside(&net, addr))
            return wanted;
    return false;
}
