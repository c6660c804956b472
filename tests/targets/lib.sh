# What the scripts of targets share: containers and servers made on the spot in a private directory, which are gone at the end,
# whatever happens. A script sources this first; it sources ../lib.sh.

TMPDIR=/tmp # the path of a socket must be short
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
chmod 755 "$work"
PATH=$PATH:/usr/sbin:/sbin
export HOME=$work/home
unset DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG CONTAINER_HOST REMOTEFS_TOKEN
mkdir "$HOME"

# What a script has started it ends by commands that it gave to at_end: the last one first.
ends=()
at_end() { ends=("$*" "${ends[@]}"); }

mounts_here() { sed -n "s|^[^ ]* [^ ]* [^ ]* [^ ]* \($work/[^ ]*\) .*|\1|p" /proc/self/mountinfo | tac; }

stop_all() {
	local end
	for end in "${ends[@]}"; do $end; done >/dev/null 2>&1
	ends=()
	mounts_here | xargs -r umount -l
}

eval "rest_of_$(declare -f finish)"
finish() {
	trap - EXIT
	stop_all
	rest_of_finish
}

# ended NAME: what was started is stopped, and no process and no mount of it is left.
ended() {
	stop_all
	gone "$1: no process is left" 10
	equal "$1: no mount is left" "" "$(mounts_here)"
}

# all_skipped WHAT MISSING: the script cannot do anything.
all_skipped() {
	skip "$1" "$2"
	exit 0
}

needs_root() { [ "$(id -u)" -eq 0 ] || all_skipped "$1" root; }

# needs WHAT PROGRAM…
needs() {
	local what=$1 program
	shift
	for program; do
		have "$program" || all_skipped "$what" "$program"
	done
}

# one_line NAME TEXT COMMAND…: which ends with 125 and says exactly one line, with TEXT in it.
one_line() {
	local name=$1 text=$2 status
	shift 2
	"$@" >"$work/line" 2>&1 </dev/null
	status=$?
	if [ $status -eq 125 ] && [ "$(wc -l <"$work/line")" -eq 1 ] && grep -q "^remotefs-trace: .*$text" "$work/line"; then
		pass "$name"
	else
		fail "$name" "wanted 125 and one line with: $text" "got $status:" "$(cat "$work/line")"
	fi
}

# script NAME: a program of that name in $work, from standard input.
script() {
	{ echo '#!/bin/bash'; cat; } >"$work/$1"
	chmod 755 "$work/$1"
}
