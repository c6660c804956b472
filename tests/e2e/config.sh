#!/bin/bash
# Configuration files: what each in tests/config comes to, or all that is wrong with it (NAME.out is what verify-config says);
# and which of file, environment and options counts.
. "$(dirname "$0")/../lib.sh"

# What a shell of the developer's has set must not count.
for name in ${!MIRRORD_*} TARGET RFS_NOT_SET; do unset "$name"; done
# Without RT_FLAGS: the command is the first word.
plain=${AGENT%/*}/remotefs-trace
verify() { within 10 "$plain" verify-config "$@" 2>&1; }
# The list of modes grows, and is not what is tested.
same_words() { sed 's/ is no mode; use .*/ is no mode; use one/'; }

cd "$HERE/config" || exit 1
for file in good/* bad/*; do
	[ "${file%.out}" = "$file" ] || continue
	got=$(verify "$file"; echo "= $?")
	case $file in
	good/*) equal "$file" "$(cat "$file.out"; echo "= 0")" "$got" ;;
	*) equal "$file" "$(same_words <"$file.out"; echo "= 2")" "$(same_words <<<"$got")" ;;
	esac
done
equal "each error is one line with its place" "" "$(grep -vE '^remotefs-trace: bad/[^:]+:([0-9]+:[0-9]+:)? ' bad/*.out -h)"

# What comes out is a configuration that comes to the same.
for file in good/*; do
	[ "${file%.out}" = "$file" ] || continue
	"$plain" verify-config "$file" 2>/dev/null >"$work/once.json"
	verify "$work/once.json" | cmp -s - "$work/once.json" || fail "$file comes to the same again" "$(verify "$work/once.json" | diff "$work/once.json" -)"
done
pass "what comes out comes to the same again"

cd "$work" || exit 1
missing=$(verify nowhere.json; echo "= $?")
equal "a missing file is one line" "remotefs-trace: nowhere.json: cannot be read (No such file or directory); give the path of a JSON, TOML or YAML file
= 2" "$missing"
mkdir dir.json
equal "a directory is one line" 1 "$(verify dir.json | grep -c 'dir.json: .*(Is a directory)')"
equal "an endless file is one line" 1 "$(verify /dev/zero | grep -c 'larger than')"

# File, then environment, then options.
echo '{"feature": {"fs": {"mode": "read", "local": ["a"], "read_only": ["b"]}}, "target": {"path": "pod/x", "namespace": "ns"}}' >c.json
value() { "$@" 2>&1 | tr -d ' \n'; }
equal "the environment overrules the file" '{"feature":{"fs":{"local":["x","y"],"mode":"write","read_only":["b"]}},"kube_context":"c","target":{"namespace":"other","path":"pod/y"}}' \
	"$(export MIRRORD_FILE_MODE=write MIRRORD_FILE_LOCAL_PATTERN='x;y' MIRRORD_IMPERSONATED_TARGET=pod/y MIRRORD_TARGET_NAMESPACE=other MIRRORD_KUBE_CONTEXT=c
	value verify c.json)"
equal "options overrule the environment" '{"feature":{"fs":{"local":["z","w"],"mode":"local","read_only":["b"]}},"target":{"namespace":"n","path":"pod/z"}}' \
	"$(export MIRRORD_FILE_MODE=write MIRRORD_FILE_LOCAL_PATTERN='x;y' MIRRORD_IMPERSONATED_TARGET=pod/y MIRRORD_TARGET_NAMESPACE=other
	value verify --fs-mode=local --local z --local w --target pod/z -n n c.json)"
equal "MIRRORD_CONFIG_FILE is read" '{"feature":{"fs":{"local":["a"],"mode":"read","read_only":["b"]}},"target":{"namespace":"ns","path":"pod/x"}}' \
	"$(MIRRORD_CONFIG_FILE=c.json value within 10 "$plain" verify-config -f c.json)"
old() { value env "$@" "$plain" verify-config c.json | grep -o '"mode":"[a-z]*"'; }
equal "the switches of old" '"mode":"write" "mode":"write" "mode":"read" "mode":"read" "mode":"local" "mode":"local"' \
	"$(echo $(old MIRRORD_FILE_OPS=true; old MIRRORD_FILE_OPS=true MIRRORD_FILE_RO_OPS=true; old MIRRORD_FILE_OPS=false MIRRORD_FILE_RO_OPS=true
	old MIRRORD_FILE_RO_OPS=true; old MIRRORD_FILE_OPS=false; old MIRRORD_FILE_RO_OPS=false))"
equal "a wrong variable is named" "remotefs-trace: MIRRORD_FILE_OPS: \"1\" is neither true nor false; set it to one of them
remotefs-trace: MIRRORD_FILE_MODE: feature.fs.mode: \"rw\" is no mode; use one" \
	"$(MIRRORD_FILE_OPS=1 MIRRORD_FILE_MODE=rw verify c.json | same_words)"
equal "a branch in a template" '{"target":{"path":"pod/some/container/feature-x"}}' \
	"$(mkdir -p .git sub; echo 'ref: refs/heads/feature-x' >.git/HEAD; cd sub && echo '{"target": "pod/some/container/{{- git_branch | default(value=`no`) -}} "}' >t.json && value verify t.json)"

# A run with a file.
mkdir -p tree/only-there .mirrord
echo there >tree/file
echo "{\"target\": \"dir/$work/tree\", \"feature\": {\"fs\": \"write\"}}" >run.json
cp run.json .mirrord/mirrord.json
equal "a run takes target and mode from the file" "there" "$(within 20 "$RT" -f run.json -- /bin/busybox sh -c 'echo new >/new; cat /file' 2>&1)"
equal "and its mode" new "$(cat tree/new)"
equal "-f without a word is mirrord's place" there "$(within 20 "$RT" -f --mode read /bin/busybox cat /file 2>&1)"
equal "a file that nobody asked for is not read" 1 "$(within 20 "$RT" /bin/busybox cat /file 2>&1 | grep -c 'or -f to use .mirrord/mirrord.json')"
equal "an option overrules it" "touch: /only-there/x: No such file or directory" \
	"$(within 20 "$RT" -f run.json --mode read -- /bin/busybox touch /only-there/x 2>&1)"
mkdir here
echo local >here/file
cat >rules.toml <<END
target = "dir/$work/tree"
[feature.fs]
mode = "write"
local = "^$work/here(/|$)"
not_found = "hidden"
mapping."^/old(/.*)?$" = "/new\$1"
END
echo x >tree/hidden
equal "a run obeys the lists" "new
cat: can't open '/hidden': No such file or directory
local" "$(within 20 "$RT" -f rules.toml /bin/busybox cat /old /hidden "$work/here/file" 2>&1)"
equal "an option's list takes the place of the file's" "new
x" "$(within 20 "$RT" -f rules.toml --not-found nothing /bin/busybox cat /old /hidden 2>&1)"
equal "a mapping by option" there "$(within 20 "$RT" -f run.json --map '^/a(.)c$=/fil$1' /bin/busybox cat /aec 2>&1)"
equal "an option's bad regex is told" 1 "$(within 20 "$RT" -f run.json --local '(' true 2>&1 | grep -c '^remotefs-trace: --local: feature.fs.local: ')"
echo '{"target": "rollout/x"}' >pod.json
equal "what cannot be reached is told with its place" 1 "$(within 20 "$RT" --config=pod.json true 2>&1 | grep -c '^remotefs-trace: pod.json:1:12: ')"
echo '{"target": 1}' >bad.json
equal "a bad file ends the run" "remotefs-trace: bad.json:1:12: target: this is a number, and a string or a table is due; write that
= 2" "$(within 20 "$RT" -f bad.json true 2>&1; echo "= $?")"
