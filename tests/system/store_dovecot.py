#!/usr/bin/env python3
"""The store room and Debian's Dovecot take turns, and then work at once, on one maildir.

After every turn both must see the same UIDVALIDITY, UIDs, flags, keywords, sizes, dates, folders and
subscriptions. Dovecot runs as a plain IMAP process on a pipe (doveadm exec imap): no service is started.
"""
import calendar
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("FACTEUR_BUILDDIR", os.getcwd())
UID = 64000 + os.getpid() % 1000 if os.geteuid() == 0 else os.geteuid()
SYSTEM_FLAGS = {"\\answered", "\\flagged", "\\deleted", "\\seen", "\\draft"}

number = 0
failed = 0


def ok(good, what, detail=""):
    global number, failed
    number += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {number} - {what}", flush=True)
    if not good:
        for line in str(detail).splitlines()[:40]:
            print(f"# {line}")
    return good


def same(a, b, what):
    return ok(a == b, what, f"store:   {a}\ndovecot: {b}")


class Both:
    def __init__(self):
        self.complaints = []
        self.top = tempfile.mkdtemp(prefix="store-dovecot-")
        self.home = f"{self.top}/home"
        self.box = f"{self.home}/mailbox"
        self.tool_path = f"{self.top}/store-tool"
        shutil.copy2(f"{BUILD}/store-tool", self.tool_path)
        for name in ("home", "run", "state"):
            os.mkdir(f"{self.top}/{name}", 0o700)
        with open(f"{self.top}/dovecot.conf", "w") as conf:
            conf.write(f"""base_dir = {self.top}/run
state_dir = {self.top}/state
log_path = {self.top}/state/log
protocols = imap
ssl = no
mail_location = maildir:{self.box}
namespace inbox {{
  inbox = yes
}}
""")
        if os.geteuid() == 0:
            os.chmod(self.top, 0o755)
            for name in ("home", "run", "state"):
                os.chown(f"{self.top}/{name}", UID, UID)
        self.as_user = {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}

    def start(self, argv, **kw):
        env = {"PATH": os.environ["PATH"], "HOME": self.home, "USER": "u", "ASAN_OPTIONS":
               os.environ.get("ASAN_OPTIONS", "")}
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, env=env, cwd=self.top, **self.as_user, **kw)

    def tool(self, *args, data=b"", want=0):
        p = self.start([self.tool_path, self.box, *args])
        out = p.communicate(data, timeout=150)[0].decode()
        if p.returncode != want:
            raise AssertionError(f"store-tool {args}: status {p.returncode}: {out}")
        return out

    def deliver(self, data):
        path = f"{self.top}/message"
        with open(path, "wb") as f:
            f.write(data)
        with open(path, "rb") as f:
            env = {"PATH": os.environ["PATH"]}
            return subprocess.run([self.tool_path, self.box, "deliver"], stdin=f, env=env, cwd=self.top,
                                  check=True, stdout=subprocess.PIPE, **self.as_user).stdout.decode()

    def imap_start(self):
        return self.start(["doveadm", "-c", f"{self.top}/dovecot.conf", "exec", "imap"])

    def imap(self, *commands):
        text = "".join(f"x{i} {c}\r\n" for i, c in enumerate(commands)) + "z LOGOUT\r\n"
        out = self.imap_start().communicate(text.encode(), timeout=150)[0].decode("utf-8", "replace")
        self.note(out)
        for i in range(len(commands)):
            if not re.search(rf"^x{i} OK", out, re.M):
                raise AssertionError(f"dovecot: {commands[i]}: {out}")
        return out

    def note(self, out):
        """Dovecot's log goes to standard error, which is read together with its answers."""
        self.complaints += re.findall(r"^imap\(u\).*(?:Warning|Error|Panic|Fatal):.*$", out, re.M)

    def list_store(self, folder):
        lines = self.tool("list", folder).splitlines()
        head = re.match(r"uidvalidity (\d+) uidnext (\d+)", lines[0])
        messages = {}
        for line in lines[1:]:
            left, right = line.split(" | ")
            uid, *flags = left.split(" ")
            messages[int(uid)] = (tuple(sorted(f.lower() for f in flags)), *map(int, right.split()))
        return int(head[1]), int(head[2]), messages

    def list_dovecot(self, folder):
        out = self.imap(f'SELECT "{folder}"', "UID FETCH 1:* (FLAGS RFC822.SIZE INTERNALDATE)")
        messages = {}
        for m in re.finditer(r"^\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\) RFC822.SIZE (\d+) "
                             r'INTERNALDATE "([^"]*)"', out, re.M):
            date = time.strptime(m[4].strip(), "%d-%b-%Y %H:%M:%S %z")
            seconds = calendar.timegm(date) - date.tm_gmtoff
            flags = tuple(sorted(f.lower() for f in m[2].split() if f != "\\Recent"))
            messages[int(m[1])] = (flags, int(m[3]), seconds)
        return (int(re.search(r"UIDVALIDITY (\d+)", out)[1]), int(re.search(r"UIDNEXT (\d+)", out)[1]),
                messages)

    def agree(self, folder, what, store_first):
        if store_first:
            a, b = self.list_store(folder), self.list_dovecot(folder)
        else:
            b, a = self.list_dovecot(folder), self.list_store(folder)
        return same(a, b, what), a

    def names_dovecot(self, command):
        out = self.imap(f'{command} "" "*"')
        names = set()
        for m in re.finditer(rf'^\* {command} \(([^)]*)\) "." (?:"([^"]*)"|(\S+))', out, re.M):
            if "\\noselect" not in m[1].lower() and "\\nonexistent" not in m[1].lower():
                names.add(m[2] or m[3].strip())
        return names


def message(n, lines=3):
    return (f"From: a@example.org\r\nSubject: message {n}\r\n\r\n" + f"line of {n}\r\n" * lines).encode()


def append_imap(b, folder, flags, n):
    text = message(n).decode()
    b.imap(f'APPEND "{folder}" ({flags}) "01-Feb-2023 10:20:30 +0100" {{{len(text)}+}}\r\n{text}')


def turns(b):
    for i in range(3):
        b.tool("append", "INBOX", ["", "\\Seen", "\\Flagged,$Label1,work"][i], "1700000000", data=message(i))
    good, before = b.agree("INBOX", "three messages appended by the store", False)
    append_imap(b, "INBOX", "\\Answered work $Later", 4)
    b.imap("SELECT INBOX", "UID STORE 1 +FLAGS (\\Seen $Label1)", "UID STORE 3 -FLAGS (work)")
    good, after = b.agree("INBOX", "Dovecot appends, and changes flags and keywords", True)
    ok(after[0] == before[0] and set(after[2]) == {1, 2, 3, 4}, "UIDVALIDITY and old UIDs stay", after)
    b.tool("flags", "INBOX", "2", "set", "\\Draft,new-one,$Later")
    b.tool("flags", "INBOX", "4", "remove", "\\Answered,work")
    b.tool("expunge", "INBOX", "1")
    b.agree("INBOX", "the store changes flags and keywords, and expunges", False)
    b.imap("SELECT INBOX", "UID STORE 3 +FLAGS.SILENT (\\Deleted)", "EXPUNGE")
    b.agree("INBOX", "Dovecot expunges", True)
    b.deliver(message(10))
    b.agree("INBOX", "a delivered message is numbered by Dovecot", False)
    b.deliver(message(11))
    b.agree("INBOX", "a delivered message is numbered by the store", True)
    b.tool("copy", "INBOX", "2", "Archive")
    b.tool("move", "INBOX", "4", "Archive")
    b.agree("Archive", "copied and moved by the store", False)
    b.imap("SELECT Archive", "UID COPY 1 Sent", "UID MOVE 2 Sent")
    b.agree("Archive", "what Dovecot moved away", True)
    b.agree("Sent", "copied and moved by Dovecot", True)


def by_hand(b):
    cur = f"{b.box}/cur"
    name = sorted(os.listdir(cur))[0]
    os.rename(f"{cur}/{name}", f"{cur}/{name.split(':')[0]}:2,FT")
    with open(f"{b.box}/new/1600000000.M5P6.hand", "wb") as f:
        f.write(message(77).replace(b"\r\n", b"\n"))
    with open(f"{b.box}/cur/1500000000.other.hand:2,S", "wb") as f:
        f.write(message(78).replace(b"\r\n", b"\n"))
    for path in (f"{b.box}/new/1600000000.M5P6.hand", f"{cur}/1500000000.other.hand:2,S"):
        os.chown(path, UID, -1)
        os.utime(path, (1600000000, 1600000000))
    good, seen = b.agree("INBOX", "files renamed and put in by hand, numbered by the store", True)
    old, new = sorted(seen[2])[-2:]
    ok(seen[2][old][0] == ("\\seen",) and seen[2][new][0] == (), "the older file has the smaller UID", seen)


def folders(b):
    b.tool("create", "Work.2024")
    b.tool("create", "&AOk-t&AOk-")
    b.tool("subscribe", "Work.2024")
    b.tool("unsubscribe", "Junk")
    b.imap('CREATE "from dovecot"', 'SUBSCRIBE "from dovecot"', 'CREATE "Work.2025"', "UNSUBSCRIBE Trash")
    same(set(b.tool("folders").splitlines()), b.names_dovecot("LIST"), "folders made by both")
    same(set(b.tool("subscriptions").splitlines()), b.names_dovecot("LSUB"), "subscriptions of both")
    b.tool("append", "Work.2024", "\\Seen", "1700000000", data=message(1))
    before = b.list_dovecot("Work.2024")
    b.tool("rename", "Work", "Job")
    same(b.list_store("Job.2024"), b.list_dovecot("Job.2024"), "renamed by the store with its children")
    ok(b.list_store("Job.2024") == before, "UIDs stay over a rename", before)
    b.imap("RENAME Job.2024 Job.old")
    same(b.list_store("Job.old"), b.list_dovecot("Job.old"), "renamed by Dovecot")
    first = b.list_store("Job.old")[0]
    b.tool("delete", "Job.old")
    b.imap("CREATE Job.old")
    second = b.list_dovecot("Job.old")[0]
    b.imap("DELETE Job.old")
    b.tool("create", "Job.old")
    third = b.list_store("Job.old")[0]
    ok(first < second < third, "a folder made again has a larger UIDVALIDITY", (first, second, third))
    same(set(b.tool("folders").splitlines()), b.names_dovecot("LIST"), "folders after renames and deletes")


def inbox_rename(b):
    b.imap("CREATE scratch")
    before = len(b.list_store("INBOX")[2])
    b.tool("rename", "INBOX", "oldmail")
    good, seen = b.agree("oldmail", "INBOX renamed: its messages are in the new folder", False)
    ok(len(seen[2]) == before > 0, "none is lost", seen)
    good, seen = b.agree("INBOX", "INBOX is empty and still there", True)
    ok(not seen[2], "INBOX is empty", seen)


def random_turns(b, rng):
    words = ["\\Seen", "\\Flagged", "\\Answered", "alpha", "Beta", "gamma"]
    bad = None
    for turn in range(12):
        uids = sorted(b.list_store("INBOX")[2]) or [0]
        flags = rng.sample(words, rng.randint(0, 3))
        uid, kind = str(rng.choice(uids)), rng.choice("aaffe") if uids != [0] else "a"
        if rng.random() < 0.5:
            if kind == "a":
                b.tool("append", "INBOX", ",".join(flags), "1650000000", data=message(turn))
            elif kind == "f":
                b.tool("flags", "INBOX", uid, rng.choice(["set", "add", "remove"]), ",".join(flags))
            else:
                b.tool("expunge", "INBOX", uid)
        elif kind == "a":
            append_imap(b, "INBOX", " ".join(flags), turn)
        elif kind == "f":
            b.imap("SELECT INBOX", f"UID STORE {uid} {rng.choice(['', '+', '-'])}FLAGS ({' '.join(flags)})")
        else:
            b.imap("SELECT INBOX", f"UID STORE {uid} +FLAGS (\\Deleted)", f"UID EXPUNGE {uid}")
        first = turn % 2 == 0
        a = b.list_store("INBOX") if first else None
        d = b.list_dovecot("INBOX")
        a = a or b.list_store("INBOX")
        if a != d:
            bad = (turn, kind, a, d)
            break
    ok(bad is None, "twelve random turns", bad)


def at_once(b):
    count = 25
    before = set(b.list_store("INBOX")[2])
    text = message(5).decode()
    command = f"APPEND INBOX (\\Seen beta) {{{len(text)}+}}\r\n{text}"
    dovecots = [b.imap_start() for _ in range(2)]
    for p in dovecots:
        p.stdin.write(("".join(f"x{i} {command}\r\n" for i in range(count)) + "z LOGOUT\r\n").encode())
        p.stdin.flush()
    told = []
    for i in range(count):
        told.append(int(b.tool("append", "INBOX", "\\Flagged", "1700000000", data=message(i)).split()[1]))
        b.deliver(message(i))
        b.tool("flags", "INBOX", str(told[0]), "add" if i % 2 else "remove", "\\Seen,alpha")
    for p in dovecots:
        out = p.communicate(timeout=150)[0].decode()
        b.note(out)
        told += [int(u) for u in re.findall(r"APPENDUID \d+ (\d+)", out)]
    ok(len(told) == len(set(told)) == 3 * count, "two Dovecots and the store append at once: own UIDs each",
       sorted(told))
    good, seen = b.agree("INBOX", "and see the same afterwards", True)
    ok(len(set(seen[2]) - before) == 4 * count and set(told) <= set(seen[2]), "nothing is lost or doubled",
       f"{len(set(seen[2]) - before)} new of {4 * count}, missing {set(told) - set(seen[2])}")
    ok(not [n for n in os.listdir(b.box) if n.endswith(".lock") or n.startswith(".facteur")],
       "no lock or temporary file is left", os.listdir(b.box))


def locks(b):
    lock = f"{b.box}/dovecot-uidlist.lock"
    host = os.uname().nodename
    sleeper = b.start(["sleep", "60"])
    with open(lock, "w") as f:
        f.write(f"{sleeper.pid}:{host}")
    os.chown(lock, UID, -1)
    old = time.time() - 30
    os.utime(lock, (old, old))
    p = b.start([b.tool_path, b.box, "append", "INBOX", "", "1700000000"])
    p.stdin.write(message(1))
    p.stdin.close()
    time.sleep(1.0)
    waited = p.poll() is None
    ok(waited and os.path.exists(lock), "a living holder's lock is waited for")
    started = time.time()
    sleeper.kill()
    sleeper.wait()
    ok(p.wait(timeout=30) == 0 and time.time() - started < 10 and not os.path.exists(lock),
       "a dead holder's lock is taken over", p.stdout.read())
    p.stdout.close()
    b.agree("INBOX", "and the list is whole", False)


def complaints(b):
    ok(not b.complaints, "Dovecot has had nothing to complain of", "\n".join(b.complaints))


def damage(b):
    for i in range(3):
        b.deliver(message(i))
    before = b.list_store("INBOX")
    path = f"{b.box}/dovecot-uidlist"
    with open(path, "a") as f:
        f.write("99999999 :torn")
    ok(b.list_store("INBOX") == before, "half a line at the end costs nothing", before)
    b.tool("append", "INBOX", "", "1700000000", data=message(3))
    b.agree("INBOX", "and is mended by the next change", False)
    with open(path, "w") as f:
        f.write("3 V1 N1\n5 nonsense\n")
    after = b.list_store("INBOX")
    ok(after[0] > before[0] and len(after[2]) == len(before[2]) + 1, "a damaged list: larger UIDVALIDITY",
       (before[0], after[0]))
    b.agree("INBOX", "and Dovecot takes it over", False)
    os.unlink(path)
    third = b.list_store("INBOX")
    ok(third[0] > after[0], "a missing list: larger UIDVALIDITY", (after[0], third[0]))
    b.agree("INBOX", "and Dovecot takes that over", False)


def main():
    if not shutil.which("doveadm") or not os.path.exists("/usr/lib/dovecot/imap"):
        print("1..1\nnot ok 1 - Dovecot is there\n# install the Debian package dovecot-imapd")
        return 1
    seed = int(os.environ.get("FACTEUR_SEED", random.randrange(1 << 30)))
    print(f"# FACTEUR_SEED={seed}")
    b = Both()
    try:
        for part in (turns, by_hand, folders, lambda x: random_turns(x, random.Random(seed)), at_once, locks,
                     inbox_rename, complaints, damage):
            try:
                part(b)
            except (AssertionError, subprocess.SubprocessError, OSError) as e:
                ok(False, f"{getattr(part, '__name__', 'part')} runs to its end", e)
    finally:
        shutil.rmtree(b.top, ignore_errors=True)
    print(f"1..{number}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
