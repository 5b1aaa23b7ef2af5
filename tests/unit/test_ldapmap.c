/* LDAP tables without a directory: files, templates, escaping, and the query engine fed by hand. */
#include "ldapmap/ldapmap.h"

#include "base/log.h"
#include "unit.h"

#include <sodium.h>
#include <stdio.h>

#define BASE "search_base = ou=mail,dc=x\n"

static struct ldapmap_table *table_of(const char *text)
{
    struct ldapmap_table *t = NULL;
    struct err e = {0};
    int rc = ldapmap_table_parse(str_from(text), STR("t.cf"), NULL, &t, &e);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    return t;
}

/* --- entries written as text: "dn|attr=value|attr=value", attributes of one name side by side ---
 */

#define ATTRS 8
#define VALUES 8

struct written {
    struct ldapmap_entry entry;
    struct ldapmap_attr attrs[ATTRS];
    struct str values[ATTRS][VALUES];
};

static void write_entry(struct written *w, const char *text)
{
    struct str rest = str_from(text), piece;
    *w = (struct written){0};
    str_token(&rest, "|", &w->entry.dn);
    w->entry.attrs = w->attrs;
    while (str_token(&rest, "|", &piece)) {
        ptrdiff_t eq = str_find(piece, '=');
        struct str name = str_head(piece, (size_t)eq);
        size_t i = w->entry.count;
        if (i == 0 || !str_eq(w->attrs[i - 1].name, name)) {
            w->attrs[i] = (struct ldapmap_attr){name, w->values[i], 0};
            w->entry.count++;
        } else {
            i--;
        }
        w->values[i][w->attrs[i].count++] = str_skip(piece, (size_t)eq + 1);
    }
}

/* A search that must be asked for, and the answer it gets. */
struct script {
    const char *base, *filter, *attrs; /* NULL: any */
    int code;
    const char *entries[6];
};

static void check_search(const struct ldapmap_search *s, const struct script *step)
{
    char attrs[256] = "";
    for (size_t i = 0; s->attrs[i] != NULL; i++)
        snprintf(attrs + strlen(attrs), sizeof(attrs) - strlen(attrs), "%s%s", i ? " " : "",
                 s->attrs[i]);
    if (step->base != NULL)
        UNIT_STR(str_from(s->base), step->base);
    if (step->filter != NULL)
        UNIT_STR(str_from(s->filter), step->filter);
    if (step->attrs != NULL)
        UNIT_STR(str_from(attrs), step->attrs);
}

/* Plays the directory; the script ends with a step of no entries and code -1000. */
static void play(struct ldapmap_query *q, const struct script *steps)
{
    struct ldapmap_search s;
    struct written w;
    for (; steps->code != -1000; steps++) {
        CU_ASSERT_FATAL(ldapmap_query_next(q, &s));
        check_search(&s, steps);
        for (size_t i = 0; i < 6 && steps->entries[i] != NULL; i++) {
            write_entry(&w, steps->entries[i]);
            ldapmap_query_entry(q, &w.entry);
            memset(&w, 'x', sizeof(w)); /* the engine keeps its own copies */
        }
        ldapmap_query_done(q, steps->code, STR("said the server"));
    }
    CU_ASSERT_FALSE(ldapmap_query_next(q, &s));
}

#define END                                                                                        \
    {                                                                                              \
        .code = -1000                                                                              \
    }

/* One table, one key: the answer as text; "!" and the error where it cannot say, "-" for no. */
static void expect(const char *text, const char *key, const struct script *steps, const char *want)
{
    struct ldapmap_table *t = table_of(text);
    const struct ldapmap_table *one = t;
    AUTO_ARENA a = arena_new(1024);
    struct ldapmap_query *q = ldapmap_query_new(a, NULL, &one, 1, str_from(key), NULL);
    play(q, steps);
    const struct ldapmap_result *r = ldapmap_query_result(q, 0);
    if (want[0] == '!') {
        CU_ASSERT_EQUAL(r->answer, LDAPMAP_CANNOT_SAY);
        CU_ASSERT_EQUAL(r->err.kind, ERR_TEMPORARY);
        CU_ASSERT_EQUAL(r->count, 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(r->err.log, want + 1));
        CU_ASSERT_PTR_NOT_NULL(strstr(r->err.log, "t.cf"));
    } else if (want[0] == '-' && want[1] == '\0') {
        CU_ASSERT_EQUAL(r->answer, LDAPMAP_NO);
    } else {
        CU_ASSERT_EQUAL(r->answer, LDAPMAP_YES);
        UNIT_STR(ldapmap_result_joined(a, r), want);
    }
    ldapmap_table_free(t);
}

static void expect_nothing_asked(const char *text, const char *key)
{
    static const struct script none[] = {END};
    expect(text, key, none, "-");
}

/* --- files --- */

static void files_are_read_as_postfix_does(void)
{
    struct ldapmap_table *t = table_of("# a comment\n\n"
                                       "server_host = one two:1389\r\n"
                                       "  ldaps://three/\n"
                                       "  # a comment inside\n"
                                       "\tldapi://%2Ftmp%2Fx\n"
                                       "server_port=777\n"
                                       "search_base   =  dc=x, dc=y  \n"
                                       "bind_dn = cn=r = s\n"
                                       "bind_pw = p#w $x\n"
                                       "start_tls = YES\ntimeout = 3\nscope = One\nbind = simple\n"
                                       "dereference = 2\nchase_referrals = no\n"
                                       "tls_ca_cert_file = /ca\ncache = no\n"
                                       "version = 2\nversion = 3");
    const struct ldapmap_conn_settings *c = ldapmap_table_conn(t);
    CU_ASSERT_EQUAL_FATAL(c->server_count, 4);
    UNIT_STR(c->servers[0], "ldap://one:777");
    UNIT_STR(c->servers[1], "ldap://two:1389");
    UNIT_STR(c->servers[2], "ldaps://three/");
    UNIT_STR(c->servers[3], "ldapi://%2Ftmp%2Fx");
    UNIT_STR(c->search_base, "dc=x, dc=y");
    UNIT_STR(c->bind_dn, "cn=r = s");
    UNIT_STR(((struct str){c->bind_pw.p, c->bind_pw.n}), "p#w $x");
    UNIT_STR(c->tls_ca_cert_file, "/ca");
    CU_ASSERT_TRUE(c->start_tls);
    CU_ASSERT_FALSE(c->chase_referrals);
    CU_ASSERT_EQUAL(c->timeout, 3);
    CU_ASSERT_EQUAL(c->version, 3);
    CU_ASSERT_EQUAL(c->scope, LDAPMAP_SCOPE_ONE);
    CU_ASSERT_EQUAL(c->dereference, 2);
    ldapmap_table_free(t);
}

static void refused(const char *text, const char *want)
{
    struct ldapmap_table *t = NULL;
    struct err e = {0};
    CU_ASSERT_EQUAL(ldapmap_table_parse(str_from(text), STR("t.cf"), NULL, &t, &e), -1);
    CU_ASSERT_PTR_NULL(t);
    CU_ASSERT_EQUAL(e.kind, ERR_PERMANENT);
    if (strstr(e.log, want) == NULL)
        printf("# \"%s\" does not hold \"%s\"\n", e.log, want);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.log, want));
    CU_ASSERT_PTR_NOT_NULL(strstr(e.log, "t.cf"));
}

static void bad_files_name_the_line(void)
{
    refused(BASE "\nquery_fliter = a\n", "line 3: unknown name \"query_fliter\" (did you mean "
                                         "query_filter?)");
    refused(BASE "tls_ca_cert_fil = a", "did you mean tls_ca_cert_file?");
    refused(" x = y\n", "line 1: a continued line");
    refused(BASE "query_filter\n", "line 2");
    refused("= x\n", "line 1");
    refused("query_filter = (a=%s)\n", "search_base");
    refused(BASE "query_filter =\n", "line 2: query_filter: a filter is needed");
    refused(BASE "query_filter = (a=%s\n", "line 2: query_filter: a \")\" is missing");
    refused(BASE "query_filter = a=%s)\n", "too many");
    refused(BASE "query_filter = (a=%z)\n", "line 2: query_filter: \"%z\"");
    refused(BASE "query_filter = (a=%0)\n", "%0");
    refused(BASE "result_format = 5%\n", "line 2: result_format");
    refused("search_base = %q\n", "line 1: search_base");
    refused(BASE "result_filter =\n", "result_filter");
    refused(BASE "size_limit = -1\n", "line 2: size_limit");
    refused(BASE "recursion_limit = 0\n", "recursion_limit");
    refused(BASE "expansion_limit = 99999999999\n", "expansion_limit");
    refused(BASE "timeout = 0\n", "timeout");
    refused(BASE "timeout =\n", "timeout");
    refused(BASE "version = 4\n", "version");
    refused(BASE "dereference = 4\n", "dereference");
    refused(BASE "start_tls = maybe\n", "start_tls");
    refused(BASE "scope = tree\n", "scope");
    refused(BASE "bind = sasl\nsasl_mechs = PLAIN\n", "EXTERNAL");
    refused(BASE "bind = sesame\n", "sasl");
    refused(BASE "server_host =\n", "server_host");
    refused(BASE "server_host = ldap://[\n", "server_host");
    refused(BASE "server_host = a b c d e f g h i j k l m n o p q\n", "more than 16");
    refused(BASE "server_port = 65536\n", "server_port");
    refused(BASE "domain = a, hash:/etc/x\n", "line 2: domain: \"hash:/etc/x\"");
    refused(BASE "domain = /etc/x\n", "/etc/x");
    refused(BASE "result_attribute = a(b\n", "result_attribute");
    struct ldapmap_table *t = NULL;
    struct err e = {0};
    CU_ASSERT_EQUAL(ldapmap_table_parse(STR("a\0b"), STR("t.cf"), NULL, &t, &e), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.log, "NUL"));
}

/* Any bytes: an error or a table, never a crash, and every prefix of a good file too. */
static void any_bytes_are_survived(void)
{
    static const char good[] = BASE "query_filter = (|(a=%u)(b=%1))\n server_x\n# c\n"
                                    "domain = !a static:x\nbind_pw = x\nsize_limit = 7\n";
    static const char alphabet[] = "=\n# \tab%\\!,:/()\0server_host";
    for (size_t n = 0; n < sizeof(good); n++) {
        struct ldapmap_table *t = NULL;
        ldapmap_table_parse((struct str){good, n}, STR("t.cf"), NULL, &t, NULL);
        ldapmap_table_free(t);
    }
    uint32_t seed = 1;
    char text[64];
    for (size_t round = 0; round < 20000; round++) {
        size_t n = round % sizeof(text);
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            text[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
        }
        struct ldapmap_table *t = NULL;
        ldapmap_table_parse((struct str){text, n}, STR("t.cf"), NULL, &t, NULL);
        ldapmap_table_free(t);
    }
}

static void defaults_stand_for_what_is_not_said(void)
{
    AUTO_ARENA a = arena_new(1024);
    struct ldapmap_conn_settings s;
    struct ldapmap_table *t = NULL, *u = NULL;
    struct err e = {0};
    ldapmap_conn_init(&s, a);
    UNIT_STR(s.servers[0], "ldap://localhost:389");
    CU_ASSERT_EQUAL(ldapmap_conn_set(&s, a, STR("server_host"), STR("h"), &e), 0);
    CU_ASSERT_EQUAL(ldapmap_conn_set(&s, a, STR("bind_pw"), STR("first"), &e), 0);
    CU_ASSERT_EQUAL(ldapmap_conn_set(&s, a, STR("bind_pw"), STR("secret"), &e), 0);
    CU_ASSERT_EQUAL(ldapmap_conn_set(&s, a, STR("search_base"), STR("dc=x"), &e), 0);
    CU_ASSERT_EQUAL(ldapmap_conn_set(&s, a, STR("search_bse"), STR("dc=x"), &e), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.log, "search_base"));
    CU_ASSERT_EQUAL(ldapmap_table_parse(STR(""), STR("t"), &s, &t, &e), 0);
    CU_ASSERT_EQUAL(
        ldapmap_table_parse(STR("scope = one\nserver_host = i\n"), STR("u"), &s, &u, &e), 0);
    ldapmap_conn_wipe(&s);
    arena_reset(a); /* tables keep their own copies */
    memset(arena_alloc(a, 900), 'x', 900);
    UNIT_STR(ldapmap_table_conn(t)->servers[0], "ldap://h:389");
    UNIT_STR(ldapmap_table_conn(t)->search_base, "dc=x");
    UNIT_STR(ldapmap_table_conn(u)->servers[0], "ldap://i:389");
    UNIT_STR(((struct str){ldapmap_table_conn(u)->bind_pw.p, 6}), "secret");
    CU_ASSERT_EQUAL(ldapmap_table_conn(u)->scope, LDAPMAP_SCOPE_ONE);
    ldapmap_table_free(t);
    ldapmap_table_free(u);
    ldapmap_table_free(NULL);
}

/* --- templates and escaping --- */

static void escapes(void)
{
    AUTO_BUF out = {0};
    CU_ASSERT_EQUAL(ldapmap_escape_filter(&out, STR("a*(b)\\\0é")), 0);
    UNIT_STR(buf_view(&out), "a\\2A\\28b\\29\\5C\\00é");
    buf_clear(&out);
    CU_ASSERT_EQUAL(ldapmap_escape_dn(&out, STR(" #a+b,c;d<e>f\\g\"h=é\t\r\n")), 0);
    UNIT_STR(buf_view(&out), "\\20\\23a\\2Bb\\2Cc\\3Bd\\3Ce\\3Ef\\5Cg\\22h=é\\09\\0D\\0A");
    struct buf tight = BUF_MAX(4);
    CU_ASSERT_EQUAL(ldapmap_escape_filter(&tight, STR("***")), -1);
    buf_free(&tight);
}

static void keys_are_folded(void)
{
    AUTO_ARENA a = arena_new(256);
    UNIT_STR(ldapmap_key_fold(a, STR("AbC@X.Y")), "abc@x.y");
    UNIT_STR(ldapmap_key_fold(a, STR("ÉLISE")), "élise");
    UNIT_STR(ldapmap_key_fold(a, STR("Straße")), "strasse");
    UNIT_STR(ldapmap_key_fold(a, STR("A\xff")), "a\xff");
    UNIT_STR(ldapmap_key_fold(a, STR("")), "");
}

static void asked(const char *text, const char *key, const char *base, const char *filter)
{
    const struct script steps[] = {{base, filter, NULL, 0, {NULL}}, END};
    expect(text, key, steps, "-");
}

static void templates_take_keys_apart(void)
{
#define T(filter) BASE "query_filter = " filter "\n"
    asked(T("(a=%s)"), "U@a.B", "ou=mail,dc=x", "(a=u@a.b)");
    asked(T("(a=%u)(b=%U)(c=%d)(d=%D)(e=%S)"), "x@y@z", "ou=mail,dc=x",
          "(a=x@y)(b=x@y)(c=z)(d=z)(e=x@y@z)");
    asked(T("(a=%u)"), "bare*", "ou=mail,dc=x", "(a=bare\\2A)");
    asked(T("(a=%1)(b=%2)(c=%3)"), "u@m.e.c", "ou=mail,dc=x", "(a=c)(b=e)(c=m)");
    asked(T("(a=%2)"), "u@.e..c.", "ou=mail,dc=x", "(a=e)");
    asked(T("(a=100%%%s)"), "k", "ou=mail,dc=x", "(a=100%k)");
    asked("search_base = cn=%u,dc=%2\nquery_filter = x=%s", "a,b@c.d", "cn=a\\2Cb,dc=c",
          "x=a,b@c.d");
    expect_nothing_asked(T("(a=%d)"), "bare");
    expect_nothing_asked(T("(a=%d)"), "u@");
    expect_nothing_asked(T("(a=%u)"), "@d");
    expect_nothing_asked(T("(a=%u)"), "");
    expect_nothing_asked(T("(a=%3)"), "u@b.c");
    expect_nothing_asked(T("(a=%1)"), "u@..");
    expect_nothing_asked(T("(a=%s)"), "\xff@b.c");
    expect_nothing_asked(T("(a=%s)") "result_format = %3", "u@b.c");
    expect_nothing_asked(T("(a=%s)") "result_format = %U", "@b.c");
    expect_nothing_asked("search_base = cn=%d\nquery_filter = x", "bare");
}

static void domains_restrict_keys(void)
{
    asked(T("(a=%s)") "domain = X.y, b.c\n", "u@B.C", NULL, "(a=u@b.c)");
    asked(T("(a=%s)") "domain = X.y, b.c\n", "u@x.Y", NULL, "(a=u@x.y)");
    asked(T("(a=%s)") "domain = !b.c static:all\n", "u@x.y", NULL, "(a=u@x.y)");
    expect_nothing_asked(T("(a=%s)") "domain = !b.c static:all\n", "u@b.c");
    expect_nothing_asked(T("(a=%s)") "domain = b.c\n", "u@sub.b.c");
    expect_nothing_asked(T("(a=%s)") "domain = b.c\n", "@b.c");
    expect_nothing_asked(T("(a=%s)") "domain = b.c\n", "b.c");
}

static void too_long_keys_are_refused(void)
{
    struct ldapmap_table *t = table_of(T("(a=%s)"));
    const struct ldapmap_table *one = t;
    AUTO_ARENA a = arena_new(1024);
    const struct ldapmap_limits limits = {.key_bytes = 3};
    struct ldapmap_search s;
    struct ldapmap_query *q = ldapmap_query_new(a, &limits, &one, 1, STR("abcd"), NULL);
    CU_ASSERT_FALSE(ldapmap_query_next(q, &s));
    CU_ASSERT_EQUAL(ldapmap_query_result(q, 0)->answer, LDAPMAP_CANNOT_SAY);
    ldapmap_table_free(t);
}

/* --- the engine --- */

static void three_answers(void)
{
    const char *text = T("(a=%s)") "result_attribute = m, n\n";
    expect(text, "k",
           (const struct script[]){{NULL, NULL, "m n", 0, {"x|m=1|m=2|o=9|n=3", "y|N=1"}}, END},
           "1,2,3,1");
    expect(text, "k", (const struct script[]){{.code = 0}, END}, "-");
    expect(text, "k", (const struct script[]){{.code = 0, .entries = {"x|o=1"}}, END}, "-");
    expect(text, "k", (const struct script[]){{.code = 32}, END}, "!No such object");
    expect("search_base = cn=%s\nquery_filter = x=*\n", "k",
           (const struct script[]){{.code = 32}, END}, "-");
    expect("search_base = cn=%s\nquery_filter = x=*\n", "k",
           (const struct script[]){{.code = 34}, END}, "!Invalid DN syntax");
    static const int others[] = {1, 2, 3, 4, 8, 9, 10, 11, 49, 50, 51, 52, 53, 80, -1, -5, -7};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        const struct script steps[] = {{.code = others[i], .entries = {"x|m=1"}}, END};
        expect(text, "k", steps, "!said the server");
    }
}

static void formats(void)
{
#define F(format) T("(a=%s)") "result_attribute = m\nresult_format = " format "\n"
    const struct script steps[] = {{.code = 0, .entries = {"x|m=u@d|m=plain|m=@d2|m=v@"}}, END};
    expect(F("<%s>"), "K@L.m", steps, "<u@d>,<plain>,<@d2>,<v@>");
    expect(F("%u"), "K@L.m", steps, "u,plain,v");
    expect(F("%d"), "K@L.m", steps, "d,d2");
    expect(F("%u/%d"), "K@L.m", steps, "u/d");
    expect(F("%U %D %S %2%1 %%"), "K@L.m", steps,
           "k l.m k@l.m lm %,k l.m k@l.m lm %,k l.m k@l.m lm "
           "%,k l.m k@l.m lm %");
    expect(F(""), "K@L.m", steps, "u@d,plain,@d2,v@");
    expect(T("(a=%s)") "result_attribute = m\nresult_filter = =%s\n", "k", steps,
           "=u@d,=plain,=@d2,=v@");
}

static void attributes_with_options(void)
{
    const struct script steps[] = {
        {.code = 0, .entries = {"x|m;lang-fr=f|m=1|m;lang-en=e|M2=no|mm=no"}}, END};
    expect(T("(a=%s)") "result_attribute = m\n", "k", steps, "f,1,e");
    expect(T("(a=%s)") "result_attribute = m;lang-fr\n", "k", steps, "f");
}

static void bad_values(void)
{
    struct ldapmap_table *t = table_of(T("(a=%s)") "result_attribute = m\n");
    const struct ldapmap_table *one = t;
    static const struct {
        struct str value;
        enum ldapmap_answer answer;
    } cases[] = {{STR("a\0b"), LDAPMAP_CANNOT_SAY},
                 {STR("\xff"), LDAPMAP_CANNOT_SAY},
                 {STR(""), LDAPMAP_NO},
                 {STR("é"), LDAPMAP_YES}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO_ARENA a = arena_new(1024);
        struct ldapmap_query *q = ldapmap_query_new(a, NULL, &one, 1, STR("k"), NULL);
        struct ldapmap_search s;
        const struct ldapmap_attr attr = {STR("m"), &cases[i].value, 1};
        const struct ldapmap_entry entry = {STR("x"), &attr, 1};
        CU_ASSERT_TRUE(ldapmap_query_next(q, &s));
        ldapmap_query_entry(q, &entry);
        ldapmap_query_done(q, 0, STR(""));
        CU_ASSERT_FALSE(ldapmap_query_next(q, &s));
        CU_ASSERT_EQUAL(ldapmap_query_result(q, 0)->answer, cases[i].answer);
    }
    ldapmap_table_free(t);
}

#define SPECIAL                                                                                    \
    T("(a=%s)")                                                                                    \
    "result_attribute = m\nspecial_result_attribute = ref\n"

static void references_are_followed_depth_first(void)
{
    const struct script steps[] = {
        {NULL, "(a=k)", "m ref", 0, {"x|m=1|ref=cn=A|ref=cn=B|m2=no", "y|m=5"}},
        {"cn=A", "(objectclass=*)", "m ref", 0, {"A|ref=cn=C|m=3"}},
        {"cn=C", NULL, NULL, 0, {"C|m=2"}},
        {"cn=B", NULL, NULL, 0, {"B|m=4"}},
        END};
    expect(SPECIAL, "k", steps, "1,2,3,4,5");
    const struct script missing[] = {{.code = 0, .entries = {"x|ref=cn=gone|ref=cn=B|m=1"}},
                                     {"cn=gone", NULL, NULL, 32, {NULL}},
                                     {"cn=B", NULL, NULL, 0, {"B|m=2"}},
                                     END};
    expect(SPECIAL, "k", missing, "2,1");
    const struct script broken[] = {
        {.code = 0, .entries = {"x|m=1|ref=cn=A|ref=cn=B"}}, {"cn=A", NULL, NULL, 51, {NULL}}, END};
    expect(SPECIAL, "k", broken, "!said the server");
}

static void urls_are_followed(void)
{
    const struct script steps[] = {
        {.code = 0, .entries = {"x|ref=ldap://other/cn=A,dc=x?M,q?one?(b=1)|ref=ldap:///cn=B"}},
        {"cn=A,dc=x", "(b=1)", "m", 0, {"A|m=1"}},
        {"cn=B", "(objectclass=*)", "m ref", 0, {"B|m=2"}},
        END};
    expect(SPECIAL, "k", steps, "1,2");
    const struct script nothing[] = {{.code = 0, .entries = {"x|m=1|ref=ldap:///cn=A?q?sub"}}, END};
    expect(SPECIAL, "k", nothing, "1");
    const struct script bad[] = {{.code = 0, .entries = {"x|m=1|ref=ldap://["}}, END};
    expect(SPECIAL, "k", bad, "!malformed LDAP URL");
    const struct script options[] = {{.code = 0, .entries = {"x|ref=ldap:///cn=A?m;lang-fr"}},
                                     {"cn=A", NULL, "m;lang-fr", 0, {"A|m;lang-fr=f"}},
                                     END};
    expect(SPECIAL, "k", options, "f");
}

static void recursion_is_limited(void)
{
    const struct script two[] = {{.code = 0, .entries = {"x|m=1|ref=cn=A"}},
                                 {"cn=A", NULL, NULL, 0, {"A|m=2|ref=cn=B"}},
                                 END};
    expect(SPECIAL "recursion_limit = 2\n", "k", two, "!recursion_limit");
    const struct script one[] = {{.code = 0, .entries = {"x|m=1|ref=cn=A"}}, END};
    expect(SPECIAL "recursion_limit = 1\n", "k", one, "!recursion_limit");
    struct ldapmap_table *t = table_of(SPECIAL "recursion_limit = 1000000\n");
    const struct ldapmap_table *looped = t;
    const struct ldapmap_limits limits = {.searches = 500};
    AUTO_ARENA a = arena_new(1024);
    struct ldapmap_query *q = ldapmap_query_new(a, &limits, &looped, 1, STR("k"), NULL);
    struct ldapmap_search s;
    struct written w;
    size_t searches = 0;
    for (; ldapmap_query_next(q, &s) && searches < 10000; searches++) {
        write_entry(&w, "x|ref=cn=x");
        ldapmap_query_entry(q, &w.entry);
        ldapmap_query_done(q, 0, STR(""));
    }
    CU_ASSERT_EQUAL(searches, 501);
    CU_ASSERT_EQUAL(ldapmap_query_result(q, 0)->answer, LDAPMAP_CANNOT_SAY);
    ldapmap_table_free(t);
}

static void leaf_and_terminal(void)
{
    const char *leaf = T("(a=%s)") "result_attribute = m\nleaf_result_attribute = l\n"
                                   "special_result_attribute = ref\n";
    expect(leaf, "k", (const struct script[]){{NULL, NULL, "l m ref", 0, {"x|m=1|l=2"}}, END},
           "1,2");
    const struct script group[] = {{.code = 0, .entries = {"x|m=1|l=no|ref=cn=A"}},
                                   {"cn=A", NULL, NULL, 0, {"A|l=2|m=3"}},
                                   END};
    expect(leaf, "k", group, "1,2,3");
    const char *terminal = T("(a=%s)") "result_attribute = m\nterminal_result_attribute = t\n"
                                       "special_result_attribute = ref\n";
    const struct script stop[] = {{NULL, NULL, "t m ref", 0, {"x|m=no|ref=cn=A|t=1"}}, END};
    expect(terminal, "k", stop, "1");
    /* Remembered until the next search, as Postfix does. */
    const struct script next[] = {{.code = 0, .entries = {"x|t=1", "y|m=no"}}, END};
    expect(terminal, "k", next, "1");
    const struct script before[] = {{.code = 0, .entries = {"y|m=2", "x|m=no|t=1"}}, END};
    expect(terminal, "k", before, "2,1");
}

static void limits_of_the_table(void)
{
    const struct script three[] = {{.code = 0, .entries = {"x|m=1|m=2", "y|m=3"}}, END};
    expect(T("(a=%s)") "result_attribute = m\nexpansion_limit = 3\n", "k", three, "1,2,3");
    expect(T("(a=%s)") "result_attribute = m\nexpansion_limit = 2\n", "k", three,
           "!expansion_limit");
    expect(T("(a=%s)") "result_attribute = m\nsize_limit = 1\n", "k", three, "!size_limit");
    expect(T("(a=%s)") "result_attribute = m\nsize_limit = 2\n", "k", three, "1,2,3");
    expect(T("(a=%s)") "result_attribute = m\nresult_format = %d\nexpansion_limit = 1\n"
                       "size_limit = 0\n",
           "k", (const struct script[]){{.code = 0, .entries = {"x|m=1|m=a@b", "y|m=3"}}, END},
           "b");
    struct ldapmap_table *t = table_of(T("(a=%s)") "expansion_limit = 7\ntimeout = 4\n");
    const struct ldapmap_table *one = t;
    AUTO_ARENA a = arena_new(1024);
    struct ldapmap_search s;
    CU_ASSERT_TRUE(ldapmap_query_next(ldapmap_query_new(a, NULL, &one, 1, STR("k"), NULL), &s));
    CU_ASSERT_EQUAL(s.sizelimit, 7); /* the default of size_limit */
    CU_ASSERT_EQUAL(s.timelimit, 4);
    ldapmap_table_free(t);
    t = table_of(SPECIAL "size_limit = 9\ndereference = 2\n");
    one = t;
    struct ldapmap_query *q = ldapmap_query_new(a, NULL, &one, 1, STR("k"), NULL);
    CU_ASSERT_TRUE(ldapmap_query_next(q, &s));
    struct written w;
    write_entry(&w, "x|ref=cn=A");
    ldapmap_query_entry(q, &w.entry);
    ldapmap_query_done(q, 0, STR(""));
    CU_ASSERT_TRUE_FATAL(ldapmap_query_next(q, &s));
    CU_ASSERT_EQUAL(s.sizelimit, 9); /* for each search, references too */
    CU_ASSERT_EQUAL(s.deref, 2);
    ldapmap_table_free(t);
}

static void limits_of_the_query(void)
{
    struct ldapmap_table *t = table_of(T("(a=%s)") "result_attribute = m\n");
    const struct ldapmap_table *one = t;
    static const struct ldapmap_limits cases[] = {{.entries = 1}, {.bytes = 200}};
    for (size_t i = 0; i < 2; i++) {
        AUTO_ARENA a = arena_new(1024);
        struct ldapmap_query *q = ldapmap_query_new(a, &cases[i], &one, 1, STR("k"), NULL);
        play(q, (const struct script[]){{.code = 0, .entries = {"x|m=1", "y|m=2", "z|m=3"}}, END});
        CU_ASSERT_EQUAL(ldapmap_query_result(q, 0)->answer, LDAPMAP_CANNOT_SAY);
        CU_ASSERT_PTR_NOT_NULL(strstr(ldapmap_query_result(q, 0)->err.log, "too many"));
    }
    ldapmap_table_free(t);
}

static void values_know_their_entries(void)
{
    struct ldapmap_table *t = table_of(SPECIAL);
    const struct ldapmap_table *one = t;
    AUTO_ARENA a = arena_new(1024);
    const char *const extra[] = {"uid", "M", NULL};
    struct ldapmap_query *q = ldapmap_query_new(a, NULL, &one, 1, STR("k"), extra);
    play(q, (const struct script[]){{NULL, NULL, "m ref uid", 0, {"x|m=1|uid=u|ref=cn=A", "y|m=3"}},
                                    {"cn=A", NULL, "m ref", 0, {"A|m=2"}},
                                    END});
    const struct ldapmap_result *r = ldapmap_query_result(q, 0);
    CU_ASSERT_EQUAL_FATAL(r->count, 3);
    UNIT_STR(r->values[0].entry->dn, "x");
    UNIT_STR(r->values[1].value, "2");
    UNIT_STR(r->values[1].entry->dn, "A");
    UNIT_STR(r->values[1].root->dn, "x");
    UNIT_STR(r->values[2].root->dn, "y");
    CU_ASSERT_EQUAL_FATAL(ldapmap_query_entry_count(q), 2);
    const struct ldapmap_entry *x = ldapmap_query_entry_at(q, 0);
    UNIT_STR(ldapmap_entry_attr(x, "UID")->values[0], "u");
    CU_ASSERT_PTR_NULL(ldapmap_entry_attr(x, "cn"));
    ldapmap_table_free(t);
}

/* --- several tables, one search --- */

static void tables_that_can_share(void)
{
    static const char *const texts[] = {
        BASE "query_filter = m=%s\nresult_attribute = home\n",
        BASE "query_filter = m=%s\nresult_attribute = uid\nresult_format = %U\n",
        BASE "query_filter = n=%s\n",
        BASE "query_filter = m=%s\nscope = one\n",
        BASE "query_filter = m=%s\ntimeout = 9\n",
        BASE "query_filter = m=%s\nbind_pw = x\n",
        BASE "query_filter = m=%s\nbind = no\nbind_pw = x\n",
        BASE "query_filter = m=%s\nbind = no\nbind_dn = y\n",
        "search_base = dc=y\nquery_filter = m=%s\n",
        BASE "query_filter = n=%s\nsize_limit = 1\n",
        BASE "query_filter = m=%s\ntls_ca_cert_file = /x\n",
        BASE "query_filter = m=%s\ndereference = 3\n",
        BASE "query_filter = m=%s\nserver_host = h\n",
    };
    static const int group[] = {0, 0, 1, 2, 3, 4, 5, 5, 6, 1, 7, 8, 9};
    struct ldapmap_table *tables[13];
    for (size_t i = 0; i < 13; i++)
        tables[i] = table_of(texts[i]);
    for (size_t i = 0; i < 13; i++)
        for (size_t j = 0; j < 13; j++)
            CU_ASSERT_EQUAL(ldapmap_table_shares(tables[i], tables[j]), group[i] == group[j]);
    for (size_t i = 0; i < 13; i++)
        ldapmap_table_free(tables[i]);
}

struct fused {
    struct ldapmap_table *own[3];
    const struct ldapmap_table *tables[3];
    struct arena *arena;
    struct ldapmap_query *q;
};

static void fuse(struct fused *f, const char *x, const char *y, const char *z, const char *key)
{
    const char *texts[] = {x, y, z};
    for (size_t i = 0; i < 3; i++)
        f->tables[i] = f->own[i] = table_of(texts[i]);
    f->arena = arena_new(1024);
    f->q = ldapmap_query_new(f->arena, NULL, f->tables, 3, str_from(key), NULL);
}

static void unfuse(struct fused *f)
{
    for (size_t i = 0; i < 3; i++)
        ldapmap_table_free(f->own[i]);
    arena_free(f->arena);
}

static void joined_is(const struct fused *f, size_t i, const char *want)
{
    CU_ASSERT_EQUAL(ldapmap_query_result(f->q, i)->answer, LDAPMAP_YES);
    UNIT_STR(ldapmap_result_joined(f->arena, ldapmap_query_result(f->q, i)), want);
}

static void one_search_answers_all(void)
{
    struct fused f;
    fuse(&f, T("(m=%s)") "result_attribute = home\nresult_format = %s/mailbox/\n",
         T("(m=%s)") "result_attribute = uid, gid\n", T("(m=%s)") "result_attribute = gid, none\n",
         "K");
    play(f.q, (const struct script[]){
                  {NULL, "(m=k)", "home uid gid none", 0, {"x|gid=7|uid=5|home=/h"}}, END});
    joined_is(&f, 0, "/h/mailbox/");
    joined_is(&f, 1, "7,5");
    joined_is(&f, 2, "7");
    unfuse(&f);
    fuse(&f, T("(m=%s)"), T("(m=%s)"), T("(m=%s)"), "K");
    play(f.q, (const struct script[]){{NULL, NULL, NULL, 51, {NULL}}, END});
    for (size_t i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(ldapmap_query_result(f.q, i)->answer, LDAPMAP_CANNOT_SAY);
    unfuse(&f);
}

static void fused_tables_keep_their_own_rules(void)
{
    struct fused f;
    fuse(&f, T("(m=%s)") "result_attribute = a\nsize_limit = 1\n",
         T("(m=%s)") "result_attribute = b\nresult_format = %D\n",
         T("(m=%s)") "result_attribute = c\nspecial_result_attribute = ref\nsize_limit = 2\n",
         "bare");
    play(f.q,
         (const struct script[]){{NULL, NULL, "a c ref", 0, {"x|a=1|b=no|c=2|ref=cn=A", "y|a=3"}},
                                 {"cn=A", NULL, "c ref", 0, {"A|c=4|a=no"}},
                                 END});
    CU_ASSERT_EQUAL(ldapmap_query_result(f.q, 0)->answer, LDAPMAP_CANNOT_SAY); /* two entries */
    CU_ASSERT_EQUAL(ldapmap_query_result(f.q, 1)->answer, LDAPMAP_NO); /* key has no domain */
    joined_is(&f, 2, "2,4");
    unfuse(&f);
    fuse(&f, T("(m=%s)") "result_attribute = c\nspecial_result_attribute = ref\n",
         T("(m=%s)") "result_attribute = b\n",
         T("(m=%s)") "result_attribute = c\ndomain = example.org\n", "k");
    play(f.q, (const struct script[]){{NULL, NULL, "c ref b", 0, {"x|b=1|ref=cn=A"}},
                                      {"cn=A", NULL, NULL, -1, {NULL}},
                                      END});
    CU_ASSERT_EQUAL(ldapmap_query_result(f.q, 0)->answer, LDAPMAP_CANNOT_SAY);
    joined_is(&f, 1, "1"); /* one table's broken reference is not another's */
    CU_ASSERT_EQUAL(ldapmap_query_result(f.q, 2)->answer, LDAPMAP_NO);
    unfuse(&f);
}

static int widest(const char *x, const char *y, const char *z)
{
    struct fused f;
    struct ldapmap_search s;
    fuse(&f, x, y, z, "k");
    CU_ASSERT_TRUE(ldapmap_query_next(f.q, &s));
    unfuse(&f);
    return s.sizelimit;
}

static void the_widest_size_limit_is_asked(void)
{
    CU_ASSERT_EQUAL(widest(BASE "size_limit = 1", BASE "size_limit = 5", BASE "size_limit = 3"), 5);
    CU_ASSERT_EQUAL(widest(BASE "size_limit = 1", BASE, BASE "size_limit = 3"), 0);
}

static void existence(void)
{
    static const struct {
        int code;
        bool entry;
        enum ldapmap_answer want;
    } cases[] = {{0, true, LDAPMAP_YES},          {4, true, LDAPMAP_YES},
                 {0, false, LDAPMAP_NO},          {4, false, LDAPMAP_CANNOT_SAY},
                 {32, false, LDAPMAP_CANNOT_SAY}, {51, true, LDAPMAP_CANNOT_SAY},
                 {3, true, LDAPMAP_CANNOT_SAY},   {-1, true, LDAPMAP_CANNOT_SAY}};
    struct ldapmap_table *t = table_of(T("m=*@%s"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO_ARENA a = arena_new(1024);
        struct ldapmap_query *q = ldapmap_query_exists(a, NULL, t, STR("D"));
        play(q, (const struct script[]){
                    {NULL, "m=*@d", "1.1", cases[i].code, {cases[i].entry ? "x" : NULL}}, END});
        CU_ASSERT_EQUAL(ldapmap_query_result(q, 0)->answer, cases[i].want);
    }
    AUTO_ARENA b = arena_new(1024);
    struct ldapmap_search s;
    CU_ASSERT_TRUE(ldapmap_query_next(ldapmap_query_exists(b, NULL, t, STR("D")), &s));
    CU_ASSERT_EQUAL(s.sizelimit, 1);
    CU_ASSERT_FALSE(ldapmap_query_next(ldapmap_query_exists(b, NULL, t, STR("")), &s));
    ldapmap_table_free(t);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"files are read as Postfix does", files_are_read_as_postfix_does},
        {"bad files name the line", bad_files_name_the_line},
        {"any bytes are survived", any_bytes_are_survived},
        {"defaults stand for what is not said", defaults_stand_for_what_is_not_said},
        {"escapes", escapes},
        {"keys are folded", keys_are_folded},
        {"templates take keys apart", templates_take_keys_apart},
        {"domains restrict keys", domains_restrict_keys},
        {"too long keys are refused", too_long_keys_are_refused},
        {"three answers", three_answers},
        {"formats", formats},
        {"attributes with options", attributes_with_options},
        {"bad values", bad_values},
        {"references are followed depth first", references_are_followed_depth_first},
        {"URLs are followed", urls_are_followed},
        {"recursion is limited", recursion_is_limited},
        {"leaf and terminal attributes", leaf_and_terminal},
        {"limits of the table", limits_of_the_table},
        {"limits of the query", limits_of_the_query},
        {"values know their entries", values_know_their_entries},
        {"tables that can share", tables_that_can_share},
        {"one search answers all", one_search_answers_all},
        {"fused tables keep their own rules", fused_tables_keep_their_own_rules},
        {"the widest size limit is asked", the_widest_size_limit_is_asked},
        {"existence", existence},
        {NULL, NULL},
    };
    if (sodium_init() < 0)
        return 1;
    log_open(LOG_TARGET_STDERR, "test", -1);
    return unit_main("ldapmap", tests);
}
