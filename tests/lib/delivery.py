"""The real deliver and queue programs under a test master (tests/lib/ipc/delivclient.c).

    with Delivery(real=False) as d:          # single_uid; real=True needs root
        d.start("deliver"); d.start("queue")
        d.mailbox("a@x.example")
        d.deliver("a@x.example", body) -> ("yes", "")
"""
import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading

BUILD = os.environ.get("FACTEUR_BUILDDIR", ".")
FIRST_UID = 54320  # the queue's; owners of mailboxes have the next ones


def word(text):
    """One word of a command: every byte that is not plain as %XX."""
    data = text if isinstance(text, bytes) else str(text).encode()
    if not data:
        return "-"
    return "".join(chr(c) if c < 128 and (chr(c).isalnum() or chr(c) in "/.@_:=+,<>")
                   else "%%%02X" % c for c in data)


class Delivery:
    def __init__(self, real=False, conf=(), queue_directory=None):
        self.real, self.process = real, None
        self.dir = tempfile.mkdtemp(prefix="delivery-")
        os.chmod(self.dir, 0o755)
        self.base = self.dir + "/vmail"
        self.queue = queue_directory or self.dir + "/queue"
        self.uid = FIRST_UID if os.getuid() == 0 else os.getuid()
        self.gid = FIRST_UID if os.getuid() == 0 else os.getgid()
        self.bin = self.dir + "/bin" # where every uid may run them
        os.mkdir(self.bin)
        for name in ("deliver", "queue", "delivclient"):
            shutil.copy(os.path.join(BUILD, name), self.bin)
        for path in (self.base, self.queue, self.dir + "/files"):
            os.makedirs(path, exist_ok=True)
        os.chmod(self.base, 0o755)
        os.chmod(self.queue, 0o700)
        if os.getuid() == 0:
            os.chown(self.queue, self.uid, self.gid)
            if not real:
                os.chown(self.base, self.uid, self.gid)
        self.conf = dict(virtual_mailbox_base=self.base, queue_directory=self.queue,
                         single_uid="no" if real else "yes", minimal_backoff_time="1",
                         maximal_backoff_time="4", virtual_minimum_uid="50000",
                         message_size_limit="20971520")
        self.conf.update(conf)
        self.lines, self.tagged, self.tags = queue.Queue(), {}, 0
        self.arrived = threading.Condition()
        self.pids, self.files, self.log_lines = {}, 0, []

    def __enter__(self):
        drop = {} if self.real or os.getuid() != 0 else dict(user=self.uid, group=self.gid,
                                                             extra_groups=[])
        # A crash of a sanitized program must be seen; leaks cannot be looked for in a process that
        # nobody may trace.
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0:abort_on_error=1")
        self.process = subprocess.Popen([self.bin + "/delivclient"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=env, **drop)
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._read_log, daemon=True).start()
        for name, value in self.conf.items():
            self.command("conf", name, value)
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.stdin.close()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _read_log(self):
        for line in self.process.stderr:
            self.log_lines.append(line.decode("utf-8", "replace"))

    def _read(self):
        for line in self.process.stdout:
            line = line.decode("utf-8", "replace").rstrip("\n")
            first, _, rest = line.partition(" ")
            if re.fullmatch(r"t\d+", first):
                with self.arrived:
                    self.tagged[first] = tuple((rest + " ").split(" ", 1))
                    self.arrived.notify_all()
            else:
                self.lines.put(line)

    # --- commands ---

    def send(self, *words):
        self.process.stdin.write((" ".join(word(w) for w in words) + "\n").encode())
        self.process.stdin.flush()

    def command(self, *words):
        self.send(*words)
        return self.lines.get(timeout=60)

    def begin(self, name, *words):
        """Sends a command that is answered later; wait(tag) gives (verdict, text)."""
        self.tags += 1
        tag = "t%d" % self.tags
        self.send(name, tag, *words)
        return tag

    def wait(self, tag, seconds=40):
        with self.arrived:
            if not self.arrived.wait_for(lambda: tag in self.tagged, seconds):
                raise AssertionError("no answer to %s\n%s" % (tag, self.log()[-3000:]))
            verdict, text = self.tagged.pop(tag)
            return verdict, text.strip()

    def done(self, tag):
        with self.arrived:
            return tag in self.tagged

    # --- programs ---

    def start(self, name, index=0):
        uid = self.uid if self.real and name == "queue" else 0
        gid = self.gid if self.real and name == "queue" else 0
        answer = self.command("start", name, index, self.bin + "/" + name, uid, gid)
        kind, _, rest = answer.partition(" ")
        if kind == "started":
            self.pids[name, index] = int(rest.split()[1])
        return answer

    def kill(self, name, index=0, number=signal.SIGKILL):
        self.command("kill", name, index, int(number))
        return self.reap(name, index)

    def reap(self, name, index=0):
        return int(self.command("reap", name, index).split()[2])

    def status(self, name="queue", index=0):
        text = self.command("status", name, index)
        return dict(pair.split("=", 1) for pair in text.split()[2:])

    def log(self):
        return "".join(self.log_lines)

    # --- mailboxes ---

    def owner(self, number):
        return (FIRST_UID + 1 + number, FIRST_UID + 101 + number) if self.real else (self.uid,
                                                                                     self.gid)

    def mailbox(self, address, number=0, home=None, maildir=None, limit=0, uid=None, gid=None):
        owner = self.owner(number)
        home = home or self.home(address)
        self.command("mailbox", address, owner[0] if uid is None else uid,
                     owner[1] if gid is None else gid, home, maildir or home + "/mailbox/", limit)
        return home

    def home(self, address):
        user, _, domain = address.partition("@")
        return "%s/%s/%s" % (self.base, domain, user)

    def new(self, address):
        """The messages in new/, by name."""
        return self.read(self.home(address) + "/mailbox/new")

    def read(self, directory):
        found = {}
        if os.path.isdir(directory):
            for name in sorted(os.listdir(directory)):
                with open(directory + "/" + name, "rb") as file:
                    found[name] = file.read()
        return found

    # --- messages ---

    def file(self, data):
        self.files += 1
        path = "%s/files/%d" % (self.dir, self.files)
        with open(path, "wb") as out:
            out.write(data)
        return path

    def begin_deliver(self, address, data, sender="from@remote.example", original=None, size=None,
                      file=None):
        return self.begin("deliver", address, sender, address if original is None else original,
                          file or self.file(data), len(data) if size is None else size)

    def deliver(self, *arguments, **options):
        return self.wait(self.begin_deliver(*arguments, **options))

    def probe(self, address, size=1000):
        return self.wait(self.begin("probe", address, size))

    def begin_enqueue(self, addresses, data, sender="from@remote.example", now=False, size=None,
                      file=None, remote=False):
        return self.begin("enqueue", file or self.file(data), len(data) if size is None else size,
                          sender, (1 if now else 0) + (2 if remote else 0), *addresses)

    def enqueue(self, *arguments, **options):
        return self.wait(self.begin_enqueue(*arguments, **options))

    def queued_files(self):
        return sorted(os.listdir(self.queue + "/messages"))
