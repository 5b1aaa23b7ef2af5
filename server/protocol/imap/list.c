/* LIST's arguments; see list.h. */
#include "protocol/imap/list.h"

struct option {
    const char *name;
    unsigned bit;
};

/* The bit of the option that comes next, 0 when it is none of these. */
static unsigned try_option(struct imap_cursor *c, const struct option *known)
{
    for (; known->name; known++)
        if (imap_try_word(c, str_from(known->name)))
            return known->bit;
    return 0;
}

/* "(SUBSCRIBED RECURSIVEMATCH)", or nothing. */
static int get_selection(struct imap_cursor *c, struct imap_list *list)
{
    static const struct option known[] = {
        {"SUBSCRIBED", IMAP_LIST_SUBSCRIBED}, {"REMOTE", IMAP_LIST_REMOTE},
        {"RECURSIVEMATCH", IMAP_LIST_RECURSIVE}, {"SPECIAL-USE", IMAP_LIST_SPECIAL_USE}, {NULL, 0},
    };
    if (!imap_try(c, '('))
        return 0;
    list->extended = true;
    if (!imap_try(c, ')')) {
        do {
            unsigned bit = try_option(c, known);
            if (!bit)
                return imap_wrong(c, "Unknown LIST selection option");
            list->select |= bit;
        } while (imap_try(c, ' '));
        if (imap_get_char(c, ')') != 0)
            return -1;
    }
    /* RFC 5258 3.1: it says nothing without a criterion that a child can meet. */
    if ((list->select & IMAP_LIST_RECURSIVE) && !(list->select & IMAP_LIST_SUBSCRIBED))
        return imap_wrong(c, "RECURSIVEMATCH needs SUBSCRIBED");
    return imap_get_space(c);
}

/* One pattern, or several in parentheses. */
static int get_patterns(struct imap_cursor *c, struct arena *a, struct imap_list *list)
{
    if (!imap_try(c, '(')) {
        list->patterns = arena_array(a, 1, sizeof *list->patterns);
        list->n = 1;
        return imap_get_list_mailbox(c, list->patterns);
    }
    list->extended = true;
    size_t room = 0;
    do {
        if (list->n >= 100 || list->n >= c->limits->items)
            return imap_wrong(c, "Too many mailbox patterns");
        if (list->n == room) {
            struct str *more = arena_array(a, room = room ? room * 2 : 4, sizeof *more);
            if (list->n)
                memcpy(more, list->patterns, list->n * sizeof *more);
            list->patterns = more;
        }
        if (imap_get_list_mailbox(c, &list->patterns[list->n]) != 0)
            return -1;
        list->n++;
    } while (imap_try(c, ' '));
    return imap_get_char(c, ')');
}

/* " RETURN (CHILDREN STATUS (MESSAGES))", or nothing. */
static int get_returns(struct imap_cursor *c, struct imap_list *list)
{
    static const struct option known[] = {
        {"SUBSCRIBED", IMAP_RETURN_SUBSCRIBED}, {"CHILDREN", IMAP_RETURN_CHILDREN},
        {"SPECIAL-USE", IMAP_RETURN_SPECIAL_USE}, {"STATUS", IMAP_RETURN_STATUS}, {NULL, 0},
    };
    if (!imap_try(c, ' '))
        return 0;
    if (!imap_try_word(c, STR("RETURN")))
        return imap_wrong(c, "Too many arguments");
    list->extended = true;
    if (imap_get_space(c) != 0 || imap_get_char(c, '(') != 0)
        return -1;
    if (imap_try(c, ')'))
        return 0;
    do {
        unsigned bit = try_option(c, known);
        if (!bit)
            return imap_wrong(c, "Unknown LIST return option");
        list->returns |= bit;
        if (bit == IMAP_RETURN_STATUS &&
            (imap_get_space(c) != 0 || imap_get_status_items(c, &list->status) != 0))
            return -1;
    } while (imap_try(c, ' '));
    return imap_get_char(c, ')');
}

int imap_get_list(struct imap_cursor *c, struct arena *a, struct imap_list *list)
{
    *list = (struct imap_list){0};
    if (imap_get_space(c) != 0 || get_selection(c, list) != 0 ||
        imap_get_astring(c, &list->reference) != 0 || imap_get_space(c) != 0 ||
        get_patterns(c, a, list) != 0 || get_returns(c, list) != 0)
        return -1;
    if (list->select & IMAP_LIST_SUBSCRIBED) /* RFC 5258 3.1: one implies the other */
        list->returns |= IMAP_RETURN_SUBSCRIBED;
    return imap_get_end(c);
}
