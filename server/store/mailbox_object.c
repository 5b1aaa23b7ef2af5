/* What the file names and the uidlist tell of a message for ever: its id and when it was saved. */
#include "store/mailbox_private.h"

struct str store_mailbox_object(const struct store_mailbox *mb, size_t index)
{
    struct store_uidlist *u = &mb->folder->uids;
    struct str base = store_mailbox_base(mb, index);
    /* Without a list, or with one that was just replaced, the name has to do. */
    const struct store_uidrec *r =
        store_uidlist_refresh(u, NULL) == 0 ? store_uidlist_find(u, base) : NULL;
    struct str guid = r ? store_uidlist_guid(u, r) : (struct str){0};
    if (guid.n)
        return guid;
    ptrdiff_t comma = str_find(base, ',');
    return comma > 0 ? str_head(base, (size_t)comma) : base;
}

int64_t store_mailbox_saved(const struct store_mailbox *mb, size_t index)
{
    struct str base = store_mailbox_base(mb, index);
    uint64_t seconds;
    ptrdiff_t dot = str_find(base, '.');
    if (dot <= 0 || str_u64(str_head(base, (size_t)dot), &seconds) != 0 || seconds > UINT32_MAX)
        return STORE_DATE_UNKNOWN;
    return (int64_t)seconds;
}
