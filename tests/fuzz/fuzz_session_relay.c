/*
 * The relay's side of SMTP and LMTP with strangers' servers, and what leads it to them, in a world that is played
 * (fake_world.h). The first octet chooses the configuration, the second the jobs, three more how much the servers say
 * at once, luck, and how it ends; one more is passed over; the rest is what one server after the other says. Whatever
 * that is: commands are lines, no password is said in the clear, each recipient of each job has one outcome, a yes
 * has had the whole message and the recipient's command go out before it, and in the end nothing is held.
 */
#include "fake_world.h"

#include "base/log.h"
#include "ipc/channel.h"
#include "relay/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define STEPS_MAX 200000
#define RECIPIENTS 4
#define JOBS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define US "myhostname = us.example\n"
static const char *const configurations[] = {
    US,
    US "smtp_tls_security_level = dane\nsmtp_mta_sts = yes\nsmtp_tls_CAfile = /ca\n",
    US "relayhost = [mail.far.example]:587\nsmtp_sasl_auth_enable = yes\n"
    "smtp_sasl_password_maps = inline:{a=b:c}\nsmtp_tls_policy_maps = inline:{a=may}\n"
    "smtp_tls_CAfile = /ca\n",
    US "transport_maps = inline:{a=smtp:b}\nsmtp_tls_security_level = encrypt\n"
    "smtp_connection_cache_time_limit = 0\nsmtp_mx_session_limit = 5\n",
};
enum { CONFIGURATIONS = sizeof configurations / sizeof *configurations };

static struct event_base world;

/* --- the kernel --- */

int socket(int family, int type, int protocol)
{
    (void)family;
    (void)type;
    (void)protocol;
    if (fake_dice(&world, 40) < 39)
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    errno = EMFILE;
    return -1;
}

int connect(int fd, const struct sockaddr *to, socklen_t n)
{
    REQUIRE(fd >= 0 && to && n > 0);
    errno = fake_dice(&world, 12) == 11 ? ENETUNREACH : EINPROGRESS;
    return -1;
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict n)
{
    REQUIRE(fd >= 0 && level == SOL_SOCKET && name == SO_ERROR && *n == sizeof(int));
    *(int *)value = fake_dice(&world, 12) == 11 ? ECONNREFUSED : 0;
    return 0;
}

static const char *dice_name(void)
{
    return "dice";
}

static uint32_t dice_random(void)
{
    return fake_dice(&world, 65536);
}

/* --- TLS, played by fake_conn.c --- */

size_t conn_start_tls_client(struct conn *c, SSL *ssl)
{
    SSL_free(ssl);
    return conn_start_tls(c, NULL);
}

const char *conn_tls_doubt(const struct conn *c)
{
    (void)c;
    return fake_dice(&world, 2) ? "the name is another" : "";
}

/* --- the DNS, which is strangers' word too --- */

struct dns_ask {
    struct dns_ask *next;
    enum dns_type type;
    dns_fn fn;
    void *arg;
};

static struct dns_ask *dns_asks;

struct dns_ask *dns_start(struct dns *d, struct str name, enum dns_type type, dns_fn fn, void *arg)
{
    struct dns_ask *a = MEM_NEW(struct dns_ask);
    REQUIRE(!d && name.n > 0);
    *a = (struct dns_ask){.next = dns_asks, .type = type, .fn = fn, .arg = arg};
    dns_asks = a;
    return a;
}

void dns_cancel(struct dns_ask *a)
{
    struct dns_ask **at = &dns_asks;
    while (a && *at != a)
        at = &(*at)->next;
    if (a)
        *at = a->next;
    free(a);
}

static struct str good_record(enum dns_type type, uint32_t how)
{
    static const char v6[] = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", root[] = "\0\0";
    static const char mx[] = "\0\012\003mx1\003far\007example", other[] = "\0\024\003mx2\003far\007example";
    static const char key[] = "\3\1\1" "0123456789abcdef0123456789abcdef", chain[] = "\2\0\1"
                              "0123456789abcdef0123456789abcdef", us[] = "\0\005\002us\007example";
    if (type == DNS_MX)
        return how == 0 ? (struct str){mx, sizeof mx} : how == 1 ? (struct str){other, sizeof other}
             : how == 2 ? (struct str){us, sizeof us} : (struct str){root, sizeof root};
    if (type == DNS_TLSA)
        return how % 2 ? (struct str){chain, sizeof chain - 1} : (struct str){key, sizeof key - 1};
    return type == DNS_AAAA ? (struct str){v6, 16} : (struct str){how % 2 ? "\xc0\0\2\2" : "\xc0\0\2\1", 4};
}

/* With luck there are an address and nothing else. */
static bool dns_step(void)
{
    static const enum dns_status fates[] = {DNS_FOUND, DNS_FOUND, DNS_FOUND, DNS_NO_RECORDS, DNS_NO_NAME,
                                            DNS_CANNOT_SAY};
    struct dns_ask *a = dns_asks;
    struct str data[3];
    struct dns_answer answer = {.why = "time is up", .data = data, .canonical = STR("")};
    if (!a)
        return false;
    answer.status = world.luck == 0 && a->type != DNS_A ? DNS_NO_RECORDS : fates[fake_dice(&world, 6)];
    answer.secure = fake_dice(&world, 4) != 3;
    if (answer.status == DNS_FOUND)
        answer.n = 1 + fake_dice(&world, 3);
    for (size_t i = 0; i < answer.n; i++)
        data[i] = fake_dice(&world, 6) == 5 ? fake_words(&world, 300) : good_record(a->type, fake_dice(&world, 4));
    if (answer.status == DNS_FOUND && fake_dice(&world, 5) == 4)
        answer.canonical = STR("alias.far.example");
    dns_asks = a->next;
    a->fn(a->arg, &answer);
    free(a);
    return true;
}

/* --- MTA-STS --- */

void strict_start(struct strict *s, struct str domain, strict_fn fn, void *arg, struct strict_wait **wait)
{
    static const enum sts_mode modes[] = {STS_NONE, STS_ENFORCE, STS_TESTING};
    const struct str mx[] = {STR("*.far.example"), fake_words(&world, 100)};
    enum sts_mode mode = modes[fake_dice(&world, 3)];
    REQUIRE(!s && domain.n > 0 && !*wait);
    fn(arg, mode, mx, mode == STS_NONE ? 0 : 2);
}

void strict_doubt(struct strict *s, struct str domain)
{
    REQUIRE(!s && domain.n > 0);
}

void strict_cancel(struct strict_wait *w)
{
    REQUIRE(!w);
}

/* --- the queue, which hears of each recipient once --- */

static const struct str addresses[RECIPIENTS] = {STR("bob@far.example"), STR("\"a b\"@far.example"),
                                                 STR("b\xc3\xa9" "a@far.example"), STR("eve+x@far.example")};

static struct asked {
    bool gone; /* the queue went away */
    size_t recipients, told;
    struct buf wire, bare; /* the message as DATA and as BDAT have it */
} asked[JOBS];

static void check_yes(const struct asked *a, const struct msg_relay_reply *r)
{
    struct buf *said = &world.passed;
    AUTO_BUF command = {0};
    buf_printf(&command, "RCPT TO:<%.*s>", STR_FMT(addresses[r->index]));
    REQUIRE(memmem(said->p, said->n, command.p, command.n));
    REQUIRE(memmem(said->p, said->n, a->wire.p, a->wire.n) || memmem(said->p, said->n, a->bare.p, a->bare.n));
}

int channel_send(struct channel *ch, const struct msg *m)
{
    const struct msg_relay_reply *r = &m->relay_reply;
    AUTO_BUF bytes = {0};
    AUTO_ARENA room = arena_new(1024);
    struct msg back;
    struct err e = {0};
    REQUIRE(!ch && m->type == MSG_relay_reply && r->id < JOBS);
    REQUIRE(msg_encode(m, &bytes, &e) == 0 && msg_decode(buf_view(&bytes), RELAY, QUEUE, room, &back, &e) == 0);
    struct asked *a = &asked[r->id];
    REQUIRE(!a->gone && r->index == a->told++ && r->index < a->recipients);
    REQUIRE(r->more == (a->told < a->recipients));
    REQUIRE(r->verdict == VERDICT_YES || r->verdict == VERDICT_NO || r->verdict == VERDICT_CANNOT_SAY);
    REQUIRE(str_is_text(r->status) && r->status.n >= 5 && str_is_text(r->server));
    REQUIRE(str_is_text(r->text) || r->text.n >= 799); /* it may be cut inside a character */
    if (r->verdict == VERDICT_YES && r->server.n)
        check_yes(a, r);
    return 0;
}

/* --- what servers hear --- */

/* Up to where a message may follow. */
static void check_commands(struct str said)
{
    static const char *const verbs[] = {"EHLO ", "HELO ", "LHLO ", "STARTTLS\r\n", "AUTH ", "MAIL FROM:<",
                                        "RCPT TO:<", "DATA\r\n", "BDAT ", "QUIT\r\n"};
    bool known = false;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        known = known || str_starts(said, str_from(verbs[i]));
    while (known && said.n) {
        ptrdiff_t lf = str_find(said, '\n');
        REQUIRE(lf > 0 && said.p[lf - 1] == '\r');
        struct str line = str_head(said, (size_t)lf - 1);
        REQUIRE(line.n < 1000 && (str_starts(line, STR("AUTH ")) || str_is_text(line)));
        known = !str_eq(line, STR("DATA")) && !str_starts(line, STR("BDAT "));
        said = str_skip(said, (size_t)lf + 1);
    }
}

void fake_heard(struct event_base *w, struct str octets)
{
    static const char *const secrets[] = {"AHVzZXIAc2VjcmV0LXBhc3N3b3Jk", "c2VjcmV0LXBhc3N3b3Jk"};
    for (size_t i = 0; i < 2 && !conn_is_tls(w->speaker); i++)
        REQUIRE(!memmem(octets.p, octets.n, secrets[i], strlen(secrets[i])));
    check_commands(octets);
    buf_str(&w->passed, octets);
}

/* --- the program around it --- */

void settings_drop(struct settings *s)
{
    s->holders--;
}

void relay_job_ended(struct relay *r)
{
    (void)r;
}

/* As RFC 5321 section 4.5.2 has it, said another way than source.c does. */
static void wire_forms(struct asked *a, struct str message)
{
    struct str line;
    while (str_line(&message, &line)) {
        buf_printf(&a->wire, "%s%.*s\r\n", line.n && line.p[0] == '.' ? "." : "", STR_FMT(line));
        buf_printf(&a->bare, "%.*s\r\n", STR_FMT(line));
    }
    buf_str(&a->wire, STR(".\r\n"));
}

static int write_message(size_t number, uint8_t how, struct buf *message)
{
    int fd = memfd_create("message", MFD_CLOEXEC);
    buf_printf(message, "Received: from us; %zu\nSubject: x%s\n\n.\n..two\nbody%s%s", number, how & 4 ? "\xc3\xa9" : "",
               how & 8 ? "\xc3\xa9" : "", how & 16 ? "" : "\n");
    REQUIRE(fd >= 0 && fd_write_all(fd, message->p, message->n) == 0);
    return fd;
}

static void start_job(struct peer *queue, size_t number, uint8_t how)
{
    struct msg_recipient to[RECIPIENTS];
    struct asked *a = &asked[number];
    struct msg m = MSG_INIT(relay_ask);
    AUTO_BUF message = {0};
    *a = (struct asked){.recipients = how & 32 ? RECIPIENTS : 1 + number % 2};
    for (size_t i = 0; i < a->recipients; i++)
        to[i] = (struct msg_recipient){.address = addresses[i], .notify = (uint8_t)(i * 2),
                                       .orcpt = i == 1 ? STR("rfc822;bob@x") : STR("")};
    m.fd = write_message(number, how, &message);
    wire_forms(a, buf_view(&message));
    m.relay_ask = (struct msg_relay_ask){
        .id = number, .size = message.n, .flags = how & 4 ? ENQUEUE_SMTPUTF8 : 0, .session = STR("s"),
        .queue_id = STR("q"), .domain = STR("far.example"), .sender = number ? STR("ann@us.example") : STR(""),
        .ret = how & 3, .envid = how & 8 ? STR("id+201") : STR(""), .recipients = {to, a->recipients}};
    job_start(queue, &m);
}

static void queue_goes(struct relay *r)
{
    while (r->jobs) {
        asked[r->jobs->id].gone = true;
        job_free(r->jobs);
    }
}

static struct settings *settings_of(size_t which)
{
    static struct settings all[CONFIGURATIONS];
    struct settings *s = &all[which];
    struct err e = {0};
    if (!s->cfg) {
        s->tls = tls_context(STR(""), &e);
        s->reach.any = true;
        if (!s->tls || config_parse(str_from(configurations[which]), "facteur.conf", "/", &s->cfg, &e) != 0) {
            fprintf(stderr, "%s\n", e.log);
            abort();
        }
    }
    s->holders = 1;
    return s;
}

static void live(uint8_t jobs, size_t which)
{
    struct program program = {.base = &world};
    struct relay r = {.program = &program, .settings = settings_of(which),
                      .directory = rpc_new(&world, RELAY, DIRECTORY)};
    struct peer queue = {.relay = &r};
    size_t started = 0, count = 1 + (jobs >> 6) % JOBS;
    unsigned steps = 0;
    do {
        if (started < count && (!r.jobs || fake_dice(&world, 20) == 19)) {
            start_job(&queue, started, jobs);
            started++;
        }
        if (fake_dice(&world, 2000) == 1999)
            queue_goes(&r);
        REQUIRE(++steps < STEPS_MAX);
    } while (dns_step() || fake_rpc_step(&world) || fake_timer_step(&world) || fake_conn_step(&world) ||
             started < count);
    REQUIRE(!r.jobs && !r.idle && !r.quitting && r.idle_count == 0 && r.settings->holders == 1);
    for (size_t i = 0; i < count; i++)
        REQUIRE(asked[i].gone || asked[i].told == asked[i].recipients);
    rpc_free(r.directory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct randombytes_implementation dice = {.implementation_name = dice_name, .random = dice_random};
    if (size < 6 || sodium_init() < 0 || randombytes_set_implementation(&dice) != 0)
        return 0;
    if (log_target() != LOG_TARGET_SYSLOG) /* lines are made and go nowhere */
        log_open(LOG_TARGET_SYSLOG, "relay", open("/dev/null", O_WRONLY | O_CLOEXEC));
    world = fake_begin(data + 2, (struct str){(const char *)data + 6, size - 6});
    world.servers = true;
    live(data[1], data[0] % CONFIGURATIONS);
    REQUIRE(!world.conn && !world.calls && !world.timers && !dns_asks);
    for (size_t i = 0; i < JOBS; i++) {
        buf_free(&asked[i].wire);
        buf_free(&asked[i].bare);
    }
    buf_free(&world.passed);
    return 0;
}
