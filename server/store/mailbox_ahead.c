/*
 * Reading ahead: who reads many messages in their order from a disk need not wait for each of them.
 *
 * The kernel reads ahead within a file, not from one to the next. Whether the disk is in it at all the kernel's
 * own count of blocks tells; where everything is in memory, nothing is done.
 */
#include "store/mailbox_private.h"

#include <fcntl.h>
#include <sys/resource.h>

enum {
    LOOK = 16,          /* messages after which the count is looked at */
    WINDOW = 16,        /* messages that are asked for ahead */
    GAP = 4,            /* messages that may be left out */
    BYTES = 64 * 1024,  /* of each; in larger ones the kernel reads ahead by itself */
};

static long blocks_read(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? u.ru_inblock : 0;
}

static void want(const struct store_mailbox *mb, const struct store_msg *m)
{
    if (m->gone)
        return;
    AUTO_FD fd = store_file_open(mailbox_dir(mb, m), mailbox_name(mb, m), O_RDONLY, NULL);
    if (fd >= 0)
        (void)posix_fadvise(fd, 0, BYTES, POSIX_FADV_WILLNEED);
}

void mailbox_read_ahead(struct store_mailbox *mb, size_t index)
{
    struct mailbox_ahead *a = &mb->ahead;
    bool follows = index > a->last && index - a->last <= GAP;
    a->last = index;
    if (!follows) {
        a->run = 0;
        a->cold = false;
        return;
    }
    if (a->run++ % LOOK == 0) {
        long before = a->blocks;
        a->blocks = blocks_read();
        a->cold = a->run > 1 && a->blocks > before;
    }
    if (!a->cold)
        return;
    a->upto = a->upto > index && a->upto <= index + WINDOW + GAP ? a->upto : index + 1;
    for (; a->upto <= index + WINDOW && a->upto < mb->count; a->upto++)
        want(mb, &mb->msg[a->upto]);
}
