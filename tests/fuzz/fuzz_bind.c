/*
 * Fuzzer of what a directory server answers to a bind. The octets come to libldap as they are, where the first is
 * even, or in a result that is built of the lines behind it: text, then controls of password policies. Whatever it
 * is: only a success is a yes, only what the table knows is a no, and what a policy says beside it belongs to a yes.
 */
#include "directory/bind_result.h"

#include <assert.h>
#include <lber.h>
#include <openldap.h>
#include <sanitizer/lsan_interface.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct berval piece(struct str *rest)
{
    struct str line = {"", 0};
    (void)str_line(rest, &line);
    return (struct berval){.bv_len = line.n, .bv_val = (char *)(uintptr_t)line.p};
}

/* The first octet of a line says which control it is the value of. */
static void put_control(BerElement *ber, struct berval value)
{
    static const char *const kinds[] = {LDAP_CONTROL_PASSWORDPOLICYRESPONSE, LDAP_CONTROL_X_PASSWORD_EXPIRED,
                                        LDAP_CONTROL_X_PASSWORD_EXPIRING};
    unsigned kind = value.bv_len ? (unsigned char)value.bv_val[0] % 4u : 3;
    value.bv_val += value.bv_len > 0;
    value.bv_len -= value.bv_len > 0;
    if (kind < 3 && value.bv_len)
        ber_printf(ber, "{sO}", kinds[kind], &value);
    else if (kind < 3)
        ber_printf(ber, "{s}", kinds[kind]);
    else
        ber_printf(ber, "{ObO}", &value, (ber_int_t)1, &value);
}

static struct berval *built(int code, struct str rest)
{
    struct berval *out = NULL, text = piece(&rest);
    BerElement *ber = ber_alloc_t(LBER_USE_DER);
    ber_printf(ber, "{it{eOO}t{", (ber_int_t)1, LDAP_RES_BIND, (ber_int_t)code, &text, &text, LDAP_TAG_CONTROLS);
    while (rest.n)
        put_control(ber, piece(&rest));
    ber_printf(ber, "}}");
    if (ber_flatten(ber, &out) != 0)
        abort();
    ber_free(ber, 1);
    return out;
}

static void check(LDAP *ld, LDAPMessage *m)
{
    struct bind_result r = bind_result_read(ld, m);
    struct berval *said = NULL;
    LDAPControl **controls = NULL;
    int code = LDAP_OTHER, got = ldap_parse_result(ld, m, &code, NULL, NULL, NULL, &controls, 0);
    assert(r.verdict == VERDICT_YES || r.verdict == VERDICT_NO || r.verdict == VERDICT_CANNOT_SAY);
    assert((r.verdict == VERDICT_YES) == (got == LDAP_SUCCESS && code == LDAP_SUCCESS));
    assert(r.verdict != VERDICT_CANNOT_SAY || r.state == AUTH_PLAIN);
    assert(r.verdict == VERDICT_YES || (r.grace < 0 && r.expires < 0));
    assert(r.grace >= -1 && r.expires >= -1);
    assert(r.why && r.why[0] && r.state <= AUTH_TOO_MANY);
    ldap_parse_sasl_bind_result(ld, m, &said, 0); /* as an exchange does */
    ldap_controls_free(controls);
    ber_bvfree(said);
}

static void ask(LDAP *ld)
{
    LDAPControl policy = bind_result_control, *controls[] = {&policy, NULL};
    struct berval password = {.bv_len = 1, .bv_val = (char *)(uintptr_t)"x"};
    int version = LDAP_VERSION3, id = 0;
    ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF); /* as ldapmap does */
    if (ldap_sasl_bind(ld, "cn=ann", LDAP_SASL_SIMPLE, &password, controls, NULL, &id) != LDAP_SUCCESS || id != 1)
        abort();
}

static void answer(struct str octets)
{
    int ends[2];
    LDAP *ld = NULL;
    LDAPMessage *m = NULL;
    struct timeval now = {0, 0};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 ||
        ldap_init_fd(ends[0], LDAP_PROTO_TCP, NULL, &ld) != LDAP_SUCCESS)
        abort();
    __lsan_disable(); /* libldap forgets the request where an answer to it is damaged */
    ask(ld);
    __lsan_enable();
    if (send(ends[1], octets.p, octets.n, MSG_NOSIGNAL) != (ssize_t)octets.n)
        abort();
    shutdown(ends[1], SHUT_WR);
    for (int tries = 0; !m && tries < 3 && ldap_result(ld, 1, LDAP_MSG_ALL, &now, &m) >= 0; tries++)
        continue;
    if (m)
        check(ld, m);
    ldap_msgfree(m);
    ldap_unbind_ext(ld, NULL, NULL);
    close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 100000)
        return 0;
    if (data[0] % 2 == 0) {
        answer((struct str){(const char *)data + 1, size - 1});
        return 0;
    }
    struct berval *octets = built(data[1], (struct str){(const char *)data + 2, size - 2});
    answer((struct str){octets->bv_val, octets->bv_len});
    ber_bvfree(octets);
    return 0;
}
