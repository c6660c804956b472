#!/bin/bash
# Real containers behind an API server that is none: the streams of newer kubectls, ephemeral containers as they are since 1.23, and servers
# that do wrong. It needs root, and the bench that ../shared/k8s or K8S_BENCH has.
. "$(dirname "$0")/../lib.sh"

BENCH=$(realpath -m "${K8S_BENCH:-$HERE/../../shared/k8s}")/stub
SDK=/usr/lib/google-cloud-sdk/bin
ROOT=$(realpath "$HERE/..")
VERSION=$("$RT" --version | cut -d' ' -f2)

# What the bench needs that is not here; nothing if all is.
missing() {
	local tool
	[ "$(id -u)" = 0 ] || { echo root; return; }
	[ -r "$BENCH/stub.js" ] || { echo "$BENCH"; return; }
	for tool in dockerd docker containerd runc busybox node npm gcc; do
		have $tool || { echo "the program $tool"; return; }
	done
	[ -x "$OLD" ] && [ -x "$NEW" ] || { echo "kubectl of 1.28 and of 1.30 or later"; return; }
	timeout 30 npm view spdy-transport version >/dev/null 2>&1 || echo "a registry of npm's packages that answers"
}

OLD=$SDK/kubectl.1.28 NEW=
for k in $SDK/kubectl.1.32 $SDK/kubectl.1.3[0-9] "$(command -v kubectl)"; do
	[ -n "$NEW" ] || [ ! -x "$k" ] || NEW=$k
done
why=$(missing)
[ -z "$why" ] || { skip "containers behind a stub API server" "$why"; exit 0; }

# ---- the bench

D=$(mktemp -d "${TMPDIR:-/tmp}/rfs-s.XXXXXX")
down() {
	[ ! -s "$D/b/second.pid" ] || kill "$(cat "$D/b/second.pid")" 2>/dev/null
	[ ! -d "$D/b" ] || sh "$D/src/down" "$D/b" >"$work/down.log" 2>&1
	rm -rf "$D"
	finish
}
trap down EXIT

export HOME=$work/home
mkdir "$HOME"

# A pod whose container is user 1000's as well; the server is started again with it.
add_pod() {
	local id
	mkdir -m 1777 "$D/tmp"
	chmod 1777 "$D/tmp"
	id=$(docker run -d --network=none --user 1000:1000 -v "$D/tmp:/tmp" -e ROLE=own bb:1 /bin/sleep 100000)
	kill "$(cat "$D/b/stub.pid")"
	rm "$D/b/stub.pid"
	"$PYTHON" - "$D/b/config.json" "$id" <<-'END'
		import json, sys
		c = json.load(open(sys.argv[1]))
		c["pods"]["own"] = {"labels": {"app": "own"}, "containers": {"app": {"id": "docker://" + sys.argv[2], "cid": sys.argv[2],
		                    "exec": ["docker", "exec", "-i", sys.argv[2]]}}}
		# As in a cluster, what is to be run replaces the image's entry point.
		c["debug"]["run"].insert(2, "--entrypoint=")
		json.dump(c, open(sys.argv[1], "w"))
	END
	rm -f "$D/b/port"
	env -u RFS_TEST_ID setsid node "$D/b/stub/stub.js" "$D/b/config.json" >"$D/b/second.out" 2>&1 </dev/null &
	echo $! >"$D/b/second.pid"
	until_true 10 test -s "$D/b/port" || fail "the stub starts again" "$(cat "$D/b/second.out")"
	kubeconfig http "$(cat "$D/b/port")" "$KUBECONFIG"
}

# kubeconfig SCHEME PORT FILE
kubeconfig() {
	cat >"$3" <<-END
		{"apiVersion": "v1", "kind": "Config", "current-context": "s", "users": [{"name": "u", "user": {}}],
		 "clusters": [{"name": "s", "cluster": {"server": "$1://127.0.0.1:$2"}}],
		 "contexts": [{"name": "s", "context": {"cluster": "s", "namespace": "default", "user": "u"}}]}
	END
}

build_image() {
	mkdir "$work/context"
	cp "$AGENT" "$work/context/remotefs-agent"
	strip "$work/context/remotefs-agent" 2>/dev/null
	if DOCKER_BUILDKIT=0 within 60 docker build -t "remotefs-agent:$VERSION" -f "$ROOT/deploy/Containerfile" "$work/context" >"$work/build.log" 2>&1; then
		pass "Containerfile makes an image"
	else
		fail "Containerfile makes an image" "$(tail -5 "$work/build.log")"
	fi
	equal "it runs" "remotefs-agent $VERSION" "$(docker run --rm --network=none "remotefs-agent:$VERSION" --version 2>&1)"
}

up() {
	cp -r "$BENCH" "$D/src"
	if ! env -u RFS_TEST_ID sh "$D/src/up" "$D/b" >"$work/up.log" 2>&1; then
		fail "the bench comes up" "$(tail -8 "$work/up.log")"
		exit 1
	fi
	. "$D/b/env"
	add_pod
	build_image
}

# ---- what is tested

cd "$work" || exit 1
K=$NEW
rt() { within 60 "$RT" --kubectl "$K" "$@" 2>&1 </dev/null; }

# says NAME WANT OPTION…: what is printed, and how it ends.
says() {
	local name=$1 want=$2 got
	shift 2
	got=$(rt "$@"; echo "= $?")
	equal "$name" "$want" "$got"
}

id_of() { "$PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["pods"][sys.argv[2]]["containers"][sys.argv[3]]["cid"])' "$D/b/config.json" "$1" "$2"; }

owner() { equal "$1" "$2" "$(docker exec "$(id_of own app)" busybox stat -c %u:%g "$3" 2>&1)"; }

# basics HOW: KUBECTL by K.
basics() {
	says "$1: read and the exit status" "from the container
= 5" --mode read --mount /r=pod/x -- /bin/busybox sh -c 'cat /r/data/hello; exit 5'
	says "$1: deployment, environment" "own
= 0" --env --mode read --mount /r=deployment/own -- /bin/busybox sh -c 'echo $ROLE'
	says "$1: written" "ab
= 0" --read-only /etc --mode write --mount /r=pod/own -- /bin/busybox sh -c 'cd /r/tmp && echo a >new && echo b >>new && mv new got && echo $(cat got) | tr -d " "'
	owner "$1: owner" 1000:1000 /tmp/got
	says "$1: removed" "= 0" --mode write --mount /r=pod/own -- /bin/busybox rm /r/tmp/got
	says "$1: 20 MiB" "$(head -c 20971520 /dev/zero | sha1sum)
= 0" --mode write --mount /r=pod/own/container/app:/tmp -- sh -c 'head -c 20971520 /dev/zero >/r/big && sha1sum </r/big && rm /r/big'
	equal "$1: nothing is left" "" "$(docker exec "$(id_of own app)" sh -c 'ls -A /tmp')"
}

transports() {
	basics "WebSocket"
	export KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false
	basics "SPDY, new kubectl"
	unset KUBECTL_REMOTE_COMMAND_WEBSOCKETS
	K=$OLD
	basics "SPDY, old kubectl"
	K=$NEW
	grep -q 'UPGRADE websocket v5' "$D/b/stub.log" && grep -q 'UPGRADE SPDY/3.1' "$D/b/stub.log" && pass "both kinds of stream were used" ||
		fail "both kinds of stream were used" "$(grep -c UPGRADE "$D/b/stub.log")"
}

ephemeral() {
	says "an ephemeral container" "app
= 0" --mode read --mount /r=pod/x/container/scratch -- /bin/busybox sh -c 'cd /r && ls app'
	equal "with SYS_PTRACE" 1 "$(grep -c 'EPHEMERAL.*SYS_PTRACE' "$D/b/stub.log")"
	says "two agents" "x
= 0" --read-only /app --mode write --mount /r=pod/x/container/scratch -- /bin/busybox sh -c 'echo x >/r/new; cat /r/new; rm /r/new; test -s /r/app'
	equal "in one ephemeral container" 2 "$(grep -c EPHEMERAL "$D/b/stub.log")"
	says "beside user 1000" "own
= 0" --env --agent-mode ephemeral --mode write --mount /r=pod/own -- /bin/busybox sh -c 'echo x >/r/tmp/beside; echo $ROLE'
	owner "its owner" 1000:1000 /tmp/beside
}

# bad HOW [SCHEME [TRIGGER]]: such a server, and kubectl goes there.
bad() {
	rm -f "$work/bad.port"
	"$PYTHON" "$HERE/targets/misbehave" "$1" "$work/bad.port" "$(cat "$D/b/port")" ${3:+"$3"} 2>"$work/bad.err" &
	BAD=$!
	until_true 10 test -s "$work/bad.port" || fail "misbehave $1" "$(cat "$work/bad.err")"
	kubeconfig "${2:-http}" "$(cat "$work/bad.port")" "$work/bad.config"
}

# refused NAME WORDS SECONDS OPTION…: 125 and one line with WORDS, in that time.
refused() {
	local name=$1 words=$2 seconds=$3 start=$SECONDS got
	shift 3
	got=$(rt --kubeconfig "$work/bad.config" "$@" -- /bin/busybox true; echo "= $?")
	case $got in
	*$'\n'*$'\n'*) fail "$name: one line" "$got" ;;
	"remotefs-trace: "*"$words"*$'\n= 125') pass "$name" ;;
	*) fail "$name" "wanted: $words" "got:    $got" ;;
	esac
	at_most "$name: in time" $((seconds * SCALE)) $((SECONDS - start))
}

# wrong NAME WORDS HOW [SCHEME]: for a pod, and for a deployment, which is looked for first.
wrong() {
	local target
	bad "$3" ${4:+"$4"}
	for target in pod/x deployment/x; do
		refused "$1, $target" "$2" 8 --connect-timeout 5 --mode read --mount "/r=$target"
	done
	kill $BAD
	wait $BAD 2>/dev/null
}

servers() {
	local k
	for k in $NEW $OLD; do
		K=$k
		bad hang
		refused "${k##*/}: hangs" "has not answered in time; see --connect-timeout" 4 --connect-timeout 2 --mode read --mount /r=pod/x
		refused "${k##*/}: hangs, deployment" "has not answered in time; see --connect-timeout" 4 --connect-timeout 2 --mode read --mount /r=deployment/x
		kill $BAD
		wait $BAD 2>/dev/null
		refused "${k##*/}: refused" "is the cluster of this context up" 12 --mode read --mount /r=pod/x
		bad hang-exec
		refused "${k##*/}: hangs when it is to execute" "has not answered in time; see --connect-timeout" 5 --connect-timeout 3 --mode read --mount /r=pod/x
		kill $BAD
		wait $BAD 2>/dev/null
		wrong "${k##*/}: 500" "InternalError" 500
		wrong "${k##*/}: expired" "log in to the cluster" 401
		wrong "${k##*/}: no pods/exec" 'the right to "create" pods/exec' no-exec
		# Without credentials kubectl asks who we are.
		wrong "${k##*/}: no TLS" " says " nonsense https
		wrong "${k##*/}: no HTTP" " says " nonsense
	done
	K=$NEW
}

# What takes its time is said where somebody looks.
terminal() {
	local got
	have script || { skip "progress on a terminal" script; return; }
	bad hang
	got=$(within 20 script -qec "'$RT' --kubectl '$K' --kubeconfig '$work/bad.config' --connect-timeout 2 --mode read --mount /r=deployment/x /bin/busybox true" /dev/null </dev/null)
	kill $BAD
	wait $BAD 2>/dev/null
	case $got in
	"remotefs-trace: looking for the pod of deployment/x…"*"has not answered in time"*) pass "progress on a terminal" ;;
	*) fail "progress on a terminal" "$got" ;;
	esac
}

# In the middle of a run: the program is killed, and it is said why.
cut_off() {
	local k got
	# Before what follows: the stub ends a cut stream by killing docker's client, after which docker may keep the input open.
	until_true 10 sh -c "! docker exec '$(id_of own app)' busybox ps | grep -q 'rf[s]-\|remotefs-agen[t].*--stdio'" && pass "no agent serves any more" ||
		fail "no agent serves any more" "$(docker exec "$(id_of own app)" busybox ps)"
	for k in $NEW $OLD; do
		K=$k
		rm -f "$work/now"
		bad cut http "$work/now"
		got=$(rt --kubeconfig "$work/bad.config" --reconnect-timeout 0 --mode write --mount /r=pod/own -- \
			/bin/busybox sh -c "cat /r/data/hello; : >'$work/now'; n=0; while [ \$n -lt 100 ]; do echo x >/r/tmp/cut; n=\$((n+1)); done; sleep 20; echo not killed"; echo "= $?")
		kill $BAD
		wait $BAD 2>/dev/null
		case $got in
		"from the container"$'\n'*"lost the agent"*"the program is killed"*"= "*) pass "${k##*/}: cut off in the middle" ;;
		*) fail "${k##*/}: cut off in the middle" "$got" ;;
		esac
		at_most "${k##*/}: said in few lines" 4 "$(echo "$got" | wc -l)"
	done
	K=$NEW
}

up
for t in ${KUBE_TESTS:-transports ephemeral servers terminal cut_off}; do
	before=$(date +%s%N)
	$t
	[ -z "${TIMES:-}" ] || echo "$t $((($(date +%s%N) - before) / 1000000)) ms" >&2
done
