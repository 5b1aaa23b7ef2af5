"""Maildirs for the bench: messages of the kinds that people have, always the same ones."""
import os
import random
import shutil
import subprocess
from email.utils import formatdate

START = 1600000000
# More than that would be minutes of writing, and gigabytes for each server.
WRITTEN = 100000
# Once in so many messages, so that a search has a few to find.
RARE = 997
RARE_SUBJECT, RARE_BODY, RARE_FROM = "quince", "marmalade", "pamplemousse"


class Writer:
    def __init__(self, seed=20240229):
        self.random = random.Random(seed)
        letters = "aeioulnrstmdp"
        self.words = ["".join(self.random.choice(letters) for _ in range(self.random.randint(2, 9)))
                      for _ in range(4000)]
        self.names = [self.random.choice(self.words).title() for _ in range(300)]
        self.paragraphs = [self.paragraph() for _ in range(500)]

    def some(self, count):
        return " ".join(self.random.choices(self.words, k=count))

    def paragraph(self):
        lines = [self.some(9) for _ in range(self.random.randint(3, 9))]
        return "\n".join(lines) + "\n\n"

    def message(self, number):
        """Bytes with LF, as they lie in a maildir."""
        rnd, rare = self.random, number % RARE == 0
        name = RARE_FROM if rare else rnd.choice(self.names)
        thread = number - rnd.choice((0, 0, 0, 1, 2, 5, 40))
        head = ["Return-Path: <%s@remote.example>" % name.lower(),
                "Received: from relay.remote.example (relay.remote.example [192.0.2.7])\n"
                "\tby mail.example.org with ESMTPS id %08x" % number,
                "Date: " + formatdate(START + number * 600),
                "From: %s %s <%s@remote.example>" % (name, rnd.choice(self.names), name.lower()),
                "To: <someone@example.com>", "Message-ID: <%d@remote.example>" % number,
                "Subject: %s%s%s" % ("Re: " if 0 < thread < number else "", self.some(5),
                                     " " + RARE_SUBJECT if rare else ""), "MIME-Version: 1.0"]
        if 0 < thread < number:
            head += ["In-Reply-To: <%d@remote.example>" % thread,
                     "References: <%d@remote.example>" % thread]
        text = "".join(rnd.choices(self.paragraphs, k=rnd.randint(1, 8)))
        if rare:
            text += RARE_BODY + "\n"
        return ("\n".join(head) + "\n" + self.body(number, text)).encode()

    def body(self, number, text):
        plain = "Content-Type: text/plain; charset=utf-8\n\n" + text
        if number % 4:
            return plain
        html = "Content-Type: text/html; charset=utf-8\n\n<html><body><p>%s</p></body></html>\n" % text
        both = "--b%d\n%s--b%d\n%s--b%d--\n" % (number, plain, number, html, number)
        both = 'Content-Type: multipart/alternative; boundary="b%d"\n\n%s' % (number, both)
        if number % 20:
            return both
        data = ("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0" + "\n") * 40
        return ('Content-Type: multipart/mixed; boundary="m%d"\n\n--m%d\n%s\n--m%d\n'
                'Content-Type: application/pdf; name="a.pdf"\nContent-Transfer-Encoding: base64\n'
                'Content-Disposition: attachment; filename="a.pdf"\n\n%s--m%d--\n'
                % (number, number, both, number, data, number))


def fill(directory, count, uid):
    """cur/ with count messages, one in three unseen. Beyond WRITTEN they are the same files again."""
    writer, paths = Writer(), []
    for sub in ("cur", "new", "tmp"):
        os.makedirs("%s/%s" % (directory, sub), exist_ok=True)
    for number in range(1, count + 1):
        name = "%s/cur/%d.M%dP7.bench" % (directory, START + number * 600, number)
        if number > WRITTEN:
            path = paths[(number - 1) % WRITTEN]
            os.link(path, name + path[path.rindex(",S="):])
            continue
        data = writer.message(number)
        paths.append("%s,S=%d,W=%d:2,%s" % (name, len(data), len(data) + data.count(b"\n"),
                                            "S" if number % 3 else ""))
        with open(paths[-1], "wb") as out:
            out.write(data)
        os.utime(paths[-1], (START + number * 600,) * 2)
    own(directory, uid)


def own(directory, uid):
    subprocess.run(["chown", "-R", "%d:%d" % (uid, uid), directory], check=True)
    subprocess.run(["chmod", "-R", "u=rwX,go=", directory], check=True)


def copy(source, target, uid, keep=True):
    """Real copies, of another owner; the originals themselves where nobody else needs them."""
    subprocess.run(["cp", "-a", source, target] if keep else ["mv", source, target], check=True)
    own(target, uid)


def link(source, target):
    """A fresh maildir of the same files: a server renames and removes, it never writes into one."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-al", source, target], check=True)
