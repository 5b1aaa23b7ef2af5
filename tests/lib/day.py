"""A day of mail on one instance, and the proof afterwards that nothing acknowledged in it was lost.

    day = Day(mail, sink)
    day.live()      what goes wrong on the way is the fault's doing; only acknowledgements are noted
    day.check()     with everything running again: raises AssertionError
"""
import imaplib
import os
import re
import smtplib
import time

import tap

USERS = ("amelie", "bruno", "chloe")
ADDRESS = {"amelie": "amelie@example.com", "bruno": "bruno@example.net", "chloe": "chloe@example.net"}
TROUBLE = (OSError, EOFError, smtplib.SMTPException, imaplib.IMAP4.error)
TOKEN = re.compile(rb"X-Token: (\S+)")


def message(token, lines=60):
    body = "".join("%s line %d\r\n" % (token, n) for n in range(lines))
    return ("From: amelie@example.com\r\nTo: all\r\nSubject: the day\r\nX-Token: %s\r\n\r\n%sEND %s\r\n"
            % (token, body, token))


def whole(raw):
    """Is it a complete message of message(), of whatever length? (With LF or CR LF.)"""
    token = TOKEN.search(raw)
    if not token:
        return b"multipart/report" in raw  # one of our own
    body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[2].decode()
    lines = body.count("\n") - 1
    return body == message(token.group(1).decode(), lines).replace("\r\n", "\n").partition("\n\n")[2]


class Day:
    def __init__(self, mail, sink, note=lambda deed: None):
        """note: called after each deed, with its name."""
        self.mail, self.sink, self.number, self.note = mail, sink, 0, note
        self.present = set()  # (user, token): must be there, in whatever folder
        self.away = set()     # tokens that must have left for sink, or be reported
        self.uids = {}        # (user, folder, uidvalidity, uid) -> token, as a client heard it
        self.flagged = set()  # (user, token)
        self.gone = set()     # (user, token) whose expunge was asked for
        self.modseq = {}      # (user, folder, uidvalidity) -> the highest one heard

    def token(self, word):
        self.number += 1
        return "%s-%d-%s" % (word, self.number, os.urandom(3).hex())

    # --- what happens ---

    def live(self):
        self.inbound()
        self.note("inbound")
        self.submission()
        self.note("submission")
        for _ in range(2):  # a session that was killed is tried once more
            try:
                self.reading()
                return
            except TROUBLE:
                time.sleep(0.05)

    def inbound(self):
        token = self.token("in")
        try:
            refused = self.mail.deliver([ADDRESS["amelie"], ADDRESS["bruno"]], message(token))
            for user in ("amelie", "bruno"):
                if ADDRESS[user] not in refused:
                    self.present.add((user, token))
        except TROUBLE:
            pass

    def submission(self):
        token = self.token("out")
        try:
            with self.mail.submission() as client:
                refused = client.sendmail(ADDRESS["amelie"], [ADDRESS["chloe"], "friend@far.example"],
                                          message(token))
            if ADDRESS["chloe"] not in refused:
                self.present.add(("chloe", token))
            if "friend@far.example" not in refused:
                self.away.add(token)
        except TROUBLE:
            pass

    def reading(self):
        imap = self.mail.imap("amelie")
        try:
            imap.sock.settimeout(20)
            self.select(imap, "INBOX")
            self.append(imap, "INBOX")
            self.append(imap, "Archive")
            self.note("APPEND")
            self.select(imap, "INBOX")
            self.look(imap, "INBOX")
            self.note("FETCH")
            inbox = sorted(uid for (u, f, v, uid) in self.uids if f == "INBOX" and v == self.validity)
            if inbox:
                self.flags(imap, inbox)
                self.note("STORE")
                self.copy(imap, "COPY", inbox[0], "Archive")
                self.note("COPY")
                self.copy(imap, "MOVE", inbox[-1], "Trash")
                self.note("MOVE")
                self.expunge(imap, inbox)
                self.note("EXPUNGE")
            self.select(imap, "Archive")
            self.look(imap, "Archive")
        finally:
            try:
                imap.logout()
            except TROUBLE:
                pass

    @staticmethod
    def good(answer):
        if answer[0] != "OK":
            raise imaplib.IMAP4.error(str(answer))
        return answer[1]

    def select(self, imap, folder):
        self.good(imap.select('"%s" (CONDSTORE)' % folder))
        self.validity = int(imap.response("UIDVALIDITY")[1][0])
        key = ("amelie", folder, self.validity)
        told = imap.response("HIGHESTMODSEQ")[1][0]
        highest = int(told) if told else self.modseq.get(key, 0)  # NOMODSEQ: the index cannot be used
        tap.true(highest >= self.modseq.get(key, 0), "HIGHESTMODSEQ fell in " + folder)
        self.modseq[key] = highest

    def learn(self, folder, validity, uid, token):
        known = self.uids.setdefault(("amelie", folder, validity, uid), token)
        tap.same(known, token, "UID %d of %s" % (uid, folder))

    def look(self, imap, folder):
        """Every UID and token of the selected folder; all that is read must be whole."""
        for part in self.good(imap.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")):
            if isinstance(part, tuple):
                tap.true(whole(part[1]), "a damaged message in %s: %r" % (folder, part[1][-200:]))
                token = TOKEN.search(part[1])
                if token:
                    self.learn(folder, self.validity, int(re.search(rb"UID (\d+)", part[0]).group(1)),
                               token.group(1).decode())

    def append(self, imap, folder):
        token = self.token("append")
        answer = imap.append('"%s"' % folder, r"(\Seen)", None, message(token).encode())
        text = self.good(answer)[0].decode()
        self.present.add(("amelie", token))
        match = re.search(r"APPENDUID (\d+) (\d+)", text)
        self.learn(folder, int(match.group(1)), int(match.group(2)), token)

    def name(self, uid):
        return self.uids[("amelie", "INBOX", self.validity, uid)]

    def flags(self, imap, inbox):
        self.good(imap.uid("STORE", str(inbox[0]), "+FLAGS", r"(\Flagged $Label1)"))
        self.flagged.add(("amelie", self.name(inbox[0])))

    def copy(self, imap, verb, uid, folder):
        imap.untagged_responses.pop("COPYUID", None)
        self.good(imap.uid(verb, str(uid), folder))
        match = re.search(rb"(\d+) (\d+) (\d+)", imap.response("COPYUID")[1][0])
        self.learn(folder, int(match.group(1)), int(match.group(3)), self.name(uid))

    def expunge(self, imap, inbox):
        if len(inbox) < 3:
            return
        self.gone.add(("amelie", self.name(inbox[1])))
        self.good(imap.uid("STORE", str(inbox[1]), "+FLAGS", r"(\Deleted)"))
        self.good(imap.expunge())

    # --- what must hold afterwards ---

    def check(self, power=False):
        """power: it was cut. What is promised for that is mail, not its flags, which no rename waits for."""
        if power:
            self.flagged.clear()
        tap.wait_for(lambda: "messages=0 recipients=0" in self.mail.facteur("status"), 40,
                     "the queue does not end: " + self.mail.facteur("status"))
        for user in USERS:
            self.check_files(user)
        self.check_away()
        self.check_imap()

    def files(self, user):
        base = os.path.join(self.mail.vmail, user, "mailbox")
        for at, _, names in os.walk(base):
            if os.path.basename(at) in ("cur", "new"):
                for name in names:
                    with open(os.path.join(at, name), "rb") as file:
                        yield os.path.relpath(at, base), name, file.read()

    def check_files(self, user):
        held, flagged = set(), set()
        for folder, name, raw in self.files(user):
            tap.true(whole(raw), "a damaged message of %s: %s/%s: %r" % (user, folder, name, raw[-200:]))
            size = re.search(r",S=(\d+)", name)
            tap.true(not size or int(size.group(1)) == len(raw), "%s has %d bytes" % (name, len(raw)))
            token = TOKEN.search(raw)
            if token:
                held.add(token.group(1).decode())
                if "F" in name.partition(":2,")[2]:
                    flagged.add(token.group(1).decode())
        for who, token in self.present - self.gone:
            tap.true(who != user or token in held, "%s lost %s" % (user, token))
        for who, token in self.flagged - self.gone:
            tap.true(who != user or token in flagged, "%s lost the flag of %s" % (user, token))

    def check_away(self):
        sent = b"".join(m["data"] for m in self.sink.messages)
        reports = "".join(text for text in self.mail.messages("amelie") if "multipart/report" in text)
        for token in self.away:
            tap.true(token.encode() in sent or token in reports, token + " neither left nor came back")

    def check_imap(self):
        imap = self.mail.imap("amelie")
        try:
            for folder in ("INBOX", "Archive", "Trash"):
                self.select(imap, folder)
                self.look(imap, folder)
        finally:
            imap.logout()
