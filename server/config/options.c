/* The option table and finding names in it. */
#include "config/config.h"

const struct config_option config_options[] = {
#define OPTION(type, name, def, min, max, who, help) {#name, #type, def, min, max, who, help},
#include "config/options.def"
#undef OPTION
};

const size_t config_option_count = sizeof config_options / sizeof config_options[0];

const struct config_option *config_find(struct str name)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (str_eq(str_from(config_options[i].name), name))
            return &config_options[i];
    return NULL;
}

const struct config_option *config_nearest(struct str name)
{
    const struct config_option *best = &config_options[0];
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < config_option_count; i++) {
        size_t d = str_distance(name, str_from(config_options[i].name));
        if (d < best_distance) {
            best_distance = d;
            best = &config_options[i];
        }
    }
    return best;
}
