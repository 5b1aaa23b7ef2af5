"""Conversations with a server, written as plain text, that read like the protocol.

    # a comment
    C: a1 SELECT INBOX              one line to the server (CR LF is added)
    S: * 2 EXISTS                   the next line from the server is exactly this
    S: a1 OK ... completed          "..." inside a line stands for any text
    S: ...                          any lines, until the next S line fits
    S: ~\\* OK \\[UIDVALIDITY (?P<V>\\d+)\\].*   "~": a regular expression for the whole line; a named
                                    group becomes a variable: $V in later lines
    S*: line                        a run of these: the lines come in any order
    C-LIT: line                     one line of a literal; {$} or {$+} in the C line before stands for
                                    the literal's length. A C line follows it (often an empty one)
    C-RAW: text\\r\\n\\x00             bytes with Python's escapes, nothing added; counts as literal too
    S-LIT: line                     a line of a literal; {$} in the S line before must be its length
    C2: / S2:                       another connection, opened at its first use
    M: line                         a line of a message for the directive before it

    @connect [2]   @close [2]       opens, closes now
    @starttls [2]                   TLS handshake now
    @compress [2]                   both directions are compressed from now on (RFC 4978)
    @eof [2]                        the server closes the connection
    @silence SECONDS [2]            nothing arrives for so long
    @wait SECONDS    @timeout SECONDS
    @NAME WORDS                     anything else is the runner's (setup, deliver, ...)

Variables are $CAPITALS; one that is not known stands for itself (keywords such as $Junk).
"""

import codecs
import os
import re
import select
import shlex
import socket
import subprocess
import time
import zlib


class DialogueError(Exception):
    pass


class TcpTransport:
    """A connection to a server; tls: from the first byte."""

    def __init__(self, host, port, context=None, tls=False, server_hostname="localhost"):
        self.context = context
        self.name = server_hostname
        self.sock = socket.create_connection((host, port), timeout=10)
        self.sock.settimeout(None)
        if tls:
            self.starttls()

    def starttls(self):
        if self.context is None:
            raise DialogueError("no TLS context was given")
        self.sock.settimeout(10)
        self.sock = self.context.wrap_socket(self.sock, server_hostname=self.name)
        self.sock.settimeout(None)

    def send(self, data):
        self.sock.sendall(data)

    def recv(self, timeout):
        """Bytes, b'' at the end, None when nothing came in time."""
        pending = getattr(self.sock, "pending", None)
        if not (pending and pending()) and not select.select([self.sock], [], [], timeout)[0]:
            return None
        try:
            return self.sock.recv(65536)
        except ConnectionResetError:
            return b""

    def close(self):
        self.sock.close()
        return None


class ProcessTransport:
    """A program that speaks the protocol on its standard input and output."""

    def __init__(self, argv, env=None):
        self.errors = []
        self.proc = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, env=env, bufsize=0)

    def starttls(self):
        raise DialogueError("a program on standard input has no TLS")

    def send(self, data):
        try:
            while data:
                data = data[self.proc.stdin.write(data):]
        except BrokenPipeError:
            pass

    def recv(self, timeout):
        out = self.proc.stdout
        if not select.select([out], [], [], timeout)[0]:
            return None
        return os.read(out.fileno(), 65536)

    def close(self):
        """Ends it; what went wrong with it, or None."""
        try:
            self.proc.stdin.close()
        except BrokenPipeError:
            pass
        # Unread output must not keep it from ending.
        self.proc.stdout.close()
        try:
            stderr = self.proc.stderr.read()
            status = self.proc.wait(20)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            return "the program did not end"
        finally:
            self.proc.stderr.close()
        text = stderr.decode("utf-8", "replace")
        if status != 0 or "Sanitizer" in text or "runtime error" in text:
            return "exit status %d\n%s" % (status, text[-3000:])
        return None


class DeflateTransport:
    """COMPRESS=DEFLATE on top of another transport."""

    def __init__(self, below):
        self.below = below
        self.out = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.into = zlib.decompressobj(-15)

    def send(self, data):
        self.below.send(self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH))

    def recv(self, timeout):
        data = self.below.recv(timeout)
        # What came may be the end of a block and nothing more.
        return (self.into.decompress(data) or None) if data else data

    def close(self):
        return self.below.close()


class Connection:
    def __init__(self, name, transport):
        self.name = name
        self.transport = transport
        self.buffer = b""
        self.ended = False
        self.log = []

    def fill(self, deadline):
        """False when nothing came before the deadline or at the end."""
        left = deadline - time.monotonic()
        data = self.transport.recv(max(left, 0))
        if data == b"":
            self.ended = True
        if not data:
            return data is None and not self.ended and time.monotonic() < deadline
        self.buffer += data
        return True

    def line(self, deadline):
        """The next line without its end, or None."""
        while b"\n" not in self.buffer:
            if self.ended or not self.fill(deadline):
                return None
        raw, self.buffer = self.buffer.split(b"\n", 1)
        text = (raw[:-1] if raw.endswith(b"\r") else raw + b"<bare LF>").decode("latin-1")
        self.log.append("S%s: %s" % (self.name, text))
        return text

    def send(self, data, shown):
        self.log.append("C%s: %s" % (self.name, shown))
        self.transport.send(data)


class Step:
    def __init__(self, number, kind, conn, text):
        self.number, self.kind, self.conn, self.text = number, kind, conn, text


LINE = re.compile(r"^(C-LIT|C-RAW|S-LIT|C|S\*|S|M)(\d*):(?: (.*)|)$")


def parse(path):
    steps = []
    with open(path, encoding="utf-8", newline="\n") as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("@"):
                steps.append(Step(number, "@", "", line[1:]))
                continue
            # S2*: and C2-LIT: read as well as S*2: and C-LIT2:.
            m = LINE.match(re.sub(r"^([CS])(\d+)(\*|-LIT|-RAW):", r"\1\3\2:", line))
            if not m:
                raise DialogueError("%s:%d: not a dialogue line: %s" % (path, number, line))
            steps.append(Step(number, m.group(1), m.group(2), m.group(3) or ""))
    return steps


class Dialogue:
    """connect(name) gives a transport; directives: name -> function(dialogue, words, message)."""

    def __init__(self, path, connect, variables=None, directives=None, timeout=10.0):
        self.path = path
        self.connect = connect
        self.variables = dict(variables or {})
        self.directives = directives or {}
        self.timeout = timeout
        self.connections = {}

    # --- variables and patterns ---

    def expand(self, text, quote=lambda s: s):
        def value(m):
            known = self.variables.get(m.group(1))
            return m.group(0) if known is None else quote(known)
        return re.sub(r"\$([A-Z][A-Z0-9_]*)(?![A-Za-z0-9_])", value, text)

    def pattern(self, text, literal=None):
        if text.startswith("~"):
            return re.compile(self.expand(text[1:], re.escape), re.S)
        text = self.expand(text)
        if literal is not None:
            text = text.replace("{$}", "{%d}" % literal)
        text = text.encode("utf-8").decode("latin-1")
        return re.compile(".*".join(re.escape(p) for p in text.split("...")), re.S)

    def fits(self, pattern, line):
        m = pattern.fullmatch(line)
        if m:
            self.variables.update({k: v for k, v in m.groupdict().items() if v is not None})
        return m is not None

    # --- running ---

    def fail(self, step, why):
        conn = self.connections.get(step.conn)
        log = "\n".join(conn.log[-15:]) if conn else ""
        raise DialogueError("%s:%d: %s\n%s" % (os.path.basename(self.path), step.number, why, log))

    def connection(self, name):
        if name not in self.connections:
            self.connections[name] = Connection(name, self.connect(name))
        return self.connections[name]

    def close(self, name):
        conn = self.connections.pop(name, None)
        wrong = conn.transport.close() if conn else None
        if wrong:
            raise DialogueError("%s: connection %s: %s\n%s" % (
                os.path.basename(self.path), name or "1", wrong, "\n".join(conn.log[-10:])))

    def run(self):
        steps = parse(self.path)
        at = 0
        try:
            while at < len(steps):
                at = self.step(steps, at)
        except BaseException:
            for name in list(self.connections):
                try:
                    self.close(name)
                except DialogueError:
                    pass
            raise
        for name in list(self.connections):
            self.close(name)

    def step(self, steps, at):
        step = steps[at]
        if step.kind == "@":
            return self.directive(steps, at)
        if step.kind in ("C", "C-LIT", "C-RAW"):
            return self.say(steps, at)
        if step.kind == "S*":
            return self.hear_any_order(steps, at)
        if step.kind == "M":
            self.fail(step, "a message line without a directive")
        return self.hear(steps, at)

    def client_bytes(self, step):
        text = self.expand(step.text)
        if step.kind == "C-RAW":
            return codecs.escape_decode(text.encode("utf-8"))[0]
        return text.encode("utf-8") + b"\r\n"

    def say(self, steps, at):
        step = steps[at]
        data = self.client_bytes(step)
        if step.kind == "C" and (b"{$}" in data or b"{$+}" in data):
            size, i = 0, at + 1
            while i < len(steps) and not (steps[i].kind.startswith("C-") and
                                          steps[i].conn == step.conn):
                i += 1
            while i < len(steps) and steps[i].kind.startswith("C-") and steps[i].conn == step.conn:
                size += len(self.client_bytes(steps[i]))
                i += 1
            data = data.replace(b"{$", b"{%d" % size)
        self.connection(step.conn).send(data, data.decode("latin-1").rstrip("\r\n"))
        return at + 1

    def literal_size(self, steps, at):
        """Length of the S-LIT block behind a step, None without one."""
        conn, size, i = steps[at].conn, 0, at + 1
        while i < len(steps) and steps[i].kind == "S-LIT" and steps[i].conn == conn:
            size += len(self.expand(steps[i].text).encode("utf-8")) + 2
            i += 1
        return size if i > at + 1 else None

    def hear(self, steps, at):
        step = steps[at]
        conn = self.connection(step.conn)
        deadline = time.monotonic() + self.timeout
        skip = step.kind == "S" and step.text == "..."
        if skip:
            at += 1
            if at == len(steps) or steps[at].conn != step.conn or steps[at].kind != "S":
                self.fail(step, "'S: ...' must stand before an S line of its connection")
            step = steps[at]
        if step.kind == "S-LIT":
            pattern = re.compile(re.escape(
                self.expand(step.text).encode("utf-8").decode("latin-1")))
        else:
            pattern = self.pattern(step.text, self.literal_size(steps, at))
        while True:
            line = conn.line(deadline)
            if line is None:
                self.fail(step, "expected: %s\nbut %s" % (
                    step.text, "the server closed the connection" if conn.ended
                    else "nothing came in %g s, rest %r" % (self.timeout, conn.buffer[:200])))
            if self.fits(pattern, line):
                return at + 1
            if not skip:
                self.fail(step, "expected: %s\n     got: %s" % (step.text, line))

    def hear_any_order(self, steps, at):
        first, wanted = steps[at], []
        while at < len(steps) and steps[at].kind == "S*" and steps[at].conn == first.conn:
            wanted.append(steps[at])
            at += 1
        deadline = time.monotonic() + self.timeout
        while wanted:
            line = self.connection(first.conn).line(deadline)
            hit = next((s for s in wanted if line is not None and
                        self.fits(self.pattern(s.text), line)), None)
            if hit is None:
                self.fail(wanted[0], "expected one of:\n  %s\ngot: %s" % (
                    "\n  ".join(s.text for s in wanted), line))
            wanted.remove(hit)
        return at

    # --- directives ---

    def directive(self, steps, at):
        step = steps[at]
        words = shlex.split(self.expand(step.text))
        name, words = words[0], words[1:]
        message = b""
        at += 1
        while at < len(steps) and steps[at].kind == "M":
            message += self.expand(steps[at].text).encode("utf-8") + b"\n"
            at += 1
        own = getattr(self, "do_" + name, None)
        if own:
            own(step, words)
        elif name in self.directives:
            self.directives[name](self, words, message)
        else:
            self.fail(step, "unknown directive @%s" % name)
        return at

    def do_connect(self, step, words):
        self.connection(words[0] if words else "")

    def do_close(self, step, words):
        self.close(words[0] if words else "")

    def do_starttls(self, step, words):
        conn = self.connection(words[0] if words else "")
        if conn.buffer:
            self.fail(step, "the server spoke before the TLS handshake: %r" % conn.buffer)
        conn.transport.starttls()

    def do_compress(self, step, words):
        conn = self.connection(words[0] if words else "")
        conn.transport = DeflateTransport(conn.transport)
        conn.buffer = conn.transport.into.decompress(conn.buffer)  # what came behind the reply

    def do_eof(self, step, words):
        step.conn = words[0] if words else ""
        line = self.connection(step.conn).line(time.monotonic() + self.timeout)
        if line is not None or not self.connection(step.conn).ended:
            self.fail(step, "expected the end, got: %s" % line)

    def do_silence(self, step, words):
        step.conn = words[1] if len(words) > 1 else ""
        conn = self.connection(step.conn)
        line = conn.line(time.monotonic() + float(words[0]))
        if line is not None or conn.buffer or conn.ended:
            self.fail(step, "expected nothing, got: %s" % (line or conn.buffer))

    def do_wait(self, step, words):
        time.sleep(float(words[0]))

    def do_timeout(self, step, words):
        self.timeout = float(words[0])
