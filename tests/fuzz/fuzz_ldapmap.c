/*
 * Fuzzer of ldap_table files and of what goes into filters and DNs: whatever a value holds, libldap reads
 * it back as that value in that place, and as nothing beside it. The input is a file, a line "=== KEY",
 * and lines that stand for entries ("ATTRIBUTE VALUE").
 */
#include "ldapmap/ldapmap.h"

#include <assert.h>
#include <ldap.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_dn(struct str value)
{
    AUTO_BUF dn = {0};
    LDAPDN parsed = NULL;
    buf_str(&dn, STR("uid="));
    assert(ldapmap_escape_dn(&dn, value) == 0);
    buf_str(&dn, STR(",dc=x"));
    assert(strlen(buf_z(&dn)) == dn.n);
    assert(ldap_str2dn(dn.p, &parsed, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS);
    assert(parsed[0] && parsed[1] && !parsed[2] && parsed[0][0] && !parsed[0][1]);
    struct berval got = parsed[0][0]->la_value;
    assert(got.bv_len == value.n && memcmp(got.bv_val, value.p, value.n) == 0);
    ldap_dnfree(parsed);
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1000;
}

static void try_filter(struct str value)
{
    AUTO_BUF out = {0};
    assert(ldapmap_escape_filter(&out, value) == 0);
    size_t octets = 0;
    for (size_t i = 0; i < out.n; i++, octets++) {
        assert(!strchr("()*", out.p[i])); /* a NUL is found too */
        if (out.p[i] == '\\') {
            assert(i + 2 < out.n);
            assert((unsigned char)value.p[octets] == hex(out.p[i + 1]) * 16 + hex(out.p[i + 2]));
            i += 2;
        } else {
            assert(value.p[octets] == out.p[i]);
        }
    }
    assert(octets == value.n);
}

static void entries(struct ldapmap_query *q, struct str rest)
{
    struct str line;
    for (int i = 0; i < 20 && str_line(&rest, &line); i++) {
        ptrdiff_t blank = str_find(line, ' ');
        struct str value = str_skip(line, blank < 0 ? line.n : (size_t)blank + 1);
        const struct ldapmap_attr attr = {
            .name = str_head(line, blank < 0 ? line.n : (size_t)blank), .values = &value, .count = 1};
        const struct ldapmap_entry entry = {.dn = STR("uid=a,dc=x"), .attrs = &attr, .count = 1};
        ldapmap_query_entry(q, &entry);
    }
}

static void look_up(const struct ldapmap_table *table, struct str key, struct str answers)
{
    AUTO_ARENA a = arena_new(1024);
    const struct ldapmap_limits limits = {.searches = 50, .entries = 500, .bytes = 100000};
    struct ldapmap_query *q = ldapmap_query_new(a, &limits, &table, 1, key, NULL);
    struct ldapmap_search s;
    size_t searches = 0;
    while (ldapmap_query_next(q, &s)) {
        assert(++searches <= 52 && s.attrs[0] && s.filter);
        entries(q, answers);
        ldapmap_query_done(q, 0, (struct str){0});
    }
    const struct ldapmap_result *r = ldapmap_query_result(q, 0);
    assert(r->answer != LDAPMAP_YES || r->count > 0);
    (void)ldapmap_result_joined(a, r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = {(const char *)data, size}, rest = all, line, file = all, key = all;
    struct ldapmap_table *table = NULL;
    struct err e = {0};
    try_dn(all);
    try_filter(all);
    while (str_line(&rest, &line))
        if (str_starts(line, STR("=== "))) {
            file = str_head(all, (size_t)(line.p - all.p));
            key = str_skip(line, 4);
            break;
        }
    if (ldapmap_table_parse(file, STR("table.cf"), NULL, &table, &e) != 0) {
        assert(e.log[0]);
        return 0;
    }
    look_up(table, key, rest);
    ldapmap_table_free(table);
    return 0;
}
