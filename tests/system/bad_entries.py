#!/usr/bin/env python3
"""Entries that administrators get wrong, and files that stand in the way: each is 451 at RCPT and named
in the log; nothing crashes, nothing is delivered anywhere, and good recipients beside it go on."""
import base64
import glob
import imaplib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402

HUGE = 2 ** 64


def line(name, value):
    """An LDIF line; in base64 where the plain form cannot say it."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    if raw and all(32 < b < 127 for b in raw) and raw[:1] not in (b":", b"<"):
        return "%s: %s\n" % (name, raw.decode())
    return "%s:: %s\n" % (name, base64.b64encode(raw).decode())


def person(mail, uid, address=None, **change):
    """The entry of a person; a change to None leaves the attribute out."""
    values = {"uidNumber": 20100, "gidNumber": 20100, "homeDirectory": mail.vmail + "/" + uid,
              "maildrop": (address or uid) + "@mail.example.org"}
    values.update(change)
    whole = all(v is not None for v in values.values())
    mail.slapd.add(
        "dn: uid=%s,ou=mail,%s\nobjectClass: account\nobjectClass: postfixUser\nobjectClass: %s\n"
        "uid: %s\ncn: %s\nuserPassword: %s-secret\nmailacceptinggeneralid: %s@example.com\n"
        % (uid, mail.slapd.base, "posixAccount" if whole else "extensibleObject", uid, uid, uid,
           address or uid)
        + "".join(line(k, v) for k, v in values.items() if v is not None))


def alias(mail, name, *targets, address=None):
    mail.slapd.add("dn: cn=%s,ou=mail,%s\nobjectClass: organizationalRole\nobjectClass: postfixUser\n"
                   "cn: %s\nmailacceptinggeneralid: %s\n"
                   % (name, mail.slapd.base, name, address or name + "@example.com")
                   + "".join(line("maildrop", t) for t in targets))


def files(mail):
    """Everything below the base, but what the good recipient has."""
    return sorted(path for path in glob.glob(mail.vmail + "/**", recursive=True, include_hidden=True)
                  if not path.startswith(mail.vmail + "/amelie"))


class Check:
    """Recipients that must be 451, and their words in the log."""

    def __init__(self, mail):
        self.mail = mail

    def __call__(self, address, *words):
        before = files(self.mail)
        start = len(self.mail.log())
        with self.mail.smtp() as client:
            client.ehlo("x")
            client.mail("somebody@remote.example")
            code, text = client.rcpt(address)
            tap.same((code, text[:5]), (451, b"4.3.0"), "%s: %s" % (address, text))
            tap.same(client.rcpt("amelie@example.com")[0], 250, "a good one beside " + address)
            client.rset()
        for word in words:
            tap.wait_for(lambda: word in self.mail.log()[start:], 5,
                         "%s: %r is not in the log:\n%s" % (address, word, self.mail.log()[start:]))
        tap.same(files(self.mail), before, "files after " + address)


def main(mail):
    check = Check(mail)
    programs = {p: mail.pids(p) for p in ("directory", "deliver", "smtp", "queue", "session")}

    def attributes():
        for uid, change, *words in (
                ("nohome", {"homeDirectory": None}, "has no homeDirectory"),
                ("nouid", {"uidNumber": None}, "has no uidNumber"),
                ("nogid", {"gidNumber": None}, "has no gidNumber"),
                ("rootuid", {"uidNumber": 0}, "uidNumber 0 is below virtual_minimum_uid"),
                ("rootgid", {"gidNumber": 0}, "gidNumber 0 is below virtual_minimum_uid"),
                ("lowgid", {"gidNumber": 19999}, "gidNumber 19999 is below"),
                ("minus", {"uidNumber": -1}, "-1", "is not a number from 0 to 4294967294"),
                ("last", {"uidNumber": 2 ** 32 - 1}, "is not a number"),
                ("lastgid", {"gidNumber": 2 ** 32 - 1}, "is not a number"),
                ("wraps32", {"uidNumber": 2 ** 32 + 20100}, "is not a number"),
                ("wraps64", {"uidNumber": HUGE + 20100}, "is not a number")):
            person(mail, uid, **change)
            check(uid + "@example.com", "uid=%s,ou=mail" % uid, *words)
            check(uid + "@mail.example.org", *words)

    def homes():
        base = mail.vmail
        for uid, home, *words in (
                ("relative", "vmail/relative", "is not absolute"),
                ("base", base, "is not a directory of the home"),
                ("baseslash", base + "/", "has an empty part"),
                ("beside", base + "x/beside", "does not lie below virtual_mailbox_base"),
                ("etc", "/etc/passwd", "does not lie below virtual_mailbox_base"),
                ("dots", base + "/../dots", "has a part"),
                ("dotdot", base + "/..", "has a part"),
                ("double", base + "//double", "has an empty part"),
                ("newline", base + "/new\nline", "has control characters"),
                ("nul", base.encode() + b"/amelie\0", "NUL"),
                ("longpart", base + "/" + "x" * 300, "more than 255 bytes"),
                ("long", base + "/" + "/".join(["y" * 100] * 12), "is too long")):
            person(mail, uid, homeDirectory=home)
            check(uid + "@example.com", "uid=%s,ou=mail" % uid if uid != "base" else "", *words)

    def aliases():
        long = "a" * 5000 + "@example.com"
        for name, target, *words in (
                ("nowhere", "gone@mail.example.org", "leads to gone@mail.example.org, which does not"),
                ("itself", "itself@example.com", "which does not exist"),
                ("pipe", "|/bin/sh", "leads to |/bin/sh@mail.example.org, which does not exist"),
                ("file", "/etc/passwd", "leads to /etc/passwd@mail.example.org, which does not"),
                ("include", ":include:/etc/passwd", "which is no address"),
                ("named", "Amelie <amelie@example.com>", "which is no address"),
                ("nodomain", "amelie@", "which is no address"),
                ("at", "@", "which is no address"),
                ("commas", ", ,", "leads to nothing"),
                ("control", "amelie@mail.example.org\nx", "which is no address"),
                ("zero", b"amelie@mail.example.org\0x", "a NUL byte in a value of cn=zero"),
                ("longest", long, "which is no address"),
                ("grows", "grows+x@example.com", "grows@example.com")):
            alias(mail, name, target)
            check(name + "@example.com", *words)
        alias(mail, "half", "amelie@mail.example.org", "gone@mail.example.org")
        check("half@example.com", "leads to gone@mail.example.org")
        for a, b in (("one", "two"), ("two", "three"), ("three", "one")):
            alias(mail, a, b + "@example.com", "amelie@mail.example.org")
        for a in ("one", "two", "three"):
            check(a + "@example.com", "alias loop")
        for a, b in (("ring1", "ring2"), ("ring2", "ring1")):
            alias(mail, a, "@%s.example" % b, address="@%s.example" % a)
        check("x@ring1.example", "alias loop")
        alias(mail, "crowd", *("m%d@mail.example.org" % i for i in range(1100)))
        check("crowd@example.com", "virtual_alias_expansion_limit (1000)")

    def twins():
        person(mail, "twin1", "twin")
        person(mail, "twin2", "twin")
        check("twin@example.com", "2 entries have this address", "uid=twin1", "uid=twin2")
        alias(mail, "totwins", "twin@mail.example.org", "amelie@mail.example.org")
        check("totwins@example.com", "2 entries have this address")

    def in_the_way():
        os.mkfifo(mail.vmail + "/fifo")
        with open(mail.vmail + "/plain", "w"):
            pass
        os.symlink(mail.vmail + "/amelie", mail.vmail + "/link")
        for uid in ("fifo", "plain", "link"):
            person(mail, uid)
            check(uid + "@example.com", "home %s/%s" % (mail.vmail, uid), "in the way")
        for uid in ("infifo", "inlink", "infile"):
            home = mail.vmail + "/" + uid
            os.mkdir(home, 0o700)
            if uid == "infifo":
                os.mkfifo(home + "/mailbox")
            elif uid == "inlink":
                os.symlink(mail.vmail + "/amelie/mailbox", home + "/mailbox")
            else:
                os.mkdir(home + "/mailbox", 0o700)
                os.mkfifo(home + "/mailbox/tmp")
            if mail.root:
                for path in (home, home + "/mailbox", home + "/mailbox/tmp"):
                    if os.path.lexists(path):
                        os.chown(path, 20100, 20100, follow_symlinks=False)
            person(mail, uid)
            check(uid + "@example.com", "deliver-probe")

    def strangers():
        """Homes that belong to somebody else."""
        mail.deliver("amelie@example.com", "Subject: makes the home\r\n\r\n")
        if not mail.root:
            return
        person(mail, "guest", homeDirectory=mail.vmail + "/amelie")
        check("guest@example.com", "belongs to uid 20001, not 20100")
        person(mail, "lodger", homeDirectory=mail.vmail + "/amelie/lodger")
        check("lodger@example.com", "a directory on the way belongs to somebody else")
        os.mkdir(mail.vmail + "/open", 0o777)
        os.chmod(mail.vmail + "/open", 0o777)
        person(mail, "tenant", homeDirectory=mail.vmail + "/open/tenant")
        check("tenant@example.com", "writable by others")

    def logins():
        """The password decides first; then an entry that is no mailbox is the directory's fault."""
        for uid in ("rootuid", "minus", "beside", "dots", "newline"):
            for password, words in ((uid + "-secret", "UNAVAILABLE"), ("wrong", "AUTHENTICATIONFAILED")):
                try:
                    mail.imap(uid, password)
                except imaplib.IMAP4.error as e:
                    tap.has(str(e), words)
                else:
                    raise AssertionError("%s logged in" % uid)

    def afterwards():
        tap.same({p: mail.pids(p) for p in programs}, programs, "the same processes as before")
        tap.same(len(mail.maildir("amelie")), 1, "messages of the one who got one")
        tap.true(not os.path.exists(mail.vmail + "x"), "nothing beside the base")
        mail.deliver("amelie@example.com", "Subject: still sound\r\n\r\n")
        tap.same(len(mail.maildir("amelie")), 2, "messages")

    return tap.run([
        ("attributes that are missing or no numbers", attributes),
        ("homes that are no homes", homes),
        ("aliases that lead nowhere", aliases),
        ("two people with one address", twins),
        ("links, pipes and files in the way", in_the_way),
        ("homes of others", strangers),
        ("logins", logins),
        ("nothing crashed, nothing was misdelivered", afterwards),
    ])


if __name__ == "__main__":
    with Instance() as instance:
        failed = main(instance)
    sys.exit(1 if failed else 0)
