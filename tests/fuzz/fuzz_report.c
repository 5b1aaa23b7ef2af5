/*
 * Fuzzer of the messages that the queue writes itself: reports with a stranger's header and another server's words in
 * them, and answers of people who are away. Three octets choose the kind and how much is quoted; nine lines are
 * the addresses and words, as far as the queue would have taken them; the rest is the message. Whatever they hold:
 * a report is its three parts with the fields that are meant, one line each, an answer has its own header alone, and
 * a person's address comes out of it only where it was among the owner's.
 */
#include "mail/header.h"
#include "mail/mime.h"
#include "protocol/smtp/dsn.h"
#include "queue/answer.h"
#include "queue/queue.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOW_MS 1700000000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- the program around it --- */

int64_t queue_now_ms(void)
{
    return NOW_MS;
}

void queue_id_text(char out[QUEUE_ID_SIZE], uint64_t id)
{
    snprintf(out, QUEUE_ID_SIZE, "%llx", (unsigned long long)id);
}

/* --- what the input says --- */

struct words {
    struct str to, address, original, orcpt, envid, status, server, why, subject;
};

/* What take.c and remote.c let in. */
static struct str text(struct str *rest, size_t max)
{
    struct str line = {"", 0};
    return str_line(rest, &line) && line.n <= max && str_is_text(line) ? line : STR("");
}

static struct str address(struct str *rest)
{
    struct str found = text(rest, 300);
    return found.n ? found : STR("bob@far.example");
}

static struct words words_read(struct str *rest)
{
    struct words w = {.to = text(rest, 300), .address = address(rest), .original = address(rest)};
    w.orcpt = text(rest, SMTP_ORCPT_MAX);
    w.envid = text(rest, SMTP_ENVID_MAX);
    w.status = text(rest, 19);
    w.server = text(rest, 299);
    w.why = text(rest, 800);
    w.subject = text(rest, 400);
    if (!smtp_orcpt_is_sound(w.orcpt))
        w.orcpt = STR("");
    if (!smtp_envid_is_sound(w.envid))
        w.envid = STR("");
    return w;
}

/* --- what came out --- */

static bool is_one_of(struct str name, const char *const *names)
{
    while (*names && !str_eq(name, str_from(*names)))
        names++;
    return *names;
}

/* Fields of these names and no others, each once; how many. */
static size_t check_fields(struct str header, const char *const *names)
{
    struct mail_header_walk w = mail_header_walk(header);
    struct mail_field f;
    size_t n = 0;
    for (; mail_header_next(&w, &f); n++) {
        assert(f.colon && is_one_of(f.name, names) && mail_header_count(header, f.name) == 1);
        assert(f.whole.n <= 2000 && str_ends(f.whole, STR("\n")));
    }
    return n;
}

static void check_top(struct str message)
{
    static const char *const names[] = {"Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted",
                                        "MIME-Version", "Content-Type", "Content-Transfer-Encoding", NULL};
    assert(check_fields(str_head(message, mail_header_size(message)), names) == 9);
}

/* One group about the message and one for each recipient (RFC 3464 section 2.1). */
static void check_status(struct str all, size_t recipients)
{
    static const char *const about[] = {"Original-Envelope-Id", "Reporting-MTA", "X-Facteur-Queue-ID", "Arrival-Date",
                                        NULL};
    static const char *const each[] = {"Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA",
                                       "Diagnostic-Code", "Last-Attempt-Date", "Will-Retry-Until", NULL};
    size_t groups = 0;
    for (; all.n; groups++) {
        size_t n = mail_header_size(all);
        assert(check_fields(str_head(all, n), groups ? each : about) >= (groups ? 5 : 3));
        all = str_skip(all, n);
    }
    assert(groups == recipients + 1);
}

static void check_report(struct arena *a, struct str message, size_t recipients)
{
    struct mail_part *root = mail_mime_parse(a, message), *part = root->first;
    check_top(message);
    assert(part && part->next && part->next->next && !part->next->next->next);
    assert(str_starts(mail_part_body(message, part), STR("This is the mail server mx.example.\n")));
    check_status(mail_part_body(message, part->next), recipients);
}

static void check_answer(struct str message)
{
    static const char *const names[] = {"Date", "From", "To", "Subject", "Message-ID", "In-Reply-To", "References",
                                        "Auto-Submitted", "MIME-Version", "Content-Type",
                                        "Content-Transfer-Encoding", NULL};
    size_t n = check_fields(str_head(message, mail_header_size(message)), names);
    struct str line;
    assert(n == 9 || n == 11);
    while (str_line(&message, &line))
        assert(line.n <= 998 && str_find(line, '\r') < 0); /* RFC 5322 section 2.1.1 */
}

/* --- reports --- */

static void attempt_set(struct queue_attempt *at, const struct words *w, enum queue_say say)
{
    at->say = say;
    at->recipient = (struct queue_recipient){.address = w->address, .original = w->original, .orcpt = w->orcpt};
    snprintf(at->status, sizeof at->status, "%.*s", STR_FMT(w->status));
    snprintf(at->server, sizeof at->server, "%.*s", STR_FMT(w->server));
    snprintf(at->why, sizeof at->why, "%.*s", STR_FMT(w->why));
}

static void report(struct arena *a, const uint8_t *how, const struct words *w, struct str message)
{
    static const enum queue_say says[] = {QUEUE_SAY_FAILED, QUEUE_SAY_DELAYED, QUEUE_SAY_DELIVERED};
    struct config cfg = {.myhostname = STR("mx.example"), .bounce_size_limit = how[1] * 16u,
                         .maximal_queue_lifetime = 432000};
    struct queue_attempt *one = MEM_NEW(struct queue_attempt), *two = MEM_NEW(struct queue_attempt);
    struct queue_attempt *const both[] = {one, two};
    enum queue_say say = says[how[0] % 3u];
    struct queue_message about = {.id = 7, .created_ms = NOW_MS - how[2] * 600000, .size = message.n,
                                  .sender = w->to, .ret = how[0] >> 4 & 3, .envid = w->envid};
    AUTO_FD fd = memfd_create("message", MFD_CLOEXEC);
    AUTO_BUF out = {0};
    assert(fd_write_all(fd, message.p, message.n) == 0);
    attempt_set(one, w, say);
    attempt_set(two, w, say == QUEUE_SAY_DELIVERED ? QUEUE_SAY_RELAYED : say);
    struct queue_notice n = {.cfg = &cfg, .message = &about, .attempts = both, .count = 1 + (how[0] >> 6 & 1),
                             .to = w->to.n ? w->to : STR("postmaster@mx.example"), .say = say, .message_fd = how[0] & 8 ? -1 : fd, .id = 9};
    queue_notice_print(&n, &out);
    check_report(a, buf_view(&out), n.count);
    free(one);
    free(two);
}

/* --- answers --- */

static void answer(struct arena *a, const struct words *w, struct str message)
{
    const struct str mine = STR("ann@example.org\nann.other@example.org\n");
    struct str header = str_head(message, mail_header_size(message)), own = {0};
    AUTO_BUF out = {0};
    const char *why = answer_forbidden(a, w->to, header);
    assert(w->to.n || why);
    if (answer_has_address(a, mine, STR("+"), w->to, &own) || answer_addressee(a, header, mine, STR("+"), &own))
        assert(str_starts(own, STR("ann")) && str_ends(own, STR("@example.org")));
    struct answer n = {.from = STR("ann@example.org"), .to = w->to, .subject = w->subject, .text = message,
                       .header = header, .host = STR("mx.example"), .id = 9, .now_ms = NOW_MS};
    answer_print(a, &n, &out);
    check_answer(buf_view(&out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || sodium_init() < 0)
        return 0;
    struct str rest = {(const char *)data + 3, size - 3};
    struct words w = words_read(&rest);
    AUTO_ARENA a = arena_new(4096);
    report(a, data, &w, rest);
    answer(a, &w, rest);
    return 0;
}
