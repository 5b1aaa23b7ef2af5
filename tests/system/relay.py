#!/usr/bin/env python3
"""Mail to other servers: the right server by DNS, every answer it can give, reports to senders, and
nothing lost however programs end."""
import email
import email.policy
import os
import signal
import smtplib
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from world import SERVFAIL, in_world  # noqa: E402

SENDER = "amelie@example.com"


def text(subject, body="Hello.\r\n"):
    return "From: %s\r\nTo: x\r\nSubject: %s\r\n\r\n%s" % (SENDER, subject, body)


def main(mail, world):
    def submit(to, subject, body="Hello.\r\n", sender=SENDER, options=()):
        with mail.submission() as client:
            return client.sendmail(sender, to if isinstance(to, list) else [to],
                                   text(subject, body).encode("utf-8"), mail_options=options)

    def arrives(sink, subject, seconds=60):
        return tap.wait_for(lambda: next((m for m in sink.messages
                                          if ("Subject: " + subject).encode() in m["data"]), None),
                            seconds, "%s did not arrive" % subject)

    def report_about(subject, seconds=15, user="amelie"):
        def find():
            for raw in mail.messages(user):
                m = email.message_from_string(raw, policy=email.policy.default)
                if m.get_content_type() == "multipart/report" and subject in raw:
                    return m
            return None
        return tap.wait_for(find, seconds, "no report about %s" % subject)

    def queue_is_empty():
        return "messages=0 recipients=0" in mail.facteur("status")

    def fields(report):
        return [dict(part.items()) for part in report.get_payload()[1].get_payload()]

    # --- the right server ---

    def simple():
        sink = world.sink("mx.good.example", mx_of="good.example")
        body = "".join(".%d\r\n..\r\n.\r\nline\r\n" % i for i in range(3))
        submit("friend@good.example", "simple", body)
        m = arrives(sink, "simple")
        tap.same((m["sender"], m["to"]), (SENDER, ["friend@good.example"]))
        head, _, got = m["data"].decode().partition("\r\n\r\n")
        tap.same(got, body)
        tap.has(head, "Received: from ")
        tap.has(head, "with ESMTPSA")
        tap.true("Return-Path" not in head and "Delivered-To" not in head, head)
        tap.has(m["mail"], " SIZE=%d" % len(m["data"]))
        tap.wait_for(queue_is_empty, 5, "the queue is not empty")

    def mixed():
        sink = world.sinks[0]
        submit(["bruno@example.net", "a@good.example", "b@good.example", "team@example.com"], "mixed")
        tap.same(sum("Subject: mixed" in m for m in mail.messages("bruno")), 1, "at once")
        m = arrives(sink, "mixed")
        tap.same(sorted(m["to"]), ["a@good.example", "b@good.example"])

    def implicit_and_literal():
        sink = world.sink("implicit.example")
        submit("x@implicit.example", "implicit")
        arrives(sink, "implicit")
        submit("x@[%s]" % sink.ip, "literal")
        tap.same(arrives(sink, "literal")["to"], ["x@[%s]" % sink.ip])

    def failover():
        second = world.sink("mx2.fail.example")
        world.address("mx1.fail.example", world.new_ip())  # nobody listens there
        world.mx("fail.example", (10, "mx1.fail.example"), (10, "nowhere.fail.example"),
                 (20, "mx2.fail.example"))
        submit("x@fail.example", "failover")
        arrives(second, "failover")

    def preference():
        first, last = world.sink("a.pref.example"), world.sink("b.pref.example")
        world.mx("pref.example", (20, "b.pref.example"), (5, "a.pref.example"))
        for i in range(4):
            submit("x@pref.example", "preference %d" % i)
            arrives(first, "preference %d" % i)
        tap.same(len(last.messages), 0, "mail at the far one")

    def next_server_for_what_was_put_off():
        first = world.sink("a.next.example", rcpt=lambda a: "450 4.3.2 busy" if a[0] == "p"
                           else "250 2.1.5 ok")
        second = world.sink("b.next.example")
        world.mx("next.example", (5, "a.next.example"), (20, "b.next.example"))
        submit(["ok@next.example", "put-off@next.example"], "next server")
        tap.same(arrives(first, "next server")["to"], ["ok@next.example"])
        tap.same(arrives(second, "next server")["to"], ["put-off@next.example"])

    def greeting_554():
        world.sink("a.greet.example", greeting="554 5.7.1 not you")
        second = world.sink("b.greet.example")
        world.mx("greet.example", (5, "a.greet.example"), (20, "b.greet.example"))
        submit("x@greet.example", "greeting")
        arrives(second, "greeting")

    # --- what cannot go ---

    def refused():
        sink = world.sink("mx.refuse.example", mx_of="refuse.example",
                          rcpt=lambda a: "550 5.1.1 <%s> nobody of that name" % a
                          if a.startswith("nobody") else "250 2.1.5 ok")
        submit(["nobody@refuse.example", "somebody@refuse.example", "nobody2@refuse.example"],
               "partly refused")
        tap.same(arrives(sink, "partly refused")["to"], ["somebody@refuse.example"])
        report = report_about("partly refused")
        tap.same(report["Return-Path"], "<>")
        tap.has(report["To"], SENDER)
        tap.same(report["Auto-Submitted"], "auto-replied")
        tap.same([p.get_content_type() for p in report.iter_parts()],
                 ["text/plain", "message/delivery-status", "message/rfc822"])
        readable = report.get_payload()[0].get_content()
        tap.has(readable, "nobody@refuse.example")
        tap.has(readable, "nobody of that name")
        whole, first, second = fields(report)
        tap.same(whole["Reporting-MTA"], "dns; mail.example.org")
        for got, to in ((first, "nobody@refuse.example"), (second, "nobody2@refuse.example")):
            tap.same(got["Final-Recipient"], "rfc822; " + to)
            tap.same((got["Action"], got["Status"]), ("failed", "5.1.1"))
            tap.same(got["Remote-MTA"], "dns; mx.refuse.example")
            tap.has(got["Diagnostic-Code"], "smtp; 550 5.1.1 <%s>" % to)
        tap.same(report.get_payload()[2].get_payload()[0]["Subject"], "partly refused")
        time.sleep(1)
        tap.same(sum("partly refused" in m for m in sink.texts()), 1, "copies")
        tap.same(sum("multipart/report" in m and "partly refused" in m
                     for m in mail.messages("amelie")), 1, "reports")

    def each_stage():
        stages = {"mail": "550 5.7.1 not from you", "data": "554 5.5.0 no", "dot": "554 5.6.0 spam",
                  "rcpt": "553 no"}
        for stage, said in stages.items():
            domain = stage + ".stage.example"
            world.sink("mx." + domain, mx_of=domain, **{stage: said})
            submit("x@" + domain, "refused at " + stage)
        for stage, said in stages.items():
            report = report_about("refused at " + stage)
            got = fields(report)[1]
            tap.has(got["Diagnostic-Code"], said)
            tap.same(got["Status"], said.split()[1] if said[4].isdigit() else "5.0.0", stage)

    def dns_says_no():
        world.mx("null.example", (0, ""))
        world.mx("self.example", (10, "mail.example.org"), (20, "b.self.example"))
        world.address("b.self.example", world.new_ip())
        world.mx("void.example", (10, "gone.void.example"))
        for domain, status, words in (("null.example", "5.1.10", "takes no mail"),
                                      ("missing.example", "5.1.2", "does not exist"),
                                      ("self.example", "5.4.6", "loops back"),
                                      ("void.example", "5.4.4", "has no address")):
            submit("x@" + domain, "to " + domain)
            got = fields(report_about("to " + domain))[1]
            tap.same(got["Status"], status, domain)
            tap.has(got["Diagnostic-Code"], words)

    def own_name():
        world.sink("mail.example.org", mx_of="mirror.example")
        world.mx("mirror.example", (10, "other.mirror.example"))
        world.address("other.mirror.example", world.sinks[-1].ip)
        submit("x@mirror.example", "into the mirror")
        tap.same(fields(report_about("into the mirror"))[1]["Status"], "5.4.6")

    def too_large_and_eight_bit():
        world.sink("mx.small.example", mx_of="small.example", ehlo=("SIZE 5000",))
        submit("x@small.example", "too large", "x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 100)
        tap.same(fields(report_about("too large"))[1]["Status"], "5.3.4")
        submit("x@small.example", "eight bit", "h\u00e9\r\n", options=["BODY=8BITMIME"])
        tap.same(fields(report_about("eight bit"))[1]["Status"], "5.6.3")
        sink = world.sink("mx.eight.example", mx_of="eight.example")
        submit("x@eight.example", "eight bit goes", "h\u00e9\r\n", options=["BODY=8BITMIME"])
        m = arrives(sink, "eight bit goes")
        tap.has(m["mail"], "BODY=8BITMIME")
        tap.has(m["data"].decode(), "h\u00e9\r\n")

    # --- later ---

    def greylisting():
        seen = {}

        def rcpt(address):
            seen[address] = seen.get(address, 0) + 1
            return "450 4.7.1 greylisted, come again" if seen[address] < 3 else "250 2.1.5 ok"
        sink = world.sink("mx.grey.example", mx_of="grey.example", rcpt=rcpt)
        submit("x@grey.example", "greylisted")
        arrives(sink, "greylisted")
        tap.same(seen["x@grey.example"], 3, "attempts")
        tap.has(mail.log(), "greylisted, come again")

    def dns_comes_back():
        world.record("later.example", "all", SERVFAIL)
        submit("x@later.example", "dns later")
        tap.wait_for(lambda: "later.example could not be looked up" in mail.log(), 10)
        world.dns.zone["later.example"] = {}
        sink = world.sink("mx.later.example", mx_of="later.example")
        arrives(sink, "dns later")

    def unknown_outcome_is_tried_again():
        state = {"n": 0}

        def dot(_):
            state["n"] += 1
            return None if state["n"] == 1 else "250 2.0.0 ok"
        sink = world.sink("mx.drop.example", mx_of="drop.example", dot=dot)
        second = world.sink("mx2.drop.example")
        world.mx("drop.example", (10, "mx.drop.example"), (20, "mx2.drop.example"))
        submit("x@drop.example", "cut after the end")
        arrives(sink, "cut after the end")
        tap.same(second.messages, [], "sent to the next server at once, perhaps twice")

    def slow_domain():
        def wait(_):
            time.sleep(4)
            return "250 2.0.0 at last"
        slow = world.sink("mx.slow.example", mx_of="slow.example", dot=wait)
        for i in range(30):
            submit("x%d@slow.example" % i, "slow %d" % i)
        start = time.monotonic()
        submit(["y@good.example", "bruno@example.net"], "quick one")
        tap.true(any("quick one" in m for m in mail.messages("bruno")), "local mail waits")
        arrives(world.sinks[0], "quick one", 3)
        tap.true(time.monotonic() - start < 3, "held up")
        tap.true(0 < slow.most <= 20, "%d connections at once" % slow.most)
        tap.wait_for(lambda: len(slow.messages) == 30, 30, "slow mail is missing")

    def reuse():
        sink = world.sink("mx.reuse.example", mx_of="reuse.example")
        for i in range(5):
            submit("x@reuse.example", "reuse %d" % i)
            arrives(sink, "reuse %d" % i)
        tap.true(sink.connections < 5, "%d connections" % sink.connections)

    # --- old and odd servers ---

    def helo_only():
        sink = world.sink("mx.old.example", mx_of="old.example", no_ehlo=True)
        submit("x@old.example", "helo")
        tap.true("SIZE" not in arrives(sink, "helo")["mail"], "parameters after HELO")

    def no_pipelining():
        sink = world.sink("mx.step.example", mx_of="step.example", ehlo=())
        submit(["a@step.example", "b@step.example", "c@step.example"], "step by step")
        tap.same(len(arrives(sink, "step by step")["to"]), 3)

    def nonsense():
        world.sink("a.odd.example", greeting="HTTP/1.1 400 Bad Request")
        second = world.sink("b.odd.example")
        world.mx("odd.example", (5, "a.odd.example"), (20, "b.odd.example"))
        submit("x@odd.example", "odd")
        arrives(second, "odd")

    def many():
        sink = world.sinks[0]
        submit(["m%d@good.example" % i for i in range(100)], "a hundred")
        tap.wait_for(lambda: sum(len(m["to"]) for m in sink.messages
                                 if b"a hundred" in m["data"]) == 100, 15, "recipients are missing")

    # --- TLS ---

    def tls_may():
        sink = world.sink("mx.tls.example", mx_of="tls.example", tls=world.context("wrong.example"))
        submit("x@tls.example", "may")
        tap.same(arrives(sink, "may")["tls"], True, "TLS where it is offered")

    def broken_tls():
        sink = world.sink("mx.broken.example", mx_of="broken.example",
                          tls=world.context("x.example"), inject=b"")
        original = sink.say["tls"]

        class Broken:
            def wrap_socket(self, client, **_):
                client.sendall(b"this is no handshake at all, sorry\r\n")
                raise ValueError
        sink.say["tls"] = Broken()
        submit("x@broken.example", "broken tls")
        tap.same(arrives(sink, "broken tls")["tls"], False, "without TLS in the end")
        sink.say["tls"] = original

    def injection():
        sink = world.sink("mx.inject.example", mx_of="inject.example",
                          tls=world.context("mx.inject.example"), inject=b"250 injected\r\n")
        submit("x@inject.example", "injected")
        tap.wait_for(lambda: "plain text behind the answer to STARTTLS" in mail.log(), 10)
        time.sleep(0.5)
        tap.same(sink.messages, [])
        del sink.say["inject"]
        tap.same(arrives(sink, "injected")["tls"], True)

    def levels():
        good = world.sink("mx.provider.example", mx_of="verify.example",
                          tls=world.context("mx.provider.example"))
        mail.options.update({"smtp_tls_security_level": "verify", "smtp_tls_CAfile": world.ca})
        mail.reload()
        submit("x@verify.example", "verified")
        tap.same(arrives(good, "verified")["tls"], True)
        for domain, words in (("tls.example", "TLS handshake failed"),
                              ("good.example", "TLS is demanded")):
            before = len(mail.log())
            submit("x@" + domain, "unverified " + domain)
            tap.wait_for(lambda: words in mail.log()[before:], 10, words)
        tap.true(not any("unverified" in t for s in world.sinks for t in s.texts()), "it was sent")
        mail.options["smtp_tls_security_level"] = "secure"
        mail.reload()
        time.sleep(1.5)  # until no connection of before waits
        submit("x@verify.example", "the wrong name")
        time.sleep(2)
        tap.true("the wrong name" not in "".join(good.texts()), "sent to another's certificate")
        good.say["tls"] = world.context("mx.verify.example")  # a name below the destination
        arrives(good, "the wrong name")
        mail.options["smtp_tls_security_level"] = "may"
        mail.reload()
        arrives(world.sinks[0], "unverified good.example")

    # --- where to, by maps ---

    def with_options(**options):
        before = {name: mail.options.get(name) for name in options}
        mail.options.update(options)
        mail.reload()

        def back():
            for name, value in before.items():
                if value is None:
                    mail.options.pop(name, None)
                else:
                    mail.options[name] = value
            mail.reload()
        return back

    def transports():
        sink = world.sink("hub.example")
        back = with_options(transport_maps="inline:{one.transport.example=smtp:[hub.example], "
                            ".transport.example=relay:hub.example:%d, "
                            "{stop.example=error:5.1.6 moved away}, bad.example=uucp:x}" % world.port)
        try:
            submit("x@one.transport.example", "transport one")
            submit("x@two.transport.example", "transport two")
            arrives(sink, "transport one")
            arrives(sink, "transport two")
            submit("x@stop.example", "transport error")
            got = fields(report_about("transport error"))[1]
            tap.same(got["Status"], "5.1.6")
            tap.has(got["Diagnostic-Code"], "moved away")
            submit("x@bad.example", "transport bad")
            tap.wait_for(lambda: "the transport for this domain makes no sense" in mail.log(), 10)
            submit("x@good.example", "transport none")
            arrives(world.sinks[0], "transport none")
        finally:
            back()

    def policies():
        sink = world.sink("mx.policy.example", mx_of="policy.example")
        back = with_options(smtp_tls_policy_maps="inline:{policy.example=encrypt}")
        try:
            submit("x@policy.example", "policy")
            tap.wait_for(lambda: "to=x@policy.example" in mail.log()
                         and "TLS is demanded here" in mail.log(), 10)
            submit("x@good.example", "no policy")
            arrives(world.sinks[0], "no policy")
            tap.same(sink.messages, [])
        finally:
            back()
        arrives(sink, "policy")

    def logins():
        for mechanisms in ("AUTH PLAIN LOGIN", "AUTH LOGIN"):
            name = "hub%d.login.example" % len(mechanisms)
            sink = world.sink(name, ehlo=("8BITMIME", mechanisms), login=["us", "top:secret"])
            table = os.path.join(mail.dir, "passwords")
            with open(table, "w") as file:
                file.write("# logins\n[%s]   us:top:secret\n" % name)
            os.chmod(table, 0o640)
            back = with_options(relayhost="[%s]" % name, smtp_sasl_auth_enable="yes",
                                smtp_sasl_password_maps="texthash:passwords")
            try:
                before = len(mail.log())
                submit("x@any.example", "in the clear " + mechanisms)
                tap.wait_for(lambda: "is not sent without TLS" in mail.log()[before:], 10)
                tap.true(not any(c.startswith("AUTH") for c in sink.commands), sink.commands)
                sink.say["tls"] = world.context(name)
                m = arrives(sink, "in the clear " + mechanisms)
                tap.same(m["tls"], True)
                tap.true(any(c.startswith("AUTH " + mechanisms.split()[1]) for c in sink.commands),
                         sink.commands)
                sink.say["login"] = ["us", "changed"]
                before = len(mail.log())
                time.sleep(1.2)  # until no connection of before waits
                submit("x@any.example", "refused " + mechanisms)
                tap.wait_for(lambda: "who are you?" in mail.log()[before:], 10)
                sink.say["login"] = ["us", "top:secret"]
                arrives(sink, "refused " + mechanisms)
                tap.true("secret" not in "".join(
                    line for line in mail.log().splitlines() if "facteur/relay" in line), "told")
            finally:
                back()

    # --- who may ---

    def port_25():
        for sender in (SENDER, "", "stranger@elsewhere.example"):
            try:
                mail.deliver("friend@good.example", text("relayed?"), sender=sender)
                raise AssertionError("an open relay")
            except smtplib.SMTPRecipientsRefused as e:
                tap.same(list(e.recipients.values())[0][0], 554)

    def alias():
        mail.slapd.add("dn: cn=away,ou=mail,%s\nobjectClass: organizationalRole\n"
                       "objectClass: postfixUser\ncn: away\nmailacceptinggeneralid: away@example.com\n"
                       "maildrop: there@good.example\nmaildrop: bruno@mail.example.org\n"
                       % mail.slapd.base)
        mail.deliver("away@example.com", text("forwarded"))
        m = arrives(world.sinks[0], "forwarded")
        tap.same((m["sender"], m["to"]), ("somebody@remote.example", ["there@good.example"]))
        tap.true(any("Subject: forwarded" in t for t in mail.messages("bruno")), "the local one")

    def begin(client, sender, subject):
        """All but the message itself, which the function that comes back sends."""
        client.ehlo()
        tap.same(client.mail(sender)[0], 250)
        tap.same(client.rcpt("friend@good.example")[0], 250)
        return lambda: client.data(text(subject))

    def refused_by_the_queue(say, subject, words):
        """The queue asks on its own account: what it refuses the client hears, and need not try again."""
        code, said = say()
        tap.same((code, said[:6]), (550, b"5.7.1 "), said)
        tap.has(said.decode(), words)
        tap.true(not any(subject.encode() in m["data"] for m in world.sinks[0].messages), "sent")
        tap.wait_for(queue_is_empty, 15, "the queue is not empty")

    def may_send(sender):
        with mail.submission() as client:
            return client.docmd("MAIL FROM:<%s>" % sender)[0] == 250

    def sender_lost():
        back = with_options(directory_cache_ttl="0")
        change = "dn: uid=amelie,ou=mail,%s\nchangetype: modify\n%%s: mailacceptinggeneralid\n" \
                 "mailacceptinggeneralid: other.name@example.com\n" % mail.slapd.base
        mail.slapd.modify(change % "add")
        tap.wait_for(lambda: may_send("other.name@example.com"), 15, "no change")
        try:
            with mail.submission() as client:
                tap.same(begin(client, "other.name@example.com", "sender kept")()[0], 250)
                arrives(world.sinks[0], "sender kept")
                say = begin(client, "other.name@example.com", "sender lost")
                mail.slapd.modify(change % "delete")
                tap.wait_for(lambda: not may_send("other.name@example.com"), 15, "no change")
                refused_by_the_queue(say, "sender lost", "the sender does not belong to the login")
                tap.same(begin(client, SENDER, "and goes on")()[0], 250)
        finally:
            back()

    def network_lost():
        back = with_options(mynetworks="127.0.0.0/8")
        try:
            with mail.smtp() as client:
                tap.same(begin(client, SENDER, "network kept")()[0], 250)
                arrives(world.sinks[0], "network kept")
                say = begin(client, SENDER, "network lost")
                back()
                refused_by_the_queue(say, "network lost", "mynetworks lacks the client")
        finally:
            back()

    # --- nothing is lost ---

    def killed(program):
        def test():
            sink = world.sinks[0]
            subjects = ["%s killed %d" % (program, i) for i in range(25)]
            for i, subject in enumerate(subjects):
                try:
                    submit("k@good.example", subject)
                except smtplib.SMTPException:
                    subjects[i] = None  # not acknowledged
                if i % 8 == 3:
                    for pid in mail.pids(program):
                        os.kill(pid, signal.SIGKILL)
            for subject in filter(None, subjects):
                arrives(sink, subject)
        return test

    def accepted(to, subject):
        """As other servers do, who comes while a program that was killed is not back tries again."""
        try:
            submit(to, subject)
        except smtplib.SMTPDataError as e:
            tap.same(e.smtp_code, 451)
            return False
        return True

    def restart():
        sink = world.sink("mx.restart.example", mx_of="restart.example",
                          greeting=lambda: "421 4.3.2 not now")
        tap.wait_for(lambda: accepted("x@restart.example", "over a restart"), 60, "the queue is not back")
        tap.wait_for(lambda: sink.connections, 10)
        mail.restart()
        sink.say["greeting"] = "220 now"
        arrives(sink, "over a restart")

    def lifetime():
        world.address("dead.example", world.new_ip())
        mail.options["maximal_queue_lifetime"] = "2s"
        mail.reload()
        submit("x@dead.example", "never arrives")
        got = fields(report_about("never arrives", 30))[1]
        tap.same(got["Action"], "failed")
        tap.has(got["Diagnostic-Code"], "refused")
        mail.options["maximal_queue_lifetime"] = "5d"
        mail.reload()

    def late():
        world.address("late.example", world.new_ip())
        mail.options["delay_warning_time"] = "1s"
        mail.reload()
        submit("x@late.example", "rather late")
        got = fields(report_about("rather late", 30))[1]
        tap.same(got["Action"], "delayed")
        mail.options["delay_warning_time"] = "0"
        mail.reload()
        time.sleep(3)
        tap.same(sum("rather late" in m for m in mail.messages("amelie")), 1, "warnings")

    def report_without_reader():
        world.mx("refusing.example", (0, ""))
        with mail.submission() as client:
            client.sendmail("", ["x@refusing.example"], text("a receipt"))
        report = tap.wait_for(lambda: next((m for m in mail.messages("amelie")
                                            if "refusing.example" in m), None), 15)
        tap.has(report, "Delivered-To: amelie@mail.example.org")

    def nothing_waits():
        log = mail.log()
        for line in log.splitlines():
            tap.true("AddressSanitizer" not in line and "runtime error" not in line, line)

    return [
        ("mail arrives byte for byte", simple),
        ("local and remote recipients of one message", mixed),
        ("a domain without MX, and an address literal", implicit_and_literal),
        ("the next server when one is dead", failover),
        ("the nearest server first", preference),
        ("recipients put off by one server are tried at the next", next_server_for_what_was_put_off),
        ("a greeting of 554 is that server's alone", greeting_554),
        ("a refused recipient comes back in a report", refused),
        ("a refusal at each stage comes back", each_stage),
        ("null MX, no such domain, loops", dns_says_no),
        ("a server with our own name", own_name),
        ("SIZE and 8BITMIME are heeded", too_large_and_eight_bit),
        ("greylisting", greylisting),
        ("a DNS failure is no answer", dns_comes_back),
        ("an unknown outcome is tried again, and not elsewhere", unknown_outcome_is_tried_again),
        ("a slow domain holds up nobody", slow_domain),
        ("connections are used again", reuse),
        ("a server without EHLO", helo_only),
        ("a server without PIPELINING", no_pipelining),
        ("a server that speaks no SMTP", nonsense),
        ("a hundred recipients", many),
        ("TLS where it is offered", tls_may),
        ("broken TLS is passed by where that is allowed", broken_tls),
        ("text behind STARTTLS ends the session", injection),
        ("verify and secure", levels),
        ("transport_maps", transports),
        ("smtp_tls_policy_maps", policies),
        ("a login at the relay host", logins),
        ("no relaying on port 25", port_25),
        ("an alias that leads to another server", alias),
        ("the queue refuses a sender that was taken away meanwhile", sender_lost),
        ("the queue refuses a client that mynetworks lost meanwhile", network_lost),
        ("kill -9 of relay", killed("relay")),
        ("kill -9 of the queue", killed("queue")),
        ("mail waits over a restart", restart),
        ("mail that is too old comes back", lifetime),
        ("the sender hears that mail is late", late),
        ("a report that reaches nobody goes to postmaster", report_without_reader),
        ("no sanitizer complained", nothing_waits),
    ]


in_world(main)
