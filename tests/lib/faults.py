"""Faults on order in the programs of an instance, and what a power cut leaves of its files.

The C side is tests/fault/. With Faults(mail.dir), every program that the instance starts counts its
calls; arm() chooses one at which it fails, dies, or the machine stops. After a stop, cut() takes away
from the disk all that was never synced, in the worst way that POSIX allows: bytes after the last fsync
of their file, names after the last fsync of their directory. Removals count as done at once.
"""
import ctypes
import mmap
import os

CALLS = ("write", "fsync", "rename", "link", "unlink", "open", "send", "commit", "accept", "fork", "memfd",
         "malloc")
WRITE, FSYNC, RENAME, LINK, UNLINK, OPEN, SEND, COMMIT, ACCEPT, FORK, MEMFD, MALLOC = range(len(CALLS))
FAIL, KILL, KILL_AFTER, POWER = 1, 2, 3, 4
PROGRAMS = ("smtp", "access", "directory", "queue", "relay", "filter", "deliver", "session", "facteurd")
NAME, EVENTS = 192, 400000
LIBRARY = "tests/fault/fault.so"


class Event(ctypes.Structure):
    _fields_ = [("ready", ctypes.c_uint32), ("call", ctypes.c_uint32), ("inode", ctypes.c_uint64),
                ("dir", ctypes.c_uint64), ("to_dir", ctypes.c_uint64), ("kept", ctypes.c_uint64),
                ("size", ctypes.c_uint64), ("end", ctypes.c_uint64),
                ("name", ctypes.c_char * NAME), ("to_name", ctypes.c_char * NAME)]


class Shared(ctypes.Structure):
    _fields_ = [("armed", ctypes.c_uint32), ("action", ctypes.c_uint32), ("call", ctypes.c_uint32),
                ("error", ctypes.c_uint32), ("at", ctypes.c_uint64), ("device", ctypes.c_uint64),
                ("program", ctypes.c_char * 16), ("fired", ctypes.c_uint32),
                ("frozen", ctypes.c_uint32), ("events", ctypes.c_uint64), ("kept", ctypes.c_uint64),
                ("names", (ctypes.c_char * 16) * 16), ("counts", (ctypes.c_uint64 * len(CALLS)) * 16),
                ("event", Event * EVENTS)]


def preloaded(directory, build, library, setting):
    """A directory of programs, to be used as daemon_directory, that start with the library loaded into
    them and the setting (NAME=VALUE) in their environment."""
    if not os.path.exists(os.path.join(build, library)):
        raise RuntimeError("%s is not there: `make check TESTS=` builds it" % os.path.join(build, library))
    programs = os.path.join(directory, os.path.basename(library))
    os.mkdir(programs)
    for name in PROGRAMS[:-1]:
        script = os.path.join(programs, name)
        with open(script, "w") as out:
            out.write("#!/bin/sh\n%s LD_PRELOAD=%s ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 "
                      "exec %s \"$@\"\n" % (setting, os.path.join(build, library),
                                           os.path.join(build, name)))
        os.chmod(script, 0o755)
    return programs


class Faults:
    def __init__(self, directory, build):
        """directory: the instance's; build: where the programs lie. Run mail with self.programs as
        its daemon_directory."""
        self.directory = directory
        path = os.path.join(directory, "faults")
        with open(path, "wb") as file:
            file.truncate(ctypes.sizeof(Shared))
        os.chmod(path, 0o666)
        self.library = os.path.join(build, LIBRARY)
        self.programs = preloaded(directory, build, LIBRARY, "FACTEUR_FAULT=" + path)
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), ctypes.sizeof(Shared))
        self.shared = Shared.from_buffer(self.map)
        for i, name in enumerate(PROGRAMS):
            self.shared.names[i].value = name.encode()
        self.shared.device = os.stat(directory).st_dev

    def reset(self):
        """Forgets all events and counts; nothing is armed."""
        s = self.shared
        s.armed = 0
        for i in range(min(s.events, EVENTS)):
            s.event[i].ready = 0
        s.fired = s.frozen = s.events = s.kept = 0
        ctypes.memset(ctypes.byref(s.counts), 0, ctypes.sizeof(s.counts))

    def arm(self, program, call, at, action, error=5):
        """The at-th such call of the program from now on; error: the errno of FAIL."""
        s = self.shared
        ctypes.memset(ctypes.byref(s.counts), 0, ctypes.sizeof(s.counts))
        s.program, s.call, s.at, s.action, s.error = program.encode(), call, at, action, error
        s.armed = 1

    def counts(self):
        """{(program, call): how often}"""
        return {(name, call): self.shared.counts[i][call] for i, name in enumerate(PROGRAMS)
                for call in range(len(CALLS)) if self.shared.counts[i][call]}

    # --- a power cut ---

    def cut(self):
        """Takes from the disk what was not synced; all programs are dead. Returns what it took."""
        s = self.shared
        events = [s.event[i] for i in range(min(s.events, EVENTS)) if s.event[i].ready]
        taken = self.truncate(events)
        taken += self.take_back(events)
        self.sweep()
        return taken

    def paths(self):
        found = {}
        for at, folders, files in os.walk(self.directory):
            for name in folders + files:
                path = os.path.join(at, name)
                found.setdefault(os.lstat(path).st_ino, path)
            found.setdefault(os.lstat(at).st_ino, at)
        return found

    def truncate(self, events):
        """Bytes that lie past what the last fsync of their file saw."""
        end, synced, paths, taken = {}, {}, self.paths(), []
        for e in events:
            if e.call == OPEN:
                end[e.inode] = synced[e.inode] = 0
            elif e.call == WRITE:
                synced.setdefault(e.inode, e.size)
                end[e.inode] = max(end.get(e.inode, e.size), e.end)
            elif e.call == FSYNC and e.inode in end:
                synced[e.inode] = end[e.inode]
        for inode, size in synced.items():
            path = paths.get(inode)
            if path and os.path.isfile(path) and os.path.getsize(path) > size:
                os.truncate(path, size)
                taken.append("bytes of " + path)
        return taken

    def take_back(self, events):
        """Names made since the last fsync of their directory, the latest first."""
        synced, loose, paths, taken = set(), [], self.paths(), []
        for e in reversed(events):
            if e.call == FSYNC:
                synced.add(e.inode)
            elif e.call in (RENAME, LINK, OPEN) and e.to_dir not in synced:
                loose.append(e)
        for e in loose:
            folder = paths.get(e.to_dir)
            path = folder and os.path.join(folder, e.to_name.decode())
            if not path or not os.path.lexists(path) or os.lstat(path).st_ino != e.inode:
                continue
            if e.call == RENAME and e.dir in paths:
                os.rename(path, os.path.join(paths[e.dir], e.name.decode()))
                kept = os.path.join(folder, ".fault-%d" % e.kept)
                if e.kept and os.path.exists(kept):
                    os.rename(kept, path)
            else:
                os.unlink(path)
            taken.append("the name " + path)
        return taken

    def sweep(self):
        """What was kept of replaced files."""
        for at, _, files in os.walk(self.directory):
            for name in files:
                if name.startswith(".fault-"):
                    os.unlink(os.path.join(at, name))


def fill_disk(path):
    """Makes this file longer until nothing fits any more."""
    with open(path, "ab", buffering=0) as ballast:
        try:
            while ballast.write(b"x" * 4096) == 4096:
                pass
        except OSError:
            pass
