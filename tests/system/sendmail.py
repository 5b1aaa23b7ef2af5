#!/usr/bin/env python3
"""The sendmail program as cron, PHP, mail(1) and scripts call it."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import BUILD, Instance  # noqa: E402

BRUNO = "bruno@example.net"


def main(mail):
    program = os.path.join(BUILD, "sendmail")
    env = dict(os.environ, FACTEUR_SMTP="127.0.0.1:%d" % mail.ports["smtp"])

    def sendmail(*arguments, text="", status=0, **more):
        done = subprocess.run([program, *arguments], input=text, capture_output=True, text=True,
                              env=env, timeout=60, **more)
        tap.same(done.returncode, status, done.stderr)
        return done

    def mails(subject, user="bruno"):
        return [m for m in mail.messages(user) if "Subject: " + subject in m]

    def one(subject, user="bruno"):
        found = mails(subject, user)
        tap.same(len(found), 1, "copies of " + subject)
        return found[0]

    def plain():
        sendmail("-i", "-f", "amelie@example.com", BRUNO,
                 text="Subject: plain\n\nfirst\n.\n..two\nlast without an end")
        got = one("plain")
        tap.has(got, "Return-Path: <amelie@example.com>")
        tap.has(got, "\n\nfirst\n.\n..two\nlast without an end\n")
        for field in ("From: ", "Date: ", "Message-ID: <"):
            tap.same(got.count("\n" + field), 1, field)
        tap.has(got, "<amelie@example.com>\n")

    def dot_ends():
        sendmail(BRUNO, text="Subject: dot ends\n\nseen\n.\nunseen\n")
        tap.true("unseen" not in one("dot ends"), "it went on")

    def default_sender():
        sendmail(BRUNO, text="Subject: by default\n\nx\n")
        import pwd
        tap.has(one("by default"), "Return-Path: <%s@mail.example.org>"
                % pwd.getpwuid(os.getuid()).pw_name)

    def from_the_header():
        sendmail("-t", "-oi", "-famelie@example.com",
                 text="From: A <amelie@example.com>\nTo: B <%s>,\n\tteam@example.com\n"
                      "Bcc: chloe@example.net\nSubject: header\n\nx\n" % BRUNO)
        for user in ("bruno", "chloe"):
            tap.true("chloe" not in "".join(l for l in one("header", user).splitlines(True)
                                            if l.lower().startswith(("bcc", "to", "cc"))), "Bcc")
        tap.same(one("header").count("\nFrom:"), 1)

    def body_only():
        sendmail(BRUNO, text="no header at all\nSubject: not one\n")
        tap.true(any("\n\nno header at all\nSubject: not one\n" in m for m in mail.messages("bruno")),
                 "the body")

    def mbox_and_crlf():
        sendmail("-i", BRUNO, text="From x@y Thu Nov 21\nSubject: mbox\r\n\r\nline\r\n")
        got = one("mbox")
        tap.true("From x@y" not in got and got.endswith("\n\nline\n"), got)

    def null_sender():
        sendmail("-f", "<>", BRUNO, text="Subject: null\n\nx\n")
        tap.has(one("null"), "Return-Path: <>")

    def like_cron():
        sendmail("-FCronDaemon", "-i", "-B8BITMIME", "-oem", BRUNO,
                 text="From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> true\n"
                      "Content-Type: text/plain; charset=UTF-8\n\nh\u00e9\n")
        tap.has(one("Cron"), "h\u00e9\n")

    def like_php():
        done = subprocess.run(["php", "-d", "sendmail_path=%s -t -i -f amelie@example.com" % program,
                               "-r", "exit(mail('%s', 'from php', \"Hello\\r\\nthere\\r\\n\", "
                               "'X-Mine: yes') ? 0 : 1);" % BRUNO], capture_output=True, text=True,
                              env=env)
        tap.same(done.returncode, 0, done.stderr + done.stdout)
        tap.has(one("from php"), "X-Mine: yes")
        tap.has(one("from php"), "Hello\nthere\n")

    def like_mail():
        done = subprocess.run(["bsd-mailx", "-s", "from mail", BRUNO], input="Hello.\n",
                              capture_output=True, text=True, env=dict(env, MAILRC=rc, HOME=mail.dir))
        tap.same(done.returncode, 0, done.stderr)
        tap.wait_for(lambda: mails("from mail"), 10, "nothing came")

    rc = mail.dir + "/mailrc"
    with open(rc, "w") as out:
        out.write("set sendmail=%s\nset sendwait\n" % program)

    def smtp_on_standard_input():
        done = sendmail("-bs", text="EHLO x\r\nMAIL FROM:<amelie@example.com>\r\nRCPT TO:<%s>\r\n"
                                    "DATA\r\nSubject: by hand\r\n\r\nx\r\n.\r\nQUIT\r\n" % BRUNO)
        tap.has(done.stdout, "220 mail.example.org")
        tap.has(done.stdout, "221 2.0.0")
        one("by hand")

    def receipts():
        sendmail("-N", "success", "-V", "an id", "-f", "amelie@example.com", BRUNO,
                 text="Subject: with receipt\n\nx\n")
        report = tap.wait_for(lambda: [m for m in mail.messages("amelie") if "with receipt" in m],
                              10)[0]
        tap.has(report, "Original-Envelope-Id: an id")

    def refusals():
        tap.has(sendmail("nobody@example.com", text="x\n", status=67).stderr, "nobody@example.com: 550")
        tap.has(sendmail(text="x\n", status=64).stderr, "no recipient")
        tap.has(sendmail("-t", text="Subject: x\n\nx\n", status=65).stderr, "no recipient")
        sendmail("-bz", status=64)
        sendmail("-N", "often", BRUNO, text="x\n", status=64)
        sendmail("a b@example.com", text="x\n", status=64)
        sendmail("nobody@example.com", BRUNO, text="Subject: one of two\n\nx\n", status=67)
        one("one of two")
        gone = dict(env, FACTEUR_SMTP="127.0.0.1:1")
        done = subprocess.run([program, BRUNO], input="x\n", capture_output=True, text=True, env=gone)
        tap.same(done.returncode, 75)
        tap.has(done.stderr, "no mail server at 127.0.0.1 port 1")

    def newaliases():
        link = mail.dir + "/newaliases"
        os.symlink(program, link)
        tap.same(subprocess.run([link], env=env).returncode, 0)
        sendmail("-bi")
        sendmail("-I")

    return [
        ("a message", plain),
        ("a dot ends it", dot_ends),
        ("the calling user is the sender", default_sender),
        ("recipients from the header, and Bcc stays secret", from_the_header),
        ("a message that is only a body", body_only),
        ("a line of an mbox, and CR LF", mbox_and_crlf),
        ("the null sender", null_sender),
        ("as cron calls it", like_cron),
        ("PHP's mail()", like_php),
        ("bsd-mailx", like_mail),
        ("SMTP on standard input", smtp_on_standard_input),
        ("receipts", receipts),
        ("what cannot be sent", refusals),
        ("newaliases", newaliases),
    ]


with Instance() as instance:
    if tap.run(main(instance)):
        for line in instance.log().splitlines()[-int(os.environ.get("LOG_LINES", "30")):]:
            print("# " + line)
