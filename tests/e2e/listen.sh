#!/bin/bash
# Agents that listen: who is let in, who is not, and what either end says when it goes wrong.
. "$(dirname "$0")/../lib.sh"

T=$work/t
make_tree "$T"
token=$work/token
(umask 077; od -An -N16 -tx1 /dev/urandom | tr -d ' ' >"$token")
export REMOTEFS_TOKEN=$(cat "$token")
other=not-the-token-of-this-agent

# listening NAME ADDRESS [OPTION…]: starts an agent; $pid is it, $at where it is, $work/NAME.err what it says.
listening() {
	local name=$1 address=$2
	shift 2
	"$AGENT" --listen "$address" "$@" 2>"$work/$name.err" </dev/null &
	pid=$!
	until_true 5 grep -q "listening on" "$work/$name.err" || fail "an agent listens on $address" "$(cat "$work/$name.err")"
	at=$(sed -n 's/^remotefs-agent: listening on //p' "$work/$name.err")
}

run() { within 30 "$RT" --mode write --mount "$T=$at:$T" -- "$@" 2>&1 </dev/null; }

# refused NAME STATUS WHO TEXT COMMAND…: ends with that status and one line, which WHO says and TEXT is in.
refused() {
	local name=$1 want=$2 who=$3 text=$4 status
	shift 4
	within 20 "$@" >"$work/refused" 2>&1 </dev/null
	status=$?
	if [ $status -ne "$want" ] || [ "$(wc -l <"$work/refused")" -ne 1 ] || ! grep -q "^$who: .*$text" "$work/refused"; then
		fail "$name" "wanted $want and one line of $who with: $text" "got $status:" "$(cat "$work/refused")"
	else
		pass "$name"
	fi
}

# unreached NAME TEXT [TARGET]: a run that does not come to its target.
unreached() { refused "$1" 125 remotefs-trace "$2" "$RT" --mount "$T=${3:-$at}" -- busybox true; }

# served NAME [FILE]: the agent at $at serves.
served() { equal "$1" "Hello, world" "$(run busybox cat "$T/hello.txt")"; }

# alone PID: all of its children have ended and are reaped.
alone() { [ -z "$(ps -o pid= --ppid "$1")" ]; }

# Peers that are written for the purpose: peer HOW COUNT ADDRESS. They say "ready" and stay until their standard input ends.
cat >"$work/peer.py" <<'END'
import hashlib, hmac, os, socket, sys
how, count, address = sys.argv[1], int(sys.argv[2]), sys.argv[3]
token = os.environ["REMOTEFS_TOKEN"].encode()
def dial():
    if address.startswith("unix:"):
        s = socket.socket(socket.AF_UNIX)
        s.connect(address[5:])
    else:
        host, _, port = address[4:].rpartition(":")
        s = socket.create_connection((host.strip("[]"), int(port)))
    s.settimeout(20)
    return s
def proof(side, c, a):
    return hmac.new(token, side + c + a, hashlib.sha256).digest()
def receive(s, n):
    data = b""
    while len(data) < n:
        piece = s.recv(n - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
def prove(s):
    c = os.urandom(32)
    s.sendall(b"RFSAUTH1" + c)
    challenge = receive(s, 72)
    a = challenge[8:40]
    assert challenge[40:] == proof(b"agent", c, a)
    s.sendall(proof(b"client", c, a))
    assert receive(s, 1) == b"\1"
all = []
for i in range(count):
    s = dial()
    try:
        if how == "garbage":
            s.sendall(os.urandom(1 + i * 97))
            s.shutdown(socket.SHUT_WR)
            while s.recv(4096):
                pass
        elif how == "prove":
            prove(s)
        elif how == "frames":
            prove(s)
            s.sendall(os.urandom(1000))
            while s.recv(4096):
                pass
    except (OSError, EOFError):
        pass
    all.append(s)
print("ready", flush=True)
sys.stdin.read()
END
# peer HOW COUNT: returns when they are there; peer_end ends them.
peer() {
	rm -f "$work/hold"
	mkfifo "$work/hold"
	"$PYTHON" "$work/peer.py" "$1" "$2" "$at" <"$work/hold" >"$work/peer.out" 2>&1 &
	peer=$!
	exec 8>"$work/hold"
	until_true 20 grep -q ready "$work/peer.out" || fail "peers: $1" "$(cat "$work/peer.out")"
}
peer_end() {
	exec 8>&-
	wait $peer
}

# silent NAME: nobody takes the connection that the kernel accepts. In the background, since it takes its time.
silence() {
	"$PYTHON" -c 'import socket, time
s = socket.create_server(("127.0.0.1", 0))
print("tcp:127.0.0.1:%d" % s.getsockname()[1], flush=True)
time.sleep(60)' >"$work/silent.at" &
	until_true 5 test -s "$work/silent.at"
	within 30 "$RT" --mount "$T=$(cat "$work/silent.at")" -- busybox true >"$work/silent.out" 2>&1
	echo "$?" >>"$work/silent.out"
}

both_ways() {
	local address
	make_tree "$T"
	for address in "unix:$work/s" tcp:127.0.0.1:0 'tcp:[::1]:0'; do
		[ "$address" != 'tcp:[::1]:0' ] || [ -e /proc/net/if_inet6 ] || { skip "IPv6" "the machine's IPv6"; continue; }
		listening one "$address" --root / --token-file "$token"
		served "$address: cat"
		equal "$address: a walk" "$("$WALK" "$T" 2>&1 | sha1sum)" "$(run "$WALK" "$T" | sha1sum)"
		equal "$address: writing" "written" "$(run busybox sh -c "echo written >$T/new" && cat "$T/new")"
		make_tree "$T"
		equal "$address: the token is not the program's" "" "$(run busybox sh -c 'echo $REMOTEFS_TOKEN')"
		kill $pid
		wait $pid
		equal "$address: SIGTERM ends it" 0 $?
		equal "$address: it said one line" 1 "$(wc -l <"$work/one.err")"
	done
	[ ! -e "$work/s" ]
	equal "SIGTERM removes the socket" 0 $?
}

tokens() {
	listening tokens "unix:$work/s" --root /
	equal "the environment's token is wiped" 0 "$(tr '\0' '\n' <"/proc/$pid/environ" | grep -c "$REMOTEFS_TOKEN")"
	equal "the socket is its owner's" 600 "$(stat -c %a "$work/s")"
	served "the environment's token"
	REMOTEFS_TOKEN=$other unreached "a wrong token" "the token is wrong: the agent did not prove that it knows it"
	REMOTEFS_TOKEN=short unreached "a short token" "less than 16 bytes"
	(unset REMOTEFS_TOKEN; unreached "no token" "set REMOTEFS_TOKEN")
	served "afterwards the right one"
	equal "the agent tells of the wrong one" "remotefs-agent: a client went before it had proved that it knows the token; is its own another one?" \
		"$(sed 1d "$work/tokens.err")"
	kill $pid
	wait $pid
}

bad_agents() {
	(unset REMOTEFS_TOKEN; refused "--listen without a token" 2 remotefs-agent "needs a token" "$AGENT" --listen "unix:$work/s" --root /)
	REMOTEFS_TOKEN=short refused "--listen with a short token" 2 remotefs-agent "less than 16 bytes" "$AGENT" --listen "unix:$work/s" --root /
	cp "$token" "$work/open"
	chmod 644 "$work/open"
	refused "a token file that everybody can read" 2 remotefs-agent "open to everybody" "$AGENT" --listen "unix:$work/s" --root / --token-file "$work/open"
	refused "a token file that is not there" 125 remotefs-agent "No such file" "$AGENT" --listen "unix:$work/s" --root / --token-file "$work/none"
	refused "--listen and --stdio" 2 remotefs-agent "either --stdio or --listen" "$AGENT" --listen "unix:$work/s" --stdio --root /
	refused "neither" 2 remotefs-agent "either --stdio or --listen" "$AGENT" --root /
	refused "--token-file with --stdio" 2 remotefs-agent "is for --listen" "$AGENT" --stdio --root / --token-file "$token"
	refused "an address that is none" 2 remotefs-agent "unix:PATH and tcp:HOST:PORT" "$AGENT" --listen 7000 --root /
	refused "a host that is none" 2 remotefs-agent "no address of this machine" "$AGENT" --listen tcp:example.invalid:0 --root /
	refused "a path that is no socket" 125 remotefs-agent "is no socket" "$AGENT" --listen "unix:$work/open" --root /
	refused "a root that is not there" 125 remotefs-agent "No such file" "$AGENT" --listen "unix:$work/s" --root "$work/none"
	equal "leaves no socket" "" "$(ls "$work" | grep '^s$')"
}

bad_targets() {
	local name
	refused "no port" 2 remotefs-trace "names no port" "$RT" --mount "$T=tcp:host" -- busybox true
	refused "no port of --target" 2 remotefs-trace "names no port" "$RT" --target tcp:host -- busybox true
	refused "no path" 2 remotefs-trace "names no socket" "$RT" --mount "$T=unix:" -- busybox true
	refused "port 0" 2 remotefs-trace "port 0" "$RT" --mount "$T=tcp:host:0" -- busybox true
	unreached "nobody listens on a port" "connection refused: is remotefs-agent --listen running there?" tcp:127.0.0.1:1
	unreached "no such socket" "no such socket: is remotefs-agent --listen running there?" "unix:$work/none"
	unreached "a name that nobody has" "cannot be resolved" tcp:no-such-host.invalid:7000
}

sockets() {
	listening first "unix:$work/s" --root /
	refused "where another one listens" 125 remotefs-agent "somebody listens there" "$AGENT" --listen "unix:$work/s" --root /
	served "which is not disturbed"
	kill -KILL $pid
	wait $pid 2>/dev/null
	unreached "a socket that is left over" "connection refused"
	listening second "unix:$work/s" --root /
	served "is replaced"
	rm "$work/s"
	touch "$work/s"
	kill $pid
	wait $pid
	equal "what is not its own stays" "$work/s" "$(ls "$work/s")"
	rm "$work/s"
	listening port tcp:127.0.0.1:0 --root /
	refused "a port that is taken" 125 remotefs-agent "in use" "$AGENT" --listen "$at" --root /
	kill $pid
	wait $pid
}

others() {
	local slow status
	listening others tcp:127.0.0.1:0 --root /
	# One that works all the time, and one that begins meanwhile.
	run busybox sh -c "touch $work/begun; until [ -e $T/second ]; do cat $T/hello.txt >/dev/null || exit 1; done; cat $T/second" >"$work/slow" &
	slow=$!
	until_true 10 test -e "$work/begun"
	peer garbage 40
	peer_end
	peer frames 3
	served "beside others' garbage"
	peer_end
	run busybox sh -c "echo second >$T/s; mv $T/s $T/second"
	wait $slow
	status=$?
	equal "nobody was disturbed" "0 second" "$status $(cat "$work/slow")"
	# Without a token one gets nothing, however often; with it, one gets one of 64 places.
	peer silent 100
	served "beside a hundred that say nothing"
	peer_end
	peer prove 64
	unreached "the 65th client" "it ended the connection at once"
	peer_end
	until_true 5 alone $pid
	served "when they have gone"
	until_true 5 alone $pid
	equal "all children are reaped" 0 $?
	kill $pid
	wait $pid
}

endings() {
	local client status keeper
	listening ends "unix:$work/s" --root /
	run busybox sh -c "cat $T/hello.txt; touch $work/one; until [ -e $work/again ]; do sleep 0.05; done; cat $T/hello.txt" >"$work/killed" &
	client=$!
	until_true 10 test -e "$work/one"
	keeper=$(pgrep -P $pid)
	kill -KILL $keeper $(pgrep -P $keeper)
	touch "$work/again"
	wait $client
	status=$?
	equal "an agent that is killed, with its keeper: status" 0 $status
	equal "one line" 1 "$(grep -c "^remotefs-trace: unix:$work/s: the agent has ended, and another one has taken its place" "$work/killed")"
	equal "and nothing else" "Hello, world"$'\n'"Hello, world" "$(grep -v ^remotefs-trace "$work/killed")"
	served "the others are served"
	run busybox sh -c "touch $work/two; until [ -e $work/go ]; do sleep 0.05; done; cat $T/hello.txt" >"$work/stays" &
	client=$!
	until_true 10 test -e "$work/two"
	kill $pid
	wait $pid
	unreached "after SIGTERM nobody is let in" "no such socket"
	touch "$work/go"
	wait $client
	status=$?
	equal "who is in stays" "0 Hello, world" "$status $(cat "$work/stays")"
}

kinds() {
	listening ro "unix:$work/s" --root "$T" --read-only
	equal "--read-only" "sh: can't create $T/x: Read-only file system" \
		"$(within 30 "$RT" --mode write --mount "$T=$at" -- busybox sh -c "echo >$T/x" 2>&1)"
	kill $pid
	wait $pid
	env -i LISTENED=to "RFS_TEST_ID=$RFS_TEST_ID" sleep 60 &
	beside=$!
	until_true 5 grep -qx sleep "/proc/$beside/comm"
	listening process "unix:$work/s" --process $beside
	served "--process"
	equal "its environment" to "$(within 30 "$RT" --target "$at" --mode local --env-include LISTENED -- busybox sh -c 'echo $LISTENED' 2>&1)"
	kill $pid
	wait $pid
}

WALK=$GUESTS/go/walk
[ -x "$WALK" ] || WALK=$GUESTS/glibc/dirs
silence &
silent=$!
both_ways
tokens
bad_agents
bad_targets
sockets
others
endings
kinds
wait $silent
equal "one that says nothing" "remotefs-trace: $(cat "$work/silent.at"): no answer within 10 s
125" "$(cat "$work/silent.out")"
kill $(running) 2>/dev/null
gone "nothing is left" 3
