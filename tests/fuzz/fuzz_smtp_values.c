/*
 * Fuzzer of single values in SMTP: those of RFC 3461 with their xtext, the words of a refusal, addresses
 * in a header that are replaced in place, and whole SASL dialogues.
 */
#include "mail/spots.h"
#include "protocol/sasl/sasl.h"
#include "protocol/smtp/dsn.h"
#include "protocol/smtp/refusal.h"

#include <assert.h>
#include <sodium.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void dsn(struct str s)
{
    AUTO_BUF text = {0};
    AUTO_BUF again = {0};
    AUTO_BUF back = {0};
    unsigned notify = smtp_notify_parse(s);
    if (notify) {
        smtp_notify_print(notify, &text);
        assert(smtp_notify_parse(buf_view(&text)) == notify);
        buf_clear(&text);
    }
    (void)smtp_ret_parse(s);
    if (smtp_orcpt_is_sound(s))
        assert(s.n <= SMTP_ORCPT_MAX && str_is_text(s) && str_find(s, ';') > 0);
    if (smtp_envid_is_sound(s)) {
        assert(s.n <= SMTP_ENVID_MAX && str_is_graph(s));
        smtp_xtext_decode(s, &text);
        assert(str_is_text(buf_view(&text)));
    }
    /* What is encoded decodes to itself, whatever it is. */
    buf_clear(&text);
    smtp_xtext_encode(s, &again);
    assert(str_is_graph(buf_view(&again)));
    smtp_xtext_decode(buf_view(&again), &back);
    assert(str_eq(buf_view(&back), s));
}

static void refusal(struct str s)
{
    AUTO_BUF out = {0};
    smtp_refusal_print(&out, "550 5.7.1", STR("user@example.org"), "", "no", s);
    for (size_t i = 0; i < out.n; i++)
        assert(out.p[i] >= ' ' && out.p[i] <= '~');
    assert(str_starts(buf_view(&out), STR("550 5.")));
}

static void spots(struct str s)
{
    struct str rest = s, spot;
    const char *last = s.p;
    while (mail_spot_next(&rest, &spot)) {
        assert(spot.n > 0 && spot.p >= last && spot.p + spot.n <= s.p + s.n);
        assert(rest.p >= spot.p + spot.n);
        last = spot.p + spot.n;
    }
}

static void sasl(struct str s)
{
    struct str rest = s, line;
    struct sasl x;
    if (!str_line(&rest, &line))
        return;
    ptrdiff_t blank = str_find(line, ' ');
    struct str initial = str_skip(line, (size_t)blank + 1);
    enum sasl_event e = sasl_start(&x, NULL, str_head(line, blank < 0 ? line.n : (size_t)blank),
                                   blank < 0 ? NULL : &initial);
    while (e == SASL_CONTINUE) {
        assert(x.challenge);
        if (!str_line(&rest, &line))
            break;
        e = sasl_step(&x, line);
    }
    if (e == SASL_DONE) {
        assert(x.user.n > 0 && x.user.n <= SASL_USER_MAX && !memchr(x.user.p, 0, x.user.n));
        assert(x.password.n > 0 && x.password.n <= SASL_PASSWORD_MAX);
    }
    if (e == SASL_WRONG || e == SASL_REFUSED)
        assert(x.wrong);
    sasl_free(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = {(const char *)data, size};
    if (sodium_init() < 0)
        return 0;
    dsn(s);
    refusal(s);
    spots(s);
    sasl(s);
    return 0;
}
