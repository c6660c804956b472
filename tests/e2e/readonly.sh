#!/bin/bash
# --mode read, the default: every change is refused as by a read-only mount, and the target stays as it is.
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
	within 60 "$RT" --mount "$T=dir//:$T" -- "$GUESTS/go/mutate" "$T" >"$work/out" 2>&1
	equal "a Go program that changes all it can" "$before" "$(digest "$T")"
	grep -q 'read-only file system' "$work/out" && pass "Go sees EROFS" || fail "Go sees EROFS" "$(head -5 "$work/out")"
	within 20 "$RT" --mount "$T=dir//:$T" -- busybox sh -c "cd $T; echo x > new; echo y >> hello.txt; rm -rf *; mv ro rw; : > ro" \
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

refuses "--mode read" --mode read --mount "$T=dir//:$T"
refuses "no --mode" --mount "$T=dir/$T"
as_a_read_only_mount
programs
read_only_agent
