/* The commands of the transaction state (RFC 1939 section 5); see pop3.h. */
#include "session/pop3.h"

#include "base/log.h"

static void do_capa(struct pop3_session *s, const struct pop3_command *c)
{
    (void)c;
    output_z(&s->out, "+OK Capabilities follow\r\n");
    pop3_write_capabilities(output_buf(&s->out), POP3_CAPA_MAILDROP, "");
}

static void do_noop(struct pop3_session *s, const struct pop3_command *c)
{
    (void)c;
    output_z(&s->out, "+OK\r\n");
}

/* How many there are and their octets: 0, or -1 with the reply sent. */
static int add_up(struct pop3_session *s, uint32_t *count, uint64_t *octets)
{
    struct err e = {0};
    *count = 0;
    *octets = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        uint64_t n = 0;
        int r = s->message[i].deleted ? 1 : pop3_size(s, i + 1, &n, &e);
        if (r < 0) {
            pop3_reply_error(s, &e);
            return -1;
        }
        *count += r == 0;
        *octets += n;
    }
    return 0;
}

static void do_stat(struct pop3_session *s, const struct pop3_command *c)
{
    uint32_t count;
    uint64_t octets;
    (void)c;
    if (add_up(s, &count, &octets) == 0)
        output_printf(&s->out, "+OK %u %llu\r\n", count, (unsigned long long)octets);
}

static void list_one(struct pop3_session *s, uint32_t number)
{
    uint64_t octets;
    struct err e = {0};
    if (!pop3_find(s, number))
        return;
    int r = pop3_size(s, number, &octets, &e);
    if (r < 0)
        pop3_reply_error(s, &e);
    else if (r == 0)
        output_printf(&s->out, "+OK %u %llu\r\n", number, (unsigned long long)octets);
    else
        pop3_find(s, number);
}

static void do_list(struct pop3_session *s, const struct pop3_command *c)
{
    uint32_t count;
    uint64_t octets;
    struct err e = {0};
    if (c->number) {
        list_one(s, c->number);
        return;
    }
    /* Every size is known before the first line: after +OK there is no way to say no. */
    if (add_up(s, &count, &octets) != 0)
        return;
    output_printf(&s->out, "+OK %u messages (%llu octets)\r\n", count, (unsigned long long)octets);
    for (uint32_t i = 0; i < s->count; i++)
        if (!s->message[i].deleted && !s->message[i].gone && pop3_size(s, i + 1, &octets, &e) == 0)
            output_printf(&s->out, "%u %llu\r\n", i + 1, (unsigned long long)octets);
    output_z(&s->out, ".\r\n");
}

/* The value of the uidlist's field P of a record; p is NULL when there is none. */
static struct str field_p(const struct store_uidlist *u, const struct store_uidrec *r)
{
    struct str fields = {NULL, 0}, field;
    if (r && r->ext_len)
        fields = (struct str){u->names.p + r->off - r->ext_len, r->ext_len};
    while (str_token(&fields, " ", &field))
        if (field.p[0] == 'P')
            return str_skip(field, 1);
    return (struct str){NULL, 0};
}

/* The unique-ids that another server left in the uidlist, since its clients know them: read once,
 * and thrown away where there are none, as in most maildirs. */
static void look_for_kept(struct pop3_session *s)
{
    struct err e = {0};
    struct store_uidlist *u = &s->kept;
    if (s->kept_known)
        return;
    s->kept_known = true;
    store_uidlist_init(u, store_mailbox_folder(s->mailbox)->dir_fd, s->settings->maildir_fd);
    if (store_uidlist_refresh(u, &e) != 0)
        log_warning("pop3-uidl", LS("user", s->settings->user), LZ("error", e.log));
    for (size_t i = 0; i < u->count; i++)
        if (field_p(u, &u->recs[i]).p)
            return;
    store_uidlist_free(u);
    store_uidlist_init(u, -1, -1);
}

/* An empty field P stands for the base name. */
static struct str kept_uidl(struct pop3_session *s, uint32_t index)
{
    struct str base = store_mailbox_base(s->mailbox, index);
    struct str p = {NULL, 0};
    if (s->kept.count)
        p = field_p(&s->kept, store_uidlist_find(&s->kept, base));
    return p.p && p.n == 0 ? base : p;
}

/* Dovecot's default, pop3_uidl_format = %08Xu%08Xv: after a move nobody downloads twice. */
static void write_uidl(struct pop3_session *s, uint32_t index)
{
    struct str kept = kept_uidl(s, index);
    if (kept.p)
        output_str(&s->out, kept);
    else
        output_printf(&s->out, "%08x%08x", store_mailbox_at(s->mailbox, index)->uid,
                      store_mailbox_uidvalidity(s->mailbox));
}

static void do_uidl(struct pop3_session *s, const struct pop3_command *c)
{
    look_for_kept(s);
    if (c->number && !pop3_find(s, c->number))
        return;
    output_z(&s->out, "+OK");
    if (c->number) {
        output_printf(&s->out, " %u ", c->number);
        write_uidl(s, c->number - 1);
        output_z(&s->out, "\r\n");
        return;
    }
    output_z(&s->out, "\r\n");
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->message[i].deleted || s->message[i].gone)
            continue;
        output_printf(&s->out, "%u ", i + 1);
        write_uidl(s, i);
        output_z(&s->out, "\r\n");
    }
    output_z(&s->out, ".\r\n");
}

static void do_dele(struct pop3_session *s, const struct pop3_command *c)
{
    struct pop3_message *m = pop3_find(s, c->number);
    if (!m)
        return;
    m->deleted = true;
    output_z(&s->out, "+OK Marked to be deleted\r\n");
}

static void do_rset(struct pop3_session *s, const struct pop3_command *c)
{
    (void)c;
    for (uint32_t i = 0; i < s->count; i++)
        s->message[i].deleted = s->message[i].read = false;
    output_z(&s->out, "+OK\r\n");
}

/* The maildrop is free for the client's next session before it reads the answer. */
static void do_quit(struct pop3_session *s, const struct pop3_command *c)
{
    (void)c;
    int r = pop3_update(s);
    pop3_mark_read(s);
    store_mailbox_close(s->mailbox);
    s->mailbox = NULL;
    pop3_unlock(s);
    if (r == 0)
        output_z(&s->out, "+OK Logging out\r\n");
    else
        output_z(&s->out, "-ERR [SYS/TEMP] Some deleted messages were not removed\r\n");
    s->done = true;
}

static const struct {
    enum pop3_verb verb;
    void (*run)(struct pop3_session *s, const struct pop3_command *c);
} commands[] = {
    {POP3_CAPA, do_capa}, {POP3_NOOP, do_noop},   {POP3_STAT, do_stat},  {POP3_LIST, do_list},
    {POP3_UIDL, do_uidl}, {POP3_RETR, pop3_send}, {POP3_TOP, pop3_send}, {POP3_DELE, do_dele},
    {POP3_RSET, do_rset}, {POP3_QUIT, do_quit},
};

void pop3_run(struct pop3_session *s, const struct pop3_command *c)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (commands[i].verb != c->verb)
            continue;
        commands[i].run(s, c);
        return;
    }
    output_z(&s->out, "-ERR Not after login\r\n");
}
