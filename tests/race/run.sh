#!/bin/bash
# Races, LOOPS times each: nothing may hang, fail or be left behind, whatever the moment.
. "$(dirname "$0")/../lib.sh"
SUITE=race

LOOPS=${LOOPS:-3}
T=$work/t
make_tree "$T"
options=(--mode write --mount "$T=dir//:$T")

# repeated NAME WANT COMMAND…: prints the same every time.
repeated() {
	local name=$1 want=$2 i got
	shift 2
	for ((i = 1; i <= LOOPS; i++)); do
		got=$(within 30 "$RT" "${options[@]}" -- "$@" 2>&1 </dev/null)
		if [ "$got" != "$want" ]; then
			fail "$name" "in loop $i of $LOOPS" "wanted: $want" "got:    $got"
			return
		fi
	done
	pass "$name, $LOOPS times"
}

# killed NAME WHOM COMMAND…: a busy program is killed at a random moment; WHOM is "program" or "supervisor".
killed() {
	local name=$1 whom=$2 i pid victim status
	shift 2
	for ((i = 1; i <= LOOPS; i++)); do
		rm -f "$work/out"
		"$RT" "${options[@]}" -- "$@" >"$work/out" 2>"$work/err" </dev/null &
		pid=$!
		until_true 10 [ -s "$work/out" ] || { fail "$name: starts" "$(cat "$work/err")"; kill -KILL $pid; return; }
		sleep "0.0$((RANDOM % 100))"
		victim=$pid
		[ "$whom" = supervisor ] || victim=$(program_of $pid)
		kill -KILL "$victim" 2>/dev/null
		# What the program had forked is an orphan now, and is followed until it ends too.
		[ "$whom" = supervisor ] || kill -KILL $(followers $pid) 2>/dev/null
		until_true 5 ended $pid || { fail "$name: ends" "in loop $i of $LOOPS" "$(ps -o pid,stat,wchan:20,args -p $pid)"; kill -KILL $pid; }
		wait $pid 2>/dev/null
		status=$?
		[ $status -eq 137 ] || { fail "$name: status" "in loop $i: $status" "$(cat "$work/err")"; return; }
		gone "$name" 2 >"$work/gone" || { cat "$work/gone"; return; }
	done
	pass "$name, $LOOPS times"
}

ended() { ! grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null; }

# The supervisor's child that is not the agent, and all that live besides these.
program_of() { ps -o pid=,comm= --ppid "$1" | sed -n '/remotefs-agent/!s/^ *\([0-9]*\) .*/\1/p' | head -1; }
followers() { running | grep -vx -e "$1" -e "$(ps -o pid=,comm= --ppid "$1" | sed -n 's/^ *\([0-9]*\) remotefs-agent.*/\1/p')"; }

repeated "exec from a thread" "after exec: Hello, world" "$GUESTS/race/execthread" "$T"
repeated "200 threads" "200 threads, 200 good" "$GUESTS/race/threads" "$T" 200 3
repeated "open and close, 8 threads of 500" "8 threads, 8 good" "$GUESTS/race/threads" "$T" 8 500
repeated "fork storms with closes" "3 rounds, 0 bad" "$GUESTS/race/forks" "$T" 3
repeated "threads that end in calls" "10 rounds, 0 bad" "$GUESTS/race/threadexit" "$T" 10
repeated "signals, stops and death in the middle of stops" \
	"$(printf '%s: 0 bad\n' "under signals" "in threads" "stopped and continued" killed "exec among threads")" \
	"$GUESTS/race/stops" "$T" 20
repeated "locks of who has ended" "4 workers of 100 rounds, 0 bad" "$GUESTS/race/lockends" "$T" 4 100
repeated "locks of a process whose threads end" "200 rounds, 0 bad, 0 bad looks" "$GUESTS/race/lockthreads" "$T" 200
repeated "sizes of what several threads change" "3000 rounds, 0 bad, 0 failed" "$GUESTS/race/sizes" "$T" 3000
repeated "mappings made during a write" "64 rounds, 0 bad" "$GUESTS/race/mapwhile" "$T" 64
repeated "changes while others look" "200 rounds, 0 bad" "$GUESTS/race/seen" "$T" 200
repeated "two calls at once" "100 rounds, 0 bad" "$GUESTS/race/meanwhile" "$T" 100
dir=("${options[@]}")
options=(--mode write --sync=fsync --mount "$T=exec:$GUESTS/delayrelay -d 2000 -- $AGENT --stdio --root $T")
repeated "two calls at once, far away" "100 rounds, 0 bad" "$GUESTS/race/meanwhile" "$T" 100
options=("${dir[@]}")
repeated "cut off and appended to at once" "300 rounds, 0 bad" "$GUESTS/race/cutwhile" "$T" 300
repeated "locked and unlocked at once" "500 rounds, 0 bad" "$GUESTS/race/lockorder" "$T" 500
repeated "bytes of several threads in one page" "200 rounds, 0 bad" "$GUESTS/race/regions" "$T" 200 5000
repeated "the same in a large file" "200 rounds, 0 bad" "$GUESTS/race/regions" "$T" 200 3000000
# Written through low numbers, by one process after the other: each line once, in order.
appends='for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do : > $0; (echo one; echo two; echo three) >> $0; (echo four; echo five) >> $0; busybox tr "\n" " " < $0; done'
repeated "appends by >>" "$(for i in {1..15}; do printf 'one two three four five '; done)" busybox sh -c "$appends" "$T/appended"
killed "a busy C program is killed" program "$GUESTS/race/busy" "$T"
killed "its supervisor is killed" supervisor "$GUESTS/race/busy" "$T"
killed "a busy Go program is killed" program "$GUESTS/go/busy" "$T"
killed "its supervisor is killed" supervisor "$GUESTS/go/busy" "$T"
"$PYTHON" "$HERE/run-diff" --kinds go -j 1 $(for ((i = 0; i < LOOPS; i++)); do echo sigurg; done) >"$work/sigurg" || failures=1
grep -v ^PASS "$work/sigurg" || pass "SIGURG storm, $LOOPS times"
