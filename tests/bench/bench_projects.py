"""What developers run all day, on a project that is 20 ms away: seconds and round trips, and sshfs beside them."""
import glob
import json
import os
import random
import shutil
import sys
import sysconfig
import time

import peer_report
from benchlib import have, interleave, number, ratio, table
from peerlib import LIMIT, SLOW, Workload, make_cells, shell, sshfs_missing

NODE = "/usr/share/nodejs"  # where Debian has the sources of packages for Node.js
COMPILED = ["d3-array", "d3-scale", "d3-shape"]  # of d3's 31 packages, what tsc is given
LINK = [(20, 10000)]
GO_ENV = "GOPROXY=off GOFLAGS=-mod=mod CGO_ENABLED=0"


def make_web(root):
    """D3 as a project has it: 31 packages in node_modules, and a program that uses them all."""
    web = root + "/web"
    for package in glob.glob(NODE + "/d3") + glob.glob(NODE + "/d3-*") + glob.glob(NODE + "/internmap"):
        shutil.copytree(package, "%s/node_modules/%s" % (web, os.path.basename(package)))
    with open(web + "/main.js", "w") as f:
        f.write('export * from "d3";\n')
    options = {"allowJs": True, "target": "es5", "module": "commonjs", "moduleResolution": "node", "types": [],
               "lib": ["es2020"], "outDir": "../out"}
    with open(web + "/tsconfig.json", "w") as f:
        json.dump({"compilerOptions": options, "include": ["node_modules/%s/src" % p for p in COMPILED], "exclude": []}, f)


def web(bench, root):
    jobs = [("esbuild", "esbuild --bundle d3", "cd TREE/web && esbuild --bundle main.js --outfile=../out/d3.js --log-level=error"),
            ("tsc", "tsc, 3 packages of d3", "tsc -p TREE/web/tsconfig.json")]
    if not os.path.isdir(NODE + "/d3"):
        for _, name, _ in jobs:
            bench.skip(name, "node-d3")
        return []
    make_web(root)
    for program, name, _ in jobs:
        if not have(program):
            bench.skip(name, program)
    return [Workload(name, shell(script)) for program, name, script in jobs if have(program)]


def git(bench, root):
    """A repository that was committed at the target. Its index knows inode numbers and nanoseconds that sshfs does not
    have; so that sshfs need not read all files again, nobody is asked for these."""
    name = "git status, 5000 files"
    if not have("git"):
        bench.skip(name, "git")
        return []
    repo, rng, when = root + "/repo", random.Random(1), int(time.time()) - 86400
    for i in range(100):
        os.makedirs("%s/d%02d" % (repo, i))
        for k in range(50):
            path = "%s/d%02d/f%02d.txt" % (repo, i, k)
            with open(path, "w") as f:
                f.write(rng.randbytes(rng.randint(50, 1000)).hex())
            os.utime(path, (when, when))
    command = ["git", "-C", repo, "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        bench.run(command + words)
    for changed in ("/d03/f07.txt", "/d50/new.txt"):
        with open(repo + changed, "w") as f:
            f.write("changed\n")
    return [Workload(name, shell("git -C TREE/repo -c core.checkStat=minimal status --porcelain"))]


def go(bench, root):
    """20 packages of 3 files. The standard library comes from a cache here; the module's own are built in each run."""
    name = "go build, 20 packages"
    if not have("go"):
        bench.skip(name, "go")
        return []
    module, imports, calls = root + "/module", [], []
    for i in range(20):
        os.makedirs("%s/p%02d" % (module, i))
        imports.append('\t"example.org/m/p%02d"\n' % i)
        calls.append("\tfmt.Println(p%02d.F0(), p%02d.F1(), p%02d.F2())\n" % (i, i, i))
        for k in range(3):
            with open("%s/p%02d/f%d.go" % (module, i, k), "w") as f:
                f.write('package p%02d\n\nimport "strings"\n\nfunc F%d() string { return strings.Repeat("x", %d) }\n' % (i, k, i + k))
    with open(module + "/go.mod", "w") as f:
        f.write("module example.org/m\n\ngo 1.18\n")
    with open(module + "/main.go", "w") as f:
        f.write('package main\n\nimport (\n\t"fmt"\n%s)\n\nfunc main() {\n%s}\n' % ("".join(imports), "".join(calls)))
    warm, cache, clock = bench.work + "/go-warm", bench.work + "/go-cache", bench.tool("clock")
    bench.run(["sh", "-c", "env %s GOCACHE=%s go build -trimpath fmt strings runtime" % (GO_ENV, warm)], timeout=300)
    script = "rm -rf %s && cp -r %s %s && cd TREE/module && %s && env %s GOCACHE=%s go build -trimpath -buildvcs=false -o ../out/m . && %s" \
        % (cache, warm, cache, clock, GO_ENV, cache, clock)
    return [Workload(name, shell(script), between=True)]


def python(bench, root):
    """The interpreter, and all that it imports, from the remote tree."""
    prefix, stdlib = root + "/python", sysconfig.get_path("stdlib")
    left_out = shutil.ignore_patterns("test", "dist-packages", "site-packages", "idlelib", "config-*")
    shutil.copytree(stdlib, "%s/lib/%s" % (prefix, os.path.basename(stdlib)), symlinks=True, ignore=left_out)
    os.mkdir(prefix + "/bin")
    shutil.copy2(os.path.realpath(sys.executable), prefix + "/bin/python3")
    code = "import json, asyncio, sqlite3; print(json.__file__, asyncio.__file__, sqlite3.__file__)"
    return [Workload("python3, three imports",
                     shell("PYTHONHOME=TREE/python PYTHONDONTWRITEBYTECODE=1 TREE/python/bin/python3 -c '%s'" % code))]


def row(workload, cells, with_sshfs):
    native, ours = cells["native", None], cells["ours", 20]
    peer = cells.get(("sshfs", 20))
    return [workload.name, native.text(), ours.text(), peer.text() if with_sshfs else "-", ratio(ours.median, native.median),
            ratio(peer.median, ours.median) if with_sshfs and peer.median and ours.median else "-",
            number(ours.count("round_trips")), number(ours.count("requests"))]


def run(bench):
    missing = sshfs_missing()
    if missing:
        bench.skip("the sshfs column", missing)
    root = os.path.join(bench.work, "projects")
    os.mkdir(root)
    workloads = [w for make in (web, git, go, python) for w in make(bench, root)]
    cells = {w: make_cells(bench, root, w, LINK, not missing) for w in workloads}
    repetitions = bench.repeat(3, 1)
    interleave(repetitions, [cell.once for w in workloads for cell in cells[w].values() if cell.peer != "native" or repetitions > 1])
    table("Projects at an RTT of 20 ms, s: medians of %d (min–max), of one where it took more than %d s; >%d: stopped then"
          % (repetitions, SLOW, LIMIT),
          ["seconds", "native", "ours", "sshfs", "ours/native", "sshfs/ours", "our round trips", "requests"],
          [row(w, cells[w], not missing) for w in workloads])
    rows = [cell.row() for w in workloads for cell in cells[w].values()]
    peer_report.write_tsv(bench, "projects", rows)
    peer_report.plot(bench, "projects", "real projects, RTT 20 ms", rows)
    return {w.name: [cell.json() for cell in cells[w].values()] for w in workloads}
