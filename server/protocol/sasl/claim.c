/* Who a client says it is, read out of what is relayed. */
#include "protocol/sasl/claim.h"
#include "protocol/sasl/bearer.h"

static struct str keep(char room[SASL_CLAIM_MAX], struct str name)
{
    name = str_head(name, SASL_CLAIM_MAX);
    if (name.n)
        memmove(room, name.p, name.n);
    return (struct str){room, name.n};
}

/* "n,,n=NAME,r=…": the header's two pieces first, and =2C and =3D inside (RFC 5802 section 5.1). */
static struct str scram_name(struct str said, char room[SASL_CLAIM_MAX])
{
    size_t commas = 0, at = 0, n = 0;
    while (at < said.n && commas < 2)
        commas += said.p[at++] == ',';
    said = str_skip(said, at);
    if (!str_starts(said, STR("n=")))
        return (struct str){0};
    said = str_skip(said, 2);
    for (size_t i = 0; i < said.n && said.p[i] != ',' && n < SASL_CLAIM_MAX; i++) {
        struct str rest = str_skip(said, i);
        bool coded = str_casestarts(rest, STR("=2C")) || str_casestarts(rest, STR("=3D"));
        room[n++] = !coded ? said.p[i] : rest.p[1] == '2' ? ',' : '=';
        i += coded ? 2 : 0;
    }
    return (struct str){room, n};
}

/* "NAME HEX": a name may have blanks inside (RFC 2195 section 2). */
static struct str cram_name(struct str said, char room[SASL_CLAIM_MAX])
{
    for (size_t i = said.n; i-- > 0;)
        if (said.p[i] == ' ')
            return keep(room, str_head(said, i));
    return (struct str){0};
}

static struct str bearer_name(struct str mechanism, struct str said, char room[SASL_CLAIM_MAX])
{
    struct sasl_bearer b;
    if (sasl_bearer_parse(mechanism, said, &b, NULL) != 0)
        return (struct str){0};
    return keep(room, str_from(b.user));
}

struct str sasl_claim(struct str mechanism, struct str said, char room[SASL_CLAIM_MAX])
{
    if (str_casestarts(mechanism, STR("SCRAM-")))
        return scram_name(said, room);
    if (str_caseeq(mechanism, STR("CRAM-MD5")))
        return cram_name(said, room);
    if (sasl_is_bearer(mechanism))
        return bearer_name(mechanism, said, room);
    return (struct str){0};
}
