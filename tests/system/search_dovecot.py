#!/usr/bin/env python3
"""Random SEARCH, SORT and THREAD commands, answered by the session program and by Dovecot's imap on two
copies of one maildir: once before the text index is filled, once after.

Where both differ for a reason, the test leaves it out and says here why:
  - BODY: Dovecot looks into the headers of MIME parts too; "the body of the message" (RFC 3501 6.4.4) is
    text here, headers of parts are looked at by TEXT.
  - SENTBEFORE: a message without a Date was sent in 1970 for Dovecot; here it has no day that could be
    before another (RFC 3501 6.4.4).
  - U+212B and the like, whose decomposition can be decomposed again: here it is (RFC 5051 2), there not.
  - SORT by one field twice, and \\Recent, which the one that comes first takes from the other.
  - The first time Dovecot sorts by several criteria some messages may come too late; asked again it gives
    another answer, and that one counts.
  - Of several fields of one kind Dovecot threads by the last References, here the first counts; RFC 5322
    3.6 allows one.
"""
import base64, os, quopri, random, re, shutil, subprocess, sys, tempfile, time
from email.header import Header

SRC = os.environ.get("FACTEUR_SRCDIR", ".")
BUILD = os.environ.get("FACTEUR_BUILDDIR", ".")
IMAP = "/usr/lib/dovecot/imap"
MESSAGES, QUERIES, SEED = 300, 250, int(os.environ.get("SEED", "7"))
CONF = """base_dir = {d}/base
state_dir = {d}/base
mail_location = maildir:{d}/mailbox
log_path = {d}/log
ssl = no
protocols = imap
mail_max_keyword_length = 50
namespace inbox {{
  inbox = yes
}}
"""
WORDS = ("apple Berg CAFE \u00e9t\u00e9 Stra\u00dfe \u0416\u0443\u043a na\u00efve \ufb01sh \u00c5ngstr\u00f6m report Invoice 2023 meeting "
         "a.b@c.example x-y_z \u65e5\u672c\u8a9e \u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2 I\u0307stanbul hello-world \"quoted\" 50% don't").split()


class Mailbox:
    """Messages made by chance; what was said in one is said again in others."""

    def __init__(self, r):
        self.r = r
        self.ids = []

    def words(self, low, high):
        return " ".join(self.r.choice(WORDS) for _ in range(self.r.randint(low, high)))

    def subject(self):
        r = self.r
        s = r.choice(["", "", "", "Re: ", "RE[2]: ", "Fwd: ", "[list] ", "Re: [list] Re: ", "[a][b] "])
        s += r.choice(["budget", "Budget", "lunch", "caf\u00e9", "[x]", "", self.words(1, 4)])
        s += r.choice(["", "", "", " (fwd)", "  "])
        return r.choice([s, s, s, "[fwd: %s]" % s])

    def encoded(self, text):
        if text.isascii():
            return text
        charset = self.r.choice(["utf-8", "iso-8859-1", "koi8-r", "utf-8"])
        try:
            text.encode(charset)
        except UnicodeEncodeError:
            charset = "utf-8"
        return Header(text, charset).encode(maxlinelen=10000 if self.r.random() < .5 else 60)

    def address(self):
        r = self.r
        local = r.choice(["ann", "Bob", "carol.x", '"d e"', "zed", "ann"])
        return r.choice(["%s@example.org", "<%s@example.com>", "Some Name <%s@example.org>",
                         self.encoded(r.choice(["\u00c4nne", "Zo\u00eb", "bob"])) + " <%s@x.example>",
                         "group: %s@example.org;"]) % local

    def date(self):
        r = self.r
        return r.choice(["", "Date: %s\n" % time.strftime("%a, %d %b %Y %H:%M:%S ", time.gmtime(
            r.randint(1600000000, 1700000000))) + r.choice(["+0000", "-0800", "+0530", "GMT"]) + "\n",
            "Date: %d Mar 2021 %02d:%02d +0900\n" % (r.randint(1, 28), r.randint(0, 23), r.randint(0, 59))]
            [1:] if r.random() < .9 else ["", "Date: nonsense\n"])

    def threading(self):
        r = self.r
        me = "<%d.%s@id.example>" % (len(self.ids), r.choice("ab"))
        if r.random() < .05 and self.ids:
            me = r.choice(self.ids)
        out = "Message-ID: %s\n" % me if r.random() < .95 else ""
        known = self.ids + ["<gone%d@id.example>" % i for i in range(5)] + \
            ["<%d.a@id.example>" % (len(self.ids) + i) for i in range(3)]
        if r.random() < .5:
            out += "References: %s\n" % "\n ".join(r.choice(known[-30:]) for _ in range(r.randint(1, 6)))
        if r.random() < .4:
            out += "In-Reply-To: %s%s\n" % (r.choice(["", "your mail of today "]), r.choice(known[-30:]))
        self.ids.append(me)
        return out

    def part(self, kind="plain"):
        r = self.r
        text = "\n".join(self.words(1, 9) for _ in range(r.randint(1, 6)))
        if kind == "html":
            text = "<p>%s</p>" % text
        charset = r.choice(["utf-8", "iso-8859-1", "utf-16le", "koi8-r", "us-ascii"])
        try:
            raw = text.encode(charset)
        except UnicodeEncodeError:
            charset, raw = "utf-8", text.encode()
        cte = r.choice(["base64", "quoted-printable", "8bit"]) if charset != "utf-16le" else "base64"
        body = {"base64": lambda: base64.encodebytes(raw), "8bit": lambda: raw + b"\n",
                "quoted-printable": lambda: quopri.encodestring(raw) + b"\n"}[cte]()
        return b"Content-Type: text/%s; charset=%s\nContent-Transfer-Encoding: %s\n\n" % (
            kind.encode(), charset.encode(), cte.encode()) + body

    def message(self):
        r = self.r
        head = "Subject: %s\nFrom: %s\nTo: %s\n%s%s" % (
            self.encoded(self.subject()), self.address(), ", ".join(self.address() for _ in range(2)),
            self.date(), self.threading())
        if r.random() < .4:
            head += "Cc: %s\n" % self.address()
        if r.random() < .3:
            head += "X-Note: %s\n" % self.encoded(self.words(1, 3))
        if r.random() < .6:
            return head.encode() + b"MIME-Version: 1.0\n" + self.part()
        return (head.encode() + b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=bb\n\npreamble\n" +
                b"".join(b"--bb\n" + self.part(k) for k in r.choices(["plain", "html"], k=r.randint(1, 3))) +
                b"--bb\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n" +
                base64.encodebytes(self.words(2, 5).encode()) + b"--bb--\n")

    def write(self, box):
        for sub in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(box, sub))
        for i in range(MESSAGES):
            raw = self.message()
            flags = "".join(f for f in "DFRST" if self.r.random() < .3)
            path = os.path.join(box, "cur", "%d.M%dP1.test,S=%d,W=%d:2,%s" % (
                1700000000 + i, i, len(raw), len(raw) + raw.count(b"\n"), flags))
            with open(path, "wb") as f:
                f.write(raw)
            date = self.r.randint(1600000000, 1700000000)
            os.utime(path, (date, date))


class Queries:
    def __init__(self, r):
        self.r = r

    def string(self, short=False):
        r = self.r
        word = r.choice(WORDS + ["budget", "lunch", "example.org", "ann", "Some Name", "appl", "report invoice"])
        if r.random() < .3:
            at = r.randint(0, max(len(word) - 2, 0))
            word = word[at:at + r.randint(1, 5)]
        word = r.choice([word, word.upper(), word.lower()]) if word.isascii() else word
        raw = word.encode()
        return b"{%d+}\r\n%s" % (len(raw), raw)

    def key(self, depth=0):
        r = self.r
        kind = r.randint(0, 15 if depth < 3 else 11)
        if kind <= 3:
            return r.choice([b"BODY ", b"TEXT "]) + self.string()
        if kind <= 6:
            return r.choice([b"SUBJECT ", b"FROM ", b"TO ", b"CC ", b"HEADER X-Note ", b"HEADER Date "]) + \
                self.string()
        if kind == 7:
            return r.choice("SEEN UNSEEN ANSWERED FLAGGED DELETED DRAFT UNDRAFT".split()).encode()
        if kind == 8:
            return r.choice("BEFORE ON SINCE SENTON SENTSINCE".split()).encode() + \
                b" %d-%s-202%d" % (r.randint(1, 28), r.choice([b"Jan", b"Mar", b"Oct"]), r.randint(0, 3))
        if kind == 9:
            return r.choice([b"LARGER ", b"SMALLER "]) + b"%d" % r.randint(200, 1500)
        if kind == 10:
            return r.choice([b"%d:*", b"UID %d:*", b"1:%d", b"UID 1:%d,200"]) % r.randint(1, MESSAGES)
        if kind == 11:
            return r.choice([b"OLDER ", b"YOUNGER "]) + b"%d" % r.randint(50000000, 200000000)
        if kind == 12:
            return b"NOT " + self.key(depth + 1)
        if kind == 13:
            return b"OR " + self.key(depth + 1) + b" " + self.key(depth + 1)
        return b"(" + b" ".join(self.key(depth + 1) for _ in range(r.randint(1, 3))) + b")"

    def command(self):
        r = self.r
        uid = r.choice([b"", b"UID "])
        kind = r.randint(0, 9)
        if kind <= 4:
            return uid + b"SEARCH CHARSET UTF-8 " + self.key()
        keys = r.choice([b"ALL", b"ALL", self.key()])
        if kind <= 7:
            sort = b" ".join(r.choice([b"", b"REVERSE "]) + key for key in r.sample(
                b"ARRIVAL CC DATE FROM SIZE SUBJECT TO DISPLAYFROM DISPLAYTO".split(), r.randint(1, 3)))
            return uid + b"SORT (" + sort + b") UTF-8 " + keys
        return uid + b"THREAD " + r.choice([b"REFERENCES", b"ORDEREDSUBJECT"]) + b" UTF-8 " + keys


class Server:
    def __init__(self, argv, **kw):
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, **kw)
        self.n = 0
        self.p.stdout.readline()

    def ask(self, command):
        self.n += 1
        tag = b"t%d" % self.n
        self.p.stdin.write(tag + b" " + command + b"\r\n")
        self.p.stdin.flush()
        out = []
        for line in self.p.stdout:
            if line.startswith(tag + b" "):
                if not line.startswith(tag + b" OK"):
                    out.append(line[len(tag):])
                return out
            if re.match(rb"\* (SEARCH|SORT|THREAD|ESEARCH)", line):
                out.append(line.strip())
        raise EOFError("the server ended at %r" % command)

    def end(self):
        self.p.stdin.close()
        self.p.stdout.close()
        self.p.wait(20)


def dovecot(top, box):
    home = os.path.join(top, "dovecot")
    os.makedirs(os.path.join(home, "base"))
    shutil.copytree(box, os.path.join(home, "mailbox"), copy_function=shutil.copy2)
    with open(os.path.join(home, "conf"), "w") as f:
        f.write(CONF.format(d=home))
    argv, user = [IMAP, "-c", os.path.join(home, "conf")], str(os.getuid())
    if os.getuid() == 0:  # it does not serve root
        os.chmod(top, 0o755)
        subprocess.run(["chown", "-R", "nobody:nogroup", home], check=True)
        argv, user = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"] + argv, "nobody"
    return Server(argv, env={"HOME": home, "USER": user, "PATH": os.environ["PATH"], "TZ": "UTC"})


def in_body_of_parts(command):
    """Could a header of a MIME part have it? Dovecot looks there for BODY."""
    for m in re.finditer(rb"BODY \{\d+\+\}\r\n(.*?)(?= (?:BODY|TEXT|SUBJECT|OR|NOT)|\)|$)", command, re.S):
        needle = m.group(1).decode("utf-8", "replace").strip().lower()
        if any(needle in h for h in ("content-type: text/plain; charset=iso-8859-1",
                                     "content-type: text/html; charset=us-ascii koi8-r utf-16le utf-8",
                                     "content-transfer-encoding: quoted-printable base64 8bit",
                                     "content-type: application/octet-stream")):
            return True
    return False


def main():
    r = random.Random(SEED)
    top = tempfile.mkdtemp(prefix="search-dovecot-")
    failed, number = 0, 0
    servers = []
    try:
        box = os.path.join(top, "mailbox")
        Mailbox(r).write(box)
        theirs = dovecot(top, box)
        servers.append(theirs)
        ours = Server([os.path.join(BUILD, "session"), "--imap", "--maildir", box],
                      env=dict(os.environ, TZ="UTC"))
        servers.append(ours)
        theirs.ask(b"SELECT INBOX")
        ours.ask(b"SELECT INBOX")
        queries = Queries(r)
        commands = [c for c in (queries.command() for _ in range(QUERIES)) if not in_body_of_parts(c)]
        print("1..%d" % (2 * len(commands)))
        for filled in ("", ", text index filled"):
            for command in commands:
                number += 1
                a, b = ours.ask(command), theirs.ask(command)
                if a != b and b"SORT" in command:
                    b = theirs.ask(command)
                shown = command.replace(b"\r\n", b" ").decode("utf-8", "replace")
                print("%s %d - %s%s" % ("ok" if a == b else "not ok", number, shown[:100].replace("#", "."),
                                        filled))
                if a != b:
                    failed += 1
                    print("#   session: %r\n#   dovecot: %r" % (a, b), flush=True)
            time.sleep(3)
            if not filled and not os.path.exists(os.path.join(box, "facteur.text.sqlite")):
                raise EOFError("there is no text index")
        for s in servers:
            s.end()
    finally:
        for s in servers:
            if s.p.poll() is None:
                s.p.kill()
                s.p.wait()
        if not failed or not os.environ.get("KEEP"):
            shutil.rmtree(top, ignore_errors=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
