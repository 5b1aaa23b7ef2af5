#!/usr/bin/env python3
"""Real mail programs against the session program, through a pipe: mbsync in both directions with
flags, and mutt reading and filing. TAP."""

import glob
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402

SRC = os.environ.get("FACTEUR_SRCDIR", os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("FACTEUR_BUILDDIR", SRC)
SESSION = os.path.join(BUILD, "session")
COUNT = 150

MBSYNC = """\
IMAPAccount f
Tunnel "{session} --imap --maildir {dir}/server/mailbox 2>>{dir}/errors"

IMAPStore far
Account f

MaildirStore near
Path {dir}/local/
Inbox {dir}/local/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
CopyArrivalDate yes
SyncState *
"""


class Failed(Exception):
    pass


def check(ok, text):
    if not ok:
        raise Failed(text)


def message(n):
    return ("From: Person %d <p%d@example.org>\nTo: me@example.org\nSubject: =?utf-8?Q?N=C2=B0?= %d\n"
            "Date: Tue, 21 Nov 2023 10:00:00 +0000\nMessage-ID: <%d@example.org>\n"
            "Content-Type: text/plain; charset=utf-8\n\nBody %d\n%s" %
            (n, n, n, n, n, "a line of text, and another\n" * (n * 7))).encode()


def files(maildir):
    return sorted(glob.glob(glob.escape(maildir) + "/cur/*") +
                  glob.glob(glob.escape(maildir) + "/new/*"))


def content(path):
    """Without the header that mbsync adds."""
    with open(path, "rb") as f:
        return re.sub(rb"^X-TUID: .*\n", b"", f.read(), flags=re.M)


def contents(maildir):
    return sorted(content(p) for p in files(maildir))


def flags(maildir, subject):
    for path in files(maildir):
        if subject in content(path):
            return path.rpartition(":2,")[2] if ":2," in path else ""
    raise Failed("%r is not in %s" % (subject, maildir))


def make_server(directory):
    server = os.path.join(directory, "server")
    os.mkdir(server)
    subprocess.run([SESSION, "--imap", "--maildir", server + "/mailbox"],
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=30)
    for n in range(COUNT):
        with open("%s/mailbox/new/17000%05d.M1P1.test" % (server, n), "wb") as f:
            f.write(message(n))
    return server + "/mailbox"


def mbsync(directory):
    run = subprocess.run(["mbsync", "-c", directory + "/mbsyncrc", "-a"], timeout=120,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         env=dict(os.environ, HOME=directory))
    check(run.returncode == 0, run.stdout.decode("utf-8", "replace"))


def no_errors(directory):
    with open(directory + "/errors", encoding="utf-8") as f:
        text = f.read()
    check("Sanitizer" not in text and "runtime error" not in text and "error:" not in text, text)


def test_mbsync(directory):
    server = make_server(directory)
    os.mkdir(directory + "/local")
    with open(directory + "/mbsyncrc", "w", encoding="utf-8") as f:
        f.write(MBSYNC.format(session=SESSION, dir=directory))
    mbsync(directory)
    near = directory + "/local/INBOX"
    check(contents(near) == contents(server), "the first synchronisation differs")
    check(os.path.isdir(directory + "/local/Sent"), "folders are missing")
    # Both sides change.
    mine = files(near)
    seen, removed = mine[0], mine[1]
    seen_body = content(seen)
    os.rename(seen, near + "/cur/" + os.path.basename(seen).split(":2,")[0] + ":2,FS")
    removed_body = content(removed)
    os.unlink(removed)
    with open(near + "/new/1800000000.1.local", "wb") as f:
        f.write(b"From: me@example.org\nSubject: written here\n\nhello\n")
    theirs = [p for p in files(server) if content(p) not in (seen_body, removed_body)]
    answered = content(theirs[0])
    os.rename(theirs[0], server + "/cur/" + os.path.basename(theirs[0]).split(":2,")[0] + ":2,R")
    os.mkdir(directory + "/local/Projects")
    for sub in ("cur", "new", "tmp"):
        os.mkdir(directory + "/local/Projects/" + sub)
    mbsync(directory)
    mbsync(directory)
    check(contents(near) == contents(server), "the second synchronisation differs")
    check(len(files(server)) == COUNT, "wrong number of messages")
    check(flags(server, seen_body) == "FS", "flags did not go up")
    check(flags(near, answered) == "R", "flags did not come down")
    check(os.path.isdir(server + "/.Projects/cur"), "the new folder did not go up")
    no_errors(directory)


MUTT = """\
set folder="imap://me@localhost/"
set spoolfile="imap://me@localhost/INBOX"
set tunnel="{session} --imap --maildir {dir}/server/mailbox 2>>{dir}/errors"
set header_cache=""
set sleep_time=0
set confirmappend=no
set confirmcreate=no
set delete=yes
set quit=yes
set mail_check=1
set sort=mailbox-order
set wait_key=no
set copy=no
set auto_tag=no
set pipe_decode=yes
set mark_old=no
"""


def test_mutt(directory):
    """Reads one message, flags one, saves one into another folder, deletes one, pipes one."""
    server = make_server(directory)
    keys = ("<first-entry><display-message><exit>"                       # 0: read
            "<next-entry><flag-message>"                                 # 1: flagged
            "<first-entry><next-entry><next-entry><save-message>=Archive<enter>"  # 2: moved
            "<first-entry><next-entry><next-entry><next-entry><delete-message>"   # 3: deleted
            "<last-entry><pipe-message>cat >{d}/piped<enter>"
            "<limit>~b 'Body 77'<enter><flag-message><limit>all<enter>"
            "<sync-mailbox><quit>").format(d=directory)
    with open(directory + "/muttrc", "w", encoding="utf-8") as f:
        f.write(MUTT.format(session=SESSION, dir=directory))
        f.write("push \"%s\"\n" % keys)
    env = dict(os.environ, HOME=directory, TERM="xterm", LC_ALL="C.UTF-8", COLUMNS="100", LINES="40")
    run = subprocess.run(["script", "-qec", "mutt -n -F %s/muttrc" % directory, "/dev/null"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, env=env, timeout=90)
    shown = run.stdout.decode("utf-8", "replace")[-1500:]
    check(run.returncode == 0, "mutt failed: " + shown)
    check(len(files(server)) == COUNT - 2, "wrong number in INBOX: " + shown)
    check(contents(server + "/.Archive") == [message(2)], "not filed: " + shown)
    check("S" in flags(server, b"Body 0\n"), "not read")
    check("F" in flags(server, b"Body 1\n"), "not flagged")
    check("F" in flags(server, b"Body 77\n"), "the search found nothing")
    check(message(3) not in contents(server), "not deleted")
    with open(directory + "/piped", "rb") as f:
        check(b"Body %d\n" % (COUNT - 1) in f.read(), "not shown")
    no_errors(directory)


TESTS = [("mbsync both ways with flags and folders", test_mbsync),
         ("mutt reads, flags, files, deletes and searches", test_mutt)]


if __name__ == "__main__":
    sys.exit(tap.run([(name, tap.in_directory(test)) for name, test in TESTS]) > 0)
