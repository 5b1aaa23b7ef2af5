#!/usr/bin/env python3
"""facteur explain: the verdict and the reply are those that a client really gets, and every search is
told as slapd got it."""
import json
import os
import smtplib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import BUILD, Instance, free_ports  # noqa: E402

EXTRA = """
dn: cn=loop1,ou=mail,@BASE@
objectClass: organizationalRole
objectClass: postfixUser
cn: loop1
mailacceptinggeneralid: loop1@example.com
maildrop: loop2@example.com

dn: cn=loop2,ou=mail,@BASE@
objectClass: organizationalRole
objectClass: postfixUser
cn: loop2
mailacceptinggeneralid: loop2@example.com
maildrop: loop1@example.com

dn: cn=away,ou=mail,@BASE@
objectClass: organizationalRole
objectClass: postfixUser
cn: away
mailacceptinggeneralid: away@example.com
maildrop: somebody@remote.example

dn: uid=broken,ou=mail,@BASE@
objectClass: account
objectClass: posixAccount
objectClass: postfixUser
uid: broken
cn: broken
uidNumber: 5
gidNumber: 20100
homeDirectory: /etc
maildrop: broken@mail.example.org
userPassword: broken-secret
"""


def explain(mail, *arguments, password=None, text=False):
    command = [os.path.join(BUILD, "facteur"), "-c", mail.conf, "explain"]
    command += [] if text else ["--json"]
    done = subprocess.run(command + list(arguments), input=password and password + "\n",
                          capture_output=True, text=True)
    if done.returncode in (1, 2):
        raise AssertionError(done.stderr)
    return done.returncode, (done.stdout if text else json.loads(done.stdout))


def real_rcpt(mail, address):
    with mail.smtp() as client:
        client.ehlo("test.example")
        client.mail("somebody@remote.example")
        code, text = client.docmd("RCPT TO:<%s>" % address)
        return "%d %s" % (code, text.decode())


def searches(told):
    return [s for s in told["steps"] if s["step"] == "search"]


def recipients(mail):
    want = {"amelie@example.com": (0, "yes"), "team@example.com": (0, "yes"),
            "amelie+list@example.com": (0, "yes"), "nobody@example.com": (3, "no"),
            "x@elsewhere.example": (3, "not-here"), "loop1@example.com": (4, "cannot-say"),
            "away@example.com": (0, "remote"), "broken@mail.example.org": (4, "cannot-say")}
    for address, (status, verdict) in want.items():
        got, told = explain(mail, "rcpt", address)
        tap.same((got, told["verdict"]), (status, verdict), address)
        tap.same(told["smtp"], real_rcpt(mail, address), address)
    _, told = explain(mail, "rcpt", "amelie@example.com")
    first = [s for s in searches(told) if "virtual_alias_maps" in s["for"]
             and s["key"] == "amelie@example.com"][0]
    tap.same(first["filter"], "mailacceptinggeneralid=amelie@example.com")
    tap.same(first["base"], mail.slapd.mail_base)
    tap.same((first["scope"], first["result"], first["entries"]), ("sub", "Success", 1))
    if first["from"] == "server":
        tap.same(first["server"].rstrip("/"), mail.slapd.uri.rstrip("/"))
    entries = [s for s in told["steps"] if s["step"] == "entry"]
    tap.has(json.dumps(entries), "uid=amelie,")
    said = json.dumps([s for s in told["steps"] if s["step"] == "decision"])
    for part in ("leads to amelie@mail.example.org", "is a mailbox", "uid 20001"):
        tap.has(said, part)
    tap.same([(s["address"], s["remote"]) for s in told["steps"] if s["step"] == "target"],
             [("amelie@mail.example.org", False)])
    tap.same((told["steps"][-1]["number"], told["steps"][-1]["state"]), (1, 0))
    named = [s["for"].split() for s in searches(told)]
    tap.true(all(len(set(maps)) == len(maps) for maps in named), "each map is named once: %s" % named)
    _, told = explain(mail, "rcpt", "broken@mail.example.org")
    tap.has(told["steps"][-1]["why"], "uid=broken")
    _, told = explain(mail, "rcpt", "\"we(i*r\\\\d)\"@example.com")
    odd = [s["filter"] for s in searches(told) if "we" in s["filter"]]
    for one in odd:
        tap.same("(i" in one or "r\\d" in one, False, one)
    for address in ("", "amelie", "a b@example.com", "amelie@", "amelie@-", "postmaster"):
        status, told = explain(mail, "rcpt", address)
        tap.same(told["smtp"], real_rcpt(mail, address), address)
        tap.same(status, 0 if address == "postmaster" else 3)
    tap.same(explain(mail, "rcpt", "<amelie@example.com>")[0], 0, "in brackets")
    _, text = explain(mail, "rcpt", "amelie@example.com", text=True)
    tap.has(text, 'filter="mailacceptinggeneralid=amelie@example.com"')
    tap.has(text, "smtp      250 2.1.5 Ok")


def decisions(told):
    return json.dumps([s for s in told["steps"] if s["step"] == "decision"])


def states_of_accounts(mail):
    """Each state, and what a client gets with it."""
    dn = "uid=amelie," + mail.slapd.mail_base
    mail.slapd.modify("dn: %s\nchangetype: modify\nadd: objectClass\nobjectClass: facteurAccount\n" % dn)
    for state, forward, verdict, words, login in (
            ("active", None, "yes", "is a mailbox", 0), ("nologin", None, "yes", "is a mailbox", 3),
            ("disabled", None, "refused", "is disabled: account_disabled_action decides", 3),
            ("forward", "bruno@example.com", "yes", "is forwarded to bruno@example.com", 3),
            ("forward", "x@remote.example", "remote", "goes to another server", 3),
            ("forward", None, "cannot-say", "", 4), ("asleep", None, "cannot-say", "", 4)):
        mail.slapd.modify("dn: %s\nchangetype: modify\nreplace: facteurAccountStatus\nfacteurAccountStatus: %s\n-\n"
                          "replace: facteurForward\n%s" % (dn, state, forward and "facteurForward: %s\n" % forward or ""))
        mail.facteur("directory", "flush")
        _, told = explain(mail, "rcpt", "amelie@example.com")
        tap.same(told["verdict"], verdict, state)
        tap.has(decisions(told), words)
        tap.same(told["smtp"], real_rcpt(mail, "amelie@example.com"), state)
        status, told = explain(mail, "login", "--password", "amelie", password="amelie-secret")
        tap.same(status, login, state)
    tap.has(told["steps"][-1]["why"], 'facteurAccountStatus "asleep" is not in account_state_map')
    mail.slapd.modify("dn: %s\nchangetype: modify\ndelete: facteurAccountStatus\n-\n"
                      "replace: facteurVacationText\nfacteurVacationText: Away\n" % dn)
    mail.facteur("directory", "flush")
    _, told = explain(mail, "rcpt", "amelie@example.com")
    tap.has(decisions(told), "amelie@mail.example.org may be away: senders are told so")
    mail.slapd.modify("dn: %s\nchangetype: modify\ndelete: facteurVacationText\n" % dn)
    mail.facteur("directory", "flush")


def mailing_lists(mail):
    people = "uid=%s," + mail.slapd.mail_base
    entry = ("dn: cn=crew,%s\nobjectClass: groupOfNames\nobjectClass: facteurList\ncn: crew\n"
             "facteurListAddress: crew@example.com\nmember: %s\nmember: %s\nfacteurListMember: x@remote.example\n"
             "facteurListMember: gone@mail.example.org\n" % (mail.slapd.mail_base, people % "amelie", people % "nobody"))
    mail.slapd.add(entry + "facteurListOwner: boss@remote.example\nfacteurListPost: members\n")
    mail.facteur("directory", "flush")
    _, told = explain(mail, "rcpt", "crew@example.com")
    tap.same(told["verdict"], "remote")
    tap.has(str([s["remote"] for s in told["steps"] if s["step"] == "target"]), "True")
    for words in ("crew@example.com is a group", "errors of the list crew@example.com go to boss@remote.example",
                  "does not exist: left out", "only its members may post to this list",
                  "gone@mail.example.org does not exist: the list's owner is told",
                  "x@remote.example goes to another server", "amelie@mail.example.org is a mailbox"):
        tap.has(decisions(told), words)
    mail.slapd.delete("cn=crew," + mail.slapd.mail_base)
    mail.slapd.add(entry)
    mail.facteur("directory", "flush")
    _, told = explain(mail, "rcpt", "crew@example.com")
    tap.same((told["verdict"], told["smtp"]), ("cannot-say", real_rcpt(mail, "crew@example.com")))
    tap.has(told["steps"][-1]["why"], "leads to gone@mail.example.org, which does not exist")


def logins(mail):
    status, told = explain(mail, "login", "amelie")
    tap.same(status, 4)
    tap.same(("smtp" in told and told["smtp"], "imap" in told and told["imap"]), ("", "")
             if "smtp" in told else (False, False))
    tap.has(json.dumps(told["steps"]), "binding as uid=amelie,")
    tap.same([s for s in told["steps"] if s["step"] == "bind"], [])
    status, told = explain(mail, "login", "--password", "amelie", password="amelie-secret")
    tap.same((status, told["verdict"], told["smtp"]),
             (0, "yes", "235 2.7.0 Authentication successful"))
    bind = [s for s in told["steps"] if s["step"] == "bind"][0]
    tap.same((bind["dn"], bind["result"]), ("uid=amelie," + mail.slapd.mail_base, "yes"))
    status, told = explain(mail, "login", "--password", "amelie", password="wrong one")
    tap.same((status, told["verdict"]), (3, "no"))
    tap.has(told["imap"], "AUTHENTICATIONFAILED")
    try:
        mail.submission("amelie", "wrong one")
        raise AssertionError("a wrong password was taken")
    except smtplib.SMTPAuthenticationError as e:
        tap.same(told["smtp"], "%d %s" % (e.smtp_code, e.smtp_error.decode()))
    tap.same("wrong one" in json.dumps(told) or "wrong one" in mail.log(), False, "a password shown")
    status, told = explain(mail, "login", "nobody")
    tap.same((status, told["verdict"]), (3, "no"))
    status, told = explain(mail, "login", "bruno@example.net")
    tap.has(json.dumps(told["steps"]), "login name bruno")
    status, told = explain(mail, "login", "broken")
    tap.same(status, 4)
    tap.has(told["steps"][-1]["why"], "uidNumber")


def senders(mail):
    for login, address, want in (("amelie", "amelie.martin@example.com", 0),
                                 ("amelie", "bruno@example.com", 3),
                                 ("amelie", "x@elsewhere.example", 3), ("nobody", "a@b.example", 3),
                                 ("amelie", "", 0), ("amelie", "amelie", 3), ("amelie", "a b@example.com", 3)):
        status, told = explain(mail, "send", login, address)
        tap.same(status, want, address)
        if login == "nobody":
            continue
        with mail.submission(login) as client:
            code, text = client.docmd("MAIL FROM:<%s>" % address)
        tap.same(told["smtp"], "%d %s" % (code, text.decode()), address)


def senders_who_may_not_log_in(mail):
    """They get no further than that, and whoever explains it need not know the password."""
    dn = "uid=amelie," + mail.slapd.mail_base
    tap.same(explain(mail, "send", "amelie", "<>")[1]["smtp"], "250 2.1.0 Ok")
    for state, answer in (("disabled", "525 5.7.13"), ("nologin", "535 5.7.8")):
        mail.slapd.modify("dn: %s\nchangetype: modify\nreplace: facteurAccountStatus\nfacteurAccountStatus: %s\n"
                          % (dn, state))
        mail.facteur("directory", "flush")
        for question in (("send", "amelie", "amelie@example.com"), ("send", "amelie", ""), ("login", "amelie")):
            status, told = explain(mail, *question)
            tap.same(status, 3, question)
            tap.has(told["smtp"], answer)
            tap.has(decisions(told), "the account is %s: nobody may log in" % state)
    mail.slapd.modify("dn: %s\nchangetype: modify\ndelete: facteurAccountStatus\n" % dn)
    mail.facteur("directory", "flush")


def nothing_is_given_out(mail):
    before = mail.facteur("status")
    explain(mail, "rcpt", "team@example.com")
    explain(mail, "login", "--password", "amelie", password="amelie-secret")
    for text in (before, mail.facteur("status")):
        tap.has(text, "grants=")
    grants = [w for w in before.split() if w.startswith("grants=")]
    tap.same([w for w in mail.facteur("status").split() if w.startswith("grants=")], grants)


def servers_are_told(mail):
    """facteur status: how the directory servers fare."""
    def told():
        lines = json.loads(mail.facteur("status", "--json"))
        return [line for line in lines if line["what"] == "ldap-server"]
    other = "ldap://127.0.0.1:%d" % free_ports(1)[0]
    before = told()
    tap.same([(s["url"].rstrip("/"), s["state"], s["failed"]) for s in before],
             [(mail.slapd.uri.rstrip("/"), "well", 0)])
    tap.true(before[0]["asked"] > 0, "nobody asked: %s" % before)
    mail.options["ldap_server_host"] = other + " " + mail.slapd.uri
    mail.restart()
    explain(mail, "rcpt", "amelie@example.com")

    def is_told():
        sick, well = told()
        return (sick["url"], sick["state"], sick["asked"], well["state"]) == (other, "resting", 0, "well") \
            and sick["failed"] > 0 and sick.get("rests_s", 0) > 0 and well["asked"] > 0
    tap.wait_for(is_told, 60, "it is not told")
    mail.options["ldap_server_host"] = mail.slapd.uri
    mail.restart()


def mistakes(mail):
    command = [os.path.join(BUILD, "facteur"), "-c", mail.conf, "explain"]
    for arguments in ([], ["rcpt"], ["send", "amelie"], ["what", "x"], ["rcpt", "x" * 1001],
                      ["rcpt", "--password", "x"]):
        tap.same(subprocess.run(command + arguments, capture_output=True).returncode, 2)
    status, _ = explain(mail, "rcpt", "")
    tap.same(status, 3)


def an_outage(mail):
    mail.slapd.stop()
    try:
        status, told = explain(mail, "rcpt", "chloe@example.net")
        tap.same((status, told["verdict"]), (4, "cannot-say"))
        tap.has(told["smtp"], "451 4.3.0")
    finally:
        mail.slapd.start()


def main():
    with Instance(options={"group_maps": "ldap:ldap/groups.cf"}) as mail:
        mail.slapd.add(EXTRA.replace("@BASE@", mail.slapd.base))
        return tap.run([(f.__name__.replace("_", " "), lambda f=f: f(mail)) for f in
                        (recipients, states_of_accounts, mailing_lists, logins, senders,
                         senders_who_may_not_log_in, nothing_is_given_out, servers_are_told, mistakes, an_outage)])


sys.exit(main())
