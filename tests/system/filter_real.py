#!/usr/bin/env python3
"""Real milters: opendkim signs what is submitted and verifies what comes in; rspamd looks at both and
refuses the test message that every spam filter refuses."""
import os
import re
import shutil
import smtplib
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance, free_ports, run  # noqa: E402

TO = "amelie@example.com"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Daemon:
    def __init__(self, mail, name, port, *command):
        self.mail, self.place = mail, "inet:127.0.0.1:%d" % port
        self.log = open(os.path.join(mail.dir, name + ".log"), "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        tap.wait_for(lambda: is_listening(port), 30, name + " does not listen")

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


def opendkim(mail, mode):
    """Signs for example.com, and verifies with the public key in a file, in the place of DNS."""
    place = os.path.join(mail.dir, "dkim")
    if not os.path.isdir(place):
        os.mkdir(place)
        run("opendkim-genkey", "-D", place, "-d", "example.com", "-s", "test", "-b", "2048")
        os.chmod(place + "/test.private", 0o600)
        record = "".join(re.findall('"([^"]*)"', open(place + "/test.txt").read()))
        with open(place + "/keys", "w") as keys:
            keys.write("test._domainkey.example.com %s\n" % record)
    port = free_ports(1)[0]
    with open("%s/%s.conf" % (place, mode), "w") as conf:
        conf.write("Mode %s\nDomain example.com\nSelector test\nKeyFile %s/test.private\n"
                   "TestPublicKeys %s/keys\nSocket inet:%d@127.0.0.1\nSyslog no\n"
                   "Canonicalization simple/simple\nRequireSafeKeys no\nOversignHeaders From\n"
                   "AuthservID mail.example.org\n%s"
                   % (mode, place, place, port, "InternalHosts /dev/null\n" if mode == "v" else ""))
    return Daemon(mail, "opendkim-" + mode, port, "opendkim", "-f", "-x",
                  "%s/%s.conf" % (place, mode))


def rspamd(mail):
    place = os.path.join(mail.dir, "rspamd")
    os.makedirs(place + "/data")
    port, normal = free_ports(2)
    with open(place + "/rspamd.conf", "w") as conf:
        conf.write("""
options { pidfile = "%(d)s/pid"; tempdir = "%(d)s"; filters = ""; raw_mode = false;
          dns { nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; } }
logging { type = "console"; level = "info"; }
worker "rspamd_proxy" { bind_socket = "127.0.0.1:%(port)d"; count = 1; milter = yes; timeout = 60s;
    upstream "local" { default = yes; self_scan = yes; } }
metric "default" { actions { reject = 15; add_header = 6; greylist = 4; } }
milter_headers { use = ["x-spam-status", "x-rspamd-server"]; extended_spam_headers = true; }
modules { path = "/usr/share/rspamd/plugins/"; }
lua = "/usr/share/rspamd/rules/rspamd.lua";
""" % {"d": place, "port": port})
    for path, _, _ in os.walk(place):
        os.chmod(path, 0o777)
    command = ["rspamd", "-f", "-i", "-c", place + "/rspamd.conf", "--var", "DBDIR=%s/data" % place,
               "--var", "RUNDIR=" + place, "--var", "LOGDIR=" + place]
    return Daemon(mail, "rspamd", port, *command)


def main(mail):
    def got(subject):
        found = [m for m in mail.messages("amelie") if "\nSubject: %s\n" % subject in m]
        tap.same(len(found), 1, subject)
        return found[0]

    def use(*daemons):
        mail.options = {"smtpd_milters": " ".join(d.place for d in daemons)}
        mail.reload()

    def signs_and_verifies():
        signer, verifier = opendkim(mail, "s"), opendkim(mail, "v")
        try:
            use(signer)
            with mail.submission() as client:
                client.sendmail(TO, [TO], "From: Amelie <%s>\r\nTo: x\r\nSubject:  two  blanks\r\n\r\n"
                                          "Hello.\r\n.dot\r\n" % TO)
            text = next(m for m in mail.messages("amelie") if "two  blanks" in m)
            tap.has(text, "DKIM-Signature: v=1;")
            tap.true(text.index("DKIM-Signature") > text.index("Received:"), "below our trace")
            use(verifier)
            signed = text[text.index("DKIM-Signature"):].replace("\n", "\r\n")
            mail.deliver("bruno@example.net", signed)
            verified = mail.messages("bruno")[-1]
            tap.has(verified, "dkim=pass")
            mail.deliver("bruno@example.net", signed.replace("Hello", "Forged"))
            tap.has([m for m in mail.messages("bruno") if "Forged" in m][0], "dkim=fail")
        finally:
            signer.close()
            verifier.close()

    def spam():
        daemon = rspamd(mail)
        try:
            use(daemon)
            head = "From: x@remote.example\r\nTo: %s\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n" \
                   "Message-ID: <1@remote.example>\r\nSubject: %s\r\n\r\n"
            mail.deliver(TO, head % (TO, "ham") + "Hello, how are you?\r\n")
            got("ham")
            try:
                mail.deliver(TO, head % (TO, "spam") + GTUBE + "\r\n")
            except smtplib.SMTPDataError as e:
                tap.same(e.smtp_code, 554, e.smtp_error)
                tap.has(e.smtp_error, b"5.7.1 Gtube pattern")
            else:
                raise AssertionError("the test message was taken")
        finally:
            daemon.close()

    return [("opendkim signs and verifies", signs_and_verifies), ("rspamd refuses", spam)]


if __name__ == "__main__":
    for tool in ("opendkim", "opendkim-genkey", "rspamd"):
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin"):
            print("1..1\nnot ok 1 - %s is missing: ./quickstart installs it" % tool)
            sys.exit(1)
    os.environ["PATH"] += ":/usr/sbin"
    with Instance() as instance:
        failed = tap.run(main(instance))
    sys.exit(failed > 0)
