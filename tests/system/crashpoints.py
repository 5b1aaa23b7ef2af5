#!/usr/bin/env python3
"""Every point at which a program may fail or die, and the machine lose its power, through a day of
mail: what was acknowledged is there afterwards, whole, under UIDs that only grew.

A sample of the points, spread evenly (CRASHPOINTS=N of them; CRASHPOINTS=all: every one, hours;
CRASHPOINTS=2/3: the second third of all), and at least one each in COPY, MOVE and EXPUNGE. The points are
counted in a day without faults, and printed for each of its deeds. Allocations that fail are so many that they
are always a sample of their own, for each program. No two days make the very same calls: where a point does not
come, it is waited for on two more days.
"""
import errno
import os
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults  # noqa: E402
import tap  # noqa: E402
from day import Day  # noqa: E402
from instance import BUILD, Instance, sanitized  # noqa: E402
from world import World  # noqa: E402

HOW_MANY = os.environ.get("CRASHPOINTS", "14")
PART, PARTS = [int(n) for n in HOW_MANY.split("/")] if "/" in HOW_MANY else (1, 1)
ALL = HOW_MANY == "all" or "/" in HOW_MANY
# Which calls matter in which program.
DISK = (faults.WRITE, faults.FSYNC, faults.RENAME, faults.LINK, faults.UNLINK, faults.OPEN,
        faults.COMMIT)
PLAN = {"deliver": DISK + (faults.SEND,), "queue": DISK + (faults.SEND,),
        "session": DISK + (faults.SEND, faults.FORK), "smtp": (faults.SEND, faults.ACCEPT, faults.MEMFD),
        "relay": (faults.SEND,), "access": (faults.SEND, faults.ACCEPT), "directory": (faults.SEND,)}
DEATHS = ((faults.KILL, 0), (faults.KILL_AFTER, 0), (faults.POWER, 0))
ERRORS = {**{call: (errno.ENOSPC, errno.EIO) for call in DISK}, faults.SEND: (errno.EPIPE, errno.ENOBUFS),
          faults.ACCEPT: (errno.EMFILE, errno.ECONNABORTED), faults.FORK: (errno.EAGAIN, errno.ENOMEM),
          faults.MEMFD: (errno.EMFILE, errno.ENOMEM)}
DEED = {faults.FAIL: "fails", faults.KILL: "dies before", faults.KILL_AFTER: "dies after",
        faults.POWER: "loses power at"}


def stop_all(mail, fault):
    """As when the power goes: the master first, so that nothing is started again."""
    mail.stop(signal.SIGKILL)
    tap.wait_for(lambda: not left(fault), 10, "programs outlive their master")


def left(fault):
    """Programs of this instance that still run: each maps its file of faults."""
    found = []
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or int(pid) == os.getpid():
            continue
        try:
            with open("/proc/%s/maps" % pid) as maps:
                if fault.file.name in maps.read():
                    found.append(int(pid))
                    os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass
    return found


def clean(mail):
    for name in os.listdir(mail.vmail):
        shutil.rmtree(os.path.join(mail.vmail, name))
    shutil.rmtree(mail.dir + "/queue", ignore_errors=True)


class Points:
    def __init__(self, mail, sink):
        self.mail, self.sink = mail, sink
        self.fault = faults.Faults(mail.dir, BUILD)
        self.tried = self.struck = self.taken = 0
        self.missed = []
        self.deeds = []  # (name, calls up to its beginning, up to its end)

    def begin(self):
        self.mail.options["daemon_directory"] = self.fault.programs
        clean(self.mail)
        self.fault.reset()
        self.mail.start()
        with open(self.mail.log_path, "wb"):
            pass

    def morning(self):
        """A little mail before the fault, so that there is something to damage."""
        day = Day(self.mail, self.sink)
        day.inbound()
        day.submission()
        tap.true(day.present, "nothing works before the fault")
        return day

    def note(self, deed):
        self.deeds.append((deed, self.deeds[-1][2] if self.deeds else {}, self.fault.counts()))

    def count(self):
        self.begin()
        day = self.morning()
        self.fault.arm("nobody", 0, 0, faults.FAIL)
        day.note = self.note
        day.live()
        counts = self.fault.counts()
        strangers = [p for p in PLAN if not any(counts.get((p, call)) for call in PLAN[p])]
        tap.true(not strangers, "%s counted nothing in: %s; is it in LD_PRELOAD, and does it load?\n%s"
                 % (self.fault.library, " ".join(strangers),
                    "\n".join(x for x in self.mail.log().splitlines() if "preload" in x)))
        tap.true(sanitized() or all(counts.get((p, faults.MALLOC)) for p in PLAN), "no malloc was counted")
        day.check()
        stop_all(self.mail, self.fault)
        return counts

    def lights_out(self, over):
        """Without power nothing answers; no client has to find that out by waiting."""
        while not over.wait(0.02):
            if self.fault.shared.frozen:
                stop_all(self.mail, self.fault)
                return

    def try_point(self, *point):
        """Until it comes."""
        self.tried += 1
        if not any(self.one_day(*point) for _ in range(3)):
            self.missed.append("%s %s %d" % (point[0], faults.CALLS[point[1]], point[2]))
        else:
            self.struck += 1

    def one_day(self, program, call, at, deed, error):
        """Did the point come?"""
        self.begin()
        day = self.morning()
        self.fault.arm(program, call, at, deed, error)
        dark = threading.Thread(target=self.lights_out, args=(over := threading.Event(),))
        dark.start()
        try:
            day.live()
        finally:
            over.set()
            dark.join()
        struck = bool(self.fault.shared.fired)
        self.fault.shared.armed = 0
        stop_all(self.mail, self.fault)
        taken = self.fault.cut() if deed == faults.POWER else self.fault.sweep() or []
        self.taken += len(taken)
        self.fault.reset()
        self.mail.start()
        try:
            day.check(deed == faults.POWER)
        except Exception as e:
            for line in taken + self.mail.log().splitlines()[-40:]:
                print("# " + line)
            raise AssertionError("%s %s %s %d: %s" % (program, DEED[deed], faults.CALLS[call], at, e))
        finally:
            stop_all(self.mail, self.fault)
        return struck


def points_of(counts):
    return [(program, call, at, deed, error) for program, calls in PLAN.items() for call in calls
            for at in range(1, counts.get((program, call), 0) + 1)
            for deed, error in tuple((faults.FAIL, error) for error in ERRORS[call]) + DEATHS]


def sample_of(every):
    """At evenly spread calls, with each of the five deeds in turn; or a part of all, the same one in any day."""
    if ALL:
        return [p for i, p in enumerate(every) if (p[2] + i % 5) % PARTS == PART - 1]
    wanted = min(int(HOW_MANY), len(every))
    step = len(every) // 5 / wanted
    return [every[int(i * step) * 5 + i % 5] for i in range(wanted)]


def session_calls(before, after):
    """[(call, how many came before, how many there are)]"""
    both = [(call, before.get(("session", call), 0), after.get(("session", call), 0)) for call in DISK]
    return [(call, first, last - first) for call, first, last in both if last > first]


def print_deeds(deeds):
    for deed, before, after in deeds:
        calls = session_calls(before, after)
        if calls:
            print("# the session's calls in %s: %s" % (
                deed, ", ".join("%s %d" % (faults.CALLS[call], n) for call, _, n in calls)))


def points_in(deeds):
    """The session dies in the middle of each of these, at the call that makes or takes away a name if it has one."""
    for i, (deed, before, after) in enumerate(d for d in deeds if d[0] in ("COPY", "MOVE", "EXPUNGE")):
        calls = session_calls(before, after)
        tap.true(calls, "%s made no call that could fail" % deed)
        names = [c for c in calls if c[0] in (faults.LINK, faults.RENAME, faults.UNLINK)]
        call, first, n = (names or calls)[0]
        yield ("session", call, first + (n + 1) // 2) + DEATHS[i % 3]


def memory_of(counts, wanted):
    """Allocations that fail, evenly spread in each program."""
    each = 200 // PARTS if ALL else max(1, wanted // 14)
    for program in PLAN:
        made = counts.get((program, faults.MALLOC), 0)  # none where a sanitizer brings its own
        for i in range(min(each, made)):
            yield (program, faults.MALLOC, 1 + (2 * (i * PARTS + PART) - 1) * made // (2 * each * PARTS),
                   faults.FAIL, errno.ENOMEM)


def try_all(points, sample):
    wrong = []
    for point in sample:
        try:
            points.try_point(*point)
        except Exception as e:
            wrong.append(str(e))
            print("# wrong: %s" % e, flush=True)
    tap.true(not wrong, "\n".join(wrong))


def main(mail, sink):
    points = Points(mail, sink)
    mail.stop()
    counts = points.count()
    every = points_of(counts)
    sample = sample_of(every)
    memory = list(memory_of(counts, len(sample)))
    sample += [] if ALL else points_in(points.deeds)
    print("# calls in the day: " + ", ".join(
        "%s %s %d" % (p, faults.CALLS[c], n) for (p, c), n in sorted(counts.items())
        if c in PLAN.get(p, ()) + (faults.MALLOC,)))
    print_deeds(points.deeds)

    def test(some):
        return lambda: try_all(points, some)

    began = time.monotonic()
    try:
        return tap.run([("nothing acknowledged is lost when %s fails or dies, or the power goes there" % p,
                         test([point for point in sample if point[0] == p])) for p in PLAN] +
                       [("nothing acknowledged is lost when memory runs out", test(memory))])
    finally:
        print("# points: %d of %d tried, %d struck; %d unsynced changes taken away; %.0f s%s"
              % (points.tried, len(every) + len(memory), points.struck, points.taken, time.monotonic() - began,
                 "; not in these days: " + ", ".join(points.missed) if points.missed else ""))


signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # an hours' run that is ended leaves nothing
world = World()
try:
    the_sink = world.sink("mx.far.example", mx_of="far.example")
    with Instance(options=world.options()) as instance:
        failures = main(instance, the_sink)
finally:
    world.close()
sys.exit(failures > 0)
