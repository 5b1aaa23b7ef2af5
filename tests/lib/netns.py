"""Network namespaces of a test's own: one switch ("world") and hosts on it, none of them connected to
anything else. Needs root, or user namespaces.

    with Net() as net:
        net.host("a", "10.77.0.1")
        with net.inside("a"):
            subprocess...
"""
import contextlib
import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000


def ip(*arguments, ns=None):
    command = ["ip"] + (["-n", ns] if ns else []) + list(arguments)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(command), done.stderr))


class Net:
    def __init__(self):
        self.names = []
        self.libc = ctypes.CDLL(None, use_errno=True)

    def __enter__(self):
        try:
            self.add("world")
            ip("link", "add", "br0", "type", "bridge", ns=self.name("world"))
            ip("link", "set", "br0", "up", ns=self.name("world"))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def name(self, host):
        return "facteur-%d-%s" % (os.getpid(), host)

    def add(self, host):
        ip("netns", "add", self.name(host))
        self.names.append(self.name(host))
        ip("link", "set", "lo", "up", ns=self.name(host))

    def address(self, *ips):
        """Addresses of the world itself."""
        for address in ips:
            ip("address", "add", address + "/24", "dev", "br0", ns=self.name("world"))

    def host(self, host, address):
        self.add(host)
        ip("link", "add", "to-" + host, "type", "veth", "peer", "name", "eth0", "netns",
           self.name(host), ns=self.name("world"))
        ip("link", "set", "to-" + host, "master", "br0", "up", ns=self.name("world"))
        ip("address", "add", address + "/24", "dev", "eth0", ns=self.name(host))
        ip("link", "set", "eth0", "up", ns=self.name(host))

    def enter(self, path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if self.libc.setns(fd, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns " + path)
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def inside(self, host):
        """Sockets and children made meanwhile by this thread are the host's."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.enter("/run/netns/" + self.name(host))
        try:
            yield
        finally:
            self.libc.setns(here, CLONE_NEWNET)
            os.close(here)

    def close(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        self.names = []
