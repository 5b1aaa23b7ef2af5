#!/usr/bin/env python3
"""Conversations with a whole, running Facteur: IMAP and POP3 before login and across it, one file
each in tests/dialogues/login. "@port NAME" says which of its ports the next connection goes to."""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from dialogue import Dialogue, TcpTransport  # noqa: E402
from instance import SRCDIR, Instance  # noqa: E402


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

        Dialogue(path, connect, directives={"port": port, "slapd": slapd}).run()
    return test


with Instance(options={"ldap_timeout": "2s"}) as instance:
    paths = sorted(glob.glob(os.path.join(SRCDIR, "tests/dialogues/login/*.txt")))
    tap.run([(os.path.basename(path)[:-4], conversation(instance, path)) for path in paths])
