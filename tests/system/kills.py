#!/usr/bin/env python3
"""kill -9 of one program after the other, at random moments under mixed load (KILLS=n times; make torment:
200): what was acknowledged is there, and at most one message a kill is there twice."""
import os
import random
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from load import Load  # noqa: E402
from watch import lives  # noqa: E402
from world import in_world  # noqa: E402

KILLS = int(os.environ.get("KILLS", "12"))
PROGRAMS = ("smtp", "access", "directory", "queue", "relay", "filter", "deliver", "session",
            "a session", "facteurd")


def restarted(mail):
    old = mail.sessions() + [p for program in PROGRAMS[:8] for p in mail.pids(program)]
    mail.stop(signal.SIGKILL)
    tap.wait_for(lambda: not any(map(lives, old)), 20, "programs outlive their master")
    mail.start()


def kill(mail, program):
    """Returns whether there was one: a session may end by itself meanwhile."""
    if program == "facteurd":
        restarted(mail)
        return True
    pids = mail.sessions() if program == "a session" else mail.pids(program)
    if not pids:
        return False
    try:
        os.kill(random.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def main(mail, outside):
    sink = outside.sink("mx.far.example", mx_of="far.example")

    def torment():
        mail.stop()
        mail.start()
        before = {p: len(mail.pids(p)) for p in PROGRAMS[:8]}
        struck = {p: 0 for p in PROGRAMS}
        with Load(mail, sink) as load:
            load.busy()
            while sum(struck.values()) < KILLS:
                for program in random.sample(PROGRAMS, len(PROGRAMS)):
                    if sum(struck.values()) >= KILLS:
                        break
                    time.sleep(random.uniform(0, 0.4))  # the moment is random, nothing is waited for
                    struck[program] += kill(mail, program)
                    load.busy(3)
            tap.wait_for(lambda: {p: len(mail.pids(p)) for p in before} == before, 30,
                         "not all programs run again")
            load.busy(10)
        print("# kills: " + ", ".join("%s %d" % item for item in struck.items()))
        load.check(doubles=KILLS)

    def lock():
        """What a session that was killed leaves locked is free at once, not after minutes."""
        mail.deliver("amelie@example.com", "Subject: before\r\n\r\nx\r\n")
        with mail.imap() as imap:
            imap.select()
        mail.deliver("amelie@example.com", "Subject: behind a lock\r\n\r\nx\r\n")
        dead = subprocess.Popen(["true"])
        dead.wait()
        path = mail.vmail + "/amelie/mailbox/dovecot-uidlist"
        with open(path + ".lock", "w") as file:
            file.write("%d:%s" % (dead.pid, socket.gethostname()))
        os.chown(path + ".lock", os.stat(path).st_uid, os.stat(path).st_gid)
        os.utime(path + ".lock", (time.time() - 10,) * 2)
        with mail.imap() as imap:  # its answers have 30 seconds
            imap.select()
            tap.true(imap.search(None, "SUBJECT", '"behind a lock"')[1][0], "the message was not seen")

    return [("%d kills under load: nothing acknowledged is lost" % KILLS, torment),
            ("the lock of a dead session is taken over", lock)]


in_world(main)
