"""The programs of the chaos test: how each is run on a mount, what it acknowledges, and what must be found in the target in the end."""
import base64
import collections
import errno
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request


class Program:
    """Runs below DIR, started by START(command, **popen); ends when its standard input does."""
    needs = ()
    said_of_losses = ()  # patterns of what it may be told then besides

    def __init__(self, records):
        self.records = records
        self.acked = 0  # the watchdog looks whether this grows
        self.wrong = []
        self.undecided = set()  # of what nobody knows whether it was done

    def lacks(self):
        return next((n for n in self.needs if not shutil.which(n, path=os.environ["PATH"] + ":/usr/sbin:/sbin")), None)

    def start(self, run, place):
        """RUN(command, **popen) starts a command supervised, whose files are in PLACE."""
        self.run = run(self.command(place), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        for line in self.run.stdout:
            self.take(line.decode(errors="replace").rstrip("\n"))
            self.acked += 1

    def stop(self):
        self.run.stdin.close()

    def complain(self, what):
        if len(self.wrong) < 20:
            self.wrong.append(what)

    def expect(self, what, want, got):
        if want != got:
            self.complain("%s: wanted %r, got %r" % (what, want, got))


def quiet(*command, **more):
    """What a native command prints, and its errors."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more).stdout.decode(errors="replace")


class Records(Program):
    """What records.go does: kinds of it below."""

    def __init__(self, records):
        super().__init__(records)
        self.done = []

    def lacks(self):
        return None if os.path.exists(self.records) else "go"

    def command(self, place):
        return [self.records, self.kind, place]

    def take(self, line):
        if line.startswith("! "):
            self.undecided.add(line[2:].split(":")[0])
        elif line.startswith("? "):
            self.complain(line)
        else:
            self.done.append(line)


class Append(Records):
    kind = "append"

    def check(self, target):
        count, last = collections.Counter(), {}
        for line in open(os.path.join(target, "records")):
            who, n, filler = line[:-1].split(" ")
            if filler != (n * (int(n) * 7 % 199))[:int(n) * 7 % 199 * len(n)] or not line.endswith("\n"):
                self.complain("wrong bytes in record %s %s" % (who, n))
            if int(n) <= last.get(who, 0):
                self.complain("record %s %s comes behind %d" % (who, n, last[who]))
            last[who] = int(n)
            count[who + " " + n] += 1
        for n in self.done:
            self.expect("record " + n, 1, count.pop(n, 0))
        for n, times in count.items():
            if n not in self.undecided or times != 1:
                self.complain("record %s, which was not acknowledged, is there %d times" % (n, times))


class Names(Records):
    kind = "names"

    def check(self, target):
        last = max(map(int, [*self.done, *self.undecided]), default=0)  # what is undecided has removed an older one
        want = {"d.%d" % n for n in range(max(1, last - 19), last + 1)}
        ours = lambda name: name.split(".")[1] in self.undecided
        self.expect("names", sorted(n for n in want if not ours(n)), sorted(n for n in os.listdir(target) if not ours(n)))
        for name in want:
            if not ours(name) and os.path.isdir(os.path.join(target, name)):
                self.expect(name, ["kept", "link"], sorted(os.listdir(os.path.join(target, name))))
                self.expect(name + "/kept", name[2:] + "\n", open(os.path.join(target, name, "kept")).read())
                self.expect(name + "/kept's links", 1, os.stat(os.path.join(target, name, "kept")).st_nlink)
        self.expect("no number is left out", last, len(set(self.done) | self.undecided))


class Bytes(Records):
    kind = "bytes"

    def check(self, target):
        newest = {int(n) % 3: n for n in self.done}
        for k, n in newest.items():
            if any(int(u) % 3 == k and int(u) > int(n) for u in self.undecided):
                continue
            data = open(os.path.join(target, "slot.%d" % k)).read()
            if data != "".join("%07d %07d\n" % (int(n), i) for i in range(len(data) // 16)):
                self.complain("slot.%d has not what %s wrote" % (k, n))


class Sqlite(Program):
    """Two processes that insert numbered rows into one table, each transaction printed once it is committed, or failed: then it is there or not."""
    needs = ("sqlite3",)
    rows = 5
    # I/O errors, and what they end: the transaction.
    may_fail = ("disk I/O error", "no transaction is active", "unable to open database file")

    def command(self, place):
        script = """
        for i in 1 2 3 4 5 6 7 8 9 10; do sqlite3 "$0" "pragma journal_mode=%s;
            create table if not exists n(who text, k integer, t text); create index if not exists x on n(k, t);" >/dev/null && break; done
        run() { sqlite3 -cmd ".timeout 100000" -cmd "pragma synchronous=full" "$0"; }
        run <&%d >&%d 2>&1 & a=$!
        run <&%d >&%d 2>&1 & b=$!
        wait $a; [ $? -le 1 ] && wait $b; [ $? -le 1 ]""" % (self.journal, *self.theirs)
        return ["bash", "-c", script, os.path.join(place, "db")]

    def start(self, run, place):
        self.ends = [os.pipe() for _ in range(4)]
        self.theirs = [self.ends[0][0], self.ends[1][1], self.ends[2][0], self.ends[3][1]]
        self.run = run(self.command(place), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=self.theirs)
        for fd in self.theirs:
            os.close(fd)
        self.stopping, self.done = False, set()
        self.threads = [threading.Thread(target=self.insert, args=(who, self.ends[i][1], self.ends[i + 1][0]), daemon=True) for who, i in (("a", 0), ("b", 2))]
        for t in self.threads:
            t.start()

    def stop(self):
        self.stopping = True

    def blame(self, errors):
        for line in errors:
            if not any(s in line for s in self.may_fail):
                self.complain(line)

    def compare(self, who, k, to, back):
        known = [i for i in range(1, k + 1) if (who, i) in self.done]
        left_out = ", ".join(str(i) for i in range(1, k + 1) if (who, i) in self.undecided)
        to.write("select count(*) || ' ' || sum(length(t)) from n where who = '%s' and k not in (%s);\nselect 'sum';\n" % (who, left_out))
        got = self.answers("sum", back)
        if len(got) == 1 and got[0][:1].isdigit():
            length = sum(len(self.text(who, i, r)) for i in known for r in range(self.rows))
            self.expect("%s's sum after transaction %d" % (who, k), "%d %d" % (len(known) * self.rows, length), got[0])
        else:
            self.blame(got)

    @staticmethod
    def text(who, k, row):
        return ("%s%d.%d." % (who, k, row)) * (1 + (k * 37 + row * 11) % 300)

    def answers(self, what, back):
        """What is printed before WHAT; of what cannot have been said, the program is told."""
        lines = []
        while not lines or lines[-1] != what:
            line = back.readline()
            if not line:
                self.complain("%s is not printed" % what)
                return lines + ["error"]
            lines.append(line.rstrip("\n"))
        lines.pop()
        return lines

    def insert(self, who, to, back):
        to, back = os.fdopen(to, "w", buffering=1), os.fdopen(back)
        k = 0
        try:
            while not self.stopping:
                k += 1
                rows = ", ".join("('%s', %d, '%s')" % (who, k, self.text(who, k, r)) for r in range(self.rows))
                # Of a line what is behind an error is left out.
                to.write("begin immediate; insert into n values %s; commit;\nselect 'did %d';\n" % (rows, k))
                errors = self.answers("did %d" % k, back)
                if errors:
                    to.write("rollback;\nselect 'undone';\n")
                    self.blame(errors + self.answers("undone", back))
                (self.undecided if errors else self.done).add((who, k))
                if k % 10 == 0:
                    self.compare(who, k, to, back)
                self.acked += 1
                if self.wrong:
                    return
            to.close()
        except OSError as e:
            self.complain("%s in transaction %d: %s" % (who, k, e))

    def check(self, target):
        db = os.path.join(target, "db")
        self.expect("integrity_check", "ok\n", quiet("sqlite3", db, "pragma integrity_check"))
        got = collections.Counter()
        for line in quiet("sqlite3", "-separator", " ", db, "select who, k, t from n").splitlines():
            who, k, text = line.split(" ")
            got[who, int(k)] += text in [self.text(who, int(k), r) for r in range(self.rows)]
        for t in self.done | set(got):
            self.expect("rows of transaction %s %d" % t, 0 if t in self.undecided and not got[t] else self.rows, got[t])


class SqliteDelete(Sqlite):
    journal = "delete"


class SqliteWal(Sqlite):
    journal = "wal"


class Git(Program):
    needs = ("git",)
    must_not_fail = {os.strerror(n) for n in errno.errorcode if n not in (errno.EIO, errno.EEXIST)}
    script = """
    export HOME=/nonexistent GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
    cd "$0" || exit
    until git init -q && git config gc.auto 0; do rm -f .git/*.lock; done
    n=0
    until read -t 0; do
        n=$((n + 1))
        if mkdir -p d.$((n % 3)) && seq $n $((n * 7 % 500 + n)) >d.$((n % 3))/f.$((n % 7)) && git add . && git commit -q -m $n &&
                { [ $((n % 15)) -ne 0 ] || git gc -q; } && head=$(git rev-parse HEAD); then
            echo "$n $head"
        else
            echo "! $n"
            find .git -name '*.lock' -delete  # as git says that one should
        fi
    done 2>&1
    rm -f .git/gc.pid
    until git add . && { git diff --cached --quiet || git commit -q -m last; }; do find .git -name '*.lock' -delete; done"""

    def __init__(self, records):
        super().__init__(records)
        self.done, self.errors = [], []

    def command(self, place):
        return ["bash", "-c", self.script, place]

    def take(self, line):
        failed, done = line.startswith("! "), line.split(" ")[0].isdigit()
        if failed:
            self.undecided.add(line[2:])
        elif done:
            self.done.append(line)
        else:
            self.errors.append(line)
        if failed or done:
            # What follows from an EIO is git's business; it does not always name it, but it would name another one.
            said = "\n".join(self.errors)
            if failed and not said or (os.strerror(errno.EIO) not in said and any(e in said for e in self.must_not_fail)):
                self.complain("%s: %s" % (line, said))
            self.errors = []

    def check(self, target):
        here = lambda *command: quiet("git", "-c", "safe.directory=*", "-C", target, *command)
        self.expect("git fsck", "", here("fsck", "--full", "--strict", "--no-dangling", "--no-progress"))
        decided = lambda line: line.split(" ")[0] not in self.undecided | {"last"}
        self.expect("git log", self.done, [l for l in here("log", "--reverse", "--format=%s %H").splitlines() if decided(l)])
        self.expect("git status", "", here("status", "--porcelain"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Etcd(Program):
    """A member whose keys are put by us. It ends when a write fails, and is started again then, as an init would."""
    needs = ("etcd", "etcdctl", "bash")
    # An old segment is removed while it is open: of that another agent finds nothing.
    said_of_losses = ("; 1 of [0-9]+ open files are lost, and an error [(]ESTALE[)] from here on [(][^ ]*/member/wal[^ ]*, it is not there",)
    INIT = """
        while "$@" & p=$!; do
            while read -t 0.2 x; [ $? -gt 128 ] && kill -0 $p 2>/dev/null; do :; done
            kill -0 $p 2>/dev/null && break
            wait $p; echo "ended with $?"
        done
        kill $p; wait $p; [ $? -eq 143 ]"""

    def server(self, data):
        self.url, peer = ("http://127.0.0.1:%d" % free_port() for _ in range(2))
        return ["etcd", "--data-dir", data, "--name", "node", "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "node=" + peer,
                "--snapshot-count", "100", "--log-level", "error"]

    def command(self, place):
        return ["bash", "-c", self.INIT, "-"] + self.server(os.path.join(place, "data"))

    def start(self, run, place):
        self.stopping = False
        super().start(run, place)

    def call(self, what, **request):
        data = json.dumps({k: base64.b64encode(v.encode()).decode() for k, v in request.items()}).encode()
        return json.load(urllib.request.urlopen(self.url + "/v3/kv/" + what, data, timeout=10))

    @staticmethod
    def value(n):
        return "%d." % n * (1 + n * 31 % 500)

    def follow(self):
        n = 1
        while not self.stopping and self.run.poll() is None:
            try:
                self.call("put", key="key%d" % n, value=self.value(n))
            except (OSError, ValueError):  # not there yet, or it could not do it in its own time
                time.sleep(0.1)
                continue
            n += 1
            self.acked += 1

    def stop(self):
        self.stopping = True
        self.thread.join()
        super().stop()
        self.undecided.update(str(i) + line.decode().strip() for i, line in enumerate(self.run.stdout))

    def check(self, target):
        native = subprocess.Popen(self.server(os.path.join(target, "data")), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        got, until = None, time.monotonic() + 60
        while got is None and time.monotonic() < until and native.poll() is None:
            try:
                got = self.call("range", key="key", range_end="kez")
            except (OSError, ValueError):
                time.sleep(0.1)
        native.terminate()
        native.wait()
        if got is None:
            self.complain("a native member does not start on the data")
            return
        found = {base64.b64decode(kv["key"]).decode(): base64.b64decode(kv["value"]).decode() for kv in got.get("kvs", [])}
        for n in range(1, self.acked + 1):
            if found.get("key%d" % n) != self.value(n):
                self.complain("key%d is %s" % (n, "wrong" if "key%d" % n in found else "missing"))
        if len(found) > self.acked + 1:
            self.complain("%d keys, and %d were put" % (len(found), self.acked))


ALL = {"append": Append, "names": Names, "bytes": Bytes, "sqlite-journal": SqliteDelete, "sqlite-wal": SqliteWal, "git": Git, "etcd": Etcd}
