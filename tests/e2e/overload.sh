#!/bin/bash
# More than there is room for, on either side: the program is slowed down, or told by an errno or a line, memory stays bounded, and no
# byte is lost unseen.
. "$(dirname "$0")/../lib.sh"

T=$work/t
mkdir "$T"
guest=$GUESTS/overload
agent=$AGENT
MiB=1024 # in kB, as /proc counts

# measured OPTIONS -- COMMAND: runs it; $status, and of the supervisor $peak (VmHWM, kB) and $most (threads).
measured() {
	local seen pid=
	timeout -k 1 $((90 * SCALE)) "$RT" --mode write "$@" >"$work/out" 2>"$work/err" </dev/null &
	job=$! peak=0 most=0
	until_true 5 grep -q . "/proc/$job/task/$job/children"
	read -r pid <"/proc/$job/task/$job/children"
	while seen=$(awk '/^VmHWM/ { m = $2 } /^Threads/ { print m + 0, $2 }' "/proc/$pid/status" 2>/dev/null) && [ -n "$seen" ]; do
		[ "${seen% *}" -le "$peak" ] || peak=${seen% *}
		[ "${seen#* }" -le "$most" ] || most=${seen#* }
		sleep 0.05
	done
	wait $job
	status=$?
}

here() { measured --mount "$T=dir//:$T" "$@"; }

# told NAME TEXT LINE…: the program ended well and printed TEXT, and these patterns are all that was said.
told() {
	local name=$1 text=$2 line
	shift 2
	equal "$name" "0 $text" "$status $(cat "$work/out")"
	equal "$name: lines" $# "$(wc -l <"$work/err")"
	for line; do
		grep -q "^remotefs-trace: $line" "$work/err" || fail "$name: is told" "wanted $line" "$(cat "$work/err")"
	done
}

# right NAME WAY LINE…: the same of the guest, which found nothing wrong.
right() { told "$1" "$2: 0 wrong" "${@:3}"; }

# Sanitizers have memory of their own.
under() {
	[ "$peak" -gt 0 ] || fail "$1: memory is measured"
	[ -n "${SANITIZED:-}" ] || at_most "$1: MiB" "$2" $((peak / MiB))
	[ -z "${V:-}" ] || echo "$1: $peak kB, $most threads"
}

# ---- threads ----

many_threads() {
	here -- "$guest" threads "$T" 1000
	right "1000 threads, each with a file" threads
	under "1000 threads, each with a file" 256
	at_most "1000 threads: threads of ours" 1100 "$most"
	rm "$T"/thread.*
	# Each of them polled, and was woken for every byte: it took 46 s.
	local from=$SECONDS
	here -- "$guest" waiters "$T" 1000
	right "1000 threads that wait for a FIFO" waiters
	at_most "1000 threads that wait for a FIFO: seconds" $((15 * SCALE)) $((SECONDS - from))
	rm "$T"/fifo.*
}

# ---- the log ----

slow_log() {
	echo hello >"$T/known.0"
	mkfifo "$work/pipe"
	(exec 3<"$work/pipe"; sleep 12; exec wc -l <&3 >"$work/lines") &
	here -o "$work/pipe" -- "$guest" lines "$T" 20000
	right "nobody reads the log for 12 s" lines "-o $work/pipe: the log has not taken a line for 10 s; the program waits for it"
	under "nobody reads the log for 12 s" 64
	until_true 5 [ -s "$work/lines" ]
	[ "$(cat "$work/lines")" -ge 20000 ] && pass "no line of the log is lost" || fail "no line of the log is lost" "$(cat "$work/lines")"
	(exec 3<"$work/pipe"; until [ ! -e "$work/pipe" ]; do dd bs=64k count=16 iflag=fullblock status=none <&3; sleep 0.01; done | wc -c >"$work/bytes") &
	here -s 4096 -e trace=write -o "$work/pipe" -- dd if=/dev/zero of="$T/zeroes" bs=4k count=20000
	rm "$work/pipe"
	wait
	equal "100 MB a second of log: status" 0 $status
	under "100 MB a second of log" 64
	rm "$T/zeroes"
	(ulimit -f 8; here -o "$work/log" -- "$guest" lines "$T" 5000; echo "$status $(cat "$work/out")" >"$work/limited"; cp "$work/err" "$work/err.limited")
	equal "a log that may not grow" "0 lines: 0 wrong" "$(cat "$work/limited")"
	equal "a log that may not grow: one line" 1 "$(grep -c "^remotefs-trace: -o $work/log: cannot write the log (File too large)" "$work/err.limited")"
}

# ---- a stopped agent ----

stopped() {
	local silent="dir:.*: the agent has not answered for 10 s; the program waits for it"

	# An open of what is known is not waited for, so there was no end of them: 300,000 opens, 300,000 closes.
	here -- "$guest" closes "$T" 100000 12
	right "100,000 opens and closes while the agent is stopped" closes "$silent"
	under "100,000 opens and closes while the agent is stopped" 40
	rm "$T/known.0"
	here -- "$guest" appends "$T" 300000 $((15 * SCALE))
	right "300,000 appends while the agent is stopped" appends "$silent"
	under "300,000 appends while the agent is stopped" 128
	equal "300,000 appends" "$(seq -f %99.0f 0 299999 | md5sum)" "$(md5sum <"$T/appends.0")"
	rm "$T/appends.0"
	here -- "$guest" creates "$T" 500 3
	right "500 files are made while the agent is stopped" creates
	equal "500 files are made" 500 "$(cat "$T"/created.* | wc -c)"
	rm "$T"/created.*
	here -- "$guest" blocks "$T" 256 3
	right "256 MiB while the agent is stopped" blocks
	under "256 MiB while the agent is stopped" 384
	rm "$T/blocks.0"
}

# A handle that was not closed would be one of the agent's descriptors for ever.
leaks() {
	echo hello >"$T/known.0"
	within 60 "$RT" --mode write --mount "$T=dir//:$T" -- bash -c "'$guest' closes '$T' 20000 2; sleep 1
		for p in \$(cat /proc/\$PPID/task/*/children); do
			! grep -q ^remotefs-agent /proc/\$p/comm || { echo agent; ls -l /proc/\$p/fd; }; done" >"$work/out" 2>"$work/err" </dev/null
	grep -q "closes: 0 wrong" "$work/out" || fail "opens and closes" "$(cat "$work/out" "$work/err")"
	equal "its agent is looked at" agent "$(grep "^agent$" "$work/out")"
	equal "no handle is left" 0 "$(grep -c "known.0" "$work/out")"
}

# ---- full disks ----

full_disks() {
	local small=$work/small none="No space left on device"
	mkdir "$small"
	mount -t tmpfs -o size=1m tmpfs "$small" 2>/dev/null || { skip "full disks" "the right to mount a tmpfs"; return; }
	cat >"$work/mapped.py" <<-END
		import mmap, os, sys
		fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
		os.ftruncate(fd, 3 << 20)
		m = mmap.mmap(fd, 3 << 20)
		m[:] = os.urandom(3 << 20)
		for what in m.flush, lambda: os.fsync(fd):
		    try: what(); print("ok")
		    except OSError as e: print(e.strerror)
		m.close()
		os.close(fd)
	END
	measured --mount "$small=dir//:$small" -- "$PYTHON" "$work/mapped.py" "$small/mapped"
	told "msync and fsync on a full target" "$none"$'\n'"$none" "$small/mapped: what was written could not be stored there: $none"
	rm "$small"/*
	measured --mount "$small=dir//:$small" -- sh -c "head -c 3000000 /dev/urandom >$small/low"
	told "a low descriptor on a full target" "" "$small/low: what was written could not be stored there: $none"
	rm "$small"/*
	head -c 3000000 /dev/urandom >"$T/big"
	local sum
	sum=$(md5sum <"$T/big")
	measured --mode overlay --overlay-dir "$small" --mount "$T=dir//:$T" -- \
		bash -c "echo x 2>/dev/null >>$T/big; echo \$?; head -c 3000000 /dev/urandom >$T/low; md5sum <$T/big"
	told "a full upper directory" "1"$'\n'"$sum" "$T/low: what was written could not be stored there: $none"
	equal "a full upper directory: the target" "$sum" "$(md5sum <"$T/big")"
	rm -rf "${small:?}"/*
	mount -o remount,size=64k "$small"
	echo hello >"$T/known.0"
	here -o "$small/log" -- "$guest" lines "$T" 5000
	right "the log on a full disk" lines "-o $small/log: cannot write the log ($none); the program goes on without it"
	umount "$small"
}

# ---- limits ----

# What the agent may not have is an errno of the call that wants it.
limits() {
	[ -z "${SANITIZED:-}" ] || { skip "an agent without descriptors and memory" "a build without sanitizers, which die of that"; return; }
	cat >"$work/limits.py" <<-END
		import glob, os, resource, sys
		os.chdir(sys.argv[1])
		def below(parent):
		    for f in glob.glob("/proc/%d/task/*/children" % parent):
		        for p in open(f).read().split():
		            if open("/proc/%s/comm" % p).read().startswith("remotefs-agent"):
		                yield int(p)
		                yield from below(int(p))
		agents = list(below(os.getppid()))
		def limit(what, value):
		    for p in agents: resource.prlimit(p, what, (value, resource.RLIM_INFINITY if what == resource.RLIMIT_AS else 4096))
		fd = os.open("written", os.O_RDWR | os.O_CREAT)
		limit(resource.RLIMIT_NOFILE, 4)
		try: os.open("other", os.O_RDWR | os.O_CREAT); print("opened")
		except OSError as e: print(e.strerror)
		limit(resource.RLIMIT_NOFILE, 4096)
		os.close(os.open("other", os.O_RDWR | os.O_CREAT))
		for p in agents:
		    limit(resource.RLIMIT_AS, int(open("/proc/%d/statm" % p).read().split()[0]) * 4096)
		failed = 0
		for i in range(20):
		    try:
		        os.pwrite(fd, b"x" * (1 << 20), i << 20)
		        os.fsync(fd)
		    except OSError as e: failed += 1; what = e.strerror
		print("failed" if failed else "none failed", what if failed else "")
		limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
		os.pwrite(fd, b"y" * (20 << 20), 0)
		os.fsync(fd)
		print(os.fstat(fd).st_size)
	END
	here -- "$PYTHON" "$work/limits.py" "$T"
	told "an agent without descriptors and memory" $'Too many open files\nfailed Cannot allocate memory\n20971520'
	equal "what was written at last" "$(head -c 20971520 /dev/zero | tr '\0' y | md5sum)" "$(md5sum <"$T/written")"
}

# Without a thread for each call, one that waits for another would wait for ever.
few_threads() {
	local trap=$1 user=61234 places=70 pid
	if ! setpriv --reuid $user --regid $user --clear-groups true 2>/dev/null; then
		skip "few threads" "the right to be another user"
		return
	fi
	chmod 755 "$work"
	chmod 777 "$T"
	if ! setpriv --reuid $user --regid $user --clear-groups "$guest" threads "$T" 1 >/dev/null 2>&1; then
		skip "few threads" "a build that others may run"
		return
	fi
	rm -f "$T"/thread.*
	(ulimit -S -u $places; exec timeout $((60 * SCALE)) setpriv --reuid $user --regid $user --clear-groups "$RT" --trap=$trap --mode write --mount "$T=dir//:$T" -- \
		"$guest" waiters "$T" 40) >"$work/out" 2>"$work/err" </dev/null &
	job=$!
	if until_true 10 grep -q "no thread can be started" "$work/err"; then
		pass "too few threads, --trap=$trap: is told"
	else
		fail "too few threads, --trap=$trap: is told" "$(cat "$work/err")"
	fi
	for pid in $(ps -o pid= -u $user); do
		setpriv --reuid $user --regid $user --clear-groups prlimit --pid "$pid" --nproc=1000:
	done
	wait $job
	equal "when there may be more, it goes on, --trap=$trap" "0 waiters: 0 wrong" "$? $(cat "$work/out")"
	equal "too few threads, --trap=$trap: lines" 1 "$(wc -l <"$work/err")"
	rm -f "$T"/fifo.*
}

# ---- the session ----

# FIFOs' bytes are kept by the agent until they were read, and there is room for 4 MiB.
sessions() {
	export REMOTEFS_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' ')
	"$AGENT" --listen "unix:$work/agent" --root / 2>"$work/agent.err" </dev/null &
	agent=$!
	until_true 5 [ -S "$work/agent" ]
	"$GUESTS/cutrelay" "$work/relay" "$work/agent" </dev/null &
	relay=$!
	until_true 5 [ -S "$work/relay" ]
	(until_true 10 [ -e "$T/fifo.99" ]; while kill -USR1 $relay 2>/dev/null; do sleep "0.$((RANDOM % 300 + 100))"; done) &
	cutter=$!
	measured --mount "$T=unix:$work/relay:$T" -- "$guest" fifos "$T" 100
	kill $cutter $relay $agent
	right "100 FIFOs over a connection that breaks" fifos
	under "100 FIFOs over a connection that breaks" 64
}

many_threads
slow_log
stopped
leaks
full_disks
limits
few_threads auto
few_threads ptrace
sessions
