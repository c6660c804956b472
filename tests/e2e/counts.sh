#!/bin/bash
# Round trips, counted by --stats: the numbers that the design promises.
# Whoever mounts something on this machine makes all that is known to be asked for again: not here, where we may choose.
[ -n "${APART:-}" ] || ! unshare -m true 2>/dev/null || APART=1 exec unshare -m --propagation private bash "$0"
. "$(dirname "$0")/../lib.sh"

T=$work/t
stats=$work/stats.json
make_tree "$T"
if ! have busybox; then
	skip "all counts" busybox
	exit 0
fi

# counted COMMAND…: runs it traced (with --sync=$SYNC, if that is set) with its output thrown away, statistics in $stats.
counted() {
	rm -f "$stats"
	(cd / && within 30 "$RT" ${SYNC:+--sync=$SYNC} --mode write --mount "$T=dir//:$T" --stats "$stats" -- "$@" \
		>"$work/out" 2>"$work/err" </dev/null)
}

# Round trips beyond the greeting, which every run has once, whatever it then does.
trips() {
	local total
	total=$(stat_of "$stats" round_trips)
	[ -z "$total" ] || echo $((total - greeting))
}

greeting=0
counted busybox true
greeting=$(trips)
at_most "a local program: round trips, the greeting's included" 1 "$greeting"
equal "a local program: remote calls" 0 "$(stat_of "$stats" remote_calls)"
greeting=${greeting:-0}

cat_a_file() {
	counted busybox cat "$T/sizes/s4096"
	equal "cat of 4 KiB prints it" "$(sha1sum <"$T/sizes/s4096")" "$(sha1sum <"$work/out")"
	equal "cat of 4 KiB: round trips" 1 "$(trips)"
	counted busybox cat "$T/sizes/s131072"
	equal "cat of 128 KiB: round trips" 1 "$(trips)"
	counted busybox cat "$T/sizes/s1048576"
	equal "cat of 1 MiB prints it" "$(sha1sum <"$T/sizes/s1048576")" "$(sha1sum <"$work/out")"
	at_most "cat of 1 MiB: round trips" 10 "$(trips)"
	counted busybox cat "$T/missing"
	equal "cat of a missing file: round trips" 1 "$(trips)"
}

find_directories() {
	local i
	mkdir "$T/fifty"
	for i in $(seq 50); do
		mkdir "$T/fifty/d$i"
		: >"$T/fifty/d$i/a"
		: >"$T/fifty/d$i/b"
	done
	counted busybox find "$T/fifty"
	equal "find lists all" 151 "$(wc -l <"$work/out")"
	at_most "find over 51 directories: round trips" 53 "$(trips)"
	counted busybox ls -l "$T/fifty/d1"
	at_most "ls -l of one directory: round trips" 3 "$(trips)"
	counted ls -l "$T/sizes"
	# The directory's own attributes are asked for before it is listed. Without listxattrat(2) nothing is told of entries.
	"$PYTHON" -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(465, -100, b"/", 0, None, 0) < 0)' &&
		at_most "GNU ls -l of 12 files: round trips" 5 "$(trips)"
	counted busybox sh -c "for i in 1 2 3 4 5 6 7 8 9 10; do [ -e $T/fifty/d1/a ]; [ -e $T/nothing ]; done"
	at_most "ten times the same tests: round trips" 2 "$(trips)"
}

read_again() {
	counted busybox sh -c "busybox cat $T/hello.txt; busybox cat $T/hello.txt; busybox cat $T/hello.txt"
	equal "three cats print" "$(cat "$T/hello.txt" "$T/hello.txt" "$T/hello.txt")" "$(cat "$work/out")"
	at_most "three cats of one file: round trips" 3 "$(trips)"
	# Three fstats and preads of a file that is already here are free, whatever way it is here.
	counted "$GUESTS/glibc/cached" "$T" sizes/s4096
	equal "cached runs" "sizes/s4096: 0 bad" "$(cat "$work/out")"
	equal "1000 fstats and preads of a small file: round trips" 1 "$(trips)"
	counted "$GUESTS/glibc/cached" "$T" sizes/s4096 rdwr
	at_most "1000 fstats and preads of an emulated file: round trips" 3 "$(trips)"
	counted "$GUESTS/glibc/cached" "$T" sizes/s3145745
	at_most "1000 fstats and preads of a big file: round trips" 3 "$(trips)"
}

# What stays at the target does not travel: 3 MiB are copied, and only what the open fetched ahead comes here.
copy_there() {
	local program
	for program in "cp" "busybox cp"; do
		rm -f "$T/copied"
		counted $program "$T/sizes/s3145745" "$T/copied"
		equal "$program copies 3 MiB" "$(sha1sum <"$T/sizes/s3145745")" "$(sha1sum <"$T/copied")"
		at_most "$program of 3 MiB there: bytes from the target" 200000 "$(stat_of "$stats" bytes_in)"
		at_most "$program of 3 MiB there: bytes to the target" 20000 "$(stat_of "$stats" bytes_out)"
	done
}

# The program's own changes are known to it without another question. An archive of 3 directories and 12 files.
unpack() {
	local i j src=$work/src/top
	for i in 1 2; do
		mkdir -p "$src/d$i"
		for j in 1 2 3 4 5 6; do
			head -c $((j * 700)) /dev/urandom >"$src/d$i/f$j"
		done
	done
	tar -C "$work/src" -cf "$work/a.tar" top
	# unpacked NAME LIMIT COMMAND…: in an empty directory, at most so many round trips, and all is there.
	unpacked() {
		local name=$1 limit=$2
		shift 2
		rm -rf "$T/out"
		mkdir "$T/out"
		counted "$@"
		at_most "$name: round trips" "$limit" "$(trips)"
		equal "$name: what is there" "" "$(diff -r "$work/src" "$T/out" 2>&1)"
	}
	# The directory that it is unpacked in; create and close of each file; mkdir, utimensat, fchownat, chmod of each directory.
	unpacked "tar x" $((1 + 2 * 12 + 4 * 3)) tar -C "$T/out" -xf "$work/a.tar"
	# The directory above, create, close, chown, utimes of each file, and chmod where word of the writes comes late; mkdir, utimes, the
	# one above of each directory; and some more where somebody mounts something meanwhile, which is word of everything.
	unpacked "busybox tar x" $((2 + 6 * 12 + 8 * 3)) busybox tar -C "$T/out" -xf "$work/a.tar"
	# The directory that it is unpacked in, and the first name there; what each directory is.
	SYNC=fsync unpacked "tar x with --sync=fsync" $((2 + 3)) tar -C "$T/out" -xf "$work/a.tar"
	# The directory above, chown of what has been written, and chmod and utimes as above; the one above each directory.
	SYNC=fsync unpacked "busybox tar x with --sync=fsync" $((2 + 4 * 12 + 2 * 3)) busybox tar -C "$T/out" -xf "$work/a.tar"
}

# What is read one piece behind the other comes ahead of the reader, and no more than he is likely to want.
read_ahead() {
	head -c 67108864 /dev/urandom >"$T/large"
	counted busybox head -c 1 "$T/large"
	at_most "one byte of 64 MiB: bytes from the target" 150000 "$(stat_of "$stats" bytes_in)"
	counted busybox sha1sum "$T/large"
	equal "sha1sum of 64 MiB prints it" "$(busybox sha1sum "$T/large")" "$(cat "$work/out")"
	at_most "sha1sum of 64 MiB: bytes from the target" 68000000 "$(stat_of "$stats" bytes_in)"
	at_most "sha1sum of 64 MiB: round trips" 80 "$(trips)"
	counted busybox sh -c "busybox sha1sum <$T/large"
	equal "sha1sum of 64 MiB on a low descriptor prints it" "$(busybox sha1sum <"$T/large")" "$(cat "$work/out")"
	# Greeting, goodbye, open, close, and the pieces of 1 MiB: nothing is asked for that these do not tell.
	at_most "sha1sum of 64 MiB on a low descriptor: requests" 67 "$(stat_of "$stats" requests)"
	truncate -s 1G "$T/holes"
	printf end >>"$T/holes"
	counted busybox sh -c "busybox tail -c 6 <$T/holes"
	equal "the end of 1 GiB of holes on a low descriptor" "000e" "$(head -c 4 "$work/out" | od -An -c | tr -d ' \\')"
	at_most "1 GiB of holes on a low descriptor: bytes from the target" 1000000 "$(stat_of "$stats" bytes_in)"
	rm "$T/holes"
	counted "$PYTHON" -c 'import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
for i in range(4000):
    os.pread(fd, 4096, (i * 7919 % 16384) * 4096)' "$T/large"
	at_most "4000 reads here and there of 64 MiB: bytes from the target" 70000000 "$(stat_of "$stats" bytes_in)"
	# Little room: what was fetched ahead is still there when it is read.
	for size in 0 1M; do
		within 30 "$RT" --cache-size=$size --mode write --mount "$T=dir//:$T" --stats "$stats" -- busybox sha1sum "$T/large" >"$work/out" 2>&1
		equal "--cache-size=$size: sha1sum of 64 MiB prints it" "$(busybox sha1sum "$T/large")" "$(cat "$work/out")"
		at_most "--cache-size=$size: bytes from the target" 70000000 "$(stat_of "$stats" bytes_in)"
	done
	rm "$T/large"
}

# delayed COMMAND…: as counted, over a link with an RTT of 20 ms.
delayed() {
	rm -f "$stats"
	(cd / && within 30 "$RT" --mode write --mount "$T=exec:$GUESTS/delayrelay -d 10000 -- $AGENT --stdio --root $T" --stats "$stats" -- "$@" \
		>"$work/out" 2>"$work/err" </dev/null)
}

# What is written at a low descriptor goes out while it grows: the program waits for the link's length, not for each piece.
written_natively() {
	head -c 67108864 /dev/urandom >"$work/source"
	delayed busybox sh -c "busybox cat $work/source >$T/large"
	cmp -s "$work/source" "$T/large" && pass "64 MiB on a low descriptor" || fail "64 MiB on a low descriptor" "$(cat "$work/err")"
	# How often 24 MiB are on their way depends on the machine; each further piece of 1 MiB may wait for one that is answered.
	at_most "64 MiB on a low descriptor: round trips" 40 "$(stat_of "$stats" round_trips)"
	at_most "64 MiB on a low descriptor: bytes to the target" 75000000 "$(stat_of "$stats" bytes_out)"
	rm "$T/large" "$work/source"
	# Others' changes of its name say nothing of its bytes.
	delayed busybox sh -c "busybox echo made >$T/new"
	equal "a line into a new file" made "$(cat "$T/new")"
	at_most "a line into a new file: round trips" 2 "$(stat_of "$stats" round_trips)"
}

go_program() {
	make_tree "$T" --big
	counted "$GUESTS/go/conc" "$T"
	# 1000 files and 1000 pieces of one 3 MiB file.
	at_most "1000 ReadFiles and 1000 ReadAts: round trips" 2010 "$(trips)"
}

# The keys that tests and people rely on, and -c's table.
formats() {
	local key
	counted busybox cat "$T/hello.txt"
	for key in round_trips requests notifications ptrace_stops bytes_in bytes_out remote_calls local_calls; do
		case $(stat_of "$stats" $key) in
		"" | *[!0-9]*) fail "--stats has $key" "$(cat "$stats")" ;;
		*) pass "--stats has $key" ;;
		esac
	done
	within 10 "$RT" -c --mode write --mount "$T=dir//:$T" -- busybox cat "$T/hello.txt" >"$work/out" 2>"$work/err"
	equal "-c leaves stdout alone" "Hello, world" "$(cat "$work/out")"
	if grep -q '\bopen' "$work/err" && grep -qi 'round' "$work/err"; then
		pass "-c prints a table with round trips"
	else
		fail "-c prints a table with round trips" "$(cat "$work/err")"
	fi
	within 10 "$RT" -c -o "$work/table" --mode write --mount "$T=dir//:$T" -- busybox cat "$T/hello.txt" >"$work/out" 2>"$work/err"
	equal "-c -o leaves stderr alone" "" "$(cat "$work/err")"
	[ -s "$work/table" ] && pass "-c -o writes the table there" || fail "-c -o writes the table there"
}

cat_a_file
find_directories
read_again
copy_there
unpack
read_ahead
written_natively
formats
go_program
