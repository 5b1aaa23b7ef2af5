/*
 * The relay program: takes messages from the queue as descriptors and brings them to other servers.
 * RFC 5321 (client side), 2033 (LMTP), 3207 (STARTTLS), 2920 (PIPELINING), 3030 (CHUNKING),
 * 1870 (SIZE), 6152, 6531, 7505.
 *
 * Own uid, empty root, event-driven; it opens no file and listens nowhere. A job is one ask of the
 * queue: it finds the destination's hosts (hosts.c), goes through their addresses (job.c), and runs
 * an SMTP session to one at a time (client.c, dialogue.c); sessions that ended well wait a moment
 * for the next job (idle.c). A job owns its arena, its session while it has one, and the descriptor.
 */
#ifndef FACTEUR_RELAY_RELAY_H
#define FACTEUR_RELAY_RELAY_H

#include "io/conn.h"
#include "ipc/keys.h"
#include "ipc/program.h"
#include "protocol/smtp/reply.h"
#include "relay/dns.h"
#include "relay/policy.h"
#include "relay/reach.h"
#include "relay/route.h"
#include "relay/source.h"
#include "relay/strict.h"
#include "relay/transport.h"

struct settings {
    unsigned holders;
    struct config *cfg;
    SSL_CTX *tls;
    struct nexthop relayhost; /* host empty: none */
    unsigned ignored_offers;  /* of servers' EHLO */
    struct reach reach;
};

/* A program that asks. */
struct peer {
    struct relay *relay;
    struct peer *next, **link;
    struct channel *ch;
    struct question *questions; /* ask.c */
};

struct relay {
    struct program *program;
    struct settings *settings;
    struct dns *dns;
    struct strict *strict;
    struct rpc *directory;
    struct config_list resolvers; /* of resolv.conf, read before the root was empty */
    struct arena *arena;
    struct peer *peers;
    struct peer master; /* none of them */
    struct job *jobs;
    struct client *idle; /* newest first */
    struct client *quitting;
    size_t idle_count;
    struct reach wall; /* what the kernel lets us reach; any: all, until the end */
    bool stopping;
    uint64_t sent, refused, deferred, connections, reused;
};

enum fate { FATE_OPEN, FATE_YES, FATE_NO, FATE_LATER };

struct recipient {
    struct str address, orcpt;
    uint8_t notify;
    bool dsn; /* who took it sends the reports that were asked for */
    struct str way; /* what transport_maps says; empty: nothing */
    unsigned round; /* 0: its round has not come yet */
    enum fate fate;
    const char *status, *server, *text; /* in the job's arena */
};

/* Why something did not work, for all recipients that it concerns. */
struct trouble {
    bool permanent;
    const char *status; /* "4.4.1" */
    char server[300];   /* empty: we say so */
    char text[800];
};

struct place {
    struct str host; /* the server's name, or its address when it was given so */
    struct addr addr;
};

struct job {
    struct relay *relay;
    struct settings *settings;
    struct peer *peer; /* NULL: gone, nobody wants the outcome */
    struct job *next, **link;
    struct arena *arena;
    uint64_t id;
    uint32_t flags;
    struct str session, queue_id, domain, sender, envid;
    uint8_t ret;
    struct recipient *rcpt;
    size_t rcpts;
    int fd;
    struct source source;
    struct nexthop nexthop;
    /* rounds.c */
    unsigned round;
    size_t asked;
    bool lmtp;
    /* destination.c */
    struct str destination; /* as written: what policies are looked up by */
    struct keys_ask *asking;
    struct tls_policy policy;
    bool policy_said; /* by smtp_tls_policy_maps */
    struct secret login; /* "user:password"; empty: none */
    /* enforce.c */
    struct strict_wait *waiting;
    enum sts_mode sts;
    struct str *sts_mx;
    size_t sts_mx_n;
    bool sts_watched; /* of the host at hand: what enforce would not allow is logged */
    /* hosts.c */
    struct dns_ask *ask;
    struct exchanger *hosts;
    size_t host_count, host_at;
    bool some_unknown; /* a host's addresses could not be found out just now */
    struct place *places; /* of the host at hand */
    size_t place_count, place_at;
    bool mx_secure;   /* the exchangers are signed, or were not asked for */
    bool host_secure; /* so are all its addresses */
    struct str canonical; /* the end of the host's CNAMEs */
    /* dane.c: of the host at hand */
    enum tls_level level; /* never DANE_ONLY */
    struct tlsa *tlsa;
    size_t tlsa_n;
    struct str tlsa_base;
    /* job.c */
    unsigned tried, sessions; /* addresses, and those that talked SMTP, of this round */
    bool talked; /* some server did, in any round */
    struct trouble trouble;   /* the last one that concerned the whole */
    struct client *client;
    bool plain; /* the next try is without TLS */
};

/* Is it one of the round at hand? */
static inline bool job_has(const struct job *j, size_t i)
{
    return j->rcpt[i].round == j->round;
}

enum step {
    STEP_CONNECT, STEP_GREETING, STEP_EHLO, STEP_HELO, STEP_STARTTLS, STEP_HANDSHAKE, STEP_AUTH, STEP_MAIL,
    STEP_RCPT, STEP_DATA, STEP_BODY, STEP_DOT, STEP_IDLE, STEP_QUIT
};

/* A session with one server. */
struct client {
    struct relay *relay;
    struct settings *settings;
    struct job *job; /* NULL: idle or ending */
    struct client *next, **link; /* while idle or quitting */
    struct str host, key;
    struct addr addr;
    struct arena *arena;
    int fd; /* until connected */
    struct event *connecting;
    struct conn *conn;
    enum step step;
    struct smtp_reply reply;
    bool replied; /* it is whole; the next one starts anew */
    unsigned offers;
    uint64_t size_limit;
    enum tls_level level;
    bool logged_in;
    unsigned logins; /* answers given to AUTH LOGIN */
    bool lmtp;
    bool plain;    /* no TLS this time */
    bool watched;  /* job's sts_watched */
    bool reused;   /* this job did not make the connection */
    bool answered; /* this job has had a reply */
    bool mail_refused;
    bool data_sent; /* with the RCPTs */
    size_t dots;    /* LMTP: recipients up to here have their answer to the message */
    size_t *order; /* the recipients of this transaction, in the job's arena */
    size_t order_n, sent, answers, accepted;
    bool *taken;   /* beside order: RCPT was answered with yes */
};

/* --- main.c --- */
void settings_drop(struct settings *s);
void relay_job_ended(struct relay *r); /* when stopping, perhaps it can now */

/* --- tls.c --- */
SSL_CTX *tls_context(struct str authorities, struct err *e);
/* For one connection; NULL with a permanent error. */
SSL *tls_connect(const struct client *c, struct err *e);

/* --- job.c --- */
void job_start(struct peer *p, struct msg *m);
void job_free(struct job *j); /* silently */
/* hosts.c found the next place, or there is none (more). */
void job_try(struct job *j, const struct place *p);
void job_no_more(struct job *j);
/* Of a client: an answer about one recipient; trouble with the server before it took anything; the
 * transaction is over. The client belongs to the job no more after the last two. */
void job_recipient(struct job *j, size_t i, enum fate fate, const char *status, const char *server,
                   const char *text);
void job_server_failed(struct job *j);
void job_transaction_over(struct job *j, bool may_go_on);
void trouble_set(struct trouble *t, bool permanent, const char *status, const char *server,
                 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The recipients of the round get what they lack, and the next round begins, or the job ends. */
void job_round_over(struct job *j);

/* --- rounds.c --- */
void rounds_start(struct job *j);
bool rounds_next(struct job *j); /* false: there is none left */

/* --- destination.c --- */
/* Where the round goes (nexthop empty: as without a map), and how TLS is used on the way; then
 * enforce_start. */
void destination_start(struct job *j, struct str nexthop);

/* --- tables.c --- */
/* Values that cannot be used, in the lists that cfg and the bundle hold: 0, or -1 with a permanent error that
 * names the option, the file with its line, and the key. s: read from cfg. */
int tables_try(const struct config *cfg, const struct settings *s, const struct bundle *b, struct err *e);

/* --- login.c --- */
enum login_start { LOGIN_NONE, LOGIN_STARTED, LOGIN_IN_CLEAR, LOGIN_NOT_OFFERED };
enum login_start login_start(struct client *c); /* before MAIL; STARTED: AUTH is sent */
bool login_continue(struct client *c); /* after 334; false: it makes no sense */

/* --- enforce.c: MTA-STS --- */
void enforce_start(struct job *j); /* then hosts_start */
void enforce_host(struct job *j);  /* the level of the host at hand is known; then hosts_place */
void enforce_watch(const struct client *c); /* before MAIL, or the login */
void enforce_over(struct job *j); /* the round is; its recipients have their fates */

/* --- dane.c --- */
void dane_start(struct job *j); /* then enforce_host */

/* --- ask.c: the DNS, for others --- */
void ask_start(struct peer *p, const struct msg_dns_ask *m);
void asks_end(struct peer *p); /* the peer is gone */

/* --- hosts.c --- */
void hosts_start(struct job *j);
void hosts_place(struct job *j); /* all is known about the host at hand */
void hosts_next(struct job *j);

/* --- client.c --- */
void client_start(struct job *j, const struct place *p);
void client_free(struct client *c); /* cuts the connection; NULL is fine */
/* Ends politely; it has no job any more. */
void client_quit(struct client *c);
void client_deadline(struct client *c, int64_t seconds);
/* The connection, or the talk, went wrong: the job is told. */
void client_failed(struct client *c, const char *status, const char *why);
int client_start_tls(struct client *c, struct err *e);
/* The enhanced code of the last reply, or what stands for it. */
const char *client_status(const struct client *c);
void client_server(const struct client *c, char out[300]); /* for reports */

/* --- dialogue.c --- */
void dialogue_begin(struct client *c);       /* a new connection */
void dialogue_after_tls(struct client *c);
void dialogue_read(struct client *c);
const char *dialogue_step(const struct client *c); /* "while …" */

/* --- transaction.c --- */
void transaction_begin(struct client *c); /* MAIL and what follows */
/* A reply at one of its steps. False when the client is gone, or busy with something else than reading on. */
bool transaction_reply(struct client *c);
void transaction_write(struct client *c); /* more of the message, when there is room */

/* --- idle.c --- */
struct str idle_key(const struct job *j, const struct place *p, struct arena *a);
void idle_put(struct client *c);
struct client *idle_take(struct relay *r, struct str key);
void idle_forget(struct client *c); /* it is idle no more */
void idle_end_all(struct relay *r);

#endif
