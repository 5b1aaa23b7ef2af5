#!/usr/bin/env python3
"""MTA-STS (RFC 8461): policies from real HTTPS servers, what they make of a domain's mail, and what
becomes of policies that cannot be had. As root only: the servers need port 443."""
import http.server
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402
from world import SERVFAIL, World  # noqa: E402

SENDER = "amelie@example.com"
TXT = 16


def policy(mode, *mx, age=100000):
    return "version: STSv1\r\nmode: %s\r\n%smax_age: %d\r\n" % (
        mode, "".join("mx: %s\r\n" % m for m in mx), age)


class Web:
    """The web server of one domain's policy."""

    def __init__(self, world, domain, text, names=None, status=200, kind="text/plain"):
        web = self
        self.hits, self.text = [], text

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                web.hits.append((self.headers["Host"], self.path))
                body = web.text.encode()
                self.send_response(status)
                if status == 301:
                    self.send_header("Location", "https://mta-sts.good.sts/.well-known/mta-sts.txt")
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        ip = world.new_ip()
        self.server = http.server.ThreadingHTTPServer((ip, 443), Handler, bind_and_activate=False)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a client that hangs up
        self.server.server_bind()
        self.server.server_activate()
        self.server.socket = world.context(names or "mta-sts." + domain).wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False)
        world.address("mta-sts." + domain, ip)
        self.world, self.domain = world, domain
        self.record("20260101")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def record(self, number):
        text = b"v=STSv1; id=%s;" % number.encode()
        self.world.record("_mta-sts." + self.domain, TXT, [bytes([len(text)]) + text])

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Sts:
    def __init__(self, mail, world):
        self.mail, self.world, self.webs = mail, world, []

    def web(self, domain, *arguments, **options):
        self.webs.append(Web(self.world, domain, *arguments, **options))
        return self.webs[-1]

    def mx(self, domain, certificate=None):
        name = "mx." + domain
        tls = self.world.context(certificate) if certificate else None
        return self.world.sink(name, mx_of=domain, tls=tls)

    def submit(self, domain, subject):
        with self.mail.submission() as client:
            client.sendmail(SENDER, ["x@" + domain],
                            "From: %s\r\nSubject: %s\r\n\r\nHello.\r\n" % (SENDER, subject))

    def goes(self, sink, domain, subject, level):
        before = len(self.mail.log())
        self.submit(domain, subject)
        m = tap.wait_for(lambda: next((m for m in sink.messages
                                       if ("Subject: " + subject).encode() in m["data"]), None),
                         20, subject + " did not arrive")
        if level:
            tap.true(any("host=mx.%s " % domain in line and "level=%s " % level in line
                         for line in self.mail.log()[before:].splitlines()), "not level " + level)
        tap.same(m["tls"], bool(level))

    def waits(self, sink, domain, subject, words):
        self.submit(domain, subject)
        self.logged("relay-deferred", "to=x@" + domain, words)
        tap.same(sink.messages, [])

    def logged(self, *words):
        tap.wait_for(lambda: any(all(w in line for w in words)
                                 for line in self.mail.log().splitlines()), 20,
                     "not logged: %s" % (words,))

    # --- policies that hold ---

    def enforced(self):
        sink, web = self.mx("good.sts", "mx.good.sts"), self.web("good.sts", policy("enforce", "*.good.sts"))
        self.goes(sink, "good.sts", "enforced", "verify")
        tap.same(web.hits, [("mta-sts.good.sts", "/.well-known/mta-sts.txt")])
        web.text = "gone"
        self.goes(sink, "good.sts", "from memory", "verify")
        tap.same(len(web.hits), 1, "fetched again")

    def named_later(self):
        sink = self.mx("later.sts", "mx.later.sts")
        web = self.web("later.sts", policy("enforce", "mail.later.sts"))
        self.waits(sink, "later.sts", "named later", "does not name mx.later.sts")
        web.text = policy("enforce", "mx.later.sts")
        web.record("20260102")
        tap.wait_for(lambda: sink.messages, 20, "the new policy was not looked for")
        tap.same((sink.messages[0]["tls"], len(web.hits)), (True, 2))

    def not_named(self):
        sink = self.mx("other.sts", "mx.other.sts")
        self.web("other.sts", policy("enforce", "mail.other.sts", "*.mx.other.sts"))
        self.waits(sink, "other.sts", "not named", "does not name mx.other.sts")

    def wrong_certificate(self):
        sink = self.mx("cert.sts", "elsewhere.sts")
        self.web("cert.sts", policy("enforce", "mx.cert.sts"))
        self.waits(sink, "cert.sts", "wrong certificate", "TLS handshake failed")

    def no_tls(self):
        sink = self.mx("clear.sts")
        self.web("clear.sts", policy("enforce", "mx.clear.sts"))
        self.waits(sink, "clear.sts", "in the clear", "TLS is demanded")

    def map_goes_before(self):
        sink = self.mx("said.sts", "elsewhere.sts")
        self.web("said.sts", policy("enforce", "mail.said.sts"))
        self.goes(sink, "said.sts", "said by map", "may")

    # --- policies that demand nothing ---

    def testing(self):
        for mode, mx in (("testing", ("mail.testing.sts",)), ("none", ())):
            domain = mode + ".sts"
            sink = self.mx(domain, "elsewhere.sts")
            self.web(domain, policy(mode, *mx))
            self.goes(sink, domain, "mode " + mode, "may")
        self.logged("warning: mta-sts", "domain=testing.sts", "does not name")

    def testing_says_why(self):
        sink = self.mx("doubt.sts", "elsewhere.sts")
        self.web("doubt.sts", policy("testing", "mx.doubt.sts"))
        self.goes(sink, "doubt.sts", "a doubtful certificate", "may")
        self.logged("warning: mta-sts", "domain=doubt.sts", "ostname mismatch", "testing: it is used")
        sink = self.mx("bare.sts")
        self.web("bare.sts", policy("testing", "mx.bare.sts"))
        self.goes(sink, "bare.sts", "bare", None)
        self.logged("warning: mta-sts", "domain=bare.sts", "there is no TLS")
        sink = self.mx("fine.sts", "mx.fine.sts")
        self.web("fine.sts", policy("testing", "mx.fine.sts"))
        self.goes(sink, "fine.sts", "fine", "may")
        tap.true(not any("warning: mta-sts" in line and "domain=fine.sts" in line
                         for line in self.mail.log().splitlines()), "a warning about fine.sts")

    def ends(self):
        sink = self.mx("short.sts", "elsewhere.sts")
        self.web("short.sts", policy("enforce", "mx.short.sts", age=2))
        self.waits(sink, "short.sts", "for two seconds", "TLS handshake failed")
        self.world.dns.zone["_mta-sts.short.sts"] = {}
        tap.wait_for(lambda: sink.messages, 20, "the policy outlives its time")

    def outlive(self):
        """A policy holds over the end of the relay program, and of the whole server, when it cannot be
        had any more."""
        sink = self.mx("kept.sts", "elsewhere.sts")
        web = self.web("kept.sts", policy("enforce", "mx.kept.sts"))
        self.waits(sink, "kept.sts", "before", "TLS handshake failed")
        tap.same(len(web.hits), 1)
        web.text = "gone"
        self.world.dns.zone["_mta-sts.kept.sts"] = {"all": SERVFAIL}
        self.mail.empty_queue("kept.sts")
        before = self.mail.pids("relay")
        os.kill(before[0], signal.SIGKILL)
        tap.wait_for(lambda: self.mail.pids("relay") not in ([], before), 20, "no new relay program")
        self.still_holds(sink, "another relay")
        self.mail.stop()
        self.mail.start()
        self.still_holds(sink, "another server")
        tap.same(len(web.hits), 1)

    def still_holds(self, sink, subject):
        seen = len(self.mail.log())
        self.submit("kept.sts", subject)
        line = tap.wait_for(lambda: next((line for line in self.mail.log()[seen:].splitlines()
                                          if "to=x@kept.sts" in line and "relay" in line), None), 30,
                            "no attempt")
        tap.has(line, "relay-deferred")
        tap.has(line, "TLS handshake failed")
        tap.same(sink.messages, [])
        self.mail.empty_queue("kept.sts")

    # --- policies that cannot be had ---

    def broken(self):
        cases = {
            "redirect": (dict(status=301), "the web server answered 301"),
            "missing": (dict(status=404), "the web server answered 404"),
            "html": (dict(kind="text/html"), "it is not text/plain"),
            "kind": (dict(kind="text/plainly; a=b"), "it is not text/plain"),
            "name": (dict(names="mta-sts.elsewhere.sts"), "SSL"),
            "large": (dict(text=policy("enforce", "mail.large.sts") + "x: y\r\n" * 30000), "larger than"),
            "nonsense": (dict(text="hello"), "NAME: VALUE"),
        }
        for name, (options, words) in cases.items():
            domain = name + ".sts"
            sink = self.mx(domain, "elsewhere.sts")
            web = self.web(domain, **dict({"text": policy("enforce", "mail." + domain)}, **options))
            self.goes(sink, domain, "broken " + name, "may")
            self.logged("warning: mta-sts", "domain=" + domain, "there is no policy", words)
            tap.true(len(web.hits) <= 1, web.hits)

    def no_web_server(self):
        sink = self.mx("silent.sts", "elsewhere.sts")
        record = b"v=STSv1; id=1;"
        self.world.record("_mta-sts.silent.sts", TXT, [bytes([len(record)]) + record])
        self.goes(sink, "silent.sts", "no web server", "may")
        self.logged("domain=silent.sts", "the address of its web server")

    def no_record(self):
        sink, web = self.mx("two.sts", "elsewhere.sts"), self.web("two.sts", policy("enforce", "a.two.sts"))
        self.world.dns.zone["_mta-sts.two.sts"][TXT] *= 2
        self.goes(sink, "two.sts", "two records", "may")
        tap.same(web.hits, [])

    # --- the option ---

    def only_testing_here(self):
        sink = self.mx("loose.sts", "elsewhere.sts")
        self.web("loose.sts", policy("enforce", "mail.loose.sts"))
        self.mail.options["smtp_mta_sts"] = "testing"
        self.mail.reload()
        self.goes(sink, "loose.sts", "testing here", "may")
        self.logged("warning: mta-sts", "domain=loose.sts", "testing: it is used")

    def switched_off(self):
        sink = self.mx("off.sts", "elsewhere.sts")
        web = self.web("off.sts", policy("enforce", "mail.off.sts"))
        self.mail.options["smtp_mta_sts"] = "no"
        self.mail.reload()
        self.goes(sink, "off.sts", "switched off", "may")
        tap.same(web.hits, [])

    def no_sanitizer(self):
        for line in self.mail.log().splitlines():
            tap.true("AddressSanitizer" not in line and "runtime error" not in line, line)

    def tests(self):
        return [
            ("enforce: the named server with its certificate; fetched once", self.enforced),
            ("enforce: a server that is not named", self.not_named),
            ("a new policy is looked for while mail waits", self.named_later),
            ("enforce: a wrong certificate", self.wrong_certificate),
            ("enforce: no TLS", self.no_tls),
            ("smtp_tls_policy_maps goes before", self.map_goes_before),
            ("testing and none", self.testing),
            ("testing says what would not be allowed", self.testing_says_why),
            ("a policy ends", self.ends),
            ("a policy outlives the relay program and the server", self.outlive),
            ("policies that cannot be had", self.broken),
            ("a policy without a web server", self.no_web_server),
            ("two records are none", self.no_record),
            ("smtp_mta_sts = testing", self.only_testing_here),
            ("smtp_mta_sts = no", self.switched_off),
            ("no sanitizer complained", self.no_sanitizer),
        ]


if os.geteuid() != 0:
    print("1..0 # SKIP port 443 is root's")
    sys.exit(0)
the_world = World()
the_world.context("first")
try:
    with Instance(options=dict(the_world.options(), smtp_mta_sts="yes", smtp_tls_CAfile=the_world.ca,
                               smtp_connection_cache_time_limit="0",
                               smtp_tls_policy_maps="inline:{said.sts=may}")) as instance:
        sts = Sts(instance, the_world)
        failures = tap.run(sts.tests())
        if failures:
            for line in instance.log().splitlines()[-int(os.environ.get("LOG_LINES", "60")):]:
                print("# " + line)
        for web in sts.webs:
            web.close()
finally:
    the_world.close()
