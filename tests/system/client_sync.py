#!/usr/bin/env python3
"""Real mail programs synchronise a mailbox of 2,000 messages with a whole Facteur over IMAPS: mbsync and
offlineimap in both directions with flags, fetchmail, mutt and curl all of the mail. TAP.

FACTEUR_SYNC_COUNT chooses another number of messages."""
import collections
import glob
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402

COUNT = int(os.environ.get("FACTEUR_SYNC_COUNT", "2000"))

MBSYNC = """IMAPAccount facteur
Host localhost
Port {port}
User amelie
Pass amelie-secret
SSLType IMAPS
CertificateFile {ca}

IMAPStore far
Account facteur

MaildirStore near
Path {near}/
Inbox {near}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
"""

OFFLINEIMAP = """[general]
accounts = a
metadata = {home}/offlineimap
socktimeout = 60
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {near}
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {port}
remoteuser = amelie
remotepass = amelie-secret
ssl = yes
sslcacertfile = {ca}
maxconnections = 2
"""

FETCHMAIL = """poll localhost protocol imap port {port}
  user "amelie" password "amelie-secret" ssl sslproto "TLS1.2+" sslcertck sslcertfile "{ca}"
  keep fetchall bsmtp "{home}/fetched"
"""

MUTT = """set ssl_force_tls=yes ssl_ca_certificates_file={ca} certificate_file={ca}
set imap_user=amelie imap_pass=amelie-secret
set folder="imaps://localhost:{port}/" spoolfile="imaps://localhost:{port}/INBOX"
set header_cache={home}/headers message_cachedir={home}/bodies mbox_type=mbox
set confirmappend=no confirmcreate=no quit=yes mark_old=no wait_key=no sleep_time=0 delete=no
push "<tag-pattern>~A<enter><tag-prefix><copy-message>{home}/copied<enter><quit>"
"""


def text(number):
    """A message as it lies in the maildir; every kind of part now and then."""
    head = ("From: =?utf-8?Q?Zo=C3=AB_{0}?= <p{0}@example.org>\nTo: amelie@example.com\n"
            "Subject: number {0}\nDate: Tue, 21 Nov 2023 10:{1:02}:00 +0000\n"
            "Message-ID: <{0}@sync.example>\nMIME-Version: 1.0\n").format(number, number % 60)
    body = "Body {0}\n.\n..\nFrom here\n".format(number) + "caf\u00e9 and a line of text\n" * (number % 50)
    if number % 5 == 0:
        return (head + 'Content-Type: multipart/mixed; boundary="b"\n\n--b\n'
                "Content-Type: text/plain; charset=utf-8\n\n" + body +
                "--b\nContent-Type: message/rfc822\n\nSubject: inner\n\ninner\n--b--\n").encode()
    return (head + "Content-Type: text/plain; charset=utf-8\n\n" + body).encode()


def files(directory):
    return [p for sub in ("cur", "new") for p in glob.glob("%s/%s/*" % (glob.escape(directory), sub))]


def content(path):
    with open(path, "rb") as f:
        return re.sub(rb"^X-(TUID|OfflineIMAP): .*\r?\n", b"", f.read().replace(b"\r\n", b"\n"), flags=re.M)


def by_id(directory):
    """{Message-ID: [path]}"""
    found = collections.defaultdict(list)
    for path in files(directory):
        found[re.search(rb"^Message-ID: <(.*?)>", content(path), re.M).group(1).decode()].append(path)
    return found


def flags(path):
    return path.rpartition(":2,")[2] if ":2," in path else ""


def mark(path, letters):
    directory, name = os.path.split(os.path.dirname(path))[0], os.path.basename(path).split(":2,")[0]
    os.rename(path, "%s/cur/%s:2,%s" % (directory, name, letters))


class Site:
    def __init__(self, mail):
        self.mail = mail
        mail.imap("amelie").logout()  # makes the home
        self.box = os.path.join(mail.vmail, "amelie", "mailbox")

    def fill(self, count):
        """Exactly the first count messages, unread, as new mail."""
        owner = os.stat(self.box)
        for path in files(self.box):
            os.unlink(path)
        for number in range(count):
            path = "%s/new/17%08d.M%dP1.sync" % (self.box, number, number)
            with open(path, "wb") as f:
                f.write(text(number))
            os.chown(path, owner.st_uid, owner.st_gid)
            os.chmod(path, 0o600)

    def home(self, name, **more):
        home = os.path.join(self.mail.dir, name)
        os.mkdir(home)
        return home, dict(home=home, port=self.mail.ports["imaps"], ca=self.mail.ca, **more)

    def run(self, home, *command, timeout=300):
        env = dict(os.environ, HOME=home, LC_ALL="C.UTF-8", TERM="xterm", COLUMNS="100", LINES="40")
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, env=env)
        if done.returncode != 0:
            raise AssertionError("%s ended with %d: %s" % (
                command[0], done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")[-2000:]))

    def same(self, near, what):
        there, here = by_id(self.box), by_id(near)
        tap.same(len(here), len(there), what + ": messages")
        for name, paths in there.items():
            tap.same(len(here[name]), 1, what + ": copies of " + name)
            tap.same(content(here[name][0]), content(paths[0]), what + ": bytes of " + name)
            tap.same(sorted(flags(here[name][0])), sorted(flags(paths[0])), what + ": flags of " + name)


def both_ways(site, near, sync):
    """All of it, then changes on both sides, then all of it again."""
    site.fill(COUNT)
    sync()
    site.same(near, "first")
    here, there = by_id(near), by_id(site.box)
    tap.same(len(here), COUNT, "messages")
    for number in range(0, COUNT, 20):
        mark(here["%d@sync.example" % number][0], "FS")
        mark(there["%d@sync.example" % (number + 1)][0], "RS")
        os.unlink(here["%d@sync.example" % (number + 2)][0])
        os.unlink(there["%d@sync.example" % (number + 3)][0])
    with open(near + "/new/1800000000.1.near", "wb") as f:
        f.write(b"Subject: written here\nMessage-ID: <here@sync.example>\n\nhello\n")
    site.mail.deliver("amelie@example.com", "Subject: from outside\r\nMessage-ID: <out@sync.example>\r\n\r\nx\r\n")
    sync()
    sync()
    site.same(near, "second")
    there = by_id(site.box)
    tap.same(len(there), COUNT - 2 * len(range(0, COUNT, 20)) + 2, "messages after changes")
    tap.same(flags(there["0@sync.example"][0]), "FS", "flags up")
    tap.same(flags(by_id(near)["1@sync.example"][0]), "RS", "flags down")


def main(mail):
    site = Site(mail)

    def mbsync():
        home, values = site.home("mbsync", near=mail.dir + "/mbsync/mail")
        os.mkdir(values["near"])
        with open(home + "/rc", "w") as out:
            out.write(MBSYNC.format(**values))
        both_ways(site, values["near"] + "/INBOX", lambda: site.run(home, "mbsync", "-c", home + "/rc", "-a"))

    def offlineimap():
        home, values = site.home("offlineimap", near=mail.dir + "/offlineimap/mail")
        with open(home + "/rc", "w") as out:
            out.write(OFFLINEIMAP.format(**values))
        both_ways(site, values["near"] + "/INBOX",
                  lambda: site.run(home, "offlineimap", "-o", "-u", "basic", "-c", home + "/rc"))

    def fetchmail():
        home, values = site.home("fetchmail")
        site.fill(COUNT)
        with open(home + "/rc", "w") as out:
            out.write(FETCHMAIL.format(**values))
        os.chmod(home + "/rc", 0o600)
        site.run(home, "fetchmail", "-f", home + "/rc", "--pidfile", home + "/pid", "--idfile", home + "/ids")
        with open(home + "/fetched", "rb") as f:
            got = f.read()
        for number in range(COUNT):
            tap.true(b"Message-ID: <%d@sync.example>" % number in got, "message %d" % number)
        tap.same(len(re.findall(rb"^Body \d+\r?$", got, re.M)), COUNT, "bodies")
        tap.true(all("S" in flags(p) for p in files(site.box)), "all are read now")

    def mutt():
        home, values = site.home("mutt")
        site.fill(COUNT)
        for name in ("headers", "bodies"):
            os.mkdir("%s/%s" % (home, name))
        with open(home + "/rc", "w") as out:
            out.write(MUTT.format(**values))
        for turn in (1, 2):  # the second time from its caches, which it asks the server about
            site.run(home, "script", "-qec", "mutt -n -F %s/rc" % home, "/dev/null")
            with open(home + "/copied", "rb") as f:
                got = f.read()
            tap.same(len(set(re.findall(rb"^Message-ID: <(\d+)@sync", got, re.M))), COUNT, "different ones")
            tap.same(len(re.findall(rb"^Body \d+$", got, re.M)), COUNT * turn, "bodies")

    def curl():
        home, values = site.home("curl")
        site.fill(COUNT)
        site.run(home, "curl", "-sS", "--cacert", mail.ca, "--user", "amelie:amelie-secret", "-o", home + "/#1",
                 "imaps://localhost:%d/INBOX;MAILINDEX=[1-%d]" % (values["port"], COUNT))
        got = sorted(content(p) for p in glob.glob(home + "/*"))
        tap.same(len(got), COUNT, "files")
        tap.true(got == sorted(text(n) for n in range(COUNT)), "their bytes")

    return [
        ("mbsync, both ways with flags", mbsync),
        ("offlineimap, both ways with flags", offlineimap),
        ("fetchmail takes all", fetchmail),
        ("mutt copies all, with caches", mutt),
        ("curl reads each", curl),
    ]


if __name__ == "__main__":
    with Instance() as instance:
        failed = tap.run(main(instance))
    sys.exit(failed > 0)
