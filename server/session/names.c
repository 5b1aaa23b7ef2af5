/*
 * Mailbox names between the wire and the store, which keeps them in modified UTF-7 (RFC 3501 5.1.3).
 *
 * A client that has enabled UTF8=ACCEPT or IMAP4rev2 reads and writes UTF-8 (RFC 6855 3, RFC 9051 5.1);
 * from the others 8-bit names are taken as UTF-8 too.
 */
#include "session/names.h"

#include "protocol/imap/write.h"
#include "session/imap.h"

bool imap_speaks_utf8(const struct imap_session *s)
{
    return s->enabled & (IMAP_ON_UTF8 | IMAP_ON_REV2);
}

/* No controls and no line or paragraph separators in a name (RFC 6855 3). */
static bool is_net_unicode(struct str s)
{
    if (!str_is_text(s))
        return false;
    for (size_t i = 0; i + 2 < s.n; i++)
        if (memcmp(s.p + i, "\xe2\x80\xa8", 3) == 0 || memcmp(s.p + i, "\xe2\x80\xa9", 3) == 0)
            return false;
    return true;
}

/* In the store's form, or -1 with a reply. */
static int from_utf8(struct imap_session *s, struct str wire, struct str *name)
{
    AUTO_BUF utf7 = {0};
    if (!str_is_utf8(wire)) {
        imap_reply_bad(s, "The mailbox name is not UTF-8");
        return -1;
    }
    if (!is_net_unicode(wire) || imap_utf7_encode(&utf7, wire) != 0) {
        imap_reply_no(s, "[CANNOT] The mailbox name holds characters that names may not have");
        return -1;
    }
    *name = arena_str(s->arena, buf_view(&utf7));
    return 0;
}

int imap_get_folder(struct imap_session *s, struct imap_cursor *c, struct str *name)
{
    struct str wire;
    if (imap_get_space(c) != 0 || imap_get_mailbox(c, s->arena, &wire) != 0) {
        imap_reply_bad(s, c->wrong);
        return -1;
    }
    if (imap_speaks_utf8(s) || !str_is_ascii(wire))
        return from_utf8(s, wire, name);
    *name = wire;
    return 0;
}

int imap_get_last_folder(struct imap_session *s, struct imap_cursor *c, struct str *name)
{
    if (imap_get_folder(s, c, name) != 0)
        return -1;
    if (imap_get_end(c) == 0)
        return 0;
    imap_reply_bad(s, c->wrong);
    return -1;
}

/* A name is made only in the one spelling that clients can read (RFC 3501 5.1.3). */
bool imap_refuse_spelling(struct imap_session *s, struct str name)
{
    AUTO_BUF utf8 = {0};
    if (imap_utf7_decode(&utf8, name) == 0 && is_net_unicode(buf_view(&utf8)))
        return false;
    imap_reply_no(s, "[CANNOT] The name is not in modified UTF-7");
    return true;
}

struct str imap_folder_utf8(struct arena *a, struct str name)
{
    AUTO_BUF utf8 = {0};
    /* What another program named wrongly is shown as it is. */
    return imap_utf7_decode(&utf8, name) == 0 ? arena_str(a, buf_view(&utf8)) : name;
}

void imap_write_folder(struct imap_session *s, struct str name)
{
    struct buf *b = output_buf(&s->out);
    if (imap_speaks_utf8(s))
        imap_write_utf8(b, imap_folder_utf8(s->arena, name));
    else
        imap_write_astring(b, name);
}
