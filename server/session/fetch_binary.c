/* BINARY and BINARY.SIZE; see fetch_binary.h. */
#include "session/fetch_binary.h"

#include "mail/encoding.h"
#include "mail/wire.h"

enum { PIECE = 8192 };

/* A section decoded piece by piece, from its wire form: lines in a text end in CR LF (RFC 3516 6). */
struct decoding {
    struct mail_wire wire;
    enum mail_cte cte;
    union {
        struct mail_base64 base64;
        struct mail_qp qp;
    };
    bool ended;
};

/* The part whose body is sent; NULL: the section is the whole message, or there is none. */
static const struct mail_part *find_part(struct arena *a, struct message *m,
                                         const struct imap_section *section)
{
    if (section->depth == 0)
        return NULL;
    return mail_part_find(message_mime(m, a), section->part, section->depth);
}

/* Only what is no container is encoded (RFC 2045 6.4). */
static enum mail_cte encoding_of(const struct mail_part *p)
{
    bool leaf = p && (p->kind == MAIL_PART_LEAF || p->kind == MAIL_PART_TEXT);
    return leaf ? p->cte : MAIL_CTE_PLAIN;
}

int fetch_binary_check(struct arena *a, struct message *m, const struct imap_fetch *what,
                       struct err *e)
{
    for (size_t i = 0; i < what->n; i++) {
        const struct imap_fetch_item *item = &what->items[i];
        if (item->kind != IMAP_FETCH_BINARY && item->kind != IMAP_FETCH_BINARY_SIZE)
            continue;
        const struct mail_part *p = find_part(a, m, &item->section);
        if (encoding_of(p) != MAIL_CTE_UNKNOWN)
            continue;
        err_perm(e, "transfer encoding %.*s", STR_FMT(str_head(p->encoding, 100)));
        return err_client(e, "The transfer encoding of a part is not known");
    }
    return 0;
}

static struct decoding open_section(struct arena *a, struct message *m,
                                    const struct imap_section *section)
{
    const struct mail_part *p = find_part(a, m, section);
    struct str raw = p ? mail_part_body(m->raw, p) : section->depth ? (struct str){0} : m->raw;
    return (struct decoding){.wire = mail_wire_open(raw), .cte = encoding_of(p)};
}

/* Fills out (PIECE + MAIL_QP_SLACK bytes); 0 at the end. */
static size_t decode_piece(struct decoding *d, char *out)
{
    char in[PIECE];
    size_t n = 0;
    while (n == 0 && !d->ended) {
        size_t got = mail_wire_read(&d->wire, d->cte == MAIL_CTE_PLAIN ? out : in, PIECE);
        struct str piece = {in, got};
        d->ended = got == 0;
        if (d->cte == MAIL_CTE_BASE64)
            n = mail_base64_decode(&d->base64, piece, out);
        else if (d->cte == MAIL_CTE_QP)
            n = d->ended ? mail_qp_end(&d->qp, out) : mail_qp_decode(&d->qp, piece, out);
        else
            n = got;
    }
    return n;
}

/* The bytes from first to (not with) end, to out or, when it is NULL, only looked at. The count of all
 * bytes up to end is returned; *nul tells of a NUL among those asked for. */
static uint64_t walk(struct decoding d, uint64_t first, uint64_t end, struct output *out, bool *nul)
{
    char piece[PIECE + MAIL_QP_SLACK];
    uint64_t at = 0;
    for (size_t n; at < end && (n = decode_piece(&d, piece)) > 0; at += n) {
        uint64_t from = at < first ? first - at : 0, to = end - at < n ? end - at : n;
        if (from >= to)
            continue;
        if (out)
            output_str(out, (struct str){piece + from, (size_t)(to - from)});
        else
            *nul |= memchr(piece + from, '\0', (size_t)(to - from)) != NULL;
    }
    return at < end ? at : end;
}

void fetch_binary_send(struct imap_session *s, struct arena *a, struct message *m,
                       const struct imap_fetch_item *item)
{
    const struct imap_section *section = &item->section;
    bool only_size = item->kind == IMAP_FETCH_BINARY_SIZE, nul = false;
    struct decoding d = open_section(a, m, section);
    uint64_t first = section->partial ? section->offset : 0, end = UINT64_MAX;
    if (section->partial && section->length < UINT64_MAX - first)
        end = first + section->length;
    end = walk(d, first, end, NULL, &nul);
    first = first < end ? first : end;
    imap_section_write_as(output_buf(&s->out), only_size ? "BINARY.SIZE" : "BINARY", section);
    if (only_size) {
        output_printf(&s->out, " %llu", (unsigned long long)end);
        return;
    }
    output_printf(&s->out, " %s{%llu}\r\n", nul ? "~" : "", (unsigned long long)(end - first));
    walk(d, first, end, &s->out, &nul);
}
