#!/bin/bash
# Programs of the target: with the target's loader and libraries, by scripts, under their own names.
. "$(dirname "$0")/../lib.sh"

R=$work/root

# A root directory that can run dash: what ldd says that it needs.
mkdir -p "$R/opt/bin" "$R/etc"
cp /bin/dash "$R/opt/bin/there"
ldd /bin/dash | grep -o '/[^ ]*' | while read -r lib; do
	mkdir -p "$R$(dirname "$lib")"
	cp "$lib" "$R$lib"
done
echo "of the target" >"$R/etc/name"
printf '#!/opt/bin/there -e\nread line </etc/name; echo "$0 $1: $line"\n' >"$R/opt/bin/told"
chmod 755 "$R/opt/bin/told"

run() {
	within 10 "$RT" --mount "/=dir/$R" "$@" 2>&1
}

equal "a program that only the target has" "here" "$(run /opt/bin/there -c 'echo here')"
equal "a script of the target" "/opt/bin/told one: of the target" "$(run /opt/bin/told one)"
equal "a name in PATH" "told one: of the target" "$(PATH=/opt/bin:$PATH run told one | sed 's,.*/,,')"
equal "by a local shell" "/opt/bin/told two: of the target" "$(run sh -c '/opt/bin/told two')"
equal "its name" "there" "$(run /opt/bin/there -c 'read n </proc/self/comm; echo $n')"
equal "its status" 7 "$(run /opt/bin/there -c 'exit 7'; echo $?)"
equal "no such program" "remotefs-trace: /opt/bin/none: no such program, neither here nor at the target 127" "$(echo $(run /opt/bin/none; echo $?))"
chmod 644 "$R/opt/bin/told"
equal "not executable" "remotefs-trace: /opt/bin/told: Permission denied 126" "$(echo $(run /opt/bin/told; echo $?))"

# --target: the lists that keep programs' files local are about programs that are here.
mkdir -p "$R/srv/bin"
cp "$R/opt/bin/there" "$R/srv/bin/there"
equal "under --target its libraries and /etc are the target's" "of the target" \
	"$(within 10 "$RT" --target "dir/$R" -- sh -c '/srv/bin/there -c "read line </etc/name; echo \$line"' 2>&1)"
equal "… and a local program's are not" "sh: 1: cannot open /etc/name: No such file" "$(within 10 "$RT" --target "dir/$R" -- sh -c 'read x </etc/name' 2>&1)"

longest=$(printf 'n%.0s' {1..255})
cp /bin/dash "$R/opt/bin/$longest"
equal "a program of the longest name" here "$(run "/opt/bin/$longest" -c 'echo here')"

# The copy of one that ends in a hole takes no more room than what is in it; the size is the agent's word alone.
long=long$$
cp /bin/dash "$R/opt/bin/$long"
truncate -s 2G "$R/opt/bin/$long"
mkfifo "$work/fifo"
exec 5<>"$work/fifo"
run "/opt/bin/$long" -c 'read line; echo "$line"' <&5 >"$work/said" &
until_true 10 eval 'pid=$(pgrep -nx "$long")' || fail "a program that ends in a hole is run"
at_most "… and its copy has the hole" 10000 "$(stat -Lc %b "/proc/$pid/exe")"
echo well >&5
wait $!
equal "… and it is run well" well "$(cat "$work/said")"
exec 5>&-

run -o "$work/log" sh -c '/opt/bin/there -c :; exit 3' >/dev/null
loader=$(ldd /bin/dash | grep -o '/[^ ]*ld-linux[^ ]*')
lib=$(ldd /bin/dash | grep -o '/[^ ]*libc.so[^ ]*')
equal "the local shell has the local library" 1 "$(grep "\"$lib\".*<local>" "$work/log" | wc -l)"
equal "the target's program has the target's" 1 "$(grep "\"$lib\".*<dir:" "$work/log" | wc -l)"

rm "$R$loader"
equal "without its loader it cannot run" 127 "$(run sh -c '/opt/bin/there -c :' >/dev/null 2>&1; echo $?)"
