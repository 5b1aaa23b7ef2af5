"""What is measured. A part is a function of (bench, server): it puts load on one server and records
figures with bench.record(row, value)."""
import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import time

import mailbox
import people
from directory import Directory, connection
from machine import kernel_memory, run
from measure import (COST, LOAD, RATE, Conversation, Meter, Row, deliver, load, record_cost, visit,
                     wait_for_rest)
from servers import BUILD
from slapd import PrivateSlapd

# --- mail in ---

def send(bench, server, row, messages, goals=(None, None), latency=None, **options):
    """Messages until each lies in its maildir; goals: of rate and CPU."""
    meter, result = deliver(bench, server, messages, **options)
    recipients, size = options.get("recipients", 1), "4 KiB" if options["size"] == 4096 else "100 KiB"
    writers = "%d writers" % options["sessions"] if options["sessions"] > 1 else "1 writer"
    bench.record(Row(row, "messages/s", RATE, goals[0], parts=recipients,
                     limit="disk: create, fsync, rename, %s, %s" % (size, writers)),
                 messages / meter.seconds)
    if latency is not None:
        bench.record(Row(row + ", one", "ms", COST, most=latency), result["p50"])
    record_cost(bench, row, meter, messages, goals[1])


def smtp(bench, server):
    n = bench.scale
    send(bench, server, "inbound 4 KiB, 20 sessions", n(3000), (6, 1 / 7), size=4096, sessions=20)
    send(bench, server, "inbound 4 KiB, 1 session", n(400), size=4096, sessions=1, latency=0)
    send(bench, server, "inbound 100 KiB, 20 sessions", n(1000), size=102400, sessions=20)
    send(bench, server, "inbound 100 KiB, 1 session", n(200), size=102400, sessions=1)
    send(bench, server, "inbound 4 KiB to ten, 20 sessions", n(500), size=4096, sessions=20,
         recipients=10)
    send(bench, server, "inbound 4 KiB to ten, 1 session", n(100), size=4096, sessions=1,
         recipients=10)
    smtp_source(bench, server)


def smtp_source(bench, server):
    """Postfix's own generator, of which everything goes to one mailbox."""
    count, row = bench.scale(1000), "inbound 4 KiB to one mailbox, 20 sessions (smtp-source)"
    meter = Meter(bench, server)
    run("smtp-source", "-s", "20", "-m", str(count), "-l", "4096", "-f", "sender@remote.example", "-t",
        server.users[0].address, "127.0.0.1:%d" % server.ports["smtp"])
    server.take_delivered(count, row)
    meter.end()
    bench.record(Row(row, "messages/s", RATE), count / meter.seconds)
    record_cost(bench, row, meter, count)


def submission(bench, server):
    n, port = bench.scale, server.ports["submission"]
    send(bench, server, "submission, a connection each, 20 sessions", n(1000), (4, None), port=port,
         tls=1, auth=1, per=1, sessions=20, size=4096)
    send(bench, server, "submission, a connection each, alone", n(100), port=port, tls=1, auth=1,
         per=1, sessions=1, size=4096, latency=5)
    send(bench, server, "submission, 100 a connection, 20 sessions", n(4000), port=port, tls=1, auth=1,
         per=100, sessions=20, size=4096)


# --- mail out ---

def relay(bench, server):
    """Messages for strangers, until the server that stands for the world has them all."""
    remote = os.path.join(server.dir, "strangers")
    people.write_list(remote, server.users, "stranger%d@remote.example")
    options = dict(users=remote, port=server.ports["smtp"], sessions=20, size=4096)
    load("smtp", messages=40, **options)
    server.sink.wait(40)
    messages = bench.scale(3000)
    meter = Meter(bench, server)
    load("smtp", messages=messages, **options)
    accepted = time.monotonic() - meter.time
    server.sink.wait(messages)
    meter.end()
    row = "relay out 4 KiB, 20 sessions"
    bench.record(Row(row, "messages/s", RATE, 5), messages / meter.seconds)
    bench.record(Row(row + ", accepted", "messages/s", RATE), messages / accepted)
    record_cost(bench, row, meter, messages)


# --- logins ---

def visits(bench, server, row, count, sessions, pop3, goals):
    if pop3 and "pop3s" not in server.ports:
        return
    meter, result = visit(bench, server, count, sessions, pop3)
    bench.record(Row(row, "logins/s", RATE, goals[0], limit="TLS handshakes, server's side, all processors"),
                 count / result["seconds"])
    bench.record(Row(row + ", p99", "ms", COST), result["p99"])
    record_cost(bench, row, meter, count, goals[1])


def login(bench, server):
    n = bench.scale
    visits(bench, server, "IMAPS login to logout, 20 at once", n(2000), 20, False, (3.5, 1 / 4))
    visits(bench, server, "IMAPS login to logout, one at a time", n(300), 1, False, (None, 1 / 4))
    visits(bench, server, "POP3S login to quit, 20 at once", n(2000), 20, True, (None, None))
    visits(bench, server, "POP3S login to quit, one at a time", n(300), 1, True, (None, None))


# --- idle sessions ---

def idle(bench, server):
    for count in bench.idle:
        # The first of the counts in each round; the others, which take minutes, once.
        if count == bench.idle[0] or bench.last_round():
            idle_sessions(bench, server, count)


def idle_sessions(bench, server, count):
    empty, kernel, before = server.group.pss(), kernel_memory(), len(server.group.pids())
    if count == bench.idle[0]:
        bench.record(Row("memory, no session", "KiB PSS", COST), empty)
    row = "%d idle IMAPS sessions" % count
    meter = Meter(bench, server)
    clients = subprocess.Popen([LOAD, "idle", "port=%d" % server.ports["imaps"],
                                "users=" + server.list, "count=%d" % count],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if clients.stdout.readline().strip() != "ready":
            raise RuntimeError("%d sessions could not be opened" % count)
        time.sleep(3)
        opened = meter.end().server / count
        bench.record(Row(row + ", each", "KiB PSS", COST, most=200), (server.group.pss() - empty) / count)
        bench.record(Row(row + ", kernel memory with the client's, each", "KiB", COST),
                     (kernel_memory() - kernel) / count)
        bench.record(Row(row + ", opening one", "ms CPU", COST), opened)
        if bench.last_round() and not bench.quick:
            time.sleep(40)
            bench.record(Row(row + ", each after 40 s", "KiB PSS", COST),
                         (server.group.pss() - empty) / count)
    finally:
        clients.stdin.close()
        clients.wait(60)
    end = time.monotonic() + 60
    while len(server.group.pids()) > before + 5 and time.monotonic() < end:
        time.sleep(0.2)


# --- the large mailbox ---

SCRIPT = [
    # row (None: not recorded), command (None: silence until the server rests), goal against the tuned
    ("SELECT, first after a copy", "SELECT INBOX", 1),
    ("FETCH 1:* FLAGS", "FETCH 1:* (FLAGS)", 1),
    ("FETCH 1:* FLAGS, again", "FETCH 1:* (FLAGS)", 1 / 2),
    ("ENVELOPE, cold", "FETCH 1:* (ENVELOPE)", 1 / 2),
    ("ENVELOPE, warm", "FETCH 1:* (ENVELOPE)", 1 / 2),
    ("BODYSTRUCTURE, cold", "FETCH 1:* (BODYSTRUCTURE)", 1 / 2),
    ("BODYSTRUCTURE, warm", "FETCH 1:* (BODYSTRUCTURE)", 1 / 2),
    ("SEARCH SUBJECT", "SEARCH SUBJECT " + mailbox.RARE_SUBJECT, 1 / 2),
    ("SEARCH FROM", "SEARCH FROM " + mailbox.RARE_FROM, 1 / 2),
    ("SEARCH BODY, first", "SEARCH BODY " + mailbox.RARE_BODY, 1),
    ("silence after it", None, None),
    ("SEARCH BODY, again", "SEARCH BODY " + mailbox.RARE_BODY, 1 / 100),
    ("SEARCH TEXT", "SEARCH TEXT " + mailbox.RARE_BODY, 1 / 100),
    ("SORT DATE, first", "SORT (DATE) UTF-8 ALL", 1 / 2),
    ("SORT DATE, again", "SORT (DATE) UTF-8 ALL", 1 / 2),
    ("THREAD REFERENCES, first", "THREAD REFERENCES UTF-8 ALL", 1 / 2),
    ("THREAD REFERENCES, again", "THREAD REFERENCES UTF-8 ALL", 1 / 2),
    ("5 % of the bodies", "FETCH 1:{twentieth} (BODY.PEEK[])", 1 / 2),
    ("STORE on 10 %", "STORE 1:{tenth} +FLAGS (\\Flagged)", 1 / 2),
    (None, "CREATE Copies", None),
    ("COPY of 10 %", "COPY 1:{tenth} Copies", 1 / 2),
    (None, "STORE 1:{tenth} +FLAGS.SILENT (\\Deleted)", None),
    ("EXPUNGE of 10 %", "EXPUNGE", 1 / 2),
    (None, "CLOSE", None),
    ("SELECT", "SELECT INBOX", 1 / 2),
]


def rest(bench, server):
    """Says nothing until the server does nothing more: what it prepares meanwhile is recorded."""
    meter = Meter(bench, server)
    wait_for_rest(server)
    bench.record(Row("mailbox: work in silence, server CPU", "ms", COST), meter.end().server)


def large(bench, server):
    count = bench.mailbox_size
    with Conversation(bench, server, count) as client:
        for row, command, goal in SCRIPT:
            if command is None:
                rest(bench, server)
                continue
            result, meter = client.say(command.format(tenth=count // 10, twentieth=count // 20))
            if row and result["result"] == "ok":
                bench.record(Row("mailbox: " + row, "ms", COST, goal), result["ms"])
                bench.record(Row("mailbox: " + row + ", server CPU", "ms", COST), meter.server)


# --- many clients at once ---

def mixed(bench, server):
    clients, messages = 50, 500
    for user in server.users[:clients]:
        if not os.path.isdir(user.home + "/mixed"):
            mailbox.copy(bench.made_mailbox(messages), user.home + "/mixed", user.uid)
        mailbox.link(user.home + "/mixed", user.maildir)
    seconds = 3 if bench.quick else 10
    options = dict(port=server.ports["imaps"], users=server.list, sessions=clients, messages=messages)
    load("mixed", seconds=2, **options)
    meter = Meter(bench, server)
    result = load("mixed", seconds=seconds, **options)
    meter.end()
    row = "%d mixed IMAPS clients" % clients
    bench.record(Row(row, "commands/s", RATE, 3), result["count"] / result["seconds"])
    bench.record(Row(row + ", p50", "ms", COST), result["p50"])
    bench.record(Row(row + ", p99", "ms", COST), result["p99"])
    bench.record(Row(row + ", server CPU", "ms", COST), meter.server / result["count"])
    for user in server.users[:clients]:
        shutil.rmtree(user.maildir, ignore_errors=True)
        user.make_home()


# --- the directory program, beside a bare client of the same slapd ---

def asked_filters(server, path):
    """The searches that a recipient costs, with places for who is asked about."""
    user = server.users[0]
    told = run(BUILD + "/facteur", "-c", server.dir + "/facteur.conf", "explain", "rcpt", user.address,
               "--json")
    found = [step["filter"] for step in json.loads(told)["steps"] if step["step"] == "search"]
    with open(path, "w") as out:
        out.writelines(text.replace(user.address, "%a").replace(user.login, "%u") + "\n"
                       for text in found)
    return len(found)


@contextlib.contextmanager
def alone(slapd):
    """slapd has one processor, all else the others: what it can do is the limit, and neither who asks."""
    before = os.sched_getaffinity(0)
    tasks = [int(task) for task in os.listdir("/proc/%d/task" % int(slapd.slapd_pid))]
    first, others = min(before), before - {min(before)}
    for task in tasks if others else []:
        os.sched_setaffinity(task, {first})
    os.sched_setaffinity(0, others or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        for task in tasks:
            os.sched_setaffinity(task, before)


def program_of(bench, slapd, **options):
    program = Directory(connection(slapd, myhostname=people.host("facteur"), virtual_minimum_uid="20000",
                                   virtual_mailbox_domains="$myhostname", virtual_mailbox_base=bench.vmail,
                                   auth_bind_userdn="uid=%u," + slapd.mail_base, **options))
    program.write()
    return program, dict(program=BUILD + "/directory", conf=program.dir + "/facteur.conf",
                         log=program.dir + "/log", window=20)


def bare_of(slapd, users):
    return dict(users=users, uri=slapd.uri, ca=slapd.ca_file, base=slapd.mail_base, dn=slapd.reader_dn,
                pw=slapd.reader_password)


def rate(result):
    return result["count"] / result["seconds"]


def directory(bench, server):
    """Without any cache, 20 questions at once; server: only its people are used."""
    if server.system != "facteur":
        return
    slapd, n, filters = bench.slapd, bench.scale, server.dir + "/filters"
    searches = asked_filters(server, filters)
    program, through = program_of(bench, slapd)
    with alone(slapd):
        one = load("ldap", count=n(20000), links=2, window=10, filters=filters,
                   **bare_of(slapd, server.list))
        two = load("directory", count=n(20000) // searches, users=server.list, **through)
        compare(bench, "searches", rate(one), searches * rate(two))
        logins(bench, slapd, "logins (a search and a bind)", server.list, n(8000), program, through)
    shutil.rmtree(program.dir)
    argon2_logins(bench)


def logins(bench, slapd, what, users, count, program, through):
    """The bare client's time of a search and of a bind, together, against that of a login."""
    filters = program.dir + "/filters"
    with open(filters, "w") as out:
        out.write("(&(objectClass=posixAccount)(uid=%u))\n")
    bare = bare_of(slapd, users)
    search = load("ldap", count=count, links=2, window=10, filters=filters, **bare)
    bind = load("ldap", count=count, links=20, window=1, binds=1, **bare)
    login = load("directory", count=count, binds=1, users=users, **through)
    compare(bench, what, 1 / (1 / rate(search) + 1 / rate(bind)), rate(login))
    bench.record(Row("directory: %s, the program's CPU" % what, "ms", COST), 1e3 * login["program_cpu"] / count)


def argon2_logins(bench):
    """The hash costs slapd some ten milliseconds a login; they do not wait for each other."""
    with PrivateSlapd() as slapd:
        hashed = slapd.argon2("secret")
        crowd = [people.User("facteur", number, bench.vmail) for number in range(1, 21)]
        slapd.add("".join(re.sub("(?m)^userPassword: .*$", "userPassword: " + hashed,
                                 user.ldif(slapd.mail_base)) for user in crowd))
        program, through = program_of(bench, slapd, ldap_timeout="60s")
        with open(program.dir + "/users", "w") as out:
            out.writelines("%s secret %s\n" % (user.login, user.address) for user in crowd)
        with alone(slapd):
            logins(bench, slapd, "logins, Argon2", program.dir + "/users", bench.scale(400), program,
                   through)
        shutil.rmtree(program.dir)


def compare(bench, what, bare, ours):
    bench.system = "limit"
    bench.record(Row("directory: %s, bare client" % what, "a second", RATE), bare)
    bench.record(Row("directory: %s, through the program" % what, "a second", RATE), ours)
    bench.record(Row("directory: %s, part of the bare client's" % what, "", RATE, least=0.9), ours / bare)


# --- the machine itself, beside the servers ---

def limit(bench):
    directory = os.path.join(bench.vmail, "limit")
    n = bench.scale
    for size, name in ((4096, "4 KiB"), (102400, "100 KiB")):
        for writers in (1, 20):
            shutil.rmtree(directory, ignore_errors=True)
            os.mkdir(directory)
            count = n(300 if writers == 1 else 6000 if size == 4096 else 2000)
            result = load("disk", dir=directory, writers=writers, count=count, size=size)
            row = "disk: create, fsync, rename, %s, %s" % (
                name, "1 writer" if writers == 1 else "%d writers" % writers)
            bench.record(Row(row, "files/s", RATE), result["count"] / result["seconds"])
            bench.record(Row(row + ", CPU", "ms", COST), 1e3 * result["client_cpu"] / result["count"])
    shutil.rmtree(directory, ignore_errors=True)
    result = load("tls", cert=bench.pem, count=n(2000))
    bench.record(Row("TLS handshake, server's side", "ms CPU", COST), result["server_ms"])
    bench.record(Row("TLS handshakes, server's side, all processors", "a second", RATE),
                 1e3 * (os.cpu_count() or 1) / result["server_ms"])
    signs, exchanges = openssl_speed()
    bench.record(Row("openssl speed: ECDSA P-256 signatures", "a second", RATE), signs)
    bench.record(Row("openssl speed: X25519 exchanges", "a second", RATE), exchanges)


def openssl_speed():
    """Signatures and key exchanges a second of one processor: a handshake has one signature, and two
    operations of the other kind."""
    told = run("openssl", "speed", "-mr", "-seconds", "1", "ecdsap256", "ecdhx25519")
    return (float(re.search(r"(?m)^\+F4:\d+:256:([\d.]+)", told).group(1)),
            float(re.search(r"(?m)^\+F5:\d+:253:([\d.]+)", told).group(1)))


PARTS = {"smtp": smtp, "submission": submission, "relay": relay, "login": login, "idle": idle, "mailbox": large,
         "mixed": mixed, "directory": directory}
ORDER = ["limit", *PARTS]


def shuffled(servers, round_number):
    """Each round begins with another one."""
    servers = list(servers)
    random.Random(round_number).shuffle(servers)
    return servers
