"""A real name server (nsd) with signed zones (ldns), for a test.

    with NameServer("10.77.0.53", {".": text, "insecure.": text}, signed=(".",)) as dns:
        dns.anchor
"""
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time

from tap import Started

HEAD = """$ORIGIN %s
$TTL 60
@ IN SOA ns.zone. hostmaster.zone. 1 60 60 60 60
@ IN NS ns.zone.
"""


def run(*command, cwd):
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (command, done.stderr))
    return done.stdout.strip()


class NameServer(Started):
    """zones: origin to records. Those of bogus are signed, and their parent holds the DS of another
    key; the root comes last and gets the DS of every other signed zone."""

    def __init__(self, ip, zones, signed=(), bogus=()):
        self.ip, self.zones, self.signed, self.bogus = ip, zones, signed, bogus
        self.dir = tempfile.mkdtemp(prefix="facteur-nsd-")
        os.chmod(self.dir, 0o755)
        self.process = None

    def keys(self, origin):
        algorithm = ("-a", "ECDSAP256SHA256", "-r", "/dev/urandom")
        return [run("ldns-keygen", *algorithm, *kind, origin, cwd=self.dir)
                for kind in (("-k",), ())]

    def zone(self, origin, records):
        path = os.path.join(self.dir, (origin.strip(".") or "root") + ".zone")
        with open(path, "w") as file:
            file.write(HEAD % origin + records)
        if origin not in self.signed + self.bogus:
            return path, ""
        keys = self.keys(origin)
        run("ldns-signzone", "-o", origin, path, *keys, cwd=self.dir)
        shown = self.keys(origin)[0] if origin in self.bogus else keys[0]
        with open(os.path.join(self.dir, shown + ".ds")) as file:
            return path + ".signed", file.read()

    def start(self):
        files, ds = {}, ""
        for origin in sorted(self.zones, key=lambda o: o == "."):
            records = self.zones[origin] + (ds if origin == "." else "")
            files[origin], own = self.zone(origin, records)
            ds += own
        self.anchor = os.path.join(self.dir, "anchor")
        with open(self.anchor, "w") as file:
            file.write(own)
        conf = os.path.join(self.dir, "nsd.conf")
        with open(conf, "w") as file:
            file.write('server:\n  ip-address: %s\n  username: ""\n  zonesdir: "%s"\n  database: ""\n'
                       '  pidfile: ""\n  xfrdfile: ""\n  zonelistfile: "%s/list"\n  server-count: 1\n'
                       '  xfrdir: "%s"\n' % (self.ip, self.dir, self.dir, self.dir))
            file.write("remote-control:\n  control-enable: no\n")
            for origin, path in files.items():
                file.write('zone:\n  name: "%s"\n  zonefile: "%s"\n' % (origin, path))
        self.log = open(os.path.join(self.dir, "log"), "w+")
        self.process = subprocess.Popen(["/usr/sbin/nsd", "-c", conf, "-d"], stdout=self.log,
                                        stderr=self.log)
        self.wait()

    def wait(self):
        query = struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\0" + struct.pack("!HH", 6, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            for _ in range(100):
                try:
                    s.sendto(query, (self.ip, 53))
                    if s.recv(4096)[3] & 15 == 0:
                        return
                except OSError:
                    time.sleep(0.1)
        self.log.seek(0)
        raise RuntimeError("nsd does not answer: " + self.log.read()[-2000:])

    def close(self):
        if self.process:
            self.process.terminate()
            self.process.wait(10)
        shutil.rmtree(self.dir, ignore_errors=True)
