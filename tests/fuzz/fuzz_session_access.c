/*
 * IMAP and POP3 before login, and the passage to the session, in a world that is played (fake_world.h). The
 * first five octets choose service, configuration, how much the client says at once, its luck, and how it
 * ends; one more is passed over; the rest is what it says. Whatever that is: answers are lines, no password is
 * asked about without TLS, a session begins with one good grant that is used once, it hears one line of ours
 * and then every octet that the client said behind its login and no other, and in the end nothing is held.
 */
#include "fake_world.h"

#include "access/access.h"
#include "base/log.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define STEPS_MAX 2000000
#define ANSWER_MAX 2000 /* of an answer */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const configurations[] = {
    "myhostname = mx.hosted.example\n",
    "myhostname = mx.hosted.example\nsasl_relay_mechanisms = SCRAM-SHA-256 CRAM-MD5\n",
};

static uint64_t asked; /* of the master, for a session; 0: nothing */

/* --- what the client hears --- */

static void check_line(struct str line)
{
    REQUIRE(line.n >= 4 && line.n <= ANSWER_MAX && line.p[line.n - 2] == '\r');
    for (size_t i = 0; i + 2 < line.n; i++)
        REQUIRE(line.p[i] >= ' ' && line.p[i] < 0x7f);
}

/* From the passage on it is the session that speaks. */
void fake_heard(struct event_base *w, struct str octets)
{
    ptrdiff_t lf;
    if (w->session || w->passed.n)
        return;
    buf_str(&w->heard, octets);
    while ((lf = str_find(buf_view(&w->heard), '\n')) >= 0) {
        struct str line = str_head(buf_view(&w->heard), (size_t)lf + 1);
        if (!str_eq(line, STR(".\r\n"))) /* the end of POP3's list */
            check_line(line);
        buf_consume(&w->heard, (size_t)lf + 1);
    }
}

/* --- the program around the client, and the master --- */

void access_client_ended(struct access *a)
{
    (void)a;
}

static struct event_base world;

int channel_send(struct channel *ch, const struct msg *m)
{
    AUTO_BUF bytes = {0};
    AUTO_ARENA a = arena_new(1024);
    struct msg back;
    struct err e = {0};
    uint8_t *grant = fake_grant_state(&world, &m->session_ask.grant);
    REQUIRE(!ch && m->type == MSG_session_ask && asked == 0);
    REQUIRE(msg_encode(m, &bytes, &e) == 0);
    REQUIRE(msg_decode(buf_view(&bytes), ACCESS, MASTER, a, &back, &e) == 0);
    REQUIRE(*grant == GRANT_OF_LOGIN && conn_is_tls(world.conn));
    *grant = GRANT_OVER;
    asked = m->session_ask.id;
    return 0;
}

static bool master_step(struct access *a)
{
    static const uint8_t verdicts[] = {VERDICT_YES, VERDICT_YES, VERDICT_REFUSED, VERDICT_CANNOT_SAY,
                                       VERDICT_NO};
    struct msg reply = {.type = MSG_session_reply, .fd = -1};
    if (asked == 0)
        return false;
    reply.session_reply.id = asked;
    reply.session_reply.verdict = verdicts[fake_dice(&world, 5)];
    asked = 0;
    login_session_reply(a, &reply);
    return true;
}

/* --- what must hold --- */

static bool is_preamble(enum service service, struct str line)
{
    if (service == SERVICE_POP3 || service == SERVICE_POP3S)
        return line.n == 0 || str_eq(line, STR("UTF8"));
    return line.n > 0 && line.n < 128 && str_is_text(line) && str_find(line, ' ') < 0;
}

static void check_passed(struct event_base *w, enum service service)
{
    struct str all = buf_view(&w->passed), said = str_head(w->script, w->said);
    ptrdiff_t lf = str_find(all, '\n');
    if (all.n == 0)
        return;
    REQUIRE(lf > 0 && all.p[lf - 1] == '\r' && is_preamble(service, str_head(all, (size_t)lf - 1)));
    REQUIRE(str_ends(said, str_skip(all, (size_t)lf + 1)));
}

static void check_world(struct event_base *w, enum service service)
{
    REQUIRE(!w->conn && !w->session && !w->calls && !w->timers && w->heard.n == 0);
    check_passed(w, service);
    buf_free(&w->heard);
    buf_free(&w->passed);
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
    static char room[CONN_ROOM];
    struct front_settings settings = {.holders = 1, .cfg = configuration(which)};
    struct program program = {.base = w};
    struct access a = {.program = &program, .front = {.settings = &settings}, .waiting = map_new(), .room = room,
                       .directory = rpc_new(w, ACCESS, DIRECTORY)};
    unsigned steps = 0;
    asked = 0;
    client_accept(&a, service, -1, &client);
    while (fake_conn_step(w) || fake_rpc_step(w) || master_step(&a) || fake_timer_step(w))
        REQUIRE(++steps < STEPS_MAX);
    REQUIRE(!a.clients && a.logging_in == 0 && a.relaying == 0 && map_count(a.waiting) == 0);
    REQUIRE(settings.holders == 1);
    rpc_free(a.directory);
    map_free(a.waiting, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum service services[] = {SERVICE_IMAP, SERVICE_IMAPS, SERVICE_POP3, SERVICE_POP3S};
    if (size < 6 || sodium_init() < 0)
        return 0;
    if (log_target() != LOG_TARGET_SYSLOG) /* lines are made and go nowhere */
        log_open(LOG_TARGET_SYSLOG, "access", open("/dev/null", O_WRONLY | O_CLOEXEC));
    world = fake_begin(data + 2, (struct str){(const char *)data + 6, size - 6});
    live(&world, services[data[0] % 4], data[1] % (sizeof configurations / sizeof *configurations));
    check_world(&world, services[data[0] % 4]);
    return 0;
}
