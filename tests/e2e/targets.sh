#!/bin/bash
# Ways to name targets and mounts: what becomes remote, and that nothing outside the target's root does.
. "$(dirname "$0")/../lib.sh"

T=$work/t
root=$work/root
make_tree "$T"
mkdir -p "$root/etc" "$root/srv/data" "$root/opt"
echo "from the target" >"$root/etc/app.yaml"
echo "only there" >"$root/srv/data/file"
echo "secret" >"$work/outside"
ln -s ../../../../../../../../../../etc/app.yaml "$root/srv/up"
ln -s /etc/app.yaml "$root/srv/absolute"
ln -s "$work/outside" "$root/srv/outside"
ln -s ../.. "$root/srv/dots"

# says NAME WANT COMMAND…: what a command prints on both outputs.
says() {
	local name=$1 want=$2
	shift 2
	equal "$name" "$want" "$(cd / && within 10 "$@" 2>&1 </dev/null)"
}

whole_tree() {
	says "--target alone" "only there" "$RT" --target "dir/$root" busybox cat /srv/data/file
	says "a mount at /" "from the target" "$RT" --mount "/=dir/$root" busybox cat /etc/app.yaml
	says "-- before the program" "from the target" "$RT" --mount "/=dir/$root" -- busybox cat /etc/app.yaml
	says "an absolute directory's /" "etc opt srv" "$RT" --mount "/=dir/$root" -- busybox sh -c 'echo $(ls /)'
	says "cd and relative paths" "/srv/data only there" "$RT" --mount "/=dir/$root" -- busybox sh -c 'cd /srv/data && echo $(pwd) $(cat file)'
	says ".. stops at the root" "from the target" "$RT" --mount "/=dir/$root" -- busybox cat /srv/../../../../etc/app.yaml
	says "a symlink's .. stops at the root" "from the target" "$RT" --mount "/=dir/$root" -- busybox cat /srv/up
	says "an absolute symlink is the target's" "from the target" "$RT" --mount "/=dir/$root" -- busybox cat /srv/absolute
	says "a symlink cannot leave" "cat: can't open '/srv/outside': No such file or directory" "$RT" --mount "/=dir/$root" -- busybox cat /srv/outside
	says "a symlink to a directory cannot leave" "etc opt srv" "$RT" --mount "/=dir/$root" -- busybox sh -c 'echo $(ls /srv/dots/)'
	says "a local file is not there" "cat: can't open '$work/outside': No such file or directory" "$RT" --mount "/=dir/$root" -- busybox cat "$work/outside"
	says "/proc is local" "busybox" "$RT" --mount "/=dir/$root" -- busybox sh -c 'read x < /proc/$$/comm; echo $x'
	says "/dev is local" "0" "$RT" --mount "/=dir/$root" -- busybox sh -c 'echo x > /dev/null; echo $?'
	says "a dynamic program" "from the target" "$RT" --mount "/=dir/$root" -- cat /etc/app.yaml
	says "the default is to keep writes here" "x" "$RT" --mount "/=dir/$root" -- busybox sh -c 'echo x > /etc/new; cat /etc/new'
	says "where the target does not have them" "sh: can't open /etc/new: no such file" "$RT" --mount "/=dir/$root" -- busybox sh -c 'cat < /etc/new'
	says "--mode read" "sh: can't create /etc/new: Read-only file system" "$RT" --mount "/=dir/$root" --mode read -- busybox sh -c 'echo x > /etc/new'
	says "--mode write" "x" "$RT" --mount "/=dir/$root" --mode write -- busybox sh -c 'echo x > /opt/new; cat /opt/new; rm /opt/new'
	says "--mode local" "secret" "$RT" --mount "/=dir/$root" --mode local -- busybox cat "$work/outside"
	says "a Go program" "$(cat "$root/srv/data/file" | wc -c)" "$RT" --mount "/=dir/$root" -- busybox sh -c 'wc -c < /srv/data/file'
}

mounts() {
	says "a mount that has no local directory" "only there" "$RT" --mount "/no-such-place=dir/$root" -- busybox cat /no-such-place/srv/data/file
	says "cd into one" "/no-such-place/srv only there" "$RT" --mount "/no-such-place=dir/$root" -- busybox sh -c 'cd /no-such-place/srv && echo $(pwd) $(cat data/file)'
	says "a subpath" "only there" "$RT" --mount "/no-such-place=dir/$root:/srv/data" -- busybox cat /no-such-place/file
	says "around a mount all is local" "secret" "$RT" --mount "/no-such-place=dir/$root" -- busybox cat "$work/outside"
	says "the name beside a mount is local" "cat: can't open '/no-such-place2/srv/data/file': No such file or directory" \
		"$RT" --mount "/no-such-place=dir/$root" -- busybox cat /no-such-place2/srv/data/file
	says "two mounts" "only there Hello, world" "$RT" --mount "/no-a=dir/$root" --mount "/no-b=dir/$T" -- \
		busybox sh -c 'echo $(cat /no-a/srv/data/file) $(cat /no-b/hello.txt)'
	says "a mount inside a mount" "Hello, world from the target" "$RT" --mount "/no-a=dir/$root" --mount "/no-a/opt=dir/$T" -- \
		busybox sh -c 'echo $(cat /no-a/opt/hello.txt) $(cat /no-a/etc/app.yaml)'
	says "rename between targets" "mv: EXDEV" "$RT" --mode write --mount "/no-a=dir/$root" --mount "/no-b=dir/$T" -- \
		"$PYTHON" -c 'import os
try: os.rename("/no-a/etc/app.yaml", "/no-b/x")
except OSError as e: print("mv:", __import__("errno").errorcode[e.errno])'
	says "mv between them copies" "from the target" "$RT" --mode write --mount "/no-a=dir/$root" --mount "/no-b=dir/$T" -- \
		busybox sh -c 'cat /no-a/etc/app.yaml > /no-b/x; cat /no-b/x; rm /no-b/x'
	says "io_uring and unknown calls" "ENOSYS EXDEV EXDEV ENOSYS" "$RT" --mode write --mount "$T=dir/$T" -- \
		busybox sh -c "echo \$($GUESTS/glibc/uring $T | sed 's/.* //')"
}

over_a_command() {
	local target="exec:$AGENT --stdio --root $T" native traced
	native=$("$GUESTS/go/walk" "$T" 2>&1)
	traced=$(cd / && within 20 "$RT" --mode write --mount "$T=$target" -- "$GUESTS/go/walk" "$T" 2>&1)
	equal "exec: a walk" "$(sha1sum <<<"$native")" "$(sha1sum <<<"$traced")"
	says "exec: with --target" "only there" "$RT" --target "exec:$AGENT --stdio --root $root" -- busybox cat /srv/data/file
	says "exec: with a subpath" "only there" "$RT" --mount "/no-a=exec:$AGENT --stdio --root $root:/srv" -- busybox cat /no-a/data/file
	says "exec: through a pipe" "only there" "$RT" --target "exec:cat | $AGENT --stdio --root $root | cat" -- busybox cat /srv/data/file
	says "exec: in a shell of its own" "only there" "$RT" --target "exec:cd /; X=--stdio; exec $AGENT \$X --root $root" -- busybox cat /srv/data/file
}

whole_tree
mounts
over_a_command
