/*
 * Fuzzer of what the relay reads: replies of other servers, in pieces too, and what the DNS and the maps
 * say about where mail goes and under which TLS.
 */
#include "protocol/smtp/reply.h"
#include "relay/policy.h"
#include "relay/route.h"
#include "relay/transport.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void say(const struct smtp_reply *r, struct buf *said)
{
    assert(r->code >= 200 && r->code <= 599);
    assert(r->lines <= SMTP_REPLY_LINES_MAX && memchr(r->text, 0, sizeof r->text));
    for (const char *p = r->text; *p; p++)
        assert(*p >= ' ' && *p <= '~');
    if (r->status[0])
        assert((unsigned)(r->status[0] - '0') == r->code / 100);
    buf_printf(said, "%u %s %s %s %x\n", r->code, r->status, r->first, r->text, r->offers);
}

/* All replies of a stream that comes step bytes at a time. */
static void replies(struct str all, size_t step, struct buf *said)
{
    struct smtp_reply r = {0};
    AUTO_BUF held = {0};
    while (all.n) {
        buf_str(&held, str_head(all, step));
        all = str_skip(all, step);
        struct str in = buf_view(&held);
        bool more = true;
        while (more) {
            more = str_find(in, '\n') >= 0;
            enum smtp_reply_event e = smtp_reply_take(&r, &in);
            if (e == SMTP_REPLY_DONE) {
                say(&r, said);
                r = (struct smtp_reply){0};
            } else if (e == SMTP_REPLY_BAD) {
                buf_str(said, STR("bad"));
                return;
            }
        }
        buf_consume(&held, held.n - in.n);
    }
}

static void words(struct str s)
{
    struct nexthop hop;
    struct tls_policy policy;
    struct transport transport;
    struct tlsa tlsa;
    struct str keys[TLS_POLICY_KEYS > TRANSPORT_KEYS ? TLS_POLICY_KEYS : TRANSPORT_KEYS];
    AUTO_ARENA a = arena_new(1024);
    ptrdiff_t at = str_find(s, '@');
    struct err e = {0};
    char name[256];
    if (route_parse(s, 25, &hop, &e) == 0)
        assert(hop.host.n > 0 && hop.host.n <= s.n && hop.port > 0);
    (void)tls_policy_parse(s, &policy, &e);
    (void)transport_parse(s, &transport, &e);
    assert(tls_policy_keys(s, keys) <= TLS_POLICY_KEYS);
    assert(transport_keys(a, s, str_skip(s, (size_t)(at + 1)), STR("+-"), keys) <= TRANSPORT_KEYS);
    if (tlsa_read(s, &tlsa))
        assert(tlsa.data.n <= s.n);
    if (route_name(s, name) == 0)
        assert(memchr(name, 0, sizeof name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct str all = {(const char *)data + 1, size - 1}, rest = all, line;
    AUTO_BUF whole = {0};
    AUTO_BUF pieces = {0};
    replies(all, all.n ? all.n : 1, &whole);
    replies(all, 1 + data[0] % 40u, &pieces);
    assert(str_eq(buf_view(&whole), buf_view(&pieces)));
    words(all);
    for (int i = 0; i < 50 && str_line(&rest, &line); i++)
        words(line);
    return 0;
}
