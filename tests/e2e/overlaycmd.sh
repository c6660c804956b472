#!/bin/bash
# remotefs-trace overlay diff, apply and discard, on overlays that are made by hand.
. "$(dirname "$0")/../lib.sh"

export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 # these commands trace themselves: nobody else can stop their threads
T=$work/t
D=$work/overlay
wanted_diff='R  b/ -> a/
R  a/ -> b/
D  gone
M  hello  (size 6 -> 11)
M  link  (text)
M  modes  (mode 600 -> 640)
A  new
A  newdir/
R  a/one/ -> newdir/one/
A  newdir/one/added
A  "odd \"\n\033[1m"
T  old/  (another directory)
A  old/fresh
T  type/  (file -> directory)
A  type/in'
wanted_tree="a a/two a/two/fb b dir dir/keep dir/sub dir/sub/deep dir/sub/deep/f hello link modes new newdir newdir/one
newdir/one/added newdir/one/fa odd \"??[1m old old/fresh same type type/in "

fresh() {
	rm -rf "$T" "$D"
	"$PYTHON" "$HERE/e2e/mkoverlay" "$T" "$D" "$@"
}

overlay() { within 20 "$RT" overlay "$@" </dev/null; }

# The names of a tree on one line.
names() { find "$1" -mindepth 1 -printf '%P\0' | tr '\n\033\0' '??\n' | LC_ALL=C sort | tr '\n' ' '; }

applied() {
	equal "$1: the tree" "$(tr '\n' ' ' <<<"$wanted_tree" | sed 's/ $//')" "$(names "$T")"
	equal "$1: contents" "hello more elsewhere 640 fresh fb" \
		"$(echo $(cat "$T/hello") $(readlink "$T/link") $(stat -c %a "$T/modes") $(cat "$T/old/fresh") $(basename "$(cat "$T/a/two/fb")"))"
	equal "$1: the overlay is empty" "" "$(overlay diff "$D" 2>&1; ls -A "$D" | grep -v -x -e info -e work)"
}

shows() {
	local before
	fresh "$@"
	before=$(digest "$T")
	equal "diff${1:+ of a subpath}" "$wanted_diff" "$(overlay diff "$D" 2>&1)"
	overlay diff "$D" >/dev/null
	equal "diff${1:+ of a subpath}: status" 1 $?
	equal "diff${1:+ of a subpath} changes nothing" "$before" "$(digest "$T")"
}

applies() {
	local before
	fresh "$@"
	before=$(stat -c %i "$T/same" "$T/modes")
	equal "apply${1:+ to a subpath}" "$wanted_diff" "$(overlay apply --yes "$D" 2>&1)"
	applied "apply${1:+ to a subpath}"
	equal "apply${1:+ to a subpath}: what has its content is the same file" "$before" "$(stat -c %i "$T/same" "$T/modes")"
	equal "apply${1:+ to a subpath}: what was written carries its time" "$(stat -c %i "$T/hello")" "$(find "$T/hello" -newermt -1hour -printf %i)"
}

asks() {
	local before out
	fresh
	before=$(digest "$T")
	out=$(overlay apply "$D" 2>&1 >/dev/null)
	equal "apply without a terminal: status" 1 $?
	equal "apply without a terminal" "remotefs-trace: overlay apply: $D: there is no terminal to ask on: say --yes" "$out"
	equal "apply, answered no" "status 1
remotefs-trace: overlay apply: $D: nothing was done" "$("$PYTHON" "$HERE/e2e/terminal" no "$RT" overlay apply "$D" | sed '/^$/d')"
	equal "neither changes anything" "$before" "$(digest "$T")"
	equal "apply, answered yes" "status 0" "$("$PYTHON" "$HERE/e2e/terminal" yes "$RT" overlay apply "$D" | sed '/^y*$/d')"
	applied "apply, answered yes"
	fresh
	"$PYTHON" "$HERE/e2e/terminal" no "$RT" overlay discard "$D" >/dev/null
	equal "discard, answered no" "$wanted_diff" "$(overlay diff "$D")"
	"$PYTHON" "$HERE/e2e/terminal" yes "$RT" overlay discard "$D" >/dev/null
	[ ! -e "$D" ] && pass "discard, answered yes" || fail "discard, answered yes" "$(ls -A "$D")"
}

other_names() {
	fresh
	ln "$T/hello" "$T/dir/other"
	ln "$T/type" "$T/a/one/other"
	equal "a file with another name at the target" "M  hello  (size 6 -> 11, under all its 2 names)" "$(overlay apply --yes "$D" 2>&1 | grep '^M  hello')"
	equal "it is changed under both" "hello more $(stat -c %i "$T/hello")" "$(echo $(cat "$T/dir/other") $(stat -c %i "$T/dir/other"))"
	equal "a name of a file that was replaced under another one stays" "type 1" "$(cat "$T/newdir/one/other") $(stat -c %h "$T/newdir/one/other")"
}

discards() {
	local before
	fresh
	before=$(digest "$T")
	echo mine >"$D/mine"
	overlay discard --yes "$D"
	equal "discard: status" 0 $?
	equal "discard leaves what is not the overlay's" "mine" "$(ls -A "$D")"
	equal "discard leaves the target as it was" "$before" "$(digest "$T")"
}

conflicts() {
	local before
	fresh
	echo "changed there" >"$T/hello"
	chmod 644 "$T/modes"
	before=$(digest "$T")
	equal "a file that was changed at the target" "remotefs-trace: hello: was changed at the target after it had been changed here
remotefs-trace: overlay apply: $D: nothing was done: --force applies the changes nevertheless" "$(overlay apply --yes "$D" 2>&1 >/dev/null)"
	equal "a conflict: nothing is changed" "$before" "$(digest "$T")"
	overlay apply --yes --force "$D" >/dev/null 2>&1
	equal "--force: status" 0 $?
	applied "--force"
	fresh
	rm -rf "$T/a"
	equal "a renamed directory that is gone at the target" "remotefs-trace: b: is a directory whose old place at the target is empty" \
		"$(overlay apply --yes "$D" 2>&1 >/dev/null | head -1)"
}

# Killed again and again, it ends with what one run would have done.
interrupted() {
	local n pid times=0
	fresh
	for n in $(seq 40); do
		setsid "$RT" overlay apply --yes "$D" </dev/null >"$work/out" 2>&1 &
		pid=$!
		# Sooner than any apply ends at first, and in the end later.
		sleep "$(printf '0.%03d' $((3 + 3 * n + RANDOM % 10)))"
		kill -KILL "$pid" 2>/dev/null && times=$((times + 1))
		wait "$pid" 2>/dev/null
		[ -e "$D/upper" ] || break
	done
	[ $times -gt 0 ] && pass "apply is killed" || fail "apply is killed"
	until_true 2 test -z "$(running)"
	overlay apply --yes "$D" >"$work/out" 2>&1
	equal "apply after kills: status" 0 $?
	(cd "$T" && rm -rf .remotefs-trace.*)
	applied "apply after $times kills"
}

# says NAME STATUS LINE COMMAND…
says() {
	local name=$1 status=$2 line=$3 out
	shift 3
	out=$(overlay "$@" 2>&1)
	equal "$name: status" "$status" $?
	equal "$name" "remotefs-trace: $line" "$out"
}

refuses() {
	fresh
	says "no command" 2 'overlay "": there is no such command; use overlay diff, apply or discard'
	says "an unknown command" 2 'overlay "drop": there is no such command; use overlay diff, apply or discard' drop "$D"
	says "no directory" 2 "overlay diff: one directory is needed, the one that --overlay-dir was given" diff
	says "an unknown option" 2 "overlay: --bogus: there is no such option; see remotefs-trace overlay --help" diff --bogus "$D"
	says "--force to another" 2 "overlay diff: --force is for apply; leave it out" diff --force "$D"
	says "no such directory" 2 "overlay diff: $work/none: No such file or directory" diff "$work/none"
	says "a directory that is no overlay" 2 "overlay discard: $T: is no overlay: give the directory that --overlay-dir was given, or one of those in it where there were several trees" discard --yes "$T"
	[ -e "$T/hello" ] && pass "it is still there" || fail "it is still there"
	exec 7<"$D"
	flock -x 7
	says "one that is in use" 2 "overlay discard: $D: is in use by a run: wait for its end" discard --yes "$D"
	says "one that is in use is not compared" 2 "overlay diff: $D: is in use by a run: wait for its end" diff "$D"
	exec 7<&-
	rm -rf "$T"
	says "a target that is gone" 125 "dir/$T: there is no directory \"$T\"" diff "$D"
	equal "--help" "Usage: remotefs-trace overlay diff DIR" "$("$RT" overlay --help | head -1)"
}

shows
shows sub
applies
applies sub
asks
other_names
discards
conflicts
interrupted
refuses
