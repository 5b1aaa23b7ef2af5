#!/usr/bin/env python3
"""What a user's entry says of the account: states, forwarding, quota. By the whole server, with a real
slapd; each change is made with ldapmodify, and a session of the user may be open meanwhile."""
import imaplib
import os
import smtplib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402
from tap import has, same, wait_for  # noqa: E402

AMELIE = "uid=amelie,ou=mail,dc=example,dc=org"
MAIL = "Subject: %s\r\n\r\nHello\r\n"


def entry(mail, dn=AMELIE, **attributes):
    """Exactly these attributes of facteurAccount stand in the entry; seen at once by syncprov or a flush."""
    lines = ["dn: " + dn, "changetype: modify"]
    text = mail.slapd.search("(objectClass=*)", "*", base=dn, scope="base")
    if "facteurAccount" not in text.replace("facteurAccountStatus", ""):
        lines += ["add: objectClass", "objectClass: facteurAccount", "-"]
    for name in ("AccountStatus", "Forward", "Quota"):
        lines += ["replace: facteur" + name]
        values = attributes.get(name, [])
        lines += ["facteur%s: %s" % (name, v) for v in ([values] if isinstance(values, str) else values)]
        lines += ["-"]
    mail.slapd.modify("\n".join(lines) + "\n")
    mail.facteur("directory", "flush")


def setting(mail, **options):
    mail.options = options
    mail.reload()


def rcpt(mail, *addresses):
    with mail.smtp() as client:
        client.ehlo("test.example")
        client.mail("somebody@remote.example")
        answers = []
        for address in addresses:
            code, text = client.docmd("RCPT TO:<%s>" % address)
            answers.append("%d %s" % (code, text.decode()))
        return answers[0] if len(answers) == 1 else answers


def subjects(mail, user):
    found = set()
    for path in mail.maildir(user):
        with open(path, "rb") as text:
            found |= {line[9:].strip().decode() for line in text if line.startswith(b"Subject: ")}
    return found


def arrives(mail, user, subject, seconds=15):
    wait_for(lambda: subject in subjects(mail, user), seconds, "%s has no %s" % (user, subject))


def login(mail, user="amelie"):
    """The error of an IMAP login, and of a submission login."""
    words = []
    try:
        mail.imap(user).logout()
        words.append("")
    except imaplib.IMAP4.error as e:
        words.append(str(e))
    try:
        mail.submission(user).quit()
        words.append("")
    except smtplib.SMTPAuthenticationError as e:
        words.append("%d %s" % (e.smtp_code, e.smtp_error.decode()))
    return words


def active(mail):
    entry(mail, AccountStatus="Active")
    mail.deliver("amelie@example.com", MAIL % "active")
    arrives(mail, "amelie", "active")
    same(login(mail), ["", ""])


def nologin(mail):
    entry(mail, AccountStatus="nologin")
    mail.deliver("amelie@example.com", MAIL % "nologin")
    arrives(mail, "amelie", "nologin")
    imap, submission = login(mail)
    has(imap, "may not log in here")
    has(submission, "535 5.7.8")


def disabled(mail):
    entry(mail)
    session = mail.imap("amelie")
    session.select()
    entry(mail, AccountStatus="disabled")
    has(rcpt(mail, "amelie@example.com"), "550 5.2.1")
    has(rcpt(mail, "amelie@mail.example.org"), "550 5.2.1")
    imap, submission = login(mail)
    has(imap, "account is disabled")
    has(submission, "525 5.7.13")

    def is_over():
        try:
            return session.noop()[0] != "OK"
        except (imaplib.IMAP4.abort, OSError):
            return True
    wait_for(is_over, 10, "the session lives on")
    mail.deliver("team@example.com", MAIL % "to the others")
    arrives(mail, "bruno", "to the others")
    same("to the others" in subjects(mail, "amelie"), False)


def wrong_passwords_learn_nothing(mail):
    entry(mail, AccountStatus="disabled")
    try:
        mail.imap("amelie", "a wrong one")
        raise AssertionError("it was taken")
    except imaplib.IMAP4.error as e:
        has(str(e), "Authentication failed")


def put_off_and_kept(mail):
    for action, answer in (("defer", "451 4.3.0"), ("keep", "250 2.1.5")):
        setting(mail, account_disabled_action=action)
        entry(mail, AccountStatus="disabled")
        wait_for(lambda: answer in rcpt(mail, "amelie@example.com"), 10, action)
        mail.deliver("team@example.com", MAIL % ("team " + action))
        arrives(mail, "amelie", "team " + action)
    mail.deliver("amelie@example.com", MAIL % "kept")
    arrives(mail, "amelie", "kept")
    setting(mail, account_disabled_action="reject")
    wait_for(lambda: "550" in rcpt(mail, "amelie@example.com"), 10, "reject")


def forwarded(mail):
    entry(mail, Forward=["bruno@example.com", "amelie@mail.example.org"])
    mail.deliver("amelie@example.com", MAIL % "with a copy")
    arrives(mail, "bruno", "with a copy")
    arrives(mail, "amelie", "with a copy")
    entry(mail, AccountStatus="forward", Forward="chloe@example.net")
    mail.deliver("amelie@example.com", MAIL % "forward only")
    arrives(mail, "chloe", "forward only")
    same("forward only" in subjects(mail, "amelie"), False, "a copy was kept")
    has(login(mail)[0], "may not log in here")
    entry(mail, AccountStatus="forward", Forward="away@elsewhere.example")
    has(rcpt(mail, "amelie@example.com"), "250")
    entry(mail, Forward="amelie@example.com")
    mail.deliver("amelie@example.com", MAIL % "to himself")
    arrives(mail, "amelie", "to himself")


def waiting_mail_follows(mail):
    """What waits in the queue for a mailbox goes where its owner has it forwarded meanwhile."""
    home = os.path.join(mail.vmail, "amelie")
    entry(mail)
    with mail.smtp() as client:
        client.ehlo("test.example")
        client.mail("somebody@remote.example")
        for address in ("amelie@example.com", "chloe@example.net"):
            same(client.rcpt(address)[0], 250, address)
        os.rename(home, home + ".away")
        with open(home, "w"):
            pass
        try:
            same(client.data(MAIL % "late")[0], 250, "one of two is delivered")
            wait_for(lambda: "queue-retry" in mail.log(), 20, "it does not wait in the queue")
            entry(mail, AccountStatus="forward", Forward="bruno@example.com")
            arrives(mail, "bruno", "late", 30)
        finally:
            os.remove(home)
            os.rename(home + ".away", home)
    same("late" in subjects(mail, "amelie"), False, "a copy was kept")


def broken_entries(mail):
    for attributes, why in (({"AccountStatus": "asleep"}, 'facteurAccountStatus "asleep" is not in'),
                            ({"AccountStatus": "forward"}, "has no facteurForward"),
                            ({"AccountStatus": "forward", "Forward": "amelie@example.com"}, "alias loop"),
                            ({"Forward": "a b c"}, "no address"), ({"Quota": "much"}, "is no size")):
        entry(mail, **attributes)
        has(rcpt(mail, "amelie@example.com"), "451 4.3.0")
        has(mail.log().replace("\\", ""), why)
    entry(mail)


def quota(mail):
    entry(mail, Quota="64k")
    with mail.imap("amelie") as client:
        has(str(client.getquotaroot("INBOX")), "STORAGE")
        has(str(client.getquotaroot("INBOX")), " 64)")
    mail.deliver("amelie@example.com", MAIL % "big" + "x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 800)
    arrives(mail, "amelie", "big")
    with mail.smtp() as client:
        client.ehlo("test.example")
        client.mail("somebody@remote.example", ["SIZE=60000"])
        code, text = client.docmd("RCPT TO:<amelie@example.com>")
        same((code, text[:5]), (452, b"4.2.2"), text)
    entry(mail, Quota="10m")
    with mail.imap("amelie") as client:
        has(str(client.getquotaroot("INBOX")), " 10240)")
    entry(mail)


def the_commands_know(mail):
    rights = ("-D", mail.slapd.admin_dn, "-y", os.path.join(mail.slapd.dir, "admin.pw"))
    entry(mail)
    has(mail.facteur("user", "disable", *rights, "amelie"), "facteurAccountStatus: disabled")
    mail.facteur("directory", "flush")
    has(rcpt(mail, "amelie@example.com"), "550 5.2.1")
    has(mail.facteur("user", "show", *rights, "amelie"), "facteurAccountStatus: disabled")
    mail.facteur("user", "enable", *rights, "amelie")
    mail.facteur("directory", "flush")
    has(rcpt(mail, "amelie@example.com"), "250")
    same(login(mail), ["", ""])


def main():
    with Instance() as mail:
        return tap.run([(f.__name__.replace("_", " "), lambda f=f: f(mail)) for f in
                        (active, nologin, disabled, wrong_passwords_learn_nothing, put_off_and_kept,
                         forwarded, waiting_mail_follows, broken_entries, quota, the_commands_know)])


sys.exit(main())
