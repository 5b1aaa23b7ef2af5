#!/usr/bin/env python3
"""Sessions are killed at rest, and new processes go on with their streams; nobody notices. TAP.

The model of imap_model.py drives clients of every kind (plain, read-only, CONDSTORE with UTF8=ACCEPT and a
saved search, QRESYNC, compressed). Between steps a client's session is killed with -9 in whatever state it
is: selected, in IDLE, with expunges it has not told. Another process takes over the stream from the state
that the first one wrote. QRESYNC clients also lose everything and come back with SELECT (QRESYNC ...).
"""

import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import imap_model as model  # noqa: E402
import tap  # noqa: E402

STEPS = int(os.environ.get("FACTEUR_MODEL_STEPS", "160"))


class Wire:
    """A client's end of the stream, which outlives the process at the other end."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair()
        self.pack = self.unpack = None

    def compress(self):
        self.pack, self.unpack = zlib.compressobj(6, zlib.DEFLATED, -15), zlib.decompressobj(-15)

    def write(self, data):
        if self.pack:
            data = self.pack.compress(data) + self.pack.flush(zlib.Z_SYNC_FLUSH)
        self.ours.sendall(data)

    def read(self, timeout):
        if not select.select([self.ours], [], [], timeout)[0]:
            return None
        data = self.ours.recv(65536)
        return self.unpack.decompress(data) if self.unpack and data else data

    def end(self):
        self.ours.shutdown(socket.SHUT_WR)

    def close(self):
        self.ours.close()
        self.theirs.close()


class Client(model.Client):
    def __init__(self, maildir, world, name, setup=(), select_with="SELECT INBOX", rest=3):
        self.maildir, self.world, self.name, self.rest = maildir, world, name, rest
        self.setup, self.select_with = setup, select_with
        self.number, self.idling, self.pending, self.ahead = 0, None, None, False
        self.log, self.uids, self.flags, self.saved = [], [], [], None
        self.highest, self.validity, self.seen_modseq = 0, 0, {}
        self.errors = tempfile.TemporaryFile()
        self.state = os.memfd_create("state")
        self.proc = None
        self.connect()

    def connect(self):
        self.wire, self.buffer = Wire(), b""
        self.spawn()
        self.line()
        for command in self.setup:
            self.command(command)
            if command.startswith("COMPRESS"):
                self.wire.compress()
        if self.select_with:
            self.command(self.select_with)

    def new_wire(self):
        self.wire.close()
        self.wire, self.buffer = Wire(), b""

    def spawn(self, *more):
        self.proc = subprocess.Popen(
            [model.SESSION, "--imap", "--maildir", self.maildir, "--rest-after", str(self.rest),
             "--state-fd", str(self.state), *more],
            stdin=self.wire.theirs, stdout=self.wire.theirs, stderr=self.errors, pass_fds=[self.state])
        self.proc.stdin = self.wire

    def read(self, timeout):
        data = self.wire.read(timeout)
        if data is None:
            return False
        if data == b"":
            raise model.Wrong("session %s ended: %s" % (self.name, self.said()))
        self.buffer += data
        return True

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")[-3000:]

    def at_rest(self):
        text = os.pread(self.state, 1 << 22, 0)
        return text.endswith(b"\nend 0\n\n")

    def kill_at_rest(self):
        end = time.monotonic() + 20
        while True:
            self.proc.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self.proc.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            if self.at_rest():
                break
            if time.monotonic() > end:
                raise model.Wrong("%s does not come to rest: %s" % (self.name, self.said()))
            self.proc.send_signal(signal.SIGCONT)
            time.sleep(0.002)
        self.proc.kill()
        self.proc.wait()
        self.log.append("-- killed")

    def take_over(self):
        self.kill_at_rest()
        self.spawn("--resume")

    def come_back(self, rng):
        """All is lost but what the client knows; QRESYNC tells the rest (RFC 7162 3.2.5)."""
        if self.idling:
            self.end_idle()
        if None in self.uids:
            self.command("UID FETCH 1:* (FLAGS)")
        known = [(u, f) for u, f in zip(self.uids, self.flags) if u]
        self.proc.kill()
        self.proc.wait()
        self.wire.close()
        self.idling, self.saved = None, None
        self.log.append("-- comes back with %d" % self.highest)
        self.uids, self.flags = [u for u, _ in known], [f for _, f in known]
        with_known = " %s" % ",".join(map(str, self.uids)) if self.uids and rng.random() < 0.5 else ""
        self.earlier = True
        keep, self.select_with = self.select_with, "SELECT INBOX (QRESYNC (%d %d%s))" % (
            self.validity, max(self.highest, 1), with_known)
        self.connect()
        self.select_with = keep
        self.earlier = False

    earlier = False
    told_exists = 0

    def heard(self, text, command):
        m = re.match(r"\* OK \[UIDVALIDITY (\d+)\]", text)
        if m:
            if self.validity and self.validity != int(m.group(1)):
                raise model.Wrong("UIDVALIDITY changed")
            self.validity = int(m.group(1))
        m = re.match(r"\* OK \[HIGHESTMODSEQ (\d+)\] ?(.*)", text)
        if m:
            if self.earlier and int(m.group(1)) < self.highest:
                raise model.Wrong("mod-sequences went back from %d to %s" % (self.highest, m.group(1)))
            self.highest = int(m.group(1))
        m = re.match(r"\* VANISHED( \(EARLIER\))? (\S+)$", text)
        if m:
            return self.vanished(m.group(2), bool(m.group(1)))
        if self.earlier:
            return self.heard_earlier(text)
        return super().heard(text, command)

    def heard_earlier(self, text):
        """During SELECT: numbers are those of the new view, after what vanished earlier."""
        m = re.match(r"\* (\d+) EXISTS", text)
        if m:
            self.told_exists = int(m.group(1))
            return
        m = re.match(r"\* (\d+) FETCH \((?:.*)UID (\d+)", text)
        if m:
            uid = int(m.group(2))
            if uid not in self.uids:
                self.uids.append(uid)
                self.flags.append(None)
            self.heard_fetch(self.uids.index(uid) + 1, text)

    def vanished(self, what, earlier):
        for part in what.split(","):
            first, last = (part.split(":") * 2)[:2]
            if int(last) - int(first) > 100000:
                raise model.Wrong("VANISHED of too many: " + what)
            for uid in range(int(first), int(last) + 1):
                if uid in self.uids:
                    at = self.uids.index(uid)
                elif earlier:
                    continue
                else:
                    at = self.place_of_unknown(uid)
                del self.uids[at], self.flags[at]

    def place_of_unknown(self, uid):
        """A message whose UID was not fetched yet, where this one must stand."""
        at = next((i for i, known in enumerate(self.uids) if known and known > uid), len(self.uids)) - 1
        if at < 0 or self.uids[at] is not None:
            raise model.Wrong("VANISHED %d, which is not known" % uid)
        return at

    def heard_fetch(self, n, rest):
        m = re.search(r"\bMODSEQ \((\d+)\)", rest)
        if m:
            self.highest = max(self.highest, int(m.group(1)))
        uid = re.search(r"\bUID (\d+)", rest)
        super().heard_fetch(n, rest)
        uid = int(uid.group(1)) if uid else self.uids[n - 1]
        if m and uid:
            if int(m.group(1)) < self.seen_modseq.get(uid, 0):
                raise model.Wrong("the mod-sequence of UID %d went back" % uid)
            self.seen_modseq[uid] = int(m.group(1))

    def finish(self):
        selects = self.pending and self.pending[1].startswith("SELECT")
        super().finish()
        m = re.search(r"\[HIGHESTMODSEQ (\d+)\]", self.log[-1])
        if m:
            self.highest = max(self.highest, int(m.group(1)))
        if self.earlier and selects:
            self.after_return()

    def after_return(self):
        missing = self.told_exists - len(self.uids)
        if missing < 0:
            raise model.Wrong("%d messages, and %r are known" % (self.told_exists, self.uids))
        order = sorted(range(len(self.uids)), key=lambda i: self.uids[i])
        self.uids = [self.uids[i] for i in order] + [None] * missing
        self.flags = [self.flags[i] for i in order] + [None] * missing

    def step(self, rng, serial):
        if self.select_with.startswith("EXAMINE") and not self.idling:
            choice = rng.randint(0, 3)
            if choice == 0 and self.uids:
                return self.command("FETCH %s (UID FLAGS)" % self.some(rng))
            if choice == 1:
                self.idling = "%si%d" % (self.name, serial)
                self.send(self.idling + " IDLE")
                while self.line() != "+ idling":
                    pass
                return None
            return self.command(rng.choice(["NOOP", "UID SEARCH ALL"]))
        return super().step(rng, serial)

    def silence(self):
        """Waits until the session rests with its messages put away."""
        time.sleep(0.001 * self.rest + 0.01)

    def end(self):
        self.wire.end()
        if self.proc.wait(20) != 0:
            raise model.Wrong("session %s ended badly: %s" % (self.name, self.said()))
        if "Sanitizer" in self.said() or "runtime error" in self.said():
            raise model.Wrong("session %s: %s" % (self.name, self.said()))
        self.close()

    def close(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        if self.state is None:
            return
        self.wire.close()
        self.errors.close()
        os.close(self.state)
        self.state = None


KINDS = [("a", (), "SELECT INBOX"), ("b", ("ENABLE QRESYNC",), "SELECT INBOX"), ("c", (), "EXAMINE INBOX"),
         ("d", ("COMPRESS DEFLATE", "ENABLE CONDSTORE"), "SELECT INBOX (CONDSTORE)"),
         ("e", ("ENABLE CONDSTORE UTF8=ACCEPT",), "SELECT INBOX")]


def random_steps(seed, directory, takes_over=True):
    rng, world = random.Random(seed), {}
    clients = []
    current = None
    try:
        for name, setup, how in KINDS:
            clients.append(Client(directory + "/mailbox", world, name, setup, how))
        for serial in range(STEPS):
            together = clients if rng.random() < 0.3 else [rng.choice(clients)]
            for current in together:
                current.ahead = True
                current.step(rng, serial)
                current.ahead = False
            for current in together:
                current.finish()
            for current in clients:
                draw = rng.random()
                if draw < 0.1:
                    current.silence()
                if 0.07 < draw < 0.2 and takes_over:
                    current.take_over()
                elif draw > 0.95 and current.name == "b":
                    current.come_back(rng)
            if serial % 40 == 39:
                for current in clients:
                    current.picture()
        for current in clients:
            if current.idling:
                current.end_idle()
        pictures = []
        for current in clients:
            pictures.append(current.picture())
        for current, picture in zip(clients, pictures):
            tap.same(picture, pictures[0], "what the clients know")
        for current in clients:
            current.end()
        clients = []
    except model.Wrong as e:
        raise AssertionError("seed %d, client %s: %s\n%s\n%s" % (
            seed, current and current.name, e, "\n".join(current.log if current else []),
            current.said() if current else ""))
    finally:
        for client in clients:
            client.close()


# --- each state by itself ---

def message(n):
    return b"Subject: n%d\r\nMessage-ID: <n%d>\r\n\r\nbody\r\n" % (n, n)


class Pair:
    """A mailbox with five messages, the session to be killed, and one that changes things meanwhile."""

    def __init__(self, directory, setup=(), how="SELECT INBOX"):
        self.maildir, world = directory + "/mailbox", {}
        self.other = Client(self.maildir, world, "o", (), "SELECT INBOX", rest=60000)
        for n in range(5):
            self.other.command("APPEND INBOX {%d+}" % len(message(n)), message(n))
        self.it = Client(self.maildir, world, "k", setup, how)

    def __enter__(self):
        return self.it, self.other

    def __exit__(self, *_):
        self.it.close()
        self.other.close()


def lines_of(client, command):
    client.log = []
    client.command(command)
    return [s[3:] for s in client.log[1:] if not re.match(r"S: \* (FLAGS|OK \[PERM)", s)]


def authenticated(directory):
    with Pair(directory, (), None) as (it, _):
        it.take_over()
        tap.true(any("Logged in" in s for s in it.log) is False and len(lines_of(it, "NOOP")) == 1,
                 "a session without a mailbox goes on without a greeting")


def pending(directory):
    with Pair(directory) as (it, other):
        other.command("STORE 2,4 +FLAGS (\\Deleted)")
        other.command("EXPUNGE")
        it.command("FETCH 1:5 FLAGS")
        it.take_over()
        tap.same([s for s in lines_of(it, "FETCH 1,5 UID") if "FETCH" in s and s[0] == "*"],
                 ["* 1 FETCH (UID 1)", "* 5 FETCH (UID 5)"], "numbers do not move")
        it.kill_at_rest()
        other.command("STORE 3 +FLAGS (\\Flagged)")
        other.command("APPEND INBOX {%d+}" % len(message(9)), message(9))
        it.spawn("--resume")
        said = lines_of(it, "NOOP")
        tap.same([s for s in said if "EXPUNGE" in s], ["* 4 EXPUNGE", "* 2 EXPUNGE"], "\n".join(said))
        tap.true("* 4 EXISTS" in said and any("* 3 FETCH" in s and "Flagged" in s for s in said), "\n".join(said))


def heard(client, start):
    while True:
        got = client.line() or "nothing"
        if not re.match(r"\* (FLAGS|OK \[PERM)", got):
            return tap.true(got.startswith(start), "%s instead of %s" % (got, start))


def idle(directory):
    with Pair(directory) as (it, other):
        it.send("i1 IDLE")
        tap.same(it.line(), "+ idling")
        it.kill_at_rest()
        other.command("APPEND INBOX {%d+}" % len(message(7)), message(7))
        it.spawn("--resume")
        heard(it, "* 6 EXISTS")
        heard(it, "* 0 RECENT")
        it.silence()
        other.command("STORE 1 +FLAGS (\\Answered)")
        heard(it, "* 1 FETCH (FLAGS (\\Answered")
        it.send("DONE")
        tap.same(it.line()[:5], "i1 OK", "IDLE ends under its own tag")


def examined(directory):
    with Pair(directory, (), "EXAMINE INBOX") as (it, _):
        it.take_over()
        tap.true("[CANNOT]" in it_refuses(it, "STORE 1 +FLAGS (\\Seen)"), "still read-only")


def it_refuses(client, command):
    client.send("x1 " + command)
    while True:
        got = client.line()
        if got.startswith("x1 "):
            return got


def enabled(directory):
    with Pair(directory, ("ENABLE QRESYNC", "ENABLE UTF8=ACCEPT")) as (it, other):
        it.command("UID FETCH 1:* (FLAGS)")
        it.take_over()
        other.command("STORE 3 +FLAGS (\\Deleted)")
        other.command("EXPUNGE")
        said = lines_of(it, "NOOP")
        tap.true("* VANISHED 3" in said, "\n".join(said))
        said = lines_of(it, "STORE 1 +FLAGS (\\Seen)")
        tap.true(any("MODSEQ" in s for s in said), "\n".join(said))
        tap.true("BAD" in it_refuses(it, "SEARCH CHARSET UTF-8 ALL"), "UTF8=ACCEPT is on (RFC 6855 3)")


def saved(directory):
    with Pair(directory) as (it, other):
        it.command("SEARCH RETURN (SAVE) 2:3,5")
        it.take_over()
        other.command("STORE 3 +FLAGS (\\Deleted)")
        other.command("EXPUNGE")
        it.command("NOOP")
        said = [s for s in lines_of(it, "FETCH $ UID") if s.startswith("*")]
        tap.same(said, ["* 2 FETCH (UID 2)", "* 4 FETCH (UID 5)"])


def compressed(directory):
    with Pair(directory, ("COMPRESS DEFLATE",)) as (it, _):
        for _ in range(4):
            it.command("FETCH 1:* (FLAGS ENVELOPE)")
            it.silence()
            it.take_over()
        tap.true(len(lines_of(it, "FETCH 1:* (FLAGS ENVELOPE)")) == 6, "the stream goes on in both directions")


def index_lost(directory):
    with Pair(directory) as (it, other):
        it.command("FETCH 1:* FLAGS")
        it.kill_at_rest()
        other.command("STORE 2 +FLAGS.SILENT (\\Deleted)")
        other.command("EXPUNGE")
        other.close()
        for name in os.listdir(directory + "/mailbox"):
            if name.startswith("facteur.index"):
                os.unlink(directory + "/mailbox/" + name)
        it.spawn("--resume")
        said = lines_of(it, "NOOP")
        tap.true("* 2 EXPUNGE" in said, "\n".join(said))
        tap.same([s for s in lines_of(it, "FETCH 1:* UID") if s[0] == "*"],
                 ["* %d FETCH (UID %d)" % p for p in ((1, 1), (2, 3), (3, 4), (4, 5))])


def refusals(directory):
    with Pair(directory) as (it, other):
        it.kill_at_rest()
        whole = os.pread(it.state, 1 << 20, 0)
        for what, text in (("nothing", b""), ("half", whole[:len(whole) // 2]),
                           ("numbers", re.sub(rb"known (\d+)\n.", b"known \\1\n\xff", whole)),
                           ("another mailbox", whole.replace(b"mailbox 5\nINBOX", b"mailbox 5\nWRONG")),
                           ("too large", b"facteur-imap-state 1\nsaved 99999999999999999\n")):
            os.ftruncate(it.state, 0)
            os.pwrite(it.state, text, 0)
            it.new_wire()
            it.spawn("--resume")
            tap.true((it.line() or "").startswith("* BYE [UNAVAILABLE]"), what)
            tap.same(it.proc.wait(20), 1, what)
        uidlist = directory + "/mailbox/dovecot-uidlist"
        os.unlink(uidlist)
        other.close()
        for name in os.listdir(directory + "/mailbox"):
            if name.startswith("facteur.index"):
                os.unlink(directory + "/mailbox/" + name)
        time.sleep(1.1)  # UIDVALIDITY is made of the clock's seconds
        os.ftruncate(it.state, 0)
        os.pwrite(it.state, whole, 0)
        it.new_wire()
        it.spawn("--resume")
        it.send("x NOOP")
        tap.true(it.line().startswith("* BYE [UNAVAILABLE]"), "another UIDVALIDITY")
        it.proc.wait(20)


def main():
    directory = [None]
    tests = [("five kinds of clients, killed at random, seed %d" % seed,
              lambda seed=seed: random_steps(seed, directory[0])) for seed in (11, 12, 13)]
    for text, test in (("a session without a mailbox", authenticated), ("expunges that were not told", pending),
                       ("in IDLE", idle), ("a read-only mailbox", examined), ("what is enabled", enabled),
                       ("a saved search result", saved), ("a compressed stream", compressed),
                       ("the index is gone", index_lost), ("what cannot be gone on with", refusals)):
        tests.append((text, lambda test=test: test(directory[0])))

    def inside(test):
        def run():
            directory[0] = tempfile.mkdtemp(prefix="facteur-takeover.")
            try:
                test()
            finally:
                shutil.rmtree(directory[0], ignore_errors=True)
        return run
    return [(text, inside(test)) for text, test in tests]


if __name__ == "__main__":
    sys.exit(tap.run(main()))
