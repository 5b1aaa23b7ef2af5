#!/usr/bin/env python3
"""A large mailbox that the index has nothing of: what is left for a quiet moment, and where none comes. TAP."""
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402

SESSION = os.path.join(os.environ.get("FACTEUR_BUILDDIR", "."), "session")
MESSAGES = 2500  # more than are written to the index at once


class Large:
    """A maildir of small messages, and one session in it that has its commands all at once."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="facteur-large-")
        self.maildir = self.dir + "/mail"
        for sub in ("cur", "new", "tmp"):
            os.makedirs("%s/%s" % (self.maildir, sub))
        for n in range(MESSAGES):
            text = b"Subject: letter %d\nFrom: a@example.net\n\nx\n" % n
            name = "%d.M%dP1.here,S=%d,W=%d:2,S" % (1600000000 + n, n, len(text), len(text) + 4)
            with open("%s/cur/%s" % (self.maildir, name), "wb") as out:
                out.write(text)
        self.process = None

    def __enter__(self):
        return self

    def start(self, commands):
        self.process = subprocess.Popen(
            [SESSION, "--imap", "--maildir", self.maildir, "--rest-after", "100"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.process.stdin.write(commands)
        self.process.stdin.flush()

    def end(self):
        out, errors = self.process.communicate(timeout=120)
        tap.same(self.process.returncode, 0, errors.decode()[-2000:])
        return out

    def rows(self, table):
        """-1: there is no such table (yet)."""
        database = sqlite3.connect(self.maildir + "/facteur.index.sqlite", timeout=20)
        try:
            return database.execute("SELECT count(*) FROM " + table).fetchone()[0]
        except sqlite3.Error:
            return -1
        finally:
            database.close()

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        shutil.rmtree(self.dir)


def kept(command):
    with Large() as box:
        box.start(b"a SELECT INBOX\r\n" + command + b"\r\nz LOGOUT\r\n")
        tap.has(box.end().decode(), "z OK")
        tap.same(box.rows("message"), MESSAGES, "messages in the index")
        tap.true(box.rows("piece") >= MESSAGES, "of %d messages the index kept %d pieces" %
                 (MESSAGES, box.rows("piece")))


def envelopes():
    kept(b"b FETCH 1:* (ENVELOPE)")


def words():
    kept(b"b SEARCH SUBJECT nobody")


def order():
    kept(b"b SORT (SUBJECT) UTF-8 ALL")


def idle():
    with Large() as box:
        box.start(b"a SELECT INBOX\r\nb IDLE\r\n")
        tap.wait_for(lambda: box.rows("message") == MESSAGES, 60, "IDLE right after SELECT leaves the index empty")
        box.process.stdin.write(b"DONE\r\nz LOGOUT\r\n")
        tap.has(box.end().decode(), "b OK")


if __name__ == "__main__":
    sys.exit(tap.run([("ENVELOPE right after SELECT is kept", envelopes),
                      ("words of a search right after SELECT are kept", words),
                      ("the keys of a sort right after SELECT are kept", order),
                      ("IDLE right after SELECT is a quiet moment", idle)]))
