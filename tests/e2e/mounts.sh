#!/bin/bash
# Several trees in one run: two targets and what is here, each with its own mode, connection and name in the log; mounts in mounts.
. "$(dirname "$0")/../lib.sh"

one=$work/one two=$work/two here=$work/here
mkdir -p "$one/data/sub" "$two/srv/deep" "$here/local"
echo one >"$one/data/file"
echo 1 >"$one/data/sub/1"
echo two >"$two/srv/file"
echo 2 >"$two/srv/deep/2"
echo local >"$here/local/file"
ln -s ../file "$one/data/sub/link"
touch -d 2001-02-03 "$one/data/sub/1"
chmod 640 "$one/data/file"
mkdir "$here/a" "$here/b"

# Two directories, by two agents, and a mount within one of them, that only exists in the run.
all=(--mode write --mount "$here/a=dir/$one:/data" --mount "$here/b=exec:$AGENT --stdio --root $two:/srv" --mount "$here/a/sub/nested=dir/$two:/srv/deep")
run() { within 30 "$RT" "${all[@]}" -- "$@" 2>&1; }
busybox=/bin/busybox
mkdir "$one/data/sub/nested"

equal "one find goes through all of them" "$here
$here/a
$here/a/file
$here/a/sub
$here/a/sub/1
$here/a/sub/link
$here/a/sub/nested
$here/a/sub/nested/2
$here/b
$here/b/deep
$here/b/deep/2
$here/b/file
$here/local
$here/local/file" "$(run $busybox find "$here" | LC_ALL=C sort)"
equal "each is what it is" "one two 2 local" "$(echo $(run $busybox cat "$here/a/file" "$here/b/file" "$here/a/sub/nested/2" "$here/local/file"))"
equal "a path leads from one into the other" "two local" "$(echo $(run $busybox sh -c "cd $here/a/sub/nested && cat ../../../b/deep/../file ../../../local/file"))"

# cp -a between them, in all directions.
run $busybox cp -a "$here/a" "$here/b/copy" >"$work/cp" || fail "cp -a between two targets" "$(cat "$work/cp")"
equal "cp -a between two targets" "one 1 ../file 2 640 981158400" \
	"$(echo $(cat "$two/srv/copy/file" "$two/srv/copy/sub/1") $(readlink "$two/srv/copy/sub/link") $(cat "$two/srv/copy/sub/nested/2") \
		$(stat -c %a "$two/srv/copy/file") $(TZ=UTC stat -c %Y "$two/srv/copy/sub/1" | sed 's/98115[0-9]*/981158400/'))"
run $busybox cp -a "$here/b/deep" "$here/local/deep" >/dev/null
run $busybox cp -a "$here/local/file" "$here/a/from-here" >/dev/null
equal "and with what is here" "2 local" "$(echo $(cat "$here/local/deep/2" "$one/data/from-here"))"

# What cannot go from one to the other.
cat >"$work/cross.py" <<'END'
import errno, os, sys
here = sys.argv[1]
places = {"a": here + "/a", "b": here + "/b", "nested": here + "/a/sub/nested", "local": here + "/local"}
def tried(name, f, *args):
    try:
        f(*args)
        print(name, "ok")
    except OSError as e:
        print(name, errno.errorcode[e.errno])
for x in places:
    open(places[x] + "/x-" + x, "w").close()
    os.mkdir(places[x] + "/d-" + x)
for x in places:
    for y in places:
        if x != y:
            tried(f"rename {x} {y}", os.rename, f"{places[x]}/x-{x}", f"{places[y]}/y")
            tried(f"rename directory {x} {y}", os.rename, f"{places[x]}/d-{x}", f"{places[y]}/y")
            tried(f"link {x} {y}", os.link, f"{places[x]}/x-{x}", f"{places[y]}/y")
    tried(f"link within {x}", os.link, f"{places[x]}/x-{x}", f"{places[x]}/l-{x}")
    tried(f"rename within {x}", os.rename, f"{places[x]}/x-{x}", f"{places[x]}/r-{x}")
print(len({os.stat(places[x]).st_dev for x in ("a", "b", "local")}), "devices")
END
got=$(run "$PYTHON" -B "$work/cross.py" "$here")
equal "rename and link from one to another are EXDEV" "36 EXDEV, 8 ok" "$(grep -c 'EXDEV$' <<<"$got") EXDEV, $(grep -c 'ok$' <<<"$got") ok"
equal "mv copies then" "x-a one" "$(run $busybox mv "$here/a/r-a" "$here/b/moved" >/dev/null; ls "$two/srv/moved" >/dev/null && echo x-a) $(run $busybox mv "$here/a/file" "$here/local/moved"; cat "$here/local/moved")"
[ ! -e "$one/data/file" ] && pass "and takes away" || fail "and takes away"

# Each has its own mode …
modes=(--mount "$here/a=dir/$one:/data,mode=read" --mount "$here/b=dir/$two:/srv,mode=write")
equal "each has its own mode" "EROFS written" "$(within 20 "$RT" "${modes[@]}" -- $busybox sh -c "echo x >$here/a/no; echo written >$here/b/yes" 2>&1 |
	grep -c 'Read-only' | sed 's/1/EROFS/') $(cat "$two/srv/yes")"
equal "what is given with it counts, not --mode" EROFS "$(within 20 "$RT" --mode write "${modes[@]}" -- $busybox touch "$here/a/no" 2>&1 | grep -q 'Read-only' && echo EROFS)"
equal "also where all else is local" "two local" "$(echo $(within 20 "$RT" --mode local --mount "$here/a=dir/$one" --mount "$here/b=dir/$two:/srv,mode=read" -- $busybox sh -c "cat $here/b/file; ls $here/a; cat $here/local/file"))"
got=$(within 20 "$RT" --mode overlay --mount "$here/a=dir/$one:/data" --mount "$here/b=dir/$two:/srv,mode=write" --mount "$here/local=dir/$here/local,mode=read" -- \
	$busybox sh -c "echo x >$here/a/over; echo y >$here/b/through; echo z >$here/local/no; cat $here/a/over $here/b/through" 2>&1)
equal "overlay beside the others" "x y 1 1 -e $two/srv/through" "$(tail -2 <<<"$got" | tr '\n' ' ')$(grep -c Read-only <<<"$got") $(ls "$one/data/over" "$here/local/no" 2>&1 >/dev/null | grep -c data/over) -e $(ls "$two/srv/through")"
# … and its own name in the log.
within 20 "$RT" -o "$work/log" -e openat,open "${all[@]}" -- $busybox cat "$here/a/sub/1" "$here/b/file" "$here/a/sub/nested/2" "$here/local/file" >/dev/null
equal "and its own name in the log" "dir:$one exec:remotefs-agent dir:$two local" \
	"$(echo $(grep -o "\"$here/.*<[^ >]*" "$work/log" | sed 's/.*<//'))"

# --target below them, which also has the places.
mkdir -p "$one$here"
equal "mounts in a target" "two local" "$(echo $(within 20 "$RT" --mode read --target "dir/$one" --mount "$here=dir/$here" --mount "$here/b=dir/$two:/srv" -- $busybox cat "$here/b/file" "$here/local/file" 2>&1))"
# One that is lost is told by its name.
equal "an agent that cannot be had ends the run" "125 1" "$(within 20 "$RT" "${all[@]}" --mount "$here/c=exec:exit 3" -- true 2>"$work/err"; echo $?) $(grep -c '^remotefs-trace: exec:exit 3: ' "$work/err")"
