/* What the file names and the uidlist tell of a message for ever: its id and when it was saved. */
#include "store/mailbox_private.h"

/* What the uidlist says. Where only its end is known the rest is looked up; where that does not help it is read. */
static struct str listed(struct store_mailbox *mb, uint32_t uid, struct str base)
{
    struct store_uidlist *u = &mb->folder->uids;
    struct str guid;
    if (u->tail && store_uidlist_seek(u, uid, base, &guid) == 0)
        return guid;
    if (u->tail)
        store_uidlist_forget(u);
    /* Without a list, or with one that was just replaced, the name has to do. */
    const struct store_uidrec *r =
        store_uidlist_refresh(u, NULL) == 0 ? store_uidlist_find(u, base) : NULL;
    return r ? store_uidlist_guid(u, r) : (struct str){0};
}

struct str store_mailbox_object(struct store_mailbox *mb, size_t index)
{
    struct str base = store_mailbox_base(mb, index), guid;
    if (store_mailbox_piece(mb, index, STORE_PIECE_OBJECT, &guid))
        return guid;
    guid = listed(mb, mb->msg[index].uid, base);
    ptrdiff_t comma = str_find(base, ',');
    if (guid.n == 0)
        guid = comma > 0 ? str_head(base, (size_t)comma) : base;
    store_mailbox_keep(mb, index, STORE_PIECE_OBJECT, guid);
    return guid;
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
