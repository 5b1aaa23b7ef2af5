/* EMAILID, THREADID, SAVEDATE, PREVIEW; see fetch_more.h. */
#include "session/fetch_more.h"

#include "mail/rfc5322.h"
#include "protocol/imap/write.h"
#include "session/thread_id.h"

#include <sodium.h>
#include <stdio.h>
#include <time.h>

struct str imap_emailid(struct imap_session *s, size_t index, char out[IMAP_EMAILID_SIZE])
{
    /* Names of files hold dots and more; RFC 8474 7 allows letters, digits, "-" and "_". */
    unsigned char hash[16];
    struct str object = store_mailbox_object(s->mailbox, index);
    crypto_generichash(hash, sizeof hash, (const unsigned char *)object.p, object.n, NULL, 0);
    out[0] = 'M';
    sodium_bin2hex(out + 1, IMAP_EMAILID_SIZE - 1, hash, sizeof hash);
    return str_from(out);
}

static void send_saved(struct imap_session *s, size_t index)
{
    char text[MAIL_DATE_SIZE];
    struct tm tm = {0};
    int64_t saved = store_mailbox_saved(s->mailbox, index);
    if (saved == STORE_DATE_UNKNOWN) {
        output_z(&s->out, "SAVEDATE NIL");
        return;
    }
    time_t t = (time_t)saved;
    localtime_r(&t, &tm);
    struct str d = mail_date_print_imap(text, saved, (int)(tm.tm_gmtoff / 60));
    output_printf(&s->out, "SAVEDATE \"%.*s\"", STR_FMT(d));
}

#define PREVIEW_FORMAT '1' /* the first byte of the piece, so that an empty preview is one too */

bool fetch_preview_is_one(struct str piece)
{
    return piece.n && piece.p[0] == PREVIEW_FORMAT;
}

void fetch_preview_send(struct imap_session *s, struct arena *a, size_t index, struct message *m,
                        struct str piece)
{
    AUTO_BUF text = {0};
    output_z(&s->out, "PREVIEW ");
    if (piece.p) {
        buf_str(&text, piece);
    } else if (!m->whole) {
        output_z(&s->out, "NIL");
        return;
    } else {
        buf_byte(&text, PREVIEW_FORMAT);
        imap_preview(s->conv, a, m, &text);
        store_mailbox_keep(s->mailbox, index, STORE_PIECE_PREVIEW, buf_view(&text));
    }
    struct str preview = str_skip(buf_view(&text), 1);
    if (imap_speaks_utf8(s))
        imap_write_utf8(output_buf(&s->out), preview);
    else
        imap_write_string(output_buf(&s->out), preview);
}

void fetch_more_send(struct imap_session *s, struct arena *a, size_t index, struct message *m,
                     const struct imap_fetch_item *item)
{
    char id[IMAP_EMAILID_SIZE];
    switch (item->kind) {
    case IMAP_FETCH_EMAILID:
        output_printf(&s->out, "EMAILID (%.*s)", STR_FMT(imap_emailid(s, index, id)));
        break;
    case IMAP_FETCH_THREADID:
        output_printf(&s->out, "THREADID (%.*s)",
                      STR_FMT(imap_threadid(s, a, index, buf_view(&m->usual), id)));
        break;
    case IMAP_FETCH_SAVEDATE:
        send_saved(s, index);
        break;
    default:
        break;
    }
}
