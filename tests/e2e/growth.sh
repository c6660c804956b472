#!/bin/bash
# Files that others change while the program has them open: what it sees is never stale for long.
. "$(dirname "$0")/../lib.sh"

T=$work/t
make_tree "$T"

# started COMMAND…: traced in the background; returns when it has printed its first line.
started() {
	rm -f "$work/out"
	(cd / && exec timeout $((20 * SCALE)) "$RT" --mode write --mount "$T=dir//:$T" -- "$@") >"$work/out" 2>"$work/err" </dev/null &
	job=$!
	until_true 10 [ -s "$work/out" ] || fail "$1 starts" "$(cat "$work/err")"
}

ended_well() {
	local from
	from=$(date +%s%N)
	wait $job
	equal "$1" 0 $?
	[ -z "${2:-}" ] || at_most "$1: milliseconds" $(($2 * SCALE)) $((($(date +%s%N) - from) / 1000000))
}

grows() {
	local name=$1 size
	size=$(stat -c %s "$T/$name")
	started "$GUESTS/glibc/tail" "$T" "$name" $((size + 5 * 6))
	for i in 1 2 3 4 5; do
		echo "line$i" >>"$T/$name"
		sleep 0.05
	done
	ended_well "$name grows under a reader" 1000
	grep -q only "$work/out" && fail "$name: what it saw" "$(cat "$work/out")"
}

busybox_tail() {
	started busybox tail -f -s 1 "$T/hello.txt"
	echo "appended" >>"$T/hello.txt"
	if until_true 3 grep -q appended "$work/out"; then
		pass "busybox tail -f sees an appended line"
	else
		fail "busybox tail -f sees an appended line" "$(cat "$work/out")"
	fi
	kill $job
	wait $job 2>/dev/null
}

rewrites() {
	started "$GUESTS/glibc/rewritten" "$T" "$1"
	echo rewritten >"$T/$1"
	ended_well "$1 is rewritten under a reader" 1000
	grep -q "all new" "$work/out" || fail "$1: what it saw" "$(cat "$work/out")"
}

# A large mapped file is compared page by page when it changes, and what is a hole is stepped over, up to its end.
sparse() {
	truncate -s 200M "$T/sparse"
	printf old | dd of="$T/sparse" conv=notrunc status=none
	started "$PYTHON" -c '
import mmap, sys, time
m = mmap.mmap(open(sys.argv[1], "rb").fileno(), 0, prot=mmap.PROT_READ)
print(m[:3].decode(), flush=True)
until = time.monotonic() + 10
while m[:3] != b"new" and time.monotonic() < until:
    time.sleep(0.01)
print(m[:3].decode(), m[100 << 20])' "$T/sparse"
	printf new | dd of="$T/sparse" conv=notrunc status=none
	ended_well "a sparse file changes under its mapping" 3000
	equal "what it saw" "old new 0" "$(echo $(cat "$work/out"))"
	rm "$T/sparse"
}

# Names too: what another process makes, renames and removes is seen by the next stat.
names() {
	started busybox sh -c "n=0; [ -e $T/later ] || echo waiting; while [ ! -e $T/later ] && [ \$n -lt 200 ]; do n=\$((n+1)); sleep 0.01; done
		[ -e $T/later ] && echo came; while [ -e $T/later ] && [ \$n -lt 400 ]; do n=\$((n+1)); sleep 0.01; done; [ -e $T/later ] || echo went
		cat $T/second"
	echo x >"$T/later"
	until_true 3 grep -q came "$work/out" && pass "a new name is seen" || fail "a new name is seen" "$(cat "$work/out")"
	mv "$T/later" "$T/second"
	ended_well "a rename by another is seen" 1000
	equal "what it saw" "waiting came went x" "$(echo $(cat "$work/out"))"
	within 20 "$RT" --mode write --mount "$T=dir//:$T" -- busybox sh -c "stat -c %s $T/lines.txt; cat $T/lines.txt | wc -c; echo ready > $work/ready
		while [ ! -e $work/go ]; do sleep 0.01; done; stat -c %s $T/lines.txt; cat $T/lines.txt | wc -c" >"$work/out" 2>&1 &
	until_true 10 [ -s "$work/ready" ]
	echo "more bytes" >>"$T/lines.txt"
	sleep 0.2
	: >"$work/go"
	wait $!
	equal "stat and re-open after another's change" "8890 8890 8901 8901" "$(echo $(cat "$work/out"))"
}

# What a listing told of attributes holds until another changes them.
attributes() {
	if ! have setfacl; then
		skip "an ACL that another sets" setfacl
		return
	fi
	(cd / && within 20 "$RT" --mount "$T=dir//:$T" -- bash -c "
		ls -l $T/dir >/dev/null; ls -l $T/dir/file; read x; ls -l $T/dir/file; getfacl -pcn $T/dir/file" \
		< <(sleep 1; setfacl -m u:7:rw "$T/dir/file"; sleep 0.2; echo) >"$work/out" 2>&1)
	equal "an ACL that another sets is seen" "-rw-r--r-- -rw-rw-r--+ user:7:rw-" "$(echo $(cut -c1-11 "$work/out" | grep -E '^-rw|^user:7'))"
}

# The agent's threads that have nothing to do end after 10 s; what they leave must go on working.
after_rest() {
	within 60 "$RT" --mode write --mount "$T=dir//:$T" -- "$PYTHON" -c "
import os, threading, time
os.chdir('$T/dir')
def busy():
    for i in range(300):
        open('rest.%d' % threading.get_ident(), 'w').close()
threads = [threading.Thread(target=busy) for i in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
for i in range(13):
    time.sleep(1)
    os.access('x%d' % i, os.F_OK)
os.rename('$T/dir', '$T/moved')
print(os.getcwd().replace('$T', ''), os.listxattr('.'))" >"$work/out" 2>&1
	equal "after the agent's rest" "/moved []" "$(cat "$work/out")"
	mv "$T/moved" "$T/dir"
}

grows hello.txt
grows sizes/s131073
grows sizes/s1048577
grows sizes/s3145745
grows empty
busybox_tail
attributes
after_rest
chmod u+w "$T/ro"
rewrites ro
rewrites sizes/s4097
rewrites sizes/s131073
sparse
names
