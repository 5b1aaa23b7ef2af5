/* The options of sendmail that programs use; the others are taken and mean nothing here. */
#include "sendmail/sendmail.h"

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

enum mode { MODE_SEND, MODE_SMTP, MODE_LIST, MODE_RETRY, MODE_ALIASES };

struct request {
    enum mode mode;
    bool from_header, dots; /* -t; -i: a lone dot is no end */
    struct envelope v;
};

static int usage(const char *what, const char *about)
{
    fprintf(stderr, "sendmail: %s%s\n", what, about);
    return EX_USAGE;
}

static int take_sender(struct request *r, struct str s)
{
    if (s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
        s = str_head(str_skip(s, 1), s.n - 2);
    if (!str_is_text(s) || s.n > 320)
        return usage("-f: no address", "");
    r->v.null_sender = s.n == 0;
    if (s.n)
        r->v.sender = s;
    return 0;
}

static int take_mode(struct request *r, const char *value)
{
    switch (value[0]) {
    case 'm':
        return 0;
    case 's':
        r->mode = MODE_SMTP;
        return 0;
    case 'p':
        r->mode = MODE_LIST;
        return 0;
    case 'i':
        r->mode = MODE_ALIASES;
        return 0;
    default:
        return usage("this mode is not known here: -b", value);
    }
}

static int take_option(struct request *r, int c, const char *value)
{
    switch (c) {
    case 'b':
        return take_mode(r, value);
    case 'f':
    case 'r':
        return take_sender(r, str_from(value));
    case 'F':
        r->v.name = str_from(value);
        return 0;
    case 'i':
        r->dots = true;
        return 0;
    case 'o':
        r->dots = r->dots || strcmp(value, "i") == 0;
        return 0;
    case 'I':
        r->mode = MODE_ALIASES;
        return 0;
    case 't':
        r->from_header = true;
        return 0;
    case 'q':
        r->mode = MODE_RETRY;
        return 0;
    case 'N':
        r->v.notify = smtp_notify_parse(str_from(value));
        return r->v.notify ? 0 : usage("-N: never, or some of success,failure,delay", "");
    case 'R':
        r->v.ret = str_from(value);
        return smtp_ret_parse(r->v.ret) ? 0 : usage("-R: full or hdrs", "");
    case 'V':
        r->v.envid = str_from(value);
        return str_is_text(r->v.envid) && r->v.envid.n <= 33 ? 0 : usage("-V: no envelope id", "");
    case '?':
        return EX_USAGE;
    default:
        return 0;
    }
}

/* A line of one dot ends the message, unless -i says that it does not. */
static int read_message(bool dots, struct buf *out)
{
    if (fd_read_all(STDIN_FILENO, out, MESSAGE_MAX) != 0)
        return -1;
    struct str rest = buf_view(out);
    size_t at = 0;
    while (!dots && rest.n) {
        ptrdiff_t end = str_find(rest, '\n');
        size_t n = end < 0 ? rest.n : (size_t)end;
        if (rest.p[0] == '.' && (n == 1 || (n == 2 && rest.p[1] == '\r'))) {
            out->n = at;
            break;
        }
        at += n + (end >= 0);
        rest = str_skip(rest, n + (end >= 0));
    }
    return 0;
}

static void default_sender(struct request *r)
{
    const struct passwd *pw = getpwuid(getuid());
    if (pw && !r->v.name.n) {
        struct str gecos = str_from(pw->pw_gecos ? pw->pw_gecos : "");
        ptrdiff_t comma = str_find(gecos, ',');
        r->v.name = arena_str(r->v.arena, comma >= 0 ? str_head(gecos, (size_t)comma) : gecos);
    }
    if (!r->v.sender.n)
        r->v.sender = pw ? arena_str(r->v.arena, str_from(pw->pw_name))
                         : arena_printf(r->v.arena, "uid%u", (unsigned)getuid());
}

static int send_message(struct request *r, int argc, char **argv)
{
    AUTO_BUF message = {0};
    struct err e = {0};
    for (int i = 0; i < argc; i++) {
        if (!str_is_text(str_from(argv[i])) || argv[i][0] == '\0' || strpbrk(argv[i], "<> "))
            return usage("no address: ", argv[i]);
        envelope_add(&r->v, str_from(argv[i]));
    }
    if (read_message(r->dots, &message) != 0)
        return usage("the message cannot be read, or is larger than a gibibyte", "");
    if (r->from_header && message_recipients(buf_view(&message), &r->v, &e) != 0) {
        fprintf(stderr, "sendmail: %s\n", e.log);
        return EX_DATAERR;
    }
    if (r->v.n == 0)
        return usage("no recipient; name one, or say -t", "");
    default_sender(r);
    AUTO_FD fd = talk_connect(&e);
    if (fd < 0) {
        fprintf(stderr, "sendmail: %s\n", e.log);
        return EX_TEMPFAIL;
    }
    return talk_send(fd, &r->v, buf_view(&message));
}

static int smtp_session(void)
{
    struct err e = {0};
    AUTO_FD fd = talk_connect(&e);
    if (fd >= 0)
        return talk_through(fd);
    printf("421 4.3.2 %s\r\n", e.log);
    return EX_TEMPFAIL;
}

/* Those are the administrator's, and "facteur queue" says so to others. */
static int administer(enum mode mode)
{
    if (mode == MODE_LIST)
        execl(SBINDIR "/facteur", "facteur", "queue", (char *)NULL);
    else
        execl(SBINDIR "/facteur", "facteur", "queue", "retry", "all", (char *)NULL);
    perror("sendmail: " SBINDIR "/facteur");
    return EX_OSFILE;
}

int main(int argc, char **argv)
{
    struct request r = {.v.arena = arena_new(4096)};
    const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    int c, status = 0;
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(name, "mailq") == 0)
        r.mode = MODE_LIST;
    else if (strcmp(name, "newaliases") == 0)
        r.mode = MODE_ALIASES;
    while (status == 0 &&
           (c = getopt(argc, argv, "A:B:C:F:GIL:N:O:R:UV:X:b:d:e:f:h:imno:p:q::r:stvx")) != -1)
        status = take_option(&r, c, optarg);
    if (status == 0 && r.mode == MODE_SMTP)
        status = smtp_session();
    else if (status == 0 && (r.mode == MODE_LIST || r.mode == MODE_RETRY))
        status = administer(r.mode);
    else if (status == 0 && r.mode == MODE_SEND)
        status = send_message(&r, argc - optind, argv + optind);
    arena_free(r.v.arena); /* newaliases: aliases are in the directory, there is nothing to build */
    return status;
}
