"""Mixed clients that keep a server busy, and a ledger of all it acknowledged to them.

    with Load(mail, sink) as load:      # sink takes far.example; None: nobody sends there
        ... whatever is done to the server ...
    load.check(doubles=1)               # with everything running again

A client notes what it was promised, and says wrong() when an answer is one that no trouble excuses: a
permanent refusal of good mail, a right password called wrong, a damaged message, a UID that changed. A
message is sent once; each place where one turns up counts.
"""
import imaplib
import os
import poplib
import random
import re
import ssl
import threading
import time
import zlib

import tap
from day import ADDRESS, TOKEN, TROUBLE, message, whole

TROUBLES = TROUBLE + (poplib.error_proto, zlib.error, ssl.SSLError)
KEPT = 8  # one of so many messages stays in its mailbox, the others are deleted when they were read


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.number = self.trouble = self.deeds = 0
        self.acknowledged = set()  # (user, token)
        self.away = set()          # tokens promised for another server
        self.places = {}           # (user, token) -> {(folder, validity, uid)}
        self.tokens = {}           # (user, folder, validity, uid) -> token
        self.issued, self.deleted, self.moved, self.mistakes, self.last = set(), set(), set(), [], ""

    def token(self, word):
        with self.lock:
            self.number += 1
            token = "%s-%d-%s" % (word, self.number, os.urandom(3).hex())
            self.issued.add(token)
            return token

    def promised(self, user, token):
        with self.lock:
            self.acknowledged.add((user, token))
            self.deeds += 1

    def wrong(self, text):
        with self.lock:
            self.mistakes.append(text)

    def met(self, user, folder, validity, uid, raw):
        """A message was read there. Returns its token."""
        if not whole(raw):
            self.wrong("a damaged message of %s in %s: %r" % (user, folder, raw[-200:]))
        found = TOKEN.search(raw)
        if not found:
            return None
        token = found.group(1).decode()
        with self.lock:
            self.deeds += 1
            known = self.tokens.setdefault((user, folder, validity, uid), token)
            self.places.setdefault((user, token), set()).add((folder, validity, uid))
        if known != token:
            self.wrong("%s %s of %s was %s and is %s" % (folder, uid, user, known, token))
        return token

    def doubled(self):
        """What lies in several places. What an earlier load left so was judged there."""
        return {key: places for key, places in self.places.items()
                if len(places) > 1 and key not in self.moved and key[1] in self.issued}


class DeflatedImap(imaplib.IMAP4_SSL):
    """With COMPRESS=DEFLATE."""
    into = None

    def compress(self):
        if "COMPRESS" not in imaplib.Commands:
            imaplib.Commands["COMPRESS"] = ("AUTH",)
        kind, data = self._simple_command("COMPRESS", "DEFLATE")
        if kind != "OK":
            raise self.error(data)
        self.out, self.rest = zlib.compressobj(6, zlib.DEFLATED, -15), b""
        self.into = zlib.decompressobj(-15)

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise self.abort("the connection ended")
        self.rest += self.into.decompress(data)

    def read(self, size):
        if not self.into:
            return super().read(size)
        while len(self.rest) < size:
            self._more()
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

    def readline(self):
        if not self.into:
            return super().readline()
        while b"\n" not in self.rest:
            self._more()
        line, _, self.rest = self.rest.partition(b"\n")
        return line + b"\n"

    def send(self, data):
        if self.into:
            data = self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH)
        super().send(data)


class Client(threading.Thread):
    def __init__(self, load, user):
        super().__init__(daemon=True)
        self.load, self.mail, self.ledger, self.user = load, load.mail, load.ledger, user

    def run(self):
        while not self.load.over:
            try:
                self.once()
                time.sleep(self.load.pause)
            except TROUBLES as e:
                self.put_off("%s: %s" % (type(self).__name__, e))
                self.judge(e)
                time.sleep(0.1)
            except Exception as e:  # a mistake of the test must not pass for silence
                self.ledger.wrong("%s: %r" % (type(self).__name__, e))
                time.sleep(0.1)

    def judge(self, e):
        text = str(e)
        code = getattr(e, "smtp_code", 0)
        if 500 <= code < 600 or "AUTHENTICATIONFAILED" in text or "[AUTH]" in text:
            self.ledger.wrong("%s of %s: %s" % (type(self).__name__, self.user, text))

    def put_off(self, text):
        with self.ledger.lock:
            self.ledger.trouble += 1
            self.ledger.last = str(text)

    def post(self, client, sender, to, word):
        """to: users, and addresses elsewhere."""
        token = self.ledger.token(word)
        code, text = client.mail(sender)
        if code >= 500:
            self.ledger.wrong("MAIL %s: %d %s" % (sender, code, text))
        if code != 250:
            self.put_off(text)
            return
        taken = []
        for name in to:
            code, text = client.rcpt(ADDRESS.get(name, name))
            if code == 250:
                taken.append(name)
            elif code >= 500:
                self.ledger.wrong("RCPT %s: %d %s" % (name, code, text))
        if len(taken) < len(to):
            self.put_off(text)
        if not taken:
            client.rset()
            return
        code, text = client.data(message(token, random.choice((3, 60, 60, 400))))
        if code >= 500:
            self.ledger.wrong("the end of DATA: %d %s" % (code, text))
        if code != 250:
            self.put_off(text)
            return
        for name in taken:
            if name in ADDRESS:
                self.ledger.promised(name, token)
            else:
                with self.ledger.lock:
                    self.ledger.away.add(token)


class Inbound(Client):
    def once(self):
        with self.mail.smtp() as client:
            client.ehlo_or_helo_if_needed()
            for _ in range(random.randint(1, 4)):
                self.post(client, "somebody@remote.example", random.sample(sorted(ADDRESS), 2), "in")


class Submitter(Client):
    def once(self):
        with self.mail.submission(self.user) as client:
            self.post(client, ADDRESS[self.user],
                      ["chloe"] + (["friend@far.example"] if self.load.sink else []), "out")


class Imap(Client):
    def __enter__(self):
        self.imap = DeflatedImap("localhost", self.mail.ports["imaps"], timeout=30,
                                 ssl_context=self.load.context)
        try:
            self.good(self.imap.login(self.user, self.user + "-secret"))
            if random.random() < 0.5:
                self.imap.compress()
        except BaseException:
            self.imap.shutdown()
            raise
        return self.imap

    def __exit__(self, *_):
        try:
            self.imap.logout()
        except TROUBLES:
            pass
        try:
            self.imap.shutdown()
        except OSError:
            pass

    @staticmethod
    def good(answer):
        if answer[0] != "OK":
            raise imaplib.IMAP4.error(str(answer))
        return answer[1]

    def select(self, folder):
        self.good(self.imap.select(folder))
        self.folder, self.validity = folder, int(self.imap.response("UIDVALIDITY")[1][0])

    def look(self, which="1:*"):
        """Reads these messages; returns {uid: token}."""
        found = {}
        for part in self.good(self.imap.uid("FETCH", which, "(UID FLAGS BODY.PEEK[])")):
            if isinstance(part, tuple):
                uid = int(re.search(rb"UID (\d+)", part[0]).group(1))
                token = self.ledger.met(self.user, self.folder, self.validity, uid, part[1])
                if token:
                    found[uid] = token
        return found


class Reader(Imap):
    """Reads what came, keeps a little, moves a little, deletes the rest, and appends. A user has one."""

    def once(self):
        with self as imap:
            self.select("INBOX")
            for _ in range(3):
                self.read_new(imap)
                self.append(imap)
                if self.load.over:
                    return

    def read_new(self, imap):
        self.good(imap.noop())
        new = self.good(imap.uid("SEARCH", "UNKEYWORD", "Kept"))[0].split()[:50]
        if not new:
            return
        found = self.look(b",".join(new).decode())
        kept = [uid for uid, token in found.items() if int(token.split("-")[1]) % KEPT == 0]
        rest = [uid for uid in found if uid not in kept]
        if kept:
            self.good(imap.uid("STORE", ",".join(map(str, kept)), "+FLAGS", r"(\Seen Kept)"))
        if rest:
            move, rest = rest[:1], rest[1:]
            self.ledger.moved.add((self.user, found[move[0]]))
            self.good(imap.uid("MOVE", str(move[0]), "Archive"))
        if rest:
            self.ledger.deleted.update((self.user, found[uid]) for uid in rest)
            self.good(imap.uid("STORE", ",".join(map(str, rest)), "+FLAGS", r"(\Deleted)"))
            self.good(imap.uid("EXPUNGE", ",".join(map(str, rest))))

    def append(self, imap):
        token = self.ledger.token("append")
        self.good(imap.append("INBOX", None, None, message(token).encode()))
        self.ledger.promised(self.user, token)


class Idler(Imap):
    """Waits for news in the mailbox of somebody else's reader."""

    def once(self):
        with self as imap:
            self.select("INBOX")
            tag = imap._new_tag()
            imap.send(tag + b" IDLE\r\n")
            end = time.monotonic() + random.uniform(0.5, 3)
            if not self.until(imap, b"+", tag).startswith(b"+"):
                raise imap.error("IDLE is refused")
            while time.monotonic() < end and not self.load.over:
                time.sleep(0.1)
            imap.send(b"DONE\r\n")
            self.until(imap, tag)

    @staticmethod
    def until(imap, *beginnings):
        while True:
            line = imap.readline()
            if not line:
                raise imap.abort("the connection ended")
            if line.startswith(beginnings):
                return line


class Pop(Client):
    """Reads and deletes everything of a user who has no Reader."""

    def once(self):
        pop = poplib.POP3_SSL("localhost", self.mail.ports["pop3s"], context=self.load.context, timeout=30)
        try:
            pop.user(self.user)
            pop.pass_(self.user + "-secret")
            for line in pop.uidl()[1][:50]:
                number, uid = line.decode().split()
                raw = b"\r\n".join(pop.retr(number)[1]) + b"\r\n"
                token = self.ledger.met(self.user, "pop3", 0, uid, raw)
                if token:
                    self.ledger.deleted.add((self.user, token))
                pop.dele(number)
            pop.quit()
        finally:
            pop.close()


class Load:
    """pause: seconds between what one client does."""

    def __init__(self, mail, sink=None, pause=0.05, pop=True):
        self.mail, self.sink, self.pause = mail, sink, pause
        self.over, self.ledger, self.context = False, Ledger(), mail.tls()
        kinds = [(Inbound, "amelie"), (Inbound, "bruno"), (Submitter, "amelie"), (Reader, "amelie"),
                 (Reader, "bruno"), (Idler, "amelie"), (Idler, "bruno")]
        self.clients = [kind(self, user) for kind, user in kinds + ([(Pop, "chloe")] if pop else [])]

    def __enter__(self):
        for user in ("bruno", "amelie"):
            self.ready(user)
            with Imap(self, user) as imap:
                imap.create("Archive")
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        self.over = True
        for client in self.clients:
            client.join(300)

    def ready(self, user):
        """Logins work (again)."""
        def try_it():
            try:
                with Imap(self, user):
                    return True
            except TROUBLES as e:
                self.ledger.last = str(e)
        tap.wait_for(try_it, 30, "no login for " + user)

    def busy(self, deeds=5, seconds=40, what="nothing is done any more"):
        """Waits until so many more things went well."""
        goal = self.ledger.deeds + deeds
        tap.wait_for(lambda: self.ledger.deeds >= goal, seconds,
                     "%s (last: %s)" % (what, self.ledger.last))

    def check(self, doubles=0, seconds=90):
        """Everything runs, the clients have stopped: all that was promised is there, at most doubles
        messages too many. Prints what was counted."""
        ledger = self.ledger
        tap.true(not any(c.is_alive() for c in self.clients), "a client does not end")
        tap.wait_for(lambda: "messages=0 recipients=0" in self.mail.facteur("status"), seconds,
                     "the queue does not end")
        for user in ADDRESS:
            self.ready(user)
            for folder in ("INBOX", "Archive"):
                self.last_look(user, folder)
        lost = [key for key in ledger.acknowledged if key not in ledger.places]
        sent, reports = set(), ""
        if self.sink:
            sent = {token for m in list(self.sink.messages) for token in TOKEN.findall(m["data"])}
            reports = "".join(text for text in self.mail.messages("amelie") if "multipart/report" in text)
        gone = [t for t in ledger.away if t.encode() not in sent and t not in reports]
        doubled = ledger.doubled()
        extra = sum(len(places) - 1 for places in doubled.values())
        print("# %d promised here, %d elsewhere; %d times trouble; %d doubled"
              % (len(ledger.acknowledged), len(ledger.away), ledger.trouble, extra), flush=True)
        tap.true(not ledger.mistakes, "%d mistakes: %s" % (len(ledger.mistakes), ledger.mistakes[:8]))
        tap.true(not lost and not gone, "%d lost: %s; %d neither sent nor back: %s"
                 % (len(lost), lost[:5], len(gone), gone[:5]))
        tap.true(extra <= doubles, "%d doubled: %s" % (extra, list(doubled.items())[:5]))
        tap.true(len(ledger.acknowledged) > 0, "nothing was acknowledged")

    def last_look(self, user, folder):
        reader = Reader(self, user)
        with reader as imap:
            if imap.select(folder)[0] != "OK":
                return
            reader.select(folder)
            held = set(reader.look().values()) if imap.untagged_responses.get("EXISTS") != [b"0"] else set()
        ledger = self.ledger
        gone = ledger.deleted | ledger.moved
        for who, token in list(ledger.places):
            if who == user and folder == "INBOX" and (who, token) not in gone:
                if token not in held:
                    ledger.wrong("%s was in the mailbox of %s and is gone" % (token, user))
