#!/usr/bin/env python3
"""The rules of the house, each with the name its users know: domains, rewriting, who has moved, copies,
access tables, DNS lists, and who may send to other servers."""
import os
import smtplib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402
from slapd import PEOPLE  # noqa: E402
from world import A, World  # noqa: E402

TXT = 16
SENDER = "somebody@known.example"


def said(error):
    return "%d %s" % (error.smtp_code, error.smtp_error.decode())


class House:
    """One instance; every test sets the options that it is about and reloads."""

    def __init__(self, mail, world):
        self.mail, self.world, self.base = mail, world, dict(mail.options)

    def set(self, **options):
        self.mail.options = dict(self.base, **options)
        self.mail.reload()

    def file(self, name, text):
        path = os.path.join(self.mail.dir, name)
        with open(path, "w") as out:
            out.write(text)
        os.chmod(path, 0o640)
        return "texthash:" + path

    def rcpt(self, to, sender=SENDER, helo="client.known.example", port="smtp"):
        """What RCPT is answered: "250 ..."."""
        with smtplib.SMTP("127.0.0.1", self.mail.ports[port], helo, timeout=30) as client:
            client.ehlo()
            code, text = client.mail(sender)
            if code != 250:
                return "%d %s" % (code, text.decode())
            code, text = client.rcpt(to)
            return "%d %s" % (code, text.decode())

    def send(self, to, subject, sender=SENDER, header="", client=None):
        text = "From: %s\r\nSubject: %s\r\n%s\r\nHello.\r\n" % (sender, subject, header)
        with client or self.mail.smtp() as c:
            c.sendmail(sender, to if isinstance(to, list) else [to], text.encode())

    def box(self, user, subject):
        return [m for m in self.mail.messages(user) if "Subject: " + subject in m]

    def gets(self, user, subject):
        return tap.wait_for(lambda: next(iter(self.box(user, subject)), None), 10,
                            "%s has no %s" % (user, subject))

    def arrives(self, sink, subject):
        return tap.wait_for(lambda: next((m for m in sink.messages if ("Subject: " + subject).encode()
                                          in m["data"]), None), 15, subject + " did not arrive")


def main(house, mail, world):
    # --- domains ---

    def mydestination():
        house.set(mydestination="local.example, localhost.$mydomain",
                  virtual_alias_maps="ldap:ldap/virtual_alias_maps.cf inline:{info=bruno@local.example}")
        tap.has(house.rcpt("amelie@local.example"), "250 ")
        tap.has(house.rcpt("nobody@local.example"), "550 5.1.1")
        tap.has(house.rcpt("amelie@localhost.example.org"), "250 ")
        tap.has(house.rcpt("amelie@other.local.example"), "554 5.7.1")
        tap.has(house.rcpt("postmaster@local.example"), "250 ")
        house.send(["amelie+list@local.example", "info@local.example"], "by-uid")
        tap.has(house.gets("amelie", "by-uid"), "Delivered-To: amelie+list@local.example")
        house.gets("bruno", "by-uid")

    def relay_domains():
        sink = world.sink("mx.branch.example", mx_of="branch.example")
        world.mx("sub.branch.example", (10, "mx.branch.example"))
        house.set(relay_domains="branch.example", relay_recipient_maps=
                  "inline:{boss@branch.example=x, @sub.branch.example=x}")
        tap.has(house.rcpt("x@elsewhere.example"), "554 5.7.1 <x@elsewhere.example>: Relay access denied")
        tap.has(house.rcpt("nobody@branch.example"), "550 5.1.1")
        house.send(["boss@branch.example", "any@sub.branch.example"], "backup")
        tap.same(house.arrives(sink, "backup")["sender"], SENDER)
        house.set(relay_domains="branch.example")
        tap.has(house.rcpt("anybody@branch.example"), "250 ")

    def alias_and_mailbox_lists():
        table = house.file("aliases", "# our lists\nsales@shop.example  amelie@example.com,\tbruno@example.net\n"
                                      "@shop.example bruno@example.net\n")
        house.set(virtual_alias_domains="shop.example",
                  virtual_alias_maps=table + " ldap:ldap/virtual_alias_maps.cf",
                  virtual_mailbox_domains="mail.example.org inline:{boxes.example=x}",
                  virtual_mailbox_maps="inline:{chloe@boxes.example=%s/chloe/mailbox/} "
                                       "ldap:ldap/virtual_mailbox_maps.cf" % mail.vmail,
                  virtual_uid_maps="inline:{chloe@boxes.example=20003} ldap:ldap/virtual_uid_maps.cf",
                  virtual_gid_maps="inline:{chloe@boxes.example=20100} ldap:ldap/virtual_gid_maps.cf")
        house.send(["sales@shop.example", "chloe@boxes.example"], "listed")
        for user in ("amelie", "bruno", "chloe"):
            tap.same(len(house.box(user, "listed")), 1, user)
        house.send("whoever@shop.example", "catch-all")
        house.gets("bruno", "catch-all")

    def limits_of_users():
        house.set(virtual_mailbox_limit="50m",
                  virtual_mailbox_limit_maps="inline:{bruno@mail.example.org=1k bruno=1k amelie@mail.example.org=0}")
        tap.has(house.rcpt("amelie@example.com"), "250 ")
        with mail.smtp() as client:
            client.ehlo()
            client.mail(SENDER, ["SIZE=5000"])
            tap.same(client.rcpt("bruno@example.net")[0], 452)
            tap.same(client.rcpt("amelie@example.com")[0], 250)
        tap.has(str(mail.imap("bruno").getquotaroot("INBOX")), "STORAGE")
        house.set(virtual_mailbox_limit_maps="static:lots")
        tap.has(house.rcpt("bruno@example.net"), "451 ")
        tap.has(mail.log(), r'\"lots\" is not one size')

    # --- who may send to other servers ---

    def mynetworks():
        house.set()
        tap.has(house.rcpt("x@far.example"), "554 5.7.1 <x@far.example>: Relay access denied")
        house.set(mynetworks="127.0.0.0/8")
        sink = world.sink("mx.far.example", mx_of="far.example")
        house.send("friend@far.example", "from-the-network")
        house.arrives(sink, "from-the-network")
        house.set(mynetworks="127.0.0.0/8",
                  smtpd_relay_restrictions="permit_sasl_authenticated, defer_unauth_destination")
        tap.has(house.rcpt("x@far.example"), "454 4.7.1 <x@far.example>: Relay access denied")
        house.set(mynetworks="192.0.2.0/24")
        tap.has(house.rcpt("x@far.example"), "554 5.7.1")
        house.set(mynetworks_style="host")
        tap.has(house.rcpt("x@far.example"), "250 ")

    def an_ok_is_no_right_to_relay():
        house.set(smtpd_relay_restrictions="check_client_access inline:{127.0.0.1=OK} reject_unauth_destination")
        tap.has(house.rcpt("x@far.example"), "554 5.7.1")

    def no_open_relay_starts():
        for options, text in (
                ({"mynetworks": "0.0.0.0/0"}, "0.0.0.0/0 is all the world"),
                ({"mynetworks": "[::]/0"}, "is all the world"),
                ({"mynetworks": "10.0.0.300"}, '"10.0.0.300" is no network'),
                ({"smtpd_relay_restrictions": "permit_mynetworks"}, "would be an open relay"),
                ({"smtpd_relay_restrictions": "permit, reject_unauth_destination"},
                 "everybody is permitted before"),
                ({"smtpd_relay_restrictions": "check_client_access static:OK reject_unauth_destination"},
                 "everybody is permitted before"),
                ({"smtpd_relay_restrictions": "warn_if_reject reject_unauth_destination"},
                 "nobody is refused"),
                ({"smtpd_recipient_restrictions": "reject_rbl_cliant zen.example"},
                 'did you mean "reject_rbl_client"?'),
                ({"smtpd_recipient_restrictions": "reject_rbl_client"}, "needs a zone"),
                ({"smtpd_sender_restrictions": "check_sender_access blocked"}, "none of ldap:FILE"),
                ({"masquerade_classes": "envelopes"}, "masquerade_classes")):
            mail.options = dict(house.base, **options)
            mail.write_config()
            try:
                mail.facteur("reload")
                raise AssertionError("%r was taken" % options)
            except RuntimeError as error:
                tap.has(str(error), text)

    # --- who has moved ---

    def relocated():
        house.set(relocated_maps="inline:{{amelie@example.com = amelie@new.example} "
                                 "{gone@example.com = +33 1 23} {@left.example = Mars}}",
                  virtual_alias_domains="example.com left.example",
                  virtual_alias_maps="inline:{amelie@example.com=amelie@mail.example.org}")
        tap.has(house.rcpt("gone@example.com"),
                "550 5.1.6 <gone@example.com>: Recipient address rejected: User has moved to +33 1 23")
        tap.has(house.rcpt("any@left.example"), "has moved to Mars")
        tap.has(house.rcpt("amelie@example.com"), "250 ")  # an alias comes first

    # --- access tables ---

    def sender_access():
        table = house.file("senders", "bad@known.example REJECT go away\nspam.example 554 5.7.1 No spam\n"
                                      "later@ 450 4.2.0 come back\nok@spam.example OK\n<> REJECT no reports\n"
                                      "odd@known.example NONSENSE\ndefer@known.example DEFER\n")
        house.set(smtpd_sender_restrictions="check_sender_access " + table)
        ask = lambda sender: house.rcpt("amelie@example.com", sender)
        tap.has(ask(SENDER), "250 ")
        tap.has(ask("bad@known.example"), "554 5.7.1 <bad@known.example>: Sender address rejected: go away")
        tap.has(ask("BAD@Known.Example"), "554 5.7.1")
        tap.has(ask("any@deep.spam.example"), "554 5.7.1 <any@deep.spam.example>: Sender address rejected: No spam")
        tap.has(ask("ok@spam.example"), "250 ")
        tap.has(ask("later@any.example"), "450 4.2.0 <later@any.example>: Sender address rejected: come back")
        tap.has(ask("defer@known.example"), "450 4.7.1")
        tap.has(ask("odd@known.example"), "451 4.3.5")
        tap.has(ask(""), "554 5.7.1 <>: Sender address rejected: no reports")

    def client_helo_recipient_access():
        house.set(smtpd_client_restrictions="check_client_access inline:{{127.0.0 = REJECT not from here}}")
        tap.has(house.rcpt("amelie@example.com"), "554 5.7.1 <localhost[127.0.0.1]>: Client host rejected: not from here")
        house.set(smtpd_client_restrictions="check_client_access inline:{127.0.0=OK} reject")
        tap.has(house.rcpt("amelie@example.com"), "250 ")
        house.set(smtpd_helo_restrictions="check_helo_access inline:{known.example=REJECT}")
        tap.has(house.rcpt("amelie@example.com"),
                "554 5.7.1 <client.known.example>: Helo command rejected: Access denied")
        house.set(smtpd_recipient_restrictions="permit_sasl_authenticated "
                  "check_recipient_access inline:{{amelie@example.com=521 5.7.1 closed}} reject")
        tap.has(house.rcpt("amelie@example.com"),
                "521 5.7.1 <amelie@example.com>: Recipient address rejected: closed")
        tap.has(house.rcpt("bruno@example.net"), "554 5.7.1")
        with mail.submission() as client:
            client.mail("amelie@example.com")
            tap.same(client.rcpt("bruno@example.net")[0], 250)

    def ldap_access():
        with open(mail.dir + "/ldap/senders.cf", "w") as out:
            out.write("query_filter = mailacceptinggeneralid=%s\nresult_attribute = uid\n"
                      "result_format = REJECT that is %s\n")
        os.chmod(mail.dir + "/ldap/senders.cf", 0o640)
        house.set(smtpd_sender_restrictions="check_sender_access ldap:ldap/senders.cf")
        tap.has(house.rcpt("bruno@example.net", "amelie@example.com"), "rejected: that is amelie")
        tap.has(house.rcpt("bruno@example.net"), "250 ")

    def warnings_and_hold():
        house.set(smtpd_sender_restrictions="warn_if_reject check_sender_access static:REJECT")
        tap.has(house.rcpt("amelie@example.com"), "250 ")
        tap.has(mail.log(), "warn-if-reject")
        house.set(smtpd_sender_restrictions="check_sender_access inline:{{%s = HOLD have a look}}" % SENDER)
        house.send("amelie@example.com", "held-one")
        tap.same(house.box("amelie", "held-one"), [])
        tap.has(mail.facteur("status"), "held=1")

    def names():
        house.set(smtpd_helo_restrictions="reject_invalid_helo_hostname reject_non_fqdn_helo_hostname",
                  smtpd_sender_restrictions="reject_non_fqdn_sender",
                  smtpd_recipient_restrictions="reject_non_fqdn_recipient")
        ask = lambda helo, sender=SENDER: house.rcpt("amelie@example.com", sender, helo)
        tap.has(ask("host"), "504 5.5.2 <host>: Helo command rejected: need fully-qualified hostname")
        tap.has(ask("-x.example"), "501 5.5.2 <-x.example>: Helo command rejected: Invalid name")
        tap.has(ask("[127.0.0.1]"), "250 ")
        tap.has(ask("a.example", "me@host"), "504 5.5.2 <me@host>: Sender address rejected")
        tap.has(ask("a.example", ""), "250 ")

    # --- DNS ---

    def unknown_sender_domain():
        world.mx("known.example", (10, "mx.known.example"))
        world.dns.zone["hostonly.example"] = {A: [bytes([127, 0, 0, 9])]}
        world.dns.zone["nomail.example"] = {15: [b"\0\0\0"]}
        world.dns.zone["broken.example"] = {"all": "servfail"}
        house.set(smtpd_sender_restrictions="reject_unknown_sender_domain")
        ask = lambda domain: house.rcpt("amelie@example.com", "x@" + domain)
        tap.has(ask("known.example"), "250 ")
        tap.has(ask("hostonly.example"), "250 ")
        tap.has(ask("unknown.example"), "450 4.1.8 <x@unknown.example>: Sender address rejected: Domain not found")
        tap.has(ask("nomail.example"), "550 5.7.27")
        tap.has(ask("broken.example"), "450 4.1.8")
        tap.has(house.rcpt("amelie@example.com", ""), "250 ")
        # Domains of this house need no DNS, which does not know them here; relayed ones do.
        tap.has(ask("example.com"), "250 ")
        tap.has(ask("mail.example.org"), "250 ")
        house.set(smtpd_sender_restrictions="reject_unknown_sender_domain",
                  relay_domains="nowhere.example")
        tap.has(ask("nowhere.example"), "450 4.1.8")
        house.set(smtpd_helo_restrictions="reject_unknown_helo_hostname")
        tap.has(house.rcpt("amelie@example.com", helo="gone.example"),
                "450 4.7.1 <gone.example>: Helo command rejected: Host not found")

    def silent_dns():
        """A session does not wait for a DNS that says nothing, and what must be known is 450."""
        world.dns.zone["late.example"] = {A: [bytes([127, 0, 0, 9])]}
        before, world.dns.silent = len(mail.log()), True
        try:
            house.set(smtpd_dns_timeout="1s", smtpd_sender_restrictions="reject_unknown_sender_domain")
            tap.has(house.rcpt("amelie@example.com", "x@late.example"),
                    "450 4.1.8 <x@late.example>: Sender address rejected: Domain lookup failed for now")
            tap.wait_for(lambda: any("warning: dns " in line and "smtpd_dns_timeout" in line
                                     for line in mail.log()[before:].splitlines()), 20, "not logged")
            house.set(smtpd_dns_timeout="1s", smtpd_recipient_restrictions="reject_rbl_client late.example")
            tap.has(house.rcpt("amelie@example.com"), "250 ")
        finally:
            world.dns.silent = False

    def dns_lists():
        zone = world.dns.zone
        zone["1.0.0.127.bl.example"] = {A: [bytes([127, 0, 0, 2])], TXT: [b"\x0bSee the web"]}
        zone["bad.example.dbl.example"] = {A: [bytes([127, 0, 1, 2])]}
        zone["1.0.0.127.dead.example"] = {"all": "servfail"}
        house.set(smtpd_recipient_restrictions="reject_rbl_client dead.example reject_rbl_client clean.example "
                  "reject_rbl_client bl.example=127.0.0.9 reject_rhsbl_sender dbl.example")
        tap.has(house.rcpt("amelie@example.com"), "250 ")
        tap.has(house.rcpt("amelie@example.com", "x@bad.example"),
                "554 5.7.1 Service unavailable; Sender address [bad.example] blocked using dbl.example")
        house.set(smtpd_client_restrictions="reject_rbl_client bl.example")
        tap.has(house.rcpt("amelie@example.com"), "554 5.7.1 Service unavailable; Client host [127.0.0.1] "
                "blocked using bl.example; See the web")
        house.set(smtpd_client_restrictions="permit_mynetworks reject_rbl_client bl.example",
                  mynetworks="127.0.0.0/8")
        tap.has(house.rcpt("amelie@example.com"), "250 ")

    # --- the dialogue ---

    def manners():
        house.set(smtpd_helo_required="yes", disable_vrfy_command="yes",
                  smtpd_banner="$myhostname ESMTP welcome")
        with smtplib.SMTP(timeout=30) as client:
            tap.same(client.connect("127.0.0.1", mail.ports["smtp"]),
                     (220, b"mail.example.org ESMTP welcome"))
            tap.same(client.docmd("MAIL FROM:<a@known.example>")[0], 503)
            tap.same(client.docmd("VRFY amelie")[0], 502)
            client.ehlo()
            tap.true(not client.has_extn("vrfy") and not client.has_extn("etrn"), "they are offered")
            tap.same(client.docmd("ETRN example.com")[0], 502)
        house.set()
        with mail.smtp() as client:
            tap.same(client.docmd("MAIL FROM:<a@known.example>")[0], 250)
            tap.same(client.docmd("VRFY amelie")[0], 252)

    # --- rewriting ---

    def canonical():
        house.set(canonical_maps="inline:{amelie@old.example=amelie@example.com, @gone.example=bruno@example.net, "
                                 "twice@old.example=amelie@old.example}",
                  sender_canonical_maps="inline:{me@host.example=me@known.example}",
                  recipient_canonical_maps="inline:{me@host.example=amelie@example.com}",
                  virtual_alias_domains="example.com example.net")
        house.send(["twice+x@old.example", "any@gone.example"], "canonical", "me@host.example",
                   'To: "A, B" <twice@old.example>,\r\n (a note) me@host.example (x), Group: any@gone.example;,'
                   ' stay@far.example\r\nCc: me at host.example <not@old.example>\r\n')
        text = house.gets("amelie", "canonical")
        tap.has(text, "Return-Path: <me@known.example>")
        tap.has(text, "\nFrom: me@known.example\n")
        tap.has(text, '\nTo: "A, B" <amelie@example.com>,\n (a note) amelie@example.com (x), '
                      'Group: bruno@example.net;, stay@far.example\n')
        tap.has(text, "\nCc: me at host.example <not@old.example>\n")
        tap.has(text, "Delivered-To: amelie+x@mail.example.org")
        house.gets("bruno", "canonical")

    def canonical_classes():
        house.set(canonical_maps="inline:{%s=changed@known.example}" % SENDER,
                  canonical_classes="header_sender")
        house.send("amelie@example.com", "classes")
        text = house.gets("amelie", "classes")
        tap.has(text, "Return-Path: <%s>" % SENDER)
        tap.has(text, "\nFrom: changed@known.example\n")

    def strangers_headers_stay():
        house.set(canonical_maps="inline:{%s=changed@known.example}" % SENDER,
                  local_header_rewrite_clients="permit_mynetworks")
        house.send("amelie@example.com", "stranger")
        text = house.gets("amelie", "stranger")
        tap.has(text, "Return-Path: <changed@known.example>")
        tap.has(text, "\nFrom: %s\n" % SENDER)

    def masquerade():
        house.set(masquerade_domains="!info.known.example known.example", masquerade_exceptions="root")
        for sender, becomes in (("x@deep.host.known.example", "x@known.example"),
                                ("x@known.example", "x@known.example"),
                                ("x@host.info.known.example", "x@host.info.known.example"),
                                ("Root@host.known.example", "Root@host.known.example"),
                                ("x@unknown.example", "x@unknown.example")):
            subject = "masked-" + sender.replace("@", "-")
            house.send("amelie@example.com", subject, sender, "To: y@host.known.example\r\n")
            text = house.gets("amelie", subject)
            tap.has(text, "Return-Path: <%s>" % becomes)
            tap.has(text, "\nFrom: %s\n" % becomes)
            tap.has(text, "\nTo: y@known.example\n")

    def rewritten_senders_may_send():
        sink = world.sink("mx.sent.example", mx_of="sent.example")
        house.set(sender_canonical_maps="inline:{amelie@example.com=amelie@house.example}")
        house.send("friend@sent.example", "as-the-house", "amelie@example.com", client=mail.submission())
        tap.same(house.arrives(sink, "as-the-house")["sender"], "amelie@house.example")
        with mail.submission() as client:
            tap.same(client.docmd("MAIL FROM:<amelie@house.example>")[0], 553)

    def large_messages_too():
        house.set(canonical_maps="inline:{%s=changed@known.example}" % SENDER)
        body = "X: y\r\n\r\n" + ("0123456789" * 7 + "\r\n") * 30000
        house.send("amelie@example.com", "large", header=body)
        text = house.gets("amelie", "large")
        tap.has(text[:3000], "\nFrom: changed@known.example\n")
        tap.same(text.count("0123456789" * 7), 30000)

    # --- copies ---

    def copies():
        sink = world.sink("mx.archive.example", mx_of="archive.example")
        house.set(always_bcc="archive@archive.example",
                  sender_bcc_maps="inline:{@known.example=chloe@example.net}",
                  recipient_bcc_maps="inline:{amelie@example.com=bruno@example.net}")
        house.send("amelie@example.com", "copied")
        for user in ("amelie", "bruno", "chloe"):
            tap.same(len(house.box(user, "copied")), 1, user)
        tap.same(house.arrives(sink, "copied")["to"], ["archive@archive.example"])
        house.send("chloe@example.net", "not-copied", "x@other.example")
        tap.same(len(house.box("chloe", "not-copied")), 1)
        tap.same(house.box("bruno", "not-copied"), [])
        house.set(always_bcc="nobody@example.com")
        try:
            house.send("amelie@example.com", "lost-copy")
            raise AssertionError("taken without its copy")
        except smtplib.SMTPDataError as error:
            tap.same(error.smtp_code, 451)
        tap.has(mail.log(), "always_bcc leads to nobody@example.com, which does not exist")

    def origin_and_domain():
        with open(mail.dir + "/mailname", "w") as out:
            out.write("example.com\n")
        house.set(myorigin=mail.dir + "/mailname", mydestination="$mydomain")
        tap.has(mail.facteur("conf"), "\nmydomain = example.org\n")
        tap.has(house.rcpt("amelie@example.org"), "250 ")
        house.set(myorigin=mail.dir + "/mailname",
                  canonical_maps="inline:{amelie=changed@known.example}")
        house.send("bruno@example.net", "bare", header="Reply-To: amelie\r\n")
        tap.has(house.gets("bruno", "bare"), "\nReply-To: changed@known.example\n")

    return [canonical, canonical_classes, strangers_headers_stay, masquerade, rewritten_senders_may_send,
            large_messages_too, copies, origin_and_domain, mydestination, relay_domains, alias_and_mailbox_lists, limits_of_users, mynetworks,
            an_ok_is_no_right_to_relay, no_open_relay_starts, relocated, sender_access,
            client_helo_recipient_access, ldap_access, warnings_and_hold, names,
            unknown_sender_domain, dns_lists, manners, silent_dns]


the_world = World()
try:
    with Instance(people=PEOPLE, options=the_world.options()) as instance:
        the_house = House(instance, the_world)
        sys.exit(tap.run([(f.__name__.replace("_", " "), f)
                          for f in main(the_house, instance, the_world)]))
finally:
    the_world.close()
