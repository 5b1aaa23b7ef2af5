"""Conversations (dialogue.py) with the session program on standard input and output, each with a
maildir of its own.

Directives beyond those of dialogue.py:
    @args WORDS                 arguments of the sessions started from here on
    @deliver FOLDER [flags=FS] [date=SECONDS] [repeat=N]    M lines: a message put into the maildir
                                by another program; into new/, or with flags into cur/; its last
                                line N times
    @messages N                 N simple messages delivered into INBOX
    @remove FOLDER N            another program removes the Nth file (by delivery order)
    @flag FOLDER N FS           another program renames the Nth file to have these flags
    @files FOLDER N             there are N message files now
    @rmdir FOLDER               another program removes a whole folder
    @file NAME   @no_file NAME  such a file lies in the maildir, or does not
    @damage NAME                another program writes nonsense into the middle of it
    @unlink NAME                another program removes it
    @term [2]   @hup [2]        the session gets SIGTERM, SIGHUP
    @index WHAT                 the index is deleted, damaged, truncated, empty, old, or unusable
    @pieces KIND N              the index has N pieces of this kind, now or a little later
"""

import glob
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import tap
from dialogue import Dialogue, DialogueError, ProcessTransport

SRC = os.environ.get("FACTEUR_SRCDIR", os.path.join(os.path.dirname(__file__), "..", ".."))
SESSION = os.path.join(os.environ.get("FACTEUR_BUILDDIR", SRC), "session")


class Maildir:
    """What other programs do in the maildir behind the session's back."""

    def __init__(self, path):
        self.path = path
        self.count = 0

    def folder(self, name):
        return self.path if name == "INBOX" else os.path.join(self.path, "." + name)

    def files(self, name):
        found = []
        for sub in ("cur", "new"):
            directory = os.path.join(self.folder(name), sub)
            found += [(f, os.path.join(directory, f)) for f in os.listdir(directory)]
        return [path for _, path in sorted(found)]

    def file(self, name, number):
        return self.files(name)[int(number) - 1]

    def deliver(self, name, content, flags=None, date=None):
        self.count += 1
        lines = content.count(b"\n")
        base = "%d.M%06dP1.test,S=%d,W=%d" % (1700000000 + self.count, self.count, len(content),
                                             len(content) + lines)
        sub = "new" if flags is None else "cur"
        target = os.path.join(self.folder(name), sub,
                              base if flags is None else base + ":2," + flags)
        temporary = os.path.join(self.folder(name), "tmp", base)
        with open(temporary, "wb") as f:
            f.write(content)
        if date:
            os.utime(temporary, (int(date), int(date)))
        os.rename(temporary, target)


def simple_message(n):
    return (b"From: Person %d <person%d@example.org>\nTo: me@example.org\nSubject: Message %d\n"
            b"Date: Tue, %d Nov 2023 10:00:00 +0000\nMessage-ID: <%d@example.org>\n\nBody %d\n"
            % (n, n, n, 1 + n, n, n))


def break_index(path, how):
    size = os.path.getsize(path)
    if how == "deleted":
        os.unlink(path)
    elif how == "damaged":
        with open(path, "r+b") as f:
            for at in range(0, size, 512):
                f.seek(at)
                f.write(b"nonsense" * 8)
    elif how == "truncated":
        os.truncate(path, size // 2)
    elif how == "empty":
        os.truncate(path, 0)
    elif how == "old":
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version=77")
        db.close()
    elif how == "unusable":
        os.unlink(path)
        os.mkdir(path)
    else:
        raise DialogueError("what is %s?" % how)


def wait_for_pieces(path, kind, wanted):
    """They are written when the client is silent."""
    end = time.monotonic() + 60
    while True:
        db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
        found, = db.execute("SELECT count(*) FROM piece WHERE (id >> 32) & 15 = ?", (kind,)).fetchone()
        db.close()
        if found == wanted:
            return
        if time.monotonic() > end:
            raise DialogueError("%d pieces of kind %d, not %d" % (found, kind, wanted))
        time.sleep(0.05)


class Conversation:
    """One dialogue file's maildir and sessions; a protocol is a class made of it."""
    protocol = None
    prefix = ()  # words before the session's own in its command line

    def __init__(self, session, directory):
        self.session = session
        self.maildir = Maildir(os.path.join(directory, "mailbox"))
        self.arguments = []

    def argv(self):
        return [*self.prefix, self.session, "--" + self.protocol, "--maildir", self.maildir.path,
                "--user", "ann", *self.arguments]

    def run(self, path):
        # The first session makes the maildir.
        subprocess.run(self.argv(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False, timeout=30)
        directives = {name[3:]: getattr(self, name) for name in dir(self) if name.startswith("do_")}
        Dialogue(path, lambda _: ProcessTransport(self.argv()), directives=directives).run()

    def inside(self, name):
        return os.path.join(self.maildir.path, name)

    # --- directives ---

    def do_args(self, _, words, __):
        self.arguments = words

    def do_deliver(self, _, words, message):
        options = dict(w.split("=", 1) for w in words[1:])
        if "repeat" in options:
            message += message.splitlines(True)[-1] * (int(options["repeat"]) - 1)
        self.maildir.deliver(words[0], message, options.get("flags"), options.get("date"))

    def do_messages(self, _, words, __):
        for n in range(1, int(words[0]) + 1):
            self.maildir.deliver("INBOX", simple_message(n), date=1700000000 + n)

    def do_remove(self, _, words, __):
        os.unlink(self.maildir.file(*words))

    def do_flag(self, _, words, __):
        old = self.maildir.file(words[0], words[1])
        base = os.path.basename(old).split(":2,")[0]
        os.rename(old, os.path.join(self.maildir.folder(words[0]), "cur", base + ":2," + words[2]))

    def do_files(self, _, words, __):
        found = len(self.maildir.files(words[0]))
        if found != int(words[1]):
            raise DialogueError("%s has %d files, not %s" % (words[0], found, words[1]))

    def do_rmdir(self, _, words, __):
        shutil.rmtree(self.maildir.folder(words[0]))

    def do_file(self, _, words, __):
        if not os.path.exists(self.inside(words[0])):
            raise DialogueError("%s is not there" % words[0])

    def do_no_file(self, _, words, __):
        if os.path.exists(self.inside(words[0])):
            raise DialogueError("%s is there" % words[0])

    def do_damage(self, _, words, __):
        with open(self.inside(words[0]), "r+b") as f:
            size = f.seek(0, 2)
            f.seek(0)
            f.write(b"nonsense" * (size // 8))

    def do_unlink(self, _, words, __):
        os.unlink(self.inside(words[0]))

    def do_index(self, _, words, __):
        break_index(self.inside("facteur.index.sqlite"), words[0])

    def do_pieces(self, _, words, __):
        wait_for_pieces(self.inside("facteur.index.sqlite"), int(words[0]), int(words[1]))

    def do_term(self, talk, words, __):
        talk.connection("".join(words)).transport.proc.send_signal(signal.SIGTERM)

    def do_hup(self, talk, words, __):
        talk.connection("".join(words)).transport.proc.send_signal(signal.SIGHUP)


def run_all(conversation, session=SESSION):
    """Every tests/dialogues/PROTOCOL/*.txt, or those named as arguments; the exit status."""
    def test(path):
        return tap.in_directory(lambda directory: conversation(session, directory).run(path))

    home = os.path.join(SRC, "tests", "dialogues", conversation.protocol)
    names = sys.argv[1:] or sorted(os.path.basename(p)[:-4] for p in glob.glob(home + "/*.txt"))
    return tap.run([(name, test(os.path.join(home, name + ".txt"))) for name in names]) > 0
