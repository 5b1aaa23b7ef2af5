#!/usr/bin/env python3
"""Directory servers that are there and are of no use: mute, without TLS, with another password for the
reader, with referrals that lead in circles. The directory program says that it cannot say, never that
nobody is there, gives no password to anybody who is not proven to be the server, goes on to a sound server
where there is one, and asks no more than it must when the server is back."""
import os
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from directory import BUILD, Directory, connection  # noqa: E402
from slapd import PrivateSlapd  # noqa: E402
from listener import Listener  # noqa: E402
from slowproxy import SlowProxy  # noqa: E402
from tap import has, same, true, wait_for  # noqa: E402

SOUND = ["yes", "no", "yes", "no"]
SILENT = ["cannot-say"] * 4
START_TLS = b"1.3.6.1.4.1.1466.20037"
slapd = None


def ask(d):
    """Searches and binds, all at once; their verdicts."""
    tags = [d.ask("resolve", "amelie@example.com"), d.ask("resolve", "nobody@example.com"),
            d.ask("auth", "amelie", "amelie-secret", "imap"), d.ask("auth", "amelie", "wrong", "imap")]
    return [d.wait(tag, 60).verdict for tag in tags]


class Impostor(Listener):
    """Accepts connections and answers the first request on each with the result code, or never (None);
    what it is told is kept."""

    def __init__(self, code):
        super().__init__()
        self.code, self.told = code, []

    def accepted(self, client):
        self.keep(client)
        self.told.append(b"")
        threading.Thread(target=self._serve, args=(client, len(self.told) - 1), daemon=True).start()

    def _serve(self, client, number):
        try:
            while True:
                data = client.recv(65536)
                if not data:
                    return
                first, self.told[number] = not self.told[number], self.told[number] + data
                if first and self.code is not None:  # extendedResp of message 1 (RFC 4511 section 4.12)
                    client.sendall(bytes((0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, self.code, 4, 0, 4, 0)))
        except OSError:
            return


def impostor(code, says):
    """Alone, and before a sound server."""
    def test():
        with Impostor(code) as other:
            with Directory(connection(slapd, ldap_server_host=other.uri, ldap_timeout="2s")) as d:
                same(ask(d), SILENT)
                wait_for(lambda: says in d.log(), 30, d.log()[-2000:])
                wait_for(lambda: len(other.told) > 1, 30, "it is not tried again")
            with Directory(connection(slapd, ldap_server_host=other.uri + " " + slapd.uri, ldap_timeout="2s")) as d:
                d.wait_connected(60)
                same(ask(d), SOUND)
            for said in other.told:
                true(said == b"" or START_TLS in said[:60], "it was told first: %r" % said[:60])
                for secret in (slapd.reader_password, "amelie-secret", slapd.reader_dn, "wrong"):
                    true(secret.encode() not in said, "%s was said to anybody" % secret)
    return test


def mute_ldaps():
    """TLS from the first octet on, and no answer to it."""
    with Impostor(None) as other:
        uri = other.uri.replace("ldap:", "ldaps:")
        with Directory(connection(slapd, ldap_server_host=uri + " " + slapd.uri, ldap_start_tls="no",
                                  ldap_timeout="2s")) as d:
            d.wait_connected(60)
            same(ask(d), SOUND)
        true(all(said[:1] in (b"", b"\x16") for said in other.told), "it is no TLS that began")


def not_heard():
    """Its connections are made by the kernel, and nobody takes them up."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        uri = "ldap://127.0.0.1:%d" % listener.getsockname()[1]
        with Directory(connection(slapd, ldap_server_host=uri + " " + slapd.uri, ldap_timeout="2s")) as d:
            d.wait_connected(60)
            same(ask(d), SOUND)
            has(d.log(), "server=%s state=sick" % uri)


def no_tls_any_more():
    """A server that loses its certificate while it runs: who is connected stays, and nobody goes on without."""
    with Impostor(2) as other, SlowProxy(slapd.port) as proxy:
        with Directory(connection(slapd, ldap_server_host=proxy.uri, ldap_timeout="2s")) as d:
            d.wait_connected()
            same(ask(d), SOUND)
            good, proxy.port = proxy.port, int(other.uri.rsplit(":", 1)[1])
            same(ask(d), SOUND, "by the connections that are there")
            proxy.cut()
            same(ask(d), SILENT)
            wait_for(lambda: "STARTTLS: " in d.log(), 30, d.log()[-2000:])
            proxy.port = good
            wait_for(lambda: ask(d) == SOUND, 60, "it is not found again")
        true(all(START_TLS in said[:60] for said in other.told if said), "something was said in the clear")


def another_secret():
    """The reader's password is changed under a running program."""
    with PrivateSlapd() as server, SlowProxy(server.port) as proxy:
        with Directory(connection(server, ldap_server_host=proxy.uri)) as d:
            d.wait_connected()
            server.modify("dn: %s\nchangetype: modify\nreplace: userPassword\nuserPassword: another\n"
                          % server.reader_dn)
            same(ask(d), SOUND, "by the connections that are there")
            proxy.cut()
            same(ask(d), SILENT)
            wait_for(lambda: "bind: Invalid credentials (49)" in d.log(), 30, d.log()[-2000:])
            d.options["ldap_bind_pw"] = "another"
            same(d.reload().verdict, "reloaded")
            wait_for(lambda: ask(d) == SOUND, 60, "with the new one")


def counted(server):
    """The searches that it has begun, this one not."""
    return server.operations()["search"] - server.__dict__.setdefault("looks", 0)


def look(server):
    n = counted(server)
    server.looks += 1
    return n


def back_again():
    """What nobody waits for any more is not asked: slapd, back after all have given up, gets what was under way
    when it stopped, and little else."""
    with PrivateSlapd() as server:
        with Directory(connection(server, ldap_timeout="2s", ldap_search_connections="2")) as d:
            d.wait_connected()
            before = look(server)
            server.pause()
            tags = [d.ask("resolve", "x@unknown%d.example" % i) for i in range(4000)]
            same({d.wait(tag, 60).verdict for tag in tags}, {"cannot-say"})
            server.resume()
            wait_for(lambda: ask(d) == SOUND, 60, "it does not work again")
            d.wait_connected()
            asked = look(server) - before
            true(asked < 1000, "%d searches for 4000 questions that are over" % asked)


def away_for_a_moment():
    """And where all still wait, each of their questions is asked once."""
    with PrivateSlapd() as server:
        with Directory(connection(server, ldap_timeout="60s")) as d:
            d.wait_connected()
            cost = []
            for name, pause in (("calm", False), ("away", True)):
                before = look(server)
                if pause:
                    server.pause()
                tags = [d.ask("resolve", "%s%d@mail.example.org" % (name, i)) for i in range(300)]
                if pause:
                    d.status()  # all have been read
                    server.resume()
                same({d.wait(tag, 60).verdict for tag in tags}, {"no"})
                cost.append(look(server) - before)
            same(cost[0], cost[1], "searches without and with a pause")


FAR = """dn: ou=far,ou=mail,dc=example,dc=org
objectClass: referral
objectClass: extensibleObject
ou: far
ref: %s/ou=far,ou=mail,dc=example,dc=org

"""


def in_circles():
    """Two servers, each of which says of a part of the tree that the other has it."""
    with PrivateSlapd() as one, PrivateSlapd() as other:
        one.add(FAR % other.uri)
        other.add(FAR % one.uri)
        table = ("server_host = %s\nversion = 3\nbind = no\nsearch_base = ou=mail,dc=example,dc=org\nscope = sub\n"
                 "query_filter = maildrop=%%s\nresult_attribute = uid\nchase_referrals = yes\n")
        with Directory(connection(one), {"virtual_alias_maps": (table % one.uri).replace("bind = no\n", "") +
                                         "bind = yes\nbind_dn = %s\nbind_pw = %s\n"
                                         % (one.reader_dn, one.reader_password)}) as d:
            before = other.operations()["search"]
            same(d.resolve("nobody@example.com").verdict, "cannot-say")
            same(other.operations()["search"] - before, 1, "nobody goes there: only this count does")
            path = d.dir + "/circle.cf"
            with open(path, "w") as out:
                out.write(table % one.uri)
            done = subprocess.run([os.path.join(BUILD, "ldapmap", "ldapmap"), "-q", "nobody@example.com",
                                   "ldap:" + path], capture_output=True, text=True, timeout=60)
            same(done.stdout, "")
            true(other.operations()["search"] - before < 30, "it goes round and round")
            true(done.returncode == 1, "%d: %s" % (done.returncode, done.stderr))


if __name__ == "__main__":
    with PrivateSlapd() as slapd:
        failed = tap.run([
            ("a server that never answers StartTLS", impostor(None, "STARTTLS: ")),
            ("a server that refuses StartTLS", impostor(2, "STARTTLS: ")),
            ("a server that is busy at StartTLS", impostor(51, "STARTTLS: ")),
            ("a server that says yes to StartTLS, and nothing after that", impostor(0, "STARTTLS: ")),
            ("a server that says nothing to ldaps", mute_ldaps),
            ("a server that takes no connection up", not_heard),
            ("a server that has no TLS any more", no_tls_any_more),
            ("the reader's password is another", another_secret),
            ("a server that is back when nobody waits any more", back_again),
            ("a server that is back while all wait", away_for_a_moment),
            ("referrals in circles", in_circles)])
    sys.exit(failed > 0)
