/* A search made ready for many messages; see search_match.h. */
#include "session/search_match.h"

/* 0: the picture of the mailbox tells; 1: the file's own data; 2: the header; 3: all of it. */
static int cost(const struct imap_search *node)
{
    int most = 0;
    switch (node->key) {
    case IMAP_SEARCH_BEFORE:
    case IMAP_SEARCH_ON:
    case IMAP_SEARCH_SINCE:
    case IMAP_SEARCH_LARGER:
    case IMAP_SEARCH_SMALLER:
    case IMAP_SEARCH_OLDER:
    case IMAP_SEARCH_YOUNGER:
        return 1;
    case IMAP_SEARCH_HEADER:
    case IMAP_SEARCH_SENT_BEFORE:
    case IMAP_SEARCH_SENT_ON:
    case IMAP_SEARCH_SENT_SINCE:
    case IMAP_SEARCH_THREAD_ID:
        return 2;
    case IMAP_SEARCH_BODY:
    case IMAP_SEARCH_TEXT:
        return 3;
    default:
        for (const struct imap_search *k = node->kids; k; k = k->next)
            most = cost(k) > most ? cost(k) : most;
        return most;
    }
}

bool search_looks_inside(const struct imap_search *root)
{
    return cost(root) > 1;
}

/* The order of the keys of AND and OR does not matter to what they mean. */
static void sort_kids(struct imap_search *node)
{
    struct imap_search *rest = node->kids, *buckets[4] = {0}, **tails[4];
    for (int i = 0; i < 4; i++)
        tails[i] = &buckets[i];
    for (struct imap_search *next; rest; rest = next) {
        int c = cost(rest);
        next = rest->next;
        rest->next = NULL;
        *tails[c] = rest;
        tails[c] = &rest->next;
    }
    node->kids = NULL;
    for (int i = 4; i-- > 0;) {
        *tails[i] = node->kids;
        node->kids = buckets[i];
    }
}

static int prepare_text(struct imap_session *s, struct imap_search *node, struct str charset)
{
    AUTO_BUF utf8 = {0};
    AUTO_BUF folded = {0};
    if (charset.n == 0 || str_caseeq(charset, STR("US-ASCII")))
        charset = STR("UTF-8"); /* what is not ASCII is then most likely that */
    if (mail_conv_utf8(s->conv, charset, node->text, &utf8) != 0 ||
        mail_casemap(buf_view(&utf8), &folded) != 0)
        return -1;
    node->text = arena_str(s->arena, buf_view(&folded));
    return 0;
}

static void prepare_set(struct imap_session *s, struct imap_search *node)
{
    size_t count = store_mailbox_count(s->mailbox);
    uint32_t max = (uint32_t)count;
    if (node->set.saved) {
        node->key = IMAP_SEARCH_UID; /* which is how they are kept */
        node->set = s->saved;
        return;
    }
    if (node->key == IMAP_SEARCH_UID)
        max = count ? store_mailbox_at(s->mailbox, count - 1)->uid : 0;
    node->set = imap_set_resolve(s->arena, &node->set, max);
}

int search_prepare(struct imap_session *s, struct imap_search *node, struct str charset)
{
    for (struct imap_search *k = node->kids; k; k = k->next)
        if (search_prepare(s, k, charset) != 0)
            return -1;
    if (node->kids)
        sort_kids(node);
    switch (node->key) {
    case IMAP_SEARCH_HEADER:
        node->usual = message_field_is_usual(node->field);
        return prepare_text(s, node, charset);
    case IMAP_SEARCH_BODY:
    case IMAP_SEARCH_TEXT:
        return prepare_text(s, node, charset);
    case IMAP_SEARCH_SET:
    case IMAP_SEARCH_UID:
        prepare_set(s, node);
        return 0;
    case IMAP_SEARCH_FLAG:
        if (node->number != IMAP_RECENT)
            node->number = imap_store_flags((unsigned)node->number);
        else
            node->number = UINT64_MAX; /* \Recent is no flag of the store */
        return 0;
    case IMAP_SEARCH_KEYWORD: {
        int bit = store_mailbox_keyword_find(s->mailbox, node->text);
        node->number = bit < 0 ? 0 : 1u << bit;
        return 0;
    }
    default:
        return 0;
    }
}
