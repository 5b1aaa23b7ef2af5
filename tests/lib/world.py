"""The world outside, on loopback: a DNS server with a zone in a dict, and SMTP servers that behave as
they are told. Every server has an address of its own in 127.0.0.0/8 and all share one port.

    world = World()
    world.mx("good.example", (10, "mx.good.example"))
    sink = world.sink("mx.good.example", rcpt=lambda address: "450 4.2.1 later")
    sink.messages
"""
import base64
import ipaddress
import os
import select
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

import tap
from instance import Instance

A, SOA, MX, AAAA = 1, 6, 15, 28
SERVFAIL = "servfail"


def wire_name(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".") if p) + b"\0"


class Dns:
    """zone: {name: {type: [data] or SERVFAIL}}; a name that is not there does not exist."""

    def __init__(self):
        self.zone = {}
        self.silent = False
        self.asked = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.port = self.udp.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                query, client = self.udp.recvfrom(4096)
            except OSError:
                return
            if not self.silent:
                self.udp.sendto(self.answer(query), client)

    def answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
            at += 1 + query[at]
        question = query[12:at + 5]
        name, kind = ".".join(labels), struct.unpack("!H", query[at + 1:at + 3])[0]
        self.asked.append((name, kind))
        known = self.zone.get(name)
        data = (known or {}).get(kind, [])
        if data == SERVFAIL or (known or {}).get("all") == SERVFAIL:
            return query[:2] + struct.pack("!HHHHH", 0x8182, 1, 0, 0, 0) + question
        code = 0 if known is not None else 3
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 1, len(d)) + d for d in data)
        soa = b""
        if not data:
            rdata = wire_name("ns.example") * 2 + struct.pack("!IIIII", 1, 1, 1, 1, 1)
            soa = wire_name("example") + struct.pack("!HHIH", SOA, 1, 1, len(rdata)) + rdata
        return query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(data), bool(soa), 0) + \
            question + records + soa

    def close(self):
        self.udp.close()


class Sink:
    """One SMTP server. What it says: greeting, ehlo (lines of extensions), mail, rcpt, data, dot: a
    text or a function; None from a function closes the connection. tls: a context; inject: bytes sent
    behind the answer to STARTTLS. lmtp: LHLO, and an answer to the message for each recipient (dot is
    asked with the state and the address). eager: 354 though nobody is to have the message. stall: a
    verb, "handshake" or "body", at which it falls silent. chunks: the sizes that BDAT said."""

    def __init__(self, ip, port, name, **say):
        self.name, self.say = name, say
        self.messages, self.commands, self.connections, self.chunks = [], [], 0, []
        self.open, self.most, self.counting = 0, 0, threading.Lock()  # connections at once
        self.ended = threading.Event()
        self.listener = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if say.get("stall") == "body":
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.bind((ip, port))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(200)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.session, args=(client,), daemon=True).start()

    def reply(self, stage, default, *arguments):
        said = self.say.get(stage, default)
        return said(*arguments) if callable(said) else said

    def count(self, more):
        with self.counting:
            self.open += more
            self.most = max(self.most, self.open)

    def session(self, client):
        self.count(1)
        try:
            self.talk(client)
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            self.count(-1)
            client.close()

    def extensions(self, secured):
        lines = list(self.say.get("ehlo", ("PIPELINING", "8BITMIME", "SIZE 10000000", "SMTPUTF8",
                                           "ENHANCEDSTATUSCODES")))
        if self.say.get("tls") and not secured:
            lines.append("STARTTLS")
        return [self.name] + lines

    def talk(self, client):
        file = client.makefile("rwb")

        def send(text):
            if text is None:
                raise ValueError
            file.write(text.encode() + b"\r\n")
            file.flush()

        secured, state = False, None
        if self.say.get("stall") == "greeting":
            self.silence(client)
        send(self.reply("greeting", "220 %s ESMTP" % self.name))
        while True:
            line = file.readline()
            if not line:
                return
            line = line.decode().rstrip("\r\n")
            self.commands.append(line)
            verb = line.split(" ")[0].upper()
            if self.say.get("stall") == verb:
                self.silence(client)
            if verb == ("LHLO" if self.say.get("lmtp") else "EHLO"):
                if self.say.get("no_ehlo"):
                    send("500 5.5.1 what?")
                    continue
                lines = self.extensions(secured)
                send("\r\n".join("250%s%s" % ("-" if i + 1 < len(lines) else " ", text)
                                 for i, text in enumerate(lines)))
            elif verb == "AUTH":
                send(self.authenticate(line, file, send))
            elif verb == "HELO":
                send("250 " + self.name)
            elif verb == "STARTTLS":
                if "inject" in self.say:
                    file.write(b"220 go\r\n" + self.say["inject"])
                    file.flush()
                else:
                    send("220 go")
                if self.say.get("stall") == "handshake":
                    self.silence(client)
                client = self.say["tls"].wrap_socket(client, server_side=True)
                file, secured = client.makefile("rwb"), True
            elif verb == "MAIL":
                state = {"sender": line[line.index("<") + 1:line.index(">")], "to": [],
                         "mail": line, "tls": secured, "ahead": b""}
                if self.say.get("look_ahead"):
                    time.sleep(0.3)
                    if file.peek(0) or select.select([client], [], [], 0)[0]:
                        state["ahead"] = file.peek(1)
                send(self.reply("mail", "250 2.1.0 ok", state["sender"]))
            elif verb == "RCPT":
                address = line[line.index("<") + 1:line.rindex(">")]
                said = self.reply("rcpt", "250 2.1.5 ok", address)
                if said and said[0] == "2":
                    state["to"].append(address)
                send(said)
            elif verb == "DATA":
                said = self.reply("data", "354 go on")
                if not state["to"] and not self.say.get("eager"):
                    said = "503 5.5.1 for whom?"
                send(said)
                if said[0] == "3" and self.say.get("stall") == "body":
                    self.silence(client)
                if said[0] == "3":
                    self.data(file, state, send)
            elif verb == "BDAT":
                self.chunks.append(int(line.split()[1]))
                state["data"] = file.read(self.chunks[-1])
                self.taken(state, send)
            elif verb in ("RSET", "NOOP"):
                send("250 2.0.0 ok")
            elif verb == "QUIT":
                send("221 2.0.0 bye")
                return
            else:
                send("500 5.5.1 what?")

    def authenticate(self, line, file, send):
        words = line.split(" ")
        if words[1] == "PLAIN":
            got = base64.b64decode(words[2]).decode().split("\0")[1:]
        else:
            got = []
            for _ in range(2):
                send("334 " + base64.b64encode(b"?").decode())
                got.append(base64.b64decode(file.readline()).decode())
        return "235 2.7.0 hello" if got == self.say.get("login") else "535 5.7.8 who are you?"

    def data(self, file, state, send):
        lines = []
        while True:
            line = file.readline()
            if not line:
                return
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        state["data"] = b"".join(lines)
        if self.say.get("stall") == ".":
            time.sleep(30)
        self.taken(state, send)

    def taken(self, state, send):
        if not self.say.get("lmtp"):
            said = self.reply("dot", "250 2.0.0 taken", state)
            if said and said[0] == "2":
                self.messages.append(state)
            send(said)
            return
        said = {to: self.reply("dot", "250 2.0.0 taken", state, to) for to in state["to"]}
        self.messages.append(dict(state, to=[to for to in said if (said[to] or "5")[0] == "2"]))
        for text in said.values():
            send(text)

    def silence(self, client):
        """Reads nothing and says nothing until the other side is gone, or for half a minute."""
        for _ in range(600):
            time.sleep(0.05)
            info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
            if info[0] != 1:  # no longer ESTABLISHED
                self.ended.set()
                break
        raise ValueError

    def texts(self):
        return [m["data"].decode("utf-8", "surrogateescape") for m in self.messages]

    def close(self):
        self.listener.close()


class World:
    def __init__(self):
        self.dns = Dns()
        self.base = 2 + (os.getpid() * 7919) % 60000
        with socket.socket() as s:
            s.bind((self.ip(0), 0))
            self.port = s.getsockname()[1]
        self.sinks, self.count = [], 1
        self.dir = tempfile.mkdtemp(prefix="facteur-world-")

    def ip(self, number):
        return str(ipaddress.ip_address("127.1.0.0") + self.base + number)

    def options(self):
        return {"dns_servers": "127.0.0.1:%d" % self.dns.port, "smtp_tcp_port": str(self.port), "dns_trust_anchor": "",
                "maximal_backoff_time": "2s", "smtp_connect_timeout": "3s",
                "smtp_connection_cache_time_limit": "1s"}

    def record(self, name, kind, data):
        self.dns.zone.setdefault(name, {})[kind] = data

    def mx(self, domain, *exchangers):
        self.record(domain, MX, [struct.pack("!H", n) + wire_name(host) for n, host in exchangers])

    def address(self, name, *ips):
        self.record(name, A, [socket.inet_aton(ip) for ip in ips])

    def address6(self, name, *ips):
        self.record(name, AAAA, [socket.inet_pton(socket.AF_INET6, ip) for ip in ips])

    def new_ip(self):
        self.count += 1
        return self.ip(self.count)

    def sink(self, name, mx_of=None, preference=10, ip=None, **say):
        ip = ip or self.new_ip()
        self.address(name, ip)
        if mx_of:
            self.mx(mx_of, (preference, name))
        sink = Sink(ip, self.port, name, **say)
        sink.ip = ip
        self.sinks.append(sink)
        return sink

    def context(self, *names):
        """A TLS context for a server, with a certificate of this world's own CA (self.ca)."""
        self.ca = os.path.join(self.dir, "ca.pem")
        key = os.path.join(self.dir, "ca.key")
        stem = os.path.join(self.dir, names[0])

        def openssl(*arguments):
            subprocess.run(("openssl",) + arguments, check=True, capture_output=True)
        if not os.path.exists(self.ca):
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", self.ca, "-days", "30", "-subj", "/CN=World CA")
            os.chmod(self.dir, 0o755)
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", stem + ".key", "-out", stem + ".csr", "-subj", "/CN=" + names[0])
        with open(stem + ".ext", "w") as ext:
            ext.write("subjectAltName=" + ",".join("DNS:" + n for n in names) + "\n")
        openssl("x509", "-req", "-in", stem + ".csr", "-CA", self.ca, "-CAkey", key, "-days", "30",
                "-set_serial", "0x" + os.urandom(8).hex(), "-extfile", stem + ".ext", "-out",
                stem + ".crt")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(stem + ".crt", stem + ".key")
        return context

    def close(self):
        for sink in self.sinks:
            sink.close()
        self.dns.close()
        subprocess.run(["rm", "-rf", self.dir])


def in_world(tests, **options):
    """Runs the tests that tests(mail, world) lists, with a server (options are beside those of the world)
    and a world outside, shows the end of the server's log where one fails, and ends the program."""
    world, failed = World(), 1
    try:
        with Instance(options=dict(world.options(), **options)) as mail:
            failed = tap.run(tests(mail, world))
            if failed:
                for line in mail.log().splitlines()[-int(os.environ.get("LOG_LINES", "60")):]:
                    print("# " + line)
    finally:
        world.close()
    sys.exit(failed > 0)
