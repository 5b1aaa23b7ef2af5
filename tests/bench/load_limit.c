/*
 * load disk and tls: what the machine itself can do, to stand beside the servers' figures. disk writes
 * files as a delivery must (create, write, fsync, rename, fsync of the directory), one thread a writer;
 * tls shakes hands with itself in memory and tells what the server's side of it costs.
 */
#include "load.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct writer {
    pthread_t thread;
    char dir[256];
    const char *data;
    size_t size;
    long count;
    bool failed;
};

static int make_dirs(const struct writer *writer) {
    char path[300];
    mkdir(writer->dir, 0700);
    snprintf(path, sizeof path, "%s/tmp", writer->dir);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/new", writer->dir);
    mkdir(path, 0700);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool write_one(const struct writer *writer, int directory, long number) {
    char from[320], to[320];
    snprintf(from, sizeof from, "%s/tmp/%ld", writer->dir, number);
    snprintf(to, sizeof to, "%s/new/%ld", writer->dir, number);
    int fd = open(from, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool fine = fd >= 0 && write(fd, writer->data, writer->size) == (ssize_t)writer->size &&
                fsync(fd) == 0 && rename(from, to) == 0 && fsync(directory) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return fine;
}

static void *writer_main(void *arg) {
    struct writer *writer = arg;
    int directory = make_dirs(writer);
    for (long i = 0; i < writer->count && !writer->failed; i++) {
        writer->failed = directory < 0 || !write_one(writer, directory, i);
    }
    if (directory >= 0) {
        close(directory);
    }
    return NULL;
}

int load_disk(const struct options *options) {
    long writers = option_number(options, "writers", 1), count = option_number(options, "count", 1000);
    size_t size = (size_t)option_number(options, "size", 4096);
    char *data = malloc(size);
    memset(data, 'x', size);
    struct writer *all = calloc((size_t)writers, sizeof *all);
    struct figures figures;
    figures_begin(&figures);
    for (long i = 0; i < writers; i++) {
        struct writer *writer = &all[i];
        snprintf(writer->dir, sizeof writer->dir, "%s/w%ld", option_text(options, "dir", NULL), i);
        writer->data = data;
        writer->size = size;
        writer->count = count / writers;
        if (pthread_create(&writer->thread, NULL, writer_main, writer) != 0) {
            give_up("cannot start a writer");
        }
    }
    for (long i = 0; i < writers; i++) {
        pthread_join(all[i].thread, NULL);
        if (all[i].failed) {
            figures_fail(&figures, "a writer failed");
        }
    }
    figures_end(&figures);
    for (long i = 0; i < writers * (count / writers); i++) {
        figures_add(&figures, figures.seconds * 1e3 * (double)writers / (double)count);
    }
    figures_print(&figures, "");
    bool failed = figures.failed > 0;
    figures_free(&figures);
    free(all);
    free(data);
    return failed;
}

static double own_cpu_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* One handshake; the CPU milliseconds of the server's side are added to *server_ms. */
static bool shake_hands(SSL_CTX *server_ctx, SSL_CTX *client_ctx, double *server_ms) {
    SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
    BIO *left, *right;
    BIO_new_bio_pair(&left, 0, &right, 0);
    SSL_set_bio(server, left, left);
    SSL_set_bio(client, right, right);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    bool done = false;
    for (int round = 0; round < 10 && !done; round++) {
        int ours = SSL_do_handshake(client);
        double from = own_cpu_ms();
        int theirs = SSL_do_handshake(server);
        *server_ms += own_cpu_ms() - from;
        done = ours == 1 && theirs == 1;
    }
    SSL_free(server);
    SSL_free(client);
    return done;
}

int load_tls(const struct options *options) {
    const char *cert = option_text(options, "cert", NULL);
    SSL_CTX *server = SSL_CTX_new(TLS_server_method()), *client = SSL_CTX_new(TLS_client_method());
    if (SSL_CTX_use_certificate_chain_file(server, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(server, cert, SSL_FILETYPE_PEM) != 1) {
        give_up("%s: no key with its chain", cert);
    }
    SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(client, SSL_OP_NO_TICKET);
    long count = option_number(options, "count", 1000);
    double server_ms = 0;
    struct figures figures;
    figures_begin(&figures);
    for (long i = 0; i < count; i++) {
        double from = now_ms();
        if (!shake_hands(server, client, &server_ms)) {
            give_up("the handshake failed");
        }
        figures_add(&figures, now_ms() - from);
    }
    figures_end(&figures);
    char extra[64];
    snprintf(extra, sizeof extra, ", \"server_ms\": %.4f", server_ms / (double)count);
    figures_print(&figures, extra);
    figures_free(&figures);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return 0;
}
