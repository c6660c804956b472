#!/bin/bash
# What cannot be done to a remote tree is refused: with the path's own errors first, one line, and nothing half done.
. "$(dirname "$0")/../lib.sh"

T=$work/t
make_tree "$T"
mkdir "$work/local"

cat >"$work/calls.py" <<'END'
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
T, local = sys.argv[1].encode(), sys.argv[2].encode()

def call(name, *args):
    ctypes.set_errno(0)
    r = libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in args])
    print(name, "ok" if r >= 0 else errno.errorcode[ctypes.get_errno()])

for path in T, T + b"/dir", T + b"/hello.txt", T + b"/missing", T + b"/links/self", b"":
    call(f"chroot {path[len(T):]}", 161, path)
    call(f"mount on {path[len(T):]}", 165, b"none", path, b"tmpfs", 0, 0)
    call(f"umount {path[len(T):]}", 166, path, 0)
for path in T + b"/dir", T + b"/missing":
    call("bind from", 165, path, local, 0, 4096, 0)
call("pivot_root", 155, T, T + b"/dir")
call("swapon", 167, T + b"/hello.txt", 0)
call("acct", 163, T + b"/hello.txt")
call("open_tree clone", 428, -100, T + b"/dir", 1)
call("move_mount", 429, -100, T + b"/dir", -100, local, 0)
call("mount_setattr", 442, -100, T + b"/dir", 0, b"\0" * 32, 32)
call("chroot local", 161, local)
call("chroot /", 161, b"/")
print(os.path.exists(T + b"/hello.txt"), os.getcwd())
END

# One who may nothing gets these errors from the kernel; who may more gets them from us.
natively=$(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all true 2>/dev/null && echo "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all")
[ "$(id -u)" -ne 0 ] || chmod 755 "$work"
want=$($natively "$PYTHON" -B "$work/calls.py" "$T" "$work/local" 2>&1 | sed "s/^chroot \/ .*/chroot \/ $([ "$(id -u)" -eq 0 ] && echo ok || echo EPERM)/")
got=$(cd / && within 20 "$RT" --mode write --mount "$T=dir//:$T" -- "$PYTHON" -B "$work/calls.py" "$T" "$work/local" 2>"$work/err")
equal "the errors are those of one without the right" "$(sed '$d' <<<"$want")" "$(sed '$d' <<<"$got")"
equal "the tree is where it was" "True /" "$(tail -1 <<<"$got")"
equal "chroot says what to do" yes "$(grep -q "chroot refused: .*start the program with --target" "$work/err" && echo yes)"
equal "mount says what to do" yes "$(grep -q "mount refused: .*mount it there" "$work/err" && echo yes)"
cannot_trace() {
	within 20 "$RT" --mode write --mount "$T=dir//:$T" -- "$@" 2>&1 | sed 's/[0-9][0-9]*/N/g'
}
equal "another tracer is refused, and told why once" "remotefs-trace: process N: ptrace refused: a process has one tracer, and here that is remotefs-trace: -v shows the calls; debug the program without it
EPERM
EPERM" "$(cannot_trace "$PYTHON" -B -u -c '
import ctypes, errno, os, signal
libc = ctypes.CDLL(None, use_errno=True)
child = os.fork() or signal.pause()
for request, pid in (0, 0), (0x4206, child):
    print(errno.errorcode[ctypes.get_errno()] if libc.ptrace(request, pid, None, None) < 0 else "traced")
os.kill(child, signal.SIGKILL)')"
equal "nor can it be the tracer where there is one" "remotefs-trace: process N: ptrace refused: a process has one tracer, and here that is remotefs-trace: -v shows the calls; debug the program without it
remotefs-trace: cannot trace the program: process N (strace -f, a debugger?) does already, and there can be one tracer only: do without it; -v shows the calls" \
	"$(cannot_trace "$RT" --mode write --mount "$work=dir/$T" true)"

# touch has the file at descriptor 0, where a device is this machine's.
if [ "$(id -u)" -eq 0 ] && mknod "$T/null" c 1 3 2>/dev/null; then
	before=$(stat -c '%y %z %a %u' /dev/null)
	got=$(within 20 "$RT" --mode write --mount "$T=dir//:$T" -- sh -c "touch -r /dev/null $T/null; echo \$?; echo works >$T/null && wc -c <$T/null" 2>&1)
	equal "touch of a device is refused, and using it is not" "touch: setting times of '$T/null': Read-only file system
1
0" "$got"
	equal "this machine's device is as it was" "$before" "$(stat -c '%y %z %a %u' /dev/null)"
else
	skip "attributes of devices at low descriptors" "the right to make one"
fi
# The device would have what stands here for the file.
if [ "$(id -u)" -eq 0 ] && [ -b /dev/loop0 ]; then
	cat >"$work/loop.py" <<-'END'
		import errno, fcntl, os, sys
		fd = os.open(sys.argv[1], os.O_RDWR)
		for path in "/dev/loop0", "/dev/null":
		    device = os.open(path, os.O_RDWR)
		    for request, arg in (0x4c00, fd), (0x4c06, fd), (0x4c0a, fd.to_bytes(4, "little") + bytes(300)):
		        try:
		            fcntl.ioctl(device, request, arg)
		            fcntl.ioctl(device, 0x4c01)
		            print("done")
		        except OSError as e:
		            print(errno.errorcode[e.errno], end=" ")
	END
	equal "a loop device of this machine gets no remote file" "EINVAL EINVAL EINVAL ENOTTY ENOTTY ENOTTY 3" "$(
		within 20 "$RT" --mode write --mount "$T=dir//:$T" -- "$PYTHON" -B "$work/loop.py" "$T/hello.txt" 2>"$work/err" </dev/null
		grep -c "ioctl refused: no loop device of this machine can have $T/hello.txt behind it" "$work/err")"
else
	skip "loop devices" "root, and one"
fi

equal "nothing is mounted" "" "$(grep -F "$work" /proc/self/mounts)"
