/* What another program may see, as text. */
#include "config/config.h"

static void put_escaped(struct buf *out, struct str v)
{
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '$')
            buf_byte(out, '$');
        buf_byte(out, v.p[i]);
    }
}

void config_export(const struct config *c, unsigned who, struct buf *out)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        if (!(o->who & who))
            continue;
        buf_printf(out, "%s = ", o->name);
        put_escaped(out, c->value[i]);
        buf_byte(out, '\n');
    }
}
