"""What all parts of the bench measure with: rows, the load generator, and a meter of CPU time."""
import json
import os
import shutil
import subprocess
import time

import mailbox

LOAD = os.environ.get("BENCH_LOAD", "tests/bench/load")
# Which figures are the better ones.
RATE, COST = "more", "less"


class Row:
    """goal: against the tuned peers; most, least: the largest, smallest figure of our own that is good.
    limit: the row of what the machine itself can do, of which each here takes so many parts.
    grows: (what there is more of, how many, the figure's name without that)."""

    def __init__(self, name, unit, better, goal=None, most=None, least=None, limit=None, parts=1, grows=None):
        self.name, self.unit, self.better = name, unit, better
        self.goal, self.most, self.least = goal, most, least
        self.limit, self.parts, self.grows = limit, parts, grows


def load(kind, **options):
    words = ["%s=%s" % (name.rstrip("_"), value) for name, value in options.items()]
    done = subprocess.run([LOAD, kind, *words], capture_output=True, text=True, timeout=600)
    try:
        result = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise RuntimeError("load %s: %s %s" % (kind, done.stdout, done.stderr))
    if result["failed"]:
        raise RuntimeError("load %s: %d failed, the first with: %s"
                           % (kind, result["failed"], result["failure"]))
    return result


class Meter:
    """CPU time of the server and of slapd between two moments."""

    def __init__(self, bench, server):
        self.groups = (server.group, bench.slapd_group)
        self.begun = [group.cpu() for group in self.groups]
        self.time = time.monotonic()

    def end(self):
        self.seconds = time.monotonic() - self.time
        self.server, self.slapd = (1e3 * (group.cpu() - begun)
                                   for group, begun in zip(self.groups, self.begun))
        return self


def wait_for_rest(server):
    """Until it does nothing more."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        before = server.group.cpu()
        time.sleep(2)
        if server.group.cpu() - before < 0.02:
            break


def record_cost(bench, row, meter, count, goal=None):
    bench.record(Row(row + ", server CPU", "ms", COST, goal), meter.server / count)
    bench.record(Row(row + ", slapd CPU", "ms", COST), meter.slapd / count)


# --- mail, logins, and one client that asks one thing after the other ---

def deliver(bench, server, messages, warm=None, **options):
    """Sends messages until each lies in its maildir, after a few (warm) so that every program runs.
    The Meter, and what the load generator says."""
    options = dict({"users": server.list, "port": server.ports["smtp"], "recipients": 1}, **options)
    if warm is None:
        warm = 2 * options.get("sessions", 1)
    if warm:
        load("smtp", messages=warm, **options)
        server.take_delivered()
    meter = Meter(bench, server)
    result = load("smtp", messages=messages, **options)
    server.wait_delivered()
    meter.end()
    server.take_delivered(messages * options["recipients"])
    return meter, result


def visit(bench, server, count, sessions, pop3=False):
    """Logs in and out again so many times."""
    options = dict(port=server.ports["pop3s" if pop3 else "imaps"], users=server.list, sessions=sessions,
                   pop3=int(pop3))
    load("login", count=2 * sessions, **options)
    time.sleep(0.5)
    meter = Meter(bench, server)
    result = load("login", count=count, **options)
    time.sleep(0.5)  # what ends the sessions belongs to their cost
    return meter.end(), result


class Conversation:
    """The first of the people with a fresh mailbox of so many messages, and an IMAP client that asks."""

    def __init__(self, bench, server, count):
        self.bench, self.server, self.user = bench, server, server.users[0]
        original = "%s/original-%d" % (self.user.home, count)
        if not os.path.isdir(original):
            bench.say("copying %d messages for %s" % (count, server.system))
            mailbox.copy(bench.made_mailbox(count), original, self.user.uid, keep=len(bench.servers) > 1)
        mailbox.link(original, self.user.maildir)

    def __enter__(self):
        name = os.path.join(self.server.dir, "one")
        with open(name, "w") as out:
            out.write("%s %s %s\n" % (self.user.login, self.user.password, self.user.address))
        self.client = subprocess.Popen([LOAD, "script", "port=%d" % self.server.ports["imaps"], "users=" + name],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def say(self, command):
        """{"ms":, "bytes":, "result": ok or no}, and the Meter."""
        meter = Meter(self.bench, self.server)
        self.client.stdin.write("x\t%s\n" % command)
        self.client.stdin.flush()
        result = json.loads(self.client.stdout.readline() or '{"result": "gone"}')
        if result["result"] == "gone":
            raise RuntimeError("%s ended the connection" % command)
        return result, meter.end()

    def __exit__(self, *_):
        self.client.stdin.close()
        self.client.wait(60)
        shutil.rmtree(self.user.maildir, ignore_errors=True)
        self.user.make_home()
