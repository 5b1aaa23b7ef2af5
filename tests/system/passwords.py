#!/usr/bin/env python3
"""What a password policy says, in every protocol's words, and strangers who cannot lock anybody out:
against a real slapd with the ppolicy overlay."""
import imaplib
import os
import poplib
import smtplib
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from directory import Directory, connection  # noqa: E402
from instance import BUILD, Instance  # noqa: E402

PLAIN, EXPIRED, MUST_CHANGE, LOCKED, DISABLED, TOO_MANY = "012345"

OVERLAY = """dn: cn=module{0},cn=config
changetype: modify
add: olcModuleLoad
olcModuleLoad: ppolicy

dn: olcOverlay=ppolicy,olcDatabase={1}mdb,cn=config
changetype: add
objectClass: olcOverlayConfig
objectClass: olcPPolicyConfig
olcOverlay: ppolicy
olcPPolicyDefault: cn=usual,dc=example,dc=org
olcPPolicyUseLockout: TRUE
"""


def policy(name, rules):
    return ("dn: cn=%s,dc=example,dc=org\nobjectClass: organizationalRole\nobjectClass: pwdPolicy\n"
            "cn: %s\npwdAttribute: userPassword\n%s\n" % (name, name, rules))


def person(uid, number, rules="", more=""):
    return ("dn: uid=%s,ou=mail,dc=example,dc=org\nobjectClass: account\nobjectClass: posixAccount\n"
            "objectClass: postfixUser\ncn: %s\nuid: %s\nuidNumber: %d\ngidNumber: 20100\n"
            "homeDirectory: %s/%s\nmaildrop: %s@mail.example.org\n"
            "mailacceptinggeneralid: %s@example.com\nmailacceptinggeneralid: first.%s@example.com\n"
            "userPassword: %s-secret\n%s%s\n"
            % (uid, uid, uid, number, vmail, uid, uid, uid, uid, uid,
               "pwdPolicySubentry: cn=%s,dc=example,dc=org\n" % rules if rules else "", more))


def prepare(mail):
    slapd = mail.slapd
    slapd.modify_config(OVERLAY)
    slapd.add(policy("usual", "pwdMaxFailure: 5\npwdLockout: TRUE\npwdLockoutDuration: 3600\n"
                              "pwdFailureCountInterval: 0\npwdMustChange: TRUE\n")
              + policy("old", "pwdMaxAge: 1\npwdMustChange: TRUE\n")
              + policy("graceful", "pwdMaxAge: 1\npwdGraceAuthnLimit: 40\n")
              + policy("warned", "pwdMaxAge: 100000\npwdExpireWarning: 99999\n"))
    slapd.add(person("usual", 20501) + person("expired", 20502, "old")
              + person("grace", 20503, "graceful") + person("reset", 20504)
              + person("locked", 20505) + person("warned", 20506, "warned")
              + person("victim", 20507) + person("other", 20508))
    slapd.modify("dn: uid=reset,ou=mail,dc=example,dc=org\nchangetype: modify\nadd: pwdReset\n"
                 "pwdReset: TRUE\n")
    time.sleep(2)  # passwords grow old by the second, in slapd's clock


def directory(**options):
    return Directory(connection(instance.slapd, virtual_mailbox_base=vmail, **options))


def failures(uid):
    text = instance.slapd.search("(uid=%s)" % uid, "pwdFailureTime", "pwdAccountLockedTime")
    return text.count("pwdFailureTime:"), "pwdAccountLockedTime:" in text


def lock(uid):
    with directory() as d:
        for _ in range(5):
            d.auth(uid, "wrong")
    tap.true(failures(uid)[1], "slapd has locked it")


# --- what the directory program answers ---

def states():
    with directory() as d:
        def got(user, password):
            a = d.auth(user, password)
            return a.verdict, a.state
        tap.same(got("usual", "usual-secret"), ("yes", PLAIN))
        tap.same(got("usual", "wrong"), ("no", PLAIN))
        tap.same(got("expired", "expired-secret"), ("no", EXPIRED))
        tap.same(got("expired", "wrong"), ("no", PLAIN))
        tap.same(got("reset", "wrong"), ("no", PLAIN))
        tap.same(got("locked", "locked-secret"), ("no", LOCKED))
        tap.same(got("locked", "wrong"), ("no", LOCKED))
        tap.same(got("reset", "reset-secret"), ("no", MUST_CHANGE))
        tap.has(d.log(), "password-must-change login=reset")
        tap.same(got("grace", "grace-secret"), ("yes", PLAIN))
        tap.has(d.log(), "grace-login login=grace")
        tap.same(got("warned", "warned-secret"), ("yes", PLAIN))
        tap.has(d.log(), "password-expires login=warned seconds=")
    with directory(password_must_change="accept") as d:
        a = d.auth("reset", "reset-secret")
        tap.same((a.verdict, a.state), ("yes", PLAIN))
        tap.same(d.auth("reset", "wrong").verdict, "no")
        tap.same(d.auth("expired", "expired-secret").verdict, "no")


# --- what clients hear ---

def smtp(user, password, source="127.0.0.1"):
    with smtplib.SMTP("127.0.0.1", instance.ports["submission"], timeout=30,
                      source_address=(source, 0)) as client:
        client._host = "localhost"
        client.starttls(context=instance.tls())
        try:
            client.ehlo()
            client.user, client.password = user, password
            client.auth("PLAIN", client.auth_plain)
        except smtplib.SMTPAuthenticationError as e:
            return "%d %s" % (e.smtp_code, e.smtp_error.decode())
        return "yes"


def imap(user, password):
    try:
        instance.imap(user, password).logout()
    except imaplib.IMAP4.error as e:
        return str(e)
    return "yes"


def pop3(user, password):
    client = poplib.POP3_SSL("localhost", instance.ports["pop3s"], context=instance.tls())
    try:
        client.user(user)
        client.pass_(password)
    except poplib.error_proto as e:
        return str(e)
    finally:
        client.close()
    return "yes"


def words():
    for user, password, told in (
            ("usual", "wrong", ("535 5.7.8", "[AUTHENTICATIONFAILED]", "[AUTH]")),
            ("expired", "expired-secret", ("535 5.7.8", "[EXPIRED]", "[AUTH] The password has expired")),
            ("reset", "reset-secret", ("535 5.7.8", "[EXPIRED]", "[AUTH] The password must be")),
            ("locked", "locked-secret", ("535 5.7.8", "[CONTACTADMIN]", "[AUTH] The account is locked")),
            ("usual", "usual-secret", ("yes", "yes", "yes")),
            ("grace", "grace-secret", ("yes", "yes", "yes"))):
        for say, want in zip((smtp, imap, pop3), told):
            tap.has(say(user, password), want)


def right_passwords_do_not_count():
    """A telephone with an expired password keeps nobody of its network out."""
    instance.options = {"auth_failure_user_limit": "2", "auth_failure_network_limit": "3",
                        "auth_failure_exceptions": ""}
    instance.restart()
    for _ in range(6):
        tap.has(imap("expired", "expired-secret"), "[EXPIRED]")
    tap.same(imap("usual", "usual-secret"), "yes")


def many_at_once():
    """A mail program opens all its connections together: none of them is one too many."""
    with directory() as d:
        d.wait_connected()
        tags = [d.ask("auth", "usual", "usual-secret", "imap", "", "203.0.113.77") for _ in range(40)]
        tap.same({d.wait(t, 30).verdict for t in tags}, {"yes"})


# --- strangers ---

def strangers():
    """From a hundred networks, under every name: slapd never locks, and its owner logs in."""
    names = ["victim", "VICTIM", "victim@example.com", "first.victim@example.com",
             "First.Victim@Example.Com", "victim@mail.example.org"]
    with directory(auth_failure_exceptions="") as d:
        tap.same(d.auth("victim", "victim-secret", client="192.0.2.7").verdict, "yes")
        asked = [d.ask("auth", names[i % 6], "wrong", "imap", "", "198.51.%d.9" % i) for i in range(100)]
        got = [d.wait(tag) for tag in asked]
        got = sorted(((a.verdict, a.state) for a in got), reverse=True)
        tap.same(got, [("no", PLAIN)] * 4 + [("cannot-say", TOO_MANY)] * 96)
        tap.same(failures("victim"), (4, False))
        a = d.auth("victim", "victim-secret", client="203.0.113.5")
        tap.same((a.verdict, a.state), ("cannot-say", TOO_MANY), "a new network, meanwhile")
        tap.same(d.auth("victim", "victim-secret", client="192.0.2.99").verdict, "yes")
        tap.same(failures("victim"), (0, False))
        nobody = [d.auth("nobody", "wrong", client="198.51.%d.9" % i) for i in range(8)]
        tap.same([a.verdict for a in nobody], ["no"] * 4 + ["cannot-say"] * 4,
                 "who exists is not told by the limit")
        d.options["auth_failure_exceptions"] = "198.51.100.0/24"
        d.reload()
        for _ in range(6):
            tap.same(d.auth("nobody", "wrong", client="198.51.100.1").verdict, "no")
    with directory(auth_failure_account_limit="0") as d:
        for i in range(5):
            tap.same(d.auth("other", "wrong", client="198.51.%d.9" % i).state, PLAIN)
        tap.same(failures("other")[1], True, "without a limit it would be locked")


def strangers_over_the_wire():
    instance.options = {"auth_failure_exceptions": ""}
    instance.restart()
    tap.same(smtp("usual", "usual-secret", "127.0.0.1"), "yes")
    got = [smtp("usual", "wrong", "127.1.%d.1" % i)[:3] for i in range(8)]
    tap.same(got, ["535"] * 4 + ["454"] * 4)
    tap.has(smtp("usual", "usual-secret", "127.9.9.9"), "454 4.7.0")
    tap.same(imap("usual", "usual-secret"), "yes")


# --- the administrator's lock ---

def run_user(*words):
    return subprocess.run([os.path.join(BUILD, "facteur"), "-c", instance.conf, "user", "-D",
                           instance.slapd.admin_dn, "-y", instance.slapd.dir + "/admin.pw", *words],
                          capture_output=True, text=True, check=True)


def user(*words):
    return run_user(*words).stdout


def administered():
    """facteur user locks by the overlay where the server has it."""
    tap.same(imap("usual", "usual-secret"), "yes")
    tap.has(user("disable", "usual"), "replace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n")
    tap.wait_for(lambda: imap("usual", "usual-secret") != "yes", 30, "the lock is not heeded")
    tap.has(user("enable", "usual"), "delete: pwdAccountLockedTime\n")
    tap.wait_for(lambda: imap("usual", "usual-secret") == "yes", 30, "the lock is still heeded")


def without_lockout():
    """slapd lets a locked account in under a policy without pwdLockout: Facteur does not."""
    dn = "uid=warned," + instance.slapd.mail_base
    tap.same(imap("warned", "warned-secret"), "yes")
    session = instance.imap("warned", "warned-secret")
    locked = run_user("disable", "warned")
    tap.has(locked.stdout, "pwdAccountLockedTime: 000001010000Z")
    tap.same(locked.stderr, "")
    tap.wait_for(lambda: "locked" in imap("warned", "warned-secret"), 60, "the lock is not heeded")
    tap.has(imap("warned", "warned-secret"), "[CONTACTADMIN] The account is locked.")
    tap.has(smtp("warned", "warned-secret"), "535 5.7.8 Error: authentication failed: the account is locked")
    tap.has(imap("warned", "wrong"), "AUTHENTICATIONFAILED")
    told = subprocess.run([os.path.join(BUILD, "facteur"), "-c", instance.conf, "explain", "login", "warned"],
                          capture_output=True, text=True)
    tap.has(told.stdout, "an administrator has locked the account")
    tap.wait_for(lambda: is_over(session), 60, "his session goes on")
    tap.same(bound_as(dn, "warned-secret"), 0, "slapd itself heeds the lock")
    user("enable", "warned")
    tap.wait_for(lambda: imap("warned", "warned-secret") == "yes", 60, "the lock is still heeded")

    instance.slapd.modify_config("dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nadd: olcAccess\n"
                                 "olcAccess: {0}to attrs=pwdAccountLockedTime by * none\n")
    tap.has(run_user("disable", "warned").stderr, "may not see pwdAccountLockedTime")
    user("enable", "warned")


def is_over(session):
    try:
        session.noop()
    except (imaplib.IMAP4.abort, OSError):
        return True
    return False


def bound_as(dn, password):
    """The status of a command that binds as somebody."""
    return subprocess.run(["ldapwhoami", "-x", "-H", instance.slapd.uri, "-D", dn, "-w", password],
                          capture_output=True).returncode


if __name__ == "__main__":
    with Instance() as instance:
        vmail = instance.vmail
        prepare(instance)
        lock("locked")
        failed = tap.run([
            ("what a password policy says", states), ("the words for it, in each protocol", words),
            ("an administrator's lock", administered),
            ("that lock, where slapd does not heed it", without_lockout),
            ("right passwords do not count", right_passwords_do_not_count),
            ("many logins of one user at once", many_at_once),
            ("strangers cannot lock anybody out", strangers),
            ("strangers, over the wire", strangers_over_the_wire)])
    sys.exit(failed > 0)
