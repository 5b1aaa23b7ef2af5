#!/usr/bin/env python3
"""TLS: versions, ECDSA and RSA side by side, SNI, reload under open sessions, STARTTLS injection."""
import os
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402


def handshake(mail, name="mail.example.org", **settings):
    """The subject's name, key kind and protocol that one handshake on 993 ends with."""
    arguments = ["openssl", "s_client", "-connect", "localhost:%d" % mail.ports["imaps"],
                 "-servername", name, "-CAfile", mail.ca]
    for key, value in settings.items():
        arguments += ["-" + key] + ([value] if value else [])
    done = subprocess.run(arguments, input="a LOGOUT\r\n", capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr


def connection(mail, port):
    raw = socket.create_connection(("localhost", mail.ports[port]), timeout=20)
    return raw, raw.makefile("rb")


def segments(mail):
    """In how many pieces the handshake's flight, the ticket and the greeting came."""
    data_segs_in = 152  # where that lies in what TCP_INFO says
    context = mail.tls()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(into, out, server_hostname="localhost")
    with socket.create_connection(("localhost", mail.ports["imaps"]), timeout=20) as raw:
        for step in (tls.do_handshake, lambda: tls.read(1)):
            while True:
                try:
                    step()
                    break
                except ssl.SSLWantReadError:
                    raw.sendall(out.read())
                    into.write(raw.recv(65536))
        told = raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, data_segs_in + 4)
        return int.from_bytes(told[data_segs_in:], sys.byteorder)


def main(mail):
    def versions():
        for version, good in (("tls1_3", True), ("tls1_2", True), ("tls1_1", False), ("tls1", False)):
            code, text = handshake(mail, **{version: None, "cipher": "ALL:@SECLEVEL=0"})
            tap.same("Verify return code: 0 (ok)" in text and code == 0, good, version)

    def asked_again():
        # The hello has a share of the first group alone, which is none of ours.
        code, text = handshake(mail, tls1_3=None, groups="P-521:P-384")
        tap.true(code == 0 and "ECDH, secp384r1" in text, text[-300:])

    def in_one_piece():
        # The kernel holds the ticket back for a fifth of a second at most: a machine may be that slow, but not often.
        tap.wait_for(lambda: segments(mail) == 2, 60, "a ticket and a greeting at once")

    def two_keys():
        code, text = handshake(mail, tls1_2=None, sigalgs="ECDSA+SHA256")
        tap.has(text, "ECDSA")
        code, text = handshake(mail, tls1_2=None, sigalgs="RSA-PSS+SHA256:RSA+SHA256")
        tap.has(text, "2048 bit")

    def weak_ciphers():
        for cipher in ("AES128-SHA", "ECDHE-RSA-AES128-SHA", "NULL", "3DES", "RC4"):
            code, text = handshake(mail, tls1_2=None, cipher=cipher + ":@SECLEVEL=0")
            tap.true(code != 0, cipher)

    def names():
        other = mail.certificate("other.example.net")
        wild = mail.certificate("any.example.com")
        mail.options["tls_server_sni_maps"] = "other.example.net=%s .example.com=%s" % (other, wild)
        mail.reload()
        for asked, given in (("other.example.net", "other.example.net"),
                             ("OTHER.example.net", "other.example.net"),
                             ("pop.example.com", "any.example.com"),
                             ("mail.example.org", "mail.example.org"),
                             ("unknown.example", "mail.example.org")):
            tap.has(handshake(mail, asked)[1], "CN = " + given)

    def reload_keeps_sessions():
        imap = mail.imap("amelie")
        imap.select()
        smtp = mail.submission("bruno")
        fresh = mail.certificate("fresh.example.org")
        mail.options["smtpd_tls_chain_files"] = fresh
        mail.reload()
        tap.wait_for(lambda: "CN = fresh.example.org" in handshake(mail)[1], 10, "the new certificate")
        tap.same(imap.noop()[0], "OK")
        smtp.sendmail("bruno@example.net", ["amelie@example.com"],
                      "From: bruno@example.net\r\nSubject: across a reload\r\n\r\nx\r\n")
        tap.true(imap.noop()[0] == "OK" and imap.select()[1][0] != b"0", "arrived")
        smtp.quit()
        imap.logout()

    def bad_reload():
        broken = mail.dir + "/tls/broken.pem"
        with open(broken, "w") as out:
            out.write("no certificate\n")
        os.chmod(broken, 0o600)
        keep = mail.options["smtpd_tls_chain_files"]
        mail.options["smtpd_tls_chain_files"] = broken
        try:
            mail.reload()
        except RuntimeError as e:
            tap.has(str(e), "broken.pem")
        mail.options["smtpd_tls_chain_files"] = keep
        tap.has(handshake(mail)[1], "CN = fresh.example.org")
        mail.imap().logout()
        mail.reload()

    def smtp_injection():
        raw, lines = connection(mail, "smtp")
        lines.readline()
        raw.sendall(b"EHLO x\r\n")
        while not lines.readline().startswith(b"250 "):
            pass
        raw.sendall(b"STARTTLS\r\nMAIL FROM:<injected@example.com>\r\n")
        tap.same(lines.readline()[:3], b"220")
        secure = mail.tls().wrap_socket(raw, server_hostname="localhost")
        secure.sendall(b"EHLO y\r\n")  # what lies there would be looked at now, and answered first
        tap.has(secure.recv(4096)[:20], b"250-mail.example.org")

    def imap_injection():
        raw, lines = connection(mail, "imap")
        lines.readline()
        raw.sendall(b"a STARTTLS\r\nb NOOP\r\n")
        tap.has(lines.readline(), b"* BYE")
        tap.same(lines.readline(), b"")

    return [
        ("TLS 1.2 and 1.3 only", versions),
        ("a hello that must be said again", asked_again),
        ("the ticket comes together with the greeting", in_one_piece),
        ("ECDSA and RSA certificates side by side", two_keys),
        ("weak ciphers are refused", weak_ciphers),
        ("SNI certificates", names),
        ("a reload brings a new certificate and drops no session", reload_keeps_sessions),
        ("a reload with a broken certificate changes nothing", bad_reload),
        ("nothing pipelined before STARTTLS survives: SMTP", smtp_injection),
        ("nothing pipelined before STARTTLS survives: IMAP", imap_injection),
    ]


with Instance() as instance:
    tap.run(main(instance))
