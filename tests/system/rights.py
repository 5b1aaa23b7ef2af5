#!/usr/bin/env python3
"""What the running programs are allowed: uids, roots, privileges and descriptors, as the kernel
tells them. Started as an ordinary user, what concerns other uids is not there to be seen."""
import base64
import imaplib
import os
import poplib
import re
import smtplib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import UIDS, Instance, sanitized  # noqa: E402

PROGRAMS = ("smtp", "access", "directory", "queue", "deliver", "session", "relay", "filter")


def status(pid):
    with open("/proc/%d/status" % pid) as text:
        return dict(line.rstrip("\n").split(":\t", 1) for line in text if ":\t" in line)


def limits(pid):
    """Name to (soft, hard)."""
    with open("/proc/%d/limits" % pid) as text:
        return {name.strip(): tuple(values.split()[:2])
                for name, values in ((line[:26], line[26:]) for line in text)}


def descriptors(pid):
    found = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            found.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except OSError:
            pass
    return found


def main(mail):

    def each(*programs):
        for program in programs:
            pids = mail.pids(program)
            tap.true(pids, program + " is not running")
            for pid in pids:
                yield program, pid

    def everybody():
        yield "facteurd", mail.master.pid
        yield from each(*PROGRAMS)
        tap.true(mail.sessions(), "no session")
        for pid in mail.sessions():
            yield "a session", pid

    filters_here = int(status(os.getpid()).get("Seccomp_filters", 0))

    def no_new_privileges():
        for program, pid in everybody():
            tap.same(status(pid)["NoNewPrivs"], "1", program)

    def filtered():
        own = {"facteurd": 1, "a session": 3}  # its own upon its parent's; the kernel counts them from 5.9 on
        for program, pid in everybody():
            tap.same(status(pid)["Seccomp"], "2", program)
            tap.same(int(status(pid).get("Seccomp_filters", own.get(program, 2))) - filters_here,
                     own.get(program, 2), program)

    def limited():
        for program, pid in everybody():
            has = limits(pid)
            tap.same(has["Max core file size"], ("0", "0"), program)
            tap.true(int(has["Max open files"][1]) <= 65536, (program, has))
            if mail.root and program in UIDS:
                tap.true(int(has["Max processes"][1]) <= 1024, (program, has))

    def not_dumpable():
        """What the kernel shows of a process is root's then, whoever the process is."""
        if sanitized():  # LeakSanitizer traces its own process
            return
        for program, pid in everybody():
            uid = int(status(pid)["Uid"].split()[1])
            tap.true(uid == 0 or os.stat("/proc/%d/status" % pid).st_uid != uid, program)

    def uids():
        for program, pid in each("smtp", "access", "directory", "queue", "relay", "filter"):
            uid = str(UIDS[program])
            tap.same(status(pid)["Uid"].split(), [uid] * 4, program)
            tap.same(status(pid)["Gid"].split(), [uid] * 4, program)
            tap.same(status(pid)["Groups"].split(), [], program)
            tap.same(int(status(pid)["CapPrm"], 16), 0, program)
        session = mail.sessions()[0]
        tap.same(status(session)["Uid"].split(), ["20001"] * 4, "session")
        tap.same(int(status(session)["CapPrm"], 16), 0, "session")

    def privileged_are_bounded():
        allowed = (1 << 0) | (1 << 6) | (1 << 7)  # CAP_CHOWN, CAP_SETGID, CAP_SETUID
        for program, pid in each("deliver", "session"):
            tap.same(int(status(pid)["CapPrm"], 16) & ~allowed, 0, program)

    def empty_roots():
        for program, pid in each("smtp", "access", "relay", "filter"):
            root = os.readlink("/proc/%d/root" % pid)
            tap.true(root.startswith(mail.dir), "%s has root %s" % (program, root))
            tap.same(os.listdir("/proc/%d/root" % pid), [], program + "'s root")

    def no_files():
        for program, pid in each("smtp", "access", "relay", "filter"):
            for target in descriptors(pid):
                good = re.match(r"(socket:|anon_inode:|pipe:|/memfd:|/dev/null)", target) or \
                    target == mail.log_path
                tap.true(good, "%s holds %s" % (program, target))

    def mailboxes_are_closed():
        for name in os.listdir(mail.vmail):
            mode = os.stat(os.path.join(mail.vmail, name)).st_mode & 0o777
            tap.same(mode, 0o700, name)
        tap.same(os.stat(mail.dir + "/queue").st_mode & 0o777, 0o700, "the queue")

    def password_is_known_to_the_directory_alone():
        secret = mail.slapd.reader_password.encode()
        for program, pid in each("smtp", "access", "queue", "deliver", "session", "relay", "filter"):
            tap.true(not in_memory(pid, secret), program + " holds the directory password")
        tap.true(any(in_memory(pid, secret) for _, pid in each("directory")), "the search works")

    def log_in_everywhere(password):
        """By each protocol and mechanism; what ends each client."""
        yield mail.imap("bruno").logout
        for how in ("PLAIN", "LOGIN"):
            smtp = smtplib.SMTP("localhost", mail.ports["submission"], timeout=30)
            smtp.starttls(context=mail.tls())
            smtp.ehlo()
            smtp.user, smtp.password = "bruno", password
            smtp.auth(how, getattr(smtp, "auth_" + how.lower()))
            yield smtp.close
        imap = imaplib.IMAP4_SSL("localhost", mail.ports["imaps"], ssl_context=mail.tls(), timeout=30)
        imap.authenticate("PLAIN", lambda _: b"\0bruno\0" + password.encode())
        yield imap.logout
        pop3 = poplib.POP3_SSL("localhost", mail.ports["pop3s"], context=mail.tls(), timeout=30)
        pop3.user("bruno")
        pop3.pass_(password)
        yield pop3.quit

    def passwords_are_forgotten():
        password = "bruno-secret"
        clients = list(log_in_everywhere(password))
        forms = [password.encode(), base64.b64encode(password.encode()),
                 base64.b64encode(b"\0bruno\0" + password.encode())]
        if not sanitized():  # they keep freed memory as it was
            tap.same(["%s: %s" % (program, form) for program, pid in everybody() for form in forms
                      if in_memory(pid, form)], [], "who still holds the password of a login")
        for end in clients:
            end()
        written = [path for top in ("run", "queue", "vmail") for path in files(os.path.join(mail.dir, top))]
        for path in written + [mail.log_path]:
            with open(path, "rb") as file:
                text = file.read()
            tap.true(not any(form in text for form in forms), path + " has the password")

    def master_reads_no_network():
        """With a client connected it holds what they connect to, and none of them."""
        sockets = set()
        for target in descriptors(mail.master.pid):
            sockets.update(re.findall(r"^socket:\[(\d+)\]$", target))
        states = {}
        for table in ("tcp", "tcp6", "udp", "udp6"):
            with open("/proc/%d/net/%s" % (mail.master.pid, table)) as rows:
                for row in list(rows)[1:]:
                    words = row.split()
                    if words[9] in sockets:
                        states[words[9]] = table[:3] + " " + words[3]
        tap.true(states, "its listeners are not found")
        tap.same(set(states.values()), {"tcp 0A"}, "0A: listening")

    tests = [
        ("the master holds no connection of a client", master_reads_no_network),
        ("no program can gain privileges", no_new_privileges),
        ("every program has a system call filter of its own", filtered),
        ("every program has limits, and none leaves a core", limited),
        ("no program can be dumped or traced", not_dumpable),
        ("mailboxes and queue are closed to others", mailboxes_are_closed),
    ]
    if mail.root:
        tests += [
            ("one uid a program, sessions the owner's", uids),
            ("deliver and the session parent keep three capabilities", privileged_are_bounded),
            ("smtp and access have an empty root", empty_roots),
            ("smtp and access hold no file", no_files),
            ("the directory password is in the directory program alone",
             password_is_known_to_the_directory_alone),
            ("the password of a login is in no memory, file or log afterwards", passwords_are_forgotten),
        ]
    return tests


def files(top):
    return [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names
            if os.path.isfile(os.path.join(folder, name))]


def in_memory(pid, secret):
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            span, mode = line.split()[:2]
            if not mode.startswith("rw"):
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            if end - start > 1 << 32:
                continue
            try:
                memory.seek(start)
                if secret in memory.read(end - start):
                    return True
            except OSError:
                pass
    return False


with Instance() as instance:
    client = instance.imap("amelie")  # held open: its session is looked at
    client.select()
    tap.run(main(instance))
    client.logout()
