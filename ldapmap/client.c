/* The client of administrators' commands. */
#include "ldapmap/ldapmap_client.h"
#include "ldapmap/ldapmap_conn.h"

#include <stdlib.h>

#define PAGE 500

struct ldapmap_client {
    LDAP *ld;
    struct timeval timeout;
};

int ldapmap_client_open(const struct ldapmap_conn_settings *s, struct ldapmap_client **out,
                        struct err *e)
{
    LDAP *ld;
    if (ldapmap_conn_open(s, &ld, e) != 0)
        return -1;
    *out = MEM_NEW(struct ldapmap_client);
    **out = (struct ldapmap_client){.ld = ld, .timeout = {(time_t)s->timeout, 0}};
    return 0;
}

void ldapmap_client_close(struct ldapmap_client *c)
{
    if (c)
        ldap_unbind_ext(c->ld, NULL, NULL);
    free(c);
}

static int failed(struct ldapmap_client *c, const char *what, const char *about, int rc,
                  struct err *e)
{
    char *text = NULL;
    ldap_get_option(c->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
    err_temp(e, "%s %.200s: %s%s%.200s", what, about, ldap_err2string(rc), text && *text ? ": " : "",
             text ? text : "");
    ldap_memfree(text);
    return -1;
}

/* --- searching --- */

static int take_entries(struct ldapmap_client *c, LDAPMessage *all, ldapmap_client_fn fn, void *arg)
{
    AUTO_ARENA a = arena_new(4096);
    for (LDAPMessage *m = ldap_first_entry(c->ld, all); m; m = ldap_next_entry(c->ld, m)) {
        struct ldapmap_entry entry;
        int rc = ldapmap_conn_entry(a, c->ld, m, &entry);
        if (rc != LDAP_SUCCESS)
            return rc;
        fn(arg, &entry);
        arena_reset(a);
    }
    return LDAP_SUCCESS;
}

/* The cookie of the next page; empty after the last. A server without pages sends none. */
static int next_page(struct ldapmap_client *c, LDAPMessage *all, struct berval *cookie)
{
    LDAPControl **controls = NULL;
    int code = LDAP_OTHER;
    int rc = ldap_parse_result(c->ld, all, &code, NULL, NULL, NULL, &controls, 0);
    ber_memfree(cookie->bv_val);
    *cookie = (struct berval){0};
    LDAPControl *page = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, NULL);
    ber_int_t estimate;
    if (rc == LDAP_SUCCESS && page)
        ldap_parse_pageresponse_control(c->ld, page, &estimate, cookie);
    ldap_controls_free(controls);
    return rc != LDAP_SUCCESS ? rc : code;
}

static int one_page(struct ldapmap_client *c, const char *base, enum ldapmap_scope scope,
                    const char *filter, const char *const *attrs, struct berval *cookie,
                    ldapmap_client_fn fn, void *arg)
{
    LDAPControl *page = NULL;
    LDAPMessage *all = NULL;
    int rc = ldap_create_page_control(c->ld, PAGE, cookie->bv_val ? cookie : NULL, 0, &page);
    if (rc != LDAP_SUCCESS)
        return rc;
    rc = ldap_search_ext_s(c->ld, base, (int)scope, filter, (char **)(uintptr_t)attrs, 0,
                           (LDAPControl *[]){page, NULL}, NULL, &c->timeout, 0, &all);
    ldap_control_free(page);
    if (rc == LDAP_SUCCESS)
        rc = take_entries(c, all, fn, arg);
    if (rc == LDAP_SUCCESS)
        rc = next_page(c, all, cookie);
    ldap_msgfree(all);
    return rc;
}

int ldapmap_client_search(struct ldapmap_client *c, const char *base, enum ldapmap_scope scope,
                          const char *filter, const char *const *attrs, ldapmap_client_fn fn,
                          void *arg, struct err *e)
{
    struct berval cookie = {0};
    int rc;
    do
        rc = one_page(c, base, scope, filter, attrs, &cookie, fn, arg);
    while (rc == LDAP_SUCCESS && cookie.bv_len);
    ber_memfree(cookie.bv_val);
    if (rc == LDAP_NO_SUCH_OBJECT)
        return LDAPMAP_CLIENT_NONE;
    if (rc == LDAP_SUCCESS)
        return 0;
    AUTO_BUF about = {0};
    buf_printf(&about, "%s below %s", filter, base);
    return failed(c, "search", buf_z(&about), rc, e);
}

/* --- changing --- */

/* One LDAPMod a change, except that ADDs of one attribute in a row become one. */
static LDAPMod **mods(struct arena *a, const struct ldapmap_change *v, size_t n)
{
    static const int ops[] = {LDAP_MOD_ADD, LDAP_MOD_DELETE, LDAP_MOD_REPLACE};
    LDAPMod **list = arena_array(a, n + 1, sizeof *list);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        LDAPMod *m = arena_alloc(a, sizeof *m);
        size_t values = 0;
        m->mod_op = ops[v[i].kind];
        m->mod_type = arena_strz(a, str_from(v[i].attr));
        m->mod_values = v[i].value ? arena_array(a, n - i + 1, sizeof(char *)) : NULL;
        for (; v[i].value; i++) {
            m->mod_values[values++] = arena_strz(a, str_from(v[i].value));
            if (i + 1 == n || v[i + 1].kind != v[i].kind || strcmp(v[i + 1].attr, v[i].attr) != 0)
                break;
        }
        list[count++] = m;
    }
    return list;
}

int ldapmap_client_add(struct ldapmap_client *c, const char *dn, const struct ldapmap_change *v,
                       size_t n, struct err *e)
{
    AUTO_ARENA a = arena_new(1024);
    int rc = ldap_add_ext_s(c->ld, dn, mods(a, v, n), NULL, NULL);
    return rc == LDAP_SUCCESS ? 0 : failed(c, "add", dn, rc, e);
}

int ldapmap_client_modify(struct ldapmap_client *c, const char *dn, const struct ldapmap_change *v,
                          size_t n, struct err *e)
{
    AUTO_ARENA a = arena_new(1024);
    int rc = ldap_modify_ext_s(c->ld, dn, mods(a, v, n), NULL, NULL);
    return rc == LDAP_SUCCESS ? 0 : failed(c, "modify", dn, rc, e);
}

int ldapmap_client_password(struct ldapmap_client *c, const char *dn, const struct secret *password,
                            struct err *e)
{
    struct berval who = {strlen(dn), (char *)(uintptr_t)dn}, given = {0};
    struct berval new = {password->n, password->p};
    int rc = ldap_passwd_s(c->ld, &who, NULL, &new, &given, NULL, NULL);
    ber_memfree(given.bv_val);
    return rc == LDAP_SUCCESS ? 0 : failed(c, "password of", dn, rc, e);
}
