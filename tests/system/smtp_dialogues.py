#!/usr/bin/env python3
"""Conversations with the real smtp program in a made-up world (tests/lib/fakes/fakeworld.c), one file
each in tests/dialogues/smtp; each has a world of its own.

    @conf NAME = VALUE       before the first connection, or before "@world reload"
    @notls                   no certificate
    @port smtp|submission|submissions    for the next connection
    @world COMMAND           reload, drop PROGRAM, link PROGRAM, term
    @status PATTERN          "..." as in S lines
    @touch NAME              a file in the world's directory (no-spool, queue-is-back)
    @delivered ADDRESS [key=value]       a message that was delivered; M lines: the message
    @queued ADDRESS [key=value]          the same for the queue; several addresses with blanks
    @none                    nothing more was delivered or queued
    @count delivered|queued N
    @send PREFIX SIZE        PREFIX, then SIZE octets of lines, as they are
    @octets PREFIX COUNT     PREFIX and COUNT times the letter a
    @slow TEXT               octet by octet, Python's escapes
    @early TEXT              at once, before the greeting
    @submit HEADER           a message of alice's to user1, up to the reply to its end
    @rcpts N                 RCPT to user1 ... userN, each 250
    @hops N                  N Received headers
    @fields N                N short header fields
    @long_auth SIZE          AUTH PLAIN with a password of that size
    @gone                    the server closes, whatever it says before
    @connects N PATTERN      N connections at once; the last one hears the pattern
    @log PATTERN             stands in the log
"""
import base64
import glob
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

SRCDIR = os.environ.get("FACTEUR_SRCDIR") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FACTEUR_BUILDDIR") or os.path.join(SRCDIR, "build")
sys.path.insert(0, os.path.join(SRCDIR, "tests", "lib"))
import tap  # noqa: E402
from dialogue import Dialogue, DialogueError, TcpTransport  # noqa: E402

PORTS = ("smtp", "submission", "submissions")
CONF = {"myhostname": "mx.example", "auth_failure_delay": "0s", "smtpd_error_sleep_time": "0s"}


def make_certificate(path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", path + ".key", "-out",
                    path + ".crt", "-days", "10", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost"], check=True, capture_output=True,
                   stdin=subprocess.DEVNULL)
    with open(path, "w") as pem:
        pem.write(open(path + ".key").read() + open(path + ".crt").read())


class World:
    """A running fakeworld, started at the first connection."""

    def __init__(self, certificate):
        self.dir = tempfile.mkdtemp(prefix="facteur-smtp-")
        self.conf = dict(CONF)
        self.certificate = certificate
        self.port = "smtp"
        self.proc = None
        self.seen = {"delivered": set(), "queued": set()}
        self.context = ssl.create_default_context(cafile=certificate + ".crt")

    def write_conf(self):
        with open(os.path.join(self.dir, "facteur.conf"), "w") as f:
            for item in self.conf.items():
                f.write("%s = %s\n" % item)

    def start(self):
        self.write_conf()
        if self.certificate:
            shutil.copy(self.certificate, os.path.join(self.dir, "tls.pem"))
        self.log = open(os.path.join(self.dir, "log"), "w+")
        self.proc = subprocess.Popen(
            [os.path.join(BUILD, "fakeworld"), self.dir, os.path.join(BUILD, "smtp")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        words = self.proc.stdout.readline().split()
        if not words:
            raise DialogueError("the world did not start")
        self.ports = dict(zip(PORTS, map(int, words[1:])))

    def connect(self, _):
        if not self.proc:
            self.start()
        return TcpTransport("127.0.0.1", self.ports[self.port], self.context,
                            tls=self.port == "submissions")

    def ask(self, line):
        self.proc.stdin.write(line + "\n")
        self.proc.stdin.flush()
        return self.proc.stdout.readline().strip()

    def log_text(self):
        self.log.flush()
        with open(self.log.name, errors="replace") as f:
            return f.read()

    def close(self):
        """Stops it; what went wrong, or None."""
        wrong = None
        if self.proc:
            self.proc.stdin.close()
            last = self.proc.stdout.read().strip().splitlines()[-1:]
            self.proc.wait(30)
            text = self.log_text()
            if last != ["exit 0"] or self.proc.returncode != 0 or re.search(
                    "Sanitizer|runtime error|ipc-bad-message|ipc-encode", text):
                wrong = "%s\n%s" % (last, text[-6000:])
            self.log.close()
        return wrong

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- directives ---

    def do_conf(self, _, words, __):
        self.conf[words[0]] = " ".join(words[2:])

    def do_notls(self, *_):
        self.certificate = None

    def do_port(self, _, words, __):
        self.port = words[0]

    def do_world(self, _, words, __):
        if words[0] == "reload":
            self.write_conf()
        tap.same(self.ask(" ".join(words)), "done", "world")

    def do_status(self, _, words, __):
        pattern = ".*".join(map(re.escape, " ".join(words).split("...")))
        text = ""
        for _ in range(100):
            text = self.ask("status")
            if re.fullmatch(pattern, text):
                return
            time.sleep(0.02)
        raise DialogueError("status: want %s, got %s" % (pattern, text))

    def do_touch(self, _, words, __):
        open(os.path.join(self.dir, words[0]), "w").close()

    def do_log(self, _, words, __):
        pattern = ".*".join(map(re.escape, " ".join(words).split("...")))
        for _ in range(100):
            if re.search(pattern, self.log_text()):
                return
            time.sleep(0.02)
        raise DialogueError("not in the log: %s\n%s" % (pattern, self.log_text()[-3000:]))

    def files(self, kind):
        try:
            return sorted(os.listdir(os.path.join(self.dir, kind)), key=int)
        except FileNotFoundError:
            return []

    def read_record(self, kind, name):
        with open(os.path.join(self.dir, kind, name), "rb") as f:
            head, body = f.read().split(b"\n\n", 1)
        facts = {}
        for line in head.decode().splitlines():
            key, value = line.split(": ", 1)
            facts[key] = " ".join(filter(None, (facts.get(key), value)))
        return facts, body.decode("utf-8", "surrogateescape")

    def record(self, kind, address):
        """The first one to that address not yet looked at: workers end in any order."""
        end = time.monotonic() + 10
        while True:
            for name in self.files(kind):
                facts, body = self.read_record(kind, name)
                if name not in self.seen[kind] and facts["address"] == address:
                    self.seen[kind].add(name)
                    return facts, body
            if time.monotonic() > end:
                raise DialogueError("%s nothing more to %s; there are %s" % (
                    kind, address, [self.read_record(kind, n)[0] for n in self.files(kind)]))
            time.sleep(0.01)

    def check_record(self, kind, words, message):
        facts, body = self.record(kind, " ".join(w for w in words if "=" not in w))
        for key, value in (w.split("=", 1) for w in words if "=" in w):
            tap.same(facts.get(key), value, key)
        if not message:
            return
        want = message.decode("utf-8", "surrogateescape")
        pattern = ".*".join(map(re.escape, want.split("...")))
        if not re.fullmatch(pattern, body, re.S):
            raise DialogueError("message:\n%s\nwanted:\n%s" % (body[:2000], want))

    def do_delivered(self, _, words, message):
        self.check_record("delivered", words, message)

    def do_queued(self, _, words, message):
        self.check_record("queued", words, message)

    def do_none(self, *_):
        for kind in self.seen:
            tap.same(len(self.files(kind)), len(self.seen[kind]), "messages " + kind)

    def do_count(self, _, words, __):
        tap.same(len(self.files(words[0])), int(words[1]), words[0])
        self.seen[words[0]] = set(self.files(words[0]))

    def do_send(self, dialogue, words, _):
        line = b"0123456789" * 6 + b"12\r\n"
        size = int(words[1])
        data = words[0].encode().decode("unicode_escape").encode("latin-1")
        data += line * (size // len(line)) + line[-(size % len(line)):] * (size % len(line) > 0)
        dialogue.connection("").send(data, "%s... %d octets" % (words[0], size))

    @staticmethod
    def raw(text):
        return text.encode().decode("unicode_escape").encode("latin-1")

    def do_slow(self, dialogue, words, _):
        conn = dialogue.connection("")
        for byte in self.raw(" ".join(words)):
            conn.transport.send(bytes([byte]))
            time.sleep(0.001)

    def do_early(self, dialogue, words, _):
        """The program is stopped while the client connects and speaks."""
        self.start()
        with open("/proc/%d/task/%d/children" % (self.proc.pid, self.proc.pid)) as f:
            pid = int(f.read())
        os.kill(pid, signal.SIGSTOP)
        dialogue.connection("").transport.send(self.raw(" ".join(words)))
        time.sleep(0.1)
        os.kill(pid, signal.SIGCONT)

    def do_submit(self, dialogue, words, _):
        conn = dialogue.connection("")
        for line, reply in (("MAIL FROM:<alice@hosted.example>", "250"),
                            ("RCPT TO:<user1@hosted.example>", "250"), ("DATA", "354")):
            conn.send(line.encode() + b"\r\n", line)
            got = conn.line(time.monotonic() + 10)
            tap.true(got and got.startswith(reply), "%s: %s" % (line, got))
        header = words[0].replace("\\n", "\r\n")
        conn.send(header.encode() + b"\r\n\r\nbody\r\n.\r\n", header)

    def do_rcpts(self, dialogue, words, _):
        conn = dialogue.connection("")
        for i in range(1, int(words[0]) + 1):
            conn.send(b"RCPT TO:<user%d@hosted.example>\r\n" % i, "RCPT %d" % i)
        for i in range(int(words[0])):
            tap.same(conn.line(time.monotonic() + 10), "250 2.1.5 Ok", "RCPT")

    def do_hops(self, dialogue, words, _):
        dialogue.connection("").send(b"Received: from a by b; c\r\n" * int(words[0]), "hops")

    def do_fields(self, dialogue, words, _):
        dialogue.connection("").send(b"a:\r\n" * int(words[0]), "fields")

    def do_long_auth(self, dialogue, words, _):
        text = base64.b64encode(b"\0alice\0" + b"x" * int(words[0]))
        dialogue.connection("").send(b"AUTH PLAIN " + text + b"\r\n", "AUTH PLAIN ...")

    def do_gone(self, dialogue, *_):
        conn = dialogue.connection("")
        end = time.monotonic() + 10
        while conn.fill(end):
            conn.buffer = b""
        tap.true(conn.ended, "the connection is still there")

    def do_octets(self, dialogue, words, _):
        data = self.raw(words[0]) + b"a" * int(words[1])
        dialogue.connection("").send(data, "%s... %d octets" % (words[0], len(data)))

    def do_connects(self, _, words, __):
        """The others stay open until the end."""
        if not self.proc:
            self.start()
        self.more = [socket.create_connection(("127.0.0.1", self.ports[self.port]), 10)
                     for _ in range(int(words[0]))]
        heard = [s.makefile("r").readline().strip() for s in self.more]
        pattern = ".*".join(map(re.escape, " ".join(words[1:]).split("...")))
        if not re.fullmatch(pattern, heard[-1]):
            raise DialogueError("heard %s" % heard)
        for line in heard[:-1]:
            if not line.startswith("220 "):
                raise DialogueError("heard %s" % heard)

    def directives(self):
        return {name[3:]: getattr(self, name) for name in dir(self) if name.startswith("do_")}


def conversation(path, certificate):
    def test():
        world = World(certificate)
        try:
            Dialogue(path, world.connect, directives=world.directives(), timeout=15.0).run()
            wrong = world.close()
            if wrong:
                raise DialogueError(wrong)
        except BaseException:
            if world.proc and not world.proc.stdin.closed:
                for line in world.log_text().splitlines()[-20:]:
                    print("# " + line)
                world.close()
            raise
        finally:
            world.remove()
    return test


def main():
    chosen = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="facteur-smtp-tls-") as tls:
        certificate = os.path.join(tls, "tls.pem")
        make_certificate(certificate)
        paths = sorted(glob.glob(os.path.join(SRCDIR, "tests/dialogues/smtp/*.txt")))
        tests = [(os.path.basename(p)[:-4], conversation(p, certificate)) for p in paths]
        failed = tap.run([t for t in tests if not chosen or t[0] in chosen])
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
