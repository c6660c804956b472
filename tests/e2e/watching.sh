#!/bin/bash
# inotify of remote places by programs as they are, and changes that are made at the target without us.
. "$(dirname "$0")/../lib.sh"

T=$work/t

# What others do there; slowly, for inotifywait -r has to find each new directory before something is in it.
outside() {
	sleep 0.2
	echo one >"$T/w/file"
	sleep 0.2
	mkdir "$T/w/sub"
	sleep 0.4
	echo two >"$T/w/sub/inner"
	echo three >>"$T/w/sub/inner"
	chmod 600 "$T/w/file"
	mv "$T/w/file" "$T/w/sub/moved"
	ln -s sub "$T/w/link_tmp"
	mv -T "$T/w/link_tmp" "$T/w/link"
	cat "$T/w/sub/moved" >/dev/null
	rm "$T/w/sub/inner"
	sleep 0.2
	rm -r "$T/w/sub"
	sleep 0.2
	echo end >"$T/w/END"
}

# watched NAME PREFIX…: inotifywait's events while outside() runs, into a file of that NAME.
watched() {
	local name=$1 watcher
	shift
	make_tree "$T"
	mkdir "$T/w"
	"$@" inotifywait -m -r --format '%w %e %f' "$T/w" >"$work/$name" 2>"$work/$name.err" </dev/null &
	watcher=$!
	until_true 10 grep -q established "$work/$name.err" || { fail "$name: inotifywait is ready" "$(cat "$work/$name.err")"; kill $watcher; return; }
	outside
	until_true 10 grep -q 'CLOSE_WRITE,CLOSE END' "$work/$name" || fail "$name: the last event arrives" "$(tail -3 "$work/$name")"
	kill $watcher
	wait $watcher 2>/dev/null
}

inotifywait_outside() {
	have inotifywait || { skip "inotifywait -m -r" inotifywait; return; }
	watched native env
	watched traced "$RT" -q --mode write --mount "$T=dir//:$T" --
	if diff "$work/native" "$work/traced" >"$work/diff"; then
		pass "inotifywait -m -r: $(wc -l <"$work/native") events of changes made outside"
	else
		fail "inotifywait -m -r: events of changes made outside" "$(cat "$work/diff")"
	fi
}

# As the kubelet brings a ConfigMap up to date, and a file beside it.
swapped() {
	mkdir "$T/w/v2"
	echo new >"$T/w/v2/key"
	ln -s v2 "$T/w/..data_tmp"
	mv -T "$T/w/..data_tmp" "$T/w/..data"
	echo more >>"$T/w/plain"
	rm "$T/w/gone"
	sleep 0.2
	echo end >"$T/w/END"
}

# changes NAME PREFIX…: what a directory's watch hears of that, after the program has changed files there itself.
changes() {
	local name=$1 watcher
	shift
	make_tree "$T"
	mkdir "$T/w" "$T/w/v1"
	echo old >"$T/w/v1/key"
	ln -s v1 "$T/w/..data"
	touch "$T/w/plain" "$T/w/gone" "$T/w/own" "$T/w/removed"
	rm -f "$work/$name.err" # that says "established" perhaps
	"$@" sh -c 'echo own >"$1/own"; rm "$1/removed"
		exec inotifywait -m -e modify,create,delete,move,close_write --format "%e %f" "$1"' - "$T/w" >"$work/$name" 2>"$work/$name.err" </dev/null &
	watcher=$!
	until_true 10 grep -q established "$work/$name.err" || { fail "$name: inotifywait is ready" "$(cat "$work/$name.err")"; kill $watcher; return; }
	# Of what the program has changed or removed here nobody there can tell it anything.
	[ "$name" = native ] || { echo there >"$T/w/own"; echo there >"$T/w/removed"; }
	swapped
	until_true 10 grep -q 'CLOSE_WRITE,CLOSE END' "$work/$name" || fail "$name: the last event arrives" "$(tail -3 "$work/$name")"
	kill $watcher
	wait $watcher 2>/dev/null
}

overlaid() {
	have inotifywait || { skip "inotifywait of an overlay" inotifywait; return; }
	changes native env
	changes overlay "$RT" -q --mode overlay --mount "$T=dir//:$T" --
	equal "in an overlay a watch hears what others change at the target" "$(cat "$work/native")" "$(cat "$work/overlay")"
}

# Carriers have names in the file system: they must go with us, however we end.
killed() {
	local rt_pid
	make_tree "$T"
	"$RT" -q --mode read --mount "$T=dir//:$T" -- "$PYTHON" -c '
import ctypes, sys, time
libc = ctypes.CDLL(None)
fd = libc.inotify_init1(0)
print(libc.inotify_add_watch(fd, sys.argv[1].encode(), 0xfff), flush=True)
time.sleep(60)' "$T" >"$work/out" 2>&1 &
	rt_pid=$!
	until_true 10 grep -q '^1$' "$work/out" || fail "a watch is added" "$(cat "$work/out")"
	until_true 5 sh -c "ls -d /dev/shm/.remotefs-trace.$rt_pid.*.watched" >/dev/null && pass "a watch has a carrier"
	kill -KILL $rt_pid
	wait $rt_pid 2>/dev/null
	gone "nothing runs after a watcher was killed" 5
	equal "nothing of a watcher is left in /dev/shm" "" "$(ls -A /dev/shm | grep -F ".remotefs-trace.$rt_pid.")"
}

# Nothing here can mark a remote file system for fanotify: said so, not done to the local one.
fanotify() {
	local out
	make_tree "$T"
	out=$("$RT" --mode write -o "$work/log" --mount "$T=dir//:$T" -- "$PYTHON" -c '
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.fanotify_init(0x200, 0)
if fd < 0:
    sys.exit("no fanotify here")
r = libc.fanotify_mark(fd, 1, ctypes.c_uint64(0x20), -100, sys.argv[1].encode())
print(r, ctypes.get_errno() == errno.EOPNOTSUPP)' "$T" 2>&1)
	[ "$out" != "no fanotify here" ] || { skip "fanotify_mark of a remote place" "fanotify"; return; }
	equal "fanotify_mark of a remote place" "-1 True" "$out"
	if grep -q 'fanotify_mark(.*EOPNOTSUPP.*not emulated' "$work/log"; then
		pass "the log says that fanotify is not emulated"
	else
		fail "the log says that fanotify is not emulated" "$(grep fanotify "$work/log")"
	fi
}

inotifywait_outside
overlaid
killed
fanotify
