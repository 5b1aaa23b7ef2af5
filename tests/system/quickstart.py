#!/usr/bin/env python3
"""./quickstart as the README says it: everything up with one command, mail sent and read, again, stopped,
found again, and gone. Nothing is built or installed for it: build/ leads to the programs that are there."""
import imaplib
import os
import poplib
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import BUILD, free_ports  # noqa: E402
from mastersite import PROGRAMS  # noqa: E402
from slapd import SRCDIR  # noqa: E402


class Checkout(tap.Started):
    """A copy of what quickstart uses of the tree, with ports of its own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="facteur-quickstart-")
        self.facts = {}

    def path(self, name):
        return os.path.join(self.dir, name)

    def script(self, name, text):
        with open(self.path(name), "w") as out:
            out.write(text)
        os.chmod(self.path(name), 0o755)

    def start(self):
        os.chmod(self.dir, 0o755)
        for name in ("build", "run", "tools"):
            os.mkdir(self.path(name), 0o755)
        shutil.copy(os.path.join(SRCDIR, "quickstart"), self.dir)
        for name in ("schema", "conf"):
            subprocess.run(["cp", "-R", os.path.join(SRCDIR, name), self.dir], check=True)
        subprocess.run(["chmod", "-R", "u+w", self.dir], check=True)
        for name in PROGRAMS + ("facteurd", "facteur"):
            os.symlink(os.path.join(BUILD, name), self.path("build/" + name))
        with open(self.path("build/Makefile"), "w") as makefile:
            makefile.write("all:\n")
        self.script("configure", "#!/bin/sh\nexit 1\n")
        self.script("tools/dpkg-query", "#!/bin/sh\necho install ok installed\n")
        with open(self.path("run/ports"), "w") as ports:
            ports.write("".join("%d\n" % port for port in free_ports(7)))

    def quickstart(self, *arguments, status=0):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        environment["PATH"] = self.path("tools") + ":" + os.environ["PATH"]
        with open(self.path("said"), "w+") as said:  # a pipe would be held open by what it leaves running
            done = subprocess.run([self.path("quickstart"), *arguments], stdin=subprocess.DEVNULL,
                                  stdout=said, stderr=said, env=environment)
            said.seek(0)
            text = said.read()
        tap.same(done.returncode, status, text)
        return text

    def up(self):
        text = self.quickstart("--background")
        with open(self.path("run/quickstart.env")) as lines:
            self.facts = dict(line.rstrip("\n").split("=", 1) for line in lines)
        return text

    def fact(self, name):
        return self.facts["FACTEUR_" + name]

    def tls(self):
        return ssl.create_default_context(cafile=self.fact("CA"))

    def port(self, name):
        return int(self.fact(name + "_PORT"))

    def close(self):
        try:
            if os.path.exists(self.path("quickstart")):
                self.quickstart("reset")
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)


def subjects(site, number):
    """Of the mail of a person, over IMAP with STARTTLS."""
    with imaplib.IMAP4("localhost", site.port("IMAP"), timeout=60) as imap:
        imap.starttls(site.tls())
        imap.login(site.fact("USER%d" % number), site.fact("PASSWORD%d" % number))
        imap.select(readonly=True)
        found = imap.fetch("1:*", "(BODY[HEADER.FIELDS (SUBJECT)])")[1] if imap.search(None, "ALL")[1][0] else []
    return [part[1].decode().strip() for part in found if isinstance(part, tuple)]


def main(site):
    def begins():
        text = site.up()
        tap.has(text, "Bonjour, this is Facteur.")
        tap.has(text, "the maildir of bruno")
        for name in ("SUBMISSION", "IMAPS", "POP3S"):
            tap.has(text, "port %d" % site.port(name))
        tap.has(site.quickstart("status"), "directory")

    def serves():
        """Scripts find what they need in run/quickstart.env."""
        with smtplib.SMTP("localhost", site.port("SUBMISSION"), timeout=60) as smtp:
            smtp.starttls(context=site.tls())
            smtp.login(site.fact("USER2"), site.fact("PASSWORD2"))
            sender = site.fact("ADDRESS2")
            smtp.sendmail(sender, site.fact("ADDRESS3"),
                          "From: %s\r\nSubject: by submission\r\n\r\nx\r\n" % sender)
        with smtplib.SMTP("localhost", site.port("SMTP"), timeout=60) as smtp:
            smtp.sendmail("x@remote.example", site.fact("ADDRESS3"), "Subject: from elsewhere\r\n\r\nx\r\n")
        tap.same(sorted(subjects(site, 3)), ["Subject: by submission", "Subject: from elsewhere"])
        pop3 = poplib.POP3_SSL("localhost", site.port("POP3S"), context=site.tls(), timeout=60)
        pop3.user(site.fact("USER3"))
        pop3.pass_(site.fact("PASSWORD3"))
        tap.same(pop3.stat()[0], 2)
        pop3.quit()

    def again():
        tap.has(site.up(), "it runs already")
        tap.same(len(subjects(site, 2)), 2, "messages of both starts")

    def stops():
        tap.has(site.quickstart("stop"), "stopped")
        for name in ("SMTP", "SUBMISSIONS", "IMAP", "POP3"):
            with socket.socket() as client:
                tap.true(client.connect_ex(("127.0.0.1", site.port(name))) != 0, "%s is open" % name)
        tap.has(site.quickstart("status", status=1), "facteurd: not running")

    def finds_all():
        site.up()
        tap.same((len(subjects(site, 2)), len(subjects(site, 3))), (3, 2), "mail from before the stop")

    def resets():
        site.quickstart("reset")
        tap.true(not os.path.lexists(site.path("run")), "run/ is there")
        tap.has(site.quickstart("status", status=1), "facteurd: not running")

    def says_how():
        tap.has(site.quickstart("--help"), "usage: ./quickstart")
        tap.has(site.quickstart("--backgroun", status=2), "usage: ./quickstart")

    return [("one command, and mail is sent and read", begins), ("everybody is served", serves),
            ("a second call finds it running", again), ("stop", stops),
            ("a new start finds mail and people", finds_all), ("reset", resets), ("usage", says_how)]


with Checkout() as checkout:
    failed = tap.run(main(checkout))
sys.exit(failed > 0)
