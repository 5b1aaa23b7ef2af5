/* MTA-STS: the TXT record, the text of a policy, and whom it allows. */
#include "relay/sts.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void record(struct str rdata)
{
    struct str id;
    AUTO_BUF room = {0};
    if (sts_record_read(rdata, &room, &id))
        assert(id.n >= 1 && id.n <= 32 && str_is_graph(id) && str_find(id, ';') < 0);
}

/* A policy allows every server that it names, and nothing below or beside that. */
static void servers(const struct sts_policy *p)
{
    for (size_t i = 0; i < p->mx_n; i++) {
        AUTO_BUF name = {0};
        bool star = str_starts(p->mx[i], STR("*."));
        assert(p->mx[i].n > 0 && p->mx[i].n <= 255 && str_is_graph(p->mx[i]));
        buf_str(&name, star ? STR("mx") : STR(""));
        buf_str(&name, star ? str_skip(p->mx[i], 1) : p->mx[i]);
        assert(sts_match(&p->mx[i], 1, buf_view(&name)));
        assert(!sts_match(&p->mx[i], 1, STR("")));
        buf_clear(&name);
        buf_str(&name, STR("two.labels"));
        buf_str(&name, star ? str_skip(p->mx[i], 1) : p->mx[i]);
        assert(!sts_match(&p->mx[i], 1, buf_view(&name)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = {(const char *)data, size};
    struct sts_policy policy;
    struct err e = {0};
    record(all);
    if (sts_policy_parse(all, &policy, &e) != 0) {
        assert(e.log[0]);
        return 0;
    }
    assert(policy.max_age_s >= 0 && policy.max_age_s <= 31557600 && policy.mx_n <= STS_MX_MAX);
    assert(policy.mode == STS_NONE || policy.mx_n > 0);
    servers(&policy);
    return 0;
}
