/*
 * The master at run time: its state, and what its parts offer each other.
 *
 * It reads files, binds ports, starts and watches the children, and passes grants on; it never
 * reads a byte that came from the network, only messages of fixed form from its children.
 */
#ifndef FACTEUR_MASTER_MASTER_H
#define FACTEUR_MASTER_MASTER_H

#include "base/clock.h"
#include "base/log.h"
#include "ipc/channel.h"
#include "ipc/counters.h"
#include "ipc/rates.h"
#include "master/material.h"
#include "master/ports.h"

struct master;

enum child_state { CHILD_DOWN, CHILD_STARTING, CHILD_READY, CHILD_ENDING };

struct child {
    struct master *m;
    enum kind kind;
    unsigned index;
    enum child_state state;
    pid_t pid;
    unsigned life;                /* which start this is: tells a restarted child from its forerunner */
    struct channel *ch;           /* NULL: none, or closed */
    struct event *timer;          /* restart, or a deadline, by state */
    int64_t started_ms;
    unsigned young_deaths, restarts;
    const struct material *given; /* the configuration it was started or reloaded with last */
    bool reload_due;              /* its answer to the reload under way is awaited */
    unsigned unanswered;          /* configurations sent as reloads and not answered yet */
    bool anew;                    /* takes the newest configuration at its next start only */
    bool status_due;
    char *status;                 /* text of its last answer; NULL: none */
};

enum master_state { MASTER_STARTING, MASTER_RUNNING, MASTER_STOPPING };

struct master {
    struct event_base *base;
    enum master_state state;
    struct material *now;
    struct ports ports;
    uint32_t last_port_number;
    struct child child[CHILDREN_MAX];
    size_t children;
    char empty_root[512];
    int null_fd;
    int rates_fd; /* for all that face the network */
    int counters_fd[KINDS]; /* -1: that kind has none */
    struct counters *counters[KINDS];
    int ready_fd; /* told once all children are ready; -1: nobody waits */
    int64_t started_ms;
    unsigned reloads;
    int exit_status;
    struct event *signals[4], *timer;
    struct sessions *sessions;
    struct control *control;
    struct reload *reload; /* one under way, or NULL */
    struct connect_name *names; /* connect.c */
    size_t names_n;
    uint64_t last_dns;
};

/* --- master.c --- */
/* Runs until told to stop; takes over the material. ready_fd: gets one byte when all is up. */
int master_run(struct material *mat, int ready_fd);
void master_stop(struct master *m, int status);
/* A child is ready (again), or is gone for now. */
void master_child_ready(struct master *m, struct child *c);
void master_child_gone(struct master *m, struct child *c);

/* --- child.c --- */
void children_make(struct master *m);
void children_free(struct master *m);
void child_start(struct child *c);
void child_end(struct child *c); /* SIGTERM, and SIGKILL after five seconds */
void child_reaped(struct child *c, int wait_status);
bool child_send(struct child *c, const struct msg *msg); /* false: it has no channel */
int child_configure(struct child *c, const struct material *mat, bool reload);
const char *child_state_name(const struct child *c);

/* --- spawn.c --- */
/* Starts the child's program with the other end of its channel: the pid, or -1 and errno. */
pid_t spawn_child(const struct child *c, int channel_fd);
/* Starts a program that says on out what is wrong with its bundle, and ends: the pid, or -1 and errno. */
pid_t spawn_trial(const struct material *mat, enum kind k, int out);

/* --- links.c --- */
/* Gives a child new channels to every live child it is linked to. -1: there are no descriptors for one, and
 * the child would not be asked, or could not ask. */
int links_connect(struct child *c);
/* Hands the child its table of counts. */
void links_counters(struct child *c);
/* Sends it every open port that is its own; tells all who are ready of the ports not told yet. */
void links_ports(struct child *c);
void links_new_ports(struct master *m);

/* --- sessions.c --- */
struct sessions *sessions_new(struct master *m);
void sessions_free(struct sessions *s);
void sessions_ask(struct sessions *s, struct child *access, const struct msg_session_ask *ask);
void sessions_redeemed(struct sessions *s, const struct msg_redeem_reply *r);
void sessions_started(struct sessions *s, const struct msg_session_started *r);
void sessions_ended(struct sessions *s, const struct msg_session_ended *r);
void sessions_child_gone(struct sessions *s, const struct child *c);
/* Was it a session whose parent had died? */
bool sessions_reaped(struct sessions *s, pid_t pid);
void sessions_stop_adopted(struct sessions *s);
/* The directory says that a user may not be logged in any more; and: it is ready (again). */
void sessions_end_user(struct sessions *s, const struct msg_login_end *r);
void sessions_directory_ready(struct sessions *s);
size_t sessions_count(const struct sessions *s);

/* --- connect.c --- */
/* The filter program wants a connection to one of its places. */
void connect_for(struct child *c, const struct msg_connect_ask *ask);
/* The relay program knows a name's addresses, or does not. */
void connect_named(struct master *m, const struct msg_dns_reply *reply);
/* What such a child asked for, or was asked, is over. */
void connect_child_gone(struct master *m, const struct child *c);

/* --- reload.c --- */
/* Starts a reload, unless one is under way; its outcome goes to the log and to control_reloaded. */
void reload_begin(struct master *m);
void reload_answer(struct master *m, struct child *c, struct str error);
void reload_child_gone(struct master *m, struct child *c);
void reload_free(struct master *m);

/* --- control.c --- */
struct control *control_open(struct master *m, struct err *e);
void control_close(struct control *c);
void control_status_came(struct control *c);
/* The directory has forgotten what it kept; or it is gone. */
void control_flushed(struct control *c, const struct msg_flush_reply *r);
void control_directory_gone(struct control *c);
/* The reload is over: why is empty when all took it. */
void control_reloaded(struct control *c, struct str why);

/* A line of an explanation came. */
void control_explained(struct control *c, const struct msg_explain_reply *r);
/* The directory program is gone: nothing more will come. */
void control_explain_lost(struct control *c);

/* One more line, or the last, of an answer of the queue; and: there will be none. */
void control_ordered(struct control *c, const struct msg_order_reply *r);
void control_orders_lost(struct control *c);

/* --- orders.c --- */
/* 0, or -1 when it is no order or the queue program is not ready. */
int orders_ask(struct master *m, uint64_t id, struct str args);

/* --- explain.c --- */
/* Asks the directory program; args as on the control socket. -1: it does not run, or they are wrong.
 */
int explain_ask(struct master *m, uint64_t id, struct str args);

/* --- life.c --- */
/* Makes the run directory, its empty root and the queue directory. */
int life_directories(const struct material *m, char *empty_root, size_t n, struct err *e);
/* The lock and process file: its descriptor, or -1; *running: another master's pid, or 0. */
int life_lock(const struct material *m, pid_t *running, struct err *e);
int life_write_pid(int fd);
void life_unlock(const struct material *m, int fd);
/* Is another master running there? */
bool life_running(const struct material *m);
/* Tells the service manager, where there is one (sd_notify(3)). */
void life_notify(const char *state);

#endif
