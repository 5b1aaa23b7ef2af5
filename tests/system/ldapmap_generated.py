#!/usr/bin/env python3
"""ldapmap -q against the real postmap -q over directories, tables and keys that a seeded generator
makes: multi-valued results, references with recursion, leaf and terminal attributes, domain lists,
every % form, limits, odd characters, UTF-8, referrals, aliases of entries. With --whole, thousands of
keys over hundreds of tables; FACTEUR_SEED chooses others than usual, FACTEUR_TABLES how many."""
import os
import random
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from ldapmap_postmap import Test  # noqa: E402
from slapd import PrivateSlapd  # noqa: E402

SLICE, WHOLE, KEYS, PEOPLE, GROUPS = 10, 220, 70, 90, 30
DOMAINS = ["example.com", "example.net", "sub.example.com", "a.b.c.example.org", "müller.example",
           "x-y.example"]
LOCALS = ["anna", "Boris", "o'hara", "zoë", "a+b", "a.b", "with space", "star*", "pa(r)en", "back\\slash",
          "per%cent", "com,ma", "quo\"te", "ha#sh", "eq=ual", "semi;colon", "ангел", "straße", "$dollar"]


def fold(values):
    return "".join("%s: %s\n" % v for v in values)


class World:
    def __init__(self, seed, base):
        self.r = random.Random(seed)
        self.base = "ou=mail," + base
        self.addresses, self.dns = [], []

    def address(self):
        r = self.r
        local = r.choice(LOCALS) + (str(r.randrange(40)) if r.random() < 0.8 else "")
        value = local + "@" + r.choice(DOMAINS)
        self.addresses.append(value)
        return value

    def plain(self):
        """For mail, whose values are ASCII."""
        value = self.address().encode("ascii", "replace").decode().replace("?", "u")
        self.addresses.append(value)
        return value

    def some(self, most):
        return range(self.r.choice([0, 1, 1, 1, 2, most]))

    def person(self, number):
        r, dn = self.r, "uid=p%d,%s" % (number, self.base)
        values = [("objectClass", "account"), ("objectClass", "extensibleObject"), ("uid", "p%d" % number)]
        values += sorted({("mail", self.plain()) for _ in self.some(4)})
        values += sorted({("maildrop", self.address()) for _ in self.some(3)})
        values += sorted({("mailacceptinggeneralid", self.address()) for _ in self.some(5)})
        if r.random() < 0.2:
            values.append(("mail", r.choice(["@" + r.choice(DOMAINS[:4]), "nodomain%d" % number, "empty%d@" % number,
                                             "two@ats%d@example.com" % number])))
        if r.random() < 0.15:
            values.append(("host", r.choice(DOMAINS[:4])))
        if r.random() < 0.2:
            values.append(("description", r.choice(DOMAINS[:4]) + " text %d" % number))
        self.dns.append(dn)
        return "dn: %s\n" % dn + fold(values) + "\n"

    def group(self, number):
        r, dn = self.r, "cn=g%d,%s" % (number, self.base)
        self.dns.append(dn)
        values = [("objectClass", "groupOfNames"), ("objectClass", "extensibleObject"), ("cn", "g%d" % number)]
        values += sorted({("mailacceptinggeneralid", self.address()) for _ in self.some(3)})
        values += sorted({("maildrop", self.address()) for _ in self.some(2)})
        values += sorted({("mail", self.plain()) for _ in self.some(2)})
        members = {r.choice(self.dns) for _ in range(r.choice([1, 2, 4, 8]))}
        if r.random() < 0.15:
            members.add("cn=g%d,%s" % (r.randrange(GROUPS), self.base))
        if r.random() < 0.2:
            members.add("uid=nobody%d,%s" % (number, self.base))
        values += sorted(("member", m) for m in members)
        if r.random() < 0.1:
            values.append(("labeledURI", "ldap:///%s??sub?(uid=p%d*)" % (self.base, r.randrange(9))))
        return "dn: %s\n" % dn + fold(values) + "\n"

    def odd(self):
        text = "dn: ou=elsewhere,%s\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\n" \
               "ref: ldap://127.0.0.1:1/ou=elsewhere,%s\n\n" % (self.base, self.base)
        for n in range(4):
            text += "dn: uid=alias%d,%s\nobjectClass: alias\nobjectClass: extensibleObject\nuid: alias%d\n" \
                    "aliasedObjectName: %s\n\n" % (n, self.base, n, self.dns[n * 7])
        return text

    def ldif(self):
        people = "".join(self.person(n) for n in range(PEOPLE))
        return people + "".join(self.group(n) for n in range(GROUPS)) + self.odd()

    def table(self):
        r = self.r
        attr = r.choice(["mailacceptinggeneralid", "mail", "maildrop", "mailacceptinggeneralid"])
        every = "(|(mail=%s)(maildrop=%s)(mailacceptinggeneralid=%s))"
        lines = ["query_filter = " + r.choice([every] * 12 + [
            "%s=%%s" % attr, "(%s=%%s)" % attr, "(|(mail=%s)(maildrop=%s))", "%s=*@%%d" % attr,
            "(&(objectClass=*)(%s=%%u@%%d))" % attr, "%s=%%s*" % attr, "(%s=%%u*)" % attr,
            "(&(%s=%%s)(!(host=*)))" % attr, "description=%2.%1*", "(description=*%1*)",
            "(|(uid=%u)(uid=%s))", "%s=%%S" % attr, "(%s=%%U@%%D)" % attr, "(mail=%%%s)"])]
        lines.append("result_attribute = " + r.choice([
            "maildrop", "mail", "mail maildrop", "maildrop, mail", "uid", "mail, uid", "mail", "maildrop",
            "mailacceptinggeneralid", r.choice(["nothing", "description"])]))
        if r.random() < 0.6:
            lines.append("result_format = " + r.choice([
                "%s", "%s", "%u", "%d", "<%s>", "%s", "<%s>", "%u at %d", "%S:%s", "%U-%D", "%1", "%2/%1", "%3", "100%%", "%s,%s",
                "%D/%u", r.choice(["fixed", "%9"])]))
        if r.random() < 0.45:
            lines.append("special_result_attribute = " + r.choice(["member", "member", "member, labeledURI"]))
        if r.random() < 0.25:
            lines.append("leaf_result_attribute = " + r.choice(["mail", "maildrop", "uid"]))
        if r.random() < 0.2:
            lines.append("terminal_result_attribute = " + r.choice(["maildrop", "host", "mail"]))
        if r.random() < 0.2:
            lines.append("domain = " + r.choice(["example.com", "example.com, example.net", "!example.com",
                                                 "nowhere.example", "sub.example.com !example.net x-y.example"]))
        if r.random() < 0.2:
            lines.append("expansion_limit = %d" % r.choice([1, 2, 5, 20]))
        if r.random() < 0.15:
            lines.append("size_limit = %d" % r.choice([1, 2, 50]))
        if r.random() < 0.15:
            lines.append("recursion_limit = %d" % r.choice([1, 2, 3, 10]))
        if r.random() < 0.3:
            lines.append("dereference = %d" % r.randrange(4))
        lines.append("scope = " + r.choice(["sub"] * 8 + ["one", "one", "base"]))
        if r.random() < 0.1:
            lines.append("chase_referrals = no")
        return "\n".join(lines) + "\n"

    def key(self):
        r = self.r
        value = r.choice(self.addresses)
        change = r.random()
        if change < 0.1:
            return value.upper()
        if change < 0.15:
            return value.split("@")[0]
        if change < 0.22:
            return "@" + value.split("@")[-1]
        if change < 0.28:
            return value.split("@")[-1]
        if change < 0.33:
            return r.choice(["*", "*@example.com", "(", "\\2a", "p1", "p2@example.com", "@", "a@", ".", "p*"])
        if change < 0.36:
            return value + r.choice(["x", " ", ".", "@"])
        return value


def usable(key):
    return key.strip() == key and key not in ("", "-")


def main():
    for place in os.environ["PATH"].split(":") + ["/usr/sbin", "/sbin"]:
        if os.path.exists(place + "/postmap"):
            break
    else:
        print("1..1\nnot ok 1 - postmap is installed (Debian: postfix and postfix-ldap)")
        return 1
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    count = WHOLE if "--whole" in sys.argv else SLICE
    count = int(os.environ.get("FACTEUR_TABLES", count))
    seed = int(os.environ.get("FACTEUR_SEED", "5"))
    print("# seed %d" % seed)
    test = Test()
    try:
        with PrivateSlapd() as slapd:
            world = World(seed, slapd.base)
            ldif = world.ldif()
            done = subprocess.run(["ldapadd", "-M", "-x", "-H", slapd.ldapi_uri, "-D", slapd.admin_dn, "-y",
                                   slapd.dir + "/admin.pw"], input=ldif, capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(done.stderr)
            jobs = []
            for number in range(count):
                text = world.table()
                keys = sorted({k for k in (world.key() for _ in range(KEYS)) if usable(k)})
                name = "g%03d" % number
                test_text = slapd.table_settings(tls=False).replace("scope = sub\n", "")
                jobs.append((name, test_text + text, keys, 0))
            test.check_all(jobs)
            if test.failed:
                for name, text, _, _ in jobs:
                    print("# %s: %s" % (name, text.split("search_base")[1].encode("unicode_escape").decode()))
    finally:
        shutil.rmtree(test.dir, ignore_errors=True)
    test.report(test.found > 3 * count, "keys were found: %d" % test.found)
    print("1..%d" % test.number)
    return 1 if test.failed else 0


if __name__ == "__main__":
    sys.exit(main())
