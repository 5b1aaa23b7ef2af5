#!/usr/bin/env python3
"""Overload and malice: very many connections, slow ones, endless lines and literals, deep and wide nesting,
bombs. Memory stays bounded, and others are served meanwhile; their waits are measured and printed."""
import os
import resource
import socket
import ssl
import statistics
import sys
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance, sanitized  # noqa: E402
from watch import MIB, Peak, descriptors  # noqa: E402

MANY = int(os.environ.get("OVERLOAD", "10000"))
USER, SECRET = b"chloe", b"chloe-secret"
FLOOD = 48 * MIB
MILLION = 1000000


class Bystander:
    """A client that behaves, beside those that do not."""

    def __init__(self, mail):
        self.mail, self.sent = mail, 0

    def once(self):
        self.sent += 1
        self.mail.deliver("bruno@example.net", "Subject: bystander %d\r\n\r\nx\r\n" % self.sent)
        imap = self.mail.imap("bruno")
        imap.select()
        imap.noop()
        imap.logout()

    def during(self, name, attack, times=0):
        """Serves itself while attack() runs, and at least so many times. Prints the waits."""
        problem = []

        def run():
            try:
                attack()
            except Exception as e:
                problem.append(e)

        thread = threading.Thread(target=run)
        waits = []
        with Peak(self.mail) as peak:
            thread.start()
            while thread.is_alive() or len(waits) < times:
                began = time.monotonic()
                self.once()
                waits.append((time.monotonic() - began) * 1000)
                time.sleep(0.02)
            thread.join()
        waits.sort()
        print("# %s: grown by %.1f MiB; others, a message and a login: %d times, p50 %.0f ms, p99 %.0f ms" % (
            name, peak.grown() / MIB, len(waits), statistics.median(waits),
            waits[int(len(waits) * 0.99)]), flush=True)
        if problem:
            raise problem[0]
        return peak


class Raw:
    """A connection that says what it likes."""

    def __init__(self, mail, port, tls=False, source="127.0.0.1"):
        self.sock = socket.create_connection(("127.0.0.1", mail.ports[port]), 20, (source, 0))
        if tls:
            self.sock = mail.tls().wrap_socket(self.sock, server_hostname="localhost")
        self.sock.settimeout(20)
        self.got, self.sent = b"", 0

    def until(self, end):
        while end not in self.got:
            data = self.sock.recv(65536)
            if not data:
                raise OSError("the connection ended: %r" % self.got[-200:])
            self.got += data
        text, _, self.got = self.got.partition(end)
        return text

    def answer(self, tag):
        """The tagged answer, and all before it is thrown away."""
        while True:
            line = self.until(b"\r\n")
            if line.startswith(tag + b" "):
                return line

    def say(self, line, answer=b"\r\n"):
        self.sock.sendall(line + b"\r\n")
        return self.until(answer)

    def flood(self, piece, limit=FLOOD):
        """Sends it again and again until the other side has enough; its answers are thrown away."""
        self.sock.settimeout(0.2 if not isinstance(self.sock, ssl.SSLSocket) else 5)
        patience = time.monotonic() + 20
        while self.sent < limit and time.monotonic() < patience:
            try:
                self.sent += self.sock.send(piece)
                patience = time.monotonic() + 5
            except (socket.timeout, ssl.SSLWantWriteError):
                continue  # it reads no further: that is a bound, too
            except OSError:
                break
        self.close()
        return self.sent

    def close(self):
        self.sock.close()


def logged_in(mail, kind="imap"):
    raw = Raw(mail, kind + "s", True)
    raw.until(b"\r\n")
    if kind == "imap":
        raw.say(b"a LOGIN " + USER + b" " + SECRET, b"a OK")
        raw.until(b"\r\n")
        raw.say(b"b SELECT INBOX", b"b OK")
        raw.until(b"\r\n")
    else:
        raw.say(b"USER " + USER)
        raw.say(b"PASS " + SECRET, b"+OK")
        raw.until(b"\r\n")
    return raw


def begun(mail, port, *lines):
    """A connection that has said these lines."""
    raw = Raw(mail, port)
    raw.until(b"\r\n")
    for line in lines:
        raw.sock.sendall(line)
    return raw


# --- messages that are hard to read ---

HEAD = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: hard\r\nMIME-Version: 1.0\r\n"


def parameters():
    return HEAD + b"Content-Type: text/plain" + b"".join(b";\r\n a%d=b" % n for n in range(MILLION // 4)) + \
        b"\r\n\r\nx\r\n"


def continued():
    return HEAD + b"Content-Type: text/plain" + b"".join(
        b";\r\n name*%d*=%%41" % n for n in range(MILLION // 4)) + b"\r\n\r\nx\r\n"


def parts():
    return HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n\r\n" * MILLION + b"--b--\r\n"


def deep():
    return HEAD + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
                           for n in range(20000)) + b"\r\nx\r\n"


def letters():
    return HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 20000 + b"\r\nx\r\n"


def addresses():
    return b"From: a@example.com\r\nTo: x@example.com" + b",\r\n y@example.com" * (MILLION // 4) + b"\r\n\r\nx\r\n"


def groups():
    return b"From: a@example.com\r\nTo: " + b"\r\n (" * 20000 + b"\r\n a:" * 20000 + b"\r\n\r\nx\r\n"


def references():
    return HEAD + b"References:" + b"\r\n <a@b>" * (MILLION // 2) + b"\r\n\r\nx\r\n"


def words():
    return b"From: a@example.com\r\nSubject:" + b"\r\n =?utf-8?q?a?=" * (MILLION // 4) + b"\r\n\r\nx\r\n"


def headers():
    return HEAD + b"X: y\r\n" * MILLION + b"\r\nx\r\n"


HARD = (parameters, continued, parts, deep, letters, addresses, groups, references, words, headers)
READ = (b"FETCH * (ENVELOPE BODYSTRUCTURE)", b"FETCH * (BODY[HEADER.FIELDS (TO SUBJECT)]<0.100>)",
        b"FETCH * (BODY" + b"[" + b".".join([b"1"] * 20) + b".MIME])", b"SEARCH RETURN (COUNT) TEXT nothing",
        b"SORT (SUBJECT TO) UTF-8 ALL", b"THREAD REFERENCES UTF-8 ALL")


class Overload:
    def __init__(self, mail):
        self.mail, self.by = mail, Bystander(mail)

    def bounded(self, name, attack, most, times=5):
        peak = self.by.during(name, attack, times)
        # What was freed AddressSanitizer keeps for a while.
        tap.true(sanitized() or peak.grown() < most, "%s: %.1f MiB more than before: %s"
                 % (name, peak.grown() / MIB, {p: n // 1024 for p, n in peak.most.items()}))

    def alone(self):
        self.by.during("nobody else", lambda: time.sleep(1), 20)

    def opened(self, count):
        """Connections from 200 addresses, most to SMTP."""
        found = []
        for n in range(count):
            port = ("smtp", "imap", "smtp", "pop3")[n % 4]
            s = socket.socket()
            s.bind(("127.0.%d.%d" % (n // 50 // 250, 2 + n // 50 % 250), 0))
            s.connect(("127.0.0.1", self.mail.ports[port]))
            found.append(s)
        return found

    def silent(self):
        held = []
        before = {pid: descriptors(pid) for p in ("smtp", "access") for pid in self.mail.pids(p)}
        try:
            def attack():
                held.extend(self.opened(MANY))
                tap.wait_for(lambda: sum(descriptors(pid) - n for pid, n in before.items()) >= MANY, 60,
                             "not all of %d connections are held" % MANY)
                dead = sum(s.recv(3) not in (b"220", b"* O", b"+OK") for s in held[::100])
                tap.same(dead, 0, "connections without a greeting, of %d" % len(held[::100]))
            self.bounded("%d silent connections" % MANY, attack, MANY * 24 * 1024)
        finally:
            for s in held:
                s.close()
        tap.wait_for(lambda: all(descriptors(pid) <= n + 8 for pid, n in before.items()), 20,
                     "connections that have ended are held still")

    def slow(self):
        def attack():
            held = self.opened(2000)
            for byte in (b"N", b"O", b"O", b"P"):
                for s in held:
                    s.send(byte)
                time.sleep(1)
            for s in held:
                s.close()
        self.bounded("2000 clients with a byte a second", attack, 64 * MIB)

    def lines(self):
        mail, junk = self.mail, b"x" * 65536
        ways = {
            "SMTP, a command": lambda: begun(mail, "smtp"),
            "SMTP, a header": lambda: begun(mail, "smtp", b"EHLO x\r\n", b"MAIL FROM:<>\r\n",
                                            b"RCPT TO:<chloe@example.net>\r\n", b"DATA\r\n"),
            "IMAP before login": lambda: begun(mail, "imap"), "POP3 before login": lambda: begun(mail, "pop3"),
            "IMAP": lambda: logged_in(mail), "POP3": lambda: logged_in(mail, "pop3"),
            "AUTHENTICATE": lambda: begun(mail, "imap", b"a AUTHENTICATE PLAIN\r\n")}
        for name, way in ways.items():
            self.bounded("an endless line, " + name, lambda: way().flood(junk), 24 * MIB, 1)

    def literals(self):
        mail, junk = self.mail, b"x\r\n" * 20000
        ways = {
            "before login": lambda: begun(mail, "imap", b"a LOGIN {4294967295+}\r\n"),
            "many, before login": lambda: begun(mail, "imap", b"a LOGIN"),
            "of SEARCH": lambda: logged_in(mail), "of APPEND": lambda: logged_in(mail)}
        begin = {"of SEARCH": b"c SEARCH BODY {1000000000+}\r\n", "many, before login": b" {1+}\r\nx" * 1000,
                 "of APPEND": b"c APPEND INBOX {40000000+}\r\n"}

        def attack(name, way):
            raw = way()
            raw.sock.sendall(begin.get(name, b""))
            raw.flood(begin[name] if name.startswith("many") else junk)
        for name, way in ways.items():
            self.bounded("an endless literal " + name, lambda: attack(name, way), 24 * MIB, 1)

    def brackets(self):
        def attack():
            for command in (b"SEARCH %s", b"SEARCH " + b"NOT " * 30000 + b"%s", b"FETCH 1 %s", b"STORE 1 FLAGS %s",
                            b"LIST %s", b"SEARCH OR OR OR %s", b"FETCH 1 BODY[HEADER.FIELDS %s", b"SORT %s",
                            b"ID %s", b"STATUS INBOX %s"):
                for n in (100, 5000, 60000):
                    raw = logged_in(self.mail)
                    line = b"c " + command.replace(b"%s", b"(" * n) + b"\r\n"
                    try:
                        raw.sock.sendall(line)
                        said = raw.until(b"\r\n")
                        tap.true(said.startswith((b"c BAD", b"* BYE", b"c NO")), "%s: %r" % (command, said))
                    except OSError:
                        pass  # a session that has heard too much may end, as long as it does not crash
                    raw.close()
        self.bounded("thousands of parentheses", attack, 64 * MIB)
        self.alive()

    def message(self, make):
        def attack():
            text = make()
            raw = logged_in(self.mail)
            raw.sock.settimeout(90)
            raw.say(b"c APPEND INBOX {%d}" % len(text), b"+")
            raw.sock.sendall(text + b"\r\n")
            raw.until(b"c OK")
            raw.until(b"\r\n")
            for command in READ:
                began = time.monotonic()
                raw.sock.sendall(b"d " + command + b"\r\n")
                raw.answer(b"d")
                took = time.monotonic() - began
                tap.true(took < 60, "%s of %s took %.1f s" % (command[:40], make.__name__, took))
            raw.say(b"e STORE 1:* +FLAGS.SILENT (\\Deleted)", b"e OK")
            raw.say(b"f EXPUNGE", b"f OK")
            raw.close()
        self.bounded("a message of very many " + make.__name__, attack, 160 * MIB, 1)

    def messages(self):
        wrong = []
        for make in HARD:
            try:
                self.message(make)
            except Exception as e:
                wrong.append("%s: %r" % (make.__name__, e))
        tap.true(not wrong, "\n".join(wrong))
        self.alive()

    def bombs(self):
        def attack():
            raw = logged_in(self.mail)
            raw.say(b"c COMPRESS DEFLATE", b"c OK")
            pack = zlib.compressobj(9, zlib.DEFLATED, -15)
            bomb = b"".join(pack.compress(b"c NOOP " + b"x" * MIB) for _ in range(512)) + pack.flush()
            raw.flood(bomb, len(bomb))
        self.bounded("512 MiB in a COMPRESS bomb", attack, 24 * MIB)

    def alive(self):
        """No program has ended through all this."""
        ended = [line for line in self.mail.log().splitlines() if "child-ended" in line or "crash" in line or
                 "session-ended" in line and "signal" in line]
        tap.true(not ended, "\n".join(ended[:5]))


def main(mail):
    o = Overload(mail)
    tests = [("how it is without", o.alone), ("silent connections", o.silent), ("slow ones", o.slow),
             ("endless lines", o.lines), ("endless literals", o.literals), ("parentheses", o.brackets),
             ("messages that are hard to read", o.messages), ("bombs", o.bombs),
             ("nothing ended by itself", o.alive)]
    chosen = os.environ.get("ONLY")
    return [t for t in tests if not chosen or chosen in t[0]]


hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
if os.geteuid() == 0:
    hard = max(hard, 2 * MANY)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
MANY = min(MANY, hard // 2)
OPTIONS = {"smtpd_process_limit": "20000", "imap_login_limit": "20000", "mail_max_userip_connections": "0",
           "login_client_connection_limit": "0", "login_timeout": "600s",
           "smtpd_client_event_limit_exceptions": "127.0.0.0/8"}
with Instance(options=OPTIONS) as instance:
    failed = tap.run(main(instance))
sys.exit(failed > 0)
