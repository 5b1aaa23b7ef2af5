#!/usr/bin/env python3
"""Under mixed load: the disk of the mailboxes fills up, and the clock is set forward and back. Good mail
is put off and never refused, what was acknowledged is there, and all goes on when it is over."""
import os
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from faults import preloaded  # noqa: E402
from instance import BUILD, Instance  # noqa: E402
from load import Load  # noqa: E402
from world import World  # noqa: E402

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
        """Until nothing fits any more."""
        with open(self.path + "/ballast", "wb", buffering=0) as ballast:
            try:
                while ballast.write(b"x" * 4096) == 4096:
                    pass
            except OSError:
                pass

    def free(self):
        os.unlink(self.path + "/ballast")

    def close(self):
        subprocess.run(["umount", "-l", self.path], capture_output=True)


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


def main(mail, sink):
    scarce = Scarce(mail, sink)
    tests = [("the clock is set forward and back", scarce.clock)]
    if os.geteuid() == 0:  # who may mount a small one
        tests.insert(0, ("the disk of the mailboxes is full", scarce.mailboxes))
    chosen = os.environ.get("SCARCE")
    return [t for t in tests if not chosen or chosen in t[0]]


world = World()
try:
    the_sink = world.sink("mx.far.example", mx_of="far.example")
    with Instance(options=dict(world.options(), maximal_queue_lifetime="90d")) as instance:
        failed = tap.run(main(instance, the_sink))
finally:
    world.close()
