#!/usr/bin/env python3
"""Mail between Facteur and Debian's Postfix and Exim, both ways, with verified TLS: what is written
here arrives there byte by byte. As root only: these servers change users."""
import email
import email.policy
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402
from peers import Exim, Postfix, fetch_exim  # noqa: E402

SENDER = "amelie@example.com"
COUNT = 50
TEXT = b"Bonjour,\r\n\r\n.\r\n..\r\n.dot\r\n ends with blanks  \r\n\tTab\r\nFrom here\r\n--\r\n\r\nA. M.\r\n"
EIGHT = "Cr\u00e8me br\u00fbl\u00e9e \u20ac \U0001f4ec\r\n".encode() + b"Latin-1: \xe9\xe8\xff\r\n"
LONG = b"x" * 998 + b"\r\n" + b".%s\r\n" % (b"y" * 997) + b"z " * 2500 + b"\r\nend\r\n"


def message(sender, subject, body, header=b""):
    return b"From: <%s>\r\nTo: undisclosed:;\r\n%sSubject: %s\r\n\r\n%s" % (
        sender.encode(), header, subject.encode(), body)


def body_of(data):
    """With the ends of lines as they travel."""
    return re.sub(rb"\r?\n", b"\r\n", data).partition(b"\r\n\r\n")[2]


def head_of(data):
    return re.split(rb"\r?\n\r?\n", data, maxsplit=1)[0].decode("utf-8", "surrogateescape")


class Pair:
    """Facteur and one other server."""

    def __init__(self, mail, peer):
        self.mail, self.peer = mail, peer

    def title(self, subject):
        return "%s: %s" % (self.peer.name, subject)

    def told(self, found, subject, count=1, seconds=60):
        """found() until count messages with the subject are there; no more may come by then."""
        line = ("Subject: " + subject).encode()

        def now():
            return [m for m in found() if line in re.split(rb"\r?\n\r?\n", m, maxsplit=1)[0]]
        got = tap.wait_for(lambda: len(now()) >= count and now(), seconds, "not all arrived: %s\n%s" % (
            subject, self.peer.log()[-3000:]))
        tap.same(len(got), count)
        return got

    # --- Facteur to the other ---

    def out(self, subject, body, to=("friend",), header=b"", options=(), parameters=()):
        subject = self.title(subject)
        with self.mail.submission() as client:
            client.sendmail(SENDER, ["%s@%s" % (name, self.peer.domain) for name in to],
                            message(SENDER, subject, body, header), options, parameters)
        got = self.told(self.peer.messages, subject, len(to))
        for m in got:
            tap.same(body_of(m), body)
        return got

    def out_text(self):
        head = head_of(self.out("text out", TEXT)[0])
        tap.has(head.lower(), "return-path: <%s>" % SENDER)
        tap.true(re.search(r"with ESMTPS|using TLSv1.3", head), head)
        tap.true(any("relay-tls" in line and "127.0.0.1" in line and "level=verify" in line
                     for line in self.mail.log().splitlines()), "not verified")

    def out_eight(self):
        self.out("8bit out", EIGHT, header=b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
                 b"Content-Transfer-Encoding: 8bit\r\n", options=["BODY=8BITMIME"])

    def out_utf8(self):
        m = self.out("UTF-8 out \u00e9t\u00e9", TEXT, to=["j\u00fcrgen"], options=["SMTPUTF8", "BODY=8BITMIME"])
        tap.true(re.search("(Delivered|Envelope)-To: <?j\u00fcrgen@", head_of(m[0]), re.I), head_of(m[0]))

    def out_long(self):
        self.out("long out", LONG)

    def out_many(self):
        names = ["u%d" % i for i in range(1, COUNT + 1)]
        got = self.out("many out", TEXT, to=names)
        tap.same(sorted(re.search(r"(?:Delivered|Envelope)-To: <?([^@]*)@", head_of(m), re.I).group(1)
                        for m in got), sorted(names))

    def reports(self, subject):
        def find():
            for raw in self.mail.messages("amelie"):
                m = email.message_from_string(raw, policy=email.policy.default)
                if m.get_content_type() == "multipart/report" and subject in raw:
                    return [dict(part.items()) for part in m.get_payload()[1].get_payload()][1:]
            return None
        return tap.wait_for(find, 60, "no report: " + subject)

    def out_refused(self):
        subject = self.title("refused out")
        with self.mail.submission() as client:
            client.sendmail(SENDER, ["nobody@" + self.peer.domain], message(SENDER, subject, TEXT))
        one, = self.reports(subject)
        tap.same((one["Action"], one["Final-Recipient"]), ("failed", "rfc822; nobody@" + self.peer.domain))
        tap.true(one["Status"].startswith("5."), one)
        tap.has(one["Remote-MTA"], "127.0.0.1")

    def out_receipt(self):
        self.out("receipt", TEXT, parameters=["NOTIFY=SUCCESS"])
        one, = self.reports(self.title("receipt"))
        tap.has(one["Action"], "deliver")

    # --- the other to Facteur ---

    def into(self, subject, body, to=("amelie@example.com",), users=("amelie",), header=b"", options=(),
             sender="friend"):
        subject, sender = self.title(subject), "%s@%s" % (sender, self.peer.domain)
        self.peer.send(sender, list(to), message(sender, subject, body, header), options)
        for user in users:
            got = self.told(lambda: [m.encode("utf-8", "surrogateescape")
                                     for m in self.mail.messages(user)], subject)
            tap.same(body_of(got[0]), body)
        return head_of(got[0])

    def in_text(self):
        head = self.into("text in", TEXT)
        tap.has(head, "Return-Path: <friend@%s>" % self.peer.domain)
        tap.has(head.split("\nReceived:")[1], "with ESMTPS")

    def in_eight(self):
        self.into("8bit in", EIGHT, header=b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
                  b"Content-Transfer-Encoding: 8bit\r\n", options=["BODY=8BITMIME"])

    def in_utf8(self):
        head = self.into("UTF-8 in \u00e9t\u00e9", TEXT, sender="j\u00fcrgen", options=["SMTPUTF8", "BODY=8BITMIME"])
        tap.has(head, "Return-Path: <j\u00fcrgen@%s>" % self.peer.domain)
        tap.has(head.split("\nReceived:")[1], "with UTF8SMTPS")

    def in_long(self):
        self.into("long in", LONG)

    def in_many(self):
        users = ["u%d" % i for i in range(1, COUNT + 1)]
        self.into("many in", TEXT, ["%s@example.com" % u for u in users], users)

    def in_refused(self):
        subject = self.title("refused in")
        sender = "friend@" + self.peer.domain
        self.peer.send(sender, ["nobody@example.com"], message(sender, subject, TEXT))

        def bounced():
            return [m for m in self.peer.messages() if b"nobody@example.com" in m
                    and b"return-path: <>" in m.lower() and subject.encode() in m]
        m = tap.wait_for(bounced, 60, "no bounce\n" + self.peer.log()[-3000:])[0]
        tap.has(m.decode(), "5.1.1")

    def in_lmtp(self):
        head = self.into("by LMTP", TEXT + EIGHT, ["bruno@example.net", "chloe@example.net"],
                         ["bruno", "chloe"])
        tap.has(head.split("\nReceived:")[1], "with LMTP")

    def in_null_sender(self):
        """Their report about mail with our sender, which they took and we refuse."""
        subject = self.title("taken, then bounced")
        self.peer.send(SENDER, ["nobody@example.com"], message(SENDER, subject, TEXT))
        one, = self.reports(subject)
        tap.same(one["Action"], "failed")
        tap.has(one["Final-Recipient"], "nobody@example.com")

    def tests(self):
        return [(self.title(name), test) for name, test in (
            ("text and dots to it, verified TLS", self.out_text), ("8-bit text to it", self.out_eight),
            ("SMTPUTF8 to it", self.out_utf8), ("long lines to it", self.out_long),
            ("%d recipients to it" % COUNT, self.out_many), ("it refuses", self.out_refused),
            ("its receipt", self.out_receipt),
            ("text and dots from it, verified TLS", self.in_text), ("8-bit text from it", self.in_eight),
            ("SMTPUTF8 from it", self.in_utf8), ("long lines from it", self.in_long),
            ("%d recipients from it" % COUNT, self.in_many), ("we refuse", self.in_refused),
            ("by LMTP from it", self.in_lmtp), ("its bounce, to us", self.in_null_sender))]


def person(mail, number):
    return ("dn: uid=u{0},ou=mail,dc=example,dc=org\nobjectClass: account\nobjectClass: posixAccount\n"
            "objectClass: postfixUser\nuid: u{0}\ncn: u{0}\nuidNumber: {1}\ngidNumber: 20100\n"
            "homeDirectory: {2}/u{0}\nmailacceptinggeneralid: u{0}@example.com\n"
            "maildrop: u{0}@mail.example.org\n\n").format(number, 21000 + number, mail.vmail)


def run():
    with Instance(options={"lmtp_networks": "127.0.0.0/8"}) as mail:
        mail.slapd.add("".join(person(mail, i) for i in range(1, COUNT + 1)))
        peers = [Postfix(mail), Exim(mail)]
        try:
            for peer in peers:
                peer.start()
            routes = ", ".join("%s=smtp:[127.0.0.1]:%d" % (p.domain, p.port) for p in peers)
            levels = ", ".join("[127.0.0.1]:%d=verify" % p.port for p in peers)
            mail.options.update(transport_maps="inline:{%s}" % routes, smtp_tls_CAfile=mail.ca,
                                smtp_tls_policy_maps="inline:{%s}" % levels, dns_servers="127.0.0.1")
            mail.restart()
            failed = tap.run([test for peer in peers for test in Pair(mail, peer).tests()])
            if failed:
                for line in mail.log().splitlines()[-int(os.environ.get("LOG_LINES", "60")):]:
                    print("# " + line)
        finally:
            for peer in peers:
                peer.close()


if os.geteuid() != 0:
    print("1..0 # SKIP Postfix and Exim need root")
    sys.exit(0)
try:
    os.stat("/usr/lib/postfix/sbin/master")
    fetch_exim()
except (OSError, subprocess.SubprocessError) as error:
    print("1..1\nnot ok 1 - Postfix and Exim are here (./quickstart check brings them): %s" % error)
    sys.exit(1)
run()
