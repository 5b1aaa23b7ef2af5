"""The people of the bench: as many and of the same shape for each server, in a hosted domain of its
own, so that all share one directory and each has maildirs of its own."""
import base64
import hashlib
import os

FIRST_UID = 40000
PEOPLE = 100
SYSTEMS = ("facteur", "article", "tuned")


def host(system):
    return "mail.%s.example" % system


class User:
    def __init__(self, system, number, vmail):
        self.login = "%s%03d" % (system[0], number)
        self.password = "pw-" + self.login
        self.address = "%s@%s.example.com" % (self.login, system)
        self.mailbox = "%s@%s" % (self.login, host(system))
        self.uid = FIRST_UID + SYSTEMS.index(system) * 1000 + number
        self.home = "%s/%s/%s" % (vmail, system, self.login)
        self.maildir = self.home + "/mailbox"

    def ldif(self, mail_base):
        salt = os.urandom(8)
        hashed = base64.b64encode(hashlib.sha1(self.password.encode() + salt).digest() + salt)
        return ("dn: uid=%s,%s\nobjectClass: top\nobjectClass: account\nobjectClass: posixAccount\n"
                "objectClass: postfixUser\nuid: %s\ncn: %s\nuidNumber: %d\ngidNumber: %d\n"
                "homeDirectory: %s\nmailacceptinggeneralid: %s\nmaildrop: %s\n"
                "userPassword: {SSHA}%s\n\n"
                % (self.login, mail_base, self.login, self.login, self.uid, self.uid, self.home,
                   self.address, self.mailbox, hashed.decode()))

    def make_home(self):
        """The empty maildir, as a first delivery would have made it."""
        for path in (self.home, self.maildir, *(self.maildir + sub for sub in ("/cur", "/new", "/tmp"))):
            os.makedirs(path, exist_ok=True)
            os.chmod(path, 0o700)
            os.chown(path, self.uid, self.uid)


def make(system, vmail):
    return [User(system, number, vmail) for number in range(1, PEOPLE + 1)]


def write_list(path, users, address=None):
    """address: with a place for a number, in place of their own."""
    with open(path, "w") as out:
        for number, user in enumerate(users):
            out.write("%s %s %s\n" % (user.login, user.password,
                                      address % number if address else user.address))
