#!/usr/bin/env python3
"""The network between two Facteurs is cut under load, again and again: what one has taken on for the other
arrives, and the mail of its own people does not wait for it. A message arrives twice only where the answer to
its end was lost (RFC 1047), because of a cut or of a machine too busy to answer in the two seconds that are
allowed here; the log tells of each."""
import os
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from day import TOKEN, TROUBLE, message, whole  # noqa: E402
from instance import Instance  # noqa: E402
from netns import Net, ip  # noqa: E402

A, B = "10.78.0.1", "10.78.0.2"
CUTS = int(os.environ.get("CUTS", "4"))
# What the log says of every session that goes well.
ROUTINE = re.compile(r" info: (queue-\w+|relay-\w+|relayed|deliver|accepted|connect|disconnect|tls|auth|lost) ")
HURRY = {"smtp_%s_timeout" % what: "2s" for what in
         ("connect", "helo", "starttls", "mail", "rcpt", "data_init", "data_xfer", "data_done", "quit")}


class Submitter(threading.Thread):
    """Sends to one of A and two of B, in A's namespace."""

    def __init__(self, net, a, number):
        super().__init__(daemon=True)
        self.net, self.a, self.number = net, a, number
        self.over, self.taken, self.refused, self.trouble = False, [], [], 0

    def run(self):
        with self.net.inside("a"):
            n = 0
            while not self.over:
                n += 1
                token = "cut-%d-%d" % (self.number, n)
                try:
                    with self.a.submission() as client:
                        refused = client.sendmail("amelie@example.com", ["amelie@example.com", "bruno@there.example",
                                                                         "chloe@there.example"], message(token))
                    if refused:
                        self.refused.append(refused)
                    else:
                        self.taken.append(token)
                except TROUBLE:
                    self.trouble += 1
                time.sleep(0.05)


def copies(mail, user):
    """{token: how often}"""
    found = {}
    for text in mail.messages(user):
        raw = text.encode("utf-8", "surrogateescape")
        token = TOKEN.search(raw)
        if token:
            tap.true(whole(raw), "a damaged message")
            found[token.group(1).decode()] = found.get(token.group(1).decode(), 0) + 1
    return found


def unsure(mail, user):
    """How often the answer to the end of a message to that user did not come."""
    return sum("relay-deferred" in line and "may have been taken" in line and
               re.search(r" to=%s@" % user, line) is not None for line in mail.log().splitlines())


def main(net, a, b):
    def link(state):
        ip("link", "set", "to-b", state, ns=net.name("world"))

    def cuts():
        senders = [Submitter(net, a, i) for i in range(3)]
        for s in senders:
            s.start()
        try:
            for n in range(CUTS):
                before = len(copies(b, "bruno"))
                tap.wait_for(lambda: len(copies(b, "bruno")) > before + 5, 120, "no mail comes across")
                link("down")
                taken = sum(len(s.taken) for s in senders)
                tap.wait_for(lambda: sum(len(s.taken) for s in senders) > taken + 10, 120,
                             "nothing is taken while the other cannot be reached")
                time.sleep(3 if n % 2 else 0.2)  # beyond and within what the relay waits
                link("up")
        finally:
            for s in senders:
                s.over = True
            for s in senders:
                s.join(60)
        tokens = {t for s in senders for t in s.taken}
        tap.wait_for(lambda: "messages=0 recipients=0" in a.facteur("status"), 240, "the queue of A does not end")
        tap.wait_for(lambda: "messages=0 recipients=0" in b.facteur("status"), 60, "the queue of B does not end")
        at_a, at_b = copies(a, "amelie"), {user: copies(b, user) for user in ("bruno", "chloe")}
        doubled = {user: sum(n - 1 for n in found.values()) for user, found in at_b.items()}
        lost = {user: unsure(a, user) for user in at_b}
        print("# %d messages taken, %d cuts; answers to the end of a message lost, and messages doubled at B: %s; "
              "%d times trouble" % (len(tokens), CUTS, ", ".join(
                  "%s %d and %d" % (user, lost[user], doubled[user]) for user in at_b),
                  sum(s.trouble for s in senders)))
        tap.same([s.refused for s in senders], [[], [], []], "refused")
        tap.same([n for n in at_a.values() if n != 1], [], "doubled at A")
        tap.true(tokens <= set(at_a), "lost at A")
        for user, found in at_b.items():
            tap.true(tokens <= set(found), "lost on the way: %s" % list(tokens - set(found))[:5])
            tap.true(doubled[user] <= lost[user], "%d doubled for %s, and only %d answers lost"
                     % (doubled[user], user, lost[user]))
        tap.true(not any("multipart/report" in m for m in a.messages("amelie")), "mail came back")
    return [("the network is cut %d times" % CUTS, cuts)]


if os.geteuid() != 0:
    print("1..0 # SKIP network namespaces are root's")
    sys.exit(0)
with Net() as the_net:
    the_net.host("a", A)
    the_net.host("b", B)
    with the_net.inside("b"):
        at_b = Instance(options={"myhostname": "b.example.org", "inet_interfaces": "127.0.0.1 " + B,
                                 "virtual_mailbox_domains": "mail.example.org",
                                 "virtual_alias_domains": "there.example",
                                 "virtual_alias_maps": "inline:{{bruno@there.example=bruno@mail.example.org}, "
                                                       "{chloe@there.example=chloe@mail.example.org}}"})
        at_b.__enter__()
    try:
        with the_net.inside("a"):
            at_a = Instance(options=dict(
                HURRY, transport_maps="inline:{{there.example=smtp:[%s]:%d}}" % (B, at_b.ports["smtp"]),
                maximal_backoff_time="2s"))
            at_a.__enter__()
        try:
            failed = tap.run(main(the_net, at_a, at_b))
            if failed:
                for mail in (at_a, at_b):
                    told = [line for line in mail.log().splitlines() if ROUTINE.search(line) is None]
                    print("\n".join("# " + line for line in told[-60:]))
        finally:
            at_a.close()
    finally:
        at_b.close()
sys.exit(failed > 0)
