#!/bin/bash
# Shared mappings and the target: what gets there without msync, what comes from there, and what cannot.
. "$(dirname "$0")/../lib.sh"

T=$work/t
mkdir "$T"

# mapped NAME CODE: python code, traced, with m mapped on TREE/NAME; it runs in the background from its first line on.
mapped() {
	rm -f "$work/out"
	within 30 "$RT" --mode write --mount "$T=dir//:$T" -- "$PYTHON" -uc "import mmap, os, sys, time, signal
f = open('$T/$1', 'r+b')
m = mmap.mmap(f.fileno(), 0)
def until(test):
    for _ in range(500):
        if test(): return True
        time.sleep(0.01)
    return False
$2" >"$work/out" 2>"$work/err" </dev/null &
	job=$!
	until_true 10 [ -s "$work/out" ] || fail "$1 is mapped" "$(cat "$work/err")"
}

bytes() { dd if="$T/$1" bs=1 skip="$2" count="$3" status=none; }
has() { [ "$(bytes "$1" "$2" ${#3})" = "$3" ]; }

# check NAME STATUS: how the program ended, and that nobody complained.
check() {
	wait $job
	equal "$1: exit status" "$2" $?
	equal "$1: nothing on standard error" "" "$(cat "$work/err")"
}

sized() { head -c "$2" /dev/zero | tr '\0' . >"$T/$1"; }

without_msync() {
	sized plain 20000
	mapped plain "m[5000:5006] = b'stored'; print('on')
until(lambda: os.path.exists('$T/go'))"
	until_true 5 has plain 5000 stored && pass "a store reaches the target without msync" ||
		fail "a store reaches the target without msync" "$(bytes plain 5000 6)"
	touch "$T/go"
	check "a store without msync" 0
	rm "$T/go"
}

# Small files come whole, large ones page by page.
from_outside() {
	sized "$1" "$2"
	mapped "$1" "m[4096:4101] = b'inner'; print('on')
print('seen' if until(lambda: m[12288:12293] == b'outer') else 'not seen', m[4096:4101].decode(), m[0:1].decode())"
	printf outer | dd of="$T/$1" bs=1 seek=12288 conv=notrunc status=none
	check "$1: changed from outside" 0
	equal "$1: what comes from outside joins what was stored" "seen inner ." "$(tail -1 "$work/out")"
	equal "$1: both are at the target" "inner outer" "$(bytes "$1" 4096 5) $(bytes "$1" 12288 5)"
}

# Pages that the program only looked at are not written: somebody else's bytes stay.
only_what_changed() {
	sized others 40960
	mapped others "print('on'); until(lambda: os.path.exists('$T/go')); bytes(m); m[0:4] = b'ours'; m.flush()"
	printf theirs | dd of="$T/others" bs=1 seek=20000 conv=notrunc status=none
	touch "$T/go"
	check "somebody else's page" 0
	equal "somebody else's page is theirs" "ours theirs" "$(bytes others 0 4) $(bytes others 20000 6)"
	rm "$T/go"
}

killed() {
	sized dead 20000
	mapped dead "m[100:105] = b'final'; m[19000:19004] = b'word'; print('on'); os.kill(os.getpid(), signal.SIGKILL)"
	wait $job
	equal "a killed program: status" 137 $?
	equal "what a killed program stored" "final word" "$(bytes dead 100 5) $(bytes dead 19000 4)"
}

# A store and then a time that the program sets: the time is the later.
times() {
	sized times 8192
	mapped times "m[0:3] = b'abc'; os.utime(f.fileno(), (1000000000, 1000000000)); m.close(); f.close(); print('on')"
	check "a store before utime" 0
	equal "a store before utime is not after it" "1000000000 abc" "$(stat -c %Y "$T/times") $(bytes times 0 3)"
}

# With no room for the file mmap fails as where there is no memory; one line says why.
no_room() {
	if [ "$(id -u)" != 0 ]; then
		skip "no room for a mapping" root
		return
	fi
	sized large 3000000
	unshare -m bash -c "mount -t tmpfs -o size=1m,mode=1777 tmpfs /dev/shm && exec timeout 30 '$RT' --mode write --mount '$T=dir//:$T' -- \
		'$PYTHON' -c \"import mmap
f = open('$T/large', 'r+b')
try: mmap.mmap(f.fileno(), 0)
except OSError as e: print(e.errno)\"" >"$work/out" 2>"$work/err" </dev/null
	equal "no room for a mapping: ENOMEM" 12 "$(cat "$work/out")"
	equal "no room for a mapping: one line" 1 "$(grep -c '^remotefs-trace: .*no room' "$work/err")"
}

# The target's disk is full: msync says so, and so does a line when nobody asks.
full_target() {
	if [ "$(id -u)" != 0 ]; then
		skip "a full target" root
		return
	fi
	mkdir -p "$T/small"
	unshare -m bash -c "mount -t tmpfs -o size=256k tmpfs '$T/small' && truncate -s 1m '$T/small/sparse' && exec timeout 30 '$RT' \
		--mode write --mount '$T=dir//:$T' -- '$PYTHON' -c \"import mmap
f = open('$T/small/sparse', 'r+b')
m = mmap.mmap(f.fileno(), 0)
m[:] = b'x' * len(m)
try: m.flush()
except OSError as e: print(e.errno)
m[0:1] = b'y'\"" >"$work/out" 2>"$work/err" </dev/null
	equal "a full target: msync" 28 "$(cat "$work/out")"
	equal "a full target: one line at the end" 1 "$(grep -c '^remotefs-trace: .*could not be stored there' "$work/err")"
}

# The -shm of a WAL is a shared mapping that the connections, here of two processes, coordinate through.
wal() {
	within 60 "$RT" --mode write --mount "$T=dir//:$T" -- "$PYTHON" -c "import os, sqlite3
def connect(): return sqlite3.connect('$T/w.db', timeout=50, isolation_level=None)
db = connect()
db.execute('pragma journal_mode=wal')
db.execute('create table t(who, n)')
db.close()
pid = os.fork()
db = connect()
for i in range(40):
    db.execute('begin immediate')
    db.execute('insert into t values(?, (select count(*) from t))', (pid > 0,))
    db.execute('commit')
if not pid: os._exit(0)
os.waitpid(pid, 0)
print(db.execute('select count(*), count(distinct n) from t').fetchone(), db.execute('pragma integrity_check').fetchone()[0])" \
		>"$work/out" 2>&1 </dev/null
	equal "two processes write to a database in WAL mode" "(80, 80) ok" "$(cat "$work/out")"
	equal "the database at the target" "(80,) ok" "$("$PYTHON" -c "import sqlite3
db = sqlite3.connect('$T/w.db')
print(db.execute('select count(*) from t').fetchone(), db.execute('pragma integrity_check').fetchone()[0])")"
}

without_msync
wal
from_outside little 20000
from_outside large 3000000
only_what_changed
killed
times
no_room
full_target
