#!/bin/bash
# Descriptor numbers and how descriptors travel: what two programs with a socket between them can do.
. "$(dirname "$0")/../lib.sh"

T=$work/t
lowest=$GUESTS/glibc/lowest

# Equal to the native run, numbers and limits included.
make_tree "$T"
want=$("$lowest" "$T" 2>&1 </dev/null)
for trap in auto ptrace; do
	make_tree "$T"
	got=$(within 30 "$RT" --trap=$trap --fd-numbering=posix --mode write --mount "$T=dir//:$T" -- "$lowest" "$T" 2>&1 </dev/null)
	equal "--fd-numbering=posix: the lowest numbers, --trap=$trap" "$want" "$got"
done

cat >"$work/pass.py" <<'PY'
import os, socket, sys
from multiprocessing import get_context, reduction

def child(conn):
    fd = reduction.recv_handle(conn)
    print("child reads", os.read(fd, 7), flush=True)
    os.lseek(fd, 0, os.SEEK_END)
    os.write(fd, b"child\n")
    os.close(fd)

if __name__ == "__main__":
    a, b = socket.socketpair()
    fd = os.open(sys.argv[1] + "/passed", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.write(fd, b"content\nmore\n")
    os.lseek(fd, 0, 0)
    socket.send_fds(a, [b"x"], [fd, 0])
    message, fds, flags, _ = socket.recv_fds(b, 10, 5)
    print(message, len(fds), os.read(fds[0], 8), flush=True)
    for f in fds:
        os.close(f)
    for method in ("fork", "spawn"):
        context = get_context(method)
        ours, theirs = context.Pipe()
        process = context.Process(target=child, args=(theirs,))
        os.lseek(fd, 0, 0)
        process.start()
        reduction.send_handle(ours, fd, process.pid)
        process.join()
        print(method, process.exitcode, os.lseek(fd, 0, os.SEEK_CUR), os.pread(fd, 100, 0), flush=True)
PY
make_tree "$T"
want=$("$PYTHON" "$work/pass.py" "$T" 2>&1 </dev/null)
for how in high posix; do
	make_tree "$T"
	got=$(within 60 "$RT" --fd-numbering=$how --mode write --mount "$T=dir//:$T" -- "$PYTHON" "$work/pass.py" "$T" 2>&1 </dev/null)
	equal "Python passes descriptors, $how numbers" "$want" "$got"
done

# A daemon's way: root's rights are gone when it makes its socket.
if [ "$(id -u)" = 0 ]; then
	make_tree "$T"
	chmod 755 "$work"
	chmod 666 "$T/hello.txt"
	got=$(within 30 "$RT" --mode write --mount "$T=dir//:$T" -- "$PYTHON" -c "
import os, socket
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
a, b = socket.socketpair()
socket.send_fds(a, [b'x'], [os.open('$T/hello.txt', os.O_RDWR)])
print(os.read(socket.recv_fds(b, 10, 1)[1][0], 5))
" 2>&1 </dev/null)
	equal "a task that has changed its user passes descriptors" "b'Hello'" "$got"
fi

# Sockets cost nothing where nobody could pass a descriptor; where somebody could, one stop for each sendmsg.
stops() {
	within 30 "$RT" --stats "$work/stats" --mode write --mount "$T=dir//:$T" -- "$PYTHON" -c "
import socket
a, b = socket.socketpair(socket.$1, socket.SOCK_$2) if '$1' == 'AF_UNIX' else (socket.socket(socket.AF_INET, socket.SOCK_DGRAM), None)
a.bind(('127.0.0.1', 0)) if b is None else None
for i in range(200):
    a.$3
" </dev/null >"$work/out" 2>&1 || fail "sockets: $*" "$(cat "$work/out")"
	stat_of "$work/stats" ptrace_stops
}
if [ -z "${RT_FLAGS:-}" ]; then
	few=$(stops AF_INET DGRAM "sendmsg([b'x'], [], 0, a.getsockname())")
	[ "$few" -lt 100 ] && pass "sendmsg of other families does not stop" || fail "sendmsg of other families does not stop" "$few stops"
	few=$(stops AF_UNIX DGRAM "send(b'x'); b.recv(1)")
	[ "$few" -lt 100 ] && pass "send and recv do not stop" || fail "send and recv do not stop" "$few stops"
	many=$(stops AF_UNIX DGRAM "sendmsg([b'x']); b.recvmsg(1)")
	[ "$many" -ge 200 ] && [ "$many" -lt 300 ] && pass "one stop for each sendmsg" || fail "one stop for each sendmsg" "$many stops"
fi
