/*
 * The smtp program: SMTP from other servers (25) and submission (587, 465). RFC 5321, 6409.
 *
 * It runs under its own uid in an empty root; what it knows of recipients are the grants that the
 * directory gave, and a message leaves it as a descriptor, to a deliver worker or to the queue.
 * Event-driven: a session waits for other programs by holding itself (session_hold) and goes on
 * when the last hold is released. Passwords pass through its memory and are wiped.
 *
 * Each session keeps the settings it came under; a transaction (struct mail) has an arena, and one
 * function, mail_reset, ends it.
 */
#ifndef FACTEUR_SMTP_SMTP_H
#define FACTEUR_SMTP_SMTP_H

#include "base/map.h"
#include "io/conn.h"
#include "ipc/front.h"
#include "ipc/program.h"
#include "ipc/rpc.h"
#include "ipc/relayed.h"
#include "protocol/sasl/sasl.h"
#include "protocol/smtp/command.h"
#include "protocol/smtp/data.h"
#include "protocol/smtp/reader.h"

/* How long other programs may take, in milliseconds; past it their answer is "cannot say". */
#define ASK_DIRECTORY_MS 100000
#define ASK_PROBE_MS 60000
#define ASK_DELIVER_MS 180000
#define ASK_QUEUE_MS 60000
#define ASK_FILTER_MS 900000 /* filters have time limits of their own */

struct smtpd {
    struct program *program;
    struct front front;
    struct rpc *directory, *deliver, *queue, *filter, *relay;
    uint64_t last_exchange; /* number of the SASL exchange relayed last */
    uint64_t last_filtered; /* number of the session that filters heard of last */
    struct map *probed; /* folded address → struct probed */
    struct session *sessions;
    unsigned session_count;
    uint64_t memory; /* octets of messages held */
    uint64_t connections, messages, refusals, logins, login_failures;
    bool stopping;
};

enum state {
    STATE_NEW = 1,   /* no EHLO or HELO yet */
    STATE_READY = 2,
    STATE_MAIL = 4,  /* MAIL was accepted */
    STATE_RCPT = 8,  /* and a recipient */
    STATE_BDAT = 16, /* and a chunk that was not the last */
    STATE_ANY = 31
};

enum reading { READ_COMMAND, READ_SASL, READ_DATA, READ_CHUNK };

enum outcome {
    TARGET_WAITS, TARGET_ASKED, TARGET_DELIVERED, TARGET_FAILED, TARGET_QUEUED, TARGET_EXPANDED,
    TARGET_GIVEN_BACK /* to an LMTP client, which tries again */
};

/* What goes to the members of a mailing list. Lies in the transaction's arena. */
struct letter {
    struct letter *next;
    uint32_t number;   /* from 1 */
    struct str list;   /* its address, folded */
    struct str sender; /* whom its errors go to; empty: the message's sender */
    bool closed;       /* not everybody may post */
    struct str prefix; /* header lines before the message */
};

/* One mailbox the message goes to. Lies in the transaction's arena. */
struct target {
    struct grant grant;
    struct str address;
    struct str key;      /* the address folded */
    struct str original; /* the recipient as it was said in RCPT */
    bool remote;         /* another server's: for the queue; its grant, if any, says that it may */
    bool loops;          /* the message was in this mailbox already */
    bool away;           /* its owner may be */
    bool unknown;        /* a member of a list who does not exist: for the queue, to tell of it */
    struct letter *letter; /* NULL: the message as it came */
    uint8_t notify;      /* SMTP_NOTIFY_* */
    struct str orcpt;    /* as it was said in RCPT */
    bool told;           /* the queue has made the report that was asked for */
    enum outcome outcome;
};

struct original {
    struct original *next;
    struct str address;
};

struct rcpt_list {
    struct str *v;
    size_t n, cap;
};

struct target_list {
    struct target **v;
    size_t n, cap;
};

/* Why a message that is read to its end will not be taken; the first reason counts. */
enum refusal {
    REFUSAL_NONE,
    REFUSAL_BARE,    /* a bare CR or LF */
    REFUSAL_SIZE,
    REFUSAL_MEMORY,
    REFUSAL_SPOOL,
    REFUSAL_FULL,    /* the spool's disk */
    REFUSAL_HEADER   /* a header of more than a mebibyte */
};

/* The message as it comes in. */
struct message {
    struct smtp_data decoder;
    struct buf bytes;    /* decoded; once spooled: only its header */
    uint64_t charged;    /* what of smtpd.memory is ours */
    int fd;              /* -1; the spool file; at the end that or the sealed memfd */
    uint64_t fd_size;    /* octets in fd */
    uint64_t trace_size; /* of these, the Received that we wrote */
    uint64_t body_at;    /* where its body begins */
    bool head_ended;     /* there is an empty line before that */
    enum refusal refusal;
    bool looked_at;       /* its header has its rewritten form, or needs none */
    struct buf rewritten; /* the header in that form; empty: as it came */
};

/* One transaction: everything between MAIL and its end. */
struct mail {
    struct arena *arena;
    struct smtp_mail from;
    struct str id; /* session id and number of the transaction */
    struct target_list targets;
    struct target_list expanded; /* recipients that stand for several, whose sender wants a receipt */
    struct letter *letters; /* of the lists among the recipients */
    bool of_list;          /* its header names a list already */
    struct map *seen;      /* folded addresses of the targets */
    struct str sender;     /* as the message goes on: from, rewritten perhaps */
    struct original *originals; /* the recipients accepted, where copies may hang on them */
    struct house *house;   /* the header is being rewritten */
    size_t copies;         /* questions about blind copies under way */
    bool copies_failed;
    size_t rcpts;          /* recipients accepted */
    size_t rcpts_refused;
    struct str only_rcpt;  /* the first accepted recipient */
    struct rcpt *rcpt;     /* the one under way */
    struct message message;
    struct buf prepended;  /* header lines that a table or a policy server wants */
    uint64_t chunk_size, chunk_left; /* of the BDAT chunk at hand */
    bool chunk_last, chunk_stray;    /* stray: out of place, read only to be thrown away */
    struct handing *handing; /* the message is on its way */
    struct rcpt_list lmtp; /* over LMTP: the recipients accepted, in their order */
    size_t final_replies;  /* the reply to the message is said so often; 0: once */
    struct filtering *filtering; /* what filters changed is being applied */
    bool filtered;         /* filters know of this transaction */
    bool discard;          /* they want it forgotten */
    bool hold;             /* to be held in the queue */
};

/* Of the client's address; empty: unknown. */
typedef void (*names_fn)(struct session *s, void *arg);
struct client_names {
    bool asked;
    char verified[MAIL_DOMAIN_MAX + 1]; /* leads back to the address */
    char reverse[MAIL_DOMAIN_MAX + 1];  /* what the address's record says */
    names_fn fn; /* who waits for them */
    void *arg;
};

struct session {
    struct smtpd *smtpd;
    struct front_settings *settings;
    struct session *next, **link;
    enum service service;
    struct conn *conn; /* NULL: the client is gone and a message is still on its way */
    struct addr peer, own; /* the client's end and ours */
    char id[20];
    enum state state;
    enum reading reading;
    struct smtp_reader reader;
    char hello[MAIL_DOMAIN_MAX + 1];
    struct client_names names;
    bool esmtp;
    const char *verb;       /* of the command at hand, for the log */
    struct mail mail;
    unsigned mails;         /* transactions so far */
    struct sasl sasl;
    struct relayed relayed; /* the exchange that it stands for, if any */
    struct grant grant;     /* of the login */
    struct rates_guess guess; /* at a password, being checked */
    char *login;            /* NULL: nobody logged in */
    struct ask *asks;
    uint64_t filter_number; /* filters know the session by it; 0: they do not know it */
    unsigned holds;         /* reasons not to read on */
    int64_t data_due_us;    /* when more of the message must have come, on the monotonic clock */
    bool data_begins;       /* its time is counted anew with the next octets */
    bool backlog;           /* too much output waits */
    bool from_here; /* the client is on this machine */
    bool closing, stopped, counted;
    int64_t reply_delay;    /* the next reply waits, in milliseconds */
    struct event *delay;
    struct buf delayed;     /* replies that wait */
    unsigned errors, junk;
};

/* --- main.c --- */
/* A session ended; when the program is stopping, perhaps it can now. */
void smtpd_session_ended(struct smtpd *d);

/* --- session.c --- */
/* from: the client, where the socket's peer is a load balancer; else NULL. */
void session_accept(struct smtpd *d, enum service service, int fd, const struct addr *from);
/* Stops reading, and lets time pass, until the matching release. Release may end the session: it is
 * the last thing a callback does with s. */
void session_hold(struct session *s);
void session_release(struct session *s);
/* After what is said, no more: the connection is closed when nothing holds the session. */
void session_close(struct session *s);
/* The program stops: idle sessions end with 421, those with a message on its way finish that. */
void session_stop(struct session *s);
/* Frees it at once. */
void session_cut(struct session *s);
const struct config *session_cfg(const struct session *s);
bool session_is_tls(const struct session *s);
/* Submission rules hold: 587, 465, and whoever has logged in. */
bool session_is_submission(const struct session *s);
bool session_may_starttls(const struct session *s);
/* AUTH is a command here at all; it is offered only under TLS. */
bool session_has_auth(const struct session *s);

/* --- reply.c --- */
/* One line, without its end, "250 2.0.0 Ok"; a 5xx counts as an error of the client. */
void reply(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Several lines of one reply, already with their ends. */
void reply_lines(struct session *s, struct str text);
/* The client text of e, or the fallback. */
void reply_err(struct session *s, const struct err *e);
void reply_delay_free(struct session *s);

/* --- ask.c --- */
/* Holds the session until the (last) answer came; reply NULL: nobody can say. The session goes on
 * after fn returned. */
typedef void (*ask_fn)(struct session *s, void *arg, struct msg *reply);
void ask(struct session *s, struct rpc *rpc, struct msg *m, int64_t timeout_ms, ask_fn fn,
         void *arg);
/* The session ends: no fn is called any more, and grants that come late are given back. */
void ask_leave_all(struct session *s);

/* --- commands.c --- */
void command_run(struct session *s, struct str line);

/* --- hello.c, misc.c, tls.c, auth.c, mail.c, rcpt.c, data.c: the commands --- */
void command_helo(struct session *s, struct str args);
void command_ehlo(struct session *s, struct str args);
void command_lhlo(struct session *s, struct str args);
void command_rset(struct session *s, struct str args);
void command_noop(struct session *s, struct str args);
void command_vrfy(struct session *s, struct str args);
void command_expn(struct session *s, struct str args);
void command_etrn(struct session *s, struct str args);
void command_help(struct session *s, struct str args);
void command_quit(struct session *s, struct str args);
void command_alien(struct session *s, struct str args);
void command_starttls(struct session *s, struct str args);
void command_auth(struct session *s, struct str args);
void command_mail(struct session *s, struct str args);
void command_rcpt(struct session *s, struct str args);
void command_data(struct session *s, struct str args);
void command_bdat(struct session *s, struct str args);

unsigned hello_extensions(const struct session *s); /* SMTP_EXT_* offered now */
void auth_line(struct session *s, enum smtp_line event, struct str line);
void auth_forget(struct session *s);

/* --- mail.c --- */
void mail_reset(struct session *s); /* the transaction is over, however it ended */
void mail_free(struct session *s);

/* --- rcpt.c --- */
/* Whom the directory named beside the recipients said becomes one of the mail's targets; original is
 * the caller's to set. NULL: it is there already, or unknown, and its grant is given back. */
struct target *target_join(struct session *s, const struct msg_target *t, struct letter *letter);
void rcpt_free(struct session *s); /* the recipient under way, if any */
void grant_drop(struct smtpd *d, const struct grant *g);

/* --- lists.c --- */
/* The letter of the list that led to these targets, made when it is new; NULL: no list did. */
struct letter *lists_letter(struct session *s, const struct msg_resolve_reply *r);
/* The envelope sender of a letter, or (NULL) of the message. */
struct str lists_sender(const struct session *s, const struct letter *l);
/* The message is here, and not sealed yet. */
void lists_look(struct session *s);
/* All recipients are known: what stands before the message in each letter. */
void lists_prepare(struct session *s);
/* The message has been at the list of this address before. */
void lists_mark_loop(struct session *s, struct str key);

/* --- rules.c: smtpd_*_restrictions --- */
/* refusal: the reply, or NULL when nothing stands against the recipient. */
typedef void (*rules_fn)(struct session *s, const char *refusal);
/* fn comes once, perhaps from inside. recipient lives as long as the arena; elsewhere: it is another
 * server's. */
void rules_run(struct session *s, struct arena *a, struct str recipient, bool elsewhere,
               rules_fn fn);
/* The client may send to other servers: it has logged in, or its network may. */
bool rules_may_relay(const struct session *s);

/* --- names.c --- */
/* fn comes when the DNS was asked for the client's names: from inside when it was, or when
 * smtpd_peername_lookup is off. One waits at a time. */
void names_need(struct session *s, names_fn fn, void *arg);
bool names_known(const struct session *s);
struct str names_verified(const struct session *s); /* "unknown" when there is none */
struct str names_reverse(const struct session *s);
/* Why there is no answer of the DNS; NULL: none came in time. */
struct str names_why(const struct msg *m);

/* --- policy.c --- */
typedef void (*policy_fn)(struct session *s, void *arg, struct str action);
/* Asks the policy server at place about a recipient; action: as in an access table, the default one
 * where there is no answer; it ends with fn. */
void policy_ask(struct session *s, struct arena *a, struct str place, struct str recipient,
                policy_fn fn, void *arg);
/* PREPEND: a line for the message's header, once. */
void policy_prepend(struct session *s, struct str line);

/* --- probed.c: mailboxes found fit a moment ago, by folded address --- */
bool probed_lately(const struct smtpd *d, struct str key, uint64_t size);
void probed_note(struct smtpd *d, struct str key, uint64_t size);
void probed_forget(struct smtpd *d, struct str key);
void probed_free(struct smtpd *d);

/* --- data.c: reading a message --- */
void data_read(struct session *s);
void chunk_read(struct session *s);

/* --- message.c: keeping it --- */
void message_start(struct session *s);
void message_take(struct session *s, struct str bytes);
/* More is to come: when it grows large, holds the session and fetches a spool file. */
void message_make_room(struct session *s);
void message_refuse(struct session *s, enum refusal why);
/* Everything is there: prefix and bytes in one descriptor, sealed where it can be. 0, or -1 with a
 * temporary error. */
int message_seal(struct session *s, struct err *e);
struct str message_header(const struct message *m);
/* So many octets of memory are the message's. */
void message_charge(struct session *s, uint64_t octets);
void message_free(struct session *s);

/* --- trace.c: what we write before the message --- */
/* Received, and on submission Date and Message-ID where they are missing. */
void trace_build(const struct session *s, struct str header, struct buf *out);

/* --- accept.c: the message is complete --- */
void accept_message(struct session *s);
/* Says why a message that was read is not taken; the transaction is over. */
void accept_refuse(struct session *s, enum refusal why);

/* --- submit.c: the rules for the header of a submitted message --- */
/* Calls house_start, perhaps later, or replies and ends the transaction. */
void submit_message(struct session *s);

/* --- lmtp.c --- */
bool session_is_lmtp(const struct session *s);
bool lmtp_may_enter(const struct session *s);
void lmtp_rcpt(struct session *s, struct str original);
/* Marks what failed here and is to be kept by the client: how many mailboxes. */
size_t lmtp_give_back(struct session *s);
/* One reply for each recipient. */
void lmtp_reply(struct session *s, const char *queue_id);

/* --- limits.c: false when it was too often; the reply is given, but for connections --- */
bool limits_connection(struct session *s);
bool limits_auth(struct session *s);
bool limits_guess(struct session *s, struct str user);
bool limits_mail(struct session *s);
bool limits_rcpt(struct session *s);

/* --- filter.c: what milters think of it --- */
/* Each calls go once filters agree, now or later; else it replies, and calls refused. */
typedef void (*filter_fn)(struct session *s);
void filter_mail(struct session *s, filter_fn go, filter_fn refused);
void filter_rcpt(struct session *s, struct str address, filter_fn go, filter_fn refused);
/* The sealed message; what filters change is applied before go. */
void filter_message(struct session *s, filter_fn go, filter_fn refused);
void filter_abort(struct session *s); /* the transaction is over */
void filter_end(struct session *s);   /* the session is */

/* --- edits.c: doing to the message what filters want --- */
/* edits: a sealed memfd, the caller's. */
void edits_apply(struct session *s, int edits, filter_fn go, filter_fn refused);
void edits_free(struct session *s);

/* --- rebuild.c: the message anew --- */
struct new_parts {
    bool has_header, has_body;
    struct str header, body; /* header: without the empty line */
};
uint64_t rebuild_size(const struct message *m, const struct new_parts *p);
/* spool: an empty file to take over for one that is large, or -1. 0, or -1 with an error. */
int rebuild_message(struct session *s, const struct new_parts *p, int spool, struct err *e);
/* --- house.c: rewriting, and blind copies --- */
/* ok: false when the directory cannot say. */
typedef void (*house_fn)(struct session *s, bool ok);
/* Rewrites the header that is there, where that is wanted; once a message. */
void house_header(struct session *s, house_fn fn);
/* The rest, and then handing_start; or replies and ends the transaction. */
void house_start(struct session *s);
void house_free(struct session *s);

/* --- handing.c: to the deliver workers and the queue --- */
void handing_start(struct session *s);
void handing_free(struct session *s);

#endif
