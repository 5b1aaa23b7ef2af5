/* The MIME tree, its texts and IMAP's words for it; checks that every span lies inside its parent. */
#include "mail/encoding.h"
#include "mail/imap_text.h"
#include "mail/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_part(struct str m, const struct mail_part *p)
{
    size_t end = p->body.at + p->body.n;
    require(p->header.at + p->header.n <= p->body.at && end <= m.n);
    require(!p->parent || (p->header.at >= p->parent->body.at &&
                           end <= p->parent->body.at + p->parent->body.n));
    uint32_t lines;
    require(mail_wire_size(mail_part_body(m, p), &lines) == p->body.wire && lines == p->body.lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str m = {(const char *)data, size};
    AUTO_ARENA a = arena_new(4096);
    struct mail_conv *c = mail_conv_new();
    struct mail_part *root = mail_mime_parse(a, m);
    AUTO_BUF out = BUF_MAX(1 << 24), crlf = {0}, other = BUF_MAX(1 << 24);
    for (const struct mail_part *p = root; p; p = mail_part_next(root, p)) {
        check_part(m, p);
        buf_clear(&out);
        (void)mail_part_text(c, m, p, &out);
    }
    buf_clear(&out);
    int whole = mail_imap_body(&out, a, m, root, true, 0);
    (void)mail_wire_add(&crlf, m);
    struct mail_part *again = mail_mime_parse(a, buf_view(&crlf));
    /* Line ends in the file change nothing that a client sees. */
    if (whole == 0 && mail_imap_body(&other, a, buf_view(&crlf), again, true, 0) == 0)
        require(str_eq(buf_view(&out), buf_view(&other)));
    mail_conv_free(c);
    return 0;
}
