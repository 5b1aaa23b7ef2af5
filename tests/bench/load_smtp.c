/*
 * load smtp: sessions that send messages, to port 25 or as submission with STARTTLS and AUTH PLAIN.
 * A figure is the time of one message; with per=N a connection carries N messages, and the time of
 * the first contains the connection, its handshake and its login.
 */
#include "load.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct smtp {
    const struct users *users;
    struct figures figures;
    int port;
    bool tls, auth;
    long left, recipients, per;
    size_t next_user; /* recipients go round */
    char *body;
    size_t body_len;
};

/* The code of a whole reply, 0 when the connection is gone; the last line stays in text. */
static int reply(struct conn *conn, char text[160]) {
    char *line;
    size_t len;
    do {
        if (conn_line(conn, &line, &len) != 0 || len < 3) {
            snprintf(text, 160, "connection lost");
            return 0;
        }
    } while (len > 3 && line[3] == '-');
    snprintf(text, 160, "%s", line);
    return atoi(line);
}

static int expect(struct smtp *smtp, struct conn *conn, int code) {
    char text[160];
    int got = reply(conn, text);
    if (got != code) {
        figures_fail(&smtp->figures, text);
        return -1;
    }
    return 0;
}

static int log_in(struct smtp *smtp, struct conn *conn, const struct user *user) {
    unsigned char plain[132];
    char base64[180];
    int len = snprintf((char *)plain, sizeof plain, "%c%s%c%s", 0, user->login, 0, user->password);
    EVP_EncodeBlock((unsigned char *)base64, plain, len);
    conn_printf(conn, "AUTH PLAIN %s\r\n", base64);
    return expect(smtp, conn, 235);
}

static int begin(struct smtp *smtp, struct conn *conn, struct loop *loop, const struct user *user) {
    if (conn_open(conn, loop, smtp->port) != 0) {
        figures_fail(&smtp->figures, "cannot connect");
        return -1;
    }
    if (expect(smtp, conn, 220) != 0 || conn_printf(conn, "EHLO load.example\r\n") != 0 ||
        expect(smtp, conn, 250) != 0) {
        return -1;
    }
    if (smtp->tls) {
        if (conn_printf(conn, "STARTTLS\r\n") != 0 || expect(smtp, conn, 220) != 0) {
            return -1;
        }
        if (conn_tls(conn) != 0) {
            figures_fail(&smtp->figures, "TLS handshake failed");
            return -1;
        }
        if (conn_printf(conn, "EHLO load.example\r\n") != 0 || expect(smtp, conn, 250) != 0) {
            return -1;
        }
    }
    return smtp->auth ? log_in(smtp, conn, user) : 0;
}

static int message(struct smtp *smtp, struct conn *conn, const struct user *from, long number) {
    const char *sender = smtp->auth ? from->address : "sender@remote.example";
    char header[512];
    int len = snprintf(header, sizeof header,
                       "Date: Mon, 4 Nov 2024 10:00:00 +0100\r\nFrom: <%s>\r\nTo: undisclosed:;\r\n"
                       "Message-ID: <%ld.%.0f@load.example>\r\nSubject: load %ld\r\n\r\n", sender,
                       number, now_ms(), number);
    /* Its own before anything is waited for: no message goes to somebody twice. */
    size_t first = smtp->next_user;
    smtp->next_user += (size_t)smtp->recipients;
    conn_printf(conn, "MAIL FROM:<%s>\r\n", sender);
    if (expect(smtp, conn, 250) != 0) {
        return -1;
    }
    for (size_t i = first; i < first + (size_t)smtp->recipients; i++) {
        conn_printf(conn, "RCPT TO:<%s>\r\n", smtp->users->list[i % smtp->users->count].address);
        if (expect(smtp, conn, 250) != 0) {
            return -1;
        }
    }
    conn_printf(conn, "DATA\r\n");
    if (expect(smtp, conn, 354) != 0) {
        return -1;
    }
    /* One write: a second small one would wait for the first one's acknowledgement. */
    char *all = malloc((size_t)len + smtp->body_len);
    memcpy(all, header, (size_t)len);
    memcpy(all + len, smtp->body, smtp->body_len);
    int result = conn_write(conn, all, (size_t)len + smtp->body_len);
    free(all);
    return result != 0 ? -1 : expect(smtp, conn, 250);
}

static void session(struct loop *loop, void *arg) {
    struct smtp *smtp = arg;
    while (smtp->left > 0) {
        const struct user *user = &smtp->users->list[(size_t)smtp->left % smtp->users->count];
        struct conn conn;
        double from = now_ms();
        bool open = begin(smtp, &conn, loop, user) == 0;
        for (long i = 0; open && smtp->left > 0 && (smtp->per == 0 || i < smtp->per); i++) {
            long number = smtp->left--;
            open = message(smtp, &conn, user, number) == 0;
            double to = now_ms();
            if (open) {
                figures_add(&smtp->figures, to - from);
            }
            from = to;
        }
        if (open) {
            char text[160];
            conn_printf(&conn, "QUIT\r\n");
            reply(&conn, text);
        } else if (smtp->figures.failed > 100) {
            smtp->left = 0; /* it will not get better */
        }
        conn_close(&conn);
    }
}

/* Lines of 76 characters, then the end of data. */
static void make_body(struct smtp *smtp, size_t size) {
    smtp->body = malloc(size + 100);
    for (size_t i = 0; i < size; i++) {
        size_t column = i % 78;
        smtp->body[i] = column == 76 ? '\r' : column == 77 ? '\n' : (char)('a' + i * 7 % 26);
    }
    while (size > 0 && (smtp->body[size - 1] == '\r' || smtp->body[size - 1] == '\n')) {
        size--;
    }
    memcpy(smtp->body + size, "\r\n.\r\n", 5);
    smtp->body_len = size + 5;
}

int load_smtp(const struct options *options) {
    struct users users;
    users_read(&users, options);
    struct smtp smtp = {.users = &users,
                        .port = (int)option_number(options, "port", -1),
                        .tls = option_number(options, "tls", 0) != 0,
                        .auth = option_number(options, "auth", 0) != 0,
                        .left = option_number(options, "messages", 100),
                        .recipients = option_number(options, "recipients", 1),
                        .per = option_number(options, "per", 0)};
    make_body(&smtp, (size_t)option_number(options, "size", 4096));
    struct loop loop;
    loop_init(&loop);
    long sessions = option_number(options, "sessions", 1);
    for (long i = 0; i < sessions; i++) {
        loop_spawn(&loop, session, &smtp);
    }
    figures_begin(&smtp.figures);
    loop_run(&loop);
    figures_end(&smtp.figures);
    figures_print(&smtp.figures, "");
    bool failed = smtp.figures.failed > 0;
    figures_free(&smtp.figures);
    free(smtp.body);
    free(users.list);
    loop_free(&loop);
    return failed;
}
