"""The machine under the bench: a file system of its own, CPU time and memory of groups of programs,
what others do meanwhile, and a description."""
import glob
import os
import platform
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
BUSY_LOAD = 3.0     # a round that begins above it is not called good
BUSY_OTHERS = 0.10  # nor one in which others took more of the processors


def read(path, fallback=""):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return fallback


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(command), done.stderr.strip()))
    return done.stdout


class FileSystem:
    """ext4 with a journal in a loop-mounted file; a plain directory where that cannot be had."""

    def __init__(self, directory, gigabytes):
        self.path = os.path.join(directory, "fs")
        self.image = os.path.join(directory, "fs.img")
        self.mounted = False
        os.mkdir(self.path)
        try:
            with open(self.image, "wb") as image:
                image.truncate(gigabytes << 30)
            run("mkfs.ext4", "-q", "-F", "-i", "8192", "-O", "has_journal", "-E",
                "lazy_itable_init=0,lazy_journal_init=0", self.image)
            run("mount", "-o", "loop,noatime", self.image, self.path)
            self.mounted = True
            self.kind = "loop-mounted ext4 with a journal"
        except (OSError, RuntimeError) as error:
            kind = run("stat", "-f", "-c", "%T", self.path).strip()
            self.kind = "plain directory on %s (no loop mount: %s)" % (kind, error)
        os.chmod(self.path, 0o755)

    def close(self):
        if self.mounted:
            for _ in range(50):
                if subprocess.run(["umount", self.path], stderr=subprocess.DEVNULL).returncode == 0:
                    break
                time.sleep(0.2)


def processes():
    """pid: (ppid, CPU seconds with those of its ended children, is it a kernel thread)."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        text = read(path)
        if not text:
            continue
        fields = text[text.rindex(")") + 2:].split()
        cpu = sum(int(value) for value in fields[11:15]) / TICK
        found[int(path.split("/")[2])] = (int(fields[1]), cpu, fields[20] == "0")
    return found


def tree(pid, table=None):
    table = table or processes()
    children = {}
    for child, (parent, _, _) in table.items():
        children.setdefault(parent, []).append(child)
    found, wanted = [], [pid]
    while wanted:
        pid = wanted.pop()
        if pid in table:
            found.append(pid)
            wanted += children.get(pid, [])
    return found


class Group:
    """The processes of one server: a control group of our own where one can be made, else the tree
    below the pids that were added."""

    def __init__(self, name):
        self.directory, self.version, self.roots = None, 0, []
        own = dict(line.split(":", 2)[1:] for line in read("/proc/self/cgroup").split())
        places = [(1, "/sys/fs/cgroup/cpuacct" + own.get("cpuacct", "/")),
                  (1, "/sys/fs/cgroup/cpu,cpuacct" + own.get("cpu,cpuacct", "/")),
                  (2, "/sys/fs/cgroup" + own.get("", "/"))]
        for version, place in places:
            path = os.path.join(place, "facteur-bench-%d-%s" % (os.getpid(), name))
            proof = "cpuacct.usage" if version == 1 else "cpu.stat"
            if os.path.exists(os.path.join(place, proof)):
                try:
                    os.mkdir(path)
                    self.directory, self.version = path, version
                    break
                except OSError:
                    continue

    def join(self):
        """Called in a child before exec."""
        if self.directory:
            with open(self.directory + "/cgroup.procs", "w") as procs:
                procs.write(str(os.getpid()))

    def add(self, pid):
        self.roots.append(pid)
        if self.directory:
            with open(self.directory + "/cgroup.procs", "w") as procs:
                procs.write(str(pid))

    def pids(self):
        if self.directory:
            return [int(pid) for pid in read(self.directory + "/cgroup.procs").split()]
        table = processes()
        return [pid for root in self.roots for pid in tree(root, table)]

    def cpu(self):
        """CPU seconds so far."""
        if self.version == 1:
            return int(read(self.directory + "/cpuacct.usage")) / 1e9
        if self.version == 2:
            return int(read(self.directory + "/cpu.stat").split()[1]) / 1e6
        table = processes()
        return sum(table[pid][1] for root in self.roots for pid in tree(root, table))

    def pss(self):
        """KiB: each page divided among those who share it."""
        total = 0
        for pid in self.pids():
            for line in read("/proc/%d/smaps_rollup" % pid).splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total

    def close(self):
        if self.directory:
            for _ in range(50):
                try:
                    os.rmdir(self.directory)
                    break
                except OSError:
                    time.sleep(0.1)


def kernel_memory():
    """KiB of slab, page tables and kernel stacks, of the whole machine."""
    total = 0
    for line in read("/proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name in ("Slab", "PageTables", "KernelStack"):
            total += int(value.split()[0])
    return total


def load_average():
    return float(read("/proc/loadavg", "0").split()[0])


class Others:
    """How busy the processors were with what is neither ours nor the kernel's."""

    def __init__(self, groups):
        self.groups = groups
        self.load = load_average()
        self.begun, self.cpu = time.monotonic(), self.total()

    def total(self):
        ours = {os.getpid()}
        for group in self.groups:
            ours.update(group.pids())
        return sum(cpu for pid, (_, cpu, kernel) in processes().items()
                   if pid not in ours and not kernel)

    def end(self):
        """(share of all processors, may the round be called good)"""
        seconds = time.monotonic() - self.begun
        share = max(0.0, (self.total() - self.cpu) / seconds / (os.cpu_count() or 1))
        return share, share <= BUSY_OTHERS and self.load <= BUSY_LOAD


def wait_for_quiet(seconds):
    end = time.monotonic() + seconds
    while load_average() > BUSY_LOAD and time.monotonic() < end:
        time.sleep(5)


def describe(file_system):
    cpu = [line.split(":")[1].strip() for line in read("/proc/cpuinfo").splitlines()
           if line.startswith("model name")]
    memory = int(read("/proc/meminfo", "MemTotal: 0").split()[1]) >> 10
    versions = []
    for package in ("postfix", "dovecot-core", "slapd", "libssl3"):
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}", package],
                              capture_output=True, text=True)
        versions.append(done.stdout.strip())
    return [("processors", "%d of %s" % (os.cpu_count() or 0, cpu[0] if cpu else "?")),
            ("memory", "%d MiB" % memory), ("kernel", platform.release()),
            ("files", file_system), ("software", ", ".join(v for v in versions if v))]
