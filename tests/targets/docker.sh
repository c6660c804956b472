#!/bin/bash
# docker/NAME: containers of every kind, how the agent gets there and goes again, and what is said when it cannot.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/engine.sh"
. "$(dirname "$0")/ways.sh"

start_docker "docker/ targets"
errors_scripts
box one shell:1 2>"$work/err" || all_skipped "docker/ targets" "containers that start: $(tail -n 1 "$work/err" | cut -c1-200)"
[ -n "${1:-}" ] && { for f; do $f; done; exit; }

docker rm -f one >/dev/null
kind plain shell:1 0 open
kind user shell:1 1000 open --user 1000:1000
kind noexec shell:1 0 tmp --read-only --tmpfs /tmp:rw,noexec
kind readonly shell:1 0 - --read-only
kind nocaps shell:1 0 open --cap-drop ALL
kind bare bare:1 0 open
kind bareuser bare:1 1000 open --user 1000:1000 --read-only --tmpfs /open:rw,mode=1777
kind pidhost bare:1 0 open --pid=host
keeping
keeping_image
killing killed shell:1
killing killedbare bare:1
two_at_once
watching
errors
DOCKER_HOST=unix://$work/none unreached "no daemon" "is it running, and may you use its socket" one
progress
ended docker
