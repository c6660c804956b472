#!/bin/bash
# pid/N: the root, the rights and the environment of a process; what of the environment the program gets.
. "$(dirname "$0")/../lib.sh"

for name in ${!MIRRORD_*}; do unset "$name"; done
plain_env=(PATH="$PATH" HOME="$HOME" RFS_TEST_ID="$RFS_TEST_ID")
cd "$work" || exit 1

# The target: what it has, and what is not taken of it by default.
env -i RFS_TEST_ID="$RFS_TEST_ID" PATH=/their/path HOME=/their/home JAVA_HOME=/their/java LANG=their A=a "B=b=b " SECRET_1=x SECRET_2=y \
	X_TIMEOUT=5 EMPTY= "LINES=1
2" /bin/busybox sleep 300 &
them=$!
until_true 5 grep -qz ^A=a /proc/$them/environ
# run OPTION…: the program's environment, without what the run of a program adds.
run() {
	within 20 env -i "${plain_env[@]}" OWN=own LANG=own aws_profile=me "$RT" --mode read --target "pid/$them" "$@" -- env -0 2>&1 | LC_ALL=C sort -z | tr '\0' '\n' |
		grep -vE '^(RFS_TEST_ID|PATH|HOME|PWD|SHLVL|_|OLDPWD)='
}
own='LANG=own
OWN=own
aws_profile=me'

equal "without --env nothing is taken" "$own" "$(run)"
equal "--env takes what makes sense here" 'A=a
B=b=b 
EMPTY=
LANG=their
LINES=1
2
OWN=own
SECRET_1=x
SECRET_2=y
X_TIMEOUT=5
aws_profile=me' "$(run --env)"
equal "what is kept from it stays as it is here" "$HOME" "$(within 20 env -i "${plain_env[@]}" "$RT" --mode read --target "pid/$them" --env -- env | sed -n 's/^HOME=//p')"
equal "include, with a name that is not taken by default" 'A=a
JAVA_HOME=/their/java
LANG=own
OWN=own
SECRET_2=y
aws_profile=me' "$(run --env-include 'A;SECRET_?;?AVA_H*;JAVA_HOME' --env-unset secret_1)"
equal "exclude" 'A=a
B=b=b 
LANG=their
LINES=1
2
OWN=own
aws_profile=me' "$(run -x 'SECRET_*;EMPTY;*_T*T')"
equal "exclude all" "$own" "$(run --env-exclude '*')"
equal "--no-env overrules a file" "$own" "$(echo '{"feature": {"env": true}}' >env.json; run -f env.json --no-env)"

cat >vars.env <<'END'
# over the target's
export A=1 # c
  B="x\ny $5"  # c

C='$HOME raw'
D=plain  value 	# c
E=
F=a#b
END
equal "a file, mapping, override and unset, in this order" 'A=new
B=x
y $5
C=$HOME raw
D=plain  value
E=
EMPTY=
F=a#b
LANG=their
LINES=1
2
OWN=own
SECRET_1=x
SECRET_2=y
X_TIMEOUT=10
Z==' "$(run --env --env-file vars.env --env-map '_TIMEOUT$=10' --env-map '_timeout|^lang=no' --env-map '^A$=mapped' --env-set A=new --env-set Z== --env-set W=w --env-unset 'AWS_PROFILE;w')"
cat >env.toml <<'END'
[feature.env]
include = ["A", "LANG"]
unset = "OWN"
env_file = "vars2.env"
override.N = "n"
mapping."^LA" = "mapped"
END
echo V=v >vars2.env
equal "the same from a configuration" 'A=a
LANG=mapped
N=n
V=v
aws_profile=me' "$(run -f env.toml)"
equal "variables of mirrord's" 'A=a
LANG=own
OWN=own
aws_profile=me' "$(export MIRRORD_OVERRIDE_ENV_VARS_INCLUDE=A; plain_env+=(MIRRORD_OVERRIDE_ENV_VARS_INCLUDE=A); run | grep -v ^MIRRORD)"
printf 'D=$HOME\n1A=2\nX\nY="a"b\nZ="\n' >bad.env
equal "what is wrong in a file is told" 'remotefs-trace: bad.env:1:3: what stands for $ is not known here; write \$ for the character, or the value in '"'…'"'
remotefs-trace: bad.env:2:1: the name of a variable is due here; write NAME=VALUE
remotefs-trace: bad.env:3:2: '"'='"' is due behind the name; write NAME=VALUE
remotefs-trace: bad.env:4:6: the line is due to end here; put all of the value between the quotes
remotefs-trace: bad.env:5:3: this value does not end; close it with "
= 2' "$(within 20 "$RT" --target "pid/$them" --env-file bad.env true 2>&1; echo "= $?")"
equal "a directory has no environment" 'remotefs-trace: --env: the target "dir/tmp" has no process whose environment could be taken; use pid/N, or --no-env
= 2' "$(within 20 "$RT" --target dir/tmp --env true 2>&1; echo "= $?")"
equal "nor has an agent of a directory" 125 "$(within 20 "$RT" --target "exec:$AGENT --stdio --root /" --env true 2>err; echo $?)"
equal "and says so" 1 "$(grep -c '^remotefs-trace: --env: exec:remotefs-agent: there is no process at this target' err)"
equal "an agent of a process has, over any command" A=a "$(within 20 "$RT" --target "exec:$AGENT --stdio --process $them" --env --mode read -- env | grep ^A=)"
equal "mode local takes an environment, too" A=a "$(within 20 "$RT" --target "pid/$them" --env --mode local -- env | grep ^A=)"
equal "overriding needs no process" N=n "$(within 20 "$RT" --target dir//tmp --env-set N=n -- env | grep ^N=)"

# Its files.
echo here >file
equal "its root is the program's" here "$(within 20 "$RT" --mode read --mount "/t=pid/$them" -- /bin/busybox cat "/t$work/file" 2>&1)"
kill $them
wait $them 2>/dev/null
within 20 "$RT" --target "pid/$them" true 2>err
equal "a process that is gone" "125 1 1" "$? $(wc -l <err) $(grep -c "^remotefs-trace: pid/$them: .*process $them: there is no such process" err)"
equal "no number" 2 "$(within 20 "$RT" --target pid/self true 2>/dev/null; echo $?)"

# Another user's process in another root.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$work"
	mkdir -p root/bin root/open
	cp /bin/busybox root/bin/
	chmod 777 root/open
	echo secret >root/secret
	chmod 600 root/secret
	echo ours >root/group
	chgrp 65532 root/group
	chmod 640 root/group
	env RFS_TEST_ID="$RFS_TEST_ID" chroot --userspec=65534:65533 --groups=65532 "$work/root" /bin/busybox sleep 300 &
	them=$!
	until_true 5 grep -q busybox /proc/$them/comm
	got=$(within 20 "$RT" --mode write --mount "/t=pid/$them" -- /bin/busybox sh -c 'cat /t/secret; cat /t/group; echo new >/t/open/new; ls /t; echo x >/t/other' 2>&1)
	equal "its rights are those of the process" "cat: can't open '/t/secret': Permission denied
ours
bin
group
open
secret
sh: can't create /t/other: Permission denied" "$(sed 's/^[^ ]*: can.t create/sh: can'"'"'t create/' <<<"$got")"
	equal "and so in its own mounts" "hi /t/mnt/d new" "$(env RFS_TEST_ID="$RFS_TEST_ID" unshare -m /bin/busybox sh -c '
		mount -t tmpfs none /mnt && mkdir /mnt/d && echo hi >/mnt/d/f && exec /bin/busybox sleep 300' &
		until_true 5 grep -q busybox /proc/$!/comm && until_true 5 test -e /proc/$!/root/mnt/d/f
		echo $(within 20 "$RT" --mode write --mount "/t=pid/$!" -- /bin/busybox sh -c 'cat /t/mnt/d/f; cd /t/mnt/d; pwd; echo new >g; cat ../d/g' 2>&1)
		kill $!)"
	equal "what it makes belongs to its user" "65534 65533" "$(stat -c '%u %g' root/open/new)"
	kill $them
	wait $them 2>/dev/null
	# Root without the right to pass over permissions.
	env RFS_TEST_ID="$RFS_TEST_ID" setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-all /bin/busybox sleep 300 &
	them=$!
	until_true 5 grep -q busybox /proc/$them/comm
	chown 65534 root/secret
	equal "root's capabilities are those of the process" "cat: can't open '/t/secret': Permission denied" \
		"$(within 20 "$RT" --mode read --mount "/t=pid/$them:$work/root" -- /bin/busybox cat /t/secret 2>&1)"
	kill $them
else
	skip "another user's process" "root's rights"
fi
