#!/usr/bin/env python3
"""Where the index cannot be written: on a full disk, on a read-only one, killed between two writes. TAP.

The mailbox goes on from its files; afterwards nothing is lost and no UID has changed. Mounts are made in a
mount namespace of the test's own.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from faults import COMMIT, KILL, KILL_AFTER, RENAME, Faults, fill_disk  # noqa: E402

BUILD = os.path.abspath(os.environ.get("FACTEUR_BUILDDIR", "."))
SESSION = os.path.join(BUILD, "session")
MESSAGES = 60
INSIDE = "FACTEUR_TEST_OWN_MOUNTS"


def conversation(maildir, *commands):
    """The answers to each command, which must end in that of its tag."""
    process = subprocess.Popen([SESSION, "--imap", "--maildir", maildir], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    text = "".join("a%d %s\r\n" % (n, c) for n, c in enumerate(commands)) + "z LOGOUT\r\n"
    out, errors = process.communicate(text.encode(), timeout=120)
    tap.same(process.returncode, 0, "the session's exit, which said %r" % errors[-2000:])
    out = out.decode()
    answers = re.split(r"^a\d+ ", out.split("\n", 1)[1], flags=re.M)
    tap.same(len(answers), len(commands) + 1, "answers in " + out[-2000:])
    # What stands before a tagged line belongs to it.
    tagged = [a.split("\r\n", 1)[0] for a in answers[1:]]
    told = [answers[0]] + [a.split("\r\n", 1)[1] for a in answers[1:-1]]
    return list(zip(tagged, told))


def flags_of(maildir):
    return re.findall(r"\* (\d+) FETCH \(UID (\d+) FLAGS \((.*?)\)\)",
                      conversation(maildir, "SELECT INBOX", "FETCH 1:* (UID FLAGS)")[1][1])


class Disk:
    def __init__(self, kib):
        self.dir = tempfile.mkdtemp(prefix="facteur-index-")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dk,mode=700" % kib, "none", self.dir], check=True)
        self.maildir = self.dir + "/mail"
        for sub in ("cur", "new", "tmp"):
            os.makedirs("%s/%s" % (self.maildir, sub))
        for n in range(MESSAGES):
            text = b"Subject: letter %d\nFrom: a@example.net\n\nmarmalade\n" % n
            with open("%s/cur/%d.M%dP1.here:2,S" % (self.maildir, 1600000000 + n, n), "wb") as out:
                out.write(text)
        conversation(self.maildir, "SELECT INBOX")  # UIDs are on the disk

    def __enter__(self):
        return self

    def fill(self):
        fill_disk(self.dir + "/ballast")

    def empty(self):
        os.unlink(self.dir + "/ballast")

    def remount(self, how):
        subprocess.run(["mount", "-o", "remount," + how, self.dir], check=True)

    def index(self, name="facteur.index.sqlite"):
        return os.path.join(self.maildir, name)

    def drop_index(self):
        for name in os.listdir(self.maildir):
            if name.startswith("facteur."):
                os.unlink(self.index(name))

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.dir], check=True)
        os.rmdir(self.dir)


READING = ("SELECT INBOX", "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)", "FETCH 1:* (ENVELOPE)",
           "SEARCH SUBJECT \"letter 7\"", "SEARCH BODY marmalade", "SORT (SUBJECT) UTF-8 ALL",
           "THREAD REFERENCES UTF-8 ALL")


def all_read(maildir):
    answers = conversation(maildir, *READING)
    for command, (tagged, _) in zip(READING, answers):
        tap.true(tagged.startswith("OK"), "%s: %s" % (command, tagged))
    tap.same(answers[2][1].count("ENVELOPE"), MESSAGES, "envelopes")
    tap.same(len(answers[4][1].split()) - 2, MESSAGES, "found in bodies")


def full(with_index):
    with Disk(3000) as disk:
        before = flags_of(disk.maildir)
        tap.same(len(before), MESSAGES, "messages")
        if not with_index:
            disk.drop_index()
        disk.fill()
        all_read(disk.maildir)
        stored = conversation(disk.maildir, "SELECT INBOX", "STORE 1:10 +FLAGS (\\Flagged)")[1][0]
        refused = conversation(disk.maildir, "APPEND INBOX {%d+}\r\n%s" % (90000, "x: y\r\n" * 15000))[0][0]
        tap.true(refused.startswith("NO"), "APPEND on a full disk: " + refused)
        disk.empty()
        want = [(n, u, "\\Flagged \\Seen" if int(n) <= 10 else f) for n, u, f in before]
        tap.true(stored.startswith("OK"), "STORE, which only renames: " + stored)
        tap.same([(n, u, " ".join(sorted(f.split()))) for n, u, f in flags_of(disk.maildir)], want,
                 "flags and UIDs after the disk was full")
        tap.true(os.path.exists(disk.index()), "the index is there again")


def read_only(with_index):
    with Disk(4000) as disk:
        before = flags_of(disk.maildir)
        if not with_index:
            disk.drop_index()
        disk.remount("ro")
        all_read(disk.maildir)
        tagged = conversation(disk.maildir, "SELECT INBOX", "STORE 1 +FLAGS (\\Flagged)")[1][0]
        tap.true(tagged.startswith("NO"), "STORE on a read-only disk: " + tagged)
        tap.same(flags_of(disk.maildir), before, "flags and UIDs on a read-only disk")
        disk.remount("rw")
        tap.same(flags_of(disk.maildir), before, "flags and UIDs when it can be written again")


def killed():
    """Between the renaming of files and the writing of rows: names, not rows, say what the flags are."""
    died = set()
    with Disk(16000) as disk:
        uids = [u for _, u, _ in flags_of(disk.maildir)]
        faults = Faults(disk.dir, BUILD)
        program = os.path.join(faults.programs, "session")
        turns = [(call, at, action) for call, places in ((RENAME, (1, 17, MESSAGES)), (COMMIT, (1, 2)))
                 for at in places for action in (KILL, KILL_AFTER)]
        for turn, (call, at, action) in enumerate(turns):
            faults.reset()
            faults.arm("session", call, at, action)
            process = subprocess.run([program, "--imap", "--maildir", disk.maildir], stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, timeout=120, input=b"a SELECT INBOX\r\n"
                                     b"b STORE 1:* %sFLAGS (\\Flagged)\r\nc LOGOUT\r\n" % b"+-"[turn % 2:][:1])
            if process.returncode == 128 + signal.SIGKILL:  # as tests/fault says it
                died.add(call)
            faults.reset()
            on_disk = {int(re.search(r"M(\d+)P", name)[1]) + 1: "F" in name.split(":2,")[1]
                       for name in os.listdir(disk.maildir + "/cur")}
            told = flags_of(disk.maildir)
            what = "after dying at %s %d" % ({RENAME: "rename", COMMIT: "commit"}[call], at)
            tap.same([u for _, u, _ in told], uids, "UIDs " + what)
            tap.same({int(n): "\\Flagged" in f for n, _, f in told}, on_disk, "flags " + what)
            if b"\r\nb OK" in process.stdout:
                tap.same(set(on_disk.values()), {turn % 2 == 0}, "what was answered with OK " + what)
    tap.same(died, {RENAME, COMMIT}, "where it died")


def main():
    return tap.run([("a full disk, with an index", lambda: full(True)),
                    ("a full disk, without an index", lambda: full(False)),
                    ("a read-only disk, with an index", lambda: read_only(True)),
                    ("a read-only disk, without an index", lambda: read_only(False)),
                    ("killed among flag changes", killed)])


if __name__ == "__main__":
    if INSIDE not in os.environ:
        who = [] if os.getuid() == 0 else ["--map-root-user"]
        os.execvpe("unshare", ["unshare", "--mount", *who, sys.executable, os.path.abspath(__file__)],
                   {**os.environ, INSIDE: "1"})
    sys.exit(main())
