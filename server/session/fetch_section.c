/* Body sections; see fetch_section.h. */
#include "session/fetch_section.h"

#include "mail/header.h"
#include "mail/wire.h"

enum { PIECE = 32768 };

bool fetch_section_needs_header_only(const struct imap_section *section)
{
    return section->depth == 0 && section->text != IMAP_SECTION_ALL &&
           section->text != IMAP_SECTION_TEXT;
}

/* NUL may not stand in a literal (RFC 3501 9: CHAR8). */
static void hide_nuls(char *p, size_t n)
{
    for (char *at; (at = memchr(p, '\0', n)) != NULL;) {
        *at = '\x80';
        n -= (size_t)(at + 1 - p);
        p = at + 1;
    }
}

/* Exactly n bytes are sent, whatever becomes of the file meanwhile: the client counts on it. */
static void send_wire(struct imap_session *s, struct mail_wire *w, uint64_t n)
{
    while (n && !s->out.failed) {
        size_t want = n < PIECE ? (size_t)n : PIECE;
        char *to = buf_room(output_buf(&s->out), want);
        size_t got = mail_wire_read(w, to, want);
        hide_nuls(to, got);
        if (got == 0)
            memset(to, ' ', got = want);
        output_buf(&s->out)->n += got;
        output_check(&s->out);
        n -= got;
    }
}

/* A view as the value of the item, cut as a partial fetch asks. */
static void send_view(struct imap_session *s, const struct imap_section *section, struct str raw)
{
    uint64_t size = mail_wire_size(raw, NULL), skip = 0;
    struct mail_wire w = mail_wire_open(raw);
    if (section->partial) {
        skip = mail_wire_skip(&w, section->offset < size ? section->offset : size);
        size = section->length < size - skip ? section->length : size - skip;
    }
    output_printf(&s->out, " {%llu}\r\n", (unsigned long long)size);
    send_wire(s, &w, size);
}

/* The part that a section's text belongs to: with HEADER and TEXT it is the message inside a
 * message/rfc822 part (RFC 3501 6.4.5). NULL: there is none. */
static const struct mail_part *find_part(const struct mail_part *root,
                                         const struct imap_section *section)
{
    const struct mail_part *p = mail_part_find(root, section->part, section->depth);
    if (!p || section->depth == 0 || section->text == IMAP_SECTION_ALL ||
        section->text == IMAP_SECTION_MIME)
        return p;
    return p->kind == MAIL_PART_MESSAGE ? p->first : NULL;
}

static void send_fields(struct imap_session *s, const struct imap_section *section,
                        struct str header)
{
    AUTO_BUF text = {0};
    mail_header_select(&text, header, section->fields, section->field_n,
                       section->text == IMAP_SECTION_FIELDS_NOT);
    /* The empty line is given only where there is one (RFC 3501 6.4.5). */
    if (!mail_header_ends(header) && str_ends(buf_view(&text), STR("\r\n")))
        text.n -= 2;
    send_view(s, section, buf_view(&text));
}

static void send_part(struct imap_session *s, struct str raw, const struct imap_section *section,
                      const struct mail_part *p)
{
    switch (section->text) {
    case IMAP_SECTION_ALL:
    case IMAP_SECTION_TEXT:
        send_view(s, section, mail_part_body(raw, p));
        return;
    case IMAP_SECTION_HEADER:
    case IMAP_SECTION_MIME:
        send_view(s, section, mail_part_header(raw, p));
        return;
    case IMAP_SECTION_FIELDS:
    case IMAP_SECTION_FIELDS_NOT:
        send_fields(s, section, mail_part_header(raw, p));
        return;
    }
}

bool fetch_section_is_usual(const struct imap_section *section)
{
    bool usual = section->depth == 0 && section->text == IMAP_SECTION_FIELDS;
    for (size_t i = 0; i < section->field_n && usual; i++)
        usual = message_field_is_usual(section->fields[i]);
    return usual;
}

void fetch_section_send_usual(struct imap_session *s, const struct imap_section *section,
                              struct str fields)
{
    imap_section_write(output_buf(&s->out), section);
    send_fields(s, section, fields);
}

void fetch_section_send(struct imap_session *s, struct arena *a, struct message *m,
                        const struct imap_section *section)
{
    imap_section_write(output_buf(&s->out), section);
    size_t header = mail_header_size(m->raw);
    if (section->depth) {
        const struct mail_part *p = find_part(message_mime(m, a), section);
        if (p)
            send_part(s, m->raw, section, p);
        else /* clients take an empty text better than NIL for what is not there */
            output_z(&s->out, " {0}\r\n");
        return;
    }
    if (section->text == IMAP_SECTION_ALL)
        send_view(s, section, m->raw);
    else if (section->text == IMAP_SECTION_TEXT)
        send_view(s, section, str_skip(m->raw, header));
    else if (section->text == IMAP_SECTION_HEADER)
        send_view(s, section, str_head(m->raw, header));
    else
        send_fields(s, section, str_head(m->raw, header));
}
