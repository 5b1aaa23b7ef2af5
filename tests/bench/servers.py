"""The three servers of the bench on private ports: Facteur from the build directory, and Postfix with
Dovecot as the article sets them up and tuned. All run as root does it, each in a group of its own."""
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import people
import peers
from machine import Group, run

BUILD = os.path.abspath(os.environ.get("FACTEUR_BUILDDIR", "."))
SRC = os.environ.get("FACTEUR_SRCDIR") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
FIRST_UID = 15301
NAMES = ("smtp", "submission", "imaps", "pop3s")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def wait_for_port(port, process, what):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("%s does not listen" % what)


class Sink:
    """The world to which mail goes out: Postfix's smtp-sink, in no server's group."""

    def __init__(self, directory):
        self.port, self.log, self.seen = free_ports(1)[0], directory + "/sink.log", 0
        self.process = None

    def start(self):
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                ["smtp-sink", "-c", "-u", "postfix", "127.0.0.1:%d" % self.port, "1000"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        wait_for_port(self.port, self.process, "smtp-sink")

    def messages(self):
        with open(self.log, errors="replace") as told:
            return int((re.findall(r"mesg=(\d+)", told.read()[-400:]) or ["0"])[-1])

    def wait(self, more):
        """Until so many more messages than at the last call have come."""
        self.seen += more
        end = time.monotonic() + 300
        while self.messages() < self.seen:
            if time.monotonic() > end:
                raise RuntimeError("%d of %d messages went out" % (self.messages(), self.seen))
            time.sleep(0.01)

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Server:
    """One of the three. ports, users, vmail, group; wait_delivered() after a load of mail."""

    def __init__(self, system, directory, vmail, slapd, pem):
        self.system, self.slapd, self.pem = system, slapd, pem
        self.dir = os.path.join(directory, system)
        self.vmail = os.path.join(vmail, system)
        self.users = people.make(system, vmail)
        self.ports = dict(zip(NAMES, free_ports(len(NAMES))))
        self.group = Group(system)
        self.children = []
        os.mkdir(self.dir)
        os.mkdir(self.vmail)
        self.sink = Sink(self.dir)
        self.sink.start()
        # The article's peers write anywhere below it; Facteur's stays root's.
        os.chmod(self.vmail, 0o755 if system == "facteur" else 0o1777)
        self.list = os.path.join(self.dir, "users")
        people.write_list(self.list, self.users)
        for user in self.users:
            user.make_home()

    def launch(self, *command, env=None):
        log = open(os.path.join(self.dir, "log"), "ab")
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 preexec_fn=self.group.join, env=env)
        log.close()
        self.children.append(child)
        if not self.group.directory:
            self.group.roots.append(child.pid)
        return child

    def log(self):
        lines = [line for path in glob.glob(self.dir + "/*log")
                 for line in open(path, errors="replace") if "info" not in line.lower()]
        return "".join(lines[-20:])

    def delivered(self):
        return sum(len(os.listdir(user.maildir + "/new")) for user in self.users)

    def take_delivered(self, wanted=None, what="mail"):
        """Removes what came, when all of it has come: so many, where that is said."""
        self.wait_delivered()
        found = self.delivered()
        if wanted is not None and found != wanted:
            raise RuntimeError("%s: %d of %d messages arrived" % (what, found, wanted))
        self.clear_new()

    def clear_new(self):
        for user in self.users:
            for entry in os.scandir(user.maildir + "/new"):
                os.unlink(entry.path)

    def close(self):
        self.sink.close()
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        end = time.monotonic() + 10
        while self.group.directory and self.group.pids() and time.monotonic() < end:
            time.sleep(0.1)
        for pid in self.group.pids() if self.group.directory else []:
            os.kill(pid, signal.SIGKILL)
        self.group.close()


class Facteur(Server):
    def start(self):
        os.mkdir(self.dir + "/ldap")
        for table in glob.glob(os.path.join(SRC, "conf/ldap/*.cf")):
            os.chmod(shutil.copy(table, self.dir + "/ldap/"), 0o640)
        values = {
            "myhostname": people.host("facteur"), "inet_interfaces": "127.0.0.1",
            "mynetworks": "127.0.0.0/8", "relayhost": "[127.0.0.1]:%d" % self.sink.port,
            "daemon_directory": BUILD, "run_directory": self.dir + "/run",
            "queue_directory": self.dir + "/queue", "virtual_mailbox_base": self.vmail,
            "smtpd_tls_chain_files": self.pem, "submissions_port": "0", "imap_port": "0",
            "smtp_port": self.ports["smtp"], "submission_port": self.ports["submission"],
            "imaps_port": self.ports["imaps"],
            "login_client_connection_limit": "0", "mail_max_userip_connections": "0",
            "mail_max_user_sessions": "0",
            "smtpd_client_connection_count_limit": "0", "imap_login_limit": "10000",
            "ldap_server_host": self.slapd.uri, "ldap_start_tls": "yes",
            "ldap_tls_ca_cert_file": self.slapd.ca_file, "ldap_bind_dn": self.slapd.reader_dn,
            "ldap_bind_pw": self.slapd.reader_password, "ldap_search_base": self.slapd.mail_base,
            "auth_bind_userdn": "uid=%u," + self.slapd.mail_base,
            "virtual_mailbox_domains": "$myhostname", "virtual_minimum_uid": "20000"}
        for name in ("virtual_alias_domains", "virtual_alias_maps", "virtual_mailbox_maps",
                     "virtual_uid_maps", "virtual_gid_maps", "smtpd_sender_login_maps"):
            values[name] = "ldap:ldap/%s.cf" % name
        # What this build knows: POP3 came later than IMAP, and programs are added.
        known = run(os.path.join(BUILD, "facteur"), "conf", "-d")
        for uid, option in enumerate(re.findall(r"^(\w+_user) = facteur-", known, re.M), FIRST_UID):
            values[option] = "%d:%d" % (uid, uid)
        if "\npop3s_port" in known:
            values["pop3s_port"] = self.ports["pop3s"]
        else:
            del self.ports["pop3s"]
        for name in ("pop3_port", "sieve_port", "lmtp_port"):
            if "\n%s " % name in known:
                values[name] = "0"
        conf = self.dir + "/facteur.conf"
        with open(conf, "w") as out:
            out.writelines("%s = %s\n" % item for item in values.items())
        os.chmod(conf, 0o640)
        master = self.launch(os.path.join(BUILD, "facteurd"), "-c", conf, "-f")
        wait_for_port(self.ports["imaps"], master, "facteurd")
        wait_for_port(self.ports["smtp"], master, "facteurd")

    def wait_delivered(self):
        """250 was said when it lay in the maildir."""

    def host(self, domains):
        """The directory says which they are."""


class Peers(Server):
    def start(self):
        tuned = self.system == "tuned"
        self.queue = self.dir + "/queue"
        peers.write_postfix(self, tuned)
        peers.write_dovecot(self, tuned)
        dovecot = self.launch("dovecot", "-F", "-c", self.dir + "/dovecot.conf")
        wait_for_port(self.ports["imaps"], dovecot, "dovecot")
        self.postfix = self.launch(peers.DAEMONS + "/master", "-c", self.dir + "/postfix", "-d",
                                   env={"PATH": os.environ["PATH"], "MAIL_CONFIG": self.dir + "/postfix"})
        wait_for_port(self.ports["smtp"], self.postfix, "postfix")

    def host(self, domains):
        """Takes mail for these domains too; the tuned Postfix has a fixed list, read by each process."""
        if self.system != "tuned":
            return
        conf = self.dir + "/postfix"
        with open(conf + "/domains", "w") as out:
            out.writelines("%s x\n" % domain for domain in domains)
        run("postconf", "-c", conf, "-e", "virtual_alias_domains=%s.example.com, texthash:%s/domains"
            % (self.system, conf))
        self.postfix.send_signal(signal.SIGHUP)

    def waiting(self):
        for name in ("incoming", "active", "deferred"):
            for _, _, files in os.walk(os.path.join(self.queue, name)):
                if files:
                    return True
        return False

    def wait_delivered(self):
        """Postfix says 250 when it has queued it."""
        end = time.monotonic() + 120
        while self.waiting():
            if time.monotonic() > end:
                raise RuntimeError("%s: mail stays in the queue" % self.system)
            time.sleep(0.01)
