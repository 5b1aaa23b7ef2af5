/* SASL logins by Cyrus SASL, through libldap. */
#include "ldapmap/ldapmap_client.h"
#include "ldapmap/ldapmap_conn.h"

#include <sasl/sasl.h>

struct answers {
    const char *name;
    const struct secret *password;
};

/* What Cyrus SASL asks for; the views stay valid until the bind has ended. */
static int answer(LDAP *ld, unsigned flags, void *arg, void *questions)
{
    const struct answers *a = arg;
    (void)ld;
    (void)flags;
    for (sasl_interact_t *q = questions; q->id != SASL_CB_LIST_END; q++) {
        bool is_password = q->id == SASL_CB_PASS;
        bool is_name = q->id == SASL_CB_AUTHNAME;
        q->result = is_password ? a->password->p : is_name ? a->name : "";
        q->len = is_password ? (unsigned)a->password->n : (unsigned)strlen(q->result);
    }
    return LDAP_SUCCESS;
}

static int read_who(LDAP *ld, struct arena *a, struct str *who, struct err *e)
{
    struct berval *said = NULL;
    int rc = ldap_whoami_s(ld, &said, NULL, NULL);
    if (rc == LDAP_SUCCESS && said && said->bv_val)
        *who = arena_str(a, (struct str){said->bv_val, said->bv_len});
    ber_bvfree(said);
    return rc == LDAP_SUCCESS ? 0 : err_temp(e, "who that is: %s", ldap_err2string(rc));
}

static void explain(LDAP *ld, int rc, struct err *e)
{
    char *text = NULL;
    ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
    err_temp(e, "%s%s%.200s", ldap_err2string(rc), text && *text ? ": " : "", text ? text : "");
    ldap_memfree(text);
}

enum ldapmap_sasl ldapmap_client_sasl(const struct ldapmap_conn_settings *s, const char *mechanism,
                                      const char *name, const struct secret *password,
                                      struct arena *a, struct str *who, struct err *e)
{
    struct answers answers = {name, password};
    LDAP *ld;
    if (ldapmap_conn_open_unbound(s, &ld, e) != 0)
        return LDAPMAP_SASL_CANNOT_SAY;
    int rc = ldap_sasl_interactive_bind_s(ld, NULL, mechanism, NULL, NULL, LDAP_SASL_QUIET, answer,
                                          &answers);
    enum ldapmap_sasl r = LDAPMAP_SASL_YES;
    if (rc != LDAP_SUCCESS)
        explain(ld, rc, e);
    if (rc == LDAP_AUTH_UNKNOWN)
        r = LDAPMAP_SASL_UNKNOWN_HERE;
    else if (rc == LDAP_INVALID_CREDENTIALS || rc == LDAP_INAPPROPRIATE_AUTH || rc == LDAP_OTHER)
        r = LDAPMAP_SASL_NO; /* slapd says "other" where there is no password that it could use */
    else if (rc != LDAP_SUCCESS || read_who(ld, a, who, e) != 0)
        r = LDAPMAP_SASL_CANNOT_SAY;
    ldap_unbind_ext(ld, NULL, NULL);
    return r;
}
