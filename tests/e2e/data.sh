#!/bin/bash
# Programs that move data, and check what they moved: fio's engines, stress-ng's stressors, dd, files without a size.
. "$(dirname "$0")/../lib.sh"

T=$work/t
mkdir "$T"

there() { (cd / && within 120 "$RT" --mode write --mount "$T=dir//:$T" -- "$@" </dev/null); }

# What fio wrote there it finds again, there and natively.
engines() {
	local engine name
	have fio || { skip "fio's engines" fio; return; }
	for engine in psync sync pvsync2 mmap libaio "libaio --direct=1" posixaio; do
		name=${engine// --/ }
		set -- fio --name=job --directory="$T" --filename=data --rw=randrw --size=2m --bs=4k --verify=crc32c --iodepth=8 \
			--randseed=7 --minimal --verify_state_save=0 --ioengine=$engine
		rm -f "$T"/*
		"$@" >"$work/out" 2>&1 || { skip "fio $name" "support for it here"; continue; }
		rm -f "$T"/*
		there "$@" >"$work/out" 2>"$work/err"
		equal "fio $name verifies" 0 $?
		equal "fio $name left 2 MiB" 2097152 "$(stat -c %s "$T/data")"
		"$@" --verify_only >"$work/out" 2>&1
		equal "fio $name verifies natively what was written there" 0 $?
		equal "fio $name has no complaints" "" "$(grep -vi 'iodepth\|queue depth' "$work/err")"
	done
}

stressors() {
	local one
	have stress-ng || { skip "stress-ng's stressors" stress-ng; return; }
	for one in aiol copy-file sendfile splice readahead sync-file fallocate hdd; do
		(cd "$T" && there stress-ng --$one 1 --temp-path "$T" --verify --timeout 1 >"$work/out" 2>&1)
		equal "stress-ng --$one --verify" 0 $?
		rm -rf "${T:?}"/*
	done
}

# Files like those of /proc have no size, and bytes nevertheless.
sizeless() {
	local p=$work/p
	mkdir "$p"
	through() { within 20 "$RT" --mode write --mount "$p=dir//proc" -- "$@"; }
	equal "cat of a file without a size" "$(cat /proc/version)" "$(through cat "$p/version")"
	equal "busybox cat (sendfile) of one" "$(cat /proc/version)" "$(through busybox cat "$p/version")"
	through cp "$p/version" "$work/version"
	equal "cp of one" "$(cat /proc/version)" "$(cat "$work/version")"
	equal "a large one" "$(wc -c </proc/kallsyms)" "$(through wc -c "$p/kallsyms" | cut -d' ' -f1)"
}

# What is copied from one target to another comes through here.
two_targets() {
	mkdir -p "$work/a" "$work/b"
	head -c 3000000 /dev/urandom >"$work/a/in"
	for program in cp "busybox cp"; do
		rm -f "$work/b/out"
		within 20 "$RT" --mode write --mount "/tmp/ta=dir/$work/a" --mount "/tmp/tb=dir/$work/b" -- \
			$program /tmp/ta/in /tmp/tb/out
		equal "$program from one target to another" "$(sha1sum <"$work/a/in")" "$(sha1sum <"$work/b/out" 2>/dev/null)"
	done
}

# Redirections and pipes of a shell, with a limit on file sizes as well.
limits() {
	there sh -c "ulimit -f 8; head -c 20000 /dev/zero > $T/limited; echo status \$?" >"$work/out" 2>&1
	equal "ulimit -f: a file ends there" "$(stat -c %s "$T/limited")" \
		"$(sh -c "ulimit -f 8; head -c 20000 /dev/zero > $T/native" 2>/dev/null; stat -c %s "$T/native")"
	there sh -c "ulimit -f 8; dd if=/dev/zero of=$T/dd bs=3000 count=9" >"$work/out" 2>&1
	sh -c "ulimit -f 8; dd if=/dev/zero of=$T/native bs=3000 count=9" >"$work/out" 2>&1
	equal "ulimit -f: dd ends there" "$(stat -c %s "$T/native")" "$(stat -c %s "$T/dd")"
}

engines
stressors
sizeless
two_targets
limits
