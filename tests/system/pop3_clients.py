#!/usr/bin/env python3
"""POP3 with real clients over the whole: fetchmail, curl, poplib; and a session killed inside QUIT."""
import os
import poplib
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402


def call(*command, env=None):
    """The output of a command that must end well."""
    done = subprocess.run(command, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                          env=dict(os.environ, **(env or {})))
    if done.returncode != 0:
        raise AssertionError("%s ended with %d:\n%s" % (command[0], done.returncode,
                                                        (done.stdout + done.stderr).decode()))
    return done.stdout.decode()


def main(mail):
    home = mail.dir + "/client"
    os.mkdir(home)

    def fill(address, user, subjects):
        before = len(mail.maildir(user))
        for subject in subjects:
            mail.deliver(address, "From: x@remote.example\r\nSubject: %s\r\n\r\n.dot\r\nend\r\n" % subject)
        tap.wait_for(lambda: len(mail.maildir(user)) == before + len(subjects))

    def login(user):
        client = poplib.POP3_SSL("localhost", mail.ports["pop3s"], timeout=30, context=mail.tls())
        client.user(user)
        client.pass_(user + "-secret")
        return client

    def with_poplib():
        fill("amelie@example.com", "amelie", ["one", "two", "three"])
        client = poplib.POP3("localhost", mail.ports["pop3"], timeout=30)
        tap.true("STLS" in client.capa(), "STLS is offered")
        client.stls(mail.tls())
        client.utf8()
        client.user("amelie@example.com")
        client.pass_("amelie-secret")
        count, octets = client.stat()
        tap.same(count, 3)
        tap.same(octets, sum(int(line.split()[1]) for line in client.list()[1]))
        response, lines, size = client.retr(2)
        tap.true(b"Subject: two" in lines and b".dot" in lines, "the message")
        tap.same(int(response.split()[1]), sum(len(line) + 2 for line in lines), "octets sent")
        tap.same(client.top(3, 1)[1][-1], b".dot")
        ids = [line.split()[1] for line in client.uidl()[1]]
        client.dele(1)
        client.quit()
        client = login("amelie")
        tap.same([line.split()[1] for line in client.uidl()[1]], ids[1:], "unique-ids stay")
        client.quit()
        tap.same(len(mail.maildir("amelie")), 2)
        tap.has(mail.log(), "pop3-end")

    def with_curl():
        fill("bruno@example.net", "bruno", ["by curl"])
        base = ["curl", "-sS", "--cacert", mail.ca]
        url = "localhost:%d/" % mail.ports["pop3s"]
        tap.has(call(*base, "--user", "bruno:bruno-secret", "pop3s://" + url), "1 ")
        tap.has(call(*base, "--user", "bruno:bruno-secret", "pop3s://" + url + "1"), "Subject: by curl")
        url = "localhost:%d/1" % mail.ports["pop3"]
        tap.has(call(*base, "--ssl-reqd", "--login-options", "AUTH=PLAIN", "--user",
                     "bruno:bruno-secret", "pop3://" + url), "Subject: by curl")
        call(*base, "--ssl-reqd", "--user", "bruno:bruno-secret", "-X", "DELE", "-l", "pop3://" + url)
        tap.same(len(mail.maildir("bruno")), 0, "messages left")

    def with_fetchmail():
        fill("chloe@example.net", "chloe", ["first", "second"])
        config, target = home + "/fetchmailrc", home + "/fetched"

        def fetch(how):
            with open(config, "w") as out:
                out.write('poll localhost protocol pop3 port %d uidl\n'
                          '  user "chloe" password "chloe-secret" ssl sslproto "TLS1.2+" sslcertck '
                          'sslcertfile "%s"\n  %s mda "cat >>%s"\n'
                          % (mail.ports["pop3s"], mail.ca, how, target))
            os.chmod(config, 0o600)
            done = subprocess.run(["fetchmail", "-f", config, "--pidfile", home + "/pid", "--idfile",
                                   home + "/ids"], capture_output=True, text=True, timeout=60,
                                  env=dict(os.environ, HOME=home, LC_ALL="C.UTF-8"))
            return done.returncode, done.stdout + done.stderr
        tap.same(fetch("keep")[0], 0, "the first run")
        tap.same(open(target).read().count("Subject: "), 2)
        tap.same(fetch("keep")[0], 1, "nothing is fetched twice")
        fill("chloe@example.net", "chloe", ["third"])
        tap.same(fetch("no keep fetchall")[0], 0, "the run that deletes")
        tap.same(open(target).read().count("Subject: third"), 1)
        tap.same(len(mail.maildir("chloe")), 0, "messages left")

    def put(user, count):
        """Many messages, without waiting for their delivery."""
        box = os.path.join(mail.vmail, user, "mailbox")
        owner = os.stat(box)
        for n in range(count):
            path = "%s/new/%d.M%06dP9.bulk" % (box, int(time.time()), n)
            with open(path, "w") as out:
                out.write("Subject: %d\n\nx\n" % n)
            os.chown(path, owner.st_uid, owner.st_gid)

    def killed_inside_quit():
        kept = []
        for wait in (0.0, 0.002, 0.005, 0.01, 0.02):
            put("bruno", 1500)
            client = login("bruno")
            count = client.stat()[0]
            session, = mail.sessions()
            before = {os.path.basename(p).split(":")[0].split(",")[0]: open(p).read()
                      for p in mail.maildir("bruno")}
            for n in range(1, count + 1):
                client._putcmd("DELE %d" % n)
            for n in range(count):
                client._getresp()
            client._putcmd("QUIT")
            threading.Timer(wait, os.kill, (session, 9)).start()
            try:
                answer = client._getresp()
            except (poplib.error_proto, OSError):
                answer = None
            client.close()
            tap.wait_for(lambda: not mail.sessions())
            left = mail.maildir("bruno")
            kept.append(len(left))
            for path in left:
                tap.same(open(path).read(), before[os.path.basename(path).split(":")[0].split(",")[0]])
            if answer:
                tap.same(len(left), 0, "messages left after +OK")
            client = login("bruno")
            tap.same(client.stat()[0], len(left), "the next session sees what is left")
            for n in range(1, len(left) + 1):
                client.dele(n)
            client.quit()
            tap.same(len(mail.maildir("bruno")), 0)
        print("# messages left after each kill: %s" % kept)
        tap.true(any(kept), "no kill came before the end of QUIT")

    return [
        ("poplib: STLS, UTF8, LIST, RETR, TOP, UIDL, DELE", with_poplib),
        ("curl: POP3S, STLS with AUTH PLAIN, DELE", with_curl),
        ("fetchmail: with and without keep", with_fetchmail),
        ("kill -9 inside QUIT: each message is there or gone", killed_inside_quit),
    ]


with Instance() as instance:
    tap.run(main(instance))
