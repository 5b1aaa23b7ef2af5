#!/usr/bin/env python3
"""The main job, end to end: mail comes in, is submitted, is read; the directory decides."""
import imaplib
import os
import smtplib
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402

TEXT = "From: Somebody <somebody@remote.example>\r\nTo: you\r\nSubject: %s\r\n\r\nHello.\r\n"

EXTRA = """dn: uid=%(uid)s,ou=mail,%(base)s
objectClass: account
objectClass: posixAccount
objectClass: postfixUser
uid: %(uid)s
cn: %(uid)s
uidNumber: %(number)s
gidNumber: 20100
homeDirectory: %(home)s
mailacceptinggeneralid: %(address)s
maildrop: %(uid)s@mail.example.org
userPassword: %(uid)s-secret
"""


def submitted(mail, sender, header_from, to, user="amelie", subject="submitted"):
    with mail.submission(user) as client:
        return client.sendmail(sender, [to], "From: %s\r\nTo: %s\r\nSubject: %s\r\n\r\nBody.\r\n"
                               % (header_from, to, subject))


def code_of(function, *arguments):
    """The code and text of the SMTP refusal that the call ends in."""
    try:
        function(*arguments)
    except smtplib.SMTPRecipientsRefused as e:
        return next(iter(e.recipients.values()))
    except smtplib.SMTPResponseException as e:
        return e.smtp_code, e.smtp_error
    raise AssertionError("it was accepted")


def main(mail):
    def inbound():
        mail.deliver("amelie.martin@example.com", TEXT % "inbound")
        message = mail.messages("amelie")[0]
        tap.has(message, "Return-Path: <somebody@remote.example>\n")
        tap.has(message, "X-Original-To: amelie.martin@example.com\n")
        tap.has(message, "Delivered-To: amelie@mail.example.org\n")
        tap.has(message, "Received: from ")
        tap.has(message, "\n\nHello.\n")
        tap.true("\r" not in message, "lines end with LF on disk")

    def owners():
        path = mail.maildir("amelie")[0]
        file, home, base = os.stat(path), os.stat(mail.vmail + "/amelie"), os.stat(mail.vmail)
        tap.same(stat.S_IMODE(file.st_mode), 0o600, "mode of the message")
        tap.same(stat.S_IMODE(home.st_mode), 0o700, "mode of the home")
        tap.same(stat.S_IMODE(base.st_mode), 0o751, "mode of the base")
        if mail.root:
            tap.same((file.st_uid, file.st_gid), (20001, 20100), "owner of the message")
            tap.same((home.st_uid, home.st_gid), (20001, 20100), "owner of the home")
            tap.same(base.st_uid, 0, "owner of the base")
        name = os.path.basename(path)
        tap.has(name, ",S=%d" % file.st_size)
        tap.has(name, ",W=%d" % (file.st_size + open(path).read().count("\n")))

    def several():
        mail.deliver("team@example.com", TEXT % "to the team")
        for user in ("amelie", "bruno", "chloe"):
            tap.same(sum("to the team" in m for m in mail.messages(user)), 1, user)

    def alias_of_alias():
        mail.deliver("contact@example.net", TEXT % "to contact")
        for user in ("amelie", "bruno", "chloe"):
            tap.same(sum("to contact" in m for m in mail.messages(user)), 1, user)

    def once():
        mail.deliver(["team@example.com", "amelie@example.com", "AMELIE.Martin@Example.COM"],
                     TEXT % "only once")
        tap.same(sum("only once" in m for m in mail.messages("amelie")), 1, "copies")

    def delimiter():
        mail.deliver("bruno+lists@example.net", TEXT % "with extension")
        tap.true(any("with extension" in m for m in mail.messages("bruno")), "delivered")

    def postmaster():
        mail.deliver(["postmaster@example.net", "postmaster"], TEXT % "to the postmaster")
        tap.same(sum("to the postmaster" in m for m in mail.messages("amelie")), 1, "copies")

    def unknown():
        code, text = code_of(mail.deliver, "nobody@example.com", TEXT % "x")
        tap.same(code, 550)
        tap.has(text.decode(), "5.1.1")
        tap.has(text.decode(), "nobody@example.com")

    def relay():
        for address in ("a@elsewhere.example", "a%elsewhere.example@mail.example.org",
                        '"a@elsewhere.example"@example.com', "elsewhere.example!a@example.com"):
            code, text = code_of(mail.deliver, address, TEXT % "x")
            tap.true(code in (550, 554), "%s: %s" % (address, text))
        tap.same(code_of(mail.deliver, "a@elsewhere.example", TEXT % "x")[0], 554)

    def submission():
        submitted(mail, "amelie@example.com", "Amelie <amelie.martin@example.com>",
                  "bruno@example.net")
        message = [m for m in mail.messages("bruno") if "Subject: submitted" in m][0]
        tap.has(message, "with ESMTPSA")
        tap.has(message, "TLSv1.3")
        tap.has(message, "\nDate: ")
        tap.has(message, "\nMessage-ID: <")

    def submissions():
        with smtplib.SMTP_SSL("localhost", mail.ports["submissions"], context=mail.tls()) as client:
            client.login("bruno@example.net", "bruno-secret")
            client.sendmail("bruno@example.com", ["amelie@example.com"],
                            "From: bruno@example.com\r\nSubject: over 465\r\n\r\nx\r\n")
        tap.true(any("over 465" in m for m in mail.messages("amelie")), "delivered")

    def passwords():
        tap.same(code_of(mail.submission, "amelie", "wrong")[0], 535)
        tap.same(code_of(mail.submission, "nobody", "wrong")[0], 535)
        tap.same(code_of(mail.submission, "*", "amelie-secret")[0], 535)
        tap.same(code_of(mail.submission, "amelie)(uid=*", "amelie-secret")[0], 535)

    def senders():
        code, text = code_of(submitted, mail, "bruno@example.net", "bruno@example.net",
                             "chloe@example.net")
        tap.same(code, 553)
        tap.has(text.decode(), "bruno@example.net")
        tap.has(text.decode(), "amelie")
        code, text = code_of(submitted, mail, "amelie@example.com", "bruno@example.net",
                             "chloe@example.net")
        tap.same(code, 550)
        tap.has(text.decode(), "bruno@example.net")
        submitted(mail, "AMELIE@EXAMPLE.COM", "amelie@example.com", "chloe@example.net")
        submitted(mail, "", "amelie@example.com", "chloe@example.net", subject="a receipt")

    def no_auth():
        with mail.smtp() as client:
            client.ehlo()
            tap.true(not client.has_extn("auth"), "no AUTH on 25 without TLS")
        with smtplib.SMTP("localhost", mail.ports["submission"]) as client:
            client.ehlo()
            tap.true(not client.has_extn("auth"), "no AUTH on 587 before STARTTLS")
            tap.same(client.docmd("MAIL FROM:<amelie@example.com>")[0], 530)

    def imap():
        client = mail.imap("chloe@example.net", "chloe-secret")
        tap.same(client.select()[0], "OK")
        ok, found = client.search(None, "SUBJECT", '"to the team"')
        tap.same(ok, "OK")
        number = found[0].split()[0].decode()
        ok, data = client.fetch(number, "(FLAGS BODY[])")
        tap.has(data[0][1].decode(), "Subject: to the team\r\n")
        folders = client.list()[1]
        for name in (b"Sent", b"Drafts", b"Trash", b"Junk", b"Archive"):
            tap.true(any(name in f for f in folders), name)
        client.logout()

    def imap_passwords():
        for user, password in (("amelie", "wrong"), ("amelie", ""), ("nobody", "x")):
            try:
                mail.imap(user, password or " ")
            except imaplib.IMAP4.error as e:
                tap.has(str(e), "AUTHENTICATIONFAILED")
            else:
                raise AssertionError("%s logged in" % user)

    def added_person():
        mail.slapd.add(EXTRA % {"uid": "dora", "base": mail.slapd.base, "number": 20004,
                                "home": mail.vmail + "/dora", "address": "dora@new-domain.example"})
        mail.deliver("dora@new-domain.example", TEXT % "welcome")
        client = mail.imap("dora")
        tap.same(client.select()[1], [b"1"])
        client.logout()

    def first_login_makes_the_mailbox():
        mail.slapd.add(EXTRA % {"uid": "emil", "base": mail.slapd.base, "number": 20005,
                                "home": mail.vmail + "/emil", "address": "emil@example.com"})
        client = mail.imap("emil")
        tap.same(client.select()[1], [b"0"])
        client.logout()
        if mail.root:
            tap.same(os.stat(mail.vmail + "/emil").st_uid, 20005)

    def home_without_a_mailbox():
        """As mkhomedir leaves it; its owner cannot read the base."""
        home = mail.vmail + "/hanna"
        mail.slapd.add(EXTRA % {"uid": "hanna", "base": mail.slapd.base, "number": 20007,
                                "home": home, "address": "hanna@example.com"})
        os.mkdir(home, 0o700)
        if mail.root:
            os.chown(home, 20007, 20100)
        mail.deliver("hanna@example.com", TEXT % "the first")
        tap.same(len(mail.maildir("hanna")), 1)

    def malformed():
        people = {"noid": ("abc-is-no-number", 0), "low": (0, 999), "far": (0, 20010)}
        del people["noid"]
        for uid, (_, number) in people.items():
            home = "/etc/" + uid if uid == "far" else mail.vmail + "/" + uid
            mail.slapd.add(EXTRA % {"uid": uid, "base": mail.slapd.base, "number": number,
                                    "home": home, "address": uid + "@example.com"})
            code, text = code_of(mail.deliver, uid + "@example.com", TEXT % "x")
            tap.same(code, 451, uid)
            tap.has(mail.log(), "uid=%s,ou=mail" % uid)
            tap.true(not os.path.exists(home), "no home was made")

    def in_the_way():
        os.symlink("/tmp", mail.vmail + "/gilles")
        mail.slapd.add(EXTRA % {"uid": "gilles", "base": mail.slapd.base, "number": 20006,
                                "home": mail.vmail + "/gilles", "address": "gilles@example.com"})
        tap.same(code_of(mail.deliver, "gilles@example.com", TEXT % "x")[0], 451)
        os.unlink(mail.vmail + "/gilles")
        mail.deliver("gilles@example.com", TEXT % "now it goes")

    def alias_loop():
        for a, b in (("ping", "pong"), ("pong", "ping")):
            mail.slapd.add("dn: cn=%s,ou=mail,%s\nobjectClass: organizationalRole\n"
                           "objectClass: postfixUser\ncn: %s\nmailacceptinggeneralid: %s@example.com\n"
                           "maildrop: %s@example.com\n" % (a, mail.slapd.base, a, a, b))
        tap.same(code_of(mail.deliver, "ping@example.com", TEXT % "x")[0], 451)

    def full_mailbox():
        mail.options["virtual_mailbox_limit"] = "100k"
        mail.reload()
        mail.slapd.add(EXTRA % {"uid": "hugo", "base": mail.slapd.base, "number": 20007,
                                "home": mail.vmail + "/hugo", "address": "hugo@example.com"})
        refused = None
        for _ in range(8):
            try:
                mail.deliver("hugo@example.com", "Subject: fills\r\n\r\n" + ("x" * 70 + "\r\n") * 400)
            except (smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException) as e:
                refused = e
                break
        tap.true(refused, "a full mailbox takes mail")
        code, text = next(iter(refused.recipients.values()))
        tap.same(code, 452)
        tap.has(text.decode(), "4.2.2")
        size = sum(os.path.getsize(path) for path in mail.maildir("hugo"))
        tap.true(size <= 100 * 1024, "size %d" % size)
        del mail.options["virtual_mailbox_limit"]
        mail.reload()
        mail.deliver("hugo@example.com", TEXT % "room again")

    def silent_directory():
        mail.slapd.pause()
        try:
            tap.same(code_of(mail.deliver, "amelie@example.com", TEXT % "x")[0], 451)
            tap.same(code_of(mail.deliver, "nobody@example.com", TEXT % "x")[0], 451)
            tap.same(code_of(mail.submission)[0], 454)
            try:
                mail.imap()
            except imaplib.IMAP4.error as e:
                tap.has(str(e), "UNAVAILABLE")
            else:
                raise AssertionError("a login without a directory")
        finally:
            mail.slapd.resume()

    def directory_comes_back():
        mail.slapd.kill()
        tap.same(code_of(mail.deliver, "amelie@example.com", TEXT % "x")[0], 451)
        mail.slapd.start()

        def again():
            try:
                return mail.deliver("amelie@example.com", TEXT % "after the outage") == {}
            except smtplib.SMTPRecipientsRefused:
                return False
        tap.wait_for(again, 20, "mail flows again")
        mail.imap().logout()

    def large():
        body = "".join("%06d %s\r\n" % (i, "x" * 70) for i in range(40000))
        mail.deliver("bruno@example.net", "Subject: three megabytes\r\n\r\n" + body)
        message = [m for m in mail.messages("bruno") if "three megabytes" in m[:2000]][0]
        tap.same(message[message.index("\n\n") + 2:], body.replace("\r\n", "\n"))

    return [
        ("mail for an alias arrives with its headers", inbound),
        ("files belong to their owner", owners),
        ("an alias leads to several people", several),
        ("an alias leads to an alias", alias_of_alias),
        ("one mailbox gets one copy", once),
        ("recipient_delimiter", delimiter),
        ("postmaster is always accepted", postmaster),
        ("an unknown address is 550 5.1.1", unknown),
        ("no relaying, however the address is dressed", relay),
        ("submission on 587", submission),
        ("submission on 465", submissions),
        ("wrong passwords are 535, odd names inject nothing", passwords),
        ("senders must belong to the login", senders),
        ("no AUTH without TLS", no_auth),
        ("IMAP reads it", imap),
        ("IMAP refuses wrong passwords", imap_passwords),
        ("a person and a domain added with ldapadd", added_person),
        ("the first login makes the mailbox", first_login_makes_the_mailbox),
        ("a home that was made before its mailbox", home_without_a_mailbox),
        ("malformed entries are 451 and named in the log", malformed),
        ("a symbolic link in the way is 451", in_the_way),
        ("a loop of aliases is 451", alias_loop),
        ("a message of three megabytes", large),
        ("a full mailbox is 452 at RCPT", full_mailbox),
        ("a silent directory is never a no", silent_directory),
        ("the directory comes back", directory_comes_back),
    ]


with Instance(options={"ldap_timeout": "2s"}) as instance:
    tap.run(main(instance))
