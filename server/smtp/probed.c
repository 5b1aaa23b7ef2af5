/*
 * Mailboxes that a worker found fit a moment ago need not be looked at again for every message of a
 * burst: a look costs as much as half a delivery. Only a yes is remembered, for a few seconds and for
 * messages no larger than the one it was given for. Should the mailbox have broken since, its
 * delivery fails, which forgets it here, and the message waits in the queue.
 */
#include "base/clock.h"
#include "smtp/smtp.h"

#include <stdlib.h>

#define REMEMBERED_MS 2000
#define REMEMBERED_MAX 4096

struct probed {
    int64_t until;
    uint64_t size;
};

bool probed_lately(const struct smtpd *d, struct str key, uint64_t size)
{
    const struct probed *p = d->probed ? map_get(d->probed, key) : NULL;
    return p && size <= p->size && clock_mono_ms() < p->until;
}

void probed_forget(struct smtpd *d, struct str key)
{
    if (d->probed)
        free(map_take(d->probed, key));
}

void probed_free(struct smtpd *d)
{
    map_free(d->probed, free);
    d->probed = NULL;
}

void probed_note(struct smtpd *d, struct str key, uint64_t size)
{
    int64_t now = clock_mono_ms();
    /* All at once rather than the oldest: what is lost are looks, and a full table is rare. */
    if (d->probed && map_count(d->probed) >= REMEMBERED_MAX)
        probed_free(d);
    if (!d->probed)
        d->probed = map_new();
    struct probed *p = map_get(d->probed, key);
    if (!p) {
        p = MEM_NEW(struct probed);
        map_put(d->probed, key, p);
    } else if (now < p->until && p->size > size) {
        return; /* a look for more holds for less */
    }
    *p = (struct probed){now + REMEMBERED_MS, size};
}
