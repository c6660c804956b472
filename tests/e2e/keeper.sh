#!/bin/bash
# Agents that are killed: their keepers have others go on with their open files, and no program notices.
. "$(dirname "$0")/../lib.sh"

T=$work/t
mkdir "$T"
. "$HERE/e2e/once"

# The process that has the files of our agent: a keeper's child.
agent() {
	local p parent
	for p in $(pgrep -f -- "--root $T"); do
		parent=$(cut -d' ' -f4 "/proc/$p/stat" 2>/dev/null) || continue
		grep -qa "^remotefs-agent: keeper" "/proc/$parent/cmdline" 2>/dev/null && echo "$p"
	done
	return 0
}

# run OPTIONS -- COMMAND: its end is in $work/status.
run() {
	within 90 "$RT" --mode write --mount "$T=dir/$T" "$@" >"$work/out" 2>"$work/err" </dev/null
	echo $? >"$work/status"
}

# Kills the agent again and again.
killing() {
	local p
	until_true 20 [ -e "$T/log" ]
	while [ ! -e "$work/status" ]; do
		for p in $(agent); do
			kill -KILL "$p" 2>/dev/null && echo >>"$work/kills"
		done
		sleep "0.$(printf %03d $((RANDOM % 150 + 20)))"
	done
}

# Each of these is wrong when it is done twice, or not at all; and each of the descriptors must be what it was.
cat >"$work/program" <<END
exec 7>>$T/log 8<$T/big 9>>$T/lock
flock 9
$(once_lines "&7")
$(once_names 400 "flock -n $T/lock true && echo \"unlocked \$i\"")
rm $T/big
md5sum <&8
END
killing &
run -- busybox sh "$work/program"
wait %% 2>/dev/null
once_check
[ "$(wc -l <"$work/kills")" -gt 5 ] && pass "the agent was killed more than five times" || fail "the agent was killed more than five times"

# The keeper alone: the agent goes on.
(
	until_true 20 [ -e "$T/begun" ]
	for p in $(ours); do
		grep -qa "^remotefs-agent: keeper" "/proc/$p/cmdline" 2>/dev/null && kill -KILL "$p"
	done
	: >"$T/killed"
) &
run -- busybox sh -c "exec 7>>$T/kept; echo one >&7; : >$T/begun; until [ -e $T/killed ]; do sleep 0.1; done; echo two >&7; echo done"
equal "the keeper is killed, and the program ends well" "done one two" "$(cat "$work/out" "$T/kept" | tr '\n' ' ' | sed 's/ $//')"
equal "one line says so" 1 "$(grep -c "its keeper was killed" "$work/err")"
sleep 0.3
gone "nobody is left" 5
finish
