#!/bin/sh
# build.sh [TARGET…]: builds the libFuzzer targets as OSS-Fuzz does it: from the environment $CC, $CFLAGS, $LIB_FUZZING_ENGINE, and $OUT and $WORK,
# where the programs and what is on the way to them go. Without any, with clang's address and undefined-behaviour sanitizers, into build-libfuzzer.
# Beside each program comes its seed corpus, a directory TARGET_seed_corpus.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
: "${CC:=clang}"
: "${CFLAGS:=-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined -fsanitize=fuzzer-no-link}"
: "${LIB_FUZZING_ENGINE:=-fsanitize=fuzzer}"
: "${OUT:=build-libfuzzer}"
: "${WORK:=$OUT/work}"
targets=${*:-$(sed -n 's/^\([a-z_]*\):.*/\1/p' "$here/TARGETS")}
jobs=$(nproc 2>/dev/null || echo 1)

mkdir -p "$OUT" "$WORK"
make --no-print-directory -j"$jobs" B="$WORK" CC="$CC" CFLAGS="$CFLAGS" "$WORK/unit/agent.a" "$WORK/unit/trace.a" >"$WORK/log" 2>&1 ||
	{ tail -n 20 "$WORK/log" >&2; exit 1; }
OUT=$(realpath "$OUT") WORK=$(realpath "$WORK")

# Our own files are built here: what each target is made of is in TARGETS.
cd "$here"
for target in $targets; do
	line=$(sed -n "s/^$target: *//p" TARGETS)
	[ -n "$line" ] || { echo "build.sh: no target $target" >&2; exit 2; }
	archive=$WORK/unit/${line%% *}.a
	sources=${line#* }
	libs='-lprotobuf-nanopb -lmd -pthread' include=-I../../agent
	[ "${line%% *}" = agent ] || libs="-lyaml -lseccomp -lelf -lpcre2-8 $libs" include='-I../../tracer -I../../syscalls'
	"$here/seeds" "$target" "$OUT/${target}_seed_corpus"
	[ ! -x "$OUT/$target" ] || [ -n "$(find . ../config/fuzz.c "$archive" -newer "$OUT/$target")" ] || continue
	# shellcheck disable=SC2086
	$CC $CFLAGS -std=gnu11 -D_GNU_SOURCE -DLIBFUZZER -DVERSION='"fuzz"' -Wall -Wextra -Wno-unused-parameter -fno-strict-aliasing \
		-I../../proto $include -I"$WORK/proto" -o "$OUT/$target" $sources "$archive" $LIB_FUZZING_ENGINE $libs
done
