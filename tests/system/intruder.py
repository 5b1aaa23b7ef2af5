#!/usr/bin/env python3
"""Every program as if it had been taken over: what an intruder inside it would try, made with that
program's own rights (tests/fault/intruder.c), and refused by the kernel or by the program asked.

Prints the table of tries. Needs root, since without it all programs share one uid.
"""
import ctypes
import errno
import glob
import mmap
import os
import re
import signal
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults  # noqa: E402
import tap  # noqa: E402
from instance import BUILD, Instance  # noqa: E402
from slapd import SRCDIR  # noqa: E402

ORDER_SIGNAL = signal.SIGRTMIN + 7
AT_FDCWD = -100
MSG_FASTOPEN = 0x20000000
# x86-64 and the generic table of newer machines.
NUMBERS = {"x86_64": {"openat": 257, "socket": 41, "connect": 42, "ptrace": 101, "kill": 62,
                      "close": 3, "setresuid": 117, "setgroups": 116, "execve": 59, "clone": 56, "mount": 165,
                      "unshare": 272, "bpf": 321, "sendto": 44, "process_vm_readv": 310,
                      "mmap": 9, "chroot": 161, "listen": 50, "pidfd_getfd": 438,
                      "io_uring_setup": 425, "keyctl": 250, "init_module": 175, "socketpair": 53,
                      "memfd_create": 319, "write": 1, "sendmsg": 46},
           "aarch64": {"openat": 56, "socket": 198, "connect": 203, "ptrace": 117, "kill": 129,
                       "close": 57, "setresuid": 147, "setgroups": 159, "execve": 221, "clone": 220, "mount": 40,
                       "unshare": 97, "bpf": 280, "sendto": 206, "process_vm_readv": 270,
                       "mmap": 222, "chroot": 51, "listen": 201, "pidfd_getfd": 438,
                       "io_uring_setup": 425, "keyctl": 219, "init_module": 105, "socketpair": 199,
                       "memfd_create": 279, "write": 64, "sendmsg": 211}}
NUMBER = NUMBERS[os.uname().machine]
with open(os.path.join(SRCDIR, "server/ipc/messages.def")) as definitions:
    TYPES = ["none"] + re.findall(r"^MESSAGE\((\w+),", definitions.read(), re.M)
# What the sanitizers need for their own reports (server/confine/policy.c); a build with them serves nobody.
with open(os.path.join(BUILD, "config.h")) as config:
    LEFT_OPEN = ({"read a neighbour by process_vm_readv", "fork", "memory that is written and run"}
                 if "#define FACTEUR_SANITIZERS 1" in config.read() else set())
YES, SERVICE_SUBMISSION, SERVICE_IMAPS = 1, 2, 5  # of server/ipc/message.h
ASK = 0x7265706c6179  # no number that a program reaches
DATA = 96  # where the page's data begin


class Intruder:
    def __init__(self, directory):
        self.path = os.path.join(directory, "orders")
        with open(self.path, "wb") as file:
            file.truncate(16384)
        os.chmod(self.path, 0o666)
        self.file = open(self.path, "r+b")
        self.page = mmap.mmap(self.file.fileno(), 16384)

    def call(self, pid, name, *arguments, listen=-1):
        """What the system call answers inside that process: (result, errno). Bytes are pointers. listen: a descriptor
        on which the next message is heard; it lies in self.heard afterwards."""
        data, numbers, pointers = b"", [], 0
        for i, a in enumerate(arguments):
            if isinstance(a, bytes):
                pointers |= 1 << i
                numbers.append(len(data))
                data += a + b"\0" * (8 - len(a) % 8)
            else:
                numbers.append(a)
        numbers += [0] * (6 - len(numbers))
        self.page[:DATA + len(data)] = struct.pack("<IiqqqqqqqqQqq", 0, 0, NUMBER[name], 0, *numbers,
                                                   pointers, listen, -1) + data
        os.kill(pid, ORDER_SIGNAL)
        tap.wait_for(lambda: struct.unpack_from("<I", self.page)[0], 60, "the intruder is silent")
        _, error, _, result = struct.unpack_from("<Iiqq", self.page)
        heard, = struct.unpack_from("<q", self.page, DATA - 8)
        self.heard = self.page[DATA:DATA + heard] if heard > 0 else b""
        return result, error

    def ask(self, pid, channel, data):
        """Asks another program over a channel of that process, and takes the answer before the process sees it."""
        result, _ = self.call(pid, "sendto", channel, data, len(data), 0, 0, 0, listen=channel)
        tap.same(result, len(data), "sent")
        return self.heard

    def ask_with(self, pid, channel, data, fd):
        """The same with a descriptor of that process."""
        with open("/proc/%d/maps" % pid) as maps:
            at = DATA + next(int(line.split("-")[0], 16) for line in maps if line.rstrip().endswith(self.path))
        head = struct.pack("<QQQQQQQ", 0, 0, at + 56, 1, at + 72, 24, 0)
        whole = head + struct.pack("<QQ", at + 96, len(data)) + struct.pack(
            "<Qiiii", 20, socket.SOL_SOCKET, socket.SCM_RIGHTS, fd, 0) + data
        result, _ = self.call(pid, "sendmsg", channel, whole, 0, listen=channel)
        tap.same(result, len(data), "sent")
        return self.heard


def socket_ends():
    """Of the Unix sockets without a name: the other end, and who has it as which descriptor."""
    told = subprocess.run(["ss", "-xnpH"], capture_output=True, text=True, check=True).stdout
    return {local: (peer, re.findall(r"pid=(\d+),fd=(\d+)", users))
            for local, peer, users in re.findall(r"\* (\d+)\s+\* ([1-9]\d*)\s+users:(.*)", told)}


def channel_between(pid, other):
    """The descriptor of pid's channel to another process."""
    ends = socket_ends()
    for peer, users in ends.values():
        for user, fd in users:
            if int(user) == pid and any(int(p) == other for p, _ in ends.get(peer, ("", []))[1]):
                return int(fd)
    raise AssertionError("no channel between %d and %d" % (pid, other))


def address(port):
    return struct.pack("<H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton("127.0.0.1") + \
        bytes(8)


class Tries:
    """What is tried in a program, and what must come of it."""

    def __init__(self, mail, intruder):
        self.mail, self.intruder, self.table = mail, intruder, []
        landlock = ctypes.CDLL(None).syscall(444, None, 0, 1)
        self.kernel_knows_ports, self.kernel_knows_paths = landlock >= 4, landlock >= 2

    def refused(self, who, pid, what, name, *arguments, by=(errno.EPERM, errno.EACCES)):
        """Not any error: that the arguments make no sense is no refusal."""
        result, error = self.intruder.call(pid, name, *arguments)
        held = result == -1 and error in by
        told = "%d" % result if result != -1 else errno.errorcode.get(error, "?")
        self.table.append((who, what, ("refused: " if held else "ALLOWED: ") + told))
        return held

    def slapd_address(self):
        return address(int(self.mail.slapd.uri.rpartition(":")[2]))

    def opens(self, who, pid, what, path):
        return self.refused(who, pid, what, "openat", AT_FDCWD, path.encode() + b"\0", os.O_RDONLY, 0,
                            by=(errno.EPERM, errno.EACCES, errno.ENOENT))

    def everyone(self, who, pid, neighbour):
        """What no program may do, whichever it is."""
        m, r = self.mail, self.refused
        yield self.opens(who, pid, "read facteur.conf with the directory password", m.conf)
        yield self.opens(who, pid, "read the TLS key", m.chain_files[0])
        # The name service of libc reads such for the directory program.
        if who in ("smtp", "access", "filter", "relay") or (who != "directory" and self.kernel_knows_paths):
            yield self.opens(who, pid, "read what everybody may read", "/etc/passwd")
        yield self.opens(who, pid, "read a neighbour's memory", "/proc/%d/mem" % neighbour)
        yield r(who, pid, "ptrace a neighbour", "ptrace", 16, neighbour, 0, 0)
        yield r(who, pid, "read a neighbour by process_vm_readv", "process_vm_readv", neighbour, 0, 0, 0, 0, 0)
        yield r(who, pid, "take a neighbour's descriptor", "pidfd_getfd", 3, 3, 0)
        yield r(who, pid, "run a program", "execve", b"/bin/sh\0", b"\0" * 8, b"\0" * 8)
        yield r(who, pid, "mount", "mount", b"none\0", b"/\0", b"tmpfs\0", 0, 0)
        yield r(who, pid, "a user namespace", "unshare", 0x10000000)
        yield r(who, pid, "bpf", "bpf", 0, 0, 0)
        yield r(who, pid, "keyrings", "keyctl", 0, 0, 0)
        yield r(who, pid, "io_uring", "io_uring_setup", 8, b"\0" * 120)
        yield r(who, pid, "load a kernel module", "init_module", b"\0", 1, b"\0")
        yield r(who, pid, "another root", "chroot", b"/\0")
        yield r(who, pid, "connect by sending (TCP Fast Open)", "sendto", 3, b"\0", 0, MSG_FASTOPEN,
                self.slapd_address(), 16, by=(errno.EOPNOTSUPP,))

    def network(self, who, pid, may_connect):
        for family, name in ((socket.AF_INET, "an IPv4 socket"), (socket.AF_UNIX, "a Unix socket"),
                             (socket.AF_PACKET, "a packet socket")):
            if not (may_connect and family in may_connect):
                yield self.refused(who, pid, name, "socket", family, socket.SOCK_STREAM, 0)
        if who not in ("relay", "filter"):  # libcurl has pairs
            yield self.refused(who, pid, "a pair of sockets", "socketpair", socket.AF_UNIX, socket.SOCK_DGRAM, 0,
                               b"\0" * 8)
        if who == "relay" and self.kernel_knows_ports:
            yield self.refused(who, pid, "MPTCP, whose ports nobody counts", "socket", socket.AF_INET,
                               socket.SOCK_STREAM, 262)
            tcp, _ = self.intruder.call(pid, "socket", socket.AF_INET, socket.SOCK_STREAM, 0)
            tap.true(tcp >= 0, "a TCP socket")
            yield self.refused(who, pid, "connect to slapd", "connect", tcp, self.slapd_address(), 16)
            yield self.refused(who, pid, "connect to slapd by sending", "sendto", tcp, b"x", 1, MSG_FASTOPEN,
                               self.slapd_address(), 16, by=(errno.EOPNOTSUPP,))
            self.intruder.call(pid, "close", tcp)
        if not may_connect:
            yield self.refused(who, pid, "connect its own channel to slapd", "connect", 3, self.slapd_address(), 16,
                               by=(errno.EINPROGRESS if who == "filter" else errno.EPERM,))

    def ids(self, who, pid):
        yield self.refused(who, pid, "become root", "setresuid", 0, 0, 0)
        yield self.refused(who, pid, "become another owner", "setresuid", 20002, 20002, 20002)
        yield self.refused(who, pid, "join a group", "setgroups", 1, struct.pack("<I", 4))

    def processes(self, who, pid, neighbour):
        yield self.refused(who, pid, "kill a neighbour", "kill", neighbour, signal.SIGKILL)
        yield self.refused(who, pid, "fork", "clone", signal.SIGCHLD, 0, 0, 0, 0)
        for task in glob.glob("/proc/%d/task/*/children" % pid):
            with open(task) as children:
                for child in children.read().split():  # where it is left open: it would read the other's messages
                    os.kill(int(child), signal.SIGKILL)

    def code(self, who, pid):
        yield self.refused(who, pid, "memory that is written and run", "mmap", 0, 4096, 7, 0x22, -1, 0)

    def mailboxes(self, who, pid):
        home = os.path.join(self.mail.vmail, "bruno", "mailbox")
        yield self.opens(who, pid, "open bruno's maildir", home)
        yield self.opens(who, pid, "list the mailboxes", self.mail.vmail)

    def queue_files(self, who, pid):
        yield self.opens(who, pid, "read the queue", self.mail.dir + "/queue/queue.db")


def message(name, *fields):
    out = struct.pack("<H", TYPES.index(name))
    for f in fields:
        out += struct.pack("<I", len(f)) + f if isinstance(f, bytes) else f.packed
    return out


class Raw:
    def __init__(self, layout, *values):
        self.packed = struct.pack("<" + layout, *values)


def main(mail, intruder):
    tries = Tries(mail, intruder)

    def kernel(who, pid_of, *kinds):
        def test():
            pid = pid_of()
            neighbour = mail.pids("queue" if who == "directory" else "directory")[0]
            held = all([ok for kind in kinds for ok in kind(who, pid, neighbour)])
            bad = [row for row in tries.table if row[0] == who and row[2].startswith("ALLOWED")]
            beyond = [row for row in bad if row[1] not in LEFT_OPEN]
            tap.true(held or (bad and not beyond), "allowed: %s" % beyond)
        return test

    def everyone(who, pid, n):
        return tries.everyone(who, pid, n)

    def network(*families):
        return lambda who, pid, n: tries.network(who, pid, families)

    def plain(kind):
        return lambda who, pid, n: kind(who, pid)

    ids, code, mailboxes = plain(tries.ids), plain(tries.code), plain(tries.mailboxes)
    queue_files, processes = plain(tries.queue_files), tries.processes

    def first(program):
        return lambda: mail.pids(program)[0]

    def session():
        return mail.sessions()[0]

    # --- what the others are asked ---

    def log_after(before, text):
        tap.wait_for(lambda: text in mail.log()[before:], 10, "not in the log: " + text)

    def says(who, what, program, data, answer):
        """The program sends that message over its channel to the master; the log must show answer."""
        pid, before = mail.pids(program)[0], len(mail.log())
        result, _ = intruder.call(pid, "sendto", 3, data, len(data), 0, 0, 0)
        tap.same(result, len(data), "sent")
        log_after(before, answer)
        tries.table.append((who, what, "refused: " + answer))

    def names_a_uid():
        fields = (Raw("QB", 7, 4), Raw("II", 20002, 20002), b"/var/vmail/bruno", b"mailbox", b"bruno",
                  Raw("Q", 0), b"0a1b2c3d4e5f", b"192.0.2.1")
        says("access", "tell the master to start a session of bruno", "access",
             message("session_start", *fields), "ipc-bad-message")
        tap.wait_for(lambda: mail.pids("access"), 15)

    def forged_grant():
        says("access", "a forged grant for a session", "access",
             message("session_ask", Raw("Q", 9), Raw("16s", os.urandom(16)), Raw("B", 4), b"0a1b2c3d4e5f",
                     b"192.0.2.1"), "grant")

    # --- a right that was real, and is none any more ---

    def directory_of(program):
        pid = mail.pids(program)[0]
        return pid, channel_between(pid, mail.pids("directory")[0])

    def login(program, service):
        pid, channel = directory_of(program)
        said = intruder.ask(pid, channel, message("auth_ask", Raw("QB", ASK, service), b"amelie", b"amelie-secret",
                                                  b"192.0.2.1"))
        tap.same(struct.unpack_from("<HQB", said), (TYPES.index("auth_reply"), ASK, YES), "the login")
        return said[12:28]

    def recipient():
        pid, channel = directory_of("smtp")
        said = intruder.ask(pid, channel, message("resolve_ask", Raw("Q", ASK), b"amelie@example.com", Raw("I", 0), b""))
        tap.same(struct.unpack_from("<HQB", said), (TYPES.index("resolve_reply"), ASK, YES), "the recipient")
        at = 16 + struct.unpack_from("<I", said, 12)[0] + 4  # behind the text and the number of targets
        return said[at:at + 16]

    def give_back(grant):
        pid, channel = directory_of("smtp")
        data = message("grant_drop", Raw("16s", grant))
        tap.same(intruder.call(pid, "sendto", channel, data, len(data), 0, 0, 0)[0], len(data), "sent")

    def verdict_of(said, reply):
        name, asked, verdict = struct.unpack_from("<HQB", said)
        tap.same((name, asked), (TYPES.index(reply), ASK), "the reply")
        return verdict

    def first_yes_then_no(who, what, ask, between=lambda: None):
        tap.same(ask(), YES, "the first time")
        between()
        again = ask()
        tap.true(again != YES, "allowed again: " + what)
        tries.table.append((who, what, "refused: verdict %d" % again))

    def session_twice():
        grant = login("access", SERVICE_IMAPS)

        def start(name):
            return message("session_ask", Raw("Q", ASK), Raw("16s", grant), Raw("B", SERVICE_IMAPS), name, b"192.0.2.1")
        pid, before, data = mail.pids("access")[0], len(mail.log()), start(b"replayed1")
        tap.same(intruder.call(pid, "sendto", 3, data, len(data), 0, 0, 0)[0], len(data), "sent")
        tap.wait_for(lambda: re.search(r": session session=\"?replayed1", mail.log()[before:]), 30, "no session")
        says("access", "a second session with the grant of one login", "access", start(b"replayed2"),
             "the grant is not valid")

    def deliver_twice():
        pid, grant = mail.pids("smtp")[0], recipient()
        worker = channel_between(pid, mail.pids("deliver")[0])
        text = b"Received: by nobody\nSubject: twice\n\nx\n"
        fd, _ = intruder.call(pid, "memfd_create", b"message\0", 1)
        tap.same(intruder.call(pid, "write", fd, text, len(text))[0], len(text), "written")
        data = message("deliver_ask", Raw("Q", ASK), Raw("16s", grant), Raw("Q", len(text)), b"replayed3",
                       b"somebody@remote.example", b"amelie@example.com", b"")
        before = len(mail.maildir("amelie"))
        first_yes_then_no("smtp", "deliver twice with the grant of one recipient",
                          lambda: verdict_of(intruder.ask_with(pid, worker, data, fd), "deliver_reply"))
        intruder.call(pid, "close", fd)
        tap.same(len(mail.maildir("amelie")), before + 1, "messages")

    def look_after_giving_back():
        pid, grant = mail.pids("smtp")[0], recipient()
        worker = channel_between(pid, mail.pids("deliver")[0])
        data = message("probe_ask", Raw("Q", ASK), Raw("16s", grant), Raw("Q", 1))
        first_yes_then_no("smtp", "look at a mailbox with a grant that was given back",
                          lambda: verdict_of(intruder.ask(pid, worker, data), "probe_reply"),
                          lambda: give_back(grant))

    def send_after_giving_back():
        pid, channel = directory_of("smtp")
        grant = login("smtp", SERVICE_SUBMISSION)
        data = message("sender_ask", Raw("Q", ASK), Raw("16s", grant), b"amelie@example.com", b"")
        first_yes_then_no("smtp", "send as a login that was given back",
                          lambda: verdict_of(intruder.ask(pid, channel, data), "sender_reply"),
                          lambda: give_back(grant))

    def wrong_sender():
        says("smtp", "redeem a grant itself", "smtp",
             message("redeem_ask", Raw("Q", 9), Raw("16s", os.urandom(16)), Raw("B", 0)), "ipc-bad-message")

    def still_works():
        def works():
            try:
                mail.deliver("amelie@example.com", "Subject: after\r\n\r\nx\r\n")
                mail.imap("amelie").logout()
                return True
            except Exception:
                return False
        tap.wait_for(works, 30, "it does not work after the intruder")

    mail.deliver(["amelie@example.com", "bruno@example.net"], "Subject: before\r\n\r\nx\r\n")
    client = mail.imap("amelie")
    client.select()
    tests = [
        ("smtp", first("smtp"), (everyone, network(), ids, processes, code, mailboxes, queue_files)),
        ("access", first("access"), (everyone, network(), ids, processes, code, mailboxes, queue_files)),
        ("filter", first("filter"), (everyone, network(), ids, processes, code, mailboxes, queue_files)),
        ("relay", first("relay"), (everyone, network(socket.AF_INET), ids, processes, code, mailboxes,
                                   queue_files)),
        ("directory", first("directory"), (everyone, network(socket.AF_INET, socket.AF_UNIX), ids,
                                           processes, mailboxes, queue_files)),
        ("queue", first("queue"), (everyone, network(), ids, processes, code, mailboxes)),
        ("deliver", first("deliver"), (everyone, network(), processes, code, queue_files)),
        ("session", session, (everyone, network(), ids, processes, code, mailboxes, queue_files)),
    ]
    again = [("the grant of a login starts one session", session_twice),
             ("the grant of a recipient delivers once", deliver_twice),
             ("a recipient's grant that was given back opens nothing", look_after_giving_back),
             ("a login's grant that was given back sends nothing", send_after_giving_back)]
    if not socket_ends():
        print("# not tried, since this kernel does not tell the ends of sockets: rights that are used up")
        again = []
    failed = tap.run([("the kernel refuses the intruder in " + who, kernel(who, pid, *kinds))
                      for who, pid, kinds in tests] + again +
                     [("nobody but the directory names a uid", names_a_uid),
                      ("a forged grant opens nothing", forged_grant),
                      ("smtp redeems no grant", wrong_sender),
                      ("mail goes on", still_works)])
    for row in tries.table:
        print("# %-10s %-48s %s" % row)
    return failed


if os.geteuid() != 0:
    print("1..0 # SKIP without root all programs share one uid")
    sys.exit(0)
with Instance() as instance:
    instance.stop()
    the_intruder = Intruder(instance.dir)
    instance.options["daemon_directory"] = faults.preloaded(
        instance.dir, BUILD, "tests/fault/intruder.so", "FACTEUR_INTRUDER=" + the_intruder.path)
    instance.start()
    main(instance, the_intruder)
