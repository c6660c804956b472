"""What it costs to start: busybox true, with one part of us after the other."""
from benchlib import Series, have, interleave, number, table


def variants(bench):
    true = ["busybox", "true"]
    mount = bench.mount()
    return [
        ("native", true),
        ("under nulltrace (fork, seize, one small filter)", [bench.tool("nulltrace"), "999"] + true),
        ("strace -f --seccomp-bpf", ["strace", "-f", "--seccomp-bpf", "-e", "trace=openat", "-o", "/dev/null"] + true),
        ("remotefs-trace --version (exec, loader, libraries)", [bench.trace, "--version"]),
        ("remotefs-agent --version (exec of the agent)", [bench.agent, "--version"]),
        ("remotefs-trace, local (no agent)", [bench.trace, "--mode", "local"] + mount[2:] + ["--"] + true),
        ("remotefs-trace, one mount", [bench.trace] + mount + ["--"] + true),
        ("remotefs-trace, delayrelay in between", [bench.trace] + bench.mount(0) + ["--"] + true),
    ]


def filter_cost(bench):
    _, out = bench.run([bench.tool("filtertime"), "50"])
    us, length = out.split()
    return int(us), int(length)


def run(bench):
    rows = [(name, argv, Series()) for name, argv in variants(bench) if have(argv[0])]
    repetitions = bench.repeat(25, 8)
    cells = [lambda a=argv, s=series: s.add(bench.run(a)[0] * 1000) for _, argv, series in rows]
    interleave(repetitions, cells)
    native = rows[0][2].median
    table("Start of busybox true: medians of %d (min–max), ms" % repetitions, ["", "ms", "above native"],
          [[name, s.text(), number(max(0, s.median - native))] for name, _, s in rows])
    us, length = filter_cost(bench)
    _, path = argv = bench.traced(["busybox", "true"])
    bench.run(argv[0])
    stats = bench.read_stats(path)
    print("building the filter: %.2f ms, %d instructions; a run of true: %d round trips, %d requests, %d notifications, %d stops"
          % (us / 1000, length, stats["round_trips"], stats["requests"], stats["notifications"], stats["ptrace_stops"]))
    bench.check("startup", stats["round_trips"] <= 1, "%d round trips for a local program" % stats["round_trips"])
    return {"ms": {name: s.json() for name, _, s in rows}, "filter_us": us, "filter_instructions": length, "stats": stats}
