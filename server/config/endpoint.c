/* Places of milters and policy servers. */
#include "config/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/un.h>

static int no_place(struct str text, struct err *e)
{
    return err_perm(e, "%.*s: is no place of a milter, policy or other server; write inet:ADDRESS:PORT or "
                       "unix:/PATH", STR_FMT(str_head(text, 200)));
}

static int unix_path(struct str path, struct config_endpoint *out)
{
    struct sockaddr_un *sa = (struct sockaddr_un *)&out->sa;
    if (path.n == 0 || path.p[0] != '/' || path.n >= sizeof sa->sun_path ||
        str_find(path, '\0') >= 0)
        return -1;
    sa->sun_family = AF_UNIX;
    memcpy(sa->sun_path, path.p, path.n);
    out->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return 0;
}

static int internet(struct str host, struct str port_text, struct config_endpoint *out)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->sa;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->sa;
    uint32_t port;
    if (str_u32(port_text, &port) != 0 || port == 0 || port > 65535)
        return -1;
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_head(str_skip(host, 1), host.n - 2);
    if (str_caseeq(host, STR("localhost")))
        host = STR("127.0.0.1");
    if (host.n == 0 || host.n >= sizeof text)
        return -1;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        out->length = sizeof *v4;
        return 0;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
        return -1;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    out->length = sizeof *v6;
    return 0;
}

int config_endpoint_parse(struct str text, struct config_endpoint *out, struct err *e)
{
    int r = -1;
    *out = (struct config_endpoint){.length = 0};
    if (str_casestarts(text, STR("unix:"))) {
        r = unix_path(str_skip(text, 5), out);
    } else if (str_casestarts(text, STR("local:"))) {
        r = unix_path(str_skip(text, 6), out);
    } else if (str_casestarts(text, STR("inet:"))) {
        struct str rest = str_skip(text, 5);
        ptrdiff_t at = str_find(rest, '@'), colon = str_rfind(rest, ':');
        if (at >= 0)
            r = internet(str_skip(rest, (size_t)at + 1), str_head(rest, (size_t)at), out);
        else if (colon >= 0)
            r = internet(str_head(rest, (size_t)colon), str_skip(rest, (size_t)colon + 1), out);
    }
    return r == 0 ? 0 : no_place(text, e);
}
