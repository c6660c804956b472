# Containers of docker and podman, which docker.sh and podman.sh do the same with. $K is which; `engine` runs it, `rt` ourselves with it.

# What an image is made of: trees, guests, and with a shell busybox.
make_images() {
	local dir=$work/image name
	mkdir -p "$dir/guests" "$dir/etc" "$dir/open"
	chmod 1777 "$dir/open"
	for name in go/walk go/mutate musl/rename; do
		[ ! -x "$GUESTS/$name" ] || cp "$GUESTS/$name" "$dir/guests/"
	done
	printf '#include <unistd.h>\nint main(void) { for (;;) pause(); }\n' >"$work/wait.c"
	cc -static -O2 -o "$dir/wait" "$work/wait.c" || return
	for name in tree n m; do
		"$PYTHON" "$HERE/e2e/mktree" --no-absolute "$dir/$name"
	done
	cp -a "$dir/tree" "$dir/n1000"
	cp -a "$dir/tree" "$dir/m1000"
	chown -R -h 1000:1000 "$dir/n1000" "$dir/m1000"
	echo secret >"$dir/secret"
	chmod 600 "$dir/secret"
	tar -C "$dir" -c . | engine import - bare:1 >/dev/null || return
	mkdir -p "$dir/bin" "$dir/tmp"
	chmod 1777 "$dir/tmp"
	cp "$(command -v busybox)" "$dir/bin/busybox"
	for name in $("$dir/bin/busybox" --list); do
		[ "$name" = busybox ] || ln -s busybox "$dir/bin/$name"
	done
	echo root:x:0:0::/:/bin/sh >"$dir/etc/passwd"
	tar -C "$dir" -c . | engine import - shell:1 >/dev/null
}

# box NAME IMAGE [OPTION…]: a container that runs; $work/NAME.root leads to its root.
box() {
	local name=$1 image=$2
	shift 2
	engine run -d --stop-signal KILL --network=none -e RFS_TEST_ID -e "WHO=$name" --name "$name" "$@" "$image" /wait >/dev/null || return
	ln -sfn "/proc/$(engine inspect -f '{{.State.Pid}}' "$name")/root" "$work/$name.root"
}

rt() { within 60 "$RT" "--$K" "$work/engine" "$@" </dev/null; }

# own NAME: the processes of a container that are not its first one.
own() {
	local pid root main ns
	root=$(readlink "$work/$1.root")
	main=${root%/root}
	ns=$(readlink "$main/ns/mnt")
	for pid in /proc/[0-9]*; do
		[ "$(readlink "$pid/ns/mnt")" != "$ns" ] || [ "$pid" = "$main" ] || echo "${pid#/proc/}"
	done 2>/dev/null
}

# left NAME: what of ours is in a container, beside it, or among the images.
left() {
	local root
	root=$(readlink "$work/$1.root")
	find "$root/" "$root/tmp" "$root/dev" "$root/dev/shm" "$root/var" "$root/run" -xdev \( -name '.rfs-*' -o -name '.remotefs-agent*' \) 2>/dev/null | sort -u
	own "$1" | sed 's/^/process /'
	engine ps -a --format '{{.Image}}' | grep remotefs
	engine images --format '{{.Repository}}:{{.Tag}}' | grep remotefs
}

# nothing_left NAME BOX
nothing_left() {
	until_true 5 eval "[ -z \"\$(left $2)\" ]" || true
	equal "$1: nothing is left" "" "$(left "$2")"
}

# alike NAME WANT GOT: as equal, for output of many lines.
alike() {
	if [ -z "$2" ]; then
		fail "$1" "printed nothing: this test could not fail"
	elif [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "$(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3"))"
	fi
}

# The same guests inside and here.
guests_alike() {
	local name=$1 uid=$2 own=
	[ "$uid" = 0 ] || own=1000
	if [ -x "$GUESTS/go/walk" ]; then
		alike "$name: a Go program reads" "$(engine exec "$name" /guests/walk /tree 2>&1)" \
			"$(rt --mode read --mount "/tree=$K/$name:/tree" -- "$GUESTS/go/walk" /tree 2>&1)"
		alike "$name: a Go program writes" "$(engine exec "$name" /guests/mutate "/n$own" 2>&1)" \
			"$(rt --mode write --mount "/n$own=$K/$name:/m$own" -- "$GUESTS/go/mutate" "/n$own" 2>&1)"
		alike "$name: what it wrote" "$(contents "$work/$name.root/n$own")" "$(contents "$work/$name.root/m$own")"
	else
		skip "$name: a Go program" go
	fi
	if [ -x "$GUESTS/musl/rename" ]; then
		alike "$name: a musl program writes" "$(engine exec "$name" /guests/rename "/n$own" 2>&1; echo $?)" \
			"$(rt --mode write --mount "/n$own=$K/$name:/m$own" -- "$GUESTS/musl/rename" "/n$own" 2>&1; echo $?)"
		alike "$name: what it has renamed" "$(contents "$work/$name.root/n$own")" "$(contents "$work/$name.root/m$own")"
	else
		skip "$name: a musl program" musl-gcc
	fi
}

# What a container may refuse, tried inside and here.
attempts='exec 2>&1; echo x >$R/open/a && rm $R/open/a; : >>$R/tree/empty; mkdir $R/open/d && rmdir $R/open/d; ln $R/tree/empty $R/tree/e && rm $R/tree/e
	cat $R/secret; chmod 444 $R/tree/ro; chown 7:7 $R/tree/empty && chown 0:0 $R/tree/empty; mknod $R/open/n c 1 3 && rm $R/open/n'
refusals_alike() {
	alike "$1: what is refused" "$(engine exec "$1" sh -c "R=; $attempts"; echo $?)" \
		"$(rt --mode write --mount "/t=$K/$1" -- busybox sh -c "R=/t; $attempts" | sed 's|/t/|/|'; echo "${PIPESTATUS[0]}")"
}

# What belongs to whom, what each mode changes, the environment, a subpath, the status. Where $2, a directory, can be written to.
uses() {
	local name=$1 dir=$2 uid=$3 before
	rt --mode write --mount "/t=$K/$name" -- busybox sh -c "echo x >/t/$dir/new && chmod 640 /t/$dir/new && mkdir /t/$dir/newdir" 2>&1
	equal "$name: what is made belongs to its user" "$uid:$uid 640 $uid:$uid" \
		"$(stat -c '%u:%g %a' "$work/$name.root/$dir/new") $(stat -c %u:%g "$work/$name.root/$dir/newdir")"
	rm -r "$work/$name.root/$dir/new" "$work/$name.root/$dir/newdir"
	before=$(digest "$work/$name.root/tree")
	equal "$name: read mode refuses" "sh: can't create /t/$dir/new: Read-only file system" \
		"$(rt --mode read --mount "/t=$K/$name" -- busybox sh -c "echo x >/t/$dir/new" 2>&1)"
	equal "$name: overlay mode keeps it here" "x 7" \
		"$(echo $(rt --mount "/t=$K/$name" -- busybox sh -c 'echo x >/t/tree/hello.txt; rm -r /t/tree/deep; cat /t/tree/hello.txt; exit 7' 2>&1; echo $?))"
	equal "$name: neither changes anything" "$before" "$(digest "$work/$name.root/tree")"
	equal "$name: --target with its environment, a subpath and a status" "$name line 999 3" \
		"$(echo $(rt --target "$K/$name:/tree" --env-include WHO -- busybox sh -c 'echo $WHO; tail -n 1 /lines.txt; exit 3' 2>&1; echo $?))"
}

# kind NAME IMAGE UID DIR [OPTION…]: all of that for one kind of container. DIR can be written to; - if nothing can.
kind() {
	local name=$1 image=$2 uid=$3 dir=$4
	shift 4
	box "$name" "$image" "$@" || { fail "$name: a container of that kind runs"; return; }
	guests_alike "$name" "$uid"
	[ "$image" != shell:1 ] || refusals_alike "$name"
	[ "$dir" = - ] || uses "$name" "$dir" "$uid"
	nothing_left "$name" "$name"
	engine rm -f "$name" >/dev/null
}

# ---- a docker of our own ----

docker_down() {
	docker ps -aq | xargs -r docker rm -f
	kill $dockerd
	wait $dockerd
}

docker_up() {
	local n
	n=$(ulimit -Hn)
	[ "$n" != unlimited ] || n=65536
	export DOCKER_HOST=unix://$work/docker.sock
	dockerd --host "$DOCKER_HOST" --data-root "$work/root" --exec-root "$work/exec" --pidfile "$work/docker.pid" --bridge=none \
		--iptables=false --ip6tables=false --ip-masq=false --default-ulimit "nofile=$n:$n" >"$work/dockerd.log" 2>&1 </dev/null &
	dockerd=$!
	at_end docker_down
	until_true 20 docker version >/dev/null
}

# start_docker WHAT: with its images, or the script is over.
start_docker() {
	K=docker
	needs_root "$1"
	needs "$1" dockerd docker containerd runc busybox cc
	docker_up || all_skipped "$1" "a dockerd that starts: $(tail -n 1 "$work/dockerd.log" | cut -c1-200)"
	script engine <<-'END'
		printf '%s\n' "$1" >>"$(dirname "$0")/calls"
		exec docker "$@"
	END
	engine() { docker "$@"; }
	make_images 2>"$work/err" || all_skipped "$1" "images: $(tail -n 1 "$work/err" | cut -c1-200)"
}
