#!/bin/bash
# --mode read: every change is refused as by a read-only mount, and the target stays as it is.
. "$(dirname "$0")/../lib.sh"

T=$work/t
make_tree "$T" --big
before=$(digest "$T")

refuses() {
	local name=$1 out
	shift
	out=$(within 20 "$RT" "$@" -- "$GUESTS/glibc/erofs" "$T" 2>&1)
	equal "$name: every change is refused" "" \
		"$(sed '/^-- these work/,$d' <<<"$out" | grep -v -e '= -1 EROFS$')"
	equal "$name: changes were tried" 48 "$(sed '/^-- these work/,$d' <<<"$out" | wc -l)"
	equal "$name: reads work" 3145745 "$(sed -n 's/^file sizes.s3145745: \([0-9]*\) bytes.*/\1/p' <<<"$out")"
	equal "$name: the tree is as before" "$before" "$(digest "$T")"
	printf '%s\n' "$out" >"$work/traced"
}

# The kernel's own order of errors, from a read-only bind mount.
as_a_read_only_mount() {
	if ! unshare -m true 2>/dev/null; then
		skip "the same errors as a read-only mount" root
		return
	fi
	unshare -m sh -c 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" "$1"' - "$T" "$GUESTS/glibc/erofs" \
		>"$work/native" 2>&1
	equal "the same errors as a read-only mount" "" "$(diff "$work/native" "$work/traced")"
}

programs() {
	within 60 "$RT" --mode read --mount "$T=dir//:$T" -- "$GUESTS/go/mutate" "$T" >"$work/out" 2>&1
	equal "a Go program that changes all it can" "$before" "$(digest "$T")"
	grep -q 'read-only file system' "$work/out" && pass "Go sees EROFS" || fail "Go sees EROFS" "$(head -5 "$work/out")"
	within 20 "$RT" --mode read --mount "$T=dir//:$T" -- busybox sh -c "cd $T; echo x > new; echo y >> hello.txt; rm -rf *; mv ro rw; : > ro" \
		>"$work/out" 2>&1
	equal "a shell that changes all it can" "$before" "$(digest "$T")"
	if have sqlite3; then
		sqlite3 "$T/db" "create table t(a); insert into t values(1),(2)"
		before=$(digest "$T")
		equal "sqlite3 -readonly" 3 "$(within 10 "$RT" --mount "$T=dir//:$T" -- sqlite3 -readonly "$T/db" "select sum(a) from t" 2>&1)"
		equal "sqlite3 -readonly leaves the tree as before" "$before" "$(digest "$T")"
	else
		skip "sqlite3 -readonly" sqlite3
	fi
}

# The agent enforces it too, whoever asks.
read_only_agent() {
	local out
	out=$(within 10 "$RT" --mode write --mount "$T=exec:$AGENT --stdio --root $T --read-only" -- \
		busybox sh -c "echo x > $T/new; cat $T/hello.txt" 2>&1)
	equal "an agent started with --read-only" "Hello, world" "$(tail -1 <<<"$out")"
	grep -qi 'read-only file system' <<<"$out" && pass "--read-only refuses" || fail "--read-only refuses" "$out"
	equal "--read-only leaves the tree as before" "$before" "$(digest "$T")"
}

# Every row of the table that has to do with files, with arguments that would change what they name; and all that the guests do.
whole_table() {
	local mode out guest
	for mode in read overlay; do
		out=$(within 60 "$RT" --mode "$mode" --mount "/no-such-place=dir/$T" -- "$GUESTS/wholetable" /no-such-place $((50 * (1 + (SCALE == 1)))) 2>/dev/null)
		[[ $out =~ ^1[6-9][0-9]\ rows,\ [0-9]+\ calls,\ [0-9]{3,}\ succeeded$ ]] && pass "--mode $mode: the whole table is tried" ||
			fail "--mode $mode: the whole table is tried" "$out"
		equal "--mode $mode: the whole table leaves the tree as before" "$before" "$(digest "$T")"
	done
	for guest in "$GUESTS"/glibc/* "$GUESTS"/go/*; do
		# Some wait for ever for what they could not make.
		within 2 "$RT" --mode read --mount "/no-such-place=dir/$T" -- "$guest" /no-such-place >/dev/null 2>&1 </dev/null
		[ "$before" = "$(digest "$T")" ] || { fail "$guest leaves the tree as before"; before=$(digest "$T"); }
	done
	pass "all guests were tried"
	make_tree "$work/written"
	out=$(digest "$work/written")
	within 60 "$RT" --mode write --mount "/no-such-place=dir/$work/written" -- "$GUESTS/wholetable" /no-such-place 50 >/dev/null 2>&1
	[ "$out" != "$(digest "$work/written")" ] && pass "--mode write: it is changed" || fail "--mode write: it is changed"
}

refuses "--mode read" --mode read --mount "$T=dir//:$T"
refuses "--mode read by another path" --mode read --mount "$T=dir/$T"
as_a_read_only_mount
programs
read_only_agent
whole_table
