"""What the comparisons with other ways to remote files share: mounting sshfs over the relay, one workload in all its cells."""
import hashlib
import os
import re
import subprocess
import time

from benchlib import Misbehaved, Series, TimedOut, have

LINKS = [(0, 0), (1, 500), (20, 10000)]  # RTT in ms, and the relay's delay each way in µs
LIMIT = 120  # seconds that a cell may take
SLOW = 8  # a cell that took this long is not repeated
SFTP_SERVERS = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"]
SSHFS_OPTIONS = "kernel_cache,auto_cache,dir_cache=yes"  # as much caching as it has
STAMP = re.compile(rb"\d+\.\d{9}")


def sftp_server():
    return next((path for path in SFTP_SERVERS if os.path.exists(path)), None)


def sshfs_missing():
    """What keeps sshfs from being run here, or None."""
    if not have("sshfs"):
        return "sshfs"
    if not sftp_server():
        return "sftp-server"
    return None if os.access("/dev/fuse", os.R_OK | os.W_OK) else "/dev/fuse that can be opened"


class Sshfs:
    """A fresh mount of TREE, over plain sftp: no encryption, so the relay is all that is between the two."""

    def __init__(self, bench, tree, one_way_us):
        self.bench = bench
        self.path = os.path.join(bench.work, "sshfs")
        os.makedirs(self.path, exist_ok=True)
        script = os.path.join(bench.work, "ssh.%d" % one_way_us)
        with open(script, "w") as f:  # it would be given ssh's options, and drops them
            f.write("#!/bin/sh\nexec %s -d %d -- %s\n" % (bench.tool("delayrelay"), one_way_us, sftp_server()))
        os.chmod(script, 0o755)
        self.argv = ["setpriv", "--pdeathsig", "TERM", "sshfs", "-f", "-o", "ssh_command=%s,%s" % (script, SSHFS_OPTIONS),
                     "relay:" + tree, self.path]

    def __enter__(self):
        self.bench.mounted.append(self)
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, start_new_session=True)
        end = time.monotonic() + 15
        while not os.path.ismount(self.path):
            if self.process.poll() is not None or time.monotonic() > end:
                text = self.process.stderr.read() if self.process.poll() is not None else b"no mount after 15 s"
                self.stop()
                raise Misbehaved("sshfs: %s" % text.decode(errors="replace").strip())
            time.sleep(0.005)
        return self.path

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Lazily, since a program that was killed in it may not be gone yet."""
        self.bench.mounted.remove(self)
        if os.path.ismount(self.path):
            subprocess.run(["fusermount3", "-u", "-z", self.path], stderr=subprocess.DEVNULL)
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()


def fingerprint(folder, times=False):
    """One line for each name below FOLDER: what it is and a checksum of what is in it."""
    lines = []
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(parent, name)
            st = os.lstat(path)
            content = ""
            if name in files:
                with open(path, "rb") as f:
                    content = hashlib.sha1(f.read()).hexdigest()
            when = int(st.st_mtime) if times else ""
            lines.append("%s %o %s %s" % (os.path.relpath(path, folder), st.st_mode, when, content))
    return sorted(lines)


class Workload:
    """A program on a tree. ARGV(tree) is its command; what it prints and leaves below tree/out has to be what it
    prints and leaves natively. CUT(tree), if any, is the same on one part in FACTOR, for peers that are too slow."""

    def __init__(self, name, argv, must="", met=None, cut=None, factor=1, extra=(), between=False, times=False, normal=None):
        self.name, self.argv, self.must, self.met = name, argv, must, met
        self.cut, self.factor, self.extra = cut, factor, list(extra)
        self.between = between  # its time is that between the last two stamps that it prints
        self.times = times  # mtimes are compared as well
        self.normal = normal or (lambda out: out)
        self.expected = {}

    def result(self, out, tree, root):
        """Seconds between the stamps or None, and all that must not differ."""
        lines = out.replace(tree.encode(), b"TREE").split(b"\n")
        stamps = [float(line) for line in lines if STAMP.fullmatch(line)]
        lines = sorted(line for line in lines if not STAMP.fullmatch(line))
        seconds = stamps[-1] - stamps[-2] if self.between else None
        return seconds, (self.normal(lines), fingerprint(os.path.join(root, "out"), self.times))


def shell(script):
    """For Workload: SCRIPT, in which TREE stands for the tree."""
    return lambda tree: ["sh", "-c", script.replace("TREE", tree)]


class Cell:
    """A workload with one peer at one RTT."""

    def __init__(self, bench, root, workload, peer, rtt, one_way_us, cut=False, limit=LIMIT):
        self.bench, self.root, self.workload, self.limit = bench, root, workload, limit
        self.peer, self.rtt, self.one_way_us = peer, rtt, one_way_us
        self.cut = cut and workload.cut is not None
        self.times, self.stats, self.failed, self.late = Series(), None, None, False

    def finish(self, argv, tree):
        w = self.workload
        seconds, out = self.bench.run(argv, timeout=self.limit)
        between, result = w.result(out, tree, self.root)
        if w.expected.setdefault(self.cut, result) != result:
            raise Misbehaved("%s, %s at %s ms: printed or left something else than natively" % (w.name, self.peer, self.rtt))
        self.times.add((seconds if between is None else between) * (w.factor if self.cut else 1))

    def measure(self):
        argv = self.workload.cut if self.cut else self.workload.argv
        out = os.path.join(self.root, "out")
        subprocess.run(["rm", "-rf", out], check=True)
        os.mkdir(out)
        if self.peer == "sshfs":
            with Sshfs(self.bench, self.root, self.one_way_us) as tree:
                self.finish(argv(tree), tree)
        elif self.peer == "ours":
            traced, stats = self.bench.traced(argv(self.root), self.one_way_us, self.root, self.workload.extra)
            self.finish(traced, self.root)
            self.stats = self.bench.read_stats(stats)
        else:
            self.finish(argv(self.root), self.root)

    def once(self):
        """One repetition; a cell that is slow, too slow or wrong has had its last one."""
        if self.failed or self.late or (self.times.values and self.times.values[0] > SLOW):
            return
        try:
            self.measure()
        except TimedOut:
            self.late = True
        except Misbehaved as e:
            self.failed = str(e)
            if self.peer == "sshfs":
                print("sshfs failed: %s" % self.failed)
            else:
                self.bench.check(self.workload.name, False, self.failed)

    def text(self):
        if self.failed:
            return "failed"
        if self.late:
            return ">%d" % self.limit
        return ("~" if self.cut else "") + self.times.text()

    @property
    def median(self):
        return None if self.failed or self.late else self.times.median

    def count(self, what):
        """Of the last run. The greeting is not among the round trips."""
        return self.stats[what] if self.stats else None

    def row(self, unit="s"):
        """Of the TSV file, without its line end."""
        values = self.times.values
        numbers = ["%.6g" % f for f in (self.median, min(values), max(values))] if self.median is not None else [""] * 3
        counts = ["" if self.count(c) is None else str(self.count(c)) for c in ("round_trips", "requests")]
        note = "failed" if self.failed else ">%d s" % self.limit if self.late else "scaled from a part" if self.cut else ""
        return [self.workload.name, self.peer, "" if self.rtt is None else str(self.rtt), unit] + numbers + counts + [note]

    def json(self):
        return {"peer": self.peer, "rtt_ms": self.rtt, "seconds": self.times.json(), "scaled": self.cut,
                "late": self.late, "failed": self.failed, "stats": self.stats}


def make_cells(bench, root, workload, links, with_sshfs, cut_from_ms=None):
    """{(peer, rtt): Cell}. The native one is run at once: what it prints and leaves is what all others must."""
    cells = {("native", None): Cell(bench, root, workload, "native", None, None)}
    for rtt, one_way in links:
        cells["ours", rtt] = Cell(bench, root, workload, "ours", rtt, one_way)
        if with_sshfs:
            cut = cut_from_ms is not None and rtt >= cut_from_ms
            cells["sshfs", rtt] = Cell(bench, root, workload, "sshfs", rtt, one_way, cut)
    cells["native", None].once()
    if workload.cut and with_sshfs:
        Cell(bench, root, workload, "native", None, None, True).once()
    return cells
