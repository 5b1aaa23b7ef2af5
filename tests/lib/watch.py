"""What the programs of an instance hold: memory and descriptors; and whether they live.

    with Peak(mail) as peak:
        ...
    peak.bytes
"""
import os
import threading
import time

PROGRAMS = ("smtp", "access", "directory", "queue", "relay", "filter", "deliver", "session")
MIB = 1 << 20


def lives(pid):
    """One that has ended, and that nobody has waited for yet, does not: some systems' first process waits
    for none."""
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def private(pid):
    """Bytes of memory that are its own, but for what is only a file's, which the kernel takes and brings back as it
    likes; 0 when it is gone."""
    total = 0
    try:
        with open("/proc/%d/smaps_rollup" % pid) as rollup:
            for line in rollup:
                if line.startswith(("Private_Dirty:", "Swap:")):
                    total += int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def memory(mail):
    """{program: bytes}, of all its processes; sessions count as the program session."""
    found = {p: sum(private(pid) for pid in mail.pids(p)) for p in PROGRAMS}
    found["session"] += sum(private(pid) for pid in mail.sessions())
    return found


class Peak:
    """The most that each program held meanwhile."""

    def __init__(self, mail):
        self.mail, self.over, self.most = mail, False, {}

    def __enter__(self):
        self.before = memory(self.mail)
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def look(self):
        for program, size in memory(self.mail).items():
            self.most[program] = max(size, self.most.get(program, 0))

    def watch(self):
        while not self.over:
            try:
                self.look()
            except OSError:  # a session ended while it was looked at
                pass
            time.sleep(0.1)

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        self.look()

    def grown(self):
        """Bytes of all programs together."""
        return sum(max(size - self.before.get(p, 0), 0) for p, size in self.most.items())
