"""What the sections share: runs, repetitions, medians, tables."""
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

NUMBERS = {"read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lseek": 8, "pread64": 17,
           "newfstatat": 262, "openat": 257}


def have(program):
    return shutil.which(program) is not None


class Misbehaved(Exception):
    """A program failed, or a count that no machine's load can change is wrong."""


class TimedOut(Misbehaved):
    """A program was not done within its time. For a peer that is a result."""


class Series:
    """The values of one cell, one a repetition."""

    def __init__(self):
        self.values = []

    def add(self, value):
        self.values.append(value)

    @property
    def median(self):
        return statistics.median(self.values) if self.values else None

    def text(self):
        if not self.values:
            return "-"
        low, high = number(min(self.values)), number(max(self.values))
        return "%s (%s–%s)" % (number(self.median), low, high) if len(self.values) > 1 else number(self.median)

    def json(self):
        if not self.values:
            return None
        return {"median": self.median, "min": min(self.values), "max": max(self.values), "runs": self.values}


def number(x):
    if x is None:
        return "-"
    if x >= 100 or x == int(x):
        return "%.0f" % x
    return "%.1f" % x if x >= 10 else "%.2f" % x if x >= 1 else "%.3f" % x


def ratio(a, b):
    return "-" if a is None or not b else "%s×" % number(a / b)


def usage_since(before):
    """CPU µs and context switches of the children that ended since, and of theirs."""
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1e6, now.ru_nvcsw + now.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw


class Bench:
    """The programs, a scratch directory that is removed at the end, and what was found."""

    def __init__(self, options):
        self.options = options
        build = os.path.abspath(options.build)
        self.trace = os.path.join(build, "remotefs-trace")
        self.agent = os.path.join(build, "remotefs-agent")
        self.tools = os.path.join(build, "bench")
        self.work = tempfile.mkdtemp(prefix="rfs-bench.")
        self.tree = os.path.join(self.work, "t")
        os.mkdir(self.tree)
        self.results = {}
        self.wrong = []
        self.skipped = set()
        self.runs = 0
        self.children = []
        self.mounted = []  # what clean() has to take down before it removes anything
        self.used = None  # what the last run used, in all its processes: CPU µs, context switches

    def tool(self, name):
        return os.path.join(self.tools, name)

    def quick(self, full, quick):
        return quick if self.options.quick else full

    def repeat(self, full, quick):
        return self.options.repeat or self.quick(full, quick)

    def clean(self):
        for mounted in list(self.mounted):
            mounted.stop()
        for child in self.children:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)  # each leads a session: strace alone would leave its program running
                child.wait()
        shutil.rmtree(self.work, ignore_errors=True)

    def skip(self, name, what):
        if (name, what) not in self.skipped:
            self.skipped.add((name, what))
            print("skipped: %s (missing: %s)" % (name, what))

    def check(self, name, good, detail):
        """A count. Times are never checked."""
        if not good:
            self.wrong.append("%s: %s" % (name, detail))
            print("WRONG: %s: %s" % (name, detail))

    def mount(self, one_way_us=None, tree=None):
        """Options that make TREE a remote tree; ONE_WAY_US puts delayrelay in between."""
        tree = tree or self.tree
        if one_way_us is None:
            return ["--mode", "write", "--mount", "%s=dir//:%s" % (tree, tree)]
        command = "exec:%s -d %d -- %s --stdio --root %s" % (self.tool("delayrelay"), one_way_us, self.agent, tree)
        return ["--mode", "write", "--mount", "%s=%s" % (tree, command)]

    def traced(self, argv, one_way_us=None, tree=None, extra=()):
        """The command that runs ARGV under us, and the file that its statistics go to."""
        self.runs += 1
        stats = os.path.join(self.work, "stats.%d" % self.runs)
        return [self.trace, "--stats", stats] + list(extra) + self.mount(one_way_us, tree) + ["--"] + argv, stats

    def read_stats(self, path):
        try:
            with open(path) as f:
                return json.load(f)
        except (OSError, ValueError) as e:
            raise Misbehaved("no statistics: %s" % e)

    def run(self, argv, timeout=180, cwd="/"):
        """Seconds and standard output. Its own session, so that all of it can be ended."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             cwd=cwd, start_new_session=True)
        try:
            out, err = p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.communicate()
            raise TimedOut("%s: not done after %d s" % (" ".join(argv[-4:]), timeout))
        except BaseException:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
            raise
        seconds = time.perf_counter() - start
        self.used = usage_since(before)
        if p.returncode:
            text = (err or out).decode(errors="replace").strip()[-300:]
            raise Misbehaved("%s: status %d: %s" % (" ".join(argv), p.returncode, text))
        return seconds, out


def interleave(repetitions, cells):
    """Calls each cell once a repetition, in another order every time. Load then hits all alike."""
    for i in range(repetitions):
        order = list(cells)
        random.Random(i).shuffle(order)
        for cell in order:
            cell()


def table(title, head, rows):
    print("\n" + title)
    rows = [[str(c) for c in row] for row in rows]
    width = [max(len(r[i]) for r in [head] + rows) for i in range(len(head))]
    for row in [head, ["-" * w for w in width]] + rows:
        print("| " + " | ".join(c.ljust(width[i]) for i, c in enumerate(row)) + " |")
    sys.stdout.flush()
