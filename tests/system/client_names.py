#!/usr/bin/env python3
"""Rules about a client's name: what the DNS says of its address, and whether that name leads back. The
clients' addresses come from a load balancer (PROXY protocol), the DNS is ours."""
import os
import re
import smtplib
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402
from milter import Milter  # noqa: E402
from policy import Policy  # noqa: E402
from world import A, World, wire_name  # noqa: E402

TO, SENDER = "amelie@example.com", "x@remote.example"
PTR = 12
GOOD, FORGED, LOST, NONE, BROKEN, SIX = ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5",
                                         "2001:db8::7")


def reverse(address):
    if ":" in address:
        digits = socket.inet_pton(socket.AF_INET6, address).hex()
        return ".".join(reversed(digits)) + ".ip6.arpa"
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


def main(mail, world):
    base = dict(mail.options)
    pointer = lambda address, name: world.record(reverse(address), PTR, [wire_name(name)])
    pointer(GOOD, "Mail.Good.Example")
    world.address("mail.good.example", "192.0.2.99", GOOD)
    pointer(FORGED, "mail.good.example")
    pointer(LOST, "lost.example")
    world.dns.zone[reverse(BROKEN)] = {"all": "servfail"}
    pointer(SIX, "six.good.example")
    world.address6("six.good.example", SIX)
    pointer("192.0.2.6", "192.0.2.1")
    pointer("192.0.2.7", "a b(c).example")

    def use(**options):
        mail.options = dict(base, **options)
        mail.reload()

    def client(address, greet="client.example"):
        s = socket.create_connection(("127.0.0.1", mail.ports["smtp"]), 30)
        kind, own = ("TCP6", "::1") if ":" in address else ("TCP4", "127.0.0.1")
        s.sendall(("PROXY %s %s %s 40000 25\r\n" % (kind, address, own)).encode())
        c = smtplib.SMTP(local_hostname=greet)
        c.sock, c.file = s, None
        c.getreply()
        c.ehlo()
        return c

    def rcpt(address):
        with client(address) as c:
            c.mail(SENDER)
            code, text = c.rcpt(TO)
            return "%d %s" % (code, text.decode())

    def send(address, subject):
        with client(address) as c:
            c.sendmail(SENDER, [TO], "Subject: %s\r\n\r\nHello.\r\n" % subject)
        return [m for m in mail.messages("amelie") if "Subject: %s\n" % subject in m][0]

    def unknown_names():
        use(smtpd_client_restrictions="reject_unknown_client_hostname")
        for address in (GOOD, SIX):
            tap.has(rcpt(address), "250 ")
        for address in (FORGED, LOST, NONE, BROKEN, "192.0.2.6", "192.0.2.7"):
            tap.has(rcpt(address), "450 4.7.25 Client host rejected: cannot find your hostname, [%s]" % address)
        use(smtpd_client_restrictions="reject_unknown_reverse_client_hostname")
        for address in (GOOD, SIX, FORGED, LOST):
            tap.has(rcpt(address), "250 ")
        for address in (NONE, BROKEN, "192.0.2.6", "192.0.2.7"):
            tap.has(rcpt(address), "450 4.7.1 Client host rejected: cannot find your reverse hostname, [%s]" % address)

    def tables():
        use(smtpd_client_restrictions="check_client_access inline:{{good.example=REJECT no good} "
            "{unknown=REJECT no name} {192.0.2.3=OK}}")
        tap.has(rcpt(GOOD), "554 5.7.1 <mail.good.example[192.0.2.1]>: Client host rejected: no good")
        tap.has(rcpt(SIX), "554 5.7.1 <six.good.example[2001:db8::7]>: Client host rejected: no good")
        tap.has(rcpt(FORGED), "554 5.7.1 <unknown[192.0.2.2]>: Client host rejected: no name")
        use(smtpd_client_restrictions="check_client_access inline:{mail.good.example=OK, 192.0.2.3=OK} reject")
        tap.has(rcpt(GOOD), "250 ")
        tap.has(rcpt(LOST), "250 ")
        for address in (FORGED, SIX, NONE):
            tap.has(rcpt(address), "554 5.7.1 <")
        use(smtpd_client_restrictions="check_reverse_client_hostname_access inline:{lost.example=REJECT, "
            "mail.good.example=REJECT}")
        tap.has(rcpt(LOST), "554 5.7.1 <lost.example>: Unverified Client host rejected")
        tap.has(rcpt(FORGED), "554 5.7.1 <mail.good.example>: Unverified Client host rejected")
        tap.has(rcpt(NONE), "250 ")

    def lists():
        world.dns.zone["mail.good.example.dbl.example"] = {A: [bytes([127, 0, 1, 2])]}
        use(smtpd_client_restrictions="reject_rhsbl_client dbl.example")
        tap.has(rcpt(GOOD), "554 5.7.1 Service unavailable; Client host [mail.good.example] blocked using dbl.example")
        tap.has(rcpt(FORGED), "250 ")
        use(smtpd_client_restrictions="reject_rhsbl_reverse_client dbl.example")
        tap.has(rcpt(FORGED), "554 5.7.1 Service unavailable; Unverified Client host [mail.good.example] blocked")
        tap.has(rcpt(NONE), "250 ")

    def asked_once_and_only_when_needed():
        name = (reverse("192.0.2.20"), PTR)
        use()
        tap.has(rcpt("192.0.2.20"), "250 ")
        tap.true(name not in world.dns.asked, "asked though nobody wants to know")
        use(smtpd_client_restrictions="check_client_access inline:{x.example=OK} reject_unknown_reverse_client_hostname")
        tap.has(rcpt("192.0.2.20"), "450 ")
        tap.same(world.dns.asked.count(name), 1)
        tap.same(mail.log().count("client=192.0.2.20 name=unknown reverse=unknown"), 1)
        use(smtpd_peername_lookup="no", smtpd_client_restrictions="reject_unknown_client_hostname")
        before = len(world.dns.asked)
        tap.has(rcpt("192.0.2.21"), "450 ")
        tap.same(len(world.dns.asked), before)

    def traces():
        use(smtpd_client_restrictions="check_client_access inline:{x.example=OK}")
        tap.has(send(GOOD, "named"), "Received: from client.example (mail.good.example [192.0.2.1])\n")
        tap.has(send(FORGED, "forged"), "Received: from client.example ([192.0.2.2])\n")
        tap.has(send(SIX, "six"), "Received: from client.example (six.good.example [IPv6:2001:db8::7])\n")
        tap.true(re.search("client-name .*client=192.0.2.2 .*name=unknown reverse=mail.good.example", mail.log()),
                 "the log")

    def what_others_are_told():
        policy, milter = Policy(), Milter()
        use(smtpd_recipient_restrictions="check_policy_service " + policy.place, smtpd_milters=milter.place)
        send(GOOD, "told")
        send(FORGED, "told-forged")
        tap.same([(q["client_name"], q["reverse_client_name"]) for q in policy.seen],
                 [("mail.good.example", "mail.good.example"), ("unknown", "mail.good.example")])
        tap.same([s.connect.split(b"\0")[0] for s in milter.sessions], [b"mail.good.example", b"[192.0.2.2]"])
        policy.close()
        milter.close()

    return [unknown_names, tables, lists, asked_once_and_only_when_needed, traces, what_others_are_told]


the_world = World()
try:
    options = dict(the_world.options(), smtpd_upstream_proxy_protocol="haproxy",
                   haproxy_trusted_networks="127.0.0.1/32")
    with Instance(options=options) as instance:
        failed = tap.run([(f.__name__.replace("_", " "), f) for f in main(instance, the_world)])
finally:
    the_world.close()
sys.exit(failed > 0)
