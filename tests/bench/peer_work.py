"""What is compared with the peers: the tree, the programs on it, and calls that are made again and again."""
import os
import random
import time

from benchlib import Series, have
from peerlib import Sshfs, Workload, shell

FILES, FOLDERS, SEED = 1000, 40, 20241
PART = 10  # of the tree, and of the archive, for sshfs where it needs minutes
MIB = 1 << 20
# "a filter" is no tool: what a seccomp filter costs that does nothing but tell descriptors apart.
LOCAL_PEERS = {"a filter": "nullfilter", "strace": "strace", "proot": "proot", "parrot": "parrot_run"}


def put_text(rng, path):
    """0.5 to 16 KiB of lines; in one file of ten there is something to be found."""
    text = rng.randbytes(rng.randint(256, 8192)).hex()
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    if rng.randrange(10) == 0:
        lines[len(lines) // 2] = "here is a needle"
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")


def put_big(rng, path, mib):
    block = rng.randbytes(MIB - 8)
    with open(path, "wb") as f:
        for i in range(mib):
            f.write(i.to_bytes(8, "little") + block)


def make_tree(bench):
    """Made in the past, so that no program takes it for something that is still being written."""
    rng = random.Random(SEED)
    root = os.path.join(bench.work, "peers")
    when = int(time.time()) - 86400
    for i in range(FOLDERS):
        folder = "%s/files/d%02d" % (root, i)
        os.makedirs(folder)
        for k in range(FILES // FOLDERS):
            path = "%s/f%04d" % (folder, k)
            put_text(rng, path)
            os.utime(path, (when, when))
        os.utime(folder, (when, when))
    put_big(rng, root + "/big", 256)
    with open(root + "/hot", "wb") as f:
        f.write(rng.randbytes(16384))
    put_big(rng, bench.work + "/source", 64)
    tar = ["tar", "-C", root + "/files", "--sort=name", "-cf"]
    bench.run(tar + [bench.work + "/all.tar", "."])
    bench.run(tar + [bench.work + "/part.tar"] + ["d%02d" % i for i in range(FOLDERS // PART)])
    return root


def listing(lines):
    """Of ls -lR, what sftp can tell: it knows no link counts and no blocks."""
    kept = []
    for line in lines:
        fields = line.split()
        if line.startswith(b"total "):
            continue
        kept.append(b" ".join(fields[:1] + fields[2:]) if len(fields) == 9 else line)
    return sorted(kept)


def at_most(seconds):
    """The acceptance criterion "ours at 20 ms takes at most so long"."""
    return {"must": "≤ %g s" % seconds, "met": lambda cells: cells["ours", 20].median <= seconds}


def near_zero(factor):
    return {"must": "≤ %g× ours at RTT 0" % factor,
            "met": lambda cells: cells["ours", 20].median <= factor * cells["ours", 0].median}


def reading(bench):
    clock, io = bench.tool("clock"), bench.tool("peerio")
    some = " ".join("TREE/files/d%02d" % i for i in range(FOLDERS // PART))
    hot = "grep -r needle DIR; CLOCK; grep -r needle DIR; CLOCK".replace("CLOCK", clock)
    made = [
        Workload("1 find, ls -lR", shell("find TREE/files; ls -lR TREE/files"), normal=listing, **at_most(1.2)),
        Workload("2 grep -r, cold", shell("grep -r needle TREE/files"), cut=shell("grep -r needle " + some), factor=PART,
                 **at_most(2.5)),
        Workload("3 grep -r again, hot", shell(hot.replace("DIR", "TREE/files")), cut=shell(hot.replace("DIR", some)),
                 factor=PART, between=True, **at_most(0.6)),
        Workload("5 dd 256 MiB read", shell("dd if=TREE/big bs=128k status=none | %s sum" % io), **near_zero(1.3)),
        Workload("6 2000 random preads", lambda tree: [io, "preads", tree + "/big", "2000"], **at_most(6)),
    ]
    if have(bench.tool("goread")):
        made.insert(3, Workload("4 Go, 16 goroutines", lambda tree: [bench.tool("goread"), tree + "/files"], **at_most(1.5)))
    else:
        bench.skip("4 Go, 16 goroutines", "go")
    return made


def knows_sync(bench):
    return b"--sync" in bench.run([bench.trace, "--help"])[1]


def writing(bench):
    def untar(archive):
        return shell("tar -xf %s/%s -C TREE/out" % (bench.work, archive))

    tar = {"argv": untar("all.tar"), "cut": untar("part.tar"), "factor": PART, "times": True}
    made = [Workload("7 tar x, 1000 files", **tar, **at_most(45))]
    if knows_sync(bench):
        made.append(Workload("7 the same, --sync=fsync", **tar, extra=["--sync=fsync"], **at_most(4)))
    else:
        bench.skip("7 tar x with --sync=fsync", "--sync in this build")
    made.append(Workload("8 dd 64 MiB write", shell("dd if=%s/source of=TREE/out/copy bs=128k status=none" % bench.work),
                         **near_zero(1.5)))
    made.append(Workload("9 2000 appends, fsync", lambda tree: [bench.tool("peerio"), "append", tree + "/out/log", "2000"],
                         **at_most(0.15)))
    return made


def local_command(bench, peer, argv, calls):
    """ARGV on local files under a tool that traces or emulates CALLS."""
    if peer == "strace":
        return ["strace", "-f", "--seccomp-bpf", "-e", "trace=" + calls, "-o", "/dev/null"] + argv
    return {"a filter": [bench.tool("nullfilter")], "proot": ["proot"], "parrot": ["parrot_run"], "native": []}[peer] + argv


def local_peers(bench):
    found = [peer for peer, program in LOCAL_PEERS.items() if have(program) or os.access(bench.tool(program), os.X_OK)]
    for peer in LOCAL_PEERS:
        if peer not in found:
            bench.skip(peer, LOCAL_PEERS[peer])
    return found


class CallRow:
    """µs of one call that is made again and again, of FILE: everything that was worth knowing is here already."""

    def __init__(self, bench, root, name, kind, file, must="", met=None):
        self.bench, self.root, self.name, self.kind, self.file = bench, root, name, kind, file
        self.must, self.met = must, met
        self.calls = {"pread4k": "pread64", "stat": "stat"}[kind]
        self.us, self.stats = {}, {}

    def argv(self, tree, count=20000):
        return [self.bench.tool("calls"), self.kind, "ro", os.path.join(tree, self.file), str(self.bench.quick(count, count // 4))]

    def add(self, key, argv):
        self.us.setdefault(key, Series()).add(int(self.bench.run(argv)[1]) / 1000)

    def ours(self, rtt, one_way_us):
        argv, stats = self.bench.traced(self.argv(self.root), one_way_us, self.root)
        self.add(("ours", rtt), argv)
        self.stats[rtt] = self.bench.read_stats(stats)
        trips = self.stats[rtt]["round_trips"]
        self.bench.check(self.name, trips <= 10, "%d round trips at %d ms, at most 10 are allowed" % (trips, rtt))

    def sshfs(self, rtt, one_way_us):
        with Sshfs(self.bench, self.root, one_way_us) as tree:
            self.add(("sshfs", rtt), self.argv(tree))

    def local(self, peer):
        self.add((peer, None), local_command(self.bench, peer, self.argv(self.root), self.calls))

    def cells(self, links, with_sshfs):
        made = [lambda p=p: self.local(p) for p in ["native"] + local_peers(self.bench)]
        for rtt, one_way in links:
            made.append(lambda r=rtt, d=one_way: self.ours(r, d))
            if with_sshfs:
                made.append(lambda r=rtt, d=one_way: self.sshfs(r, d))
        return made

    def median(self, peer, rtt=None):
        return self.us[peer, rtt].median if (peer, rtt) in self.us else None

    def rows(self):
        for (peer, rtt), us in self.us.items():
            counts = ["", ""]
            if peer == "ours":
                counts = [str(self.stats[rtt]["round_trips"]), str(self.stats[rtt]["requests"])]
            yield [self.name, peer, "" if rtt is None else str(rtt), "µs"] + \
                ["%.6g" % f for f in (us.median, min(us.values), max(us.values))] + counts + [""]


def call_rows(bench, root):
    return [
        CallRow(bench, root, "10 pread 4 KiB again", "pread4k", "hot", "≤ 1.1× native",
                lambda r: r.median("ours", 20) <= 1.1 * r.median("native")),
        CallRow(bench, root, "10 the same, 256 MiB file", "pread4k", "big"),
        CallRow(bench, root, "11 stat again", "stat", "hot", "≤ 8 µs", lambda r: r.median("ours", 20) <= 8),
    ]
