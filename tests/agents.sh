# For tests whose agents are killed while a program, "$supervisor", does one step after the other: it reads their names from
# descriptor 9, and says "done NAME" in $work/out. Sourced behind lib.sh.

# step NAME: the program does that, and all of it.
step() {
	echo "$1" >&9
	until_true 20 grep -q "done $1" "$work/out" || fail "the step $1" "$(cat "$work/out" "$work/err")"
}

stop() {
	exec 9>&-
	until_true 20 ended "$supervisor" || { fail "$1: it ends" "$(cat "$work/err")"; kill -KILL "$supervisor"; }
	wait "$supervisor"
	equal "$1: status" 0 $?
}

ended() { ! grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null; }

stopped() { ! grep -qh '^State:.[^TZX]' "/proc/$1/task/"*/status 2>/dev/null; }

# Every agent of ours, $agents, does nothing any more.
stop_agents() {
	local exe pid
	agents=
	for exe in /proc/[0-9]*/exe; do
		[ "$exe" -ef "$AGENT" ] || [[ $(readlink "$exe") == */.rfs-* ]] || continue
		pid=${exe%/exe}
		grep -qz "^RFS_TEST_ID=$RFS_TEST_ID" "$pid/environ" && agents="$agents ${pid#/proc/}"
	done 2>/dev/null
	[ -n "$agents" ] || fail "there is an agent to be killed"
	kill -STOP $agents
	for pid in $agents; do until_true 5 stopped "${pid}"; done
}

# All of them at once: none may take another's place.
kill_agents() {
	local pid
	stop_agents
	kill -KILL $agents
	for pid in $agents; do until_true 5 ended "$pid"; done
}

# What the supervisor has said: so often did another agent take over.
taken() { [ "$(grep -c 'another one has taken its place' "$work/err")" -ge "$1" ]; }
taken_over() { until_true 20 taken "$1" || fail "another agent takes over" "$(cat "$work/err")"; }

said() { grep -c "$1" "$work/err"; }

# After $1, what the program printed.
printed() { sed "1,/done $1/d" "$work/out" | grep -v '^done'; }
