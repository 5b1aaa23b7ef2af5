/*
 * session/imap: what the commands of an IMAP session share.
 *
 * A handler reads its arguments, sends its untagged responses to s->out and sets the tagged reply
 * with one of the imap_reply functions; the dispatcher sends what changed in the mailbox where the
 * command's row allows it, and then that reply.
 */
#ifndef FACTEUR_SESSION_IMAP_H
#define FACTEUR_SESSION_IMAP_H

#include "base/err.h"
#include "mail/encoding.h"
#include "protocol/imap/args.h"
#include "protocol/imap/fetch.h"
#include "protocol/imap/reader.h"
#include "session/names.h"
#include "session/output.h"
#include "session/session.h"
#include "store/mailbox.h"

enum imap_state { IMAP_AUTHENTICATED = 1, IMAP_SELECTED = 2 };

/* Which changes may be told when a command ends (RFC 3501 7.4.1): a row of the command table says. */
enum imap_tell {
    IMAP_TELL_NOTHING,    /* the command has told them itself, or the mailbox is gone */
    IMAP_TELL_NO_EXPUNGE, /* FETCH, STORE and SEARCH: numbers must not move */
    IMAP_TELL_ALL,
};

/* What ENABLE turns on (RFC 5161): bits of s->enabled. */
enum imap_enabled {
    IMAP_ON_CONDSTORE = 1,
    IMAP_ON_QRESYNC = 2,
    IMAP_ON_UTF8 = 4, /* UTF8=ACCEPT */
    IMAP_ON_REV2 = 8, /* IMAP4rev2 */
};

struct imap_session;

struct imap_command {
    const char *name; /* "UID FETCH" for a UID form */
    unsigned states;  /* enum imap_state bits in which it is allowed */
    enum imap_tell tell;
    bool uid;         /* numbers are UIDs */
    void (*run)(struct imap_session *s, struct imap_cursor *args);
};

struct imap_session {
    const struct session_settings *settings;
    int in_fd;
    struct buf in;      /* bytes read and not yet eaten */
    size_t in_at;       /* how many of them are eaten */
    struct output out;
    struct squeeze *squeeze; /* owned; NULL: nothing is compressed */
    bool squeeze_due;        /* compression starts behind this reply */
    struct imap_reader reader;
    struct imap_limits limits;
    struct arena *arena; /* one command's */
    struct mail_conv *conv;
    struct store_index *index;
    struct store_mailbox *mailbox; /* selected, or NULL */
    char *mailbox_name;
    struct store_mailbox *status_view; /* what STATUS keeps, or NULL */
    struct buf told_flags;         /* what FLAGS said last */
    uint64_t told_modseq;          /* all changes up to this one are told (RFC 7162 3.2) */
    struct imap_set saved;         /* "$" as UIDs, resolved (RFC 5182); search_run.h */
    struct search_text *text;      /* search_text.h; NULL until it is needed */
    const struct imap_command *command; /* the one that runs */
    char *tag;           /* of the command that runs */
    struct buf reply;    /* "OK ...": the tagged reply without the tag */
    unsigned enabled;    /* capabilities that ENABLE turned on (RFC 5161) */
    int64_t nap_at;      /* rest.c: monotonic ms */
    bool soon;           /* input.c: imap_input_soon can be asked */
    bool idling;         /* in IDLE, and tag is its tag */
    bool state_written;  /* resume.c: what lies in settings->state_fd is true */
    unsigned wrong;      /* BAD replies in a row */
    uint64_t commands, bytes_in; /* for the log */
    bool done;           /* the session ends after this reply */
    int status;          /* exit status */
};

/* --- reply.c --- */
/* The tagged reply; the last one set is sent. text may begin with a response code. */
void imap_reply_ok(struct imap_session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void imap_reply_no(struct imap_session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void imap_reply_bad(struct imap_session *s, const char *why);
/* NO with the code that fits the error (RFC 5530), and a log line. */
void imap_reply_error(struct imap_session *s, const struct err *e);
/* "OK NAME completed" */
void imap_reply_done(struct imap_session *s);
/* An untagged BYE; the session ends. */
void imap_bye(struct imap_session *s, const char *text);

/* --- update.c: what is told about the mailbox --- */
/* Looks at the selected mailbox and sends what changed. 0, or -1 when the look failed (logged; the
 * reply is then NO for those commands whose meaning is the look). */
int imap_tell_changes(struct imap_session *s, bool expunge);
bool imap_is_rev2(const struct imap_session *s); /* ENABLE IMAP4rev2 was said */
/* EXISTS, and RECENT for those who know it. */
void imap_tell_exists(struct imap_session *s, size_t exists, size_t recent);
/* "(\Seen $Junk)" of a message. */
void imap_write_flags(struct imap_session *s, const struct store_msg *m);
/* FLAGS and PERMANENTFLAGS of the selected mailbox, when they are not known to the client yet. */
void imap_tell_flags(struct imap_session *s);
void imap_tell_fetch_flags(struct imap_session *s, size_t index, bool with_uid);
/* "* 1 FETCH (...)" of UID, FLAGS and MODSEQ, which the view itself knows, at most IMAP_PLAIN_MAX of them. Quick:
 * clients ask for those of all messages. */
#define IMAP_PLAIN_MAX 6
void imap_tell_plain(struct imap_session *s, size_t index, const enum imap_fetch_kind *kinds, size_t n);

/* --- modseq.c: CONDSTORE and QRESYNC (RFC 7162) --- */
/* Is the client to be told mod-sequences in this mailbox? */
bool imap_tells_modseq(const struct imap_session *s);
/* A command showed that the client knows them: CONDSTORE is on from now on (RFC 7162 3.1). */
void imap_use_modseq(struct imap_session *s);
/* The same for a command that cannot do without them in the selected mailbox: true, and a reply, when
 * it has none. */
bool imap_refuse_modseq(struct imap_session *s);
void imap_tell_highest(struct imap_session *s);
/* Messages whose flags changed, and UIDs that vanished, after a mod-sequence, among those the client
 * knows (resolved; NULL: all). */
void imap_tell_changed(struct imap_session *s, uint64_t since, const struct imap_set *known);
void imap_tell_vanished(struct imap_session *s, uint64_t since, const struct imap_set *known);

/* --- mailbox.c: the selected mailbox --- */
void imap_unselect(struct imap_session *s);
/* Closes what STATUS keeps. */
void imap_leave_status(struct imap_session *s);
/* Before a wait for the client: the answers are sent, and nothing is held of the index. */
void imap_answered(struct imap_session *s);
/* The client may be silent now: what was left for a quiet moment. */
void imap_quiet(struct imap_session *s);
/* --- rest.c: little memory while the client is silent --- */
/* The client begins to be silent, or something was told to it. */
void imap_nap_begin(struct imap_session *s);
/* When it is time to rest, monotonic ms; INT64_MAX: it rests. */
int64_t imap_nap_due(const struct imap_session *s);
void imap_nap(struct imap_session *s);
/* The messages of the selected mailbox are in memory again. -1: they cannot be had, and the session ends. */
int imap_wake(struct imap_session *s);

/* --- resume.c: a session that another process can go on with --- */
/* Writes down what that takes, before a wait for the client; where it is asked for and possible. */
void imap_state_write(struct imap_session *s);
/* It is not true any more: something is read or told. */
void imap_state_spoil(struct imap_session *s);
/* Takes a session over from what was written. 0; -1 when that cannot be (logged). */
int imap_state_resume(struct imap_session *s);

/* --- cmd_idle.c --- */
/* What follows "+ idling", up to the reply. */
void imap_idle_go_on(struct imap_session *s);

/* Message indexes (ascending, in the arena) of a set of numbers or UIDs. -1: a number that does not
 * exist (*why), which is wrong for sequence numbers only. */
struct imap_indexes {
    size_t *v;
    size_t n;
};
int imap_indexes(struct imap_session *s, const struct imap_set *set, bool uid,
                 struct imap_indexes *out);
/* Reads the set argument and finds the messages; sets BAD and returns -1 when it is wrong. */
int imap_get_indexes(struct imap_session *s, struct imap_cursor *c, struct imap_indexes *out);
/* The same, and the set, resolved. */
int imap_get_set_indexes(struct imap_session *s, struct imap_cursor *c, struct imap_set *set,
                         struct imap_indexes *out);
/* UIDs as a set: "1:3,7". */
void imap_write_uids(struct buf *b, const uint32_t *uids, size_t n);
/* True, and a reply, when the selected mailbox must not be changed. */
bool imap_refuse_read_only(struct imap_session *s);
/* Finds the bits of keywords; create: makes those that are new. 0, or -1 with a reply set. */
int imap_keyword_bits(struct imap_session *s, const struct imap_flags *flags, bool create,
                      uint32_t *bits);
uint8_t imap_store_flags(unsigned system); /* enum imap_flag bits as STORE_ bits */

/* --- names.c --- */
/* A blank and a mailbox name, in the form the store knows, in the arena. 0, or -1 with a reply set. */
int imap_get_folder(struct imap_session *s, struct imap_cursor *c, struct str *name);
/* The same, with nothing behind it. */
int imap_get_last_folder(struct imap_session *s, struct imap_cursor *c, struct str *name);
/* True, and a reply, when a mailbox cannot be made by this name. */
bool imap_refuse_spelling(struct imap_session *s, struct str name);

/* --- cmd_list.c --- */
/* The LIST response that goes with SELECT in IMAP4rev2 (RFC 9051 6.3.2). */
void imap_list_selected(struct imap_session *s);

/* --- cmd_status.c --- */
/* Opens a mailbox and looks: 0; 1 when there is none; -1 and *e. items: enum imap_status_item. */
int imap_status_get(struct imap_session *s, struct str name, unsigned items,
                    struct store_status *status, struct err *e);
/* "* STATUS name (...)" */
void imap_status_tell(struct imap_session *s, struct str name, unsigned items,
                      const struct store_status *status);
/* The MAILBOXID of a folder's own id (RFC 8474 4). */
void imap_write_mailboxid(struct buf *b, const unsigned char guid[16]);

/* --- input.c --- */
/* Reads more input: 1 when there is some, 0 at the end or when the client was silent for too long
 * (s->done is set then). */
int imap_input_read(struct imap_session *s);
void imap_input_begin(struct imap_session *s);
/* A client that goes on at once: waits a moment and reads, in one. True: there is input, or the session is asked to
 * end, or it is done; false: the client may pause, wait with imap_input_read(). */
bool imap_input_soon(struct imap_session *s);
/* True when imap_input_read() need not wait for the client. */
bool imap_input_pending(const struct imap_session *s);
/* What BYE says after a signal of session/stop.h; NULL: none has come. */
const char *imap_input_stopped(void);
struct str imap_input(struct imap_session *s);
void imap_input_eat(struct imap_session *s, struct str rest);

/* --- the commands --- */
extern const struct imap_command imap_commands[];
void imap_write_capabilities(struct imap_session *s, struct buf *b);

void imap_cmd_capability(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_noop(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_check(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_logout(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_id(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_namespace(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_enable(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_login(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_select(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_examine(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_close(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_unselect(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_expunge(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_create(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_delete(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_rename(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_subscribe(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_unsubscribe(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_list(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_lsub(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_status(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_getquota(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_getquotaroot(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_append(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_compress(struct imap_session *s, struct imap_cursor *args);
void imap_start_compression(struct imap_session *s); /* cmd_compress.c: after the reply */
void imap_cmd_replace(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_idle(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_search(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_sort(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_thread(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_fetch(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_store(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_copy(struct imap_session *s, struct imap_cursor *args);
void imap_cmd_move(struct imap_session *s, struct imap_cursor *args);

#endif
