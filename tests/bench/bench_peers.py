"""The same programs natively, with us and over sshfs, through one relay; local calls also with strace, proot and parrot."""
import os

import bench_http
import peer_report
from benchlib import Series, have, interleave, number, ratio, table
from peer_work import call_rows, local_command, local_peers, make_tree, reading, writing
from peerlib import LIMIT, LINKS, SLOW, SSHFS_OPTIONS, make_cells, sshfs_missing

CUT_FROM_MS = 20  # sshfs has only a part of some workloads at this RTT: a tar of all took it 330 s
HTTP_STOPS = 0.01  # notifications and stops a request, at most


def verdict(item, measured):
    """The last two columns: what must be, and whether it is. A time that is missing is a no."""
    if not item.met:
        return ["", ""]
    try:
        return [item.must, "yes" if item.met(measured) else "no"]
    except TypeError:
        return [item.must, "no"]


def links_of(bench):
    return [link for link in LINKS if link[0] != 1] if bench.options.quick else LINKS


def columns(links, with_sshfs):
    return [(peer, rtt) for peer in ["ours", "sshfs"][:2 if with_sshfs else 1] for rtt, _ in links]


def titles(links, with_sshfs):
    return ["%s, %d ms" % c for c in columns(links, with_sshfs)]


def work_row(workload, cells, links, with_sshfs):
    native, slow = cells["native", None], cells["ours", 20]
    fast, peer = cells["ours", 0].median, cells.get(("sshfs", 20))
    trips = next((c.count("round_trips") for c in (slow, cells["ours", 0]) if c.stats), None)
    waits = number(max(0, slow.median - fast) / 0.020) if slow.median and fast else "-"
    return [workload.name, native.text()] + [cells[c].text() for c in columns(links, with_sshfs)] + \
        [ratio(slow.median, native.median), ratio(peer.median, slow.median) if peer and slow.median and peer.median else "-",
         number(trips), waits] + verdict(workload, cells)


def run_work(bench, root, links, with_sshfs):
    workloads = reading(bench) + writing(bench)
    cells = {w: make_cells(bench, root, w, links, with_sshfs, CUT_FROM_MS) for w in workloads}
    repetitions = bench.repeat(3, 1)
    interleave(repetitions, [cell.once for w in workloads for cell in cells[w].values() if cell.peer != "native" or repetitions > 1])
    table("Programs, s: medians of %d (min–max), of one where it took more than %d s; >%d: stopped then; ~: scaled from a part"
          % (repetitions, SLOW, LIMIT),
          ["seconds", "native"] + titles(links, with_sshfs) +
          ["ours at 20 ms/native", "sshfs/ours at 20 ms", "our round trips", "our waits of 20 ms", "must, at 20 ms", "met"],
          [work_row(w, cells[w], links, with_sshfs) for w in workloads])
    rows = [cell.row() for w in workloads for cell in cells[w].values()]
    return rows, {w.name: [cell.json() for cell in cells[w].values()] for w in workloads}


def run_calls(bench, root, links, with_sshfs):
    rows = call_rows(bench, root)
    local = ["native"] + local_peers(bench)
    repetitions = bench.repeat(5, 3)
    interleave(repetitions, [cell for row in rows for cell in row.cells(links, with_sshfs)])
    shown = [(peer, None) for peer in local] + columns(links, with_sshfs)
    table("Calls on what is here already, µs: medians of %d (min–max)" % repetitions,
          ["µs"] + local + titles(links, with_sshfs) + ["ours at 20 ms/native", "round trips of the run", "must, at 20 ms", "met"],
          [[row.name] + [row.us[key].text() for key in shown] +
           [ratio(row.median("ours", 20), row.median("native")), row.stats[20]["round_trips"]] + verdict(row, row)
           for row in rows])
    return [line for row in rows for line in row.rows()], \
        {row.name: {"%s %s" % key: us.json() for key, us in row.us.items()} for row in rows}


def http_commands(bench):
    """What makes each peer's command of the server's, and where its statistics go."""
    commands = {"native": bench_http.native, "ours": lambda argv: bench.traced(argv, 10000)}
    for peer in local_peers(bench):
        commands[peer] = lambda argv, p=peer: (local_command(bench, p, argv, "file"), None)
    return commands


def run_http(bench):
    for program in ("wrk", bench.tool("httpd")):
        if not have(program):
            bench.skip("12 HTTP server", os.path.basename(program))
            return [], {}
    bench_http.make_greeting(bench)
    commands, rounds, seconds = http_commands(bench), bench.repeat(5, 2), 3  # shorter, and the stops of its start would count
    rates = {peer: Series() for peer in commands}
    ratios = {peer: Series() for peer in commands}
    requests = stops = trips = serial = 0
    for i in range(rounds):
        for peer in list(commands)[::-1 if i % 2 else 1]:
            rate, count, _, stats = bench_http.one(bench, commands[peer], serial, seconds)
            serial += 1
            rates[peer].add(rate)
            if stats:
                requests, stops = requests + count, stops + stats["ptrace_stops"] + stats["notifications"]
                trips = stats["round_trips"]
        for peer in commands:
            ratios[peer].add(rates[peer].values[-1] / rates["native"].values[-1])
    per = stops / requests
    bench.check("12 HTTP server", per <= HTTP_STOPS, "%.4f stops a request, at most %.2f are allowed" % (per, HTTP_STOPS))
    must = "≥ 0.98 of native, ≤ %.2f stops a request" % HTTP_STOPS
    table("12 Go net/http on local sockets, our remote files at 20 ms: %d rounds of wrk -t1 -c16 -d%ds" % (rounds, seconds),
          ["peer", "requests/s", "of native in the same round", "stops a request", "must", "met"],
          [[peer, rates[peer].text(), ratios[peer].text()] + (["%.5f" % per, must,
           "yes" if ratios[peer].median >= 0.98 and per <= HTTP_STOPS else "no"] if peer == "ours" else ["", "", ""])
           for peer in commands])
    rows = [["12 HTTP server", peer, "20" if peer == "ours" else "", "requests/s"] +
            ["%.6g" % f for f in (s.median, min(s.values), max(s.values))] + [str(trips) if peer == "ours" else "", "", ""]
            for peer, s in rates.items()]
    return rows, {"rates": {p: s.json() for p, s in rates.items()}, "ratios": {p: s.json() for p, s in ratios.items()},
                  "stops_per_request": per}


def run(bench):
    missing = sshfs_missing()
    if missing:
        bench.skip("the sshfs columns", missing)
    links = links_of(bench)
    root = make_tree(bench)
    print("\nCold: every run of ours, and every mount of sshfs (-o %s, plain sftp), is a new one. Our times include the start"
          "\nof remotefs-trace and of the agent, sshfs's no mount. What a program prints and leaves is compared to the native run."
          % SSHFS_OPTIONS)
    rows, results = run_work(bench, root, links, not missing)
    more, results["calls"] = run_calls(bench, root, links, not missing)
    last, results["http"] = run_http(bench)
    rows += more + last
    print("\nload average now: %.2f %.2f %.2f" % os.getloadavg())
    peer_report.write_tsv(bench, "peers", rows)
    peer_report.plot(bench, "peers", "whole programs, RTT 20 ms", rows)
    return results
