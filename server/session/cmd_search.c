/* SEARCH, SORT, THREAD and their UID forms (RFC 3501 6.4.4, RFC 5256). */
#include "session/search_match.h"
#include "session/search_order.h"
#include "session/search_run.h"

typedef int get_arguments(struct imap_cursor *, struct arena *, struct imap_search_command *);

/* Reads the arguments and finds the messages; 0, or -1 with a reply set. */
static int find(struct imap_session *s, struct imap_cursor *args, get_arguments *get, bool sorted,
                struct imap_search_command *what, struct search_found *found)
{
    if (imap_get_space(args) != 0 || get(args, s->arena, what) != 0) {
        imap_reply_bad(s, args->wrong);
        return -1;
    }
    if (!sorted && what->charset.n && (s->enabled & IMAP_ON_UTF8)) { /* RFC 6855 3 */
        imap_reply_bad(s, "No CHARSET after ENABLE UTF8=ACCEPT");
        return -1;
    }
    if (sorted || search_looks_inside(what->root))
        store_mailbox_prepare(s->mailbox);
    if (search_begin(s, what) != 0)
        return -1;
    return search_find(s, what, sorted, found);
}

void imap_cmd_search(struct imap_session *s, struct imap_cursor *args)
{
    struct imap_search_command what;
    struct search_found found = {0};
    if (find(s, args, imap_get_search, false, &what, &found) == 0)
        search_answer(s, &what, "SEARCH", &found);
    search_found_free(&found);
}

void imap_cmd_sort(struct imap_session *s, struct imap_cursor *args)
{
    struct imap_search_command what;
    struct search_found found = {0};
    if (find(s, args, imap_get_sort, true, &what, &found) == 0 &&
        search_sort(s, &what, &found) == 0)
        search_answer(s, &what, "SORT", &found);
    search_found_free(&found);
}

void imap_cmd_thread(struct imap_session *s, struct imap_cursor *args)
{
    struct imap_search_command what;
    struct search_found found = {0};
    if (find(s, args, imap_get_thread, true, &what, &found) == 0)
        search_thread_answer(s, &what, &found);
    search_found_free(&found);
}
