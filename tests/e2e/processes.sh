#!/bin/bash
# Process life: statuses, signals, terminals, orphans and threads are what they would be without us.
. "$(dirname "$0")/../lib.sh"

T=$work/t
make_tree "$T"
options=(--mode write --mount "$T=dir//:$T")
plain_cat="busybox cat $T/hello.txt"

statuses() {
	local n native
	for n in 0 1 2 42 125 126 127 255; do
		within 10 "$RT" "${options[@]}" -- busybox sh -c "$plain_cat >/dev/null; exit $n" >"$work/out" 2>&1
		equal "exit $n" $n $?
	done
	for n in HUP INT TERM KILL SEGV ABRT PIPE USR1; do
		# Each in a shell of its own, which alone would report the death.
		native=$(within 10 bash -c 'busybox sh -c "kill -$1 \$\$"; echo $?' - $n 2>/dev/null)
		equal "death by SIG$n" "$native" "$(within 10 bash -c 'n=$1; shift; "$@"; echo $?' - $n \
			"$RT" "${options[@]}" -- busybox sh -c "$plain_cat >/dev/null; kill -$n \$\$" 2>/dev/null)"
	done
	equal "a child's death is its parent's to see" "137" \
		"$(within 10 "$RT" "${options[@]}" -- busybox sh -c 'busybox sh -c "kill -9 \$\$"; echo $?' 2>/dev/null)"
}

# A signal to the supervisor is meant for the program.
to_supervisor() {
	local sig status pid
	for sig in TERM HUP INT; do
		rm -f "$work/ready"
		# Background jobs of a script ignore SIGINT; timeout(1) starts one that does not.
		env --default-signal "$RT" "${options[@]}" -- busybox sh -c "$plain_cat >/dev/null; echo x >$work/ready; while :; do sleep 0.05; done" \
			>"$work/out" 2>"$work/err" </dev/null &
		pid=$!
		until_true 10 [ -s "$work/ready" ]
		kill -$sig $pid
		until_true 3 ended $pid || kill -KILL $pid
		wait $pid 2>/dev/null
		status=$?
		equal "SIG$sig to the supervisor: status" $((128 + $(kill -l $sig))) $status
		gone "SIG$sig to the supervisor: all end" 2
	done
	rm -f "$work/ready"
	"$RT" "${options[@]}" -- busybox sh -c "trap 'echo trapped; exit 5' TERM; $plain_cat >/dev/null; echo x >$work/ready; while :; do sleep 0.05; done" \
		>"$work/out" 2>"$work/err" </dev/null &
	pid=$!
	until_true 10 [ -s "$work/ready" ]
	kill -TERM $pid
	until_true 3 ended $pid || kill -KILL $pid
	wait $pid 2>/dev/null
	equal "a program that traps SIGTERM: status" 5 $?
	equal "a program that traps SIGTERM: output" trapped "$(cat "$work/out")"
}

ended() { ! grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null; }

orphans() {
	within 10 "$RT" "${options[@]}" -- busybox sh -c "(sleep 0.5; cat $T/hello.txt > $T/orphan) & exit 7" >"$work/out" 2>&1
	equal "an orphan: the first program's status" 7 $?
	equal "an orphan is followed to its end" "Hello, world" "$(cat "$T/orphan" 2>&1)"
	within 10 "$RT" "${options[@]}" -- busybox sh -c "busybox setsid busybox sh -c 'sleep 0.3; $plain_cat > $T/daemon' & exit 0"
	equal "a daemon is followed to its end" "Hello, world" "$(cat "$T/daemon" 2>&1)"
	equal "fifty short children" 50 "$(within 20 "$RT" "${options[@]}" -- \
		busybox sh -c "for i in \$(busybox seq 50); do $plain_cat & done; wait" 2>&1 | grep -c Hello)"
	equal "nested" "Hello, world" "$(within 10 "$RT" "${options[@]}" -- busybox sh -c "busybox sh -c 'busybox sh -c \"$plain_cat\"'" 2>&1)"
}

# The masks that a program starts with, run by the command given, without signals 32 and 33: these are the
# C library's own, which takes them out of reach as it likes.
masks() {
	"$@" busybox grep -E '^Sig(Blk|Ign):' /proc/self/status | while read -r key mask; do
		printf '%s %x\n' "$key" $((0x$mask & ~0x180000000))
	done
}

input_output() {
	equal "stdin is the program's" "typed" "$(echo typed | within 10 "$RT" "${options[@]}" -- busybox cat)"
	equal "what it does not read is left" "two" "$(printf 'one\ntwo\n' | { within 10 "$RT" "${options[@]}" -- busybox sh -c 'read x'; busybox cat; })"
	within 10 "$RT" "${options[@]}" -- busybox sh -c "while :; do echo y; done" 2>"$work/err" | head -1 >"$work/out"
	equal "a closed pipe ends it" "y" "$(cat "$work/out")"
	within 10 "$RT" "${options[@]}" -- busybox cat "$T/sizes/s3145745" 2>"$work/err" | sha1sum >"$work/out"
	equal "3 MiB through a pipe" "$(sha1sum <"$T/sizes/s3145745")" "$(cat "$work/out")"
	equal "the environment is untouched" "" "$(diff <(env -i A=1 B=2 busybox env | sort) <(env -i A=1 B=2 "$RT" "${options[@]}" -- busybox env | sort))"
	equal "the working directory" "$T/dir" "$(cd "$T/dir" && within 10 "$RT" "${options[@]}" -- busybox pwd)"
	equal "a file of it by relative path" "in dir" "$(cd "$T/dir" && within 10 "$RT" "${options[@]}" -- busybox cat file 2>&1)"
	equal "the umask" "0027" "$(umask 027; within 10 "$RT" "${options[@]}" -- busybox sh -c umask)"
	equal "no descriptors leak in" "$(busybox sh -c 'busybox ls /proc/self/fd' </dev/null)" \
		"$(within 10 "$RT" "${options[@]}" -- busybox sh -c 'busybox ls /proc/self/fd' </dev/null)"
	equal "blocked and ignored signals" "$(masks)" "$(masks "$RT" "${options[@]}" --)"
}

# typed NAME MODE WANTED COMMAND: a person at a terminal sees the same natively and traced, WANTED in it.
typed() {
	local native traced
	native=$(within 40 "$PYTHON" "$HERE/e2e/terminal" "$2" busybox sh -c "$4" 2>&1)
	traced=$(within 40 "$PYTHON" "$HERE/e2e/terminal" "$2" "$RT" "${options[@]}" -- busybox sh -c "$4" 2>&1)
	grep -qx "$3" <<<"$native" || fail "$1, natively" "$native"
	equal "$1" "$native" "$traced"
}

terminals() {
	typed "Ctrl-C" ctrl-c "status 130" "cat $T/hello.txt; echo started; sleep 20"
	typed "Ctrl-C while it reads the target" ctrl-c "status 130" "echo started; while :; do cat $T/sizes/s4096 > /dev/null; done"
	typed "Ctrl-C that is trapped" ctrl-c "status 9" "trap 'exit 9' INT; cat $T/hello.txt; echo started; while :; do sleep 0.05; done"
	typed "the terminal" tty terminal "busybox tty | sed s/[0-9].*//; busybox stty size; test -t 0 && echo terminal"
	if have bash; then
		# Typed into an interactive bash, so quoted once more.
		typed "Ctrl-Z and fg" ctrl-z "status 7" "'cat $T/hello.txt; echo started; read x; echo got \$x; exit 7'"
	else
		skip "Ctrl-Z and fg" bash
	fi
}

threads() {
	equal "200 threads" "200 threads, 200 good" "$(within 30 "$RT" "${options[@]}" -- "$GUESTS/race/threads" "$T" 200 5 2>&1)"
	equal "exec from a thread" "after exec: Hello, world" "$(within 10 "$RT" "${options[@]}" -- "$GUESTS/race/execthread" "$T" 2>&1)"
}

statuses
to_supervisor
orphans
input_output
terminals
threads
