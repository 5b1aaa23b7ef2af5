#!/usr/bin/env python3
"""The queue under a backlog: fair shares, many recipients as a whole, and a full disk."""
import json
import os
import signal
import smtplib
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402
from world import in_world  # noqa: E402

SENDER = "amelie@example.com"
BACKLOG = int(os.environ.get("BACKLOG", "5000"))


def text(subject):
    return "From: %s\r\nSubject: %s\r\n\r\nHello.\r\n" % (SENDER, subject)


def main(mail, world):
    def submit(to, subject, user="amelie", sender=SENDER):
        with mail.submission(user) as client:
            client.sendmail(sender, to, text(subject).replace(SENDER, sender))

    def arrives(sink, subject, seconds):
        tap.wait_for(lambda: any("Subject: " + subject in t for t in sink.texts()), seconds,
                     subject + " did not arrive")

    def rows():
        return json.loads(mail.facteur("queue", "--json"))

    slow_open = threading.Event()

    def wait(_):
        slow_open.wait(120)
        return "250 2.0.0 at last"

    def backlog():
        """Thousands of messages for one slow domain; everybody else is served as if alone."""
        slow = world.sink("mx.slow.example", mx_of="slow.example", dot=wait)
        quick = world.sink("mx.quick.example", mx_of="quick.example")

        def fill(part):
            with mail.submission() as client:
                for i in range(BACKLOG // 4):
                    client.sendmail(SENDER, ["x@slow.example"], text("slow %d.%d" % (part, i)))
        threads = [threading.Thread(target=fill, args=(n,)) for n in range(4)]
        began = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        print("# %d messages queued in %.1f s" % (BACKLOG, time.monotonic() - began))
        for i in range(3):
            began = time.monotonic()
            submit(["y@quick.example", "bruno@example.net"], "quick %d" % i)
            tap.true(any("quick %d" % i in m for m in mail.messages("bruno")), "local mail waits")
            arrives(quick, "quick %d" % i, 5)
            print("# quick one in %.2f s" % (time.monotonic() - began))
        tap.true(slow.most <= 20, "%d connections at once" % slow.most)

    def turns_in_one_domain():
        """Another sender's message to that domain does not wait for the whole backlog."""
        submit(["z@slow.example"], "of another sender", "bruno", "bruno@example.net")
        slow_open.set()
        slow = world.sinks[0]
        arrives(slow, "of another sender", 20)
        before = len(slow.messages)
        print("# %d of the backlog had gone before" % before)
        tap.true(before < BACKLOG / 4, "it waited for %d others" % before)
        mail.empty_queue("slow.example")
        tap.same(rows(), [])

    def whole():
        """More than a hundred recipients of one message are one commit, also when the queue dies."""
        world.address("down.example", world.new_ip())
        for attempt in range(6):
            subject = "as a whole %d" % attempt
            killer = threading.Timer(0.01 * attempt, lambda: [os.kill(p, signal.SIGKILL)
                                                              for p in mail.pids("queue")])
            with mail.submission() as client:
                client.mail(SENDER)
                for i in range(130):
                    tap.same(client.rcpt("u%d@down.example" % i)[0], 250)
                killer.start()
                code = client.data(text(subject))[0]
            killer.join()
            tap.wait_for(lambda: len(mail.pids("queue")) == 1, 20)
            tap.wait_for(lambda: "state=ready" in next(
                line for line in mail.facteur("status").splitlines() if line.startswith("queue")), 20)
            count = {}
            for row in rows():
                count[row["queue_id"]] = count.get(row["queue_id"], 0) + 1
            tap.true(set(count.values()) <= {130}, "in parts: %r" % count)
            tap.true(code != 250 or count, "acknowledged and gone")
            tap.true(len(count) <= 1, "queued twice: %r" % count)
            mail.empty_queue()

    return [
        ("a backlog for one slow domain holds up nobody", backlog),
        ("senders take turns in one domain", turns_in_one_domain),
        ("many recipients are taken as a whole", whole),
    ]


def full_disk(world):
    """A small file system under the queue: 452, and nothing half-written stays."""
    if os.geteuid() != 0:
        print("# not root: no file system of our own")
        return
    place = tempfile.mkdtemp(prefix="facteur-full-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=700,uid=15304,gid=15304", "tmpfs", place],
                   check=True)
    try:
        options = dict(world.options(), queue_directory=place, minimal_backoff_time="600s")
        with Instance(options=options) as mail:
            world.address("full.example", world.new_ip())
            body = text("full") + ("x" * 70 + "\r\n") * 7000
            taken = 0
            with mail.submission() as client:
                for _ in range(60):
                    try:
                        client.sendmail(SENDER, ["x@full.example"], body)
                        taken += 1
                    except smtplib.SMTPResponseException as e:
                        tap.same(e.smtp_code, 452, e.smtp_error)
                        break
            tap.true(0 < taken < 60, "%d messages taken" % taken)
            found = json.loads(mail.facteur("queue", "--json"))
            tap.same(len(found), taken)
            tap.same(sorted(os.listdir(place + "/messages")), sorted(r["queue_id"] for r in found))
            for row in found:
                tap.same(os.path.getsize(place + "/messages/" + row["queue_id"]),
                         row["message_size"])
            mail.empty_queue()
            with mail.submission() as client:
                client.sendmail(SENDER, ["x@full.example"], body)
    finally:
        subprocess.run(["umount", "-l", place], check=True)
        os.rmdir(place)


in_world(lambda mail, world: main(mail, world) + [("a full disk", lambda: full_disk(world))])
