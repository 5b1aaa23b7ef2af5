/* Sending to other servers, what is pure of it: replies, destinations, exchangers, the wire form. */
#include "protocol/smtp/reply.h"
#include "relay/policy.h"
#include "relay/reach.h"
#include "relay/route.h"
#include "relay/source.h"
#include "relay/sts.h"
#include "relay/transport.h"
#include "tests/unit/unit.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- replies, fed whole and byte by byte --- */

static enum smtp_reply_event feed(struct smtp_reply *r, const char *text, size_t step)
{
    AUTO_BUF b = {0};
    enum smtp_reply_event got = SMTP_REPLY_MORE;
    struct str all = str_from(text);
    for (size_t at = 0; at < all.n && got == SMTP_REPLY_MORE; at += step) {
        buf_str(&b, str_head(str_skip(all, at), step));
        for (size_t before = 0; got == SMTP_REPLY_MORE && before != b.n;) {
            struct str rest = buf_view(&b);
            before = b.n;
            got = smtp_reply_take(r, &rest);
            buf_consume(&b, before - rest.n);
            if (before == rest.n)
                break;
        }
    }
    return got;
}

static void expect_reply(const char *text, unsigned code, const char *status, const char *want)
{
    for (size_t step = 1; step < 200; step += 66) {
        struct smtp_reply r = {0};
        CU_ASSERT(feed(&r, text, step) == SMTP_REPLY_DONE);
        CU_ASSERT(r.code == code);
        UNIT_STR(str_from(r.status), status);
        UNIT_STR(str_from(r.text), want);
    }
}

static void replies(void)
{
    expect_reply("250 ok\r\n", 250, "", "250 ok");
    expect_reply("250\r\n", 250, "", "250");
    expect_reply("250 ok\n", 250, "", "250 ok");
    expect_reply("550 5.1.1 <a@b> gone\r\n", 550, "5.1.1", "550 5.1.1 <a@b> gone");
    expect_reply("550-5.7.26 one\r\n550 5.7.26 two\r\n", 550, "5.7.26",
                 "550-5.7.26 one 5.7.26 two");
    expect_reply("450 5.1.1 a class of its own\r\n", 450, "", "450 5.1.1 a class of its own");
    expect_reply("550 5.1 x\r\n", 550, "", "550 5.1 x");
    expect_reply("550 5.1234.1 x\r\n", 550, "", "550 5.1234.1 x");
    expect_reply("550 5.1.1x\r\n", 550, "", "550 5.1.1x");
    expect_reply("550 h\xc3\xa9\x07\r\n", 550, "", "550 h???");
}

static void no_replies(void)
{
    static const char *const bad[] = {"HTTP/1.1 400\r\n", "25 ok\r\n", "650 x\r\n", "150 x\r\n",
                                      "250x\r\n", "\r\n", "250-a\r\n550 b\r\n", "2e0 x\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct smtp_reply r = {0};
        CU_ASSERT(feed(&r, bad[i], 1) == SMTP_REPLY_BAD);
    }
    AUTO_BUF endless = {0};
    struct smtp_reply r = {0};
    for (int i = 0; i < 1000; i++)
        buf_str(&endless, STR("250-more\r\n"));
    CU_ASSERT(feed(&r, buf_z(&endless), 1000) == SMTP_REPLY_BAD);
    r = (struct smtp_reply){0};
    buf_clear(&endless);
    for (int i = 0; i < SMTP_REPLY_LINE_MAX + 10; i++)
        buf_byte(&endless, '2');
    CU_ASSERT(feed(&r, buf_z(&endless), 1000) == SMTP_REPLY_BAD);
}

static void offers(void)
{
    struct smtp_reply r = {0};
    CU_ASSERT(feed(&r, "250-mx.example hi\r\n250-pipelining\r\n250-SIZE 1000\r\n250-STARTTLSX\r\n"
                       "250 8BITMIME\r\n", 7) == SMTP_REPLY_DONE);
    UNIT_STR(str_from(r.first), "mx.example");
    CU_ASSERT(r.offers == (SMTP_OFFERS_PIPELINING | SMTP_OFFERS_SIZE | SMTP_OFFERS_8BITMIME));
    CU_ASSERT(r.size == 1000);
    r = (struct smtp_reply){0};
    CU_ASSERT(feed(&r, "250-mx\r\n250-DSN\r\n250-AUTH\r\n250 chunking\r\n", 7) == SMTP_REPLY_DONE);
    CU_ASSERT(r.offers == (SMTP_OFFERS_DSN | SMTP_OFFERS_CHUNKING));
    r = (struct smtp_reply){0};
    CU_ASSERT(feed(&r, "250-mx\r\n250 AUTH PLAIN XOAUTH2\r\n", 7) == SMTP_REPLY_DONE);
    CU_ASSERT(r.offers == SMTP_OFFERS_AUTH_PLAIN);
    /* The name of the server offers nothing. */
    r = (struct smtp_reply){0};
    CU_ASSERT(feed(&r, "250-STARTTLS\r\n250 HELP\r\n", 1) == SMTP_REPLY_DONE);
    CU_ASSERT(r.offers == 0);
}

/* --- destinations --- */

static void expect_route(const char *text, const char *want)
{
    struct nexthop n;
    struct err e = {0};
    char got[300] = "bad";
    if (route_parse(str_from(text), 25, &n, &e) == 0)
        snprintf(got, sizeof got, "%.*s %u%s", STR_FMT(n.host), n.port, n.exchangers ? " mx" : "");
    UNIT_STR(str_from(got), want);
}

static void destinations(void)
{
    expect_route("example.org", "example.org 25 mx");
    expect_route("example.org:587", "example.org 587 mx");
    expect_route("[example.org]", "example.org 25");
    expect_route("[example.org]:587", "example.org 587");
    expect_route("[192.0.2.1]", "192.0.2.1 25");
    expect_route("[IPv6:2001:db8::1]", "2001:db8::1 25");
    expect_route("[2001:db8::1]:26", "2001:db8::1 26");
    static const char *const bad[] = {"", "[", "[]", "[a", "a:", "a:0", "a:65536", "a:x", "[a]x",
                                      "a b", "a\r\nb", ".a", "h\xc3\xa9", "2001:db8::1", "[a]:"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_route(bad[i], "bad");
}

static void expect_name_server(const char *text, const char *want)
{
    struct str host, port;
    char got[200];
    route_name_server(str_from(text), &host, &port);
    snprintf(got, sizeof got, "%.*s %.*s", STR_FMT(host), STR_FMT(port));
    UNIT_STR(str_from(got), want);
}

static void name_servers(void)
{
    expect_name_server("192.0.2.1", "192.0.2.1 ");
    expect_name_server("192.0.2.1:5353", "192.0.2.1 5353");
    expect_name_server("[2001:db8::1]:54", "2001:db8::1 54");
    expect_name_server("[2001:db8::1]", "2001:db8::1 ");
    expect_name_server("2001:db8::1", "2001:db8::1 ");
    expect_name_server("", " ");
}

/* The ports that a configuration gives reason to connect to: "any", "bad", or their numbers. */
static void expect_reach(const char *options, uint16_t relayhost_port, const char *want)
{
    AUTO_BUF text = {0}, got = {0};
    struct config *cfg;
    struct reach r;
    struct err e = {0};
    buf_printf(&text, "myhostname = mail.example.org\n%s", options);
    CU_ASSERT_EQUAL_FATAL(config_parse(buf_view(&text), "t", "/", &cfg, &e), 0);
    if (reach_from(cfg, &cfg->dns_servers, relayhost_port, &r, &e) != 0)
        buf_printf(&got, "bad");
    else if (r.any)
        buf_printf(&got, "any");
    for (size_t i = 0; got.n == 0 || (got.p[0] >= '0' && got.p[0] <= '9'); i++) {
        if (i == r.n)
            break;
        buf_printf(&got, "%s%u", i ? " " : "", (unsigned)r.v[i]);
    }
    UNIT_STR(buf_view(&got), want);
    config_free(cfg);
}

static void ports_in_reach(void)
{
    expect_reach("", 0, "25 53");
    expect_reach("smtp_tcp_port = 2525\ndns_servers = 192.0.2.1:5353 [2001:db8::1]:5353\n", 0, "2525 5353");
    expect_reach("dns_servers = 192.0.2.1:5353 2001:db8::1\nsmtp_mta_sts = testing\nsmtp_tls_CAfile = /x\n",
                 587, "25 587 443 5353 53");
    expect_reach("transport_maps = ldap:/x.cf\n", 587, "any");
    expect_reach("transport_maps = ldap:/x.cf\nsmtp_connect_ports = 25 2400\n", 0, "25 53 2400 24");
    expect_reach("smtp_connect_ports = 0\n", 0, "bad");
    expect_reach("smtp_connect_ports = 65536\n", 0, "bad");
    expect_reach("smtp_connect_ports = smtp\n", 0, "bad");
    expect_reach("dns_servers = 192.0.2.1:x\n", 0, "bad");
}

static void what_covers(void)
{
    struct reach few = {.v = {25, 53}, .n = 2}, more = {.v = {53, 587, 25}, .n = 3}, any = {.any = true};
    CU_ASSERT(reach_covers(&few, &few) && reach_covers(&more, &few) && reach_covers(&any, &more));
    CU_ASSERT(!reach_covers(&few, &more) && !reach_covers(&more, &any) && reach_covers(&any, &any));
    CU_ASSERT(reach_has(&few, 53) && !reach_has(&few, 587) && reach_has(&any, 1));
}

static void exchangers(void)
{
    struct exchanger v[] = {{STR("far"), 30, 1}, {STR("b"), 10, 9}, {STR("us"), 20, 5},
                            {STR("a"), 10, 2}, {STR("beside-us"), 20, 1}};
    route_sort(v, 5);
    UNIT_STR(v[0].name, "a");
    UNIT_STR(v[1].name, "b");
    UNIT_STR(v[4].name, "far");
    CU_ASSERT(route_without_us(v, 5, STR("US")) == 2);
    CU_ASSERT(route_without_us(v, 5, STR("other")) == 5);
    CU_ASSERT(route_without_us(v, 5, STR("a")) == 0);
    struct exchanger null = {STR(""), 0, 0};
    CU_ASSERT(route_is_null(&null, 1));
    CU_ASSERT(!route_is_null(v, 1));
}

static void names(void)
{
    char out[256];
    CU_ASSERT(route_name(STR("\2Mx\7Example\0"), out) == 0);
    UNIT_STR(str_from(out), "mx.example");
    CU_ASSERT(route_name((struct str){"", 1}, out) == 0);
    UNIT_STR(str_from(out), "");
    CU_ASSERT(route_name(STR("\2Mx\7Exam"), out) == -1);
    CU_ASSERT(route_name(STR("\3a.b\0"), out) == -1);
    CU_ASSERT(route_name(STR("\3a\nb\0"), out) == -1);
    CU_ASSERT(route_name(STR("\xc0\x0c"), out) == -1);
    CU_ASSERT(route_name((struct str){"", 0}, out) == -1);
}

/* --- the wire form --- */

static void expect_wire(struct str text, const char *want, uint64_t size, bool eight, bool head)
{
    struct source s;
    struct err e = {0};
    AUTO_BUF out = {0};
    AUTO_FD fd = memfd_create("test", MFD_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0 && fd_write_all(fd, text.p, text.n) == 0);
    CU_ASSERT(source_open(&s, fd, text.n, &e) == 0);
    CU_ASSERT(s.wire_size == size && s.eight_bit == eight && s.eight_bit_head == head);
    for (int again = 0; again < 2; again++) {
        int more;
        buf_clear(&out);
        while ((more = source_read(&s, &out, &e)) == 1)
            ;
        CU_ASSERT(more == 0);
        UNIT_STR(buf_view(&out), want);
        source_rewind(&s);
    }
    buf_clear(&out);
    s.bare = true;
    while (source_read(&s, &out, &e) == 1)
        ;
    CU_ASSERT(out.n == size);
    CU_ASSERT(source_open(&s, fd, text.n + 1, &e) == -1);
}

static void wire(void)
{
    expect_wire(STR("a: b\n\nc\n"), "a: b\r\n\r\nc\r\n.\r\n", 11, false, false);
    expect_wire(STR("a\n.\n..\n.x\n"), "a\r\n..\r\n...\r\n..x\r\n.\r\n", 14, false, false);
    expect_wire(STR(".\n"), "..\r\n.\r\n", 3, false, false);
    expect_wire(STR("a\n\nno end"), "a\r\n\r\nno end\r\n.\r\n", 13, false, false);
    expect_wire(STR("a\n\n\xe9\n"), "a\r\n\r\n\xe9\r\n.\r\n", 8, true, false);
    expect_wire(STR("\xc3\xa9\n\nb\n"), "\xc3\xa9\r\n\r\nb\r\n.\r\n", 9, true, true);
}

/* A dot that begins the next piece read from the file. */
static void wire_over_pieces(void)
{
    for (size_t fill = 32 * 1024 - 3; fill < 32 * 1024 + 3; fill++) {
        struct source s;
        struct err e = {0};
        AUTO_BUF in = {0};
        AUTO_BUF out = {0};
        AUTO_FD fd = memfd_create("test", MFD_CLOEXEC);
        for (size_t i = 0; i < fill; i++)
            buf_byte(&in, 'x');
        buf_str(&in, STR("\n.\n"));
        CU_ASSERT(fd_write_all(fd, in.p, in.n) == 0 && source_open(&s, fd, in.n, &e) == 0);
        while (source_read(&s, &out, &e) == 1)
            ;
        CU_ASSERT(s.wire_size == fill + 5);
        CU_ASSERT(str_ends(buf_view(&out), STR("x\r\n..\r\n.\r\n")) && out.n == fill + 9);
    }
}

/* --- TLS policies --- */

static void good_policy(const char *text, enum tls_level level, const char *match, int min, int max)
{
    struct tls_policy p;
    struct err e = {0};
    CU_ASSERT(tls_policy_parse(str_from(text), &p, &e) == 0);
    CU_ASSERT(p.level == level && p.min_version == min && p.max_version == max);
    UNIT_STR(p.match, match);
}

static void bad_policy(const char *text, const char *why)
{
    struct tls_policy p;
    struct err e = {0};
    CU_ASSERT(tls_policy_parse(str_from(text), &p, &e) == -1);
    CU_ASSERT(strstr(e.log, why) != NULL);
}

static void policies(void)
{
    good_policy("may", TLS_MAY, "", 0, 0);
    good_policy(" Secure match=.example.org:nexthop ciphers=high", TLS_SECURE,
                ".example.org:nexthop", 0, 0);
    good_policy("dane-only protocols=>=TLSv1.3", TLS_DANE_ONLY, "", TLS1_3_VERSION, 0);
    good_policy("encrypt protocols=!SSLv2:!SSLv3:!TLSv1", TLS_ENCRYPT, "", 0, 0);
    good_policy("encrypt protocols=TLSv1.2", TLS_ENCRYPT, "", 0, TLS1_2_VERSION);
    good_policy("encrypt protocols=!TLSv1.2", TLS_ENCRYPT, "", TLS1_3_VERSION, 0);
    good_policy("encrypt protocols=TLSv1.3,TLSv1.2", TLS_ENCRYPT, "", 0, 0);
    bad_policy("", "starts with a level");
    bad_policy("secret", "no TLS level");
    bad_policy("may match=x", "for verify and secure");
    bad_policy("secure match", "ATTRIBUTE=VALUE");
    bad_policy("secure fingerprint=aa", "not known");
    bad_policy("may protocols=TLSv9", "not known");
    bad_policy("may protocols=<=TLSv1.1", "nothing older");
    bad_policy("may protocols=!TLSv1.2:!TLSv1.3", "none is left");
}

static void policy_keys(void)
{
    struct str keys[TLS_POLICY_KEYS];
    CU_ASSERT(tls_policy_keys(STR("a.b.example"), keys) == 3);
    UNIT_STR(keys[0], "a.b.example");
    UNIT_STR(keys[1], ".b.example");
    UNIT_STR(keys[2], ".example");
    CU_ASSERT(tls_policy_keys(STR("[mx.example]:25"), keys) == 1);
    CU_ASSERT(tls_policy_keys(STR("a.b.c.d.e.f.g.h.i.j.k.l.m.n"), keys) == TLS_POLICY_KEYS);
}

static void tlsa_records(void)
{
    char data[70] = {3, 1, 1};
    struct tlsa t;
    CU_ASSERT(tlsa_read((struct str){data, 35}, &t) && t.data.n == 32 && t.usage == 3);
    CU_ASSERT(!tlsa_read((struct str){data, 34}, &t));
    CU_ASSERT(!tlsa_read((struct str){data, 2}, &t));
    data[2] = 2;
    CU_ASSERT(!tlsa_read((struct str){data, 35}, &t));
    CU_ASSERT(tlsa_read((struct str){data, 67}, &t));
    data[2] = 3;
    CU_ASSERT(!tlsa_read((struct str){data, 67}, &t));
    data[2] = 0;
    data[1] = 2;
    CU_ASSERT(!tlsa_read((struct str){data, 67}, &t));
    data[1] = 0;
    for (char usage = 0; usage < 5; usage++) {
        data[0] = usage;
        CU_ASSERT(tlsa_read((struct str){data, 60}, &t) == (usage == 2 || usage == 3));
    }
}

/* --- transports --- */

static void transports(void)
{
    static const struct {
        const char *text, *nexthop;
    } good[] = {{"smtp:[mx.example]:25", "[mx.example]:25"}, {"relay:", ""}, {":", ""},
                {":hub.example", "hub.example"}, {"smtp: hub.example", "hub.example"}};
    static const char *const bad[] = {"", "smtp", "uucp:x", "lmtp:unix:/x", "lmtp:", "lmtp:inet:",
                                      "hub.example"};
    struct transport t;
    struct err e = {0};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CU_ASSERT(transport_parse(str_from(good[i].text), &t, &e) == 0 && t.kind == TRANSPORT_SMTP);
        UNIT_STR(t.nexthop, good[i].nexthop);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT(transport_parse(str_from(bad[i]), &t, &e) == -1);
}

static void other_transports(void)
{
    static const struct {
        const char *text;
        enum transport_kind kind;
        const char *nexthop, *status, *said;
    } good[] = {
        {"lmtp:inet:hub.example:2424", TRANSPORT_LMTP, "hub.example:2424", "", ""},
        {"lmtp:[::1]:2424", TRANSPORT_LMTP, "[::1]:2424", "", ""},
        {"error:4.1.6 moved away", TRANSPORT_ERROR, "", "5.1.6", "moved away"},
        {"error:no mail", TRANSPORT_ERROR, "", "5.0.0", "no mail"},
        {"retry:5.2.1 not now", TRANSPORT_RETRY, "", "4.2.1", "not now"},
        {"retry:", TRANSPORT_RETRY, "", "4.0.0", "mail for this destination is put off"},
        {"discard:silently", TRANSPORT_DISCARD, "", "2.0.0", "silently"},
        {"virtual:", TRANSPORT_LOCAL, "", "", ""},
        {"local:x", TRANSPORT_LOCAL, "", "", ""},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct transport t;
        struct err e = {0};
        CU_ASSERT(transport_parse(str_from(good[i].text), &t, &e) == 0);
        CU_ASSERT(t.kind == good[i].kind);
        UNIT_STR(t.nexthop, good[i].nexthop);
        UNIT_STR(str_from(t.status), good[i].status);
        UNIT_STR(t.text, good[i].said);
    }
}

static void transport_key_list(void)
{
    AUTO_ARENA a = arena_new(512);
    struct str keys[TRANSPORT_KEYS];
    CU_ASSERT(transport_keys(a, STR("u+x@a.example"), STR("a.example"), STR("+"), keys) == 5);
    UNIT_STR(keys[0], "u+x@a.example");
    UNIT_STR(keys[1], "u@a.example");
    UNIT_STR(keys[2], "a.example");
    UNIT_STR(keys[3], ".example");
    UNIT_STR(keys[4], "*");
    CU_ASSERT(transport_keys(a, STR("u+x@a.example"), STR("a.example"), STR(""), keys) == 4);
    CU_ASSERT(transport_keys(a, STR("u+x@a"), STR("a.b.c.d.e.f.g.h.i.j.k.l.m.n"), STR("+"), keys) ==
              TRANSPORT_KEYS);
    UNIT_STR(keys[TRANSPORT_KEYS - 1], "*");
}

/* --- MTA-STS --- */

static bool record(struct str rdata, const char *want)
{
    AUTO_BUF room = {0};
    struct str id;
    if (!sts_record_read(rdata, &room, &id))
        return false;
    UNIT_STR(id, want);
    return true;
}

static void sts_records(void)
{
    CU_ASSERT(record(STR("\x0ev=STSv1; id=1;"), "1"));
    CU_ASSERT(record(STR("\x09v=STSv1; \x08id=20aB;"), "20aB"));
    CU_ASSERT(record(STR("\x13v=STSv1; x=y; id=22"), "22"));
    CU_ASSERT(!record(STR("\x0fv=STSv1; id=1;"), ""));
    CU_ASSERT(!record(STR("\x0ev=STSv2; id=1;"), ""));
    CU_ASSERT(!record(STR("\x08v=STSv1;"), ""));
    CU_ASSERT(!record(STR("\x0ev=STSv1; id=-;"), ""));
    CU_ASSERT(!record((struct str){"", 0}, ""));
}

static void sts_policies(void)
{
    struct sts_policy p;
    struct err e = {0};
    CU_ASSERT(sts_policy_parse(STR("version: STSv1\r\nmode: enforce\nmx: mx.example\r\nx: y\n"
                                   "mx:*.Example.net\r\nmax_age: 99999999999\r\nmode: none"),
                               &p, &e) == 0);
    CU_ASSERT(p.mode == STS_ENFORCE && p.mx_n == 2 && p.max_age_s == 31557600);
    CU_ASSERT(sts_match(p.mx, p.mx_n, STR("MX.example")));
    CU_ASSERT(sts_match(p.mx, p.mx_n, STR("a.example.net")));
    CU_ASSERT(!sts_match(p.mx, p.mx_n, STR("a.b.example.net")));
    CU_ASSERT(!sts_match(p.mx, p.mx_n, STR("example.net")));
    CU_ASSERT(!sts_match(p.mx, p.mx_n, STR(".example.net")));
    CU_ASSERT(!sts_match(p.mx, p.mx_n, STR("a.mx.example")));
    CU_ASSERT(sts_policy_parse(STR("version: STSv1\nmode: none\nmax_age: 1\n"), &p, &e) == 0);
    CU_ASSERT(p.mode == STS_NONE && p.mx_n == 0);
    static const char *const bad[] = {
        "", "hello", "version: STSv1\nmode: enforce\nmax_age: 1\n",
        "version: STSv2\nmode: none\nmax_age: 1\n", "mode: none\nmax_age: 1\n",
        "version: STSv1\nmode: maybe\nmax_age: 1\n", "version: STSv1\nmode: none\nmax_age: -1\n",
        "version: STSv1\nmode: none\n", "version: STSv1\nmode: testing\nmx: a b\nmax_age: 1\n",
        "version: STSv1\nmode: testing\nmx: *.*.a\nmax_age: 1\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT(sts_policy_parse(str_from(bad[i]), &p, &e) == -1);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"replies", replies},
        {"what is no reply", no_replies},
        {"what EHLO offers", offers},
        {"destinations", destinations},
        {"name servers", name_servers},
        {"the ports in reach", ports_in_reach},
        {"which reach covers which", what_covers},
        {"the order of exchangers", exchangers},
        {"names in records", names},
        {"the wire form", wire},
        {"the wire form over pieces", wire_over_pieces},
        {"TLS policies", policies},
        {"keys of TLS policies", policy_keys},
        {"TLSA records", tlsa_records},
        {"transports", transports},
        {"other transports", other_transports},
        {"keys of transports", transport_key_list},
        {"MTA-STS records", sts_records},
        {"MTA-STS policies", sts_policies},
        {NULL, NULL},
    };
    return unit_main("relay", tests);
}
