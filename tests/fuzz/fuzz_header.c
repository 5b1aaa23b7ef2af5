/* Header fields, address lists, dates, message identifiers, encoded words, and the decoders cut in
 * two. */
#include "mail/encoding.h"
#include "mail/header.h"
#include "mail/imap_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fields(struct arena *a, struct mail_conv *c, struct str m)
{
    struct mail_header_walk w = mail_header_walk(m);
    struct mail_field f;
    int64_t t;
    int zone;
    char out[MAIL_DATE_SIZE];
    while (mail_header_next(&w, &f)) {
        struct str rest = f.value, id;
        struct mail_addr_list l = {0};
        mail_addrs_parse(a, mail_value_unfold(a, f.value), &l);
        while (mail_msgid_next(a, &rest, &id))
            ;
        (void)mail_words_text(a, c, f.value);
        if (mail_date_parse(f.value, &t, &zone) == 0) {
            int64_t again;
            if (mail_date_parse(mail_date_print(out, t, zone), &again, &zone) != 0 || again != t)
                abort();
        }
        (void)mail_date_parse_imap(f.value, &t, &zone);
    }
}

/* The same bytes come out however the input is cut. */
static void decoders(struct str m)
{
    struct mail_qp q = {.held_n = 0}, q2 = {.held_n = 0};
    struct mail_base64 b = {0}, b2 = {0};
    size_t cut = m.n / 3;
    char *x = malloc(m.n + 3 * MAIL_QP_SLACK), *y = malloc(m.n + 3 * MAIL_QP_SLACK);
    size_t nx = mail_qp_decode(&q, m, x), ny = mail_qp_decode(&q2, str_head(m, cut), y);
    nx += mail_qp_end(&q, x + nx);
    ny += mail_qp_decode(&q2, str_skip(m, cut), y + ny);
    ny += mail_qp_end(&q2, y + ny);
    if (nx != ny || memcmp(x, y, nx) != 0)
        abort();
    nx = mail_base64_decode(&b, m, x);
    ny = mail_base64_decode(&b2, str_head(m, cut), y);
    ny += mail_base64_decode(&b2, str_skip(m, cut), y + ny);
    if (nx != ny || memcmp(x, y, nx) != 0)
        abort();
    free(x);
    free(y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str m = {(const char *)data, size};
    AUTO_ARENA a = arena_new(4096);
    AUTO_BUF out = BUF_MAX(1 << 24);
    struct mail_conv *c = mail_conv_new();
    struct mail_envelope env;
    const struct str names[] = {STR("from"), STR("to")};
    fields(a, c, m);
    mail_envelope_parse(a, m, &env);
    (void)mail_imap_envelope(&out, &env, MAIL_IMAP_UTF8);
    buf_clear(&out);
    (void)mail_header_select(&out, m, names, 2, true);
    buf_clear(&out);
    (void)mail_casemap(m, &out);
    decoders(m);
    mail_conv_free(c);
    return 0;
}
