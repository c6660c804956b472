#!/usr/bin/python3
"""pty.py ctrl-c|ctrl-z|tty|bash COMMAND…: types at COMMAND on a terminal of its own, as a person would.

Prints what happened in words that signals.sh compares between a native and a traced run.
"""
import os
import pty
import re
import select
import signal
import sys
import time

SCALE = int(os.environ.get("SCALE", "1"))


class Terminal:
    def __init__(self, command):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.environ["PS1"] = "ready> "
            os.execvp(command[0], command)

    def read(self, seconds):
        """Whether something came in that time."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 4096)
        except OSError:
            return False
        self.seen += data
        return bool(data)

    def expect(self, text, seconds=10):
        end = time.monotonic() + seconds * SCALE
        while not re.search(text.encode(), self.seen):
            left = end - time.monotonic()
            if left <= 0 or not (self.read(min(left, 0.2)) or time.monotonic() < end):
                print(f"never saw {text!r}, but {self.seen!r}")
                self.end()
        self.seen = self.seen[re.search(text.encode(), self.seen).end():]

    def type(self, data):
        os.write(self.fd, data.encode())

    def status(self, seconds=5):
        end = time.monotonic() + seconds * SCALE
        while time.monotonic() < end:
            self.read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return 128 - code if code < 0 else code
        return None

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        sys.exit(1)


def ctrl_c(command):
    t = Terminal(command)
    t.expect("started")
    start = time.monotonic()
    t.type("\x03")
    print("status", t.status())
    print("soon" if time.monotonic() - start < 2 * SCALE else "late")


def ctrl_z(command):
    """An interactive bash stops the job and takes it up again."""
    t = Terminal(["bash", "--norc", "--noprofile", "-i"])
    t.expect("ready> ")
    t.type(" ".join(command) + "\n")
    t.expect("started")
    t.type("\x1a")
    t.expect(r"Stopped")
    t.expect("ready> ")
    print("stopped")
    t.type("echo $((40 + 2))\n")
    t.expect("42\r")
    t.type("fg\n")
    # The shell's echo of the command line comes first.
    t.expect("fg\r\n")
    time.sleep(0.2)
    t.type("typed\n")
    t.expect("got typed")
    print("continued")
    t.expect("ready> ")
    t.type("echo status $?\n")
    t.expect(r"status 7\r")
    print("status 7")
    t.type("exit\n")
    print("shell", t.status())


def tty(command):
    t = Terminal(command)
    print("status", t.status(10))
    print(t.seen.decode().replace("\r", "").strip())


def main():
    {"ctrl-c": ctrl_c, "ctrl-z": ctrl_z, "tty": tty}[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    main()
