#!/bin/bash
# Agents in and beside containers: whose rights they have, whom they find, and what they leave behind.
. "$(dirname "$0")/../lib.sh"

cd "$work" || exit 1
unset DOCKER_HOST XDG_RUNTIME_DIR

# serving_status FIELDS OPTION…: of /proc/PID/status, while an agent serves.
serving_status() {
	local fields=$1 agent
	shift
	mkfifo in
	"$AGENT" --stdio "$@" --announce ready <in >out 2>&1 &
	agent=$!
	exec 8>in
	until_true 5 grep -q ready out || { echo "not ready:"; cat out; }
	grep -E "^($fields):" /proc/$agent/status
	exec 8>&-
	wait $agent
	rm in out
}

equal "a line before the stream" "RFS-Abc123 ok
= 0" "$("$AGENT" --stdio --root / --announce Abc123 </dev/null; echo "= $?")"
equal "none if it does not come so far" "remotefs-agent: /none: No such file or directory
= 125" "$("$AGENT" --stdio --root /none --announce Abc123 </dev/null 2>&1; echo "= $?")"

cp "$AGENT" gone
echo here >file
equal "nothing is left behind" "here gone" "$(echo $(within 20 "$RT" --mode read --mount "/t=exec:$work/gone --stdio --unlink --root $work" -- /bin/busybox sh -c 'cat /t/file; test -e /t/gone || echo gone' 2>&1))"
for bad in "--hold 0" "--stdio --root / --patience 0" "--stdio --root / --patience x" "--hold 1 --stdio" "--stdio" "--stdio --root / --inside" "--stdio --inside --as x" "--stdio --inside --as 1:" \
	"--stdio --inside --as 4294967295" "--stdio --inside --announce a-b" "--stdio --inside --announce $(printf '%065d' 0)"; do
	"$AGENT" $bad </dev/null >out 2>&1
	equal "refused: $bad" "2 1" "$? $(wc -l <out)"
done

# An agent that may not wait for ever ends when its client says nothing, and not before.
patient() {
	"$PYTHON" - "$AGENT" <<'PY'
import subprocess, sys, time
agent = subprocess.Popen([sys.argv[1], "--stdio", "--root", "/", "--patience", "2"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
start = time.monotonic()
try:
    status = agent.wait(20)
except subprocess.TimeoutExpired:
    agent.kill()
    status = "still there"
print(status, "late" if time.monotonic() - start > 1.9 else "early")
PY
}
equal "an agent ends when its client has been silent for its patience" "0 late" "$(patient)"

# A holder stays as long as agents of its file serve, and a second more; those of another file are not counted.
cp "$AGENT" held
cp "$AGENT" other
sleep 3 | ./held --stdio --root / --announce ready >out &
server=$!
until_true 5 grep -q ready out
within 20 ./other --hold 1
equal "a holder without agents ends" "0 0" "$? $(kill -0 $server; echo $?)"
within 20 ./held --hold 1 &
wait $server
begin=$(date +%s%N)
wait $!
ended=$?
took=$((($(date +%s%N) - begin) / 1000000))
equal "one with agents stays for its time more" "0 1 1" "$ended $((took >= 990)) $((took <= 3000 * SCALE))"
# holding PID: it has opened its file, and before that it has seen to its signals.
holding() { until_true 5 eval "ls -l /proc/$1/fd | grep -q '/held$'"; }
./held --hold 100 &
holding $!
kill -TERM $!
wait $!
equal "and ends when it is told to" 0 $?

# Found by its ID, as runc would have noted it.
env -i RFS_TEST_ID="$RFS_TEST_ID" WHO=them /bin/busybox sleep 300 &
them=$!
until_true 5 grep -q busybox /proc/$them/comm
id=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
mkdir -p run/runc/$id
echo "{\"init_process_pid\":$them,\"init_process_start\":$(cut -d' ' -f22 /proc/$them/stat)}" >run/runc/$id/state.json
found() { XDG_RUNTIME_DIR=$work/run within 20 "$RT" --mode read --target "exec:$AGENT --stdio --container $1" --env -- env 2>&1 | grep -E '^WHO|agent:'; }
equal "a container by the beginning of its ID" WHO=them "$(found 0123456789ab)"
equal "one that is not there is told of" 1 "$(found 0123456789ac | grep -c '^remotefs-agent: container 0123456789ac: not found: asked Docker')"
kill $them
wait $them 2>/dev/null

if [ "$(id -u)" -ne 0 ]; then
	equal "who he is not, nobody may be" "remotefs-agent: --as needs CAP_SETGID: Operation not permitted
= 125" "$("$AGENT" --stdio --root / --as 4321 </dev/null 2>&1; echo "= $?")"
	skip "containers of others" "root's rights"
	exit
fi
for need in setpriv nsenter unshare; do
	have $need || { skip "containers of others" $need; exit; }
done

# What a container is made of: namespaces, a root, a user and little rights.
chmod 755 "$work"
mkdir -p root/bin root/proc root/open
cp /bin/busybox root/bin/
cp "$AGENT" root/agent
chmod 777 root/open
echo secret >root/secret
chmod 600 root/secret
echo ours >root/group
chgrp 1002 root/group
chmod 640 root/group
env -i PATH="$PATH" RFS_TEST_ID="$RFS_TEST_ID" WHO=main unshare --pid --fork --kill-child --mount sh -c \
	"mount -t proc proc root/proc && exec chroot --userspec=1000:1001 --groups=1002 root /bin/busybox sleep 300" 2>err &
box=$!
if ! until_true 5 eval 'pgrep -P $box -x busybox >/dev/null'; then
	skip "containers of others" "namespaces: $(cat err)"
	exit
fi
main=$(pgrep -P $box -x busybox)

# executed OPTION-OF-NSENTER… -- OPTION…: what a program does in the container by an agent that was executed there.
executed() {
	local enter=""
	while [ "$1" != -- ]; do enter="$enter $1"; shift; done
	shift
	rm -f root/open/new
	within 20 env RFS_TEST_ID="$RFS_TEST_ID" WHO=executed "$RT" --mode write --mount "/t=exec:nsenter -t $main -m -p -r$enter /agent --stdio $*" -- \
		/bin/busybox sh -c 'cat /t/secret; cat /t/group; echo new >/t/open/new; chown 7 /t/open/new' 2>&1 | sed 's/^[^:]*: [^:]*: /- /'
	stat -c '%u %g' root/open/new
}
told() { within 20 env RFS_TEST_ID="$RFS_TEST_ID" WHO=executed "$RT" --mode read --target "exec:nsenter -t $main -m -p -r $* /agent --stdio --inside" --env -- env 2>&1 | grep ^WHO; }

equal "beside it, the same" "- Permission denied
ours
1234 1002" "$(rm -f root/open/new; within 20 "$RT" --mode write --mount "/t=exec:$AGENT --stdio --process $main --as 1234:1002" -- /bin/busybox sh -c 'cat /t/secret; cat /t/group; echo >/t/open/new' 2>&1 | sed 's/^[^:]*: [^:]*: /- /'; stat -c '%u %g' root/open/new)"
equal "a directory as somebody else" "4321 4321" "$(within 20 "$RT" --mode write --mount "/t=exec:$AGENT --stdio --root $work/root/open --as 4321" -- /bin/busybox touch /t/n 2>&1; stat -c '%u %g' root/open/n)"
equal "who may not is told what he lacks" "remotefs-agent: --as needs CAP_SETGID: Operation not permitted
125
remotefs-agent: --as needs CAP_SETUID: Operation not permitted
125" "$(for lost in setgid setuid; do setpriv --bounding-set=-$lost "$AGENT" --stdio --root / --as 4321 </dev/null 2>&1; echo $?; done)"
# A sanitised agent needs libraries, which are not in there.
if ldd "$AGENT" >/dev/null 2>&1; then
	skip "executed in a container" "a static agent"
else
	equal "inside, with the rights of the main process" "- Permission denied
ours
- Operation not permitted
1000 1001" "$(executed -- --inside)"
	equal "its environment" WHO=main "$(told)"
	equal "executed as that user, without a right" "- Permission denied
- Permission denied
- Operation not permitted
1000 1001" "$(executed -S 1000 -G 1001 -- --inside)"
	equal "its environment likewise" WHO=main "$(told -S 1000 -G 1001)"
	equal "executed as another, who stays who he is" "- Permission denied
- Permission denied
- Operation not permitted
1003 1003" "$(executed -S 1003 -G 1003 -- --inside)"
	equal "and tells his own environment" WHO=executed "$(told -S 1003 -G 1003)"
	equal "as somebody else" "- Permission denied
ours
- Operation not permitted
1234 1002" "$(executed -- --inside --as 1234:1002)"
	equal "root has no more rights than the main process" "- Permission denied
- Permission denied
- Operation not permitted
0 0" "$(chown 5 root/secret; chown 5 root/group; executed -- --inside --as 0; chown 0 root/secret root/group)"
	equal "who he is already, anybody may be" 0 "$(nsenter -t $main -m -p -r -S 1003 -G 1003 /agent --stdio --root / --as 1003 </dev/null 2>&1; echo $?)"
fi
kill -KILL $main
wait $box 2>/dev/null

# Nothing of what the process lacks can be had again.
setpriv --bounding-set=-all,+chown,+fowner --inh-caps=+chown --ambient-caps=+chown /bin/busybox sleep 300 &
them=$!
until_true 5 grep -q busybox /proc/$them/comm
equal "what a process cannot get, its agent cannot either" "$(grep -E '^Cap(Prm|Eff|Bnd):' /proc/$them/status)
CapAmb:	0000000000000000
NoNewPrivs:	1" "$(serving_status 'Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs' --process $them)"
equal "as an ordinary user it has nothing" "Uid:	77	77	77	77
Gid:	78	78	78	78
Groups:	 
CapPrm:	0000000000000000
CapEff:	0000000000000000" "$(serving_status 'Uid|Gid|Groups|CapPrm|CapEff' --process $them --as 77:78)"
kill $them
wait $them 2>/dev/null

# A holder as the first process of a container.
unshare --pid --fork --mount-proc "$work/held" --hold 100 &
box=$!
until_true 5 eval 'pgrep -P $box -x held >/dev/null'
main=$(pgrep -P $box -x held)
holding $main
nsenter -t $main -p -m sh -c "sleep 1 & sleep 1 &"
equal "a holder has children" 2 "$(pgrep -c -P $main)"
equal "and reaps them" 0 "$(until_true 5 eval '! pgrep -P $main >/dev/null'; echo $?)"
kill -TERM $main
wait $box
equal "and ends at once also as process 1" 0 $?
