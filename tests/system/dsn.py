#!/usr/bin/env python3
"""What a sender asked to hear (RFC 3461) and hears (RFC 3464): NOTIFY, RET, ENVID, ORCPT, for mail
that stays here, goes on, or comes back; and loops."""
import email
import email.policy
import os
import select
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from world import in_world  # noqa: E402

SENDER = "amelie@example.com"
DSN = ("PIPELINING", "8BITMIME", "SIZE 10000000", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN")


def text(subject, header=""):
    return "From: %s\r\n%sSubject: %s\r\n\r\nHello.\r\n" % (SENDER, header, subject)


def main(mail, world):
    def send(client, recipients, subject, options=(), header="", sender=SENDER):
        """recipients: address to its parameters; the answer to the message."""
        client.ehlo()
        client.mail(sender, options)
        for address, parameters in recipients.items():
            code, said = client.rcpt(address, parameters)
            tap.same(code, 250, said)
        return client.data(text(subject, header))

    def submit(recipients, subject, options=(), header=""):
        with mail.submission() as client:
            code, said = send(client, recipients, subject, options, header)
            tap.same(code, 250, said)

    def reports(subject, user="amelie"):
        found = []
        for raw in mail.messages(user):
            m = email.message_from_string(raw, policy=email.policy.default)
            if m.get_content_type() == "multipart/report" and subject in raw:
                found.append(m)
        return found

    def report(subject, user="amelie", seconds=15):
        return tap.wait_for(lambda: reports(subject, user), seconds, "no report: " + subject)[0]

    def fields(m):
        return [dict(part.items()) for part in m.get_payload()[1].get_payload()]

    def idle():
        tap.wait_for(lambda: "messages=0 recipients=0" in mail.facteur("status"), 20,
                     "the queue is not empty")

    def offered():
        with mail.smtp() as client:
            client.ehlo()
            tap.true(client.has_extn("dsn"), "DSN is not offered")

    def delivered():
        submit({"bruno@example.net": ["NOTIFY=SUCCESS", "ORCPT=rfc822;b+2Bx@example.net"]}, "receipt",
               ["ENVID=my+2Bown", "RET=FULL"])
        m = report("receipt")
        tap.same(m["Subject"], "Your mail has arrived")
        tap.same(m["Return-Path"], "<>")
        whole, one = fields(m)
        tap.same(whole["Original-Envelope-Id"], "my+own")
        tap.same(one["Action"], "delivered")
        tap.same(one["Status"], "2.0.0")
        tap.same(one["Original-Recipient"], "rfc822; b+x@example.net")
        tap.same(one["Final-Recipient"], "rfc822; bruno@mail.example.org")
        tap.same(m.get_payload()[2].get_content_type(), "text/rfc822-headers")
        tap.has(m.get_payload()[2].get_payload(), "Subject: receipt")
        tap.true("Hello." not in m.as_string(), "a receipt brings the body along")
        idle()
        tap.same(len(reports("receipt")), 1)

    def from_outside():
        world.sink("mx.remote.example", mx_of="remote.example")
        with mail.smtp() as client:
            code, said = send(client, {"bruno@example.net": ["NOTIFY=SUCCESS,FAILURE"]}, "outside",
                              sender="somebody@remote.example")
        tap.same(code, 250, said)
        got = tap.wait_for(lambda: [t for t in world.sinks[-1].texts() if "outside" in t], 15)[0]
        tap.has(got, "Action: delivered")

    def nobody_asked():
        submit({"bruno@example.net": []}, "unasked")
        submit({"bruno@example.net": ["NOTIFY=FAILURE,DELAY"]}, "unasked too")
        with mail.smtp() as client:
            send(client, {"bruno@example.net": ["NOTIFY=SUCCESS"]}, "unasked by nobody", sender="")
        idle()
        tap.same(reports("unasked"), [])

    def expanded():
        submit({"team@example.com": ["NOTIFY=SUCCESS", "ORCPT=rfc822;team@example.com"]}, "to a team")
        one = fields(report("to a team"))[1]
        tap.same((one["Action"], one["Final-Recipient"]), ("expanded", "rfc822; team@example.com"))
        idle()
        tap.same(len(reports("to a team")), 1, "the members are told of")

    def passed_on():
        sink = world.sink("mx.dsn.example", mx_of="dsn.example", ehlo=DSN)
        submit({"a@dsn.example": ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;x+3Dy@z.example"],
                "b@dsn.example": ["NOTIFY=NEVER"], "c@dsn.example": []}, "passed on",
               ["RET=HDRS", "ENVID=e+2B1"])
        tap.wait_for(lambda: sink.messages, 15, "nothing came")
        tap.has(sink.messages[0]["mail"], " RET=HDRS ENVID=e+2B1")
        rcpt = [c for c in sink.commands if c.startswith("RCPT")]
        tap.same(sorted(rcpt), ["RCPT TO:<a@dsn.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+3Dy@z.example",
                                "RCPT TO:<b@dsn.example> NOTIFY=NEVER", "RCPT TO:<c@dsn.example>"])
        idle()
        tap.same(reports("passed on"), [], "the next server reports")

    def relayed():
        sink = world.sink("mx.plain.example", mx_of="plain.example")
        submit({"a@plain.example": ["NOTIFY=SUCCESS"], "b@plain.example": []}, "handed on",
               ["RET=HDRS", "ENVID=1"])
        m = report("handed on")
        tap.same([f["Action"] for f in fields(m)[1:]], ["relayed"])
        tap.has(m.get_payload()[0].get_content(), "sends no receipts itself")
        tap.true("NOTIFY" not in "".join(sink.commands) and "ENVID" not in "".join(sink.commands),
                 "parameters that were not offered")

    def failed():
        world.sink("mx.no.example", mx_of="no.example", rcpt="550 5.1.1 nobody of that name")
        submit({"a@no.example": ["NOTIFY=NEVER"], "b@no.example": ["NOTIFY=SUCCESS"],
                "c@no.example": ["NOTIFY=FAILURE"], "d@no.example": []}, "comes back",
               ["RET=HDRS"])
        m = report("comes back")
        tap.same(sorted(f["Final-Recipient"] for f in fields(m)[1:]),
                 ["rfc822; c@no.example", "rfc822; d@no.example"])
        tap.same(m.get_payload()[2].get_content_type(), "text/rfc822-headers")
        readable = m.get_payload()[0].get_content()
        tap.has(readable, "There is no such address.")
        tap.has(readable, "nobody of that name")
        idle()
        tap.same(len(reports("comes back")), 1)

    def our_own_words():
        """What the other server did not say is not put into its mouth (RFC 3464 section 2.3.6)."""
        world.sink("mx.small.example", mx_of="small.example", ehlo=("SIZE 100",))
        submit({"a@small.example": []}, "too large")
        m = report("too large")
        one = fields(m)[1]
        tap.same((one["Action"], one["Status"], one["Remote-MTA"]), ("failed", "5.3.4", "dns; mx.small.example"))
        tap.true(one["Diagnostic-Code"].startswith("X-Facteur; "), one["Diagnostic-Code"])
        readable = m.get_payload()[0].get_content()
        tap.true("said:" not in readable and "(the server was mx.small.example" in readable, readable)

    def never_to_nobody():
        """A report that nobody wants is not made for the postmaster either."""
        with mail.submission() as client:
            send(client, {"x@no.example": ["NOTIFY=NEVER"]}, "a silent one", sender="")
        idle()
        tap.same(reports("a silent one"), [])

    def late():
        mail.options["delay_warning_time"] = "1s"
        mail.reload()
        world.address("late.example", world.new_ip())
        submit({"a@late.example": ["NOTIFY=FAILURE"]}, "late and not told")
        submit({"a@late.example": ["NOTIFY=DELAY"]}, "late and told")
        one = fields(report("late and told", seconds=30))[1]
        tap.same(one["Action"], "delayed")
        tap.true(one["Will-Retry-Until"], "until when")
        tap.same(reports("late and not told"), [])
        mail.options["delay_warning_time"] = "0"
        mail.reload()
        world.sink("mx.late.example", mx_of="late.example")

    def queue_away():
        """A receipt that is not safe is not promised: no 250 before the queue has committed it."""
        pid = mail.pids("queue")[0]
        with mail.smtp() as client:
            client.ehlo()
            client.mail(SENDER)
            client.rcpt("bruno@example.net", ["NOTIFY=SUCCESS"])
            client.docmd("DATA")
            os.kill(pid, signal.SIGSTOP)
            try:
                client.send(text("not promised").encode() + b".\r\n")
                tap.wait_for(lambda: any("not promised" in m for m in mail.messages("bruno")), 10)
                tap.same(select.select([client.sock], [], [], 1)[0], [], "an answer")
            finally:
                os.kill(pid, signal.SIGCONT)
            tap.same(client.getreply()[0], 250)
        report("not promised")

    def loops():
        header = "Delivered-To: bruno@mail.example.org\r\n"
        with mail.smtp() as client:
            code, said = send(client, {"bruno@example.net": []}, "circle", header=header)
            tap.same((code, said[:5]), (554, b"5.4.6"))
        submit({"bruno@example.net": [], "chloe@example.net": []}, "half a circle", header=header)
        one = fields(report("half a circle"))[1]
        tap.same((one["Final-Recipient"], one["Status"]), ("rfc822; bruno@mail.example.org", "5.4.6"))
        tap.true(any("half a circle" in m for m in mail.messages("chloe")), "the other one waits")
        tap.true(not any("half a circle" in m for m in mail.messages("bruno")), "round it goes")

    def hops():
        received = "Received: from a by b; Thu, 21 Nov 2024 08:04:00 +0000\r\n"
        with mail.smtp() as client:
            code, said = send(client, {"bruno@example.net": []}, "hops", header=received * 51)
            tap.same((code, said[:5]), (554, b"5.4.6"))
            code, said = send(client, {"bruno@example.net": []}, "fewer", header=received * 50)
            tap.same(code, 250)

    def sane():
        for line in mail.log().splitlines():
            tap.true("AddressSanitizer" not in line and "runtime error" not in line, line)

    return [
        ("DSN is offered", offered),
        ("a receipt for mail that stays here", delivered),
        ("a receipt for a sender elsewhere", from_outside),
        ("no receipt for who asked for none", nobody_asked),
        ("an alias for several is told of as that", expanded),
        ("a server that knows DSN is asked to report", passed_on),
        ("one that does not: relayed", relayed),
        ("who is told of failures, and what comes along", failed),
        ("a failure that the server did not put into words", our_own_words),
        ("NEVER holds for the postmaster too", never_to_nobody),
        ("who is told that mail is late", late),
        ("250 only after the receipt is safe", queue_away),
        ("mail that comes back to a mailbox", loops),
        ("mail with too many hops", hops),
        ("no sanitizer complained", sane),
    ]


in_world(main)
