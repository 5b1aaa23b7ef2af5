"""A real Postfix that only listens: smtpd with the restrictions of each test, on a port of its own for
each, in a configuration, a queue and (with resolv) a view of /etc/resolv.conf of its own. Needs root."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from tap import Started

SERVICES = """cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
discard unix - - n - - discard
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
qmgr unix n - n 300 1 qmgr
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(Started):
    def __init__(self, main, services, resolv=None):
        """main: options of main.cf; services: port to options of that smtpd."""
        self.dir = tempfile.mkdtemp(prefix="facteur-postfix-")
        os.chmod(self.dir, 0o755)
        self.main, self.services, self.resolv = main, services, resolv
        self.process = None

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as out:
            out.write(text)
        os.chmod(self.path(name), 0o644)
        return self.path(name)

    def configure(self):
        os.mkdir(self.path("spool"))
        os.mkdir(self.path("data"))
        shutil.chown(self.path("data"), "postfix", "postfix")
        values = {"compatibility_level": "3.6", "queue_directory": self.path("spool"),
                  "data_directory": self.path("data"), "maillog_file": self.path("log"),
                  "maillog_file_prefixes": self.dir, "inet_protocols": "all",
                  "smtpd_delay_reject": "yes", "default_transport": "discard:",
                  "virtual_transport": "discard:", "local_transport": "discard:",
                  "alias_maps": "", "local_recipient_maps": "", "alias_database": "", "disable_dns_lookups": "no"}
        values.update(self.main)
        self.write("main.cf", "".join("%s = %s\n" % item for item in values.items()))
        lines = SERVICES
        for port, options in self.services.items():
            lines += "%d inet n - n - - smtpd\n" % port
            lines += "".join("  -o {%s = %s}\n" % item for item in options.items())
        self.write("master.cf", lines)

    def start(self):
        self.configure()
        command = "exec postfix -c %s start-fg" % self.dir
        if self.resolv:
            command = "mount --bind %s /etc/resolv.conf && %s" % (self.write("resolv.conf", self.resolv), command)
        with open(self.path("out"), "w") as out:
            self.process = subprocess.Popen(["unshare", "--mount", "sh", "-c", command],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            start_new_session=True)
        end = time.monotonic() + 60
        for port in self.services:
            while not self.hears(port):
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("Postfix did not start:\n" + self.log()[-3000:])
                time.sleep(0.05)

    def hears(self, port):
        try:
            with socket.create_connection(("127.0.0.1", port), 20) as s:
                return s.recv(100).startswith(b"220")
        except OSError:
            return False

    def log(self):
        text = ""
        for name in ("out", "log"):
            if os.path.exists(self.path(name)):
                with open(self.path(name), errors="replace") as file:
                    text += file.read()
        return text

    def close(self):
        """The master process takes its children with it, but may be another than the one started."""
        pids = re.findall(r"\d+", open(self.path("spool/pid/master.pid")).read()) \
            if os.path.exists(self.path("spool/pid/master.pid")) else []
        if self.process:
            for pid in pids:
                if os.path.exists("/proc/" + pid):
                    os.kill(int(pid), signal.SIGTERM)
            try:
                self.process.wait(10 if pids else 0.1)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
