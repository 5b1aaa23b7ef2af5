#!/usr/bin/env python3
"""Several directory servers, three private slapds: in order or at random, killed, stopped and started
again. Nobody is told "cannot say" while one of them answers, one that does not is left alone until it
is back, and none is stormed."""
import contextlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from directory import Directory, connection  # noqa: E402
from slapd import PrivateSlapd  # noqa: E402
from slowproxy import SlowProxy  # noqa: E402
from tap import same, true, wait_for  # noqa: E402

SOUND = ["yes", "no", "yes", "no"]


def several(servers, uris=None, **change):
    """Options that lead to them all; they have one reader and the same people."""
    for other in servers[1:]:
        other.modify("dn: %s\nchangetype: modify\nreplace: userPassword\nuserPassword: %s\n"
                     % (other.reader_dn, servers[0].reader_password))
    uris = uris or [server.uri for server in servers]
    return connection(servers[0], ldap_server_host=" ".join(uris), ldap_start_tls="no", **change)


@contextlib.contextmanager
def three():
    with PrivateSlapd() as first, PrivateSlapd() as second, PrivateSlapd() as third:
        yield first, second, third


def ask(d):
    """Searches and binds, all at once; their verdicts."""
    tags = [d.ask("resolve", "amelie@example.com"), d.ask("resolve", "nobody@example.com"),
            d.ask("auth", "amelie", "amelie-secret", "imap"), d.ask("auth", "amelie", "wrong", "imap")]
    return [d.wait(tag, 60).verdict for tag in tags]


def asked(server):
    """Searches and binds that it has begun, without those that this costs."""
    counts = server.operations()
    return counts["search"] + counts["bind"] - server.__dict__.setdefault("looks", 0) * 2


def look(server):
    n = asked(server)
    server.looks += 1
    return n


def is_serving(d, server):
    """Does it get both kinds of questions now, each time?"""
    before = look(server)
    same(ask(d), SOUND)
    return look(server) - before >= 7  # three searches for recipients, a search and a bind for each login


def states(d):
    """What the log says of servers, in its order: (the place in the list, state)."""
    found = []
    for line in d.log().splitlines():
        if " ldap-server " in line or line.startswith("ldap-server "):
            words = dict(word.split("=", 1) for word in line.split() if "=" in word)
            found.append((words["server"], words["state"]))
    return found


def in_order():
    with three() as servers, Directory(several(servers)) as d:
        first, second, third = servers
        d.wait_connected()
        before = [look(server) for server in servers]
        for _ in range(5):
            same(ask(d), SOUND)
        after = [look(server) for server in servers]
        true(after[0] - before[0] >= 25, "the first gets them: %s, %s" % (before, after))
        same(after[1:], before[1:], "the others get nothing")

        first.kill()
        for _ in range(5):
            same(ask(d), SOUND, "while the first is dead")
        wait_for(lambda: is_serving(d, second), 30, "the second does not serve")
        second.kill()
        same(ask(d), SOUND, "while two are dead")
        wait_for(lambda: is_serving(d, third), 30, "the third does not serve")

        first.start()
        wait_for(lambda: is_serving(d, first), 60, "the first is not taken again")
        same(states(d)[-1], (first.uri, "well"))
        third.kill()
        same(ask(d), SOUND, "by the first alone")
        d.wait_connected()


def stopped():
    """One that keeps its connections and says nothing costs some of the time, and no answer."""
    with three() as servers, SlowProxy(servers[0].port) as proxy:
        uris = [proxy.uri, servers[1].uri, servers[2].uri]
        with Directory(several(servers, uris, ldap_timeout="12s")) as d:
            d.wait_connected()
            same(ask(d), SOUND)
            servers[0].pause()
            same(ask(d), SOUND, "those that had been asked there")
            wait_for(lambda: (proxy.uri, "sick") in states(d), 30, "nobody says that it is sick")
            wait_for(lambda: is_serving(d, servers[1]), 60, "the second does not serve")
            tries = proxy.connections
            servers[1].kill()
            for _ in range(10):
                same(ask(d), SOUND, "by the third, at once")
            true(proxy.connections - tries <= 6,
                 "the sick one is asked first: %d times" % (proxy.connections - tries))
            servers[0].resume()
            wait_for(lambda: is_serving(d, servers[0]), 90, "it is not taken again")
            servers[2].pause()
            same(ask(d), SOUND, "without the third")
            servers[2].resume()


def all_gone():
    with three() as servers, contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(SlowProxy(server.port)) for server in servers]
        with Directory(several(servers, [proxy.uri for proxy in proxies])) as d:
            d.wait_connected()
            for proxy in proxies:
                proxy.refuse = True
            before = [proxy.connections for proxy in proxies]
            for proxy in proxies:
                proxy.cut()
            same(set(ask(d)), {"cannot-say"}, "nobody answers")
            same(set(ask(d)), {"cannot-say"})
            tries = [proxy.connections - n for proxy, n in zip(proxies, before)]
            true(max(tries) < 60, "no storm of attempts: %s" % tries)
            proxies[2].refuse = False
            wait_for(lambda: ask(d) == SOUND, 60, "the third is not found")
            d.wait_connected()
            proxies[0].refuse = False
            wait_for(lambda: states(d)[-1] == (proxies[0].uri, "well"), 60, "the first is not found")
            before = look(servers[0])
            wait_for(lambda: is_serving(d, servers[0]), 60, "nor taken")


def at_random():
    with three() as servers:
        options = several(servers, ldap_server_order="random", ldap_search_connections="8")
        with Directory(options) as d:
            d.wait_connected()
            before = [look(server) for server in servers]
            tags = [d.ask("auth", "amelie", "amelie-secret", "imap") for _ in range(200)]
            same({d.wait(tag).verdict for tag in tags}, {"yes"})
            shares = [look(server) - n for server, n in zip(servers, before)]
            true(sum(share > 0 for share in shares) >= 2, "all by one: %s" % shares)
            servers[0].kill()
            servers[1].pause()
            for _ in range(3):
                same(ask(d), SOUND, "by the third")
            servers[1].resume()
            servers[0].start()
            d.wait_connected()
            d.options["ldap_server_order"] = "listed"
            same(d.reload().verdict, "reloaded")
            wait_for(lambda: is_serving(d, servers[0]), 90, "in order from now on")


sys.exit(1 if tap.run([
    ("in order: the first that is well, and back to it", in_order),
    ("one that is stopped: no answer is lost, and it is left alone", stopped),
    ("all gone, then one: no storm, and nobody waits for the others", all_gone),
    ("at random: shared out, and without those that are away", at_random),
]) else 0)
