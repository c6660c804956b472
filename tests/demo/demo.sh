#!/usr/bin/env bash
# `make demo`: the main job, on a tree that exists in the target only.
set -eu
build=${1:?usage: demo.sh BUILDDIR}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/target

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*" | sed "s|$work|…|g; s|$build/||g"; "$@"; }

mkdir -p "$root/etc/app" "$root/srv/data/deep/er"
echo 'greeting: hello from the target' >"$root/etc/app/config.yaml"
for i in 1 2 3; do seq "$i" 500 >"$root/srv/data/numbers.$i"; done
head -c 300000 /dev/zero >"$root/srv/data/deep/er/zeros"
ln -s ../numbers.1 "$root/srv/data/deep/link"
CGO_ENABLED=0 GO111MODULE=off GOFLAGS= go build -o "$work/report" tests/demo/report.go

say "The files are in the target and not here:"
run ls -l "$root/etc/app/config.yaml"
run ls -l /etc/app/config.yaml || true

say "A static Go program, its files there (written too: --mode write; /etc is local unless a rule says otherwise):"
run "$build/remotefs-trace" --mode write --target "dir/$root" --read-only ^/etc/app/ -o "$work/log" "$work/report"
say "Its report is in the target:"
run wc -l "$root/srv/report.txt"
say "What was redirected (the log, goroutines and all; shortened):"
grep -v 'ENOENT.*sys\|/proc' "$work/log" | cut -c1-170 | head -n 24

say "A static busybox shell, with what it forks:"
run "$build/remotefs-trace" --target "dir/$root" -v -e trace=openat,open,getdents64,chdir,getcwd \
	busybox sh -c 'cd /srv/data && pwd && find . -type f | sort && wc -c < numbers.2'
say "Round trips, counted (-c):"
run "$build/remotefs-trace" --target "dir/$root" --read-only ^/etc/app/ -c busybox cat /etc/app/config.yaml
