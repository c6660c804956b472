"""
What it costs to reach a container: a run in docker/NAME, with the agent there, beside a bare docker exec. And in a pod beside
kubectl exec, where there is one: KUBECTL is the program (default: none is tried), KUBE_TARGET is pod/NAME/container/NAME.
"""
import os
import shutil
import subprocess
import time

from benchlib import Misbehaved, Series, have, number, table

MOST = 1.3  # of docker exec; what must be


class Docker:
    """A daemon of our own with one container that runs, in the scratch directory."""

    def __init__(self, bench):
        self.dir = os.path.join(bench.work, "docker")
        os.mkdir(self.dir)
        self.env = dict(os.environ, DOCKER_HOST="unix://%s/docker.sock" % self.dir)
        limit = subprocess.run(["sh", "-c", "ulimit -Hn"], capture_output=True, text=True).stdout.strip()
        limit = "65536" if limit == "unlimited" else limit
        self.log = open(os.path.join(self.dir, "log"), "w")
        self.daemon = subprocess.Popen(
            ["dockerd", "--host", self.env["DOCKER_HOST"], "--data-root", self.dir + "/root", "--exec-root", self.dir + "/exec",
             "--pidfile", self.dir + "/pid", "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false",
             "--default-ulimit", "nofile=%s:%s" % (limit, limit)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            self.fill()
        except BaseException:
            self.end()
            raise

    def fill(self):
        end = time.monotonic() + 20
        while self.docker("version", check=False).returncode:
            if time.monotonic() > end or self.daemon.poll() is not None:
                raise Misbehaved("no dockerd starts here")
            time.sleep(0.1)
        image = os.path.join(self.dir, "image")
        os.makedirs(image + "/bin")
        os.mkdir(image + "/tmp")
        shutil.copy(shutil.which("busybox"), image + "/bin/busybox")
        for name in ("sh", "cat", "true", "sleep", "uname", "mv", "rm", "chmod"):
            os.symlink("busybox", "%s/bin/%s" % (image, name))
        subprocess.run("tar -C '%s' -c . | docker import - shell:1" % image, shell=True, env=self.env, check=True,
                       stdout=subprocess.DEVNULL)
        self.docker("run", "-d", "--network=none", "--stop-signal=KILL", "--name", "box", "shell:1", "/bin/sleep", "100000")

    def docker(self, *argv, check=True):
        p = subprocess.run(("docker",) + argv, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check and p.returncode:
            raise Misbehaved("docker %s: %s" % (" ".join(argv), p.stderr.strip()))
        return p

    def end(self):
        if self.daemon.poll() is None:
            self.docker("rm", "-f", "box", check=False)
            self.daemon.terminate()
            self.daemon.wait(20)
        self.log.close()


def run(bench):
    figures = run_docker(bench)
    if os.environ.get("KUBECTL"):
        figures.update(measure_kube(bench, os.environ["KUBECTL"], os.environ.get("KUBE_TARGET", "pod/x/container/app")))
    else:
        bench.skip("pod/NAME", "KUBECTL in the environment")
    return figures


def run_docker(bench):
    for program in ("dockerd", "docker", "runc", "busybox"):
        if not have(program):
            bench.skip("docker/NAME", program)
            return {}
    if os.geteuid():
        bench.skip("docker/NAME", "root")
        return {}
    docker = Docker(bench)
    try:
        return measure(bench, docker)
    finally:
        docker.end()


def first_instruction(env, argv):
    """Milliseconds from our start to that of the program, which prints the clock first thing."""
    start = time.monotonic()
    p = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    whole = time.monotonic() - start
    if p.returncode:
        raise Misbehaved("%s: %s" % (" ".join(argv), p.stderr.strip()))
    return (float(p.stdout) - start if p.stdout else whole) * 1000, whole * 1000


def measure(bench, docker):
    return compare(bench, docker.env, "docker exec", "docker/box", ["docker", "exec"], ["box", "true"], [])


def measure_kube(bench, kubectl, target):
    pod, container = target.split("/")[1], target.split("/")[3]
    return compare(bench, dict(os.environ), "kubectl exec", target, [kubectl, "exec"], [pod, "-c", container, "--", "true"],
                   ["--kubectl", kubectl])


def compare(bench, env, what, target, command, argv, options):
    """Runs on TARGET beside COMMAND ARGV, which does nothing there."""
    clock = [bench.tool("clock")]
    ours = [bench.trace, "--keep-agent"] + options + ["--mount", "/t=" + target]
    cells = {
        what + " true": command + argv,
        what + " -i true": command + ["-i"] + argv,
        target + ", --mode read": ours + ["--mode", "read", "--"] + clock,
        target + ", overlay": ours + ["--"] + clock,
    }
    first_instruction(env, cells[target + ", overlay"])  # brings the agent
    series = {name: (Series(), Series(), Series()) for name in cells}
    repetitions = bench.repeat(30, 8)
    names = list(cells)
    for i in range(repetitions):
        bare = None
        for name in names[:1] + names[1 + i % 3:] + names[1:1 + i % 3]:
            first, whole = first_instruction(env, cells[name])
            bare = bare or first
            for s, value in zip(series[name], (first, whole, first / bare)):
                s.add(value)
    table("Start of a program with a container's files: medians of %d (min–max)" % repetitions,
          ["", "ms to its first instruction", "ms in all", "of %s, in pairs" % what],
          [[name, a.text(), b.text(), number(c.median)] for name, (a, b, c) in series.items()])
    worst = max(c.median for name, (_, _, c) in series.items() if name.startswith(target))
    print("must be at most %s times a %s: %s" % (number(MOST), what, "yes" if worst <= MOST else "NO"))
    return {name: [s.json() for s in three] for name, three in series.items()}
