#!/bin/bash
# What a program watches when its agent and the keeper are killed: it is watched on, by the same numbers, or the program is told.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../agents.sh"

T=$work/t

# program.py: watches, and tells what it hears: "event NAME WHAT NAME"; what is not new is left out after an overflow.
cat >"$work/program.py" <<'EOF2'
import ctypes, os, select, struct, sys

D = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
NAMES = {0x2: "modify", 0x40: "moved_from", 0x80: "moved_to", 0x100: "create", 0x200: "delete", 0x400: "delete_self", 0x800: "move_self",
         0x4000: "overflow", 0x8000: "ignored"}
inotify = libc.inotify_init1(os.O_NONBLOCK)
watches = {}

def add(name, mask=0xfc2):
    wd = libc.inotify_add_watch(inotify, (D + "/" + name).encode(), mask)
    watches[wd] = name
    return wd

def remove(wd):
    libc.inotify_rm_watch(inotify, wd)
    del watches[wd]

def read(ms):
    poll = select.poll()
    poll.register(inotify, select.POLLIN)
    if not poll.poll(ms):
        return
    data = os.read(inotify, 1 << 16)
    while data:
        wd, mask, cookie, n = struct.unpack("iIII", data[:16])
        yield watches.get(wd, "-"), NAMES.get(mask & 0xffff, hex(mask)), data[16:16 + n].rstrip(b"\0").decode()
        data = data[16 + n:]

def watch():
    # Numbers that are not those of a new instance.
    for i in range(3):
        remove(add("conf"))
    for name in ("conf", "file", "gone", "replaced", "anew", "moved"):
        remove(add("between"))
        add(name)
    for _ in read(0): pass

def watch_own():
    """A directory that has something of the program's in it."""
    open(D + "/conf/own", "w").close()
    add("conf")

def told():
    """Before an overflow stand the events that the queue overflowed with."""
    heard = set()
    while True:
        batch = list(read(0))
        if not batch:
            break
        heard |= {e for e in batch if e[1] in ("overflow", "ignored")}
    for name, what, _ in sorted(heard):
        print("told", name, what, flush=True)

def events():
    while True:
        for e in read(10000):
            print("event", *e, flush=True)
            if e[1:] == ("create", "END"):
                return

def own():
    """What the program does itself, and to its watches."""
    conf = next(wd for wd, name in watches.items() if name == "conf")
    print("same number", add("conf", 0x20000100) == conf, flush=True)
    open(D + "/conf/own", "w").close()
    new = add("new")
    print("another number", new not in set(watches) - {new}, flush=True)
    libc.inotify_rm_watch(inotify, conf)
    open(D + "/conf/unheard", "w").close()
    open(D + "/new/END", "w").close()
    events()

print("ready", flush=True)
for line in sys.stdin:
    globals()[line.split()[0]]()
    print("done " + line.strip(), flush=True)
EOF2

start() {
	rm -rf "$T" "$work/in"
	mkdir -p "$T"/{conf/v1,gone,anew,moved,between,new}
	ln -s v1 "$T/conf/..data"
	touch "$T/file" "$T/replaced"
	mkfifo "$work/in"
	"$RT" "$@" --mount "/x=dir/$T" -- "$PYTHON" -S "$work/program.py" /x <"$work/in" >"$work/out" 2>"$work/err" &
	supervisor=$!
	exec 9>"$work/in"
	until_true 10 grep -q ready "$work/out" || fail "the program starts" "$(cat "$work/err")"
}

# As the kubelet brings a ConfigMap up to date; and what is told of the others.
outside() {
	mkdir "$T/conf/$1"
	ln -s "$1" "$T/conf/..data_tmp"
	mv -T "$T/conf/..data_tmp" "$T/conf/..data"
	echo more >>"$T/file"
	touch "$T/anew/entry" "$T/elsewhere/entry"
	rm "$T/anew/entry" "$T/elsewhere/entry"
	echo unheard >>"$T/replaced"
	touch "$T/conf/END"
	rm "$T/conf/END"
}

heard() {
	printf '%s\n' "event conf create $1" "event conf create ..data_tmp" "event conf moved_from ..data_tmp" "event conf moved_to ..data" \
		"event file modify " "event anew create entry" "event moved create entry" "event anew delete entry" "event moved delete entry" \
		"event conf create END"
}

# What the program printed up to $2, from behind $1.
between() { sed -n "/^done $1\$/,/^done $2\$/{/^done/!p}" "$work/out"; }

watched_on() {
	start --mode write
	step watch
	stop_agents
	rmdir "$T/gone" "$T/anew"
	touch "$T/other" "$T/conf/missed"
	mv "$T/other" "$T/replaced"
	mkdir "$T/anew"
	mv "$T/moved" "$T/elsewhere"
	kill_agents
	taken_over 1
	step "told 1"
	equal "watched on: what is missed is told, and what has ended" "told - overflow
told gone ignored
told replaced ignored" "$(between watch "told 1")"
	outside v2
	step "events 1"
	equal "watched on: everything is heard, by the same numbers" "$(heard v2)" "$(between "told 1" "events 1")"
	kill_agents
	taken_over 2
	step "told 2"
	equal "watched on: again" "told - overflow" "$(between "events 1" "told 2")"
	step "events 2" & outside v3
	wait $!
	equal "watched on: everything is heard after another one" "$(heard v3)" "$(between "told 2" "events 2" | grep -v 'conf delete END')"
	step own
	equal "watched on: watches are added, changed and removed as before" "same number True
another number True
event conf create own
event conf ignored 
event new create END" "$(between "events 2" own | grep -v 'conf delete END')"
	equal "watched on: how many there are is told" "2 1" "$(said "inotify watches go on at the new agent: 4;") $(
		said "inotify watches have ended with the agent: 2;")"
	stop "watched on"
}

# In an overlay what others change below the program's own layer is heard through it.
overlaid() {
	start --mode overlay
	mkdir "$T/elsewhere"
	step watch_own
	kill_agents
	taken_over 2
	step "told 1"
	equal "overlay: what is missed is told" "told - overflow" "$(between watch_own "told 1")"
	step "events 1" & outside v2
	wait $!
	equal "overlay: what others change is heard" "$(heard v2 | grep 'event conf')" "$(between "told 1" "events 1")"
	stop overlay
}

watched_on
overlaid
finish
