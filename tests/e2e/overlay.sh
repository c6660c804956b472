#!/bin/bash
# --mode overlay: a program sees what it would see on a copy of the tree, and the target stays as it is, however the run ends.
. "$(dirname "$0")/../lib.sh"

root=$work/root
T=$root/srv/t
D=$work/overlay
export TMPDIR=$work/tmp
mkdir -p "$root/srv" "$TMPDIR"

over() { within 60 "$RT" --mode overlay --mount "/no-such-place=dir/$T" "$@"; }

# The service as a Go program, static and dynamic C programs, from one configuration: the machine's root is the target's.
agree() {
	local kind native
	# A --mount: under a --target mirrord's lists keep programs and scripts (exec.sh) local.
	printf '{ "feature": { "fs": { "mode": "overlay" } } }\n' >"$work/mirrord.json"
	make_tree "$work/copy" --no-absolute
	native=$("$GUESTS/glibc/service" "$work/copy")
	make_tree "$T" --no-absolute
	before=$(digest "$root")
	for kind in go/servicego glibc/service dyn/service musl/service; do
		[ -x "$GUESTS/$kind" ] || { skip "$kind" "what builds it"; continue; }
		equal "$kind sees what it would see on a copy" "$native" \
			"$(cd / && within 60 "$RT" -f "$work/mirrord.json" --mount "/srv=dir/$root:/srv" -- "$GUESTS/$kind" /srv/t 2>&1)"
		equal "$kind leaves the target as it was" "$before" "$(digest "$root")"
	done
	equal "nothing is left of temporary overlays" "" "$(ls -A "$TMPDIR")"
}

# It traces itself, so nobody else can stop its threads to look for leaks.
differences() { ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 "$RT" overlay diff "$1"; }

kept() {
	equal "a change" "here" "$(over --overlay-dir "$D" -- busybox sh -c 'echo here > /no-such-place/new; cat /no-such-place/new' 2>&1)"
	equal "it is there in the next run" "here" "$(over --overlay-dir "$D" -- busybox cat /no-such-place/new 2>&1)"
	equal "and nowhere else" "$before" "$(digest "$root")"
	equal "diff shows it" "A  new" "$(differences "$D" | grep -v '^M  \./')"
	equal "in use" 125 "$(over --overlay-dir "$D" -- busybox sh -c "
		cat /no-such-place/new >/dev/null; $RT --mode overlay --overlay-dir $D --mount /no-a=dir/$T -- busybox true 2>$work/err; echo \$?")"
	equal "in use: one line" 1 "$(grep -c "^remotefs-trace: .*in use" "$work/err")"
	within 10 "$RT" --mode overlay --overlay-dir "$D" --mount "/no-such-place=dir/$root" -- busybox true 2>"$work/err"
	equal "another target's overlay is refused" 125 $?
	equal "another target's overlay: one line" 1 "$(grep -c "^remotefs-trace: .*another target" "$work/err")"
	within 10 "$RT" --mode overlay --overlay-dir "$T" --mount "/no-such-place=dir/$root" -- busybox true 2>"$work/err"
	equal "a directory with other files is refused" 125 $?
	equal "a place where none can be made: one line" "remotefs-trace: $work/none/x: the overlay cannot be made here (No such file or directory): give a directory in one that is there
125" "$(within 10 "$RT" --mode overlay --overlay-dir "$work/none/x" --mount "/no-such-place=dir/$root" -- busybox true 2>&1; echo $?)"
	equal "a directory with other files stays as it was" "$before" "$(digest "$root")"
}

# The child of PID whose arguments match.
child() { ps -o pid=,args= --ppid "$1" | awk -v p="$2" '$0 ~ p { print $1; exit }'; }

# A run that changes all the time.
start_busy() {
	rm -f "$work/alive"
	"$RT" --mode overlay --mount "/no-such-place=dir/$T" "$@" -- busybox sh -c "while :; do $GUESTS/glibc/service /no-such-place >/dev/null; echo x >>$work/alive; done" \
		>"$work/out" 2>"$work/err" </dev/null &
	supervisor=$!
	until_true 20 [ -s "$work/alive" ] || fail "the program starts" "$(cat "$work/err")"
	sleep "0.$((RANDOM % 10))"
}

ended() {
	wait "$supervisor" 2>/dev/null
	gone "$1: no process is left" 5
	equal "$1: the target is as it was" "$before" "$(digest "$root")"
}

killed() {
	local n readable
	# An ordinary user's find cannot read all of it natively either.
	busybox find "$T" >/dev/null 2>&1
	readable=$?
	for n in 1 2 3; do
		start_busy --overlay-dir "$D"
		kill -KILL "$supervisor"
		ended "supervisor killed ($n)"
		over --overlay-dir "$D" -- busybox find /no-such-place >/dev/null 2>"$work/err"
		equal "supervisor killed ($n): the overlay can be used" $readable $?
		differences "$D" >"$work/out" 2>"$work/err"
		equal "supervisor killed ($n): and compared" 1 $?
	done
	start_busy
	kill -KILL "$supervisor"
	ended "supervisor killed, temporary overlay"
	over -- busybox true
	equal "the next run sweeps what it left" "" "$(ls -A "$TMPDIR")"
}

lost() {
	local which
	for which in "$T" overlay; do
		start_busy --reconnect-timeout 0
		kill -KILL "$(child "$supervisor" "remotefs-agent.*$which")"
		ended "agent killed (${which##*/})"
		equal "agent killed (${which##*/}): one line" 1 "$(grep -c '^remotefs-trace: .*lost the agent' "$work/err")"
	done
	equal "nothing is left after lost agents" "" "$(ls -A "$TMPDIR")"
}

agree
kept
killed
lost
