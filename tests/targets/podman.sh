#!/bin/bash
# podman/NAME, rootful and rootless. What is the same as with docker is tested less.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/engine.sh"
. "$(dirname "$0")/ways.sh"

K=podman
needs_root "podman/ targets"
needs "podman/ targets" podman runc busybox cc

podman_down() {
	engine ps -aq | while read -r id; do engine rm -f -t 0 "$id"; done
}

# What a machine may forbid: limits above its own, a network, a control group of systemd's.
export CONTAINERS_CONF=$work/containers.conf
cat >"$CONTAINERS_CONF" <<'END'
[containers]
default_ulimits=["nofile=1024:1024","nproc=1024:1024"]
netns="none"
[engine]
cgroup_manager="cgroupfs"
events_logger="file"
runtime="runc"
END
script engine <<END
printf '%s\n' "\$1" >>"$work/calls"
exec podman --root "$work/p/root" --runroot "$work/p/run" --tmpdir "$work/p/tmp" --storage-driver overlay "\$@"
END
engine() { "$work/engine" "$@"; }
errors_scripts
at_end podman_down

make_images 2>"$work/err" || all_skipped "podman/ targets" "images: $(tail -n 1 "$work/err" | cut -c1-200)"
box one shell:1 2>"$work/err" || all_skipped "podman/ targets" "containers that start: $(tail -n 1 "$work/err" | cut -c1-200)"
# A user of his own machine: accounts and numbers for him are in files that only he sees.
rootless() {
	local tester=54321
	for program in newuidmap newgidmap setpriv unshare; do
		have $program || { skip "rootless" $program; return; }
	done
	mkdir -p "$work/u/bin" "$work/u/run" "$work/u/tmp"
	cp "$RT" "$AGENT" "$work/u/bin/"
	cp /etc/passwd "$work/u/passwd"
	echo "rfs-tester:x:$tester:$tester::$work/u:/bin/sh" >>"$work/u/passwd"
	echo "rfs-tester:200000:65536" | tee "$work/u/subuid" >"$work/u/subgid"
	tar -C "$work/image" -cf "$work/u/image.tar" . && chmod 644 "$work/u/image.tar"
	script u/podman <<-END
		exec podman --root "$work/u/root" --runroot "$work/u/run/podman" --tmpdir "$work/u/tmp" --storage-driver vfs "\$@"
	END
	script u/test <<-END
		cd "$work/u"
		p() { "$work/u/podman" "\$@"; }
		rt() { timeout 60 bin/remotefs-trace --podman "$work/u/podman" "\$@"; }
		p import image.tar shell:1 >/dev/null && p run -d --stop-signal KILL --network=none -e RFS_TEST_ID -e WHO=box --name box shell:1 /wait >/dev/null || exit
		echo up
		rt --mode write --mount /t=podman/box -- busybox sh -c 'cat /t/secret; echo x >/t/open/new'
		p exec box stat -c '%u %g' /open/new
		rt --target podman/box --env-include WHO -- busybox sh -c 'echo \$WHO'
		rt --mode read --mount /tree=podman/box:/tree -- "$work/u/walk" /tree >here
		p exec box /guests/walk /tree >inside
		cmp here inside && echo alike
		p exec box find / -xdev -name '.rfs-*' -o -xdev -name '.remotefs-agent*'
		p rm -f box >/dev/null
		kill \$(find "$work/u" -name pause.pid -exec cat {} +) # what keeps its user namespace
	END
	cp "$GUESTS/go/walk" "$work/u/walk" 2>/dev/null || ln -s "$(command -v true)" "$work/u/walk"
	chown -R $tester:$tester "$work/u"
	chmod 700 "$work/u/run"
	unshare -m --propagation private sh -c 'for f in passwd subuid subgid; do [ -e /etc/$f ] || exit; mount --bind "$0/$f" /etc/$f || exit; done
		exec setpriv --reuid $1 --regid $1 --clear-groups env HOME="$0" XDG_RUNTIME_DIR="$0/run" "$0/test"' "$work/u" $tester >"$work/rootless" 2>"$work/rootless.err"
	grep -qx up "$work/rootless" || { skip "rootless" "rootless containers: $(tail -n 1 "$work/rootless.err" | cut -c1-200)"; return; }
	equal "rootless: files, owners, environment, guests, and nothing is left" "up secret 0 0 box alike" "$(echo $(cat "$work/rootless"))"
}

[ -n "${1:-}" ] && { for f; do $f; done; exit; }

kind plain shell:1 0 open
kind user shell:1 1000 open --user 1000:1000
kind bareuser bare:1 1000 open --user 1000:1000
keeping
keeping_image
killing killed shell:1
killing killedbare bare:1
errors
rootless
ended podman
