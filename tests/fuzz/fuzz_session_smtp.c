/*
 * Whole SMTP, submission and LMTP sessions in a world that is played (fake_world.h). The first
 * five octets choose service, configuration, how much the client says at once, its luck, and how it ends;
 * one more is passed over; the rest is what it says. Whatever that is: replies are lines, nothing is handed
 * on that was not ended, nothing goes to other servers without a right, grants of logins are given back, and
 * in the end nothing is held.
 */
#include "fake_world.h"

#include "base/log.h"
#include "smtp/smtp.h"

#include <ctype.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define STEPS_MAX 2000000
#define OLD_DEVICES 3 /* the configuration in which bare LFs end lines */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COMMON                                                                                     \
    "myhostname = mx.hosted.example\nmyorigin = hosted.example\nlmtp_networks = 192.0.2.0/24\n"
static const char *const configurations[] = {
    COMMON,
    COMMON "smtpd_milters = inet:127.0.0.1:9\nmilter_default_action = quarantine\n"
           "always_bcc = archive@hosted.example\ncanonical_maps = inline:{a@b=c@d}\n"
           "local_header_rewrite_clients = permit_sasl_authenticated permit_mynetworks\n",
    COMMON "smtpd_helo_required = yes\nsasl_relay_mechanisms = SCRAM-SHA-256\n"
           "smtpd_client_restrictions = check_client_access inline:{a=OK}, reject_rbl_client bl.example\n"
           "smtpd_helo_restrictions = reject_invalid_helo_hostname, check_helo_access inline:{a=OK}\n"
           "smtpd_sender_restrictions = reject_unknown_sender_domain, check_sender_access inline:{a=OK}\n"
           "smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:8, warn_if_reject "
           "check_recipient_access inline:{a=OK}\n",
    COMMON "smtpd_forbid_bare_newline_exclusions = 192.0.2.0/24\nmessage_size_limit = 2000\n"
           "smtpd_sasl_auth_enable = yes\nsmtpd_junk_command_limit = 5\n",
};

/* --- what the client hears --- */

static void check_line(struct str line)
{
    const unsigned char *p = (const unsigned char *)line.p;
    REQUIRE(line.n >= 6 && line.p[line.n - 2] == '\r');
    REQUIRE(p[0] >= '2' && p[0] <= '5' && isdigit(p[1]) && isdigit(p[2]) && (p[3] == ' ' || p[3] == '-'));
    REQUIRE(str_is_utf8(line));
    for (size_t i = 0; i + 2 < line.n; i++)
        REQUIRE(p[i] >= ' ' && p[i] != 0x7f);
    if (!str_starts(line, STR("334 ")))
        REQUIRE(line.n <= 512); /* RFC 5321 section 4.5.3.1.5 */
}

void fake_heard(struct event_base *w, struct str octets)
{
    ptrdiff_t lf;
    buf_str(&w->heard, octets);
    while ((lf = str_find(buf_view(&w->heard), '\n')) >= 0) {
        check_line(str_head(buf_view(&w->heard), (size_t)lf + 1));
        buf_consume(&w->heard, (size_t)lf + 1);
    }
}

/* --- the program around the session --- */

void smtpd_session_ended(struct smtpd *d)
{
    (void)d;
}

static void begin(struct smtpd *d, struct program *p, struct front_settings *settings)
{
    *d = (struct smtpd){.program = p, .front = {.settings = settings}};
    d->directory = rpc_new(p->base, SMTP, DIRECTORY);
    d->deliver = rpc_new(p->base, SMTP, DELIVER);
    d->queue = rpc_new(p->base, SMTP, QUEUE);
    d->filter = rpc_new(p->base, SMTP, FILTER);
    d->relay = rpc_new(p->base, SMTP, RELAY);
}

static void end(struct smtpd *d)
{
    REQUIRE(d->session_count == 0 && !d->sessions && d->memory == 0);
    rpc_free(d->directory);
    rpc_free(d->deliver);
    rpc_free(d->queue);
    rpc_free(d->filter);
    rpc_free(d->relay);
    probed_free(d);
}

/* --- what must hold --- */

/* How many messages could have ended in what was said: at a dot alone on a line, or in a last chunk. */
static unsigned ends(struct str all)
{
    unsigned n = 0;
    for (size_t i = 0; i < all.n; i++)
        n += str_starts(str_skip(all, i), STR("\r\n.\r\n")) || str_casestarts(str_skip(all, i), STR("LAST"));
    return n;
}

static void check_world(struct event_base *w, size_t configuration)
{
    REQUIRE(!w->conn && !w->calls && !w->timers && w->heard.n == 0);
    REQUIRE(configuration == OLD_DEVICES || w->messages <= ends(w->script));
    for (unsigned i = 1; i <= w->grant_count; i++)
        REQUIRE(w->grants[i] != GRANT_OF_LOGIN);
    buf_free(&w->heard);
}

static struct config *configuration(size_t n)
{
    static struct config *parsed[sizeof configurations / sizeof *configurations];
    struct err e = {0};
    if (!parsed[n] && config_parse(str_from(configurations[n]), "facteur.conf", "/", &parsed[n], &e) != 0) {
        fprintf(stderr, "%s\n", e.log);
        abort();
    }
    return parsed[n];
}

static void live(struct event_base *w, enum service service, size_t which)
{
    static const struct addr client = {.ip = {[10] = 0xff, 0xff, 192, 0, 2, 7}, .port = 4711, .is_v4 = true,
                                       .text = "192.0.2.7"};
    struct front_settings settings = {.holders = 1, .cfg = configuration(which)};
    struct program program = {.base = w};
    struct smtpd d;
    unsigned steps = 0;
    begin(&d, &program, &settings);
    session_accept(&d, service, -1, &client);
    while (fake_conn_step(w) || fake_rpc_step(w) || fake_timer_step(w))
        REQUIRE(++steps < STEPS_MAX);
    end(&d);
    REQUIRE(settings.holders == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum service services[] = {SERVICE_SMTP, SERVICE_SUBMISSION, SERVICE_SUBMISSIONS,
                                            SERVICE_LMTP};
    static struct event_base w;
    if (size < 6 || sodium_init() < 0)
        return 0;
    if (log_target() != LOG_TARGET_SYSLOG) /* lines are made and go nowhere */
        log_open(LOG_TARGET_SYSLOG, "smtp", open("/dev/null", O_WRONLY | O_CLOEXEC));
    size_t which = data[1] % (sizeof configurations / sizeof *configurations);
    w = fake_begin(data + 2, (struct str){(const char *)data + 6, size - 6});
    live(&w, services[data[0] % 4], which);
    check_world(&w, which);
    return 0;
}
