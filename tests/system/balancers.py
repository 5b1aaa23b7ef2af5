#!/usr/bin/env python3
"""Behind a load balancer: its header says who the client is, for logs, limits and rules; TLS comes
behind it, often in the same packet; whoever leaves it out, or is no balancer, is not heard."""
import os
import socket
import ssl
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402

TO = "amelie@example.com"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
OPTIONS = {"smtpd_upstream_proxy_protocol": "haproxy", "haproxy_trusted_networks": "127.0.0.1/32"}


def v1(source):
    kind, own = ("TCP6", "::1") if ":" in source else ("TCP4", "127.0.0.1")
    return ("PROXY %s %s %s 40000 25\r\n" % (kind, source, own)).encode()


def crc32c(octets):
    crc = 0xffffffff
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def v2(source, command=1, checksum=None):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    own = "::1" if ":" in source else "127.0.0.1"
    body = socket.inet_pton(family, source) + socket.inet_pton(family, own) + struct.pack(">HH", 40000, 25)
    kind = 0x21 if ":" in source else 0x11
    size = len(body) + (7 if checksum is not None else 0)
    head = SIGNATURE + struct.pack(">BBH", 0x20 | command, kind, size) + body
    if checksum is None:
        return head
    head += b"\3\0\4"
    return head + struct.pack(">I", crc32c(head + bytes(4)) ^ checksum)


class Client:
    """A connection of a balancer; hello: its header, and what else goes in the same packet."""

    def __init__(self, port, hello=b"", address="127.0.0.1"):
        self.sock = socket.create_connection(("127.0.0.1", port), 10, (address, 0))
        self.sock.sendall(hello)
        self.buffer = b""

    def line(self):
        """"" at the end."""
        while b"\n" not in self.buffer:
            try:
                got = self.sock.recv(4096)
            except ConnectionResetError:
                got = b""
            if not got:
                return ""
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode().rstrip("\r")

    def reply(self):
        line = self.line()
        while line[3:4] == "-":
            line = self.line()
        return line

    def ask(self, command):
        self.sock.sendall(command.encode() + b"\r\n")
        return self.reply()

    def close(self):
        self.sock.close()


def main(mail):
    def smtp(hello, **more):
        return Client(mail.ports["smtp"], hello, **more)

    def greeting(hello, service="smtp", **more):
        client = Client(mail.ports[service], hello, **more)
        line = client.line()
        client.close()
        return line

    def set(**options):
        mail.options = dict(OPTIONS, **options)
        mail.reload()

    def send(hello, subject):
        client = smtp(hello)
        tap.has(client.reply(), "220 ")
        for command, code in (("EHLO other.example", "250"), ("MAIL FROM:<x@remote.example>", "250"),
                              ("RCPT TO:<%s>" % TO, "250"), ("DATA", "354"),
                              ("Subject: %s\r\n\r\nHello.\r\n." % subject, "250")):
            tap.has(client.ask(command), code)
        client.ask("QUIT")
        client.close()
        return next(m for m in mail.messages("amelie") if "Subject: %s\n" % subject in m)

    def both_versions():
        tap.has(send(v1("192.0.2.7"), "v1"), "Received: from other.example ([192.0.2.7])")
        tap.has(send(v1("2001:db8::7"), "v1-6"), "([IPv6:2001:db8::7])")
        tap.has(send(v2("192.0.2.8"), "v2"), "([192.0.2.8])")
        tap.has(send(v2("2001:db8::8", checksum=0), "v2-6"), "([IPv6:2001:db8::8])")
        for client in ("192.0.2.7", "2001:db8::7", "192.0.2.8", "2001:db8::8"):
            tap.has(mail.log(), "client=%s service=smtp" % client)

    def for_itself():
        """A balancer's own question whether we live: its own address counts."""
        tap.has(send(v2("192.0.2.8", command=0), "local"), "([127.0.0.1])")
        tap.has(send(b"PROXY UNKNOWN\r\n", "unknown"), "([127.0.0.1])")
        tap.has(send(SIGNATURE + b"\x20\0\0\0", "local-2"), "([127.0.0.1])")

    def octet_by_octet():
        for header in (v1("192.0.2.9"), v2("192.0.2.9")):
            client = smtp(b"")
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(header)):
                client.sock.sendall(header[i:i + 1])
            tap.has(client.reply(), "220 ")
            client.close()

    def others_are_refused():
        tap.same(greeting(b"EHLO other.example\r\n"), "")
        tap.has(mail.log(), "no header of the PROXY protocol came")
        tap.same(greeting(v1("192.0.2.7"), address="127.0.0.2"), "")
        tap.has(mail.log(), "haproxy_trusted_networks does not name it")
        tap.same(greeting(v2("192.0.2.7", checksum=1)), "")
        tap.same(greeting(v1("192.0.2.7").replace(b"TCP4", b"TCP6")), "")
        for service in ("submission", "imap", "pop3"):
            tap.same(greeting(b"a1 NOOP\r\n", service), "", service)

    def silence_ends():
        set(smtpd_upstream_proxy_timeout="1s")
        tap.same(greeting(b""), "")
        tap.same(greeting(b"PROXY TCP4 "), "")
        tap.has(mail.log(), "its header did not come in time")
        set()

    def behind_tls():
        """Header and handshake in one packet: the handshake is not eaten."""
        for service, word in (("submissions", "220 "), ("imaps", "* OK"), ("pop3s", "+OK")):
            for header in (v1("192.0.2.20"), v2("192.0.2.20")):
                raw = socket.create_connection(("127.0.0.1", mail.ports[service]), 10)
                into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
                tls = mail.tls().wrap_bio(into, out, server_hostname="localhost")
                first = True
                while True:
                    try:
                        got = tls.read(4096) if tls.version() and not first else tls.do_handshake()
                        if got:
                            break
                    except ssl.SSLWantReadError:
                        raw.sendall((header if first else b"") + out.read())
                        first = False
                        octets = raw.recv(16384)
                        tap.true(octets, service + " closed")
                        into.write(octets)
                        continue
                    raw.sendall(out.read())
                tap.has(got.decode(), word)
                raw.close()
            tap.has(mail.log(), "client=192.0.2.20 service=%s" % service) if service == "submissions" \
                else tap.has(mail.log(), "service=%s client=192.0.2.20" % service)

    def mail_programs():
        """STARTTLS, login and a mailbox, through a header."""
        client = Client(mail.ports["imap"], v2("192.0.2.30"))
        tap.has(client.line(), "* OK")
        client.sock.sendall(b"a1 STARTTLS\r\n")
        tap.has(client.line(), "a1 OK")
        client.sock = mail.tls().wrap_socket(client.sock, server_hostname="localhost")
        client.sock.sendall(b"a2 LOGIN amelie amelie-secret\r\na3 SELECT INBOX\r\n")
        line = client.line()
        while line and not line.startswith("a3 "):
            line = client.line()
        tap.has(line, "a3 OK")
        client.close()
        tap.has(mail.log(), "client=192.0.2.30 login=amelie")

    def limits():
        """Each client has its own count of connections, and the balancer has none."""
        set(smtpd_client_connection_count_limit="1")
        first, other = smtp(v1("192.0.2.40")), smtp(v1("192.0.2.41"))
        tap.has(first.reply(), "220 ")
        tap.has(other.reply(), "220 ")
        tap.has(greeting(v1("192.0.2.40")), "421 ")
        first.close()
        other.close()
        set()

    def rules():
        set(mynetworks="192.0.2.50/32",
            smtpd_client_restrictions="check_client_access inline:{192.0.2.51=REJECT}")
        for source, to, code in (("192.0.2.50", "x@elsewhere.example", "250 "),
                                 ("127.0.0.1", "x@elsewhere.example", "554 "),
                                 ("192.0.2.52", TO, "250 "), ("192.0.2.51", TO, "554 ")):
            client = smtp(v2(source))
            client.reply()
            client.ask("EHLO other.example")
            client.ask("MAIL FROM:<x@remote.example>")
            tap.has(client.ask("RCPT TO:<%s>" % to), code)
            client.close()
        set()

    def some_services():
        set(haproxy_services="imap")
        tap.has(greeting(b"", "smtp"), "220 ")
        tap.has(greeting(v1("192.0.2.60"), "imap"), "* OK")
        tap.same(greeting(b"a1 NOOP\r\n", "imap"), "")
        set()

    def what_cannot_be():
        for options, text in (({"haproxy_trusted_networks": ""}, "haproxy_trusted_networks: is needed"),
                              ({"haproxy_trusted_networks": "0.0.0.0/0"}, "is all the world"),
                              ({"haproxy_trusted_networks": "lb.example"}, "is no network"),
                              ({"haproxy_services": "smtp web"}, '"web" is no service')):
            mail.options = dict(OPTIONS, **options)
            mail.write_config()
            done = subprocess.run([os.path.join(os.environ["FACTEUR_BUILDDIR"], "facteur"), "-c",
                                   mail.conf, "check"], capture_output=True, text=True)
            tap.true(done.returncode != 0, text)
            tap.has(done.stdout + done.stderr, text)
        set()

    return [("both versions", both_versions), ("for itself", for_itself),
            ("octet by octet", octet_by_octet), ("others are refused", others_are_refused),
            ("silence ends", silence_ends), ("behind TLS", behind_tls),
            ("mail programs", mail_programs), ("limits", limits), ("rules", rules),
            ("some services", some_services), ("what cannot be", what_cannot_be)]


if __name__ == "__main__":
    os.environ.setdefault("FACTEUR_BUILDDIR", "build")
    with Instance(options=OPTIONS) as instance:
        failed = tap.run(main(instance))
    sys.exit(failed > 0)
