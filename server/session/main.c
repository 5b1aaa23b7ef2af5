/*
 * The session program. Started by the master it is the warmed parent of all sessions; started by a
 * person, over ssh or by a test with --imap (or --pop3) --maildir DIR it holds one session on standard
 * input and output, already logged in, with the rights of whoever started it.
 */
#include "session/session.h"

#include "session/parent.h"

#include "base/err.h"
#include "base/log.h"
#include "store/maildir.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef int session_main(int, int, const struct session_settings *);

static int usage(void)
{
    fputs("usage: session --imap|--pop3 --maildir DIR [--user NAME] [--idle-notify SECONDS]\n"
          "               [--message-size-limit BYTES] [--quota BYTES]\n"
          "               [--inactivity SECONDS] [--no-fts]\n"
          "               [--rest-after MILLISECONDS] [--state-fd NUMBER [--resume]]\n",
          stderr);
    return 64;
}

/* Opens DIR, which is made when it is not there, below the directory it lies in. */
static int open_maildir(const char *path)
{
    struct str all = str_from(path), name;
    while (all.n > 1 && all.p[all.n - 1] == '/')
        all.n--;
    ptrdiff_t slash = str_rfind(all, '/');
    name = slash < 0 ? all : str_skip(all, (size_t)slash + 1);
    AUTO_FREE char *parent = NULL;
    parent = mem_strdup(slash < 0 ? STR(".") : slash == 0 ? STR("/") : str_head(all, (size_t)slash));
    AUTO_FD at = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct err e = {0};
    int fd = -1;
    if (at < 0) {
        perror(parent);
        return -1;
    }
    if (store_maildir_open(at, name, true, &fd, &e) != 0) {
        fprintf(stderr, "session: %s\n", e.log);
        return -1;
    }
    return fd;
}

static int number(const char *text, uint64_t *out)
{
    if (str_u64(str_from(text), out) == 0)
        return 0;
    fprintf(stderr, "session: not a number: %s\n", text);
    return -1;
}

static int parse(int argc, char **argv, struct session_settings *set, const char **maildir,
                 session_main **run)
{
    static const struct option options[] = {
        {"imap", no_argument, NULL, 'i'},        {"pop3", no_argument, NULL, 'p'},
        {"inactivity", required_argument, NULL, 't'},
        {"maildir", required_argument, NULL, 'm'},
        {"user", required_argument, NULL, 'u'},  {"idle-notify", required_argument, NULL, 'n'},
        {"message-size-limit", required_argument, NULL, 's'},
        {"quota", required_argument, NULL, 'q'}, {"no-fts", no_argument, NULL, 'f'},
        {"state-fd", required_argument, NULL, 'd'}, {"resume", no_argument, NULL, 'r'},
        {"rest-after", required_argument, NULL, 'e'},
        {NULL, 0, NULL, 0},
    };
    uint64_t n;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == '?' || (strchr("nsqtde", c) && number(optarg, &n) != 0))
            return -1;
        if (c == 'i')
            *run = session_main_imap;
        else if (c == 'p')
            *run = session_main_pop3;
        else if (c == 't')
            set->inactivity_ms = (int64_t)(n > 86400 ? 86400 : n) * 1000;
        else if (c == 'f')
            set->fts = false;
        else if (c == 'r')
            set->resume = true;
        else if (c == 'e')
            set->rest_ms = (int64_t)(n > 86400000 ? 86400000 : n);
        else if (c == 'd')
            set->state_fd = n < 65536 ? (int)n : -1;
        else if (c == 'm')
            *maildir = optarg;
        else if (c == 'u')
            set->user = str_from(optarg);
        else if (c == 'n')
            set->idle_notify_ms = (int64_t)(n > 86400 ? 86400 : n) * 1000;
        else if (c == 's')
            set->message_size_limit = n;
        else
            set->quota_bytes = n;
    }
    if (set->resume && set->state_fd < 0)
        return -1;
    return *run && *maildir && optind == argc ? 0 : -1;
}

static int alone(int argc, char **argv)
{
    struct session_settings set;
    const char *maildir = NULL;
    session_main *run = NULL;
    session_settings_default(&set);
    set.preauth = true;
    log_open(LOG_TARGET_STDERR, "session", -1);
    if (parse(argc, argv, &set, &maildir, &run) != 0)
        return usage();
    AUTO_FD root = open_maildir(maildir);
    if (root < 0)
        return 75;
    set.maildir_fd = root;
    return run(STDIN_FILENO, STDOUT_FILENO, &set);
}

int main(int argc, char **argv)
{
    if (argc > 1 && str_eq(str_from(argv[1]), STR("--index")))
        return parent_main(argc, argv);
    return alone(argc, argv);
}
