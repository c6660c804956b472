#!/bin/bash
# What is local pays nothing: an HTTP server under load causes next to no stops. The rate is not asserted here
# (machines are noisy), the counts are.
. "$(dirname "$0")/../lib.sh"

T=$work/t
make_tree "$T"

# Asks one URL of the server; prints the answer's last line.
ask() {
	"$PYTHON" -c 'import sys, urllib.request
print(urllib.request.urlopen("http://127.0.0.1:%s%s" % (sys.argv[1], sys.argv[2]), timeout=5).read().decode().strip())' "$@" 2>&1
}

http() {
	local port requests stops rate
	"$RT" --stats "$work/stats" --mount "$T=dir//:$T" -- "$GUESTS/go/httpd" "$T" "$work/port" >"$work/out" 2>"$work/err" </dev/null &
	local server=$!
	until_true 10 [ -s "$work/port" ] || { fail "the server starts" "$(cat "$work/err")"; return; }
	port=$(cat "$work/port")
	equal "the server answers" "Hello, world" "$(ask "$port" /)"
	requests=$(wrk -t 2 -c 16 -d 3s "http://127.0.0.1:$port/" 2>"$work/wrk" | sed -n 's/^ *\([0-9]*\) requests in .*/\1/p')
	ask "$port" /quit >/dev/null
	until_true 5 [ -s "$work/stats" ]
	wait $server
	stops=$(($(stat_of "$work/stats" notifications) + $(stat_of "$work/stats" ptrace_stops)))
	rate=$((stops * 10000 / (${requests:-0} + 1)))
	if [ "${requests:-0}" -lt 1000 ]; then
		fail "requests are served" "${requests:-none}" "$(cat "$work/wrk")"
	elif [ $rate -le 100 ]; then
		pass "notifications and stops per request ($stops for $requests)"
	else
		fail "notifications and stops per request" "$stops for $requests: more than 0.01 each"
	fi
}

# A program that reads and writes a pipe a hundred thousand times causes no stop for it.
pipes() {
	within 30 "$RT" --stats "$work/stats2" --mount "$T=dir//:$T" -- \
		busybox sh -c 'busybox dd if=/dev/zero bs=100 count=100000 2>/dev/null | busybox dd of=/dev/null bs=100 2>/dev/null; echo done' >"$work/out"
	equal "two processes and a pipe" "done" "$(cat "$work/out")"
	at_most "200000 calls on a pipe: notifications" 100 "$(stat_of "$work/stats2" notifications)"
	at_most "200000 calls on a pipe: ptrace stops" 50 "$(stat_of "$work/stats2" ptrace_stops)"
}

pipes
if have wrk; then
	http
else
	skip "HTTP under load" wrk
fi
