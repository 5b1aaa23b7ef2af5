#!/usr/bin/env python3
"""Two Facteurs, a real name server with signed zones, and smtp-sink as the slow or failing world, each
with an address of its own in network namespaces: mail goes across by MX with DANE, falls back, defers
and bounces."""
import email
import email.policy
import hashlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import PORTS, Instance, free_ports  # noqa: E402
from nameserver import NameServer  # noqa: E402
from netns import Net  # noqa: E402

A, B, DNS, TAKES, SOFT, HARD, SLOW, NOBODY = ("10.77.0.%d" % n
                                              for n in (1, 2, 53, 11, 12, 13, 14, 99))
SENDER = "amelie@example.com"
# Domains of B, by what its mail servers are.
HOSTED = ("dane.zone", "back.zone", "cname.zone", "unusable.zone", "ta.zone", "soft.zone",
          "down.zone", "secure.zone", "wrong.zone", "notls.zone", "large.zone", "x.insecure")


def openssl(*arguments, data=None):
    return subprocess.run(("openssl",) + arguments, input=data, capture_output=True,
                          check=True).stdout


def key_hash(pem):
    public = openssl("x509", "-in", pem, "-noout", "-pubkey")
    return hashlib.sha256(openssl("pkey", "-pubin", "-outform", "DER", data=public)).hexdigest()


def root_zone(b):
    hashes = [key_hash(pem) for pem in b.chain_files]
    ca = openssl("x509", "-in", b.ca, "-outform", "DER").hex()
    good = "".join("_25._tcp.%%s TLSA 3 1 1 %s\n" % h for h in hashes)
    hosts = {"ns": DNS, "mx.dane": B, "mx.wrong": B, "mx.notls": TAKES, "mx.unusable": B,
             "takes": TAKES, "soft": SOFT, "hard": HARD, "slow": SLOW, "nobody": NOBODY, "bare": B}
    text = "".join("%s.zone. A %s\n" % item for item in hosts.items())
    text += "mail.example.org. A %s\n_25._tcp.mail.example.org. TLSA 2 0 0 %s\n" % (B, ca)
    text += good.replace("%s", "mx.dane.zone.")
    text += "_25._tcp.mx.wrong.zone. TLSA 3 1 1 %s\n" % ("00" * 32)
    text += "_25._tcp.mx.notls.zone. TLSA 3 1 1 %s\n" % ("00" * 32)
    text += "_25._tcp.mx.unusable.zone. TLSA 1 1 1 %s\n" % ("00" * 32)
    text += "other.zone. CNAME mx.dane.zone.\n"
    for domain, servers in {
            "dane": ("mx.dane",), "wrong": ("mx.wrong",), "back": ("mx.wrong", "mx.dane"),
            "notls": ("mx.notls",), "unusable": ("mx.unusable",), "cname": ("other",),
            "plain": ("takes",), "only": ("takes",), "soft": ("soft", "mx.dane"),
            "down": ("nobody", "mx.dane"), "hard": ("hard",), "slow": ("slow",),
            "secure": ("bare",)}.items():
        for i, server in enumerate(servers):
            text += "%s.zone. MX %d %s.zone.\n" % (domain, 10 * (i + 1), server)
    # More than any datagram of DNS has room for.
    text += "large.zone. MX 10 mx.dane.zone.\n" + "".join(
        "large.zone. MX 20 a-server-with-a-name-that-takes-many-octets-%d.zone.\n" % i
        for i in range(100))
    return text + ("ta.zone. MX 10 mail.example.org.\nnull.zone. MX 0 .\n"
                   "insecure. NS ns.zone.\nbogus. NS ns.zone.\n")


def main(net, a, b):
    def submit(to, subject):
        with net.inside("a"):
            with a.submission() as client:
                client.sendmail(SENDER, [to], "From: %s\r\nTo: x\r\nSubject: %s\r\n\r\nHello.\r\n"
                                % (SENDER, subject))

    def at_b(subject):
        tap.wait_for(lambda: any("Subject: %s\n" % subject in m for m in b.messages("bruno")), 15,
                     "%s did not arrive" % subject)

    def log_lines(*words):
        return [line for line in a.log().splitlines() if all(w in line for w in words)]

    def logged(*words):
        return tap.wait_for(lambda: log_lines(*words), 15, "not logged: %s" % (words,))

    def goes(domain, host, level):
        def test():
            before = len(log_lines("info: relay-tls "))
            submit("friend@" + domain, "to " + domain)
            at_b("to " + domain)
            new = log_lines("info: relay-tls ")[before:]
            tap.true(any("host=%s " % host in line and "level=%s " % level in line for line in new),
                     new)
        return test

    def waits(domain, *words):
        def test():
            submit("friend@" + domain, "to " + domain)
            logged("info: relay-deferred ", "to=friend@" + domain, *words)
            tap.true(not log_lines("info: relayed ", "to=friend@" + domain), "it went")
        return test

    def comes_back(domain, status, words):
        def test():
            def find():
                for raw in a.messages("amelie"):
                    if "multipart/report" in raw and "to " + domain in raw:
                        return email.message_from_string(raw, policy=email.policy.default)
                return None
            submit("friend@" + domain, "to " + domain)
            report = tap.wait_for(find, 15, "no report")
            fields = report.get_payload()[1].get_payload()[1]
            tap.same(fields["Status"], status)
            tap.has(fields["Diagnostic-Code"], words)
        return test

    def plain():
        submit("friend@plain.zone", "to plain.zone")
        logged("info: relayed ", "to=friend@plain.zone", "takes.zone")
        tap.true(not log_lines("info: relay-tls ", "takes.zone"), "TLS?")

    def slow():
        submit("friend@slow.zone", "to slow.zone")
        submit("friend@dane.zone", "meanwhile")
        at_b("meanwhile")
        tap.true(not log_lines("info: relayed ", "to=friend@slow.zone"), "not slow")
        logged("info: relayed ", "to=friend@slow.zone")

    def both_ways():
        before = len(a.messages("amelie"))
        with net.inside("b"):
            with b.submission() as client:
                client.sendmail(SENDER, ["amelie@a.zone"], "From: %s\r\nSubject: back\r\n\r\n"
                                % SENDER)
        tap.wait_for(lambda: len(a.messages("amelie")) > before, 15, "nothing came back")

    return [
        ("DANE-EE: the key that the signed record names", goes("dane.zone", "mx.dane.zone", "dane")),
        ("DANE-TA: a certificate of the CA in the record", goes("ta.zone", "mail.example.org", "dane")),
        ("an alias: the records of where it leads", goes("cname.zone", "other.zone", "dane")),
        ("records nobody can use: TLS all the same", goes("unusable.zone", "mx.unusable.zone", "encrypt")),
        ("no records: TLS where it is offered", goes("secure.zone", "bare.zone", "may")),
        ("an unsigned MX: no DANE", goes("x.insecure", "mx.wrong.zone", "may")),
        ("a wrong key: the mail waits", waits("wrong.zone", "TLS handshake failed")),
        ("no TLS at a host with records: the mail waits", waits("notls.zone", "TLS is demanded")),
        ("a wrong signature of the domain: the mail waits", waits("x.bogus", "DNSSEC")),
        ("dane-only, by policy, and no records: the mail waits", waits("only.zone", "no signed TLSA")),
        ("a wrong key at the first server: the second", goes("back.zone", "mx.dane.zone", "dane")),
        ("a server that puts off: the second", goes("soft.zone", "mx.dane.zone", "dane")),
        ("a server that is gone: the second", goes("down.zone", "mx.dane.zone", "dane")),
        ("a server without TLS or records", plain),
        ("an answer of the DNS that comes by TCP", goes("large.zone", "mx.dane.zone", "dane")),
        ("a slow server holds up nobody", slow),
        ("a refusal comes back", comes_back("hard.zone", "5.3.0", "Error")),
        ("null MX comes back", comes_back("null.zone", "5.1.10", "takes no mail")),
        ("no such domain comes back", comes_back("nowhere.zone", "5.1.2", "does not exist")),
        ("and the other way", both_ways),
    ]


def make(net, host, address, options):
    """An instance that lives in a namespace, not started."""
    instance = Instance(options=dict({
        "myhostname": "mx.%s.zone" % host, "inet_interfaces": "127.0.0.1 " + address,
        "virtual_mailbox_domains": "mail.example.org", "dns_servers": DNS,
        "smtp_connect_timeout": "3s", "maximal_backoff_time": "2s"}, **options))
    with net.inside(host):
        instance.ports = dict(zip(PORTS, free_ports(len(PORTS))), smtp=25)
    return instance


def prepare(instance):
    """What __enter__ does before start, which needs what the name server says first."""
    os.mkdir(instance.vmail)
    os.chmod(instance.vmail, 0o755)
    instance.slapd.start()
    os.chmod(instance.slapd.dir, 0o755)
    instance.make_certificates()


def sink(ip, *options):
    return subprocess.Popen(["smtp-sink", "-u", "nobody", *options, ip + ":25", "100"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def whole(net):
    net.address(DNS, TAKES, SOFT, HARD, SLOW)
    net.host("a", A)
    net.host("b", B)
    aliases = ", ".join("@%s=bruno@mail.example.org" % d for d in HOSTED)
    a = make(net, "a", A, {"smtp_tls_security_level": "dane",
                           "virtual_alias_domains": "ldap:ldap/virtual_alias_domains.cf a.zone",
                           "virtual_alias_maps": "inline:{amelie@a.zone=amelie@mail.example.org} "
                                                 "ldap:ldap/virtual_alias_maps.cf",
                           "smtp_tls_policy_maps": "inline:{{only.zone=dane-only}}"})
    b = make(net, "b", B, {"virtual_alias_domains": "ldap:ldap/virtual_alias_domains.cf "
                                                    + " ".join(HOSTED),
                           "virtual_alias_maps": "inline:{%s} ldap:ldap/virtual_alias_maps.cf"
                                                 % aliases})
    sinks, failures = [], 1
    try:
        for host, instance in (("a", a), ("b", b)):
            with net.inside(host):
                prepare(instance)
        zones = {".": root_zone(b) + "a.zone. MX 10 mx.a.zone.\nmx.a.zone. A %s\n" % A,
                 "insecure.": "x.insecure. MX 10 mx.wrong.zone.\n",
                 "bogus.": "x.bogus. MX 10 mx.dane.zone.\n"}
        with net.inside("world"):
            sinks = [sink(TAKES), sink(SOFT, "-r", "rcpt"), sink(HARD, "-f", "rcpt"),
                     sink(SLOW, "-w", "4")]
            dns = NameServer(DNS, zones, signed=(".",), bogus=("bogus.",))
            dns.__enter__()
        try:
            for host, instance in (("a", a), ("b", b)):
                instance.options["dns_trust_anchor"] = dns.anchor
                with net.inside(host):
                    instance.start()
            failures = tap.run(main(net, a, b))
        finally:
            if failures:
                for line in a.log().splitlines()[-80:] + b.log().splitlines()[-20:]:
                    print("# " + line)
            dns.close()
    finally:
        for process in sinks:
            process.terminate()
            process.wait(10)
        a.close()
        b.close()


if os.geteuid() != 0:
    print("1..0 # SKIP network namespaces are root's")
    sys.exit(0)
with Net() as the_net:
    whole(the_net)
