#!/bin/bash
# unix:PATH and tcp:HOST:PORT with a container's process behind them. Who is let in and what is said otherwise: e2e/listen.sh.
. "$(dirname "$0")/lib.sh"
needs "unix: and tcp: targets" busybox

T=$work/t
make_tree "$T"
token=$work/token
(umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$token")
head -c 32 /dev/zero | tr '\0' x >"$work/other"
chmod 600 "$work/other"
cp "$token" "$work/readable"
chmod 644 "$work/readable"

serve() {
	"$AGENT" --listen "$1" --root / --token-file "$token" 2>"$work/agent.err" </dev/null &
	agent=$!
	until_true 5 grep -q "listening on" "$work/agent.err" || fail "an agent listens on $1" "$(cat "$work/agent.err")"
	at=$(sed -n 's/^remotefs-agent: listening on //p' "$work/agent.err")
}

with() {
	local file=$1
	shift
	within 30 "$RT" --token-file "$file" --mode write --mount "$T=$at:$T" -- "$@" </dev/null
}

check() {
	local guest want got name=$1
	for guest in go/walk go/mutate musl/rename; do
		[ -x "$GUESTS/$guest" ] || { skip "$name: $guest" "${guest%/*}"; continue; }
		make_tree "$T"
		want=$("$GUESTS/$guest" "$T" 2>&1; echo $?; contents "$T")
		make_tree "$T"
		got=$(with "$token" "$GUESTS/$guest" "$T" 2>&1; echo $?; contents "$T")
		if [ "$want" = "$got" ]; then pass "$name: $guest"; else fail "$name: $guest" "$(diff <(echo "$want") <(echo "$got"))"; fi
	done
	make_tree "$T"
	one_line "$name: a wrong token" "the token is wrong" with "$work/other" busybox true
	one_line "$name: a token that everybody can read" "open to everybody" with "$work/readable" busybox true
	one_line "$name: a token file that is not there" "No such file" with "$work/none" busybox true
	one_line "$name: no token" "set REMOTEFS_TOKEN" within 30 "$RT" --mount "$T=$at:$T" -- busybox true
	equal "$name: afterwards the right one" "Hello, world 5" "$(echo $(with "$token" busybox sh -c "cat $T/hello.txt; exit 5" 2>&1; echo $?))"
}

for address in "unix:$work/socket" tcp:127.0.0.1:0; do
	serve "$address"
	check "${address%%:*}:"
	kill $agent
	wait $agent 2>/dev/null
done
ended sockets
