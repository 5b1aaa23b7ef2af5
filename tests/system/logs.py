#!/usr/bin/env python3
"""Log lines of every program, those with an empty root too, reach the journal and syslog: sockets of ours
stand in their places, in a mount namespace of the test's own."""
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402

JOURNAL, SYSLOG = "/run/systemd/journal/socket", "/dev/log"
PROGRAMS = {"master", "directory", "deliver", "session", "smtp", "access"}
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def mount(*arguments):
    subprocess.run(("mount",) + arguments, check=True)


def make_places(aside):
    mount("-t", "tmpfs", "tmpfs", "/run")
    os.makedirs(os.path.dirname(JOURNAL))
    mount("--rbind", "/dev", aside)
    mount("-t", "tmpfs", "tmpfs", "/dev")
    for name in DEVICES:
        open("/dev/" + name, "w").close()
        mount("--bind", os.path.join(aside, name), "/dev/" + name)
    os.mkdir("/dev/shm", 0o1777)
    os.symlink("/proc/self/fd", "/dev/fd")


class Place:
    """The socket of a log daemon."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        os.chmod(path, 0o666)
        self.lines = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):  # at all times: who logs waits for a daemon that does not
        while True:
            self.lines.append(self.socket.recv(65536).decode())

    def find(self, pattern):
        return [line for line in list(self.lines) if re.search(pattern, line, re.S)]

    def programs(self, pattern):
        return {m.group(1) for line in list(self.lines) for m in [re.search(pattern, line)] if m}


def inside(aside):
    make_places(aside)
    journal, syslog = Place(JOURNAL), Place(SYSLOG)
    with Instance(options={"log_target": "journal"}) as mail:
        def use(target):
            mail.options["log_target"] = target
            mail.restart()

        def go_on(place, pattern):
            mail.deliver("amelie@example.com", "Subject: x\r\n\r\nx\r\n")
            mail.imap().logout()
            tap.wait_for(lambda: PROGRAMS <= place.programs(pattern), 30, "a program logs nothing")

        def to_journal():
            go_on(journal, r"\nSYSLOG_IDENTIFIER=facteur/(\w+)\n")
            tap.true(journal.find(r"^PRIORITY=6\nSYSLOG_FACILITY=2\n.*MESSAGE=accepted session="), "fields")
            tap.same(syslog.find("facteur/"), [])  # slapd writes there too

        def to_syslog():
            before = len(journal.lines)
            use("syslog")
            go_on(syslog, r"facteur/(\w+)\[\d+\]: ")
            tap.true(syslog.find(r"^<22>\w{3} [ \d]\d \d\d:\d\d:\d\d facteur/smtp\[\d+\]: accepted "), "a line")
            tap.true(not any("accepted" in line for line in journal.lines[before:]), "still in the journal")

        return tap.run([("the journal", to_journal), ("syslog", to_syslog)])


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP mount namespaces are root's")
        return 0
    aside = tempfile.mkdtemp(prefix="facteur-logs-")
    try:
        return subprocess.run(["unshare", "--mount", "--propagation", "private", sys.executable,
                               os.path.abspath(__file__), aside]).returncode
    finally:
        os.rmdir(aside)


if __name__ == "__main__":
    sys.exit(inside(sys.argv[1]) if len(sys.argv) > 1 else main())
