/*
 * Options, users and figures of the load generator.
 */
#include "loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

const char *option_text(const struct options *options, const char *name, const char *fallback) {
    size_t len = strlen(name);
    for (int i = 0; i < options->count; i++) {
        if (strncmp(options->words[i], name, len) == 0 && options->words[i][len] == '=') {
            return options->words[i] + len + 1;
        }
    }
    if (fallback == NULL) {
        give_up("%s=... is needed", name);
    }
    return fallback;
}

long option_number(const struct options *options, const char *name, long fallback) {
    const char *text = option_text(options, name, fallback < 0 ? NULL : "");
    if (*text == '\0') {
        return fallback;
    }
    char *end;
    long value = strtol(text, &end, 10);
    if (*end != '\0' || value < 0) {
        give_up("%s=%s is no number", name, text);
    }
    return value;
}

void users_read(struct users *users, const struct options *options) {
    const char *path = option_text(options, "users", NULL);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        give_up("cannot read %s", path);
    }
    struct user user;
    *users = (struct users){0};
    while (fscanf(file, "%63s %63s %127s", user.login, user.password, user.address) == 3) {
        users->list = realloc(users->list, (users->count + 1) * sizeof user);
        users->list[users->count++] = user;
    }
    fclose(file);
    if (users->count == 0) {
        give_up("%s names no user", path);
    }
}

double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

void figures_begin(struct figures *figures) {
    *figures = (struct figures){.started = now_ms()};
}

void figures_add(struct figures *figures, double ms) {
    if (figures->count == figures->size) {
        figures->size = figures->size ? figures->size * 2 : 1024;
        figures->ms = realloc(figures->ms, figures->size * sizeof *figures->ms);
        if (figures->ms == NULL) {
            give_up("no memory for figures");
        }
    }
    figures->ms[figures->count++] = ms;
}

void figures_fail(struct figures *figures, const char *text) {
    if (figures->failed++ > 0) {
        return;
    }
    size_t len = 0;
    for (; *text != '\0' && len + 1 < sizeof figures->first_failure; text++) {
        /* It goes into JSON as it is. */
        figures->first_failure[len++] = *text < ' ' || *text == '"' || *text == '\\' ? ' ' : *text;
    }
}

void figures_end(struct figures *figures) {
    figures->seconds = (now_ms() - figures->started) / 1e3;
}

static int compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double part(const struct figures *figures, double share) {
    if (figures->count == 0) {
        return 0;
    }
    return figures->ms[(size_t)(share * (double)(figures->count - 1))];
}

void figures_print(struct figures *figures, const char *extra) {
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    double cpu = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
                 (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
    if (figures->count > 0) {
        qsort(figures->ms, figures->count, sizeof *figures->ms, compare);
    }
    printf("{\"count\": %zu, \"failed\": %llu, \"failure\": \"%s\", \"seconds\": %.6f, "
           "\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f, \"client_cpu\": %.3f%s}\n",
           figures->count, (unsigned long long)figures->failed, figures->first_failure,
           figures->seconds, part(figures, 0.5), part(figures, 0.99), part(figures, 1), cpu, extra);
    fflush(stdout);
}

void figures_free(struct figures *figures) {
    free(figures->ms);
}
