/* protocol/milter/: packets, answers, headers that change, edits; and the places of milters. */
#include "config/endpoint.h"
#include "protocol/milter/edits.h"
#include "protocol/milter/fields.h"
#include "protocol/milter/packet.h"
#include "protocol/milter/reply.h"
#include "tests/unit/unit.h"

#include <string.h>

#define BYTES(lit) ((struct str){(lit), sizeof(lit) - 1})

static void packets_come_whole(void)
{
    struct str all = BYTES("\0\0\0\5yabc\0\0\0\0\1c"), in;
    struct milter_packet p;
    for (size_t n = 0; n < 9; n++) {
        in = str_head(all, n);
        CU_ASSERT(milter_packet_take(&in, &p) == 0);
        CU_ASSERT(in.n == n);
    }
    in = all;
    CU_ASSERT(milter_packet_take(&in, &p) == 1);
    CU_ASSERT(p.code == 'y' && p.data.n == 4);
    CU_ASSERT(milter_packet_take(&in, &p) == 1);
    CU_ASSERT(p.code == 'c' && p.data.n == 0 && in.n == 0);
    in = BYTES("\0\0\0\0");
    CU_ASSERT(milter_packet_take(&in, &p) == -1);
    in = BYTES("\0\x10\0\1");
    CU_ASSERT(milter_packet_take(&in, &p) == -1);
}

static void commands_are_written(void)
{
    AUTO_BUF b = {0};
    struct milter_macros m;
    milter_put_negotiate(&b, 0x1ff, 0x1ff7ff);
    CU_ASSERT(str_eq(buf_view(&b), BYTES("\0\0\0\15O\0\0\0\6\0\0\1\xff\0\x1f\xf7\xff")));
    buf_clear(&b);
    milter_put_connect(&b, STR("[192.0.2.1]"), true, 25, STR("192.0.2.1"));
    CU_ASSERT(str_eq(buf_view(&b), BYTES("\0\0\0\32C[192.0.2.1]\0"
                                         "4\0\31"
                                         "192.0.2.1\0")));
    buf_clear(&b);
    milter_macros_begin(&m, MILTER_MAIL);
    milter_macros_add(&m, "i", STR("x"));
    milter_macros_add(&m, "empty", STR(""));
    milter_macros_put(&m, &b);
    CU_ASSERT(str_eq(buf_view(&b), BYTES("\0\0\0\6DMi\0x\0")));
}

static int parse(struct str data, char code, uint32_t actions, struct milter_reply *r)
{
    struct milter_packet p = {code, data};
    struct err e = {0};
    return milter_reply_parse(&p, actions, r, &e);
}

static void answers_are_read(void)
{
    struct milter_reply r;
    CU_ASSERT(parse(BYTES("\0\0\0\2Subject\0new\0"), 'm', MILTER_MAY_ALL, &r) == 0);
    CU_ASSERT(r.index == 2);
    UNIT_STR(r.text, "Subject");
    UNIT_STR(r.value, "new");
    CU_ASSERT(parse(BYTES("<a@b>\0NOTIFY=NEVER\0"), '2', MILTER_MAY_ALL, &r) == 0);
    UNIT_STR(milter_address(r.text), "a@b");
    CU_ASSERT(parse(BYTES("a@b\0"), '+', MILTER_MAY_ADD_RCPT, &r) == 0);
    CU_ASSERT(parse(BYTES("a@b\0"), '+', MILTER_MAY_ADD_HEADERS, &r) == -1);
    CU_ASSERT(parse(BYTES("a@b"), '+', MILTER_MAY_ALL, &r) == -1);
    CU_ASSERT(parse(BYTES("\0\0\0\2Subject\0new"), 'm', MILTER_MAY_ALL, &r) == -1);
    CU_ASSERT(parse(BYTES("\0\0"), 'i', MILTER_MAY_ALL, &r) == -1);
    CU_ASSERT(parse(BYTES(""), 'z', MILTER_MAY_ALL, &r) == -1);
}

static void terms_are_part_of_what_was_offered(void)
{
    struct milter_terms t;
    struct err e = {0};
    struct milter_packet p = {'O', BYTES("\0\0\0\6\0\0\0\x1f\0\x10\4\x80more")};
    CU_ASSERT(milter_terms_parse(&p, &t, &e) == 0);
    CU_ASSERT(t.version == 6 && t.actions == 0x1f && t.protocol == 0x100480);
    p.data = BYTES("\0\0\0\7\0\0\0\0\0\0\0\0");
    CU_ASSERT(milter_terms_parse(&p, &t, &e) == -1);
    p.data = BYTES("\0\0\0\6\0\0\2\0\0\0\0\0");
    CU_ASSERT(milter_terms_parse(&p, &t, &e) == -1);
    p = (struct milter_packet){'c', BYTES("")};
    CU_ASSERT(milter_terms_parse(&p, &t, &e) == -1);
}

static void reply(struct str said, const char *want)
{
    char line[100];
    struct err e = {0};
    int r = milter_reply_line(said, line, sizeof line, &e);
    CU_ASSERT((r == 0) == (want != NULL));
    if (want && r == 0)
        UNIT_STR(str_from(line), want);
}

static void reply_lines_are_made_fit(void)
{
    reply(STR("550 5.7.1 no"), "550 5.7.1 no");
    reply(STR("451 later"), "451 4.7.1 later");
    reply(STR("550 4.7.1 odd"), "550 5.7.1 4.7.1 odd");
    reply(STR("554-5.7.1 100%%\r\n554 5.7.1 more"), "554 5.7.1 100%");
    reply(STR("550 bell\a \xc3\xa9"), "550 5.7.1 bell? ??");
    reply(STR("550"), "550 5.7.1 Message refused");
    reply(STR("250 2.0.0 ok"), NULL);
    reply(STR("55 5.7.1 x"), NULL);
    reply(STR("5501 x"), NULL);
    reply(STR(""), NULL);
}

static void print_is(struct milter_fields *f, const char *want)
{
    AUTO_BUF b = {0};
    milter_fields_print(f, &b);
    UNIT_STR(buf_view(&b), want);
}

static void headers_change(void)
{
    AUTO_ARENA a = arena_new(256);
    struct milter_fields f;
    struct err e = {0};
    milter_fields_read(&f, a, STR("A: 1\nB:2\n\tmore\nA: 3\nodd line\n\n"));
    CU_ASSERT(f.n == 4 && !f.changed);
    print_is(&f, "A: 1\nB:2\n\tmore\nA: 3\nodd line\n");
    CU_ASSERT(milter_fields_change(&f, 2, STR("A"), STR("four"), false, &e) == 0);
    CU_ASSERT(milter_fields_change(&f, 1, STR("B"), STR(""), false, &e) == 0);
    CU_ASSERT(milter_fields_insert(&f, 0, STR("First"), STR("x"), true, &e) == 0);
    CU_ASSERT(milter_fields_insert(&f, 2, STR("Third"), STR("y"), false, &e) == 0);
    CU_ASSERT(milter_fields_change(&f, 1, STR("New"), STR("z"), false, &e) == 0);
    CU_ASSERT(milter_fields_change(&f, 9, STR("A"), STR(""), false, &e) == 0);
    CU_ASSERT(f.changed);
    print_is(&f, "First:x\nA: 1\nThird: y\nA: four\nodd line\nNew: z\n");
    CU_ASSERT(milter_fields_add(&f, STR("E"), STR("1\r\n\r\n2\n 3\r4\n"), false, &e) == 0);
    CU_ASSERT(str_eq(f.v[f.n - 1].value, STR(" 1\n\t2\n 3\n\t4")));
    CU_ASSERT(milter_fields_add(&f, STR("E F"), STR("1"), false, &e) == -1);
    CU_ASSERT(milter_fields_add(&f, STR("E:"), STR("1"), false, &e) == -1);
    CU_ASSERT(milter_fields_add(&f, STR(""), STR("1"), false, &e) == -1);
    milter_fields_free(&f);
}

static void headers_are_bounded(void)
{
    AUTO_ARENA a = arena_new(256);
    AUTO_BUF large = {0};
    struct milter_fields f;
    struct err e = {0};
    memset(buf_room(&large, 700000), 'x', 700000);
    large.n = 700000;
    milter_fields_read(&f, a, STR("A: 1\n\n"));
    CU_ASSERT(milter_fields_add(&f, STR("L"), buf_view(&large), false, &e) == 0);
    CU_ASSERT(milter_fields_add(&f, STR("L"), buf_view(&large), false, &e) == 0);
    CU_ASSERT(milter_fields_add(&f, STR("L"), buf_view(&large), false, &e) == -1);
    milter_fields_free(&f);
}

static void edits_travel(void)
{
    AUTO_BUF b = {0};
    struct str rest, octets;
    enum milter_edit tag;
    milter_edits_add(&b, MILTER_EDIT_BODY, STR("a\0b"));
    milter_edits_add(&b, MILTER_EDIT_SENDER, STR(""));
    rest = buf_view(&b);
    CU_ASSERT(milter_edits_next(&rest, &tag, &octets) == 1);
    CU_ASSERT(tag == MILTER_EDIT_BODY && octets.n == 3);
    CU_ASSERT(milter_edits_next(&rest, &tag, &octets) == 1);
    CU_ASSERT(tag == MILTER_EDIT_SENDER && octets.n == 0);
    CU_ASSERT(milter_edits_next(&rest, &tag, &octets) == 0);
    for (size_t n = 1; n < 8; n++) {
        rest = str_head(buf_view(&b), n);
        CU_ASSERT(milter_edits_next(&rest, &tag, &octets) == -1);
    }
    rest = BYTES("Z\0\0\0\0");
    CU_ASSERT(milter_edits_next(&rest, &tag, &octets) == -1);
    rest = BYTES("+\2\0\0\0a\n");
    CU_ASSERT(milter_edits_next(&rest, &tag, &octets) == -1);
}

static bool is_place(const char *text, int family)
{
    struct config_endpoint at;
    struct err e = {0};
    return config_endpoint_parse(str_from(text), &at, &e) == 0 && at.sa.ss_family == family;
}

static void places(void)
{
    CU_ASSERT(is_place("inet:127.0.0.1:8891", AF_INET));
    CU_ASSERT(is_place("inet:localhost:8891", AF_INET));
    CU_ASSERT(is_place("inet:8891@localhost", AF_INET));
    CU_ASSERT(is_place("inet:[::1]:8891", AF_INET6));
    CU_ASSERT(is_place("unix:/run/x", AF_UNIX));
    CU_ASSERT(is_place("local:/run/x", AF_UNIX));
    CU_ASSERT(!is_place("inet:mail.example.org:8891", AF_INET));
    CU_ASSERT(!is_place("inet:127.0.0.1:0", AF_INET));
    CU_ASSERT(!is_place("inet:127.0.0.1:65536", AF_INET));
    CU_ASSERT(!is_place("inet:127.0.0.1", AF_INET));
    CU_ASSERT(!is_place("unix:run/x", AF_UNIX));
    CU_ASSERT(!is_place("tcp:127.0.0.1:1", AF_INET));
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"packets come whole", packets_come_whole},
        {"commands are written", commands_are_written},
        {"answers are read", answers_are_read},
        {"terms are part of what was offered", terms_are_part_of_what_was_offered},
        {"reply lines are made fit", reply_lines_are_made_fit},
        {"headers change", headers_change},
        {"headers are bounded", headers_are_bounded},
        {"edits travel", edits_travel},
        {"places of milters", places},
        {NULL, NULL},
    };
    return unit_main("milter", tests);
}
