/* The arguments around the keys of SEARCH, SORT and THREAD; see search.h. */
#include "protocol/imap/search.h"

/* --- RETURN (RFC 4731 3.1, 5182 2.1, 9394 3.1) --- */

int imap_get_partial(struct imap_cursor *c, struct imap_partial *p)
{
    p->from_end = imap_try(c, '-');
    if (imap_get_nz_number(c, &p->first) != 0 || imap_get_char(c, ':') != 0 ||
        (p->from_end && imap_get_char(c, '-') != 0))
        return -1;
    return imap_get_nz_number(c, &p->last);
}

void imap_partial_bounds(const struct imap_partial *p, size_t count, size_t *from, size_t *end)
{
    /* 500:400 is the same as 400:500 (RFC 9394 4). */
    size_t low = p->first < p->last ? p->first : p->last;
    size_t high = p->first < p->last ? p->last : p->first;
    low = low - 1 < count ? low - 1 : count;
    high = high < count ? high : count;
    *from = p->from_end ? count - high : low;
    *end = p->from_end ? count - low : high;
}

static int get_return(struct imap_cursor *c, struct imap_search_command *search)
{
    static const struct {
        const char *name;
        unsigned bit;
    } options[] = {
        {"MIN", IMAP_RETURN_MIN},     {"MAX", IMAP_RETURN_MAX},   {"ALL", IMAP_RETURN_ALL},
        {"COUNT", IMAP_RETURN_COUNT}, {"SAVE", IMAP_RETURN_SAVE}, {"PARTIAL", IMAP_RETURN_PARTIAL},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (!imap_try_word(c, str_from(options[i].name)))
            continue;
        unsigned bit = options[i].bit;
        if (bit == IMAP_RETURN_PARTIAL && (search->returns & bit))
            return imap_wrong(c, "Only one PARTIAL is allowed");
        search->returns |= bit;
        if (bit != IMAP_RETURN_PARTIAL)
            return 0;
        return imap_get_space(c) != 0 ? -1 : imap_get_partial(c, &search->partial);
    }
    return imap_wrong(c, "Unknown RETURN option");
}

static int get_returns(struct imap_cursor *c, struct imap_search_command *search)
{
    if (!imap_try_word(c, STR("RETURN")))
        return 0;
    search->extended = true;
    if (imap_get_space(c) != 0 || imap_get_char(c, '(') != 0)
        return -1;
    if (!imap_try(c, ')')) {
        do {
            if (get_return(c, search) != 0)
                return -1;
        } while (imap_try(c, ' '));
        if (imap_get_char(c, ')') != 0)
            return -1;
    }
    if ((search->returns & IMAP_RETURN_PARTIAL) && (search->returns & IMAP_RETURN_ALL))
        return imap_wrong(c, "PARTIAL and ALL exclude each other"); /* RFC 9394 3.1 */
    if (search->returns == 0)
        search->returns = IMAP_RETURN_ALL; /* RFC 4731 3.1 */
    return imap_get_space(c);
}

int imap_get_search(struct imap_cursor *c, struct arena *a, struct imap_search_command *search)
{
    *search = (struct imap_search_command){0};
    if (get_returns(c, search) != 0)
        return -1;
    if (imap_try_word(c, STR("CHARSET")) &&
        (imap_get_space(c) != 0 || imap_get_astring(c, &search->charset) != 0 ||
         imap_get_space(c) != 0))
        return -1;
    return imap_get_search_keys(c, a, search);
}

/* --- SORT and THREAD (RFC 5256 5) --- */

static int get_sort_key(struct imap_cursor *c, struct imap_search_command *search)
{
    static const struct {
        const char *name;
        enum imap_sort_key key;
    } names[] = {
        {"ARRIVAL", IMAP_SORT_ARRIVAL}, {"CC", IMAP_SORT_CC},
        {"DATE", IMAP_SORT_DATE},       {"FROM", IMAP_SORT_FROM},
        {"SIZE", IMAP_SORT_SIZE},       {"SUBJECT", IMAP_SORT_SUBJECT},
        {"TO", IMAP_SORT_TO},           {"DISPLAYFROM", IMAP_SORT_DISPLAY_FROM},
        {"DISPLAYTO", IMAP_SORT_DISPLAY_TO},
    };
    if (search->sort_count == IMAP_SORT_MAX)
        return imap_wrong(c, "Too many sort criteria");
    struct imap_sort *sort = &search->sort[search->sort_count++];
    sort->reverse = imap_try_word(c, STR("REVERSE"));
    if (sort->reverse && imap_get_space(c) != 0)
        return -1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (imap_try_word(c, str_from(names[i].name))) {
            sort->key = names[i].key;
            return 0;
        }
    }
    return imap_wrong(c, "Unknown sort criterion");
}

/* SP charset SP search-key ...: the charset is not optional here. */
static int get_criteria(struct imap_cursor *c, struct arena *a, struct imap_search_command *search)
{
    if (imap_get_space(c) != 0 || imap_get_astring(c, &search->charset) != 0 ||
        imap_get_space(c) != 0)
        return -1;
    return imap_get_search_keys(c, a, search);
}

int imap_get_sort(struct imap_cursor *c, struct arena *a, struct imap_search_command *search)
{
    *search = (struct imap_search_command){0};
    if (get_returns(c, search) != 0 || imap_get_char(c, '(') != 0)
        return -1;
    do {
        if (get_sort_key(c, search) != 0)
            return -1;
    } while (imap_try(c, ' '));
    if (imap_get_char(c, ')') != 0)
        return -1;
    return get_criteria(c, a, search);
}

int imap_get_thread(struct imap_cursor *c, struct arena *a, struct imap_search_command *search)
{
    *search = (struct imap_search_command){0};
    if (imap_try_word(c, STR("ORDEREDSUBJECT")))
        search->thread = IMAP_THREAD_ORDEREDSUBJECT;
    else if (imap_try_word(c, STR("REFERENCES")))
        search->thread = IMAP_THREAD_REFERENCES;
    else
        return imap_wrong(c, "Unknown threading algorithm");
    return get_criteria(c, a, search);
}
