/* Feeds the bytes to the SMTP line reader in pieces and every line to every parser of arguments. */
#include "protocol/sasl/sasl.h"
#include "protocol/smtp/command.h"
#include "protocol/smtp/reader.h"

#include <sodium.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void parse_paths(struct str args, unsigned offered)
{
    AUTO_ARENA a = arena_new(1024);
    struct smtp_mail mail;
    struct smtp_rcpt rcpt;
    struct err e = {0};
    if (smtp_parse_mail(a, args, offered, &mail, &e) == 0)
        check(mail.path.n == 0 || str_is_text(mail.path));
    else
        check(e.client[0] == '5');
    if (smtp_parse_rcpt(a, args, offered, offered & SMTP_EXT_SMTPUTF8, &rcpt, &e) == 0)
        check(rcpt.path.n > 0 && str_is_text(rcpt.path));
    else
        check(e.client[0] == '5');
}

static void parse(struct str line, unsigned offered)
{
    struct str verb, args, name;
    struct smtp_auth auth;
    uint64_t size;
    bool last;
    struct err e = {0};
    smtp_command_split(line, &verb, &args);
    parse_paths(args, offered);
    if (smtp_parse_hello(args, &name, &e) == 0)
        check(str_is_graph(name) && name.n <= MAIL_DOMAIN_MAX);
    smtp_parse_bdat(args, &size, &last, &e);
    smtp_has_status(line, '5');
    if (smtp_parse_auth(args, &auth, &e) == 0) {
        struct sasl s;
        if (sasl_start(&s, NULL, auth.mechanism, auth.initial.p ? &auth.initial : NULL) == SASL_DONE)
            check(s.user.n && s.password.n);
        sasl_free(&s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2 || sodium_init() < 0)
        return 0;
    struct smtp_reader r;
    size_t step = 1u + data[0] % 64u;
    struct str all = {(const char *)data + 2, n - 2};
    smtp_reader_init(&r, SMTP_LINE_MAX, SASL_LINE_MAX, data[1] & 16);
    while (all.n) {
        struct str in = str_head(all, step), line;
        size_t given = in.n;
        enum smtp_line event = smtp_reader_feed(&r, &in, &line);
        all = str_skip(all, given - in.n);
        check(r.line.n <= SASL_LINE_MAX);
        if (event == SMTP_LINE_BARE_CR || event == SMTP_LINE_BARE_LF)
            break;
        if (event == SMTP_LINE_DONE)
            parse(line, data[1] & 15u);
        if (event != SMTP_LINE_MORE)
            smtp_reader_next(&r);
    }
    smtp_reader_free(&r);
    return 0;
}
