/* session/: the preamble, silence, a client that takes nothing, patterns, files cut short. */
#include "session/list_match.h"
#include "session/message.h"
#include "session/session.h"
#include "store/maildir.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    char home[64];
    int fd; /* the maildir */
} env;

static void make_maildir(void)
{
    struct err e = {0};
    strcpy(env.home, "/tmp/facteur-unit.XXXXXX");
    CU_ASSERT_FATAL(mkdtemp(env.home) != NULL);
    int home = open(env.home, O_PATH | O_DIRECTORY);
    CU_ASSERT_FATAL(store_maildir_open(home, STR("mailbox"), true, &env.fd, &e) == 0);
    close(home);
}

static void remove_maildir(void)
{
    struct err e = {0};
    close(env.fd);
    int home = open(env.home, O_RDONLY | O_DIRECTORY);
    store_dir_remove(home, "mailbox", 5, &e);
    close(home);
    rmdir(env.home);
}

/* A message of size bytes, all in one line. */
static void deliver(const char *name, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/mailbox/cur/%s:2,", env.home, name);
    FILE *f = fopen(path, "w");
    CU_ASSERT_FATAL(f != NULL);
    fputs("Subject: x\n\n", f);
    for (size_t i = 0; i < size; i++)
        fputc('x', f);
    fclose(f);
}

/* Holds a session whose client has said all it will say; what was answered is in out. */
static int hold(const char *said, struct session_settings *set, struct buf *out, bool then_end)
{
    int ends[2];
    session_settings_default(set);
    set->maildir_fd = env.fd;
    set->inactivity_ms = 200;
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CU_ASSERT(fd_write_all(ends[0], said, strlen(said)) == 0);
    if (then_end)
        shutdown(ends[0], SHUT_WR);
    int status = session_main_imap(ends[1], ends[1], set);
    close(ends[1]);
    CU_ASSERT(fd_read_all(ends[0], out, 1 << 20) == 0);
    close(ends[0]);
    return status;
}

static void preamble(void)
{
    struct session_settings set;
    AUTO_BUF out = {0};
    make_maildir();
    CU_ASSERT(hold("tag7\r\na NOOP\r\nb LOGOUT\r\n", &set, &out, false) == 0);
    CU_ASSERT(str_starts(buf_view(&out), STR("tag7 OK [CAPABILITY IMAP4rev1 ")));
    CU_ASSERT(strstr(buf_z(&out), "] Logged in\r\na OK NOOP completed\r\n* BYE Logging out\r\n"
                                  "b OK LOGOUT completed\r\n") != NULL);
    buf_clear(&out);
    CU_ASSERT(hold("a b\r\nc NOOP\r\n", &set, &out, false) == 1);
    CU_ASSERT(out.n == 0);
    remove_maildir();
}

static void ends(void)
{
    struct session_settings set;
    AUTO_BUF out = {0};
    make_maildir();
    CU_ASSERT(hold("t\r\na NOOP\r\nb NO", &set, &out, true) == 0);
    CU_ASSERT(str_ends(buf_view(&out), STR("a OK NOOP completed\r\n")));
    buf_clear(&out);
    CU_ASSERT(hold("t\r\na NOOP\r\n", &set, &out, false) == 0);
    CU_ASSERT(str_ends(buf_view(&out), STR("* BYE Logged out after a long silence\r\n")));
    buf_clear(&out);
    CU_ASSERT(hold("t\r\na IDLE\r\n", &set, &out, false) == 0);
    CU_ASSERT(str_ends(buf_view(&out), STR("* BYE Logged out after a long silence\r\n")));
    buf_clear(&out);
    CU_ASSERT(hold("t\r\na IDLE\r\n", &set, &out, true) == 0);
    CU_ASSERT(str_ends(buf_view(&out), STR("+ idling\r\n")));
    remove_maildir();
}

/* A client that asks and never reads ends its own session, after the write timeout. */
static void deaf_client(void)
{
    int fds[2];
    struct session_settings set;
    static const char said[] = "t\r\na EXAMINE INBOX\r\nb FETCH 1 BODY[]\r\nc NOOP\r\n";
    make_maildir();
    deliver("1.M1P1.h", 4 << 20);
    session_settings_default(&set);
    set.maildir_fd = env.fd;
    set.write_ms = 100;
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CU_ASSERT(fd_write_all(fds[0], said, sizeof said - 1) == 0);
    CU_ASSERT(session_main_imap(fds[1], fds[1], &set) == 0);
    close(fds[0]);
    close(fds[1]);
    remove_maildir();
}

/* A mapped file that somebody cuts short reads as zeros behind its end. */
static void file_cut_short(void)
{
    struct store_mailbox *mb;
    struct message m;
    struct err e = {0};
    char path[128];
    make_maildir();
    deliver("1.M1P1.h", 2 << 20);
    CU_ASSERT_FATAL(store_mailbox_open(env.fd, STR("INBOX"), true, NULL, &mb, &e) == 0);
    CU_ASSERT_FATAL(message_open(&m, mb, 0, &e) == 0);
    CU_ASSERT(message_read_header(&m, &e) == 0 && !m.whole);
    UNIT_STR(message_header(&m), "Subject: x\n\n");
    CU_ASSERT(message_read_all(&m, &e) == 0 && m.mapped && m.raw.n == (2 << 20) + 12);
    snprintf(path, sizeof path, "%s/mailbox/cur/1.M1P1.h:2,", env.home);
    CU_ASSERT(truncate(path, 5000) == 0);
    CU_ASSERT(m.raw.p[100] == 'x');
    CU_ASSERT(m.raw.p[m.raw.n - 1] == '\0');
    CU_ASSERT(m.raw.p[1 << 20] == '\0');
    message_close(&m);
    store_mailbox_close(mb);
    remove_maildir();
}

static void patterns(void)
{
    static const struct {
        const char *pattern, *name;
        bool want;
    } rows[] = {
        {"*", "a.b", true},       {"%", "a.b", false},      {"%", "a", true},
        {"%.%", "a.b", true},     {"a*", "a", true},        {"a*c", "abcbc", true},
        {"a%c", "ab.c", false},   {"*.b", "a.b", true},     {"inbox", "INBOX", true},
        {"InB%", "INBOX", true},  {"sent", "Sent", false},  {"", "a", false},
        {"", "", true},           {"a", "ab", false},       {"%*%", "a.b.c", true},
        {"a.%", "a.", true},      {"*%", "", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CU_ASSERT(list_match(str_from(rows[i].pattern), str_from(rows[i].name), '.') ==
                  rows[i].want);
    /* Many stars cost no more than the product of both lengths. */
    char stars[LIST_MATCH_MAX + 1];
    for (size_t i = 0; i < LIST_MATCH_MAX; i++)
        stars[i] = i % 2 ? 'a' : '*';
    char name[LIST_MATCH_MAX];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 'b';
    CU_ASSERT(!list_match((struct str){stars, LIST_MATCH_MAX}, (struct str){name, sizeof name},
                          '.'));
    CU_ASSERT(!list_match((struct str){stars, LIST_MATCH_MAX + 1}, STR("a"), '.'));
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"preamble", preamble},         {"ends", ends},
        {"deaf client", deaf_client},   {"file cut short", file_cut_short},
        {"patterns", patterns},         {NULL, NULL},
    };
    return unit_main("imap session", tests);
}
