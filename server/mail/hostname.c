/* Names of hosts. */
#include "mail/hostname.h"

#include <arpa/inet.h>

#define LABEL_MAX 63
#define NAME_MAX_OCTETS 253

static bool is_address_of(int family, struct str text)
{
    char z[64];
    unsigned char room[16];
    if (text.n >= sizeof z || str_find(text, '\0') >= 0)
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    return inet_pton(family, z, room) == 1;
}

bool hostname_is_address(struct str text)
{
    return is_address_of(AF_INET, text) || is_address_of(AF_INET6, text);
}

bool hostname_is_literal(struct str text)
{
    if (text.n < 2 || text.p[0] != '[' || text.p[text.n - 1] != ']')
        return false;
    struct str inside = str_head(str_skip(text, 1), text.n - 2);
    return str_casestarts(inside, STR("IPv6:")) ? is_address_of(AF_INET6, str_skip(inside, 5))
                                                : is_address_of(AF_INET, inside);
}

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool is_label(struct str label)
{
    for (size_t i = 0; i < label.n; i++)
        if (!is_label_char(label.p[i]))
            return false;
    return label.n > 0 && label.n <= LABEL_MAX && label.p[0] != '-' && label.p[label.n - 1] != '-';
}

bool hostname_is_valid(struct str name)
{
    bool digits = true;
    if (name.n > NAME_MAX_OCTETS)
        return false;
    for (size_t i = 0; i < name.n; i++)
        digits = digits && ((name.p[i] >= '0' && name.p[i] <= '9') || name.p[i] == '.');
    for (;;) {
        ptrdiff_t dot = str_find(name, '.');
        if (!is_label(dot < 0 ? name : str_head(name, (size_t)dot)))
            return false;
        if (dot < 0)
            return !digits;
        name = str_skip(name, (size_t)dot + 1);
    }
}
