#!/usr/bin/env python3
"""POP3 beside Dovecot 2.3 on the same maildir: unique-ids, sizes and messages are equal whoever came
first, and so is what a session leaves behind."""
import os
import shutil
import subprocess
import sys
import tempfile

SRC = os.environ.get("FACTEUR_SRCDIR", os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("FACTEUR_BUILDDIR", SRC)
sys.path.insert(0, os.path.join(SRC, "tests", "lib"))
import tap  # noqa: E402

USER = 65534
CORPUS = os.path.join(SRC, "tests", "corpus", "mime")


class Site:
    """A maildir, with the two servers."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="facteur-pop3-dovecot.")
        os.chmod(self.top, 0o755)
        self.box = self.top + "/home/mailbox"
        for name in ("home", "run", "state"):
            os.mkdir("%s/%s" % (self.top, name), 0o700)
        self.session = shutil.copy(os.path.join(BUILD, "session"), self.top)
        with open(self.top + "/dovecot.conf", "w") as conf:
            conf.write("base_dir = %s/run\nstate_dir = %s/state\nlog_path = %s/state/log\n"
                       "protocols = pop3\nssl = no\nmail_location = maildir:%s\n"
                       "namespace inbox {\n  inbox = yes\n}\n"
                       % (self.top, self.top, self.top, self.box))
        self.as_user = {}
        if os.geteuid() == 0:
            self.as_user = {"user": USER, "group": USER, "extra_groups": []}
            for name in ("home", "run", "state"):
                os.chown("%s/%s" % (self.top, name), USER, USER)

    def close(self):
        shutil.rmtree(self.top, ignore_errors=True)

    def start(self, server):
        argv = {"dovecot": ["doveadm", "-c", self.top + "/dovecot.conf", "exec", "pop3"],
                "facteur": [self.session, "--pop3", "--maildir", self.box]}[server]
        env = dict(os.environ, HOME=self.top + "/home", USER="u")
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, env=env, cwd=self.top, **self.as_user)

    def talk(self, server, *commands, quit_too=True):
        """The answers, in order, without the greeting."""
        lines = list(commands) + (["QUIT"] if quit_too else [])
        text = "".join(line + "\r\n" for line in lines).encode()
        out = self.start(server).communicate(text, timeout=60)[0]
        answers = []
        rest = out.split(b"\r\n", 1)[1] if server == "facteur" else out  # Dovecot does not greet here
        for command in commands:
            first, rest = rest.split(b"\r\n", 1)
            words = command.split()
            many = words[0] in ("RETR", "TOP") or (words[0] in ("LIST", "UIDL") and len(words) == 1)
            body = None
            if many and first.startswith(b"+OK"):
                body, rest = (b"\r\n" + rest).split(b"\r\n.\r\n", 1)
                body = body[2:]
            answers.append((first, body))
        return answers

    def deliver(self, number, content, sub="new", flags=""):
        if not os.path.isdir(self.box):
            self.talk("facteur", "NOOP")
        name = "%d.M%06dP1.test" % (1700000000 + number, number)
        path = "%s/%s/%s%s" % (self.box, sub, name, ":2," + flags if sub == "cur" else "")
        with open(path, "wb") as out:
            out.write(content)
        if self.as_user:
            os.chown(path, USER, USER)

    def flags(self):
        found = {}
        for sub in ("new", "cur"):
            for name in os.listdir("%s/%s" % (self.box, sub)):
                base, _, flags = name.partition(":2,")
                found[base.split(",")[0]] = flags
        return found


def message(n):
    return b"Subject: message %d\n\n.dot\nline 2\nline 3\n" % n


def with_site(function):
    def test():
        site = Site()
        try:
            function(site)
        finally:
            site.close()
    test.__name__ = function.__name__
    return test


@with_site
def unique_ids_made_by_dovecot(site):
    for n in range(1, 30):
        site.deliver(n, message(n), "cur" if n % 3 else "new", "S" if n % 3 == 1 else "")
    os.unlink(site.box + "/dovecot-uidlist")
    theirs = site.talk("dovecot", "UIDL", "LIST", "DELE 3", "DELE 20")
    tap.same(len(theirs[0][1].splitlines()), 29)
    tap.same(site.talk("facteur", "UIDL", "UIDL 7")[0][1].count(b"\r\n"), 26)
    after = site.talk("dovecot", "UIDL", "UIDL 7", "LIST")
    ours = site.talk("facteur", "UIDL", "UIDL 7", "LIST")
    tap.same(ours[0][1], after[0][1], "UIDL")
    tap.same(ours[1][0].split()[:3], after[1][0].split()[:3], "UIDL 7")
    tap.same(ours[2][1], after[2][1], "LIST")


@with_site
def unique_ids_made_here(site):
    for n in range(1, 30):
        site.deliver(n, message(n))
    ours = site.talk("facteur", "UIDL", "DELE 1", "DELE 29")
    theirs = site.talk("dovecot", "UIDL", "LIST")
    tap.same(theirs[0][1].splitlines()[0].split()[1], ours[0][1].splitlines()[1].split()[1])
    site.deliver(40, message(40))
    ours = site.talk("facteur", "UIDL", "LIST")
    theirs = site.talk("dovecot", "UIDL", "LIST")
    tap.same(ours[0][1], theirs[0][1], "UIDL")
    tap.same(ours[1][1], theirs[1][1], "LIST")
    tap.same(len(ours[0][1].splitlines()), 28)


@with_site
def unique_ids_kept_in_the_uidlist(site):
    """A move from another server leaves its unique-ids in the field P; an empty one is the base name."""
    for n in range(1, 4):
        site.deliver(n, message(n), "cur", "")
    site.talk("dovecot", "UIDL")
    path = site.box + "/dovecot-uidlist"
    with open(path) as f:
        lines = f.read().splitlines()
    lines[1] = lines[1].replace(" :", " Pold-id-1 :")
    lines[3] = lines[3].replace(" :", " P :")
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    for name in os.listdir(site.box):
        if name.startswith(("dovecot.index", "dovecot.list")):
            os.unlink(os.path.join(site.box, name))
    theirs = site.talk("dovecot", "UIDL", "UIDL 1")
    tap.has(theirs[0][1], b"1 old-id-1\r\n")
    ours = site.talk("facteur", "UIDL", "UIDL 1")
    tap.same(ours[0][1], theirs[0][1], "UIDL")
    tap.has(ours[1][0], b"+OK 1 old-id-1")


@with_site
def difficult_messages(site):
    names = sorted(os.listdir(CORPUS))
    for n, name in enumerate(names, 1):
        with open(os.path.join(CORPUS, name), "rb") as f:
            site.deliver(n, f.read())
    commands = ["STAT", "LIST"]
    for n in range(1, len(names) + 1):
        commands += ["RETR %d" % n, "TOP %d 0" % n, "TOP %d 3" % n]
    ours, theirs = site.talk("facteur", *commands), site.talk("dovecot", *commands)
    tap.same(ours[0], theirs[0], "STAT")
    for command, (_, a), (_, b) in zip(commands, ours, theirs):
        words = command.split()
        what = command + (": " + names[int(words[1]) - 1] if len(words) > 1 else "")
        tap.same(a, b, what)


def read_marks(quit_too, rset):
    @with_site
    def test(site):
        left = {}
        for server in ("dovecot", "facteur"):
            for name in ("new", "cur"):
                if os.path.isdir(site.box):
                    for f in os.listdir("%s/%s" % (site.box, name)):
                        os.unlink("%s/%s/%s" % (site.box, name, f))
            for n in range(1, 5):
                site.deliver(n + (100 if server == "facteur" else 0), message(n), "cur", "F")
            commands = ["RETR 1", "TOP 2 5", "RETR 3", "DELE 4"] + (["RSET"] if rset else [])
            site.talk(server, *commands, quit_too=quit_too)
            left[server] = [flags for _, flags in sorted(site.flags().items())]
        tap.same(left["facteur"], left["dovecot"])
    return test


if not shutil.which("doveadm") or not os.path.exists("/usr/lib/dovecot/pop3"):
    print("1..1\nnot ok 1 - Dovecot is there\n# install the Debian package dovecot-pop3d")
    sys.exit(1)
tap.run([
    ("unique-ids made by Dovecot are the same here", unique_ids_made_by_dovecot),
    ("unique-ids made here are the same in Dovecot", unique_ids_made_here),
    ("unique-ids kept in the uidlist", unique_ids_kept_in_the_uidlist),
    ("difficult messages: the same sizes and octets", difficult_messages),
    ("what QUIT leaves behind", read_marks(True, False)),
    ("what QUIT leaves behind after RSET", read_marks(True, True)),
    ("what a broken connection leaves behind", read_marks(False, False)),
])
