#!/bin/bash
# stress-ng's file system stressors with --verify: each ends as it does natively. STRESS_SECONDS is how long each runs
# (default 30; natively always 2), STRESSORS which ones do. Not among them, for the README's limits: dnotify (F_NOTIFY is EINVAL)
# and fifo (it selects, and a remote FIFO's descriptor is above 1024).
. "$(dirname "$0")/apps.sh"
needs stress-ng

: "${STRESS_SECONDS:=30}"
: "${STRESSORS:=access aio aiol chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dup dynlib exec fallocate \
	fanotify fcntl fiemap file-ioctl filename flock fpunch fsize fstat getdent handle hdd inode-flags inotify io iomix lease link \
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

for one in $STRESSORS; do
	run() {
		local seconds=$1
		shift
		"$@" "$((seconds + 60))" stress-ng "--$one" 2 --verify --temp-path . --timeout "$seconds"
	}
	run 2 natively >"$work/native.log" 2>&1
	native=$(ended $?)
	run "$STRESS_SECONDS" remotely >"$work/remote.log" 2>&1
	remote=$(ended $?)
	if [ "$native" = "$remote" ]; then
		pass "stress-ng --$one --verify: $native"
	else
		fail "stress-ng --$one --verify: $native natively, $remote on a mount" "$(said "$work/native.log")" "--" "$(said "$work/remote.log")"
	fi
	[ -z "$(ls -A "$M")" ] || fail "stress-ng --$one left something in the local directory" "$(ls -A "$M")"
	[ "$(find "$work/native" -mindepth 1 | wc -l)" != 0 ] || [ -z "$(ls -A "$work/target")" ] ||
		fail "stress-ng --$one cleans up natively" "$(find "$work/target" | head)"
done
finish
