/* The bytes of one message; see message.h. */
#include "session/message.h"

#include "mail/header.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_PIECE = 16384, MAP_FROM = 512 * 1024 };

/* The mapping at hand, for the signal handler, which nothing else can tell it. */
static struct {
    volatile uintptr_t start, end;
    uintptr_t page;
} guarded;

/* The file ends before its mapping does: zeros take the place of what was cut off. */
static void on_bus_error(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    uintptr_t at = (uintptr_t)info->si_addr;
    int saved = errno;
    if (at >= guarded.start && at < guarded.end) {
        void *page = (void *)(at & ~(guarded.page - 1));
        if (mmap(page, guarded.page, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
            page) {
            errno = saved;
            return;
        }
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void guard(const void *p, size_t n)
{
    if (!guarded.page) {
        struct sigaction act = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
        guarded.page = (uintptr_t)sysconf(_SC_PAGESIZE);
        sigaction(SIGBUS, &act, NULL);
    }
    guarded.start = (uintptr_t)p;
    guarded.end = (uintptr_t)p + n;
}

int message_open(struct message *m, struct store_mailbox *mb, size_t index, struct err *e)
{
    struct stat st;
    *m = (struct message){.fd = -1, .usual = m->usual};
    int r = store_mailbox_read(mb, index, &m->fd, &st, e);
    if (r != 0)
        return r;
    m->open = true;
    if (st.st_size > (off_t)(SIZE_MAX / 4))
        return err_perm(e, "a message file is too large to be read");
    m->size = (size_t)st.st_size;
    m->whole = m->size == 0;
    return 0;
}

void message_close(struct message *m)
{
    if (m->mapped) {
        guarded.start = guarded.end = 0;
        munmap((void *)(uintptr_t)m->raw.p, m->raw.n);
    }
    buf_free(&m->memory);
    buf_free(&m->usual);
    fd_closep(&m->fd);
    *m = (struct message){.fd = -1};
}

/* Reads on up to n bytes from the start. A file that became shorter is as short as it is. */
static int read_up_to(struct message *m, size_t n, struct err *e)
{
    n = n < m->size ? n : m->size;
    while (m->memory.n < n) {
        char *to = buf_room(&m->memory, n - m->memory.n);
        ssize_t r = pread(m->fd, to, n - m->memory.n, (off_t)m->memory.n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_temp(e, "cannot read a message: %s", strerror(errno));
        if (r == 0)
            m->size = n = m->memory.n;
        m->memory.n += (size_t)r;
    }
    m->raw = buf_view(&m->memory);
    m->whole = m->memory.n == m->size;
    return 0;
}

static int map_all(struct message *m, struct err *e)
{
    void *p = mmap(NULL, m->size, PROT_READ, MAP_PRIVATE, m->fd, 0);
    if (p == MAP_FAILED)
        return err_temp(e, "cannot map a message: %s", strerror(errno));
    guard(p, m->size);
    buf_free(&m->memory);
    m->raw = (struct str){p, m->size};
    m->mapped = m->whole = true;
    return 0;
}

int message_read_all(struct message *m, struct err *e)
{
    if (m->whole)
        return 0;
    return m->size >= MAP_FROM ? map_all(m, e) : read_up_to(m, m->size, e);
}

/* The header ends at an empty line that is wholly there. */
static bool header_known(const struct message *m)
{
    return m->whole || mail_header_size(m->raw) < m->raw.n;
}

int message_read_header(struct message *m, struct err *e)
{
    for (size_t n = HEADER_PIECE; !header_known(m); n *= 4) {
        if (n >= MAP_FROM)
            return message_read_all(m, e);
        if (read_up_to(m, n, e) != 0)
            return -1;
    }
    return 0;
}

struct str message_header(const struct message *m)
{
    return str_head(m->raw, mail_header_size(m->raw));
}

/* --- the usual fields --- */

#define FIELD(name) {name, sizeof name - 1}
static const struct str usual[] = {
    FIELD("Bcc"),         FIELD("Cc"),      FIELD("Content-Type"), FIELD("Date"),       FIELD("From"),
    FIELD("Importance"),  FIELD("In-Reply-To"), FIELD("List-Id"),  FIELD("List-Post"),  FIELD("Message-ID"),
    FIELD("Newsgroups"),  FIELD("Priority"), FIELD("References"),  FIELD("Reply-To"),   FIELD("Sender"),
    FIELD("Subject"),     FIELD("To"),      FIELD("X-Priority"),
};

bool message_field_is_usual(struct str name)
{
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (str_caseeq(usual[i], name))
            return true;
    return false;
}

/* From the whole header, with the empty line where there is one. */
static void pick_usual(struct message *m)
{
    struct mail_field f;
    struct str header = message_header(m);
    struct mail_header_walk w = mail_header_walk(header);
    while (mail_header_next(&w, &f))
        if (message_field_is_usual(f.name))
            buf_str(&m->usual, f.whole);
    if (mail_header_ends(header))
        buf_byte(&m->usual, '\n');
}

int message_usual_fields(struct message *m, struct store_mailbox *mb, size_t index,
                         struct str *fields, struct err *e)
{
    int r = 0;
    if (m->usual.n == 0) {
        if (store_mailbox_piece(mb, index, STORE_PIECE_FIELDS, fields)) {
            buf_str(&m->usual, *fields);
        } else {
            r = m->open ? 0 : message_open(m, mb, index, e);
            if (r == 0)
                r = message_read_header(m, e);
            if (r != 0)
                return r;
            pick_usual(m);
            store_mailbox_keep(mb, index, STORE_PIECE_FIELDS, buf_view(&m->usual));
        }
    }
    *fields = buf_view(&m->usual);
    return 0;
}

const struct mail_part *message_mime(struct message *m, struct arena *a)
{
    if (!m->mime)
        m->mime = mail_mime_parse(a, m->raw);
    return m->mime;
}
