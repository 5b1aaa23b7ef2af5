#!/usr/bin/env python3
"""The master with programs that only tell what they are given: start, links, restarts, reload,
sessions, end; every kind of mistake in the configuration; and the facteur command."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import BUILD, UIDS, free_ports, run  # noqa: E402
from slapd import SRCDIR  # noqa: E402

ROOT = os.geteuid() == 0
PROGRAMS = ("smtp", "access", "directory", "queue", "deliver", "session")
COUNTS = {"smtp": 2, "access": 2, "directory": 1, "queue": 1, "deliver": 3, "session": 1}
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
        self.ports = free_ports(6)
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
        names = ("smtp", "submission", "submissions", "imap", "imaps")
        options = {
            "myhostname": "mail.example.org", "inet_interfaces": "127.0.0.1",
            "daemon_directory": "programs", "run_directory": "run", "queue_directory": "queue",
            "virtual_mailbox_base": self.path("vmail"), "deliver_processes": "3",
            "smtp_processes": "2", "access_processes": "2", "debug": "yes",
            "smtpd_tls_chain_files": "tls/one.pem",
            "tls_server_sni_maps": "other.example.org=tls/two.pem",
            "virtual_alias_maps": "ldap:ldap/a.cf", "virtual_mailbox_maps": "ldap:ldap/b.cf",
            "smtpd_sender_login_maps": "ldap:ldap/a.cf",
            "ldap_bind_pw": "a secret", "mail_max_user_sessions": "2",
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


def alive(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


def everybody():
    return [(program, index) for program, count in COUNTS.items() for index in range(count)]


# --- a start ---

def starts(site):
    site.start()
    for program, index in everybody():
        tap.same(len(site.events(program, index, "start")), 1, "starts of " + program)
        line = site.child(program, index)
        tap.same((line["state"], line["restarts"], line["answered"], line["note"]),
                 ("ready", 0, 1, "a b"), program)
    tap.same(site.status()[0]["state"], "running")


def processes_are_clean(site):
    for program, index in everybody():
        start = site.events(program, index, "start")[0]
        environment = dict(start["environment"])
        environment.pop("LC_CTYPE", None)  # Python's own
        for name in list(environment):
            if name in ("TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
                environment.pop(name)
        tap.same(environment, {"LANG": "C.UTF-8"}, program)
        tap.same((start["directory"], start["umask"], start["group"] == start["pid"],
                  start["descriptors"]), ("/", 0o77, True, [0, 1, 2, 3]), program)
        user = str(UIDS.get(program, 0)) if ROOT else "0"
        tap.same((start["arguments"]["--uid"], start["arguments"]["--gid"]), (user, user), program)
        front = program in ("smtp", "access")
        tap.same(start["arguments"].get("--root"),
                 site.path("run/empty") if front and ROOT else None, program)
        tap.same(start["arguments"]["--log"], "stderr")


def bundles_hold_what_each_may_see(site):
    def bundle(program):
        return site.events(program, 0, "configure")[0]

    tap.same(bundle("smtp")["pieces"], ["facteur.conf", "tls:", "tls:other.example.org"])
    tap.same(bundle("access")["pieces"], ["facteur.conf", "tls:", "tls:other.example.org"])
    tap.same(bundle("directory")["pieces"],
             ["facteur.conf", "map:" + site.path("ldap/a.cf"), "map:" + site.path("ldap/b.cf")])
    for program in ("queue", "deliver", "session"):
        tap.same(bundle(program)["pieces"], ["facteur.conf"], program)
    for program in PROGRAMS:
        tap.same("a secret" in bundle(program)["conf"], program == "directory", program)
    tap.has(bundle("directory")["conf"], "ldap:" + site.path("ldap/a.cf") + "\n")
    tap.has(bundle("queue")["conf"], "queue_directory = " + site.path("queue") + "\n")


WANTED_LINKS = {"smtp": ("directory", "deliver", "queue"), "access": ("directory",),
                "queue": ("smtp", "directory", "deliver"), "session": (),
                "deliver": ("smtp", "queue", "directory"),
                "directory": ("smtp", "access", "queue", "deliver")}


def check_links(site):
    for program, index in everybody():
        pid = site.child(program, index)["pid"]
        got = [e for e in site.events(program, index, "link") if e["pid"] == pid]
        want = {"%s/%d" % (p, i) for p in WANTED_LINKS[program] for i in range(COUNTS[p])}
        tap.same({e["peer"] for e in got}, want, "%s/%d" % (program, index))
        for e in got:
            tap.same(e["said"], e["peer"], "the other end of a link")


def programs_are_linked(site):
    tap.wait_for(lambda: len(site.events("directory", 0, "link")) == 8)
    check_links(site)
    for e in site.events("directory", 0, "link"):
        tap.true(e["said"], "a link is open")


def ports_and_counts_are_handed_out(site):
    for program, names in (("smtp", ("smtp", "submission", "submissions")), ("access", ("imap", "imaps"))):
        for index in range(2):
            got = sorted(e["address"][1] for e in site.events(program, index, "listener"))
            tap.same(got, sorted(int(site.options[n + "_port"]) for n in names), program)
            tap.same([e["index"] for e in site.events(program, index, "counters")], [index])
    tap.true(site.greet("smtp").startswith("smtp/"), "smtp serves its port")
    tap.true(site.greet("imaps").startswith("access/"), "access serves its port")
    services = {line["service"]: line["address"] for line in site.status() if line["what"] == "port"}
    tap.same(services["imap"], "127.0.0.1:%s" % site.options["imap_port"])


def directories_are_safe(site):
    for name, mode in (("run", 0o755), ("run/empty", 0o555), ("queue", 0o700)):
        tap.same(os.stat(site.path(name)).st_mode & 0o7777, mode, name)
    tap.same(os.stat(site.path("run/control")).st_mode & 0o7777, 0o600)
    tap.same(os.stat(site.path("queue")).st_uid, UIDS["queue"] if ROOT else os.geteuid())


def the_master_keeps_little(site):
    with open("/proc/%d/status" % site.master.pid) as text:
        facts = dict(line.rstrip("\n").split(":\t", 1) for line in text if ":\t" in line)
    tap.same((facts["NoNewPrivs"], facts["Seccomp"]), ("1", "2"))
    most = 0x405e1 if ROOT else 0  # CHOWN KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT
    tap.same(int(facts["CapPrm"], 16) & ~most, 0, "capabilities")


# --- life ---

def killed_programs_come_back(site):
    for program in PROGRAMS:
        before = site.child(program)
        os.kill(before["pid"], signal.SIGKILL)
        tap.wait_for(lambda: site.child(program)["state"] == "ready" and
                     site.child(program)["pid"] != before["pid"], 20, program + " did not come back")
        tap.same(site.child(program)["restarts"], before["restarts"] + 1, program)
        tap.same(alive(before["pid"]), False, program)
    tap.wait_for(lambda: len([e for e in site.events("smtp", 0, "listener")
                              if e["pid"] == site.child("smtp")["pid"]]) == 3)
    tap.wait_for(lambda: len([e for e in site.events("directory", 0, "link")
                              if e["pid"] == site.child("directory")["pid"]]) >= 8)
    tap.has(site.log(), "child-ended program=smtp index=0")
    tap.has(site.log(), "how=signal status=9")
    tap.true(site.greet("smtp").startswith("smtp/"), "smtp serves again")


def peers_get_new_links(site):
    directory, smtp = site.child("directory")["pid"], site.child("smtp", 1)["pid"]
    tap.wait_for(lambda: [e for e in site.events("smtp", 1, "link-lost")
                          if e["peer"] == "directory/0" and e["pid"] == smtp])
    last = [e for e in site.events("smtp", 1, "link") if e["peer"] == "directory/0"]
    tap.same((len(last), last[-1]["said"], last[-1]["pid"]), (2, "directory/0", smtp))
    tap.true(directory != smtp, "they are two")


def the_counts_of_the_dead_are_wiped(site):
    os.kill(site.child("access", 1)["pid"], signal.SIGKILL)
    tap.wait_for(lambda: site.child("access", 1)["state"] == "ready", 20)
    tap.same(site.events("access", 1, "counters")[-1]["rows"], [5, 0])


def dying_young_slows_restarts(site):
    site.order("die", "queue")
    before = site.child("queue")["restarts"]
    os.kill(site.child("queue")["pid"], signal.SIGKILL)
    time.sleep(2.5)
    now = site.child("queue")
    tap.true(2 <= now["restarts"] - before <= 6, "restarts: %d" % (now["restarts"] - before))
    site.no_order("die", "queue")
    tap.wait_for(lambda: site.child("queue")["state"] == "ready", 15)


def status_does_not_wait_for_ever(site):
    site.order("mute", "deliver")
    began = time.monotonic()
    tap.same(site.facteur("status").returncode, 0)
    tap.true(time.monotonic() - began < 8, "status took too long")
    site.no_order("mute", "deliver")


def a_second_start_is_refused(site):
    done = site.facteurd("-f")
    tap.same(done.returncode, 1)
    tap.has(done.stderr, "facteurd runs already, as process %d" % site.master.pid)
    tap.same(site.facteur("status").returncode, 0, "the first one goes on")
    tap.same(site.facteurd("-t").returncode, 0, "a check beside a running server")


def control_socket_is_bounded(site):
    def talk(data):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(site.path("run/control"))
            try:
                s.sendall(data)
                return s.makefile("rb").read()
            except ConnectionError:
                return b""
    tap.same(talk(b"x" * 5000), b"")
    tap.has(talk(b"nonsense\n").decode(), "error: ")
    held = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for s in held:
        s.connect(site.path("run/control"))
    for s in held:
        s.close()
    tap.wait_for(lambda: site.facteur("status").returncode == 0)


def others_may_not_control(site):
    if not ROOT:
        return
    os.chmod(site.path("run/control"), 0o777)
    done = subprocess.run(["setpriv", "--reuid", "64399", "--regid", "64399", "--clear-groups",
                           sys.executable, "-c",
                           "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
                           "try:\n s.sendall(b'status\\n')\n print(s.recv(100))\n"
                           "except ConnectionError:\n print(b'')", site.path("run/control")],
                          capture_output=True, text=True)
    os.chmod(site.path("run/control"), 0o600)
    tap.same(done.stdout, "b''\n", done.stderr)


# --- sessions ---

def grants_become_sessions(site):
    verdict, text, client = site.ask(1, user=1)
    tap.same((verdict, text), (YES, "hello login1"))
    said = site.events("session", 0, "session")[-1]
    tap.same((said["uid"], said["gid"], said["service"], said["home"]),
             (20001, 20000, IMAP, site.path("vmail/u")))
    tap.same(site.events("directory", 0, "redeem")[-1]["use"], 1)
    tap.wait_for(lambda: site.status()[0]["sessions"] == 1)
    client.close()
    tap.wait_for(lambda: site.status()[0]["sessions"] == 0, 10, "the session is still counted")


def bad_grants_do_not(site):
    before = len(site.events("session", 0, "session"))
    why = {2: "another service", 3: "uid below the floor", 4: "maildir elsewhere", 5: "no grant",
           8: "home with ..", 9: "a neighbour of the base"}
    if ROOT:
        why[10] = "a program's uid"
    for behaviour, what in why.items():
        tap.same(site.ask(behaviour)[0], CANNOT_SAY, what)
    tap.same(site.ask(1, service=POP3)[0], CANNOT_SAY, "a grant for IMAP used for POP3")
    tap.same(site.ask(1, service=1)[0], CANNOT_SAY, "a session for SMTP")
    tap.same(len(site.events("session", 0, "session")), before, "sessions started")
    tap.same(site.status()[0]["sessions"], 0)


def sessions_of_a_user_are_limited(site):
    held = [site.ask(1, user=5)[2] for _ in range(2)]
    tap.same(site.ask(1, user=5)[0], REFUSED, "the third")
    tap.same(site.ask(1, user=6)[0], YES, "another user's first")
    held[0].close()
    tap.wait_for(lambda: site.ask(1, user=5)[0] == YES)
    for client in held:
        client.close()
    tap.wait_for(lambda: site.status()[0]["sessions"] == 0)


def deaths_are_survived(site):
    def back(program):
        tap.wait_for(lambda: site.child(program)["state"] == "ready", 20)

    tap.same(site.ask(7)[0], CANNOT_SAY, "the directory dies over the grant")
    back("directory")
    tap.same(site.ask(11)[0], CANNOT_SAY, "the session program dies over it")
    back("session")
    tap.same(site.ask(12)[0], CANNOT_SAY, "the session program refuses")
    client = site.connect("imap")
    client.sendall(b"ask %d 0601\n" % IMAP)
    tap.wait_for(lambda: site.events("directory", 0, "redeem")[-1]["behaviour"] == 6)
    for index in range(2):
        os.kill(site.child("access", index)["pid"], signal.SIGKILL)
    client.close()
    tap.wait_for(lambda: all(site.child("access", i)["state"] == "ready" for i in range(2)), 20)
    tap.same(site.ask(1)[:2], (YES, "hello login1"), "all is well again")
    tap.wait_for(lambda: site.status()[0]["sessions"] == 0)


def silence_ends(site):
    began = time.monotonic()
    tap.same(site.ask(6)[0], CANNOT_SAY, "the directory is silent")
    tap.true(10 < time.monotonic() - began < 25, "the time it took")


# --- reload ---

def configured(site, program, index=0):
    return site.events(program, index, "configure")[-1]


def reload_changes_all(site):
    site.write("ldap/a.cf", "query_filter = (mail=%s) # longer than before\n", 0o640)
    new_port = str(site.ports[5])
    old_port = site.options["smtp_port"]
    site.options["smtp_port"] = new_port
    site.write_config(smtpd_banner="$myhostname changed")
    done = site.facteur("reload")
    tap.same((done.returncode, done.stderr), (0, ""))
    for program, index in everybody():
        last = configured(site, program, index)
        tap.same(last["reload"], 1, program)
    tap.has(configured(site, "smtp")["conf"], "smtpd_banner = mail.example.org changed\n")
    tap.true(configured(site, "directory")["sizes"][1] > 40, "the new table")
    tap.wait_for(lambda: site.greet("smtp").startswith("smtp/"))
    for index in range(2):
        tap.wait_for(lambda: site.events("smtp", index, "listener_close"))
    try:
        socket.create_connection(("127.0.0.1", int(old_port)), 5).close()
        raise AssertionError("the old port is still open")
    except ConnectionRefusedError:
        pass
    tap.same(site.status()[0]["reloads"], 1)
    os.kill(site.child("smtp")["pid"], signal.SIGKILL)
    tap.wait_for(lambda: site.child("smtp")["state"] == "ready", 20)
    tap.has(configured(site, "smtp")["conf"], "changed")


def unchanged(site, numbers):
    tap.same({(p, i): len(site.events(p, i, "configure")) for p, i in everybody()}, numbers,
             "configurations given")


def bad_reload_keeps_the_old(site):
    numbers = {(p, i): len(site.events(p, i, "configure")) for p, i in everybody()}
    site.write_config(smtpd_timeout="soon")
    done = site.facteur("reload")
    tap.same(done.returncode, 1)
    tap.has(done.stderr, "smtpd_timeout: is not a number")
    site.write_config(deliver_processes="7")
    tap.has(site.facteur("reload").stderr, "deliver_processes: changes with a restart only")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        site.write_config(imaps_port=str(taken.getsockname()[1]))
        tap.has(site.facteur("reload").stderr, "imaps_port: 127.0.0.1:")
    os.chmod(site.path("ldap/b.cf"), 0o644)
    tap.has(site.facteur("reload").stderr, "chmod 0640 " + site.path("ldap/b.cf"))
    os.chmod(site.path("ldap/b.cf"), 0o640)
    unchanged(site, numbers)
    tap.true(site.greet("smtp").startswith("smtp/"), "smtp serves on")
    site.write_config()
    tap.same(site.status()[0]["reloads"], 1)


def one_refusal_rolls_all_back(site):
    site.order("refuse-reload", "directory", "the table is bad")
    site.write_config(myhostname="new.example.org")
    done = site.facteur("reload")
    tap.same(done.returncode, 1)
    tap.has(done.stderr, "directory: the table is bad")
    site.no_order("refuse-reload", "directory")
    for program in ("smtp", "queue", "deliver"):
        tap.wait_for(lambda: "myhostname = mail.example.org\n" in configured(site, program)["conf"])
    os.kill(site.child("queue")["pid"], signal.SIGKILL)
    tap.wait_for(lambda: site.child("queue")["state"] == "ready", 20)
    tap.has(configured(site, "queue")["conf"], "myhostname = mail.example.org\n")
    site.write_config()
    tap.same(site.facteur("reload").returncode, 0, "the next one is taken")


def a_signal_reloads(site):
    before = site.status()[0]["reloads"]
    site.master.send_signal(signal.SIGHUP)
    tap.wait_for(lambda: site.status()[0]["reloads"] == before + 1)


# --- end ---

def stop_cleans_up(site):
    pids = [site.child(p, i)["pid"] for p, i in everybody()]
    tap.same(site.facteur("stop").returncode, 0)
    tap.same(site.master.wait(5), 0)
    for pid in pids:
        tap.same(alive(pid), False, "a program lives on")
    tap.same(sorted(os.listdir(site.path("run"))), ["empty"])
    done = site.facteur("status")
    tap.same(done.returncode, 1)
    tap.has(done.stderr, "it does not run")


def the_stubborn_are_killed(site):
    site.order("stubborn", "deliver")
    site.start()
    pid = site.child("deliver")["pid"]
    began = time.monotonic()
    site.stop()
    site.no_order("stubborn", "deliver")
    tap.same((site.master.returncode, alive(pid)), (0, False))
    tap.true(4 < time.monotonic() - began < 15, "the time it took")


def a_killed_master_takes_all_along(site):
    site.start()
    pids = [site.child(p, i)["pid"] for p, i in everybody()]
    site.master.kill()
    site.master.wait()
    site.start()
    tap.wait_for(lambda: not any(alive(pid) for pid in pids), 10)
    site.stop()


def the_service_manager_is_told(site):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(site.path("notify"))
        manager.settimeout(20)
        site.start({"NOTIFY_SOCKET": site.path("notify")})
        tap.same(manager.recv(200).decode().split("\n"),
                 ["READY=1", "MAINPID=%d" % site.master.pid])
        site.master.send_signal(signal.SIGHUP)
        tap.has(manager.recv(200).decode(), "RELOADING=1\nMONOTONIC_USEC=")
        tap.same(manager.recv(200), b"READY=1")
        site.stop()
        tap.same(manager.recv(200), b"STOPPING=1")


def background_is_ready_when_it_returns(site):
    site.forget_events()
    done = site.facteurd()
    tap.same(done.returncode, 0, done.stderr)
    tap.has(done.stderr, "running")
    tap.same(site.facteur("status").returncode, 0)
    pid = int(open(site.path("run/facteurd.pid")).read())
    tap.same(os.getsid(pid), pid)
    tap.same(site.facteur("stop").returncode, 0)
    tap.wait_for(lambda: not alive(pid))


def a_refusing_program_fails_the_start(site):
    site.order("refuse", "directory", "no such table")
    for arguments in (("-f",), ()):
        done = site.facteurd(*arguments)
        tap.same(done.returncode, 1)
        tap.has(done.stderr, 'child-refused program=directory index=0 why="no such table"')
    site.no_order("refuse", "directory")
    site.order("die", "smtp")
    done = site.facteurd()
    tap.same(done.returncode, 1)
    tap.has(done.stderr, "start-failed program=smtp")
    site.no_order("die", "smtp")
    tap.same(sorted(os.listdir(site.path("run"))), ["empty"])


# --- mistakes ---

class Mistake:
    """Makes something wrong, sees that -t names it, and puts it right again."""

    def __init__(self, site):
        self.site = site

    def expect(self, *parts):
        done = self.site.facteurd("-t")
        tap.same(done.returncode, 1, done.stderr)
        for part in parts:
            tap.has(done.stderr, part)

    def options(self, part, **changes):
        self.site.write_config(**changes)
        self.expect(part)
        self.site.write_config()

    def mode(self, name, mode, part):
        path = self.site.path(name)
        before = os.stat(path).st_mode & 0o7777
        os.chmod(path, mode)
        self.expect(part)
        os.chmod(path, before)

    def owner(self, name, part):
        path = self.site.path(name)
        if ROOT:
            os.chown(path, 64398, 64398)
            self.expect(part)
            os.chown(path, 0, 0)

    def missing(self, name, part):
        path = self.site.path(name)
        os.rename(path, path + ".away")
        self.expect(part)
        os.rename(path + ".away", path)


def the_right_one_is_good(site):
    done = site.facteurd("-t")
    tap.same((done.returncode, done.stdout), (0, site.conf + ": good\n"), done.stderr)
    done = site.facteur("check")
    tap.same((done.returncode, done.stdout), (0, site.conf + ": good\n"), done.stderr)


def wrong_options_are_named(site):
    wrong = Mistake(site)
    wrong.options('unknown option "smtp_prot"; did you mean "smtp_port"?', smtp_prot="1")
    wrong.options("smtp_port and imap_port: both want 127.0.0.1:",
                  imap_port=site.options["smtp_port"])
    wrong.options('inet_interfaces: "mail.example.org" is no address',
                  inet_interfaces="mail.example.org")
    wrong.options("smtp_port: 192.0.2.1:", inet_interfaces="192.0.2.1")
    wrong.options('virtual_alias_maps: "hash:aliases"', virtual_alias_maps="hash:aliases")
    wrong.options("virtual_mailbox_base: must be a directory of its own", virtual_mailbox_base="/")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wrong.options("smtp_port: 127.0.0.1:%d: Address already in use" % taken.getsockname()[1],
                      smtp_port=str(taken.getsockname()[1]))


def wrong_users_are_named(site):
    wrong = Mistake(site)
    if not ROOT:
        wrong.options("started without root: every program needs a user of its own",
                      single_uid="no")
        return
    wrong.options("single_uid: is for ordinary users", single_uid="yes")
    wrong.options("smtp_user: this machine has no user facteur-nobody: useradd ",
                  smtp_user="facteur-nobody")
    wrong.options("queue_user: must be neither root", queue_user="root")
    wrong.options("are the same user, uid %d" % UIDS["smtp"],
                  access_user="%d:%d" % (UIDS["smtp"], UIDS["access"]))


def wrong_files_are_named(site):
    wrong = Mistake(site)
    table = site.path("ldap/a.cf")
    wrong.mode("ldap/a.cf", 0o644, "chmod 0640 " + table)
    wrong.mode("ldap/a.cf", 0o660, "chmod 0640 " + table)
    wrong.owner("ldap/a.cf", "chown root:root %s && chmod 0640 %s" % (table, table))
    wrong.missing("ldap/a.cf", "virtual_alias_maps: %s: No such file" % table)
    wrong.mode("facteur.conf", 0o644, "chmod 0640 " + site.conf)
    wrong.owner("facteur.conf", "chown root %s && " % site.conf)
    wrong.mode("tls/one.pem", 0o644, "chmod 0640 " + site.path("tls/one.pem"))
    wrong.missing("tls/one.pem", "smtpd_tls_chain_files: %s: No such file" % site.path("tls/one.pem"))
    wrong.options("ldap_tls_ca_cert_file: ", ldap_tls_ca_cert_file="nowhere.pem")


def the_directory_group_may_read(site):
    if not ROOT:
        return
    os.chown(site.path("ldap/a.cf"), 0, UIDS["directory"])
    tap.same(site.facteurd("-t").returncode, 0)
    os.chown(site.path("ldap/a.cf"), 0, UIDS["smtp"])
    Mistake(site).expect("chown root:")
    os.chown(site.path("ldap/a.cf"), 0, 0)


def wrong_certificates_are_named(site):
    wrong = Mistake(site)
    wrong.options("submissions_port: needs a certificate", smtpd_tls_chain_files=None,
                  tls_server_sni_maps=None)
    mixed = site.path("tls/mixed.pem")
    site.write("tls/mixed.pem", open(site.path("tls/one.key")).read() +
               open(site.path("tls/two.crt")).read(), 0o600)
    wrong.options("smtpd_tls_chain_files: %s: the private key does not fit" % mixed,
                  smtpd_tls_chain_files=mixed)
    site.write("tls/mixed.pem", "nothing\n", 0o600)
    wrong.options("no usable certificate", smtpd_tls_chain_files=mixed)
    wrong.options("smtpd_tls_key_file: is given without smtpd_tls_cert_file",
                  smtpd_tls_key_file="tls/one.key")
    wrong.options("smtpd_tls_key_file: the private key does not fit", smtpd_tls_chain_files=None,
                  smtpd_tls_cert_file="tls/one.crt", smtpd_tls_key_file="tls/two.key")
    wrong.options('"tls/two.pem" is not DOMAIN=FILE', tls_server_sni_maps="tls/two.pem")
    site.write_config(smtpd_tls_chain_files=None, smtpd_tls_cert_file="tls/one.crt",
                      smtpd_tls_key_file="tls/one.key")
    tap.same(site.facteurd("-t").returncode, 0, "a pair of files")
    site.write_config()


def wrong_directories_are_named(site):
    wrong = Mistake(site)
    wrong.mode("vmail", 0o757, "virtual_mailbox_base: %s: has mode 0757" % site.path("vmail"))
    wrong.owner("vmail", "virtual_mailbox_base: %s: belongs to uid 64398: chown 0 " % site.path("vmail"))
    wrong.missing("vmail", "virtual_mailbox_base: %s: No such file" % site.path("vmail"))
    wrong.mode("queue", 0o755, "queue_directory: %s: has mode 0755, too open: chmod 0700" %
               site.path("queue"))
    wrong.mode("run", 0o777, "run_directory: %s: has mode 0777" % site.path("run"))
    wrong.options("queue_directory: ", queue_directory="/nowhere/at/all")
    wrong.missing("programs/queue", "daemon_directory: %s" % site.path("programs/queue"))
    wrong.mode("programs/queue", 0o644, "cannot be executed")
    wrong.mode("programs/queue", 0o777, "others could change it")
    if ROOT:
        wrong.mode(".", 0o700, "cannot reach " + site.path("queue"))


def all_mistakes_at_once(site):
    site.write_config(smtp_port=site.options["imap_port"], virtual_alias_maps="ldap:nowhere.cf",
                      virtual_mailbox_base="/")
    Mistake(site).expect("both want", "nowhere.cf", "virtual_mailbox_base")
    done = site.facteurd("-f")
    tap.same(done.returncode, 1)
    tap.has(done.stderr, "nowhere.cf")
    site.write_config()


# --- facteur conf ---

def conf_prints(site):
    tap.same(site.facteur("conf", "smtp_processes", "smtpd_banner").stdout,
             "smtp_processes = 2\nsmtpd_banner = $myhostname ESMTP\n")
    tap.same(site.facteur("conf", "-d", "smtp_processes").stdout, "smtp_processes = 0\n")
    differing = site.facteur("conf", "-n").stdout
    tap.has(differing, "smtp_processes = 2\n")
    tap.true("smtpd_banner" not in differing, "a default is no difference")
    tap.true(len(site.facteur("conf").stdout.splitlines()) > 80, "all options")
    done = site.facteur("conf", "smtpd_baner")
    tap.same((done.returncode, "did you mean \"smtpd_banner\"" in done.stderr), (1, True))


def conf_edits(site):
    site.write("facteur.conf", "# first\nmyhostname = a.example\n\n# networks\nmynetworks = 10.0.0.0/8\n"
               "  # inside\n  192.168.0.0/16\nsmtp_port = 2525\n", 0o640)
    done = site.facteur("conf", "-e", "mynetworks=127.0.0.0/8", "debug = yes")
    tap.same((done.returncode, done.stderr), (0, ""))
    tap.same(open(site.conf).read(), "# first\nmyhostname = a.example\n\n# networks\n"
             "mynetworks = 127.0.0.0/8\n  # inside\nsmtp_port = 2525\ndebug = yes\n")
    tap.same(os.stat(site.conf).st_mode & 0o7777, 0o640)
    before = open(site.conf).read()
    for pair, why in (("nonsense=1", "unknown option"), ("smtp_port=70000", "must lie between"),
                      ("debug=yes\nsmtp_port=1", "one line"), ("debug", "not name=value"),
                      ("mynetworks", "not name=value")):
        done = site.facteur("conf", "-e", pair)
        tap.same((done.returncode, why in done.stderr), (1, True), done.stderr)
    tap.same(open(site.conf).read(), before, "nothing changed")
    tap.same([n for n in os.listdir(site.dir) if n.startswith("facteur.conf")], ["facteur.conf"])
    site.write_config()


def commands_say_how_they_are_used(site):
    for arguments in ((), ("nonsense",), ("-x",)):
        done = site.facteur(*arguments)
        tap.same((done.returncode, "usage: facteur" in done.stderr), (2, True))
    tap.same(site.facteurd("-x").returncode, 2)
    tap.has(site.facteurd("-V").stdout, "facteur ")
    tap.same(site.facteur("stop", "now").returncode, 1)


TESTS = (
    the_right_one_is_good, starts, processes_are_clean, bundles_hold_what_each_may_see,
    programs_are_linked, ports_and_counts_are_handed_out, directories_are_safe,
    the_master_keeps_little, killed_programs_come_back, peers_get_new_links,
    the_counts_of_the_dead_are_wiped, dying_young_slows_restarts, status_does_not_wait_for_ever, a_second_start_is_refused,
    control_socket_is_bounded, others_may_not_control, grants_become_sessions, bad_grants_do_not,
    sessions_of_a_user_are_limited, deaths_are_survived, silence_ends, reload_changes_all,
    bad_reload_keeps_the_old, one_refusal_rolls_all_back, a_signal_reloads, stop_cleans_up,
    the_stubborn_are_killed, a_killed_master_takes_all_along, the_service_manager_is_told,
    background_is_ready_when_it_returns, a_refusing_program_fails_the_start,
    wrong_options_are_named, wrong_users_are_named, wrong_files_are_named,
    the_directory_group_may_read, wrong_certificates_are_named, wrong_directories_are_named,
    all_mistakes_at_once, conf_prints, conf_edits, commands_say_how_they_are_used,
)


def main():
    site = Site()
    try:
        failed = tap.run([(test.__name__.replace("_", " "), lambda test=test: test(site))
                          for test in TESTS])
        if failed:
            for line in site.log().splitlines()[-80:]:
                print("# " + line)
    finally:
        site.close()
    sys.exit(failed > 0)


main()
