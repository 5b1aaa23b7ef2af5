/* mynetworks_style: the networks of this machine's own addresses. */
#include "config/config.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

static unsigned bits_of_mask(const unsigned char *mask, size_t n)
{
    unsigned bits = 0;
    while (bits < n * 8 && mask[bits / 8] & (0x80 >> bits % 8))
        bits++;
    return bits;
}

/* The classes of RFC 791 section 3.2. */
static unsigned bits_of_class(unsigned char first)
{
    return first < 128 ? 8 : first < 192 ? 16 : 24;
}

static void add(struct buf *out, int family, unsigned char *addr, unsigned bits)
{
    char text[INET6_ADDRSTRLEN];
    size_t width = family == AF_INET ? 32 : 128;
    for (size_t bit = bits; bit < width; bit++)
        addr[bit / 8] &= (unsigned char)~(0x80 >> bit % 8);
    if (inet_ntop(family, addr, text, sizeof text))
        buf_printf(out, family == AF_INET ? " %s/%u" : " [%s]/%u", text, bits);
}

static void add_interface(struct buf *out, const struct ifaddrs *i, enum config_style style)
{
    if (i->ifa_addr->sa_family == AF_INET) {
        struct sockaddr_in a = *(const struct sockaddr_in *)i->ifa_addr,
                           m = *(const struct sockaddr_in *)i->ifa_netmask;
        unsigned char *ip = (unsigned char *)&a.sin_addr;
        add(out, AF_INET, ip,
            style == STYLE_HOST    ? 32
            : style == STYLE_CLASS ? bits_of_class(ip[0])
                                   : bits_of_mask((const unsigned char *)&m.sin_addr, 4));
    } else if (i->ifa_addr->sa_family == AF_INET6) {
        struct sockaddr_in6 a = *(const struct sockaddr_in6 *)i->ifa_addr,
                            m = *(const struct sockaddr_in6 *)i->ifa_netmask;
        add(out, AF_INET6, a.sin6_addr.s6_addr,
            style == STYLE_HOST ? 128 : bits_of_mask(m.sin6_addr.s6_addr, 16));
    }
}

void config_style_networks(enum config_style style, struct buf *out)
{
    struct ifaddrs *all = NULL;
    buf_str(out, STR("127.0.0.0/8 [::1]/128"));
    if (getifaddrs(&all) != 0)
        return;
    for (struct ifaddrs *i = all; i; i = i->ifa_next)
        if (i->ifa_addr && i->ifa_netmask && !(i->ifa_flags & IFF_LOOPBACK))
            add_interface(out, i, style);
    freeifaddrs(all);
}
