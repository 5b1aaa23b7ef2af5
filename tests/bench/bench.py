#!/usr/bin/env python3
"""make bench: Facteur beside Debian's Postfix and Dovecot, set up by itself in private directories on
private ports, measured in turn over several rounds. NOTES says what was learnt.

    bench.py [PART...]        limit smtp submission relay login idle mailbox mixed directory domains entries
                              messages (all of them)
    BENCH_QUICK=1             small numbers, two rounds
    BENCH_ROUNDS=N            how many rounds (3)
    BENCH_IDLE="1000 5000"    how many idle sessions: the first number in each round, the others in the last
    BENCH_DOMAINS, BENCH_ENTRIES, BENCH_MESSAGES="100 1000"   at how many of them the growth is measured
    BENCH_SYSTEMS="facteur"   not all three
    BENCH_HOLD=1              set up, say where everything is, wait for a line on standard input
    BENCH_TMPDIR=DIR          where the file system lies (/var/tmp)
    BENCH_RESULTS=DIR         where the TSV and the plots go
"""
import os
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]

import growth
import mailbox
import machine
import people
import report
import rows
import servers
from slapd import PrivateSlapd

NEEDED = [("/usr/lib/postfix/sbin/master", "postfix"), ("/usr/lib/postfix/postfix-ldap.so", "postfix-ldap"),
          ("/usr/sbin/smtp-source", "postfix"), ("/usr/lib/dovecot/imap", "dovecot-imapd"),
          ("/usr/lib/dovecot/modules/auth/libauthdb_ldap.so", "dovecot-ldap"),
          ("/usr/sbin/slapadd", "slapd"), ("/usr/bin/ldapadd", "ldap-utils"),
          ("/usr/bin/openssl", "openssl"), ("/sbin/mkfs.ext4", "e2fsprogs")]

# The parts that take all servers in turn themselves.
WHOLE = {"limit": rows.limit, **growth.PARTS}
ORDER = rows.ORDER + list(growth.PARTS)


def missing():
    return sorted({package for path, package in NEEDED if not os.path.exists(path)})


def numbers(name, fallback):
    return [int(n) for n in (os.environ.get(name) or fallback).split()]


class Bench:
    def __init__(self, parts):
        self.parts = parts
        self.quick = os.environ.get("BENCH_QUICK", "") not in ("", "0")
        self.rounds = int(os.environ.get("BENCH_ROUNDS") or (2 if self.quick else 3))
        self.idle = numbers("BENCH_IDLE", "100" if self.quick else "1000 5000")
        self.mailbox_size = 10000 if self.quick else 100000
        self.domains = numbers("BENCH_DOMAINS", "1 10 100" if self.quick else "1 10 100 1000")
        self.entries = numbers("BENCH_ENTRIES", "1000 10000" if self.quick else "1000 10000 100000")
        self.messages = numbers("BENCH_MESSAGES", "100 1000 10000" if self.quick else "100 1000 10000 100000")
        self.systems = os.environ.get("BENCH_SYSTEMS", " ".join(people.SYSTEMS)).split()
        self.results = report.Results()
        self.servers, self.slapd, self.files, self.slapd_group = [], None, None, None
        self.system, self.round = "limit", 0
        self.dir = tempfile.mkdtemp(prefix="facteur-bench-",
                                    dir=os.environ.get("BENCH_TMPDIR", "/var/tmp"))
        os.chmod(self.dir, 0o755)

    def say(self, text):
        print("bench: " + text, file=sys.stderr, flush=True)

    def scale(self, count):
        return max(20, count // 8) if self.quick else count

    def last_round(self):
        return self.round == self.rounds

    def record(self, row, value):
        self.results.record(row, self.system, self.round, value)

    # --- life ---

    def set_up(self):
        self.files = machine.FileSystem(self.dir, 8 if self.quick else 24)
        self.say("files: " + self.files.kind)
        root = self.files.path
        self.vmail = root + "/vmail"
        os.mkdir(self.vmail, 0o755)
        os.mkdir(root + "/servers", 0o755)
        self.slapd = PrivateSlapd(root + "/slapd", vmail=self.vmail, people=None)
        self.slapd.start()
        os.chmod(self.slapd.dir, 0o755)
        self.slapd_group = machine.Group("slapd")
        self.slapd_group.add(int(self.slapd.slapd_pid))
        self.slapd.add("".join(user.ldif(self.slapd.mail_base) for system in people.SYSTEMS
                               for user in people.make(system, self.vmail)))
        self.pem = self.make_certificate(root)
        for system in self.systems:
            kind = servers.Facteur if system == "facteur" else servers.Peers
            server = kind(system, root + "/servers", self.vmail, self.slapd, self.pem)
            self.servers.append(server)
            self.say("starting " + system)
            try:
                server.start()
            except RuntimeError:
                self.say(server.log())
                raise

    def make_certificate(self, root):
        stem = root + "/server"
        machine.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                    "-keyout", stem + ".key", "-out", stem + ".crt")
        with open(stem + ".pem", "w") as pem:
            pem.write(open(stem + ".key").read() + open(stem + ".crt").read())
        os.chmod(stem + ".pem", 0o600)
        return stem + ".pem"

    def made_mailbox(self, count):
        path = "%s/made-%d" % (self.files.path, count)
        if not os.path.isdir(path):
            self.say("writing a mailbox of %d messages" % count)
            mailbox.fill(path, count, 0)
        return path

    def close(self):
        for server in self.servers:
            server.close()
        if self.slapd:
            self.slapd.close()
        if self.slapd_group:
            self.slapd_group.close()
        if self.files:
            self.files.close()
        if not self.files or not os.path.ismount(self.files.path):
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            self.say("%s is still mounted" % self.files.path)

    # --- rounds ---

    def run_part(self, part, server):
        self.system = server.system if server else "limit"
        self.say("round %d: %s %s" % (self.round, part, server.system if server else "(all)"))
        begun = time.monotonic()
        try:
            if server:
                rows.PARTS[part](self, server)
            else:
                WHOLE[part](self)
        except Exception as error:
            # One part that fails must not cost the others' figures.
            self.failed.append("%s %s: %s" % (part, self.system, error))
            self.say("FAILED " + self.failed[-1])
            if server:
                self.say(server.log())
        os.sync()
        self.say("  %.0f s" % (time.monotonic() - begun))

    def run(self):
        self.failed = []
        for self.round in range(1, self.rounds + 1):
            machine.wait_for_quiet(0 if self.quick else 120)
            others = machine.Others([server.group for server in self.servers] + [self.slapd_group])
            self.say("round %d begins at load average %.2f" % (self.round, others.load))
            for part in self.parts:
                # How costs grow is measured once, and last: its entries stay in the directory.
                if part in growth.PARTS and not self.last_round():
                    continue
                for server in [None] if part in WHOLE else rows.shuffled(self.servers, self.round):
                    self.run_part(part, server)
            share, good = others.end()
            self.results.rounds[self.round] = (others.load, share, good)
            self.say("round %d: others took %.0f %% of the processors: %s"
                     % (self.round, 100 * share, "good" if good else "NOT GOOD, the machine is busy"))

    def hold(self):
        """For perf and strace by hand."""
        for server in self.servers:
            print(server.system, "users=" + server.list,
                  " ".join("%s=%d" % item for item in server.ports.items()), "vmail=" + server.vmail,
                  "pids=" + ",".join(map(str, sorted(server.group.pids()))), flush=True)
        sys.stdin.readline()

    def report(self):
        description = machine.describe(self.files.kind)
        print()
        for name, value in description:
            print("%-11s %s" % (name, value))
        print()
        print(report.table(self.results))
        print(report.growth_table(self.results))
        for text in self.failed:
            print("failed: " + text)
        # What a whole run on a quiet machine says is kept; the rest lies in the build directory.
        kept = not self.quick and any(good for _, _, good in self.results.rounds.values())
        directory = os.environ.get("BENCH_RESULTS") or (
            os.path.join(HERE, "results") if kept and os.access(HERE, os.W_OK) else "bench-results")
        os.makedirs(directory, exist_ok=True)
        stem = os.path.join(directory, time.strftime("%Y%m%d-%H%M%S"))
        report.write_tsv(self.results, stem + ".tsv", description)
        for path in [stem + ".tsv", *report.plots(self.results, stem),
                     *report.growth_plots(self.results, stem)]:
            print("written: " + path)


def main():
    parts = [part for part in ORDER if part in (sys.argv[1:] or ORDER)]
    unknown = [part for part in sys.argv[1:] if part not in ORDER]
    if unknown:
        sys.exit("bench: no part is called %s; there are: %s" % (unknown[0], " ".join(ORDER)))
    if os.geteuid() != 0:
        sys.exit("bench: the peers must be started by root; run it as root")
    lacking = missing()
    if lacking:
        sys.exit("bench: missing packages: apt-get install " + " ".join(lacking))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    bench = Bench(parts)
    try:
        bench.set_up()
        if os.environ.get("BENCH_HOLD"):
            bench.hold()
            return
        bench.run()
        bench.report()
    finally:
        bench.close()
    sys.exit(1 if bench.failed else 0)


if __name__ == "__main__":
    main()
