/* THREADID; see thread_id.h. */
#include "session/thread_id.h"

#include "mail/header.h"
#include "mail/rfc5322.h"

#include <sodium.h>

enum { REFERENCES, IN_REPLY_TO, MESSAGE_ID, NAMES };

/* The first identifier of each field, in the first field of its name as THREAD takes it; n 0: none. */
static void first_ids(struct arena *a, struct str fields, struct str id[NAMES])
{
    static const struct str names[NAMES] = {
        [REFERENCES] = {"References", 10},
        [IN_REPLY_TO] = {"In-Reply-To", 11},
        [MESSAGE_ID] = {"Message-ID", 10},
    };
    bool seen[NAMES] = {false};
    struct mail_field f;
    struct mail_header_walk w = mail_header_walk(fields);
    memset(id, 0, NAMES * sizeof *id);
    while (mail_header_next(&w, &f))
        for (size_t i = 0; i < NAMES && f.colon; i++)
            if (!seen[i] && str_caseeq(f.name, names[i])) {
                seen[i] = true;
                if (!mail_msgid_next(a, &f.value, &id[i]))
                    id[i] = (struct str){0};
            }
}

struct str imap_threadid(struct imap_session *s, struct arena *a, size_t index, struct str fields,
                         char out[IMAP_EMAILID_SIZE])
{
    struct str id[NAMES];
    unsigned char hash[16];
    first_ids(a, fields, id);
    for (size_t i = 0; i < NAMES; i++) {
        if (id[i].n == 0)
            continue;
        crypto_generichash(hash, sizeof hash, (const unsigned char *)id[i].p, id[i].n, NULL, 0);
        sodium_bin2hex(out + 1, IMAP_EMAILID_SIZE - 1, hash, sizeof hash);
        out[0] = 'T';
        return str_from(out);
    }
    (void)imap_emailid(s, index, out);
    out[0] = 'T';
    return str_from(out);
}
