#!/bin/bash
# ssh/HOST: a server of our own on loopback; who gets in and as whom, and what is said to those who do not.
. "$(dirname "$0")/lib.sh"

needs "ssh/ targets" ssh sshd ssh-keygen busybox
needs_root "ssh/ targets"

port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
for port in $((20000 + RANDOM % 10000)) $((20000 + RANDOM % 10000)); do port_free $port && break; done

for key in host user other; do ssh-keygen -q -t ed25519 -N "" -f "$work/$key" || all_skipped "ssh/ targets" "keys"; done
cat >"$work/sshd_config" <<END
Port $port
ListenAddress 127.0.0.1
HostKey $work/host
AuthorizedKeysFile $work/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AcceptEnv RFS_TEST_ID
SetEnv TMPDIR=$work/tmp
END
mkdir -m 1777 "$work/tmp" # for whoever logs in: what is left there shows
cp "$work/user.pub" "$work/authorized"
chmod 644 "$work/authorized"
echo "[127.0.0.1]:$port $(cat "$work/host.pub")" >"$work/known"
cat >"$work/config" <<END
Host *
  IdentityFile $work/user
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile $work/known
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  SendEnv RFS_TEST_ID
  ControlPath none
Host box
  HostName 127.0.0.1
  Port $port
END

[ -d /run/sshd ] || { mkdir /run/sshd && at_end rmdir /run/sshd; }
# A user that is not root is in files that only this server and what it starts see.
for file in passwd shadow group; do cp /etc/$file "$work/$file" || all_skipped "ssh/ targets" /etc/$file; done
echo "rfs-tester:x:54321:54321::$work:/bin/sh" >>"$work/passwd"
echo "rfs-tester:*:19000:0:99999:7:::" >>"$work/shadow"
echo "rfs-tester:x:54321:" >>"$work/group"
chmod 600 "$work/shadow"
user=rfs-tester
unshare -m true || user=
cat >"$work/serve" <<END
if [ -n "$user" ]; then
	for file in passwd shadow group; do mount --bind "$work/\$file" /etc/\$file || exit; done
fi
exec $(command -v sshd) -D -e -f "$work/sshd_config"
END
ssh_down() { kill $server; wait $server; }
ssh_up() {
	${user:+unshare -m --propagation private} sh "$work/serve" 2>"$work/sshd.log" </dev/null &
	server=$!
	at_end ssh_down
	until_true 10 grep -q listening "$work/sshd.log"
}
ssh_up || all_skipped "ssh/ targets" "an sshd that starts: $(tail -n 1 "$work/sshd.log")"

T=$work/t
make_tree "$T"
chmod 755 "$work"
S="ssh -F $work/config"
via() {
	local command=$1
	shift
	within 60 "$RT" --ssh "$command" "$@" </dev/null
}
run() { via "$S" --mode write --mount "$T=ssh/root@box:$T" -- "$@" 2>&1; }
left() { (cd "$work/tmp" && find . -mindepth 1); }
nothing_left() {
	until_true 5 eval '[ -z "$(left)" ]' || true
	equal "$1: nothing is left" "" "$(left)"
}
unreached() {
	local name=$1 text=$2 command=$3
	shift 3
	one_line "$name" "$text" via "$command" "${@:2}" --mount "$T=$1" -- busybox true
}

guests() {
	local guest want got
	for guest in go/walk go/mutate musl/rename; do
		[ -x "$GUESTS/$guest" ] || { skip "$guest" "${guest%/*}"; continue; }
		make_tree "$T"
		want=$("$GUESTS/$guest" "$T" 2>&1; echo $?; contents "$T")
		make_tree "$T"
		got=$(run "$GUESTS/$guest" "$T"; echo $?; contents "$T")
		if [ "$want" = "$got" ]; then pass "$guest"; else fail "$guest" "$(diff <(echo "$want") <(echo "$got"))"; fi
	done
	make_tree "$T"
	nothing_left "guests"
}

uses() {
	local before
	equal "a host, a user and a port" "Hello, world" "$(via "$S" --mount "$T=ssh/root@127.0.0.1:$port:$T" -- busybox cat "$T/hello.txt" 2>&1)"
	equal "a status" 9 "$(run busybox sh -c 'exit 9' >/dev/null; echo $?)"
	before=$(digest "$T")
	equal "overlay and read mode" "x sh: can't create $T/new: Read-only file system" \
		"$(echo $(via "$S" --mount "$T=ssh/root@box:$T" -- busybox sh -c "echo x >$T/new; cat $T/new" 2>&1
			via "$S" --mode read --mount "$T=ssh/root@box:$T" -- busybox sh -c "echo x >$T/new" 2>&1))"
	equal "change nothing" "$before" "$(digest "$T")"
	nothing_left "uses"
	equal "--keep-agent" "Hello, world" "$(via "$S" --keep-agent --mount "$T=ssh/root@box:$T" -- busybox cat "$T/hello.txt" 2>&1)"
	equal "leaves the agent" 1 "$(left | grep -c '^./.remotefs-agent-')"
	equal "which the next run finds" "Hello, world" "$(via "$work/once" --mount "$T=ssh/root@box:$T" -- busybox cat "$T/hello.txt" 2>&1)"
	rm -f "$work"/tmp/.remotefs-agent-*
	equal "an agent for somebody else" "4321:4321" \
		"$(chmod 777 "$T"; via "$S" --mode write --as 4321 --mount "$T=ssh/root@box:$T" -- busybox touch "$T/as" 2>&1; stat -c %u:%g "$T/as")"
	make_tree "$T"
	nothing_left "--as"
}
script once <<END
[ ! -e "$work/used" ] || { echo "ssh is run a second time" >&2; exit 1; }
touch "$work/used"
exec $S "\$@"
END

other_user() {
	[ -n "$user" ] || { skip "a user that is not root" "mount namespaces"; return; }
	chmod 777 "$T"
	echo secret >"$T/secret"
	chmod 600 "$T/secret"
	equal "a user that is not root" "cat: can't open '$T/secret': Permission denied" \
		"$(via "$S" --mode write --mount "$T=ssh/$user@box:$T" -- busybox sh -c "echo >$T/mine; cat $T/secret" 2>&1)"
	equal "what is made is that user's" 54321:54321 "$(stat -c %u:%g "$T/mine")"
	nothing_left "a user that is not root"
	make_tree "$T"
}

# The shell's start says something, as a .bashrc may.
banner() {
	script banner <<-END
		exec $S "\${@:1:\$#-1}" "echo Welcome to this host; echo and mind the gap; \${!#}"
	END
	equal "a login shell that talks" "Hello, world" "$(via "$work/banner" --mount "$T=ssh/root@box:$T" -- busybox cat "$T/hello.txt" 2>&1)"
	nothing_left "a login shell that talks"
}

errors() {
	: >"$work/empty"
	unreached "an unknown host key" "Host key verification failed.*connect with ssh by hand once" "$S -o UserKnownHostsFile=$work/empty" ssh/root@box
	sed "s|$work/user|$work/other|" "$work/config" >"$work/config.other"
	unreached "a wrong key" "Permission denied (publickey).*use a key" "ssh -F $work/config.other" ssh/root@box
	unreached "a port where nobody listens" "Connection refused" "$S" "ssh/root@127.0.0.1:1"
	unreached "a name that nobody has" "Could not resolve hostname" "$S" "ssh/root@no-such-host.invalid"
	unreached "no ssh" "cannot be run: No such file" "$work/no-ssh" ssh/root@box
	within 20 "$RT" --mount "$T=ssh/a host" -- busybox true >"$work/line" 2>&1
	equal "a host with spaces" "2 1" "$? $(grep -c 'names no host' "$work/line")"
	script silent <<-'END'
		exec sleep 60
	END
	unreached "a server that says nothing" "has not answered in time" "$work/silent" ssh/root@box --connect-timeout 2
	nothing_left "errors"
}

endings() {
	local run
	for victim in remotefs-trace agent ssh; do
		rm -f "$work/begun"
		"$RT" --ssh "$S" --reconnect-timeout 0 --mode write --mount "$T=ssh/root@box:$T" -- busybox sh -c 'cat $1/hello.txt; echo >$0; sleep 60' "$work/begun" "$T" \
			>"$work/out" 2>&1 </dev/null &
		run=$!
		until_true 20 test -e "$work/begun" || fail "a run begins" "$(cat "$work/out")"
		case $victim in
		remotefs-trace) kill -KILL $run ;;
		ssh) kill -KILL $(pgrep -P $run -x ssh) ;;
		agent) kill -KILL $(for pid in $(running); do grep -qz '^--unlink$' /proc/$pid/cmdline && echo $pid; done) ;;
		esac
		wait $run 2>/dev/null
		nothing_left "$victim is killed"
		[ $victim = remotefs-trace ] ||
			equal "$victim is killed: one line" 1 "$(grep -c '^remotefs-trace: ssh/root@box: lost the agent (.*): the program is killed' "$work/out")"
	done
}

# ssh ends, and is started again: the agent there has the files still.
again() {
	local run status
	rm -f "$work/begun" "$work/again"
	"$RT" --ssh "$S" --reconnect-timeout 20 --mode write --mount "$T=ssh/root@box:$T" -- busybox sh -c \
		'exec 3>>$1/appended; echo one >&3; echo >$0; until [ -e $2 ]; do sleep 0.1; done; echo two >&3; cat $1/appended' "$work/begun" "$T" "$work/again" \
		>"$work/out" 2>&1 </dev/null &
	run=$!
	until_true 20 test -e "$work/begun" || fail "a run begins" "$(cat "$work/out")"
	kill -KILL $(pgrep -P $run -x ssh)
	touch "$work/again"
	wait $run
	status=$?
	equal "ssh is killed, and started again" "0 one"$'\n'two "$status $(cat "$work/out")"
	nothing_left "ssh was started again"
}

[ -n "${1:-}" ] && { for f; do $f; done; exit; }
guests
uses
other_user
banner
errors
endings
again
ended ssh
