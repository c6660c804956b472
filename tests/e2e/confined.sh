#!/bin/bash
# What the processes of an agent that serves have given up, as the kernel tells it, however they were started.
. "$(dirname "$0")/../lib.sh"

T=$work/t
make_tree "$T"
# chown, dac_override, dac_read_search, fowner, fsetid, linux_immutable, sys_rawio, sys_admin, sys_resource, mknod, setfcap, mac_override, mac_admin
kept=$((1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 9 | 1 << 17 | 1 << 21 | 1 << 24 | 1 << 27 | 1 << 31 | 1 << 32 | 1 << 33))

# field PID NAME
field() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }

# The processes of the test that are the agent's program.
agents() {
	local pid
	for pid in $(ours); do
		[ "$(readlink "/proc/$pid/exe")" != "$AGENT" ] || echo "$pid"
	done
}

# given_up HOW PID…: all of these have, and there are some.
given_up() {
	local how=$1 pid set bounding=$((0x$(field $$ CapBnd)))
	shift
	[ $# -gt 0 ] || fail "$how: there is one"
	# Who has no CAP_SETPCAP keeps the bounding set, which nothing is executed to make use of.
	! ((0x$(field $$ CapEff) >> 8 & 1)) || bounding=$((bounding & kept))
	for pid; do
		equal "$how: no new rights" 1 "$(field "$pid" NoNewPrivs)"
		[ -n "${SANITIZED:-}" ] || equal "$how: system calls are filtered" 2 "$(field "$pid" Seccomp)"
		for set in CapEff CapPrm; do
			equal "$how: $set" "$(printf %016x $((0x$(field $$ $set) & kept)))" "$(field "$pid" $set)"
		done
		equal "$how: CapInh and CapAmb" "0000000000000000 0000000000000000" "$(field "$pid" CapInh) $(field "$pid" CapAmb)"
		equal "$how: CapBnd" "$(printf %016x $bounding)" "$(field "$pid" CapBnd)"
	done
}

# Runs a program that lasts until it is told to end; its agents are in $pids.
begin() {
	local before=" $(agents | tr '\n' ' ')" pid
	rm -f "$work/stop" "$T/begun"
	within 60 "$RT" --mode write "$@" -- busybox sh -c "echo x >$T/begun; until [ -e $work/stop ]; do sleep 0.05; done" >"$work/out" 2>&1 </dev/null &
	run=$!
	until_true 20 [ -e "$T/begun" ] || fail "the program has begun" "$(cat "$work/out")"
	pids=
	for pid in $(agents); do
		[ "${before/ $pid /}" != "$before" ] || pids="$pids $pid"
	done
}

end() {
	touch "$work/stop"
	wait $run
	equal "$1: the program ends well" 0 $?
}

begin --mount "$T=dir//:$T"
given_up "an agent here" $pids
end "an agent here"

# Who listens must be able to accept whoever comes; what is made for a client is what counts.
export REMOTEFS_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' ')
"$AGENT" --listen "unix:$work/socket" --root / 2>"$work/agent.err" </dev/null &
listening=$!
until_true 5 [ -S "$work/socket" ] || fail "an agent listens" "$(cat "$work/agent.err")"
begin --mount "$T=unix:$work/socket:$T"
given_up "a client's agent" $pids
end "a client's agent"
kill $listening
wait $listening 2>/dev/null

if [ "$(id -u)" -eq 0 ]; then
	sleep 60 </dev/null &
	process=$!
	begin --mount "$T=pid/$process:$T"
	given_up "an agent of a process" $pids
	end "an agent of a process"
	kill $process
	wait $process 2>/dev/null
else
	skip "an agent of a process" "root"
fi
