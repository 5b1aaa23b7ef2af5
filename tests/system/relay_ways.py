#!/usr/bin/env python3
"""The ways mail takes to other servers: transport_maps by address, LMTP, what a server offers and what
is then used, IPv6, and the time limit of each step."""
import email
import email.policy
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from world import Sink, in_world  # noqa: E402

SENDER = "amelie@example.com"
DOTS = ".one\r\n..\r\n.\r\nlast\r\n"


class Ways:
    def __init__(self, mail, world):
        self.mail, self.world = mail, world

    # --- help ---

    def submit(self, to, subject, body="Hello.\r\n", options=()):
        text = "From: %s\r\nTo: x\r\nSubject: %s\r\n\r\n%s" % (SENDER, subject, body)
        with self.mail.submission() as client:
            client.sendmail(SENDER, to if isinstance(to, list) else [to], text.encode("utf-8"),
                            mail_options=options)

    def arrives(self, sink, subject, seconds=15):
        return tap.wait_for(lambda: next((m for m in sink.messages
                                          if ("Subject: " + subject).encode() in m["data"]), None),
                            seconds, "%s did not arrive" % subject)

    def logged(self, *words, seconds=15):
        return tap.wait_for(lambda: next((line for line in self.mail.log().splitlines()
                                          if all(w in line for w in words)), None),
                            seconds, "not logged: %s" % (words,))

    def report(self, subject):
        def find():
            for raw in self.mail.messages("amelie"):
                m = email.message_from_string(raw, policy=email.policy.default)
                if m.get_content_type() == "multipart/report" and subject in raw:
                    return [dict(part.items()) for part in m.get_payload()[1].get_payload()][1:]
            return None
        return tap.wait_for(find, 15, "no report about %s" % subject)

    def options(self, **options):
        for name, value in options.items():
            if value is None:
                self.mail.options.pop(name, None)
            else:
                self.mail.options[name] = value
        self.mail.reload()

    # --- ports ---

    def sink_elsewhere(self, name):
        """A server at a port that nothing else of this world has."""
        ip = self.world.new_ip()
        self.world.address(name, ip)
        sink = Sink(ip, 0, name)
        self.world.sinks.append(sink)
        return sink

    def held(self):
        """The ports that the kernel holds the relay to, as it says itself when it starts."""
        return re.findall(r" relay-ports only=(\S+)", self.mail.log())[-1].strip('"')

    def new_port(self):
        hub, pid = self.sink_elsewhere("port.hub.example"), self.mail.pids("relay")[0]
        before = self.held()
        self.options(relayhost="[port.hub.example]:%d" % hub.port)
        self.submit("x@anywhere.example", "a new port")
        self.arrives(hub, "a new port", 30)
        if not before:
            print("# the kernel's Landlock knows no ports")
            return
        tap.true(str(hub.port) not in before.split(","), before)
        tap.true(str(hub.port) in self.held().split(","), self.held())
        tap.true(self.mail.pids("relay") != [pid], "the same process")
        pid = self.mail.pids("relay")
        self.options(relayhost=None)
        tap.same(self.mail.pids("relay"), pid, "fewer ports need no new start")

    def port_of_a_transport(self):
        hub = self.sink_elsewhere("ports.hub.example")
        self.options(transport_maps="inline:{ports.example=smtp:[ports.hub.example]:%d}" % hub.port,
                     smtp_connect_ports="9")
        self.submit("x@ports.example", "another port")
        self.logged("relay-port", "port=%d" % hub.port, "smtp_connect_ports does not have it")
        self.options(smtp_connect_ports="9 %d" % hub.port)
        self.arrives(hub, "another port", 30)
        self.options(smtp_connect_ports=None)

    # --- transport_maps ---

    def by_address(self):
        one, two, rest = (self.world.sink("%s.hub.example" % n) for n in ("one", "two", "rest"))
        self.options(transport_maps="inline:{u+x@ways.example=smtp:[one.hub.example], "
                     "u@ways.example=smtp:[two.hub.example], ways.example=relay:[rest.hub.example]}")
        self.submit(["v@ways.example", "u+x@ways.example", "u@ways.example", "u+y@ways.example"],
                    "by address")
        tap.same(self.arrives(one, "by address")["to"], ["u+x@ways.example"])
        tap.same(sorted(self.arrives(two, "by address")["to"]),
                 ["u+y@ways.example", "u@ways.example"])
        tap.same(self.arrives(rest, "by address")["to"], ["v@ways.example"])

    def a_way_that_fails(self):
        good = self.world.sink("good.hub.example")
        self.options(transport_maps="inline:{{no@part.example=error:5.2.1 closed}, "
                     "{later@part.example=retry:5.2.1 not now}, {gone@part.example=discard:}, "
                     "{here@part.example=virtual:}, {odd@part.example=lmtp:unix:/x}, "
                     "part.example=smtp:[good.hub.example]}")
        self.submit([n + "@part.example" for n in ("no", "later", "gone", "here", "odd", "yes")],
                    "in part")
        tap.same(self.arrives(good, "in part")["to"], ["yes@part.example"])
        got = self.report("in part")
        tap.same([(r["Final-Recipient"], r["Status"]) for r in got],
                 [("rfc822; no@part.example", "5.2.1")])
        tap.has(got[0]["Diagnostic-Code"], "closed")
        tap.has(self.logged("relay-deferred", "to=later@part.example"), "status=4.2.1")
        tap.has(self.logged("relayed", "to=gone@part.example"), "thrown away")
        tap.has(self.logged("relay-deferred", "to=here@part.example"), "status=4.3.5")
        tap.has(self.logged("relay-deferred", "to=odd@part.example"), "makes no sense")
        tap.has(self.logged("transport", "lmtp:unix:"), "opens no files")
        time.sleep(1)
        tap.same(sum(b"in part" in m["data"] for m in good.messages), 1, "copies")

    def lmtp(self):
        said = {"no@lmtp.example": "550 5.1.1 nobody", "later@lmtp.example": "452 4.2.2 full"}
        sink = Sink(self.world.new_ip(), 0, "lmtp.hub.example", lmtp=True,
                    rcpt=lambda a: "550 5.1.3 what?" if a[0] == "x" else "250 2.1.5 ok",
                    dot=lambda _, a: said.get(a, "250 2.0.0 taken"))
        self.world.sinks.append(sink)
        host = sink.listener.getsockname()[0]
        self.options(transport_maps="inline:{lmtp.example=lmtp:inet:%s:%d}" % (host, sink.port))
        self.submit(["x@lmtp.example", "a@lmtp.example", "no@lmtp.example", "later@lmtp.example",
                     "b@lmtp.example"], "by lmtp", DOTS)
        m = self.arrives(sink, "by lmtp")
        tap.same(sorted(m["to"]), ["a@lmtp.example", "b@lmtp.example"])
        tap.true(m["data"].decode().endswith("\r\n\r\n" + DOTS), m["data"])
        tap.same(sorted((r["Final-Recipient"], r["Status"]) for r in self.report("by lmtp")),
                 [("rfc822; no@lmtp.example", "5.1.1"), ("rfc822; x@lmtp.example", "5.1.3")])
        tap.has(self.logged("relay-deferred", "to=later@lmtp.example"), "status=4.2.2")
        del said["later@lmtp.example"]
        tap.wait_for(lambda: sum(b"by lmtp" in m["data"] for m in sink.messages) > 1
                     and sink.messages[-1]["to"] == ["later@lmtp.example"], 15, "not tried again")
        tap.true(not any(c.startswith(("EHLO", "HELO")) for c in sink.commands), sink.commands)
        sink.say["no_ehlo"] = True
        time.sleep(1.2)  # until no connection of before waits
        self.submit("c@lmtp.example", "no lhlo")
        self.logged("relay-deferred", "to=c@lmtp.example", "what?")
        tap.true(not any(c.startswith("HELO") for c in sink.commands), "HELO in LMTP")
        del sink.say["no_ehlo"]
        self.arrives(sink, "no lhlo", 20)

    def lmtp_cut(self):
        """The connection ends behind the first recipient's answer: the other alone is tried again."""
        state = {"n": 0}

        def dot(_, address):
            state["n"] += 1
            return None if state["n"] == 2 else "250 2.0.0 taken"
        sink = Sink(self.world.new_ip(), 0, "cut.hub.example", lmtp=True, dot=dot)
        self.world.sinks.append(sink)
        self.options(transport_maps="inline:{cut.example=lmtp:[%s]:%d}"
                     % (sink.listener.getsockname()[0], sink.port))
        self.submit(["a@cut.example", "b@cut.example"], "lmtp cut")
        tap.wait_for(lambda: len(sink.messages) == 2, 15, "not tried again")
        first, second = [m["to"] for m in sink.messages]
        tap.same(len(first) + len(second), 2, "recipients")
        tap.same(sorted(first + second), ["a@cut.example", "b@cut.example"])
        self.options(transport_maps=None)

    # --- what servers offer ---

    def chunking(self):
        offers = ("PIPELINING", "8BITMIME", "SIZE 10000000", "CHUNKING")
        sink = self.world.sink("mx.chunk.example", mx_of="chunk.example", ehlo=offers)
        self.submit("x@chunk.example", "in a chunk", DOTS)
        m = self.arrives(sink, "in a chunk")
        tap.true(m["data"].decode().endswith("\r\n\r\n" + DOTS), m["data"])
        tap.same(sink.chunks, [len(m["data"])])
        tap.true("DATA" not in sink.commands, sink.commands)
        self.submit("x@chunk.example", "a second chunk", "x" * 70 + "\r\n" * 20000)
        tap.same(len(self.arrives(sink, "a second chunk")["data"]), sink.chunks[-1])
        sink.say["dot"] = "554 5.6.0 not that"
        self.submit("x@chunk.example", "a refused chunk")
        tap.same(self.report("a refused chunk")[0]["Status"], "5.6.0")
        del sink.say["dot"]
        self.options(smtp_discard_ehlo_keywords="chunking, pipelining")
        self.submit("x@chunk.example", "no chunk", DOTS)
        m = self.arrives(sink, "no chunk")
        tap.same((len(sink.chunks), "DATA" in sink.commands), (3, True))
        tap.true(m["data"].decode().endswith("\r\n\r\n" + DOTS), m["data"])
        self.options(smtp_discard_ehlo_keywords=None)

    def data_ahead(self):
        sink = self.world.sink("mx.ahead.example", mx_of="ahead.example", look_ahead=True,
                               rcpt=lambda a: "550 5.1.1 no" if a[0] == "n" else "250 ok")
        self.submit(["a@ahead.example", "n@ahead.example"], "ahead")
        tap.true(self.arrives(sink, "ahead")["ahead"].endswith(b"DATA\r\n"), "DATA waits")
        for eager in (False, True):
            sink.say["eager"] = eager
            subject = "for nobody %s" % eager
            self.submit(["n1@ahead.example", "n2@ahead.example"], subject)
            tap.same([r["Status"] for r in self.report(subject)], ["5.1.1", "5.1.1"])
        tap.true(all(m["to"] or m["data"] == b"" for m in sink.messages), "a message for nobody")
        sink.say["mail"] = "550 5.7.1 not you"
        self.submit("a@ahead.example", "not from you")
        tap.same(self.report("not from you")[0]["Status"], "5.7.1")
        tap.true(not any("not from you" in t for t in sink.texts()), "it was sent")

    def utf8(self):
        self.world.sink("mx.ascii.example", mx_of="ascii.example", ehlo=("8BITMIME", "PIPELINING"))
        with self.mail.submission() as client:
            client.ehlo()
            client.command_encoding = "utf-8"
            client.sendmail(SENDER, ["j\u00fcrgen@ascii.example"],
                            ("From: %s\r\nSubject: umlaut\r\n\r\nx\r\n" % SENDER).encode(), mail_options=["SMTPUTF8"])
        tap.wait_for(lambda: any("Status: 5.6.7" in m and "does not offer SMTPUTF8" in m
                                 for m in self.mail.messages("amelie")), 15,
                     "no report: %s" % self.mail.messages("amelie")[-1:])
        sink = self.world.sink("mx.utf8.example", mx_of="utf8.example")
        with self.mail.submission() as client:
            client.ehlo()
            client.command_encoding = "utf-8"
            client.sendmail(SENDER, ["j\u00fcrgen@utf8.example"],
                            ("From: %s\r\nSubject: \u00fcmlaut\r\n\r\nx\r\n" % SENDER).encode(), mail_options=["SMTPUTF8"])
        m = tap.wait_for(lambda: sink.messages, 15, "no SMTPUTF8")[0]
        tap.same(m["to"], ["j\u00fcrgen@utf8.example"])
        tap.has(m["mail"], " SMTPUTF8")

    # --- IPv6 ---

    def ipv6(self):
        six = Sink("::1", 0, "six.example")
        four = Sink(self.world.new_ip(), six.port, "six.example")
        self.world.sinks += [six, four]
        self.world.address("both.example", four.listener.getsockname()[0])
        self.world.address6("both.example", "::1")
        for preference, sink in (("ipv6", six), ("ipv4", four)):
            self.options(smtp_address_preference=preference,
                         transport_maps="inline:{{six.example=smtp:[::1]:%d}, "
                         "{both.example=smtp:both.example:%d}}" % (six.port, six.port))
            for i in range(4):
                self.submit("x@both.example", "%s %d" % (preference, i))
                self.arrives(sink, "%s %d" % (preference, i))
        self.submit("x@six.example", "an IPv6 literal")
        self.arrives(six, "an IPv6 literal")
        self.options(smtp_address_preference="ipv6", inet_protocols="ipv4")
        self.submit("x@both.example", "IPv4 alone")
        self.arrives(four, "IPv4 alone")
        self.options(smtp_address_preference=None, inet_protocols=None, transport_maps=None)

    # --- RFC 5321 section 4.5.3.2 ---

    LIMITS = {  # option: {where it is silent: what the log says}
        "smtp_helo_timeout": {"greeting": "waiting for the greeting", "EHLO": "answer to EHLO"},
        "smtp_starttls_timeout": {"STARTTLS": "answer to STARTTLS"},
        "smtp_mail_timeout": {"MAIL": "answer to MAIL"},
        "smtp_rcpt_timeout": {"RCPT": "answer to RCPT"},
        "smtp_data_init_timeout": {"DATA": "answer to DATA"},
        "smtp_data_xfer_timeout": {"body": "sending the message"},
        "smtp_data_done_timeout": {".": "may have been taken"},
        "smtp_quit_timeout": {"QUIT": None},
    }

    def limits(self):
        big = ("x" * 70 + "\r\n") * 100000
        sinks = {}
        self.options(**{option: "1s" for option in self.LIMITS})
        for option, stages in self.LIMITS.items():
            for stage in stages:
                name = re.sub("[^a-z]", "dot", stage.lower())
                sinks[stage] = self.world.sink("mx.%s.limit.example" % name,
                                               mx_of=name + ".limit.example", stall=stage)
                if stage == "STARTTLS":
                    sinks[stage].say["tls"] = self.world.context("mx.limit.example")
                self.submit("x@%s.limit.example" % name, "limit " + name,
                            big if stage == "body" else "x\r\n")
        for option, stages in self.LIMITS.items():
            for stage, words in stages.items():
                name = re.sub("[^a-z]", "dot", stage.lower())
                if words:
                    self.logged("relay-deferred", "x@%s.limit.example" % name, "time was up", words)
                else:
                    tap.true(sinks[stage].ended.wait(10), "the connection was not cut after QUIT")
        self.options(**{option: None for option in self.LIMITS})

    def one_limit_alone(self):
        """The limit of one step is not that of another."""
        sink = self.world.sink("mx.alone.example", mx_of="alone.example", stall="EHLO")
        self.options(**{option: "1s" for option in self.LIMITS if option != "smtp_helo_timeout"})
        self.submit("x@alone.example", "limit alone")
        tap.wait_for(lambda: sink.connections, 10)
        time.sleep(2)
        tap.true("x@alone.example" not in "".join(
            line for line in self.mail.log().splitlines() if "relay-deferred" in line), "cut off")
        self.options(**{option: None for option in self.LIMITS})

    def no_sanitizer(self):
        for line in self.mail.log().splitlines():
            tap.true("AddressSanitizer" not in line and "runtime error" not in line, line)

    def tests(self):
        return [
            ("a reload brings a new port", self.new_port),
            ("ports that transport_maps may lead to", self.port_of_a_transport),
            ("transport_maps: addresses, with extension and without", self.by_address),
            ("error, retry, discard, and what cannot be, beside a way that works",
             self.a_way_that_fails),
            ("LMTP: an answer for each recipient", self.lmtp),
            ("LMTP: answered in part", self.lmtp_cut),
            ("CHUNKING", self.chunking),
            ("DATA goes ahead with RCPT", self.data_ahead),
            ("SMTPUTF8, and servers without", self.utf8),
            ("IPv6, and which address first", self.ipv6),
            ("the time limit of every step", self.limits),
            ("one limit alone", self.one_limit_alone),
            ("no sanitizer complained", self.no_sanitizer),
        ]


in_world(lambda mail, outside: Ways(mail, outside).tests())
