/*
 * facteur queue: what waits, and what to do about it. The queue program does it, a page at a time;
 * its lines are "recipient MESSAGE ID STATE CREATED SIZE ATTEMPTS NEXT SENDER ADDRESS ORIGINAL
 * DESTINATION ERROR" and "text BYTES", words with %XX in them.
 */
#include "ipc/words.h"
#include "tools/output.h"
#include "tools/tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct listing {
    const char *what;
    struct str message, destination; /* "0" and "-": all */
    bool json, whole;
    uint64_t after;
    size_t recipients;
    size_t left; /* recipients that were to be deleted, but are being tried */
    uint64_t last_message;
    size_t messages;
    const char *between;
};

struct row {
    struct str message, id, state, created, size, attempts, next;
    struct str sender, address, original, destination, error;
};

/* --- lines --- */

static struct str decode(struct arena *a, struct str word)
{
    AUTO_BUF out = {0};
    return words_get(word, &out) == 0 ? arena_str(a, buf_view(&out)) : word;
}

static bool take_row(struct arena *a, struct str line, struct row *r)
{
    struct str *words[] = {&r->message, &r->id, &r->state, &r->created, &r->size, &r->attempts,
                           &r->next, &r->sender, &r->address, &r->original, &r->destination,
                           &r->error};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct str word;
        if (!str_token(&line, " ", &word))
            return false;
        *words[i] = decode(a, word);
    }
    return true;
}

/* --- showing --- */

/* Of bytes from outside nothing reaches the terminal that is not text. */
static void put_text(struct str s)
{
    bool good = str_is_utf8(s);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        putchar((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || (c >= 0x80 && !good) ? '?' : c);
    }
}

static void put_time(struct str seconds)
{
    uint64_t v = 0;
    struct tm tm;
    char text[40] = "?";
    str_u64(seconds, &v);
    time_t t = (time_t)v;
    if (localtime_r(&t, &tm))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    fputs(text, stdout);
}

static void put_json(struct listing *l, const struct row *r)
{
    const struct {
        const char *key;
        struct str value;
        bool number;
    } pairs[] = {{"queue_id", r->message, false},   {"recipient_id", r->id, true},
                 {"state", r->state, false},        {"arrival_time", r->created, true},
                 {"message_size", r->size, true},   {"attempts", r->attempts, true},
                 {"next_attempt", r->next, true},   {"sender", r->sender, false},
                 {"recipient", r->address, false},  {"original_recipient", r->original, false},
                 {"destination", r->destination, false}, {"delay_reason", r->error, false}};
    AUTO_BUF out = {0};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        buf_printf(&out, "%s\"%s\": ", i ? ", " : "", pairs[i].key);
        if (pairs[i].number)
            buf_str(&out, pairs[i].value);
        else
            output_json(&out, pairs[i].value);
    }
    printf("%s  {%.*s}", l->between, STR_FMT(buf_view(&out)));
    l->between = ",\n";
}

static void put_row(const struct row *r, bool first)
{
    if (first) {
        printf("%.*s  ", STR_FMT(r->message));
        put_time(r->created);
        printf("  %.*s bytes  from <", STR_FMT(r->size));
        put_text(r->sender);
        printf(">\n");
    }
    printf("    %-8.*s <", STR_FMT(r->state));
    put_text(r->address);
    printf(">");
    if (!str_eq(r->address, r->original)) {
        printf(" (sent to <");
        put_text(r->original);
        printf(">)");
    }
    if (str_eq(r->state, STR("waiting"))) {
        printf("  tried %.*s times, next at ", STR_FMT(r->attempts));
        put_time(r->next);
    }
    printf("\n");
    if (r->error.n) {
        printf("             ");
        put_text(r->error);
        printf("\n");
    }
}

static void show_row(struct listing *l, struct str line)
{
    AUTO_ARENA a = arena_new(4096);
    struct row r;
    char id[20];
    if (!take_row(a, line, &r))
        return;
    snprintf(id, sizeof id, "%.*s", STR_FMT(str_head(r.message, 19)));
    uint64_t message = strtoull(id, NULL, 16);
    bool first = message != l->last_message;
    bool stays = strcmp(l->what, "delete") == 0 && str_eq(r.state, STR("trying"));
    if (stays) {
        l->left++;
    } else {
        l->messages += first;
        l->last_message = message;
        l->recipients++;
    }
    if (l->json)
        put_json(l, &r);
    else if (strcmp(l->what, "list") == 0 || strcmp(l->what, "show") == 0)
        put_row(&r, first);
}

/* --- asking --- */

static int take_lines(struct listing *l, struct str text, bool *more)
{
    struct str line, number;
    *more = false;
    while (str_line(&text, &line)) {
        struct str kind = line;
        if (str_starts(line, STR("recipient "))) {
            show_row(l, str_skip(line, 10));
        } else if (str_starts(line, STR("text ")) && !l->json) {
            AUTO_ARENA a = arena_new(4096);
            if (!l->whole)
                printf("\n");
            l->whole = true;
            put_text(decode(a, str_skip(line, 5)));
        } else if (str_token(&kind, " ", &number) && str_eq(number, STR("next"))) {
            *more = str_u64(kind, &l->after) == 0;
        } else if (str_starts(line, STR("error: "))) {
            return tool_fail("queue", "%.*s", STR_FMT(str_skip(line, 7)));
        }
    }
    return 0;
}

static int run(const char *file, struct listing *l)
{
    for (bool more = true; more;) {
        AUTO_BUF line = {0};
        AUTO_BUF answer = {0};
        buf_printf(&line, "queue %s %.*s %.*s %llu", l->what, STR_FMT(l->message),
                   STR_FMT(l->destination), (unsigned long long)l->after);
        if (tool_ask("queue", file, buf_z(&line), &answer) != 0)
            return 1;
        struct str text = buf_view(&answer);
        if (!str_ends(text, STR("\nok\n")) && !str_starts(text, STR("error: ")))
            return tool_fail("queue", "the answer is cut off");
        if (take_lines(l, text, &more) != 0)
            return 1;
    }
    return 0;
}

static bool is_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (str_find(STR("0123456789abcdef"), s.p[i]) < 0)
            return false;
    return s.n >= 10 && s.n <= 16;
}

static int take_which(struct listing *l, struct str which)
{
    if (str_eq(which, STR("all")))
        return 0;
    if (is_id(which))
        l->message = which;
    else if (which.n && which.n <= 255 && str_find(which, ' ') < 0 && str_find(which, '\n') < 0 &&
             (str_find(which, '.') >= 0 || str_find(which, '[') >= 0))
        l->destination = which;
    else
        return tool_fail("queue", "\"%.*s\" is no queue id, no domain, and not \"all\"",
                         STR_FMT(which));
    return 0;
}

static void put_end(const struct listing *l)
{
    if (l->json)
        printf("%s]\n", l->recipients + l->left ? "\n" : "[");
    else if (strcmp(l->what, "list") == 0 && l->recipients == 0)
        printf("The queue is empty.\n");
    else if (strcmp(l->what, "list") == 0)
        printf("\n%zu messages, %zu recipients\n", l->messages, l->recipients);
    else if (strcmp(l->what, "show") != 0)
        printf("%s: %zu recipients of %zu messages\n", l->what, l->recipients, l->messages);
}

int tool_queue(const char *file, int argc, char **argv)
{
    static const char *const orders[] = {"list", "show", "hold", "release", "retry", "delete"};
    struct listing l = {.what = "list", .message = STR("0"), .destination = STR("-"),
                        .between = "[\n"};
    const char *which = NULL;
    int at = 1;
    for (size_t i = 0; at < argc && i < sizeof orders / sizeof orders[0]; i++)
        if (at == 1 && strcmp(argv[1], orders[i]) == 0) {
            l.what = orders[i];
            at++;
            break;
        }
    for (; at < argc; at++) {
        if (strcmp(argv[at], "--json") == 0)
            l.json = true;
        else if (which || argv[at][0] == '-')
            return tool_fail("queue", "[list | show | hold | release | retry | delete] [--json] "
                                      "[all | ID | DOMAIN]") + 1;
        else
            which = argv[at];
    }
    if (!which && strcmp(l.what, "list") != 0)
        return tool_fail("queue", "%s of what? all, a queue id or a domain", l.what) + 1;
    if (take_which(&l, which ? str_from(which) : STR("all")) != 0)
        return 2;
    if (run(file, &l) != 0)
        return 1;
    bool lone = l.message.p[0] != '0' || l.message.n > 1;
    if (lone && l.recipients + l.left == 0)
        return tool_fail("queue", "there is no message %.*s", STR_FMT(l.message));
    put_end(&l);
    return l.left == 0 ? 0 : tool_fail("queue", "%zu recipients are being tried now, and stay", l.left);
}
