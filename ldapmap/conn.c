/*
 * Connections with libldap: options per handle, TLS, bind, and the blocking driver of a query.
 *
 * libldap reads ldap.conf and LDAP* variables; whatever decides about trust is set on the handle,
 * so that no environment can change it.
 */
#include "ldapmap/ldapmap_conn.h"
#include "ldapmap/patience.h"

#include "base/clock.h"
#include "base/log.h"

#include <limits.h>
#include <stdio.h>
#include <sys/time.h>

static struct timeval seconds(uint32_t n)
{
    return (struct timeval){.tv_sec = (time_t)n};
}

/* The handle's own explanation, empty where it has none. */
static void diagnostic(LDAP *ld, char *out, size_t size)
{
    char *text = NULL;
    out[0] = '\0';
    if (ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text) != LDAP_OPT_SUCCESS || text == NULL)
        return;
    if (text[0] != '\0')
        snprintf(out, size, ": %s", text);
    ldap_memfree(text);
}

static int open_failed(LDAP *ld, struct str url, const char *what, int rc, struct err *e)
{
    char text[200];
    diagnostic(ld, text, sizeof(text));
    return err_temp(e, "%.*s: %s: %s (%d)%s", STR_FMT(str_head(url, 120)), what,
                    ldap_err2string(rc), rc, text);
}

static int set_text(LDAP *ld, int option, struct str value)
{
    return value.n == 0 ? LDAP_OPT_SUCCESS : ldap_set_option(ld, option, value.p);
}

/* The new context must come last: it takes what was set before it. */
static int set_tls(LDAP *ld, const struct ldapmap_conn_settings *s)
{
    int demand = s->tls_require_cert ? LDAP_OPT_X_TLS_DEMAND : LDAP_OPT_X_TLS_NEVER, server = 0;
    if (set_text(ld, LDAP_OPT_X_TLS_RANDOM_FILE, s->tls_random_file) != LDAP_OPT_SUCCESS ||
        set_text(ld, LDAP_OPT_X_TLS_CACERTFILE, s->tls_ca_cert_file) != LDAP_OPT_SUCCESS ||
        set_text(ld, LDAP_OPT_X_TLS_CACERTDIR, s->tls_ca_cert_dir) != LDAP_OPT_SUCCESS ||
        set_text(ld, LDAP_OPT_X_TLS_CERTFILE, s->tls_cert) != LDAP_OPT_SUCCESS ||
        set_text(ld, LDAP_OPT_X_TLS_KEYFILE, s->tls_key) != LDAP_OPT_SUCCESS ||
        set_text(ld, LDAP_OPT_X_TLS_CIPHER_SUITE, s->tls_cipher_suite) != LDAP_OPT_SUCCESS ||
        ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) != LDAP_OPT_SUCCESS)
        return -1;
    return ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &server) == LDAP_OPT_SUCCESS ? 0 : -1;
}

/* Keep-alive finds a peer that vanished without a word, between searches too. */
static int set_options(LDAP *ld, const struct ldapmap_conn_settings *s)
{
    struct timeval wait = seconds(s->timeout);
    int version = (int)s->version, deref = (int)s->dereference;
    int idle = 60, probes = 3, interval = 10, level = (int)s->debuglevel;
    if (level > 0)
        ldap_set_option(NULL, LDAP_OPT_DEBUG_LEVEL, &level);
    ldap_set_option(ld, LDAP_OPT_X_KEEPALIVE_IDLE, &idle);
    ldap_set_option(ld, LDAP_OPT_X_KEEPALIVE_PROBES, &probes);
    ldap_set_option(ld, LDAP_OPT_X_KEEPALIVE_INTERVAL, &interval);
    if (ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &wait) != LDAP_OPT_SUCCESS ||
        ldap_set_option(ld, LDAP_OPT_TIMEOUT, &wait) != LDAP_OPT_SUCCESS ||
        ldap_set_option(ld, LDAP_OPT_RESTART, LDAP_OPT_ON) != LDAP_OPT_SUCCESS ||
        ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version) != LDAP_OPT_SUCCESS ||
        ldap_set_option(ld, LDAP_OPT_DEREF, &deref) != LDAP_OPT_SUCCESS ||
        ldap_set_option(ld, LDAP_OPT_REFERRALS, s->chase_referrals ? LDAP_OPT_ON : LDAP_OPT_OFF) !=
            LDAP_OPT_SUCCESS)
        return -1;
    return 0;
}

/* With SASL EXTERNAL (RFC 4422 appendix A) the credentials are the identity to act for, if any, and
 * one step is all there is. */
static int bind_now(LDAP *ld, const struct ldapmap_conn_settings *s)
{
    bool sasl = s->bind == LDAPMAP_BIND_SASL;
    struct str said = sasl ? s->sasl_authz_id : (struct str){s->bind_pw.p, s->bind_pw.n};
    struct berval cred = {said.n, (char *)(uintptr_t)(said.n ? said.p : "")};
    struct timeval wait = seconds(s->timeout);
    LDAPMessage *msg = NULL;
    int id, code = LDAP_OTHER;
    const char *dn = s->bind_dn.p && !sasl ? s->bind_dn.p : "";
    int rc = ldap_sasl_bind(ld, dn, sasl ? s->sasl_mechs.p : LDAP_SASL_SIMPLE, &cred, NULL, NULL,
                            &id);
    if (rc != LDAP_SUCCESS)
        return rc;
    rc = ldap_result(ld, id, LDAP_MSG_ALL, &wait, &msg);
    if (rc == 0)
        return LDAP_TIMEOUT;
    if (rc < 0) {
        ldap_get_option(ld, LDAP_OPT_RESULT_CODE, &code);
        return code == LDAP_SUCCESS ? LDAP_SERVER_DOWN : code;
    }
    rc = ldap_parse_result(ld, msg, &code, NULL, NULL, NULL, NULL, 1);
    return rc != LDAP_SUCCESS ? rc : code;
}

/* LDAP's result code, with *out where it is success and e filled where it is not. */
static int open_one(const struct ldapmap_conn_settings *s, struct str url, bool bind, LDAP **out,
                    struct err *e)
{
    LDAP *ld = NULL;
    *out = NULL;
    int rc = ldap_initialize(&ld, url.p);
    if (rc != LDAP_SUCCESS) {
        err_temp(e, "%.*s: %s (%d)", STR_FMT(str_head(url, 120)), ldap_err2string(rc), rc);
        return rc;
    }
    const char *what = "options";
    bool ldaps = str_casestarts(url, STR("ldaps:"));
    rc = LDAP_OTHER;
    if (set_options(ld, s) < 0)
        goto failed;
    what = "TLS settings (certificate or key file, cipher suite)";
    if ((ldaps || s->start_tls) && set_tls(ld, s) < 0)
        goto failed;
    what = "connect";
    if ((rc = patience_begin(ld)) != LDAP_SUCCESS || (rc = ldap_connect(ld)) != LDAP_SUCCESS)
        goto failed;
    what = "STARTTLS";
    if (s->start_tls && !ldaps && (rc = ldap_start_tls_s(ld, NULL, NULL)) != LDAP_SUCCESS)
        goto failed;
    what = "bind";
    if (bind && s->bind != LDAPMAP_BIND_NONE && (rc = bind_now(ld, s)) != LDAP_SUCCESS)
        goto failed;
    patience_end(ld);
    *out = ld;
    return LDAP_SUCCESS;
failed:
    open_failed(ld, url, what, rc, e);
    ldap_unbind_ext(ld, NULL, NULL);
    return rc;
}

static int open_any(const struct ldapmap_conn_settings *s, bool bind, LDAP **out, struct err *e)
{
    *out = NULL;
    for (size_t i = 0; i < s->server_count; i++) {
        struct err why;
        if (open_one(s, s->servers[i], bind, out, &why) == LDAP_SUCCESS)
            return 0;
        log_debug("ldap_open_failed", LS("server", s->servers[i]), LZ("error", why.log));
        if (e != NULL)
            *e = why;
    }
    return -1;
}

int ldapmap_conn_open(const struct ldapmap_conn_settings *s, LDAP **out, struct err *e)
{
    return open_any(s, true, out, e);
}

int ldapmap_conn_open_at(const struct ldapmap_conn_settings *s, size_t server, LDAP **out,
                         struct err *e)
{
    return open_one(s, s->servers[server], true, out, e);
}

int ldapmap_conn_open_unbound(const struct ldapmap_conn_settings *s, LDAP **out, struct err *e)
{
    return open_any(s, false, out, e);
}

int ldapmap_conn_search(LDAP *ld, const struct ldapmap_search *search, int *msgid)
{
    struct timeval wait = {.tv_sec = search->timelimit};
    /* libldap declares the list and its strings as changeable and changes neither. */
    char **attrs = (char **)(uintptr_t)search->attrs;
    ldap_set_option(ld, LDAP_OPT_DEREF, &search->deref);
    return ldap_search_ext(ld, search->base, search->scope, search->filter, attrs, 0, NULL, NULL,
                           search->timelimit > 0 ? &wait : NULL, search->sizelimit, msgid);
}

static int read_attr(struct arena *a, LDAP *ld, LDAPMessage *msg, BerElement *ber,
                     struct ldapmap_attr *out)
{
    struct berval name;
    BerVarray vals = NULL;
    int rc = ldap_get_attribute_ber(ld, msg, ber, &name, &vals);
    if (rc != LDAP_SUCCESS || name.bv_val == NULL) {
        *out = (struct ldapmap_attr){0};
        return rc;
    }
    size_t count = 0;
    while (vals != NULL && vals[count].bv_val != NULL)
        count++;
    struct str *values = arena_array(a, count + 1, sizeof(*values));
    for (size_t i = 0; i < count; i++)
        values[i] = (struct str){vals[i].bv_val, vals[i].bv_len};
    ldap_memfree(vals);
    *out = (struct ldapmap_attr){{name.bv_val, name.bv_len}, values, count};
    return LDAP_SUCCESS;
}

int ldapmap_conn_entry(struct arena *a, LDAP *ld, LDAPMessage *msg, struct ldapmap_entry *out)
{
    BerElement *ber = NULL;
    struct berval dn;
    struct ldapmap_attr *attrs = NULL;
    size_t count = 0, cap = 0;
    *out = (struct ldapmap_entry){0};
    int rc = ldap_get_dn_ber(ld, msg, &ber, &dn);
    while (rc == LDAP_SUCCESS) {
        if (count == cap) {
            cap = cap ? 2 * cap : 8;
            struct ldapmap_attr *grown = arena_array(a, cap, sizeof(*grown));
            if (count > 0)
                memcpy(grown, attrs, count * sizeof(*grown));
            attrs = grown;
        }
        rc = read_attr(a, ld, msg, ber, &attrs[count]);
        if (attrs[count].name.p == NULL)
            break;
        count++;
    }
    if (ber != NULL)
        ber_free(ber, 0);
    if (rc == LDAP_SUCCESS)
        *out = (struct ldapmap_entry){{dn.bv_val, dn.bv_len}, attrs, count};
    return rc;
}

/* Reads messages of one search until its end: an LDAP result code, and the server's words. */
static int drain(LDAP *ld, int id, uint32_t timeout, struct ldapmap_query *q, char *words,
                 size_t size)
{
    int64_t deadline = clock_mono_ms() + (int64_t)timeout * 1000;
    AUTO_ARENA a = arena_new(1024);
    for (;;) {
        int64_t left = deadline - clock_mono_ms();
        struct timeval wait = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
        LDAPMessage *msg = NULL;
        int type = left > 0 ? ldap_result(ld, id, LDAP_MSG_ONE, &wait, &msg) : 0;
        if (type == 0) {
            ldap_abandon_ext(ld, id, NULL, NULL);
            return LDAP_TIMEOUT;
        }
        int code = LDAP_SERVER_DOWN;
        if (type < 0) {
            ldap_get_option(ld, LDAP_OPT_RESULT_CODE, &code);
            return code == LDAP_SUCCESS ? LDAP_SERVER_DOWN : code;
        }
        if (type == LDAP_RES_SEARCH_RESULT) {
            char *text = NULL;
            int rc = ldap_parse_result(ld, msg, &code, NULL, &text, NULL, NULL, 1);
            snprintf(words, size, "%s", text ? text : "");
            ldap_memfree(text);
            return rc != LDAP_SUCCESS ? rc : code;
        }
        if (type == LDAP_RES_SEARCH_ENTRY) {
            struct ldapmap_entry entry;
            code = ldapmap_conn_entry(a, ld, msg, &entry);
            if (code == LDAP_SUCCESS)
                ldapmap_query_entry(q, &entry);
        } else {
            code =
                LDAP_SUCCESS; /* a reference to another server: followed by libldap, or by nobody */
        }
        ldap_msgfree(msg);
        arena_reset(a);
        if (code != LDAP_SUCCESS) {
            ldap_abandon_ext(ld, id, NULL, NULL);
            return code;
        }
    }
}

static void close_handle(LDAP **ld)
{
    ldap_unbind_ext(*ld, NULL, NULL);
    *ld = NULL;
}

/* One search: opened where needed, and sent once more where a kept connection turns out lost. */
static void run_search(const struct ldapmap_conn_settings *s, LDAP **ld, struct ldapmap_query *q,
                       const struct ldapmap_search *search)
{
    char words[256] = "";
    bool kept = *ld != NULL;
    for (;;) {
        struct err e = {0};
        int id, code;
        if (*ld == NULL && ldapmap_conn_open(s, ld, &e) < 0) {
            ldapmap_query_done(q, LDAP_SERVER_DOWN, str_from(e.log));
            return;
        }
        log_debug("ldap_search", LZ("base", search->base), LN("scope", search->scope),
                  LZ("filter", search->filter));
        code = ldapmap_conn_search(*ld, search, &id);
        if (code == LDAP_SUCCESS)
            code = drain(*ld, id, s->timeout, q, words, sizeof(words));
        log_debug("ldap_result", LN("code", code), LZ("text", ldap_err2string(code)));
        if (code < 0 && code != LDAP_FILTER_ERROR && code != LDAP_PARAM_ERROR)
            close_handle(ld);
        if (code == LDAP_SERVER_DOWN && kept) {
            kept = false;
            continue;
        }
        ldapmap_query_done(q, code, str_from(words));
        return;
    }
}

void ldapmap_conn_run(const struct ldapmap_conn_settings *s, LDAP **ld, struct ldapmap_query *q)
{
    struct ldapmap_search search;
    while (ldapmap_query_next(q, &search))
        run_search(s, ld, q, &search);
}
