#!/bin/bash
# ls and diagnose: what they say of targets, real and made up, and of those that cannot be asked.
# Without RT_FLAGS: the command is the first word.
unset RT_FLAGS
. "$(dirname "$0")/../lib.sh"

cd "$work" || exit 1
unset DOCKER_HOST KUBECONFIG MIRRORD_CONFIG_FILE

# fake NAME BODY: a command that is asked instead of kubectl or docker; it notes what it was asked.
fake() {
	printf '#!/bin/sh\necho $* >>"%s/asked"\n%s\n' "$work" "$2" >"$work/$1"
	chmod 755 "$work/$1"
	: >asked
}

# run OPTION…: output, and "= STATUS"; what goes to standard error is in the file err.
run() { within 20 "$RT" "$@" 2>err </dev/null; echo "= $?"; }

# failed NAME STATUS MESSAGE OPTION…: nothing is printed, and one line says why.
failed() {
	local name=$1 status=$2 message=$3
	shift 3
	equal "$name" "= $status" "$(run "$@")"
	equal "$name: one line" "remotefs-trace: $message" "$(cat err)"
}

ls_cluster() {
	fake kubectl 'cat <<END
Service web
Pod web-2 Pending app
Pod web-1 Running app
Pod a-b Running app istio-proxy
Pod a Running app istio-proxy side
Deployment web
StatefulSet db
CronJob night
Job night-1
ReplicaSet alone
DaemonSet log
END'
	local want="cronjob/night
daemonset/log
deployment/web
job/night-1
pod/a/container/app
pod/a/container/side
pod/a-b
pod/web-1
replicaset/alone
service/web
statefulset/db"
	equal "ls" "$want
= 0" "$(run ls --kubectl ./kubectl)"
	equal "ls: nothing else is said" "" "$(cat err)"
	equal "ls: asked once" "get pods,deployments,statefulsets,daemonsets,replicasets,jobs,cronjobs,services -o" \
		"$(cut -d' ' -f1-3 asked)"
	equal "ls -o json" "[\"$(echo $want | sed 's/ /","/g')\"]
= 0" "$(run ls -o json --kubectl ./kubectl)"
	"$RT" ls -o json --kubectl ./kubectl | "$PYTHON" -c 'import json,sys; json.load(sys.stdin)'
	equal "ls -o json is JSON" "0" "$?"
	: >asked
	run ls -n ns1 --context c1 --kubeconfig k1 --kubectl './kubectl -v 0' >/dev/null
	equal "ls: what kubectl gets" "-v 0 --kubeconfig k1 --context c1 --namespace ns1 get" "$(cut -d' ' -f1-9 asked)"
}

ls_partly() {
	fake kubectl 'case "$*" in
*services*) echo "error: the server doesn'\''t have a resource type \"services\"" >&2; exit 1 ;;
*jobs,*) echo "error: the server doesn'\''t have a resource type \"jobs\"" >&2; exit 1 ;;
esac
echo "Pod a Running app"; echo "Error from server (Forbidden): deployments.apps is forbidden" >&2; exit 1'
	equal "ls: what can be listed" "pod/a
= 0" "$(run ls --kubectl ./kubectl)"
	equal "ls: what cannot" "remotefs-trace: ls: left out: the server knows no services
remotefs-trace: ls: left out: the server knows no jobs
remotefs-trace: ls: left out: kubectl says \"Error from server (Forbidden): deployments.apps is forbidden\"" "$(cat err)"
	equal "ls: asked three times" 3 "$(wc -l <asked)"
	fake kubectl 'true'
	equal "ls: nothing there" "= 0" "$(run ls --kubectl ./kubectl)"
	equal "ls: nothing there is told" 1 "$(grep -c 'nothing there could be a target' err)"
	equal "ls -o json: nothing there" "[]
= 0" "$(run ls --kubectl ./kubectl -o json)"
	fake kubectl 'for i in $(seq 20000); do echo "Pod pod-with-a-name-$i Running app"; done'
	equal "ls: many" "20001 pod/pod-with-a-name-1" "$(run ls --kubectl ./kubectl >many; echo $(wc -l <many) $(head -n 1 many))"
}

ls_fails() {
	fake kubectl 'echo "Error from server (Forbidden): cronjobs.batch is forbidden" >&2; echo "Error from server (Forbidden): pods is forbidden" >&2; exit 1'
	failed "ls: all is forbidden" 125 'ls: kubectl says "Error from server (Forbidden): pods is forbidden": your account there lacks a right' \
		ls --kubectl ./kubectl
	fake kubectl 'exit 3'
	failed "ls: kubectl fails in silence" 125 'ls: kubectl failed and said nothing' ls --kubectl ./kubectl
	failed "ls: no kubectl" 125 'ls: "./none" cannot be run: No such file or directory; see --kubectl' ls --kubectl ./none
	fake kubectl 'sleep 100'
	failed "ls: kubectl hangs" 125 'ls: kubectl has not answered in time; see --connect-timeout' ls --kubectl ./kubectl --connect-timeout 1
	gone "ls: nothing is left of it" 2
	for garbage in 'printf "<html>\033[1mLog in\n"' 'echo Pod' 'echo Pod A Running' 'echo Pod a' 'echo Pod a Running "\$(x)"' 'echo Node a' \
		'echo Job a b' 'printf "Pod a Running\0x\n"'; do
		fake kubectl "$garbage"
		equal "ls: garbage: $garbage" "= 125" "$(run ls --kubectl ./kubectl)"
		equal "ls: garbage is told: $garbage" 1 "$(grep -c '^remotefs-trace: ls: kubectl printed something else than a list: "[^[:cntrl:]]*"$' err)"
	done
	fake kubectl 'yes'
	equal "ls: endless garbage" "= 125" "$(run ls --kubectl ./kubectl)"
	failed "ls: another format" 2 '-o "yaml": there is no such format of a list; use text or json' ls -o yaml
	failed "ls: another word" 2 'ls "-l": targets of a cluster are listed, or of docker or podman; the program ls is run after --' ls -- -l
	failed "ls: two words" 2 'ls "podman": one word is enough, and "docker" was given already; leave one of them out' ls docker podman
}

ls_engine() {
	local engine
	for engine in docker podman; do
		fake fake-engine 'printf "web\nweb/db,db\n"'
		equal "ls $engine" "$engine/db
$engine/web
= 0" "$(run ls "$engine" "--$engine" ./fake-engine)"
		equal "ls $engine: what it is asked" "ps --format {{.Names}}" "$(cat asked)"
		equal "ls -o json $engine" "[\"$engine/db\",\"$engine/web\"]
= 0" "$(run ls -o json "--$engine" ./fake-engine "$engine")"
		fake fake-engine 'printf "a\033[1mb\"\n"'
		equal "ls $engine: control characters" "$engine/a?[1mb\"
= 0" "$(run ls "$engine" "--$engine" ./fake-engine)"
		equal "ls -o json $engine: control characters" "[\"$engine/a\\u001b[1mb\\\"\"]
= 0" "$(run ls "$engine" "--$engine" ./fake-engine -o json)"
		fake fake-engine 'echo "Cannot connect to the Docker daemon at x" >&2; exit 1'
		failed "ls $engine: it fails" 125 "ls: $engine says \"Cannot connect to the Docker daemon at x\": is it running, and may you use its socket?" \
			ls "$engine" "--$engine" ./fake-engine
		failed "ls $engine: it is not there" 125 "ls: \"./none\" cannot be run: No such file or directory; see --$engine" ls "$engine" "--$engine" ./none
	done
	fake fake-engine 'trap "" TERM; sleep 100'
	failed "ls docker: it hangs" 125 'ls: docker has not answered in time; see --connect-timeout' ls docker --docker ./fake-engine --connect-timeout 1
	gone "ls docker: nothing is left of it" 2
}

# told NAME WHAT…: lines that are in the output of the last diagnose.
told() {
	local name=$1 what
	shift
	for what in "$@"; do
		grep -qE "$what" out || { fail "$name" "no line: $what" "$(cat out err)"; return; }
	done
	pass "$name"
}

diagnose_all() {
	local version user=$(id -u) root=$work/root
	version=$("$RT" --version | cut -d' ' -f2)
	mkdir -p "$root"
	run diagnose "dir/$root" >out
	equal "diagnose dir/: the end" "= 0" "$(tail -n 1 out)"
	equal "diagnose dir/: nothing else is said" "" "$(cat err)"
	told "diagnose dir/" "^target +dir/$root$" "^reached +on this machine, in [0-9]+ ms$" "^versions +remotefs-trace $version, remotefs-agent $version$" \
		"^machine +Linux $(uname -r), $(uname -m)$" "^agent +user $user, group $(id -g), groups " "^capabilities +[a-z]" \
		"^/ +can be read, can be written$" "^environment +none$" "^changes +are noticed$" \
		"^round trip +[0-9.]+ ms at least, [0-9.]+ on average, [0-9.]+ at most, of [0-9]+$" \
		"^throughput +not measured: /dev/zero cannot be read there: No such file or directory$" "^What would fail, and why:$" \
		"^  --env: there is no process at this target"
	equal "diagnose changes nothing" "" "$(ls -A "$root")"
	run diagnose --target "dir/$root" >out
	told "diagnose --target" "^target +dir/$root$" "^= 0$"

	sleep 100 &
	run diagnose "pid/$!" >out
	kill $!
	told "diagnose pid/" "^reached +on this machine" "^environment +[0-9]+ variables$" "^throughput +[0-9.]+ MiB/s, of /dev/zero$" "^= 0$"
	equal "diagnose pid/: no values" "" "$(grep "$RFS_TEST_ID" out)"

	run diagnose "exec:$AGENT --stdio --root /" >out
	told "diagnose exec:" "^reached +by the command, in" "^agent +user $user, " "^machine +Linux $(uname -r)" "^= 0$"
	run diagnose "exec:$AGENT --stdio --root $root" >out
	told "diagnose without /proc" "^agent +its user is not known: /proc/self/status cannot be read there: No such file or directory$" "^= 0$"
	mkdir -p "$root/proc/self"
	printf 'Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t1\t5\t3\t4\nGroups:\t7\033[1m 8 \nCapEff:\t0000000000000003\n' >"$root/proc/self/status"
	run diagnose "exec:$AGENT --stdio --root $root" >out
	told "diagnose: a target that lies, without control characters" "^agent +user 2, group 5, groups 7\?\[1m 8$" "^capabilities +chown dac_override$" "^= 0$"
	rm -r "$root/proc"

	chmod 555 "$root"
	run diagnose "exec:$AGENT --stdio --read-only --root $root" >out
	told "diagnose of a read-only agent" "^/ +can be read, cannot be written$" "^  making and removing files in /, with --mode write: " "^= 0$"
	chmod 755 "$root"
}

diagnose_fails() {
	failed "diagnose exec:false" 125 "exec:false: the agent exited with status 1" diagnose exec:false
	failed "diagnose of what is not there" 125 "dir//none: there is no directory \"/none\"" diagnose dir//none
	failed "diagnose of what never answers" 125 "exec:sleep 100: the agent did not answer within 1 s" diagnose "exec:sleep 100" --connect-timeout 1
	gone "diagnose: nothing is left of it" 2
	failed "diagnose without a target" 2 \
		"diagnose: there is no target; give one, e.g. remotefs-trace diagnose pid/1. remotefs-trace ls shows those of a cluster" diagnose
	failed "diagnose of two" 2 'diagnose "pid/2": one word is enough, and "pid/1" was given already; leave one of them out' diagnose pid/1 pid/2
	failed "diagnose of two with --target" 2 'diagnose "pid/2": a target was given already with --target; leave one of them out' \
		diagnose --target pid/1 pid/2
	equal "diagnose of no target" "= 2" "$(run diagnose nonsense)"
	equal "diagnose of no target: one line" 1 "$(wc -l <err)"

	# It passes the greeting on, and nothing behind it.
	cat >silent <<-END
		#!$PYTHON
		import os, struct, subprocess, sys
		p = subprocess.Popen(["$AGENT", "--stdio", "--root", "/"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
		def frame(fd):
		    h = os.read(fd, 16)
		    return h + os.read(fd, sum(struct.unpack("<II", h[8:])))
		p.stdin.write(frame(0))
		os.write(1, frame(p.stdout.fileno()))
		while sys.argv[1:] and os.read(0, 4096):
		    pass
	END
	chmod 755 silent
	equal "diagnose of what falls silent" "= 125" "$(run diagnose "exec:./silent silent" --connect-timeout 1 | tail -n 1)"
	equal "diagnose of what falls silent: one line" "remotefs-trace: exec:./silent silent: the agent has not answered in time; see --connect-timeout" "$(cat err)"
	equal "diagnose of what goes away" "= 125" "$(run diagnose "exec:./silent" | tail -n 1)"
	gone "diagnose: nothing is left of these" 2
}

# As somebody else, who may read less.
as_nobody() {
	if [ "$(id -u)" -ne 0 ]; then
		skip "diagnose as nobody" root
		return
	fi
	mkdir -p bin nobody
	chmod 755 "$work" bin
	cp "$RT" "$AGENT" bin
	chmod 700 nobody
	local RT="setpriv --reuid=65534 --regid=65534 --clear-groups $work/bin/remotefs-trace"
	within 20 $RT diagnose "dir//" >out 2>err
	equal "diagnose as nobody" 0 $?
	told "diagnose as nobody: what it is" "^agent +user 65534, group 65534, groups none$" "^capabilities +none$" "^/ +can be read, cannot be written$"
	within 20 $RT diagnose "pid/$$" >out 2>err
	equal "diagnose as nobody of root's" 125 $?
	within 20 $RT diagnose "dir/$work/nobody" >out 2>err
	told "diagnose as nobody of a closed directory" "^/ +cannot be read, cannot be written$" "^  listing /: Permission denied$"
	fake kubectl 'echo "Pod a Running app"'
	chmod 666 asked
	equal "ls as nobody" "pod/a" "$(within 20 $RT ls --kubectl "$work/kubectl" 2>&1)"
}

# lost NAME OPTION…: what is printed has no room.
lost() {
	equal "$1: what could not be printed is told" "remotefs-trace: not all of this could be written to standard output: free space there, or give another file
= 125" "$(within 20 "$RT" "${@:2}" 2>&1 >/dev/full; echo "= $?")"
}

no_room() {
	lost help --help
	lost explain explain --target dir/tmp /a
	lost diagnose diagnose "dir/$work"
}

ls_cluster
ls_partly
ls_fails
ls_engine
diagnose_all
diagnose_fails
as_nobody
no_room
