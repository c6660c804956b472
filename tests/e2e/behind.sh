#!/bin/bash
# Writes that are sent behind (--sync): what others see of them, and who is told when they fail.
. "$(dirname "$0")/../lib.sh"

T=$work/t
mkdir "$T"
guest=$GUESTS/behind
stats=$work/stats.json

# late SYNC COMMAND…: over a link on which every reply takes 60 ms, or twice DELAY_US.
late() {
	local how=$1
	shift
	(cd / && within 30 "$RT" --sync="$how" --stats "$stats" --mode write \
		--mount "$T=exec:$GUESTS/delayrelay -d ${DELAY_US:-30000} -- $AGENT --stdio --root $T" -- "$@") >"$work/out" 2>"$work/err" </dev/null
}

# What other processes and other descriptors see is what they see natively.
order() {
	local how guests native
	for guests in order change small names; do
		native=$(umask 022; "$guest" $guests "$T/f" 2>&1)
		for how in close fsync always; do
			[ $guests$how != smallalways ] || continue # every one of its writes would wait
			rm -rf "$T"/f*
			late $how "$guest" $guests "$T/f"
			equal "$guests, --sync=$how" "$native" "$(cat "$work/out" "$work/err")"
		done
	done
}

# told NAME SYNC WAY STATUS LINE…: what the guest prints, and the pattern of the one line on standard error, or "".
told() {
	local name="$1, --sync=$2" how=$2 way=$3 want=$4 line=$5 status
	shift 5
	rm -f "$T"/f*
	late "$how" "$guest" "$way" "$T/f"
	status=$?
	equal "$name: status" "$want" $status
	equal "$name: what the program is told" "$(printf '%s\n' "$@")" "$(cat "$work/out")"
	if [ -z "$line" ]; then
		equal "$name: standard error" "" "$(cat "$work/err")"
	elif [ "$(grep -vc '^Terminated' "$work/err")" -eq 1 ] && grep -q "^remotefs-trace: $line" "$work/err"; then
		pass "$name: one line"
	else
		fail "$name: one line" "wanted $line" "$(cat "$work/err")"
	fi
}

full() {
	local how lost="[0-9]* bytes written to $T/f were lost: No space left on device" none="No space left on device"
	mount -t tmpfs -o size=1m tmpfs "$T" 2>/dev/null || { skip "a full target" "the right to mount a tmpfs"; return; }
	told "close tells" close close 0 "" "close: $none" "and again: Bad file descriptor"
	told "of two descriptors the first tells" close dup 0 "" "close: $none" "close of the other: 0"
	told "close does not wait" fsync close 0 "$lost" "close: 0" "and again: Bad file descriptor"
	for how in close fsync; do
		told "fsync tells, once" $how fsync 0 "" "fsync: $none" "and again: 0" "close: 0"
		told "the next write tells, once" $how write 0 "" "write: $none" "ftruncate: 0" "pwrite: 1" "fsync: 0" "close: 0"
		told "a program that ends" $how exit 7 "$lost" ""
		told "a program that is killed" $how kill 143 "$lost" ""
		told "exec" $how exec 0 "$lost" ""
	done
	# All of them are to be made before the first error is here, however busy the machine is.
	DELAY_US=400000 told "small writes" close "small writes" 0 "$lost" ""
	equal "what was lost of small writes, and what was not" 1600000 \
		$(($(stat -c %s "$T/f") + $(sed -n 's/^remotefs-trace: \([0-9]*\) bytes written.*/\1/p' "$work/err")))
	until_true 10 umount "$T" # the agents are on their way out
}

# Names that are made without waiting, where there is no room for them.
unmade() {
	local none="No space left on device" line="$T/f was not made"
	mount -t tmpfs -o nr_inodes=3 tmpfs "$T" 2>/dev/null || { skip "a target without inodes" "the right to mount a tmpfs"; return; }
	equal "without waiting for names: the call tells" "open: $none" "$(late close "$guest" "unmade close" "$T/f"; grep -o "^open again: .*" "$work/out" | sed 's/ again//')"
	rm -f "$T"/f*
	told "a file that was not made" fsync "unmade close" 0 "$line, and what was written to it is lost: $none" \
		"write: 100" "fchmod: 0" "close: 0" "open again: $none"
	told "fsync tells of it" fsync "unmade fsync" 0 "" "write: 100" "fsync: $none" "and again: $none" "close: 0"
	told "whoever looks at it is told" fsync "unmade use" 0 "" "fstat: $none" "write: $none" "pread: $none" \
		"stat: No such file or directory" "close: 0"
	told "a directory that was not made" fsync "unmade names" 0 "$line: $none" "mkdir: 0" "fsync of the directory: $none" "and again: 0" \
		"stat: No such file or directory" "mkdir again: $none"
	until_true 10 umount "$T" # the agents are on their way out
}

# Round trips beyond the greeting: the open, the fsync; the position after an append is known with its reply.
counts() {
	late close "$guest" some "$T/f"
	equal "50 appends" "fsync: 0 position: 5000 size: 5000" "$(echo $(cat "$work/out"))"
	at_most "50 appends, fsync and fstats: round trips" 4 "$(stat_of "$stats" round_trips)"
	late close "$guest" many "$T/f"
	equal "2000 appends" "fsync: 0 position: 200000 size: 200000" "$(echo $(cat "$work/out"))"
	# What comes within a millisecond goes together.
	at_most "2000 appends, fsync and fstats: requests" 500 "$(stat_of "$stats" requests)"
	late always "$guest" some "$T/f"
	[ "$(stat_of "$stats" round_trips)" -ge 52 ] && pass "--sync=always waits" || fail "--sync=always waits" "$(cat "$stats")"
}

order
counts
full
unmade
equal "a value that there is not: status" 2 "$("$RT" --sync=never -- true 2>"$work/err"; echo $?)"
equal "a value that there is not: one line" 1 "$(grep -c '^remotefs-trace: --sync "never"' "$work/err")"
