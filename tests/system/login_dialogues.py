#!/usr/bin/env python3
"""Conversations with a whole, running Facteur: IMAP and POP3 before login and across it, one file
each in tests/dialogues/login. "@port NAME" says which of its ports the next connection goes to;
"@unread SIZE LINE" sends LINE again and again, reads no answer, and expects to be stopped before
that many octets; then it reads the answers."""
import glob
import os
import select
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from dialogue import Dialogue, TcpTransport  # noqa: E402
from instance import SRCDIR, Instance  # noqa: E402


def unread(dialogue, words, _):
    conn = dialogue.connection("")
    sock = conn.transport.sock
    line = (" ".join(words[1:]) + "\r\n").encode()
    sent, answers = 0, b""
    while sent < int(words[0]) and select.select([], [sock], [], 2)[1]:
        at = sent % len(line)
        sent += os.write(sock.fileno(), (line * 256)[at:at + 2048])
    tap.true(sent < int(words[0]), "the server takes everything, and keeps the answers")
    rest = line[sent % len(line):] if sent % len(line) else b""
    count = (sent + len(rest)) // len(line)
    while answers.count(line[:2] + b"OK ") < count:
        readable, writable, _ = select.select([sock], [sock] if rest else [], [], 10)
        tap.true(readable or writable, "the server does not read on")
        if readable:
            got = sock.recv(65536)
            tap.true(got, "the server is gone")
            answers += got
        if writable:
            rest = rest[os.write(sock.fileno(), rest):]


def conversation(mail, path):
    def test():
        chosen = {"port": "imaps"}

        def connect(_):
            port = chosen["port"]
            return TcpTransport("localhost", mail.ports[port], mail.tls(), tls=port.endswith("s"))

        def port(_, words, __):
            chosen["port"] = words[0]

        def slapd(_, words, __):
            getattr(mail.slapd, words[0])()

        Dialogue(path, connect, directives={"port": port, "slapd": slapd, "unread": unread}).run()
    return test


with Instance(options={"ldap_timeout": "2s", "login_timeout": "600s"}) as instance:
    paths = sorted(glob.glob(os.path.join(SRCDIR, "tests/dialogues/login/*.txt")))
    tap.run([(os.path.basename(path)[:-4], conversation(instance, path)) for path in paths])
