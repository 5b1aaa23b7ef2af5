"""A private 389 Directory Server (ns-slapd of Debian's 389-ds-base), made from its own template in a
directory of its own: no dscreate, which wants systemd and places under /etc and /var.

    if PrivateDirsrv.found():
        with PrivateDirsrv() as dirsrv:
            dirsrv.add(ldif)
"""
import base64
import glob
import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile

from tap import Started, wait_for

SHARE = "/usr/share/dirsrv"
PROGRAM = "/usr/sbin/ns-slapd"
BASE = "dc=example,dc=org"
MANAGER = "cn=Directory Manager"

BACKEND = """dn: cn=userroot,cn=ldbm database,cn=plugins,cn=config
objectclass: top
objectclass: extensibleObject
objectclass: nsBackendInstance
nsslapd-suffix: %(base)s
nsslapd-directory: %(dir)s/db/userroot
cn: userroot

dn: cn="%(base)s",cn=mapping tree,cn=config
objectclass: top
objectclass: extensibleObject
objectclass: nsMappingTree
cn: %(base)s
nsslapd-state: backend
nsslapd-backend: userroot

dn: %(base)s
objectclass: domain
dc: example

dn: ou=mail,%(base)s
objectclass: organizationalUnit
ou: mail

"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def hashed(password):
    salt = os.urandom(8)
    return "{SSHA512}" + base64.b64encode(
        hashlib.sha512(password.encode() + salt).digest() + salt).decode()


class PrivateDirsrv(Started):
    base, mail_base, reader_dn = BASE, "ou=mail," + BASE, MANAGER

    @staticmethod
    def found():
        return os.access(PROGRAM, os.X_OK) and os.path.exists(SHARE + "/data/template-dse.ldif")

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="dirsrv-")
        self.port = free_port()
        self.uri = "ldap://127.0.0.1:%d" % self.port
        self.reader_password = os.urandom(12).hex()
        self.process = None

    def start(self):
        self.make()
        self.run()
        self.add(BACKEND % {"base": BASE, "dir": self.dir})

    def close(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
        shutil.rmtree(self.dir, ignore_errors=True)

    def make(self):
        for sub in ("lock", "tmp", "cert", "ldif", "bak", "run", "inst", "log", "config", "db"):
            os.mkdir("%s/%s" % (self.dir, sub))
        os.mkdir(self.dir + "/config/schema")
        shutil.copy("/etc/dirsrv/schema/99user.ldif", self.dir + "/config/schema")
        for path in glob.glob("/etc/dirsrv/config/*.conf"):
            shutil.copy(path, self.dir + "/config")
        values = {sub + "_dir": "%s/%s" % (self.dir, sub) for sub in os.listdir(self.dir)}
        values.update(schema_dir=self.dir + "/config/schema", db_home_dir=self.dir + "/db", db_lib="mdb", ds_passwd=hashed(self.reader_password),
                      ds_port=str(self.port), ds_suffix=BASE, fqdn="localhost", ldapi=self.dir + "/ldapi",
                      ds_user="root" if os.geteuid() == 0 else os.environ.get("USER", "nobody"),
                      ldapi_enabled="off", ldapi_autobind="off", rootdn=MANAGER)
        with open(SHARE + "/data/template-dse.ldif") as template:
            text = re.sub("%([a-z_]+)%", lambda m: values[m.group(1)], template.read())
        with open(self.dir + "/config/dse.ldif", "w") as dse:
            dse.write(text)

    def run(self):
        with open(self.dir + "/log/output", "w") as output:
            self.process = subprocess.Popen(
                [PROGRAM, "-D", self.dir + "/config", "-i", self.dir + "/run/pid", "-d", "0"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_for(self.answers, 60, "ns-slapd does not start")

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError("ns-slapd ended: " + self.log())
        return self.client("ldapsearch", None, "-s", "base", "-b", "").returncode == 0

    def log(self):
        return "".join(open(path, errors="replace").read()[-3000:] for path in
                       glob.glob(self.dir + "/log/errors") + glob.glob(self.dir + "/log/output"))

    def client(self, tool, text, *arguments):
        return subprocess.run([tool, "-x", "-H", self.uri, "-D", MANAGER, "-w", self.reader_password,
                               *arguments], input=text, capture_output=True, text=True)

    def add(self, ldif):
        done = self.client("ldapadd", ldif)
        if done.returncode != 0:
            raise RuntimeError("ldapadd: %s\n%s" % (done.stderr, self.log()))

    def table_settings(self):
        return ("server_host = %s\nversion = 3\nbind = yes\nbind_dn = %s\nbind_pw = %s\nsearch_base = %s\n"
                % (self.uri, MANAGER, self.reader_password, self.mail_base))
