# How an agent gets into a container and goes again, and what is said when that goes wrong; for docker.sh and podman.sh.

# calls WORD: how often the engine was asked for that since the last time.
calls() { grep -cx "$1" "$work/calls"; }
look() { : >"$work/calls"; rt "$@" -- busybox true; }

# The agent is brought once, and stays if it is to.
keeping() {
	local found
	box keep shell:1 || return
	look --mode read --mount "/t=$K/keep"
	equal "an agent is brought by two commands" 2 "$(calls exec)"
	nothing_left "an agent that was brought" keep
	look --mode read --mount "/t=$K/keep" --keep-agent
	equal "one that stays likewise" 2 "$(calls exec)"
	until_true 5 eval '[ "$(left keep | wc -l)" -eq 1 ]'
	found=$(left keep)
	equal "--keep-agent leaves exactly the agent" "$(readlink "$work/keep.root")/tmp/.remotefs-agent-" "${found%-*}-"
	look --mode read --mount "/t=$K/keep"
	equal "with it one command is enough" "1 of $(wc -l <"$work/calls")" "$(calls exec) of 1"
	echo >>"$(readlink "$work/keep.root")/tmp/${found##*/}"
	look --mode read --mount "/t=$K/keep"
	equal "the agent there is not run if it belongs to somebody else" 2 \
		"$(chown 1 "$(readlink "$work/keep.root")/tmp/${found##*/}"; look --mode read --mount "/t=$K/keep"; calls exec)"
	engine rm -f keep >/dev/null
}

# The same for one that comes with a container of its own.
keeping_image() {
	box keep bare:1 || return
	look --mode read --mount "/t=$K/keep"
	equal "an agent is brought as an image" "1 1" "$(calls import) $(calls run)"
	nothing_left "such an image" keep
	look --mode read --mount "/t=$K/keep" --keep-agent
	until_true 5 eval '[ "$(left keep | wc -l)" -eq 1 ]'
	equal "--keep-agent leaves exactly the image" 1 "$(left keep | grep -c '^[a-z./]*remotefs-agent:[0-9a-f]*$')"
	look --mode read --mount "/t=$K/keep"
	equal "with it nothing is brought" "0 1" "$(calls import) $(calls run)"
	equal "and it is still there" 1 "$(left keep | wc -l)"
	engine rmi "$(left keep)" >/dev/null
	engine rm -f keep >/dev/null
}

# begin BOX [OPTION…]: a run that goes on, until its connection breaks; $run is its pid.
begin() {
	local name=$1
	shift
	rm -f "$work/begun"
	"$RT" "--$K" "$work/engine" --reconnect-timeout 0 --mode write --mount "/t=$K/$name" "$@" -- busybox sh -c 'cat /t/tree/hello.txt; echo >$0; sleep 60; echo late' "$work/begun" \
		>"$work/begin.out" 2>&1 </dev/null &
	run=$!
	until_true 20 test -e "$work/begun" || fail "$name: a run begins" "$(cat "$work/begin.out")"
}

# lost NAME: the run is over since its agent is.
lost() {
	local status
	wait $run
	status=$?
	equal "$1: the program is killed" "125 Hello, world" "$status $(grep -v ^remotefs-trace "$work/begin.out")"
	equal "$1: one line says so" 1 "$(grep -c "^remotefs-trace: $K/.*: lost the agent (.*): the program is killed" "$work/begin.out")"
}

killing() {
	local name=$1 image=$2
	box "$name" "$image" || return
	begin "$name"
	kill -KILL $run
	wait $run 2>/dev/null
	nothing_left "$image: remotefs-trace is killed" "$name"
	begin "$name"
	if [ "$image" = bare:1 ]; then
		kill -KILL "$(engine inspect -f '{{.State.Pid}}' "$(engine ps --format '{{.ID}} {{.Image}}' | sed -n 's/ .*remotefs-agent.*//p')")"
	else
		kill -KILL $(own "$name")
	fi
	lost "$image: its agent is killed"
	nothing_left "$image: its agent is killed" "$name"
	begin "$name"
	kill -KILL $(pgrep -P $run -x $K)
	lost "$image: $K's client is killed"
	nothing_left "$image: $K's client is killed" "$name"
	engine rm -f "$name" >/dev/null
}

two_at_once() {
	[ -e "$work/one.root" ] || box one shell:1
	box two shell:1 --user 1000:1000
	rt --mode write --mount "/one=$K/one" --mount "/two=$K/two" -- busybox cp -a /one/tree/sizes /one/tree/deep /two/open >"$work/cp" 2>&1
	equal "two targets: cp -a" 0 $?
	alike "two targets: what was copied" "$(contents "$work/one.root/tree/deep"; contents "$work/one.root/tree/sizes")" \
		"$(contents "$work/two.root/open/deep"; contents "$work/two.root/open/sizes")"
	equal "two targets: it is who copied it" 1000:1000 "$(stat -c %u:%g "$work/two.root/open/sizes/s4096")"
	nothing_left "two targets: the first" one
	nothing_left "two targets: the second" two
	engine rm -f two >/dev/null
}

# A program hears of what others do in the container.
watching() {
	have inotifywait || { skip "a change inside is told of" inotifywait; return; }
	"$RT" "--$K" "$work/engine" --mode read --mount "/t=$K/one" -- inotifywait -m -e create,close_write --format '%e %w%f' /t/open /t/tree/lines.txt \
		>"$work/events" 2>"$work/events.err" </dev/null &
	until_true 20 grep -q established "$work/events.err" || fail "a watch" "$(cat "$work/events.err")"
	engine exec one sh -c 'echo >>/tree/lines.txt; echo x >/open/second'
	until_true 10 grep -q "CLOSE.*second" "$work/events"
	equal "a change inside is told of" "CLOSE_WRITE,CLOSE /t/tree/lines.txt
CREATE /t/open/second
CLOSE_WRITE,CLOSE /t/open/second" "$(cat "$work/events")"
	kill $! && wait $! 2>/dev/null
}

# via NAME: as rt, with that program instead of the engine's.
via() {
	local program=$1
	shift
	within 30 "$RT" "--$K" "$program" "$@" -- busybox cat /t/tree/hello.txt </dev/null
}

unreached() { one_line "$1" "$2" via "$work/engine" --mount "/t=$K/$3"; }

errors() {
	local begin
	unreached "no such container" "o such container" nobody
	engine create --name stopped --network=none shell:1 /wait >/dev/null
	unreached "one that does not run" "start it first\|state" stopped
	one_line "no client" "cannot be run: No such file" via "$work/none" --mount "/t=$K/one"
	begin=$SECONDS
	one_line "a client that hangs" "has not answered in time; see --connect-timeout" via "$work/hang" --connect-timeout 2 --mount "/t=$K/one"
	at_most "a client that hangs: seconds" $((5 * SCALE)) $((SECONDS - begin))
	until_true 3 eval '! kill -0 "$(cat "$work/hanging")"'
	equal "a client that hangs is gone" 0 $?
	"$RT" "--$K" "$work/hang" --mount "/t=$K/one" -- busybox true >"$work/line" 2>&1 </dev/null &
	sleep 0.5
	kill -TERM $!
	begin=$SECONDS
	wait $!
	equal "who is told to end while he waits does" "125 remotefs-trace: ended by signal 15 (Terminated) while starting" "$? $(cat "$work/line")"
	at_most "and at once: seconds" $((2 * SCALE)) $((SECONDS - begin))
	one_line "a client that is cut off while it brings the agent" "broken" via "$work/cut" --mount "/t=$K/one"
	one_line "an agent of which only half comes" "the agent that was brought there cannot be run" via "$work/half" --agent-mode exec --mount "/t=$K/one"
	one_line "a client that talks for ever" "$K" via "$work/babble" --connect-timeout 5 --mount "/t=$K/one"
	equal "noise before the agent" "Hello, world" "$(via "$work/noise" --mount "/t=$K/one" 2>&1)"
	nothing_left "all these" one
}

errors_scripts() {
	script hang <<-'END'
		echo $$ >"$(dirname "$0")/hanging"
		sleep 100
	END
	script cut <<-'END'
		case $* in
		*"cat >"*) head -c 100000 >/dev/null; echo "the connection is broken" >&2; exit 1 ;;
		esac
		exec "$(dirname "$0")/engine" "$@"
	END
	script half <<-'END'
		case $* in
		*"cat >"*) head -c 100000 | "$(dirname "$0")/engine" "$@"; exit ;;
		esac
		exec "$(dirname "$0")/engine" "$@"
	END
	script noise <<-'END'
		if [ "$1" = exec ]; then
			echo Welcome, dear user
			head -c 3000 /dev/urandom | tr -d '\n'
			echo
		fi
		exec "$(dirname "$0")/engine" "$@"
	END
	script babble <<-'END'
		exec yes
	END
	script slow <<-'END'
		sleep 1
		exec "$(dirname "$0")/engine" "$@"
	END
}

# What a person sees who waits: a line, and then no more.
progress() {
	local out
	out=$("$HERE/e2e/terminal" tty "$RT" "--$K" "$work/slow" --mode read --mount "/t=$K/one" -- busybox cat /t/tree/hello.txt)
	equal "a step that takes its time shows on a terminal, and goes" "status 0
remotefs-trace: reaching one…>remotefs-trace: uploading the agent, N KiB, to one…>Hello, world" \
		"$(sed 's/\x1b\[K/>/g; s/[0-9]* KiB/N KiB/' <<<"$out")"
	equal "and nowhere else" "Hello, world" "$(via "$work/slow" --mode read --mount "/t=$K/one" 2>&1)"
}
