#!/bin/bash
# FIFOs and sockets in a remote tree: shells, asyncio and socat, with one end here and the other at the target.
. "$(dirname "$0")/../lib.sh"

trace() { within 60 "$RT" --mode write --mount "$T=dir//:$T" "$@"; }

shells() {
	same "two ends of a FIFO" 'cd $T; mkfifo p; (echo one; echo two) > p & cat p; wait'
	same "a shell reads lines" 'cd $T; mkfifo p; printf "a\nb\nc\n" > p & while read l; do echo "got $l"; done < p; wait'
	same "a new reader for each line" 'cd $T; mkfifo p; exec 5<>p; printf "a\nb\nc\n" >&5; for i in 1 2 3; do read l < p; echo $l; done'
	same "a FIFO without a name as a semaphore" \
		'cd $T; mkfifo p; exec 6<>p; rm p; echo >&6; for i in 1 2 3; do (read x <&6; echo in; echo >&6) & done; wait'
	same "megabytes through redirections" 'cd $T; mkfifo p; (head -c 3000000 /dev/zero | tr "\0" x > p) & md5sum < p; wait'
	same "megabytes by name" 'cd $T; mkfifo p; head -c 3000000 /dev/zero | tr "\0" y | tee p > /dev/null & md5sum p; wait'
	same "a reader that goes" 'cd $T; mkfifo p; (while echo y; do :; done > p) 2>/dev/null & head -n 2 < p; wait; echo ended'
	same "kept together" \
		'cd $T; mkfifo p; exec 9<>p; for c in a b c d; do (i=0; while [ $i -lt 40 ]; do printf "%099d$c\n" 0; i=$((i+1)); done > p) & done; head -n 160 < p | sort | uniq -c | sed "s/^ *//"; wait'
}

# Nothing that nobody asked for is taken from a FIFO that somebody at the target reads, too.
shared_reader() {
	local mine
	mkfifo "$T/shared"
	exec 7<>"$T/shared"
	printf 'first\nsecond\nthird\n' >&7
	equal "a reader here takes its line" first "$(trace -- bash -c "read l < $T/shared; echo \$l" 2>&1)"
	read -r -t 5 mine <&7
	equal "and leaves the next to a reader there" second "$mine"
	equal "by name, what one read asks for" third "$(trace -- busybox dd if="$T/shared" bs=6 count=1 2>/dev/null)"
	exec 7>&-
}

outside() {
	mkfifo "$T/in" "$T/out"
	(printf 'from there\n' >"$T/in") &
	equal "a writer at the target" "from there" "$(trace -- busybox cat "$T/in" 2>&1)"
	cat "$T/out" >"$work/got" &
	trace -- busybox sh -c "printf 'from here\n' > $T/out"
	wait
	equal "a reader at the target" "from here" "$(cat "$work/got")"
	# Whoever waits for another end can be killed, and leaves nothing behind at the target.
	within 1 "$RT" --mode write --mount "$T=dir//:$T" -- busybox cat "$T/in" 2>/dev/null
	equal "killed while it waits to be opened" "" "$(ours)"
}

wait_for() {
	local i
	for i in $(seq 200); do
		[ ! -S "$1" ] || return 0
		sleep 0.05
	done
	fail "no socket $1"
}

sockets() {
	local server
	"$PYTHON" "$HERE/e2e/unixecho.py" serve "$T/there" >/dev/null &
	server=$!
	wait_for "$T/there"
	equal "asyncio clients of a server at the target" 408 "$(trace -- "$PYTHON" "$HERE/e2e/unixecho.py" ask "$T/there" 8 2>&1)"
	trace -- "$PYTHON" "$HERE/e2e/unixecho.py" pass "$T/there" >"$work/out" 2>"$work/err"
	equal "bytes that a descriptor was sent with" "WITH IT" "$(cat "$work/out")"
	equal "that it is lost is said, once" 1 "$(grep -c 'SCM_RIGHTS' "$work/err")"
	equal "a read-only mount lets connect pass" 51 \
		"$(within 20 "$RT" --mount "$T=dir//:$T" -- "$PYTHON" "$HERE/e2e/unixecho.py" ask "$T/there" 1 2>&1)"
	kill $server
	wait $server 2>/dev/null

	"$RT" --mode write --mount "$T=dir//:$T" -- "$PYTHON" "$HERE/e2e/unixecho.py" serve "$T/here" >"$work/out" 2>&1 &
	server=$!
	wait_for "$T/here"
	equal "clients at the target of an asyncio server here" 408 "$(within 30 "$PYTHON" "$HERE/e2e/unixecho.py" ask "$T/here" 8 2>&1)"
	equal "a server and its clients under two supervisors" 102 "$(trace -- "$PYTHON" "$HERE/e2e/unixecho.py" ask "$T/here" 2 2>&1)"
	equal "the server knows its name" "named True" "$(cat "$work/out")"
	kill $server
	wait $server 2>/dev/null
	equal "the name stays when the server has gone" "socket" "$(stat -c %F "$T/here")"
	out=$(within 20 "$RT" --mode read --mount "$T=dir//:$T" -- "$PYTHON" "$HERE/e2e/unixecho.py" serve "$T/new" 2>&1)
	grep -q 'Errno 30' <<<"$out" && pass "bind in a read-only mount is EROFS" || fail "bind in a read-only mount is EROFS" "$out"
	equal "and makes nothing" "" "$(ls "$T/new" 2>/dev/null)"
}

# The last bytes of a program that ends at once are not lost, and a slow peer holds it back.
last_bytes() {
	if ! have socat; then
		skip "megabytes to a slow peer" socat
		return
	fi
	socat -u "UNIX-LISTEN:$T/sink" "SYSTEM:sleep 1; md5sum > $work/sum" &
	wait_for "$T/sink"
	head -c 20000000 /dev/zero | trace -- socat -u - "UNIX-CONNECT:$T/sink"
	wait
	equal "megabytes to a slow peer" "$(head -c 20000000 /dev/zero | md5sum)" "$(cat "$work/sum")"
}

shells
T=$work/t
make_tree "$T"
shared_reader
outside
sockets
last_bytes
