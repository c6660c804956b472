"""Microseconds a call: emulated, native copy and passed through, against native, strace, proot and a bare stop."""
import os

from benchlib import NUMBERS, Misbehaved, Series, have, interleave, number, ratio, table

# kind: what strace is to stop, how often in one run, and the file: big ones are emulated, small ones copied
KINDS = [
    ("fstat", "fstat", 10000, "big"),
    ("pread", "pread64", 10000, "big"),
    ("pread4k", "pread64", 10000, "big"),
    ("read", "read,lseek", 6000, "big"),
    ("write", "write,lseek", 2000, "big"),
    ("fstatat", "newfstatat", 10000, "big"),
    ("stat", "stat", 10000, "small"),
    ("open", "open,close", 2000, "small"),
]
NATIVE_COPY = ("fstat", "fstatat", "pread", "pread4k")
WHAT = {"fstat": "fstat", "pread": "pread 1 B, cached", "pread4k": "pread 4 KiB, cached", "read": "read 4 KiB",
        "write": "write 4 KiB", "fstatat": "fstat as glibc 2.36 does", "stat": "stat by path, cached",
        "open": "open + close, 4 KiB file", "low fstat": "native copy: fstat", "low fstatat": "native copy: glibc's fstat",
        "low pread": "native copy: pread 1 B", "low pread4k": "native copy: pread 4 KiB"}
PEERS = ["native", "ours", "ours pinned", "local path", "strace", "strace pinned", "proot", "stop", "stop pinned"]
PIN = ["taskset", "-c", "0"]
MEASURED = ["native", "ours", "strace", "stop"]  # whose CPU time is shown


class Row:
    def __init__(self, bench, name, kind, calls, count, path, mode):
        self.bench, self.name, self.calls, self.mode = bench, name, calls, mode
        self.argv = [bench.tool("calls"), kind, mode, path, str(bench.quick(count, count // 3))]
        self.count = int(self.argv[-1]) * 11 // 10 + 2
        self.peers = {p: Series() for p in PEERS}
        self.cpu = {p: Series() for p in PEERS}  # of whole runs; the start's is taken off when shown
        self.switches = {p: Series() for p in PEERS}
        self.stats = {}

    def local(self):
        """The same file outside of the remote tree."""
        return self.argv[:3] + [self.argv[3].replace(self.bench.tree, self.bench.work + "/local")] + self.argv[4:]

    def command(self, peer):
        if peer in ("ours", "ours pinned"):
            argv, self.stats[peer] = self.bench.traced(self.argv)
        elif peer == "local path":
            argv, self.stats[peer] = self.bench.traced(self.local())
        elif peer in ("strace", "strace pinned"):
            argv = ["strace", "-f", "--seccomp-bpf", "-e", "trace=" + self.calls, "-o", "/dev/null"] + self.argv
        elif peer == "proot":
            argv = ["proot", "-b", "%s:/bench" % self.bench.tree] + self.argv
        elif peer in ("stop", "stop pinned"):
            numbers = ",".join(str(NUMBERS[c]) for c in self.calls.split(","))
            argv = [self.bench.tool("nulltrace"), numbers] + self.argv
        else:
            argv = self.argv
        return PIN + argv if peer.endswith("pinned") else argv

    def measure(self, peer):
        _, out = self.bench.run(self.command(peer))
        self.cpu[peer].add(self.bench.used[0])
        self.switches[peer].add(self.bench.used[1])
        if self.name == "start":
            return
        try:
            self.peers[peer].add(int(out) / 1000)
        except ValueError:
            raise Misbehaved("%s: %s: printed %r" % (self.name, peer, out[:80]))

    def per_call(self, what, peer="ours"):
        if peer not in self.stats:
            return None
        return self.bench.read_stats(self.stats[peer])[what] / self.count

    def times(self):
        m = {p: s.median for p, s in self.peers.items()}
        return [WHAT[self.name]] + [self.peers[p].text() for p in ("native", "ours", "strace")] + \
            [number(m[p]) for p in ("ours pinned", "strace pinned", "proot", "stop", "stop pinned", "local path")] + \
            [ratio(m["ours"], m["native"]), ratio(m["ours"], m["strace"])]

    def used(self, series, start, peer):
        """CPU or switches a call, without those of a run that makes next to none."""
        values, base = series[peer].values, start[peer].median
        return max(0, series[peer].median - base) / self.count if values and base is not None else None

    def work(self, start):
        cpu = [number(self.used(self.cpu, start.cpu, p)) for p in MEASURED]
        switches = [number(self.used(self.switches, start.switches, p)) for p in MEASURED]
        counts = ["%.2f" % self.per_call(w) for w in ("round_trips", "requests", "notifications", "ptrace_stops")]
        return [WHAT[self.name]] + cpu + switches + counts + ["%.2f" % self.per_call("notifications", "local path")]

    def json(self, start):
        work = {p: {"cpu_us": self.used(self.cpu, start.cpu, p), "switches": self.used(self.switches, start.switches, p)}
                for p in PEERS}
        counts = {w: self.per_call(w) for w in ("round_trips", "requests", "notifications", "ptrace_stops")}
        return {"us": {p: s.json() for p, s in self.peers.items()}, "per_call": work, "counts": counts,
                "local_path_notifications": self.per_call("notifications", "local path")}


TIMES = ["µs per call", "native", "ours", "strace", "ours pinned", "strace pinned", "proot", "bare stop",
         "bare stop pinned", "ours on a local path", "ours/native", "ours/strace"]
WORK = ["per call, all processes together", "CPU µs: native", "ours", "strace", "bare stop", "context switches: native",
        "ours", "strace", "bare stop", "ours: round trips", "requests", "notifications", "stops", "local path: notifications"]


def make_files(bench):
    for tree in (bench.tree, bench.work + "/local"):
        os.makedirs(tree, exist_ok=True)
        for name, size in (("big", 4 << 20), ("small", 4096)):
            with open(os.path.join(tree, name), "wb") as f:
                f.write(os.urandom(size))


def make_rows(bench):
    rows = []
    for kind, calls, count, file in KINDS:
        mode = "rw" if file == "big" else "ro"
        rows.append(Row(bench, kind, kind, calls, count, os.path.join(bench.tree, file), mode))
        if kind in NATIVE_COPY:
            path = os.path.join(bench.tree, "small")
            rows.append(Row(bench, "low " + kind, kind, calls, 10000, path, "ro"))
    return rows


def peers(bench):
    there = []
    for p in PEERS:
        program = "taskset" if p.endswith("pinned") else p
        if program in ("strace", "proot", "taskset") and not have(program):
            bench.skip(p, program)
        elif p == "strace pinned" and not have("strace"):
            bench.skip(p, "strace")
        else:
            there.append(p)
    return there


def check_counts(bench, rows):
    """What the design promises whatever the machine does: cached answers cost no round trip."""
    limits = {"fstat": 0.01, "pread": 0.01, "pread4k": 0.01, "fstatat": 0.01, "stat": 0.01, "read": 0.2, "open": 1.01, "write": 1.01}
    for row in rows:
        trips, limit = row.per_call("round_trips"), limits.get(row.name, 0.01)
        bench.check(row.name, trips <= limit, "%.3f round trips a call, at most %.2f are allowed" % (trips, limit))
        if row.name in ("low pread", "low pread4k"):
            n = row.per_call("notifications")
            bench.check(row.name, n <= 0.01, "%.3f notifications a call on a native copy" % n)


def conclude(rows):
    for row in rows:
        if row.name in ("fstat", "pread"):
            ours, strace, floor = (row.peers[p].median for p in ("ours", "strace", "stop pinned"))
            print("%s of a remote fd: %s µs; one strace stop of the same call: %s µs; ratio %s (bare stop, pinned: %s µs)"
                  % (row.name, number(ours), number(strace), ratio(ours, strace), number(floor)))


def run(bench):
    make_files(bench)
    rows = make_rows(bench)
    start = Row(bench, "start", "fstat", "fstat", 0, os.path.join(bench.tree, "big"), "rw")
    cells = [lambda r=r, p=p: r.measure(p) for r in rows + [start] for p in peers(bench)]
    repetitions = bench.repeat(5, 3)
    interleave(repetitions, cells)
    table("Calls: medians of %d (min–max)" % repetitions, TIMES, [r.times() for r in rows])
    table("What the calls used: medians of %d" % repetitions, WORK, [r.work(start) for r in rows])
    check_counts(bench, rows)
    print()
    conclude(rows)
    return {r.name: r.json(start) for r in rows}
