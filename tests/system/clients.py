#!/usr/bin/env python3
"""Real clients: swaks, curl, mutt, mbsync, fetchmail, openssl s_client, smtp-source."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402


def call(*command, stdin="", env=None, timeout=60):
    """The output of a command that must end well."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout,
                          env=dict(os.environ, **(env or {})))
    if done.returncode != 0:
        raise AssertionError("%s ended with %d:\n%s\n%s" % (command[0], done.returncode, done.stdout,
                                                            done.stderr))
    return done.stdout + done.stderr


def subjects(mail, user):
    return [line[9:].strip() for m in mail.messages(user) for line in m.splitlines()
            if line.startswith("Subject: ")]


def main(mail):
    home = mail.dir + "/client"
    os.mkdir(home)
    env = {"HOME": home, "SSL_CERT_FILE": mail.ca, "LC_ALL": "C.UTF-8"}

    def swaks():
        call("swaks", "--server", "127.0.0.1", "--port", str(mail.ports["smtp"]), "--from",
             "x@remote.example", "--to", "amelie@example.com", "--header", "Subject: by swaks 25")
        call("swaks", "--server", "127.0.0.1", "--port", str(mail.ports["submission"]), "-tls",
             "--tls-ca-path", mail.ca, "--auth", "PLAIN", "--auth-user", "amelie",
             "--auth-password", "amelie-secret", "--from", "amelie@example.com", "--to",
             "bruno@example.net", "--header", "Subject: by swaks 587")
        call("swaks", "--server", "127.0.0.1", "--port", str(mail.ports["submissions"]),
             "--tls-on-connect", "--auth", "LOGIN", "--auth-user", "amelie@example.com",
             "--auth-password", "amelie-secret", "--from", "amelie@example.com", "--to",
             "bruno@example.net", "--header", "Subject: by swaks 465")
        tap.true("by swaks 25" in subjects(mail, "amelie"), "25")
        tap.true("by swaks 587" in subjects(mail, "bruno"), "587")
        tap.true("by swaks 465" in subjects(mail, "bruno"), "465")

    def curl():
        message = home + "/message"
        with open(message, "w") as out:
            out.write("From: chloe@example.net\r\nSubject: by curl\r\n\r\nx\r\n")
        call("curl", "-sS", "--cacert", mail.ca, "--user", "chloe:chloe-secret", "--mail-from",
             "chloe@example.net", "--mail-rcpt", "amelie@example.com", "--upload-file", message,
             "smtps://127.0.0.1:%d" % mail.ports["submissions"])
        url = "imaps://127.0.0.1:%d/INBOX" % mail.ports["imaps"]
        auth = ["--cacert", mail.ca, "--user", "amelie:amelie-secret"]
        found = call("curl", "-sS", *auth, url, "-X", "SEARCH SUBJECT \"by curl\"")
        number = found.split()[-1]
        tap.has(call("curl", "-sS", *auth, url + ";MAILINDEX=" + number), "Subject: by curl")
        tap.has(call("curl", "-sS", *auth, url, "-X", "EXAMINE INBOX"), "EXISTS")

    def s_client():
        for port, starttls, says in (("imaps", [], "* OK"), ("submissions", [], "220 "),
                                     ("imap", ["-starttls", "imap"], "a OK"),
                                     ("submission", ["-starttls", "smtp"], "221 "),
                                     ("smtp", ["-starttls", "smtp"], "221 ")):
            text = call("openssl", "s_client", "-connect", "127.0.0.1:%d" % mail.ports[port],
                        "-CAfile", mail.ca, "-verify_return_error", "-servername",
                        "mail.example.org", "-ign_eof", *starttls,
                        stdin="quit\r\n" if "s" == port[0] else "a LOGOUT\r\n")
            tap.has(text, "Verify return code: 0 (ok)")
            tap.has(text, says)

    def mbsync():
        config = home + "/mbsyncrc"
        maildir = home + "/mail"
        os.mkdir(maildir)
        with open(config, "w") as out:
            out.write("""IMAPAccount facteur
Host localhost
Port %d
User amelie
Pass amelie-secret
SSLType IMAPS
CertificateFile %s

IMAPStore far
Account facteur

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
""" % (mail.ports["imaps"], mail.ca, maildir, maildir))
        call("mbsync", "-c", config, "-a", env=env)
        near = maildir + "/INBOX"
        files = os.listdir(near + "/new") + os.listdir(near + "/cur")
        tap.same(len(files), len(mail.maildir("amelie")), "messages here and there")
        # Back: a new message and a flag.
        path = near + "/new/" + os.listdir(near + "/new")[0] if os.listdir(near + "/new") \
            else near + "/cur/" + os.listdir(near + "/cur")[0]
        stem = os.path.basename(path).split(":")[0]
        os.rename(path, near + "/cur/" + stem + ":2,FS")
        with open(near + "/cur/1700000000.1_1.here:2,S", "w") as out:
            out.write("From: me@here.example\nSubject: from the other side\n\nx\n")
        call("mbsync", "-c", config, "-a", env=env)
        tap.true("from the other side" in subjects(mail, "amelie"), "uploaded")
        tap.true(any(p.endswith(":2,FS") for p in mail.maildir("amelie")), "flag synced")

    def mutt():
        config = home + "/muttrc"
        with open(config, "w") as out:
            out.write("""set ssl_starttls=yes ssl_force_tls=yes
set ssl_ca_certificates_file=%s certificate_file=%s
set smtp_url="smtp://bruno@127.0.0.1:%d/" smtp_pass="bruno-secret"
set smtp_authenticators="plain"
set imap_user=bruno imap_pass=bruno-secret
set folder="imaps://127.0.0.1:%d/" spoolfile="imaps://127.0.0.1:%d/INBOX"
set from="bruno@example.net" realname="Bruno" use_envelope_from=yes
set record="imaps://127.0.0.1:%d/Sent" copy=yes quit=yes delete=no move=no confirmappend=no
""" % (mail.ca, mail.ca, mail.ports["submission"], mail.ports["imaps"], mail.ports["imaps"],
                mail.ports["imaps"]))
        call("mutt", "-n", "-F", config, "-s", "by mutt", "--", "chloe@example.net",
             stdin="written in mutt\n", env=env)
        tap.true("by mutt" in subjects(mail, "chloe"), "sent")
        sent = os.path.join(mail.vmail, "bruno/mailbox/.Sent")
        tap.same(len(os.listdir(sent + "/cur") + os.listdir(sent + "/new")), 1, "kept in Sent")
        keys = "<last-entry><pipe-message>cat >%s<enter><sync-mailbox><quit>" % (home + "/piped")
        with open(config, "a") as out:
            out.write('set wait_key=no\npush "%s"\n' % keys)
        call("script", "-qec", "mutt -n -F " + config, "/dev/null",
             env=dict(env, TERM="xterm", COLUMNS="100", LINES="40"))
        tap.has(open(home + "/piped").read(), "Subject: by swaks")

    def fetchmail():
        config = home + "/fetchmailrc"
        target = home + "/fetched"
        with open(config, "w") as out:
            out.write("""poll localhost protocol imap port %d
  user "chloe" password "chloe-secret" ssl sslproto "TLS1.2+" sslcertck sslcertfile "%s"
  keep mda "cat >>%s"
""" % (mail.ports["imaps"], mail.ca, target))
        os.chmod(config, 0o600)
        call("fetchmail", "-f", config, "--pidfile", home + "/fetchmail.pid", "--idfile",
             home + "/fetchids", env=env)
        tap.has(open(target).read(), "Subject: by mutt")

    def smtp_source():
        source = shutil.which("smtp-source") or "/usr/sbin/smtp-source"
        before = len(mail.maildir("chloe"))
        call(source, "-s", "10", "-m", "200", "-l", "4096", "-f", "x@remote.example", "-t",
             "chloe@example.net", "127.0.0.1:%d" % mail.ports["smtp"])
        tap.same(len(mail.maildir("chloe")) - before, 200, "messages")

    return [
        ("swaks: 25, 587, 465", swaks),
        ("curl: SMTPS and IMAPS", curl),
        ("openssl s_client on every port", s_client),
        ("mutt sends, keeps a copy, reads", mutt),
        ("fetchmail", fetchmail),
        ("mbsync, both ways with flags", mbsync),
        ("smtp-source: 200 messages over 10 sessions", smtp_source),
    ]


with Instance() as instance:
    tap.run(main(instance))
