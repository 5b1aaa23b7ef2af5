/* Log lines to standard error, syslog (RFC 3164 datagrams) or the journal's native socket. */
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A process has one log; it is set once before any thread or client exists. */
static struct {
    enum log_target target;
    const char *program;
    int fd;
    bool verbose;
    atomic_uint lost; /* lines that a log daemon did not take */
} the_log = {.target = LOG_TARGET_STDERR, .program = "facteur", .fd = STDERR_FILENO};

static const int syslog_severity[] = {3, 4, 6, 7}; /* RFC 5424 section 6.2.1 */
static const char *const level_name[] = {"error", "warning", "info", "debug"};
#define SYSLOG_FACILITY_MAIL 2
#define PATIENCE_MS 100 /* for a log daemon that is behind */
#define LINE_FIRST 500  /* octets that most lines need no more than */

static int datagram_to(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sa.sun_path)
        return -1;
    memcpy(sa.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void log_open(enum log_target target, const char *program, int fd)
{
    the_log.program = program;
    if (target == LOG_TARGET_STDERR) {
        fd = STDERR_FILENO;
    } else if (fd < 0) {
        fd = datagram_to(target == LOG_TARGET_SYSLOG ? "/dev/log" : "/run/systemd/journal/socket");
        if (fd < 0) {
            fd = STDERR_FILENO;
            target = LOG_TARGET_STDERR;
        }
    }
    the_log.target = target;
    the_log.fd = fd;
}

int log_fd(void)
{
    return the_log.fd;
}

enum log_target log_target(void)
{
    return the_log.target;
}

void log_verbose(bool on)
{
    the_log.verbose = on;
}

static bool plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == ' ' || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    return s.n > 0 && str_is_text(s);
}

/* Of U+0080 to U+009F, which terminals obey: an octet of its two in UTF-8. */
static bool in_control(struct str s, size_t i)
{
    unsigned char c = (unsigned char)s.p[i];
    if (c == 0xc2)
        return i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0;
    return i > 0 && (unsigned char)s.p[i - 1] == 0xc2 && c < 0xa0;
}

static void put_quoted(struct buf *b, struct str s)
{
    bool utf8 = str_is_utf8(s);
    buf_byte(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && (!utf8 || in_control(s, i))))
            buf_printf(b, "\\x%02x", c);
        else
            buf_byte(b, (char)c);
    }
    buf_byte(b, '"');
}

static void put_kv(struct buf *b, const struct log_kv *kv)
{
    buf_byte(b, ' ');
    buf_str(b, str_from(kv->key));
    buf_byte(b, '=');
    struct str shown = str_head(kv->s, 1024);
    if (kv->is_num)
        buf_printf(b, "%lld", (long long)kv->num);
    else if (plain(shown))
        buf_str(b, shown);
    else
        put_quoted(b, shown);
}

static void put_prefix(struct buf *b, enum log_level level)
{
    if (the_log.target == LOG_TARGET_JOURNAL) {
        buf_printf(b, "PRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=%s\nMESSAGE=",
                   syslog_severity[level], SYSLOG_FACILITY_MAIL, the_log.program);
        return;
    }
    struct timespec now;
    struct tm tm;
    char when[40];
    clock_gettime(CLOCK_REALTIME, &now);
    if (the_log.target == LOG_TARGET_SYSLOG) {
        localtime_r(&now.tv_sec, &tm);
        strftime(when, sizeof when, "%b %e %H:%M:%S", &tm);
        buf_printf(b, "<%d>%s %s[%d]: ", SYSLOG_FACILITY_MAIL * 8 + syslog_severity[level], when,
                   the_log.program, (int)getpid());
        return;
    }
    gmtime_r(&now.tv_sec, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(b, "%s.%03ldZ %s[%d] %s: ", when, now.tv_nsec / 1000000, the_log.program,
               (int)getpid(), level_name[level]);
}

/* Mail goes on when the log daemon stands still: it is waited for once, then lines are counted. */
static bool send_line(const struct buf *b)
{
    if (the_log.target == LOG_TARGET_STDERR)
        return write(the_log.fd, b->p, b->n) >= 0;
    struct pollfd fd = {.fd = the_log.fd, .events = POLLOUT};
    ssize_t r = send(the_log.fd, b->p, b->n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (r < 0 && (errno == EAGAIN || errno == ENOBUFS) && the_log.lost == 0 &&
        poll(&fd, 1, PATIENCE_MS) == 1)
        r = send(the_log.fd, b->p, b->n, MSG_DONTWAIT | MSG_NOSIGNAL);
    return r >= 0;
}

static void tell_lost(void)
{
    unsigned lost = the_log.lost;
    AUTO_BUF b = {0};
    if (lost == 0)
        return;
    put_prefix(&b, LOG_LEVEL_WARNING);
    buf_printf(&b, "log-lines-lost count=%u\n", lost);
    if (send_line(&b))
        atomic_fetch_sub(&the_log.lost, lost);
}

void log_write(enum log_level level, const char *event, const struct log_kv *kv, size_t count)
{
    if (level == LOG_LEVEL_DEBUG && !the_log.verbose)
        return;
    AUTO_BUF b = {0};
    buf_room(&b, LINE_FIRST);
    put_prefix(&b, level);
    buf_str(&b, str_from(event));
    for (size_t i = 0; i < count; i++)
        put_kv(&b, &kv[i]);
    buf_byte(&b, '\n');
    tell_lost();
    if (!send_line(&b) && the_log.target != LOG_TARGET_STDERR)
        the_log.lost++;
}
