#!/bin/bash
# Locks as programs use them, and between the program and what runs beside the target's files.
. "$(dirname "$0")/../lib.sh"

T=$work/t
make_tree "$T"
traced=("$RT" --mode write --mount "$T=dir//:$T" --)
F=$T/lines.txt

# lock.py: HOW (posix, ofd, flock) on FILE; says when it has it, and keeps it until its input ends.
cat >"$work/lock.py" <<'EOF'
import fcntl, os, struct, sys
how, path = sys.argv[1:3]
mode = os.O_RDONLY if "read" in sys.argv else os.O_RDWR
fd = os.open(path, mode)
if how == "flock":
    fcntl.flock(fd, fcntl.LOCK_EX)
elif how == "posix":
    fcntl.lockf(fd, fcntl.LOCK_SH if mode == os.O_RDONLY else fcntl.LOCK_EX)
else:
    fcntl.fcntl(fd, 38, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
print("locked", flush=True)
if "close" in sys.argv:
    sys.stdin.readline()
    os.close(fd)
    print("closed", flush=True)
sys.stdin.read()
EOF
locker=("$PYTHON" -S "$work/lock.py")

# start NAME COMMAND…: a locker in the background that keeps its lock until stop NAME.
start() {
	local name=$1
	shift
	mkfifo "$work/$name.in"
	# Without what would keep the others' input open.
	(
		for fd in "${ins[@]}"; do exec {fd}>&-; done
		exec "$@"
	) <"$work/$name.in" >"$work/$name.out" 2>"$work/$name.err" &
	pids[$name]=$!
	exec {fd}>"$work/$name.in"
	ins[$name]=$fd
}
declare -A pids ins

has() { until_true "$2" grep -q "${3:-locked}" "$work/$1.out"; }

stop() {
	local fd=${ins[$1]}
	exec {fd}>&-
	unset "ins[$1]"
	wait "${pids[$1]}" 2>/dev/null
	local status=$?
	rm -f "$work/$1".*
	return $status
}

# waits NAME…: none of them has it yet, though there was time.
waits() {
	local n
	sleep 0.3
	for n; do
		! grep -q locked "$work/$n.out" || return 1
	done
}

check() {
	if eval "$2"; then
		pass "$1"
	else
		fail "$1" "not so: $2" "$(cat "$work"/*.err 2>/dev/null)"
	fi
}

# One side holds, the other waits; then the other way round.
across() {
	local how=$1
	start native "${locker[@]}" $how "$F"
	has native 5
	start traced "${traced[@]}" "${locker[@]}" $how "$F"
	check "$how: the program waits for a process at the target" "waits traced"
	stop native
	check "$how: and gets the lock when that gives it up" "has traced 5"
	start native "${locker[@]}" $how "$F"
	check "$how: a process at the target waits for the program" "waits native"
	stop traced
	check "$how: and gets the lock when the program ends" "has native 5"
	stop native
}

# What ends a lock without a call that we see.
silent_ends() {
	start traced "${traced[@]}" "${locker[@]}" posix "$F" read close
	has traced 10
	start native "${locker[@]}" posix "$F"
	check "a lock on a descriptor that is only read is held at the target" "waits native"
	echo >&"${ins[traced]}"
	check "its close releases it there" "has traced 5 closed && has native 5"
	stop traced
	stop native
	start traced "${traced[@]}" "${locker[@]}" posix "$F"
	has traced 10
	start native "${locker[@]}" posix "$F"
	waits native
	pkill -KILL -P "${pids[traced]}" -f lock.py
	check "the death of its process by SIGKILL releases it there" "has native 5"
	stop traced
	stop native
}

# Waiting asks nothing: two round trips however long it lasts (the locks and the opens are the rest).
round_trips() {
	command -v flock >/dev/null || { skip "round trips of flock(1)" flock; return; }
	start native "${locker[@]}" flock "$F"
	has native 5
	start traced "$RT" --stats "$work/stats" --mode write --mount "$T=dir//:$T" -- flock "$F" true
	sleep 1
	stop native
	stop traced
	equal "flock(1) that waited" 0 $?
	at_most "round trips of a flock that waited for a second" 6 \
		"$("$PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["round_trips"])' "$work/stats")"
}

flock_command() {
	command -v flock >/dev/null || { skip "flock(1)" flock; return; }
	within 20 "${traced[@]}" busybox sh -c "
		flock $F sleep 1 & sleep 0.3
		flock -n $F true; echo busy \$?
		flock -w 0.2 $F true; echo timeout \$?
		flock -s -w 10 $F echo had; wait
		flock -n -x $F flock -n -s $F true; echo nested \$?" >"$work/out" 2>"$work/err"
	equal "flock(1): -n, -w and waiting" "busy 1 timeout 1 had nested 1" "$(tr '\n' ' ' <"$work/out" | sed 's/ $//')"
}

# Two programs of one supervisor, one of another, and one at the target write to one database.
sqlite() {
	command -v sqlite3 >/dev/null || { skip "sqlite3: concurrent writers" sqlite3; return; }
	local writer='for i in $(seq 1 40); do echo "pragma busy_timeout=20000; begin immediate; insert into t values($1, $i); commit;"; done | sqlite3 '$T/db' >/dev/null'
	sqlite3 "$T/db" "create table t(who, i)"
	within 60 "${traced[@]}" bash -c "w() { $writer; }; w 1 & w 2; wait" 2>"$work/err" &
	within 60 "${traced[@]}" bash -c "w() { $writer; }; w 3" 2>"$work/err2" &
	within 60 bash -c "w() { $writer; }; w 4"
	wait
	equal "sqlite3: four concurrent writers, no row is lost" "1:40 2:40 3:40 4:40 ok " \
		"$(sqlite3 "$T/db" "select who || ':' || count(distinct i) from t group by who; pragma integrity_check" | tr '\n' ' ')"
	equal "sqlite3: no writer complains" "" "$(cat "$work/err" "$work/err2")"
}

across posix
across ofd
across flock
silent_ends
round_trips
flock_command
sqlite
