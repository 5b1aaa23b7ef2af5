#!/usr/bin/env python3
"""sasl_relay_mechanisms: SCRAM and CRAM-MD5 as SASL binds at a real slapd with Cyrus SASL and
an authz-regexp, over SMTP, IMAP and POP3, by clients of others and step by step."""
import hashlib
import imaplib
import json
import os
import poplib
import smtplib
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import authline  # noqa: E402
import tap  # noqa: E402
from authline import ALL, Imap, Pop3, Smtp, b64, offers, starts  # noqa: E402
from instance import BUILD, Instance  # noqa: E402
from scram import Scram  # noqa: E402
from slapd import SRCDIR  # noqa: E402

MECHANISMS = "SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5"
PEOPLE = ("amelie", "bruno", "chloe")


def prepare(slapd):
    with open(os.path.join(SRCDIR, "schema", "sasl.ldif")) as ldif:
        slapd.modify_config(ldif.read())
    for uid in PEOPLE:
        slapd.modify("dn: uid=%s,%s\nchangetype: modify\nreplace: userPassword\n"
                     "userPassword: %s-secret\n" % (uid, slapd.mail_base, uid))


def configure(**options):
    instance.options = dict({"sasl_relay_mechanisms": MECHANISMS}, **options)
    instance.restart()


def scram(session, scram, at_once=True):
    """The end of it, as the client hears it."""
    if at_once:
        challenge, end = session.begin(scram.name, b64(scram.first()))
    else:
        challenge, end = session.begin(scram.name)
        tap.same((challenge, end), (b"", None), "the empty challenge")
        challenge, end = session.line(b64(scram.first()))
    if end is None:
        challenge, end = session.line(b64(scram.final(challenge)))
    if end is None:
        scram.check(challenge)
        challenge, end = session.line("")
        tap.same(challenge, None)
    return end


def login(kind, user="amelie", password=None, source="127.0.0.1", **more):
    session = kind(source)
    try:
        return scram(session, Scram(user, password or user + "-secret", **more))
    finally:
        session.close()


# --- what is offered ---

def off_by_default():
    tap.same(offers(), [["LOGIN", "PLAIN"]] * 3)
    for kind in ALL:
        session = kind()
        challenge, end = session.begin("SCRAM-SHA-256", b64(Scram("amelie", "x").first()))
        tap.same(challenge, None)
        starts(end, kind.unknown)
        session.close()


def offered():
    configure()
    tap.same(offers(), [sorted(["LOGIN", "PLAIN"] + MECHANISMS.split())] * 3)
    with smtplib.SMTP("localhost", instance.ports["submission"], timeout=30) as clear:
        clear.ehlo()
        tap.true("auth" not in clear.esmtp_features, "AUTH without TLS")
        starts("%d" % clear.docmd("AUTH", "SCRAM-SHA-256")[0], "5")
    with imaplib.IMAP4("localhost", instance.ports["imap"], timeout=30) as clear:
        tap.true(not [c for c in clear.capabilities if c.startswith("AUTH=")], "AUTH= without TLS")
    clear = poplib.POP3("localhost", instance.ports["pop3"], timeout=30)
    tap.true("SASL" not in clear.capa(), "SASL without TLS")
    clear.close()


# --- step by step ---

def step_by_step():
    for kind in ALL:
        for name in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
            for at_once in (True, False):
                session = kind()
                tap.true(scram(session, Scram("amelie", "amelie-secret", name), at_once)
                         .startswith(kind.yes), "%s by %s" % (name, kind.__name__))
                session.close()
        starts(login(kind, password="wrong"), kind.no)
        starts(login(kind, "nobody"), kind.no)
    tap.has(instance.log(), "user=nobody verdict=no")


def whose_rights():
    """The session is amelie's, and so are the addresses that she may send from."""
    instance.deliver("amelie@example.com", "Subject: for amelie alone\r\n\r\nHello\r\n")
    imap = Imap()
    starts(scram(imap, Scram("AMELIE", "amelie-secret")), imap.yes)
    imap.client.state = "AUTH"
    tap.same(imap.client.select("INBOX")[0], "OK")
    tap.has(str(imap.client.fetch("1", "(BODY[])")), "for amelie alone")
    imap.close()
    smtp = Smtp()
    starts(scram(smtp, Scram("amelie", "amelie-secret")), smtp.yes)
    smtp.client.sendmail("amelie@example.com", ["bruno@example.com"],
                         "From: amelie@example.com\r\nSubject: hers\r\n\r\nHello\r\n")
    tap.wait_for(lambda: "hers" in "".join(instance.messages("bruno")), 20)
    try:
        smtp.client.sendmail("bruno@example.com", ["amelie@example.com"], "Subject: his\r\n\r\n\r\n")
        raise AssertionError("she sends as bruno")
    except smtplib.SMTPException as e:
        tap.has(str(e), "553")
    smtp.close()


def clients_of_others():
    ca = ["--x509-ca-file=" + instance.ca]
    for name in MECHANISMS.split():
        for words in (["--smtp", "--connect=localhost:%d" % instance.ports["submission"]],
                      ["--imap", "--connect=localhost:%d" % instance.ports["imap"]]):
            for password, good in (("bruno-secret", True), ("wrong", False)):
                done = subprocess.run(["gsasl", "--mechanism=" + name, "-a", "bruno", "-z", "",
                                       "-p", password, "-r", "", "--hostname=localhost",
                                       "--no-cb", *words, *ca],
                                      stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                      timeout=60)
                tap.same(done.returncode == 0, good,
                         "gsasl %s %s: %s%s" % (name, words[0], done.stdout, done.stderr))
    done = subprocess.run(["swaks", "--server", "127.0.0.1:%d" % instance.ports["submission"],
                           "-tls", "--auth", "CRAM-MD5", "--auth-user", "bruno", "--auth-password",
                           "bruno-secret", "--quit-after", "AUTH", "--helo", "test.example"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    tap.same(done.returncode, 0, done.stdout + done.stderr)
    tap.has(done.stdout, "235 ")
    for url in ("imaps://localhost:%d/INBOX" % instance.ports["imaps"],
                "pop3s://localhost:%d/" % instance.ports["pop3s"]):
        for password, good in (("chloe-secret", 0), ("wrong", 67)):
            done = subprocess.run(["curl", "-sS", "--cacert", instance.ca, "--login-options",
                                   "AUTH=CRAM-MD5", "-u", "chloe:" + password, url],
                                  capture_output=True, text=True, timeout=60)
            tap.same(done.returncode, good, done.stderr)


# --- who it is ---

def another_identity():
    """To act for somebody else is the directory's to grant; nothing says that the password was wrong."""
    starts(login(Smtp, authzid="u:bruno"), Smtp.later)
    tap.has(instance.log(), 'why="Insufficient access"')


def set_flag(uid, change):
    instance.slapd.modify("dn: uid=%s,%s\nchangetype: modify\n%s\n" % (uid, instance.slapd.mail_base, change))


def accounts_that_may_not():
    """What the directory says of an account holds for these logins too."""
    for kind in ALL:
        starts(login(kind, "chloe"), kind.yes)
    configure(user_filter="(&(objectClass=posixAccount)(uid=%u)(!(description=gone)))")
    set_flag("chloe", "add: description\ndescription: gone\n")
    for kind in ALL:
        starts(login(kind, "chloe"), kind.no)
    set_flag("chloe", "delete: description\n")
    instance.facteur("directory", "flush")
    starts(login(Imap, "chloe"), Imap.yes)
    configure(account_state_attribute="description")
    set_flag("chloe", "add: description\ndescription: disabled\n")
    for kind, told in ((Smtp, "5"), (Imap, "x NO [CONTACTADMIN]"), (Pop3, "-ERR [AUTH]")):
        starts(login(kind, "chloe"), told)
    set_flag("chloe", "delete: description\n")
    configure()
    starts(login(Imap, "chloe"), Imap.yes)
    instance.slapd.modify_config("dn: cn=module{0},cn=config\nchangetype: modify\nadd: olcModuleLoad\n"
                                 "olcModuleLoad: ppolicy\n\n"
                                 "dn: olcOverlay=ppolicy,olcDatabase={1}mdb,cn=config\nchangetype: add\n"
                                 "objectClass: olcOverlayConfig\nobjectClass: olcPPolicyConfig\n"
                                 "olcOverlay: ppolicy\n")
    set_flag("chloe", "add: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n")
    instance.facteur("directory", "flush")
    starts(login(Imap, "chloe"), "x NO [CONTACTADMIN]")
    set_flag("chloe", "delete: pwdAccountLockedTime\n-\nadd: pwdReset\npwdReset: TRUE\n")
    instance.facteur("directory", "flush")
    starts(login(Imap, "chloe"), "x NO [EXPIRED]")
    configure(password_must_change="accept")
    starts(login(Imap, "chloe"), Imap.yes)
    set_flag("chloe", "delete: pwdReset\n")


def without_authz_regexp():
    """The directory lets somebody in whom it has no entry for: that is its settings' fault."""
    rule = "dn: cn=config\nchangetype: modify\n%s: olcAuthzRegexp\n%s\n"
    line = ('olcAuthzRegexp: {0}"uid=([^,]*),(cn=[^,]*,)?cn=[^,]*,cn=auth" "uid=$1,%s"\n'
            % instance.slapd.mail_base)
    other = line.replace('"uid=([', '"mail=([')
    instance.slapd.modify_config(rule % ("replace", other))
    try:
        for kind in ALL:
            end = login(kind)
            tap.true(end.startswith(kind.later) or end.startswith(kind.no), end)
    finally:
        instance.slapd.modify_config(rule % ("replace", line))
    starts(login(Smtp), Smtp.yes)


# --- sad ends ---

def cancelled():
    for kind, told in ((Smtp, "501 5.7.0"), (Imap, "x BAD"), (Pop3, "-ERR")):
        session = kind()
        session.begin("SCRAM-SHA-256", b64(Scram("amelie", "x").first()))
        starts(session.line("*")[1], told)
        starts(session.begin("CRAM-MD5", "=")[1], kind.later)
        session.begin("SCRAM-SHA-256", b64(Scram("amelie", "x").first()))
        starts(session.line("%%%")[1], {Smtp: "501", Imap: "x BAD", Pop3: "-ERR"}[kind])
        session.begin("CRAM-MD5")
        starts(session.line("*")[1], told)
        starts(scram(session, Scram("amelie", "amelie-secret")), kind.yes)
        session.close()
        session = kind() # more than nothing after the last word
        first = Scram("amelie", "amelie-secret")
        challenge, _ = session.begin(first.name, b64(first.first()))
        session.line(b64(first.final(challenge)))
        starts(session.line("QUFB")[1], {Smtp: "501", Imap: "x BAD", Pop3: "-ERR"}[kind])
        session.close()


def slow_clients():
    """One connection to the directory: who stops in the middle loses it to who waits, no sooner than
    after a second; who leaves gives it back at once."""
    configure(ldap_sasl_connections="1")
    for kind in ALL:
        slow = kind()
        client = Scram("amelie", "amelie-secret")
        challenge, _ = slow.begin(client.name, b64(client.first()))
        began = time.monotonic()
        starts(login(kind, "bruno"), kind.yes)
        tap.true(time.monotonic() - began > 0.8, "taken away at once")
        starts(slow.line(b64(client.final(challenge)))[1], kind.later)
        starts(scram(slow, Scram("amelie", "amelie-secret")), kind.yes)
        slow.close()
    began = time.monotonic()
    for i in range(30):
        session = ALL[i % 3]()
        session.begin("SCRAM-SHA-256", b64(Scram(PEOPLE[i % 3], "x").first()))
        session.close()
    starts(login(Smtp), Smtp.yes)
    tap.true(time.monotonic() - began < 25, "the connections of those who left")


def many_at_once():
    configure(ldap_sasl_connections="2")
    clients = [(ALL[i % 3](), Scram("amelie", "amelie-secret")) for i in range(12)]
    for session, client in clients:
        starts(scram(session, client), session.yes)
        session.close()


def outage():
    configure()
    for kind in ALL:
        session, client = kind(), Scram("amelie", "amelie-secret")
        challenge, _ = session.begin(client.name, b64(client.first()))
        instance.slapd.stop()
        starts(session.line(b64(client.final(challenge)))[1], kind.later)
        starts(session.begin(client.name, b64(client.first()))[1], kind.later)
        instance.slapd.start()
        tap.wait_for(lambda: scram(session, Scram("amelie", "amelie-secret")).startswith(kind.yes), 30)
        session.close()


def a_new_configuration():
    """An exchange under way ends as it began."""
    session, client = Smtp(), Scram("amelie", "amelie-secret")
    challenge, _ = session.begin(client.name, b64(client.first()))
    instance.options["ldap_sasl_connections"] = "3"
    instance.reload()
    challenge, _ = session.line(b64(client.final(challenge)))
    client.check(challenge)
    starts(session.line("")[1], session.yes)
    session.close()
    starts(login(Imap), Imap.yes)


def guesses_are_counted():
    """As those of other logins: for the account, from everywhere, before the directory is asked."""
    configure(auth_failure_exceptions="")
    starts(login(Smtp, "bruno"), Smtp.yes)
    names = ("bruno", "BRUNO", "Bruno", "bRuNo")
    got = [login(Smtp, names[i % 4], "wrong", "127.1.%d.1" % i)[:3] for i in range(8)]
    tap.same(got, ["535"] * 4 + ["454"] * 4)
    starts(login(Smtp, "bruno", source="127.9.9.9"), "454 4.7.0")
    starts(login(Imap, "bruno"), Imap.yes)
    starts(login(Smtp, "bruno", source="127.9.9.9"), Smtp.yes)


def what_cannot_be_relayed():
    for name in ("EXTERNAL", "SCRAM-SHA-256-PLUS", "PLAIN", "scram-sha-1", "DIGEST-MD5", "GSSAPI"):
        try:
            configure(sasl_relay_mechanisms="CRAM-MD5, " + name)
        except RuntimeError as e:
            tap.has(str(e), "sasl_relay_mechanisms: %s cannot be relayed" % name)
        else:
            raise AssertionError("it started with " + name)
    configure()


# --- facteur directory lint ---

def lint(*words):
    """(findings about SASL, notes about what was not proved)."""
    done = subprocess.run([os.path.join(BUILD, "facteur"), "-c", instance.conf, "directory", "lint",
                           "--json", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    tap.true(done.returncode in (0, 1), done.stderr)
    told = json.loads(done.stdout)
    return ([(f["check"], f["dn"].split(",")[0], f["text"], f["ldif"]) for f in told["findings"]
             if f["check"].startswith("sasl-")],
            [n for n in told["notes"] if n.startswith("not proved")])


def set_password(uid, stored):
    set_flag(uid, "replace: userPassword\nuserPassword: " + stored + "\n")


def hashed(password):
    salt = os.urandom(8)
    return "{SSHA}" + b64(hashlib.sha1(password.encode() + salt).digest() + salt)


def proved_by_lint():
    path = os.path.join(instance.dir, "password")
    with open(path, "w") as out:
        out.write("amelie-secret\n")
    amelie = ("--login", "amelie", "--login-password-file", path)
    configure()
    findings, notes = lint()
    tap.same((findings, len(notes)), ([], 1))
    tap.has(notes[0], "--login NAME")
    tap.same(lint(*amelie), ([], []))
    set_password("amelie", hashed("amelie-secret"))
    findings, notes = lint(*amelie)
    tap.same([f[:2] for f in findings], [("sasl-password", "uid=amelie")] * 3)
    for name, finding in zip(MECHANISMS.split(), findings):
        tap.has(finding[2], "cannot check it by " + name)
    tap.same(notes, [])
    set_password("amelie", "another")
    for words in (amelie, ("--login", "nobody", *amelie[2:]), (*amelie[:3], "/nowhere"), amelie[:2]):
        findings, notes = lint(*words)
        tap.same((findings, len(notes)), ([], 1), words)
    set_password("amelie", "amelie-secret")
    instance.options["sasl_relay_mechanisms"] = "CRAM-MD5, SCRAM-SHA-999"
    instance.write_config()
    findings, _ = lint(*amelie)
    tap.same([f[:2] for f in findings], [("sasl-missing", "facteur.conf")])
    tap.has(findings[0][2], "SCRAM-SHA-999")


def led_astray_as_lint_sees():
    """The mechanism works, and is somebody else's login."""
    path = os.path.join(instance.dir, "password")
    configure(sasl_relay_mechanisms="CRAM-MD5")
    rule = "dn: cn=config\nchangetype: modify\nreplace: olcAuthzRegexp\nolcAuthzRegexp: {0}%s\n"
    good = '"uid=([^,]*),(cn=[^,]*,)?cn=[^,]*,cn=auth" "uid=$1,%s"' % instance.slapd.mail_base
    set_password("bruno", "amelie-secret")
    instance.slapd.modify_config(rule % ('"uid=amelie,.*" "uid=bruno,%s"' % instance.slapd.mail_base))
    try:
        findings, notes = lint("--login", "amelie", "--login-password-file", path)
        tap.same(([f[:2] for f in findings], notes), ([("sasl-identity", "uid=amelie")], []))
        tap.has(findings[0][2], "uid=bruno,")
        tap.has(findings[0][3], 'olcAuthzRegexp: "uid=([^,]*),(cn=[^,]*,)?cn=[^,]*,cn=auth" "uid=$1,')
    finally:
        instance.slapd.modify_config(rule % good)
        set_password("bruno", "bruno-secret")


if __name__ == "__main__":
    with Instance() as instance:
        authline.Line.instance = instance
        prepare(instance.slapd)
        failed = tap.run([(f.__name__.replace("_", " "), f) for f in (
            off_by_default, offered, step_by_step, whose_rights, clients_of_others, another_identity,
            without_authz_regexp, cancelled, slow_clients, many_at_once, outage, a_new_configuration,
            guesses_are_counted, accounts_that_may_not, what_cannot_be_relayed, proved_by_lint,
            led_astray_as_lint_sees)])
    sys.exit(failed > 0)
