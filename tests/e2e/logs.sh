#!/bin/bash
# The log: strace's lines with where a call went; and silence without being asked.
. "$(dirname "$0")/../lib.sh"

T=$work/t
log=$work/log
make_tree "$T"
cat >"$work/write.py" <<END
import os, sys
os.write(os.open("$T/new", os.O_CREAT | os.O_RDWR, 0o644), sys.argv[1].encode() + b"\\n")
END

run() { (cd / && within 10 "$RT" --mode write --mount "$T=dir//:$T" "$@" >"$work/out" 2>"$work/err" </dev/null); }

# logged NAME REGEX OPTIONS… -- PROGRAM…: the log has a line like this.
logged() {
	local name=$1 regex=$2
	shift 2
	rm -f "$log"
	run -o "$log" "$@"
	if grep -qE -- "$regex" "$log"; then
		pass "$name"
	else
		fail "$name" "no line like $regex in" "$(cat "$log" 2>&1)"
	fi
	grep -q -e 'remotefs-trace:' -e '<dir:' "$work/err" && fail "$name: stderr" "$(cat "$work/err")"
}

# silent_about NAME REGEX OPTIONS…: it has none.
silent_about() {
	local name=$1 regex=$2
	shift 2
	rm -f "$log"
	run -o "$log" "$@"
	if [ -f "$log" ] && ! grep -qE -- "$regex" "$log"; then
		pass "$name"
	else
		fail "$name" "$(grep -E -- "$regex" "$log" 2>&1)"
	fi
}

lines() {
	local cat=(-- busybox cat "$T/hello.txt")
	logged "openat with its flags, descriptor, place and round trips" \
		'^(\[pid +)?[0-9]+\]? +openat\(AT_FDCWD, ".*/hello\.txt", O_RDONLY(\|[A-Z_|]+)?\) = [0-9]+ <dir:[^ >]* [0-9.]+ms 1rt>$' "${cat[@]}"
	logged "an error by name and text" 'openat\(AT_FDCWD, ".*/missing", O_RDONLY.*\) = -1 ENOENT \(No such file or directory\) <dir:.*>' -- busybox cat "$T/missing"
	logged "a creation with its mode" 'openat\(AT_FDCWD, ".*/new", O_WRONLY\|O_CREAT\|O_TRUNC(\|O_LARGEFILE)?, 0666\) = [0-9]+ <dir:' -- busybox sh -c "echo x > $T/new"
	logged "a write with its data" 'write\([0-9]+, "written\\n", 8\) += 8' -- "$PYTHON" "$work/write.py" written
	logged "a long string is cut" 'write\([0-9]+, "written in fi"\.\.\., ' -s 13 -- "$PYTHON" "$work/write.py" "written in files"
	logged "stat with what it found" '(newfstatat|stat|lstat|statx)\(.*hello\.txt".*(st_mode|stx_mode)=S_IFREG\|0644.*(st_size|stx_size)=13' -- busybox stat "$T/hello.txt"
	logged "unlink" 'unlink(at)?\(.*/new".*\) = 0 <dir:' -- busybox rm "$T/new"
	logged "mkdir" 'mkdir\(".*/made", 0777\) = 0 <dir:' -- busybox mkdir "$T/made"
	logged "rename" 'rename(at2?)?\(.*/made", .*/moved"(, .*)?\) = 0 <dir:' -- busybox mv "$T/made" "$T/moved"
	logged "getdents64" 'getdents64\([0-9]+, .*\) = [0-9]+' -- busybox ls "$T/dir"
	logged "a local path says so" 'openat\(AT_FDCWD, "/etc/passwd".*\) = ([0-9]+|\?) <local' -- busybox cat /etc/passwd
	logged "exit" '\+\+\+ exited with 3 \+\+\+' -- busybox sh -c 'exit 3'
	logged "death" '\+\+\+ killed by SIGTERM \+\+\+' -- busybox sh -c 'kill -TERM $$'
	logged "a signal" '--- SIGUSR1 ' -- busybox sh -c 'trap : USR1; kill -USR1 $$; :'
	logged "what the program is" '(static|dynamic)' -- busybox true
	logged "execve" 'execve\("/.*", \["busybox", "true"\], ' -- busybox sh -c 'exec busybox true'
	[ "$(grep -o '^\(\[pid *\)\?[0-9]*' "$log" | sort -u | wc -l)" -ge 1 ] && pass "lines begin with the pid" || fail "lines begin with the pid"
}

options() {
	silent_about "-e trace=openat" '[0-9] +(read|close|newfstatat|fstat|write|mmap)\(' -e trace=openat -- busybox cat "$T/hello.txt"
	logged "-e trace=openat has it" 'openat\(' -e trace=openat -- busybox cat "$T/hello.txt"
	logged "-e openat,close" 'openat\(' -e openat,close -- busybox cat "$T/hello.txt"
	logged "-e %file" 'openat\(' -e %file -- busybox cat "$T/hello.txt"
	silent_about "-e trace=%desc" '[0-9] +(stat|lstat|mkdir|unlink)\(' -e trace=%desc -- busybox mkdir "$T/x1"
	silent_about "-e trace=!openat" 'openat\(' -e 'trace=!openat' -- busybox cat "$T/hello.txt"
	silent_about "-e trace=none" '\) += ' -e trace=none -- busybox cat "$T/hello.txt"
	logged "-t" '[0-9] +[0-9]{2}:[0-9]{2}:[0-9]{2} openat' -t -- busybox cat "$T/hello.txt"
	logged "-tt" '[0-9] +[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6} openat' -tt -- busybox cat "$T/hello.txt"
	logged "-ttt" '[0-9] +[0-9]{10}\.[0-9]{6} openat' -ttt -- busybox cat "$T/hello.txt"
	logged "-r" '[0-9] +[0-9]+\.[0-9]{6} openat' -r -- busybox cat "$T/hello.txt"
	logged "-T" 'openat\(.* <[0-9]+\.[0-9]{6}>' -T -- busybox cat "$T/hello.txt"
	logged "-y" '\([0-9]+<[^>]*/big>' -y -- busybox cp "$work/write.py" "$T/big"
	silent_about "-q" '\+\+\+ exited' -q -- busybox cat "$T/hello.txt"
}

silence() {
	run -- busybox cat "$T/hello.txt"
	equal "without -o and -v: stdout" "Hello, world" "$(cat "$work/out")"
	equal "without -o and -v: stderr" "" "$(cat "$work/err")"
	run -- busybox sh -c "cat $T/missing; kill -USR1 \$\$"
	equal "without -o and -v: the program's own stderr" "cat: can't open '$T/missing': No such file or directory" "$(grep -v 'line [0-9]*: .*USR1\|User defined' "$work/err")"
	run -v -- busybox cat "$T/hello.txt"
	equal "-v: stdout" "Hello, world" "$(cat "$work/out")"
	grep -q 'openat(' "$work/err" && pass "-v: the log is on stderr" || fail "-v: the log is on stderr" "$(cat "$work/err")"
	run -v -o "$log" -- busybox cat "$T/hello.txt"
	equal "-v -o: stderr is for what is odd" "" "$(grep 'openat(' "$work/err")"
	within 5 "$RT" --help >"$work/out" 2>"$work/err"
	equal "--help: status" 0 $?
	grep -q -- --mount "$work/out" && pass "--help is on stdout" || fail "--help is on stdout"
	within 5 "$RT" --version >"$work/out" 2>"$work/err"
	grep -qE '[0-9]+\.[0-9]+' "$work/out" && pass "--version" || fail "--version" "$(cat "$work/out")"
}

# A call that is not emulated answers ENOSYS on a remote object, and the log says so once.
not_emulated() {
	logged "what is not emulated is ENOSYS and says so" 'uselib\(.*= -1 ENOSYS .*<.*not emulated' -- \
		"$PYTHON" -c "import ctypes; ctypes.CDLL(None).syscall(134, b'$T/hello.txt')"
}

lines
options
silence
not_emulated
