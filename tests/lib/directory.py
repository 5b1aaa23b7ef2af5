"""Drives the real directory program through tests/lib/ipc/dirclient, against any LDAP server.

    with Directory(conf_text, tables) as d:
        d.resolve("amelie@example.com").verdict
"""
import os
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.parse

from slapd import SRCDIR

BUILD = os.environ.get("FACTEUR_BUILDDIR") or os.path.join(SRCDIR, "build")

TABLES = {
    "virtual_alias_domains": "query_filter = mailacceptinggeneralid=*@%s\n"
                             "result_attribute = mailacceptinggeneralid\nresult_format = %d\n",
    "virtual_alias_maps": "query_filter = mailacceptinggeneralid=%s\nresult_attribute = maildrop\n",
    "virtual_mailbox_maps": "query_filter = maildrop=%s\nresult_attribute = homeDirectory\n"
                            "result_format = %s/mailbox/\n",
    "virtual_uid_maps": "query_filter = maildrop=%s\nresult_attribute = uidNumber\n",
    "virtual_gid_maps": "query_filter = maildrop=%s\nresult_attribute = gidNumber\n",
    "smtpd_sender_login_maps": "query_filter = (|(mailacceptinggeneralid=%s)(maildrop=%s))\n"
                               "result_attribute = uid\n",
}


def connection(slapd, **change):
    """The options of facteur.conf that lead to a private slapd."""
    options = {"ldap_server_host": slapd.uri, "ldap_start_tls": "yes",
               "ldap_tls_ca_cert_file": slapd.ca_file, "ldap_bind_dn": slapd.reader_dn,
               "ldap_bind_pw": slapd.reader_password, "ldap_search_base": slapd.mail_base}
    options.update(change)
    return options


class Answer:
    def __init__(self):
        self.verdict, self.targets, self.pieces = "", [], 0

    def __getattr__(self, name):
        raise AttributeError("%s in %r" % (name, self.__dict__))

    def take(self, words):
        self.verdict = words[0]
        self.pieces += 1
        for word in words[1:]:
            key, _, value = word.partition("=")
            value = urllib.parse.unquote(value)
            if key == "target":
                self.targets.append([value, ""])
            elif key == "ended":
                self.ended = getattr(self, "ended", []) + [value]
            elif key == "address" and self.targets:
                self.targets[-1][1] = value
            else:
                setattr(self, key, value)

    def addresses(self):
        return sorted(address for _, address in self.targets)


class Directory:
    def __init__(self, options, tables=None, maps=True):
        """options: dict of facteur.conf; tables: file name to text, beside and over TABLES."""
        self.dir = tempfile.mkdtemp(prefix="directory-")
        # Nothing is kept unless a test is about that.
        self.options = {"myhostname": "mail.example.org", "single_uid": "yes",
                        "virtual_mailbox_base": "/var/vmail", "directory_cache_ttl": "0",
                        "directory_cache_negative_ttl": "0", "ldap_sync": "no"}
        if maps:
            self.options.update({name: "ldap:ldap/%s.cf" % name for name in TABLES})
        self.options.update(options)
        self.tables = dict(TABLES, **(tables or {}))
        self.tag, self.answers, self.changed = 0, {}, threading.Condition()
        self.ended, self.twice, self.given = False, set(), set()

    def write(self):
        os.makedirs(self.dir + "/ldap", exist_ok=True)
        for name, text in self.tables.items():
            with open("%s/ldap/%s.cf" % (self.dir, name), "w") as out:
                out.write(text)
        with open(self.dir + "/facteur.conf", "w") as out:
            out.writelines("%s = %s\n" % item for item in self.options.items())

    def __enter__(self):
        self.write()
        self.errors = open(self.dir + "/log", "wb")
        self.process = subprocess.Popen(
            [BUILD + "/dirclient", BUILD + "/directory", self.dir + "/facteur.conf"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        threading.Thread(target=self._read, daemon=True).start()
        ready = self._await(0, 30)
        if ready.verdict != "ready":
            self.close()
            self.process.stdout.close()
            raise RuntimeError("not started: " + ready.error)
        self.pid = int(ready.pid)
        del self.answers[0]
        return self

    def __exit__(self, kind, *_):
        status, text = self.close()
        if kind is None and status != 0:
            raise AssertionError("it ended with %d:\n%s" % (status, text[-4000:]))
        if self.twice:
            raise AssertionError("answered more than once: %r" % self.twice)

    def close(self):
        """Ends it; its exit status and its log. The sanitizers' findings make the status another."""
        self.process.stdin.close()
        status = self.process.wait(30)
        self.errors.close()
        text = self.log()
        shutil.rmtree(self.dir, ignore_errors=True)
        return status, text

    def log(self):
        with open(self.dir + "/log", errors="replace") as text:
            return text.read()

    def _read(self):
        for line in self.process.stdout:
            words = line.decode().split()
            with self.changed:
                tag = int(words[0])
                if self._done(tag) or tag in self.given:
                    self.twice.add(tag)
                answer = self.answers.setdefault(tag, Answer())
                answer.take([w for w in words[1:] if w != "."])
                answer.done = words[-1] == "."
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _await(self, tag, seconds):
        with self.changed:
            self.changed.wait_for(lambda: self.ended or self._done(tag), seconds)
            if not self._done(tag):
                raise AssertionError("no answer to %d in %d s; log:\n%s"
                                     % (tag, seconds, self.log()[-4000:]))
            return self.answers[tag]

    def _done(self, tag):
        return tag in self.answers and getattr(self.answers[tag], "done", False)

    def ask(self, command, *arguments):
        """Sends a question; its tag for wait()."""
        self.tag += 1
        words = [str(self.tag), command]
        for argument in arguments:
            raw = argument if isinstance(argument, bytes) else argument.encode()
            words.append("".join("%%%02X" % b if b <= 32 or b >= 127 or b == 37 else chr(b)
                                 for b in raw) or "%")
        self.process.stdin.write((" ".join(words) + "\n").encode())
        self.process.stdin.flush()
        return self.tag

    def wait(self, tag, seconds=30):
        answer = self._await(tag, seconds)
        with self.changed:
            del self.answers[tag]
            self.given.add(tag)
        return answer

    def answered(self, tag):
        with self.changed:
            return self._done(tag)

    def _now(self, *words):
        return self.wait(self.ask(*words))

    def resolve(self, address, flags="", via="smtp"):
        return self._now("resolve", address, flags, via)

    def auth(self, user, password, service="submission", via="", client=""):
        """client: the address whose wrong passwords count."""
        return self._now("auth", user, password, service, via, client)

    def sender(self, grant, address, via="smtp"):
        return self._now("sender", grant, address, via)

    def redeem(self, grant, program, use="look"):
        return self._now("redeem", grant, program, use)

    def drop(self, grant, via="smtp"):
        return self._now("drop", grant, via)

    def flush(self, user=""):
        return int(self._now("flush", user).dropped)

    def began(self, login, uid, name=None):
        """A mailbox session, as the master tells of it; over() its end."""
        self._now("began", login, str(uid), login if name is None else name)

    def over(self, login, uid):
        self._now("over", login, str(uid))

    def logins_ended(self):
        """The logins ("name:uid") it has wanted ended since the last time."""
        return self._now("ended").__dict__.get("ended", [])

    def relink(self, peer):
        return self._now("relink", peer)

    def status(self):
        return self._now("status")

    def reload(self):
        self.write()
        return self._now("reload")

    def wait_connected(self, seconds=20):
        """Until all connections are up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            s = self.status()
            if all(x.split("/")[0] == x.split("/")[1]
                   for x in (s.search_connections, s.bind_connections)):
                return
            time.sleep(0.05)
        raise AssertionError("never connected: " + self.log()[-3000:])
