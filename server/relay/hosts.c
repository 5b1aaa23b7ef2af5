/*
 * Finding the servers of a destination: MX, then A and AAAA of each host when its turn comes
 * (RFC 5321 section 5.1, RFC 7505).
 */
#include "base/log.h"
#include "relay/relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>

/* --- addresses of one host --- */

static void add_place(struct job *j, int family, const void *bytes)
{
    enum { ALL_PROTOCOLS, ONLY_4, ONLY_6 };
    int wanted = j->settings->cfg->inet_protocols;
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(j->nexthop.port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(j->nexthop.port)};
    if ((family == AF_INET && wanted == ONLY_6) || (family == AF_INET6 && wanted == ONLY_4))
        return;
    memcpy(family == AF_INET ? (void *)&in4.sin_addr : (void *)&in6.sin6_addr, bytes,
           family == AF_INET ? 4 : 16);
    struct place *p = &j->places[j->place_count++];
    p->host = j->hosts[j->host_at].name;
    addr_from_sockaddr(&p->addr, family == AF_INET ? (void *)&in4 : (void *)&in6);
}

static void take_addresses(struct job *j, const struct dns_answer *a, int family)
{
    size_t size = family == AF_INET ? 4 : 16;
    struct place *v = arena_array(j->arena, j->place_count + a->n + 1, sizeof *v);
    for (size_t i = 0; i < j->place_count; i++)
        v[i] = j->places[i];
    j->places = v;
    for (size_t i = 0; i < a->n; i++)
        if (a->data[i].n == size)
            add_place(j, family, a->data[i].p);
}

/* IPv6 stands first in the list. "any" takes turns, from either: where one of the two does not work
 * the other is among the first that are tried. */
static void order_places(struct job *j)
{
    enum { ANY, V4_FIRST, V6_FIRST };
    int wanted = j->settings->cfg->smtp_address_preference;
    struct place *v = arena_array(j->arena, j->place_count + 1, sizeof *v);
    size_t six = 0, a[2], end[2], n = 0;
    while (six < j->place_count && !j->places[six].addr.is_v4)
        six++;
    bool four = wanted == V4_FIRST || (wanted == ANY && randombytes_random() % 2);
    a[0] = 0, end[0] = six;
    a[1] = six, end[1] = j->place_count;
    while (n < j->place_count) {
        size_t family = a[four] < end[four] ? four : !four;
        v[n++] = j->places[a[family]++];
        four = wanted == ANY ? !family : four;
    }
    j->places = v;
}

void hosts_place(struct job *j)
{
    if (j->place_count == 0) {
        j->host_at++;
        hosts_next(j);
        return;
    }
    job_try(j, &j->places[j->place_at++]);
}

static void note_answer(struct job *j, const struct dns_answer *a)
{
    struct str host = j->hosts[j->host_at].name;
    if (a->status == DNS_FOUND) {
        j->host_secure = j->host_secure && a->secure;
        j->canonical = arena_str(j->arena, a->canonical);
    }
    if (a->status != DNS_CANNOT_SAY)
        return;
    j->some_unknown = true;
    j->host_secure = false;
    trouble_set(&j->trouble, false, "4.4.3", "", "The address of %.*s could not be looked up: %s",
                STR_FMT(host), a->why);
}

static void on_a(void *arg, const struct dns_answer *a)
{
    struct job *j = arg;
    j->ask = NULL;
    note_answer(j, a);
    take_addresses(j, a, AF_INET);
    order_places(j);
    dane_start(j);
}

static void on_aaaa(void *arg, const struct dns_answer *a)
{
    struct job *j = arg;
    note_answer(j, a);
    take_addresses(j, a, AF_INET6);
    j->ask = dns_start(j->relay->dns, j->hosts[j->host_at].name, DNS_A, on_a, j);
}

/* A host that is written as an address needs no asking. */
static bool is_literal(struct job *j, struct str host)
{
    unsigned char room[16];
    AUTO_FREE char *z = mem_strdup(host);
    int family = inet_pton(AF_INET, z, room) == 1    ? AF_INET
                 : inet_pton(AF_INET6, z, room) == 1 ? AF_INET6
                                                     : 0;
    if (family == 0)
        return false;
    j->places = arena_array(j->arena, 1, sizeof *j->places);
    add_place(j, family, room);
    return true;
}

void hosts_next(struct job *j)
{
    if (j->place_at < j->place_count) {
        job_try(j, &j->places[j->place_at++]);
        return;
    }
    if (j->place_count)
        j->host_at++;
    j->place_at = j->place_count = 0;
    while (j->host_at < j->host_count && j->hosts[j->host_at].name.n == 0)
        j->host_at++; /* the root beside others, which RFC 7505 section 3 forbids, is no server */
    if (j->host_at >= j->host_count) {
        job_no_more(j);
        return;
    }
    struct str host = j->hosts[j->host_at].name;
    j->host_secure = true;
    j->canonical = (struct str){"", 0};
    if (is_literal(j, host)) {
        j->host_secure = false;
        dane_start(j);
        return;
    }
    j->ask = dns_start(j->relay->dns, host, DNS_AAAA, on_aaaa, j);
}

/* --- exchangers --- */

static void only_host(struct job *j)
{
    j->hosts = arena_array(j->arena, 1, sizeof *j->hosts);
    j->hosts[0].name = j->nexthop.host;
    j->host_count = 1;
    hosts_next(j);
}

static void fail(struct job *j)
{
    j->host_count = 0;
    job_no_more(j);
}

static int take_exchanger(struct job *j, struct str data)
{
    char name[256];
    if (data.n < 3 || route_name(str_skip(data, 2), name) != 0)
        return -1;
    j->hosts[j->host_count++] = (struct exchanger){
        .name = arena_str(j->arena, str_from(name)),
        .preference = (uint16_t)((unsigned char)data.p[0] << 8 | (unsigned char)data.p[1]),
        .random = randombytes_random()};
    return 0;
}

static void take_exchangers(struct job *j, const struct dns_answer *a)
{
    struct str domain = j->nexthop.host;
    j->hosts = arena_array(j->arena, a->n + 1, sizeof *j->hosts);
    for (size_t i = 0; i < a->n; i++)
        if (take_exchanger(j, a->data[i]) != 0)
            log_warning("mx", LS("domain", domain), LZ("why", "a record is no host name"));
    route_sort(j->hosts, j->host_count);
    if (j->host_count == 0) {
        trouble_set(&j->trouble, false, "4.4.4", "", "The MX records of %.*s make no sense",
                    STR_FMT(domain));
        fail(j);
        return;
    }
    if (route_is_null(j->hosts, j->host_count)) {
        trouble_set(&j->trouble, true, "5.1.10", "",
                    "The domain %.*s takes no mail: its MX record says so", STR_FMT(domain));
        fail(j);
        return;
    }
    j->host_count = route_without_us(j->hosts, j->host_count, j->settings->cfg->myhostname);
    if (j->host_count == 0) {
        trouble_set(&j->trouble, true, "5.4.6", "",
                    "Mail for %.*s loops back to this server: the DNS names it as the mail server "
                    "of a domain that it does not host", STR_FMT(domain));
        fail(j);
        return;
    }
    hosts_next(j);
}

static void on_mx(void *arg, const struct dns_answer *a)
{
    struct job *j = arg;
    struct str domain = j->nexthop.host;
    j->ask = NULL;
    j->mx_secure = a->secure;
    if (a->status == DNS_FOUND) {
        take_exchangers(j, a);
    } else if (a->status == DNS_NO_RECORDS) {
        only_host(j); /* the implicit MX */
    } else if (a->status == DNS_NO_NAME) {
        trouble_set(&j->trouble, true, "5.1.2", "", "The domain %.*s does not exist",
                    STR_FMT(domain));
        fail(j);
    } else {
        trouble_set(&j->trouble, false, "4.4.3", "",
                    "The mail servers of %.*s could not be looked up: %s", STR_FMT(domain), a->why);
        fail(j);
    }
}

void hosts_start(struct job *j)
{
    trouble_set(&j->trouble, true, "5.4.4", "", "%.*s has no address", STR_FMT(j->nexthop.host));
    j->mx_secure = true;
    if (j->nexthop.exchangers)
        j->ask = dns_start(j->relay->dns, j->nexthop.host, DNS_MX, on_mx, j);
    else
        only_host(j);
}
