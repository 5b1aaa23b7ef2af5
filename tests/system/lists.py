#!/usr/bin/env python3
"""Groups as mailing lists: whom errors go to, the header lines of a list, each recipient once, lists that
lead to each other, a thousand members. By the whole server, with a real slapd and servers of other domains."""
import email
import os
import smtplib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402
from tap import has, same, wait_for  # noqa: E402
from world import World  # noqa: E402

OU = "ou=mail,dc=example,dc=org"
PERSON = "uid=%s," + OU
FAR, HOME = "far.example", "home.example"
SENDER = "max@" + HOME
TEXT = "From: %s\r\nTo: the list\r\nSubject: %%s\r\nMessage-ID: <%%s@x>\r\n\r\nHello\r\n" % SENDER


class Site:
    def __init__(self, mail, world):
        self.mail, self.world = mail, world
        self.far = world.sink("mx." + FAR, mx_of=FAR)
        self.home = world.sink("mx." + HOME, mx_of=HOME)

    def list(self, name, **attributes):
        dn = "cn=%s,%s" % (name, OU)
        if "dn: " in self.mail.slapd.search("(cn=%s)" % name, "cn", base=OU):
            self.mail.slapd.delete(dn)
        lines = ["dn: " + dn, "objectClass: groupOfNames", "objectClass: facteurList",
                 "objectClass: extensibleObject", "cn: " + name, "facteurListAddress: %s@example.com" % name]
        for attribute, values in attributes.items():
            lines += ["%s: %s" % (attribute, v) for v in ([values] if isinstance(values, str) else values)]
        self.mail.slapd.add("\n".join(lines) + "\n")
        self.mail.facteur("directory", "flush")

    def post(self, subject, *to, sender=SENDER):
        with self.mail.smtp() as client:
            return client.sendmail(sender, ["%s@example.com" % t for t in to], TEXT % (subject, subject))

    def inbox(self, user, subject):
        return [text for text in self.mail.messages(user) if "Subject: %s\n" % subject in text]

    def has_it(self, user, subject):
        wait_for(lambda: self.inbox(user, subject), 30, "%s lacks %s" % (user, subject))
        same(len(self.inbox(user, subject)), 1, "copies")
        return email.message_from_string(self.inbox(user, subject)[0])

    def at(self, sink, subject, count=1):
        def found():
            return [m for m in sink.messages if b"\r\nSubject: %s\r\n" % subject.encode() in m["data"]]
        wait_for(lambda: len(found()) >= count, 30, "%s has no %s" % (sink.name, subject))
        return found()

    def reports(self, sink, word):
        return [m for m in sink.messages if m["sender"] == "" and word.encode() in m["data"]]


def the_letter(site):
    """Members here and elsewhere get the list's sender and header lines; who was written to besides does not."""
    site.list("crew", member=PERSON % "amelie", facteurListMember="guest@" + FAR, facteurListOwner="boss@" + HOME)
    site.post("letter", "crew", "bruno")
    here, direct = site.has_it("amelie", "letter"), site.has_it("bruno", "letter")
    same((here["Return-Path"], direct["Return-Path"]), ("<boss@%s>" % HOME, "<%s>" % SENDER))
    same((here["List-Id"], direct["List-Id"]), ("<crew.example.com>", None))
    same((here["List-Post"], direct["List-Post"]), ("<mailto:crew@example.com>", None))
    same(here["X-Original-To"], "crew@example.com")
    there = site.at(site.far, "letter")[0]
    same((there["sender"], there["to"]), ("boss@" + HOME, ["guest@" + FAR]))
    same(email.message_from_bytes(there["data"])["List-Id"], "<crew.example.com>")


def who_hears_of_errors(site):
    site.list("byentry", member=PERSON % "amelie", owner=[PERSON % "bruno", PERSON % "chloe"])
    site.post("by entry", "byentry")
    same(site.has_it("amelie", "by entry")["Return-Path"], "<bruno@example.com>")
    site.list("nobody", member=PERSON % "amelie")
    site.post("nobody", "nobody")
    message = site.has_it("amelie", "nobody")
    same((message["Return-Path"], message["List-Id"]), ("<%s>" % SENDER, "<nobody.example.com>"))
    site.post("report", "crew", sender="")
    same(site.has_it("amelie", "report")["Return-Path"], "<>")
    site.list("closed", member=PERSON % "amelie", facteurListPost="listed", facteurListPoster=SENDER,
              facteurListOwner="boss@" + HOME)
    site.post("closed", "closed")
    same(site.has_it("amelie", "closed")["List-Post"], "NO")


def each_once(site):
    """Members of several lists, and of lists within lists, and written to directly."""
    site.list("inner", member=[PERSON % "amelie", PERSON % "bruno"], facteurListOwner="inner-boss@" + HOME,
              facteurListMember=["guest@" + FAR, "outer@example.com"])
    site.list("outer", member=[PERSON % "amelie", PERSON % "chloe"], facteurListOwner="boss@" + HOME,
              facteurListMember=["inner@example.com", "guest@" + FAR])
    site.post("once", "outer", "inner", "crew", "amelie")
    for user in ("amelie", "bruno", "chloe"):
        site.has_it(user, "once")
    same(len(site.at(site.far, "once")), 1)
    same(site.has_it("bruno", "once")["List-Id"], "<inner.example.com>")
    same(site.has_it("chloe", "once")["List-Id"], "<outer.example.com>")


def loops(site):
    """A member elsewhere forwards it back to the list: the server that does hears so, and nobody has it twice."""
    site.post("round", "crew")
    site.has_it("amelie", "round")
    there = site.at(site.far, "round")[0]
    with site.mail.smtp() as client:
        try:
            client.sendmail(there["sender"], ["crew@example.com"], there["data"])
            raise AssertionError("it was taken")
        except smtplib.SMTPDataError as e:
            same((e.smtp_code, e.smtp_error[:5]), (554, b"5.4.6"))
        client.sendmail(there["sender"], ["crew@example.com", "bruno@example.com"], there["data"])
    site.has_it("bruno", "round")
    wait_for(lambda: site.reports(site.home, "goes in a circle"), 30, "no report")
    same(len(site.inbox("amelie", "round")), 1)
    same(len(site.at(site.far, "round")), 1)


def receipts(site):
    """Who asks for a receipt hears that the list has it, and of no member (RFC 3461 section 5.2.7.1)."""
    with site.mail.smtp() as client:
        client.ehlo("test.example")
        client.mail(SENDER, ["RET=HDRS", "ENVID=7"])
        same(client.rcpt("crew@example.com", ["NOTIFY=SUCCESS,FAILURE"])[0], 250)
        same(client.data((TEXT % ("receipt", "receipt")).encode())[0], 250)
    there = site.at(site.far, "receipt")[0]
    same("ENVID" in there["mail"], False, there["mail"])
    report = wait_for(lambda: site.reports(site.home, "Original-Envelope-Id: 7"), 30)[0]["data"].decode()
    has(report, "Action: expanded")
    same("guest@" in report or "amelie@" in report, False, "a member is told of")


def members_who_fail(site):
    """Unknown here, refused elsewhere by two servers: one report, and to the owner."""
    other = site.world.sink("mx.other.example", mx_of="other.example", rcpt="550 5.1.1 nobody")
    site.far.say["rcpt"] = lambda address: "550 5.1.1 no" if address.startswith("no") else "250 ok"
    site.list("failing", member=PERSON % "amelie", facteurListOwner="boss@" + HOME,
              facteurListMember=["unknown@mail.example.org", "guest@" + FAR] +
              ["no%d@%s" % (i, FAR) for i in range(25)] + ["x@other.example"])
    before = len(site.home.messages)
    site.post("failing", "failing")
    site.has_it("amelie", "failing")
    site.at(site.far, "failing")
    wait_for(lambda: "x@other.example" in "".join(site.home.texts()), 30, "no report")
    reports = site.home.messages[before:]
    same({m["to"][0] for m in reports}, {"boss@" + HOME}, "who was told")
    text = "".join(m["data"].decode() for m in reports)
    for member in ["unknown@mail.example.org", "x@other.example"] + ["no%d@%s" % (i, FAR) for i in range(25)]:
        same(text.count("Final-Recipient: rfc822; %s\r\n" % member), 1, member)
    same(len([m for m in reports if b"@far.example" in m["data"]]), 1, "reports of what was tried")
    del site.far.say["rcpt"]
    other.close()


def a_thousand(site):
    """Everybody has it once; whose mailbox cannot be written is tried again, and what others' servers refuse
    comes in one report."""
    mail = site.mail
    site.mail.slapd.add("\n".join(
        "dn: uid=m%(i)d,%(ou)s\nobjectClass: account\nobjectClass: posixAccount\nobjectClass: postfixUser\n"
        "uid: m%(i)d\ncn: m%(i)d\nuidNumber: %(n)d\ngidNumber: 20100\nhomeDirectory: %(v)s/m%(i)d\n"
        "mailacceptinggeneralid: m%(i)d@example.com\nmaildrop: m%(i)d@mail.example.org\n"
        % {"i": i, "n": 40000 + i, "ou": OU, "v": mail.vmail} for i in range(950)))
    site.far.say["rcpt"] = lambda address: "550 5.1.1 no" if address[0] == "n" else "250 ok"
    site.list("crowd", member=[PERSON % ("m%d" % i) for i in range(950)], facteurListOwner="boss@" + HOME,
              facteurListMember=["g%d@%s" % (i, FAR) for i in range(20)] + ["n%d@%s" % (i, FAR) for i in range(30)])
    before = len(site.home.messages)
    site.post("crowd", "crowd")
    wait_for(lambda: sum(len(site.inbox("m%d" % i, "crowd")) for i in range(950)) >= 950, 120, "not all have it")
    same([i for i in range(950) if len(site.inbox("m%d" % i, "crowd")) != 1], [], "copies")
    there = site.at(site.far, "crowd")
    wait_for(lambda: sum(len(m["to"]) for m in site.at(site.far, "crowd")) >= 20, 60, "guests")
    same(sorted(a for m in there for a in m["to"]), sorted("g%d@%s" % (i, FAR) for i in range(20)))
    wait_for(lambda: "n29@" in "".join(site.home.texts()), 60, "no report")
    reports = site.home.messages[before:]
    same([m["to"] for m in reports], [["boss@" + HOME]], "reports")
    same(reports[0]["data"].count(b"\r\nAction: failed\r\n"), 30)


def main():
    world = World()
    try:
        with Instance(options=dict(world.options(), group_maps="ldap:ldap/groups.cf")) as mail:
            site = Site(mail, world)
            return tap.run([(f.__name__.replace("_", " "), lambda f=f: f(site)) for f in
                            (the_letter, who_hears_of_errors, each_once, loops, receipts, members_who_fail,
                             a_thousand)])
    finally:
        world.close()


sys.exit(main())
