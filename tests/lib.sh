# What the e2e and race scripts share. Each check prints one line, PASS, FAIL or SKIP, which tests/run counts.
# A script sources this first; RT, GUESTS and TREE's place come from the environment or from the build, and
# RT_FLAGS, options that every run of RT gets, from the environment.

set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RT=$(realpath "${RT:-$HERE/../build/remotefs-trace}")
AGENT=${RT%/*}/remotefs-agent
GUESTS=$(realpath "${GUESTS:-$HERE/../build/guests}")
SCALE=${SCALE:-1}   # sanitised builds are slower: every limit is multiplied by this
SUITE=$(basename "$0" .sh)
failures=0

# Debian's python, not a wrapper that only one user can run.
PYTHON=/usr/bin/python3
[ -x $PYTHON ] || PYTHON=$(command -v python3)

work=$(mktemp -d "${TMPDIR:-/tmp}/rfs-$SUITE.XXXXXX")
if [ -n "${RT_FLAGS:-}" ]; then
	# A shell adds PWD to the environment. Commands take no options of runs.
	printf '#!/bin/sh\n[ "$1" != overlay ] || exec "%s" "$@"\ngrep -qz "^PWD=" /proc/$$/environ || unset PWD\nexec "%s" %s "$@"\n' "$RT" "$RT" "$RT_FLAGS" >"$work/remotefs-trace"
	chmod 755 "$work/remotefs-trace"
	RT=$work/remotefs-trace
fi
# Whatever a test starts carries this, so that leftovers are found wherever they hang.
export RFS_TEST_ID="$$.$RANDOM$RANDOM"

finish() {
	trap - EXIT
	local pids
	pids=$(ours)
	[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
	chmod -R u+rwx "$work" 2>/dev/null
	rm -rf "$work"
	exit $((failures > 0))
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

pass() { echo "PASS $SUITE: $1"; }

# fail NAME [DETAIL…]: the details follow, indented, at most 20 lines.
fail() {
	failures=$((failures + 1))
	echo "FAIL $SUITE: $1"
	shift
	[ $# -eq 0 ] || printf '%s\n' "$@" | head -n 20 | cut -c1-300 | sed 's/^/    /'
}

skip() { echo "SKIP $SUITE: $1 (missing: $2)"; }

# equal NAME WANT GOT
equal() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "wanted: $2" "got:    $3"
	fi
}

# at_most NAME LIMIT VALUE
at_most() {
	if [ -n "$3" ] && [ "$3" -le "$2" ] 2>/dev/null; then
		pass "$1"
	else
		fail "$1" "wanted at most $2, got ${3:-nothing}"
	fi
}

# Runs a command in at most N seconds (times SCALE); 124 when it took longer.
within() {
	local seconds=$1
	shift
	timeout -k 1 "$((seconds * SCALE))" "$@"
}

# The pids of living processes of this test. Zombies are nobody's leftovers.
ours() {
	local env pid
	for env in /proc/[0-9]*/environ; do
		pid=${env#/proc/}
		pid=${pid%/environ}
		[ "$pid" != $$ ] || continue
		if tr '\0' '\n' <"$env" 2>/dev/null | grep -qx "RFS_TEST_ID=$RFS_TEST_ID"; then
			grep -q '^State:.[ZX]' "/proc/$pid/status" 2>/dev/null || echo "$pid"
		fi
	done 2>/dev/null
}

# As ours, without those that look (this shell's children) and end by themselves at once.
running() {
	local pid
	for pid in $(ours); do
		case $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) in
		"" | *"$HERE/"*.sh* | "tr "* | "grep "*) ;;
		*) [ -d "/proc/$pid" ] && echo "$pid" ;;
		esac
	done
}

# gone NAME SECONDS: nothing of the test lives after that time.
gone() {
	local end=$((SECONDS + $2 * SCALE + 1)) pids
	while pids=$(running) && [ -n "$pids" ]; do
		if [ $SECONDS -ge $end ]; then
			fail "$1" "still there:" "$(ps -o pid,stat,wchan:20,args -p "$(echo $pids | tr ' ' ,)")"
			kill -KILL $pids 2>/dev/null
			return 1
		fi
		sleep 0.05
	done
	pass "$1"
}

# Waits until a command succeeds, at most SECONDS.
until_true() {
	local end=$((SECONDS + $1 * SCALE + 1))
	shift
	until "$@" 2>/dev/null; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.02
	done
}

# make_tree DIR [options of mktree]
make_tree() {
	local dir=$1
	shift
	if [ -e "$dir" ]; then
		chmod -R u+rwx "$dir"
		rm -rf "$dir"
	fi
	"$PYTHON" "$HERE/e2e/mktree" "$@" "$dir"
}

# trace TREE ARGS…: the tree as a write mount of the machine's root.
trace() {
	local tree=$1
	shift
	"$RT" --mode write --mount "$tree=dir//:$tree" "$@"
}

# stat_of FILE KEY: one of the totals that --stats wrote.
stat_of() {
	[ -s "$1" ] && "$PYTHON" - "$1" "$2" <<-'END'
		import json, sys
		d = json.load(open(sys.argv[1]))
		print(d[sys.argv[2]] if sys.argv[2] in d else d["totals"][sys.argv[2]])
	END
}

# A digest of everything in a tree that a read must not change.
digest() { "$PYTHON" "$HERE/fingerprint" -s "$@"; }

# same NAME COMMAND: `sh -c COMMAND` prints the same and ends the same natively and traced. $T is the tree,
# made anew before each run.
same() {
	local name=$1 command=$2 native traced after
	shift 2
	export T=$work/t
	make_tree "$T" "$@"
	native=$(cd / && within 60 busybox sh -c "$command" 2>&1 </dev/null; echo "exit $?")
	after=$(contents "$T")
	make_tree "$T" "$@"
	traced=$(cd / && within 60 "$RT" --mode write --mount "$T=dir//:$T" -- busybox sh -c "$command" 2>&1 </dev/null
		echo "exit $?")
	compare "$name" "$native" "$traced" "$after" "$(contents "$T")"
}

# What is in a tree, without the times that two runs cannot share.
contents() {
	(cd "$1" && find . -printf '%p %y %m %n %l\n' | LC_ALL=C sort
	find . -type f -readable -print0 | LC_ALL=C sort -z | xargs -0 sha1sum) 2>/dev/null
}

compare() {
	local d
	if [ "$2" = "exit 0" ]; then
		fail "$1" "printed nothing natively: this test could not fail"
	elif [ "$2" != "$3" ]; then
		d=$(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3"))
		fail "$1" "output (< native, > traced):" "$d"
	elif [ "$4" != "$5" ]; then
		d=$(diff <(printf '%s\n' "$4") <(printf '%s\n' "$5"))
		fail "$1" "tree (< native, > traced):" "$d"
	else
		pass "$1"
	fi
}

have() { command -v "$1" >/dev/null 2>&1; }
