/* Threads that wait for the disk. */
#include "queue/syncer.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 15       /* with the caller 16 waits at once */
#define STACK (256 * 1024)

struct queue_syncer {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    pthread_t threads[THREADS];
    size_t started;
    /* Under the lock: what is to be synced now. */
    const int *fds;
    size_t n, next, left;
    int error;
    bool ending;
};

struct queue_syncer *queue_syncer_new(void)
{
    struct queue_syncer *s = MEM_NEW(struct queue_syncer);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->done, NULL);
    return s;
}

/* The next file, with the lock held at both ends and let go meanwhile. */
static void sync_next(struct queue_syncer *s)
{
    int fd = s->fds[s->next++];
    pthread_mutex_unlock(&s->lock);
    int error = fsync(fd) == 0 ? 0 : errno;
    pthread_mutex_lock(&s->lock);
    if (error)
        s->error = error;
    if (--s->left == 0)
        pthread_cond_signal(&s->done);
}

static void *thread(void *arg)
{
    struct queue_syncer *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->ending) {
        if (s->next < s->n)
            sync_next(s);
        else
            pthread_cond_wait(&s->work, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Signals are the event loop's. Where no thread can be had, the caller does it alone. */
static void start_threads(struct queue_syncer *s, size_t wanted)
{
    pthread_attr_t attr;
    sigset_t all, before;
    if (s->started >= wanted || s->started == THREADS)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    while (s->started < wanted && s->started < THREADS &&
           pthread_create(&s->threads[s->started], &attr, thread, s) == 0)
        s->started++;
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int queue_syncer_run(struct queue_syncer *s, const int *fds, size_t n)
{
    if (n > 1)
        start_threads(s, n - 1);
    pthread_mutex_lock(&s->lock);
    s->fds = fds;
    s->n = s->left = n;
    s->next = 0;
    s->error = 0;
    for (size_t i = 1; i < n && i <= s->started; i++)
        pthread_cond_signal(&s->work);
    while (s->next < s->n)
        sync_next(s);
    while (s->left)
        pthread_cond_wait(&s->done, &s->lock);
    s->n = s->next = 0;
    errno = s->error;
    pthread_mutex_unlock(&s->lock);
    return errno ? -1 : 0;
}

void queue_syncer_free(struct queue_syncer *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->started; i++)
        pthread_join(s->threads[i], NULL);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->done);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
