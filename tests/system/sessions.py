#!/usr/bin/env python3
"""Sessions in a whole installation: a copy of fresh messages; small while idle; what stays of visits that ended."""
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance, sanitized  # noqa: E402
from watch import MIB, private  # noqa: E402

MESSAGES = 3000
IDLE_KIB = 220
VISITS = 1000


def memory(pid):
    with open("/proc/%d/smaps_rollup" % pid) as text:
        return {k: int(v) for k, v in re.findall(r"^(\w+): +(\d+) kB", text.read(), re.M)}


def idle(client, tag=b"idle1"):
    client.send(tag + b" IDLE\r\n")
    tap.true(client.readline().startswith(b"+"), "IDLE")


def next_that(client, start):
    while True:
        line = client.readline()
        if not line:
            raise AssertionError("the connection ended before %r" % start)
        if line.startswith(start):
            return line


def main(mail):
    plain = not sanitized()  # the sanitizers keep what was freed

    def fill():
        """Enough messages for their names alone to take more than the session may."""
        client = mail.imap("chloe")
        text = b"Subject: x\r\nMessage-ID: <x%d@test>\r\n\r\nx\r\n"
        client.select()
        for n in range(0, MESSAGES, 500):
            client.send(b"a%d APPEND INBOX" % n)
            for i in range(500):
                client.send(b" {%d+}\r\n" % len(text % i) + text % i)
            client.send(b"\r\n")
            tap.has(next_that(client, b"a%d " % n).decode(), "APPENDUID")
        tap.same(client.copy("1:20", "Sent")[0], "OK", "a copy of what was written just now")
        client.logout()

    def small():
        fill()
        before = set(mail.sessions())
        client = mail.imap("chloe")
        client.select()
        pid = (set(mail.sessions()) - before).pop()
        awake = memory(pid)
        idle(client)
        if plain:  # what a session has alone; the rest is shared with its parent and all others
            tap.wait_for(lambda: memory(pid)["Private_Dirty"] <= min(IDLE_KIB, awake["Private_Dirty"] / 2), 10,
                         "idle, a session keeps more than it may: awake %r" % awake)
        mail.deliver("chloe@example.net", "Subject: wakes it\r\n\r\nx\r\n")
        next_that(client, b"* %d EXISTS" % (MESSAGES + 1))
        client.send(b"DONE\r\n")
        next_that(client, b"idle1 OK")
        tap.same(client.fetch("1", "(UID)")[1], [b"1 (UID 1)"])
        client.logout()

    def visit(port, goodbye):
        with socket.create_connection(("127.0.0.1", mail.ports[port]), timeout=30) as client:
            with client.makefile("rb") as answers:
                answers.readline()
                client.sendall(goodbye)
                answers.read()

    def visits():
        """Four KiB that stay of each are four MiB."""
        ways = (("imap", b"a LOGOUT\r\n"), ("pop3", b"QUIT\r\n"), ("smtp", b"QUIT\r\n"))
        for way in ways:
            for _ in range(VISITS // 5):
                visit(*way)
        pids = mail.pids("access") + mail.pids("smtp")
        before = [private(pid) for pid in pids]
        for way in ways:
            for _ in range(VISITS):
                visit(*way)
        after = [private(pid) for pid in pids]
        tap.true(not plain or all(b < a + MIB for a, b in zip(before, after)), "before %s, after %s" % (before, after))

    return [("a session in IDLE is small, and wakes", small),
            ("nothing stays of visits that ended", visits)]


if __name__ == "__main__":
    with Instance() as instance:
        sys.exit(tap.run(main(instance)))
