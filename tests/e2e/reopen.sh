#!/bin/bash
# The agent ends with everything that it had open, and its keeper too: the program goes on with another one.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../agents.sh"

T=$work/t
traced=("$RT" --mode write --mount "/x=dir/$T")

# program.py: opens files, says "ready", and after each line that it is sent does the step that the line names.
cat >"$work/program.py" <<'EOF2'
import errno, fcntl, os, socket, struct, sys

D = sys.argv[1]

def attempt(name, do):
    try:
        print(name, do(), flush=True)
    except OSError as e:
        print(name, errno.errorcode[e.errno], flush=True)

def files():
    global fds, place
    fds = {n: os.open(D + "/" + n, os.O_RDWR) for n in ("same", "moved", "gone", "replaced", "recreated")}
    fds["append"] = os.open(D + "/append", os.O_WRONLY | os.O_APPEND)
    fds["new"] = os.open(D + "/new", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fds["cut"] = os.open(D + "/cut", os.O_RDWR | os.O_TRUNC)
    os.write(fds["new"], b"made ")
    os.write(fds["cut"], b"written ")
    os.write(fds["append"], b"one\n")
    for n in ("same", "moved", "gone", "replaced", "recreated"):
        os.pread(fds[n], 2, 0)
    os.fsync(fds["append"])
    os.fsync(fds["cut"])

def use():
    for n in ("same", "moved", "gone", "replaced", "recreated"):
        attempt(n, lambda: os.pread(fds[n], 100, 0).decode().strip())
        attempt(n + " written", lambda: os.pwrite(fds[n], b"C", 0))
        attempt(n + " synced", lambda: os.fsync(fds[n]))
        attempt(n + " size", lambda: os.fstat(fds[n]).st_size)
    attempt("position", lambda: os.write(fds["new"], b"again") and os.pread(fds["new"], 100, 0).decode())
    attempt("append", lambda: os.write(fds["append"], b"two\n"))
    attempt("cut", lambda: os.write(fds["cut"], b"more") and os.pread(fds["cut"], 100, 0).decode())
    attempt("by name", lambda: open(D + "/replaced").read().strip())
    for n in fds:
        attempt("close " + n, lambda: os.close(fds[n]))

def rename():
    """What it moves itself, while another file gets the old name."""
    global fds
    fds = {n: os.open(D + "/" + n, os.O_RDWR) for n in ("same", "moved", "gone")}
    os.mkdir(D + "/old")
    os.rename(D + "/same", D + "/old/same.1")
    os.rename(D + "/moved", D + "/old/below")
    os.rename(D + "/old", D + "/older")
    os.rename(D + "/gone", D + "/older/gone")
    os.close(os.open(D + "/same", os.O_RDWR | os.O_CREAT))

def renamed():
    for n in fds:
        attempt(n, lambda: os.pread(fds[n], 100, 0).decode().strip())

def lock():
    global a, b, c
    a = os.open(D + "/same", os.O_RDWR)
    b = os.open(D + "/moved", os.O_RDWR)
    c = os.open(D + "/append", os.O_RDWR)
    fcntl.lockf(a, fcntl.LOCK_EX, 10, 5)
    fcntl.lockf(a, fcntl.LOCK_UN, 3, 7)
    fcntl.flock(b, fcntl.LOCK_EX)
    fcntl.fcntl(c, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))

def unlocked():
    for name, fd in (("posix", a), ("flock", b), ("ofd", c)):
        attempt(name, lambda: os.pwrite(fd, b"c", 0))
        attempt(name + " synced", lambda: os.fsync(fd))

def wait():
    fd = os.open(D + "/same", os.O_RDWR)
    print("waits", flush=True)
    fcntl.lockf(fd, fcntl.LOCK_EX)
    print("has it", flush=True)

def fifo():
    """Waits for the other end, of each kind: the reader's first."""
    print("opens", flush=True)
    r = os.open(D + "/fifo", os.O_RDONLY)
    print("read", os.read(r, 100).decode(), flush=True)
    os.close(r)
    print("opens again", flush=True)
    w = os.open(D + "/fifo", os.O_WRONLY)
    print("written", os.write(w, b"text"), flush=True)
    os.close(w)

def connect():
    global s
    s = socket.socket(socket.AF_UNIX)
    s.connect(D + "/listener")
    print(s.recv(100).decode(), flush=True)

def receive():
    try:
        print("received", s.recv(100), flush=True)
    except OSError as e:
        print("received", "an error", flush=True)

def many():
    global all
    all = [os.open(D + "/same", os.O_RDONLY) for i in range(int(sys.argv[2]))]

def manyread():
    print(sum(os.pread(fd, 4, 0) == b"same" for fd in all), flush=True)

print("ready", flush=True)
for line in sys.stdin:
    globals()[line.strip()]()
    print("done " + line.strip(), flush=True)
EOF2

start() {
	rm -rf "$T"
	mkdir "$T"
	local n
	for n in same moved gone replaced recreated cut; do echo "$n" >"$T/$n"; done
	: >"$T/append"
	rm -f "$work/in"
	mkfifo "$work/in"
	"${traced[@]}" ${options:-} -- "$PYTHON" -S "$work/program.py" /x ${1:-} <"$work/in" >"$work/out" 2>"$work/err" &
	supervisor=$!
	exec 9>"$work/in"
	until_true 10 grep -q ready "$work/out" || fail "the program starts" "$(cat "$work/err")"
}

root() { [ "$(id -u)" = 0 ]; }

open_files() {
	start
	step files
	mv "$T/moved" "$T/elsewhere"
	rm "$T/gone" "$T/recreated"
	echo recreated >"$T/recreated"
	echo another >"$T/other"
	mv "$T/other" "$T/replaced"
	kill_agents
	taken_over 1
	kill_agents
	taken_over 2
	step use
	equal "open files: what became of them" "$(
		printf '%s\n' "same same" "same written 1" "same synced None" "same size 5"
		printf '%s\n' "moved moved" "moved written 1" "moved synced None" "moved size 6"
		for n in gone replaced recreated; do printf '%s\n' "$n ESTALE" "$n written ESTALE" "$n synced ESTALE" "$n size ESTALE"; done
		printf '%s\n' "position made again" "append 4" "cut written more" "by name another"
		for n in same moved gone replaced recreated append new cut; do echo "close $n None"; done)" "$(printed files)"
	stop "open files"
	equal "open files: what is there" "Came
one
two
written moreanother
recreated
made again" "$(cat "$T/same" "$T/append" "$T/cut" "$T/replaced" "$T/recreated" "$T/new")"
	equal "open files: one that was moved" Coved "$(cat "$T/elsewhere")"
	equal "open files: a line each time" 2 "$(said 'another one has taken its place')"
	equal "open files: how many are lost is told once" 1 "$(said "3 of 8 open files are lost, and an error (ESTALE) from here on")"
}

# Without handles, as in most containers, the paths that the program itself has changed are known.
renames() {
	if ! have setpriv; then
		skip "renames: without handles" setpriv
		return
	fi
	traced=("$RT" --mode write --mount "/x=exec:setpriv $(root && echo --bounding-set=-dac_read_search) $AGENT --stdio --root $T")
	start
	step rename
	kill_agents
	taken_over 1
	mv "$T/older/gone" "$T/gone"
	kill_agents
	taken_over 2
	step renamed
	equal "renames: what became of the files" "same same
moved moved
gone ESTALE" "$(printed rename)"
	stop renames
	traced=("$RT" --mode write --mount "/x=dir/$T")
}

cat >"$work/try.py" <<'EOF2'
import fcntl, os, struct, sys
how, path, start = sys.argv[1], sys.argv[2], int(sys.argv[3])
fd = os.open(path, os.O_RDWR)
try:
    if how == "flock":
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, start)
    print("free", flush=True)
    if "keep" in sys.argv:
        sys.stdin.read()
except OSError:
    print("held", flush=True)
EOF2
try() { "$PYTHON" -S "$work/try.py" "$@" </dev/null; }

locks() {
	start
	step lock
	kill_agents
	taken_over 1
	equal "locks: record locks are held" "held free held" "$(echo $(try posix "$T/same" 5) $(try posix "$T/same" 8) $(try posix "$T/same" 14))"
	equal "locks: flock is held" held "$(try flock "$T/moved" 0)"
	equal "locks: that of an open file is held" held "$(try posix "$T/append" 100)"
	stop locks
	equal "locks: they end with the program" "free free free" "$(echo $(try posix "$T/same" 5) $(try flock "$T/moved" 0) $(try posix "$T/append" 100))"
}

# Somebody else gets the lock before the next agent does.
locks_lost() {
	start
	step lock
	kill -STOP "$supervisor"
	kill_agents
	mkfifo "$work/keep"
	"$PYTHON" -S "$work/try.py" posix "$T/same" 5 keep <"$work/keep" >"$work/kept" 9>&- &
	local keeper=$!
	exec 8>"$work/keep"
	until_true 10 grep -q free "$work/kept" || fail "locks lost: somebody gets it" "$(cat "$work/kept")"
	kill -CONT "$supervisor"
	taken_over 1
	step unlocked
	equal "locks lost: the file is an error from here on, the others are not" "posix ESTALE
posix synced ESTALE
flock 1
flock synced None
ofd 1
ofd synced None" "$(printed lock)"
	equal "locks lost: why is told" 1 "$(said '1 of 3 open files are lost.*/same, somebody else has got its lock meanwhile')"
	stop "locks lost"
	equal "locks lost: nothing was written" same "$(cat "$T/same")"
	exec 8>&-
	wait $keeper
	rm "$work/keep"
}

# A call that waits for a lock goes on waiting for it, behind whoever has it.
lock_wait() {
	start
	mkfifo "$work/keep"
	"$PYTHON" -S "$work/try.py" posix "$T/same" 5 keep <"$work/keep" >"$work/kept" &
	local keeper=$!
	exec 8>"$work/keep"
	until_true 10 grep -q free "$work/kept"
	echo wait >&9
	until_true 10 grep -q waits "$work/out"
	sleep 0.3
	kill_agents
	taken_over 1
	equal "lock waited for: it still waits" 0 "$(grep -c 'has it' "$work/out")"
	exec 8>&-
	wait $keeper
	rm "$work/keep"
	until_true 10 grep -q 'has it' "$work/out" && pass "lock waited for: it gets it" || fail "lock waited for: it gets it" "$(cat "$work/err")"
	equal "lock waited for: it has it" held "$(try posix "$T/same" 5)"
	stop "lock waited for"
}

# An open of a FIFO that waits for the other end goes on waiting for it.
fifo_waits() {
	start
	mkfifo "$T/fifo"
	echo fifo >&9
	until_true 10 grep -q "^opens$" "$work/out"
	sleep 0.3
	kill_agents
	taken_over 1
	equal "FIFO waited for: to read: it still waits" 0 "$(grep -c '^read ' "$work/out")"
	echo -n hello >"$T/fifo" &
	until_true 10 grep -q "^opens again$" "$work/out"
	equal "FIFO waited for: it is read" "read hello" "$(grep '^read ' "$work/out")"
	sleep 0.3
	kill_agents
	taken_over 2
	equal "FIFO waited for: to write: it still waits" 0 "$(grep -c '^written' "$work/out")"
	equal "FIFO waited for: it is written" text "$(within 10 cat "$T/fifo")"
	stop "FIFO waited for"
}

# feed FROM: its bytes, in pieces that take two seconds or more.
cat >"$work/feed.py" <<'EOF2'
import sys, time
with open(sys.argv[1], "rb") as f:
    while piece := f.read(65536):
        sys.stdout.buffer.write(piece)
        sys.stdout.flush()
        time.sleep(0.004)
EOF2

# In the middle of a write, whose pieces may be written twice, and of a read.
copies() {
	local sum
	rm -rf "$T"
	mkdir "$T"
	head -c 33554432 /dev/urandom >"$work/from"
	sum=$(sha1sum <"$work/from" | cut -d' ' -f1)
	rm -f "$work/written"
	"${traced[@]}" -- sh -c "$PYTHON -S $work/feed.py $work/from | dd of=/x/to bs=16k conv=fsync iflag=fullblock 2>/dev/null && : >$work/written
		$PYTHON -S $work/feed.py /x/to | sha1sum" >"$work/out" 2>"$work/err" &
	supervisor=$!
	until_true 20 test -s "$T/to"
	kill_agents
	equal "copies: in the middle of it" no "$([ -e "$work/written" ] && echo yes || echo no)"
	until_true 20 test -e "$work/written"
	kill_agents
	until_true 60 ended "$supervisor" || kill -KILL "$supervisor"
	wait "$supervisor"
	equal "copies: status" 0 $?
	equal "copies: both times another agent took over" 2 "$(said 'another one has taken its place')"
	equal "copies: what was written is right" "$sum" "$(sha1sum <"$T/to" | cut -d' ' -f1)"
	equal "copies: what was read is right" "$sum" "$(cut -d' ' -f1 "$work/out")"
}

# Of what cannot be done twice: nothing is there twice, and what is not there was told.
appends() {
	rm -rf "$T"
	mkdir "$T"
	"${traced[@]}" -- "$PYTHON" -S -c '
import os, time
fd = os.open("/x/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
try:
    for i in range(4000):
        os.write(fd, b"%d\n" % i)
        if i % 20 == 0:
            time.sleep(0.01)
    os.fsync(fd)
    print("all is there")
except OSError:
    print("something is lost")' >"$work/out" 2>"$work/err" &
	supervisor=$!
	until_true 20 test -s "$T/log"
	kill_agents
	until_true 60 ended "$supervisor" || kill -KILL "$supervisor"
	wait "$supervisor"
	equal "appends: another agent took over" 1 "$(said 'another one has taken its place')"
	equal "appends: status" 0 $?
	equal "appends: nothing is there twice" "" "$(sort "$T/log" | uniq -d | head -n 5)"
	if grep -q "something is lost" "$work/out"; then
		pass "appends: what is not there was told"
	else
		equal "appends: all is there" "$(seq 0 3999 | md5sum)" "$(md5sum <"$T/log")"
	fi
}

sockets() {
	start
	rm -f "$work/served"
	"$PYTHON" -S -c '
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1] + ".new")
s.listen()
os.rename(sys.argv[1] + ".new", sys.argv[1]) # it is there when it can be connected to
c, a = s.accept()
c.send(b"hello")
print(c.recv(10), flush=True)' "$T/listener" >"$work/served" &
	local server=$!
	until_true 10 test -S "$T/listener"
	step connect
	kill_agents
	taken_over 1
	step receive
	grep -q "^received \(b''\|an error\)" "$work/out" && pass "sockets: the program sees the end" || fail "sockets: the program sees the end" "$(cat "$work/out")"
	wait $server
	equal "sockets: so does the other side" "b''" "$(cat "$work/served")"
	stop sockets
}

# Memory and time are those of so many files; the new agent is asked for all of them at once.
many() {
	local from
	start 3000
	step many
	from=$(date +%s%N)
	kill_agents
	taken_over 1
	at_most "many: milliseconds until the program goes on" $((15000 * SCALE)) $((($(date +%s%N) - from) / 1000000))
	step manyread
	equal "many: all are there" 3000 "$(printed many)"
	stop many
}

# The file can be opened, and each agent ends of its bytes.
deadly() {
	traced=("$RT" --mode write --mount "/x=exec:$PYTHON $HERE/e2e/cutter 30000 $AGENT --stdio --root $T")
	rm -rf "$T"
	mkdir "$T"
	head -c 10000000 /dev/urandom >"$T/big"
	within 20 "${traced[@]}" -- sh -c 'LC_ALL=C cat /x/big 2>&1 >/dev/null' >"$work/out" 2>"$work/err"
	equal "a request that agents end of: the call fails" "1 cat: /x/big: Input/output error" "$? $(cat "$work/out")"
	at_most "a request that agents end of: there are few" 6 "$(said 'another one has taken its place')"
}

# Agents that end again and again, whatever they are asked, are not asked for ever.
hopeless() {
	traced=("$RT" --mode write --mount "/x=exec:$PYTHON $HERE/e2e/cutter 100 $AGENT --stdio --root $T")
	within 30 "${traced[@]}" -- sh -c 'while :; do cat /x/big >/dev/null; done' >"$work/out" 2>"$work/err"
	equal "agents that end again and again: status" 125 $?
	equal "agents that end again and again: why" 1 "$(said 'before they had answered anything')"
}

# A target in a cluster: kubectl is a script, the pods are this machine.
cluster() {
	echo first >"$work/pod"
	cat >"$work/kubectl" <<-'END'
		#!/bin/bash
		cd "${0%/*}"
		pod=$(cat pod)
		echo "$*" >>asked
		case "$*" in
		*"get deployment/d "*) echo app=d, ;;
		*"get pods -l "*)
			[ -n "$pod" ] || exit 0
			printf '%s\n' "pod $pod Running stays n" "ready True" "share <no value> <no value>" "default" "container app" "id app docker://1" ;;
		*"exec -i pod/"*)
			all=$*
			name=${all#*pod/}
			name=${name%% *}
			[ "$name" = "$pod" ] || { echo "Error from server (NotFound): pods \"$name\" not found" >&2; exit 1; }
			while [ "$1" != -- ]; do shift; done
			shift
			exec "$@" ;;
		esac
	END
	chmod +x "$work/kubectl"
}

# The pod goes; after a while there is another one, with the same volume.
other_pod() {
	cluster
	: >"$work/asked"
	traced=("$RT" --mode write --kubectl "$work/kubectl" --mount "/x=deployment/d:$T")
	start
	step files
	: >"$work/pod"
	kill_agents
	sleep 0.5
	echo second >"$work/pod"
	taken_over 1
	step use
	equal "another pod: the files of a volume are the same" "same same" "$(printed files | head -n 1)"
	grep -q "exec -i pod/second" "$work/asked" && pass "another pod: it is the deployment's" || fail "another pod: it is the deployment's"
	stop "another pod"
}

# A pod that was named has none in its place.
pod_gone() {
	local from
	traced=("$RT" --mode write --kubectl "$work/kubectl" --mount "/x=pod/second:$T")
	start
	step files
	: >"$work/pod"
	from=$(date +%s%N)
	kill_agents
	until_true 20 ended "$supervisor" || kill -KILL "$supervisor"
	wait "$supervisor"
	equal "pod gone: status" 125 $?
	at_most "pod gone: milliseconds" $((5000 * SCALE)) $((($(date +%s%N) - from) / 1000000))
	equal "pod gone: one line" 1 "$(wc -l <"$work/err")"
	equal "pod gone: it tells why" 1 "$(said 'pods "second" not found')"
	exec 9>&-
}

open_files
renames
locks
locks_lost
lock_wait
fifo_waits
copies
appends
sockets
many
deadly
hopeless
other_pod
pod_gone
