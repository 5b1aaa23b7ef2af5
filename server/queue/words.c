/* What a status code (RFC 3463) means to who sent the mail: a sentence, and what can be done. */
#include "queue/queue.h"

struct meaning {
    const char *status, *words;
};

/* The detail first, then the subject alone. */
static const struct meaning meanings[] = {
    {".1.1", "There is no such address. Look for a slip in the part before the @."},
    {".1.10", "The domain takes no mail at all."},
    {".1.2", "There is no such mail domain. Look for a slip in the part behind the @."},
    {".1.3", "The address is not written as addresses are."},
    {".1.6", "The person has moved and left no new address."},
    {".2.1", "The mailbox is closed at present."},
    {".2.2", "The mailbox is full. Its owner has to make room first."},
    {".2.3", "The message is larger than this mailbox takes. Send it in parts, or as a link."},
    {".3.4", "The message is larger than the server takes. Send it in parts, or as a link."},
    {".4.1", "The other mail server does not answer."},
    {".4.2", "The connection to the other mail server broke off."},
    {".4.3", "The way to the other mail server could not be looked up."},
    {".4.4", "No mail server could be found for the domain."},
    {".4.6", "The mail goes in a circle."},
    {".4.7", "The other mail server did not take it in time."},
    {".6.3", "The other mail server cannot take the characters in the message."},
    {".6.7", "The other mail server cannot take the characters in an address."},
    {".7.1", "The other side does not accept this mail from you."},
    {".7.23", "The other side does not accept the domain of your address (SPF)."},
    {".7.26", "The other side found no proof that the mail is yours (SPF, DKIM)."},
    {".7.", "The other side refuses it for reasons of security or policy."},
    {".1.", "There is something wrong with the address."},
    {".2.", "There is something wrong with the mailbox."},
    {".4.", "The other mail server could not be reached."},
    {".6.", "The other side cannot take the message in this form."},
};

static bool fits(struct str status, struct str pattern)
{
    if (pattern.p[pattern.n - 1] == '.')
        return str_starts(status, pattern);
    return str_eq(status, pattern);
}

void queue_words_print(const struct queue_attempt *a, struct buf *out)
{
    struct str status = str_skip(str_from(a->status), 1);
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (!fits(status, str_from(meanings[i].status)))
            continue;
        buf_printf(out, "    %s\n", meanings[i].words);
        return;
    }
}
