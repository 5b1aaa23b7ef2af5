#!/usr/bin/env python3
"""LMTP: a reply for each recipient after the message, each its own result."""
import os
import smtplib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402
from milter import Milter, REJECT  # noqa: E402

A, B, NOBODY = "amelie@example.com", "bruno@example.net", "nobody@example.com"


def main(mail):
    def begin(*to):
        client = smtplib.LMTP("127.0.0.1", mail.ports["lmtp"])
        client.ehlo("other.example")
        tap.same(client.mail("x@remote.example")[0], 250)
        codes = [client.rcpt(address)[0] for address in to]
        return client, codes

    def send(client, subject, replies):
        client.docmd("DATA")
        client.send(("Subject: %s\r\n\r\nHello.\r\n.\r\n" % subject).encode())
        got = [client.getreply() for _ in range(replies)]
        tap.same(client.noop()[0], 250, "no reply too many")
        client.quit()
        return [code for code, _ in got]

    def count(user, subject):
        return sum("Subject: %s\n" % subject in m for m in mail.messages(user))

    def each_its_own():
        client, codes = begin(A, NOBODY, B)
        tap.same(codes, [250, 550, 250])
        tap.same(send(client, "own", 2), [250, 250])
        tap.same((count("amelie", "own"), count("bruno", "own")), (1, 1))
        text = next(m for m in mail.messages("bruno") if "Subject: own\n" in m)
        tap.has(text, "with LMTP id")

    def twice():
        client, codes = begin(A, A)
        tap.same(send(client, "twice", 2), [250, 250])
        tap.same(count("amelie", "twice"), 1)

    def nobody_left():
        client, codes = begin(NOBODY)
        tap.same(client.docmd("DATA")[0], 554)
        tap.same(client.noop()[0], 250)
        client.quit()

    def broken_mailbox():
        """One that breaks between RCPT and the message is given back, and not in the queue."""
        client, codes = begin(A, B)
        tap.same(codes, [250, 250])
        new = os.path.join(mail.vmail, "bruno", "mailbox", "tmp")
        os.rename(new, new + ".away")
        open(new, "w").close()
        try:
            tap.same(send(client, "broken", 2), [250, 451])
        finally:
            os.unlink(new)
            os.rename(new + ".away", new)
        tap.same((count("amelie", "broken"), count("bruno", "broken")), (1, 0))
        tap.has(mail.facteur("status"), "messages=0 recipients=0")

    def refused_message():
        m = Milter({"E": [REJECT]})
        mail.options["smtpd_milters"] = m.place
        mail.reload()
        client, _ = begin(A, B)
        tap.same(send(client, "refused", 2), [550, 550])
        mail.options.pop("smtpd_milters")
        mail.reload()
        m.close()

    def words():
        with smtplib.SMTP("127.0.0.1", mail.ports["lmtp"]) as client:
            tap.same([client.docmd(c)[0] for c in ("EHLO x", "HELO x", "LHLO x")], [500, 500, 250])
        with mail.smtp() as client:
            tap.same(client.docmd("LHLO x")[0], 500)
        client = smtplib.LMTP("127.0.0.1", mail.ports["lmtp"])
        client.ehlo()
        tap.true(not client.has_extn("auth") and client.has_extn("pipelining"), "what is offered")
        tap.same(client.docmd("AUTH PLAIN")[0], 503)
        client.quit()

    def swaks():
        done = subprocess.run(["swaks", "--protocol", "LMTP", "--server", "127.0.0.1", "--port",
                               str(mail.ports["lmtp"]), "--to", A, "--from", "x@remote.example",
                               "--header", "Subject: swaks"], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
        tap.same(done.returncode, 0, done.stdout + done.stderr)
        tap.same(count("amelie", "swaks"), 1)

    def strangers():
        mail.options["lmtp_networks"] = "10.0.0.0/8"
        mail.reload()
        try:
            smtplib.LMTP("127.0.0.1", mail.ports["lmtp"])
        except smtplib.SMTPConnectError as e:
            tap.same(e.smtp_code, 421)
        else:
            raise AssertionError("a stranger came in")

    return [("each recipient its own reply", each_its_own), ("the same one twice", twice),
            ("no recipient is left", nobody_left), ("a mailbox that breaks", broken_mailbox),
            ("a message that is refused", refused_message), ("its words", words),
            ("swaks", swaks), ("strangers", strangers)]


if __name__ == "__main__":
    with Instance(options={"lmtp_networks": "127.0.0.0/8"}) as instance:
        failed = tap.run(main(instance))
    sys.exit(failed > 0)
