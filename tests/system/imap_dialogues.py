#!/usr/bin/env python3
"""Runs every tests/dialogues/imap/*.txt against the session program on standard input and output,
each with a maildir of its own. TAP: one line a dialogue. Arguments: names of dialogues to run.

Directives beyond those of tests/lib/dialogue.py:
    @args WORDS                 arguments of the sessions started from here on
    @deliver FOLDER [flags=FS] [date=SECONDS]    M lines: a message put into the maildir by
                                another program; into new/, or with flags into cur/
    @messages N                 N simple messages delivered into INBOX
    @remove FOLDER N            another program removes the Nth file (by delivery order)
    @flag FOLDER N FS           another program renames the Nth file to have these flags
    @files FOLDER N             there are N message files now
    @rmdir FOLDER               another program removes a whole folder
    @file NAME   @no_file NAME  such a file lies in the maildir, or does not
    @damage NAME                another program writes nonsense into the middle of it
    @unlink NAME                another program removes it
    @term [2]                   the session gets SIGTERM
    @index WHAT                 the index is deleted, damaged, truncated, empty, old, or unusable
"""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile

SRC = os.environ.get("FACTEUR_SRCDIR", os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("FACTEUR_BUILDDIR", SRC)
sys.path.insert(0, os.path.join(SRC, "tests", "lib"))
import dialogue  # noqa: E402


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
        raise dialogue.DialogueError("what is %s?" % how)


def directives(maildir, arguments):
    def deliver(_, words, message):
        options = dict(w.split("=", 1) for w in words[1:])
        maildir.deliver(words[0], message, options.get("flags"), options.get("date"))

    def messages(_, words, __):
        for n in range(1, int(words[0]) + 1):
            maildir.deliver("INBOX", simple_message(n), date=1700000000 + n)

    def remove(_, words, __):
        os.unlink(maildir.files(words[0])[int(words[1]) - 1])

    def flag(_, words, __):
        old = maildir.files(words[0])[int(words[1]) - 1]
        base = os.path.basename(old).split(":2,")[0]
        os.rename(old, os.path.join(maildir.folder(words[0]), "cur", base + ":2," + words[2]))

    def files(_, words, __):
        found = len(maildir.files(words[0]))
        if found != int(words[1]):
            raise dialogue.DialogueError("%s has %d files, not %s" % (words[0], found, words[1]))

    def index(_, words, __):
        break_index(os.path.join(maildir.path, "facteur.index.sqlite"), words[0])

    def rmdir(_, words, __):
        shutil.rmtree(maildir.folder(words[0]))

    def file(_, words, __):
        if not os.path.exists(os.path.join(maildir.path, words[0])):
            raise dialogue.DialogueError("%s is not there" % words[0])

    def no_file(_, words, __):
        if os.path.exists(os.path.join(maildir.path, words[0])):
            raise dialogue.DialogueError("%s is there" % words[0])

    def damage(_, words, __):
        with open(os.path.join(maildir.path, words[0]), "r+b") as f:
            size = f.seek(0, 2)
            f.seek(0)
            f.write(b"nonsense" * (size // 8))

    def unlink(_, words, __):
        os.unlink(os.path.join(maildir.path, words[0]))

    def term(talk, words, __):
        transport = talk.connection(words[0] if words else "").transport
        transport.proc.send_signal(signal.SIGTERM)

    def args(_, words, __):
        arguments[:] = words

    return {"deliver": deliver, "messages": messages, "remove": remove, "flag": flag,
            "files": files, "rmdir": rmdir, "args": args, "term": term,
            "file": file, "no_file": no_file, "damage": damage, "unlink": unlink,
            "index": index}


def run_one(path, session, directory):
    maildir = Maildir(os.path.join(directory, "mailbox"))
    arguments = []

    def argv():
        return [session, "--imap", "--maildir", maildir.path, "--user", "ann"] + arguments

    subprocess.run(argv(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False, timeout=30)
    dialogue.Dialogue(path, lambda name: dialogue.ProcessTransport(argv()),
                      directives=directives(maildir, arguments)).run()


def run_all(kind, session, one):
    home = os.path.join(SRC, "tests", "dialogues", kind)
    names = sys.argv[1:] or sorted(f[:-4] for f in os.listdir(home) if f.endswith(".txt"))
    failed = 0
    print("1..%d" % len(names), flush=True)
    for number, name in enumerate(names, 1):
        directory = tempfile.mkdtemp(prefix="facteur-%s." % kind)
        try:
            one(os.path.join(home, name + ".txt"), session, directory)
            print("ok %d - %s" % (number, name), flush=True)
        except (dialogue.DialogueError, OSError, subprocess.SubprocessError) as e:
            failed += 1
            print("not ok %d - %s" % (number, name))
            print(re.sub("^", "# ", str(e), flags=re.M), flush=True)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    return failed > 0


def main():
    os.environ["TZ"] = "UTC"
    return run_all("imap", os.path.join(BUILD, "session"), run_one)


if __name__ == "__main__":
    sys.exit(main())
