"""AUTH and AUTHENTICATE line by line, alike in SMTP, IMAP and POP3: each step gives (what came, None)
for a challenge, (None, the last line) at the end. Line.instance is the Facteur that is spoken to."""
import base64
import imaplib
import poplib
import smtplib

import tap


class Line:
    instance = None

    def begin(self, name, initial=None):
        return self.line(self.command + name + ("" if initial is None else " " + initial))

    def close(self):
        self.client.close()


class Smtp(Line):
    command = "AUTH "
    yes, no, later, unknown = "235 ", "535 5.7.8", "454 4.7.0", "504 "

    def __init__(self, source="127.0.0.1"):
        self.client = smtplib.SMTP("127.0.0.1", self.instance.ports["submission"], timeout=30,
                                   source_address=(source, 0))
        self.client._host = "localhost"
        self.client.starttls(context=self.instance.tls())
        self.client.ehlo("test.example")

    def offers(self):
        return sorted(self.client.esmtp_features["auth"].split())

    def line(self, line):
        self.client.send(line + "\r\n")
        code, text = self.client.getreply()
        if code == 334:
            return base64.b64decode(text, validate=True), None
        return None, "%d %s" % (code, text.decode())


class Imap(Line):
    command = "x AUTHENTICATE "
    yes, no, later = "x OK ", "x NO [AUTHENTICATIONFAILED]", "x NO [UNAVAILABLE]"
    unknown = "x NO "

    def __init__(self, source="127.0.0.1"):
        self.client = imaplib.IMAP4_SSL("localhost", self.instance.ports["imaps"],
                                        ssl_context=self.instance.tls(), timeout=30)

    def offers(self):
        return sorted(c[5:] for c in self.client.capabilities if c.startswith("AUTH="))

    def line(self, line):
        self.client.send(line.encode() + b"\r\n")
        while True:
            got = self.client.readline().decode().rstrip("\r\n")
            if got.startswith("+ "):
                return base64.b64decode(got[2:], validate=True), None
            if not got.startswith("* "):
                return None, got

    def close(self):
        self.client.shutdown()


class Pop3(Line):
    command = "AUTH "
    yes, no, later, unknown = "+OK", "-ERR [AUTH]", "-ERR [SYS/TEMP]", "-ERR"

    def __init__(self, source="127.0.0.1"):
        self.client = poplib.POP3_SSL("localhost", self.instance.ports["pop3s"],
                                      context=self.instance.tls(), timeout=30)

    def offers(self):
        return sorted(self.client.capa()["SASL"])

    def line(self, line):
        self.client.sock.sendall(line.encode() + b"\r\n")
        got = self.client.file.readline().decode().rstrip("\r\n")
        if got.startswith("+ "):
            return base64.b64decode(got[2:], validate=True), None
        return None, got


ALL = (Smtp, Imap, Pop3)


def b64(data):
    return base64.b64encode(data).decode()


def offers():
    """The mechanisms that each of ALL names."""
    told = []
    for kind in ALL:
        session = kind()
        told.append(session.offers())
        session.close()
    return told


def starts(text, want):
    tap.true(text.startswith(want), "%r does not begin with %r" % (text, want))
