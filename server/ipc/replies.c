/* The words for refused recipients. */
#include "ipc/replies.h"

#define REJECTED "Recipient address rejected: "

const struct reply_rcpt *reply_rcpt(enum verdict v)
{
    static const struct reply_rcpt no = {"550 5.1.1", REJECTED, "User unknown"},
                                   not_here = {"554 5.7.1", "", "Relay access denied"},
                                   refused = {"550 5.2.1", REJECTED, "Mailbox disabled"},
                                   full = {"452 4.2.2", REJECTED, "Mailbox full"},
                                   later = {"451 4.3.0", REJECTED, "Temporary lookup failure"};
    switch (v) {
    case VERDICT_NO:
        return &no;
    case VERDICT_NOT_HERE:
        return &not_here;
    case VERDICT_REFUSED:
        return &refused;
    case VERDICT_FULL:
        return &full;
    default:
        return &later;
    }
}
