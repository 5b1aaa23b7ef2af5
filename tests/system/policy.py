#!/usr/bin/env python3
"""Policy servers in smtpd_*_restrictions: one of our own making for every answer and every trouble, and
the real postgrey and policyd-spf."""
import os
import re
import smtplib
import socket
import socketserver
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance, free_ports  # noqa: E402
from nameserver import NameServer  # noqa: E402
from netns import Net  # noqa: E402
from policy import Policy  # noqa: E402

TO, OTHER, SENDER = "amelie@example.com", "bruno@example.net", "x@remote.example"
BUILD = os.environ.get("FACTEUR_BUILDDIR", "build")


class Spawner:
    """A program on standard input and output for each connection, as Postfix's spawn(8) makes it."""

    def __init__(self, path, *command):
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                subprocess.run(command, stdin=self.request.fileno(), stdout=self.request.fileno(),
                               stderr=subprocess.DEVNULL)

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self.server = Server(path, Handler)
        os.chmod(path, 0o666)
        self.place = "unix:" + path
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def main(mail):
    policy = Policy()

    def use(where="smtpd_recipient_restrictions", place=None, **options):
        mail.options = {where: "check_policy_service " + (place or policy.place)}
        mail.options.update(options)
        mail.reload()

    def rcpt(to=TO, sender=SENDER, helo="client.example"):
        with smtplib.SMTP("127.0.0.1", mail.ports["smtp"], helo, timeout=30) as client:
            client.ehlo()
            client.mail(sender, ["SIZE=1234"])
            code, text = client.rcpt(to)
            return "%d %s" % (code, text.decode())

    def send(subject, *to):
        with mail.smtp() as client:
            client.sendmail(SENDER, to or [TO], "Subject: %s\r\n\r\nHello.\r\n" % subject)

    def got(user, subject):
        return [m for m in mail.messages(user) if "Subject: %s\n" % subject in m]

    def attributes():
        use()
        tap.has(rcpt(), "250 ")
        seen = policy.seen[-1]
        for name, value in (("request", "smtpd_access_policy"), ("protocol_state", "RCPT"),
                            ("protocol_name", "ESMTP"), ("client_address", "127.0.0.1"),
                            ("client_name", "localhost"), ("reverse_client_name", "localhost"), ("helo_name", "client.example"),
                            ("sender", SENDER), ("recipient", TO), ("size", "1234"),
                            ("sasl_username", ""), ("encryption_protocol", ""), ("recipient_count", "0")):
            tap.same(seen.get(name), value, name)
        rcpt()
        tap.true(policy.seen[-1]["instance"] != seen["instance"], "each transaction its own instance")

    def of_a_login():
        use("smtpd_sender_restrictions")
        with mail.submission() as client:
            client.ehlo()
            client.mail(TO)
            client.rcpt(OTHER)
        seen = policy.seen[-1]
        tap.same((seen["sasl_username"], seen["encryption_protocol"][:4]), ("amelie", "TLSv"))

    def answers():
        use()
        for answer, want in (
                ("DUNNO", "250 "), ("OK", "250 "), ("dunno", "250 "), ("HOLD for review", "250 "),
                ("REJECT go away", "554 5.7.1 <%s>: Recipient address rejected: go away" % TO),
                ("REJECT", "554 5.7.1 <%s>: Recipient address rejected: Access denied" % TO),
                ("DEFER later", "450 4.7.1 <%s>: Recipient address rejected: later" % TO),
                ("DEFER_IF_PERMIT Greylisted", "450 4.7.1 <%s>: Recipient address rejected: Greylisted" % TO),
                ("550 5.7.23 spf says no", "550 5.7.23 <%s>: Recipient address rejected: spf says no" % TO),
                ("451 try again", "451 4.7.1 <%s>: Recipient address rejected: try again" % TO),
                ("FLY away", "451 4.3.5 ")):
            policy.answer = answer
            tap.has(rcpt(), want)
        policy.answer = "DEFER_IF_PERMIT Greylisted"
        tap.has(rcpt("nobody@example.com"), "450 4.7.1")
        policy.answer = "REJECT " + "long " * 200
        tap.true(len(rcpt()) < 512, "a reply fits RFC 5321")
        policy.answer = "DUNNO"

    def which_list():
        policy.answer = "REJECT no"
        for where, what in (("client", "<localhost[127.0.0.1]>: Client host"), ("helo", "<client.example>: Helo command"),
                            ("sender", "<%s>: Sender address" % SENDER),
                            ("relay", "<%s>: Recipient address" % TO)):
            use("smtpd_%s_restrictions" % where,
                policy.place + (", reject_unauth_destination" if where == "relay" else ""))
            tap.has(rcpt(), "554 5.7.1 %s rejected: no" % what)
        policy.answer = "OK"
        use("smtpd_relay_restrictions", policy.place + ", reject_unauth_destination")
        tap.has(rcpt("x@elsewhere.example"), "554 5.7.1")
        policy.answer = "DUNNO"

    def prepend():
        use()
        policy.answer = lambda q: "PREPEND X-Policy: seen for " + q["sender"]
        send("prepended", TO, OTHER)
        for user in ("amelie", "bruno"):
            message = got(user, "prepended")[0]
            tap.same(message.count("X-Policy: seen for %s\n" % SENDER), 1)
            tap.true(message.index("Received:") < message.index("X-Policy:") < message.index("Subject:"),
                     "below our Received, above the message")
        policy.answer = "PREPEND no header line"
        send("not-prepended")
        tap.true("no header line" not in got("amelie", "not-prepended")[0], "nonsense is left out")
        policy.answer = "PREPEND X-Big: " + "x" * 900
        send("once-again")
        policy.answer = "DUNNO"
        send("without")
        tap.true("X-Policy" not in got("amelie", "without")[0], "each message its own")

    def hold_and_discard():
        policy.answer = "HOLD let me see"
        send("held")
        tap.same(len(got("amelie", "held")), 0)
        tap.has(mail.facteur("queue"), SENDER)
        policy.answer = "DISCARD"
        send("gone")
        policy.answer = "DUNNO"
        send("after")
        tap.same((len(got("amelie", "gone")), len(got("amelie", "after"))), (0, 1))

    def connections_are_kept():
        """And asked again on a new one where the server closed meanwhile."""
        use()
        rcpt()
        before = policy.connections
        for _ in range(5):
            rcpt()
        tap.true(policy.connections - before <= 1, "one connection for many questions")
        shy = Policy("REJECT shy", once=True)
        use(place=shy.place)
        for _ in range(4):
            tap.has(rcpt(), "shy")
        tap.same(len(shy.seen), 4)
        shy.close()

    def troubles():
        for answer in ("", "nonsense\n\n", "\n\n", "action=OK\n\naction=OK\n\n", "action=" + "x" * 5000 + "\n\n"):
            policy.answer = answer
            use()
            want = "250 " if answer.count("action=OK") else "451 4.3.5"
            tap.has(rcpt(), want)
        policy.answer = None
        use(smtpd_policy_service_timeout="1s", smtpd_policy_service_default_action="DUNNO")
        started = time.monotonic()
        tap.has(rcpt(), "250 ")
        tap.true(time.monotonic() - started < 20, "no longer than it may take")
        use(smtpd_policy_service_timeout="1s", smtpd_policy_service_default_action="421 4.3.0 not now")
        tap.has(rcpt(), "421 4.3.0")
        policy.answer = "DUNNO"
        use(place="inet:127.0.0.1:%d" % free_ports(1)[0])
        tap.has(rcpt(), "451 4.3.5")
        use(place="unix:" + mail.dir + "/none")
        tap.has(rcpt(), "451 4.3.5")
        tap.has(mail.log(), "policy-failed")

    def filter_dies():
        policy.answer = None
        use()
        before = len(policy.seen)
        said = []
        thread = threading.Thread(target=lambda: said.append(rcpt()))
        thread.start()
        tap.wait_for(lambda: len(policy.seen) > before, 10, "no question came")
        os.kill(mail.pids("filter")[0], 9)
        thread.join(30)
        tap.has(said[0], "451 4.3.5")
        policy.answer = "REJECT back"
        tap.wait_for(lambda: "back" in rcpt(), 15, "the next filter program does not ask")
        policy.answer = "DUNNO"

    def many_at_once():
        policy.answer = lambda q: time.sleep(0.2) or "REJECT " + q["sender"]
        use()
        said = {}
        threads = [threading.Thread(target=lambda i=i: said.update({i: rcpt(sender="s%d@remote.example" % i)}))
                   for i in range(20)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(30)
        for i in range(20):
            tap.has(said[i], "rejected: s%d@remote.example" % i)
        policy.answer = "DUNNO"

    def what_cannot_be():
        for options, text in (
                ({"smtpd_recipient_restrictions": "check_policy_service"}, "needs a place behind it"),
                ({"smtpd_recipient_restrictions": "check_policy_service unix:private/spf"}, "is no place of"),
                ({"smtpd_policy_service_default_action": "WHATEVER"}, "is no action that is known")):
            mail.options = options
            mail.write_config()
            done = subprocess.run([os.path.join(BUILD, "facteur"), "-c", mail.conf, "check"],
                                  capture_output=True, text=True)
            tap.true(done.returncode != 0, text)
            tap.has(done.stdout + done.stderr, text)

    def postgrey():
        place = os.path.join(mail.dir, "postgrey")
        os.mkdir(place)
        for name in ("clients", "recipients"):
            open(os.path.join(place, name), "w").close()
        port = free_ports(1)[0]
        log = open(place + ".log", "wb")
        process = subprocess.Popen(
            ["postgrey", "--inet=127.0.0.1:%d" % port, "--dbdir=" + place, "--delay=2", "--auto-whitelist-clients=0",
             "--whitelist-clients=%s/clients" % place, "--whitelist-recipients=%s/recipients" % place,
             "--user=root" if mail.root else "--user=%d" % os.getuid(),
             "--group=root" if mail.root else "--group=%d" % os.getgid()],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            use(place="inet:127.0.0.1:%d" % port)
            tap.wait_for(lambda: "Greylisted" in rcpt(), 20, "postgrey: " + open(place + ".log").read())

            def passes():
                try:
                    send("greylisted")
                    return True
                except smtplib.SMTPRecipientsRefused as refused:
                    tap.same(refused.recipients[TO][0], 450)
            tap.wait_for(passes, 15, "postgrey does not let it pass")
            tap.true(re.search("^X-Greylist: delayed ", got("amelie", "greylisted")[0], re.M), "X-Greylist")
        finally:
            process.terminate()
            process.wait(20)
            log.close()

    def policyd_spf():
        """In a network of its own, with its own DNS; the client's address comes from a balancer."""
        mail.options = {"smtpd_upstream_proxy_protocol": "haproxy", "haproxy_trusted_networks": "127.0.0.1/32"}
        mail.restart()

        def send_from(address, sender=SENDER):
            s = socket.create_connection(("127.0.0.1", mail.ports["smtp"]), 30)
            s.sendall(b"PROXY TCP4 %s 127.0.0.1 40000 25\r\n" % address.encode())
            with smtplib.SMTP() as client:
                client.sock, client.file = s, None
                client.getreply()
                client.sendmail(sender, [TO], "Subject: from %s\r\n\r\nHello.\r\n" % address)

        conf, resolv = (os.path.join(mail.dir, name) for name in ("spf.conf", "spf.resolv"))
        with open(conf, "w") as out:
            out.write("debugLevel = 0\nHELO_reject = False\nMail_From_reject = Fail\nTestOnly = 1\n"
                      "Lookup_Time = 5\nHeader_Type = SPF\n")
        with open(resolv, "w") as out:
            out.write("nameserver 127.0.0.1\n")
        script = "mount --bind %s /etc/resolv.conf && exec policyd-spf %s" % (resolv, conf)
        with Net() as net:
            with net.inside("world"):
                zone = 'remote 60 IN TXT "v=spf1 ip4:192.0.2.7 -all"\n'
                dns = NameServer("127.0.0.1", {".": "example. 60 IN NS ns.zone.\n", "example.": zone})
                dns.__enter__()
            server = Spawner(os.path.join(mail.dir, "spf.sock"), "nsenter", "--net=/run/netns/" + net.name("world"),
                             "unshare", "--mount", "sh", "-c", script)
            try:
                mail.options["smtpd_recipient_restrictions"] = "check_policy_service " + server.place
                mail.reload()
                send_from("192.0.2.7")
                message = got("amelie", "from 192.0.2.7")[0]
                tap.true(re.search("^Received-SPF: Pass", message, re.M), message[:800])
                try:
                    send_from("192.0.2.8")
                    tap.true(False, "a forged sender passed")
                except smtplib.SMTPRecipientsRefused as refused:
                    code, text = refused.recipients[TO]
                    tap.same(code, 550)
                    tap.has(text.decode(), "5.7.23 <%s>: Recipient address rejected: " % TO)
            finally:
                server.close()
                dns.close()
                mail.options = {}
                mail.restart()

    return [("attributes", attributes), ("of a login", of_a_login), ("answers", answers),
            ("which list", which_list), ("PREPEND", prepend), ("HOLD and DISCARD", hold_and_discard),
            ("connections are kept", connections_are_kept), ("troubles", troubles),
            ("the filter program dies", filter_dies), ("many at once", many_at_once),
            ("postgrey", postgrey), ("policyd-spf", policyd_spf), ("what cannot be", what_cannot_be)]


if __name__ == "__main__":
    with Instance() as instance:
        failed = tap.run(main(instance))
    sys.exit(failed > 0)
