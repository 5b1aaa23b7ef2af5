/*
 * Asking LDAP tables as postmap -q does, with the same output and exit code.
 *
 * Needs no rights but to read the tables' files. The first table that knows a key answers; a table
 * that cannot say ends the command, so that no later one is taken for the truth.
 */
#include "ldapmap/ldapmap_ask.h"
#include "ldapmap/ldapmap_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TABLES_MAX 32
#define KEY_MAX ((size_t)64 * 1024)

struct opened {
    struct ldapmap_table *table;
    LDAP *ld;
};

struct command {
    struct opened tables[TABLES_MAX];
    size_t count;
};

enum outcome { OUTCOME_FOUND, OUTCOME_NOT_FOUND, OUTCOME_FAILED };

static int load_table(const char *argument, const struct ldapmap_conn_settings *defaults,
                      struct ldapmap_table **out, struct err *e)
{
    struct str path = str_from(argument);
    if (str_starts(path, STR("ldap:")))
        path = str_skip(path, 5);
    AUTO_BUF text = {0};
    AUTO_FD fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fd_read_all(fd, &text, LDAPMAP_FILE_MAX) < 0)
        return err_perm(e, "%s: %s", path.p, strerror(errno));
    int rc = ldapmap_table_parse(buf_view(&text), path, defaults, out, e);
    if (text.p != NULL)
        mem_wipe(text.p, text.n);
    return rc;
}

static void complain(const struct err *e)
{
    fflush(stdout);
    fprintf(stderr, "ldapmap: %s\n", e->log);
}

static enum outcome ask(struct command *c, struct str key, bool with_key)
{
    const struct ldapmap_limits limits = {.key_bytes = KEY_MAX};
    AUTO_ARENA a = arena_new(8192);
    for (size_t i = 0; i < c->count; i++) {
        struct opened *o = &c->tables[i];
        const struct ldapmap_table *table = o->table;
        struct ldapmap_query *q = ldapmap_query_new(a, &limits, &table, 1, key, NULL);
        ldapmap_conn_run(ldapmap_table_conn(table), &o->ld, q);
        const struct ldapmap_result *r = ldapmap_query_result(q, 0);
        if (r->answer == LDAPMAP_CANNOT_SAY) {
            complain(&r->err);
            return OUTCOME_FAILED;
        }
        if (r->answer == LDAPMAP_NO)
            continue;
        struct str value = ldapmap_result_joined(a, r);
        if (with_key) {
            fwrite(key.p, 1, key.n, stdout);
            fputc('\t', stdout);
        }
        fwrite(value.p, 1, value.n, stdout);
        fputc('\n', stdout);
        return OUTCOME_FOUND;
    }
    return OUTCOME_NOT_FOUND;
}

static enum outcome ask_each_line(struct command *c)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    enum outcome all = OUTCOME_NOT_FOUND;
    while (all != OUTCOME_FAILED && (n = getline(&line, &room, stdin)) >= 0) {
        struct str key = {line, (size_t)n};
        if (str_ends(key, STR("\n")))
            key.n--;
        enum outcome one = ask(c, key, true);
        if (one != OUTCOME_NOT_FOUND)
            all = one;
    }
    free(line);
    return all;
}

static void close_tables(struct command *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->tables[i].ld != NULL)
            ldap_unbind_ext(c->tables[i].ld, NULL, NULL);
        ldapmap_table_free(c->tables[i].table);
    }
}

int ldapmap_ask(char *const *files, const char *key, const struct ldapmap_conn_settings *defaults)
{
    struct command c = {0};
    struct err e;
    for (; *files != NULL; files++) {
        if (c.count == TABLES_MAX)
            err_perm(&e, "more than %d tables", TABLES_MAX);
        if (c.count == TABLES_MAX || load_table(*files, defaults, &c.tables[c.count].table, &e) < 0) {
            complain(&e);
            close_tables(&c);
            return 1;
        }
        c.count++;
    }
    enum outcome o = strcmp(key, "-") == 0 ? ask_each_line(&c) : ask(&c, str_from(key), false);
    close_tables(&c);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "ldapmap: standard output: %s\n", strerror(errno));
        return 1;
    }
    return o == OUTCOME_FOUND ? 0 : 1;
}
