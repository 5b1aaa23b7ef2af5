#!/usr/bin/env python3
"""People who are away: who is told so, who is not, how often, and what. By the whole server, with a real
slapd, swaks as the sender and a server of another domain that takes the answers."""
import base64
import email
import email.policy
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402
from tap import has, same, wait_for  # noqa: E402
from world import World  # noqa: E402

OU = "ou=mail,dc=example,dc=org"
FAR = "remote.example"


class Site:
    def __init__(self, mail, world, sink):
        self.mail, self.world, self.sink, self.count = mail, world, sink, 0

    def away(self, user="amelie", status=None, **values):
        """Exactly these values of facteurVacation… stand in the entry."""
        dn = "uid=%s,%s" % (user, OU)
        lines = ["dn: " + dn, "changetype: modify"]
        if "objectClass: facteurAccount" not in self.mail.slapd.search("(uid=%s)" % user, "objectClass"):
            lines += ["add: objectClass", "objectClass: facteurAccount", "-"]
        for name in ("Text", "Subject", "Start", "End"):
            lines += ["replace: facteurVacation" + name]
            if name in values:
                lines += ["facteurVacation%s:: %s" % (name, base64.b64encode(values[name].encode()).decode())]
            lines += ["-"]
        lines += ["replace: facteurAccountStatus"]
        lines += ["facteurAccountStatus: " + status] if status else []
        self.mail.slapd.modify("\n".join(lines) + "\n-\n")
        self.mail.facteur("directory", "flush")

    def send(self, sender, to="amelie@example.com", header_to=None, *headers):
        """By swaks; the message's Subject."""
        self.count += 1
        subject = "number %d" % self.count
        command = ["swaks", "--server", "127.0.0.1", "--port", str(self.mail.ports["smtp"]), "--from",
                   sender or "<>", "--to", to, "--h-To", header_to or to, "--h-Subject", subject,
                   "--h-Message-Id", "<%s@%s>" % (self.count, FAR)]
        for header in headers:
            command += ["--add-header", header]
        done = subprocess.run(command, capture_output=True, text=True)
        same(done.returncode, 0, done.stdout + done.stderr)
        return subject

    def sender(self):
        """One who has heard nothing yet."""
        self.count += 1
        return "max%d@%s" % (self.count, FAR)

    def answers(self, sender):
        return [m for m in self.sink.messages if m["to"] == [sender]]

    def is_told(self, sender, times=1):
        wait_for(lambda: len(self.answers(sender)) >= times, 30, "no answer to " + sender)
        same(len(self.answers(sender)), times, "answers to " + sender)
        return email.message_from_bytes(self.answers(sender)[-1]["data"], policy=email.policy.default)

    def not_told(self, why, sender, *arguments):
        before = self.mail.log().count("vacation-none")
        self.send(sender, *arguments)
        wait_for(lambda: self.mail.log().count("vacation-none") > before, 30, "nothing in the log: " + why)
        line = [x for x in self.mail.log().splitlines() if "vacation-none" in x][-1]
        has(line, why)


def the_answer(site):
    site.away(Text="I am away.", Subject="Not here")
    sender = site.sender()
    site.send(sender, "amelie@example.com", None, "References: <0@far>")
    answer = site.is_told(sender)
    same(site.answers(sender)[0]["sender"], "")
    same((answer["From"], answer["To"]), ("amelie@example.com", sender))
    same(answer["Subject"], "Not here")
    same(answer["Auto-Submitted"], "auto-replied")
    same(answer["In-Reply-To"], "<2@%s>" % FAR)
    same(answer["References"].split(), ["<0@far>", "<2@%s>" % FAR])
    same(answer.get_content().strip(), "I am away.")
    has(str(answer["Message-ID"]), "@mail.example.org")
    wait_for(lambda: any("number 2" in text for text in site.mail.messages("amelie")))


def words_of_any_kind(site):
    site.away(Text="été" * 400, Subject="Été")
    sender = site.sender()
    site.send(sender)
    answer = site.is_told(sender)
    same((answer["Subject"], answer.get_content().strip()), ("Été", "été" * 400))
    site.away(Text="Gone")
    sender = site.sender()
    subject = site.send(sender)
    same(site.is_told(sender)["Subject"], "Auto: " + subject)


def once_a_sender(site):
    site.away(Text="Once")
    sender, other = site.sender(), site.sender()
    site.send(sender)
    site.is_told(sender)
    site.not_told("the sender was told", sender)
    site.not_told("the sender was told", sender.upper().replace(FAR.upper(), FAR))
    site.send(other)
    site.is_told(other)
    site.mail.restart()
    site.not_told("the sender was told", sender)
    site.away(Text="Another text")
    site.send(sender)
    site.is_told(sender, 2)
    site.away(Text="Once")
    site.not_told("the sender was told", sender)


def nobody_answers_programs(site):
    site.away(Text="Away")
    sender = site.sender()
    for header in ("Auto-Submitted: auto-generated", "Precedence: bulk", "Precedence: list", "Precedence: junk",
                   "List-Id: <list.far.example>"):
        site.not_told({"A": "a program sent it", "P": "it was sent to many",
                       "L": "it is from a mailing list"}[header[0]],
                      sender, "amelie@example.com", None, header)
    for name in ("owner-list", "list-request", "MAILER-DAEMON"):
        site.not_told("a program or a list sent it", name + "@" + FAR)
    subject = site.send("")
    wait_for(lambda: any(subject + "\n" in text for text in site.mail.messages("amelie")))
    site.send(sender)
    site.is_told(sender)
    same([m for m in site.sink.messages if m["to"] == [""]], [])


def only_who_was_written_to(site):
    site.away(Text="Away too")
    sender = site.sender()
    none = "none of the owner's addresses"
    site.not_told(none, sender, "amelie@example.com", "others@%s" % FAR)
    site.not_told(none, sender, "team@example.com")
    site.not_told("it is from the owner", "amelie.martin@example.com")
    site.send(sender, "amelie+tag@example.com", "X <x@y.example>, Amelie <Amelie.Martin@EXAMPLE.com>")
    same(site.is_told(sender)["From"], "amelie.martin@example.com")


def two_who_are_away(site):
    site.away(Text="Away")
    site.away("bruno", Text="Bruno is away")
    with site.mail.submission("bruno") as client:
        client.sendmail("bruno@example.com", ["amelie@example.com"],
                        "From: bruno@example.com\r\nTo: amelie@example.com\r\nSubject: to and fro\r\n\r\nHello\r\n")
    wait_for(lambda: any("Subject: Auto: to and fro" in text for text in site.mail.messages("bruno")), 30)
    same(len([text for text in site.mail.messages("amelie") if "Bruno is away" in text]), 0)
    site.away("bruno")


def begin_and_end(site):
    for values, told in (({"Start": "20200101000000Z", "End": "20201231000000Z"}, False),
                         ({"Start": "29990101000000Z"}, False),
                         ({"Start": "20200101000000Z", "End": "29990101000000Z"}, True),
                         ({"Start": "20200101000000Z"}, True)):
        site.away(Text="Some time", **values)
        explained = site.mail.facteur("explain", "rcpt", "amelie@example.com")
        same("may be away" in explained, told, values)
        sender = site.sender()
        subject = site.send(sender)
        wait_for(lambda: any(subject + "\n" in text for text in site.mail.messages("amelie")))
        if told:
            site.is_told(sender)
    same(len([m for m in site.sink.messages if "Some time" in m["data"].decode()]), 2)


def states(site):
    """Who keeps no mail, or is disabled, answers none; who only may not log in does."""
    site.mail.slapd.modify("dn: uid=amelie,%s\nchangetype: modify\nreplace: facteurForward\n"
                           "facteurForward: bruno@example.com\n" % OU)
    for status in ("forward", "disabled"):
        site.away(Text="In a state", status=status)
        same("may be away" in site.mail.facteur("explain", "rcpt", "team@example.com"), False, status)
    site.mail.slapd.modify("dn: uid=amelie,%s\nchangetype: modify\nreplace: facteurForward\n" % OU)
    site.away(Text="No login, and away", status="nologin")
    sender = site.sender()
    site.send(sender)
    site.is_told(sender)


def by_the_queue(site):
    """Mail that waited is answered when it has come."""
    site.away(Text="Late, and away")
    home, sender = os.path.join(site.mail.vmail, "amelie"), site.sender()
    with site.mail.smtp() as client:
        client.ehlo("test.example")
        client.mail(sender)
        same(client.rcpt("amelie@example.com")[0], 250)
        same(client.rcpt("bruno@example.com")[0], 250)
        os.rename(home, home + ".away")
        with open(home, "w"):
            pass
        try:
            same(client.data("To: amelie@example.com\r\nSubject: waited\r\n\r\nHello\r\n")[0], 250)
            wait_for(lambda: "queue-retry" in site.mail.log(), 20)
        finally:
            os.remove(home)
            os.rename(home + ".away", home)
    same(site.is_told(sender)["Subject"], "Auto: waited")
    wait_for(lambda: any("Subject: waited\n" in text for text in site.mail.messages("amelie")))


def what_is_wrong_harms_no_mail(site):
    site.away(Text="x" * 33000)
    sender = site.sender()
    subject = site.send(sender)
    wait_for(lambda: any(subject + "\n" in text for text in site.mail.messages("amelie")))
    wait_for(lambda: "has more than 32768 octets" in site.mail.log())
    site.sink.say["rcpt"] = lambda address: "550 5.1.1 nobody" if address == sender else "250 ok"
    site.away(Text="To nobody")
    site.send(sender)
    wait_for(lambda: "vacation-failed" in site.mail.log(), 30)
    wait_for(lambda: "queue is empty" in site.mail.facteur("queue", "list").lower() or
             "amelie" not in site.mail.facteur("queue", "list"), 30)
    same([t for t in site.mail.messages("amelie") if "could not be delivered" in t], [])


def main():
    world = World()
    try:
        sink = world.sink("mx." + FAR, mx_of=FAR)
        with Instance(options=world.options()) as mail:
            site = Site(mail, world, sink)
            return tap.run([(f.__name__.replace("_", " "), lambda f=f: f(site)) for f in
                            (the_answer, words_of_any_kind, once_a_sender, nobody_answers_programs,
                             only_who_was_written_to, two_who_are_away, begin_and_end, states,
                             by_the_queue, what_is_wrong_harms_no_mail)])
    finally:
        world.close()


sys.exit(main())
