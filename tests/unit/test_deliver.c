/* The lines that delivery writes before a message, and what a grant may say. */
#include "deliver/header.h"
#include "deliver/place.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static void trace_lines(void)
{
    struct err e = {0};
    AUTO_BUF b = BUF_MAX(4096);
    CU_ASSERT(deliver_header(&b, STR("a@x.example"), STR("info@y.example"), STR("b@y.example"),
                             STR(""), &e) == 0);
    UNIT_STR(buf_view(&b), "Return-Path: <a@x.example>\nX-Original-To: info@y.example\n"
                           "Delivered-To: b@y.example\n");
    buf_clear(&b);
    CU_ASSERT(deliver_header(&b, STR(""), STR("\"a b\"@y"), STR("h\xc3\xa9@y"),
                             STR("X: 1\nY: 2\n"), &e) == 0);
    UNIT_STR(buf_view(&b), "Return-Path: <>\nX-Original-To: \"a b\"@y\n"
                           "Delivered-To: h\xc3\xa9@y\nX: 1\nY: 2\n");
}

static void trace_lines_cannot_be_forged(void)
{
    static const struct {
        struct str sender, original, address, prefix;
    } bad[] = {
        {STR("a\nX: 1"), STR("o"), STR("d"), STR("")},
        {STR("a"), STR("o\r\nX: 1"), STR("d"), STR("")},
        {STR("a"), STR("o"), STR("d\rX: 1"), STR("")}, {STR("a\0b"), STR("o"), STR("d"), STR("")},
        {STR("a\x7f"), STR("o"), STR("d"), STR("")},
        {STR("a\xc2\x85z"), STR("o"), STR("d"), STR("")},
        {STR("a\xff"), STR("o"), STR("d"), STR("")},   {STR("a"), STR(""), STR("d"), STR("")},
        {STR("a"), STR("o"), STR(""), STR("")},
        {STR("a"), STR("o"), STR("d"), STR("X: 1")},
        {STR("a"), STR("o"), STR("d"), STR("X: 1\n\nbody\n")},
        {STR("a"), STR("o"), STR("d"), STR("X: \x01\n")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err e = {0};
        AUTO_BUF b = BUF_MAX(4096);
        buf_str(&b, STR("before"));
        CU_ASSERT(deliver_header(&b, bad[i].sender, bad[i].original, bad[i].address, bad[i].prefix,
                                 &e) == -1);
        CU_ASSERT(e.kind == ERR_PERMANENT);
        UNIT_STR(buf_view(&b), "before");
    }
    char big[5000];
    struct err e = {0};
    AUTO_BUF b = BUF_MAX(4096);
    memset(big, 'a', sizeof big);
    CU_ASSERT(deliver_header(&b, (struct str){big, sizeof big}, STR("o"), STR("d"), STR(""),
                             &e) == -1);
    CU_ASSERT(b.n == 0);
}

static void places(void)
{
    struct config *cfg;
    struct err e = {0};
    struct deliver_place p;
    struct str text = STR("virtual_mailbox_base = /var/vmail\nvirtual_minimum_uid = 1000\n");
    CU_ASSERT_FATAL(config_parse(text, "test", "/", &cfg, &e) == 0);
    struct msg_redeem_reply good = {.uid = 1000, .gid = 1001, .home = STR("/var/vmail/x/anna"),
                                    .maildir = STR("/var/vmail/x/anna/mailbox/"), .limit = 7};
    CU_ASSERT(deliver_place_check(cfg, &good, &p, &e) == 0);
    UNIT_STR(p.name, "mailbox");
    CU_ASSERT(p.uid == 1000 && p.gid == 1001 && p.limit == 7);
    static const struct {
        uint32_t uid, gid;
        struct str home, maildir;
    } bad[] = {
        {0, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/mailbox")},
        {1000, 0, STR("/var/vmail/a"), STR("/var/vmail/a/mailbox")},
        {999, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/mailbox")},
        {1000, 999, STR("/var/vmail/a"), STR("/var/vmail/a/mailbox")},
        {UINT32_MAX, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/mailbox")},
        {1000, UINT32_MAX, STR("/var/vmail/a"), STR("/var/vmail/a/mailbox")},
        {1000, 1000, STR("/var/vmail"), STR("/var/vmail/mailbox")},
        {1000, 1000, STR("/var/vmailx/a"), STR("/var/vmailx/a/mailbox")},
        {1000, 1000, STR("/var/vmail/../a"), STR("/var/vmail/../a/mailbox")},
        {1000, 1000, STR("/etc"), STR("/etc/mailbox")},
        {1000, 1000, STR("var/vmail/a"), STR("var/vmail/a/mailbox")},
        {1000, 1000, STR(""), STR("/mailbox")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/b/mailbox")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/ab")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/a")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/..")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/x/y")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/a//mailbox")},
        {1000, 1000, STR("/var/vmail/a"), STR("/var/vmail/a/m\0x")},
        {1000, 1000, STR("/var/vmail/a"), STR("")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct msg_redeem_reply r = {.uid = bad[i].uid, .gid = bad[i].gid, .home = bad[i].home,
                                     .maildir = bad[i].maildir};
        e = (struct err){0};
        int got = deliver_place_check(cfg, &r, &p, &e);
        if (got != -1 || e.kind != ERR_TEMPORARY)
            printf("# place %zu was let through\n", i);
        CU_ASSERT(got == -1 && e.kind == ERR_TEMPORARY && e.log[0]);
    }
    config_free(cfg);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"trace lines", trace_lines},
        {"trace lines cannot be forged", trace_lines_cannot_be_forged},
        {"places out of bounds are refused", places},
        {NULL, NULL},
    };
    return unit_main("deliver", tests);
}
