#!/bin/bash
# How old answers are while somebody else changes the tree, near and 5 ms away; and with no watches and a time to live.
# With a time to live, what is not watched is only as old as that. The differential fuzzer has no third process: what it would print
# depends on when each change arrives, while here each answer is held against what was true at that time. run-fuzz --delay has
# the two processes of the fuzzer, who see their own changes at once, over the same distance.
. "$(dirname "$0")/../lib.sh"
SUITE=coherent

SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
T=$work/t

# coherent NAME LIMIT_US QUIET_MS SECONDS TARGET OPTION…: TARGET is an exec: target's command, whose root is $T.
coherent() {
	local name=$1 limit=$2 quiet=$3 seconds=$4 target=$5 changer out
	shift 5
	rm -rf "$T" "$work/log"
	"$GUESTS/coherent" change "$T" "$work/log" "$SEED" "$seconds" "$quiet" >"$work/err" 2>&1 &
	changer=$!
	until_true 10 [ -L "$T/cm/..data" ] || fail "$name: the tree is made" "$(cat "$work/err")"
	within 60 "$RT" -q --mode write --mount "$T=exec:$target" "$@" -- "$GUESTS/coherent" observe "$T" "$work/log" $((limit * SCALE)) \
		>>"$work/err" 2>&1 </dev/null || fail "$name: is observed" "$(cat "$work/err")"
	kill $changer 2>/dev/null && kill -KILL $changer 2>/dev/null # it has ended, but for a failure
	wait $changer 2>/dev/null
	if out=$("$GUESTS/coherent" report "$work/log" 2>&1); then
		pass "$name: $out"
	else
		fail "$name" "$out"
	fi
}

serve="$AGENT --stdio --root $T"
coherent "no answer is older than its way and 10 ms" 10000 150 4 "$serve"
coherent "no answer is older than its way and 10 ms, at 5 ms" 12500 150 4 "$GUESTS/delayrelay -d 2500 -- $serve"
if unshare -U -r sh -c 'echo 0 >/proc/sys/user/max_inotify_watches' 2>/dev/null; then
	for watches in 0 3; do
		coherent "with $watches watches and --cache=ttl=0.2 none is older than that and 10 ms" 210000 400 3 \
			"unshare -U -r sh -c 'echo $watches >/proc/sys/user/max_inotify_watches; exec $serve'" --cache=ttl=0.2
	done
else
	skip "with few watches and --cache=ttl=0.2" "user namespaces"
fi

# DIRS=100000: more directories than are watched; walked twice, changed, and walked again. It takes minutes.
many() {
	rm -rf "$T"
	"$PYTHON" -c 'import os, sys
for i in range(int(sys.argv[2])): os.makedirs(f"{sys.argv[1]}/{i % 100}/{i}")' "$T" "$1"
	"$RT" -q --mode write --mount "$T=exec:$serve" -- sh -c 'cd /; find "$1" | wc -l; find "$1" | wc -l; touch "$2/walked"
		until [ -e "$2/changed" ]; do sleep 0.1; done; find "$1" | sort' - "$T" "$work" >"$work/found" 2>&1 </dev/null &
	until_true 600 [ -e "$work/walked" ] || fail "$1 directories are walked" "$(head -3 "$work/found")"
	mkdir "$T/5/5/new"
	rmdir "$T/50/50"
	mv "$T/3/3" "$T/4/moved"
	: >"$T/99/99/file"
	sleep 0.1
	touch "$work/changed"
	wait
	equal "$1 directories are walked, and what changed is seen" "$(echo $(($1 + 101))) $(echo $(($1 + 101))) $(find "$T" | sort | cksum)" \
		"$(sed -n 1p "$work/found") $(sed -n 2p "$work/found") $(tail -n +3 "$work/found" | cksum)"
}

[ -z "${DIRS:-}" ] || many "$DIRS"
