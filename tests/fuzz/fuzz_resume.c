/*
 * Fuzzer of what an IMAP session reads to go on where another one stood (session/resume.c). The first octet chooses
 * one of the states that real sessions leave, or none; a second says how many of the octets that follow are put
 * over it, a third and fourth where; without a state they are all there is. The rest is what the client says then.
 * A state that was not touched must be gone on from, and whatever it is, the session ends.
 */
#include "fuzz_session.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define STATE_MAX 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const lives[] = {
    "",
    "a SELECT INBOX\r\n",
    "a EXAMINE INBOX\r\nb ENABLE QRESYNC\r\nc SEARCH RETURN (SAVE) ALL\r\n",
    "a SELECT INBOX\r\nb STORE 1 +FLAGS (\\Deleted $x)\r\nc IDLE\r\n",
    "a COMPRESS DEFLATE\r\n",
};

/* Says these things in a session and leaves it without a word while it waits. */
static void live(const struct session_settings *settings, struct str words, int state)
{
    struct session_settings set = *settings;
    int ends[2];
    AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
    set.state_fd = state;
    set.inactivity_ms = 0;
    int r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
    assert(r == 0 && fd_write_all(ends[1], words.p, words.n) == 0);
    session_main_imap(ends[0], null, &set);
    close(ends[0]);
    close(ends[1]);
}

static void put_over(int state, struct str words, size_t at)
{
    off_t size = lseek(state, 0, SEEK_END);
    assert(size >= 0);
    ssize_t n = words.n ? pwrite(state, words.p, words.n, size ? (off_t)at % size : 0) : 0;
    assert(n == (ssize_t)words.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session_settings set;
    if (size < 4)
        return 0;
    size_t which = data[0] % (sizeof lives / sizeof *lives + 1);
    struct str rest = {(const char *)data + 4, size - 4}, over = str_head(rest, data[1] * (which ? 1u : 64u));
    fuzz_session_begin(&set);
    AUTO_FD state = memfd_create("state", MFD_CLOEXEC);
    if (which)
        live(&set, str_from(lives[which - 1]), state);
    put_over(state, over, (size_t)data[2] << 8 | data[3]);
    set.state_fd = state;
    set.resume = true;
    int status = fuzz_session_run(session_main_imap, &set, str_skip(rest, over.n));
    close(set.maildir_fd);
    assert(status == 0 || status == 1);
    assert(status == 0 || over.n || !which || which == 5);
    return 0;
}
