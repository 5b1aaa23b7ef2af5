/* libcurl's multi interface on libevent. */
#include "relay/web.h"

#include <curl/curl.h>
#include <stdlib.h>

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
    struct curl_slist *addresses;
    struct buf body;
    size_t size_max;
    bool too_large;
    char why[CURL_ERROR_SIZE];
    web_fn fn;
    void *arg;
};

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
    buf_free(&a->body);
    free(a);
}

/* With or without parameters behind it. */
static bool is_text_plain(const char *type)
{
    struct str rest = str_from(type ? type : ""), name = {0};
    return str_token(&rest, ";", &name) && str_caseeq(str_trim(name), STR("text/plain"));
}

static const char *verdict(struct web_ask *a, CURLcode result, char text[128])
{
    long code = 0;
    const char *type = NULL;
    if (a->too_large || result == CURLE_FILESIZE_EXCEEDED) {
        snprintf(text, 128, "it is larger than %zu bytes", a->size_max);
        return text;
    }
    if (result != CURLE_OK)
        return a->why[0] ? a->why : curl_easy_strerror(result);
    curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(a->curl, CURLINFO_CONTENT_TYPE, &type);
    if (code != 200) {
        snprintf(text, 128, "the web server answered %ld", code);
        return text;
    }
    if (!is_text_plain(type))
        return "it is not text/plain";
    return NULL;
}

static void finish(struct web_ask *a, CURLcode result)
{
    char text[128];
    const char *why = verdict(a, result, text);
    a->fn(a->arg, why ? (struct str){"", 0} : buf_view(&a->body), why);
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

static void set_bounds(CURL *c, size_t size_max, int64_t timeout_s)
{
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L); /* RFC 8461 section 3.3 */
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)timeout_s);
    curl_easy_setopt(c, CURLOPT_MAXFILESIZE, (long)size_max);
    curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

static void set_place(struct web_ask *a, struct str host, const char *path, struct str addresses)
{
    AUTO_BUF url = {0};
    AUTO_BUF known = {0};
    buf_printf(&url, "https://%.*s/%s", STR_FMT(host), path);
    buf_printf(&known, "%.*s:443:%.*s", STR_FMT(host), STR_FMT(addresses));
    a->addresses = curl_slist_append(NULL, buf_z(&known));
    curl_easy_setopt(a->curl, CURLOPT_URL, buf_z(&url));
    curl_easy_setopt(a->curl, CURLOPT_RESOLVE, a->addresses);
}

struct web_ask *web_start(struct web *w, struct str host, const char *path, struct str addresses,
                          struct str authorities, size_t size_max, int64_t timeout_s, web_fn fn,
                          void *arg)
{
    struct web_ask *a = MEM_NEW(struct web_ask);
    struct curl_blob pem = {(void *)(uintptr_t)authorities.p, authorities.n, CURL_BLOB_COPY};
    *a = (struct web_ask){.web = w, .next = w->asks, .link = &w->asks, .size_max = size_max,
                          .fn = fn, .arg = arg};
    if (a->next)
        a->next->link = &a->next;
    w->asks = a;
    a->curl = curl_easy_init();
    set_bounds(a->curl, size_max, timeout_s);
    set_place(a, host, path, addresses);
    curl_easy_setopt(a->curl, CURLOPT_CAINFO_BLOB, &pem);
    curl_easy_setopt(a->curl, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(a->curl, CURLOPT_ERRORBUFFER, a->why);
    curl_easy_setopt(a->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(a->curl, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(a->curl, CURLOPT_PRIVATE, a);
    curl_multi_add_handle(w->multi, a->curl);
    return a;
}
