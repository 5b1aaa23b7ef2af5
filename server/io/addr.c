/* Addresses of clients. */
#include "io/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

void addr_from_sockaddr(struct addr *a, const struct sockaddr *sa)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    memset(a, 0, sizeof *a);
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        memcpy(a->ip, mapped, 12);
        memcpy(a->ip + 12, &in->sin_addr, 4);
        a->port = ntohs(in->sin_port);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;
        memcpy(a->ip, &in6->sin6_addr, 16);
        a->port = ntohs(in6->sin6_port);
    } else {
        a->ip[15] = 1;
    }
    a->is_v4 = memcmp(a->ip, mapped, 12) == 0;
    if (a->is_v4)
        inet_ntop(AF_INET, a->ip + 12, a->text, sizeof a->text);
    else
        inet_ntop(AF_INET6, a->ip, a->text, sizeof a->text);
}

int addr_peer(int fd, struct addr *a)
{
    struct sockaddr_storage ss = {0};
    socklen_t n = sizeof ss;
    if (getpeername(fd, (struct sockaddr *)&ss, &n) != 0)
        return -1;
    addr_from_sockaddr(a, (struct sockaddr *)&ss);
    return 0;
}

int addr_own(int fd, struct addr *a)
{
    struct sockaddr_storage ss = {0};
    socklen_t n = sizeof ss;
    if (getsockname(fd, (struct sockaddr *)&ss, &n) != 0)
        return -1;
    addr_from_sockaddr(a, (struct sockaddr *)&ss);
    return 0;
}
