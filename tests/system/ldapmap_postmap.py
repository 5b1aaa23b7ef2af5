#!/usr/bin/env python3
"""ldapmap -q against the real postmap -q: the article's tables and odd ones, each with many odd keys.

Only Postfix's command is used, with a private configuration directory; Postfix is not started.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

SRCDIR = os.environ.get("FACTEUR_SRCDIR") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILDDIR = os.environ.get("FACTEUR_BUILDDIR") or os.getcwd()
sys.path.insert(0, os.path.join(SRCDIR, "tests", "lib"))
sys.dont_write_bytecode = True
from slapd import PrivateSlapd  # noqa: E402

LDAPMAP = os.path.join(BUILDDIR, "ldapmap", "ldapmap")
ARTICLE = ["virtual_alias_domains", "virtual_alias_maps", "virtual_mailbox_maps", "virtual_uid_maps",
           "virtual_gid_maps", "smtpd_sender_login_maps"]

# Entries that people's directories really hold, and some that no directory should.
ODD = r"""
dn: uid=odd1,ou=mail,@BASE@
objectClass: account
objectClass: extensibleObject
uid: odd1
cn: Odd One
cn;lang-fr: Un Drole
description: com.example.mail
mail: odd1@mail.example.com
mail: second@mail.example.com
maildrop: odd1@mail.example.org
seeAlso: uid=amelie,ou=mail,@BASE@
gecos:

dn: uid=odd2,ou=mail,@BASE@
objectClass: account
objectClass: extensibleObject
uid: odd2
description: com.example.mail
description: plain
mail: @nouser.example.com
mail: nodomain
mail: empty@
mail: two@ats@example.com
mail: odd2@mail.example.com

dn: uid=star*star,ou=mail,@BASE@
objectClass: account
objectClass: extensibleObject
uid: star*star
uid: par(en)s
uid: back\5Cslash
uid: back\slash
uid: com,ma
uid: pl+us
uid: ha#sh
uid: #hash
uid: an<gle>
uid: se;mi
uid: eq=ual
uid: quo"te
uid: two words
uid: per%cent
uid: dol$lar
uid: élise
uid: straße
uid: strasse
uid: ΣΊΣΥΦΟΣ
mail: found@odd.example.com

dn: uid=com\2Cma,ou=mail,@BASE@
objectClass: account
objectClass: extensibleObject
uid: com,ma
mail: comma@example.com

dn: uid=pl\2Bus,ou=mail,@BASE@
objectClass: account
objectClass: extensibleObject
uid: pl+us
mail: plus@example.com

dn: uid=two words,ou=mail,@BASE@
objectClass: account
objectClass: extensibleObject
uid: two words
mail: words@example.com

dn: ou=example.com,ou=mail,@BASE@
objectClass: organizationalUnit
ou: example.com

dn: uid=inside,ou=example.com,ou=mail,@BASE@
objectClass: account
objectClass: extensibleObject
uid: inside
mail: inside@example.com

dn: cn=group,ou=mail,@BASE@
objectClass: groupOfNames
objectClass: extensibleObject
cn: group
mail: group@example.com
maildrop: direct@example.com
member: uid=amelie,ou=mail,@BASE@
member: uid=gone,ou=mail,@BASE@
member: cn=inner,ou=mail,@BASE@
member: uid=bruno,ou=mail,@BASE@

dn: cn=inner,ou=mail,@BASE@
objectClass: groupOfNames
objectClass: extensibleObject
cn: inner
mail: inner@example.com
maildrop: inner-direct@example.com
member: uid=chloe,ou=mail,@BASE@
member: cn=terminal,ou=mail,@BASE@

dn: cn=terminal,ou=mail,@BASE@
objectClass: groupOfNames
objectClass: extensibleObject
cn: terminal
mail: terminal@example.com
maildrop: list@host.example.com
host: lists.example.com
member: uid=odd1,ou=mail,@BASE@

dn: cn=looped,ou=mail,@BASE@
objectClass: groupOfNames
objectClass: extensibleObject
cn: looped
maildrop: looped@example.com
member: cn=looped,ou=mail,@BASE@

dn: cn=urls,ou=mail,@BASE@
objectClass: organizationalRole
objectClass: extensibleObject
cn: urls
mail: urls@example.com
labeledURI: ldap:///ou=mail,@BASE@?maildrop?sub?(uid=bruno)
labeledURI: ldap:///ou=mail,@BASE@?mail,cn;lang-fr?sub?(uid=odd*)
labeledURI: ldap:///uid=chloe,ou=mail,@BASE@
labeledURI: ldap:///ou=mail,@BASE@?telephoneNumber?sub?(uid=amelie)
labeledURI: ldap:///uid=gone,ou=mail,@BASE@

dn: cn=badurl,ou=mail,@BASE@
objectClass: organizationalRole
objectClass: extensibleObject
cn: badurl
labeledURI: ldap://[broken

dn: cn=baddn,ou=mail,@BASE@
objectClass: organizationalRole
objectClass: extensibleObject
cn: baddn
labeledURI: this is no DN

dn: cn=binary,ou=mail,@BASE@
objectClass: organizationalRole
objectClass: extensibleObject
cn: binary
userPKCS12:: /9j/4A==

dn: cn=pointer,ou=mail,@BASE@
objectClass: alias
objectClass: extensibleObject
cn: pointer
aliasedObjectName: uid=chloe,ou=mail,@BASE@
"""

BODY = """\
# "== name / least number of keys that must be found", then the table's own lines; "few" for tables
# that many keys get no answer from, which takes postmap a second each.
== percent u / 20
query_filter = (uid=%u)
result_attribute = mail
== percent d / 10
query_filter = (|(mail=*@%d)(mailacceptinggeneralid=*@%d))
result_attribute = uid
== percent s, and its capital / 10
query_filter = (|(uid=%s)(uid=%S))
result_attribute = mail, maildrop
== percent U and D / 2
query_filter = (&(uid=%U)(|(mail=*%D)(mailacceptinggeneralid=*%D)))
result_attribute = uid
== labels 1 to 3 / 3
query_filter = (description=%1.%2.%3)
result_attribute = uid
== label 9 is far away / 0
query_filter = (|(uid=%u)(uid=%9))
result_attribute = uid
== an escaped percent / 1
query_filter = (uid=per%%cent)
result_attribute = uid
== format with parts of the value / 5
query_filter = (uid=%u)
result_attribute = mail
result_format = <%u> at %d
== format with parts of the key / 5
query_filter = (uid=%u)
result_attribute = mail
result_format = [%s|%S|%U|%D|%1|%2|%%]
== format that needs a third label of the key / 1
query_filter = (uid=%u)
result_attribute = mail
result_format = %3:%s
== format with the user only / 5
query_filter = (uid=%u)
result_attribute = mail
result_format = %u
== format with the domain only / 5
query_filter = (uid=%u)
result_attribute = mail
result_format = smtp:[%d]
== format without any part / 5
query_filter = (uid=%u)
result_attribute = mail
result_format = OK
== an empty format / 0
query_filter = (uid=%u)
result_attribute = mail
result_format =
== the old name of the format / 5
query_filter = (uid=%u)
result_attribute = mail
result_filter = old:%s
== both names of the format / 5
query_filter = (uid=%u)
result_attribute = mail
result_filter = old:%s
result_format = new:%s
== no filter of its own / 5
result_attribute = maildrop
== no result attribute of its own / 3
query_filter = uid=%u
== an empty result attribute / 0
query_filter = uid=%u
result_attribute =
== a base made from the key / 5
search_base = uid=%u,ou=mail,@BASE@
scope = base
query_filter = objectClass=*
result_attribute = mail uid
== a base made from the domain / 1
search_base = ou=%d,ou=mail,@BASE@
scope = one
query_filter = (uid=%u)
result_attribute = mail
== a base made from labels / 1
search_base = ou=%2.%1,ou=mail,@BASE@
query_filter = (uid=%U)
result_attribute = mail
== a base with a capital and a percent / 0
search_base = cn=%S %%,ou=mail,@BASE@
query_filter = (uid=%U)
result_attribute = mail
== scope base / 0
scope = base
query_filter = (uid=%u)
result_attribute = mail
== scope one / 5
scope = one
query_filter = (uid=%u)
result_attribute = mail
== a fixed base that is not there / 0 / few
search_base = ou=nowhere,@BASE@
query_filter = (uid=%u)
result_attribute = mail
== a fixed base that is no DN / 0 / few
search_base = nonsense
query_filter = (uid=%u)
result_attribute = mail
== several result attributes / 5
query_filter = (|(uid=%u)(cn=%u))
result_attribute = uid, maildrop mail;cn
== an attribute with an option / 1
query_filter = (uid=%u)
result_attribute = cn;lang-fr
== an attribute that others are forms of / 1
query_filter = (uid=%u)
result_attribute = cn
== an attribute with an empty value / 0
query_filter = (uid=%u)
result_attribute = gecos
== a result that is not UTF-8 / 0
query_filter = (cn=%u)
result_attribute = userPKCS12
== members / 4
query_filter = (cn=%u)
result_attribute = maildrop
special_result_attribute = member
recursion_limit = 20
== members, leaves only / 3
query_filter = (cn=%u)
result_attribute =
leaf_result_attribute = maildrop mail
special_result_attribute = member
recursion_limit = 20
== members, leaves and direct ones / 3
query_filter = (cn=%u)
result_attribute = mail
leaf_result_attribute = maildrop
special_result_attribute = member
recursion_limit = 20
== members up to a terminal / 3
query_filter = (cn=%u)
result_attribute = mail
leaf_result_attribute = maildrop
terminal_result_attribute = host
special_result_attribute = member
recursion_limit = 20
== terminal and leaf entries in one answer / 3
query_filter = (|(cn=%u)(uid=%u)(cn=terminal)(cn=inner)(uid=odd1))
result_attribute = mail
leaf_result_attribute = maildrop
terminal_result_attribute = host
special_result_attribute = member
recursion_limit = 20
== the same attribute in several lists / 3
query_filter = (cn=%u)
result_attribute = maildrop
leaf_result_attribute = maildrop
terminal_result_attribute = host
special_result_attribute = member, seeAlso
recursion_limit = 20
== no recursion / 3
query_filter = (|(cn=%u)(uid=%u))
result_attribute = mail
special_result_attribute = member
recursion_limit = 1
== recursion of two / 1
query_filter = (cn=%u)
result_attribute = mail
special_result_attribute = member
recursion_limit = 2
== recursion of three / 2
query_filter = (cn=%u)
result_attribute = mail
special_result_attribute = member
recursion_limit = 3
== URLs / 1
query_filter = (cn=%u)
result_attribute = mail
leaf_result_attribute = maildrop cn
special_result_attribute = labeledURI
== URLs, with a table that wants an option / 1
query_filter = (cn=%u)
result_attribute = mail cn;lang-fr
special_result_attribute = labeledURI
== URLs and members with a format / 3
query_filter = (cn=%u)
result_attribute = mail
special_result_attribute = labeledURI member
result_format = %U/%u
recursion_limit = 20
== one value at most / 3
query_filter = (uid=%u)
result_attribute = mail
expansion_limit = 1
== three values at most, with members / 1
query_filter = (cn=%u)
result_attribute = maildrop
special_result_attribute = member
expansion_limit = 3
size_limit = 50
== two values at most, some of them empty / 3
query_filter = (uid=%u)
result_attribute = mail
result_format = %d
expansion_limit = 2
size_limit = 0
== one entry at most / 3
query_filter = (|(uid=%u)(description=%u))
result_attribute = uid
size_limit = 1
== two entries at most / 3
query_filter = (|(mail=*@%d)(uid=%u))
result_attribute = uid
size_limit = 2
== keys of some domains / 4
domain = example.com, Example.NET
query_filter = (uid=%u)
result_attribute = mail
== keys of no domains / 0
domain = example.invalid
query_filter = (uid=%u)
result_attribute = mail
== keys of all domains but one / 3
domain = !example.com, static:all
query_filter = (uid=%u)
result_attribute = mail
== keys of domains, with a domain in the format / 2
domain = mail.example.com example.com
query_filter = (uid=%u)
result_attribute = mail
result_format = %D:%s
== following aliases / 1
query_filter = (cn=%u)
dereference = 3
search_base = cn=pointer,ou=mail,@BASE@
query_filter = (|(uid=chloe)(uid=%u))
result_attribute = maildrop
== not following aliases / 0
search_base = cn=pointer,ou=mail,@BASE@
query_filter = (|(uid=chloe)(uid=%u))
result_attribute = maildrop
== continued lines, comments between / 5
query_filter = (|(uid=%u)
  # a comment inside

    (cn=%u)
\t(mail=%s))
 \t
result_attribute = mail
# a comment
  , maildrop
== the last of two / 5
result_attribute = nothing
query_filter = (uid=%u)
result_attribute = mail
== a filter that is no filter / 0 / few
query_filter = (&)(uid=%u)
result_attribute = mail
== a filter without a value / 0 / few
query_filter = uid
result_attribute = mail
== a dollar is only a dollar / 1
query_filter = (uid=dol$lar)
result_attribute = uid
"""

DOMAINS = ["example.com", "EXAMPLE.com", "mail.example.com", "a.b.example.com", "example.net", "com",
           ".example.com", "example.com.", "example..com", "a.b.c.d.e.f.g.h.i", "..", ".", "",
           "nowhere.invalid", "mail.example.org", "münchen.example"]
USERS = ["amelie", "Amelie", "bruno", "odd1", "odd2", "inside", "group", "inner", "terminal", "looped",
         "urls", "", "nobody"]
STRANGE = ["star*star", "*", "od*", "par(en)s", ")(uid=*", "back\\slash", "back\\5cslash", "com,ma",
           "pl+us", "ha#sh", "#hash", "an<gle>", "se;mi", "eq=ual", "quo\"te", "two words", " lead",
           "trail ", "per%cent", "%s", "%u", "$x", "dol$lar", "élise", "ÉLISE", "straße", "STRASSE",
           "σίσυφοσ", "ΣΊΣΥΦΟΣ", "ﬀ", "İ", "日本", "tab\there", "\x01", "'", "`", "com\\,ma", "a" * 300,
           "badurl", "baddn", "binary", "pointer", "plain", "com.example.mail"]


def make_keys():
    keys = [u + "@" + d for u in USERS[:8] for d in DOMAINS]
    keys += ["%s@example.com" % u for u in USERS] + USERS + DOMAINS
    keys += STRANGE + [s + "@example.com" for s in STRANGE] + ["amelie@" + s for s in STRANGE[:12]]
    keys += ["a@b@c", "amelie@x@example.com", "@", "@@", "amelie@@example.com", "Team@Example.Com"]
    return list(dict.fromkeys(k for k in keys))


class Test:
    def __init__(self):
        self.number = 0
        self.failed = 0
        self.found = 0  # keys, in all
        self.dir = tempfile.mkdtemp(prefix="ldapmap-")
        self.postfix = os.path.join(self.dir, "postfix")
        os.mkdir(self.postfix)
        self.write(os.path.join(self.postfix, "main.cf"),
                   "compatibility_level = 3.6\nmyhostname = mail.example.org\n"
                   "inet_interfaces = 127.0.0.1\nmynetworks = 127.0.0.0/8\n"
                   "queue_directory = %s\ndata_directory = %s\n" % (self.postfix, self.postfix))
        self.write(os.path.join(self.postfix, "dynamicmaps.cf"),
                   open("/etc/postfix/dynamicmaps.cf").read())

    @staticmethod
    def write(path, text):
        with open(path, "w") as f:
            f.write(text)
        # Postfix waits until a file is some seconds old before it trusts it.
        old = os.stat(path).st_mtime - 60
        os.utime(path, (old, old))

    def table(self, name, text):
        path = os.path.join(self.dir, name + ".cf")
        self.write(path, text)
        return "ldap:" + path

    def report(self, good, what, diagnostics=()):
        self.number += 1
        self.failed += not good
        print("%s %d - %s" % ("ok" if good else "not ok", self.number, what))
        for line in diagnostics:
            print("# " + line.encode("unicode_escape").decode())
        sys.stdout.flush()

    @staticmethod
    def run(command, keys=None):
        text = None if keys is None else b"".join(k + b"\n" for k in keys)
        done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60)
        return done.returncode, done.stdout, done.stderr

    def both(self, table, key, keys=None):
        return (self.run(["postmap", "-c", self.postfix, "-q", key, table], keys),
                self.run([LDAPMAP, "-q", key, table], keys))

    def together(self, pool, table, keys, size):
        """Runs over size keys each: how many keys were found, and the keys of those runs where one
        could not be answered or the two differ."""
        parts = [keys[i:i + size] for i in range(0, len(keys), size)]
        found, doubtful = 0, []
        runs = pool.map(lambda part: self.both(table, b"-", part), parts)
        for part, (theirs, ours) in zip(parts, runs):
            if b"fatal" in theirs[2] or ours[:2] != theirs[:2]:
                doubtful += part
            else:
                found += theirs[1].count(b"\n")
        return found, doubtful

    def alone(self, table, key):
        """One key: (found, could not say, a difference or None)."""
        theirs, ours = self.both(table, key)
        fatal = b"fatal" in theirs[2]
        same = ours[:2] == theirs[:2] and fatal == (b"ldapmap: " in ours[2])
        return (theirs[0] == 0, fatal,
                None if same else "key %r: postmap %r, ldapmap %r" % (key, theirs, ours))

    def check_all(self, jobs):
        """Several tables side by side, told in their order: (name, text, keys, least number found)."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            for done in pool.map(lambda job: self.check(*job), list(jobs)):
                self.report(*done)

    def check(self, name, text, keys, least):
        """Many keys at once; where one of them could not be answered, fewer; at last, and for some
        anyway, each alone. Many runs at a time: postmap sleeps a second before it ends in an error."""
        table = self.table("".join(c if c.isalnum() else "-" for c in name), text)
        raw = [k if isinstance(k, bytes) else k.encode() for k in keys]
        with ThreadPoolExecutor(max_workers=24) as pool:
            found, doubtful = 0, raw
            for size in (90, 9) if len(raw) > 8 else ():
                more, doubtful = self.together(pool, table, doubtful, size)
                found += more
            single = doubtful + [k for k in raw[1::max(1, len(raw) // 4)] if k not in doubtful]
            alone = list(pool.map(lambda key: self.alone(table, key),
                                  [k for k in single if k not in (b"", b"-")]))
        found += sum(1 for was_found, _, _ in alone if was_found)
        unsaid = sum(1 for _, fatal, _ in alone if fatal)
        difference = [d for _, _, d in alone if d]
        self.found += found
        if found < least:
            difference.append("only %d keys found, at least %d expected" % (found, least))
        return (not difference, "%s: %d keys, %d found, %d unanswered" %
                (name, len(raw), found, unsaid), difference[:20])


def parse_tables(text):
    for block in text.split("\n== ")[1:]:
        head, _, body = block.partition("\n")
        name, least, *few = head.split(" / ")
        yield name, int(least), bool(few), body


def settings(slapd, **changes):
    """The article's connection lines, some changed or (None) left out."""
    lines = []
    for line in slapd.table_settings().splitlines():
        name = line.split(" = ")[0]
        if name in changes:
            value = changes.pop(name)
            line = None if value is None else "%s = %s" % (name, value)
        if line is not None:
            lines.append(line)
    lines += ["%s = %s" % (n, v) for n, v in changes.items() if v is not None]
    return "\n".join(lines) + "\n"


def connections(test, slapd):
    body = "query_filter = mailacceptinggeneralid=%s\nresult_attribute = maildrop\n"
    keys = ["amelie@example.com", "nobody@example.com", "team@example.com", "Info@Example.NET"]
    port = slapd.ldap_port
    wrong = "/etc/ssl/certs/ca-certificates.crt"
    test.check_all(("connection: " + name, settings(slapd, **changes) + body, keys, least)
                   for name, least, changes in [
            ("LDAP over a local socket", 3, {"server_host": slapd.ldapi_uri, "start_tls": "no"}),
            ("host and port", 3, {"server_host": "127.0.0.1:" + port}),
            ("host, and the port apart", 3, {"server_host": "127.0.0.1", "server_port": port}),
            ("the article's localhost", 3, {"server_host": "ldap://localhost:" + port}),
            ("a server that is down, then one", 3,
             {"server_host": "ldap://127.0.0.1:1, " + slapd.uri}),
            ("all servers down", 0, {"server_host": "ldap://127.0.0.1:1 127.0.0.1:2"}),
            ("a wrong CA", 0, {"tls_ca_cert_file": wrong}),
            ("a wrong CA, unchecked", 3, {"tls_ca_cert_file": wrong, "tls_require_cert": "no"}),
            ("a CA file that is not there", 0, {"tls_ca_cert_file": test.dir + "/none"}),
            ("TLS to a server without it", 0, {"server_host": slapd.uri.replace("ldap:", "ldaps:")}),
            ("a wrong password", 0, {"bind_pw": "wrong"}),
            ("a wrong bind DN", 0, {"bind_dn": "cn=nobody"}),
            ("no bind", 0, {"bind": "no"}),
            ("bind = none", 0, {"bind": "none"}),
            ("bind = Simple", 3, {"bind": "Simple"}),
            ("LDAP version 2", 0, {"version": "2", "start_tls": "no"}),
            ("chasing referrals", 3, {"chase_referrals": "Yes"})])
    slapd.pause()
    test.check_all([("connection: silent", settings(slapd, timeout="1") + body, keys[:1], 0)])
    slapd.resume()
    slapd.stop()
    test.check_all([("connection: stopped", settings(slapd) + body, keys[:2], 0)])
    slapd.start()
    test.check_all([("connection: started again", settings(slapd) + body, keys, 3)])


def lost_connection(test, slapd):
    """The server goes and comes back between two keys: the second is answered all the same."""
    body = "query_filter = mailacceptinggeneralid=%s\nresult_attribute = maildrop\n"
    process = subprocess.Popen([LDAPMAP, "-v", "-q", "-", test.table("lost", settings(slapd) + body)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"bruno@example.com\n")
    process.stdin.flush()
    while b"ldap_result code=0" not in process.stderr.readline():
        pass
    slapd.stop()
    slapd.start()
    out, errors = process.communicate(b"amelie@example.com\n", timeout=30)
    want = b"bruno@example.com\tbruno@mail.example.org\namelie@example.com\tamelie@mail.example.org\n"
    good = out == want and process.returncode == 0
    test.report(good, "connection: lost between two keys", [] if good else [repr((out, errors))])


def bad_files(test, slapd):
    """What Postfix only warns of, or finds out later: an error here, with file, line and a hint."""
    good = settings(slapd)
    for name, text, want in [
            ("an unknown name", good + "query_filer = x\n", "line 11: unknown name \"query_filer\" "
             "(did you mean query_filter?)"),
            ("an unknown connection name", "tls_ca_file = x\n" + good, "line 1: unknown name"),
            ("no equals sign", good + "result_attribute maildrop\n", "line 11:"),
            ("a value out of range", good + "dereference = 4\n", "line 11: dereference"),
            ("a bad template", good + "query_filter = (a=%x)\n", "line 11: query_filter"),
            ("no search base", "query_filter = (a=%s)\n", "search_base"),
            ("SASL", good + "bind = sasl\nsasl_mechs = DIGEST-MD5\n", "EXTERNAL"),
            ("a domain file", good + "domain = /etc/domains\n", "/etc/domains")]:
        code, out, errors = test.run([LDAPMAP, "-q", "x", test.table("bad", text)])
        good_answer = code == 1 and out == b"" and want.encode() in errors and b"bad.cf" in errors
        test.report(good_answer, "bad file: " + name, [] if good_answer else [repr(errors)])
    code, out, errors = test.run([LDAPMAP, "-q", "x", "ldap:" + test.dir + "/none"])
    good_answer = code == 1 and b"/none" in errors
    test.report(good_answer, "bad file: none at all", [] if good_answer else [repr(errors)])


def main():
    for tool in ("postmap", "slapd"):
        if shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
            print("1..1\nnot ok 1 - %s is installed" % tool)
            return 1
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if not os.path.exists("/usr/lib/postfix/postfix-ldap.so"):
        print("1..1\nnot ok 1 - postfix-ldap is installed")
        return 1
    test = Test()
    keys = make_keys()
    try:
        with PrivateSlapd() as slapd:
            slapd.add(ODD.replace("@BASE@", slapd.base))
            jobs = []
            for name in ARTICLE:
                with open(os.path.join(SRCDIR, "conf", "ldap", name + ".cf")) as f:
                    jobs.append((name, slapd.table_settings() + f.read(), keys, 2))
            jobs.append(("keys that are not UTF-8",
                         slapd.table_settings() + "query_filter = mailacceptinggeneralid=%s\n",
                         [b"\xff", b"am\xe9lie@example.com", b"\xc0\x80@example.com",
                          b"amelie@example.com"], 1))
            for name, least, few, body in parse_tables(BODY.replace("@BASE@", slapd.base)):
                jobs.append((name, slapd.table_settings() + body, keys[::12] if few else keys, least))
            test.check_all(jobs)
            connections(test, slapd)
            lost_connection(test, slapd)
            bad_files(test, slapd)
    finally:
        shutil.rmtree(test.dir, ignore_errors=True)
    print("1..%d" % test.number)
    return 1 if test.failed else 0


if __name__ == "__main__":
    sys.exit(main())
