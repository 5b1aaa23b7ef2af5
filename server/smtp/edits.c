/*
 * Doing what filters want: another sender, other recipients, another header or body, held in the
 * queue. The edits come sealed from the filter program, whose word they are; addresses in them are
 * parsed, and a recipient they add is asked of the directory like any other.
 */
#include "base/log.h"
#include "protocol/milter/edits.h"
#include "smtp/smtp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define IN_MEMORY_MAX (1024 * 1024)
#define OVER_LIMIT (4 * 1024 * 1024) /* what filters may add to a message of the largest size */
#define ADDED_MAX 100

struct filtering {
    char *map;
    size_t size;
    struct new_parts parts;
    struct str added[ADDED_MAX];
    size_t added_count, added_at;
    struct str adding; /* in the transaction's arena */
    bool sender_changed;
    filter_fn go, refused;
};

void edits_free(struct session *s)
{
    struct filtering *f = s->mail.filtering;
    if (!f)
        return;
    if (f->map)
        munmap(f->map, f->size);
    free(f);
    s->mail.filtering = NULL;
}

static void fail(struct session *s, const char *why)
{
    filter_fn refused = s->mail.filtering->refused;
    log_error("filter-edits", LS("session", s->mail.id), LZ("why", why));
    s->verb = "DATA";
    edits_free(s);
    reply(s, "451 4.3.0 Error: the message could not be filtered, try again later");
    refused(s);
}

/* --- reading them --- */

static int map_edits(struct filtering *f, int fd)
{
    struct stat st;
    const int seals = F_SEAL_WRITE | F_SEAL_SHRINK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (fcntl(fd, F_GET_SEALS) & seals) != seals)
        return -1;
    f->size = (size_t)st.st_size;
    f->map = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (f->map == MAP_FAILED)
        f->map = NULL;
    return f->map ? 0 : -1;
}

static int normal_form(struct session *s, struct str text, struct str *out)
{
    struct mail_address a;
    struct err e = {0};
    unsigned flags = MAIL_ADDRESS_UTF8 | MAIL_ADDRESS_LENIENT;
    if (mail_address_parse(s->mail.arena, text, flags, &a, &e) != 0)
        return -1;
    *out = mail_address_print(s->mail.arena, &a);
    return 0;
}

static int change_sender(struct session *s, struct str text)
{
    struct str sender = {"", 0};
    if (text.n && normal_form(s, text, &sender) != 0)
        return -1;
    log_info("filter-sender", LS("session", s->mail.id), LS("from", s->mail.from.path),
             LS("now", sender));
    s->mail.from.path = s->mail.sender = sender;
    s->mail.filtering->sender_changed = true;
    return 0;
}

static void delete_rcpt(struct session *s, struct str text)
{
    struct target_list *list = &s->mail.targets;
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct target *t = list->v[i];
        if (!str_caseeq(t->original, text) && !str_caseeq(t->address, text)) {
            list->v[kept++] = t;
            continue;
        }
        log_info("filter-rcpt-deleted", LS("session", s->mail.id), LS("to", t->address));
        grant_drop(s->smtpd, &t->grant);
        map_take(s->mail.seen, t->key);
    }
    list->n = kept;
}

static int take_edit(struct session *s, enum milter_edit tag, struct str octets)
{
    struct filtering *f = s->mail.filtering;
    switch (tag) {
    case MILTER_EDIT_HEADER:
        f->parts.has_header = true;
        f->parts.header = octets;
        return 0;
    case MILTER_EDIT_BODY:
        f->parts.has_body = true;
        f->parts.body = octets;
        return 0;
    case MILTER_EDIT_SENDER:
        return change_sender(s, octets);
    case MILTER_EDIT_ADD_RCPT:
        if (f->added_count == ADDED_MAX)
            return -1;
        f->added[f->added_count++] = octets;
        return 0;
    case MILTER_EDIT_DELETE_RCPT:
        delete_rcpt(s, octets);
        return 0;
    case MILTER_EDIT_QUARANTINE:
        log_info("quarantine", LS("session", s->mail.id), LS("why", octets));
        s->mail.hold = true;
        return 0;
    }
    return -1;
}

static int take_edits(struct session *s)
{
    struct filtering *f = s->mail.filtering;
    struct str rest = {f->map, f->size}, octets;
    enum milter_edit tag;
    int r;
    while ((r = milter_edits_next(&rest, &tag, &octets)) > 0)
        if (take_edit(s, tag, octets) != 0)
            return -1;
    return r;
}

/* --- the content --- */

static void done(struct session *s)
{
    filter_fn go = s->mail.filtering->go;
    s->verb = "DATA";
    edits_free(s);
    if (s->mail.targets.n == 0) { /* the filters left nobody to bring it to */
        s->mail.discard = true;
        log_info("filter-no-rcpt", LS("session", s->mail.id));
    }
    go(s);
}

static void rebuild(struct session *s, int spool)
{
    struct err e = {0};
    if (rebuild_message(s, &s->mail.filtering->parts, spool, &e) != 0)
        fail(s, e.log);
    else
        done(s);
}

static void on_spool(struct session *s, void *arg, struct msg *m)
{
    (void)arg;
    if (!m || m->spool_reply.verdict != VERDICT_YES) {
        fail(s, "no spool file");
        return;
    }
    int fd = m->fd;
    m->fd = -1;
    rebuild(s, fd);
}

static void change_content(struct session *s)
{
    const struct new_parts *p = &s->mail.filtering->parts;
    uint64_t size = rebuild_size(&s->mail.message, p);
    struct msg m = MSG_INIT(spool_ask);
    if (!p->has_header && !p->has_body) {
        done(s);
    } else if (size > session_cfg(s)->message_size_limit + OVER_LIMIT) {
        fail(s, "filters made it larger than message_size_limit");
    } else if (size <= IN_MEMORY_MAX) {
        rebuild(s, -1);
    } else {
        m.spool_ask.size = size;
        ask(s, s->smtpd->queue, &m, ASK_QUEUE_MS, on_spool, NULL);
    }
}

/* --- recipients --- */

static void add_next(struct session *s);

static void add_target(struct session *s, const struct msg_target *t, struct letter *letter)
{
    struct target *mine = target_join(s, t, letter);
    if (mine)
        mine->original = s->mail.filtering->adding;
}

static void on_resolved(struct session *s, void *arg, struct msg *m)
{
    const struct msg_resolve_reply *r = m ? &m->resolve_reply : NULL;
    struct letter *letter = r ? lists_letter(s, r) : NULL;
    struct str address = s->mail.filtering->adding;
    uint8_t verdict = r ? r->verdict : VERDICT_CANNOT_SAY;
    (void)arg;
    for (size_t i = 0; r && i < r->targets.n; i++)
        add_target(s, &r->targets.v[i], letter);
    if (r && r->more)
        return;
    if (verdict == VERDICT_NOT_HERE && s->login) {
        struct msg_target itself = {.address = address, .remote = true};
        add_target(s, &itself, NULL);
    } else if (verdict == VERDICT_CANNOT_SAY) {
        fail(s, "the directory cannot say where a recipient that a filter added leads");
        return;
    } else if (verdict != VERDICT_YES && verdict != VERDICT_REMOTE) {
        log_warning("filter-rcpt-refused", LS("session", s->mail.id), LS("to", address),
                    LN("verdict", verdict));
    }
    add_next(s);
}

static void add_next(struct session *s)
{
    struct filtering *f = s->mail.filtering;
    struct msg m = MSG_INIT(resolve_ask);
    if (f->added_at == f->added_count) {
        change_content(s);
        return;
    }
    if (normal_form(s, f->added[f->added_at++], &f->adding) != 0) {
        fail(s, "a recipient that a filter added is no address");
        return;
    }
    log_info("filter-rcpt-added", LS("session", s->mail.id), LS("to", f->adding));
    m.resolve_ask.address = f->adding;
    m.resolve_ask.sender = s->mail.from.path;
    m.resolve_ask.flags = rules_may_relay(s) ? RESOLVE_AUTHENTICATED : 0;
    ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, on_resolved, NULL);
}

/* --- the sender --- */

static void on_sender(struct session *s, void *arg, struct msg *m)
{
    filter_fn refused = s->mail.filtering->refused;
    uint8_t verdict = m ? m->sender_reply.verdict : VERDICT_CANNOT_SAY;
    (void)arg;
    if (verdict == VERDICT_YES) {
        add_next(s);
    } else if (verdict == VERDICT_CANNOT_SAY) {
        fail(s, "the directory cannot say whose the sender is that a filter put in");
    } else {
        s->verb = "DATA";
        edits_free(s);
        reply(s, "550 5.7.1 Error: a filter changed the sender to <%.*s>, which is not an address "
                 "of %.200s", STR_FMT(str_head(s->mail.sender, 200)), s->login);
        refused(s);
    }
}

/* What filters put in must be the login's as well: the queue takes nothing else from a login, and
 * finding that out after some mailboxes have the message would be late. */
static void check_sender(struct session *s)
{
    struct msg m = MSG_INIT(sender_ask);
    if (!s->mail.filtering->sender_changed || !s->login || s->mail.sender.n == 0 ||
        !session_cfg(s)->reject_sender_login_mismatch) {
        add_next(s);
        return;
    }
    m.sender_ask.grant = s->grant;
    m.sender_ask.address = s->mail.sender;
    ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, on_sender, NULL);
}

void edits_apply(struct session *s, int fd, filter_fn go, filter_fn refused)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode)) { /* /dev/null: nothing changes */
        go(s);
        return;
    }
    s->mail.filtering = MEM_NEW(struct filtering);
    s->mail.filtering->go = go;
    s->mail.filtering->refused = refused;
    if (map_edits(s->mail.filtering, fd) != 0 || take_edits(s) != 0)
        fail(s, "what the filter program wants makes no sense");
    else
        check_sender(s);
}
