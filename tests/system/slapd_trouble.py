#!/usr/bin/env python3
"""slapd killed, stopped, slow, started again, and its data changed, all under mixed load: nobody good is
refused for good, no right password is called wrong, and nothing acknowledged is lost."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402
from load import Load  # noqa: E402
from slowproxy import SlowProxy  # noqa: E402


def entry_like(slapd, user, new):
    """An LDIF entry for somebody new with the attributes of user."""
    lines = []
    for line in slapd.search("(uid=%s)" % user, "*").splitlines():
        if not line.startswith(("mailacceptinggeneralid: ", "maildrop: ")):
            lines.append(line.replace(user, new))
    return "\n".join(line for line in lines if line) + \
        "\nmailacceptinggeneralid: %s@example.com\nmaildrop: %s@mail.example.org\n" % (new, new)


class Trouble:
    def __init__(self, mail, slapd, proxy):
        self.mail, self.slapd, self.proxy = mail, slapd, proxy

    def under(self, action):
        def test():
            with Load(self.mail) as load:
                load.busy()
                action(load)
                load.busy(10, what="it does not work again")
            load.check()
        return test

    def killed(self, load):
        for _ in range(3):
            self.slapd.kill()
            time.sleep(0.5)
            self.slapd.start()
            load.busy(5)

    def restarted(self, load):
        for _ in range(3):
            self.slapd.stop()
            self.slapd.start()
            load.busy(5)

    def stopped(self, load):
        for seconds in (1, 12):  # within and beyond what anybody waits for an answer
            self.slapd.pause()
            time.sleep(seconds)
            self.slapd.resume()
            load.busy(5)

    def slow(self, load):
        self.proxy.delay = 0.3
        try:
            load.busy(20, 60)
        finally:
            self.proxy.delay = 0.0

    def cut(self, load):
        for _ in range(10):
            self.proxy.cut()
            load.busy(2)

    def changed(self, load):
        """dora comes and goes; where she is, mail for her is refused only while she is away."""
        entry = entry_like(self.slapd, "chloe", "dora")
        dn = "uid=dora," + self.slapd.mail_base
        wrong = []

        def ask():
            try:
                with self.mail.smtp() as client:
                    client.ehlo()
                    client.mail("somebody@remote.example")
                    code, text = client.rcpt("dora@example.com")
                    return code, text.decode()
            except OSError as e:
                return 0, str(e)

        over = threading.Event()

        def moving():  # an alias that always leads to two who exist, in whatever order
            while not over.is_set():
                for first, second in (("amelie", "bruno"), ("bruno", "amelie")):
                    self.slapd.modify(
                        "dn: cn=team,%s\nchangetype: modify\nreplace: maildrop\nmaildrop: "
                        "%s@mail.example.org\nmaildrop: %s@mail.example.org\n"
                        % (self.slapd.mail_base, first, second))
                    with self.mail.smtp() as client:
                        client.ehlo()
                        client.mail("somebody@remote.example")
                        code, text = client.rcpt("team@example.com")
                        if code != 250:
                            wrong.append((code, text))

        mover = threading.Thread(target=moving)
        mover.start()
        try:
            for _ in range(3):
                self.slapd.add(entry)
                tap.wait_for(lambda: ask()[0] == 250, 60, "dora is not known: %s" % (ask(),))
                self.slapd.delete(dn)
                tap.wait_for(lambda: ask()[0] == 550, 60, "dora is known still: %s" % (ask(),))
        finally:
            over.set()
            mover.join(90)
        tap.true(not wrong, "team: %s" % wrong[:5])


def main(mail, slapd, proxy):
    t = Trouble(mail, slapd, proxy)
    return [("slapd is %s under load" % how, t.under(action)) for how, action in (
        ("killed", t.killed), ("started again", t.restarted), ("stopped for a while", t.stopped),
        ("slow", t.slow), ("cut off", t.cut), ("given other data", t.changed))]


with Instance() as instance, SlowProxy(instance.slapd.port) as the_proxy:
    instance.options["ldap_server_host"] = the_proxy.uri
    instance.restart()
    failed = tap.run(main(instance, instance.slapd, the_proxy))
sys.exit(failed > 0)
