#!/usr/bin/env python3
"""The life of the real programs under the real master: each killed and back, a good and a bad
reload, and an end that leaves nothing."""
import json
import os
import poplib
import re
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import BUILD, Instance  # noqa: E402
from watch import lives  # noqa: E402

PROGRAMS = ("directory", "queue", "deliver", "session", "smtp", "access", "relay", "filter")


def main(mail):
    def maildrop(user):
        client = poplib.POP3_SSL("localhost", mail.ports["pop3s"], context=mail.tls(), timeout=30)
        client.user(user)
        client.pass_(user + "-secret")
        return client

    def status():
        return json.loads(mail.facteur("status", "--json"))

    def child(program, index=0):
        return next(line for line in status() if line["what"] == program and line["index"] == index)

    def works(text):
        mail.deliver("amelie@example.com", "Subject: %s\r\n\r\nx\r\n" % text)
        client = mail.imap("amelie")
        client.select()
        found = client.search(None, "SUBJECT", text)[1][0].split()
        client.logout()
        tap.same(len(found), 1, "messages of that subject")

    def facteur(*arguments):
        return subprocess.run([os.path.join(BUILD, "facteur"), "-c", mail.conf, *arguments],
                              capture_output=True, text=True)

    def all_is_ready():
        lines = status()
        tap.same({line["state"] for line in lines if line["what"] not in ("port", "ldap-server")},
                 {"running", "ready"})
        tap.same({line["what"] for line in lines}, set(PROGRAMS) | {"facteurd", "port", "ldap-server"})
        tap.same(facteur("check").returncode, 0)
        works("first")

    def killed(program):
        def test():
            before = child(program)
            os.kill(before["pid"], signal.SIGKILL)
            tap.wait_for(lambda: child(program)["state"] == "ready" and
                         child(program)["pid"] != before["pid"], 60)
            works("after-" + program)
        return test

    def good_reload():
        client = mail.imap("amelie")
        client.select()
        mail.options["smtpd_banner"] = "$myhostname reloaded"
        mail.reload()
        with socket.create_connection(("127.0.0.1", mail.ports["smtp"]), 20) as smtp:
            tap.has(smtp.makefile().readline(), "mail.example.org reloaded")
        tap.same(client.noop()[0], "OK", "a session from before")
        client.logout()
        works("reloaded")

    def bad_table():
        table = mail.dir + "/ldap/virtual_alias_maps.cf"
        with open(table) as text:
            before = text.read()
        with open(table, "a") as out:
            out.write("nonsense = 1\n")
        done = facteur("reload")
        tap.same(done.returncode, 1)
        tap.has(done.stderr, "virtual_alias_maps.cf")
        works("bad-table")
        os.kill(child("directory")["pid"], signal.SIGKILL)
        tap.wait_for(lambda: child("directory")["state"] == "ready" and
                     child("directory")["restarts"] >= 2, 20)
        works("directory-back-with-the-old-table")
        with open(table, "w") as out:
            out.write(before)
        tap.same(facteur("reload").returncode, 0)

    def one_id():
        """All that is logged of a client can be found by the id of its connection."""
        for client, end in ((mail.imap("bruno"), "imap-end"), (maildrop("bruno"), "pop3-end")):
            if end == "pop3-end":
                client.quit()
            else:
                client.logout()
            last = end + r" session=(\w+) user=bruno client=127\.0\.0\.1 "
            found = tap.wait_for(lambda: re.findall(last, mail.log()), 30, "no such line")
            about = [re.search(r"(\S+) session=" + found[-1], line) for line in mail.log().splitlines()]
            tap.same({m.group(1) for m in about if m} - {"disconnect"}, {"connect", "tls", "login", "session", end})

    def lose_parent():
        """The session program dies, and another one is there."""
        before = child("session")["pid"]
        os.kill(before, signal.SIGKILL)
        tap.wait_for(lambda: child("session")["state"] == "ready" and child("session")["pid"] != before, 60)

    def orphans():
        """Sessions outlive their parent; they are counted until they end, and their user's number with them."""
        def count():
            return next(line for line in status() if line["what"] == "facteurd")["sessions"]
        tap.wait_for(lambda: count() == 0, 30)
        first, second = mail.imap("amelie"), mail.imap("bruno")
        first.select()
        lose_parent()
        tap.same(count(), 2, "sessions without a parent")
        tap.same(first.search(None, "ALL")[0], "OK", "a session without its parent")
        third = mail.imap("amelie")
        tap.same(count(), 3, "sessions of both parents")
        second.logout()
        tap.wait_for(lambda: count() == 2, 20, "a session that ended is still counted")
        first.logout()
        third.logout()
        tap.wait_for(lambda: count() == 0, 20, "sessions that ended are still counted")

    def secure(port):
        raw = socket.create_connection(("127.0.0.1", mail.ports[port]), 30)
        return mail.tls().wrap_socket(raw, server_hostname="localhost").makefile("rwb")

    def goodbyes():
        """Whoever is connected hears why it ends, sessions whose parent died too."""
        orphan = mail.imap("chloe")
        lose_parent()
        quiet, idle, imap, pop3 = mail.imap("amelie"), mail.imap("bruno"), secure("imaps"), secure("pop3s")
        quiet.select()
        idle.select()
        idle.send(b"i IDLE\r\n")
        tap.true(idle.readline().startswith(b"+"), "IDLE")
        tap.has(imap.readline().decode(), "* OK")
        tap.has(pop3.readline().decode(), "+OK")
        works("kept")
        drop = maildrop("amelie")
        there = drop.stat()[0]
        drop.dele(there)
        tap.same(facteur("stop").returncode, 0)
        for client in (orphan, quiet, idle):
            tap.has(client.readline().decode(), "* BYE [UNAVAILABLE]")
            tap.same(client.readline(), b"", "after BYE")
        tap.same(imap.read(), b"* BYE The server is going down, try again later\r\n")
        tap.same(pop3.read(), b"-ERR The server is going down, try again later\r\n")
        tap.same(drop.file.read(), b"-ERR [SYS/TEMP] The server is going down, try again later\r\n")
        tap.same(mail.master.wait(20), 0)
        mail.start()
        tap.same(maildrop("amelie").stat()[0], there, "a deletion without QUIT")

    def end():
        pids = [pid for program in PROGRAMS for pid in mail.pids(program)]
        tap.same(facteur("stop").returncode, 0)
        tap.same(mail.master.wait(10), 0)
        tap.true("child-ended" not in mail.log().rpartition(" stop asked=")[2], "all ended well")
        for pid in pids:
            tap.true(not lives(pid), "a program lives on")
        tap.same(sorted(os.listdir(mail.dir + "/run")), ["empty"])
        mail.start()
        works("started-again")

    return [("all is ready", all_is_ready)] + \
        [("kill -9 of %s, and it works again" % p, killed(p)) for p in PROGRAMS] + \
        [("a reload changes what is said, and no session notices", good_reload),
         ("a bad table changes nothing", bad_table),
         ("a client's lines in the log have one id", one_id),
         ("sessions whose parent died live on and are counted", orphans),
         ("a stop says goodbye to all", goodbyes),
         ("the end leaves nothing, and a new start finds all", end)]


with Instance() as instance:
    failed = tap.run(main(instance))
sys.exit(failed > 0)
