#!/usr/bin/env python3
"""smtpd_*_restrictions, beside the real Postfix: the same options, the same DNS, the same clients; what
RCPT is answered must be the same, to the letter. Both in a network of their own."""
import os
import smtplib
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance, free_ports  # noqa: E402
from nameserver import NameServer  # noqa: E402
from netns import Net, ip  # noqa: E402
from policy import Policy  # noqa: E402
from postfix import Postfix  # noqa: E402

TO = "amelie@example.com"
NAMED, FORGED, BARE = "10.77.0.1", "10.77.0.2", "10.77.0.3"
ZONE = """example. 60 IN NS ns.zone.
ns.zone. 60 IN A 127.0.0.1
"""
EXAMPLE = """known 60 IN MX 10 mx.known
mx.known 60 IN A 10.77.0.9
hostonly 60 IN A 10.77.0.9
nomail 60 IN MX 0 .
mail.good 60 IN A 10.77.0.1
1.0.77.10.bl 60 IN A 127.0.0.2
1.0.77.10.bl 60 IN TXT "See the web"
bad.dbl 60 IN A 127.0.1.2
bad 60 IN MX 10 mx.known
mail.good.example.dbl 60 IN A 127.0.1.3
"""
REVERSE = "1.0.77.10 60 IN PTR mail.good.example.\n2.0.77.10 60 IN PTR mail.good.example.\n"

# A probe: client, greeting, sender, recipient.
def probe(client=NAMED, helo="mail.good.example", sender="x@known.example", to=TO):
    return client, helo, sender, to


CLIENTS = [probe(client) for client in (NAMED, FORGED, BARE)]
HELOS = [probe(helo=h) for h in ("mail.good.example", "host", "-x.example", "a_b.example", "[10.77.0.1]",
                                 "gone.example",
                                 "known.example", "known.example.", "nomail.example", "bad.example", "[bad]", "10.77.0.1", "a..b")]
SENDERS = [probe(sender=s) for s in ("x@known.example", "", "x@gone.example", "x@hostonly.example",
                                     "x@nomail.example", "x@bad.example", "me@host", "X@known.example",
                                     "x@sub.known.example", "x+ext@known.example")]
TABLE = """known.example REJECT
10.77.0 REJECT a network
10.77.0.3 OK
good.example 550 Good, but no
x@hostonly.example DEFER
gone.example 450 4.2.0 come back
nomail.example DEFER_IF_PERMIT maybe later
bad.example OK
<> 554 5.7.1 no reports
host DUNNO
-x.example REJECT odd
gone@ REJECT never
"""
ACTIONS = ("DUNNO", "OK", "REJECT", "REJECT go away", "DEFER", "DEFER later", "DEFER_IF_PERMIT Greylisted",
           "550 5.7.23 no", "450 4.2.0 wait", "521 closed", "HOLD", "WARN me", "PREPEND X-Seen: yes",
           "REJECT 5.7.9 own status",
           "DEFER_IF_PERMIT 4.2.0 own status")

CASES = [
    ("who may relay", {}, [probe(to=t) for t in (TO, "x@known.example")]),
    ("relay, deferred", {"smtpd_relay_restrictions": "permit_mynetworks, defer_unauth_destination"},
     [probe(to="x@known.example")]),
    ("permit first", {"smtpd_recipient_restrictions": "permit_auth_destination, reject"}, [probe()]),
    ("reject clients", {"smtpd_client_restrictions": "check_client_access inline:{x.example=OK}, reject"}, [probe()]),
    ("defer", {"smtpd_helo_restrictions": "defer"}, [probe()]),
    ("reject senders", {"smtpd_sender_restrictions": "reject"}, [probe(), probe(sender="")]),
    ("reject recipients", {"smtpd_recipient_restrictions": "reject"}, [probe()]),
    ("unknown clients", {"smtpd_client_restrictions": "reject_unknown_client_hostname"}, CLIENTS),
    ("unknown reverse", {"smtpd_client_restrictions": "reject_unknown_reverse_client_hostname"}, CLIENTS),
    ("client table", {"smtpd_client_restrictions": "check_client_access texthash:$TABLE"}, CLIENTS),
    ("reverse table", {"smtpd_client_restrictions": "check_reverse_client_hostname_access texthash:$TABLE"},
     CLIENTS),
    ("greeting names", {"smtpd_helo_restrictions": "reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname"},
     HELOS),
    ("unknown greetings", {"smtpd_helo_restrictions": "reject_unknown_helo_hostname"}, HELOS),
    ("names of old", {"smtpd_client_restrictions": "reject_unknown_client",
                      "smtpd_helo_restrictions": "reject_invalid_hostname, reject_non_fqdn_hostname",
                      "smtpd_sender_restrictions": "reject_unknown_hostname"}, CLIENTS + HELOS),
    ("networks left out", {"mynetworks": "!10.77.0.2, 10.77.0.0/24",
                           "smtpd_client_restrictions": "check_client_access inline:{x.example=OK}, permit_mynetworks, reject"},
     CLIENTS + [probe(client, to="x@known.example") for client in (NAMED, FORGED)]),
    ("sent ahead", {"smtpd_sender_restrictions": "reject_unauth_pipelining"}, [probe()]),
    ("greeting table", {"smtpd_helo_restrictions": "check_helo_access texthash:$TABLE"}, HELOS),
    ("sender names", {"smtpd_sender_restrictions": "reject_non_fqdn_sender"}, SENDERS),
    ("unknown senders", {"smtpd_sender_restrictions": "reject_unknown_sender_domain"}, SENDERS),
    ("sender table", {"smtpd_sender_restrictions": "check_sender_access texthash:$TABLE"}, SENDERS),
    ("recipient table", {"smtpd_recipient_restrictions":
                         "check_recipient_access inline:{{amelie@example.com = REJECT closed}}"}, [probe()]),
    ("recipient names", {"smtpd_recipient_restrictions": "reject_non_fqdn_recipient, reject_unknown_recipient_domain"},
     [probe(), probe(to="bruno@example.net")]),
    ("recipient domains", {"smtpd_recipient_restrictions": "check_recipient_access inline:{{example.net = 450 moving} "
                           "{amelie@ = 521 5.7.1 not her}}"},
     [probe(), probe(to="bruno@example.net"), probe(to="Amelie@example.com"), probe(to="amelie+box@example.com")]),
    ("client list", {"smtpd_client_restrictions": "reject_rbl_client bl.example"}, CLIENTS),
    ("client list, other value", {"smtpd_client_restrictions": "reject_rbl_client bl.example=127.0.0.9"}, CLIENTS),
    ("name lists", {"smtpd_client_restrictions": "reject_rhsbl_client dbl.example"}, CLIENTS),
    ("reverse name lists", {"smtpd_client_restrictions": "reject_rhsbl_reverse_client dbl.example"}, CLIENTS),
    ("greeting lists", {"smtpd_helo_restrictions": "reject_rhsbl_helo dbl.example"}, HELOS),
    ("sender lists", {"smtpd_sender_restrictions": "reject_rhsbl_sender dbl.example"}, SENDERS),
    ("only a warning", {"smtpd_sender_restrictions": "warn_if_reject check_sender_access texthash:$TABLE"}, SENDERS),
    ("several lists", {
                       "smtpd_client_restrictions": "check_client_access inline:{10.77.0.3=OK}, reject_unknown_client_hostname",
                       "smtpd_helo_restrictions": "reject_non_fqdn_helo_hostname",
                       "smtpd_sender_restrictions": "reject_unknown_sender_domain"}, CLIENTS + HELOS + SENDERS),
] + [("policy: " + action, {"smtpd_recipient_restrictions": "check_policy_service $POLICY"}, [probe()])
     for action in ACTIONS] + [
    ("policy for senders", {"smtpd_sender_restrictions": "check_policy_service $POLICY"}, [probe(), probe(sender="")]),
]


def rcpt(port, client, helo, sender, to):
    with smtplib.SMTP("127.0.0.1", port, helo, timeout=60, source_address=(client, 0)) as c:
        c.ehlo()
        code, text = c.mail(sender)
        if code == 250:
            code, text = c.rcpt(to)
        return "%d %s" % (code, text.decode())


def ahead(port, greeting):
    """What RCPT is answered where all commands come at once, behind the greeting's answer."""
    with socket.create_connection(("127.0.0.1", port), 60) as sock, sock.makefile("rb") as lines:
        def reply():
            line = lines.readline()
            while line[3:4] == b"-":
                line = lines.readline()
            return line.decode()
        reply()
        sock.sendall(b"%s mail.good.example\r\n" % greeting)
        reply()
        sock.sendall(b"MAIL FROM:<x@known.example>\r\nRCPT TO:<%s>\r\nNOOP\r\nQUIT\r\n" % TO.encode())
        reply()
        return reply()


def main(mail, real, ports, policy, fill):
    base = dict(mail.options)

    def compare(number):
        name, options, probes = CASES[number]
        mail.options = dict(base, **{option: fill(value) for option, value in options.items()})
        mail.reload()
        policy.answer = name[8:] if name.startswith("policy: ") else "REJECT"
        differ = []
        for one in probes:
            want, got = rcpt(ports[number], *one), rcpt(mail.ports["smtp"], *one)
            if want.startswith("250"):
                want, got = want[:4], got[:4]
            if want != got:
                differ.append("%s: Postfix says %r, we say %r" % (one, want, got))
        tap.same(differ, [])

    def sent_ahead():
        number = next(n for n, case in enumerate(CASES) if case[0] == "sent ahead")
        mail.options = dict(base, **CASES[number][1])
        mail.reload()
        for greeting, code in ((b"HELO", "503"), (b"EHLO", "250")):
            want, got = ahead(ports[number], greeting), ahead(mail.ports["smtp"], greeting)
            tap.same(got[:3], code, greeting)
            tap.same(got if code == "503" else got[:3], want if code == "503" else want[:3], greeting)

    def attributes():
        policy.answer, number = "DUNNO", len(CASES) - 1
        mail.options = dict(base, **{o: fill(v) for o, v in CASES[number][1].items()})
        mail.reload()
        asked = []
        for port in (ports[number], mail.ports["smtp"]):
            rcpt(port, *probe(FORGED))
            asked.append(policy.seen[-1])
        own = {"client_port", "server_port", "instance", "mail_version", "compatibility_level", "policy_context"}
        tap.same({k: v for k, v in asked[1].items() if k not in own},
                 {k: v for k, v in asked[0].items() if k not in own})
        tap.same(set(asked[0]) - set(asked[1]), {"compatibility_level"} & set(asked[0]))

    return [(case[0], lambda n=n: compare(n)) for n, case in enumerate(CASES)] + \
        [("commands sent ahead after HELO", sent_ahead), ("attributes", attributes)]


def run(net):
    ip("address", "add", "127.0.0.53/8", "dev", "lo", ns=net.name("world"))
    for address in (NAMED, FORGED, BARE):
        ip("address", "add", address + "/32", "dev", "lo", ns=net.name("world"))
    with net.inside("world"), \
            NameServer("127.0.0.1", {".": ZONE, "example.": EXAMPLE, "in-addr.arpa.": REVERSE}):
        options = {"dns_servers": "127.0.0.1", "dns_trust_anchor": "", "virtual_alias_domains": "example.com example.net"}
        with Instance(options=options) as mail:
            policy = Policy()
            table = os.path.join(mail.dir, "table")
            with open(table, "w") as out:
                out.write(TABLE)
            os.chmod(table, 0o640)
            fill = lambda value: value.replace("$TABLE", table).replace("$POLICY", policy.place)
            ports = free_ports(len(CASES))
            services = {port: {option: fill(value) for option, value in case[1].items()}
                        for port, case in zip(ports, CASES)}
            main_cf = {"myhostname": "mail.example.org", "mynetworks": "192.0.2.0/24",
                       "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
                       "mydestination": "",
                       "virtual_mailbox_domains": "example.com example.net",
                       "recipient_delimiter": "+",
                       "virtual_mailbox_maps": "inline:{amelie@example.com=x, bruno@example.net=x}"}
            with Postfix(main_cf, services, "nameserver 127.0.0.1\n") as real:
                return tap.run(main(mail, real, ports, policy, fill))


if __name__ == "__main__":
    with Net() as network:
        failed = run(network)
    sys.exit(failed > 0)
