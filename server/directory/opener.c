/* Helper threads that open LDAP connections. */
#include "directory/opener.h"
#include "base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS_MAX 8

struct job {
    struct job *next;
    const struct ldapmap_conn_settings *settings;
    size_t order[LDAPMAP_SERVERS_MAX], count; /* places of the servers to try */
    size_t tried;                             /* so many of them; the last one has answered if ld */
    bool absent[LDAPMAP_SERVERS_MAX];         /* of those tried: it did not answer at all */
    opener_fn fn;
    void *arg;
    LDAP *ld;
    struct err err;
};

struct queue {
    struct job *first, **last;
};

struct opener {
    struct servers *servers; /* the event loop's */
    pthread_mutex_t lock; /* guards all down to stopping */
    pthread_cond_t work;
    struct queue waiting, done;
    size_t idle;
    bool stopping;
    pthread_t threads[THREADS_MAX]; /* the event loop's alone, from here on */
    size_t thread_count;
    int wake;
    struct event *event;
};

static void queue_put(struct queue *q, struct job *j)
{
    j->next = NULL;
    *q->last = j;
    q->last = &j->next;
}

static struct job *queue_take(struct queue *q)
{
    struct job *j = q->first;
    if (j && !(q->first = j->next))
        q->last = &q->first;
    return j;
}

/* Other results, such as a wrong password of ours, come from a server that is well. */
static bool is_absence(int code)
{
    return code < 0 || code == LDAP_BUSY || code == LDAP_UNAVAILABLE;
}

static void job_run(struct job *j)
{
    while (j->tried < j->count && !j->ld) {
        size_t i = j->tried++;
        j->absent[i] =
            is_absence(ldapmap_conn_open_at(j->settings, j->order[i], &j->ld, &j->err));
    }
}

static void *helper(void *arg)
{
    struct opener *o = arg;
    uint64_t one = 1;
    pthread_mutex_lock(&o->lock);
    while (!o->stopping) {
        struct job *j = queue_take(&o->waiting);
        if (!j) {
            o->idle++;
            pthread_cond_wait(&o->work, &o->lock);
            o->idle--;
            continue;
        }
        pthread_mutex_unlock(&o->lock);
        job_run(j);
        pthread_mutex_lock(&o->lock);
        queue_put(&o->done, j);
        if (write(o->wake, &one, sizeof one) < 0)
            abort(); /* an eventfd of ours that counts to 2^64 */
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

static struct job *take_done(struct opener *o)
{
    pthread_mutex_lock(&o->lock);
    struct job *j = queue_take(&o->done);
    pthread_mutex_unlock(&o->lock);
    return j;
}

/* What the attempts say of the servers. */
static void tell_servers(struct opener *o, const struct job *j)
{
    bool are_several = j->settings->server_count > 1;
    for (size_t i = 0; i < j->tried; i++) {
        struct str url = j->settings->servers[j->order[i]];
        if (j->absent[i])
            server_failed(servers_find(o->servers, url));
        if (are_several && j->absent[i])
            servers_failed(o->servers, url, "no connection");
        else if (are_several)
            servers_answered(o->servers, url);
    }
}

static void job_end(struct job *j)
{
    j->fn(j->arg, j->ld, j->ld ? j->order[j->tried - 1] : 0, &j->err);
    free(j);
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
    struct opener *o = arg;
    uint64_t count;
    struct job *j;
    (void)what;
    if (read((int)fd, &count, sizeof count) < 0)
        return;
    while ((j = take_done(o))) {
        tell_servers(o, j);
        job_end(j);
    }
}

struct opener *opener_new(struct event_base *base)
{
    struct opener *o = MEM_NEW(struct opener);
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->work, NULL);
    o->servers = servers_new(base);
    o->waiting.last = &o->waiting.first;
    o->done.last = &o->done.first;
    o->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    o->event = event_new(base, o->wake, EV_READ | EV_PERSIST, on_done, o);
    event_add(o->event, NULL);
    return o;
}

/* Signals stay with the event loop's thread. */
static void add_thread(struct opener *o)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&o->threads[o->thread_count], NULL, helper, o);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r == 0) {
        o->thread_count++;
        return;
    }
    log_error("ldap-helper", LZ("why", strerror(r)));
}

static struct job *job_new(const struct ldapmap_conn_settings *settings, opener_fn fn, void *arg)
{
    struct job *j = MEM_NEW(struct job);
    *j = (struct job){.settings = settings, .fn = fn, .arg = arg};
    return j;
}

static void start(struct opener *o, struct job *j)
{
    pthread_mutex_lock(&o->lock);
    queue_put(&o->waiting, j);
    bool more = o->idle == 0 && o->thread_count < THREADS_MAX;
    pthread_cond_signal(&o->work);
    pthread_mutex_unlock(&o->lock);
    if (more)
        add_thread(o);
}

struct servers *opener_servers(struct opener *o)
{
    return o->servers;
}

void opener_open(struct opener *o, const struct ldapmap_conn_settings *settings, uint64_t number,
                 opener_fn fn, void *arg)
{
    struct job *j = job_new(settings, fn, arg);
    j->count = settings->server_count;
    servers_order(o->servers, settings, number, j->order);
    start(o, j);
}

void opener_probe(struct opener *o, const struct ldapmap_conn_settings *settings, size_t place,
                  opener_fn fn, void *arg)
{
    struct job *j = job_new(settings, fn, arg);
    j->count = 1;
    j->order[0] = place;
    start(o, j);
}

static void end_jobs(struct queue *q)
{
    struct job *j;
    while ((j = queue_take(q)))
        job_end(j);
}

bool opener_free(struct opener *o)
{
    pthread_mutex_lock(&o->lock);
    bool busy = o->idle < o->thread_count;
    o->stopping = true;
    pthread_cond_broadcast(&o->work);
    pthread_mutex_unlock(&o->lock);
    if (busy)
        return false;
    for (size_t i = 0; i < o->thread_count; i++)
        pthread_join(o->threads[i], NULL);
    end_jobs(&o->waiting);
    end_jobs(&o->done);
    servers_free(o->servers);
    event_free(o->event);
    close(o->wake);
    pthread_cond_destroy(&o->work);
    pthread_mutex_destroy(&o->lock);
    free(o);
    return true;
}
