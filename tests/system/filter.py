#!/usr/bin/env python3
"""Milters before acceptance: what they are told, everything they may answer, their failures, and the
real opendkim and rspamd."""
import os
import re
import signal
import smtplib
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import milter  # noqa: E402
import tap  # noqa: E402
from instance import Instance, free_ports  # noqa: E402
from milter import ACCEPT, CONTINUE, DISCARD, Milter, REJECT, TEMPFAIL, header, text  # noqa: E402

SENDER = "somebody@remote.example"
TO = "amelie@example.com"


def message(subject, body="Hello.\r\n", more=""):
    return "From: %s\r\nTo: %s\r\nSubject: %s\r\n%s\r\n%s" % (SENDER, TO, subject, more, body)


class House:
    """An instance, and the milters of the test at hand."""

    def __init__(self, mail):
        self.mail = mail
        self.milters = []

    def use(self, *milters, **options):
        for m in self.milters:
            m.close()
        self.milters = milters
        self.mail.options = {"smtpd_milters": " ".join(m.place for m in milters), **options}
        self.mail.reload()
        return milters[0]

    def got(self, subject, user="amelie"):
        found = [m for m in self.mail.messages(user) if "\nSubject: %s\n" % subject in m]
        return found[0] if len(found) == 1 else found

    def refused(self, code, call, part=b""):
        try:
            call()
        except smtplib.SMTPRecipientsRefused as e:
            answer = list(e.recipients.values())[0]
        except smtplib.SMTPResponseException as e:
            answer = (e.smtp_code, e.smtp_error)
        else:
            raise AssertionError("nothing was refused")
        tap.same(answer[0], code, answer)
        tap.has(answer[1], part)


def main(mail):
    house = House(mail)

    # --- what they are told ---

    def told():
        m = house.use(Milter())
        with mail.smtp() as client:
            client.ehlo("client.example")
            client.sendmail(SENDER, [TO, "bruno@example.net"],
                            message("told", "line\r\n.dot\r\n", "X-Fold: a\r\n\tb\r\n"))
        s = m.sessions[0]
        house.got("told")
        order = "".join(c for c in s.commands if c not in "D")
        tap.true(re.fullmatch("OCHMRRTL+NB+E(Q)?", order), order)
        tap.same(s.connect.split(b"\0")[0], b"localhost")
        tap.same((s.helo, s.sender, s.rcpts),
                 ("client.example", "<%s>" % SENDER, ["<%s>" % TO, "<bruno@example.net>"]))
        tap.same([h[0] for h in s.headers], ["From", "To", "Subject", "X-Fold"])
        tap.same(s.headers[3][1], "a\n\tb")
        tap.same(s.body, b"line\r\n.dot\r\n")
        tap.same((s.macros["j"], s.macros["{client_addr}"], s.macros["{mail_addr}"],
                  s.macros["{rcpt_addr}"]), ("mail.example.org", "127.0.0.1", SENDER,
                                            "bruno@example.net"))
        tap.true(len(s.macros["i"]) > 10, "a name of the message")

    def told_of_login():
        m = house.use(Milter(protocol=milter.LEADING_SPACE))
        with mail.submission() as client:
            client.sendmail(TO, [TO], "From: %s\r\nSubject: login\r\n\r\nx\r\n" % TO)
        s = m.sessions[0]
        tap.same((s.macros["{auth_authen}"], s.macros["{auth_type}"]), ("amelie", "PLAIN"))
        tap.has(s.macros["{tls_version}"], "TLSv1")
        names = [h[0] for h in s.headers]
        tap.true("Message-ID" in names and "Date" in names and "Received" not in names, names)
        tap.same(dict(s.headers)["Subject"], " login")

    def two_messages():
        m = house.use(Milter())
        with mail.smtp() as client:
            client.sendmail(SENDER, [TO], message("first"))
            client.mail(SENDER)
            client.rset()
            client.sendmail(SENDER, [TO], message("second"))
        tap.same(len(m.sessions), 1, "one connection a session")
        tap.has("".join(c for c in m.sessions[0].commands if c != "D"), "EMAMRT")
        tap.true(house.got("first") and house.got("second"), "both came")

    def accepted_for_the_session():
        """ACCEPT of the client or its greeting: it hears of no message of the session."""
        for stage, order in (("C", "OC"), ("H", "OCH")):
            m = house.use(Milter({stage: [ACCEPT]}))
            with mail.smtp() as client:
                client.sendmail(SENDER, [TO], message("unheard-1" + stage))
                client.sendmail(SENDER, [TO], message("unheard-2" + stage))
            tap.same("".join(c for c in m.sessions[0].commands if c not in "DAQ"), order)
            tap.true(house.got("unheard-1" + stage) and house.got("unheard-2" + stage), "both came")

    def negotiated_away():
        never = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x40 | 0x200
        m = house.use(Milter(protocol=never | 0x80, answers={"L": []}))
        mail.deliver(TO, message("away"))
        tap.same("".join(c for c in m.sessions[0].commands if c != "D").rstrip("Q"), "OLLLE")
        tap.true(house.got("away"), "it came")

    def silent_body():
        m = house.use(Milter(protocol=0x80000 | 0x80, answers={"B": [], "L": []}))
        body = ("x" * 70 + "\r\n") * 40000
        mail.deliver(TO, message("silent", body))
        tap.same(m.sessions[0].body, body.encode())
        tap.same(house.got("silent").split("\n\n", 1)[1], body.replace("\r\n", "\n"))

    # --- what they answer ---

    def refusals():
        def at(letter, answer):
            house.use(Milter({letter: [answer]}))
            return lambda: mail.deliver(TO, message("refused"))

        for letter in "CHMRTNBE":
            house.refused(550, at(letter, REJECT), b"5.7.1")
            house.refused(451, at(letter, TEMPFAIL), b"4.7.1")
        house.refused(554, at("E", ("y", text("554 5.6.1 We 100%% do not\r\nlike it"))),
                      b"5.6.1 We 100% do not")
        house.refused(452, at("M", ("y", text("452 later"))), b"4.7.1 later")
        house.refused(451, at("E", ("y", text("250 2.0.0 forged"))))
        tap.same(house.got("refused"), [])

    def one_recipient():
        def rcpt(session, data):
            return [REJECT if b"bruno" in data else CONTINUE]

        house.use(Milter({"R": rcpt}))
        with mail.smtp() as client:
            refused = client.sendmail(SENDER, [TO, "bruno@example.net"], message("one"))
        tap.same(list(refused), ["bruno@example.net"])
        tap.true(house.got("one") and not house.got("one", "bruno"), "one of two")

    def discarded():
        for letter in "MRE":
            house.use(Milter({letter: [DISCARD]}))
            mail.deliver(TO, message("discarded"))
        tap.same(house.got("discarded"), [])

    def accepted():
        m = house.use(Milter({"M": [ACCEPT]}), Milter())
        mail.deliver(TO, message("accepted"))
        tap.true("E" not in m.sessions[0].commands, "it wanted no more")
        tap.true("E" in house.milters[1].sessions[0].commands, "the next one did")
        tap.true(house.got("accepted"), "it came")

    def headers_change():
        house.use(Milter({"E": [header("h", "X-Added", "at\r\nthe end"), ("p", b""),
                                header("i", "X-First", "one", 0), header("i", "X-Second", "two", 1),
                                header("m", "Subject", "changed", 1), header("m", "X-Gone", "", 2),
                                header("m", "X-New", "is added", 1), CONTINUE]}))
        mail.deliver(TO, message("change", more="X-Gone: kept\r\nX-Gone: deleted\r\n"))
        head = house.got("changed").split("\n\n", 1)[0]
        names = re.findall("^([A-Za-z-]+):", head, re.M)
        tap.same(names[3:], ["Received", "X-First", "X-Second", "From", "To", "Subject", "X-Gone",
                             "X-Added", "X-New"])
        tap.has(head, "X-Added: at\n\tthe end\n")
        tap.has(head, "X-Gone: kept\n")

    def header_cannot_break_out():
        house.use(Milter({"E": [header("h", "X-Evil", "a\n\nBody: no\r\nX: y"), CONTINUE]}))
        mail.deliver(TO, message("evil"))
        tap.has(house.got("evil"), "X-Evil: a\n\tBody: no\n\tX: y\n\nHello.\n")
        house.use(Milter({"E": [header("h", "X Evil:", "a"), CONTINUE]}))
        house.refused(451, lambda: mail.deliver(TO, message("evil name")))

    def body_changes():
        chain = Milter()
        house.use(Milter({"E": [("b", b"new\r"), ("b", b"\nbody"), CONTINUE]}), chain)
        mail.deliver(TO, message("body", "old\r\n"))
        tap.same(house.got("body").split("\n\n", 1)[1], "new\nbody\n")
        tap.same(chain.sessions[0].body, b"new\r\nbody\r\n", "what the next one sees")

    def large_changes():
        body = ("y" * 98 + "\r\n") * 30000
        house.use(Milter({"E": [header("h", "X-Large", "yes"), CONTINUE]}))
        mail.deliver(TO, message("large", body))
        got = house.got("large")
        tap.has(got.split("\n\n", 1)[0], "X-Large: yes")
        tap.same(got.split("\n\n", 1)[1], body.replace("\r\n", "\n"))

    def envelope_changes():
        house.use(Milter({"E": [("+", text("<bruno@example.net>")), ("-", text("<%s>" % TO)),
                                ("e", text("<other@remote.example>")), CONTINUE]}))
        mail.deliver(TO, message("envelope"))
        tap.same(house.got("envelope"), [])
        tap.has(house.got("envelope", "bruno"), "Return-Path: <other@remote.example>\n")

    def senders_of_logins():
        """A filter's sender must be the login's: 550 before anybody has the message."""
        for new, code in (("other@remote.example", 550), ("bruno@example.net", 550), (TO, 250), ("", 250)):
            house.use(Milter({"E": [("e", text("<%s>" % new)), CONTINUE]}))
            subject = "login sends as <%s>" % new
            try:
                with mail.submission() as client:
                    client.sendmail(TO, [TO], "From: %s\r\nSubject: %s\r\n\r\nx\r\n" % (TO, subject))
                tap.same(code, 250, new)
                tap.has(house.got(subject), "Return-Path: <%s>\n" % new)
            except smtplib.SMTPDataError as refused:
                tap.same(refused.smtp_code, code, refused)
                tap.has(refused.smtp_error, b"a filter changed the sender to <%s>, which is not an address of amelie"
                        % new.encode())
                tap.same(house.got(subject), [])

    def quarantined():
        house.use(Milter({"E": [("q", text("looks odd")), CONTINUE]}))
        mail.deliver(TO, message("odd"))
        tap.same(house.got("odd"), [])
        tap.has(mail.facteur("status"), "held=1")
        tap.has(mail.log(), "looks odd")

    # --- failures ---

    def unreachable():
        class Nowhere:
            place = "inet:127.0.0.1:%d" % free_ports(1)[0]

            def close(self):
                pass

        house.use(Nowhere())
        house.refused(451, lambda: mail.deliver(TO, message("nowhere")), b"4.7.1")
        house.use(Nowhere(), milter_default_action="reject")
        house.refused(550, lambda: mail.deliver(TO, message("nowhere")), b"5.7.1")
        house.use(Nowhere(), milter_default_action="accept")
        mail.deliver(TO, message("nowhere"))
        tap.true(house.got("nowhere"), "it came")
        house.use(Nowhere(), milter_default_action="quarantine")
        mail.deliver(TO, message("held nowhere"))
        tap.same(house.got("held nowhere"), [])

    def nonsense():
        garbage = [b"\x00\x00\x00\x00", b"\xff\xff\xff\xffc", b"HTTP/1.1 400 Bad Request\r\n\r\n",
                   milter.packet("!"), milter.packet("+", b"no end"), milter.packet("b", b"x"),
                   milter.packet("c") * 2, milter.packet("y", text("200 fine")),
                   milter.packet("s"), milter.packet("4"), milter.packet("i", b"\0")]
        for letter in "OMRE":
            for raw in garbage:
                if letter == "E" and raw[4:5] == b"b":
                    continue
                if letter == "E" and raw.startswith(milter.packet("c")):
                    continue  # what comes after the end of the message harms nobody
                house.use(Milter({letter: [raw]}))
                with mail.smtp() as client:
                    house.refused(451, lambda: client.sendmail(SENDER, [TO], message("nonsense")))
                    tap.same(client.noop()[0], 250, "the session goes on")
        for letter in "OCMRTBE":
            house.use(Milter({letter: lambda *_: None}))
            house.refused(451, lambda: mail.deliver(TO, message("nonsense")))
        house.use(Milter({"E": [header("h", "X", "y"), CONTINUE]}, actions=0))
        house.refused(451, lambda: mail.deliver(TO, message("nonsense")))
        tap.same(house.got("nonsense"), [])

    def silence():
        house.use(Milter({"M": []}), milter_command_timeout="1s")
        before, start = len(mail.log()), time.monotonic()
        house.refused(451, lambda: mail.deliver(TO, message("silence")))
        tap.has(mail.log()[before:], "time was up")
        tap.true(time.monotonic() - start < 25, "it waited for the default of 30 s")

    def split():
        house.use(Milter({"E": [header("h", "X-Split", "yes"), CONTINUE]}, piecewise=True))
        mail.deliver(TO, message("split"))
        tap.has(house.got("split"), "X-Split: yes\n")

    def unix():
        path = os.path.join(mail.dir, "milter.sock")
        m = house.use(Milter(path=path))
        mail.deliver(TO, message("unix"))
        tap.same(len(m.sessions), 1)
        m.close()
        os.unlink(path)
        again = Milter(path=path)
        mail.deliver(TO, message("unix again"))
        again.close()
        os.unlink(path)
        tap.true(house.got("unix again"), "a socket made anew is found")

    def client_leaves():
        m = house.use(Milter({"E": lambda *_: time.sleep(1) or [CONTINUE]}))
        client = mail.smtp()
        client.mail(SENDER)
        client.rcpt(TO)
        client.docmd("DATA")
        client.send(message("left").encode() + b"\r\n.\r\n")
        tap.wait_for(lambda: m.sessions and "E" in m.sessions[0].commands)
        client.sock.close()
        mail.deliver(TO, message("stayed"))
        tap.true(house.got("stayed"), "others go on")

    def killed():
        house.use(Milter())
        with mail.smtp() as client:
            client.ehlo()
            client.mail(SENDER)
            old = mail.pids("filter")
            os.kill(old[0], signal.SIGKILL)
            tap.wait_for(lambda: mail.pids("filter") not in ([], old))
            tap.same(client.rcpt(TO)[0] // 100, 4, "nobody knows")
            client.rset()
            tap.wait_for(lambda: client.mail(SENDER)[0] == 250 or client.rset() and False)
            tap.same(client.rcpt(TO)[0], 250)
            tap.same(client.data(message("revived"))[0], 250)
        tap.true(house.got("revived"), "it came")

    def bad_place():
        mail.options = {"smtpd_milters": "inet:milter.example:99"}
        mail.write_config()
        try:
            mail.facteur("check")
        except RuntimeError as e:
            tap.has(str(e), "inet:milter.example:99")
        else:
            raise AssertionError("a name as a place was taken")

    return [("they are told everything", told), ("logins and TLS", told_of_login),
            ("two messages, and RSET", two_messages),
            ("accepted for the session", accepted_for_the_session), ("what they negotiate away", negotiated_away),
            ("a long body without answers", silent_body), ("refusals at every step", refusals),
            ("one recipient refused", one_recipient), ("discard", discarded), ("accept", accepted),
            ("headers", headers_change), ("headers cannot break out", header_cannot_break_out),
            ("the body, seen by the next one", body_changes), ("a large message", large_changes),
            ("sender and recipients", envelope_changes), ("senders of logins", senders_of_logins), ("quarantine", quarantined),
            ("unreachable", unreachable), ("nonsense", nonsense), ("silence", silence),
            ("packets in pieces", split), ("Unix sockets", unix),
            ("the client leaves", client_leaves), ("kill -9 of filter", killed),
            ("a place that is none", bad_place)]


if __name__ == "__main__":
    with Instance() as instance:
        failed = tap.run(main(instance))
    sys.exit(failed > 0)
