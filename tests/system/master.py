#!/usr/bin/env python3
"""The master with programs that only tell what they are given: start, links, restarts, reload,
sessions, end."""
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import UIDS  # noqa: E402
from mastersite import (CANNOT_SAY, COUNTS, IMAP, POP3, PROGRAMS, REFUSED, ROOT,  # noqa: E402
                        YES, run_tests)
from watch import lives  # noqa: E402


def everybody():
    return [(program, index) for program, count in COUNTS.items() for index in range(count)]


# --- a start ---

# All that passes from the master's environment to its children.
PASSED = dict({"TZ": "UTC0"}, **{name + "_OPTIONS": os.environ.get(name + "_OPTIONS", "verbosity=0")
                                 for name in ("ASAN", "LSAN", "TSAN", "UBSAN")})


def starts(site):
    site.start(PASSED)
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
        for name, value in PASSED.items():
            tap.true(environment.pop(name, "").startswith(value), name + " of " + program)
        own = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"} if program == "session" else {}
        tap.same(environment, {"LANG": "C.UTF-8", **own}, program)
        tap.same((start["directory"], start["umask"], start["group"] == start["pid"],
                  start["descriptors"]), ("/", 0o77, True, [0, 1, 2, 3]), program)
        user = str(UIDS.get(program, 0)) if ROOT else "0"
        tap.same((start["arguments"]["--uid"], start["arguments"]["--gid"]), (user, user), program)
        front = program in ("smtp", "access", "relay", "filter")
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
    tap.same(bundle("relay")["pieces"], ["facteur.conf", "anchors"])
    for program in ("queue", "deliver", "session", "filter"):
        tap.same(bundle(program)["pieces"], ["facteur.conf"], program)
    for program in PROGRAMS:
        tap.same("a secret" in bundle(program)["conf"], program == "directory", program)
    tap.has(bundle("directory")["conf"], "ldap:" + site.path("ldap/a.cf") + "\n")
    tap.has(bundle("queue")["conf"], "queue_directory = " + site.path("queue") + "\n")


WANTED_LINKS = {"smtp": ("directory", "deliver", "queue", "filter", "relay"), "filter": ("smtp", "directory"), "access": ("directory",),
                "queue": ("smtp", "directory", "deliver", "relay"), "session": (),
                "relay": ("queue", "directory", "smtp"),
                "deliver": ("smtp", "queue", "directory"),
                "directory": ("smtp", "access", "queue", "deliver", "relay", "filter")}


def check_links(site):
    for program, index in everybody():
        pid = site.child(program, index)["pid"]
        got = [e for e in site.events(program, index, "link") if e["pid"] == pid]
        want = {"%s/%d" % (p, i) for p in WANTED_LINKS[program] for i in range(COUNTS[p])}
        tap.same({e["peer"] for e in got}, want, "%s/%d" % (program, index))
        for e in got:
            tap.same(e["said"], e["peer"], "the other end of a link")


def programs_are_linked(site):
    tap.wait_for(lambda: len(site.events("directory", 0, "link")) == 10)
    check_links(site)
    for e in site.events("directory", 0, "link"):
        tap.true(e["said"], "a link is open")


def ports_and_counts_are_handed_out(site):
    for program, names in (("smtp", ("smtp", "submission", "submissions")), ("access", ("imap", "imaps", "pop3", "pop3s"))):
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
        tap.same(lives(before["pid"]), False, program)
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
    tap.same((said["session"][:7], said["client"]), ("session", "192.0.2.7"), "who it is, for the log")
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


def logins_are_watched(site):
    client = site.ask(1, user=5)[2]
    began = tap.wait_for(lambda: site.events("directory", 0, "began"))[-1]
    tap.same((began["uid"], began["login"], began["name"]), (20005, "login1", "login1"))
    tap.same(site.events("session", 0, "stop"), [])
    os.kill(site.child("directory")["pid"], signal.SIGKILL)
    again = tap.wait_for(lambda: site.events("directory", 0, "began")[1:], 20)
    tap.same((again[0]["uid"], again[0]["login"]), (20005, "login1"), "a new directory is told")
    site.order("end-login", "directory")
    other = site.ask(1, user=6)[2]
    tap.wait_for(lambda: site.events("session", 0, "stop"), 10, "nobody was told to end")
    site.no_order("end-login", "directory")
    tap.same(len(site.events("session", 0, "stop")), 1, "one session of two")
    for one in (client, other):
        one.close()
    tap.wait_for(lambda: len(site.events("directory", 0, "over")) >= 2)
    tap.wait_for(lambda: site.status()[0]["sessions"] == 0)


def the_directory_forgets(site):
    done = site.facteur("directory", "flush")
    tap.same((done.returncode, done.stdout), (0, "7 answers forgotten\n"))
    tap.same(site.facteur("directory", "flush", "amelie").returncode, 0)
    tap.same([e["user"] for e in site.events("directory", 0, "flush")], ["", "amelie"])
    for wrong in (("directory",), ("directory", "flush", ""), ("directory", "drop"),
                  ("directory", "flush", "x" * 1001), ("directory", "flush", "a\nstop")):
        tap.true(site.facteur(*wrong).returncode != 0, repr(wrong))
    site.order("no-flush", "directory")
    tap.has(site.facteur("directory", "flush").stderr, "died")
    site.no_order("no-flush", "directory")
    tap.wait_for(lambda: site.child("directory")["state"] == "ready", 20)


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
    new_port = str(site.ports[7])
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


def one_may_want_a_new_start(site):
    before = {p: site.child(p) for p in ("relay", "queue")}
    site.order("anew", "relay", "myhostname = anew.example.org\n")
    site.write_config(myhostname="anew.example.org")
    tap.same(site.facteur("reload").returncode, 0)
    tap.wait_for(lambda: site.child("relay")["state"] == "ready" and
                 site.child("relay")["pid"] != before["relay"]["pid"], 20, "the relay was not started anew")
    site.no_order("anew", "relay")
    last = configured(site, "relay")
    tap.same(last["reload"], 0)
    tap.has(last["conf"], "myhostname = anew.example.org\n")
    tap.has(site.log(), "child-anew program=relay index=0")
    tap.same(site.child("queue")["pid"], before["queue"]["pid"])


def a_refusal_keeps_those_who_want_a_new_start(site):
    relay = site.child("relay")["pid"]
    site.order("anew", "relay", "myhostname = mail.example.org\n")
    site.order("refuse-reload", "directory", "the table is bad")
    site.write_config()
    tap.same(site.facteur("reload").returncode, 1)
    site.no_order("refuse-reload", "directory")
    site.no_order("anew", "relay")
    tap.wait_for(lambda: "myhostname = anew.example.org\n" in configured(site, "relay")["conf"])
    tap.same(site.child("relay")["pid"], relay)
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
        tap.same(lives(pid), False, "a program lives on")
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
    tap.same((site.master.returncode, lives(pid)), (0, False))
    tap.true(4 < time.monotonic() - began < 15, "the time it took")


def a_killed_master_takes_all_along(site):
    site.start()
    pids = [site.child(p, i)["pid"] for p, i in everybody()]
    site.master.kill()
    site.master.wait()
    site.start()
    tap.wait_for(lambda: not any(lives(pid) for pid in pids), 10)
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
    tap.wait_for(lambda: not lives(pid))


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


TESTS = (
    starts, processes_are_clean, bundles_hold_what_each_may_see, programs_are_linked,
    ports_and_counts_are_handed_out, directories_are_safe, the_master_keeps_little,
    killed_programs_come_back, peers_get_new_links, the_counts_of_the_dead_are_wiped,
    dying_young_slows_restarts, status_does_not_wait_for_ever, a_second_start_is_refused,
    control_socket_is_bounded, others_may_not_control, grants_become_sessions,
    bad_grants_do_not, sessions_of_a_user_are_limited, logins_are_watched, the_directory_forgets, deaths_are_survived, silence_ends,
    reload_changes_all, bad_reload_keeps_the_old, one_refusal_rolls_all_back,
    one_may_want_a_new_start, a_refusal_keeps_those_who_want_a_new_start, a_signal_reloads,
    stop_cleans_up, the_stubborn_are_killed, a_killed_master_takes_all_along,
    the_service_manager_is_told, background_is_ready_when_it_returns,
    a_refusing_program_fails_the_start,
)

run_tests(TESTS)
