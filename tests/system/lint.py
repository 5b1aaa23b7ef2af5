#!/usr/bin/env python3
"""facteur directory lint: each planted fault is found once with its entry, a sound directory has none,
and the LDIF it prints mends what it can."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import BUILD, Instance  # noqa: E402

PERSON = """dn: uid=%(uid)s,ou=mail,@BASE@
objectClass: account
objectClass: extensibleObject
uid: %(uid)s
%(more)s
"""
ALIAS = """dn: cn=%(cn)s,ou=mail,@BASE@
objectClass: organizationalRole
objectClass: extensibleObject
cn: %(cn)s
mailacceptinggeneralid: %(from)s
maildrop: %(to)s

"""


def person(uid, **change):
    values = {"uidNumber": str(31000 + len(uid)), "gidNumber": "20100",
              "homeDirectory": "@VMAIL@/" + uid, "maildrop": uid + "@mail.example.org"}
    values.update({k: v for k, v in change.items()})
    more = "".join("%s: %s\n" % (k, v) for k, v in values.items() if v is not None)
    return PERSON % {"uid": uid, "more": more}


FAULTS = (
    person("twice", uidNumber="30001", mailacceptinggeneralid="amelie@example.com") +
    person("lowly", uidNumber="12") +
    person("shares", uidNumber="20001") +
    person("astray", uidNumber="30002", homeDirectory="/etc/astray") +
    person("dotted", uidNumber="30003", homeDirectory="@VMAIL@/../../root") +
    person("homeless", uidNumber="30004", homeDirectory=None) +
    person("asleep", uidNumber="30011", facteurAccountStatus="asleep") +
    person("forwards", uidNumber="30012", facteurAccountStatus="Forward") +
    person("wordless", uidNumber="30013", facteurVacationEnd="20261224120000Z") +
    person("backwards", uidNumber="30014", facteurVacationText="Away", facteurVacationStart="20270101000000Z",
           facteurVacationEnd="20261224120000Z") +
    person("sound", uidNumber="30015", facteurVacationText="Away", facteurVacationStart="20260101000000Z",
           facteurVacationEnd="20261224120000Z", facteurAccountStatus="NoLogin",
           facteurForward="x@elsewhere.example") +
    person("misled", uidNumber="30016", facteurForward="nobody") +
    person("lowgroup", uidNumber="30017", gidNumber="12") +
    person("lodger", uidNumber="30018", homeDirectory="@VMAIL@/amelie/") +
    person("greedy", uidNumber="30019", mailacceptinggeneralid="bruno@mail.example.org") +
    person("huge", uidNumber="30020", facteurQuota="much") +
    person("aimless", uidNumber="30021", maildrop=None, mailacceptinggeneralid="aimless@example.com") +
    ALIAS % {"cn": "copies", "from": "chloe@mail.example.org", "to": "chloe@mail.example.org"} +
    ALIAS % {"cn": "wordy", "from": "wordy@example.com", "to": "to be done"} +
    ALIAS % {"cn": "all", "from": "@all.example", "to": "x@all.example"} +
    ALIAS % {"cn": "round1", "from": "round1@example.com", "to": "round2@example.com"} +
    ALIAS % {"cn": "round2", "from": "round2@example.com", "to": "round1@example.com"} +
    ALIAS % {"cn": "self", "from": "self@example.com", "to": "self@example.com"} +
    ALIAS % {"cn": "nowhere", "from": "nowhere@example.com", "to": "gone@example.net"} +
    ALIAS % {"cn": "abroad", "from": "abroad@example.com", "to": "x@elsewhere.example"} +
    """dn: cn=list,ou=mail,@BASE@
objectClass: groupOfNames
cn: list
member: uid=amelie,ou=mail,@BASE@
member: UID=Bruno, OU=mail,@BASE@
member: uid=gone,ou=mail,@BASE@

dn: cn=ghost,ou=mail,@BASE@
objectClass: groupOfNames
cn: ghost
member: uid=gone,ou=mail,@BASE@

dn: cn=nobody,ou=mail,@BASE@
objectClass: groupOfNames
cn: nobody
member:

dn: cn=bits,ou=mail,@BASE@
objectClass: groupOfUniqueNames
cn: bits
uniqueMember: uid=amelie,ou=mail,@BASE@#'0101'B

dn: cn=unix,ou=mail,@BASE@
objectClass: posixGroup
cn: unix
gidNumber: 30000
memberUid: amelie
memberUid: vanished
""")
WANT = {("address-twice", "uid=twice"), ("uid-low", "uid=lowly"), ("uid-shared", "uid=shares"),
        ("path-outside", "uid=astray"), ("path-outside", "uid=dotted"), ("lacking", "uid=homeless"),
        ("state-unknown", "uid=asleep"), ("forward-nowhere", "uid=forwards"),
        ("vacation-text", "uid=wordless"), ("vacation-order", "uid=backwards"),
        ("forward-bad", "uid=misled"), ("alias-loop", "cn=round2"), ("dangling-target", "cn=nowhere"),
        ("dangling-member", "cn=list"), ("dangling-member", "cn=unix"), ("dangling-member", "cn=ghost"),
        ("gid-low", "uid=lowgroup"), ("home-shared", "uid=lodger"), ("address-twice", "uid=greedy"),
        ("quota-bad", "uid=huge"), ("lacking", "uid=aimless"), ("target-bad", "cn=wordy"),
        ("dangling-target", "cn=self"), ("dangling-target", "cn=all")}


def lint(mail, *arguments, text=False):
    words = list(arguments)
    done = subprocess.run([os.path.join(BUILD, "facteur"), "-c", mail.conf, "directory", "lint"] +
                          ([] if text else ["--json"]) + words, capture_output=True, text=True)
    tap.true(done.returncode in (0, 1), done.stderr)
    return done.returncode, done.stdout if text else json.loads(done.stdout)


def found(told):
    return {(f["check"], f["dn"].split(",")[0]) for f in told["findings"]}


def apply(mail, ldif, dn):
    done = subprocess.run(["ldapmodify", "-c", "-x", "-H", mail.slapd.ldapi_uri, "-D", dn, "-y",
                           mail.slapd.dir + "/admin.pw"], input=ldif, capture_output=True, text=True)
    return done


def a_sound_directory(mail):
    status, told = lint(mail)
    tap.same((status, told["findings"]), (0, []))
    tap.has(told["notes"][0], "cn=config")
    status, text = lint(mail, text=True)
    tap.same(status, 0)
    tap.has(text, "# 0 findings")


def faults_of_entries(mail):
    mail.slapd.add(FAULTS.replace("@BASE@", mail.slapd.base).replace("@VMAIL@", mail.vmail))
    status, told = lint(mail)
    tap.same(status, 1)
    tap.same(found(told), WANT)
    tap.same(len(told["findings"]), len(found(told)), "told more than once")
    status, ldif = lint(mail, text=True)
    done = apply(mail, ldif, mail.slapd.admin_dn)
    tap.same(done.returncode, 0, done.stderr)
    status, told = lint(mail)
    tap.same(found(told), set(), "after the LDIF was applied")


def a_group_of_ghosts(mail):
    """The last one cannot be taken out of a group that must have a member."""
    dn = "cn=ghosts," + mail.slapd.mail_base
    mail.slapd.add("dn: %s\nobjectClass: groupOfUniqueNames\ncn: ghosts\nuniqueMember: uid=x,%s\nuniqueMember: uid=y,%s\n"
                   % (dn, mail.slapd.mail_base, mail.slapd.mail_base))
    _, told = lint(mail)
    tap.same([f["check"] for f in told["findings"]], ["dangling-member"] * 2)
    done = apply(mail, "".join(f["ldif"] for f in told["findings"]), mail.slapd.admin_dn)
    tap.same(done.returncode, 0, done.stderr)
    _, told = lint(mail)
    tap.same(told["findings"], [])
    mail.slapd.delete(dn)


def dates_that_are_none(mail):
    """slapd holds its own attribute to the syntax; a site may use another one."""
    mail.options.update(account_vacation_start_attribute="description")
    mail.write_config()
    mail.slapd.modify("dn: uid=sound,%s\nchangetype: modify\nadd: description\ndescription: tomorrow\n"
                      % mail.slapd.mail_base)
    _, told = lint(mail)
    tap.same(found(told), {("vacation-date", "uid=sound")})
    tap.has(told["findings"][0]["text"], '"tomorrow" is no date')
    apply(mail, told["findings"][0]["ldif"], mail.slapd.admin_dn)
    _, told = lint(mail)
    tap.same(found(told), set())
    del mail.options["account_vacation_start_attribute"]
    mail.write_config()


def many_entries(mail):
    """More than a page, and more than slapd's usual limit of 500."""
    mail.slapd.modify_config("dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nadd: olcLimits\n"
                             "olcLimits: {0}dn.exact=\"%s\" size.prtotal=unlimited\n"
                             % mail.slapd.reader_dn)
    mail.slapd.add("\n".join(
        (PERSON % {"uid": "many%d" % i, "more":
                   "uidNumber: %d\ngidNumber: 20100\nhomeDirectory: %s/many%d\nmaildrop: many%d@mail.example.org\n"
                   % (40000 + i, mail.vmail, i, i)}).replace("@BASE@", mail.slapd.base)
        for i in range(1100)))
    mail.slapd.modify("dn: uid=many1099,%s\nchangetype: modify\nreplace: uidNumber\nuidNumber: 40000\n"
                      % mail.slapd.mail_base)
    _, told = lint(mail)
    tap.same(found(told), {("uid-shared", "uid=many1099")})
    mail.slapd.modify("dn: uid=many1099,%s\nchangetype: modify\nreplace: uidNumber\nuidNumber: 49999\n"
                      % mail.slapd.mail_base)


def indexes(mail):
    mail.slapd.modify_config("dn: olcDatabase={0}config,cn=config\nchangetype: modify\nadd: olcAccess\n"
                             "olcAccess: to * by dn.exact=\"%s\" read by * break\n"
                             % mail.slapd.admin_dn)
    rights = ("-D", mail.slapd.admin_dn, "-y", os.path.join(mail.slapd.dir, "admin.pw"))
    _, told = lint(mail, *rights)
    missing = [f for f in told["findings"] if f["check"] == "index-missing"]
    tap.true(told["notes"] == [], told["notes"])
    # What private-slapd has by itself is objectClass alone, or what schema/indexes.ldif adds.
    for f in missing:
        done = apply(mail, f["ldif"], mail.slapd.config_dn)
        tap.same(done.returncode, 0, done.stderr)
    _, told = lint(mail, *rights)
    tap.same([f for f in told["findings"] if f["check"] == "index-missing"], [])
    config = mail.slapd._client("ldapsearch", mail.slapd.config_dn, None, "-LLL", "-o",
                                "ldif-wrap=no", "-b", "cn=config", "(olcDbIndex=*)", "olcDbIndex")
    line = [x for x in config.splitlines() if "maildrop" in x][0]
    mail.slapd.modify_config("dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\ndelete: olcDbIndex\n"
                             + line + "\n")
    _, told = lint(mail, *rights)
    missing = [f for f in told["findings"] if f["check"] == "index-missing"]
    tap.same(len(missing), 1)
    tap.has(missing[0]["text"], "maildrop (eq)")
    apply(mail, missing[0]["ldif"], mail.slapd.config_dn)


def index_lines(mail):
    """A line without kinds means the default ones; a pattern is served by a part of "sub"."""
    rights = ("-D", mail.slapd.admin_dn, "-y", os.path.join(mail.slapd.dir, "admin.pw"))
    usual = [line for line in database(mail, "olcDbIndex").splitlines() if line.startswith("olcDbIndex: ")]

    def missing(*lines):
        mail.slapd.modify_config("dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nreplace: olcDbIndex\n"
                                 + "".join(line + "\n" for line in lines))
        _, told = lint(mail, *rights)
        return [f for f in told["findings"] if f["check"] == "index-missing"]
    others = ["olcDbIndex: objectClass eq", "olcDbIndex: mail,facteurListAddress eq"]
    tap.same(missing("olcDbIndex: mailacceptinggeneralid eq,subfinal", "olcDbIndex: uid,maildrop eq", *others), [])
    tap.same(len(missing("olcDbIndex: mailacceptinggeneralid eq,subinitial", "olcDbIndex: uid,maildrop eq",
                         *others)), 1)
    # Another name of the same attribute (RFC 4519 section 2.39).
    mail.options.update(user_filter="(userid=%u)")
    mail.write_config()
    tap.same(missing("olcDbIndex: mailacceptinggeneralid eq,subfinal", "olcDbIndex: uid,maildrop eq", *others), [])
    del mail.options["user_filter"]
    mail.write_config()
    bare = ["olcDbIndex: mailacceptinggeneralid", "olcDbIndex: uid,maildrop"]
    tap.same(missing("olcDbIndex: default eq,sub", *bare, *others), [])
    found = missing("olcDbIndex: default pres", *bare, *others)
    tap.same(len(found), 3, "each line and kind once")
    for f in found:
        done = apply(mail, f["ldif"], mail.slapd.config_dn)
        tap.same(done.returncode, 0, f["ldif"] + done.stderr)
    _, told = lint(mail, *rights)
    tap.same([f for f in told["findings"] if f["check"] == "index-missing"], [])
    missing(*usual)


def database(mail, *attributes):
    return mail.slapd._client("ldapsearch", mail.slapd.config_dn, None, "-LLL", "-o", "ldif-wrap=no", "-s", "base",
                              "-b", "olcDatabase={1}mdb,cn=config", *attributes)


def rights(mail):
    """Whatever stands before: the rules that are told leave nobody out who may log in."""
    root = "to * by dn.exact=gidNumber=0+uidNumber=0,cn=peercred,cn=external,cn=auth manage by * break"
    passwords = "to attrs=userPassword by self write by anonymous auth by * none"
    some = "to dn.subtree=%s attrs=entry,uid by * read" % mail.slapd.mail_base
    hashes = ["hash-readable anybody", "hash-readable the"]
    for rules, want in ((["to * by * read"], hashes), ([root, passwords, "to * by * read"], []),
                        ([some, passwords, "to * by * read"], []), ([passwords, "to * by * read"], [])):
        mail.slapd.modify_config("dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nreplace: olcAccess\n"
                                 + "".join("olcAccess: {%d}%s\n" % rule for rule in enumerate(rules)))
        _, told = lint(mail)
        checks = sorted(f["check"] + " " + f["text"].split()[0] for f in told["findings"])
        tap.same(checks, ["anonymous anybody"] + want)
        done = apply(mail, "".join(f["ldif"] for f in told["findings"]), mail.slapd.config_dn)
        tap.same(done.returncode, 0, done.stderr)
        _, told = lint(mail)
        tap.same(found(told), set(), "after the LDIF was applied")
        mail.imap("amelie").logout()


def clear_text(mail):
    """What is told keeps passwords off the network, and lets who is on the machine in as before."""
    mail.options.update(ldap_start_tls="no")
    mail.write_config()
    _, told = lint(mail)
    tap.same([f["check"] for f in told["findings"]], ["clear-text"])
    mail.options.update(ldap_start_tls="yes", ldap_tls_require_cert="no")
    mail.write_config()
    done = apply(mail, told["findings"][0]["ldif"], mail.slapd.config_dn)
    tap.same(done.returncode, 0, done.stderr)
    refused = subprocess.run(["ldapwhoami", "-x", "-H", mail.slapd.uri, "-D", mail.slapd.admin_dn, "-y",
                              mail.slapd.dir + "/admin.pw"], capture_output=True)
    tap.same(refused.returncode, 13, "confidentiality required")
    tap.has(mail.slapd.search("(uid=amelie)", "uid"), "uid: amelie")
    _, told = lint(mail)
    tap.same([f["check"] for f in told["findings"]], ["clear-text"])


def failures(mail):
    command = [os.path.join(BUILD, "facteur"), "-c", mail.conf, "directory"]
    for words in (["lint", "more"], ["lint", "-Y", "PLAIN"], ["what"], []):
        tap.same(subprocess.run(command + words, capture_output=True).returncode, 2, words)
    done = subprocess.run(command + ["lint", "-H", "ldap://127.0.0.1:1"], capture_output=True, text=True)
    tap.same(done.returncode, 2)
    tap.has(done.stderr, "127.0.0.1:1")


def main():
    with Instance() as mail:
        return tap.run([(f.__name__.replace("_", " "), lambda f=f: f(mail)) for f in
                        (a_sound_directory, faults_of_entries, a_group_of_ghosts, dates_that_are_none, many_entries, indexes,
                         index_lines, rights, clear_text, failures)])


sys.exit(main())
