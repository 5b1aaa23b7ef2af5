#!/usr/bin/env python3
"""A soak: mixed clients (SMTP, submission, IMAP with IDLE and COMPRESS, POP3) for SOAK seconds (15 without it;
`make soak`: an hour). No program grows in memory or descriptors, nothing acknowledged is lost or doubled."""
import glob
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import sanitized  # noqa: E402
from load import Load  # noqa: E402
from watch import MIB, PROGRAMS, descriptors, private  # noqa: E402
from world import in_world  # noqa: E402

SECONDS = float(os.environ.get("SOAK", "15"))


class Watch:
    """Memory of the largest and descriptors of all processes of each program, over time."""

    def __init__(self, mail):
        self.pids = {p: mail.pids(p) for p in PROGRAMS}
        self.pids["facteurd"] = [mail.master.pid]
        self.samples = []

    def sample(self):
        self.samples.append({p: max(private(pid) for pid in pids) for p, pids in self.pids.items()})

    def open(self):
        return {p: sum(descriptors(pid) for pid in pids) for p, pids in self.pids.items()}

    def between(self, program, begin, end):
        n = len(self.samples)
        return statistics.median(s[program] for s in self.samples[int(n * begin):max(int(n * end), 1)])

    def growth(self):
        """{program: (bytes in the second quarter, in the last)}; the first quarter warms it up."""
        return {p: (self.between(p, 0.25, 0.5), self.between(p, 0.75, 1)) for p in self.pids}


def main(mail, outside):
    sink = outside.sink("mx.far.example", mx_of="far.example")

    def soak():
        mail.restart()
        with Load(mail, sink, pause=0.02) as warm:
            warm.busy(100, 60)
        warm.check()
        watch = Watch(mail)
        tap.wait_for(lambda: not mail.sessions(), 20, "sessions without clients")
        before = watch.open()
        with Load(mail, sink, pause=0.02) as load:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                watch.sample()
                time.sleep(min(0.5, SECONDS / 20))
        load.check()
        tap.wait_for(lambda: not mail.sessions(), 20, "sessions without clients")
        growth = watch.growth()
        print("# memory of its own, KiB: " + ", ".join(
            "%s %d to %d" % (p, a / 1024, b / 1024) for p, (a, b) in growth.items()))
        # A process of its own a delivery: what it keeps is the largest of them, not their number.
        fat = {p: ab for p, ab in growth.items() if ab[1] > ab[0] * 1.1 + MIB}
        tap.true(sanitized() or not fat, "grown: %s" % fat)  # the sanitizers keep what was freed
        tap.true({p: mail.pids(p) for p in PROGRAMS} | {"facteurd": [mail.master.pid]} == watch.pids,
                 "a program was started again")
        # Connections between programs and to other servers may come and go, one or two each.
        tap.wait_for(lambda: all(n <= before[p] + 2 * len(watch.pids[p])
                                 for p, n in watch.open().items()), 15,
                     "descriptors: %s, before %s" % (watch.open(), before))
        print("# descriptors: %s, before %s" % (watch.open(), before))
        names = glob.glob(mail.dir + "/queue/messages/*")
        tap.true(not names, "left in the spool: %s" % names[:5])
        left = [p for user in ("amelie", "bruno", "chloe") for p in glob.glob(
            "%s/%s/mailbox/tmp/*" % (mail.vmail, user))]
        tap.true(not left, "left in tmp: %s" % left[:5])

    return [("%d seconds of mixed clients: nothing grows, nothing is lost or doubled" % SECONDS, soak)]


in_world(main)
