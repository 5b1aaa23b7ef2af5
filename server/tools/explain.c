/*
 * facteur explain: why an address, a login or a sender gets the answer it gets. The running directory
 * program answers the question by its usual code and tells what it does; printing is all there is
 * here, and the replies are those that smtp and access give (ipc/replies.h).
 */
#include "ipc/replies.h"
#include "ipc/words.h"
#include "mail/address.h"
#include "protocol/smtp/refusal.h"
#include "tools/output.h"
#include "tools/prompt.h"
#include "tools/tools.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct question {
    const char *what, *login, *address;
    bool json, ask_password;
    const char *syntax; /* what a client gets who writes the address so, be it whose it may; or NULL */
    struct secret password;
};

struct pair {
    struct str key, value;
};

#define PAIRS_MAX 24

struct line {
    struct str kind;
    struct pair v[PAIRS_MAX];
    size_t n;
};

static struct line line_read(struct arena *a, struct str text)
{
    struct line l = {.kind = output_kind(&text)};
    while (l.n < PAIRS_MAX && output_pair(a, &text, &l.v[l.n].key, &l.v[l.n].value))
        l.n++;
    return l;
}

static struct str get(const struct line *l, const char *key)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->v[i].key, str_from(key)))
            return l->v[i].value;
    return (struct str){0};
}

/* --- what a client would get --- */

static void put_rcpt_reply(const struct question *q, enum verdict v, struct str text,
                           struct buf *out)
{
    const struct reply_rcpt *r = reply_rcpt(v);
    if (v == VERDICT_NOT_HERE)
        text = (struct str){0}; /* smtpd_relay_restrictions have their own words */
    if (v == VERDICT_YES || v == VERDICT_REMOTE)
        buf_str(out, STR(REPLY_RCPT_YES));
    else
        smtp_refusal_print(out, r->status, str_from(q->address), r->what, r->why, text);
}

static void put_reply(const struct question *q, const struct line *answer, struct buf *smtp,
                      struct buf *imap)
{
    uint32_t number = 0;
    str_u32(get(answer, "number"), &number);
    enum verdict v = (enum verdict)number;
    struct str login = get(answer, "login"), address = str_from(q->address);
    if (q->syntax) {
        buf_str(smtp, str_from(q->syntax));
    } else if (strcmp(q->what, "rcpt") == 0) {
        put_rcpt_reply(q, v, get(answer, "text"), smtp);
    } else if (strcmp(q->what, "send") == 0 && v == VERDICT_YES) {
        buf_str(smtp, STR(REPLY_MAIL_YES));
    } else if (strcmp(q->what, "send") == 0 && v == VERDICT_NO && login.n) {
        AUTO_FREE char *name = mem_strdup(login);
        buf_printf(smtp, REPLY_MAIL_NO, STR_FMT(address), name);
    } else if (strcmp(q->what, "send") == 0 && v == VERDICT_CANNOT_SAY && login.n) {
        buf_printf(smtp, REPLY_MAIL_LATER, STR_FMT(address));
    } else if (strcmp(q->what, "login") == 0 && !q->password.p && login.n &&
               v == VERDICT_CANNOT_SAY) {
        return; /* it depends on the password */
    } else {
        uint32_t state = 0;
        str_u32(get(answer, "state"), &state);
        const struct reply_login *no = reply_login(v, (enum auth_state)state);
        const char *reply = v == VERDICT_YES ? REPLY_AUTH_YES : no->smtp;
        buf_str(smtp, str_from(reply));
        if (v != VERDICT_YES)
            buf_str(imap, str_from(no->imap));
    }
}

/* --- printing --- */

static void put_text(struct buf *out, const struct line *l)
{
    static const char *const quiet[] = {"number", "state", "us", "text"};
    struct str us = get(l, "us"), text = get(l, "text");
    buf_printf(out, "%-9.*s", STR_FMT(l->kind));
    if (str_eq(l->kind, STR("entry")))
        buf_str(out, STR(" "));
    if (text.n)
        buf_printf(out, " %.*s", STR_FMT(text));
    for (size_t i = 0; i < l->n; i++) {
        bool shown = l->v[i].value.n > 0;
        for (size_t j = 0; j < sizeof quiet / sizeof quiet[0]; j++)
            shown = shown && !str_eq(l->v[i].key, str_from(quiet[j]));
        if (shown)
            buf_printf(out, "%s%.*s=\"%.*s\"", i ? " " : "", STR_FMT(l->v[i].key),
                       STR_FMT(l->v[i].value));
    }
    uint64_t number;
    if (us.n && str_u64(us, &number) == 0)
        buf_printf(out, " ms=%llu.%03llu", (unsigned long long)number / 1000,
                   (unsigned long long)number % 1000);
    buf_byte(out, '\n');
}

/* Numbers and yes or no as such, all else as text. */
static void put_json_pair(struct buf *out, const char *key, struct str value)
{
    static const char *const numbers[] = {"us", "entries", "number", "state"};
    uint64_t number;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(key, numbers[i]) == 0 && str_u64(value, &number) == 0) {
            buf_printf(out, ",\"%s\":%llu", key, (unsigned long long)number);
            return;
        }
    if (strcmp(key, "remote") == 0)
        buf_printf(out, ",\"%s\":%s", key, str_eq(value, STR("yes")) ? "true" : "false");
    else
        output_json_pair(out, key, value);
}

static void put_json(struct buf *out, const struct line *l)
{
    if (out->p[out->n - 1] != '[')
        buf_byte(out, ',');
    buf_byte(out, '{');
    output_json_pair(out, "step", l->kind);
    for (size_t i = 0; i < l->n; i++) {
        AUTO_FREE char *key = mem_strdup(l->v[i].key);
        put_json_pair(out, key, l->v[i].value);
    }
    buf_byte(out, '}');
}

/* 0 for a yes, 3 for a no, 4 for "cannot say", or a password was not given. */
static int status_of(const struct line *answer)
{
    uint32_t v = 0;
    str_u32(get(answer, "number"), &v);
    if (v == VERDICT_YES || v == VERDICT_REMOTE)
        return 0;
    return v == VERDICT_CANNOT_SAY ? 4 : 3;
}

static int print(const struct question *q, struct str text)
{
    AUTO_ARENA a = arena_new(8192);
    AUTO_BUF out = {0};
    AUTO_BUF smtp = {0};
    AUTO_BUF imap = {0};
    struct line answer = {0};
    struct str one;
    if (q->json) {
        buf_str(&out, STR("{"));
        output_json_pair(&out, "question", str_from(q->what));
        output_json_pair(&out, "login", (struct str){q->login, strlen(q->login)});
        output_json_pair(&out, "address", (struct str){q->address, strlen(q->address)});
        buf_str(&out, STR(",\"steps\":["));
    }
    while (str_line(&text, &one) && !str_eq(one, STR("ok"))) {
        struct line l = line_read(a, one);
        if (str_eq(l.kind, STR("answer")))
            answer = l;
        if (q->json)
            put_json(&out, &l);
        else
            put_text(&out, &l);
    }
    put_reply(q, &answer, &smtp, &imap);
    if (q->json) {
        buf_str(&out, STR("]"));
        output_json_pair(&out, "verdict", get(&answer, "verdict"));
        output_json_pair(&out, "smtp", buf_view(&smtp));
        output_json_pair(&out, "imap", buf_view(&imap));
        buf_str(&out, STR("}\n"));
    } else {
        if (smtp.n)
            buf_printf(&out, "smtp      %s\n", buf_z(&smtp));
        if (imap.n)
            buf_printf(&out, "imap      %s\n", buf_z(&imap));
    }
    fwrite(out.p, 1, out.n, stdout);
    return status_of(&answer);
}

/* The directory is not asked: no client could. */
static int print_syntax(const struct question *q, const struct err *e)
{
    AUTO_BUF text = {0};
    buf_printf(&text, "answer\tnumber=%d\tverdict=no\ttext=not an address\twhy=", (int)VERDICT_NO);
    for (const char *p = e->log; *p; p++)
        buf_byte(&text, strchr("\t\r\n\\", *p) ? '?' : *p);
    return print(q, buf_view(&text));
}

/* --- asking --- */

static int ask(const char *file, const struct question *q)
{
    AUTO_BUF line = {0};
    AUTO_BUF answer = {0};
    buf_printf(&line, "explain %s", q->what);
    words_put(&line, str_from(q->login));
    words_put(&line, str_from(q->address));
    words_put(&line, (struct str){q->password.p, q->password.n});
    int r = tool_ask("explain", file, buf_z(&line), &answer);
    mem_wipe(line.p, line.n);
    if (r != 0)
        return 1;
    struct str text = buf_view(&answer);
    if (!str_ends(text, STR("\nok\n")))
        return tool_fail("explain", "%.*s", STR_FMT(str_trim(text)));
    return print(q, text);
}

/* Takes the brackets off, and looks whether SMTP has a place for the address. */
static void read_address(struct question *q, struct arena *a, struct err *e)
{
    struct str text = str_from(q->address);
    bool sender = strcmp(q->what, "send") == 0;
    struct mail_address m;
    if (text.n > 1 && text.p[0] == '<' && text.p[text.n - 1] == '>')
        text = (struct str){text.p + 1, text.n - 2};
    q->address = arena_strz(a, text);
    if (strcmp(q->what, "login") == 0 || str_caseeq(text, STR("postmaster")) || (sender && text.n == 0) ||
        mail_address_parse(a, text, MAIL_ADDRESS_UTF8 | MAIL_ADDRESS_LENIENT, &m, e) == 0)
        return;
    q->syntax = sender ? "501 5.1.7 Bad sender address syntax" : "501 5.1.3 Bad recipient address syntax";
}

static int take_arguments(struct question *q, int n, char **v)
{
    if (n < 2)
        return -1;
    q->what = v[0];
    q->login = q->address = "";
    if (n == 2 && strcmp(v[0], "rcpt") == 0)
        q->address = v[1];
    else if (n == 2 && strcmp(v[0], "login") == 0)
        q->login = v[1];
    else if (n == 3 && strcmp(v[0], "send") == 0) {
        q->login = v[1];
        q->address = v[2];
    } else {
        return -1;
    }
    return strlen(q->login) > 1000 || strlen(q->address) > 1000 ? -1 : 0;
}

int tool_explain(const char *file, int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"password", no_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
    struct question q = {0};
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        q.json = q.json || c == 'j';
        q.ask_password = q.ask_password || c == 'p';
        if (c == '?')
            return 2;
    }
    if (take_arguments(&q, argc - optind, argv + optind) != 0 ||
        (q.ask_password && strcmp(q.what, "login") != 0))
        return tool_fail("explain", "rcpt ADDRESS, login [--password] NAME, or send LOGIN ADDRESS") + 1;
    if (q.ask_password && prompt_password("Password: ", &q.password) != 0)
        return tool_fail("explain", "no password came");
    AUTO_ARENA a = arena_new(1024);
    struct err e = {0};
    read_address(&q, a, &e);
    int status = q.syntax ? print_syntax(&q, &e) : ask(file, &q);
    secret_free(&q.password);
    return status;
}
