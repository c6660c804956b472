#!/bin/bash
# container/NAME, container/ID and pid/N: from the node, without anybody's client.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/engine.sh"

start_docker "container/ and pid/ targets"
box box shell:1 --user 1000:1000 2>"$work/err" || all_skipped "container/ and pid/ targets" "containers that start: $(tail -n 1 "$work/err" | cut -c1-200)"
box bare bare:1

# here TARGET BOX: the guests inside and by that target.
here() {
	local target=$1 box=$2
	if [ -x "$GUESTS/go/walk" ]; then
		alike "$target: a Go program" "$(engine exec "$box" /guests/walk /tree 2>&1)" \
			"$(within 30 "$RT" --mode read --mount "/tree=$target:/tree" -- "$GUESTS/go/walk" /tree 2>&1)"
	fi
	equal "$target: its environment" "$box" "$(within 30 "$RT" --target "$target" --env-include WHO -- busybox sh -c 'echo $WHO' 2>&1)"
	within 30 "$RT" --mode write --mount "/t=$target" -- busybox touch /t/open/new
	equal "$target: what is made belongs to its user" "$(stat -Lc %u "$(dirname "$(readlink "$work/$box.root")")")" "$(stat -c %u "$work/$box.root/open/new")"
	rm -f "$work/$box.root/open/new"
	equal "$target: nothing is left" "" "$(left "$box")"
}

id=$(docker inspect -f '{{.Id}}' box)
pid=$(docker inspect -f '{{.State.Pid}}' box)
main=$(docker inspect -f '{{.State.Pid}}' bare)
here container/box box
here "container/$id" box
here "container/${id:0:12}" box
here "container/docker://$id" box
here container/bare bare
here "pid/$pid" box
here "pid/$main" bare
equal "a secret of root's" "cat: can't open '/t/secret': Permission denied" \
	"$(within 30 "$RT" --mode read --mount /t=container/box -- busybox cat /t/secret 2>&1)"
equal "--as its owner" secret "$(within 30 "$RT" --mode read --as 0 --mount "/t=pid/$main" -- busybox cat /t/secret 2>&1)"
equal "without Docker's socket by what its runtime has noted" box \
	"$(within 30 env -u DOCKER_HOST "$RT" --target "container/$id" --env-include WHO -- busybox sh -c 'echo $WHO' 2>&1)"

one_line "no such container" "container nobody: not found: asked Docker (.*docker.sock: no such container)" within 30 "$RT" --mount /t=container/nobody -- busybox true
docker stop -t 0 bare >/dev/null
one_line "one that does not run" "container bare: it does not run" within 30 "$RT" --mount /t=container/bare -- busybox true
one_line "no such process" "no such process" within 30 "$RT" --mount "/t=pid/$main" -- busybox true
ended container
