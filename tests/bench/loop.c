/*
 * Tasks and connections on one epoll loop. A task has a stack of its own; it is woken by the one
 * connection it has open (edge-triggered, so a wake-up may be for nothing and callers try again).
 */
#undef _FORTIFY_SOURCE /* its longjmp() takes a jump to another stack for one into a frame that is gone */
#include "loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    STACK = 256 * 1024,
    FIRST_BUFFER = 16 * 1024,
    LARGEST_BUFFER = 256 * 1024 * 1024,
    PATIENCE_MS = 60 * 1000
};

struct task {
    ucontext_t start; /* until it runs for the first time */
    jmp_buf context;
    bool runs;
    struct loop *loop;
    void (*run)(struct loop *, void *);
    void *arg;
    void *stack;
    bool hung_up; /* its connection told that nothing more will come: it tells so once */
    struct task *next;
};

void give_up(const char *format, ...) {
    va_list list;
    va_start(list, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    exit(2);
}

/* Any certificate will do. Without this a chain would be built and checked for nothing. */
static int trust(X509_STORE_CTX *store, void *arg) {
    (void)store;
    (void)arg;
    return 1;
}

void loop_init(struct loop *loop) {
    *loop = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC), .patience_ms = PATIENCE_MS};
    loop->last = &loop->ready;
    loop->context = calloc(1, sizeof(jmp_buf));
    loop->tls = SSL_CTX_new(TLS_client_method());
    if (loop->epoll < 0 || loop->context == NULL || loop->tls == NULL) {
        give_up("no memory");
    }
    /* Every handshake is a full one, and what the generator itself costs stays small. */
    SSL_CTX_set_session_cache_mode(loop->tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(loop->tls, SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(loop->tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(loop->tls, 1);
    SSL_CTX_set_verify(loop->tls, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(loop->tls, trust, NULL);
}

void loop_free(struct loop *loop) {
    SSL_CTX_free(loop->tls);
    free(loop->context);
    close(loop->epoll);
}

/* Leaves off here, to go on from there. swapcontext() would ask the kernel twice for signal masks that nobody has. */
static void change(jmp_buf *from, jmp_buf *to) {
    if (_setjmp(*from) == 0) {
        _longjmp(*to, 1);
    }
}

static void start(jmp_buf *from, struct task *task) {
    task->runs = true;
    if (_setjmp(*from) == 0) {
        setcontext(&task->start);
    }
}

/* makecontext passes ints only: a pointer goes in two halves. */
static void task_main(unsigned high, unsigned low) {
    struct task *task = (struct task *)(((uintptr_t)high << 32) | (uintptr_t)low);
    struct loop *loop = task->loop;
    task->run(loop, task->arg);
    loop->tasks--;
    loop->ended = task;
    change(&task->context, loop->context);
}

void loop_spawn(struct loop *loop, void (*run)(struct loop *, void *), void *arg) {
    struct task *task = calloc(1, sizeof *task);
    void *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (task == NULL || stack == MAP_FAILED) {
        give_up("no memory for a task");
    }
    *task = (struct task){.loop = loop, .run = run, .arg = arg, .stack = stack};
    getcontext(&task->start);
    task->start.uc_stack.ss_sp = stack;
    task->start.uc_stack.ss_size = STACK;
    uintptr_t address = (uintptr_t)task;
    makecontext(&task->start, (void (*)(void))task_main, 2, (unsigned)(address >> 32),
                (unsigned)address);
    *loop->last = task;
    loop->last = &task->next;
    loop->tasks++;
}

static void resume(struct loop *loop, struct task *task) {
    loop->now = task;
    if (task->runs) {
        change(loop->context, &task->context);
    } else {
        start(loop->context, task);
    }
    loop->now = NULL;
    if (loop->ended != NULL) {
        munmap(loop->ended->stack, STACK);
        free(loop->ended);
        loop->ended = NULL;
    }
}

void loop_pause(struct loop *loop) {
    change(&loop->now->context, loop->context);
}

void loop_run(struct loop *loop) {
    struct epoll_event events[256];
    while (loop->tasks > 0) {
        while (loop->ready != NULL) {
            struct task *task = loop->ready;
            loop->ready = task->next;
            if (loop->ready == NULL) {
                loop->last = &loop->ready;
            }
            resume(loop, task);
        }
        if (loop->tasks == 0) {
            break;
        }
        int count = epoll_wait(loop->epoll, events, 256, loop->patience_ms);
        if (count == 0) {
            give_up("nothing happened for %d s with %u tasks under way", loop->patience_ms / 1000,
                    loop->tasks);
        }
        for (int i = 0; i < count; i++) {
            struct task *task = events[i].data.ptr;
            task->hung_up = task->hung_up || (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
            resume(loop, task);
        }
    }
}

int conn_open(struct conn *conn, struct loop *loop, int port) {
    *conn = (struct conn){.loop = loop, .size = FIRST_BUFFER};
    loop->now->hung_up = false;
    conn->in = malloc(conn->size);
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->in == NULL || conn->fd < 0) {
        give_up("socket: %s", strerror(errno));
    }
    int one = 1;
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(conn->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        return -1;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    event.data.ptr = loop->now;
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, conn->fd, &event) != 0) {
        give_up("epoll_ctl: %s", strerror(errno));
    }
    loop_pause(loop);
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0 ? -1 : 0;
}

/* Sleeps until something happens, which may be that something came. */
static void wait_for_event(struct conn *conn) {
    loop_pause(conn->loop);
    conn->drained = false;
}

/* 1: try again after a wake-up; 0: gone. */
static int again(struct conn *conn, int result) {
    int error = SSL_get_error(conn->ssl, result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        ERR_clear_error();
        return 0;
    }
    wait_for_event(conn);
    return 1;
}

/* Sees what OpenSSL gets from the socket. */
static long watch_read(BIO *bio, int oper, const char *data, size_t len, int argi, long argl, int result,
                       size_t *got) {
    (void)data;
    (void)argi;
    (void)argl;
    if (oper == (BIO_CB_READ | BIO_CB_RETURN)) {
        struct conn *conn = (void *)BIO_get_callback_arg(bio);
        conn->drained = result <= 0 || *got < len;
    }
    return result;
}

int conn_tls(struct conn *conn) {
    conn->ssl = SSL_new(conn->loop->tls);
    if (conn->ssl == NULL || SSL_set_fd(conn->ssl, conn->fd) != 1) {
        give_up("no memory");
    }
    BIO_set_callback_arg(SSL_get_rbio(conn->ssl), (char *)conn);
    BIO_set_callback_ex(SSL_get_rbio(conn->ssl), watch_read);
    SSL_set_connect_state(conn->ssl);
    int result;
    while ((result = SSL_do_handshake(conn->ssl)) != 1) {
        if (!again(conn, result)) {
            return -1;
        }
    }
    return 0;
}

int conn_write(struct conn *conn, const char *data, size_t len) {
    while (len > 0) {
        ssize_t done;
        if (conn->ssl != NULL) {
            done = SSL_write(conn->ssl, data, len > 1 << 30 ? 1 << 30 : (int)len);
            if (done <= 0) {
                if (!again(conn, (int)done)) {
                    return -1;
                }
                continue;
            }
        } else {
            done = send(conn->fd, data, len, MSG_NOSIGNAL);
            if (done < 0) {
                if (errno != EAGAIN && errno != EINTR) {
                    return -1;
                }
                if (errno == EAGAIN) {
                    wait_for_event(conn);
                }
                continue;
            }
        }
        data += done;
        len -= (size_t)done;
    }
    return 0;
}

int conn_printf(struct conn *conn, const char *format, ...) {
    char line[4096];
    va_list list;
    va_start(list, format);
    int len = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (len < 0 || (size_t)len >= sizeof line) {
        give_up("a command is too long");
    }
    return conn_write(conn, line, (size_t)len);
}

/* Reads what there is, at least one byte. */
static int fill(struct conn *conn) {
    if (conn->begin == conn->end) {
        conn->begin = conn->end = 0;
    } else if (conn->end == conn->size && conn->begin > conn->size / 2) {
        memmove(conn->in, conn->in + conn->begin, conn->end - conn->begin);
        conn->end -= conn->begin;
        conn->begin = 0;
    }
    if (conn->end == conn->size) {
        conn->size *= 2;
        conn->in = conn->size <= LARGEST_BUFFER ? realloc(conn->in, conn->size) : NULL;
        if (conn->in == NULL) {
            give_up("a line is too long");
        }
    }
    size_t room = conn->size - conn->end;
    for (;;) {
        /* What came after a read that took all there was is told of; a hang-up was told of once. */
        if (conn->drained && !conn->loop->now->hung_up &&
            (conn->ssl == NULL || SSL_has_pending(conn->ssl) == 0)) {
            wait_for_event(conn);
        }
        ssize_t got;
        if (conn->ssl != NULL) {
            got = SSL_read(conn->ssl, conn->in + conn->end, room > 1 << 30 ? 1 << 30 : (int)room);
            if (got <= 0) {
                if (!again(conn, (int)got)) {
                    return -1;
                }
                continue;
            }
        } else {
            got = recv(conn->fd, conn->in + conn->end, room, 0);
            if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
                return -1;
            }
            if (got < 0) {
                conn->drained = errno == EAGAIN;
                continue;
            }
            conn->drained = (size_t)got < room;
        }
        conn->end += (size_t)got;
        conn->received += (uint64_t)got;
        return 0;
    }
}

int conn_line(struct conn *conn, char **line, size_t *len) {
    size_t looked = 0;
    for (;;) {
        char *start = conn->in + conn->begin;
        size_t have = conn->end - conn->begin;
        char *end = have > looked ? memchr(start + looked, '\n', have - looked) : NULL;
        if (end != NULL) {
            conn->begin += (size_t)(end - start) + 1;
            *len = (size_t)(end - start);
            if (*len > 0 && start[*len - 1] == '\r') {
                --*len;
            }
            start[*len] = '\0';
            *line = start;
            return 0;
        }
        looked = have;
        if (fill(conn) != 0) {
            return -1;
        }
    }
}

int conn_skip(struct conn *conn, size_t len) {
    for (;;) {
        size_t have = conn->end - conn->begin;
        size_t take = have < len ? have : len;
        conn->begin += take;
        len -= take;
        if (len == 0) {
            return 0;
        }
        if (fill(conn) != 0) {
            return -1;
        }
    }
}

void conn_close(struct conn *conn) {
    if (conn->ssl != NULL) {
        SSL_free(conn->ssl);
    }
    if (conn->fd >= 0) {
        close(conn->fd);
    }
    free(conn->in);
    *conn = (struct conn){.fd = -1};
}
