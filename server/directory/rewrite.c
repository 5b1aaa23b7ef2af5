/* Rewriting addresses. */
#include "directory/rewrite.h"
#include "directory/masquerade.h"
#include "mail/address.h"

#define AGAIN_MAX 10 /* as Postfix: a map whose answers never settle is a fault */

struct rewrite {
    struct dirset *set;
    struct arena *arena;
    unsigned class;
    rewrite_fn fn;
    void *arg;
    const struct dirmap *maps[2];
    size_t map, map_count;
    unsigned again;
    struct name_address addr;
    struct err err;
};

static void ask(struct rewrite *r);

static bool is_sender(unsigned class)
{
    return class & (REWRITE_ENVELOPE_SENDER | REWRITE_HEADER_SENDER);
}

static size_t maps_of(const struct dirset *set, unsigned class, const struct dirmap *out[2])
{
    const struct dirmap *own = is_sender(class) ? &set->sender_canonical
                                                : &set->recipient_canonical;
    unsigned own_classes = is_sender(class) ? set->sender_canonical_classes
                                            : set->recipient_canonical_classes;
    size_t n = 0;
    if (own->n && (own_classes & class))
        out[n++] = own;
    if (set->canonical.n && (set->canonical_classes & class))
        out[n++] = &set->canonical;
    return n;
}

static bool is_masked(const struct dirset *set, unsigned class)
{
    return set->cfg->masquerade_domains.n && (set->masquerade_classes & class);
}

bool rewrite_is_wanted(const struct dirset *set, unsigned class)
{
    const struct dirmap *maps[2];
    return maps_of(set, class, maps) > 0 || is_masked(set, class);
}

static void end(struct rewrite *r)
{
    const struct config *c = r->set->cfg;
    struct str domain, address = r->addr.printed;
    if (is_masked(r->set, r->class) &&
        masquerade_domain(&c->masquerade_domains, &c->masquerade_exceptions,
                          str_head(r->addr.key, r->addr.key.n - r->addr.at_domain.n),
                          r->addr.domain, &domain))
        address = arena_printf(r->arena, "%.*s@%.*s",
                               STR_FMT(str_head(address, address.n - r->addr.at_domain.n)),
                               STR_FMT(domain));
    r->fn(r->arg, VERDICT_YES, address, "");
}

static void cannot_say(struct rewrite *r)
{
    r->fn(r->arg, VERDICT_CANNOT_SAY, (struct str){0}, r->err.log);
}

/* The one address that the map has for this one; 0, or -1 and the error. */
static int take(struct rewrite *r, const struct find_result *found, struct name_address *to)
{
    const char *option = r->maps[r->map]->option;
    struct str rest = found->values[0].value, piece, more;
    if (found->count != 1 || !name_list_next(&rest, &piece) || name_list_next(&rest, &more))
        return err_temp(&r->err, "%s: %.*s does not lead to one address", option,
                        STR_FMT(str_head(r->addr.key, 200)));
    struct str text = name_alias_target(r->arena, &r->addr, piece, found->extension);
    if (name_address_read(r->arena, &r->set->names, text, to, &r->err) == 0)
        return 0;
    r->err.kind = ERR_TEMPORARY;
    return err_prefix(&r->err, "%s: %.*s leads to \"%.*s\", which is no address", option,
                      STR_FMT(str_head(r->addr.key, 200)), STR_FMT(str_head(piece, 100)));
}

static void on_found(void *arg, const struct find_result *found)
{
    struct rewrite *r = arg;
    struct name_address to;
    if (found->answer == LDAPMAP_CANNOT_SAY) {
        err_temp(&r->err, "%s", found->why);
        cannot_say(r);
        return;
    }
    bool settled = found->answer == LDAPMAP_NO;
    if (!settled) {
        if (take(r, found, &to) != 0) {
            cannot_say(r);
            return;
        }
        settled = str_eq(to.key, r->addr.key);
        r->addr = to;
    }
    if (!settled && ++r->again == AGAIN_MAX) {
        err_temp(&r->err, "%s: %.*s leads on and on", r->maps[r->map]->option,
                 STR_FMT(str_head(r->addr.key, 200)));
        cannot_say(r);
        return;
    }
    if (settled) {
        r->map++;
        r->again = 0;
    }
    ask(r);
}

static void ask(struct rewrite *r)
{
    if (r->map == r->map_count)
        end(r);
    else
        find_address(r->set, r->arena, r->maps[r->map], &r->addr, on_found, r);
}

void rewrite_run(struct dirset *set, struct arena *a, struct str address, unsigned class,
                 rewrite_fn fn, void *arg)
{
    struct rewrite *r = ARENA_NEW(a, struct rewrite);
    *r = (struct rewrite){.set = set, .arena = a, .class = class, .fn = fn, .arg = arg};
    r->map_count = maps_of(set, class, r->maps);
    if (name_address_read(a, &set->names, arena_str(a, address), &r->addr, &r->err) != 0)
        fn(arg, VERDICT_NO, (struct str){0}, r->err.log);
    else
        ask(r);
}

int rewrite_classes(const struct config_list *names, const char *option, unsigned *out,
                    struct err *e)
{
    static const struct {
        struct str name;
        unsigned bit;
    } all[] = {
        {{"envelope_sender", 15}, REWRITE_ENVELOPE_SENDER},
        {{"envelope_recipient", 18}, REWRITE_ENVELOPE_RECIPIENT},
        {{"header_sender", 13}, REWRITE_HEADER_SENDER},
        {{"header_recipient", 16}, REWRITE_HEADER_RECIPIENT},
    };
    *out = 0;
    for (size_t i = 0; i < names->n; i++) {
        unsigned bit = 0;
        for (size_t j = 0; j < sizeof all / sizeof all[0]; j++)
            if (str_eq(names->v[i], all[j].name))
                bit = all[j].bit;
        if (bit == 0)
            return err_perm(e, "%s: \"%.*s\" is none of envelope_sender, envelope_recipient, "
                               "header_sender, header_recipient", option, STR_FMT(names->v[i]));
        *out |= bit;
    }
    return 0;
}
