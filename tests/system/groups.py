#!/usr/bin/env python3
"""Groups of the directory as mailing lists: members of all kinds, nested, in circles, gone; who may
post; by the whole server, with a real slapd."""
import os
import smtplib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402
from tap import has, same, wait_for  # noqa: E402

OU = "ou=mail,dc=example,dc=org"
PERSON = "uid=%s," + OU
MAIL = "Subject: %s\r\n\r\nHello\r\n"
PEOPLE = ("amelie", "bruno", "chloe")


def group(server, name, kind="groupOfNames", **attributes):
    """An entry of these attributes, and no others from before."""
    dn = "cn=%s,%s" % (name, OU)
    if "dn: " in server.slapd.search("(cn=%s)" % name, "cn", base=OU):
        server.slapd.modify("dn: %s\nchangetype: delete\n" % dn)
    lines = ["dn: " + dn, "objectClass: " + kind, "objectClass: facteurList",
             "objectClass: extensibleObject", "cn: " + name,
             "facteurListAddress: %s@example.com" % name]
    if kind == "posixGroup":
        lines.append("gidNumber: 30000")
    for attribute, values in attributes.items():
        lines += ["%s: %s" % (attribute, v) for v in ([values] if isinstance(values, str) else values)]
    server.slapd.add("\n".join(lines) + "\n")
    server.facteur("directory", "flush")
    return dn


def rcpt(mail, address, sender="somebody@remote.example", client=None):
    with client or mail.smtp() as smtp:
        smtp.ehlo("test.example")
        same(smtp.mail(sender)[0], 250)
        code, text = smtp.docmd("RCPT TO:<%s>" % address)
        return "%d %s" % (code, text.decode())


def readers(mail, subject):
    return {user for user in PEOPLE for text in mail.messages(user)
            if "Subject: %s\n" % subject in text}


def reaches(mail, name, subject, who):
    mail.deliver(name + "@example.com", MAIL % subject)
    wait_for(lambda: readers(mail, subject) == set(who), 15, subject)
    for user in who:
        same(sum("Subject: %s\n" % subject in text for text in mail.messages(user)), 1, "copies")


def kinds(mail):
    group(mail, "names", member=[PERSON % "amelie", PERSON % "chloe"])
    reaches(mail, "names", "names", ("amelie", "chloe"))
    group(mail, "unique", "groupOfUniqueNames", uniqueMember=[PERSON % "amelie", PERSON % "bruno" + "#'0101'B"])
    reaches(mail, "unique", "unique", ("amelie", "bruno"))
    group(mail, "unix", "posixGroup", memberUid=["bruno", "chloe"])
    reaches(mail, "unix", "unix", ("bruno", "chloe"))
    reaches(mail, "unix+tag", "with extension", ("bruno", "chloe"))


def nested_and_in_circles(mail):
    group(mail, "inner", "posixGroup", memberUid="bruno")
    outer = group(mail, "outer", member=[PERSON % "amelie", "cn=inner," + OU, "cn=middle," + OU])
    group(mail, "middle", member=[outer, "cn=middle," + OU, PERSON % "chloe", PERSON % "amelie"])
    reaches(mail, "outer", "nested", PEOPLE)
    reaches(mail, "middle", "circle", PEOPLE)
    group(mail, "one", member=PERSON % "amelie", facteurListMember=["two@example.com", "one@example.com"])
    group(mail, "two", member=PERSON % "bruno", facteurListMember="one@example.com")
    reaches(mail, "one", "circle of addresses", ("amelie", "bruno"))


def external_and_gone(mail):
    mail.slapd.add("dn: cn=guest,%s\nobjectClass: inetOrgPerson\ncn: guest\nsn: guest\n"
                   "mail: guest@elsewhere.example\n" % OU)
    group(mail, "mixed", member=[PERSON % "amelie", PERSON % "nobody", "cn=guest," + OU],
          facteurListMember="friend@elsewhere.example")
    explained = mail.facteur("explain", "rcpt", "mixed@example.com")
    for words in ("guest@elsewhere.example", "friend@elsewhere.example", "does not exist: left out",
                  "amelie@mail.example.org"):
        has(explained, words)
    has(rcpt(mail, "mixed@example.com"), "250")
    group(mail, "none", member=PERSON % "nobody")
    has(rcpt(mail, "none@example.com"), "451 4.3.0")


def who_may_post(mail):
    people = {"member": [PERSON % "amelie", "cn=guest," + OU], "owner": PERSON % "bruno",
              "facteurListPoster": "press@elsewhere.example", "facteurListOwner": "boss@elsewhere.example"}
    posts = {"members": ("guest@elsewhere.example", "boss@elsewhere.example"),
             "owner": ("boss@elsewhere.example",), "listed": ("press@elsewhere.example",)}
    refused = {"members": ("stranger@elsewhere.example", "press@elsewhere.example", ""),
               "owner": ("guest@elsewhere.example", "press@elsewhere.example", ""),
               "listed": ("guest@elsewhere.example", "")}
    for post in posts:
        group(mail, "closed", facteurListPost=post.title(), **people)
        for sender in posts[post]:
            same(rcpt(mail, "closed@example.com", sender)[:3], "250", post + " " + sender)
        for sender in refused[post]:
            answer = rcpt(mail, "closed@example.com", sender)
            same(answer[:9], "550 5.7.1", post + " " + sender)
            has(answer, "may post to this list")
    group(mail, "closed", facteurListPost="members", member=PERSON % "amelie")
    group(mail, "open", facteurListPost="anyone", member="cn=closed," + OU, facteurListMember="closed@example.com")
    has(rcpt(mail, "open@example.com"), "250")
    has(mail.facteur("explain", "rcpt", "closed@example.com"), "only its members may post")
    group(mail, "closed", facteurListPost="friends", member=PERSON % "amelie")
    has(rcpt(mail, "closed@example.com"), "451 4.3.0")
    has(mail.log().replace("\\", ""), 'facteurListPost "friends" is none of')


def who_has_logged_in(mail):
    """Those with an account count when they have logged in: anybody can say their names."""
    group(mail, "team2", facteurListPost="members", member=PERSON % "amelie", owner=PERSON % "bruno",
          facteurListPoster="chloe@example.net", facteurListOwner="shop@example.com")

    def answer(user, sender):
        return rcpt(mail, "team2@example.com", sender, mail.submission(user) if user else None)[:9]
    for sender in ("amelie@example.com", "amelie@mail.example.org", "Amelie+x@example.com"):
        same(answer("amelie", sender), "250 2.1.5", sender)
        same(answer(None, sender), "550 5.7.1", sender)
    same(answer(None, "shop@example.com"), "550 5.7.1")
    same(answer("bruno", "bruno@example.com"), "250 2.1.5")
    same(answer("chloe", "chloe@example.net"), "550 5.7.1")
    group(mail, "team3", facteurListPost="listed", member=PERSON % "amelie", facteurListPoster="chloe@example.net")
    has(rcpt(mail, "team3@example.com", "chloe@example.net", mail.submission("chloe")), "250")


def states_of_members(mail):
    mail.slapd.modify("dn: %s\nchangetype: modify\nadd: objectClass\nobjectClass: facteurAccount\n-\n"
                      "add: facteurAccountStatus\nfacteurAccountStatus: disabled\n" % (PERSON % "bruno"))
    group(mail, "all", member=[PERSON % user for user in PEOPLE])
    reaches(mail, "all", "without the disabled", ("amelie", "chloe"))
    mail.slapd.modify("dn: %s\nchangetype: modify\ndelete: facteurAccountStatus\n" % (PERSON % "bruno"))


def a_thousand(mail):
    """So many entries, and as many mailboxes: a mail to them is taken, and one more is too many."""
    people = "\n".join(
        "dn: uid=m%(i)d,%(ou)s\nobjectClass: account\nobjectClass: posixAccount\nobjectClass: postfixUser\n"
        "uid: m%(i)d\ncn: m%(i)d\nuidNumber: %(n)d\ngidNumber: 20100\nhomeDirectory: %(v)s/m%(i)d\n"
        "mailacceptinggeneralid: m%(i)d@example.com\nmaildrop: m%(i)d@mail.example.org\n"
        % {"i": i, "n": 40000 + i, "ou": OU, "v": mail.vmail} for i in range(1001))
    mail.slapd.add(people)
    group(mail, "crowd", member=[PERSON % ("m%d" % i) for i in range(1000)])
    has(rcpt(mail, "crowd@example.com"), "250")
    group(mail, "crowd", member=[PERSON % ("m%d" % i) for i in range(1001)])
    has(rcpt(mail, "crowd@example.com"), "451")
    has(mail.log(), "virtual_alias_expansion_limit")


def not_hosted_is_no_group(mail):
    group(mail, "far", member=PERSON % "amelie", mail="far@elsewhere.example")
    try:
        mail.deliver("far@elsewhere.example", MAIL % "far")
        raise AssertionError("it was taken")
    except smtplib.SMTPRecipientsRefused as e:
        same(e.recipients["far@elsewhere.example"][0], 554)


def main():
    with Instance(options={"group_maps": "ldap:ldap/groups.cf"}) as mail:
        return tap.run([(f.__name__.replace("_", " "), lambda f=f: f(mail)) for f in
                        (kinds, nested_and_in_circles, external_and_gone, who_may_post, who_has_logged_in,
                         states_of_members, not_hosted_is_no_group, a_thousand)])


sys.exit(main())
