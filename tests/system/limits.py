#!/usr/bin/env python3
"""How often: limits of clients, logins and wrong passwords, counted for all programs together."""
import base64
import imaplib
import os
import poplib
import smtplib
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402

SENDER, TO = "somebody@remote.example", "amelie@example.com"
TEXT = "From: amelie@example.com\r\nSubject: x\r\n\r\nx\r\n"


def main(mail):
    def use(**options):
        """A restart begins all counts anew."""
        mail.options = dict(options, anvil_rate_time_unit="1h", auth_failure_time_unit="1h")
        mail.restart()

    def connections():
        use(smtpd_client_connection_rate_limit=6, smtpd_client_event_limit_exceptions="")
        for _ in range(6):
            mail.smtp().quit()
        try:
            mail.smtp()
        except smtplib.SMTPConnectError as e:
            tap.same(e.smtp_code, 421)
        else:
            raise AssertionError("a seventh connection")

    def messages():
        use(smtpd_client_message_rate_limit=4, smtpd_client_event_limit_exceptions="10.0.0.0/8")
        for _ in range(4):  # each in a connection of its own, so that both programs have some
            mail.deliver(TO, TEXT)
        with mail.smtp() as client:
            client.ehlo()
            tap.same(client.mail(SENDER)[0], 450)

    def recipients():
        use(smtpd_client_recipient_rate_limit=3, smtpd_client_event_limit_exceptions="")
        mail.deliver([TO, "bruno@example.net"], TEXT)
        with mail.smtp() as client:
            client.ehlo()
            client.mail(SENDER)
            tap.same(client.rcpt(TO)[0], 250)
            tap.same(client.rcpt("bruno@example.net")[0], 450)

    def exceptions():
        use(smtpd_client_message_rate_limit=1, smtpd_client_recipient_rate_limit=1)
        for _ in range(3):
            mail.deliver(TO, TEXT)

    def auths():
        use(smtpd_client_auth_rate_limit=2, smtpd_client_event_limit_exceptions="")
        for _ in range(2):
            mail.submission().quit()
        try:
            mail.submission()
        except smtplib.SMTPAuthenticationError as e:
            tap.same(e.smtp_code, 450)
        else:
            raise AssertionError("a third AUTH")

    def logins():
        use(smtpd_login_message_rate_limit=2, smtpd_login_recipient_rate_limit=3)
        for _ in range(2):
            with mail.submission() as client:
                client.sendmail(TO, [TO], TEXT)
        with mail.submission() as client:
            client.ehlo()
            tap.same(client.mail(TO)[0], 450, "the third of amelie")
        with mail.submission("bruno") as client:
            client.ehlo()
            tap.same(client.mail("bruno@example.net")[0], 250, "bruno's first")
            for _ in range(3):
                tap.same(client.rcpt(TO)[0], 250)
            tap.same(client.rcpt(TO)[0], 450, "the fourth recipient")

    def wrong(service, user):
        """What a wrong password meets: the code or text of the answer."""
        try:
            if service == "smtp":
                with smtplib.SMTP("localhost", mail.ports["submission"], timeout=30) as client:
                    client.starttls(context=mail.tls())
                    client.ehlo()
                    told = base64.b64encode(("\0%s\0wrong" % user).encode()).decode()
                    return {535: "no", 454: "later"}[client.docmd("AUTH", "PLAIN " + told)[0]]
            elif service == "imap":
                mail.imap(user, "wrong")
            else:
                pop = poplib.POP3_SSL("localhost", mail.ports["pop3s"], context=mail.tls())
                pop.user(user)
                pop.pass_("wrong")
        except imaplib.IMAP4.error as e:
            return "later" if "UNAVAILABLE" in str(e) else "no"
        except poplib.error_proto as e:
            return "later" if "SYS/TEMP" in str(e) else "no"
        raise AssertionError("a wrong password was right")

    def refusal(otherwise):
        """What a login is answered that must fail; otherwise: what is wrong when it does not."""
        try:
            mail.imap("amelie")
        except imaplib.IMAP4.error as e:
            return str(e)
        raise AssertionError(otherwise)

    def imap_from(address, port="imap"):
        """The connection, and its greeting."""
        sock = socket.create_connection(("127.0.0.1", mail.ports[port]), 30, source_address=(address, 0))
        if port == "imaps":
            sock = mail.tls().wrap_socket(sock, server_hostname="localhost")
        client = sock.makefile("rwb")
        return client, client.readline().decode()

    def not_logged_in():
        """Who has logged in is not counted, nor are other addresses."""
        use(login_client_connection_limit=2)
        sessions = [mail.imap(user) for user in ("amelie", "amelie", "bruno")]
        silent = [imap_from("127.0.0.1") for _ in range(2)]
        tap.same([greeting[:4] for _, greeting in silent], ["* OK"] * 2)
        tap.has(imap_from("127.0.0.1")[1], "* BYE [LIMIT]")
        tap.has(imap_from("127.0.0.2")[1], "* OK")
        for client in sessions:
            client.logout()

    def sessions_by_place():
        """As Dovecot has it: of one user from one address."""
        use(mail_max_userip_connections=2)
        sessions = [mail.imap("amelie") for _ in range(2)]
        tap.has(refusal("a third session from there"), "[LIMIT]")
        mail.imap("bruno").logout()
        other = imap_from("127.0.0.2", "imaps")[0]
        other.write(b"a LOGIN amelie amelie-secret\r\n")
        other.flush()
        tap.has(other.readline().decode(), "a OK")
        sessions[0].logout()
        tap.wait_for(lambda: again(sessions), 30, "a session that ended is still counted")
        sessions[1].logout()

    def again(sessions):
        try:
            sessions.append(mail.imap("amelie"))
        except imaplib.IMAP4.error:
            return False
        return True

    def guesses_by_user():
        use(auth_failure_user_limit=4, auth_failure_account_limit=0, auth_failure_exceptions="")
        got = [wrong(s, "amelie") for s in ("smtp", "imap", "pop3", "smtp", "imap", "pop3", "smtp")]
        tap.same(got, ["no"] * 4 + ["later"] * 3)
        tap.has(refusal("the right password was looked at"), "UNAVAILABLE")
        mail.imap("bruno").logout()
        tap.same(wrong("pop3", "AMELIE"), "later", "the case of a name is no way round")
        tap.same(wrong("smtp", " amelie "), "later", "nor are blanks around it")

    def guesses_by_network():
        use(auth_failure_network_limit=3, auth_failure_exceptions="")
        for _ in range(5):
            mail.imap("bruno").logout()  # what is right does not count
        got = [wrong("imap", user) for user in ("amelie", "bruno", "x", "y", "z")]
        tap.same(got, ["no"] * 3 + ["later"] * 2)

    def trusted_guesses():
        use(auth_failure_network_limit=2, auth_failure_user_limit=1,
            auth_failure_exceptions="127.0.0.0/8 [::1]/128")
        tap.same([wrong("imap", "amelie") for _ in range(4)], ["no"] * 4)

    return [("connections", connections), ("messages", messages), ("recipients", recipients),
            ("exceptions", exceptions), ("AUTH", auths), ("logins", logins),
            ("connections that have not logged in", not_logged_in),
            ("sessions of a user from one address", sessions_by_place),
            ("wrong passwords of a user, everywhere", guesses_by_user),
            ("wrong passwords from a network", guesses_by_network),
            ("wrong passwords from exempt networks", trusted_guesses)]


if __name__ == "__main__":
    with Instance() as instance:
        failed = tap.run(main(instance))
    sys.exit(failed > 0)
