#!/bin/bash
# The clock may be set by an hour while programs run: nobody waits by it.
. "$(dirname "$0")/../lib.sh"

if ! have strace; then
	skip "no wait is by the clock that can be set" strace
	finish
fi
T=$work/t
mkdir "$T"
mkfifo "$T/fifo"
seq 100 >"$T/file"

# By a look at how both wait, as no test may set the machine's clock.
cat >"$work/program" <<END
touch $work/begun
until [ -e $work/go ]; do sleep 0.1; done
(sleep 0.5; echo written >$T/fifo) &
cat $T/fifo
(exec 9>>$T/lock; flock 9; sleep 0.5) &
sleep 0.2
(exec 9>>$T/lock; flock 9) && echo locked
for i in 1 2 3 4 5; do cat $T/file $T/file >$T/copy.\$i & done
wait
timeout 0.3 cat $T/fifo
$GUESTS/glibc/aio $T >/dev/null
END
within 60 "$RT" --mode write --mount "$T=exec:strace -f -e trace=futex,clock_nanosleep -o $work/agent.log $AGENT --stdio --root $T" -- \
	bash "$work/program" >"$work/out" 2>"$work/err" </dev/null &
until_true 20 [ -e "$work/begun" ]
supervisor=$(pgrep -f "^[^ ]*/remotefs-trace .*--mode write --mount $T=" | head -n 1)
strace -f -p "$supervisor" -e trace=futex,clock_nanosleep -o "$work/tracer.log" 2>"$work/strace" &
until_true 10 grep -q attached "$work/strace"
touch "$work/go"
wait %1
equal "the program runs under strace" "written"$'\n'"locked" "$(cat "$work/out" "$work/err")"
for side in agent tracer; do
	# Without a time nothing is waited for by a clock.
	timed=$(grep -E 'FUTEX_WAIT|clock_nanosleep' "$work/$side.log" | grep -cv NULL)
	[ "$timed" -gt 0 ] && pass "the $side waits by some clock" || fail "the $side waits by some clock"
	equal "the $side does not wait by the clock that can be set" "" "$(grep -v NULL "$work/$side.log" | grep -m 5 CLOCK_REALTIME)"
done
finish
