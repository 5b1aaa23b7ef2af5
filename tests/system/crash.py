#!/usr/bin/env python3
"""kill -9 of every program under load: it ends at most what was inside it, is started again, and
nothing that was acknowledged is lost."""
import os
import random
import signal
import smtplib
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402

PROGRAMS = ("smtp", "access", "directory", "queue", "deliver", "session")


class Sender(threading.Thread):
    """Sends numbered messages until told to stop and remembers which were acknowledged."""

    def __init__(self, mail, name):
        super().__init__(daemon=True)
        self.mail, self.prefix = mail, name
        self.acknowledged, self.refused = [], 0
        self.over = False

    def run(self):
        number = 0
        while not self.over:
            number += 1
            token = "<%s-%d@test>" % (self.prefix, number)
            try:
                refused = self.mail.deliver(["amelie@example.com", "bruno@example.net"],
                                            "Message-ID: %s\r\nSubject: load\r\n\r\n%s\r\n"
                                            % (token, "x" * 3000))
                for user, address in (("amelie", "amelie@example.com"), ("bruno", "bruno@example.net")):
                    if address not in refused:
                        self.acknowledged.append((user, token))
            except (smtplib.SMTPException, OSError):
                self.refused += 1
                time.sleep(0.02)


def loaded(mail, action, seconds=2.0):
    senders = [Sender(mail, "%s-%d" % (os.urandom(3).hex(), i)) for i in range(4)]
    for s in senders:
        s.start()
    tap.wait_for(lambda: any(s.acknowledged for s in senders), 60, "nothing is acknowledged")
    action()
    time.sleep(seconds)
    for s in senders:
        s.over = True
    for s in senders:
        s.join(60)
    return [token for s in senders for token in s.acknowledged]


def all_there(mail, tokens):
    def check():
        held = {(user, line[12:].strip()) for user in ("amelie", "bruno")
                for m in mail.messages(user) for line in m.splitlines()[:12]
                if line.startswith("Message-ID: ")}
        return set(tokens) <= held
    tap.true(len(tokens) > 0, "something was acknowledged")
    tap.wait_for(check, 60, "acknowledged mail is missing")


def works(mail):
    def try_it():
        try:
            mail.deliver("chloe@example.net", "Subject: x\r\n\r\nx\r\n")
            mail.imap("chloe").logout()
            return True
        except Exception:
            return False
    tap.wait_for(try_it, 20, "it does not work again")


def main(mail):
    def killed(program):
        def test():
            def action():
                for _ in range(3):
                    pids = mail.pids(program)
                    tap.true(pids, program + " is not running")
                    os.kill(random.choice(pids), signal.SIGKILL)
                    time.sleep(0.3)
            before = len(mail.pids(program))
            tokens = loaded(mail, action)
            all_there(mail, tokens)
            tap.wait_for(lambda: len(mail.pids(program)) == before, 15, "not started again")
            works(mail)
        return test

    def other_sessions_live_on():
        clients = [mail.imap("amelie") for _ in range(4)]
        for client in clients:
            client.select()
        victim = mail.sessions()[0]
        os.kill(victim, signal.SIGKILL)
        time.sleep(0.3)
        alive = 0
        for client in clients:
            try:
                client.noop()
                alive += 1
            except Exception:
                pass
        tap.same(alive, 3, "sessions alive")
        for program in ("directory", "queue"):
            os.kill(mail.pids(program)[0], signal.SIGKILL)
        time.sleep(0.3)
        alive = 0
        for client in clients:
            try:
                client.noop()
                alive += 1
            except Exception:
                pass
        tap.same(alive, 3, "sessions alive after the directory and the queue died")

    def master():
        tokens = loaded(mail, lambda: mail.stop(signal.SIGKILL), 1.0)
        left = []

        def gone():
            left[:] = [p for p in os.listdir("/proc") if p.isdigit() and _of(mail, p)]
            return not left
        tap.wait_for(gone, 15, "programs outlive their master: %s" % left)
        mail.start()
        all_there(mail, tokens)
        works(mail)

    def queued_survives():
        # bruno's home is in the way after RCPT was answered: the message goes to the queue.
        home = mail.vmail + "/bruno"
        with mail.smtp() as client:
            client.ehlo()
            client.mail("x@remote.example")
            tap.same(client.rcpt("bruno@example.net")[0], 250)
            tap.same(client.rcpt("amelie@example.com")[0], 250)
            os.rename(home, home + ".away")
            os.symlink("/tmp", home)
            code, text = client.data("Message-ID: <queued@test>\r\nSubject: queued\r\n\r\nx\r\n")
        tap.same(code, 250, text)
        os.kill(mail.pids("queue")[0], signal.SIGKILL)
        mail.restart()
        os.unlink(home)
        os.rename(home + ".away", home)
        tap.wait_for(lambda: any("<queued@test>" in m for m in mail.messages("bruno")), 60,
                     "the queued message did not arrive")
        tap.same(sum("<queued@test>" in m for m in mail.messages("amelie")), 1,
                 "copies for the other recipient")

    tests = [("kill -9 of %s under load" % p, killed(p)) for p in PROGRAMS]
    return tests + [
        ("the death of one session ends no other", other_sessions_live_on),
        ("kill -9 of the master, and a new start", master),
        ("a queued message survives queue and master, and doubles nothing", queued_survives),
    ]


def _of(mail, pid):
    try:
        with open("/proc/%s/environ" % pid, "rb"):
            pass
        target = os.readlink("/proc/%s/exe" % pid)
        with open("/proc/%s/stat" % pid) as stat:
            ppid = stat.read().rsplit(")", 1)[1].split()[1]
    except OSError:
        return False
    return os.path.dirname(target) == os.environ.get("FACTEUR_BUILDDIR") and ppid == "1" and \
        _uses(pid, mail.dir)


def _uses(pid, directory):
    try:
        return any(os.readlink("/proc/%s/fd/%s" % (pid, fd)).startswith(directory)
                   for fd in os.listdir("/proc/%s/fd" % pid))
    except OSError:
        return False


socket.setdefaulttimeout(60)
with Instance() as instance:
    tap.run(main(instance))
