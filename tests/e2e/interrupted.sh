#!/bin/bash
# 5 s without a connection in the middle of a long read and of a long write: the same bytes, and no more time lost than that and a second.
. "$(dirname "$0")/../lib.sh"

T=$work/t
mkdir "$T"
export REMOTEFS_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' ')
"$AGENT" --listen "unix:$work/agent" --root / 2>"$work/agent.err" </dev/null &
until_true 5 [ -S "$work/agent" ] || fail "an agent listens" "$(cat "$work/agent.err")"
"$GUESTS/cutrelay" "$work/relay" "$work/agent" </dev/null &
relay=$!
until_true 5 [ -S "$work/relay" ] || fail "the relay listens"

# transfer ARGS…: "MD5 MS", and its status behind.
transfer() {
	within 60 "$RT" --mode write --mount "$T=unix:$work/relay:$T" -- "$PYTHON" "$HERE/e2e/interrupted" "$@" 2>"$work/err" </dev/null
	echo "$?"
}

# both READ|WRITE MIB: each without an interruption and with one. Other processes of the machine may cost more than all of that, so the
# least of three is what the interruption costs.
both() {
	local name="$1 of $2 MiB" size=$(($2 << 20)) i plain cut least= sum
	for i in 1 2 3; do
		plain=($(transfer "$1" "$T/file" $size 5))
		cut=($(transfer "$1" "$T/file" $size 5 $relay))
		sum=$(md5sum <"$T/file")
		equal "$name, interrupted: its status and bytes" "0 ${sum%% *}" "${cut[2]:-} ${cut[0]:-}"
		[ "${plain[0]}" = "${cut[0]}" ] || fail "$name: the same bytes with and without" "${plain[*]}" "${cut[*]}"
		echo "$name: ${cut[1]} ms after the interruption, ${plain[1]} ms for the same without"
		i=$((cut[1] - plain[1]))
		[ -n "$least" ] && [ "$least" -lt "$i" ] || least=$i
		[ "$least" -gt $((1000 * SCALE)) ] || break
	done
	at_most "$name: an interruption costs its own length and 1 s" $((1000 * SCALE)) "$least"
	[ -s "$work/err" ] || fail "$name: it was interrupted"
}

head -c 268435456 /dev/urandom >"$T/file"
both read 256
rm "$T/file"
both write 64
kill $relay
finish
