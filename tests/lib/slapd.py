"""A private slapd for a test: the real one, in a directory of its own, stopped at the end.

    with PrivateSlapd() as slapd:
        slapd.add("dn: uid=...\\n...")
        slapd.uri, slapd.reader_dn, slapd.reader_password, slapd.ca_file, slapd.mail_base
"""
import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile

from tap import Started, wait_for

SRCDIR = os.environ.get("FACTEUR_SRCDIR") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(SRCDIR, "schema", "private-slapd")
PEOPLE = os.path.join(SRCDIR, "schema", "people.ldif")


class PrivateSlapd(Started):
    """Every fact of DIR/slapd.env is an attribute: LDAP_URI is uri, LDAPI_URI is ldapi_uri, the
    others are their own names in small letters (base, mail_base, admin_dn, reader_password, ...)."""

    def __init__(self, dir=None, suffix=None, port=None, vmail=None, people=PEOPLE):
        """dir: kept if given, else a temporary one; people: an LDIF file, a list of them, or None."""
        self.temporary = dir is None
        self.dir = dir or tempfile.mkdtemp(prefix="slapd-")
        self.options = []
        for name, value in (("--suffix", suffix), ("--port", port), ("--vmail", vmail)):
            if value is not None:
                self.options += [name, str(value)]
        if isinstance(people, str):
            people = [people]
        for path in people or []:
            self.options += ["--people", path]
        self.facts = {}

    def __getattr__(self, name):
        facts = self.__dict__.get("facts", {})
        for key in (name.upper(), "LDAP_" + name.upper()):
            if key in facts:
                return facts[key]
        raise AttributeError(name)

    def start(self):
        """Starts it, on the port it had before if it ran before."""
        self._script("start", self.dir, *self.options)
        self.facts = {}
        with open(os.path.join(self.dir, "slapd.env")) as env:
            for line in env:
                key, _, value = line.rstrip("\n").partition("=")
                if value[:1] == "'":
                    value = value[1:-1].replace("'\\''", "'")
                self.facts[key] = value
        return self

    def stop(self):
        """Stops it; start() brings it back with all its entries."""
        self._script("stop", self.dir)

    def close(self):
        """Stops it for good; a temporary directory goes too."""
        self.resume()
        self.stop()
        if self.temporary:
            shutil.rmtree(self.dir, ignore_errors=True)

    def running(self):
        return subprocess.run([SCRIPT, "status", self.dir], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def pause(self):
        """It keeps its connections and answers nothing, until resume()."""
        os.kill(int(self.slapd_pid), signal.SIGSTOP)
        # The signal is on its way still: threads that run may answer meanwhile.
        wait_for(lambda: all(state == "T" for state in self._states()), 10, "slapd goes on")

    def _states(self):
        for path in glob.glob("/proc/%d/task/*/stat" % int(self.slapd_pid)):
            with open(path) as stat:
                yield stat.read().rsplit(")", 1)[1].split()[0]

    def resume(self):
        if self.facts and self.running():
            os.kill(int(self.slapd_pid), signal.SIGCONT)

    def kill(self):
        """kill -9, only of the process that status knows as ours."""
        if self.running():
            os.kill(int(self.slapd_pid), signal.SIGKILL)
        self._script("stop", self.dir)

    def add(self, ldif):
        """Adds entries (LDIF text) as the administrator."""
        self._client("ldapadd", self.admin_dn, ldif)

    def modify(self, ldif):
        """Applies LDIF change records as the administrator."""
        self._client("ldapmodify", self.admin_dn, ldif)

    def modify_config(self, ldif):
        """The same for cn=config."""
        self._client("ldapmodify", self.config_dn, ldif)

    def delete(self, *dns):
        self._client("ldapdelete", self.admin_dn, "".join(dn + "\n" for dn in dns))

    def search(self, filter, *attributes, base=None, scope="sub"):
        """LDIF text, as the administrator."""
        return self._client("ldapsearch", self.admin_dn, None, "-LLL", "-o", "ldif-wrap=no", "-b",
                            self.base if base is None else base, "-s", scope, filter, *attributes)

    def argon2(self, password, rounds=3, kibibytes=4096):
        """The {ARGON2} hash of a password, and slapd can check such from now on."""
        self.modify_config("dn: cn=module{0},cn=config\nchangetype: modify\nadd: olcModuleLoad\n"
                           "olcModuleLoad: argon2\n")
        path = re.search("(?m)^olcModulePath: (.*)$", self._client(
            "ldapsearch", self.config_dn, None, "-LLL", "-b", "cn=module{0},cn=config")).group(1)
        done = subprocess.run(
            ["slappasswd", "-o", "module-path=" + path, "-o",
             "module-load=argon2 t=%d m=%d p=1" % (rounds, kibibytes), "-h", "{ARGON2}", "-s", password],
            capture_output=True, text=True, check=True,
            env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin"))
        return done.stdout.strip()

    def operations(self):
        """How many operations of each kind slapd has begun since it started (cn=monitor)."""
        counts, name = {}, None
        text = self.search("(monitorOpInitiated=*)", "cn", "monitorOpInitiated",
                           base="cn=Operations,cn=Monitor", scope="one")
        for line in text.splitlines():
            if line.startswith("cn: "):
                name = line[4:].lower()
            elif line.startswith("monitorOpInitiated: "):
                counts[name] = int(line.split()[1])
        return counts

    def table_settings(self, tls=True):
        """The connection lines of an ldap_table(5) file, as the article has them."""
        lines = ["server_host = " + self.uri, "version = 3", "bind = yes",
                 "bind_dn = " + self.reader_dn, "bind_pw = " + self.reader_password,
                 "search_base = " + self.mail_base, "scope = sub"]
        if tls:
            lines += ["start_tls = yes", "tls_ca_cert_file = " + self.ca_file,
                      "tls_require_cert = yes"]
        return "\n".join(lines) + "\n"

    def _client(self, tool, dn, text, *arguments):
        done = subprocess.run([tool, "-x", "-H", self.ldapi_uri, "-D", dn, "-y",
                               os.path.join(self.dir, "admin.pw"), *arguments],
                              input=text, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError("%s: %s" % (tool, done.stderr.strip()))
        return done.stdout

    @staticmethod
    def _script(*arguments):
        done = subprocess.run([SCRIPT, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True)
        if done.returncode != 0:
            raise RuntimeError("private-slapd %s: %s" % (arguments[0], done.stderr.strip()))
