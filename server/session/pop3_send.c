/* RETR and TOP; see pop3.h. */
#include "session/pop3.h"

#include "base/log.h"
#include "protocol/pop3/body.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { PIECE = 32768 };

/* A message that breaks off must not look whole: the connection ends without the final dot. */
static void break_off(struct pop3_session *s, uint32_t uid)
{
    log_error("pop3-read", LS("user", s->settings->user), LN("uid", uid),
              LZ("error", strerror(errno)));
    s->done = true;
    s->status = 1;
}

/* 0 when all that was wanted has been handed to the output. */
static int send_body(struct pop3_session *s, int fd, uint64_t lines)
{
    struct pop3_body body;
    AUTO_BUF piece = {0};
    bool more = true;
    ssize_t r = 1;
    pop3_body_init(&body, lines);
    while (more && !s->out.failed) {
        char *at = buf_room(&piece, PIECE);
        r = read(fd, at, PIECE);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        more = pop3_body_write(&body, (struct str){at, (size_t)r}, output_buf(&s->out));
        output_check(&s->out);
    }
    if (r < 0)
        return -1;
    pop3_body_end(&body, output_buf(&s->out));
    return 0;
}

void pop3_send(struct pop3_session *s, const struct pop3_command *c)
{
    AUTO_FD fd = -1;
    struct err e = {0};
    uint64_t octets = 0;
    struct pop3_message *m = pop3_find(s, c->number);
    if (!m)
        return;
    int r = pop3_size(s, c->number, &octets, &e);
    if (r == 0)
        r = store_mailbox_read(s->mailbox, c->number - 1, &fd, NULL, &e);
    if (r < 0) {
        pop3_reply_error(s, &e);
        return;
    }
    if (r > 0) {
        m->gone = true;
        pop3_find(s, c->number);
        return;
    }
    bool all = c->verb == POP3_RETR;
    if (all)
        output_printf(&s->out, "+OK %llu octets\r\n", (unsigned long long)octets);
    else
        output_z(&s->out, "+OK\r\n");
    if (send_body(s, fd, all ? POP3_LINES_ALL : c->lines) != 0) {
        break_off(s, store_mailbox_at(s->mailbox, c->number - 1)->uid);
        return;
    }
    m->read = m->read || all;
    s->retrieved += all;
}
