#!/usr/bin/env python3
"""Under mixed load: the disk of the mailboxes fills up, then the queue's; each program in turn has no
descriptor left, or no memory, and the master no descriptor; the clock is set forward and back. Good mail is put
off and never refused, what was acknowledged is there, and all goes on when it is over."""
import os
import re
import resource
import shutil
import signal
import smtplib
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from day import message  # noqa: E402
from faults import fill_disk, preloaded  # noqa: E402
from instance import BUILD, UIDS, sanitized  # noqa: E402
from load import Load  # noqa: E402
from watch import PROGRAMS, descriptors  # noqa: E402
from world import in_world  # noqa: E402

DAY = 86400  # seconds


class Disk:
    """A small file system at path."""

    def __init__(self, path, size, options):
        self.path, self.options = path, options
        os.makedirs(path, exist_ok=True)
        self.mount("size=%d,%s" % (size, options))

    def mount(self, options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.path], check=True)

    def fill(self):
        fill_disk(self.path + "/ballast")

    def free(self):
        os.unlink(self.path + "/ballast")

    def close(self):
        subprocess.run(["umount", "-l", self.path], capture_output=True)


def address_space(pid):
    """The most it ever had, in KiB."""
    with open("/proc/%d/status" % pid) as status:
        return int(re.search(r"VmPeak:\s+(\d+) kB", status.read()).group(1))


def busy_descriptors(pids):
    """The most that one of them has open for a while: in a moment without clients it is less than a start takes."""
    most = 0
    for _ in range(10):
        most = max(most, *(descriptors(pid) for pid in pids))
        time.sleep(0.05)
    return most


class Scarce:
    def __init__(self, mail, sink):
        self.mail, self.sink = mail, sink

    def disk(self, path, options):
        """Twice full for a while, under load."""
        self.mail.stop()
        disk = Disk(path, 64 << 20, options)
        try:
            self.mail.start()
            with Load(self.mail, self.sink) as load:
                load.busy()
                for _ in range(2):
                    disk.fill()
                    trouble = load.ledger.trouble
                    tap.wait_for(lambda: load.ledger.trouble > trouble + 5, 30,
                                 "nobody notices a full disk")
                    time.sleep(1)
                    disk.free()
                    load.busy(10, what="nothing works after the disk was full")
            load.check(doubles=2)
        finally:
            self.mail.stop()
            disk.close()
        self.mail.start()

    def mailboxes(self):
        self.disk(self.mail.vmail, "mode=0751")

    def spool(self):
        """What has to be queued is put off, small or large, and mail for mailboxes here goes on."""
        self.mail.stop()
        path = self.mail.dir + "/queue"
        shutil.rmtree(path)
        disk = Disk(path, 64 << 20, "mode=0700,uid=%d,gid=%d" % (UIDS["queue"], UIDS["queue"]))
        try:
            self.mail.start()
            with Load(self.mail, self.sink) as load:
                load.busy()
                for lines in (60, 100000):
                    tap.wait_for(lambda: self.is_put_off(disk, load.ledger, lines), 60,
                                 "a full disk is not told with 452")
                    disk.fill()
                    load.busy(5, what="mail for mailboxes waits for the queue's disk")
                    disk.free()
                    load.busy(10, what="nothing works after the disk was full")
            load.check()
            left = [name for at in ("messages", "spool") for name in os.listdir(path + "/" + at)]
            tap.true(not left, "half-written: %s" % left[:5])
        finally:
            self.mail.stop()
            disk.close()
            os.rmdir(path)
        self.mail.start()

    def is_put_off(self, disk, ledger, lines):
        """The queue makes room while it works: the disk is filled again each time."""
        disk.fill()
        token = ledger.token("full")
        with self.mail.submission("amelie") as client:
            client.mail("amelie@example.com")
            client.rcpt("friend@far.example")
            code, text = client.data(message(token, lines))
        if code == 250:
            ledger.away.add(token)
        else:
            tap.same(code, 452, text)
        return code == 452

    def limited(self, limits):
        """Starts anew: limits is what these programs say to the shell that starts them."""
        os.makedirs(self.mail.dir + "/short", exist_ok=True)
        for name in PROGRAMS:
            script = "%s/short/%s" % (self.mail.dir, name)
            with open(script, "w") as out:
                out.write("#!/bin/sh\n%s\nexec %s/%s \"$@\"\n" % (limits.get(name, ""), BUILD, name))
            os.chmod(script, 0o755)
        self.mail.options["daemon_directory"] = self.mail.dir + "/short"
        self.mail.restart()

    def short(self, load, program, limits):
        """The program has so little of everything for a while. Returns how often one of its processes ended."""
        self.limited({program: limits})
        since = len(self.mail.log())
        goal = load.ledger.deeds + load.ledger.trouble + 20
        tap.wait_for(lambda: load.ledger.deeds + load.ledger.trouble >= goal, 90,
                     "nothing happens when %s has %s" % (program, limits))
        ended = len(re.findall(" child-ended .*program=%s" % program, self.mail.log()[since:]))
        del self.mail.options["daemon_directory"]
        self.mail.restart()
        load.busy(5, what="nothing works after %s had %s" % (program, limits))
        return ended

    def every(self, limits_of):
        """Each program in turn, under load."""
        self.mail.restart()
        with Load(self.mail, self.sink) as load:
            load.busy()
            limits = {program: limits_of(self.mail.pids(program)) for program in PROGRAMS}
            ended = {program: self.short(load, program, limits[program]) for program in PROGRAMS}
            load.busy(10)
        print("# " + ", ".join("%s: %s, ended %d times" % (p, limits[p], ended[p]) for p in PROGRAMS))
        load.check(doubles=sum(ended.values()))
        return ended

    def descriptors(self):
        ended = self.every(lambda pids: "ulimit -n %d" % (busy_descriptors(pids) + 3))
        tap.same(sum(ended.values()), 0, "programs that ended for want of a descriptor")

    def master(self):
        """The master has a descriptor for its channel to a new program, and none for others' channels to it."""
        pid = self.mail.master.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        taken = [int(fd) for fd in os.listdir("/proc/%d/fd" % pid)]
        free = min(set(range(len(taken) + 1)) - set(taken))
        since = len(self.mail.log())
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (free + 1, before[1]))
            os.kill(self.mail.pids("directory")[0], signal.SIGKILL)
            tap.wait_for(lambda: " link " in self.mail.log()[since:], 30, "no link failed")
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

        def delivered():
            try:
                return self.mail.deliver("bruno@example.net", message("linked-1-" + os.urandom(3).hex())) == {}
            except smtplib.SMTPException:
                return False
        tap.wait_for(delivered, 40, "the directory program that was started then is never asked")
        self.mail.imap("bruno").logout()
        tap.same(self.mail.master.poll(), None)

    def memory(self):
        self.every(lambda pids: "ulimit -v %d" % (address_space(pids[0]) + 256))

    def clock(self):
        path = self.mail.dir + "/clock"
        with open(path, "wb") as file:
            file.write(struct.pack("q", 0))
        os.chmod(path, 0o644)

        def set_to(seconds):
            with open(path, "r+b") as file:
                file.write(struct.pack("q", seconds))

        self.mail.options["daemon_directory"] = preloaded(self.mail.dir, BUILD, "tests/fault/clock.so",
                                                          "FACTEUR_CLOCK=" + path)
        self.mail.restart()
        refusing = self.sink.say
        with Load(self.mail, self.sink) as load:
            load.busy()
            for seconds in (2 * DAY, 0, -2 * DAY, -60 * DAY, 0):
                refusing["rcpt"] = lambda address: "450 4.2.1 later"  # something has to wait
                load.busy(8, what="nothing works at %d" % seconds)
                set_to(seconds)
                load.busy(8, what="nothing works after the clock was set to %d" % seconds)
                today = time.strftime("%Y-%m-%dT", time.gmtime(time.time() + seconds))
                tap.has(self.mail.log()[-2000:], today)
                refusing.pop("rcpt")
        load.check()


def main(mail, outside):
    scarce = Scarce(mail, outside.sink("mx.far.example", mx_of="far.example"))
    tests = [("the clock is set forward and back", scarce.clock)]
    if os.geteuid() == 0 and not sanitized():
        tests.insert(0, ("memory runs out, in each program", scarce.memory))
    if os.geteuid() == 0:  # who may mount a small disk, and limit others
        tests[:0] = [("the disk of the mailboxes is full", scarce.mailboxes),
                     ("the disk of the queue is full", scarce.spool),
                     ("descriptors run out, in each program", scarce.descriptors),
                     ("descriptors run out in the master while a program is started again", scarce.master)]
    chosen = os.environ.get("SCARCE")
    return [t for t in tests if not chosen or chosen in t[0]]


in_world(main, maximal_queue_lifetime="90d")
