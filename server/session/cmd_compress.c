/* COMPRESS (RFC 4978). */
#include "session/imap.h"

#include "session/squeeze.h"

void imap_cmd_compress(struct imap_session *s, struct imap_cursor *args)
{
    struct str name;
    if (imap_get_space(args) != 0 || imap_get_atom(args, &name) != 0 || imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
    } else if (!str_caseeq(name, STR("DEFLATE"))) {
        imap_reply_bad(s, "Unknown compression");
    } else if (s->squeeze) {
        imap_reply_bad(s, "COMPRESS is active already");
    } else {
        s->squeeze_due = true;
        imap_reply_ok(s, "DEFLATE active");
    }
}

/* From the byte behind the reply on (RFC 4978 3). What the client has sent already can only be
 * compressed, or is refused as such. */
void imap_start_compression(struct imap_session *s)
{
    s->squeeze_due = false;
    output_flush(&s->out);
    s->squeeze = s->out.squeeze = squeeze_new();
    squeeze_feed(s->squeeze, imap_input(s));
    buf_clear(&s->in);
    s->in_at = 0;
}
