/* Finding parts and reading what they hold. */
#include "mail/encoding.h"
#include "mail/mime.h"

struct str mail_part_header(struct str message, const struct mail_part *p)
{
    return str_head(str_skip(message, p->header.at), p->header.n);
}

struct str mail_part_body(struct str message, const struct mail_part *p)
{
    return str_head(str_skip(message, p->body.at), p->body.n);
}

static const struct mail_part *child(const struct mail_part *p, uint32_t number)
{
    const struct mail_part *c = p->first;
    for (uint32_t i = 1; c && i < number; i++)
        c = c->next;
    return number ? c : NULL;
}

const struct mail_part *mail_part_find(const struct mail_part *root, const uint32_t *path,
                                       size_t n)
{
    const struct mail_part *p = root;
    bool message = true; /* p is a message whose parts are counted, not one of its parts */
    for (size_t i = 0; i < n && p; i++) {
        if (!message && p->kind == MAIL_PART_MESSAGE) {
            p = p->first;
            message = true;
        }
        if (p->kind == MAIL_PART_MULTIPART)
            p = child(p, path[i]);
        else if (!message || path[i] != 1)
            p = NULL;
        message = false;
    }
    return p;
}

const struct mail_part *mail_part_next(const struct mail_part *root, const struct mail_part *p)
{
    if (p->first)
        return p->first;
    for (; p != root; p = p->parent)
        if (p->next)
            return p->next;
    return NULL;
}

static int decode(struct str body, enum mail_cte cte, struct buf *out)
{
    if (cte != MAIL_CTE_BASE64 && cte != MAIL_CTE_QP)
        return buf_str(out, body);
    struct mail_base64 b64 = {0};
    struct mail_qp qp = {.held_n = 0};
    const size_t step = 65536;
    for (size_t at = 0; at < body.n; at += step) {
        struct str piece = str_head(str_skip(body, at), step);
        char *room = buf_room(out, piece.n + MAIL_QP_SLACK);
        if (!room)
            return -1;
        out->n += cte == MAIL_CTE_BASE64 ? mail_base64_decode(&b64, piece, room)
                                         : mail_qp_decode(&qp, piece, room);
    }
    char *room = buf_room(out, MAIL_QP_SLACK);
    if (!room)
        return -1;
    out->n += cte == MAIL_CTE_QP ? mail_qp_end(&qp, room) : 0;
    return 0;
}

int mail_part_text(struct mail_conv *c, struct str message, const struct mail_part *p,
                   struct buf *out)
{
    struct str body = mail_part_body(message, p);
    if (p->kind != MAIL_PART_TEXT)
        return decode(body, p->cte, out);
    const struct mail_param *v = mail_param_find(p->params, p->param_count, STR("charset"));
    struct str charset = v ? v->value : (struct str){0};
    if (p->cte != MAIL_CTE_BASE64 && p->cte != MAIL_CTE_QP)
        return mail_conv_utf8(c, charset, body, out);
    AUTO_BUF raw = {0};
    if (decode(body, p->cte, &raw) != 0)
        return -1;
    return mail_conv_utf8(c, charset, buf_view(&raw), out);
}
