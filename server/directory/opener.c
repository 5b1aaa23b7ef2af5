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
    opener_fn fn;
    void *arg;
    LDAP *ld;
    struct err err;
};

struct queue {
    struct job *first, **last;
};

struct opener {
    pthread_mutex_t lock; /* guards all down to stopping */
    pthread_cond_t work;
    struct queue todo, done;
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

static void job_run(struct job *j)
{
    if (ldapmap_conn_open(j->settings, &j->ld, &j->err) != 0)
        j->ld = NULL;
}

static void *helper(void *arg)
{
    struct opener *o = arg;
    uint64_t one = 1;
    pthread_mutex_lock(&o->lock);
    while (!o->stopping) {
        struct job *j = queue_take(&o->todo);
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

static void on_done(evutil_socket_t fd, short what, void *arg)
{
    struct opener *o = arg;
    uint64_t count;
    struct job *j;
    (void)what;
    if (read((int)fd, &count, sizeof count) < 0)
        return;
    while ((j = take_done(o))) {
        j->fn(j->arg, j->ld, &j->err);
        free(j);
    }
}

struct opener *opener_new(struct event_base *base)
{
    struct opener *o = MEM_NEW(struct opener);
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->work, NULL);
    o->todo.last = &o->todo.first;
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

void opener_open(struct opener *o, const struct ldapmap_conn_settings *settings, opener_fn fn,
                 void *arg)
{
    struct job *j = MEM_NEW(struct job);
    *j = (struct job){.settings = settings, .fn = fn, .arg = arg};
    pthread_mutex_lock(&o->lock);
    queue_put(&o->todo, j);
    bool more = o->idle == 0 && o->thread_count < THREADS_MAX;
    pthread_cond_signal(&o->work);
    pthread_mutex_unlock(&o->lock);
    if (more)
        add_thread(o);
}

static void end_jobs(struct queue *q)
{
    struct job *j;
    while ((j = queue_take(q))) {
        j->fn(j->arg, j->ld, &j->err);
        free(j);
    }
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
    end_jobs(&o->todo);
    end_jobs(&o->done);
    event_free(o->event);
    close(o->wake);
    pthread_cond_destroy(&o->work);
    pthread_mutex_destroy(&o->lock);
    free(o);
    return true;
}
