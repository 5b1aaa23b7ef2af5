/* The SMTP dialogue of sendmail, one step after the other. */
#include "sendmail/sendmail.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#define SILENCE_S 600
#define LAST_WORDS_S 60
#define WHERE "127.0.0.1:25"

struct talk {
    int fd;
    struct buf in;
    struct smtp_reply reply;
};

/* FACTEUR_SMTP=HOST:PORT names another port; it gives nobody a right that a socket would not. */
int talk_connect(struct err *e)
{
    const struct timeval limit = {SILENCE_S, 0};
    const char *where = getenv("FACTEUR_SMTP");
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char host[256];
    snprintf(host, sizeof host, "%s", where && strchr(where, ':') ? where : WHERE);
    char *colon = strrchr(host, ':');
    *colon = '\0';
    int r = getaddrinfo(host, colon + 1, &hints, &found);
    if (r != 0)
        return err_temp(e, "%s: %s", host, gai_strerror(r));
    AUTO_FD fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        fd_closep(&fd);
    int why = errno;
    freeaddrinfo(found);
    if (fd < 0)
        return err_temp(e, "no mail server at %s port %s: %s", host, colon + 1, strerror(why));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    r = fd;
    fd = -1;
    return r;
}

/* --- -bs --- */

static bool pass(int from, int to)
{
    char bytes[16384];
    ssize_t n = read(from, bytes, sizeof bytes);
    return n > 0 && fd_write_all(to, bytes, (size_t)n) == 0;
}

int talk_through(int fd)
{
    struct pollfd p[2] = {{STDIN_FILENO, POLLIN, 0}, {fd, POLLIN, 0}};
    /* What was said before the end of input is still answered. */
    while (poll(p, 2, (p[0].fd >= 0 ? SILENCE_S : LAST_WORDS_S) * 1000) > 0) {
        if (p[0].fd >= 0 && p[0].revents && !pass(STDIN_FILENO, fd))
            p[0].fd = -1;
        if (p[1].revents && !pass(fd, STDOUT_FILENO))
            return EX_OK;
    }
    return EX_TEMPFAIL;
}

/* --- one message --- */

static int hear(struct talk *t)
{
    enum smtp_reply_event got;
    t->reply = (struct smtp_reply){0};
    do {
        struct str rest = buf_view(&t->in);
        got = smtp_reply_take(&t->reply, &rest);
        bool took = rest.n < t->in.n;
        buf_consume(&t->in, t->in.n - rest.n);
        if (got == SMTP_REPLY_MORE && !took) {
            char bytes[4096];
            ssize_t n = read(t->fd, bytes, sizeof bytes);
            if (n <= 0)
                return -1;
            buf_add(&t->in, bytes, (size_t)n);
        }
    } while (got == SMTP_REPLY_MORE);
    return got == SMTP_REPLY_DONE ? 0 : -1;
}

/* The code of the answer, or 421 when there is none. */
static unsigned say(struct talk *t, const struct buf *line)
{
    if (line && fd_write_all(t->fd, line->p, line->n) != 0) {
        snprintf(t->reply.text, sizeof t->reply.text, "the connection broke off");
        return 421;
    }
    if (hear(t) == 0)
        return t->reply.code;
    snprintf(t->reply.text, sizeof t->reply.text, "the mail server gave no answer");
    return 421;
}

static int status_of(const struct talk *t, unsigned code, const char *about)
{
    fprintf(stderr, "sendmail: %s%s\n", about, t->reply.text);
    return code / 100 == 4 ? EX_TEMPFAIL : code == 550 || code == 553 ? EX_NOUSER : EX_UNAVAILABLE;
}

static bool is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

static struct str complete(struct envelope *v, struct str address, struct str host)
{
    if (str_rfind(address, '@') >= 0 || address.n == 0)
        return address;
    return arena_printf(v->arena, "%.*s@%.*s", STR_FMT(address), STR_FMT(host));
}

static unsigned say_mail(struct talk *t, const struct envelope *v, bool eight_bit, bool utf8)
{
    AUTO_BUF line = {0};
    unsigned offers = t->reply.offers;
    buf_printf(&line, "MAIL FROM:<%.*s>", STR_FMT(v->null_sender ? STR("") : v->sender));
    if (eight_bit && (offers & SMTP_OFFERS_8BITMIME))
        buf_str(&line, STR(" BODY=8BITMIME"));
    if (utf8 && (offers & SMTP_OFFERS_SMTPUTF8))
        buf_str(&line, STR(" SMTPUTF8"));
    if (v->ret.n && (offers & SMTP_OFFERS_DSN))
        buf_printf(&line, " RET=%.*s", STR_FMT(v->ret));
    if (v->envid.n && (offers & SMTP_OFFERS_DSN)) {
        buf_str(&line, STR(" ENVID="));
        smtp_xtext_encode(v->envid, &line);
    }
    buf_str(&line, STR("\r\n"));
    return say(t, &line);
}

/* How many were taken; *status: of the first that was not. */
static size_t say_recipients(struct talk *t, const struct envelope *v, unsigned offers, int *status)
{
    size_t taken = 0;
    for (size_t i = 0; i < v->n; i++) {
        AUTO_BUF line = {0};
        char about[300];
        buf_printf(&line, "RCPT TO:<%.*s>", STR_FMT(v->to[i]));
        if (v->notify && (offers & SMTP_OFFERS_DSN)) {
            buf_str(&line, STR(" NOTIFY="));
            smtp_notify_print(v->notify, &line);
        }
        buf_str(&line, STR("\r\n"));
        unsigned code = say(t, &line);
        taken += code / 100 == 2;
        snprintf(about, sizeof about, "%.*s: ", STR_FMT(str_head(v->to[i], 290)));
        if (code / 100 != 2) {
            int s = status_of(t, code, about);
            *status = *status ? *status : s;
        }
    }
    return taken;
}

static int transaction(struct talk *t, struct envelope *v, struct str message)
{
    AUTO_BUF hello = {0};
    AUTO_BUF text = {0};
    AUTO_BUF data = {0};
    int status = EX_OK;
    unsigned code = say(t, NULL);
    buf_str(&hello, STR("EHLO localhost\r\n"));
    if (code / 100 != 2 || (code = say(t, &hello)) / 100 != 2)
        return status_of(t, code, "");
    unsigned offers = t->reply.offers;
    struct str host = arena_str(v->arena, str_from(t->reply.first));
    bool utf8 = !is_ascii(v->sender);
    v->sender = complete(v, v->sender, host);
    for (size_t i = 0; i < v->n; i++) {
        v->to[i] = complete(v, v->to[i], host);
        utf8 = utf8 || !is_ascii(v->to[i]);
    }
    message_print(message, v, host, &text);
    if ((code = say_mail(t, v, !is_ascii(buf_view(&text)), utf8)) / 100 != 2)
        return status_of(t, code, "");
    if (say_recipients(t, v, offers, &status) == 0)
        return status;
    buf_str(&data, STR("DATA\r\n"));
    if ((code = say(t, &data)) != 354)
        return status_of(t, code, "");
    buf_str(&text, STR(".\r\n"));
    if ((code = say(t, &text)) / 100 != 2)
        return status_of(t, code, "");
    buf_clear(&data);
    buf_str(&data, STR("QUIT\r\n"));
    say(t, &data);
    return status;
}

int talk_send(int fd, struct envelope *v, struct str message)
{
    struct talk t = {.fd = fd};
    int status = transaction(&t, v, message);
    buf_free(&t.in);
    return status;
}
