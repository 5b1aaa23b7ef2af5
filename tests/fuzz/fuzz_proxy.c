/*
 * Fuzzer of a load balancer's header: it is found at the same place however the octets come, no longer
 * than it may be, and what was bad stays bad.
 */
#include "io/proxy.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header at_once, piecewise;
    struct err e = {0};
    size_t used = 0, used_then = 0, n = 0;
    enum proxy_event now = PROXY_MORE;
    enum proxy_event want = proxy_header_parse((struct str){(const char *)data, size}, &used, &at_once, &e);
    for (; n <= size && now == PROXY_MORE; n++) {
        char *exact = malloc(n ? n : 1); /* so that one octet too far is found */
        memcpy(exact, data, n);
        now = proxy_header_parse((struct str){exact, n}, &used_then, &piecewise, &e);
        free(exact);
    }
    assert(now == want);
    assert(now != PROXY_MORE || size < PROXY_HEADER_MAX);
    if (now == PROXY_DONE) {
        assert(used == used_then && used == n - 1 && used <= PROXY_HEADER_MAX);
        assert(at_once.local == piecewise.local);
        assert(memcmp(&at_once.client, &piecewise.client, sizeof at_once.client) == 0);
    }
    return 0;
}
