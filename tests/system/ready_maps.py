#!/usr/bin/env python3
"""The ready maps of conf/directories: entries of those directories' classes in a real slapd, asked
through ldapmap and through a whole instance, by mail, login and sender; and the same in a real 389
Directory Server, where Debian's 389-ds-base is installed."""
import glob
import imaplib
import json
import os
import smtplib
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import schemas  # noqa: E402
import tap  # noqa: E402
from dirsrv import PrivateDirsrv  # noqa: E402
from instance import BUILD, Instance  # noqa: E402
from slapd import SRCDIR, PrivateSlapd  # noqa: E402


def options_of(name, mail):
    """The set's facteur.conf, led to the private slapd; its tables by absolute paths."""
    options = {}
    with open(os.path.join(SRCDIR, "conf/directories", name, "facteur.conf")) as conf:
        for line in conf:
            if line.strip() and line[0] != "#":
                key, _, value = line.partition("=")
                options[key.strip()] = value.strip().replace("ldap:ldap/", "ldap:maps/")
    server = mail.people_in
    options.update(ldap_server_host=server.uri, ldap_search_base=server.mail_base,
                   ldap_bind_dn=server.reader_dn, ldap_bind_pw=server.reader_password,
                   ldap_start_tls="yes" if server is mail.slapd else "no",
                   virtual_mailbox_base=mail.vmail)
    return options


def copy_tables(name, mail):
    os.makedirs(mail.dir + "/maps", exist_ok=True)
    for path in glob.glob(os.path.join(SRCDIR, "conf/directories", name, "*.cf")):
        to = os.path.join(mail.dir, "maps", os.path.basename(path))
        with open(path) as table, open(to, "w") as out:
            out.write(table.read())
        os.chmod(to, 0o640)


def ask(name, mail, table, key):
    with tempfile.NamedTemporaryFile("w", suffix=".cf") as whole:
        with open(os.path.join(SRCDIR, "conf/directories", name, table + ".cf")) as text:
            whole.write(mail.people_in.table_settings() + text.read())
        whole.flush()
        done = subprocess.run([os.path.join(BUILD, "ldapmap", "ldapmap"), "-q", key,
                               "ldap:" + whole.name], capture_output=True, text=True)
    tap.same(done.stderr, "", "%s %s" % (table, key))
    return done.stdout.strip()


def tables(name, mail):
    tap.same(ask(name, mail, "virtual_mailbox_maps", "anna@example.com"), mail.vmail + "/anna/mailbox/")
    tap.same(ask(name, mail, "virtual_mailbox_maps", "a@example.net"), mail.vmail + "/anna/mailbox/")
    tap.same(ask(name, mail, "virtual_uid_maps", "boris@example.com"), "20002")
    tap.same(ask(name, mail, "virtual_gid_maps", "boris@example.com"), "20100")
    tap.same(ask(name, mail, "smtpd_sender_login_maps", "b@example.net"), "boris")
    tap.same(ask(name, mail, "virtual_mailbox_maps", "locked@example.com"), "")
    tap.has(ask(name, mail, "virtual_mailbox_domains", "example.net"), "example.net")
    tap.same(ask(name, mail, "virtual_mailbox_domains", "elsewhere.example"), "")
    members = set(ask(name, mail, "virtual_alias_maps", "team@example.com").split(","))
    tap.true({"anna@example.com"} <= members and len(members) >= 2, members)


def refused_rcpt(mail, address):
    try:
        mail.deliver(address, "Subject: x\r\n\r\nx\r\n")
    except smtplib.SMTPRecipientsRefused as e:
        return list(e.recipients.values())[0][0]
    return 250


def refused_login(mail, user):
    try:
        mail.imap(user)
    except imaplib.IMAP4.error:
        return True
    return False


def whole(name, mail):
    mail.deliver("team@example.com", "Subject: all\r\n\r\nHello\r\n")
    mail.deliver("a@example.net", "Subject: one\r\n\r\nHello\r\n")
    tap.same((len(mail.messages("anna")), len(mail.messages("boris"))), (2, 1))
    tap.same(os.stat(mail.maildir("anna")[0]).st_uid, 20001 if mail.root else os.geteuid())
    with mail.imap("anna") as client:
        tap.same(client.select()[1], [b"2"])
    tap.same(refused_rcpt(mail, "nobody@example.com"), 550)
    with mail.submission("anna") as client:
        tap.same(client.docmd("MAIL FROM:<a@example.net>")[0], 250)
        client.rset()
        tap.same(client.docmd("MAIL FROM:<boris@example.com>")[0], 553)
    if name == "inetlocalmailrecipient":
        tap.same(ask(name, mail, "virtual_alias_maps", "g@example.net"), "gone@remote.example")
    else:
        tap.same(refused_rcpt(mail, "locked@example.com"), 550)
        tap.true(refused_login(mail, "locked"), "a locked account logged in")
    if name == "qmail":
        tap.same(refused_rcpt(mail, "noaccess@example.com"), 250)
        tap.true(refused_login(mail, "noaccess"), "an account without access logged in")
    if name == "active-directory":
        with mail.imap("anna@ad.example.com", "anna-secret") as client:
            tap.same(client.select()[1], [b"2"])


def lint(name, mail):
    """These are sound, but for what no rule of these servers is told of here."""
    done = subprocess.run([os.path.join(BUILD, "facteur"), "-c", mail.conf, "directory", "lint", "--json"],
                          capture_output=True, text=True)
    found = [(f["check"], f["dn"], f["text"]) for f in json.loads(done.stdout)["findings"]]
    tap.same([f for f in found if f[0] not in ("hash-readable", "clear-text")], [])


def run(name, mail):
    copy_tables(name, mail)
    mail.options.update(options_of(name, mail))
    with mail:
        tables(name, mail)
        whole(name, mail)
        lint(name, mail)


def with_slapd(name):
    schema, people = schemas.ALL[name]
    mail = Instance()
    mail.slapd = PrivateSlapd(os.path.join(mail.dir, "slapd"), vmail=mail.vmail, people=None)
    mail.slapd.start()
    mail.slapd.modify_config(schema.replace("objectClass: olcSchemaConfig",
                                            "changetype: add\nobjectClass: olcSchemaConfig", 1))
    mail.slapd.add(people.replace("@BASE@", mail.slapd.base).replace("@VMAIL@", mail.vmail))
    mail.people_in = mail.slapd
    run(name, mail)


def with_389():
    with PrivateDirsrv() as server:
        mail = Instance(people=None)
        server.add(schemas.ALL["389ds"][1].replace("@BASE@", server.base).replace("@VMAIL@", mail.vmail))
        mail.people_in = server
        run("389ds", mail)


tests = [(name, lambda name=name: with_slapd(name)) for name in schemas.ALL]
if PrivateDirsrv.found():
    tests.append(("389ds, the real server", with_389))
sys.exit(tap.run(tests))
