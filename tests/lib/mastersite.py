"""A master with programs that only tell what they are given (dummy.py), in a directory of its own."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import tap
from instance import BUILD, UIDS, free_ports, run
from slapd import SRCDIR

ROOT = os.geteuid() == 0
PROGRAMS = ("smtp", "access", "directory", "queue", "deliver", "session", "relay", "filter")
COUNTS = {"smtp": 2, "access": 2, "directory": 1, "queue": 1, "deliver": 3, "session": 1,
          "relay": 1, "filter": 1}
FACTEURD, FACTEUR = os.path.join(BUILD, "facteurd"), os.path.join(BUILD, "facteur")
IMAP, POP3 = 4, 6
YES, CANNOT_SAY, REFUSED = 1, 0, 6


class Site:
    """A directory with dummies, certificates, tables and a configuration that is right."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="facteur-master-")
        os.chmod(self.dir, 0o755)
        for name in ("programs", "programs/events", "programs/orders", "ldap", "vmail", "tls"):
            os.mkdir(self.path(name))
            os.chmod(self.path(name), 0o755)
        shutil.copy(os.path.join(SRCDIR, "server/ipc/messages.def"), self.path("programs"))
        with open(os.path.join(SRCDIR, "tests/lib/dummy.py")) as text:
            dummy = "#!%s\n%s" % (os.path.realpath(sys.executable), text.read())
        for name in PROGRAMS:
            self.write("programs/" + name, dummy, 0o755)
        self.write("ldap/a.cf", "query_filter = (uid=%s)\n", 0o640)
        self.write("ldap/b.cf", "query_filter = (cn=%s)\n", 0o640)
        self.certificate("one", "mail.example.org")
        self.certificate("two", "other.example.org")
        self.order("base", "directory", self.path("vmail"))
        self.order("program-uid", "directory", str(UIDS["smtp"]))
        self.ports = free_ports(8)
        self.options = self.right_options()
        self.master = None
        self.write_config()

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w") as out:
            out.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def certificate(self, stem, name):
        key, crt = self.path("tls/%s.key" % stem), self.path("tls/%s.crt" % stem)
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "30", "-subj", "/CN=" + name, "-keyout", key, "-out", crt)
        self.write("tls/%s.pem" % stem, open(key).read() + open(crt).read(), 0o600)
        os.chmod(key, 0o600)

    def right_options(self):
        names = ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s")
        options = {
            "myhostname": "mail.example.org", "inet_interfaces": "127.0.0.1",
            "daemon_directory": "programs", "run_directory": "run", "queue_directory": "queue",
            "virtual_mailbox_base": self.path("vmail"), "deliver_processes": "3",
            "smtp_processes": "2", "access_processes": "2", "debug": "yes",
            "smtpd_tls_chain_files": "tls/one.pem",
            "tls_server_sni_maps": "other.example.org=tls/two.pem",
            "virtual_alias_maps": "ldap:ldap/a.cf", "virtual_mailbox_maps": "ldap:ldap/b.cf",
            "smtpd_sender_login_maps": "ldap:ldap/a.cf",
            "dns_trust_anchor": "tls/one.pem", "ldap_bind_pw": "a secret", "ldap_search_base": "dc=example,dc=org", "mail_max_user_sessions": "2",
        }
        options.update({name + "_port": str(port) for name, port in zip(names, self.ports)})
        if ROOT:
            options.update({name + "_user": "%d:%d" % (uid, uid) for name, uid in UIDS.items()})
        else:
            options["single_uid"] = "yes"
        return options

    def write_config(self, **changes):
        """changes of None leave an option out."""
        options = dict(self.options, **changes)
        text = "".join("%s = %s\n" % item for item in options.items() if item[1] is not None)
        self.conf = self.write("facteur.conf", "# a comment\n" + text, 0o640)

    def line(self, name, value):
        """Where write_config(name=value) says it."""
        return 2 + list(dict(self.options, **{name: value})).index(name)

    def order(self, what, program, text=""):
        self.write("programs/orders/%s-%s" % (what, program), text)

    def no_order(self, what, program):
        os.unlink(self.path("programs/orders/%s-%s" % (what, program)))

    def events(self, program, index=0, what=None):
        try:
            with open(self.path("programs/events/%s-%d" % (program, index))) as lines:
                found = [json.loads(line) for line in lines if line.endswith("\n")]
        except FileNotFoundError:
            return []
        return [e for e in found if what in (None, e["event"])]

    def forget_events(self):
        for name in os.listdir(self.path("programs/events")):
            os.unlink(self.path("programs/events/" + name))

    # --- the master ---

    def facteurd(self, *arguments):
        return subprocess.run([FACTEURD, "-c", self.conf, *arguments], capture_output=True,
                              text=True, timeout=60, stdin=subprocess.DEVNULL)

    def facteur(self, *arguments):
        return subprocess.run([FACTEUR, "-c", self.conf, *arguments], capture_output=True,
                              text=True, timeout=120, stdin=subprocess.DEVNULL)

    def start(self, environment=None):
        self.forget_events()
        with open(self.path("log"), "ab") as log:
            self.master = subprocess.Popen(
                [FACTEURD, "-c", self.conf, "-f"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, SECRET_OF_CALLER="1", **(environment or {})))
        tap.wait_for(self.is_up, 30, "facteurd did not start: " + self.log()[-2000:])

    def is_up(self):
        tap.true(self.master.poll() is None, "facteurd ended: " + self.log()[-2000:])
        return self.facteur("status").returncode == 0

    def stop(self):
        if self.master and self.master.poll() is None:
            self.master.send_signal(signal.SIGTERM)
            self.master.wait(30)

    def log(self):
        try:
            with open(self.path("log")) as text:
                return text.read()
        except FileNotFoundError:
            return ""

    def status(self):
        return json.loads(self.facteur("status", "--json").stdout)

    def child(self, program, index=0):
        for line in self.status():
            if line["what"] == program and line["index"] == index:
                return line
        raise AssertionError("no line for %s %d" % (program, index))

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- clients ---

    def connect(self, service):
        client = socket.create_connection(("127.0.0.1", int(self.options[service + "_port"])), 10)
        client.settimeout(30)
        return client

    def greet(self, service):
        with self.connect(service) as client:
            client.sendall(b"\n")
            return client.makefile().readline().strip()

    def ask(self, behaviour, user=1, service=IMAP):
        """(verdict, what the session said, the connection)"""
        client = self.connect("imap")
        client.sendall(b"ask %d %02x%02x\n" % (service, behaviour, user))
        lines = client.makefile()
        verdict = int(lines.readline().split()[1])
        return verdict, lines.readline().strip() if verdict == YES else None, client


def run_tests(tests):
    site = Site()
    try:
        failed = tap.run([(test.__name__.replace("_", " "), lambda test=test: test(site))
                          for test in tests])
        if failed:
            for line in site.log().splitlines()[-int(os.environ.get("LOG_LINES", "80")):]:
                print("# " + line)
    finally:
        site.close()
    sys.exit(failed > 0)
