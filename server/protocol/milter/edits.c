/* What filters changed. */
#include "protocol/milter/edits.h"

#define HEAD 5

void milter_edits_add(struct buf *out, enum milter_edit tag, struct str octets)
{
    uint32_t n = (uint32_t)octets.n;
    const unsigned char head[HEAD] = {(unsigned char)tag, (unsigned char)n, (unsigned char)(n >> 8),
                                      (unsigned char)(n >> 16), (unsigned char)(n >> 24)};
    buf_add(out, head, sizeof head);
    buf_str(out, octets);
}

static bool is_text(struct str s)
{
    return s.n <= MILTER_EDIT_TEXT_MAX && str_is_text(s);
}

int milter_edits_next(struct str *rest, enum milter_edit *tag, struct str *octets)
{
    const unsigned char *b = (const unsigned char *)rest->p;
    if (rest->n == 0)
        return 0;
    if (rest->n < HEAD)
        return -1;
    uint32_t n = (uint32_t)b[1] | (uint32_t)b[2] << 8 | (uint32_t)b[3] << 16 | (uint32_t)b[4] << 24;
    if (n > rest->n - HEAD)
        return -1;
    *tag = (enum milter_edit)rest->p[0];
    *octets = str_head(str_skip(*rest, HEAD), n);
    *rest = str_skip(*rest, HEAD + n);
    switch (*tag) {
    case MILTER_EDIT_HEADER:
    case MILTER_EDIT_BODY:
        return 1;
    case MILTER_EDIT_SENDER:
    case MILTER_EDIT_ADD_RCPT:
    case MILTER_EDIT_DELETE_RCPT:
    case MILTER_EDIT_QUARANTINE:
        return is_text(*octets) ? 1 : -1;
    }
    return -1;
}
