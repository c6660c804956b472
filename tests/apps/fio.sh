#!/bin/bash
# fio --verify: what its engines wrote is found again, there and natively.
. "$(dirname "$0")/apps.sh"
needs fio

for engine in psync sync pvsync2 mmap libaio "libaio --direct=1" posixaio; do
	for pattern in write randrw; do
		name="fio ${engine// --/ } $pattern"
		set -- --name=job --filename=data --rw=$pattern --size=8m --bs=4k --verify=crc32c --verify_fatal=1 --iodepth=8 \
			--randseed=7 --minimal --verify_state_save=0 --ioengine=$engine
		# shellcheck disable=SC2086
		natively 120 fio $* >"$work/out" 2>&1 || { skip "$name" "support for it here"; continue; }
		# shellcheck disable=SC2086
		remotely 120 fio $* >"$work/out" 2>"$work/err"
		equal "$name verifies" "0 $(stat -c %s "$work/native/data")" "$? $(stat -c %s "$work/target/data")"
		# shellcheck disable=SC2086
		(cd "$work/target" && fio $* --verify_only >"$work/out" 2>&1)
		equal "$name verifies natively what was written there" 0 $?
		equal "$name has no complaints" "" "$(grep -vi 'iodepth\|queue depth' "$work/err")"
	done
done

# Which bytes fio writes differs from run to run, so it is asked what it finds.
four="fio --directory=. --name=many --numjobs=4 --nrfiles=8 --size=2m --rw=randwrite --bs=3k --verify=crc32c --verify_fatal=1 --fsync=7 \
	--fallocate=posix --ioengine=psync --randseed=3 --allrandrepeat=1 --verify_state_save=0 --minimal"
state() { (cd "$1" && find . -printf '%p %y %m %s\n' | sort && $four --verify_only >/dev/null && echo verified); }
both "fio, four jobs in one directory" 120 "$four >/dev/null && ls"
finish
