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

#define NAME_MAX_LEN 64

/* Levenshtein distance; both at most NAME_MAX_LEN long. */
static size_t distance(struct str a, struct str b)
{
    size_t row[NAME_MAX_LEN + 1];
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t change = diagonal + (a.p[i - 1] != b.p[j - 1]);
            size_t best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < best ? change : best;
        }
    }
    return row[b.n];
}

const struct config_option *config_nearest(struct str name)
{
    const struct config_option *best = &config_options[0];
    size_t best_distance = SIZE_MAX;
    name = str_head(name, NAME_MAX_LEN);
    for (size_t i = 0; i < config_option_count; i++) {
        size_t d = distance(name, str_head(str_from(config_options[i].name), NAME_MAX_LEN));
        if (d < best_distance) {
            best_distance = d;
            best = &config_options[i];
        }
    }
    return best;
}
