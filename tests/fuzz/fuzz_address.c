/* Envelope addresses: what is accepted prints to a form that reads back as the same address. */
#include "mail/address.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    AUTO_ARENA a = arena_new(1024);
    struct str text = {(const char *)data + 1, size - 1}, rest = text, user, ext;
    struct mail_address m, again;
    struct err e;
    unsigned flags = data[0] & 15;
    if (mail_path_take(a, &rest, flags, &m, &e) == 0 && rest.n > text.n)
        abort();
    if (mail_address_parse(a, text, flags, &m, &e) != 0)
        return 0;
    (void)mail_local_split(m.local, STR("+-"), &user, &ext);
    (void)mail_fold_case(a, text);
    if (m.local.n == 0)
        return 0;
    struct str form = mail_address_print(a, &m);
    flags &= ~(unsigned)MAIL_ADDRESS_LENIENT;
    if (mail_address_parse(a, form, flags, &again, &e) != 0 || !str_eq(m.local, again.local) ||
        !str_eq(m.domain, again.domain))
        abort();
    return 0;
}
