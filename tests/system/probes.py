#!/usr/bin/env python3
"""What somebody tries who means no good: the smuggling family on port 25, ways to relay through us, LDAP
filters and DNs in every name, and mailbox names that lead elsewhere. All of it is refused by a whole
installation, and nothing of it leaves a trace where it must not."""
import base64
import hashlib
import itertools
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import BUILD, Instance  # noqa: E402

ALIASES = {
    "percent": "x%remote.example@mail.example.org",
    "bang": "remote.example!x@mail.example.org",
    "quoted": '"x@remote.example"@mail.example.org',
    "route": "@mail.example.org:x@remote.example",
    "pipe": "|/bin/sh",
    "file": "/etc/passwd",
    "include": ":include:/etc/passwd",
    "star": "*@mail.example.org",
    "filter": "amelie@mail.example.org)(uid=*",
}

# What would be somebody else, or everybody, where it went unescaped into a filter or a DN.
NAMES = ("*", "am*", "a*e", "amelie*", "amelie)(uid=*", "*)(objectClass=*", "*)(|(uid=*", "\\2a", "am\\2a",
         "(|(uid=amelie)(uid=bruno))", "amelie)", "(amelie", "amelie&", "amelie,ou=mail,dc=example,dc=org",
         "uid=amelie,ou=mail,dc=example,dc=org", "uid=amelie+cn=x", "amelie\\", "amelie\\,x", "amelie\"",
         "x,uid=amelie", "amelie=", "amelie;x", "<amelie>", "#616d656c6965", "\\61melie", "nobody)(uid=amelie",
         "amelie%40example.com", "%u", "${user}", "amelie\x01", "a\tmelie", "\u0430melie")

REMOTE = ("x@remote.example", "x%remote.example@example.com", "x%remote.example@mail.example.org",
          "x%remote.example", '"x@remote.example"@example.com', '"x@remote.example"@mail.example.org',
          '"x%remote.example"@mail.example.org', '"x@remote.example"', "remote.example!x@example.com",
          "remote.example!x@mail.example.org", "remote.example!x", "@example.com:x@remote.example",
          "@mail.example.org,@example.com:x@remote.example", "x@remote.example@example.com",
          "x@example.com@remote.example", "x@remote.example%example.com", "x@[127.0.0.1]", "x@[remote.example]",
          "x@127.0.0.1", "x@[IPv6:::1]", "x@remote.example.", "x@example.com.remote.example",
          "x@remote.example,amelie@example.com", "x@remote.example amelie@example.com",
          "x@remote.example\\@example.com", "x@remote.example\t@example.com", "|/bin/sh", "/etc/passwd",
          '"|/bin/sh"@example.com', '":include:/etc/passwd"@example.com', '"../../x"@example.com', "x@localhost",
          "x@mail.example.org%remote.example", "x@@remote.example", "x@(c)remote.example", "<x@remote.example>",
          "@remote.example", "x@*.example", "x@*", "*@example.com", "x")

BAD_NAMES = (b"..", b".", b"...", b"../bruno", b"../../bruno/mailbox", b"/etc", b"/etc/passwd", b"/", b"a/../b",
             b"a/b", b".a", b"a..b", b"..a", b"INBOX/..", b"INBOX..x", b"./INBOX", b"&AC8-",
             b"&AC4ALg-", b"&AC4ALgAv-bruno", b"..&AC8-bruno", b"&AAA-", b"a&AAA-b", b"&AC8", b"&", b"&AOk",
             b"&2D0-", b"&AOk-&AOk-", b"&YQ-", b"&ACY-", b"a\rb", b"a\nb", b"a\x01b", b"a\x7fb", b"x" * 300, b"x." * 200 + b"x",
             b"\xff\xfe", b"\xc0\xae\xc0\xae")


class Line:
    """A connection that is spoken to line by line."""

    def __init__(self, mail, port, tls=False):
        self.socket = socket.create_connection(("127.0.0.1", mail.ports[port]), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = mail.tls().wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")
        self.greeting = self.file.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def line(self):
        return self.file.readline()

    def smtp(self, data):
        """The last line of the reply."""
        self.socket.sendall(data)
        while True:
            line = self.line()
            if line[3:4] != b"-":
                return line

    def imap(self, data):
        """All lines up to the tagged one, which is the last."""
        self.socket.sendall(b"t " + data + b"\r\n")
        lines = []
        while not lines or not re.match(rb"t |\Z", lines[-1]):
            lines.append(self.line())
        return lines


def evil_ends(longest):
    """Every string of CR, LF and NUL before and behind a dot; whether they are the one true end."""
    runs = [b"".join(p) for n in range(longest + 1) for p in itertools.product((b"\r", b"\n", b"\0"), repeat=n)]
    for before, behind in itertools.product(runs, runs):
        yield before, behind


def is_clean_end(before, behind):
    """The true end, and no bare CR or LF before it, which would have the message refused."""
    bare = before.replace(b"\r\n", b"")
    return b"\r\n.\r\n" in before + b"." + behind and b"\r" not in bare and b"\n" not in bare


def main(mail):
    def transaction(line, recipient=b"amelie@example.com"):
        line.smtp(b"EHLO probe.example\r\n")
        line.smtp(b"MAIL FROM:<ann@remote.example>\r\n")
        tap.same(line.smtp(b"RCPT TO:<" + recipient + b">\r\n")[:3], b"250")
        tap.same(line.smtp(b"DATA\r\n")[:3], b"354")

    def smuggle(before, behind, cut):
        """1 when the message was taken: then whole, with all that was to be smuggled in it."""
        head, tail = b"Subject: x\r\n\r\nbody" + before, b"." + behind
        tail += b"MAIL FROM:<evil@remote.example>\r\nRCPT TO:<bruno@example.net>\r\nDATA\r\n\r\nevil"
        with Line(mail, "smtp") as line:
            transaction(line)
            try:
                if cut:
                    for i in range(2, -1, -1):
                        line.socket.sendall(head[len(head) - i - 1:len(head) - i] if i < 2 else head[:-2])
                    for i in range(5):
                        line.socket.sendall(tail[i:i + 1])
                    line.socket.sendall(tail[5:] + b"\r\n.\r\n")
                else:
                    line.socket.sendall(head + tail + b"\r\n.\r\n")
                answer = line.line()
                rest = line.smtp(b"QUIT\r\n") if answer[:3] == b"250" else b""
            except (ConnectionResetError, BrokenPipeError):
                return 0
        if answer[:3] != b"250":
            tap.true(answer[:1] in b"45" and answer, (before, behind, answer))
            return 0
        tap.same(rest[:3], b"221", (before, behind))
        return 1

    def smuggling():
        seen = set(mail.maildir("amelie"))
        taken = tried = 0
        for before, behind in evil_ends(3):
            longest = max(len(before), len(behind))
            if is_clean_end(before, behind) or min(len(before), len(behind)) > 2:
                continue
            for cut in (False, True) if longest < 3 else (False,):
                tried += 1
                taken += smuggle(before, behind, cut)
        print("# %d wrong ends tried, %d are a plain dot in a text" % (tried, taken))
        new = [path for path in mail.maildir("amelie") if path not in seen]
        tap.same(len(new), taken, "messages")
        for path in new:
            with open(path, "rb") as message:
                text = message.read()
            tap.true(b"evil@remote.example" in text and text.startswith(b"Return-Path: <ann@remote.example>"), path)
        tap.same(mail.maildir("bruno"), [], "smuggled mail")
        tap.true(tried > 900, tried)

    def relaying():
        wrong = []
        for sender in ("ann@remote.example", "", "amelie@example.com", "x@mail.example.org"):
            for recipient in REMOTE:
                with Line(mail, "smtp") as line:
                    line.smtp(b"EHLO probe.example\r\n")
                    line.smtp(b"MAIL FROM:<%s>\r\n" % sender.encode())
                    answer = line.smtp(b"RCPT TO:<%s>\r\n" % recipient.encode())
                    if answer[:1] != b"5":
                        wrong.append((sender, recipient, answer))
                    tap.same(line.smtp(b"DATA\r\n")[:1], b"5", recipient)
        tap.same(wrong, [], "taken")

    def relaying_by_alias():
        for name, target in ALIASES.items():
            with Line(mail, "smtp") as line:
                line.smtp(b"EHLO probe.example\r\n")
                line.smtp(b"MAIL FROM:<ann@remote.example>\r\n")
                answer = line.smtp(b"RCPT TO:<trick-%s@example.com>\r\n" % name.encode())
                tap.true(answer[:1] in (b"4", b"5"), (target, answer))
        tap.true("remote.example" not in mail.facteur("queue", "list"), "something is queued")

    def logins_are_refused():
        for user in NAMES:
            for password in ("amelie-secret", "bruno-secret"):
                refused_everywhere(user, password)
        refused_everywhere("amelie\0", "amelie-secret", only_plain=True)
        refused_everywhere("bruno\0amelie", "amelie-secret", only_plain=True)
        for authzid in NAMES + ("bruno", "bruno@example.net", "root"):
            tap.same(plain("amelie", "amelie-secret", authzid)[:1], b"5", authzid)
        tap.same(plain("amelie", "amelie-secret")[:3], b"235")

    def plain(user, password, authzid=""):
        response = base64.b64encode(b"\0".join(s.encode() for s in (authzid, user, password)))
        with Line(mail, "submissions", True) as line:
            line.smtp(b"EHLO probe.example\r\n")
            return line.smtp(b"AUTH PLAIN " + response + b"\r\n")

    def refused_everywhere(user, password, only_plain=False):
        raw, secret = user.encode(), password.encode()
        answer = plain(user, password)
        tap.true(answer[:1] in (b"5", b"4"), ("AUTH PLAIN", user, answer))
        if only_plain:
            return
        with Line(mail, "imaps", True) as line:
            answer = line.imap(b"LOGIN {%d+}\r\n%s %s" % (len(raw), raw, secret))[-1]
            tap.true(not answer.startswith(b"t OK"), ("LOGIN", user, answer))
        with Line(mail, "pop3s", True) as line:
            line.socket.sendall(b"USER " + raw + b"\r\nPASS " + secret + b"\r\n")
            line.line()
            tap.true(not line.line().startswith(b"+OK"), ("USER", user))

    def logins_by_search():
        mail.options["auth_bind_userdn"] = ""
        mail.reload()
        with Line(mail, "imaps", True) as line:
            tap.true(line.imap(b"LOGIN amelie amelie-secret")[-1].startswith(b"t OK"), "login by search")
        logins_are_refused()

    def recipients():
        for name in NAMES:
            quoted = '"%s"' % name.replace("\\", "\\\\").replace('"', '\\"')
            for local, domain in ((quoted, "example.com"), (name, "example.com"), (quoted, "mail.example.org"),
                                  ("amelie", name)):
                with Line(mail, "smtp") as line:
                    line.smtp(b"EHLO probe.example\r\n")
                    line.smtp(b"MAIL FROM:<ann@remote.example>\r\n")
                    answer = line.smtp(b"RCPT TO:<%s>\r\n" % ("%s@%s" % (local, domain)).encode())
                    tap.same(answer[:1], b"5", (local, domain, answer))

    def senders():
        for name in NAMES:
            quoted = '"%s"' % name.replace("\\", "\\\\").replace('"', '\\"')
            for sender in (quoted + "@example.com", name + "@example.com", "bruno@example.net)(uid=*",
                           quoted + "@mail.example.org"):
                with Line(mail, "submissions", True) as line:
                    line.smtp(b"EHLO probe.example\r\n")
                    tap.same(line.smtp(b"AUTH PLAIN " + base64.b64encode(b"\0amelie\0amelie-secret") + b"\r\n")[:3],
                             b"235")
                    line.smtp(b"MAIL FROM:<%s>\r\n" % sender.encode())
                    answer = line.smtp(b"RCPT TO:<bruno@example.net>\r\n")
                    tap.same(answer[:1], b"5", (sender, answer))

    def commands():
        """facteur explain and facteur user: no name stands for somebody else."""
        for name in NAMES:
            for words in (("explain", "rcpt", name + "@example.com"), ("explain", "login", name),
                          ("explain", "send", "amelie", name + "@example.com"), ("user", "show", name)):
                done = subprocess.run([os.path.join(BUILD, "facteur"), "-c", mail.conf] + list(words),
                                      capture_output=True, text=True, stdin=subprocess.DEVNULL)
                tap.true(done.returncode != 0, (words, done.stdout))
                tap.true(words[1] == "send" or "/vmail/" not in done.stdout, (words, done.stdout))

    def tree():
        """All that lies below the homes, but for what a session itself writes in amelie's maildir."""
        found = {}
        for place, folders, files in os.walk(mail.dir):
            if place.startswith((os.path.join(mail.dir, "slapd"), os.path.join(mail.dir, "queue"))):
                continue
            for name in folders + files:
                path = os.path.join(place, name)
                if os.path.isfile(path) and "/vmail/amelie/" not in path:
                    with open(path, "rb") as f:
                        found[path] = hashlib.sha256(f.read()).digest()
                else:
                    found[path] = ""
        own = os.path.join(mail.vmail, "amelie", "mailbox")
        return {p: v for p, v in found.items() if p != mail.log_path and
                not re.match(re.escape(own) + r"/(facteur|dovecot|subscriptions|maildirsize|special-use|cur/|new/|tmp/)", p)}

    def traversal():
        mail.deliver("amelie@example.com", "Subject: x\r\n\r\nx\r\n")
        mail.deliver("bruno@example.net", "Subject: secret\r\n\r\nx\r\n")
        with Line(mail, "imaps", True) as line:
            line.imap(b"LOGIN amelie amelie-secret")
            line.imap(b"CREATE Mine")
            line.imap(b"SELECT INBOX")
            before, allowed = tree(), []
            for name in BAD_NAMES:
                for command in traversals(b"{%d+}\r\n%s" % (len(name), name)):
                    lines = line.imap(command)
                    if lines[-1] == b"":
                        raise AssertionError("%r ended the session" % command)
                    if lines[-1].startswith(b"t OK"):
                        allowed.append(command)
                    if command.startswith((b"SELECT", b"EXAMINE")):
                        line.imap(b"SELECT INBOX")
                literal = b"{%d+}\r\n%s" % (len(name), name)
                for command in (b'LIST "" ', b'LSUB "" ', b"LIST " + literal + b" "):
                    lines = line.imap(command + literal)
                    if any(l.startswith((b"* LIST", b"* LSUB")) for l in lines) and name not in (b".", b"..", b"/"):
                        allowed.append((command + literal, lines))
            tap.same(allowed, [], "allowed")
            tap.same({p for p, v in tree().items() if before.get(p) != v} ^
                     {p for p in before if p not in tree()}, set(), "changed")
            tap.true(line.imap(b"NOOP")[-1].startswith(b"t OK"), "the session lives")

    def traversals(name):
        yield b"SELECT " + name
        yield b"EXAMINE " + name
        yield b"CREATE " + name
        yield b"DELETE " + name
        yield b"RENAME " + name + b" Other"
        yield b"RENAME Mine " + name
        yield b"SUBSCRIBE " + name
        yield b"STATUS " + name + b" (MESSAGES)"
        yield b"APPEND " + name + b" {14+}\r\nSubject: x\r\n\r\n"
        yield b"COPY 1 " + name
        yield b"MOVE 1 " + name
        yield b"UID COPY 1:* " + name
        yield b"UID MOVE 1:* " + name
        yield b"REPLACE 1 " + name + b" {14+}\r\nSubject: x\r\n\r\n"

    def starttls_injection():
        """What comes in one packet with the command that begins TLS is no command inside it."""
        for port, before, behind, ending in (
                ("smtp", b"EHLO x\r\n", b"STARTTLS\r\nNOOP\r\n", b"QUIT\r\n"),
                ("submission", b"EHLO x\r\n", b"STARTTLS\r\nNOOP\r\n", b"QUIT\r\n"),
                ("imap", b"", b"t STARTTLS\r\nt LOGIN amelie amelie-secret\r\n", b"t LOGOUT\r\n"),
                ("pop3", b"", b"STLS\r\nUSER amelie\r\nPASS amelie-secret\r\n", b"QUIT\r\n")):
            with Line(mail, port) as line:
                if before:
                    line.smtp(before)
                line.socket.sendall(behind)
                line.line()
                line.socket.settimeout(30)
                try:
                    secure = mail.tls().wrap_socket(line.socket, server_hostname="localhost")
                    secure.sendall(ending)  # what lies there would be looked at now, and answered first
                    answer = secure.recv(100)
                except OSError:
                    answer = b""
                tap.same(answer[:3], b"221" if before else b"", port)  # imap and pop3 end the connection

    return [
        ("every wrong end of data: no second message, in one packet and octet by octet", smuggling),
        ("no recipient of another server is taken from a stranger, however it is written", relaying),
        ("nor where an address of the directory leads to such a thing", relaying_by_alias),
        ("no name in a login is a filter or a DN: the DN made from it", logins_are_refused),
        ("no name in a login is a filter or a DN: found by a search", logins_by_search),
        ("no recipient is a filter", recipients),
        ("no sender is a filter", senders),
        ("nor is a name given to facteur explain and facteur user", commands),
        ("no mailbox name leads out of the mailbox, in any command", traversal),
        ("nothing sent behind STARTTLS in the clear is a command in TLS", starttls_injection),
    ]


OPTIONS = {"auth_failure_network_limit": "0", "auth_failure_user_limit": "0"}
with Instance(options=OPTIONS) as instance:
    for alias, drop in ALIASES.items():
        instance.slapd.add("dn: cn=trick-%s,%s\nobjectClass: organizationalRole\nobjectClass: postfixUser\ncn: trick-%s\n"
                           "mailacceptinggeneralid: trick-%s@example.com\nmaildrop: %s\n" %
                           (alias, instance.slapd.mail_base, alias, alias, drop))
    tap.run(main(instance))
