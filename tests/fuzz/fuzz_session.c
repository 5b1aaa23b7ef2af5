/* Holding a whole session with the bytes of a fuzzer. */
#include "fuzz_session.h"

#include "fuzz_place.h"

#include "base/log.h"
#include "store/maildir.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const char first[] = "From: Ann <ann@example.org>\nTo: bob@example.org\nSubject: =?utf-8?q?h=C3=A9?=\n"
                            "Date: Thu, 21 Nov 2024 08:04:00 +0100\nMessage-ID: <1@x>\n\nHello\n.dot\n";
static const char second[] = "From: b@example.org\nSubject: Re: two\nReferences: <1@x>\nMIME-Version: 1.0\n"
                             "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n"
                             "Content-Type: message/rfc822\n\nSubject: in\n\nbody\n--b--\n";

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void deliver(int maildir, struct str message)
{
    struct store_writer w;
    struct err e;
    require(store_writer_begin(&w, maildir, &e) == 0);
    w.date = 1700000000;
    require(store_writer_write(&w, message, &e) == 0 && store_writer_commit_new(&w, &e) == 0);
}

void fuzz_session_begin(struct session_settings *set)
{
    struct err e = {0};
    int maildir = -1;
    AUTO_FD home = fuzz_place();
    if (log_target() != LOG_TARGET_SYSLOG) /* lines are made and go nowhere */
        log_open(LOG_TARGET_SYSLOG, "session", open("/dev/null", O_WRONLY | O_CLOEXEC));
    require(store_maildir_open(home, STR("mailbox"), true, &maildir, &e) == 0);
    deliver(maildir, STR(first));
    deliver(maildir, STR(second));
    session_settings_default(set);
    set->preauth = true;
    set->maildir_fd = maildir;
    set->message_size_limit = 10000;
    set->quota_bytes = 1000000;
}

int fuzz_session_run(int run(int, int, const struct session_settings *), const struct session_settings *set,
                     struct str bytes)
{
    AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO_FD in = memfd_create("in", MFD_CLOEXEC);
    require(null >= 0 && fd_write_all(in, bytes.p, bytes.n) == 0 && lseek(in, 0, SEEK_SET) == 0);
    return run(in, null, set);
}

void fuzz_session(int run(int, int, const struct session_settings *), struct str bytes)
{
    struct session_settings set;
    fuzz_session_begin(&set);
    fuzz_session_run(run, &set, bytes);
    close(set.maildir_fd);
}
