/*
 * Tokens, asked about by the directory program: the master connects to the introspection server, in
 * each of its places, or at each address of its name, until one takes the connection, and libcurl speaks over it. Each ask has a
 * connection of its own. A token lies in guarded memory, goes to that server and nowhere else, and is in
 * no log. RFC 7662 section 2, RFC 6749 section 2.3.1 for who we are.
 */
#include "base/clock.h"
#include "filter/filter.h"
#include "filter/token_answer.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#define ASKS_MAX 200
#define TOKEN_MAX 8000 /* messages.def */
#define ID_MAX 1000
#define TURNS_MAX 8 /* addresses of a name that are tried */

enum { MODE_POST, MODE_AUTH }; /* oauth2_introspection_mode */

struct token_ask {
    struct filter *filter;
    struct token_ask *next, **link;
    struct peer *peer;
    struct settings *settings;
    uint64_t ask_id, connect_id; /* connect_id: the master is asked; 0: it is not */
    struct secret token, form;
    size_t place;
    unsigned turn; /* which of the addresses, where the place is a name */
    bool is_last;  /* it has no more */
    int fd; /* a connection being made; -1: none */
    struct event *event;
    struct web_ask *web;
    int64_t deadline;
};

static struct str id_key(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof *id};
}

static void ask_free(struct token_ask *a)
{
    struct filter *f = a->filter;
    if (a->connect_id)
        map_take(f->introspecting, id_key(&a->connect_id));
    if (a->event)
        event_free(a->event);
    fd_closep(&a->fd);
    web_cancel(a->web);
    secret_free(&a->token);
    secret_free(&a->form);
    settings_drop(a->settings);
    *a->link = a->next;
    if (a->next)
        a->next->link = a->link;
    f->token_count--;
    free(a);
}

/* --- the answer --- */

static void answer(struct token_ask *a, enum verdict verdict, bool lacks_scope, struct str user,
                   const char *why)
{
    struct filter *f = a->filter;
    struct msg m = MSG_INIT(introspect_reply);
    if (verdict == VERDICT_CANNOT_SAY) {
        f->failures++;
        log_warning("introspection-failed", LZ("why", why));
    } else {
        f->tokens++;
    }
    m.introspect_reply.id = a->ask_id;
    m.introspect_reply.verdict = (uint8_t)verdict;
    m.introspect_reply.lacks_scope = lacks_scope;
    m.introspect_reply.user = user;
    m.introspect_reply.text = str_head(str_from(why), 250);
    channel_send(a->peer->ch, &m);
    ask_free(a);
}

static void cannot_say(struct token_ask *a, const char *why)
{
    answer(a, VERDICT_CANNOT_SAY, false, (struct str){0}, why);
}

static void read_answer(struct token_ask *a, struct str json)
{
    const struct config *c = a->settings->cfg;
    struct token_rules rules = {c->oauth2_active_attribute, c->oauth2_active_value,
                                c->oauth2_username_attribute,
                                c->oauth2_introspection_mode == MODE_POST, &c->oauth2_scope};
    static const char *const words[] = {"", "the token is not active", "the token lacks a scope"};
    enum token_state state;
    struct err e = {0};
    AUTO_BUF user = {0};
    if (token_answer_read(json, &rules, clock_real_us() / 1000000, &state, &user, &e) != 0)
        cannot_say(a, e.log);
    else
        answer(a, state == TOKEN_GOOD ? VERDICT_YES : VERDICT_NO, state == TOKEN_LACKS_SCOPE,
               buf_view(&user), words[state]);
}

/* RFC 7662 section 2.3: a token that is not known is told with 200; 401 means ourselves. A page that
 * the token itself opens says 401 of the token, or as RFC 6750 section 3.1 has it 400 or 403. */
static void on_answer(void *arg, const struct web_answer *w)
{
    struct token_ask *a = arg;
    bool refuses = a->settings->cfg->oauth2_introspection_mode == MODE_AUTH &&
                   (w->status == 400 || w->status == 401 || w->status == 403);
    char status[64];
    snprintf(status, sizeof status, "the server answered %ld", w->status);
    a->web = NULL;
    if (w->why)
        cannot_say(a, w->why);
    else if (refuses)
        answer(a, VERDICT_NO, false, (struct str){0}, status);
    else if (w->status != 200)
        cannot_say(a, status);
    else
        read_answer(a, w->body);
}

/* --- the question --- */

/* application/x-www-form-urlencoded. out has room for three octets each. */
static size_t encode(char *out, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
            (c && strchr("-._~", c))) {
            out[n++] = (char)c;
        } else {
            out[n++] = '%';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    return n;
}

static bool make_form(struct token_ask *a)
{
    static const char before[] = "token_type_hint=access_token&token=";
    char text[sizeof before + 3 * TOKEN_MAX];
    size_t n = sizeof before - 1;
    memcpy(text, before, n);
    n += encode(text + n, (struct str){a->token.p, a->token.n});
    a->form = secret_copy((struct str){text, n});
    mem_wipe(text, sizeof text);
    return a->form.p != NULL;
}

static struct str client_secret(const struct settings *s)
{
    struct str given = {s->client_secret.p, s->client_secret.n};
    return given.n ? given : s->cfg->oauth2_client_secret;
}

/* Name and password are encoded before they are joined (RFC 6749 section 2.3.1). out: room for it. */
static void put_basic(const struct settings *s, char *out, size_t size)
{
    char pair[6 * ID_MAX + 2];
    size_t n = encode(pair, str_head(s->cfg->oauth2_client_id, ID_MAX));
    pair[n++] = ':';
    n += encode(pair + n, str_head(client_secret(s), ID_MAX));
    size_t used = (size_t)snprintf(out, size, "Authorization: Basic ");
    sodium_bin2base64(out + used, size - used, (const unsigned char *)pair, n,
                      sodium_base64_VARIANT_ORIGINAL);
    mem_wipe(pair, sizeof pair);
}

#define HEADER_MAX (32 + 8 * ID_MAX + 8)
_Static_assert(HEADER_MAX > 32 + TOKEN_MAX && HEADER_MAX > 32 + (6 * ID_MAX + 4) / 3 * 4,
               "the header has no room");

static void ask_server(struct token_ask *a)
{
    struct settings *s = a->settings;
    bool posts = s->cfg->oauth2_introspection_mode == MODE_POST;
    char header[HEADER_MAX] = "";
    AUTO_FREE char *url = mem_strdup(s->cfg->oauth2_introspection_url);
    if (posts && s->cfg->oauth2_client_id.n)
        put_basic(s, header, sizeof header);
    else if (!posts)
        snprintf(header, sizeof header, "Authorization: Bearer %.*s", (int)a->token.n, a->token.p);
    int64_t left = a->deadline - clock_mono_ms();
    struct web_request r = {.url = url, .host = s->server.host, .port = s->server.port,
                            .fd = a->fd, .authorities = buf_view(&s->authorities),
                            .header = header[0] ? header : NULL, .form = a->form.p,
                            .size_max = TOKEN_ANSWER_MAX, .timeout_ms = left > 1 ? left : 1};
    a->fd = -1;
    a->web = web_start(a->filter->web, &r, on_answer, a);
    mem_wipe(header, sizeof header);
}

/* --- the connection --- */

static void ask_connection(struct token_ask *a)
{
    struct filter *f = a->filter;
    struct msg m = MSG_INIT(connect_ask);
    a->connect_id = ++f->last_connect;
    m.connect_ask.id = a->connect_id;
    m.connect_ask.place = a->settings->server.place[a->place];
    m.connect_ask.turn = (uint8_t)a->turn;
    map_put(f->introspecting, id_key(&a->connect_id), a);
    channel_send(f->program->master, &m);
}

static void try_next(struct token_ask *a, const char *why)
{
    const struct config_introspection *server = &a->settings->server;
    if (a->event)
        event_free(a->event);
    a->event = NULL;
    fd_closep(&a->fd);
    log_info("introspection", LS("place", server->place[a->place]), LZ("why", why));
    bool has_more = server->by_name && !a->is_last && ++a->turn < TURNS_MAX;
    if (has_more || ++a->place < server->places)
        ask_connection(a);
    else
        cannot_say(a, why);
}

static void on_made(evutil_socket_t fd, short what, void *arg)
{
    struct token_ask *a = arg;
    int code = 0;
    socklen_t n = sizeof code;
    if (what & EV_TIMEOUT) {
        try_next(a, "no connection in time");
    } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &n) != 0 || code != 0) {
        try_next(a, strerror(code ? code : errno));
    } else {
        event_free(a->event);
        a->event = NULL;
        ask_server(a);
    }
}

bool token_connected(struct filter *f, struct msg *m)
{
    char why[300];
    struct token_ask *a = map_take(f->introspecting, id_key(&m->connect_reply.id));
    if (!a)
        return false;
    a->connect_id = 0;
    snprintf(why, sizeof why, "%.*s", STR_FMT(m->connect_reply.text));
    if (m->connect_reply.verdict != VERDICT_YES) {
        a->is_last = m->connect_reply.verdict == VERDICT_NO;
        try_next(a, why);
        return true;
    }
    a->fd = m->fd;
    m->fd = -1;
    /* The time that is left is shared by the places that are; how many addresses there are is not
     * known here. */
    const struct config_introspection *server = &a->settings->server;
    int64_t shares = server->by_name ? 2 : (int64_t)(server->places - a->place);
    int64_t left = (a->deadline - clock_mono_ms()) / shares;
    left = left > 1 ? left : 1;
    a->event = event_new(f->program->base, a->fd, EV_WRITE, on_made, a);
    event_add(a->event, &(struct timeval){left / 1000, left % 1000 * 1000});
    return true;
}

/* --- asking --- */

static void refuse_ask(struct peer *p, uint64_t id, const char *why)
{
    struct msg m = MSG_INIT(introspect_reply);
    m.introspect_reply.id = id;
    m.introspect_reply.verdict = VERDICT_CANNOT_SAY;
    m.introspect_reply.text = str_from(why);
    p->filter->failures++;
    log_warning("introspection-failed", LZ("why", why));
    channel_send(p->ch, &m);
}

static struct token_ask *ask_new(struct peer *p, const struct msg_introspect_ask *ask)
{
    struct filter *f = p->filter;
    struct token_ask *a = MEM_NEW(struct token_ask);
    *a = (struct token_ask){.filter = f, .next = f->token_asks, .link = &f->token_asks, .peer = p,
                            .settings = f->settings, .ask_id = ask->id, .fd = -1,
                            .token = secret_copy(ask->token)};
    a->settings->holders++;
    a->deadline = clock_mono_ms() + a->settings->cfg->oauth2_timeout * 1000;
    if (a->next)
        a->next->link = &a->next;
    f->token_asks = a;
    f->token_count++;
    return a;
}

void token_take(struct peer *p, const struct msg_introspect_ask *ask)
{
    struct filter *f = p->filter;
    if (!f->settings || f->settings->server.places == 0 || f->token_count >= ASKS_MAX) {
        refuse_ask(p, ask->id, f->settings && f->settings->server.places
                                   ? "too many questions" : "oauth2_introspection_url is empty");
        return;
    }
    struct token_ask *a = ask_new(p, ask);
    bool posts = a->settings->cfg->oauth2_introspection_mode == MODE_POST;
    if (!a->token.p || (posts && !make_form(a)))
        cannot_say(a, "no guarded memory");
    else
        ask_connection(a);
}

void token_forget(struct filter *f, const struct peer *p)
{
    for (struct token_ask *a = f->token_asks, *next; a; a = next) {
        next = a->next;
        if (!p || a->peer == p)
            ask_free(a);
    }
}
