#!/usr/bin/env python3
"""The life of the real programs under the real master: each killed and back, a good and a bad
reload, and an end that leaves nothing."""
import json
import os
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import BUILD, Instance  # noqa: E402

PROGRAMS = ("directory", "queue", "deliver", "session", "smtp", "access", "relay", "filter")


def main(mail):
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
        tap.same({line["state"] for line in lines if line["what"] != "port"}, {"running", "ready"})
        tap.same({line["what"] for line in lines}, set(PROGRAMS) | {"facteurd", "port"})
        tap.same(facteur("check").returncode, 0)
        works("first")

    def killed(program):
        def test():
            before = child(program)
            os.kill(before["pid"], signal.SIGKILL)
            tap.wait_for(lambda: child(program)["state"] == "ready" and
                         child(program)["pid"] != before["pid"], 20)
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

    def end():
        pids = [pid for program in PROGRAMS for pid in mail.pids(program)]
        tap.same(facteur("stop").returncode, 0)
        tap.same(mail.master.wait(10), 0)
        tap.true("child-ended" not in mail.log().rpartition(" stop asked=")[2], "all ended well")
        for pid in pids:
            tap.true(not os.path.exists("/proc/%d" % pid), "a program lives on")
        tap.same(sorted(os.listdir(mail.dir + "/run")), ["empty"])
        mail.start()
        works("started-again")

    return [("all is ready", all_is_ready)] + \
        [("kill -9 of %s, and it works again" % p, killed(p)) for p in PROGRAMS] + \
        [("a reload changes what is said, and no session notices", good_reload),
         ("a bad table changes nothing", bad_table),
         ("the end leaves nothing, and a new start finds all", end)]


with Instance() as instance:
    failed = tap.run(main(instance))
sys.exit(failed > 0)
