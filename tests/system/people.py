#!/usr/bin/env python3
"""facteur user, domain and map, against a real slapd: the LDIF they print is the change they make."""
import imaplib
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import BUILD, Instance  # noqa: E402


class Admin:
    def __init__(self, mail):
        self.mail = mail
        self.rights = ["-D", mail.slapd.admin_dn, "-y", os.path.join(mail.slapd.dir, "admin.pw")]

    def run(self, *arguments, rights=True, text=""):
        words = list(arguments)
        if rights:
            words[2:2] = self.rights
        return subprocess.run([os.path.join(BUILD, "facteur"), "-c", self.mail.conf] + words,
                              input=text, capture_output=True, text=True)

    def good(self, *arguments, **more):
        done = self.run(*arguments, **more)
        tap.same(done.returncode, 0, done.stderr)
        return done.stdout

    def bad(self, part, *arguments, **more):
        done = self.run(*arguments, **more)
        tap.true(done.returncode in (1, 2), "it was accepted: " + done.stdout)
        tap.has(done.stderr, part)


def a_new_person(mail, admin):
    before = mail.slapd.search("(uid=dora)")
    shown = admin.good("user", "add", "--dry-run", "--name", "Dora Ünal", "--mail",
                       "dora@example.com", "dora")
    tap.same(mail.slapd.search("(uid=dora)"), before, "a dry run changed something")
    tap.has(shown, "dn: uid=dora," + mail.slapd.mail_base + "\nchangetype: add\n")
    tap.has(shown, "\nuidNumber: 20004\n")
    tap.has(shown, "\ncn:: ")
    made = admin.good("user", "add", "--name", "Dora Ünal", "--mail", "dora@example.com", "dora",
                      text="dora-secret\n")
    tap.same(made, shown, "LDIF of the change")
    tap.same("dora-secret" in made, False)
    mail.deliver("dora@example.com", "Subject: welcome\r\n\r\nHello\r\n")
    with mail.imap("dora") as client:
        tap.same(client.select()[1], [b"1"])
    with tempfile.NamedTemporaryFile("w", suffix=".ldif") as ldif:
        ldif.write(shown.replace("uid=dora", "uid=emil").replace("uid: dora", "uid: emil"))
        ldif.flush()
        subprocess.run(["ldapmodify", "-x", "-H", mail.slapd.ldapi_uri, "-D", mail.slapd.admin_dn,
                        "-y", mail.slapd.dir + "/admin.pw", "-n", "-f", ldif.name], check=True,
                       capture_output=True)


def collisions(mail, admin):
    admin.bad("is taken by uid=amelie", "user", "add", "amelie")
    admin.bad("uidNumber 20001 is taken by", "user", "add", "--uid", "20001", "fritz")
    admin.bad("mailacceptinggeneralid bruno@example.com is taken", "user", "add", "--mail",
              "bruno@example.com", "fritz")
    admin.bad("is taken by uid=chloe", "user", "add", "--home", mail.vmail + "/chloe", "fritz")
    admin.bad("virtual_minimum_uid", "user", "add", "--uid", "500", "fritz")
    admin.bad("does not lie below", "user", "add", "--home", "/etc/fritz", "fritz")
    admin.bad("does not lie below", "user", "add", "--home", mail.vmail + "/../fritz", "fritz")
    for home in ("/..", "/", "/./x", "/x/../..", "x"):
        admin.bad("does not lie below", "user", "add", "--home", mail.vmail + home, "fritz")
    admin.bad("is taken by uid=chloe", "user", "add", "--home", mail.vmail + "/chloe/", "fritz")
    admin.bad("gid 100 lies outside", "user", "add", "--gid", "100", "fritz")
    for number in ("0", "00", "x"):
        admin.bad("add|show", "user", "add", "--gid", number, "fritz")
    # All that leads to Amelie ends in her mailbox's address: it would go to him.
    admin.bad("maildrop amelie@mail.example.org is taken by uid=amelie", "user", "add", "--mail",
              "amelie@mail.example.org", "fritz")
    mail.slapd.modify("dn: uid=bruno,%s\nchangetype: modify\nadd: mailacceptinggeneralid\n"
                      "mailacceptinggeneralid: fritz@mail.example.org\n" % mail.slapd.mail_base)
    admin.bad("mailacceptinggeneralid fritz@mail.example.org is taken by uid=bruno", "user", "add", "fritz")
    mail.slapd.modify("dn: uid=bruno,%s\nchangetype: modify\ndelete: mailacceptinggeneralid\n"
                      "mailacceptinggeneralid: fritz@mail.example.org\n" % mail.slapd.mail_base)
    for address in ("", "fritz", "a@b@c", "@", "fritz@", "fritz@example.com>", "a b@example.com"):
        admin.bad("is no address", "user", "add", "--mail", address, "fritz")
    tap.has(admin.good("user", "add", "--dry-run", "--mail", "@all.example", "--home", mail.vmail + "/x/", "fritz"),
            "homeDirectory: %s/x\n" % mail.vmail)
    admin.bad("a name is made of", "user", "add", "fr,itz")
    admin.bad("needs an administrator", "user", "add", "fritz", rights=False)
    admin.bad("add|show", "user", "rename", "fritz")
    admin.bad("no password came", "user", "add", "fritz", text="")
    tap.same(mail.slapd.search("(uid=fritz)", "dn"), "")


def a_password(mail, admin):
    out = admin.good("user", "passwd", "bruno", text="another one\n")
    tap.same("another one" in out, False)
    with mail.imap("bruno", "another one") as client:
        client.select()
    admin.bad("no password came", "user", "passwd", "bruno", text="")
    admin.bad("no entry has this name", "user", "passwd", "nobody", text="x\n")


def let_in(mail, user):
    try:
        mail.imap(user).logout()
        return True
    except imaplib.IMAP4.error:
        return False


def refused(mail, user):
    tap.wait_for(lambda: not let_in(mail, user), 30, user + " may still log in")


def states(mail, admin):
    out = admin.good("user", "disable", "--by", "description=no login", "chloe")
    tap.has(out, "replace: description\ndescription: no login\n-\n")
    tap.has(mail.slapd.search("(uid=chloe)", "description"), "description: no login")
    admin.good("user", "enable", "--by", "description=no login", "chloe")
    tap.same("description" in mail.slapd.search("(uid=chloe)", "description"), False)
    admin.bad("nothing in the entry says that it is disabled", "user", "enable", "chloe")
    out = admin.good("user", "disable", "--dry-run", "chloe")
    tap.has(out, "add: objectClass\nobjectClass: facteurAccount\n-\n"
                 "replace: facteurAccountStatus\nfacteurAccountStatus: disabled\n")
    tap.same("facteurAccount" in mail.slapd.search("(uid=chloe)"), False, "a dry run changed something")
    tap.same(admin.good("user", "disable", "chloe"), out, "LDIF of the change")
    refused(mail, "chloe")
    tap.has(admin.good("user", "enable", "chloe"), "facteurAccountStatus: active\n")
    tap.wait_for(lambda: let_in(mail, "chloe"), 30, "she is still disabled")
    admin.good("user", "disable", "chloe")
    refused(mail, "chloe")
    admin.good("user", "enable", "chloe")
    admin.bad("--by needs", "user", "disable", "--by", "x", "chloe")


def looking(mail, admin):
    shown = admin.good("user", "show", "amelie", rights=False)
    tap.has(shown, "mailacceptinggeneralid: amelie.martin@example.com")
    tap.same("userPassword" in shown, False)
    listed = admin.good("user", "list", rights=False)
    for name in ("amelie", "bruno", "chloe"):
        tap.has(listed, "uid: %s\n" % name)
    admin.bad("no entry", "user", "show", "nobody", rights=False)
    domains = admin.good("domain", "list", rights=False).splitlines()
    tap.true("example.net addresses=4" in domains, domains)


def maps(mail, admin):
    """What a file does not say of the connection is facteur.conf's."""
    with tempfile.NamedTemporaryFile("w", suffix=".cf") as table:
        table.write("query_filter = mailacceptinggeneralid=%s\nresult_attribute = maildrop\n")
        table.flush()
        found = admin.good("map", "-q", "amelie@example.com", "ldap:" + table.name, rights=False)
        tap.same(found, "amelie@mail.example.org\n")
        lines = admin.good("map", "-q", "-", "ldap:" + table.name, rights=False,
                           text="nobody@example.com\namelie@example.com\n")
        tap.same(lines, "amelie@example.com\tamelie@mail.example.org\n")
        none = admin.run("map", "-q", "nobody@example.com", "ldap:" + table.name, rights=False)
        tap.same((none.returncode, none.stdout, none.stderr), (1, "", ""))
        table.write("search_base = ou=nowhere\n")
        table.flush()
        admin.bad("nowhere", "map", "-q", "amelie@example.com", "ldap:" + table.name, rights=False)
    admin.bad("-q KEY", "map", "amelie@example.com", rights=False)


def main():
    with Instance() as mail:
        admin = Admin(mail)
        return tap.run([(f.__name__.replace("_", " "), lambda f=f: f(mail, admin)) for f in
                        (a_new_person, collisions, a_password, states, looking, maps)])


sys.exit(main())
