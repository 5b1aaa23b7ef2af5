#!/usr/bin/env python3
"""facteur queue: lists, and what an administrator may do to mail that waits."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import BUILD  # noqa: E402
from world import in_world  # noqa: E402

SENDER = "amelie@example.com"


def main(mail, world):
    def submit(to, subject):
        with mail.submission() as client:
            client.sendmail(SENDER, to, "From: %s\r\nSubject: %s\r\n\r\nHello.\r\n" % (SENDER, subject))

    def queue(*arguments):
        return mail.facteur("queue", *arguments)

    def rows(*arguments):
        return json.loads(queue("--json", *arguments))

    def fails(*arguments):
        done = subprocess.run([os.path.join(BUILD, "facteur"), "-c", mail.conf, "queue", *arguments],
                              capture_output=True, text=True)
        tap.true(done.returncode != 0, "it went well: %r" % (arguments,))
        return done.stderr

    def arrives(sink, subject, seconds=15):
        tap.wait_for(lambda: any("Subject: " + subject in t for t in sink.texts()), seconds,
                     subject + " did not arrive")

    def empty():
        tap.has(queue(), "The queue is empty.")
        tap.same(rows(), [])
        tap.has(fails("show", "0123456789ab"), "there is no message")

    def listed():
        world.address("down.example", world.new_ip())
        world.address("gone.example", world.new_ip())
        submit(["a@down.example", "b@down.example"], "first")
        submit(["c@gone.example"], "second")
        tap.wait_for(lambda: [r for r in rows() if "refused" in r["delay_reason"]], 15, "no attempt")
        found = rows()
        tap.same(sorted(r["recipient"] for r in found),
                 ["a@down.example", "b@down.example", "c@gone.example"])
        tap.same(len({r["queue_id"] for r in found}), 2)
        one = [r for r in found if r["recipient"] == "c@gone.example"][0]
        tap.same((one["sender"], one["destination"]), (SENDER, "gone.example"))
        tap.same([r["recipient"] for r in rows("gone.example")], ["c@gone.example"])
        text = queue()
        tap.has(text, "2 messages, 3 recipients")
        tap.has(text, "from <%s>" % SENDER)
        shown = queue("show", one["queue_id"])
        tap.has(shown, "<c@gone.example>")
        tap.has(shown, "Subject: second\n\nHello.")
        tap.true("a@down" not in shown, shown)

    def idle_state(state):
        def check():
            return all(r["state"] == state for r in rows()) and rows()
        return check

    def held_and_released():
        tap.has(queue("hold", "all"), "3 recipients of 2 messages")
        tap.wait_for(idle_state("held"), 15, "not held")
        tap.has(mail.facteur("status"), "held=3")
        sink = world.sink("mx.down.example", mx_of="down.example")
        other = world.sink("mx.gone.example", mx_of="gone.example")
        mail.restart()
        tap.same({r["state"] for r in rows()}, {"held"}, "over a restart")
        one = [r for r in rows() if r["recipient"] == "c@gone.example"][0]
        queue("release", one["queue_id"])
        arrives(other, "second")
        tap.same(sink.messages, [], "held mail was sent")
        queue("release", "down.example")
        arrives(sink, "first")
        tap.wait_for(lambda: rows() == [], 10, "still there")

    def retried():
        mail.options.update({"minimal_backoff_time": "600s", "maximal_backoff_time": "600s"})
        mail.reload()
        world.address("rest.example", world.new_ip())
        submit(["x@rest.example"], "rested")
        submit(["y@rest.example"], "rested too")
        tap.wait_for(lambda: sum(r["attempts"] for r in rows()) >= 1 and
                     all(r["state"] == "waiting" for r in rows()), 15, "no attempt")
        sink = world.sink("mx.rest.example", mx_of="rest.example")

        def arrived():  # the relay's picture of the DNS is a second old at most
            queue("retry", "rest.example")
            return len(sink.messages) == 2
        tap.wait_for(arrived, 15, "not tried at once")

    def deleted():
        world.address("delete.example", world.new_ip())
        for i in range(3):
            submit(["a@delete.example", "b@delete.example"], "deleted %d" % i)
        tap.wait_for(idle_state("waiting"), 15)
        tap.same(len(os.listdir(mail.dir + "/queue/messages")), 3)
        queue("delete", rows()[0]["queue_id"])
        tap.same(len(rows()), 4)
        tap.has(queue("delete", "delete.example"), "4 recipients of 2 messages")
        tap.same(rows(), [])
        tap.same(os.listdir(mail.dir + "/queue/messages"), [])
        tap.same(sum("deleted" in m for m in mail.messages("amelie")), 0, "reports")

    def tried_now():
        may_go_on = threading.Event()
        world.sink("busy.example", rcpt=lambda *_: may_go_on.wait(60) and "450 4.2.0 Later")
        submit(["a@busy.example"], "being tried")
        tap.wait_for(idle_state("trying"), 15, "not tried")
        tap.has(fails("delete", "busy.example"), "1 recipients are being tried now, and stay")
        tap.same(len(rows()), 1)
        may_go_on.set()
        tap.wait_for(idle_state("waiting"), 15, "the attempt does not end")
        tap.has(queue("delete", "busy.example"), "1 recipients of 1 messages")
        tap.same(rows(), [])

    def pages():
        """More than one page: 1,200 recipients."""
        world.address("many.example", world.new_ip())
        with mail.submission() as client:
            for i in range(4):
                client.sendmail(SENDER, ["u%d@many.example" % n for n in range(300)],
                                "From: %s\r\nSubject: many %d\r\n\r\nx\r\n" % (SENDER, i))
        tap.wait_for(idle_state("waiting"), 20)
        tap.same(len(rows()), 1200)
        tap.same(len({r["queue_id"] for r in rows()}), 4, "each is one message")
        tap.has(queue("hold", "many.example"), "1200 recipients of 4 messages")
        tap.has(queue("delete", "all"), "1200 recipients of 4 messages")
        tap.same(rows(), [])

    def refused():
        tap.has(fails("delete"), "of what?")
        tap.has(fails("delete", "everything"), "no queue id")
        tap.has(fails("burn", "all"), "queue")
        tap.has(fails("--frob"), "queue")

    def as_stranger(directory):
        done = subprocess.run([directory + "/facteur", "-c", directory + "/conf", "queue"], user=54399,
                              group=54399, extra_groups=[], capture_output=True, text=True)
        tap.true(done.returncode != 0 and not done.stdout, "anybody may: " + done.stdout)
        return done.stderr

    def not_for_all():
        if os.geteuid() != 0:
            return
        control = mail.dir + "/run/control"
        os.chmod(mail.dir + "/run", 0o755)
        with tempfile.TemporaryDirectory(dir=mail.dir) as directory:  # where every uid may run it
            os.chmod(directory, 0o755)
            shutil.copy(os.path.join(BUILD, "facteur"), directory)
            with open(directory + "/conf", "w") as conf:
                conf.write("run_directory = %s/run\n" % mail.dir)
            tap.has(as_stranger(directory), "Permission denied")
            os.chmod(control, 0o666)  # the socket asks who calls, whatever its mode
            tap.has(as_stranger(directory), "facteur queue: ")
            os.chmod(control, 0o600)

    return [
        ("an empty queue", empty),
        ("what waits is listed and shown", listed),
        ("held mail waits, over a restart too, and goes when released", held_and_released),
        ("retry ends the rest of a destination", retried),
        ("deleted mail is gone, and nobody is told", deleted),
        ("what is being tried is not deleted, and that is said", tried_now),
        ("more than a page", pages),
        ("orders that make no sense", refused),
        ("only root and the owner", not_for_all),
    ]


in_world(main)
