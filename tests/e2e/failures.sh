#!/bin/bash
# What goes wrong ends with one clear line, the right status, soon, and leaves nothing behind.
# As root in a mount namespace of its own, with a private /dev/shm, so that "nothing is left" is exact.
if [ -z "${RFS_PRIVATE:-}" ] && unshare -m true 2>/dev/null; then
	RFS_PRIVATE=1 exec unshare -m "$0" "$@"
fi
. "$(dirname "$0")/../lib.sh"

if [ -n "${RFS_PRIVATE:-}" ]; then
	mount -t tmpfs -o mode=1777 tmpfs /dev/shm || exit 1
fi
T=$work/t
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
make_tree "$T"
mount_options=(--mode write --mount "$T=dir//:$T")

# What a run may have forgotten to remove.
residue() {
	[ -z "${RFS_PRIVATE:-}" ] || ls -A /dev/shm
	ls -A "$TMPDIR"
	ls -A /tmp | grep -i '^\.\?remotefs'
}

nothing_left() {
	local left
	gone "$1: no process is left" 2
	left=$(residue)
	equal "$1: no file is left" "" "$left"
}

# The first living child of PID called NAME.
child() {
	local stat
	for stat in /proc/[0-9]*/stat; do
		read -r line <"$stat" || continue
		case $line in
		*"($2) "[RSDTt]" $1 "*) echo "${line%% *}"; return ;;
		esac
	done 2>/dev/null
}

# refused NAME STATUS COMMAND…: ends with that status and one line on stderr, within two seconds.
refused() {
	local name=$1 want=$2 status from lines took
	shift 2
	from=$(date +%s%N)
	within 10 "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	took=$((($(date +%s%N) - from) / 1000000))
	lines=$(wc -l <"$work/err")
	if [[ ! $status =~ ^($want)$ ]]; then
		fail "$name: status" "wanted $want, got $status" "$(cat "$work/err")"
	elif [ "$lines" -ne 1 ]; then
		fail "$name: one line on stderr" "$(cat "$work/err")"
	elif ! grep -q '^remotefs-trace: ' "$work/err"; then
		fail "$name: the line says who speaks" "$(cat "$work/err")"
	elif [ $took -gt $((2500 * SCALE)) ]; then
		fail "$name: within two seconds" "took $took ms"
	elif [ -s "$work/out" ]; then
		fail "$name: nothing on stdout" "$(cat "$work/out")"
	else
		pass "$name"
	fi
}

bad_options() {
	refused "no program" 2 "$RT" --target dir/"$T"
	refused "unknown option" 2 "$RT" --bogus --target dir/"$T" busybox true
	refused "unknown target kind" 2 "$RT" --target bogus/x busybox true
	refused "mount without a target" 2 "$RT" --mount "$T" busybox true
	refused "unknown mode" 2 "$RT" --mode sideways "${mount_options[@]:2}" busybox true
	refused "unknown trap" 2 "$RT" --trap=mouse "${mount_options[@]}" busybox true
	refused "unknown call in -e" 2 "$RT" -e trace=nosuchcall "${mount_options[@]}" busybox true
	refused "-s without a number" 2 "$RT" -s many "${mount_options[@]}" busybox true
	refused "option without its argument" 2 "$RT" -o
}

bad_programs() {
	"$PYTHON" - "$work" <<-'END'
		import os, struct, sys
		os.chdir(sys.argv[1])
		def program(name, bits, machine, data=None):
		    if data is None:
		        if bits == 32:
		            data = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, machine, 1, 0x8048054, 52, 0, 0, 52, 32, 1, 0, 0, 0)
		            data += struct.pack("<IIIIIIII", 1, 0, 0x8048000, 0x8048000, 96, 96, 5, 4096)
		        else:
		            data = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, machine, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
		            data += struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 132, 132, 4096)
		        data += b"\xb8\x01\x00\x00\x00\x31\xdb\xcd\x80\x90\x90\x90"
		    with open(name, "wb") as f: f.write(data)
		    os.chmod(name, 0o755)
		program("i386", 32, 3)
		program("aarch64", 64, 183)
		program("text", 0, 0, b"just text\n")
		program("nothing", 0, 0, b"")
		program("cut", 0, 0, b"\x7fELF\x02\x01\x01" + bytes(20))
		program("lost", 0, 0, b"#!/nonexistent/interpreter\n")
	END
	: >"$work/plain"
	refused "missing program" 127 "$RT" "${mount_options[@]}" /nonexistent/program
	refused "missing program, by PATH" 127 "$RT" "${mount_options[@]}" no-such-program-here
	refused "program without x" 126 "$RT" "${mount_options[@]}" "$work/plain"
	refused "a directory as program" 126 "$RT" "${mount_options[@]}" "$work"
	refused "an i386 program" 126 "$RT" "${mount_options[@]}" "$work/i386"
	refused "an aarch64 program" 126 "$RT" "${mount_options[@]}" "$work/aarch64"
	refused "text without #!" 126 "$RT" "${mount_options[@]}" "$work/text"
	refused "an empty program" 126 "$RT" "${mount_options[@]}" "$work/nothing"
	refused "a cut ELF file" 126 "$RT" "${mount_options[@]}" "$work/cut"
	refused "a script whose interpreter is missing" 126 "$RT" "${mount_options[@]}" "$work/lost"
}

# The stream ends after N bytes: 125, and one line among whatever the program itself says.
cut_off() {
	within 10 "$RT" --reconnect-timeout 0 --mode write --mount "$T=exec:$PYTHON $HERE/e2e/cutter $1 $AGENT --stdio --root $T" \
		-- busybox sh -c "cat $T/sizes/*" >"$work/out" 2>"$work/err" </dev/null
	equal "an agent cut off after $1 bytes: status" 125 $?
	equal "an agent cut off after $1 bytes: one line" 1 "$(grep -c '^remotefs-trace: ' "$work/err")"
}

bad_targets() {
	refused "missing target" 125 "$RT" --target dir/nonexistent/dir busybox true
	refused "a file as target" 125 "$RT" --target "dir/$T/hello.txt" busybox true
	refused "missing target of a mount" 125 "$RT" --mount "$T=dir/nonexistent/dir" busybox cat "$T/hello.txt"
	refused "garbage agent" 125 "$RT" --target "exec:head -c 1M /dev/urandom" busybox true
	refused "endless zeroes as agent" 125 "$RT" --target "exec:cat /dev/zero" busybox true
	refused "an agent that fails" 125 "$RT" --target exec:false busybox true
	refused "an agent that ends" 125 "$RT" --target exec:true busybox true
	# What the command itself complains of comes through: a password prompt would have to, too.
	refused "no such agent" 125 "$RT" --target "exec:no-such-command 2>/dev/null" busybox true
	refused "an agent that echoes" 125 "$RT" --target exec:cat busybox true
	cut_off 10
	cut_off 100
	cut_off 30000
	refused "unwritable log" "2|125" "$RT" -o /nonexistent/log "${mount_options[@]}" busybox true
	refused "unwritable stats" "2|125" "$RT" --stats /nonexistent/stats "${mount_options[@]}" busybox true
	nothing_left "refusals"
}

# A little tree of processes: one that reads the target all the time, one that only sleeps.
start_busy() {
	rm -f "$work/alive"
	"$RT" "${mount_options[@]}" -- busybox sh -c "busybox sleep 300 & while :; do busybox cat $T/sizes/s4096 >/dev/null
		echo x >>$work/alive; busybox sleep 0.01; done" >"$work/out" 2>"$work/err" </dev/null &
	supervisor=$!
	until_true 10 [ -s "$work/alive" ] || fail "the program starts" "$(cat "$work/err")"
}

killed_supervisor() {
	start_busy
	kill -KILL "$supervisor"
	wait "$supervisor" 2>/dev/null
	nothing_left "supervisor killed"
}

# Whether a child of this shell is over, waited for or not.
ended() { ! grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null; }

# $supervisor's agent and its keeper.
agents() {
	local keeper
	keeper=$(child "$supervisor" remotefs-agent)
	[ -z "$keeper" ] || echo "$keeper" $(pgrep -P "$keeper")
}

# agent_killed NAME: $supervisor's agent and its keeper are killed; it must end in time.
agent_killed() {
	local from status agents
	agents=$(agents)
	[ -n "$agents" ] || { fail "$1: the agent is found"; return; }
	kill -KILL $agents
	from=$(date +%s%N)
	until_true 5 ended "$supervisor" || kill -KILL "$supervisor"
	wait "$supervisor" 2>/dev/null
	status=$?
	equal "$1: status" 125 $status
	at_most "$1: milliseconds" $((2000 * SCALE)) $((($(date +%s%N) - from) / 1000000))
	# The program's own complaints may be there too; the tracer says one thing.
	equal "$1: one line from remotefs-trace" 1 "$(grep -c '^remotefs-trace: ' "$work/err")"
	nothing_left "$1"
}

# With another agent it goes on: reopen.sh.
killed_agent() {
	local mount_options=("${mount_options[@]}" --reconnect-timeout 0)
	start_busy
	agent_killed "agent killed"
	"$RT" "${mount_options[@]}" -- busybox sh -c "busybox cat $T/hello.txt >/dev/null; echo x >$work/asleep; exec busybox sleep 300" \
		>"$work/out" 2>"$work/err" </dev/null &
	supervisor=$!
	until_true 10 [ -s "$work/asleep" ]
	agent_killed "agent killed while the program sleeps"
}

killed_tracee() {
	within 10 "$RT" "${mount_options[@]}" -- busybox sh -c "busybox cat $T/hello.txt; kill -KILL \$\$" >"$work/out" 2>"$work/err"
	equal "tracee killed: status" 137 $?
	equal "tracee killed: silence" "" "$(grep remotefs-trace: "$work/err")"
	start_busy
	# Its shell, and the sleep that the shell leaves behind as an orphan.
	kill -KILL "$(child "$supervisor" busybox)"
	kill -KILL $(running | grep -vxf <(printf '%s\n' "$supervisor" $(agents))) 2>/dev/null
	until_true 3 ended "$supervisor" || kill -KILL "$supervisor"
	wait "$supervisor" 2>/dev/null
	equal "tracees killed: status" 137 $?
	nothing_left "tracees killed"
}

# scarce NAME: ended in time, with the right data or a line that says why not.
scarce() {
	local status=$1 name=$2 want=$3
	if [ $status -eq 124 ] || [ $status -eq 137 ]; then
		fail "$name: ends" "status $status"
	elif [ $status -eq 0 ]; then
		equal "$name: right data" "$want" "$(sha1sum <"$work/out")"
	elif grep -q '^remotefs-trace: ' "$work/err" && [ "$(grep -c '^remotefs-trace: ' "$work/err")" -le 2 ]; then
		pass "$name: says why not"
	else
		fail "$name: says why not" "status $status" "$(cat "$work/err")"
	fi
}

scarcity() {
	local name
	(ulimit -n 64; within 5 "$RT" "${mount_options[@]}" -- busybox cat "$T/hello.txt" "$T/sizes/s3145745") >"$work/out" 2>"$work/err"
	scarce $? "64 descriptors" "$(cat "$T/hello.txt" "$T/sizes/s3145745" | sha1sum)"
	(ulimit -n 12; within 5 "$RT" "${mount_options[@]}" -- busybox cat "$T/hello.txt") >"$work/out" 2>"$work/err"
	scarce $? "12 descriptors" "$(sha1sum <"$T/hello.txt")"
	if [ -z "${RFS_PRIVATE:-}" ]; then
		skip "full tmpfs" root
		return
	fi
	mount -o remount,size=64k /dev/shm
	for name in s4096 s131073 s1048577 s3145745; do
		within 5 "$RT" "${mount_options[@]}" -- busybox cat "$T/sizes/$name" >"$work/out" 2>"$work/err"
		scarce $? "64 KiB of tmpfs: $name" "$(sha1sum <"$T/sizes/$name")"
	done
	within 5 "$RT" "${mount_options[@]}" -- "$PYTHON" -c "import mmap
f = open('$T/sizes/s3145745', 'rb'); import sys; sys.stdout.buffer.write(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))" >"$work/out" 2>"$work/err"
	scarce $? "64 KiB of tmpfs: mmap" "$(sha1sum <"$T/sizes/s3145745")"
	mount -o remount,size=50% /dev/shm
	nothing_left "scarcity"
}

# The program's standard descriptors are its own, closed ones too.
closed_descriptors() {
	local n want
	for n in '<&-' '>&-' '2>&-' '<&- >&- 2>&-'; do
		want=$(bash -c "busybox sh -c 'cat $T/hello.txt; echo \$?; echo err >&2; exec busybox ls /proc/self/fd' $n" 2>&1 </dev/null)
		got=$(bash -c "timeout 10 $RT --mode write --mount $T=dir//:$T -- busybox sh -c 'cat $T/hello.txt; echo \$?; echo err >&2; exec busybox ls /proc/self/fd' $n" 2>&1 </dev/null)
		equal "with $n" "$want" "$got"
	done
}

bad_options
bad_programs
bad_targets
killed_supervisor
killed_agent
killed_tracee
scarcity
closed_descriptors
nothing_left "at last"
