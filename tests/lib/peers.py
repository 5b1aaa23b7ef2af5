"""Other people's mail servers, each with directories, ports and processes of its own: Debian's Postfix,
and Debian's Exim. As root only.

exim4-daemon-light and postfix cannot be installed together, so Exim is the content of its package,
unpacked by quickstart into the build directory (or by the test itself: fetch_exim). It wants a user
Debian-exim, whom it finds in a passwd file that is bound over /etc/passwd in a mount namespace of its
own.

A peer takes mail for its domain (people() of them, each in one maildir) and hands on what is for
example.com by SMTP with a verified certificate, and what is for example.net by LMTP.
"""
import glob
import grp
import os
import pwd
import shutil
import signal
import smtplib
import subprocess
import tempfile

import tap
from instance import BUILD, free_ports

PEOPLE = ["friend", "j\u00fcrgen"] + ["u%d" % i for i in range(1, 51)]


class Peer:
    def __init__(self, mail):
        self.mail = mail
        self.host = "mx." + self.domain
        self.dir = tempfile.mkdtemp(prefix="facteur-peer-")
        os.chmod(self.dir, 0o755)
        self.port = free_ports(1)[0]
        self.pem = self.path("server.pem")
        self.ca = self.path("ca.pem")
        shutil.copy(mail.certificate(self.host), self.pem)
        shutil.copy(mail.ca, self.ca)
        self.process = None

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, text):
        with open(self.path(name), "w") as out:
            out.write(text)
        return self.path(name)

    def start(self):
        command = self.prepare()
        with open(self.path("output"), "ab") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            start_new_session=True)
        tap.wait_for(self.answers, 30, "%s did not start: %s" % (self.name, self.log()))

    def answers(self):
        try:
            smtplib.SMTP("127.0.0.1", self.port, timeout=5).quit()
            return True
        except OSError:
            return False

    def close(self):
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
            self.process.wait(20)
            self.end()
        shutil.rmtree(self.dir, ignore_errors=True)

    def end(self):
        pass

    def send(self, sender, recipients, text, options=(), parameters=()):
        """Hands the peer a message to be sent on."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as client:
            client.sendmail(sender, recipients, text, options, parameters)

    def messages(self):
        """The bytes of all that was delivered here."""
        found = []
        for path in glob.glob(self.path("mail", "all", "new", "*")):
            with open(path, "rb") as message:
                found.append(message.read())
        return found

    def log(self):
        text = ""
        for path in self.logs:
            if os.path.exists(self.path(path)):
                with open(self.path(path), errors="replace") as log:
                    text += log.read()
        return text


MAIN = """compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = {host}
mydestination =
alias_maps =
local_recipient_maps =
append_dot_mydomain = no
biff = no
minimal_backoff_time = 1s
queue_run_delay = 1s
smtp_line_length_limit = 0
strict_smtputf8 = yes
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = texthash:{dir}/people
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
transport_maps = inline:{{{{example.com = smtp:[127.0.0.1]:{smtp}}}, {{example.net = lmtp:inet:127.0.0.1:{lmtp}}}}}
smtpd_tls_security_level = may
smtpd_tls_chain_files = {pem}
smtpd_tls_received_header = yes
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = mail.example.org
smtp_tls_CAfile = {ca}
smtp_tls_loglevel = 1
"""
SERVICES = """{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(Peer):
    name, domain, logs = "postfix", "postfix.example", ("output", "log")

    def prepare(self):
        owner, conf = pwd.getpwnam("postfix"), self.path("conf")
        for name in ("conf", "mail", "data"):
            os.mkdir(self.path(name), 0o755)
        for name in ("mail", "data"):
            os.chown(self.path(name), owner.pw_uid, owner.pw_gid)
        self.write("people", "".join("%s@%s all/\n" % (p, self.domain) for p in PEOPLE))
        values = dict(vars(self), domain=self.domain, smtp=self.mail.ports["smtp"],
                      lmtp=self.mail.ports["lmtp"], uid=owner.pw_uid, gid=owner.pw_gid)
        self.write("conf/main.cf", MAIN.format(**values))
        self.write("conf/master.cf", SERVICES.format(**values))
        self.make_queue(owner)
        return ["/usr/lib/postfix/sbin/master", "-c", conf, "-d", "-s"]

    def make_queue(self, owner):
        queue, postdrop = self.path("queue"), grp.getgrnam("postdrop").gr_gid
        os.mkdir(queue)
        os.mkdir(queue + "/pid")
        places = dict.fromkeys(("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
                                "incoming", "private", "saved", "trace"), 0o700)
        places.update(maildrop=0o1730, public=0o2710)
        for name, mode in places.items():
            os.mkdir(os.path.join(queue, name))
            os.chown(os.path.join(queue, name), owner.pw_uid, postdrop if mode > 0o700 else 0)
            os.chmod(os.path.join(queue, name), mode)


EXIM_CONF = """exim_path = {exim}
exim_user = {uid}
exim_group = {uid}
keep_environment =
deliver_drop_privilege = true
spool_directory = {dir}/spool
log_file_path = {dir}/log-%s
pid_file_path = {dir}/pid
primary_hostname = {host}
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
smtp_accept_max = 0
rfc1413_query_timeout = 0s
log_selector = -queue_run
message_logs = false
acl_smtp_rcpt = rcpt
tls_advertise_hosts = *
tls_certificate = {pem}
tls_privatekey = {pem}
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
chunking_advertise_hosts = *
recipients_max = 1000

begin acl
rcpt:
  accept domains = {domain}
         verify = recipient
  deny domains = {domain}
       message = no such person
  accept hosts = 127.0.0.1

begin routers
here:
  driver = accept
  domains = {domain}
  local_parts = {people}
  transport = files
by_lmtp:
  driver = manualroute
  domains = example.net
  route_list = * 127.0.0.1
  self = send
  transport = lmtp
away:
  driver = manualroute
  domains = example.com
  route_list = * 127.0.0.1::{smtp}
  self = send
  transport = smtp

begin transports
files:
  driver = appendfile
  directory = {dir}/mail/all
  maildir_format
  envelope_to_add
  return_path_add
smtp:
  driver = smtp
  hosts_require_tls = *
  tls_verify_certificates = {ca}
  tls_verify_hosts = *
  tls_verify_cert_hostnames = *
  message_linelength_limit = 100000
lmtp:
  driver = smtp
  protocol = lmtp
  port = {lmtp}
  hosts_avoid_tls = *
  message_linelength_limit = 100000

begin retry
* * F,1h,1s
"""
EXIM_START = """set -e
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
exec "$2" -C "$1/conf" -bdf -q1s
"""
EXIM_UID = 15399


def fetch_exim():
    """The path of an Exim, which quickstart has put into the build directory; else it is fetched."""
    place = os.path.join(BUILD, "exim")
    exim = os.path.join(place, "usr/sbin/exim4")
    if os.path.exists(exim):
        return exim
    with tempfile.TemporaryDirectory() as new:
        subprocess.run(["apt-get", "-q", "download", "exim4-daemon-light"], cwd=new, check=True,
                       capture_output=True)
        package = glob.glob(new + "/*.deb")[0]
        subprocess.run(["dpkg", "-x", package, new + "/exim"], check=True)
        try:
            shutil.move(new + "/exim", place)
        except OSError:
            pass  # somebody else was quicker
    return exim


class Exim(Peer):
    name, domain, logs = "exim", "exim.example", ("output", "log-main", "log-panic", "log-reject")

    def prepare(self):
        for name in ("spool", "mail"):
            os.mkdir(self.path(name), 0o755)
            os.chown(self.path(name), EXIM_UID, EXIM_UID)
        os.chown(self.dir, EXIM_UID, EXIM_UID)
        os.chown(self.pem, EXIM_UID, EXIM_UID)
        for name, line in (("passwd", "Debian-exim:x:%d:%d::/nonexistent:/usr/sbin/nologin\n"),
                           ("group", "Debian-exim:x:%d:\n")):
            with open("/etc/" + name) as file:
                self.write(name, file.read() + line % ((EXIM_UID,) * line.count("%d")))
        self.exim = self.path("exim4")
        shutil.copy(fetch_exim(), self.exim)
        os.chmod(self.exim, 0o755)
        self.write("conf", EXIM_CONF.format(**dict(
            vars(self), domain=self.domain, smtp=self.mail.ports["smtp"], uid=EXIM_UID,
            lmtp=self.mail.ports["lmtp"], people=" : ".join(PEOPLE))))
        return ["unshare", "-m", "--propagation", "private", "sh", "-c", EXIM_START, "sh", self.dir,
                self.exim]
