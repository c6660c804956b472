"""Passthrough: an HTTP server whose sockets are none of our business."""
import os
import re
import subprocess
import time
import urllib.request

from benchlib import Misbehaved, Series, have, number, table


class Server:
    def __init__(self, bench, command, serial):
        self.bench = bench
        self.port_file = os.path.join(bench.work, "port.%d" % serial)
        argv, self.stats = command([bench.tool("httpd"), bench.tree, self.port_file])
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        start_new_session=True)
        bench.children.append(self.process)
        self.port = self.wait_port()

    def wait_port(self):
        end = time.monotonic() + 15
        while time.monotonic() < end and self.process.poll() is None:
            if os.path.exists(self.port_file):
                with open(self.port_file) as f:
                    return int(f.read())
            time.sleep(0.01)
        raise Misbehaved("the server did not start: %s" % (self.process.poll(),))

    def load(self, seconds):
        """Requests a second, and requests."""
        _, out = self.bench.run(["wrk", "-t1", "-c16", "-d%ds" % seconds, "http://127.0.0.1:%d/" % self.port])
        rate = re.search(rb"Requests/sec:\s*([\d.]+)", out)
        count = re.search(rb"(\d+) requests in", out)
        if not rate or not count or b"Non-2xx" in out:
            raise Misbehaved("wrk: %s" % out.decode(errors="replace"))
        return float(rate.group(1)), int(count.group(1))

    def cpu(self):
        """CPU seconds of the supervisor so far; natively of the server itself."""
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        try:
            urllib.request.urlopen("http://127.0.0.1:%d/quit" % self.port, timeout=5).read()
        except OSError:
            pass  # it may be gone before it has answered
        self.process.wait(timeout=10)
        self.bench.children.remove(self.process)
        return self.bench.read_stats(self.stats) if self.stats else None


def native(argv):
    return argv, None


def one(bench, command, serial, seconds):
    """COMMAND makes of the server's command line that of the server under test, and where its statistics go."""
    server = Server(bench, command, serial)
    before = server.cpu()
    rate, count = server.load(seconds)
    cpu = server.cpu() - before
    return rate, count, cpu, server.stop()


def make_greeting(bench):
    with open(os.path.join(bench.tree, "hello.txt"), "w") as f:
        f.write("Hello, world\n")


def run(bench):
    for program in ("wrk", bench.tool("httpd")):
        if not have(program):
            bench.skip("http", os.path.basename(program))
            return {}
    make_greeting(bench)
    pairs, seconds = bench.repeat(5, 2), bench.quick(3, 1)
    plain, traced, ratios, cpu = Series(), Series(), Series(), Series()
    requests = stops = notifications = 0
    for i in range(2 * pairs):
        is_traced = i % 2 != (i // 2) % 2  # native first, then traced first, and so on
        rate, count, spent, stats = one(bench, bench.traced if is_traced else native, i, seconds)
        (traced if is_traced else plain).add(rate)
        if is_traced:
            requests += count
            stops += stats["ptrace_stops"]
            notifications += stats["notifications"]
            cpu.add(spent / count * 1e6)
        if i % 2:
            ratios.add(traced.values[-1] / plain.values[-1])
    per = (stops + notifications) / requests
    table("Passthrough: Go net/http, wrk -t1 -c16 -d%ds, %d pairs" % (seconds, pairs),
          ["requests/s, native", "traced", "ratio of each pair", "requests", "notifications", "stops", "both per request",
           "supervisor CPU, µs per request"],
          [[plain.text(), traced.text(), ratios.text(), requests, notifications, stops, "%.6f" % per, number(cpu.median)]])
    bench.check("http", per <= 0.01, "%.4f notifications and stops a request, at most 0.01 are allowed" % per)
    return {"native": plain.json(), "traced": traced.json(), "ratios": ratios.json(), "requests": requests,
            "notifications": notifications, "ptrace_stops": stops, "per_request": per, "cpu_us": cpu.json()}
