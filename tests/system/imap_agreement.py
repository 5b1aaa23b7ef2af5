#!/usr/bin/env python3
"""Difficult messages through whole IMAP sessions, the session program beside Dovecot's imap: sizes,
ENVELOPE, BODYSTRUCTURE, every section with and without a range, decoded parts, and SEARCH in several
charsets; over tests/corpus/mime and over messages made from it by chance. TAP.

FACTEUR_MUTANTS and FACTEUR_SEED choose another run. Each kind of difference has an entry in EXCEPTIONS,
with what decides it.
"""
import collections
import glob
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

SRC = os.environ.get("FACTEUR_SRCDIR", os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("FACTEUR_BUILDDIR", SRC)
IMAP = "/usr/lib/dovecot/imap"
MUTANTS = int(os.environ.get("FACTEUR_MUTANTS", "300"))
SEED = int(os.environ.get("FACTEUR_SEED", "1"))
CONF = """base_dir = {d}/base
state_dir = {d}/base
mail_location = maildir:{d}/mailbox
log_path = {d}/log
ssl = no
protocols = imap
namespace inbox {{
  inbox = yes
}}
"""


class Server:
    """One imap process and its maildir."""

    def __init__(self, argv, **kw):
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **kw)
        self.number = 0
        self.p.stdout.readline()

    def response(self):
        """Bytes of one response, with its literals."""
        out = b""
        while True:
            line = self.p.stdout.readline()
            if not line.endswith(b"\n"):
                raise EOFError("the server ended: %r" % (out + line)[-300:])
            out += line
            literal = re.search(rb"\{(\d+)\}\r\n$", line)
            if not literal:
                return out[:-2]
            out += self.p.stdout.read(int(literal.group(1)))

    def ask(self, command):
        """All untagged responses and the tagged one's words."""
        self.number += 1
        tag = b"t%d " % self.number
        self.p.stdin.write(tag + command + b"\r\n")
        self.p.stdin.flush()
        lines = []
        while True:
            got = self.response()
            if got.startswith(tag):
                return lines, got[len(tag):]
            lines.append(got)

    def end(self):
        self.p.stdin.close()
        self.p.stdout.close()
        return self.p.wait(20)


def write_maildir(messages, path):
    for sub in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(path, sub))
    for i, m in enumerate(messages):
        with open(os.path.join(path, "cur", "%d.M%dP1.test:2,S" % (1700000000 + i, i)), "wb") as f:
            f.write(m)


def start_facteur(messages, top):
    box = os.path.join(top, "facteur", "mailbox")
    os.mkdir(os.path.dirname(box))
    server = Server([os.path.join(BUILD, "session"), "--imap", "--maildir", box])
    server.end()  # makes its folders
    for sub in ("cur", "new", "tmp"):
        shutil.rmtree(os.path.join(box, sub))
    write_maildir(messages, box)
    return Server([os.path.join(BUILD, "session"), "--imap", "--maildir", box])


def start_dovecot(messages, top):
    home = os.path.join(top, "dovecot")
    os.makedirs(os.path.join(home, "base"))
    write_maildir(messages, os.path.join(home, "mailbox"))
    with open(os.path.join(home, "conf"), "w", encoding="ascii") as f:
        f.write(CONF.format(d=home))
    argv, user = [IMAP, "-c", os.path.join(home, "conf")], str(os.getuid())
    if os.getuid() == 0:  # it does not serve root
        os.chmod(top, 0o755)
        subprocess.run(["chown", "-R", "nobody:nogroup", home], check=True)
        argv = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"] + argv
        user = "nobody"
    return Server(argv, stderr=subprocess.DEVNULL,
                  env={"HOME": home, "USER": user, "PATH": os.environ["PATH"], "TZ": "UTC"})


# --- answers ---

ATOM = re.compile(rb'(?:[^ ()"{\[]|\[[^\]]*\])+')
QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.S)
LITERAL = re.compile(rb"~?\{(\d+)\}\r\n")


def parse(s, at=0):
    """One value as nested lists, and where it ends; quoted strings and literals become the same."""
    if s[at:at + 1] == b"(":
        out, at = [], at + 1
        while s[at:at + 1] != b")":
            if s[at:at + 1] == b" ":
                at += 1
                continue
            value, at = parse(s, at)
            out.append(value)
        return out, at + 1
    m = QUOTED.match(s, at)
    if m:
        return ("s", re.sub(rb"\\(.)", rb"\1", m.group(1), flags=re.S)), m.end()
    m = LITERAL.match(s, at)
    if m:
        end = m.end() + int(m.group(1))
        return ("s", s[m.end():end]), end
    m = ATOM.match(s, at)
    if not m:
        raise ValueError("not IMAP: %r in %r" % (s[at:at + 40], s[:200]))
    return m.group(0), m.end()


def fetch(server, number, items):
    """{item: value}; what could not be answered has the reply's words."""
    lines, reply = server.ask(b"FETCH %d (%s)" % (number, b" ".join(items)))
    got = {}
    for line in lines:
        m = re.match(rb"\* (\d+) FETCH ", line)
        if m and int(m.group(1)) == number:
            flat = parse(line, m.end())[0]
            got.update((flat[i].upper(), flat[i + 1]) for i in range(0, len(flat) - 1, 2))
    if not reply.startswith(b"OK"):
        got[b"REPLY"] = reply.split(b" ")[0]
    return got


# --- what is asked ---

def parts(structure, prefix=()):
    """(number, kind) of each part of a BODYSTRUCTURE."""
    if isinstance(structure[0], list):
        for i, child in enumerate(c for c in structure if isinstance(c, list)):
            if not structure[i:i + 1] or not isinstance(structure[i], list):
                break
            yield from one(child, prefix + (i + 1,))
    else:
        yield from one(structure, prefix + (1,))


def one(structure, number):
    if isinstance(structure[0], list):
        yield number, "multipart"
        yield from parts(structure, number)
        return
    kind = structure[0][1].lower() + b"/" + structure[1][1].lower()
    if kind == b"message/rfc822" and len(structure) > 8 and isinstance(structure[8], list):
        yield number, "message"
        yield from parts(structure[8], number)
    else:
        yield number, "leaf"


FIELDS = b"(Subject From Content-Type X-None Received)"


def sections(structure):
    """Sections to be asked for, after a message's structure."""
    out = [b"", b"HEADER", b"TEXT", b"HEADER.FIELDS " + FIELDS, b"HEADER.FIELDS.NOT " + FIELDS]
    for number, kind in list(parts(structure))[:12]:
        n = b".".join(b"%d" % x for x in number)
        out += [n, n + b".MIME"]
        if kind == "message":
            out += [n + w for w in (b".HEADER", b".TEXT", b".HEADER.FIELDS " + FIELDS,
                                    b".HEADER.FIELDS.NOT " + FIELDS)]
    return out


def ranges(rnd, size):
    return [(0, 1), (0, size + 5), (rnd.randint(0, size + 2), rnd.randint(1, size + 2))]


WORDS = [w.encode() for w in "hello body text subject mailer example boundary caf\u00e9 \u00fcber stra\u00dfe na\u00efve".split()]


def queries(rnd, messages):
    """SEARCH commands about words that stand in the messages."""
    for _ in range(60):
        words = re.findall(rb"[A-Za-z]{3,12}", rnd.choice(messages))
        word = rnd.choice(words or WORDS) if rnd.random() < 0.8 else rnd.choice(WORDS)
        charset = b"UTF-8"
        if not word.isascii() and rnd.random() < 0.5:
            charset, word = b"ISO-8859-1", word.decode().encode("latin-1")
        key = rnd.choice([b"SUBJECT", b"FROM", b"TO", b"CC", b"HEADER Message-ID", b"HEADER Content-Type",
                          b"HEADER Date", b"HEADER X-Mailer"])
        yield b"SEARCH CHARSET %s %s {%d+}\r\n%s" % (charset, key, len(word), word)
    for key in (b"LARGER 500", b"SMALLER 300", b"HEADER Content-Type {0+}\r\n", b"HEADER Subject {0+}\r\n"):
        yield b"SEARCH " + key


# --- messages by chance ---

BITS = [b"\n", b"\r\n", b"\n\n", b"--b\n", b"--b--\n", b'"', b";", b"(", b")", b"<", b">", b"@", b",",
        b":", b"=", b"\\", b" ", b"\t", b"\r", b"\xe9", b"\0", b"*0", b"*", b".", b"--", b"\n ", b"\n\t\n",
        b"Content-Type: multipart/mixed; boundary=c\n", b"Content-Type: message/rfc822\n\n",
        b"Content-Type: text/plain; name*=utf-8''%c3%a9\n", b"Subject: =?utf-8?Q?=C3=A9?= =?utf-8?B?w6k=?=\n",
        b"Content-Transfer-Encoding: base64\n", b"To: a: b@c, \"d\" <e@f>;, g (h (i)) <@j,@k:l@m>\n"]


def large():
    """Much of everything."""
    head = b"From: a@b\nSubject: large\nMIME-Version: 1.0\n"
    part = b"--b\nContent-Type: text/plain; name=\"%d\"\n\n%d\n"
    inner = b"Content-Type: message/rfc822\n\n" * 40 + b"Subject: the last one\n\nhello\n"
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(60))
    many = b"Content-Type: multipart/mixed; boundary=b\n\n"
    words = b" ".join(b"=?iso-8859-1?Q?caf=E9_%d?=" % i for i in range(500))
    return [
        head + b"".join(b"Received: from h%d by h%d; %s\n" % (i, i, b"x" * 60) for i in range(3000)) + b"\nx\n",
        head + b"X-Long: " + b"y" * 300000 + b"\n\nx\n",
        head + b"X-Folded:" + b"\n folded" * 20000 + b"\n\nx\n",
        head + b"To: " + b",\n ".join(b"\"P %d\" <p%d@example.org>" % (i, i) for i in range(1500)) + b"\n\nx\n",
        head + b"Cc: " + b"g: " * 3 + b"a@b" + b";" * 4 + b"," * 900 + b"(" * 40 + b")" * 40 + b"z@y\n\nx\n",
        head + b"Subject: " + words + b"\nTo: " + words + b" <a@b>\n\nx\n",
        head + many + b"".join(part % (i, i) for i in range(800)) + b"--b--\n",
        head + inner, head + nested + b"Content-Type: text/plain\n\nhello\n",
        head + b"References:" + b"".join(b"\n <%d@example.org>" % i for i in range(2000)) + b"\n\nx\n",
        head + b"Content-Type: text/plain;\n" + b";\n".join(b" p%d=%d" % (i, i) for i in range(40)) + b"\n\nx\n",
        b"\n", b"\n\n", b"\r\n", b"x", b"\r", b"\0", b":", b": \n\n", b"\xff\xfe\n", b"From \n",
        head + b"\n" + b"a line\n" * 200000, head + b"\n" + b"one line " * 100000,
    ]


def by_chance(messages, rnd):
    out = []
    while len(out) < MUTANTS:
        m = bytearray(rnd.choice(messages))
        for _ in range(rnd.randint(1, 4)):
            at, kind = rnd.randint(0, len(m)), rnd.random()
            if kind < 0.45:
                m[at:at] = rnd.choice(BITS)
            elif kind < 0.6:
                del m[at:at + rnd.randint(1, 12)]
            elif kind < 0.7:
                m = bytearray(m[:at])
            else:
                other = rnd.choice(messages)
                cut = rnd.randint(0, len(other))
                m[at:at] = other[cut:cut + rnd.randint(1, 200)]
        out.append(bytes(m))
    return out


# --- what may differ, and what decides it ---

def text(value):
    return value[1] if isinstance(value, tuple) else b""


def no_empty_line(_, item, ours, theirs, __):
    return b"HEADER.FIELDS" in item and text(ours) + b"\r\n" == text(theirs)


def cut_line(message, item, ours, theirs, _):
    return b"HEADER.FIELDS" in item and text(ours) == text(theirs) + b"\r\n" and message[-1:] != b"\n"


def cut_header(_, item, ours, theirs, __):
    return re.search(rb"\d\.(MIME|HEADER)\]", item) and text(ours) == text(theirs) + b"\r\n"


def no_body(_, item, __, ___, whole):
    m = re.match(rb"BODY.PEEK\[([\d.]+)HEADER.FIELDS", item)
    return m and not text(whole.get(b"BODY[%sHEADER]" % m.group(1))).endswith(b"\r\n\r\n")


def inside_header(message, item, _, __, ___):
    return b"HEADER.FIELDS" in item and re.search(rb"\r(?!\n)|\0", message)


def old_local_part(_, item, __, theirs, ___):
    return item == b"ENVELOPE" and re.search(rb"MISSING_|SYNTAX_", repr(theirs).encode())


def extended_without_sections(_, item, __, theirs, ___):
    return item == b"BODYSTRUCTURE" and b"*2*" in repr(theirs).encode()


EXCEPTIONS = {
    "the empty line is not made up where the message has none (RFC 3501 6.4.5)": no_empty_line,
    "a field's last line ends with CRLF, also where the file was cut (RFC 5322 2.2)": cut_line,
    "a header that a boundary cuts off keeps its line end: HEADER and TEXT together are the part, "
    "whose size both servers say (RFC 3501 6.4.5); Dovecot leaves it out of HEADER alone": cut_header,
    "Dovecot's HEADER.FIELDS of a part that ends within its header reads on in the next part "
    "(RFC 2046 5.1.1: the boundary ends it)": no_body,
    "bare CR and NUL in a header: RFC 5322 2.2 and 4 forbid them": inside_header,
    "words joined by dots with white space among them are a local part (RFC 5322 4.4)": old_local_part,
    "\"name*\" is an extended value without sections (RFC 2231 4)": extended_without_sections,
}
# Damage inside damage, where no RFC says anything: of a hundred values of messages made by chance.
UNDECIDED = 0.5


def compare(message, item, ours, theirs, whole):
    """The name of the exception, "" when equal, None when it must not differ so."""
    if ours == theirs:
        return ""
    for name, applies in EXCEPTIONS.items():
        if applies(message, item, ours, theirs, whole):
            return name
    return None


def difference(message, item, ours, theirs):
    return "%s\n  message %r\n  Dovecot %.900r\n  Facteur %.900r" % (item.decode("latin-1"), message[:600], theirs, ours)


class Run:
    def __init__(self, messages, known, top):
        """The first known messages are the corpus."""
        self.messages, self.known = messages, known
        self.ours, self.theirs = start_facteur(messages, top), start_dovecot(messages, top)
        self.rnd = random.Random(SEED)
        self.wrong, self.undecided = (collections.defaultdict(list) for _ in range(2))
        self.damaged = set()  # whose addresses cannot be understood
        self.excused = collections.Counter()
        self.asked = collections.Counter()

    def held(self, kind, number, item, ours, theirs, whole):
        self.asked[kind] += 1
        message = self.messages[number - 1]
        why = compare(message, item, ours, theirs, whole)
        if why is None:
            (self.wrong if number <= self.known else self.undecided)[kind].append(
                difference(message, item, ours, theirs))
        elif why:
            self.excused[why] += 1
        return why == ""

    def both(self, kind, number, items):
        """Our answers, and the items in which both agree."""
        ours, theirs = fetch(self.ours, number, items), fetch(self.theirs, number, items)
        same = set()
        for item in items:
            name = item.replace(b".PEEK", b"").upper()
            if self.held(kind, number, item, ours.get(name), theirs.get(name), ours):
                same.add(item)
        return ours, same

    def ranges(self, number, name, whole, agreed):
        """A range is that much of the whole (RFC 3501 6.4.5). Dovecot is not asked for selected fields,
        whose second byte it takes for the first, nor where a message has CRs of its own: it then counts
        otherwise, or ends with "too little data"."""
        for at, n in ranges(self.rnd, len(whole)):
            item, told = b"BODY.PEEK[%s]<%d.%d>" % (name, at, n), b"BODY[%s]<%d>" % (name.upper(), at)
            ours = fetch(self.ours, number, [item]).get(told)
            servers = [("s", whole[at:at + n])]
            if agreed and b"FIELDS" not in name and b"\r" not in self.messages[number - 1]:
                servers.append(fetch(self.theirs, number, [item]).get(told))
            for theirs in servers:
                self.asked["ranges"] += 1
                if ours != theirs:
                    self.wrong["ranges"].append(difference(self.messages[number - 1], item, ours, theirs))

    def run(self):
        for server in (self.ours, self.theirs):
            server.ask(b"SELECT INBOX")
        for number in range(1, len(self.messages) + 1):
            got, same = self.both("size, ENVELOPE, BODY, BODYSTRUCTURE", number,
                            [b"RFC822.SIZE", b"ENVELOPE", b"BODY", b"BODYSTRUCTURE"])
            if b"ENVELOPE" not in same or re.search(rb"MISSING_|SYNTAX_|INVALID_",
                                                    repr(got[b"ENVELOPE"]).encode()):
                self.damaged.add(b"%d" % number)
            names = sections(got[b"BODYSTRUCTURE"])
            whole, same = self.both("sections", number, [b"BODY.PEEK[%s]" % n for n in names])
            for name in self.rnd.sample(names, min(3, len(names))):
                self.ranges(number, name, text(whole.get(b"BODY[%s]" % name.upper())),
                            b"BODY.PEEK[%s]" % name in same)
        for query in queries(random.Random(SEED), self.messages):
            answers = []
            for server in (self.ours, self.theirs):
                lines, reply = server.ask(query)
                found = [l for l in lines if l.startswith(b"* SEARCH")]
                answers.append((reply.split(b" ")[0], set(found[0].split()[2:]) if found else set()))
            self.asked["SEARCH"] += 1
            # What stands between addresses and is none is found here and not there, the words that
            # stand for what is missing are found there; RFC 3501 6.4.4 says nothing of either.
            if re.search(rb" (FROM|TO|CC) \{", query):
                answers = [(reply, {n for n in found - self.damaged if int(n) <= self.known})
                           for reply, found in answers]
            if answers[0] != answers[1]:
                odd = (answers[0][1] ^ answers[1][1])
                shown = self.messages[int(min(odd, key=int)) - 1] if odd else b""
                self.wrong["SEARCH"].append(difference(shown, query.replace(b"\r\n", b" "), answers[0], answers[1]))
        if self.ours.end() != 0:
            self.wrong["SEARCH"].append("the session ended badly")
        self.theirs.end()


KINDS = ["size, ENVELOPE, BODY, BODYSTRUCTURE", "sections", "ranges", "SEARCH"]


def main():
    if not os.access(IMAP, os.X_OK):
        print("Bail out! %s is missing: install dovecot-imapd" % IMAP)
        return 1
    corpus = []
    for name in sorted(glob.glob(os.path.join(SRC, "tests/corpus/mime/*.eml"))):
        with open(name, "rb") as f:
            corpus.append(f.read())
    known = corpus + large()
    top = tempfile.mkdtemp(prefix="facteur-agreement.")
    try:
        run = Run(known + by_chance(corpus, random.Random(SEED)), len(known), top)
        run.run()
    finally:
        shutil.rmtree(top)
    failed = False
    print("1..%d" % len(KINDS))
    for n, kind in enumerate(KINDS, 1):
        bad, chance = run.wrong[kind], run.undecided[kind]
        if 100 * len(chance) > UNDECIDED * run.asked[kind]:
            bad += chance
        failed |= bool(bad)
        print("%s %d - %s: %d compared, %d differ, %d undecided" % (
            "not ok" if bad else "ok", n, kind, run.asked[kind], len(bad), len(chance)))
        for shown in (bad or chance)[:int(os.environ.get("FACTEUR_SHOWN", "5"))]:
            print(re.sub("^", "# ", shown, flags=re.M))
    for why, count in sorted(run.excused.items()):
        print("# %d times: %s" % (count, why))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
