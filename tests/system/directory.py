#!/usr/bin/env python3
"""The directory program against a real slapd: recipients, logins, senders, grants, and what it says
when the directory is slow, silent, gone, or holds nonsense."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from directory import TABLES, Directory, connection  # noqa: E402
from slapd import PrivateSlapd  # noqa: E402
from slowproxy import SlowProxy  # noqa: E402
from tap import has, same, true, wait_for  # noqa: E402

MANY = 90


def person(uid, number, more="", home=None, address=None, classes=("posixAccount",), rdn=None):
    """LDIF of one mailbox entry; more: further lines; number or home "": none."""
    home = "/var/vmail/" + uid if home is None else home
    lines = ["dn: %s,ou=mail,dc=example,dc=org" % (rdn or "uid=" + uid), "objectClass: top",
             "objectClass: account", "objectClass: postfixUser", "cn: " + uid, "uid: " + uid,
             "maildrop: %s" % (address or uid + "@mail.example.org"),
             "mailacceptinggeneralid: %s" % (address or uid + "@mail.example.org").replace(
                 "mail.example.org", "example.com"),
             "userPassword: %s-secret" % uid]
    lines += ["objectClass: " + c for c in classes]
    if number != "":
        lines += ["uidNumber: %s" % number, "gidNumber: %s" % number]
    if home:
        lines.append("homeDirectory: " + home)
    return "\n".join(lines) + "\n" + more + "\n"


def alias(name, addresses, targets):
    return ("dn: cn=%s,ou=mail,dc=example,dc=org\nobjectClass: organizationalRole\n"
            "objectClass: postfixUser\ncn: %s\n" % (name, name)
            + "".join("mailacceptinggeneralid: %s\n" % a for a in addresses)
            + "".join("maildrop: %s\n" % t for t in targets) + "\n")


NO_NUMBERS = ("-21100", "+21100", "21100.0", "2e4", "0x526c", "21 100", "21100x", "4294967295", "4294988396",
              "18446744073709572716", "9" * 400, "\uff12\uff11\uff11\uff10\uff10")
ODD = "we,ird+o*n(e)"
LOOSE = ("extensibleObject",)
ENTRIES = "\n".join([
    person("nohome", 21001, classes=LOOSE, home=""),
    person("noids", "", classes=LOOSE),
    person("lowuid", 10),
    person("outside", 21002, home="/etc/outside"),
    person("dotted", 21003, home="/var/vmail/../../etc"),
    person("worded", 21004, more="description: abc\n"),
    person("twice1", 21005, address="twice@mail.example.org"),
    person("twice2", 21006, address="twice@mail.example.org"),
    person("twohomes", 21007, more="description: /var/vmail/one\ndescription: /var/vmail/two\n"),
    person("dora", 21008, more="maildrop: dora.second@mail.example.org\n"),
    person("ext", 21009),
    person("off", 21010, more="description: disabled\n"),
    person("odd", 21011).replace("dn: uid=odd", r"dn: uid=we\2Cird\2Bo*n(e)")
    .replace("\nuid: odd", "\nuid: " + ODD).replace("odd-secret", "odd-secret"),
    person("deep", 21012, home="/var/vmail/d/e/deep"),
    person("nopw", 21013).replace("userPassword: nopw-secret\n", ""),
    person("mixed", 21014).replace("\nuid: mixed", "\nuid: MiXeD"),
    person("postmaster.example.net", 21015,
           more="mailacceptinggeneralid: postmaster@example.net\n"),
    alias("keeper", ["keeper@example.com"], ["keeper@example.com", "amelie@mail.example.org"]),
    alias("loopa", ["loopa@example.com"], ["loopb@example.com"]),
    alias("loopb", ["loopb@example.com"], ["loopa@example.com", "amelie@mail.example.org"]),
    alias("remote", ["remote@example.com"], ["friend@far.example", "amelie@mail.example.org"]),
    alias("broken", ["broken@example.com"], ["gone@mail.example.org"]),
    alias("broken2", ["broken2@example.com"], ["gone@example.com"]),
    alias("halfbroken", ["halfbroken@example.com"],
          ["amelie@mail.example.org", "nohome@mail.example.org"]),
    alias("nonsense", ["nonsense@example.com"], ["not an address"]),
    alias("catchall", ["@catch.example"], ["amelie@mail.example.org"]),
    alias("moved", ["@moved.example"], ["@example.com"]),
    alias("deepest", ["c1@example.com"], ["c2@example.com"]),
    "".join(alias("c%d" % i, ["c%d@example.com" % i], ["c%d@example.com" % (i + 1)])
            for i in range(2, 8)),
    alias("c8", ["c8@example.com"], ["amelie@mail.example.org"]),
    alias("same", ["same@example.com"], ["dora@mail.example.org",
                                         "dora.second@mail.example.org", "dora@example.com"]),
    alias("everyone", ["everyone@example.com"],
          ["m%d@mail.example.org" % i for i in range(MANY)]),
    alias("comma", ["comma@example.com"], ["amelie@mail.example.org, bruno@mail.example.org"]),
    alias("shared1", ["shared@example.com"], ["amelie@mail.example.org"]),
    alias("shared2", ["shared@example.com"], ["bruno@mail.example.org"]),
] + [person("m%d" % i, 22000 + i) for i in range(MANY)]
  + [person("form%d" % i, 21100 + i, more="description: %s\n" % form)
     for i, form in enumerate(NO_NUMBERS)])

slapd = None


def directory(tables=None, **options):
    return Directory(connection(slapd, **options), tables)


def one(answer, what="target"):
    same(answer.verdict, "yes", what)
    same(len(answer.targets), 1, "number of targets")
    return answer.targets[0]


def cannot(d, answer, *parts):
    """The answer is "cannot say", and the log says why in these words."""
    same(answer.verdict, "cannot-say")
    wait_for(lambda: all(p in d.log() for p in parts), 5,
             "%r not in the log:\n%s" % (parts, d.log()[-3000:]))


# --- recipients ---

def recipients():
    with directory() as d:
        grant, address = one(d.resolve("Amelie.Martin@Example.COM"))
        same(address, "amelie@mail.example.org")
        r = d.redeem(grant, "deliver")
        same((r.verdict, r.uid, r.gid, r.home, r.maildir, r.address),
             ("yes", "20001", "20100", "/var/vmail/amelie", "/var/vmail/amelie/mailbox/",
              "amelie@mail.example.org"))
        same(d.resolve("nobody@example.com").verdict, "no")
        same(d.resolve("nobody@mail.example.org").verdict, "no")
        same(d.resolve("x@elsewhere.example").verdict, "not-here")
        same(d.resolve("amelie@sub.example.com").verdict, "not-here")
        same(one(d.resolve("amelie@mail.example.org"))[1], "amelie@mail.example.org")
        same(one(d.resolve("amelie@mail.example.org", "final", "queue"))[1],
             "amelie@mail.example.org")
        same(d.resolve("amelie@example.com", "final", "queue").verdict, "no")
        same(d.resolve("x@elsewhere.example", "final", "queue").verdict, "not-here")
        same(d.resolve("gone@mail.example.org").verdict, "no", "only an alias names it")
        same(d.resolve("not an address").verdict, "no")
        same(d.resolve("").verdict, "no")
        r = d.redeem(one(d.resolve("deep@example.com"))[0], "deliver")
        same((r.home, r.maildir), ("/var/vmail/d/e/deep", "/var/vmail/d/e/deep/mailbox/"))


def aliases():
    with directory() as d:
        people = ["amelie@mail.example.org", "bruno@mail.example.org", "chloe@mail.example.org"]
        same(d.resolve("team@example.com").addresses(), people)
        same(d.resolve("contact@example.net").addresses(), people)
        one(d.resolve("dora@example.com"), "two maildrops of one person")
        one(d.resolve("same@example.com"), "one person by three ways")
        same(d.resolve("comma@example.com").addresses(), people[:2])
        same(d.resolve("shared@example.com").addresses(), people[:2])
        same(one(d.resolve("x@catch.example"))[1], "amelie@mail.example.org")
        same(one(d.resolve("bruno@moved.example"))[1], "bruno@mail.example.org")
        same(one(d.resolve("c1@example.com"))[1], "amelie@mail.example.org")
        same(d.resolve("remote@example.com").verdict, "remote")
        same(d.resolve("remote@example.com").addresses(),
             ["amelie@mail.example.org", "friend@far.example"])
        cannot(d, d.resolve("loopa@example.com"), "alias loop: loopa@example.com leads to loopb")
        cannot(d, d.resolve("loopb@example.com"), "alias loop: loopb@example.com")
        cannot(d, d.resolve("keeper@example.com"), "leads to keeper@example.com, which does not exist")
        cannot(d, d.resolve("broken@example.com"),
               "an alias leads to gone@mail.example.org, which does not exist")
        cannot(d, d.resolve("broken2@example.com"), "an alias leads to gone@example.com")
        cannot(d, d.resolve("nonsense@example.com"),
               'cn=nonsense,ou=mail,dc=example,dc=org leads to \\"not an address\\"')
        cannot(d, d.resolve("halfbroken@example.com"),
               "uid=nohome,ou=mail,dc=example,dc=org has no homeDirectory")


def pieces_and_limits():
    with directory() as d:
        answer = d.resolve("everyone@example.com")
        same((answer.verdict, len(answer.targets), answer.pieces), ("yes", MANY, 3))
        same(len({grant for grant, _ in answer.targets}), MANY)
    with directory(virtual_alias_expansion_limit="50") as d:
        cannot(d, d.resolve("everyone@example.com"), "virtual_alias_expansion_limit (50)")
        same(d.resolve("team@example.com").verdict, "yes")
    with directory(virtual_alias_recursion_limit="5") as d:
        cannot(d, d.resolve("c1@example.com"), "virtual_alias_recursion_limit (5)")
        same(d.resolve("c5@example.com").verdict, "yes")


def extensions():
    with directory(recipient_delimiter="+") as d:
        same(one(d.resolve("ext+news@example.com"))[1], "ext+news@mail.example.org")
        same(one(d.resolve("ext+News@mail.example.org"))[1], "ext+News@mail.example.org")
        same(d.resolve("nobody+ext@example.com").verdict, "no")
        same(one(d.resolve("x+y@catch.example"))[1], "amelie@mail.example.org")
    with directory() as d:
        same(d.resolve("ext+news@example.com").verdict, "no")


def postmasters():
    with directory() as d:
        same(one(d.resolve("postmaster@example.net"))[1], "postmaster.example.net@mail.example.org")
        for address in ("postmaster@example.com", "PostMaster", "postmaster@mail.example.org"):
            cannot(d, d.resolve(address), "set postmaster_address")
        same(d.resolve("postmaster@elsewhere.example").verdict, "not-here")
    with directory(postmaster_address="bruno@example.com") as d:
        for address in ("postmaster@example.com", "Postmaster", "postmaster@mail.example.org"):
            same(one(d.resolve(address))[1], "bruno@mail.example.org")
        same(one(d.resolve("postmaster@example.net"))[1], "postmaster.example.net@mail.example.org")
        same(d.resolve("postmaster@elsewhere.example").verdict, "not-here")
        same(d.resolve("postmaster@mail.example.org", "final", "queue").verdict, "no")
    with directory(postmaster_address="gone@example.com") as d:
        cannot(d, d.resolve("postmaster"), "postmaster_address leads to gone@example.com")


def malformed_entries():
    with directory(user_filter="(uid=%u)") as d:
        where = ",ou=mail,dc=example,dc=org"
        for uid, words in (("nohome", "uid=nohome%s has no homeDirectory"),
                           ("noids", "uid=noids%s has no uidNumber"),
                           ("lowuid", "uid=lowuid%s: uidNumber 10 is below virtual_minimum_uid"),
                           ("outside", "uid=outside%s: homeDirectory \\\"/etc/outside/mailbox/\\\" "
                                       "does not lie below virtual_mailbox_base /var/vmail"),
                           ("dotted", "uid=dotted%s: homeDirectory"),
                           ("twice", "2 entries have this address: uid=twice")):
            cannot(d, d.resolve(uid + "@example.com"), words % where if "%s" in words else words)
            cannot(d, d.resolve(uid + "@mail.example.org"))
        for uid, words in (("nohome", "uid=nohome%s has no homeDirectory"),
                           ("noids", "uid=noids%s has no uidNumber"),
                           ("lowuid", "uid=lowuid%s: uidNumber 10"),
                           ("outside", "uid=outside%s: homeDirectory"),
                           ("dotted", "uid=dotted%s: homeDirectory")):
            same(d.auth(uid, "wrong").verdict, "no")
            cannot(d, d.auth(uid, uid + "-secret"), words % where)
    worded = TABLES["virtual_uid_maps"].replace("uidNumber", "description")
    with directory({"virtual_uid_maps": worded}, user_attrs="homeDirectory=home,description=uid,"
                                                            "gidNumber=gid") as d:
        cannot(d, d.resolve("worded@example.com"),
               'uid=worded,ou=mail,dc=example,dc=org: description \\"abc\\" is not a number')
        cannot(d, d.auth("worded", "worded-secret"), 'description \\"abc\\" is not a number')
        cannot(d, d.resolve("amelie@example.com"), "has no description")
        for i in range(len(NO_NUMBERS)):
            cannot(d, d.resolve("form%d@example.com" % i), "uid=form%d,ou=mail" % i, "is not a number")
            cannot(d, d.auth("form%d" % i, "form%d-secret" % i), "is not a number")
            same(d.auth("form%d" % i, "wrong").verdict, "no")
    homes = TABLES["virtual_mailbox_maps"].replace("homeDirectory", "description")
    with directory({"virtual_mailbox_maps": homes}) as d:
        cannot(d, d.resolve("twohomes@example.com"),
               "uid=twohomes,ou=mail,dc=example,dc=org has 2 values of description where one")


def searches_per_recipient():
    """One search for the alias, which shows that the domain is hosted too, and one for what the
    mailbox address may be: an alias, one of a catch-all, a mailbox. With nothing remembered."""
    with directory() as d:
        d.wait_connected()
        before = slapd.operations()["search"]
        own = slapd.operations()["search"] - before  # of the counting itself
        before = slapd.operations()["search"]
        for _ in range(20):
            one(d.resolve("amelie@example.com"))
        spent = slapd.operations()["search"] - before - own
        same(spent, 40, "searches for 20 recipients")


def mapped(uid, number, *lines):
    return ("dn: uid=%s,ou=mail,dc=example,dc=org\nobjectClass: account\nobjectClass: posixAccount\n"
            "objectClass: postfixUser\nuid: %s\ncn: %s\nuidNumber: %d\ngidNumber: 20100\n"
            "homeDirectory: /var/vmail/%s\n%s\n\n"
            % (uid, uid, uid, number, uid, "\n".join(lines)))


def joined_searches():
    """One search for alias, catch-all and mailbox answers as three would, whatever the entries say."""
    with PrivateSlapd() as server:
        server.add(
            mapped("caps", 20031, "maildrop: Caps@Mail.Example.ORG") +
            mapped("led", 20032, "maildrop: led@mail.example.org",
                   "mailacceptinggeneralid: led@example.com") +
            mapped("own", 20033, "maildrop: own@mail.example.org",
                   "mailacceptinggeneralid: own@mail.example.org") +
            mapped("both", 20034, "maildrop: both@mail.example.org",
                   "mailacceptinggeneralid: BOTH@mail.example.org") +
            "dn: cn=away,ou=mail,dc=example,dc=org\nobjectClass: organizationalRole\n"
            "objectClass: postfixUser\ncn: away\nmailacceptinggeneralid: Led@mail.example.org\n"
            "maildrop: amelie@mail.example.org\n")
        with Directory(connection(server)) as d:
            d.wait_connected()
            for address, homes in (("caps@mail.example.org", ["caps"]),
                                   ("led@mail.example.org", ["amelie"]),
                                   ("led@example.com", ["amelie"]),
                                   ("own@mail.example.org", ["own"]),
                                   ("both@mail.example.org", ["both"]),
                                   ("amelie@mail.example.org", ["amelie"])):
                answer = d.resolve(address)
                same((answer.verdict, answer.addresses()),
                     ("yes", [h + "@mail.example.org" for h in homes]), address)
            same(d.resolve("nobody@mail.example.org").verdict, "no")
            same(d.resolve("\u00e9t\u00e9@mail.example.org").verdict, "no")


def new_catch_all():
    """What is remembered about a domain turns nobody away who is there by now."""
    with PrivateSlapd() as server:
        with Directory(connection(server)) as d:
            one(d.resolve("amelie@mail.example.org"))
            same(d.resolve("late@mail.example.org").verdict, "no")
            server.add(alias("all", ["@mail.example.org"], ["bruno@mail.example.org"]))
            same(one(d.resolve("late@mail.example.org"))[1], "bruno@mail.example.org")
            server.delete("cn=all,ou=mail,dc=example,dc=org")
            same(d.resolve("late@mail.example.org").verdict, "no")


def no_injection():
    with directory(recipient_delimiter="+") as d:
        for local in ("*", "ame*", '"*)(uid=*"', '"a)(objectClass=*"', '"\\\\2a"', "a%%", "%s",
                      '"a,b"', "#x", "a=b", '"a\\\\"', "x+y+z"):
            same(d.resolve(local + "@example.com").verdict, "no", local)
        for domain in ("*.com", "ex*.com", "[127.0.0.1]", "example.com)(uid=*"):
            true(d.resolve("a@" + domain).verdict in ("no", "not-here"), domain)
        for name in ("*", "ame*", "*)(uid=amelie", "amelie)(objectClass=*", "amelie,ou=mail",
                     "amelie\\2a", "(amelie)", "a&b", "\\", "amelie\n", "#amelie", '"amelie"',
                     "amelie=x", "uid=amelie", "<amelie>;", "x" * 900):
            same(d.auth(name, "amelie-secret").verdict, "no" if name != "amelie\n" else "yes", name)
            if name not in ('"amelie"', "amelie\n"):
                same(d.auth(name + "@example.com", "amelie-secret").verdict, "no", name)
        for name in (b"\xff\xfe", b"amelie\x00", b"\x00", b"ame\x01lie"):
            same(d.auth(name, "amelie-secret").verdict, "no", repr(name))
        same(d.auth(ODD, "odd-secret").verdict, "yes")
        same(d.auth(ODD, "odd-secret").login, ODD)
    with directory(auth_bind_userdn="uid=%u,ou=mail,dc=example,dc=org") as d:
        same(d.auth(ODD, "odd-secret").verdict, "yes")
        same(d.auth("amelie,ou=mail", "amelie-secret").verdict, "no")


# --- logins ---

def logins():
    for template in ("", "uid=%u,ou=mail,dc=example,dc=org"):
        with directory(auth_bind_userdn=template, user_filter="(&(objectClass=posixAccount)(uid=%u)"
                                                              "(!(description=disabled)))") as d:
            for name in ("amelie", "AMELIE", "amelie@example.com", "Amelie.Martin@EXAMPLE.com",
                         "amelie@mail.example.org", " amelie "):
                a = d.auth(name, "amelie-secret", "imaps")
                same((a.verdict, a.login), ("yes", "amelie"), name)
                r = d.redeem(a.grant, "master", "use")
                same((r.verdict, r.service, r.uid, r.gid, r.home, r.maildir, r.login),
                     ("yes", "imaps", "20001", "20100", "/var/vmail/amelie",
                      "/var/vmail/amelie/mailbox/", "amelie"))
                same(d.auth(name, "bruno-secret").verdict, "no", name)
            a = d.auth("mixed", "mixed-secret")
            same((a.verdict, a.login), ("yes", "MiXeD"))
            for name, password in (("amelie", ""), ("amelie", "\0"), ("amelie", b"amelie-secret\0"),
                                   ("", "x"), ("", ""), ("nobody", "x"), ("nobody@example.com", "x"),
                                   ("amelie@elsewhere.example", "amelie-secret"),
                                   ("nopw", "x"), ("off", "off-secret"), ("off@example.com", "off-secret"),
                                   ("team@example.com", "x")):
                same(d.auth(name, password).verdict, "no", repr((name, password)))
            cannot(d, d.auth("twice@mail.example.org", "twice1-secret"),
                   "several entries have this address: uid=twice")
            true("-secret" not in d.log(), "a password in the log")


def login_maps_of_other_kinds():
    with directory(user_filter="(description=%u)", user_name_attribute="cn") as d:
        a = d.auth("abc", "worded-secret")
        same((a.verdict, a.login), ("yes", "worded"))
    with directory(user_filter="(|(uid=%n)(cn=%n))", auth_bind_userdn="cn=%n,ou=mail,dc=example,dc=org",
                   smtpd_sender_login_maps="") as d:
        cannot(d, d.auth("amelie@any.example", "amelie-secret"),
               "auth_bind_userdn gives cn=amelie", "user_filter finds uid=amelie")
    with directory(user_filter="(|(objectClass=posixAccount)(uid=%u))") as d:
        cannot(d, d.auth("amelie", "amelie-secret"), "user_filter matches several entries")
    for option, value, words in (
            ("user_filter", "(uid=%s)", 'user_filter: "%s" is none of'),
            ("auth_bind_userdn", "uid=x,dc=y", "auth_bind_userdn: has neither %u nor %n"),
            ("user_attrs", "homeDirectory=home", "user_attrs: home, uid and gid"),
            ("user_attrs", "a=mail", 'user_attrs: "a=mail" is none of'),
            ("mail_location", "mbox:~/m", "mail_location:"),
            ("mail_location", "maildir:~/mail/box", "mail_location:"),
            ("mail_location", "maildir:~/.mail", "mail_location:"),
            ("mail_location", "maildir:~/../bruno", "mail_location:"),
            ("virtual_alias_maps", "hash:/etc/aliases", "virtual_alias_maps:"),
            ("virtual_alias_maps", "plain", "virtual_alias_maps:")):
        try:
            directory(**{option: value}).__enter__()
        except RuntimeError as e:
            has(str(e), words)
        else:
            raise AssertionError("%s = %s was taken" % (option, value))


# --- senders and grants ---

def senders():
    with directory(recipient_delimiter="+") as d:
        amelie = d.auth("amelie", "amelie-secret").grant
        bruno = d.auth("bruno", "bruno-secret", "submissions").grant
        for address in ("amelie@example.com", "Amelie.Martin@Example.Com", "amelie@mail.example.org",
                        "amelie+list@example.com"):
            same(d.sender(amelie, address).verdict, "yes", address)
            same(d.sender(amelie, address, "queue").verdict, "yes", address)
            same(d.sender(bruno, address).verdict, "no", address)
        for address in ("team@example.com", "nobody@example.com", "amelie@elsewhere.example", "*@example.com",
                        "not an address", "bruno+amelie@example.com"):
            same(d.sender(amelie, address).verdict, "no", address)
        same(d.sender(amelie, "amelie@example.com", "smtp1").verdict, "cannot-say", "another channel")
        has(d.log(), "grant-misused by=smtp login=amelie")
        deliver = one(d.resolve("amelie@example.com"))[0]
        same(d.sender(deliver, "amelie@example.com").verdict, "cannot-say", "a deliver grant")
        same(d.sender("00" * 16, "amelie@example.com").verdict, "cannot-say", "no grant")
        d.drop(amelie, "smtp1")
        same(d.sender(amelie, "amelie@example.com").verdict, "yes", "dropped by another")
        d.drop(amelie)
        same(d.sender(amelie, "amelie@example.com").verdict, "cannot-say", "dropped")
        d.relink("smtp")
        wait_for(lambda: d.sender(bruno, "bruno@example.com", "queue").verdict == "cannot-say", 5,
                 "a grant that outlives its smtp program")
    with directory(smtpd_sender_login_maps="") as d:
        amelie = d.auth("amelie", "amelie-secret").grant
        same(d.sender(amelie, "amelie@example.com").verdict, "no", "no map")


def grants():
    with directory() as d:
        grant = one(d.resolve("amelie@example.com"))[0]
        for program in ("master", "queue"):
            same(d.redeem(grant, program, "use").verdict, "cannot-say", program)
        for _ in range(3):
            same(d.redeem(grant, "deliver", "look").verdict, "yes")
        same(d.redeem(grant, "deliver", "use").verdict, "yes")
        same(d.redeem(grant, "deliver", "use").verdict, "cannot-say")
        imap = d.auth("amelie", "amelie-secret", "imap").grant
        for program in ("deliver", "queue"):
            same(d.redeem(imap, program, "use").verdict, "cannot-say", program)
        same(d.redeem(imap, "master", "use").verdict, "yes")
        same(d.redeem(imap, "master", "use").verdict, "cannot-say")
        smtp = d.auth("amelie", "amelie-secret").grant
        for program in ("deliver", "master"):
            same(d.redeem(smtp, program, "use").verdict, "cannot-say", program)
        for _ in range(2):
            same(d.redeem(smtp, "queue", "use").verdict, "yes", "stays for the session")
        same(d.auth("amelie", "amelie-secret", "imap", "smtp").verdict, "cannot-say",
             "smtp asks for a mailbox login")
        same(d.auth("amelie", "amelie-secret", "submission", "access").verdict, "cannot-say",
             "access asks for a sender login")
        deliver = one(d.resolve("amelie@example.com"))[0]
        d.drop(deliver, "queue")
        same(d.redeem(deliver, "deliver").verdict, "cannot-say")


# --- when the directory does not answer ---

def all_questions(d, grant):
    """Asked at once; the verdicts."""
    tags = [d.ask("resolve", "amelie@example.com"), d.ask("resolve", "nobody@example.com"),
            d.ask("resolve", "x@elsewhere.example"), d.ask("auth", "amelie", "amelie-secret", "imap"),
            d.ask("auth", "amelie", "wrong", "imap"), d.ask("auth", "nobody", "wrong", "imap"),
            d.ask("auth", "amelie@example.com", "amelie-secret", "submission"),
            d.ask("sender", grant, "amelie@example.com"), d.ask("sender", grant, "bruno@example.com")]
    return [d.wait(t).verdict for t in tags]


SOUND = ["yes", "no", "not-here", "yes", "no", "no", "yes", "yes", "no"]
SILENT = ["cannot-say"] * 9


def silent_then_back():
    with PrivateSlapd() as server:
        with Directory(connection(server, ldap_timeout="2s")) as d:
            d.wait_connected()
            grant = d.auth("amelie", "amelie-secret").grant
            same(all_questions(d, grant), SOUND)
            server.pause()
            start = time.monotonic()
            same(all_questions(d, grant), SILENT, "while it is stopped")
            true(time.monotonic() - start < 6, "bounded by ldap_timeout")
            server.resume()
            wait_for(lambda: all_questions(d, grant) == SOUND, 15, "sound again after SIGCONT")


def killed_then_restarted():
    with PrivateSlapd() as server:
        with Directory(connection(server)) as d:
            d.wait_connected()
            grant = d.auth("amelie", "amelie-secret").grant
            server.kill()
            start = time.monotonic()
            same(all_questions(d, grant), SILENT, "while it is dead")
            true(time.monotonic() - start < 5, "no long wait for a dead server")
            server.start()
            wait_for(lambda: all_questions(d, grant) == SOUND, 15, "sound again after a restart")
            d.wait_connected()
            has(d.log(), "ldap-connect")


def starts_before_the_server():
    with PrivateSlapd() as server:
        server.stop()
        with Directory(connection(server)) as d:
            tag = d.ask("resolve", "amelie@example.com")
            server.start()
            first = d.wait(tag).verdict
            true(first in ("yes", "cannot-say"), first)
            wait_for(lambda: d.resolve("amelie@example.com").verdict == "yes", 15, "answers")


def wrong_credentials():
    with directory(ldap_bind_pw="wrong") as d:
        start = time.monotonic()
        same(all_questions(d, "00" * 16), SILENT)
        true(time.monotonic() - start < 5, "bounded wait")
        has(d.log(), "bind: Invalid credentials (49)")
        true("wrong" not in d.log().replace("wrong-", ""), "the password in the log")
    with PrivateSlapd(people=None) as other:
        with directory(ldap_tls_ca_cert_file=other.ca_file) as d:
            same(all_questions(d, "00" * 16), SILENT)
            has(d.log(), "STARTTLS")
    with directory(ldap_tls_ca_cert_file="/nonexistent/ca.pem") as d:
        same(d.resolve("amelie@example.com").verdict, "cannot-say")
    with directory(ldap_search_base="ou=nowhere,dc=example,dc=org") as d:
        cannot(d, d.resolve("amelie@example.com"), "No such object (32)")
        cannot(d, d.auth("amelie", "amelie-secret"), "No such object")


def failover():
    with PrivateSlapd() as first, PrivateSlapd() as second:
        both = connection(first, ldap_timeout="2s", ldap_start_tls="no", ldap_bind_dn="",
                          ldap_bind_pw="")
        both["ldap_server_host"] = "ldap://127.0.0.1:1 %s %s" % (first.uri, second.uri)
        both.update(ldap_bind_dn="cn=admin,dc=example,dc=org", ldap_bind_pw=first.admin_password)
        # One password for both, since one account serves all servers of a list.
        second.modify_config("dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\n"
                             "replace: olcRootPW\nolcRootPW: %s\n" % first.admin_password)
        with Directory(both) as d:
            d.wait_connected()
            same(d.resolve("amelie@example.com").verdict, "yes", "the first of the list is dead")
            first.kill()
            wait_for(lambda: d.resolve("amelie@example.com").verdict == "yes", 5, "the third")
            same(d.auth("amelie", "amelie-secret").verdict, "yes")
            first.start()
            second.kill()
            wait_for(lambda: d.resolve("amelie@example.com").verdict == "yes", 5, "the second again")
            second.start()
            first.pause()
            wait_for(lambda: d.resolve("amelie@example.com").verdict == "yes", 20, "past a silent one")
            wait_for(lambda: d.auth("amelie", "amelie-secret").verdict == "yes", 20, "logins too")


def cut_connections():
    """A search or bind under way when its connection dies is made again, and nobody notices."""
    with SlowProxy(slapd.port, 0.15) as proxy:
        with directory(ldap_server_host=proxy.uri, ldap_start_tls="no") as d:
            d.wait_connected()
            tags = [d.ask("resolve", "team@example.com") for _ in range(20)]
            tags += [d.ask("auth", "amelie", "amelie-secret", "imap") for _ in range(20)]
            time.sleep(0.1)
            proxy.cut()
            verdicts = [d.wait(t).verdict for t in tags]
            same(set(verdicts), {"yes"}, "after one cut")
            d.wait_connected()
            proxy.refuse = True
            count = proxy.connections
            proxy.cut()
            same(d.resolve("amelie@example.com").verdict, "cannot-say")
            tries = proxy.connections - count
            true(tries < 30, "no storm of attempts: %d" % tries)
            proxy.refuse = False
            wait_for(lambda: d.resolve("amelie@example.com").verdict == "yes", 15, "back")


def size_limits():
    with PrivateSlapd() as server:
        server.add(ENTRIES)
        server.modify_config("dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\n"
                             "replace: olcLimits\nolcLimits: {0}dn.exact=\"%s\" size=1\n"
                             % server.reader_dn)
        with Directory(connection(server)) as d:
            one(d.resolve("deep@example.com"), "a domain of many is hosted all the same")
            cannot(d, d.resolve("shared@example.com"), "Size limit exceeded (4)")


def referrals():
    """Part of the tree lies on another server: where the table says to go there, what this server
    has is no answer. Otherwise it is all there is, as for Postfix."""
    with PrivateSlapd() as server:
        server.add("dn: ou=far,ou=mail,dc=example,dc=org\nobjectClass: referral\n"
                   "objectClass: extensibleObject\nou: far\nref: ldap://127.0.0.1:1/ou=far,dc=far\n")
        with Directory(connection(server)) as d:
            same(d.resolve("nobody@example.com").verdict, "no")
            same(one(d.resolve("amelie@example.com"))[1], "amelie@mail.example.org")
            same(d.auth("nobody", "x").verdict, "no")
        chasing = {name: TABLES[name] + "chase_referrals = yes\n" for name in TABLES}
        with Directory(connection(server), chasing) as d:
            cannot(d, d.resolve("nobody@example.com"), "Referral (10): ldap://127.0.0.1:1/ou=far,dc=far")
            cannot(d, d.resolve("amelie@example.com"))
            cannot(d, d.resolve("x@elsewhere.example"))
            cannot(d, d.auth("nobody@example.com", "x"))


# --- many at once ---

def logins_side_by_side():
    """Each bind takes half a second; fifty of them take no fifty halves, and searches do not wait."""
    with SlowProxy(slapd.port, 0.5) as proxy:
        with Directory(connection(slapd, ldap_server_host=proxy.uri, ldap_start_tls="no",
                                  ldap_bind_connections="25")) as d:
            d.wait_connected(30)
            start = time.monotonic()
            tags = [d.ask("auth", "amelie", "amelie-secret" if i % 2 else "wrong", "imap")
                    for i in range(50)]
            verdicts = [d.wait(t, 60).verdict for t in tags]
            spent = time.monotonic() - start
            same(verdicts, ["no", "yes"] * 25)
            true(spent < 8, "fifty logins took %.1f s" % spent)


def slow_hash():
    """While many logins wait for a slow hash, recipients are answered at once."""
    with PrivateSlapd() as server:
        hashed = subprocess.run(["perl", "-e", 'print crypt("slow-secret", "\\$6\\$rounds=60000\\$salt")'],
                                capture_output=True, text=True, check=True).stdout
        server.add("".join(person("slow%d" % i, 23000 + i).replace(
            "slow%d-secret" % i, "{CRYPT}" + hashed) for i in range(50)))
        with Directory(connection(server, ldap_timeout="30s")) as d:
            d.wait_connected()
            tags = [d.ask("auth", "slow%d" % i, "slow-secret", "imap") for i in range(50)]
            worst = 0
            for _ in range(20):
                start = time.monotonic()
                one(d.resolve("amelie@example.com"))
                worst = max(worst, time.monotonic() - start)
            same({d.wait(t, 60).verdict for t in tags}, {"yes"})
            true(worst < 1, "a recipient waited %.2f s" % worst)


def argon2():
    """A login does not wait for those before it, however long their hashes take: Argon2, in slapd."""
    with PrivateSlapd() as server:
        hashed = server.argon2("slow-secret", rounds=200, kibibytes=8192)
        server.add("".join(person("slow%d" % i, 23000 + i).replace("slow%d-secret" % i, hashed)
                           for i in range(7)))
        with Directory(connection(server, ldap_timeout="120s")) as d:
            d.wait_connected()
            slow = [d.ask("auth", "slow%d" % i, "slow-secret", "imap") for i in range(7)]
            wait_for(lambda: int(d.status().binds) == 7, 20, "they are under way")
            quick = d.ask("auth", "amelie", "amelie-secret", "imap")
            same(d.wait(quick, 60).verdict, "yes")
            true(not all(d.answered(tag) for tag in slow), "it was answered after all the others")
            same([d.wait(tag, 120).verdict for tag in slow], ["yes"] * 7, "the slow ones")


def many_recipients():
    with directory() as d:
        d.wait_connected()
        start = time.monotonic()
        tags = [d.ask("resolve", "m%d@example.com" % (i % MANY)) for i in range(1500)]
        same({d.wait(t).verdict for t in tags}, {"yes"})
        true(time.monotonic() - start < 20, "1500 recipients at once")
        same(d.status().waiting, "0")


def storm():
    """Questions beyond a bound are answered while the others wait, and those do not outlive their time."""
    with PrivateSlapd() as server:
        with Directory(connection(server, ldap_timeout="120s")) as d:
            d.wait_connected()
            server.pause()
            tags = [d.ask("resolve", "x@unknown%d.example" % i) for i in range(4500)]
            same({d.wait(t).verdict for t in tags[4200:]}, {"cannot-say"}, "beyond the bound")
            same([t for t in tags[:3000] if d.answered(t)], [], "answered below it")
            server.resume()
            same([d.wait(t, 120).verdict for t in tags[:4200]][:3000], ["not-here"] * 3000, "below it")
            same(d.status().waiting, "0")
        with Directory(connection(server, ldap_timeout="3s")) as d:
            d.wait_connected()
            server.pause()
            tags = [d.ask("resolve", "x@unknown%d.example" % i) for i in range(3000)]
            same({d.wait(t).verdict for t in tags}, {"cannot-say"}, "after their time")
            server.resume()
            wait_for(lambda: d.resolve("amelie@example.com").verdict == "yes", 15, "afterwards")
            same(d.status().waiting, "0")


def ticks(pid):
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def idle():
    """Connections that have nothing to say, also before their first question, cost nothing."""
    for options in ({}, {"ldap_start_tls": "no"},
                    {"ldap_start_tls": "no", "ldap_bind": "no", "ldap_server_host": "SLOW"}):
        with SlowProxy(slapd.port) as proxy:
            if "ldap_server_host" in options:
                options["ldap_server_host"] = proxy.uri
            with directory(**options) as d:
                d.wait_connected()
                for cut in (False, True):
                    if cut:
                        proxy.refuse = True
                        proxy.cut()
                        time.sleep(0.2)
                    before = ticks(d.pid)
                    time.sleep(1)
                    true(ticks(d.pid) - before < 15, "it spins: %r" % options)


# --- configuration ---

def article_tables():
    """Every table with the connection settings in its own file, none in facteur.conf."""
    top = slapd.table_settings()
    tables = {name: top + text for name, text in TABLES.items()}
    with Directory({"ldap_server_host": "ldap://127.0.0.1:1"}, tables) as d:
        one(d.resolve("amelie@example.com"))
        wait_for(lambda: d.status().search_connections == "2/4", 10,
                 "one set of connections for all tables, one for the rest")


def other_sources():
    with directory(virtual_alias_domains="one.example ldap:ldap/virtual_alias_domains.cf two.example",
                   virtual_uid_maps="static:5001", virtual_gid_maps="static:5002",
                   virtual_mailbox_limit="1000000") as d:
        r = d.redeem(one(d.resolve("amelie@example.com"))[0], "deliver")
        same((r.uid, r.gid, r.limit), ("5001", "5002", "1000000"))
        same(d.resolve("x@one.example").verdict, "no")
        same(d.resolve("x@TWO.example").verdict, "no")
        same(d.resolve("x@three.example").verdict, "not-here")


def reloads():
    with directory() as d:
        d.wait_connected()
        one(d.resolve("amelie@example.com"))
        grant = d.auth("amelie", "amelie-secret").grant
        d.options["virtual_minimum_uid"] = "20002"
        same(d.reload().verdict, "reloaded")
        cannot(d, d.resolve("amelie@example.com"), "below virtual_minimum_uid (20002)")
        same(d.sender(grant, "amelie@example.com").verdict, "yes", "grants outlive a reload")
        same(d.log().count("ldap-connected for=search"), 1, "connections outlive a reload")
        d.tables["virtual_alias_maps"] = "nonsense = 1\n"
        answer = d.reload()
        same(answer.verdict, "refused")
        has(answer.error, "virtual_alias_maps")
        one(d.resolve("bruno@example.com"), "the old configuration stays")
        d.tables["virtual_alias_maps"] = TABLES["virtual_alias_maps"]
        d.options["virtual_minimum_uid"] = "1000"
        d.options["ldap_search_connections"] = "3"
        tags = [d.ask("resolve", "everyone@example.com") for _ in range(30)]
        same(d.reload().verdict, "reloaded")
        same({d.wait(t).verdict for t in tags}, {"yes"}, "what was under way")
        one(d.resolve("amelie@example.com"))
        wait_for(lambda: d.status().search_connections == "3/3", 10, "the new connections only")


TESTS = [
    ("recipients lead to their mailboxes", recipients),
    ("aliases are expanded, and broken ones told", aliases),
    ("many targets come in pieces, and limits hold", pieces_and_limits),
    ("extensions are parted off and kept", extensions),
    ("postmaster is always led somewhere", postmasters),
    ("malformed entries are named in the log", malformed_entries),
    ("a recipient costs two searches", searches_per_recipient),
    ("searches that go as one answer as each would", joined_searches),
    ("a new catch-all is there at once", new_catch_all),
    ("odd characters inject nothing", no_injection),
    ("users log in with uid and addresses", logins),
    ("other filters and templates, and wrong ones", login_maps_of_other_kinds),
    ("senders are checked against the login's entry", senders),
    ("grants are for their holders and redeemers", grants),
    ("a silent server: cannot say, then sound again", silent_then_back),
    ("a killed server: cannot say, then sound again", killed_then_restarted),
    ("a server that comes later", starts_before_the_server),
    ("wrong password, CA or base: cannot say", wrong_credentials),
    ("the servers of a list stand in for each other", failover),
    ("connections that are cut", cut_connections),
    ("size limits: hosted all the same, or cannot say", size_limits),
    ("other servers: cannot say, where they count", referrals),
    ("fifty logins at once run side by side", logins_side_by_side),
    ("recipients do not wait for a slow hash", slow_hash),
    ("logins do not wait for each other's Argon2", argon2),
    ("many recipients at once", many_recipients),
    ("a storm of questions is bounded", storm),
    ("an idle directory sleeps", idle),
    ("tables with connections of their own", article_tables),
    ("plain domains and static values", other_sources),
    ("reload", reloads),
]

if __name__ == "__main__":
    with PrivateSlapd() as slapd:
        slapd.add(ENTRIES)
        chosen = [t for t in TESTS if not sys.argv[1:] or t[1].__name__ in sys.argv[1:]]
        failed = tap.run(chosen)
    sys.exit(1 if failed else 0)
