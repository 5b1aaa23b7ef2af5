/*
 * Fuzzer of facteur.conf: what is taken can be handed on to another program and means the same there,
 * and every value goes through the readers of maps, networks, places and rules.
 */
#include "config/config.h"
#include "config/endpoint.h"
#include "config/rules.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_map(struct str value)
{
    struct str piece, inside, key, got;
    struct err e = {0};
    unsigned line = 0;
    while (config_map_piece(&value, &piece)) {
        assert(piece.n > 0);
        (void)config_map_file(piece);
        ptrdiff_t colon = str_find(piece, ':');
        if (config_map_braced(str_skip(piece, colon < 0 ? 0 : (size_t)colon + 1), &inside))
            while (config_map_inline_next(&inside, &key, &got, &e) > 0)
                assert(key.n > 0);
    }
    while (config_map_text_next(&value, &line, &key, &got, &e) > 0)
        assert(key.n > 0);
}

static void try_text(struct str value)
{
    struct str rest = value, key, got;
    struct err e = {0};
    unsigned line = 0;
    while (config_map_text_next(&rest, &line, &key, &got, &e) > 0)
        assert(key.n > 0);
}

static void try_value(struct str value)
{
    struct config_network network;
    struct config_endpoint place;
    struct rule_step step;
    struct err e = {0};
    struct str rest = value;
    try_map(value);
    try_text(value);
    if (config_network_parse(value, &network) == 0)
        assert(network.bits <= 128);
    if (config_endpoint_parse(value, &place, &e) == 0)
        assert(place.length <= sizeof place.sa);
    bool known = true;
    while (rule_next(&rest, &step))
        known = known && step.rule != RULE_NONE;
    if (rule_check(value, "option", &e) == 0)
        assert(known);
    (void)rule_check_relaying(value, STR("permit"), &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size}, rest = text, line;
    struct config *c = NULL, *again = NULL;
    struct err e = {0};
    if (config_parse(text, "facteur.conf", "/etc/facteur", &c, &e) == 0) {
        AUTO_BUF first = {0};
        AUTO_BUF second = {0};
        config_export(c, ALL, &first);
        assert(config_parse(buf_view(&first), "exported", "/etc/facteur", &again, &e) == 0);
        config_export(again, ALL, &second);
        assert(str_eq(buf_view(&first), buf_view(&second)));
        config_free(again);
        config_free(c);
    }
    for (int i = 0; i < 50 && str_line(&rest, &line); i++) {
        ptrdiff_t is = str_find(line, '=');
        try_value(is < 0 ? line : str_trim(str_skip(line, (size_t)is + 1)));
    }
    return 0;
}
