#!/usr/bin/env python3
"""OAUTHBEARER and XOAUTH2 over SMTP, IMAP and POP3: a private introspection server says whose a token
is, a real slapd has the entries; by curl and step by step."""
import imaplib
import json
import os
import smtplib
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import authline  # noqa: E402
import tap  # noqa: E402
from authline import ALL, Imap, Pop3, Smtp, b64, offers, starts  # noqa: E402
from instance import Instance, free_ports  # noqa: E402
from introspection import Introspection  # noqa: E402
from world import A, AAAA, SERVFAIL, Dns  # noqa: E402

NAMES = ("OAUTHBEARER", "XOAUTH2")
SECRET = "s%c:r+t/ é="


def good(user, **more):
    return dict({"active": True, "username": user, "scope": "openid mail",
                 "exp": int(time.time()) + 3600}, **more)


TOKENS = {
    "amelie.good-1~x+y/z==": good("amelie"),
    "amelie-good": good("amelie"),
    "bruno-good": good("bruno"),
    "chloe-good": good("chloe"),
    "by-address": good("amelie@example.com"),
    "nobody-good": good("nobody"),
    "expired": good("amelie", exp=int(time.time()) - 1),
    "revoked": {"active": False},
    "other-scope": good("amelie", scope="openid"),
    "long-" + "x" * 6000: good("amelie"),
}


def configure(**options):
    instance.options = dict({
        "oauth2_introspection_url": "https://localhost:%d/introspect" % server.port,
        "oauth2_tls_ca_cert_file": instance.ca,
        "oauth2_client_id": "facteur",
        "oauth2_client_secret": SECRET,
        "oauth2_scope": "mail",
        "auth_failure_exceptions": "127.0.0.0/8",
    }, **options)
    instance.restart()


def message(name, token, user="amelie"):
    if name == "XOAUTH2":
        return "user=%s\1auth=Bearer %s\1\1" % (user, token)
    header = "n,a=%s," % user.replace("=", "=3D").replace(",", "=2C") if user else "n,,"
    return "%s\1host=localhost\1port=1\1auth=Bearer %s\1\1" % (header, token)


def say(session, name, text, at_once=True):
    """(what it is told before a refusal, or None; the end)."""
    coded = b64(text.encode())
    fits = len(coded) < 200 or not isinstance(session, Pop3)  # RFC 5034 section 4
    if at_once and fits:
        told, end = session.begin(name, coded)
    else:
        told, end = session.begin(name)
        tap.same((told, end), (b"", None), "the empty challenge")
        told, end = session.line(coded)
    if end is None:
        refused, end = session.line(b64(b"\1") if name == "OAUTHBEARER" else "")
        tap.same(refused, None)
        return json.loads(told), end
    return None, end


def login(kind, token, user="amelie", name="OAUTHBEARER", source="127.0.0.1"):
    session = kind(source)
    try:
        return say(session, name, message(name, token, user))
    finally:
        session.close()


def let_in(kind, token, *more, **named):
    told, end = login(kind, token, *more, **named)
    tap.same(told, None)
    starts(end, kind.yes)


def refused(kind, token, status, *more, **named):
    told, end = login(kind, token, *more, **named)
    tap.same(told and told["status"], status, end)
    starts(end, kind.no)


def later(kind, token, *more, **named):
    told, end = login(kind, token, *more, **named)
    tap.same(told, None)
    starts(end, kind.later)


# --- what is offered ---

def off_by_default():
    tap.same(offers(), [["LOGIN", "PLAIN"]] * 3)
    for kind in ALL:
        session = kind()
        for name in NAMES:
            told, end = session.begin(name, b64(message(name, "amelie-good").encode()))
            tap.same(told, None)
            starts(end, kind.unknown)
        session.close()


def offered():
    configure()
    tap.same(offers(), [["LOGIN", "OAUTHBEARER", "PLAIN", "XOAUTH2"]] * 3)
    with smtplib.SMTP("localhost", instance.ports["submission"], timeout=30) as clear:
        clear.ehlo()
        tap.true("auth" not in clear.esmtp_features, "AUTH without TLS")
    with imaplib.IMAP4("localhost", instance.ports["imap"], timeout=30) as clear:
        tap.true(not [c for c in clear.capabilities if c.startswith("AUTH=")], "AUTH= without TLS")


# --- good tokens ---

def step_by_step():
    for kind in ALL:
        for name in NAMES:
            for at_once in (True, False):
                session = kind()
                told, end = say(session, name, message(name, "amelie.good-1~x+y/z=="), at_once)
                tap.same(told, None)
                starts(end, kind.yes)
                session.close()
    let_in(Imap, "long-" + "x" * 6000)
    let_in(Pop3, "long-" + "x" * 6000, name="XOAUTH2")
    let_in(Smtp, "long-" + "x" * 6000)


def what_the_server_is_asked():
    before = len(server.asked)
    let_in(Imap, "amelie.good-1~x+y/z==")
    tap.same(len(server.asked), before + 1)
    asked = server.asked[-1]
    tap.same((asked["method"], asked["path"]), ("POST", "/introspect"))
    tap.same(asked["form"], {"token": ["amelie.good-1~x+y/z=="], "token_type_hint": ["access_token"]})
    tap.same(asked["headers"]["Content-Type"], "application/x-www-form-urlencoded")
    tap.same(asked["headers"]["Host"], "localhost:%d" % server.port)
    tap.same(server.basic(), ["facteur", SECRET])
    let_in(Imap, "amelie.good-1~x+y/z==")
    tap.same(len(server.asked), before + 2, "nothing is kept of an answer")


def whose_rights():
    instance.deliver("amelie@example.com", "Subject: for amelie alone\r\n\r\nHello\r\n")
    imap = Imap()
    starts(say(imap, "OAUTHBEARER", message("OAUTHBEARER", "amelie-good", "AMELIE"))[1], imap.yes)
    imap.client.state = "AUTH"
    tap.same(imap.client.select("INBOX")[0], "OK")
    tap.has(str(imap.client.fetch("1", "(BODY[])")), "for amelie alone")
    imap.close()
    smtp = Smtp()
    starts(say(smtp, "XOAUTH2", message("XOAUTH2", "amelie-good"))[1], smtp.yes)
    smtp.client.sendmail("amelie@example.com", ["bruno@example.com"],
                         "From: amelie@example.com\r\nSubject: hers\r\n\r\nHello\r\n")
    tap.wait_for(lambda: "hers" in "".join(instance.messages("bruno")), 20)
    try:
        smtp.client.sendmail("bruno@example.com", ["amelie@example.com"], "Subject: his\r\n\r\n\r\n")
        raise AssertionError("she sends as bruno")
    except smtplib.SMTPException as e:
        tap.has(str(e), "553")
    smtp.close()


def who_it_is():
    """The name may be one of the user's addresses, here and there, or be left to the token."""
    for kind in ALL:
        let_in(kind, "amelie-good", "amelie@example.com")
        let_in(kind, "by-address", "amelie")
        let_in(kind, "by-address", "amelie@example.com", name="XOAUTH2")
        let_in(kind, "amelie-good", "")
    tap.has(instance.log(), "user=amelie@example.com verdict=yes login=amelie")


def curl(url, token, *more, user="amelie"):
    return subprocess.run(["curl", "-sS", "--cacert", instance.ca, "--oauth2-bearer", token, "-u",
                           user + ":", *more, url], capture_output=True, text=True, timeout=60)


def by_curl():
    instance.deliver("amelie@example.com", "Subject: by curl\r\n\r\nHello\r\n")
    letter = os.path.join(instance.dir, "letter")
    with open(letter, "w") as text:
        text.write("From: amelie@example.com\r\nSubject: from curl\r\n\r\nHello\r\n")
    urls = (("imaps://localhost:%d/INBOX;MAILINDEX=1" % instance.ports["imaps"], ()),
            ("pop3s://localhost:%d/1" % instance.ports["pop3s"], ()),
            ("smtp://localhost:%d" % instance.ports["submission"],
             ("--ssl-reqd", "--mail-from", "amelie@example.com", "--mail-rcpt", "bruno@example.com",
              "-T", letter)))
    for url, more in urls:
        for name in NAMES:
            for ir in ((), ("--sasl-ir",)):
                done = curl(url, "amelie-good", "--login-options", "AUTH=" + name, *more, *ir)
                tap.same(done.returncode, 0, "%s %s: %s" % (url, name, done.stderr))
                if not more:
                    tap.has(done.stdout, "Subject: ")
                done = curl(url, "revoked", "--login-options", "AUTH=" + name, *more, *ir)
                tap.same(done.returncode, 67, "%s %s: %s" % (url, name, done.stderr))
    tap.wait_for(lambda: "from curl" in "".join(instance.messages("bruno")), 20)


# --- tokens that are not ---

def refusals():
    for kind in ALL:
        for name, words in (("OAUTHBEARER", ("invalid_token", "insufficient_scope")),
                            ("XOAUTH2", ("401", "403"))):
            for token, user in (("revoked", "amelie"), ("unknown", "amelie"), ("expired", "amelie"),
                                ("bruno-good", "amelie"), ("amelie-good", "bruno"),
                                ("nobody-good", "nobody"), ("amelie-good", "nobody")):
                refused(kind, token, words[0], user, name=name)
            refused(kind, "other-scope", words[1], name=name)
    told, _ = login(Imap, "other-scope")
    tap.same(told, {"status": "insufficient_scope", "scope": "mail"})
    tap.has(instance.log(), 'verdict=no login="" why="the token is another user\'s"')
    tap.has(instance.log(), 'why="the token lacks a scope"')


def what_is_no_message():
    before = len(server.asked)
    for kind in ALL:
        for text in ("", "\1", "n,,\1\1", "p=tls-unique,,\1auth=Bearer amelie-good\1\1",
                     "n,,\1auth=Bearer amelie-good", "n,,\1auth=Basic YTpi\1\1",
                     "n,a=amelie,\1auth=Bearer a b\1\1", "n,,\1auth=Bearer x\r\nHost: y\1\1"):
            session = kind()
            told, end = say(session, "OAUTHBEARER", text, False)
            tap.same(told and told["status"], "invalid_request", end)
            starts(end, kind.no)
            session.close()
    tap.same(len(server.asked), before)


def cancelled():
    for kind, told in ((Smtp, "501 5.7.0"), (Imap, "x BAD"), (Pop3, "-ERR")):
        session = kind()
        session.begin("OAUTHBEARER")
        starts(session.line("*")[1], told)
        challenge, end = session.begin("XOAUTH2", b64(message("XOAUTH2", "revoked").encode()))
        tap.same((json.loads(challenge)["status"], end), ("401", None))
        starts(session.line("*")[1], told)
        starts(say(session, "OAUTHBEARER", message("OAUTHBEARER", "amelie-good"))[1], kind.yes)
        session.close()


# --- what cannot be said ---

def nonsense():
    tokens = {
        "malformed": b'{"active":true,',
        "empty": b"",
        "list": b"[]",
        "nameless": {"active": True, "scope": "mail"},
        "twice": b'{"active":true,"active":true,"username":"amelie","scope":"mail"}',
        "huge": json.dumps(good("amelie", more="x" * 100000)).encode(),
        "deep": b'{"a":' + b"[" * 60000,
        "error": lambda handler: handler.say(500, good("amelie")),
        "who-are-you": lambda handler: handler.say(401, {"error": "invalid_client"}),
        "elsewhere": lambda handler: handler.say(302, good("amelie"), Location="/other"),
        "hangs-up": lambda handler: handler.connection.close(),
        "no-http": lambda handler: handler.wfile.write(b"220 ready\r\n"),
    }
    server.tokens.update(tokens)
    for number, token in enumerate(tokens):
        later(ALL[number % 3], token, name=NAMES[number % 2])
    tap.true(not [a for a in server.asked if a["path"] == "/other"], "it followed elsewhere")
    tap.has(instance.log(), "introspection-failed")
    let_in(Imap, "amelie-good")


def endless():
    """Octet by octet without an end, and nothing at all; nobody else waits for it."""
    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        while not server.released.wait(0.1):
            handler.wfile.write(b" ")
    server.tokens.update({"endless": drip, "slow": server.hold})
    configure(oauth2_timeout="5s")
    waiting = []
    for kind in ALL:
        for token in ("endless", "slow"):
            session = kind()
            session.begin("OAUTHBEARER")
            session.client.sock.sendall(b64(message("OAUTHBEARER", token).encode()).encode() + b"\r\n")
            waiting.append(session)
    tap.wait_for(lambda: [a["token"] for a in server.asked[-6:]].count("slow") == 3, 20)
    for kind in ALL:
        let_in(kind, "amelie-good")
    for session in waiting:
        line = session.client.file if session.client.file else session.client.sock.makefile("rb")
        starts(line.readline().decode(), session.later)
        session.close()


def server_down():
    """One that is not there, then another that is: places are tried in turn."""
    closed, = free_ports(1)
    url = "https://localhost:%d/introspect" % server.port
    configure(oauth2_introspection_server="inet:127.0.0.1:%d" % closed)
    for kind in ALL:
        later(kind, "amelie-good")
    configure(oauth2_introspection_url=url, oauth2_introspection_server=
              "unix:%s/nowhere inet:127.0.0.1:%d inet:127.0.0.1:%d" % (instance.dir, closed, server.port))
    for kind in ALL:
        let_in(kind, "amelie-good")


def wrong_certificate():
    configure(oauth2_introspection_url="https://id.example.org/introspect",
              oauth2_introspection_server="inet:127.0.0.1:%d" % server.port)
    later(Imap, "amelie-good")
    configure(oauth2_introspection_url="https://mail.example.org/introspect",
              oauth2_introspection_server="inet:127.0.0.1:%d" % server.port)
    let_in(Imap, "amelie-good")
    stranger = os.path.join(instance.dir, "stranger.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", stranger + ".key", "-out",
                    stranger, "-subj", "/CN=stranger", "-days", "2"], check=True, capture_output=True)
    asked = len(server.asked)
    configure(oauth2_tls_ca_cert_file=stranger)
    later(Imap, "amelie-good")
    tap.same(len(server.asked), asked, "it was asked all the same")


def by_name():
    """Without oauth2_introspection_server the DNS is asked where the host is; two of its addresses lead
    nowhere."""
    dns, place = Dns(), ("127.0.0.77", "127.0.0.78", "127.0.0.1")
    dns.zone["mail.example.org"] = {A: [socket.inet_aton(a) for a in place],
                                    AAAA: [socket.inet_pton(socket.AF_INET6, "::1")]}
    dns.zone["id.example.org"] = {A: [socket.inet_aton("127.0.0.1")]}
    dns.zone["nowhere.example.org"] = {}
    dns.zone["broken.example.org"] = {"all": SERVFAIL}
    try:
        def named(host):
            configure(oauth2_introspection_url="https://%s:%d/introspect" % (host, server.port),
                      dns_servers="127.0.0.1:%d" % dns.port, dns_trust_anchor="")
        named("mail.example.org")
        let_in(Imap, "amelie-good")
        tap.same(server.asked[-1]["headers"]["Host"], "mail.example.org:%d" % server.port)
        tap.true(("mail.example.org", A) in dns.asked, "nobody asked the DNS: %s" % dns.asked)
        os.kill(instance.pids("relay")[0], 9)
        tap.wait_for(lambda: login(Smtp, "amelie-good")[1].startswith(Smtp.yes), 30)
        refused(Pop3, "revoked", "invalid_token")
        asked = len(server.asked)
        for host in ("id.example.org", "nowhere.example.org", "unheard.example.org", "broken.example.org"):
            named(host)
            later(Imap, "amelie-good")
        tap.same(len(server.asked), asked, "one without a certificate for its name was asked")
    finally:
        dns.close()


def directory_down():
    configure()
    instance.slapd.stop()
    for kind in ALL:
        later(kind, "amelie-good")
    instance.slapd.start()
    tap.wait_for(lambda: login(Imap, "amelie-good")[1].startswith(Imap.yes), 30)


# --- as any login ---

def set_flag(uid, change):
    instance.slapd.modify("dn: uid=%s,%s\nchangetype: modify\n%s\n" % (uid, instance.slapd.mail_base, change))


def accounts_that_may_not():
    configure(user_filter="(&(objectClass=posixAccount)(uid=%u)(!(description=gone)))")
    set_flag("chloe", "add: description\ndescription: gone\n")
    for kind in ALL:
        refused(kind, "chloe-good", "invalid_token", "chloe")
        refused(kind, "chloe-good", "invalid_token", "")
    set_flag("chloe", "delete: description\n")
    configure(account_state_attribute="description")
    set_flag("chloe", "add: description\ndescription: disabled\n")
    for kind, told in ((Smtp, "5"), (Imap, "x NO [CONTACTADMIN]"), (Pop3, "-ERR [AUTH]")):
        starts(login(kind, "chloe-good", "chloe")[1], told)
    set_flag("chloe", "delete: description\n")
    instance.facteur("directory", "flush")
    let_in(Imap, "chloe-good", "chloe")


def guesses_are_counted():
    """As wrong passwords of that account, from everywhere; past the limit nobody is asked."""
    configure(auth_failure_exceptions="")
    let_in(Smtp, "bruno-good", "bruno")
    ends = [login(Smtp, "revoked", "bruno", source="127.1.%d.1" % i)[1][:3] for i in range(8)]
    tap.same(ends, ["535"] * 4 + ["454"] * 4)
    asked = len(server.asked)
    starts(login(Smtp, "bruno-good", "bruno", source="127.9.9.9")[1], "454 4.7.0")
    tap.same(len(server.asked), asked)
    let_in(Imap, "bruno-good", "bruno")
    let_in(Smtp, "bruno-good", "bruno", source="127.9.9.9")


# --- other settings ---

def a_page_that_the_token_opens():
    server.tokens.update({"page": {"email": "amelie@example.com"},
                          "page-no": lambda handler: handler.say(401, {"error": "invalid_token"}),
                          "page-late": lambda handler: handler.say(503, {})})
    configure(oauth2_introspection_mode="auth", oauth2_username_attribute="email", oauth2_scope="")
    for kind in ALL:
        let_in(kind, "page")
        refused(kind, "page-no", "invalid_token")
        later(kind, "page-late")
    tap.same((server.asked[-1]["method"], server.asked[-1]["headers"]["Authorization"]),
             ("GET", "Bearer page-late"))


def a_secret_of_its_own():
    path = os.path.join(instance.dir, "client.secret")
    with open(path, "w") as out:
        out.write("from a file\nnot this\n")
    os.chmod(path, 0o600)
    configure(oauth2_client_secret="", oauth2_client_secret_file=path)
    let_in(Imap, "amelie-good")
    tap.same(server.basic(), ["facteur", "from a file"])
    with open(path, "w") as out:
        out.write("another\n")
    instance.reload()
    tap.wait_for(lambda: login(Imap, "amelie-good")[1].startswith(Imap.yes) and
                 server.basic() == ["facteur", "another"], 20)


def without_tls_on_this_machine():
    path = os.path.join(instance.dir, "id.sock")
    plain, local = Introspection(), Introspection(unix=path)
    plain.tokens = local.tokens = TOKENS
    try:
        configure(oauth2_introspection_url="http://localhost:%d/introspect" % plain.port)
        let_in(Imap, "amelie-good")
        configure(oauth2_introspection_url="http://id.example.org/introspect",
                  oauth2_introspection_server="unix:" + path)
        let_in(Imap, "amelie-good")
        refused(Pop3, "revoked", "invalid_token")
        tap.same(local.asked[-1]["headers"]["Host"], "id.example.org")
    finally:
        plain.close()
        local.close()


def filter_dies():
    configure()
    let_in(Imap, "amelie-good")
    server.tokens["slow"] = server.hold
    session = Imap()
    session.begin("OAUTHBEARER")
    session.client.sock.sendall(b64(message("OAUTHBEARER", "slow").encode()).encode() + b"\r\n")
    tap.wait_for(lambda: server.asked[-1]["token"] == "slow")
    os.kill(instance.pids("filter")[0], 9)
    starts(session.client.readline().decode(), Imap.later)
    session.close()
    tap.wait_for(lambda: login(Imap, "amelie-good")[1].startswith(Imap.yes), 30)


def tokens_stay_secret():
    log = instance.log()
    for token in list(TOKENS) + ["slow", "endless", SECRET]:
        if token.startswith(("amelie", "bruno", "chloe", "long", SECRET)):
            tap.true(token not in log, "the log shows " + token)
    shown = instance.facteur("status")
    tap.has(shown, "tokens=")


if __name__ == "__main__":
    with Instance() as instance:
        authline.Line.instance = instance
        server = Introspection(instance.certificate("mail.example.org"))
        server.tokens = dict(TOKENS)
        try:
            failed = tap.run([(f.__name__.replace("_", " "), f) for f in (
                off_by_default, offered, step_by_step, what_the_server_is_asked, whose_rights, who_it_is,
                by_curl, refusals, what_is_no_message, cancelled, nonsense, endless, server_down,
                wrong_certificate, by_name, directory_down, accounts_that_may_not, guesses_are_counted,
                a_page_that_the_token_opens, a_secret_of_its_own, without_tls_on_this_machine,
                filter_dies, tokens_stay_secret)])
        finally:
            server.close()
    sys.exit(failed > 0)
