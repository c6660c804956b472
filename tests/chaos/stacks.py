"""Processes that carry a mark in their environment, and what their threads are doing."""
import os
import shutil
import subprocess


def read(*path):
    try:
        with open(os.path.join("/proc", *map(str, path)), "rb") as f:
            return f.read().decode(errors="replace")
    except OSError:
        return ""


def marked(name, value):
    """The living processes with NAME=VALUE."""
    want = "%s=%s" % (name, value)
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and want in read(p, "environ").split("\0")]


def command(pid):
    return read(pid, "cmdline").replace("\0", " ").strip()


def of(pids):
    """Lines about each of PIDS: its threads, where each waits, and, where gdb can tell it, how it came there."""
    lines = []
    for pid in pids:
        lines.append("%d %s" % (pid, command(pid)[:150]))
        for task in sorted(os.listdir("/proc/%d/task" % pid) if os.path.isdir("/proc/%d/task" % pid) else []):
            where = ["proc", pid, "task", task]
            state = next((l.split("\t")[1] for l in read(*where[1:], "status").splitlines() if l.startswith("State:")), "gone")
            lines.append("  %s %s %s %s" % (task, state, read(*where[1:], "wchan"), read(*where[1:], "syscall").strip()))
        if shutil.which("gdb") and "remotefs" in command(pid):
            try:
                out = subprocess.run(["gdb", "-batch", "-nx", "-p", str(pid), "-ex", "thread apply all bt 12"], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30).stdout.decode(errors="replace")
            except subprocess.TimeoutExpired:
                continue
            lines += ["    " + l for l in out.splitlines() if l.startswith(("#", "Thread"))]
    return lines
