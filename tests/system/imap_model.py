#!/usr/bin/env python3
"""Several sessions at random in one mailbox, every response held against a model. TAP.

Each client keeps what it was told: which UID stands at which number, with which flags. Numbers may move
only by EXPUNGE, which may not come during FETCH, STORE and SEARCH (RFC 3501 7.4.1); a UID never names
two messages; and when all have heard everything, all know the same.

FACTEUR_MODEL_SEED and FACTEUR_MODEL_STEPS choose another run.
"""

import os
import random
import re
import select
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402

SRC = os.environ.get("FACTEUR_SRCDIR", os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("FACTEUR_BUILDDIR", SRC)
SESSION = os.path.join(BUILD, "session")
STEPS = int(os.environ.get("FACTEUR_MODEL_STEPS", "300"))
SEEDS = [int(os.environ["FACTEUR_MODEL_SEED"])] if "FACTEUR_MODEL_SEED" in os.environ else [1, 2, 3]
LOOKS = 3  # after so many that somebody else's work disturbed a session believes that a message is gone
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "$Junk", "Todo"]


class Wrong(Exception):
    pass


class Client:
    """One session, and what its client knows."""

    def __init__(self, maildir, world, name):
        self.world, self.name = world, name
        self.proc = subprocess.Popen([SESSION, "--imap", "--maildir", maildir],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, bufsize=0)
        self.buffer = b""
        self.number = 0
        self.uids, self.flags = [], []
        self.log = []
        self.idling = None
        self.pending = None
        self.ahead = False  # commands are sent, and their answers read later
        self.line()
        self.command("SELECT INBOX")

    def read(self, timeout):
        if not select.select([self.proc.stdout], [], [], timeout)[0]:
            return False
        data = os.read(self.proc.stdout.fileno(), 65536)
        if not data:
            raise Wrong("session %s ended: %s" % (self.name, self.proc.stderr.read()[-2000:]))
        self.buffer += data
        return True

    def line(self, timeout=20.0):
        """One response with its literals, or None."""
        text = b""
        while True:
            while b"\r\n" not in self.buffer:
                if not self.read(timeout):
                    return None
            part, self.buffer = self.buffer.split(b"\r\n", 1)
            text += part
            m = re.search(rb"\{(\d+)\}$", part)
            if not m:
                break
            while len(self.buffer) < int(m.group(1)):
                self.read(timeout)
            text += b"\r\n" + self.buffer[:int(m.group(1))]
            self.buffer = self.buffer[int(m.group(1)):]
        text = text.decode("latin-1")
        self.log = (self.log + ["S: " + text])[-40:]
        return text

    def send(self, text):
        self.log.append("C: " + text)
        self.proc.stdin.write(text.encode() + b"\r\n")

    # --- what is told ---

    def heard(self, text, command):
        m = re.match(r"\* (\d+) (EXISTS|EXPUNGE|FETCH)(?: (.*))?$", text, re.S)
        if not m:
            return
        n, kind, rest = int(m.group(1)), m.group(2), m.group(3)
        if kind == "EXISTS":
            if n < len(self.uids):
                raise Wrong("EXISTS %d is fewer than %d known" % (n, len(self.uids)))
            self.uids += [None] * (n - len(self.uids))
            self.flags += [None] * (n - len(self.flags))
            return
        if not 1 <= n <= len(self.uids):
            raise Wrong("no such number: " + text)
        if kind == "EXPUNGE":
            if re.match(r"(FETCH|STORE|SEARCH)\b", command):
                raise Wrong("EXPUNGE during " + command)
            del self.uids[n - 1], self.flags[n - 1]
        else:
            self.heard_fetch(n, rest)

    def heard_fetch(self, n, rest):
        uid = re.search(r"\bUID (\d+)", rest)
        flags = re.search(r"\bFLAGS \(([^)]*)\)", rest)
        ident = re.search(r"Message-ID: <(.*?)>", rest)
        if uid:
            uid = int(uid.group(1))
            if self.uids[n - 1] not in (None, uid):
                raise Wrong("number %d is UID %d, not %d" % (n, self.uids[n - 1], uid))
            self.uids[n - 1] = uid
        if flags:
            self.flags[n - 1] = frozenset(flags.group(1).split()) - {"\\Recent"}
        if ident and self.uids[n - 1]:
            known = self.world.setdefault(self.uids[n - 1], ident.group(1))
            if known != ident.group(1):
                raise Wrong("UID %d was %s, is %s" % (self.uids[n - 1], known, ident.group(1)))

    def command(self, text, literal=None):
        self.number += 1
        tag = "%s%d" % (self.name, self.number)
        self.send("%s %s" % (tag, text))
        if literal is not None:
            self.proc.stdin.write(literal + b"\r\n")
        self.pending = (tag, text)
        if not self.ahead:
            self.finish()

    def finish(self):
        """Reads until the command that was sent is answered."""
        if not self.pending:
            return
        tag, text = self.pending
        self.pending = None
        while True:
            got = self.line()
            if got is None:
                raise Wrong("no answer to " + text)
            if got.startswith(tag + " "):
                break
            self.heard(got, text)
        if not re.match(r"\S+ (OK|NO \[EXPUNGEISSUED\])", got):
            raise Wrong("refused: %s: %s" % (text, got))

    # --- random steps ---

    def some(self, rng):
        a, b = rng.randint(1, len(self.uids)), rng.randint(1, len(self.uids))
        return "%d:%d" % (min(a, b), max(a, b)) if rng.random() < 0.5 else str(a)

    def step(self, rng, serial):
        if self.idling:
            return self.end_idle()
        choice = rng.randint(0, 14)
        if choice <= 1 or not self.uids:
            text = b"Subject: s\r\nMessage-ID: <%d.%d>\r\n\r\nbody\r\n" % (serial, rng.randint(0, 9999))
            return self.command("APPEND INBOX {%d+}" % len(text), text)
        numbers = self.some(rng)
        flags = " ".join(rng.sample(FLAGS, rng.randint(1, 3)))
        if choice == 2:
            return self.command("FETCH %s (UID FLAGS)" % numbers)
        if choice == 3:
            return self.command("FETCH %s (UID BODY.PEEK[HEADER.FIELDS (Message-ID)])" % numbers)
        if choice == 4:
            return self.command("UID FETCH 1:* (FLAGS BODY[TEXT])")
        if choice in (5, 6):
            return self.command("STORE %s %sFLAGS (%s)" % (numbers, rng.choice(["", "+", "-"]), flags))
        if choice == 7:
            self.flags = [None] * len(self.flags)
            return self.command("UID STORE 1:* +FLAGS.SILENT (\\Seen)")
        if choice == 8:
            return self.command("SEARCH " + rng.choice(["UNSEEN", "BODY body", "DELETED"]))
        if choice == 9:
            return self.command("UID SEARCH ALL")
        if choice == 10:
            return self.command("EXPUNGE")
        if choice == 11:
            return self.command(rng.choice(["MOVE", "COPY"]) + " %s Trash" % rng.randint(1, len(self.uids)))
        if choice == 12:
            self.idling = "%si%d" % (self.name, serial)
            self.send(self.idling + " IDLE")
            while self.line() != "+ idling":
                pass
            return None
        if choice == 13:
            text = b"Subject: r\r\nMessage-ID: <r%d.%d>\r\n\r\nnew\r\n" % (serial, rng.randint(0, 9999))
            return self.command("REPLACE %d %s (%s) {%d+}" % (
                rng.randint(1, len(self.uids)), rng.choice(["INBOX", "INBOX", "Sent"]), flags, len(text)), text)
        return self.command("NOOP")

    def end_idle(self):
        self.send("DONE")
        while True:
            got = self.line()
            if got is None or got.startswith(self.idling + " "):
                break
            self.heard(got, "IDLE")
        if not got or " OK " not in got:
            raise Wrong("IDLE did not end: %s" % got)
        self.idling = None

    def picture(self):
        if self.idling:
            self.end_idle()
        for _ in range(LOOKS):
            self.command("NOOP")
        count = len(self.uids)
        self.command("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (Message-ID)])")
        if count != len(self.uids) or None in self.uids:
            raise Wrong("numbers without UIDs: %r" % self.uids)
        if sorted(self.uids) != self.uids:
            raise Wrong("UIDs out of order")
        return list(zip(self.uids, self.flags))

    def end(self):
        self.proc.stdin.close()
        self.proc.stdout.close()
        errors = self.proc.stderr.read().decode()
        self.proc.stderr.close()
        if self.proc.wait(20) != 0 or "Sanitizer" in errors or "runtime error" in errors:
            raise Wrong("session %s ended badly: %s" % (self.name, errors[-3000:]))


def run(seed, maildir):
    rng = random.Random(seed)
    world = {}
    clients = [Client(maildir, world, name) for name in "abc"]
    current = clients[0]
    try:
        for serial in range(STEPS):
            # Now and then all work at the same time.
            together = clients if rng.random() < 0.3 else [rng.choice(clients)]
            for current in together:
                current.ahead = True
                current.step(rng, serial)
                current.ahead = False
            for current in together:
                current.finish()
            if serial % 60 == 59:
                for current in clients:
                    current.picture()
        for current in clients:
            if current.idling:
                current.end_idle()
        pictures = []
        for current in clients:
            pictures.append(current.picture())
        if pictures[0] != pictures[1] or pictures[1] != pictures[2]:
            raise Wrong("the clients know different things:\n%r\n%r\n%r" % tuple(pictures))
        for current in clients:
            current.end()
    except Wrong as e:
        raise Wrong("seed %d, client %s: %s\n%s" % (seed, current.name, e, "\n".join(current.log)))
    finally:
        for client in clients:
            if client.proc.poll() is None:
                client.proc.kill()
                client.proc.wait()


def steps(seed):
    return ("%d random steps of three sessions, seed %d" % (STEPS, seed),
            tap.in_directory(lambda directory: run(seed, directory + "/mailbox")))


if __name__ == "__main__":
    sys.exit(tap.run([steps(seed) for seed in SEEDS]) > 0)
