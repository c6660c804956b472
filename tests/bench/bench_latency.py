"""Whole programs over links with latency: seconds and round trips."""
import os
import shutil

from benchlib import Misbehaved, Series, have, interleave, number, ratio, table

LINKS = [("direct", None), ("0 ms", 0), ("1 ms", 500), ("20 ms", 10000)]
MIB = 1 << 20


class Job:
    """NAME, its command, and at most how many round trips it may take (None: as many as it likes)."""

    def __init__(self, bench, name, argv, most=None, fresh=None):
        self.bench, self.name, self.argv, self.most, self.fresh = bench, name, argv, most, fresh
        self.native = Series()
        self.times = {link: Series() for link, _ in LINKS}
        self.stats = {}
        self.expected = None
        self.failed = None

    def once(self, argv):
        if self.fresh:
            shutil.rmtree(self.fresh, ignore_errors=True)
            os.mkdir(self.fresh)
        seconds, out = self.bench.run(argv)
        out = out[-65536:]
        if self.expected is not None and sorted(out.split(b"\n")) != self.expected:
            raise Misbehaved("%s: printed something else than natively" % self.name)
        if self.expected is None:
            self.expected = sorted(out.split(b"\n"))
        return seconds

    def run_native(self):
        self.native.add(self.once(self.argv))

    def run_link(self, link, one_way):
        if self.failed:
            return
        argv, path = self.bench.traced(self.argv, one_way)
        try:
            self.times[link].add(self.once(argv))
            self.stats[link] = self.bench.read_stats(path)
        except Misbehaved as e:
            self.failed = str(e)
            self.bench.check(self.name, False, str(e))

    def trips(self, link):
        return self.stats[link]["round_trips"] if link in self.stats else None  # without the greeting

    def check(self):
        for link, _ in LINKS:
            n = self.trips(link)
            if n is not None and self.most is not None:
                self.bench.check(self.name, n <= self.most, "%s: %d round trips, at most %d are allowed" % (link, n, self.most))

    def cells(self):
        counts = self.stats.get("20 ms", {})
        times = [self.times[link].text() for link, _ in LINKS]
        slow, trips = self.times["20 ms"].median, self.trips("20 ms")
        waits = "-" if not slow or trips is None else number(max(0, slow - self.times["0 ms"].median) / 0.020)
        return [self.name, self.native.text()] + times + [ratio(self.times["direct"].median, self.native.median),
                number(trips), waits, number(counts.get("requests")), number(counts.get("notifications")),
                number(counts.get("ptrace_stops"))]

    def json(self):
        return {"native": self.native.json(), "links": {k: s.json() for k, s in self.times.items()},
                "round_trips": {k: self.trips(k) for k in self.stats}, "stats": self.stats.get("20 ms")}


def put(path, size):
    """SIZE random bytes, the first of them text that grep finds."""
    with open(path, "wb") as f:
        f.write(b"needle\n")
        size -= 7
        while size > 0:
            f.write(os.urandom(min(size, MIB)))
            size -= MIB


def put_many(folder, count, size):
    os.makedirs(folder)
    for i in range(count):
        put(os.path.join(folder, "f%04d" % i), size)


def make_tree(bench):
    t = bench.tree
    put(t + "/four", 4096)
    put(t + "/big64", 64 * MIB)
    for i in range(50):
        put_many("%s/dirs/d%02d" % (t, i), 20, 10)
    put_many(t + "/thousand", 1000, 100)
    put_many(t + "/grep", 200, 3000)
    put_many(t + "/five", 500, 8000)
    put_many(bench.work + "/src", 100, 2000)
    bench.run(["busybox", "tar", "cf", bench.work + "/src.tar", "-C", bench.work, "src"])


def make_jobs(bench):
    t, w = bench.tree, bench.work
    jobs = [
        Job(bench, "cat, 4 KiB", ["busybox", "cat", t + "/four"], 1),
        Job(bench, "find, 51 dirs, 1000 files", ["busybox", "find", t + "/dirs"], 53),
        Job(bench, "ls -l, 1000 files", ["busybox", "ls", "-l", t + "/thousand"], 5),
        Job(bench, "grep -r, 200 files", ["busybox", "grep", "-r", "-c", "needle", t + "/grep"], 203),
        Job(bench, "read 64 MiB (sha1sum)", ["busybox", "sha1sum", t + "/big64"], 80),
        Job(bench, "sendfile 64 MiB (cat)", ["busybox", "sh", "-c", "busybox cat %s/big64 >/dev/null" % t], 80),
        Job(bench, "head -c 10 <64 MiB", ["busybox", "sh", "-c", "busybox head -c 10 <%s/big64" % t]),
        Job(bench, "tar x, 100 files", ["busybox", "tar", "xf", w + "/src.tar", "-C", t + "/out"], None, t + "/out"),
        Job(bench, "cp -r in, 100 files", ["busybox", "cp", "-r", w + "/src", t + "/out"], None, t + "/out"),
    ]
    goread = bench.tool("goread")
    if os.path.exists(goread):
        jobs.append(Job(bench, "Go, 16 goroutines, 500 files", [goread, t + "/five"], 503))
    else:
        bench.skip("Go, 16 goroutines", "go")
    return jobs


HEAD = ["seconds", "native", "direct", "RTT 0", "RTT 1 ms", "RTT 20 ms", "direct/native", "round trips", "waits of 20 ms",
        "requests", "notifications", "stops"]


def drop_unsupported(bench, jobs):
    """tar sets times and modes; while that is not emulated, its row says so instead of failing the run."""
    kept = []
    for job in jobs:
        if job.name.startswith("tar"):
            try:
                job.once(bench.traced(job.argv)[0])
            except Misbehaved as e:
                print("left out: %s: %s" % (job.name, str(e).splitlines()[-1][-160:]))
                continue
        kept.append(job)
    return kept


def run(bench):
    if not have("busybox"):
        bench.skip("latency", "busybox")
        return {}
    make_tree(bench)
    jobs = drop_unsupported(bench, make_jobs(bench))
    for job in jobs:
        job.run_native()
    repetitions = bench.repeat(3, 1)
    cells = [job.run_native for job in jobs]
    cells += [lambda j=j, n=n, d=d: j.run_link(n, d) for j in jobs for n, d in LINKS]
    interleave(repetitions, cells)
    table("Programs over a link: medians of %d (min–max), s; counts are of one run at 20 ms" % repetitions,
          HEAD, [job.cells() for job in jobs])
    for job in jobs:
        job.check()
    if not have("sshfs"):
        bench.skip("the same over sshfs", "sshfs")
    return {job.name: job.json() for job in jobs}
