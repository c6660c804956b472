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
[ -n "${1:-}" ] && { for f; do $f; done; exit; }

kind plain shell:1 0 open
kind user shell:1 1000 open --user 1000:1000
kind bareuser bare:1 1000 open --user 1000:1000
keeping
keeping_image
killing killed shell:1
killing killedbare bare:1
errors
ended podman
