#!/usr/bin/env python3
"""The delivery workers and the queue: real programs, real maildirs, kill -9, full disks."""
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from delivery import Delivery  # noqa: E402

BODY = (b"Received: from client.example by mx.example; Thu, 21 Nov 2024 08:04:00 +0000\n"
        b"Subject: test\n\nline one\n.\nFrom here\nlast line\n")


def trace(sender, original, address):
    return ("Return-Path: <%s>\nX-Original-To: %s\nDelivered-To: %s\n" % (sender, original,
                                                                         address)).encode()


def whole(address, body=BODY, sender="from@remote.example"):
    return trace(sender, address, address) + body


def mode(path):
    return os.lstat(path).st_mode & 0o7777


def logged(d, pattern):
    """The log comes by another pipe than the answers."""
    tap.wait_for(lambda: re.search(pattern, d.log()), 5, "not in the log: " + pattern)


def nothing_in(directory):
    """No message anywhere below, not even a half one."""
    for path, _, files in os.walk(directory):
        if os.path.basename(path) in ("new", "cur", "tmp"):
            tap.same(files, [], path)


# --- delivering -----------------------------------------------------------------------------------

def delivery_tests(d):
    def exact():
        d.mailbox("anna@x.example")
        tap.same(d.deliver("anna@x.example", BODY, original="info@x.example"), ("yes", ""))
        messages = d.new("anna@x.example")
        tap.same(list(messages.values()),
                 [trace("from@remote.example", "info@x.example", "anna@x.example") + BODY])
        name, data = list(messages.items())[0]
        tap.true(re.search(r",S=%d,W=%d$" % (len(data), len(data) + data.count(b"\n")), name), name)
        tap.same(os.listdir(d.home("anna@x.example") + "/mailbox/tmp"), [])
        tap.same(os.listdir(d.home("anna@x.example") + "/mailbox/cur"), [])

    def owners_and_modes():
        uid, gid = d.owner(0)
        home = d.home("anna@x.example")
        for path, _, files in os.walk(home):
            for file in [path] + [path + "/" + f for f in files]:
                st = os.lstat(file)
                tap.same((st.st_uid, st.st_gid), (uid, gid), file)
                # Dovecot keeps a number in an empty file that nobody may write.
                empty = os.path.basename(file).startswith("dovecot-uidvalidity.")
                tap.same(mode(file), 0o700 if os.path.isdir(file) else 0o444 if empty else 0o600,
                         file)
        above = os.getuid() if d.real else d.uid
        for path in (d.base, d.base + "/x.example"):
            tap.same(os.lstat(path).st_uid, above, path)
            tap.same(mode(path), 0o755, path)

    def null_sender_and_utf8():
        d.mailbox("zoé@x.example")
        tap.same(d.deliver("zoé@x.example", BODY, sender=""), ("yes", ""))
        tap.same(list(d.new("zoé@x.example").values()),
                 ["Return-Path: <>\nX-Original-To: zoé@x.example\nDelivered-To: zoé@x.example\n"
                  .encode() + BODY])

    def sealed_memory():
        d.mailbox("mem@x.example")
        tap.same(d.deliver("mem@x.example", BODY, file="memfd:" + d.file(BODY)), ("yes", ""))
        tap.same(list(d.new("mem@x.example").values()), [whole("mem@x.example")])

    def only_size_bytes():
        d.mailbox("size@x.example")
        tap.same(d.deliver("size@x.example", BODY + b"more", size=len(BODY)), ("yes", ""))
        tap.same(list(d.new("size@x.example").values()), [whole("size@x.example")])

    def short_body():
        d.mailbox("short@x.example")
        for size in (len(BODY) + 1, 1 << 40, (1 << 64) - 1):
            tap.same(d.deliver("short@x.example", BODY, size=size)[0], "cannot", size)
        nothing_in(d.home("short@x.example"))

    def body_that_is_no_file():
        d.mailbox("fifo@x.example")
        os.mkfifo(d.dir + "/fifo")
        os.chmod(d.dir + "/fifo", 0o666)
        tap.same(d.deliver("fifo@x.example", BODY, file=d.dir + "/fifo")[0], "cannot")
        tap.same(d.deliver("fifo@x.example", BODY, file="/dev/zero", size=100)[0], "cannot")
        nothing_in(d.base + "/x.example/fifo")

    def forged_headers():
        d.mailbox("forge@x.example")
        for sender, original in (("a\nBcc: x", "o"), ("a\rb", "o"), ("a", "o\r\n\r\nbody"),
                                 (b"a\x00b", "o"), (b"a\xff", "o"), ("a", ""), ("a\tb", "o")):
            tap.same(d.deliver("forge@x.example", BODY, sender=sender, original=original)[0],
                     "cannot", (sender, original))
        d.mailbox("a\nX: 1@x.example", home=d.home("forge@x.example"))
        tap.same(d.deliver("a\nX: 1@x.example", BODY, original="o")[0], "cannot")
        nothing_in(d.home("forge@x.example"))

    def links_and_fifos():
        uid, gid = d.owner(0)
        # A link where the home should be, where the maildir should be, and where new/ should be.
        d.mailbox("victim@x.example")
        tap.same(d.deliver("victim@x.example", BODY)[0], "yes")
        victim = d.home("victim@x.example")
        home = d.mailbox("l1@x.example")
        os.symlink(victim, home)
        tap.same(d.deliver("l1@x.example", BODY)[0], "cannot")
        tap.same(d.probe("l1@x.example")[0], "cannot")
        for number, place in enumerate(("mailbox", "mailbox/new", "mailbox/tmp")):
            address = "l2%d@x.example" % number
            home = d.mailbox(address)
            if "/" in place:
                os.makedirs(home + "/mailbox", 0o700)
            else:
                os.mkdir(home, 0o700)
            os.symlink(victim + "/" + place, home + "/" + place)
            subprocess.check_call(["chown", "-Rh", "%d:%d" % (uid, gid), home])
            tap.same(d.deliver(address, BODY)[0], "cannot", place)
        home = d.mailbox("l3@x.example")
        os.mkdir(home, 0o700)
        os.mkfifo(home + "/mailbox")
        os.chown(home, uid, gid)
        tap.same(d.deliver("l3@x.example", BODY)[0], "cannot")
        tap.same(d.probe("l3@x.example")[0], "cannot")
        os.mkfifo(d.home("l4@x.example"))
        d.mailbox("l4@x.example")
        tap.same(d.deliver("l4@x.example", BODY)[0], "cannot")
        tap.same(len(d.new("victim@x.example")), 1, "the victim's messages")

    def out_of_the_base():
        outside = d.dir + "/outside"
        os.mkdir(outside)
        os.chmod(outside, 0o777)
        for number, home in enumerate((outside + "/a", d.base + "/../outside/a", "/", "relative/a",
                                       d.base, d.base + "x/a", d.base + "/x.example//a",
                                       d.base + "/x.example/./a")):
            address = "out%d@x.example" % number
            d.mailbox(address, home=home)
            tap.same(d.deliver(address, BODY)[0], "cannot", home)
            tap.same(d.probe(address)[0], "cannot", home)
        d.mailbox("out@x.example", maildir=outside + "/a")
        tap.same(d.deliver("out@x.example", BODY)[0], "cannot")
        tap.same(os.listdir(outside), [])

    def grants():
        d.mailbox("grant@x.example")
        tap.same(d.deliver("unknown@x.example", BODY)[0], "cannot")
        d.command("redeem", "cannot")
        tap.same(d.deliver("grant@x.example", BODY)[0], "cannot")
        d.command("redeem", "no")
        tap.same(d.deliver("grant@x.example", BODY)[0], "cannot")
        d.command("redeem", "yes")
        nothing_in(d.base + "/x.example/grant")
        before = d.command("grants")
        tap.same(d.probe("grant@x.example")[0], "yes")
        tap.true(d.command("grants") != before, "a probe leaves the grant valid")

    def quota():
        home = d.mailbox("quota@x.example", limit=5000)
        tap.same(d.probe("quota@x.example", 1000)[0], "yes")
        tap.same(d.probe("quota@x.example", 6000)[0], "full")
        tap.true(not os.path.exists(home), "a probe makes nothing")
        tap.same(d.deliver("quota@x.example", b"x\n" * 1500)[0], "yes")
        verdict, text = d.deliver("quota@x.example", b"x\n" * 1500)
        tap.same(verdict, "full")
        tap.true("full" in text and "/" not in text, text)
        tap.same(d.probe("quota@x.example", 3000)[0], "full")
        tap.same(d.probe("quota@x.example", 100)[0], "yes")
        tap.same(d.deliver("quota@x.example", b"x\n")[0], "yes")
        tap.same(len(d.new("quota@x.example")), 2)

    def log_lines():
        logged(d, r" info: deliver session=s1 by=smtp from=from@remote.example to=anna@x.example "
                  r"original=info@x.example size=%d verdict=delivered file=\d+\.\S+" % len(BODY))
        logged(d, r" warning: deliver .*to=l1@x.example .*verdict=cannot-say why=")
        log = d.log()
        tap.true("\nBcc" not in log and "Subject: test" not in log, "nothing forged, no contents")

    def many_at_once():
        d.start("deliver", 1)
        for n in range(4):
            d.mailbox("many%d@x.example" % n, n % 2)
        tags = [d.begin_deliver("many%d@x.example" % (n % 4), b"message %d\n" % n)
                for n in range(60)]
        tap.same([d.wait(t)[0] for t in tags], ["yes"] * 60)
        got = [data for n in range(4) for data in d.new("many%d@x.example" % n).values()]
        tap.same(sorted(int(data.split()[-1]) for data in got), list(range(60)))
        d.command("end", "deliver", 1)

    def killed_mid_way():
        d.mailbox("killed@x.example")
        body = b"0123456789abcdef\n" * 200000
        for delay in (0, 0.01, 0.03):
            file = d.file(body)
            tags = [d.begin_deliver("killed@x.example", body, file=file) for _ in range(10)]
            time.sleep(delay)
            d.kill("deliver")
            answers = [d.wait(t)[0] for t in tags]
            tap.true(set(answers) <= {"yes", "none"}, answers)
            files = d.new("killed@x.example")
            tap.true(len(files) >= answers.count("yes"), "an acknowledged message is missing")
            for data in files.values():
                tap.true(data == whole("killed@x.example", body), "a half message in new/")
            for name in files:
                os.unlink(d.home("killed@x.example") + "/mailbox/new/" + name)
            tap.has(d.start("deliver"), "started")
        tap.same(d.deliver("killed@x.example", BODY)[0], "yes")

    def silent_directory():
        d.mailbox("mute@x.example")
        d.command("redeem", "mute")
        begun = time.monotonic()
        tap.same(d.deliver("mute@x.example", BODY)[0], "cannot")
        tap.true(9 < time.monotonic() - begun < 15, "the wait for the directory")
        begun = time.monotonic()
        tap.same(d.deliver("mute@x.example", BODY)[0], "cannot")
        tap.true(time.monotonic() - begun < 5, "a short wait for one that is known to be silent")
        nothing_in(d.base + "/x.example/mute")
        d.command("redeem", "yes")
        tap.same(d.deliver("mute@x.example", BODY)[0], "yes")

    return [("a delivered message is exact", exact), ("owners and modes", owners_and_modes),
            ("null sender, UTF-8", null_sender_and_utf8), ("a sealed memfd", sealed_memory),
            ("only the bytes that were said", only_size_bytes), ("a short body", short_body),
            ("a body that is no file", body_that_is_no_file), ("forged headers", forged_headers),
            ("links and FIFOs in the way", links_and_fifos),
            ("paths out of the base", out_of_the_base), ("grants that are not valid", grants),
            ("quota", quota), ("log lines", log_lines), ("many at once", many_at_once),
            ("a worker killed mid-way", killed_mid_way),
            ("a directory that does not answer", silent_directory)]


def owner_tests(d):
    """As root, with owners of their own."""
    def two_owners():
        d.mailbox("one@o.example", 1)
        d.mailbox("two@o.example", 2)
        for n in range(6):
            address = ("one@o.example", "two@o.example")[n % 2]
            tap.same(d.deliver(address, BODY)[0], "yes")
        for number, address in ((1, "one@o.example"), (2, "two@o.example")):
            tap.same(len(d.new(address)), 3)
            for name in d.new(address):
                st = os.lstat(d.home(address) + "/mailbox/new/" + name)
                tap.same((st.st_uid, st.st_gid), d.owner(number))
        with open("/proc/%d/status" % d.pids["deliver", 0]) as status:
            text = status.read()
        tap.true(re.search(r"^Uid:\t0\t0\t0\t", text, re.M), "acting as root again")

    def forbidden_owners():
        for number, (uid, gid) in enumerate(((0, 54421), (54321, 0), (49999, 54421), (54321, 49999),
                                             (4294967295, 54421), (54321, 4294967295), (0, 0))):
            address = "id%d@o.example" % number
            home = d.mailbox(address, uid=uid, gid=gid)
            tap.same(d.deliver(address, BODY)[0], "cannot", (uid, gid))
            tap.same(d.probe(address)[0], "cannot", (uid, gid))
            tap.true(not os.path.exists(home), home)

    def foreign_home():
        home = d.mailbox("foreign@o.example", 1)
        os.mkdir(home, 0o700)
        os.chown(home, *d.owner(2))
        tap.same(d.deliver("foreign@o.example", BODY)[0], "cannot")
        tap.same(d.probe("foreign@o.example")[0], "cannot")
        os.chown(home, 0, 0)
        tap.same(d.deliver("foreign@o.example", BODY)[0], "cannot")
        nothing_in(home)

    def maildir_of_another():
        """Inside a home the owner's rights count: a maildir of somebody else cannot be written."""
        home = d.mailbox("inside@o.example", 1)
        os.mkdir(home, 0o700)
        os.chown(home, *d.owner(1))
        for path in ("/mailbox", "/mailbox/new", "/mailbox/cur", "/mailbox/tmp"):
            os.mkdir(home + path, 0o700)
            os.chown(home + path, *d.owner(2))
        tap.same(d.deliver("inside@o.example", BODY)[0], "cannot")
        nothing_in(home)

    def unreadable_by_the_owner():
        """The message is read from the descriptor; its path and its owner do not matter."""
        path = d.file(BODY)
        os.chmod(path, 0o600)
        d.mailbox("fd@o.example", 1)
        tap.same(d.deliver("fd@o.example", BODY, file=path)[0], "yes")

    return [("two owners, and root again", two_owners), ("forbidden owners", forbidden_owners),
            ("a home of somebody else", foreign_home),
            ("a maildir of somebody else", maildir_of_another),
            ("a message the owner could not open", unreadable_by_the_owner)]


# --- queueing -------------------------------------------------------------------------------------

def settled(d):
    """Nothing waits any more except what is held."""
    def look():
        s = d.status()
        return s["recipients"] == s["held"] and s["trying"] == "0"
    tap.wait_for(look, 30, "the queue did not come to rest: %r\n%s" % (d.status(),
                                                                      d.log()[-2000:]))


def set_file_size(d, limit):
    """The soft limit of the running queue, set by its own user."""
    drop = dict(user=d.uid, group=d.gid, extra_groups=[]) if os.getuid() == 0 else {}
    subprocess.check_call(["prlimit", "--pid", str(d.pids["queue", 0]), "--fsize=%s:" % limit],
                          cwd="/", **drop)


def restart_queue(d):
    answer = d.start("queue")
    tap.has(answer, "started")


def queue_tests(d):
    def through_the_queue():
        d.mailbox("q1@q.example")
        verdict, queue_id = d.enqueue(["q1@q.example=alias@q.example"], BODY, now=True)
        tap.same(verdict, "yes")
        tap.true(re.fullmatch(r"[0-9a-f]{10,16}", queue_id), queue_id)
        tap.wait_for(lambda: d.new("q1@q.example"), 10)
        tap.same(list(d.new("q1@q.example").values()),
                 [trace("from@remote.example", "alias@q.example", "q1@q.example") + BODY])
        settled(d)
        tap.same(d.queued_files(), [])
        for line in (r"queued session=s1 queue_id=%s from=\S+ to=q1@q.example "
                     r"original=alias@q.example size=%d" % (queue_id, len(BODY)),
                     r"queue-delivered session=s1 queue_id=%s .*to=q1@q.example" % queue_id):
            logged(d, line)

    def own_files():
        tap.same(mode(d.queue), 0o700)
        for path, _, files in os.walk(d.queue):
            for file in [path] + [path + "/" + f for f in files]:
                tap.same(os.lstat(file).st_uid, d.uid, file)
                tap.same(mode(file) & 0o077, 0, file)

    def copies_at_once():
        """What happens to the descriptor afterwards is nobody's business. The first pause is kept."""
        d.mailbox("copy@q.example")
        path = d.file(BODY)
        tap.same(d.enqueue(["copy@q.example"], BODY, file=path)[0], "yes")
        with open(path, "r+b") as file:
            file.write(b"FORGED")
            file.truncate(10)
        time.sleep(0.4)
        tap.same(d.new("copy@q.example"), {}, "before minimal_backoff_time")
        tap.wait_for(lambda: d.new("copy@q.example"), 10)
        tap.same(list(d.new("copy@q.example").values()), [whole("copy@q.example")])
        settled(d)

    def one_fails_alone():
        for name in ("s1", "s2", "s3"):
            d.mailbox(name + "@q.example")
        uid, gid = d.owner(0)
        home = d.home("s2@q.example")
        os.symlink("nowhere", home)
        tap.same(d.enqueue(["s1@q.example", "s2@q.example", "s3@q.example"], BODY, now=True)[0],
                 "yes")
        tap.wait_for(lambda: d.new("s1@q.example") and d.new("s3@q.example"), 10)
        tap.wait_for(lambda: d.log().count("queue-retry session=s1") >= 2, 20)
        tap.same(d.status()["recipients"], "1")
        tap.same(len(d.queued_files()), 1)
        os.unlink(home)
        tap.wait_for(lambda: d.new("s2@q.example"), 20, "not tried again")
        settled(d)
        tap.same(d.queued_files(), [])
        for name in ("s1", "s2", "s3"):
            tap.same(list(d.new(name + "@q.example").values()), [whole(name + "@q.example")])

    def bad_asks():
        files = d.queued_files()
        tap.same(d.enqueue(["q1@q.example"], BODY, size=len(BODY) + 1)[0], "cannot")
        tap.same(d.enqueue([], BODY)[0], "cannot")
        tap.same(d.enqueue(["q1@q.example"], b"")[0], "cannot")
        tap.same(d.enqueue(["q1@q.example"], BODY, sender="a\nb")[0], "cannot")
        tap.same(d.enqueue(["q1@q.example\r\nX: y"], BODY)[0], "cannot")
        tap.same(d.enqueue(["=x"], BODY)[0], "cannot")
        tap.same(d.enqueue(["q1@q.example"], BODY, size=1 << 40)[0], "refused")
        tap.same(d.enqueue(["q1@q.example"], BODY, file=d.dir + "/fifo")[0], "cannot")
        tap.same(d.queued_files(), files)

    def spooled():
        d.mailbox("big@q.example")
        body = bytes(random.Random(1).choices(b"abcdefghij\n", k=3000000))
        tag = d.begin("spool", len(body), d.file(body))
        tap.same(d.wait(tag)[0], "yes")
        tap.same(d.enqueue(["big@q.example"], body, file="@" + tag, now=True)[0], "yes")
        tap.same(d.deliver("big@q.example", body, file="@" + tag)[0], "yes")
        tap.wait_for(lambda: len(d.new("big@q.example")) == 2, 20)
        for data in d.new("big@q.example").values():
            tap.true(data == whole("big@q.example", body), "contents")
        tap.same(d.wait(d.begin("spool", 1 << 40, d.file(b"")))[0], "refused")
        tap.same(os.listdir(d.queue + "/spool"), [])
        settled(d)

    def full_mailbox():
        """A full mailbox is tried again, and delivered when there is room."""
        d.mailbox("full@q.example", limit=100)
        tap.same(d.enqueue(["full@q.example"], BODY, now=True)[0], "yes")
        tap.wait_for(lambda: "mailbox full" in d.log(), 10)
        d.mailbox("full@q.example", limit=0)
        tap.wait_for(lambda: d.new("full@q.example"), 10)
        settled(d)

    def many_at_once():
        for n in range(5):
            d.mailbox("burst%d@q.example" % n)
        files = [d.file(b"burst %d\n" % n) for n in range(200)]
        begun = time.monotonic()
        tags = [d.begin_enqueue(["burst%d@q.example" % (n % 5)], b"burst %d\n" % n, file=files[n],
                                now=True) for n in range(200)]
        answers = [d.wait(t) for t in tags]
        print("# 200 messages taken in %.0f ms" % (1000 * (time.monotonic() - begun)))
        tap.same([a[0] for a in answers], ["yes"] * 200)
        tap.same(len({a[1] for a in answers}), 200)
        settled(d)
        got = [data for n in range(5) for data in d.new("burst%d@q.example" % n).values()]
        tap.same(sorted(int(data.split()[-1]) for data in got), list(range(200)))

    def remote_without_a_grant():
        """What smtp says is not believed: no login, no grant of the directory, no relaying."""
        before = d.queued_files()
        for sender in ("from@remote.example", ""):
            tap.same(d.enqueue(["x@elsewhere.example"], BODY, sender=sender, now=True,
                               remote=True)[0], "refused", sender)
        tap.same(d.enqueue(["nodomain"], BODY, now=True, remote=True)[0], "cannot")
        tap.same(d.queued_files(), before)

    def slow_mailbox():
        """Fifty messages for a mailbox whose answer does not come; the others are not held up."""
        d.mailbox("slow@q.example")
        d.mailbox("quick@q.example")
        d.command("resolve", "slow@q.example", "mute")
        tags = [d.begin_enqueue(["slow@q.example"], BODY, now=True) for _ in range(50)]
        tap.same([d.wait(t)[0] for t in tags], ["yes"] * 50)
        begun = time.monotonic()
        tap.same(d.enqueue(["quick@q.example"], BODY, now=True)[0], "yes")
        tap.wait_for(lambda: d.new("quick@q.example"), 5)
        tap.true(time.monotonic() - begun < 5, "held up")
        tap.wait_for(lambda: d.status()["trying"] == "2", 5, "more than two into one mailbox")
        d.command("resolve", "slow@q.example", "yes")
        d.kill("queue")
        restart_queue(d)
        settled(d)
        tap.same(len(d.new("slow@q.example")), 50)

    def killed_after_the_reply():
        d.mailbox("kill@q.example")
        d.command("resolve", "kill@q.example", "mute")
        tap.same(d.enqueue(["kill@q.example"], BODY, now=True)[0], "yes")
        d.kill("queue")
        tap.same(len(d.queued_files()), 1)
        d.command("resolve", "kill@q.example", "yes")
        restart_queue(d)
        tap.wait_for(lambda: d.new("kill@q.example"), 10)
        settled(d)
        tap.same(list(d.new("kill@q.example").values()), [whole("kill@q.example")])
        tap.same(d.queued_files(), [])

    def killed_any_time():
        """kill -9 while messages stream in: what was acknowledged arrives, once."""
        d.mailbox("storm@q.example")
        acknowledged, number = [], 0
        for delay in (0, 0.005, 0.01, 0.02, 0.05, None):
            d.command("resolve", "storm@q.example", "mute")
            tags = {}
            for _ in range(40):
                tags[number] = d.begin_enqueue(["storm@q.example"], b"storm %d\n" % number, now=True)
                number += 1
            if delay is None:
                tap.wait_for(lambda: any(d.done(t) for t in tags.values()))
            else:
                time.sleep(delay)
            d.kill("queue")
            answers = {n: d.wait(t)[0] for n, t in tags.items()}
            tap.true(set(answers.values()) <= {"yes", "none"}, answers)
            acknowledged += [n for n, verdict in answers.items() if verdict == "yes"]
            restart_queue(d)
        d.kill("queue")  # first: a delivery under way at its death may come twice
        d.command("resolve", "storm@q.example", "yes")
        restart_queue(d)
        settled(d)
        got = [int(data.split()[-1]) for data in d.new("storm@q.example").values()]
        tap.true(acknowledged, "some were acknowledged")
        tap.same(sorted(set(acknowledged) - set(got)), [], "lost")
        tap.same(len(got), len(set(got)), "messages delivered, and different ones")
        print("# %d acknowledged, %d arrived of %d" % (len(acknowledged), len(got), number))

    def killed_while_delivering():
        """kill -9 in the middle of deliveries: nothing is lost."""
        d.mailbox("mid@q.example")
        d.mailbox("mid2@q.example")
        body = b"x" * 500000 + b"\n"
        tags = [d.begin_enqueue([("mid@q.example", "mid2@q.example")[n % 2]],
                                b"mid %d\n" % n + body, now=True) for n in range(30)]
        tap.same([d.wait(t)[0] for t in tags], ["yes"] * 30)
        for delay in (0.005, 0.02):
            time.sleep(delay)
            d.kill("queue")
            restart_queue(d)
        d.kill("deliver")
        d.start("deliver")
        settled(d)
        got = [int(data.split(b"\nmid ")[1].split()[0])
               for a in ("mid@q.example", "mid2@q.example") for data in d.new(a).values()]
        tap.same(sorted(set(got)), list(range(30)), "lost")
        print("# 30 messages, %d copies" % len(got))

    def ended_in_order():
        """SIGTERM lets the delivery that is under way be recorded: no second copy."""
        d.mailbox("term@q.example")
        body = b"y" * 10000000 + b"\n"
        file = d.file(body)
        for number, delay in enumerate((0, 0.01, 0.02, 0.03, 0.05), 1):
            tap.same(d.enqueue(["term@q.example"], body, file=file, now=True)[0], "yes")
            time.sleep(delay)
            tap.same(d.kill("queue", number=signal.SIGTERM), 0)
            restart_queue(d)
            settled(d)
            tap.same(len(d.new("term@q.example")), number)

    def comes_back():
        """What the directory says no to, for a mailbox that was there, goes back to its sender."""
        before = d.status()["recipients"]
        for name in ("gone", "refused", "moved"):
            d.mailbox(name + "@q.example")
        d.command("resolve", "gone@q.example", "no")
        d.command("resolve", "refused@q.example", "refused")
        d.command("resolve", "moved@q.example", "nothere")
        verdict, queue_id = d.enqueue(["gone@q.example", "refused@q.example", "moved@q.example"],
                                      BODY, now=True)
        tap.same(verdict, "yes")
        logged(d, r"queue-bounce .*to=gone@q.example .*status=5.1.1")
        logged(d, r"queue-bounce .*to=refused@q.example .*status=5.2.1")
        logged(d, r"queue-report .*about=%s kind=failure to=from@remote.example" % queue_id)
        tap.wait_for(lambda: d.status()["recipients"] == before, 10, "something stays")
        tap.true(queue_id not in d.queued_files(), "its file")
        nothing_in(d.base + "/q.example/gone")

    def missing_file():
        held = int(d.status()["held"])
        grants = d.command("grants")
        d.mailbox("lost@q.example")
        d.command("resolve", "lost@q.example", "mute")
        _, queue_id = d.enqueue(["lost@q.example"], BODY, now=True)
        d.kill("queue")
        os.unlink(d.queue + "/messages/" + queue_id)
        d.command("resolve", "lost@q.example", "yes")
        restart_queue(d)
        tap.wait_for(lambda: d.status()["held"] == str(held + 1), 10)
        logged(d, r"queue-hold .*queue_id=%s .*message file" % queue_id)
        tap.same(d.command("grants"), grants, "the grant is given back")

    def file_size_limit():
        """A write that the machine refuses is "no room", and nothing stays behind."""
        files = d.queued_files()
        d.mailbox("limit@q.example")
        set_file_size(d, 100000)
        tap.same(d.enqueue(["limit@q.example"], b"z" * 200000)[0], "full")
        tap.same(d.queued_files(), files)
        # The write-ahead log and the database are limited too, sooner or later.
        set_file_size(d, 1000)
        tap.same(d.enqueue(["limit@q.example"], b"small\n", now=True)[0], "full")
        tap.same(d.queued_files(), files)
        set_file_size(d, "unlimited")
        tap.same(d.enqueue(["limit@q.example"], b"small\n", now=True)[0], "yes")
        tap.wait_for(lambda: d.new("limit@q.example"), 10)
        settled(d)

    def another_queue():
        with Delivery(real=d.real, queue_directory=d.queue) as second:
            answer = second.start("queue")
            tap.has(answer, "refused queue")
            tap.has(answer, "another queue")
        settled(d)

    def reload():
        tap.has(d.command("reload", "queue", 0), "yes")
        tap.has(d.command("reload", "deliver", 0), "yes")
        d.command("conf", "queue_directory", d.dir + "/other")
        tap.has(d.command("reload", "queue", 0), "restart")
        d.command("conf", "queue_directory", d.queue)
        tap.has(d.command("reload", "queue", 0), "yes")

    def damaged():
        tap.same(d.kill("queue", number=signal.SIGTERM), 0)
        with open(d.queue + "/queue.db", "r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * 12288)
        answer = d.start("queue")
        tap.has(answer, "refused queue")
        tap.has(answer, "queue.db")

    return [("through the queue", through_the_queue), ("its files are its own", own_files),
            ("it copies at once", copies_at_once), ("one recipient fails alone", one_fails_alone),
            ("bad asks", bad_asks), ("a message by way of the spool", spooled),
            ("a full mailbox is tried again", full_mailbox), ("many at once", many_at_once),
            ("nothing for other servers without a grant", remote_without_a_grant),
            ("a slow mailbox does not hold up others", slow_mailbox),
            ("killed after the reply", killed_after_the_reply),
            ("killed any time", killed_any_time),
            ("killed while delivering", killed_while_delivering),
            ("ended in order", ended_in_order), ("a mailbox that is gone sends its mail back", comes_back),
            ("a message file that is gone", missing_file), ("no room to write", file_size_limit),
            ("another queue is kept out", another_queue), ("reload", reload),
            ("a damaged database", damaged)]


# --- a disk that is full, as root -----------------------------------------------------------------

def small_disk(path, size):
    os.makedirs(path)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d,mode=0700" % size, "tmpfs", path],
                          capture_output=True)
    return done.returncode == 0


def fill(path, leave):
    room = os.statvfs(path)
    with open(path + "/filler", "wb") as file:
        left = room.f_bavail * room.f_frsize - leave
        while left > 0:
            left -= file.write(b"\0" * min(left, 1 << 20))


def full_disk_test():
    import tempfile
    place = tempfile.mkdtemp(prefix="smalldisk-")
    os.chmod(place, 0o755)
    disk = place + "/disk"
    if not small_disk(disk, 40 << 20):
        print("# mount refused: covered by the file size limit alone")
        return
    try:
        with Delivery(real=True, queue_directory=disk) as d:
            tap.has(d.start("deliver"), "started")
            tap.has(d.start("queue"), "started")
            d.mailbox("disk@f.example")
            tap.same(d.enqueue(["disk@f.example"], BODY)[0], "yes")
            # The reserve is kept free.
            fill(disk, 17 << 20)
            tap.same(d.enqueue(["disk@f.example"], b"x" * (4 << 20))[0], "full")
            tap.same(d.wait(d.begin("spool", 4 << 20, d.file(b"")))[0], "full")
            os.unlink(disk + "/filler")
            # Somebody else takes everything: deliveries go on, and are recorded when there is room.
            fill(disk, 0)
            tap.same(d.enqueue(["disk@f.example"], BODY)[0], "full")
            time.sleep(4)
            os.unlink(disk + "/filler")
            settled(d)
            tap.same(len(d.new("disk@f.example")), 1)
            tap.same(d.enqueue(["disk@f.example"], BODY, now=True)[0], "yes")
            settled(d)
            tap.same(len(d.new("disk@f.example")), 2)
    finally:
        subprocess.run(["umount", disk])
        os.rmdir(disk)
        os.rmdir(place)


def wrong_user_test(real):
    """A worker that could not become others, or that must not be root, does not start."""
    with Delivery(real=real, conf={"single_uid": "yes" if real else "no"}) as d:
        tap.has(d.start("deliver"), "refused deliver")


def main():
    tests, opened = [], []

    def part(title, real, make):
        d = Delivery(real=real)
        opened.append(d)

        def begin():
            d.__enter__()
            tap.has(d.start("deliver"), "started")
            tap.has(d.start("queue"), "started")

        tests.append((title + "start", begin))
        for function in make:
            tests.extend((title + name, run) for name, run in function(d))

    part("single uid: ", False, [delivery_tests, queue_tests])
    tests.append(("single uid: not without saying so", lambda: wrong_user_test(False)))
    if os.getuid() == 0:
        part("own uids: ", True, [delivery_tests, owner_tests, queue_tests])
        tests.append(("own uids: root is no single uid", lambda: wrong_user_test(True)))
        tests.append(("own uids: a full disk", full_disk_test))
    if len(sys.argv) > 1: # only those whose name matches
        tests = [t for t in tests if re.search(sys.argv[1] + "|start$", t[0])]
    try:
        failed = tap.run(tests)
        for d in opened:
            if failed and len(sys.argv) > 1:
                print("# " + d.log().replace("\n", "\n# "))
            if "Sanitizer" in d.log() or "runtime error" in d.log():
                print("# " + d.log()[-5000:].replace("\n", "\n# "))
                failed += 1
        return 1 if failed else 0
    finally:
        for d in opened:
            d.__exit__()


if __name__ == "__main__":
    sys.exit(main())
