"""A private Facteur with a private slapd, for a test: own directory, own ports, own certificates.

    with Instance() as mail:
        mail.deliver("amelie@example.com", "Subject: x\\r\\n\\r\\nHello\\r\\n")
        mail.maildir("amelie")
"""
import glob
import imaplib
import os
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time

import tap
from slapd import PEOPLE, SRCDIR, PrivateSlapd

BUILD = os.environ.get("FACTEUR_BUILDDIR") or os.path.join(SRCDIR, "build")
PORTS = ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "lmtp")
UIDS = {"smtp": 15301, "access": 15302, "directory": 15303, "queue": 15304, "relay": 15305,
        "filter": 15306}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def sanitized():
    """Is this a build with --enable-sanitizers? It brings a malloc of its own and takes much address space."""
    with open(os.path.join(BUILD, "facteurd"), "rb") as program:
        code = program.read()
        return b"__asan_init" in code or b"__tsan_init" in code


def run(*command, cwd=None):
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (command[0], done.stderr))
    return done.stdout


class Instance:
    def __init__(self, people=PEOPLE, options=None, slapd=None):
        """options: lines of facteur.conf that come last; slapd: an instance to share."""
        self.dir = tempfile.mkdtemp(prefix="facteur-")
        os.chmod(self.dir, 0o755)
        self.vmail = os.path.join(self.dir, "vmail")
        self.root = os.geteuid() == 0
        self.options = dict(options or {})
        self.own_slapd = slapd is None
        self.slapd = slapd or PrivateSlapd(os.path.join(self.dir, "slapd"), vmail=self.vmail,
                                           people=people)
        self.master = None
        self.conf = os.path.join(self.dir, "facteur.conf")
        self.log_path = os.path.join(self.dir, "log")
        self.ports = {}

    def __enter__(self):
        try:
            os.mkdir(self.vmail)
            os.chmod(self.vmail, 0o751)
            if self.own_slapd:
                self.slapd.start()
                os.chmod(self.slapd.dir, 0o755)
            self.make_certificates()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            for line in self.log().splitlines()[-60:]:
                print("# " + line)
        self.close()

    def close(self):
        self.stop()
        if self.own_slapd:
            self.slapd.close()
        found = re.findall(r".*(?:Sanitizer: |runtime error: ).*", self.log())
        shutil.rmtree(self.dir, ignore_errors=True)
        if found:
            raise RuntimeError("the sanitizers found: %s" % found[:5])

    # --- configuration ---

    def make_certificates(self):
        tls = os.path.join(self.dir, "tls")
        ca = os.path.join(self.slapd.dir, "tls")
        os.mkdir(tls)
        self.ca = os.path.join(self.dir, "ca.pem")
        shutil.copy(os.path.join(ca, "ca.pem"), self.ca)
        os.chmod(self.ca, 0o644)
        self.chain_files = [self.certificate("mail.example.org", "ec"),
                            self.certificate("mail.example.org", "rsa")]

    def certificate(self, name, kind="ec"):
        """A key and its chain in one PEM file, signed by the private CA; localhost is in it too."""
        tls, ca = os.path.join(self.dir, "tls"), os.path.join(self.slapd.dir, "tls")
        stem = os.path.join(tls, "%s-%s" % (name, kind))
        key = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["rsa:2048"]
        run("openssl", "req", "-new", "-newkey", *key, "-nodes", "-keyout", stem + ".key", "-subj",
            "/CN=" + name, "-out", stem + ".csr")
        with open(stem + ".ext", "w") as ext:
            ext.write("basicConstraints=critical,CA:FALSE\n"
                      "subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\n" % name)
        run("openssl", "x509", "-req", "-days", "30", "-in", stem + ".csr", "-CA", ca + "/ca.pem",
            "-CAkey", ca + "/ca.key", "-set_serial", "0x" + os.urandom(8).hex(), "-extfile",
            stem + ".ext", "-out", stem + ".crt")
        with open(stem + ".pem", "w") as pem:
            pem.write(open(stem + ".key").read() + open(stem + ".crt").read())
        os.chmod(stem + ".pem", 0o600)
        return stem + ".pem"

    def write_config(self):
        if not self.ports:
            self.ports = dict(zip(PORTS, free_ports(len(PORTS))))
        os.makedirs(self.dir + "/ldap", exist_ok=True)
        for table in glob.glob(os.path.join(SRCDIR, "conf/ldap/*.cf")):
            target = shutil.copy(table, self.dir + "/ldap/")
            os.chmod(target, 0o640)
        values = {
            "myhostname": "mail.example.org",
            "inet_interfaces": "127.0.0.1",
            "daemon_directory": BUILD,
            "run_directory": self.dir + "/run",
            "queue_directory": self.dir + "/queue",
            "virtual_mailbox_base": self.vmail,
            "smtpd_tls_chain_files": " ".join(self.chain_files),
            "smtp_processes": "2", "access_processes": "2", "deliver_processes": "4",
            "minimal_backoff_time": "1s", "auth_failure_delay": "0s",
            "ldap_server_host": self.slapd.uri, "ldap_start_tls": "yes",
            "ldap_tls_ca_cert_file": self.ca,
            "ldap_bind_dn": self.slapd.reader_dn, "ldap_bind_pw": self.slapd.reader_password,
            "ldap_search_base": self.slapd.mail_base,
            "auth_bind_userdn": "uid=%u," + self.slapd.mail_base,
            "virtual_mailbox_domains": "mail.example.org",
            "postmaster_address": "amelie@mail.example.org",
            "recipient_delimiter": "+",
            "virtual_minimum_uid": "20000",
        }
        for port in PORTS:
            values[port + "_port"] = str(self.ports[port])
        for name in ("virtual_alias_domains", "virtual_alias_maps", "virtual_mailbox_maps",
                     "virtual_uid_maps", "virtual_gid_maps", "smtpd_sender_login_maps"):
            values[name] = "ldap:ldap/%s.cf" % name
        if self.root:
            for program, uid in UIDS.items():
                values[program + "_user"] = "%d:%d" % (uid, uid)
        else:
            values["single_uid"] = "yes"
        values.update(self.options)
        with open(self.conf, "w") as conf:
            conf.writelines("%s = %s\n" % item for item in values.items())
        os.chmod(self.conf, 0o640)

    # --- life ---

    def start(self):
        self.write_config()
        with open(self.log_path, "ab") as log:
            self.master = subprocess.Popen([os.path.join(BUILD, "facteurd"), "-c", self.conf, "-f"],
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while self.status().returncode != 0:
            if self.master.poll() is not None or time.monotonic() > end:
                raise RuntimeError("facteurd did not start:\n" + self.log()[-3000:])
            time.sleep(0.05)

    def stop(self, number=signal.SIGTERM):
        if self.master and self.master.poll() is None:
            self.master.send_signal(number)
            self.master.wait(20)

    def restart(self):
        self.stop()
        self.start()

    def reload(self):
        self.write_config()
        self.facteur("reload")

    def facteur(self, *arguments):
        return run(os.path.join(BUILD, "facteur"), "-c", self.conf, *arguments)

    def empty_queue(self, of="all"):
        """Deletes a message's, a domain's or all mail in the queue; what is being tried is waited for."""
        def emptied():
            done = subprocess.run([os.path.join(BUILD, "facteur"), "-c", self.conf, "queue", "delete", of],
                                  capture_output=True, text=True)
            if done.returncode != 0 and "being tried" not in done.stderr:
                raise RuntimeError("facteur queue delete: " + done.stderr)
            return done.returncode == 0
        tap.wait_for(emptied, 60, "%s is not deleted" % of)

    def status(self):
        return subprocess.run([os.path.join(BUILD, "facteur"), "-c", self.conf, "status"],
                              capture_output=True, text=True)

    def log(self):
        try:
            with open(self.log_path, errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def pids(self, program):
        """The processes of one program that this instance's master started."""
        found = []
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path) as stat:
                    text = stat.read()
            except OSError:
                continue
            name = text[text.index("(") + 1:text.rindex(")")]
            ppid = int(text[text.rindex(")") + 2:].split()[1])
            if name == program and ppid == self.master.pid:
                found.append(int(path.split("/")[2]))
        return sorted(found)

    def sessions(self):
        """The forked sessions; none of a parent that ends just now."""
        found = []
        for parent in self.pids("session"):
            try:
                with open("/proc/%d/task/%d/children" % (parent, parent)) as children:
                    found += [int(pid) for pid in children.read().split()]
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    # --- clients ---

    def tls(self):
        return ssl.create_default_context(cafile=self.ca)

    def smtp(self):
        return smtplib.SMTP("localhost", self.ports["smtp"], timeout=30)

    def submission(self, user="amelie", password=None):
        client = smtplib.SMTP("localhost", self.ports["submission"], timeout=30)
        client.starttls(context=self.tls())
        client.login(user, password or user + "-secret")
        return client

    def imap(self, user="amelie", password=None):
        client = imaplib.IMAP4_SSL("localhost", self.ports["imaps"], ssl_context=self.tls(),
                                   timeout=30)
        client.login(user, password or user + "-secret")
        return client

    def deliver(self, to, text, sender="somebody@remote.example"):
        """Over port 25; raises what smtplib raises."""
        with self.smtp() as client:
            return client.sendmail(sender, to if isinstance(to, list) else [to], text)

    def maildir(self, user):
        """The paths of all messages in the INBOX."""
        base = os.path.join(self.vmail, user, "mailbox")
        return sorted(glob.glob(base + "/new/*") + glob.glob(base + "/cur/*"))

    def messages(self, user):
        return [open(path, errors="surrogateescape").read() for path in self.maildir(user)]
