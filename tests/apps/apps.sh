# What the scripts of programs share, on top of ../lib.sh: a program runs natively in the directory $M, then with $M as the
# place where $work/target is mounted; what it printed and what it left behind are compared.

# shellcheck source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

# Workers of another user, as nginx has them, must get in.
chmod 755 "$work"
export M=$work/m
PATH=$PATH:/usr/sbin:/sbin

# needs NAME [PACKAGE]: ends the script where a program is missing.
needs() {
	have "$1" && return
	skip "$SUITE" "${2:-$1}"
	finish
}

# A TCP port that is free now.
free_port() {
	"$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# natively SECONDS COMMAND…: in an empty $M, which is then kept as $work/native.
natively() {
	rm -rf "$M" "$work/native"
	mkdir "$M"
	(cd "$M" && within "$@" </dev/null)
	local status=$?
	mv "$M" "$work/native"
	return $status
}

# remotely SECONDS COMMAND…: the same with an empty target, which is then $work/target.
remotely() {
	rm -rf "$M" "$work/target"
	mkdir "$M" "$work/target"
	again "$@"
}

# again SECONDS COMMAND…: with the target as it is. NUMBERING is an option more for the tracer.
again() {
	local seconds=$1
	shift
	within "$seconds" "$RT" ${NUMBERING:+"$NUMBERING"} --mode write --mount "$M=${TARGET:-dir/$work/target}" -- sh -c 'cd "$M" && exec "$@"' - "$@" </dev/null
}

# What a script of a program compares: everything, unless it says something else.
state() { contents "$1"; }

# both NAME SECONDS SCRIPT: the bash script prints the same and leaves the same natively and remotely, and nothing of it
# came into the local directory.
both() {
	local name=$1 seconds=$2 script=$3 native remote
	native=$(natively "$seconds" bash -c "$script" 2>&1; echo "exit $?")
	remote=$(remotely "$seconds" bash -c "$script" 2>&1; echo "exit $?")
	compare "$name" "$native" "$remote" "$(state "$work/native" 2>&1)" "$(state "$work/target" 2>&1)"
	equal "$name: nothing is local" "" "$(ls -A "$M")"
}
