#!/bin/bash
# stress-ng's file system stressors with --verify: each ends as it does natively. STRESS_SECONDS is how long each runs
# (default 30; natively always 2), STRESSORS which ones do. Not among them, for the README's limits: dnotify (F_NOTIFY is EINVAL)
# and lease (so is F_SETLEASE).
. "$(dirname "$0")/apps.sh"
needs stress-ng

: "${STRESS_SECONDS:=30}"
: "${STRESSORS:=access aio aiol chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dup dynlib exec fallocate \
	fanotify fcntl fiemap fifo file-ioctl filename flock fpunch fsize fstat getdent handle hdd inode-flags inotify io iomix link \
	locka lockf lockofd mincore mknod mmap mmapmany mmapfork msync munmap open readahead rename revio seek sendfile splice symlink \
	sync-file tee touch utime verity xattr}"

# What a stressor's exit status means: the numbers are stress-ng(1)'s.
ended() {
	case $1 in
	0) echo passed ;;
	2) echo failed ;;
	3) echo "no resources" ;;
	4) echo skipped ;;
	124 | 137) echo hung ;;
	*) echo "ended with $1" ;;
	esac
}

# What it said of it, without what differs from run to run.
said() { sed 's/^stress-ng: *//; s/\[[0-9]*\] *//; s/\(pid\|instance\) *[0-9]*//g' "$1" | grep -E '^(fail|error|warn)' | sort -u | head -n 12; }

# How much it did, in its own unit.
done_by() { awk -v one="$one" '$2 == "metrc:" && $4 == one { n = $5; exit } END { printf "%d", n }' "$1"; }

# Rounds over thousands of directories do not end in the time that they have on a mount.
smaller() {
	case $1 in
	chdir) echo --chdir-dirs 128 ;;
	dir) echo --dir-dirs 128 ;;
	dentry) echo --dentries 512 ;;
	esac
}

# Those that select, which cannot take descriptors above 1024.
numbering() {
	case $1 in
	dentry | fifo) echo --fd-numbering=posix ;;
	esac
}

# What is left at the target. With its last descriptor --open makes a file, which it forgets when the next open is EMFILE,
# natively too (stress-ng 0.15).
left() {
	case $one in
	open) find "$work/target" -mindepth 1 ! -name 'stress-open-*' ;;
	*) find "$work/target" -mindepth 1 ;;
	esac
}

for one in $STRESSORS; do
	run() {
		local seconds=$1
		shift
		# shellcheck disable=SC2046
		"$@" "$((seconds * 2 + 60))" stress-ng "--$one" 2 $(smaller "$one") --verify --metrics-brief --temp-path . --timeout "$seconds"
	}
	run 2 natively >"$work/native.log" 2>&1
	native=$(ended $?)
	NUMBERING=$(numbering "$one")
	run "$STRESS_SECONDS" remotely >"$work/remote.log" 2>&1
	remote=$(ended $?)
	if [ "$native" = "$remote" ] && [ "$(done_by "$work/native.log")" -gt 0 ] && [ "$(done_by "$work/remote.log")" = 0 ]; then
		fail "stress-ng --$one --verify: did nothing on a mount" "$(tail -n 5 "$work/remote.log")"
	elif [ "$native" = "$remote" ]; then
		pass "stress-ng --$one --verify: $native ($(done_by "$work/native.log") natively, $(done_by "$work/remote.log") on a mount)"
	else
		fail "stress-ng --$one --verify: $native natively, $remote on a mount" "$(said "$work/native.log")" "--" "$(said "$work/remote.log")"
	fi
	[ -z "$(ls -A "$M")" ] || fail "stress-ng --$one left something in the local directory" "$(ls -A "$M")"
	[ "$(find "$work/native" -mindepth 1 | wc -l)" != 0 ] || [ -z "$(left)" ] ||
		fail "stress-ng --$one cleans up natively" "$(left | head)"
done
finish
