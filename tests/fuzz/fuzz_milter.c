/*
 * Fuzzer of what milters send: packets, their answers worked into a header, and edits. Whatever they
 * say, the header stays a header: no line of it is empty, and nothing in it begins another field.
 */
#include "mail/header.h"
#include "protocol/milter/edits.h"
#include "protocol/milter/fields.h"
#include "protocol/milter/reply.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void apply(struct milter_fields *f, const struct milter_reply *r)
{
    struct err e = {0};
    char line[120];
    bool spaced = r->value.n & 1;
    if (r->says == MILTER_ADD_HEADER)
        milter_fields_add(f, r->text, r->value, spaced, &e);
    else if (r->says == MILTER_INSERT_HEADER)
        milter_fields_insert(f, r->index, r->text, r->value, spaced, &e);
    else if (r->says == MILTER_CHANGE_HEADER)
        milter_fields_change(f, r->index, r->text, r->value, spaced, &e);
    else if (r->says == MILTER_REPLY_CODE && milter_reply_line(r->text, line, sizeof line, &e) == 0)
        assert((line[0] == '4' || line[0] == '5') && !strpbrk(line, "\r\n") && strlen(line) < 120);
}

static void check(const struct milter_fields *f)
{
    AUTO_BUF out = {0};
    size_t fields = 0;
    struct mail_field field;
    milter_fields_print(f, &out);
    struct str all = buf_view(&out);
    assert(out.n <= MILTER_FIELDS_SIZE_MAX + 65536);
    assert(mail_header_size(all) == all.n && !mail_header_ends(all));
    struct mail_header_walk w = mail_header_walk(all);
    while (mail_header_next(&w, &field))
        fields++;
    assert(fields == f->n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_ARENA a = arena_new(1024);
    struct str in = {(const char *)data, size}, rest = in, octets;
    struct milter_fields f;
    struct milter_packet p;
    struct milter_reply r;
    struct milter_terms t;
    struct err e = {0};
    enum milter_edit tag;
    milter_fields_read(&f, a, STR("From: a\nTo: b\n\tc\nSubject: d\n\n"));
    while (milter_packet_take(&in, &p) == 1) {
        milter_terms_parse(&p, &t, &e);
        if (milter_reply_parse(&p, MILTER_MAY_ALL, &r, &e) == 0)
            apply(&f, &r);
    }
    check(&f);
    while (milter_edits_next(&rest, &tag, &octets) > 0)
        assert(octets.n <= size);
    milter_fields_free(&f);
    return 0;
}
