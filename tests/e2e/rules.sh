#!/bin/bash
# Rules and modes on the real program: what is read and changed where, by every list, and that explain says the same.
. "$(dirname "$0")/../lib.sh"

root=$work/root   # the target
D=$work/app       # a directory that is here and there
mkdir -p "$D/local" "$D/ro" "$D/rw" "$root$D/local" "$root$D/ro" "$root$D/rw" "$root/srv/only"
for d in "" /local /ro /rw; do
	echo "here$d" >"$D$d/file"
	echo "there$d" >"$root$D$d/file"
done
echo "only there" >"$root/srv/only/file"
cp "$root/srv/only/file" "$root$D/gone"
touch "$root$D/"$'\xff\xfe'
whole=(--mount "/=dir/$root")

# says NAME WANT COMMAND…: what a command prints on both outputs, in one line.
says() {
	local name=$1 want=$2
	shift 2
	equal "$name" "$want" "$(cd / && echo $(within 10 "$@" 2>&1 </dev/null))"
}

# Python runs here, whatever is remote, and says by errno what does not work.
calls='
import errno, os, sys
def tell(name, f, *args, **kw):
    try:
        r = f(*args, **kw)
        print(name, "ok" if r is None else r, sep=":")
    except OSError as e:
        print(f"{name}:{errno.errorcode[e.errno]}")
def text(path, **kw):
    fd = os.open(path, os.O_RDONLY, **kw)
    try:
        return os.read(fd, 100).decode().strip()
    finally:
        os.close(fd)
def write(path, data="x", flags=0, **kw):
    fd = os.open(path, os.O_WRONLY | flags, **kw)
    os.write(fd, data.encode())
    os.close(fd)
D = sys.argv[2]
exec(sys.argv[1])'
calls() {
	local name=$1 want=$2 code=$3
	shift 3
	says "$name" "$want" "$RT" "$@" -- "$PYTHON" -S -c "$calls" "$code" "$D"
}

lists() {
	local rules=("${whole[@]}" --local "^$D/local/" --read-only "^$D/ro/" --read-write "^$D/rw/" --not-found "^$D/gone")
	local reads='for n in "file", "local/file", "ro/file", "rw/file", "gone": tell(n, text, D + "/" + n)'
	calls "mode read, reads" "file:there local/file:here/local ro/file:there/ro rw/file:there/rw gone:ENOENT" "$reads" \
		--mode read "${rules[@]}"
	calls "mode write, reads" "file:there local/file:here/local ro/file:there/ro rw/file:there/rw gone:ENOENT" "$reads" \
		--mode write "${rules[@]}"
	calls "mode localwithoverrides, reads" "file:here local/file:here/local ro/file:there/ro rw/file:there/rw gone:ENOENT" "$reads" \
		--mode localwithoverrides "${rules[@]}"
	calls "mode local, reads" "file:here local/file:here/local ro/file:here/ro rw/file:here/rw gone:ENOENT" "$reads" \
		--mode local "${rules[@]}"

	local writes='for n in "file", "local/new", "ro/new", "rw/new", "gone": tell(n, write, D + "/" + n, flags=os.O_CREAT)'
	calls "mode read, writes" "file:EROFS local/new:ok ro/new:ok rw/new:ok gone:ENOENT" "$writes" --mode read "${rules[@]}"
	equal "… and where they went" "$D/local/new $D/ro/new $root$D/rw/new" "$(echo $(find "$D" "$root$D" -name new | sort))"
	find "$D" "$root$D" -name new -delete
	calls "mode write, writes" "file:ok local/new:ok ro/new:ok rw/new:ok gone:ENOENT" "$writes" --mode write "${rules[@]}"
	equal "… and where they went" "$D/local/new $D/ro/new $root$D/rw/new xhere" \
		"$(echo $(find "$D" "$root$D" -name new | sort) "$(head -c 5 "$root$D/file" | tr -d '\n')")"
	find "$D" "$root$D" -name new -delete
	echo there >"$root$D/file"
	# What a descriptor is of was decided when it was opened, and the target refuses what the rules do not allow.
	calls "changes by descriptors" "ro:EROFS file:EROFS rw:ok" \
		'for n in "ro/file", "file", "rw/file": tell(n.split("/")[0], os.fchmod, os.open(D + "/" + n, os.O_RDONLY), 0o640)' \
		--mode read "${rules[@]}"
	equal "… and the modes" "644 644 640" "$(cd "$root$D" && echo $(stat -c %a ro/file file rw/file))"
	calls "… of what is read_only in mode write" "ro:EROFS" \
		'tell("ro", os.fchmod, os.open(D + "/ro/file", os.O_RDONLY), 0o600)' --mode write "${rules[@]}"
}

overlaid() {
	local rules=("${whole[@]}" --mode overlay --local "^$D/local/" --read-only "^$D/ro/" --read-write "^$D/rw/" --not-found "^$D/gone")
	calls "mode overlay" "file:ok:x local:ok:x ro:ok:ENOENT rw:ok:x gone:ENOENT:ENOENT file:xhere" \
		'def both(n):
    for f in (lambda: write(D + n, flags=os.O_CREAT), lambda: text(D + n)):
        try: yield f() or "ok"
        except OSError as e: yield errno.errorcode[e.errno]
for n in "/new", "/local/new", "/ro/new", "/rw/new", "/gone": print((n.split("/")[1] if n != "/new" else "file"), *both(n), sep=":")
write(D + "/file"); tell("file", text, D + "/file")' "${rules[@]}"
	equal "… and where it went" "$D/local/new $D/ro/new $root$D/rw/new there" \
		"$(echo $(find "$D" "$root$D" -name new | sort) "$(cat "$root$D/file")")"
	find "$D" "$root$D" -name new -delete
	calls "… between its parts" "a:EXDEV b:EXDEV c:EXDEV d:ok e:there" \
		'tell("a", os.rename, D + "/file", D + "/rw/x"); tell("b", os.rename, D + "/rw/file", D + "/x"); tell("c", os.link, D + "/local/file", D + "/x")
tell("d", os.rename, D + "/file", D + "/y"); tell("e", text, D + "/y")' "${rules[@]}"
	says "… of --target" "x only there $(head -1 /etc/passwd)" "$RT" --target "dir/$root" --mode overlay -- \
		busybox sh -c 'echo x >/srv/only/new; cat /srv/only/new /srv/only/file; head -n 1 /etc/passwd'
	equal "… leaves the target as it was" file "$(ls "$root/srv/only")"
}

paths() {
	local rules=("${whole[@]}" --mode write --local "^$D/local(/|$)" --map "^$D/old/=$D/rw/" --map "^$D/lo/=$D/local/")
	calls "relative to a remote cwd" "a:there b:here/local c:there/rw cwd:$D" \
		'os.chdir(D); tell("a", text, "file"); tell("b", text, "local/file"); tell("c", text, "local/../rw/./file"); tell("cwd", os.getcwd)' \
		"${rules[@]}"
	calls "relative to a local cwd" "a:here/local b:there c:there/ro" \
		'os.chdir(D + "/local"); tell("a", text, "file"); tell("b", text, "../file"); tell("c", text, "../ro//file")' "${rules[@]}"
	calls "relative to descriptors" "a:here/local b:there/rw c:there d:ok e:here/local" \
		'd = os.open(D, os.O_RDONLY); l = os.open(D + "/local", os.O_RDONLY)
tell("a", text, "local/file", dir_fd=d); tell("b", text, "../rw/file", dir_fd=l); tell("c", text, "../file", dir_fd=l)
tell("d", os.mkdir, "local/dir", dir_fd=d); tell("e", text, "file", dir_fd=l)' "${rules[@]}"
	equal "… mkdir by one is local" "$D/local/dir" "$(find "$D" "$root$D" -name dir)"
	calls "between here and there" "a:EXDEV b:EXDEV c:EXDEV d:EXDEV e:ok f:EXDEV" \
		'tell("a", os.rename, D + "/file", D + "/local/x"); tell("b", os.rename, D + "/local/file", D + "/x")
tell("c", os.link, D + "/file", D + "/local/x"); tell("d", os.link, D + "/local/file", D + "/x")
tell("e", os.rename, D + "/local/dir", D + "/local/dir2"); tell("f", os.rename, D + "/none", D + "/local/x")' "${rules[@]}"
	calls "mapped" "a:there/rw b:here/local c:ok d:ok e:ENOENT f:ok g:ok h:$D/rw" \
		'tell("a", text, D + "/old/file"); tell("b", text, D + "/lo/file"); tell("c", write, D + "/old/m", flags=os.O_CREAT)
tell("d", os.rename, D + "/old/m", D + "/old/n"); tell("e", os.unlink, D + "/old/m"); tell("f", write, D + "/lo/m", flags=os.O_CREAT)
tell("g", os.rename, D + "/lo/m", D + "/lo/n"); os.chdir(D + "/old/."); tell("h", os.getcwd)' "${rules[@]}" --map "^$D/old\$=$D/rw"
	equal "… and where it went" "$D/local/n $root$D/rw/n" "$(echo $(find "$D" "$root$D" -name '[mn]' | sort))"
	calls "chdir obeys the lists" "a:ENOENT" 'tell("a", os.chdir, D + "/ro")' "${rules[@]}" --not-found "^$D/ro\$"
	calls "openat2 that is not to leave a directory" "file:ok rw/file:ok local/file:EXDEV gone:ENOENT old/file:EXDEV ../x:EXDEV" \
		'import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
def beneath(fd, path):
    if libc.syscall(437, fd, path.encode(), struct.pack("QQQ", 0, 0, 8), 24) < 0: raise OSError(ctypes.get_errno(), "")
d = os.open(D, os.O_RDONLY)
for n in "file", "rw/file", "local/file", "gone", "old/file", "../x": tell(n, beneath, d, n)' "${rules[@]}" --not-found "^$D/gone"
	calls "names that are no UTF-8" "a:ENOENT b:ok c:there" \
		'n = os.fsencode(D) + b"/\xff\xfe"; tell("a", os.stat, n); tell("b", lambda: os.stat(n + b"x") and None); tell("c", text, D + "/file")' \
		"${whole[@]}" --not-found "^$D/..\$" --map "^($D/..)x\$=\$1x"  --mode write
}

# A local file that only a rule leads to is opened by us, with the rights that the task has then.
rights() {
	local map=(--mount "/nowhere=dir/$root" --map "^/mapped(/.*)?\$=$D\$1")
	chmod 711 "$work" && chmod 777 "$D" && chmod 700 "$D/ro" && chmod 600 "$D/rw/file"
	calls "renames with a name that only a rule leads to" "a:ok b:ok c:ENOENT d:ok e:ok f:here" \
		'os.chdir(D); tell("a", os.rename, "/mapped/file", "x"); tell("b", os.rename, D + "/x", "/mapped/y"); tell("c", os.rename, "/mapped/x", "z")
tell("d", os.link, "/mapped/y", "file"); tell("e", os.unlink, "/mapped/y"); tell("f", text, "/mapped/file")' "${map[@]}"
	calls "names in and above a mapped directory" "a:EBUSY b:EINVAL c:ENOENT" \
		'tell("a", os.rename, "/mapped/ro/.", "/mapped/x"); tell("b", os.rmdir, "/mapped/ro/."); tell("c", os.mkdir, "/mapped/new/.")' "${map[@]}"
	calls "the umask" "600 750" 'os.umask(0o077); write("/mapped/u", flags=os.O_CREAT, mode=0o666); os.umask(0o027); os.mkdir("/mapped/v")
print(*["%o" % (os.stat("/mapped/" + n).st_mode & 0o777) for n in "uv"])' "${map[@]}"
	if [ "$(id -u)" -ne 0 ]; then
		skip "the rights of a task with another user" root
		return
	fi
	calls "the rights of a task with another user" "a:EACCES b:EACCES c:EACCES d:EPERM e:ok f:ok g:EACCES 65534" \
		'os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
tell("a", text, "/mapped/ro/file"); tell("b", text, "/mapped/rw/file"); tell("c", os.chdir, "/mapped/ro"); tell("d", os.chmod, "/mapped/rw", 0o777)
tell("e", lambda: print(end="") if not os.access("/mapped/rw/file", os.R_OK) else 1); tell("f", write, "/mapped/n", flags=os.O_CREAT)
tell("g", os.rename, "/mapped/n", "/mapped/ro/n"); print(os.stat("/mapped/n").st_uid)' "${map[@]}"
}

# --target has mirrord's default lists; in mode read what is not to be changed there is changed here.
defaults() {
	says "/etc is local" "$(head -1 /etc/passwd)" "$RT" --target "dir/$root" busybox head -n 1 /etc/passwd
	says "/srv is remote" "only there" "$RT" --target "dir/$root" --mode read busybox cat /srv/only/file
	says "the cwd is local" "here" "$RT" --target "dir/$root" busybox sh -c "cd $D && cat file"
	says "a rule for a path of /etc" "cat: can't open '/etc/passwd': No such file or directory" \
		"$RT" --target "dir/$root" --read-only '^/etc/passwd$' busybox cat /etc/passwd
	says "libraries stay, whatever the rules" "only there" "$RT" --target "dir/$root" --mode read --read-only . --local ^/dev/ -- cat /srv/only/file
	says "mode read needs the directory here" "sh: can't create /srv/only/new: nonexistent directory" \
		"$RT" --target "dir/$root" --mode read -- busybox sh -c "echo x >/srv/only/new"
	local home=$work/home
	mkdir -p "$home/.kube"
	echo secret >"$home/.kube/config"
	says "\$HOME/.kube is not there" "cat: can't open '$home/.kube/config': No such file or directory" \
		env HOME="$home" "$RT" --target "dir/$root" busybox cat "$home/.kube/config"
	if [ "$(id -u)" -ne 0 ] || ! S=$(mktemp -d /srv/rfs-rules.XXXXXX); then
		skip "mode read with a directory outside the lists" root
		return
	fi
	mkdir -p "$root$S"
	echo there >"$root$S/file"
	echo here >"$S/local"
	says "mode read writes here" "ok there cat: can't open '$S/new': No such file or directory" "$RT" --target "dir/$root" --mode read -- \
		busybox sh -c "echo x >$S/new && echo ok; cat $S/file $S/new"
	says "… and what is only there cannot be removed" "rm: can't remove '$S/file': No such file or directory" \
		"$RT" --target "dir/$root" --mode read -- busybox rm "$S/file"
	equal "… and the target is as before" "there" "$(cat "$root$S"/*)"
	rm -rf "$S"
}

# Commands take no options before their name.
plain=${AGENT%/*}/remotefs-trace

explained() {
	local explain=("$plain" explain --target "dir/$root" --mode read)
	says "explain: the mode" "/srv/x: remote dir:$root /srv/x (mode read)" "${explain[@]}" /srv/x
	says "explain: a write" "/srv/x: local /srv/x (mode read)" "${explain[@]}" /srv/x --write
	says "explain: a default list" '/etc/hosts: remote dir:'"$root"' /etc/hosts (default read_only "^/etc/hosts$")' "${explain[@]}" /etc/hosts
	says "explain: … for a write" '/etc/hosts: local /etc/hosts (default local "^/etc(/|$)")' "${explain[@]}" --write /etc/hosts
	says "explain: a rule and a mapping" '/old/x: remote dir:'"$root"' /new/x (read_write "^/new", --read-write; mapping "^/old", --map)' \
		"${explain[@]}" --map ^/old=/new --read-write ^/new /old/x
	says "explain: not found" '/a/b: not found (not_found "b$", --not-found)' "${explain[@]}" --not-found 'b$' /a/c/../b
	says "explain: a mount" "/m/x: remote dir:$root /srv/only/x (mode write)" "$plain" explain --mode write --mount "/m=dir/$root:/srv/only" /m/x
	says "explain: no mount" "/x: local /x (no mount)" "$plain" explain --mount "/m=dir/$root" /x
	mkdir -p "$work/conf"
	printf '{"feature": {"fs": {"mode": "write",\n  "local": ["^/srv/x"]}}, "target": "dir/%s"}\n' "$root" >"$work/conf/m.json"
	says "explain: by a file" "/srv/x: local /srv/x (local \"^/srv/x\", $work/conf/m.json:2:13)" "$plain" explain -f "$work/conf/m.json" /srv/x
	within 10 "$RT" --target "dir/$root" --local '(?=a)' true >"$work/out" 2>&1
	equal "a pattern that is refused: status" 2 $?
	equal "a pattern that is refused" \
		'remotefs-trace: --local: feature.fs.local: "(?=a)": character 1: look-around, (?=…), is not part of Rust'"'"'s regex syntax' "$(cat "$work/out")"
}

# What explain says of each line of the filter's table.
table() {
	local mode path intent want got wrong=0
	while IFS=$'\t' read -r mode path intent want; do
		[ -n "$want" ] || continue
		case $path in /proj/* | */prog/*) continue ;; esac # these are of the program and its cwd
		got=$(cd / && HOME=/home/user TMPDIR= "$plain" explain --target dir/srv --mode "$mode" --read-write '/pain/read_write.*\.a' \
			--read-only '/pain/read_only.*\.a' --local '/pain/local.*\.a' --not-found '/pain/not_found.*\.a' \
			$([ "$intent" = write ] && echo --write) -- "$path")
		got=${got#"$path: "}
		got=${got%% *}
		[ "$got" = not ] && got=not_found
		[ "$got" = "$want" ] || { wrong=$((wrong + 1)); fail "mode $mode, $intent $path: $want" "$got"; }
	done < <(grep -v '^#' "$HERE/rules/filter.tsv")
	[ $wrong -eq 0 ] && pass "explain agrees with the filter's table"
}

# The guests, by a name that is only a rule's.
guests() {
	local kind=$1
	shift
	"$HERE/run-diff" -j 2 --variant "$kind" "${@/#/glibc/}"
}

guests mapped openat2 read write stat rename unlink xattr truncate mmap inotify
guests mapped-here openat2 append stat access inotify coherence mixed
lists
overlaid
paths
rights
defaults
explained
table
