/*
 * Messages between programs: their structs (made from messages.def), and their encoding.
 *
 * One message is one SOCK_SEQPACKET datagram of at most MSG_LIMIT bytes: type, fields in order,
 * numbers little-endian, strings with a 32-bit length. Decoding checks type, sender, receiver,
 * every limit and that nothing is left over.
 */
#ifndef FACTEUR_IPC_MESSAGE_H
#define FACTEUR_IPC_MESSAGE_H

#include "base/mem.h"
#include "config/config.h" /* the names of the programs: MASTER, SMTP, … */

#define MSG_LIMIT 65536

/* The three answers and their kin. NO is permanent, CANNOT_SAY temporary. */
enum verdict {
    VERDICT_CANNOT_SAY = 0,
    VERDICT_YES = 1,
    VERDICT_NO = 2,          /* no such user, bad password, not yours */
    VERDICT_NOT_HERE = 3,    /* the domain is not hosted here */
    VERDICT_REMOTE = 4,      /* leads (partly) to another server */
    VERDICT_FULL = 5,        /* the mailbox has no room */
    VERDICT_REFUSED = 6,     /* known, and not allowed: disabled account, limits */
};

/* What a directory says of a password besides yes and no. With verdict NO, but for the last. */
enum auth_state {
    AUTH_PLAIN = 0,   /* nothing */
    AUTH_EXPIRED,     /* it was right, and is too old */
    AUTH_MUST_CHANGE, /* it is right, and good for changing it only */
    AUTH_LOCKED,      /* too many wrong ones: none is looked at */
    AUTH_DISABLED,    /* the account may not log in */
    AUTH_TOO_MANY,    /* CANNOT_SAY: too many wrong ones, from strangers; see directory/guard.h */
};
/* The password was the right one, whatever came of it. */
bool auth_was_right(enum verdict v, enum auth_state s);

enum service {
    SERVICE_SMTP = 1,
    SERVICE_SUBMISSION,
    SERVICE_SUBMISSIONS,
    SERVICE_IMAP,
    SERVICE_IMAPS,
    SERVICE_POP3,
    SERVICE_POP3S,
    SERVICE_LMTP,
};
const char *service_name(enum service s); /* "smtp", "submission", … */

enum {
    RESOLVE_FINAL = 1,         /* the address is a mailbox already: no aliases */
    RESOLVE_AUTHENTICATED = 2, /* the client has logged in, or its network may send */
    RESOLVE_ANY_SENDER = 4,    /* who may post to a list is not asked */
    /* Is its domain of this house? YES, without targets; REMOTE for relay_domains; NOT_HERE. */
    RESOLVE_DOMAIN = 8,
};

enum explain_what { EXPLAIN_RCPT = 1, EXPLAIN_LOGIN, EXPLAIN_SEND };
/* resolve_ask: not the address itself is asked for, but where a blind copy of its mail goes; NO: to
 * nobody. */
enum {
    RESOLVE_BCC_SENDER = 16,
    RESOLVE_BCC_RECIPIENT = 32,
    RESOLVE_BCC_ALWAYS = 64,
    RESOLVE_BCC = RESOLVE_BCC_SENDER | RESOLVE_BCC_RECIPIENT | RESOLVE_BCC_ALWAYS,
};

/* The classes of addresses that may be rewritten. */
enum {
    REWRITE_ENVELOPE_SENDER = 1,
    REWRITE_ENVELOPE_RECIPIENT = 2,
    REWRITE_HEADER_SENDER = 4,
    REWRITE_HEADER_RECIPIENT = 8,
};

enum {
    REDEEM_LOOK = 0, /* leaves the grant valid (probe) */
    REDEEM_USE = 1,  /* single use */
};

enum {
    ENQUEUE_NOW = 1, /* not tried yet: the first attempt comes at once */
    ENQUEUE_REMOTE = 2, /* the recipients are other servers' */
    ENQUEUE_SMTPUTF8 = 4, /* the client said SMTPUTF8 (RFC 6531) */
    ENQUEUE_HOLD = 8, /* kept until somebody releases it */
};

/* What filters want: of a transaction, a recipient, or a message. */
enum filter_action {
    FILTER_CONTINUE = 0,
    FILTER_REJECT,   /* 5xx, with our own text */
    FILTER_TEMPFAIL, /* 4xx */
    FILTER_REPLY,    /* the reply in text */
    FILTER_DISCARD,  /* 250, and nothing else */
};

/* A recipient of whom the queue only has to tell the sender. */
enum recipient_done {
    RECIPIENT_OPEN = 0,
    RECIPIENT_DELIVERED = 1, /* it has its mail */
    RECIPIENT_EXPANDED = 2,  /* it stands for several, and each of them is seen to */
    RECIPIENT_LOOPS = 3,     /* the message was there already */
    RECIPIENT_UNKNOWN = 4,   /* there is no such address */
};

enum { /* order_ask */
    QUEUE_ORDER_LIST = 1,
    QUEUE_ORDER_SHOW, /* a list, and the beginning of the message */
    QUEUE_ORDER_HOLD,
    QUEUE_ORDER_RELEASE,
    QUEUE_ORDER_RETRY,
    QUEUE_ORDER_DELETE,
};

/* dns_ask. YES; NO: there is none; REFUSED: the domain says that it takes no mail (RFC 7505). */
enum {
    DNS_ASK_MAIL = 1, /* a domain with mail servers */
    DNS_ASK_LIST = 3, /* a name in a DNS list */
    /* The name of an address. YES: it leads back to it; NO: it does not, or there is none. */
    DNS_ASK_CLIENT = 4,
    DNS_ASK_ADDRESSES = 5, /* those of a host */
};

/* access_ask: which keys are looked for (access(5)). */
enum {
    ACCESS_CLIENT = 1,  /* an address of the network and those around it */
    ACCESS_DOMAIN = 2,  /* a host name and the domains above it */
    ACCESS_ADDRESS = 3, /* a mail address, its domain, those above, the user in any domain */
};

#define GRANT_SIZE 16
struct grant {
    unsigned char b[GRANT_SIZE];
};
bool grant_is_none(const struct grant *g); /* all zero */

struct msg_target {
    struct grant grant;
    struct str address; /* the mailbox address the expansion ended at, or a remote one */
    bool remote;        /* another server's; the grant is none, or for the queue */
    bool away;          /* its owner may be: the queue is to be told of what is delivered */
    bool unknown;       /* a member of a list who does not exist: its owner is to be told */
};
struct msg_targets {
    struct msg_target *v;
    size_t n;
};
struct msg_recipient {
    struct str address;  /* mailbox address, or a remote one */
    struct str original; /* as it was said in RCPT */
    struct grant grant;  /* to send to this remote address, from the directory; or none */
    uint8_t notify;      /* SMTP_NOTIFY_* of protocol/smtp/dsn.h; 0: nothing was said */
    uint8_t done;        /* enum recipient_done */
    struct str orcpt;    /* as it was said in RCPT; empty: none */
};
struct msg_recipients {
    struct msg_recipient *v;
    size_t n;
};

typedef uint8_t msg_u8;
typedef uint32_t msg_u32;
typedef uint64_t msg_u64;
typedef struct str msg_str;
typedef struct grant msg_grant;
typedef struct msg_targets msg_targets;
typedef struct msg_recipients msg_recipients;

enum msg_type {
    MSG_NONE = 0,
#define MESSAGE(name, from, to, fds) MSG_##name,
#include "ipc/messages.def"
#undef MESSAGE
    MSG_COUNT
};

/* struct msg_NAME for every message. */
#define MSG_MEMBER(type, name, limit) msg_##type name;
#define MESSAGE(name, from, to, fds)                                                               \
    struct msg_##name {                                                                            \
        FIELDS_##name(MSG_MEMBER)                                                                  \
    };
#include "ipc/messages.def"
#undef MESSAGE

struct msg {
    enum msg_type type;
    int fd; /* -1, or a descriptor that travels with it */
    union {
#define MESSAGE(name, from, to, fds) struct msg_##name name;
#include "ipc/messages.def"
#undef MESSAGE
    };
};

/* A message of that type with everything else zero and no descriptor. */
#define MSG_INIT(t) {.type = MSG_##t, .fd = -1}

const char *msg_name(enum msg_type type);
/* Is reply what answers such an ask? */
bool msg_answers(enum msg_type reply, enum msg_type ask);
/* The first field of every ask and reply, 0 for messages without one. */
uint64_t msg_id(const struct msg *m);
void msg_set_id(struct msg *m, uint64_t id);

/* Appends the encoding: 0, or -1 with a permanent error naming the field past its limit. */
int msg_encode(const struct msg *m, struct buf *out, struct err *e);

/* Decodes one datagram. from and to are programs (MASTER, SMTP, …). Strings in *m are views into
 * bytes, lists lie in arena. m->fd is left -1; 0, or -1 with a permanent error. */
int msg_decode(struct str bytes, unsigned from, unsigned to, struct arena *arena, struct msg *m,
               struct err *e);
/* May the one send it to the other? */
bool msg_may_go(enum msg_type type, unsigned from, unsigned to);
bool msg_has_fd(enum msg_type type);

#endif
