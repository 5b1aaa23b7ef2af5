/*
 * load ldap: questions to an LDAP server by a bare asynchronous client. A figure is the time of one search
 * or bind. A connection carries many searches at once, but one bind at a time.
 */
#include "load.h"

#include <ldap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINKS_MAX 64
#define WINDOW_MAX 256
#define FILTERS_MAX 8

struct ask {
    int id; /* 0: free */
    double from;
};

struct link {
    LDAP *ld;
    struct ask asks[WINDOW_MAX];
};

struct bare {
    const struct options *options;
    struct users users;
    struct figures figures;
    char *filters[FILTERS_MAX]; /* with %u for the login, %a for the address */
    size_t filter_count;
    struct link links[LINKS_MAX];
    long link_count, window, begun, done, count;
    bool binds;
};

/* --- the bare client --- */

static void must(int code, const char *what) {
    if (code != LDAP_SUCCESS) {
        give_up("%s: %s", what, ldap_err2string(code));
    }
}

static void open_link(const struct bare *bare, struct link *link) {
    int version = LDAP_VERSION3;
    struct berval pw;
    must(ldap_initialize(&link->ld, option_text(bare->options, "uri", NULL)), "uri");
    ldap_set_option(link->ld, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(link->ld, LDAP_OPT_X_TLS_CACERTFILE, option_text(bare->options, "ca", NULL));
    int context = 0;
    ldap_set_option(link->ld, LDAP_OPT_X_TLS_NEWCTX, &context);
    must(ldap_start_tls_s(link->ld, NULL, NULL), "StartTLS");
    ber_str2bv(option_text(bare->options, "pw", NULL), 0, 0, &pw);
    must(ldap_sasl_bind_s(link->ld, option_text(bare->options, "dn", NULL), LDAP_SASL_SIMPLE, &pw, NULL,
                          NULL, NULL),
         "bind");
}

static void read_filters(struct bare *bare) {
    FILE *file = fopen(option_text(bare->options, "filters", NULL), "re");
    char line[512];
    while (file != NULL && bare->filter_count < FILTERS_MAX && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        bare->filters[bare->filter_count++] = strdup(line);
    }
    if (bare->filter_count == 0) {
        give_up("filters= names no filter");
    }
    fclose(file);
}

static void expand(char *out, size_t size, const char *format, const struct user *user) {
    size_t n = 0;
    for (; *format != '\0' && n + 1 < size; format++) {
        const char *text = format[0] == '%' && format[1] == 'u'   ? user->login
                           : format[0] == '%' && format[1] == 'a' ? user->address
                                                                  : NULL;
        if (text == NULL) {
            out[n++] = *format;
            continue;
        }
        int added = snprintf(out + n, size - n, "%s", text);
        n += (size_t)added;
        format++;
    }
    out[n < size ? n : size - 1] = '\0';
}

static int begin_one(struct bare *bare, struct link *link) {
    const struct user *user = &bare->users.list[(size_t)bare->begun % bare->users.count];
    const char *base = option_text(bare->options, "base", NULL);
    static char names[][16] = {"maildrop",  "homeDirectory", "uidNumber",      "gidNumber",
                               "uid",       "entryCSN",      "modifyTimestamp"};
    char *attrs[] = {names[0], names[1], names[2], names[3], names[4], names[5], names[6], NULL};
    char text[1024];
    int id = 0;
    if (bare->binds) {
        struct berval pw;
        snprintf(text, sizeof text, "uid=%s,%s", user->login, base);
        ber_str2bv(user->password, 0, 0, &pw);
        must(ldap_sasl_bind(link->ld, text, LDAP_SASL_SIMPLE, &pw, NULL, NULL, &id), "bind");
    } else {
        expand(text, sizeof text, bare->filters[(size_t)bare->begun % bare->filter_count], user);
        must(ldap_search_ext(link->ld, base, LDAP_SCOPE_SUBTREE, text, attrs, 0, NULL, NULL, NULL, 0, &id),
             text);
    }
    bare->begun++;
    return id;
}

static void fill(struct bare *bare, struct link *link) {
    for (long i = 0; i < bare->window && bare->begun < bare->count; i++) {
        if (link->asks[i].id == 0) {
            link->asks[i].from = now_ms();
            link->asks[i].id = begin_one(bare, link);
        }
    }
}

static void take(struct bare *bare, struct link *link, LDAPMessage *answer) {
    int code = LDAP_OTHER, id = ldap_msgid(answer);
    ldap_parse_result(link->ld, answer, &code, NULL, NULL, NULL, NULL, 1);
    if (code != LDAP_SUCCESS) {
        figures_fail(&bare->figures, ldap_err2string(code));
    }
    for (long i = 0; i < bare->window; i++) {
        if (link->asks[i].id == id) {
            figures_add(&bare->figures, now_ms() - link->asks[i].from);
            link->asks[i].id = 0;
            bare->done++;
        }
    }
}

static void run_bare(struct bare *bare) {
    struct pollfd fds[LINKS_MAX];
    struct timeval at_once = {0, 0};
    while (bare->done < bare->count) {
        for (long i = 0; i < bare->link_count; i++) {
            struct link *link = &bare->links[i];
            LDAPMessage *answer;
            fill(bare, link);
            while (ldap_result(link->ld, LDAP_RES_ANY, LDAP_MSG_ALL, &at_once, &answer) > 0) {
                take(bare, link, answer);
                fill(bare, link);
            }
            fds[i].events = POLLIN;
            ldap_get_option(link->ld, LDAP_OPT_DESC, &fds[i].fd);
        }
        if (bare->done < bare->count && poll(fds, (nfds_t)bare->link_count, 60000) <= 0) {
            give_up("the LDAP server says nothing");
        }
    }
}

int load_ldap(const struct options *options) {
    struct bare bare = {.options = options,
                        .link_count = option_number(options, "links", 2),
                        .window = option_number(options, "window", 10),
                        .count = option_number(options, "count", 1000),
                        .binds = option_number(options, "binds", 0) != 0};
    if (bare.link_count > LINKS_MAX || bare.window > WINDOW_MAX || bare.link_count < 1) {
        give_up("too many links or too large a window");
    }
    users_read(&bare.users, options);
    if (!bare.binds) {
        read_filters(&bare);
    }
    for (long i = 0; i < bare.link_count; i++) {
        open_link(&bare, &bare.links[i]);
    }
    figures_begin(&bare.figures);
    run_bare(&bare);
    figures_end(&bare.figures);
    figures_print(&bare.figures, "");
    for (long i = 0; i < bare.link_count; i++) {
        ldap_unbind_ext_s(bare.links[i].ld, NULL, NULL);
    }
    bool failed = bare.figures.failed > 0;
    figures_free(&bare.figures);
    free(bare.users.list);
    return failed;
}
