/* SEARCH and UID SEARCH (RFC 3501 6.4.4). */
#include "session/search_match.h"

static bool charset_known(struct imap_session *s, struct str charset)
{
    return charset.n == 0 || str_caseeq(charset, STR("UTF-8")) ||
           str_caseeq(charset, STR("US-ASCII")) || mail_conv_known(s->conv, charset);
}

static void search(struct imap_session *s, const struct imap_search *root)
{
    struct search_match x;
    size_t count = store_mailbox_count(s->mailbox);
    search_match_begin(&x, s);
    output_z(&s->out, "* SEARCH");
    for (size_t i = 0; i < count && !x.failed && !s->out.failed; i++)
        if (search_match(&x, root, i))
            output_printf(&s->out, " %u", s->command->uid ? store_mailbox_at(s->mailbox, i)->uid
                                                          : (uint32_t)i + 1);
    output_z(&s->out, "\r\n");
    if (x.failed)
        imap_reply_error(s, &x.e);
    else
        imap_reply_done(s);
    search_match_end(&x);
}

void imap_cmd_search(struct imap_session *s, struct imap_cursor *args)
{
    struct imap_search_command what;
    if (imap_get_space(args) != 0 || imap_get_search(args, s->arena, &what) != 0) {
        imap_reply_bad(s, args->wrong);
        return;
    }
    if (!charset_known(s, what.charset)) {
        imap_reply_no(s, "[BADCHARSET (US-ASCII UTF-8)] The charset is not known here");
        return;
    }
    if (search_prepare(s, what.root, what.charset) != 0) {
        imap_reply_no(s, "[LIMIT] The search text is too long");
        return;
    }
    search(s, what.root);
}
