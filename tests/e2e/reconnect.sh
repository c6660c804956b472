#!/bin/bash
# Connections that break: the program waits and goes on, nothing is lost, and nothing is done twice.
. "$(dirname "$0")/../lib.sh"

T=$work/t
mkdir "$T"
. "$HERE/e2e/once"
export REMOTEFS_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' ')
"$AGENT" --listen "unix:$work/agent" --root / 2>"$work/agent.err" </dev/null &
listening=$!
until_true 5 [ -S "$work/agent" ] || fail "an agent listens" "$(cat "$work/agent.err")"
"$GUESTS/cutrelay" "$work/relay" "$work/agent" </dev/null &
relay=$!
until_true 5 [ -S "$work/relay" ] || fail "the relay listens"

# run OPTIONS -- COMMAND: through the relay; its end is in $work/status.
run() {
	within 60 "$RT" --mode write --mount "$T=unix:$work/relay:$T" "$@" >"$work/out" 2>"$work/err" </dev/null
	echo $? >"$work/status"
}

# cutting LOW HIGH: once the program has begun, cuts the connection again and again, after some milliseconds between the two.
cutting() {
	until_true 20 [ -e "$T/log" ]
	while kill -USR1 $relay; do
		sleep "0.$(printf %03d $((RANDOM % ($2 - $1) + $1)))"
	done
}

# Each of these is wrong when it is done twice, or not at all.
cat >"$work/program" <<END
$(once_lines ">$T/log")
$(once_names 200)
md5sum <$T/big
END
cutting 20 120 &
cutter=$!
run -- busybox sh "$work/program"
kill $cutter
wait $cutter 2>/dev/null
once_check
equal "nothing is said of short interruptions" "" "$(cat "$work/err")"

# A lock is kept by the agent; the program learns of the end of its wait, too.
: >"$T/lock"
cat >"$work/locker" <<END
exec 9>>$T/lock
flock -w 20 9 && echo locked
sleep 1
flock -n $T/lock true 2>/dev/null && echo "not mine"
echo done
END
flock "$T/lock" sleep 1.5 &
run -- bash "$work/locker" &
sleep 0.7
kill -USR1 $relay
sleep 1.5
kill -USR1 $relay
flock -n "$T/lock" true && fail "the lock is held over an interruption" || pass "the lock is held over an interruption"
wait %% 2>/dev/null
until_true 10 [ -s "$work/status" ]
equal "a wait for a lock ends over an interruption" "locked"$'\n'"done" "$(cat "$work/out")"

# A longer one is said, once, and its end.
(sleep 0.5; kill -USR2 $relay; sleep 2.5; kill -USR2 $relay) &
rm -f "$work/status"
run -- busybox sh -c "for i in 1 2 3 4 5 6 7 8; do echo \$i >>$T/slow; sleep 0.2; done; cat $T/slow"
equal "it goes on after 2.5 s" "$(seq 8)" "$(cat "$work/out")"
equal "one line says that it broke" 1 "$(grep -c "relay: the connection broke (.*); it is made anew for at most 60 s, and the program waits$" "$work/err")"
equal "one line says that it is there again" 1 "$(grep -c "relay: the connection is there again" "$work/err")"
equal "no other" 2 "$(wc -l <"$work/err")"

# An agent that is stopped just then answers later; it is not gone.
serving() { pgrep -f -x "$AGENT --listen unix:$work/agent --root /" | grep -vx $listening; }
(sleep 0.5; stopped=$(serving); kill -STOP $stopped; kill -USR1 $relay; sleep 5; kill -CONT $stopped) &
run -- busybox sh -c "for i in 1 2 3 4 5 6 7 8; do echo \$i >>$T/stopped; sleep 0.2; done; cat $T/stopped"
equal "a stopped agent is waited for" "$(seq 8)" "$(cat "$work/out")"
wait %% 2>/dev/null

# What leads there may be away, too.
(sleep 0.5; mv "$work/relay" "$work/moved"; kill -USR1 $relay; sleep 1; mv "$work/moved" "$work/relay") &
run -- busybox sh -c "for i in 1 2 3 4 5 6 7 8; do echo \$i >>$T/moved; sleep 0.2; done; cat $T/moved"
equal "a socket that is not there is waited for" "$(seq 8)" "$(cat "$work/out")"
wait %% 2>/dev/null

# Not for ever.
(sleep 0.5; kill -USR2 $relay; sleep 6; kill -USR2 $relay) &
run --reconnect-timeout 2 -- busybox sh -c "while :; do echo x >>$T/never; done"
equal "given up after --reconnect-timeout" 125 "$(cat "$work/status")"
equal "one line says why" 1 "$(grep -c "relay: lost the agent (.*): the program is killed$" "$work/err")"
wait %% 2>/dev/null
sleep 1
run --reconnect-timeout 0 -- busybox sh -c "kill -USR1 $relay; while :; do echo x >>$T/never; done"
equal "--reconnect-timeout 0: at once" 125 "$(cat "$work/status")"

# An end that is as it should be is no loss.
for i in 1 2 3 4 5 6 7 8; do
	within 30 "$RT" --mode write --mount "$T=exec:echo >>$work/starts; exec $AGENT --stdio --root $T" -- busybox true </dev/null
done
equal "an agent that said goodbye is not started again" 8 "$(wc -l <"$work/starts")"

# The agent forgets a client that does not come again.
until_true 8 sh -c "! fuser -s $T/never" || true
equal "nobody but the listening one is left" 1 "$(for p in $(ours); do tr '\0' '\n' <"/proc/$p/cmdline" | head -n 1; done | grep -c "$AGENT")"
kill $relay
finish
