#!/usr/bin/env python3
"""What the directory program keeps, and how a change takes effect: cache times, RFC 4533 with a real
slapd and its syncprov overlay, logins that end, outages."""
import os
import poplib
import signal
import smtplib
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from directory import Directory, connection  # noqa: E402
from instance import Instance  # noqa: E402
from slapd import PrivateSlapd  # noqa: E402
from slowproxy import SlowProxy  # noqa: E402
from tap import has, same, true, wait_for  # noqa: E402

AMELIE = "uid=amelie,ou=mail,dc=example,dc=org"
BRUNO = "uid=bruno,ou=mail,dc=example,dc=org"
ACTIVE = "(&(objectClass=posixAccount)(uid=%u)(!(description=disabled)))"
slapd = None


def directory(server=None, **options):
    """With everything kept as by default, but told of changes only where a test says so."""
    settings = {"directory_cache_ttl": "30s", "directory_cache_negative_ttl": "5s"}
    settings.update(options)
    return Directory(connection(server or slapd, **settings))


def change(server, dn, *lines):
    server.modify("dn: %s\nchangetype: modify\n%s\n" % (dn, "\n".join(lines)))


def kept_for(seconds, question, after):
    """How long it takes until the answer is the new one."""
    start = time.monotonic()
    wait_for(lambda: question() == after, seconds + 3, "never becomes %r" % (after,))
    return time.monotonic() - start


def searches(server, what):
    """How many searches slapd is asked for it."""
    counting = server.operations()["search"]
    counting = server.operations()["search"] - counting
    before = server.operations()["search"]
    what()
    return server.operations()["search"] - before - counting


# --- the cache ---

def nothing_is_asked_twice():
    with directory() as d:
        d.wait_connected()
        def round_of_all():
            same(d.resolve("amelie@example.com").verdict, "yes")
            same(d.resolve("nobody@example.com").verdict, "no")
            same(d.resolve("x@elsewhere.example").verdict, "not-here")
            same(d.sender(grant, "amelie@example.com").verdict, "yes")
        grant = d.auth("amelie", "amelie-secret").grant
        round_of_all()
        same(searches(slapd, lambda: [round_of_all() for _ in range(5)]), 0)
        true(int(d.status().hits) > 20, "hits")
        same(searches(slapd, lambda: d.auth("amelie", "amelie-secret")), 0, "a login's search")
        same(d.auth("amelie", "wrong").verdict, "no", "passwords are never kept")


def one_question_at_a_time():
    """Fifty who ask the same while it is under way wait for one search."""
    with SlowProxy(slapd.port, 0.3) as proxy:
        with directory(ldap_server_host=proxy.uri, ldap_start_tls="no") as d:
            d.wait_connected()
            def all_at_once():
                tags = [d.ask("resolve", "amelie@example.com") for _ in range(50)]
                same({d.wait(t).verdict for t in tags}, {"yes"})
            true(searches(slapd, all_at_once) <= 5, "searches")


def cache_times_hold():
    with PrivateSlapd() as server:
        with directory(server, directory_cache_ttl="3s", directory_cache_negative_ttl="1s") as d:
            same(d.resolve("new@example.com").verdict, "no")
            same(d.resolve("amelie@example.com").verdict, "yes")
            change(server, AMELIE, "replace: mailacceptinggeneralid", "mailacceptinggeneralid: new@example.com")
            spent = kept_for(1, lambda: d.resolve("new@example.com").verdict, "yes")
            true(spent < 2, "a no was kept for %.1f s" % spent)
        with directory(server, directory_cache_ttl="3s", directory_cache_negative_ttl="1s") as d:
            same(d.resolve("new@example.com").verdict, "yes")
            change(server, AMELIE, "replace: mailacceptinggeneralid", "mailacceptinggeneralid: other@example.com")
            same(d.resolve("new@example.com").verdict, "yes", "kept")
            spent = kept_for(3, lambda: d.resolve("new@example.com").verdict, "no")
            true(1 < spent < 4.5, "a yes was kept for %.1f s" % spent)


def one_picture():
    """Who is seen changed by one question is seen so by all: a new alias that sends also receives."""
    with PrivateSlapd() as server:
        with directory(server) as d:
            grant = d.auth("amelie", "amelie-secret").grant
            same(d.resolve("amelie@example.com").verdict, "yes")
            same(d.resolve("fresh@example.com").verdict, "no")
            change(server, AMELIE, "add: mailacceptinggeneralid", "mailacceptinggeneralid: fresh@example.com")
            same(d.sender(grant, "fresh@example.com").verdict, "yes", "nobody had asked that")
            same(d.resolve("fresh@example.com").verdict, "yes", "the kept no is of another moment")


def cannot_say_is_not_kept():
    with PrivateSlapd() as server:
        with directory(server, ldap_timeout="1s") as d:
            d.wait_connected()
            server.pause()
            same(d.resolve("amelie@example.com").verdict, "cannot-say")
            server.resume()
            wait_for(lambda: d.resolve("amelie@example.com").verdict == "yes", 10, "back")


def flush():
    with PrivateSlapd() as server:
        with directory(server) as d:
            for name in ("amelie", "bruno"):
                same(d.resolve(name + "@example.com").verdict, "yes")
            for dn, name in ((AMELIE, "amelie"), (BRUNO, "bruno")):
                change(server, dn, "replace: mailacceptinggeneralid", "mailacceptinggeneralid: %s2@example.com" % name)
            true(d.flush("amelie") > 0, "something forgotten")
            same(d.resolve("amelie@example.com").verdict, "no", "flushed")
            same(d.resolve("bruno@example.com").verdict, "yes", "not flushed")
            true(d.flush() > 0, "something forgotten")
            same(d.resolve("bruno@example.com").verdict, "no", "all flushed")


def memory_is_bounded():
    with directory() as d:
        for start in range(0, 3000, 500):
            tags = [d.ask("resolve", "x@many%d.example" % i) for i in range(start, start + 500)]
            same({d.wait(t).verdict for t in tags}, {"not-here"})
        s = d.status()
        true(0 < int(s.kept_bytes) < 33 << 20, s.kept_bytes)


# --- RFC 4533 ---

def wait_sync(d, state="yes"):
    wait_for(lambda: d.status().sync == state, 15, "sync=%s: %s" % (state, d.log()[-2000:]))


def at_once(what, text):
    start = time.monotonic()
    wait_for(what, 5, text)
    spent = time.monotonic() - start
    true(spent < 1, "%s after %.2f s" % (text, spent))


def changes_take_effect():
    with PrivateSlapd() as server:
        with directory(server, ldap_sync="yes", directory_cache_ttl="1h", directory_cache_negative_ttl="1h") as d:
            wait_sync(d)
            grant = d.auth("amelie", "amelie-secret").grant
            def both():
                return (d.resolve("fresh@example.com").verdict, d.sender(grant, "fresh@example.com").verdict)
            same(both(), ("no", "no"))
            change(server, AMELIE, "add: mailacceptinggeneralid", "mailacceptinggeneralid: fresh@example.com")
            at_once(lambda: both() == ("yes", "yes"), "a new alias receives and sends")
            same(searches(server, both), 0, "kept while nothing changes")
            change(server, AMELIE, "delete: mailacceptinggeneralid", "mailacceptinggeneralid: fresh@example.com")
            at_once(lambda: both() == ("no", "no"), "it is gone")
            same(d.resolve("team@example.com").verdict, "yes")
            server.delete("cn=contact,ou=mail,dc=example,dc=org", "cn=team,ou=mail,dc=example,dc=org")
            at_once(lambda: d.resolve("team@example.com").verdict == "no", "a deleted alias")
            same(d.resolve("a@new.example").verdict, "not-here")
            server.add("dn: cn=new,ou=mail,dc=example,dc=org\nobjectClass: organizationalRole\n"
                       "objectClass: postfixUser\ncn: new\nmailacceptinggeneralid: a@new.example\n"
                       "maildrop: bruno@mail.example.org\n")
            at_once(lambda: d.resolve("a@new.example").verdict == "yes", "a new domain")
            server.modify("dn: cn=new,ou=mail,dc=example,dc=org\nchangetype: modrdn\nnewrdn: cn=newer\n"
                          "deleteoldrdn: 1\n")
            same(d.resolve("a@new.example").verdict, "yes", "renamed")


def attributes_learnt():
    """An overlay that slapd gets while it runs brings attributes; who was told of changes before is told of
    theirs too."""
    with PrivateSlapd() as server:
        with directory(server, ldap_sync="yes", directory_cache_ttl="1h") as d:
            wait_sync(d)
            d.began("amelie", 20001)
            same(d.auth("amelie", "amelie-secret").verdict, "yes")
            server.modify_config(
                "dn: cn=module{0},cn=config\nchangetype: modify\nadd: olcModuleLoad\nolcModuleLoad: ppolicy\n\n"
                "dn: olcOverlay=ppolicy,olcDatabase={1}mdb,cn=config\nchangetype: add\n"
                "objectClass: olcPPolicyConfig\nolcOverlay: ppolicy\n")
            wait_for(lambda: d.log().count("ldap-sync watching=yes") == 2, 30, d.log()[-2000:])
            has(d.log(), "the server has learnt attributes")
            same(d.auth("amelie", "amelie-secret").verdict, "yes")
            change(server, AMELIE, "add: pwdAccountLockedTime", "pwdAccountLockedTime: 000001010000Z")
            wait_for(lambda: "amelie:20001" in d.logins_ended(), 10, "the locked one's session goes on")
            same(d.auth("amelie", "amelie-secret").verdict, "no")
            wait_sync(d)
            same(d.log().count("ldap-sync watching=yes"), 2, "nothing new was learnt since")


def what_is_nobodys_business():
    """An attribute that only the server keeps does not empty the picture."""
    with PrivateSlapd() as server:
        with directory(server, ldap_sync="yes") as d:
            wait_sync(d)
            same(d.resolve("amelie@example.com").verdict, "yes")
            change(server, BRUNO, "replace: userPassword", "userPassword: bruno-secret")
            time.sleep(0.5)
            same(searches(server, lambda: d.resolve("amelie@example.com")), 0, "a password was changed")


def logins_end():
    with PrivateSlapd() as server:
        with directory(server, ldap_sync="yes", user_filter=ACTIVE) as d:
            wait_sync(d)
            amelie = d.auth("amelie", "amelie-secret").grant
            bruno = d.auth("bruno", "bruno-secret").grant
            d.began("amelie", 20001)
            d.began("bruno", 20002)
            d.began("bruno", 20002)
            same(d.sender(amelie, "amelie@example.com").verdict, "yes")
            change(server, AMELIE, "add: description", "description: nothing")
            time.sleep(0.3)
            same(d.logins_ended(), [], "a change that concerns nothing")
            change(server, AMELIE, "replace: description", "description: disabled")
            ended = []
            at_once(lambda: ended.extend(d.logins_ended()) or "amelie:20001" in ended, "the disabled one's sessions end")
            same(ended, ["amelie:20001"])
            same(d.sender(amelie, "amelie@example.com").verdict, "no", "his submissions stop")
            same(d.redeem(amelie, "queue").verdict, "cannot-say")
            same(d.auth("amelie", "amelie-secret").verdict, "no")
            same(d.sender(bruno, "bruno@example.com").verdict, "yes", "others go on")
            d.over("bruno", 20002)
            server.delete(BRUNO)
            at_once(lambda: "bruno:20002" in d.logins_ended(), "the deleted one's sessions end")
            same(d.sender(bruno, "bruno@example.com").verdict, "no")
            d.over("bruno", 20002)
            wait_for(lambda: has_users(d, 2), 5, "he is still watched: " + d.status().users)


def has_users(d, n):
    return int(d.status().users) == n


def uid_change_ends_login():
    with PrivateSlapd() as server:
        with directory(server, ldap_sync="yes") as d:
            wait_sync(d)
            d.began("amelie", 20001)
            change(server, AMELIE, "replace: uidNumber", "uidNumber: 20099")
            at_once(lambda: d.logins_ended() == ["amelie:20001"], "a session with an old uid ends")


def began_after_the_change():
    """Disabled between his login and the session's beginning."""
    with PrivateSlapd() as server:
        change(server, AMELIE, "add: description", "description: disabled")
        with directory(server, user_filter=ACTIVE) as d:
            d.began("amelie", 20001)
            wait_for(lambda: d.logins_ended() == ["amelie:20001"], 5, "he was never looked at")


def outage_ends_no_login():
    with PrivateSlapd() as server:
        with directory(server, ldap_sync="yes", user_filter=ACTIVE, ldap_timeout="1s") as d:
            wait_sync(d)
            d.began("amelie", 20001)
            server.kill()
            wait_sync(d, "no")
            d.flush()
            time.sleep(2)
            same(d.logins_ended(), [], "the directory's end is not the user's")
            server.start()
            change(server, AMELIE, "add: description", "description: disabled")
            wait_for(lambda: "amelie:20001" in d.logins_ended(), 20, "what happened meanwhile is not found")


def sync_comes_and_goes():
    """Killed, restarted, stopped: no picture is trusted that nobody watches."""
    with PrivateSlapd() as server:
        with directory(server, ldap_sync="yes", directory_cache_ttl="1s", directory_cache_negative_ttl="1s",
                       ldap_timeout="2s") as d:
            wait_sync(d)
            same(d.resolve("amelie@example.com").verdict, "yes")
            server.kill()
            wait_sync(d, "no")
            wait_for(lambda: d.resolve("amelie@example.com").verdict == "cannot-say", 5, "kept for its time only")
            server.start()
            wait_sync(d)
            change(server, AMELIE, "replace: mailacceptinggeneralid", "mailacceptinggeneralid: n@example.com")
            at_once(lambda: d.resolve("n@example.com").verdict == "yes", "told again after a restart")
            server.pause()
            start = time.monotonic()
            wait_sync(d, "no")
            true(time.monotonic() - start < 10, "a silent server was trusted for long")
            server.resume()
            wait_sync(d)


def short_refresh_is_none():
    with PrivateSlapd() as server:
        server.modify_config("dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nreplace: olcLimits\n"
                             "olcLimits: {0}dn.exact=\"%s\" size=2\n" % server.reader_dn)
        with directory(server, ldap_sync="yes", directory_cache_ttl="1s") as d:
            wait_for(lambda: "the refresh stopped early" in d.log(), 10, d.log()[-2000:])
            has(d.log(), "code=4")
            same(d.status().sync, "no")
            same(d.resolve("amelie@example.com").verdict, "yes")
            change(server, AMELIE, "replace: mailacceptinggeneralid", "mailacceptinggeneralid: n@example.com")
            wait_for(lambda: d.resolve("amelie@example.com").verdict == "no", 3, "the cache time holds")


def not_offered():
    with PrivateSlapd() as server:
        with directory(server, ldap_sync="yes", ldap_search_base="cn=Monitor",
                       ldap_bind_dn=server.admin_dn, ldap_bind_pw=server.admin_password) as d:
            wait_for(lambda: "ldap-sync watching=no" in d.log(), 10, d.log()[-2000:])
            same(d.status().sync, "no")


# --- outages ---

def stale_answers():
    with PrivateSlapd() as server:
        with directory(server, directory_cache_ttl="1s", directory_cache_negative_ttl="1s",
                       directory_stale_ttl="6s", ldap_timeout="1s") as d:
            grant = d.auth("amelie", "amelie-secret").grant
            same(d.resolve("amelie@example.com").verdict, "yes")
            same(d.resolve("nobody@example.com").verdict, "no")
            same(d.sender(grant, "amelie@example.com").verdict, "yes")
            server.pause()
            time.sleep(1.1)
            same(d.resolve("amelie@example.com").verdict, "yes", "from what was known")
            start = time.monotonic()
            same(d.sender(grant, "amelie@example.com").verdict, "yes")
            same(d.resolve("amelie@example.com").verdict, "yes")
            true(time.monotonic() - start < 4, "not a timeout each")
            same(d.resolve("nobody@example.com").verdict, "cannot-say", "a no is not served so")
            same(d.resolve("bruno@example.com").verdict, "cannot-say", "never asked before")
            same(d.auth("amelie", "amelie-secret").verdict, "cannot-say", "logins never")
            same(d.auth("amelie@example.com", "amelie-secret").verdict, "cannot-say", "logins never")
            has(d.log(), "directory-stale")
            wait_for(lambda: d.resolve("amelie@example.com").verdict == "cannot-say", 12, "for a bounded time")
            change_when_back(server, d)


def change_when_back(server, d):
    server.resume()
    change(server, AMELIE, "replace: mailacceptinggeneralid", "mailacceptinggeneralid: n@example.com")
    wait_for(lambda: d.resolve("n@example.com").verdict == "yes", 15, "what is true now")
    wait_for(lambda: d.resolve("amelie@example.com").verdict == "no", 15, "the old one is gone")


def no_storm_when_it_returns():
    with PrivateSlapd() as server:
        with directory(server, ldap_timeout="3s") as d:
            d.wait_connected()
            before = server.operations()["search"]
            server.pause()
            tags = [d.ask("resolve", "amelie@example.com") for _ in range(1000)]
            time.sleep(0.5)
            server.resume()
            same({d.wait(t).verdict for t in tags}, {"yes"})
            true(server.operations()["search"] - before < 20, "a storm of searches")


# --- the whole server ---

def ends_with_bye(client):
    """What an IMAP client hears unasked, up to the end."""
    text = b""
    while True:
        line = client.readline()
        if not line:
            return text.decode()
        text += line


def the_whole_server():
    """A user who is disabled while his clients are connected: IMAP says BYE, POP3 -ERR, submission stops. One of his
    sessions has lost its parent, the session program, before."""
    with Instance(options={"user_filter": ACTIVE, "directory_cache_ttl": "1h",
                           "directory_cache_negative_ttl": "1h"}) as mail:
        wait_for(lambda: "ldap-sync watching=yes" in mail.log(), 15, "never told of changes")
        orphan = mail.imap()
        os.kill(mail.pids("session")[0], signal.SIGKILL)
        wait_for(lambda: mail.log().count("child-ready program=session ") == 2, 20, "no session program")
        imap, other, client = mail.imap(), mail.imap("bruno"), mail.submission()
        imap.select()
        same(client.mail("amelie@example.com")[0], 250)
        client.rset()
        silent = mail.imap()  # a session that never said anything
        drop = poplib.POP3_SSL("localhost", mail.ports["pop3s"], context=mail.tls(), timeout=30)
        drop.user("amelie")
        drop.pass_("amelie-secret")
        start = time.monotonic()
        change(mail.slapd, "uid=amelie,ou=mail,dc=example,dc=org", "add: description", "description: disabled")
        has(ends_with_bye(imap), "* BYE [AUTHORIZATIONFAILED]")
        has(ends_with_bye(silent), "* BYE [AUTHORIZATIONFAILED]")
        has(ends_with_bye(orphan), "* BYE [AUTHORIZATIONFAILED]")
        has(drop.file.read(), b"-ERR [AUTH]")
        spent = time.monotonic() - start
        true(spent < 1.5, "his sessions lived for %.2f s" % spent)
        same(client.mail("amelie@example.com")[0] // 100, 5, "his submission goes on")
        try:
            mail.submission()
        except smtplib.SMTPAuthenticationError as e:
            same(e.smtp_code, 535)
        else:
            raise AssertionError("he may log in")
        same(other.noop()[0], "OK", "another user's session")
        change(mail.slapd, "uid=bruno,ou=mail,dc=example,dc=org", "add: mailacceptinggeneralid",
               "mailacceptinggeneralid: fresh@example.com")
        time.sleep(0.3)
        mail.deliver("fresh@example.com", "Subject: fresh\r\n\r\nx\r\n")
        true(any("fresh" in m for m in mail.messages("bruno")), "the new alias receives")
        has(mail.facteur("directory", "flush", "bruno"), "forgotten")
        true("session-died" not in mail.log(), "an error in the log for a session that was to end")


TESTS = [
    ("nothing is asked twice within the cache time", nothing_is_asked_twice),
    ("the same question is under way once", one_question_at_a_time),
    ("the cache times hold", cache_times_hold),
    ("one picture serves sender and recipient", one_picture),
    ("cannot say is never kept", cannot_say_is_not_kept),
    ("a flush forgets one user or all", flush),
    ("the memory is bounded", memory_is_bounded),
    ("a change takes effect within a second", changes_take_effect),
    ("attributes that the server learns later are told of too", attributes_learnt),
    ("what nobody can see is no change", what_is_nobodys_business),
    ("disabled and deleted users' logins end", logins_end),
    ("a session with an old uid ends", uid_change_ends_login),
    ("a session that begins too late ends", began_after_the_change),
    ("an outage ends no login", outage_ends_no_login),
    ("watching follows the server's fate", sync_comes_and_goes),
    ("a refresh that stops early is no picture", short_refresh_is_none),
    ("a server that does not offer it is no fault", not_offered),
    ("lookups go on from what was known, logins do not", stale_answers),
    ("a disabled user is shown out by the whole server", the_whole_server),
    ("no storm when the server returns", no_storm_when_it_returns),
]

if __name__ == "__main__":
    with PrivateSlapd() as slapd:
        chosen = [t for t in TESTS if not sys.argv[1:] or t[1].__name__ in sys.argv[1:]]
        failed = tap.run(chosen)
    sys.exit(1 if failed else 0)
