#!/bin/bash
# How calls are trapped where something is missing: each way must be found by itself, and work.
. "$(dirname "$0")/../lib.sh"

T=$work/t
without=$GUESTS/without
# Read through and changed, with descriptors that are emulated and that are not, across chdir, fork and exec.
script="cd $T/dir && cd .. && cat hello.txt && dd if=sizes/s3145745 bs=100000 2>/dev/null | md5sum && echo one > new &&
	busybox sh -c 'exec busybox cat new' && (exec 5<>hello.txt; read -r line <&5; echo \$line; echo end >&5) && tail -n 1 hello.txt && pwd"
make_tree "$T"
want=$(sh -c "$script")

# traps NAME HOW COMMAND…: run by COMMAND, it works, and the counts say HOW.
traps() {
	local name=$1 how=$2 got
	shift 2
	make_tree "$T"
	got=$(within 60 "$@" --stats "$work/stats" --mode write --mount "$T=dir//:$T" -- sh -c "$script" 2>&1)
	equal "$name: works" "$want" "$got"
	[ -n "${RT_FLAGS:-}" ] || equal "$name: says how" "$how" "$(stat_of "$work/stats" trap)"
}

traps "nothing missing" notify "$RT"
traps "asked for stops" ptrace "$RT" --trap=ptrace
traps "another listener" ptrace "$without" busy "$RT"
traps "a listener refused" ptrace "$without" listener "$RT"
traps "no ADDFD" ptrace "$without" addfd "$RT"
traps "no pidfd_getfd" ptrace "$without" pidfd_getfd "$RT"
traps "pidfd_getfd forbidden" ptrace "$without" pidfd_getfd=1 "$RT"
traps "no pidfd_open" ptrace "$without" pidfd_open "$RT"
traps "no seccomp filters" "ptrace, every call" "$without" filter "$RT"
traps "no process_vm_readv" notify "$without" process_vm_readv,process_vm_writev "$RT"
traps "process_vm_readv forbidden" ptrace "$without" process_vm_readv=1,process_vm_writev=1 "$RT" --trap=ptrace
traps "next to nothing" "ptrace, every call" "$without" filter,pidfd_getfd,process_vm_readv,process_vm_writev,openat2,statx "$RT"

refused() {
	local got
	got=$(within 20 "$without" "$2" "$RT" --trap=notify --mode write --mount "$T=dir//:$T" -- true 2>&1)
	equal "--trap=notify, $1: status" 125 $?
	case $got in
	"remotefs-trace: cannot trap system calls: $3"*"; leave --trap notify out") pass "--trap=notify, $1: says why" ;;
	*) fail "--trap=notify, $1: says why" "$got" ;;
	esac
}
if [ -z "${RT_FLAGS:-}" ]; then
	refused "another listener" busy "this process already runs under a seccomp listener"
	refused "a listener refused" listener "the kernel has no seccomp user notification"
	refused "no ADDFD" addfd "seccomp notification lacks SECCOMP_IOCTL_NOTIF_ADDFD"
fi

# A task that has changed its user has no right over us, and needs none: nginx's workers.
changed_user() {
	local how=$1
	shift
	make_tree "$T"
	chmod 755 "$work"
	equal "a task of another user, $how" "Hello, world 3145745" "$(within 30 "$@" --mode write --mount "$T=dir//:$T" -- \
		"$PYTHON" -c "
import os
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
os.chdir('$T')
print(open('hello.txt').read().strip(), len(open('sizes/s3145745', 'rb').read()))" 2>&1)"
}
if [ "$(id -u)" -eq 0 ]; then
	changed_user "by notification" "$RT"
	changed_user "by stops" "$RT" --trap=ptrace
	changed_user "by stops, without pidfd_getfd" "$without" pidfd_getfd "$RT"
else
	skip "a task of another user" root
fi

# ENOSYS (38) both times, and one line.
for how in "by notification" "by stops" "by every stop"; do
	case $how in
	"by notification") command=("$RT") ;;
	"by stops") command=("$RT" --trap=ptrace) ;;
	*) command=("$without" filter "$RT") ;;
	esac
	got=$(within 20 "${command[@]}" --mode write --mount "$T=dir//:$T" -- "$GUESTS/int80" 2>"$work/err")
	equal "int 0x80, $how" "-38 -38" "$(echo $got)"
	equal "int 0x80, $how: says so once" 1 "$(grep -c "a 32-bit system call (int 0x80) was refused: .*use a 64-bit build" "$work/err")"
done
