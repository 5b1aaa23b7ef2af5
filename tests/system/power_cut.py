#!/usr/bin/env python3
"""The power goes under mailboxes on a real file system with a journal, again and again while mail comes in: what
the kernel had not written is gone, and the journal says what is left. What was acknowledged is there afterwards,
whole. (crashpoints.py cuts at each call by a model of the disk; here the disk is one.)

It wants root, and a loop device in a mount namespace of its own."""
import fcntl
import os
import signal
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from day import ADDRESS, TOKEN, TROUBLE, USERS, message, whole  # noqa: E402
from instance import Instance  # noqa: E402

INSIDE = "FACTEUR_POWER_CUT_INSIDE"
CUTS = int(os.environ.get("CUTS", "3"))
SENDERS = 6
SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
NO_LAST_WRITES = struct.pack("I", 2)


class Disk:
    def __init__(self, image, path):
        self.image, self.path = image, path

    def make(self):
        """What hinders it, or None."""
        with open(self.image, "wb") as image:
            image.truncate(256 << 20)
        for command in (["mkfs.ext4", "-q", "-F", "-O", "has_journal", self.image], self.mounting()):
            try:
                done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
            except FileNotFoundError as e:
                return str(e)
            if done.returncode != 0:
                return "%s: %s" % (command[0], done.stderr.strip())
        return None

    def mounting(self):
        return ["mount", "-o", "loop", self.image, self.path]

    def cut(self):
        # A new one each time: ext4 writes early what takes the place of older content.
        self.unsynced = "%s/unsynced-%s" % (self.path, os.urandom(4).hex())
        with open(self.unsynced, "w") as file:
            file.write("x" * 5000)
        fd = os.open(self.path, os.O_RDONLY)
        fcntl.ioctl(fd, SHUTDOWN, NO_LAST_WRITES)
        os.close(fd)

    def unmount(self):
        def done():
            return subprocess.run(["umount", self.path], stderr=subprocess.DEVNULL).returncode == 0
        tap.wait_for(done, 60, "something is open on the disk")

    def power(self):
        self.unmount()
        subprocess.run(self.mounting(), check=True)
        tap.true(not os.path.exists(self.unsynced) or os.path.getsize(self.unsynced) == 0,
                 "what was never synced is there: this was no power cut")


class Sender(threading.Thread):
    """One message after the other until the disk is gone."""

    def __init__(self, mail, number):
        super().__init__(daemon=True)
        self.mail, self.number, self.promised, self.over = mail, number, [], False

    def run(self):
        count = 0
        while not self.over:
            try:
                with self.mail.smtp() as client:
                    while not self.over:
                        count += 1
                        user, token = USERS[count % 3], "cut-%d-%d-%s" % (self.number, count, os.urandom(4).hex())
                        client.sendmail("a@remote.example", [ADDRESS[user]], message(token, 1 + count * 7 % 300))
                        self.promised.append((user, token))
            except TROUBLE:
                pass


def found(mail):
    """{(user, token)} of the messages that are there and whole."""
    tokens = set()
    for user in USERS:
        for path in mail.maildir(user):
            with open(path, "rb") as file:
                raw = file.read()
            token = TOKEN.search(raw)
            if token and whole(raw):
                tokens.add((user, token.group(1).decode()))
    return tokens


def stop_all(mail):
    mail.stop(signal.SIGKILL)


def cut(mail, disk, promised):
    senders = [Sender(mail, n) for n in range(SENDERS)]
    for sender in senders:
        sender.start()
    tap.wait_for(lambda: sum(len(s.promised) for s in senders) > 150, 120, "no mail is taken")
    disk.cut()
    before = [len(s.promised) for s in senders]
    for sender in senders:
        sender.over = True
    stop_all(mail)
    for sender in senders:
        sender.join()
        promised += sender.promised
    disk.power()
    mail.start()
    tap.wait_for(lambda: not set(promised) - found(mail), 120,
                 "promised and not there: %s; %s before the cut"
                 % (sorted(set(promised) - found(mail))[:5], before))


def main():
    with Instance() as mail:
        disk = Disk(mail.dir + "/disk.img", mail.vmail)
        mail.stop()
        why = disk.make()
        if why:
            print("1..0 # SKIP no loop-mounted ext4 here: %s" % why)
            return 0
        os.chmod(mail.vmail, 0o751)
        mail.start()
        promised = []
        try:
            return tap.run([("all that was promised is there after power cut %d" % n,
                             lambda: cut(mail, disk, promised)) for n in range(1, CUTS + 1)])
        finally:
            stop_all(mail)
            disk.unmount()


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP it wants root")
        sys.exit(0)
    if INSIDE not in os.environ:
        os.execvpe("unshare", ["unshare", "--mount", sys.executable, os.path.abspath(__file__)],
                   {**os.environ, INSIDE: "1"})
    sys.exit(main())
