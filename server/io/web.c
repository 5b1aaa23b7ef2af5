/* libcurl's multi interface on libevent. */
#include "io/web.h"

#include <curl/curl.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

struct web {
    struct event_base *base;
    CURLM *multi;
    struct event *timer;
    struct web_ask *asks;
};

struct web_ask {
    struct web *web;
    struct web_ask *next, **link;
    CURL *curl;
    struct curl_slist *addresses, *headers;
    int fd; /* libcurl has not taken it yet; -1: none */
    struct buf body;
    size_t size_max;
    bool too_large;
    char why[CURL_ERROR_SIZE];
    web_fn fn;
    void *arg;
};

/* --- libcurl's memory: its size stands before each piece, so that all of it can be wiped --- */

#define BEFORE sizeof(max_align_t)

static void *piece_new(size_t n)
{
    char *p = n <= SIZE_MAX - BEFORE ? malloc(BEFORE + n) : NULL;
    if (!p)
        return NULL;
    memcpy(p, &n, sizeof n);
    return p + BEFORE;
}

static size_t piece_size(const void *piece)
{
    size_t n;
    memcpy(&n, (const char *)piece - BEFORE, sizeof n);
    return n;
}

static void piece_free(void *piece)
{
    if (!piece)
        return;
    mem_wipe(piece, piece_size(piece));
    free((char *)piece - BEFORE);
}

static void *piece_resize(void *piece, size_t n)
{
    void *to = piece_new(n);
    if (!to || !piece)
        return to;
    size_t old = piece_size(piece);
    memcpy(to, piece, old < n ? old : n);
    piece_free(piece);
    return to;
}

static char *piece_copy(const char *z)
{
    size_t n = strlen(z) + 1;
    char *to = piece_new(n);
    return to ? memcpy(to, z, n) : NULL;
}

static void *piece_array(size_t count, size_t size)
{
    size_t n;
    void *to = __builtin_mul_overflow(count, size, &n) ? NULL : piece_new(n);
    return to ? memset(to, 0, n) : NULL;
}

void web_prepare(void)
{
    curl_global_init_mem(CURL_GLOBAL_DEFAULT, piece_new, piece_free, piece_resize, piece_copy,
                         piece_array);
}

/* --- the end of one --- */

void web_cancel(struct web_ask *a)
{
    if (!a)
        return;
    *a->link = a->next;
    if (a->next)
        a->next->link = a->link;
    curl_multi_remove_handle(a->web->multi, a->curl);
    curl_easy_cleanup(a->curl);
    curl_slist_free_all(a->addresses);
    curl_slist_free_all(a->headers);
    fd_closep(&a->fd);
    buf_free(&a->body);
    free(a);
}

static const char *failure(struct web_ask *a, CURLcode result, char text[128])
{
    if (a->too_large || result == CURLE_FILESIZE_EXCEEDED) {
        snprintf(text, 128, "it is larger than %zu bytes", a->size_max);
        return text;
    }
    if (result != CURLE_OK)
        return a->why[0] ? a->why : curl_easy_strerror(result);
    return NULL;
}

static void finish(struct web_ask *a, CURLcode result)
{
    char text[128];
    const char *type = NULL;
    struct web_answer answer = {.why = failure(a, result, text), .type = ""};
    if (!answer.why) {
        curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &answer.status);
        curl_easy_getinfo(a->curl, CURLINFO_CONTENT_TYPE, &type);
        answer.type = type ? type : "";
        answer.body = buf_view(&a->body);
    }
    a->fn(a->arg, &answer);
    web_cancel(a);
}

static void take_finished(struct web *w)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(w->multi, &left)) != NULL) {
        void *a = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode result = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &a);
        finish(a, result);
    }
}

/* --- events --- */

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct web *w = arg;
    int running, action = (what & EV_READ ? CURL_CSELECT_IN : 0) |
                          (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
    curl_multi_socket_action(w->multi, fd, action, &running);
    take_finished(w);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct web *w = arg;
    int running;
    (void)fd;
    (void)what;
    curl_multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_finished(w);
}

/* libcurl says what it waits for; per_socket is the event of the socket, if it has one. */
static int watch(CURL *curl, curl_socket_t fd, int what, void *arg, void *per_socket)
{
    struct web *w = arg;
    (void)curl;
    if (per_socket)
        event_free(per_socket);
    if (what == CURL_POLL_REMOVE) {
        curl_multi_assign(w->multi, fd, NULL);
        return 0;
    }
    short events = (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) |
                           (what & CURL_POLL_OUT ? EV_WRITE : 0));
    struct event *event = event_new(w->base, fd, events, on_socket, w);
    event_add(event, NULL);
    curl_multi_assign(w->multi, fd, event);
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
    struct web *w = arg;
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};
    (void)multi;
    if (ms < 0)
        event_del(w->timer);
    else
        event_add(w->timer, &tv);
    return 0;
}

static size_t on_body(char *p, size_t one, size_t n, void *arg)
{
    struct web_ask *a = arg;
    (void)one; /* is 1 */
    a->too_large = n > a->size_max - a->body.n;
    if (a->too_large)
        return CURL_WRITEFUNC_ERROR;
    buf_add(&a->body, p, n);
    return n;
}

/* --- asking --- */

struct web *web_new(struct event_base *base)
{
    struct web *w = MEM_NEW(struct web);
    w->base = base;
    w->multi = curl_multi_init();
    w->timer = evtimer_new(base, on_timer, w);
    curl_multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w);
    curl_multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(w->multi, CURLMOPT_TIMERDATA, w);
    curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, 1L);
    return w;
}

void web_free(struct web *w)
{
    if (!w)
        return;
    while (w->asks)
        web_cancel(w->asks);
    curl_multi_cleanup(w->multi);
    event_free(w->timer);
    free(w);
}

/* libcurl wants a socket: it is given the one that we have, once. */
static curl_socket_t give_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct web_ask *a = arg;
    int fd = a->fd;
    (void)purpose;
    (void)address;
    a->fd = -1;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int is_connected(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)arg;
    (void)fd;
    (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static void set_connection(struct web_ask *a)
{
    curl_easy_setopt(a->curl, CURLOPT_PROTOCOLS_STR, "https,http");
    curl_easy_setopt(a->curl, CURLOPT_IPRESOLVE, CURL_IPRESOLVE_V4); /* of the address that is none */
    curl_easy_setopt(a->curl, CURLOPT_OPENSOCKETFUNCTION, give_socket);
    curl_easy_setopt(a->curl, CURLOPT_OPENSOCKETDATA, a);
    curl_easy_setopt(a->curl, CURLOPT_SOCKOPTFUNCTION, is_connected);
}

static void set_bounds(CURL *c, size_t size_max, int64_t timeout_ms)
{
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L); /* RFC 8461 section 3.3 */
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(c, CURLOPT_MAXFILESIZE, (long)size_max);
    curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

static void set_place(struct web_ask *a, const struct web_request *r)
{
    AUTO_BUF known = {0};
    buf_printf(&known, "%.*s:%u:%.*s", STR_FMT(r->host), r->port,
               STR_FMT(r->fd < 0 ? r->addresses : STR("127.0.0.1")));
    a->addresses = curl_slist_append(NULL, buf_z(&known));
    curl_easy_setopt(a->curl, CURLOPT_URL, r->url);
    curl_easy_setopt(a->curl, CURLOPT_RESOLVE, a->addresses);
}

static void set_content(struct web_ask *a, const struct web_request *r)
{
    if (r->header)
        a->headers = curl_slist_append(NULL, r->header);
    curl_easy_setopt(a->curl, CURLOPT_HTTPHEADER, a->headers);
    if (r->form)
        curl_easy_setopt(a->curl, CURLOPT_POSTFIELDS, r->form);
}

static struct web_ask *ask_new(struct web *w, const struct web_request *r, web_fn fn, void *arg)
{
    struct web_ask *a = MEM_NEW(struct web_ask);
    *a = (struct web_ask){.web = w, .next = w->asks, .link = &w->asks, .fd = r->fd,
                          .size_max = r->size_max, .curl = curl_easy_init(), .fn = fn, .arg = arg};
    if (a->next)
        a->next->link = &a->next;
    w->asks = a;
    return a;
}

struct web_ask *web_start(struct web *w, const struct web_request *r, web_fn fn, void *arg)
{
    struct curl_blob pem = {(void *)(uintptr_t)r->authorities.p, r->authorities.n, CURL_BLOB_COPY};
    struct web_ask *a = ask_new(w, r, fn, arg);
    set_bounds(a->curl, r->size_max, r->timeout_ms);
    if (r->fd >= 0)
        set_connection(a);
    set_place(a, r);
    set_content(a, r);
    curl_easy_setopt(a->curl, CURLOPT_CAINFO_BLOB, &pem);
    curl_easy_setopt(a->curl, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(a->curl, CURLOPT_ERRORBUFFER, a->why);
    curl_easy_setopt(a->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(a->curl, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(a->curl, CURLOPT_PRIVATE, a);
    curl_multi_add_handle(w->multi, a->curl);
    return a;
}
