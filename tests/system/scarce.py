#!/usr/bin/env python3
"""Under mixed load: the disk of the mailboxes fills up, then the queue's; each program in turn has no
descriptor left, or no memory, and the master no descriptor; strangers take descriptors; the clock is set forward and back. Good mail is put
off and never refused, what was acknowledged is there, and all goes on when it is over. tests/fault/scarce.c counts
what was refused, so a limit that nobody met does not pass for one that was borne."""
import contextlib
import imaplib
import os
import re
import resource
import shutil
import signal
import smtplib
import socket
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

    # --- programs that lack something ---

    def watched(self):
        """All programs count what is refused to them, and each start is limited by what /short/NAME.limit says."""
        short = self.mail.dir + "/short"
        if os.path.exists(short):
            return
        os.makedirs(short)
        for name in PROGRAMS:
            stem = "%s/%s" % (short, name)
            with open(stem + ".refused", "wb") as counts:
                counts.truncate(16)
            os.chmod(stem + ".refused", 0o666)
            with open(stem, "w") as script:
                script.write("#!/bin/sh\n[ -f %s.limit ] && . %s.limit\n"
                             "FACTEUR_SCARCE=%s.refused LD_PRELOAD=%s/tests/fault/scarce.so "
                             "ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 exec %s/%s \"$@\"\n"
                             % (stem, stem, stem, BUILD, BUILD, name))
            os.chmod(stem, 0o755)
        self.mail.options["daemon_directory"] = short
        self.mail.restart()

    def refused(self, program, which):
        with open("%s/short/%s.refused" % (self.mail.dir, program), "rb") as counts:
            return struct.unpack("QQ", counts.read(16))[which]

    def limit(self, program, words):
        """What the shell says that starts it; None: nothing. All its processes are killed, and come again."""
        path = "%s/short/%s.limit" % (self.mail.dir, program)
        if words:
            with open(path, "w") as limit:
                limit.write(words + "\n")
        else:
            os.unlink(path)
        for pid in self.mail.pids(program):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def short(self, load, program, which, limits):
        """Under one limit after the other, until something was refused to the program, or it ended for want of it."""
        before = self.refused(program, which)
        for words in limits:
            since = len(self.mail.log())
            self.limit(program, words)
            tap.wait_for(lambda: "child-ready program=%s " % program in self.mail.log()[since:] or
                         self.ended(program, since), 60, "%s is not started with %s" % (program, words))
            goal = load.ledger.deeds + load.ledger.trouble + 20
            tap.wait_for(lambda: load.ledger.deeds + load.ledger.trouble >= goal, 90,
                         "nothing happens when %s has %s" % (program, words))
            if self.refused(program, which) > before or self.ended(program, since):
                break
        self.limit(program, None)
        return words

    def ended(self, program, since):
        """How often it ended, but for the kills by this test."""
        ends = re.findall(" child-ended .*program=%s .*status=(.*)" % program, self.mail.log()[since:])
        return len(ends) - ends.count("9")

    def every(self, which, limits):
        """Each program in turn, under load; nobody helps it when its limit is gone. Returns how often each ended
        by itself."""
        count = {p: len(self.mail.pids(p)) for p in PROGRAMS}
        found, ended, killed = {}, {}, 0
        with Load(self.mail, self.sink) as load:
            load.busy()
            for program in PROGRAMS:
                since, before = len(self.mail.log()), self.refused(program, which)
                words = self.short(load, program, which, limits[program])
                tap.wait_for(lambda: {p: len(self.mail.pids(p)) for p in PROGRAMS} == count, 90,
                             "not all run again after %s had %s" % (program, words))
                load.busy(5, what="nothing works after %s had %s" % (program, words))
                found[program] = self.refused(program, which) - before
                ended[program] = self.ended(program, since)
                killed += len(re.findall(" child-ended .*program=%s .*status=9\n" % program, self.mail.log()[since:]))
                print("# %s, %s: refused %d times, ended by itself %d times" %
                      (program, words, found[program], ended[program]), flush=True)
            load.busy(10)
        load.check(doubles=killed + sum(ended.values()))
        tap.same([p for p in PROGRAMS if not found[p] and not ended[p]], [], "programs whose limit was never met")
        return ended

    def descriptors(self):
        self.watched()
        with Load(self.mail, self.sink) as load:
            load.busy()
            has = {p: busy_descriptors(self.mail.pids(p)) for p in PROGRAMS}
        since = len(self.mail.log())
        self.every(1, {p: ["ulimit -n %d" % n for n in range(has[p] + 3, 3, -1)] for p in PROGRAMS})
        # What lacks one when it begins, begins again. Who is at work stays.
        missing = re.findall(r'why="message (\w+): descriptor missing', self.mail.log()[since:])
        tap.same(set(missing) - {"configure", "link", "counters", "rates", "listener"}, set(),
                 "messages that ended a channel for want of a descriptor")

    def sessions(self):
        """access has the last descriptor for a client, and none for his session: the others stay."""
        self.watched()
        self.mail.options["access_processes"] = "1"
        self.mail.restart()
        since = len(self.mail.log())
        self.limit("access", "ulimit -n %d" % (descriptors(self.mail.pids("access")[0]) + 7))
        tap.wait_for(lambda: " child-ready program=access" in self.mail.log()[since:], 30, "access does not run")
        old = self.mail.pids("access")
        for silent in (0, 1):  # with one of both the number comes out
            self.sessions_begin(silent)
        tap.has(self.mail.log()[since:], "ipc-no-descriptor from=master message=session_reply")
        tap.same(self.mail.pids("access"), old, "access")
        del self.mail.options["access_processes"]
        self.limit("access", None)
        self.mail.restart()

    def sessions_begin(self, silent):
        """Clients log in until one cannot."""
        silents = [socket.create_connection(("127.0.0.1", self.mail.ports["imaps"])) for _ in range(silent)]
        ends, clients = [s.close for s in silents], []

        def one_more():
            imap = imaplib.IMAP4_SSL("localhost", self.mail.ports["imaps"], ssl_context=self.mail.tls(), timeout=15)
            ends.append(imap.shutdown)
            imap.login("amelie", "amelie-secret")
            clients.append(imap)
        try:
            for _ in range(10):
                one_more()
            raise AssertionError("ten clients at once: the limit is not met")
        except (OSError, imaplib.IMAP4.error) as e:
            tap.true("AUTHENTICATIONFAILED" not in str(e), e)
        tap.true(len(clients) > 1, "too few descriptors for this test")
        tap.same([c.noop()[0] for c in clients], ["OK"] * len(clients))
        for end in ends:
            end()
        tap.wait_for(lambda: not self.mail.sessions(), 30, "sessions do not end")

    def strangers(self):
        """Who says nothing takes no descriptor that a session or a message of those who are there will need."""
        self.watched()
        fronts = ("access", "smtp")
        for program in fronts:
            self.mail.options[program + "_processes"] = "1"
        self.mail.restart()
        self.mail.submission("amelie").quit()
        self.mail.imap("amelie").logout()
        for program in fronts:
            self.limit(program, "ulimit -n %d" % (busy_descriptors(self.mail.pids(program)) + 20))
        self.mail.restart()
        self.crowded(len(self.mail.log()))
        pids = {program: self.mail.pids(program) for program in fronts}
        # There is room again.
        with self.mail.submission("amelie") as client:
            client.sendmail("amelie@example.com", ["bruno@example.net"], message("room-1-" + os.urandom(3).hex()))
        self.mail.imap("bruno").logout()
        tap.same({program: self.mail.pids(program) for program in fronts}, pids, "programs")
        for program in fronts:
            del self.mail.options[program + "_processes"]
            self.limit(program, None)
        self.mail.restart()

    def crowded(self, since):
        crowd, places = [], [("127.0.0.1", self.mail.ports[name]) for name in ("imaps", "submission")]
        imap = [imaplib.IMAP4_SSL("localhost", self.mail.ports["imaps"], ssl_context=self.mail.tls(), timeout=60)
                for _ in range(4)]
        smtp = [self.mail.submission("amelie") for _ in range(4)]
        try:
            for place in places * 40:
                crowd.append(socket.socket())
                crowd[-1].setblocking(False)
                crowd[-1].connect_ex(place)
            tap.wait_for(lambda: {"facteur/access", "facteur/smtp"} <= self.resting(since), 30, "there is room for all")
            for number, (reader, writer) in enumerate(zip(imap, smtp)):
                reader.login("amelie", "amelie-secret")
                writer.mail("amelie@example.com")
                writer.rcpt("bruno@example.net")
                writer.docmd("DATA")
                writer.send(message("crowd-%d-%s" % (number, os.urandom(3).hex())))
            tap.same([reader.select("INBOX")[0] for reader in imap], ["OK"] * 4)
            tap.same([writer.docmd(".")[0] for writer in smtp], [250] * 4)
        finally:
            for client in crowd + [writer.sock for writer in smtp]:
                client.close()
            for reader in imap:
                reader.shutdown()

    def resting(self, since):
        """Programs that take no more clients."""
        return set(re.findall(r" (facteur/\w+)\[\d+\] warning: accept why=", self.mail.log()[since:]))

    def memory(self):
        self.watched()
        most = {p: max(map(address_space, self.mail.pids(p))) for p in PROGRAMS}
        percents = (*range(100, 70, -1), *range(70, 10, -5))
        self.every(0, {p: ["ulimit -v %d" % (most[p] * percent // 100 + 256) for percent in percents]
                       for p in PROGRAMS})

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
                     ("descriptors run out in access while a session begins", scarce.sessions),
                     ("strangers take the descriptors of programs that clients reach", scarce.strangers),
                     ("descriptors run out in the master while a program is started again", scarce.master)]
    chosen = os.environ.get("SCARCE")
    return [t for t in tests if not chosen or chosen in t[0]]


in_world(main, maximal_queue_lifetime="90d")
