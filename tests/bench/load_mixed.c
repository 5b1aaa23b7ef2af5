/*
 * load mixed: many IMAP clients at once, each with its own mailbox, each command drawn by lot, one
 * after the other without a pause. What they do is what a day's clients do, more often.
 */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mixed {
    const struct users *users;
    struct figures figures;
    int port;
    long sessions, ready;
    double until, seconds;
};

struct client {
    struct mixed *mixed;
    const struct user *user;
    uint64_t state; /* of its lot */
    unsigned messages;
};

static unsigned lot(struct client *client, unsigned below) {
    client->state = client->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(client->state >> 33) % below;
}

static const char APPENDED[] =
    "From: <a@load.example>\r\nTo: <b@load.example>\r\nSubject: appended\r\n"
    "Date: Mon, 4 Nov 2024 10:00:00 +0100\r\nMessage-ID: <appended@load.example>\r\n\r\n"
    "A short message, kept for later.\r\n";

/* The next command, of those a reading, filing, searching person's client sends. */
static int draw(struct client *client, char *text, size_t size) {
    unsigned kind = lot(client, 100);
    unsigned one = 1 + lot(client, client->messages);
    unsigned low = one > 20 ? one - 19 : 1;
    if (kind < 30) {
        return snprintf(text, size, "a FETCH %u (UID FLAGS BODY.PEEK[])\r\n", one);
    }
    if (kind < 50) {
        return snprintf(text, size, "a FETCH %u:%u (UID FLAGS ENVELOPE RFC822.SIZE)\r\n", low, one);
    }
    if (kind < 65) {
        return snprintf(text, size, "a STORE %u %cFLAGS (%s)\r\n", one, kind & 1 ? '+' : '-',
                        kind < 60 ? "\\Seen" : "\\Flagged");
    }
    if (kind < 80) {
        return snprintf(text, size, "a NOOP\r\n");
    }
    if (kind < 90) {
        return snprintf(text, size, "a UID SEARCH UNSEEN\r\n");
    }
    if (kind < 95) {
        return snprintf(text, size, "a STATUS Drafts (MESSAGES UIDNEXT UNSEEN)\r\n");
    }
    if (kind < 98) {
        return snprintf(text, size, "a APPEND Drafts (\\Seen) {%zu+}\r\n%s\r\n",
                        sizeof APPENDED - 1, APPENDED);
    }
    return snprintf(text, size, "a FETCH 1:* (UID FLAGS)\r\n");
}

static void run(struct client *client, struct conn *conn) {
    struct mixed *mixed = client->mixed;
    while (now_ms() < mixed->until) {
        char text[1024];
        int len = draw(client, text, sizeof text);
        double from = now_ms();
        int result = imap_command(conn, text, (size_t)len);
        if (result != 0) {
            figures_fail(&mixed->figures, text);
            if (result < 0) {
                return;
            }
            continue;
        }
        figures_add(&mixed->figures, now_ms() - from);
    }
}

static void client_task(struct loop *loop, void *arg) {
    struct client *client = arg;
    struct mixed *mixed = client->mixed;
    struct conn conn;
    if (imap_login(&conn, loop, mixed->port, client->user) != 0 ||
        imap_command(&conn, "a SELECT INBOX\r\n", 16) != 0) {
        give_up("%s cannot open the INBOX", client->user->login);
    }
    imap_command(&conn, "a CREATE Drafts\r\n", 17); /* "no" when it is there */
    /* The clock starts when the last one has its mailbox open; until then they ask for little. */
    mixed->ready++;
    while (mixed->ready < mixed->sessions) {
        if (imap_command(&conn, "a NOOP\r\n", 8) != 0) {
            give_up("%s lost its connection", client->user->login);
        }
    }
    if (mixed->until <= 0) {
        puts("begin");
        fflush(stdout);
        figures_begin(&mixed->figures);
        mixed->until = now_ms() + mixed->seconds * 1e3;
    }
    run(client, &conn);
    conn_close(&conn);
}

int load_mixed(const struct options *options) {
    struct users users;
    users_read(&users, options);
    struct mixed mixed = {.users = &users,
                          .port = (int)option_number(options, "port", -1),
                          .sessions = option_number(options, "sessions", 50),
                          .seconds = (double)option_number(options, "seconds", 10)};
    struct client *clients = calloc((size_t)mixed.sessions, sizeof *clients);
    struct loop loop;
    loop_init(&loop);
    for (size_t i = 0; i < (size_t)mixed.sessions; i++) {
        clients[i] = (struct client){.mixed = &mixed, .user = &users.list[i % users.count],
                                     .state = i * 7919 + 1,
                                     .messages = (unsigned)option_number(options, "messages", -1)};
        loop_spawn(&loop, client_task, &clients[i]);
    }
    loop_run(&loop);
    figures_end(&mixed.figures);
    figures_print(&mixed.figures, "");
    bool failed = mixed.figures.failed > 0;
    figures_free(&mixed.figures);
    free(clients);
    free(users.list);
    loop_free(&loop);
    return failed;
}
