# Tests: what is built for them and how they run. Included by the Makefile.
# G holds the guests: programs that are run natively and traced, built once for all builds of ours.
G ?= $(B)/guests
GUEST_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Wno-unused-parameter -D_GNU_SOURCE -pthread

guest_names := $(basename $(notdir $(wildcard tests/guests/*.c)))
guest_headers := $(wildcard tests/guests/*.h)
race_names := $(basename $(notdir $(wildcard tests/race/*.c)))
go_names := $(filter-out common,$(basename $(notdir $(wildcard tests/guests/go/*.go))))
unit_names := $(basename $(notdir $(wildcard tests/unit/test_*.c)))

guest_programs := $(addprefix $(G)/glibc/,$(guest_names)) $(addprefix $(G)/dyn/,$(guest_names)) \
	$(addprefix $(G)/race/,$(race_names)) $(G)/without $(G)/int80 $(G)/wholetable $(G)/behind $(G)/overload $(G)/delayrelay $(G)/cutrelay $(G)/clock.so
# What a machine without musl or Go cannot build is skipped by name when the tests run.
ifneq ($(shell command -v musl-gcc),)
guest_programs += $(addprefix $(G)/musl/,$(guest_names))
endif
ifneq ($(shell command -v go),)
guest_programs += $(addprefix $(G)/go/,$(go_names)) $(G)/records
endif

$(G)/glibc/%: tests/guests/%.c $(guest_headers)
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -static -o $@ $<

$(G)/race/%: tests/race/%.c tests/guests/guest.h
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -static -o $@ $<

$(G)/int80: tests/e2e/int80.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -o $@ $<

$(G)/behind: tests/e2e/behind.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -static -o $@ $<

$(G)/overload: tests/e2e/overload.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -static -o $@ $< -pthread

# A link with latency.
$(G)/delayrelay: tests/bench/delayrelay.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -static -o $@ $<

# A link that breaks.
$(G)/cutrelay: tests/chaos/cutrelay.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -static -o $@ $<

# A clock that jumps.
$(G)/clock.so: tests/chaos/clock.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -fPIC -shared -o $@ $<

$(G)/wholetable: tests/e2e/wholetable.c syscalls/table.def syscalls/args.def
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -static -o $@ $<

$(G)/without: tests/e2e/without.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -o $@ $< -lseccomp

$(G)/dyn/%: tests/guests/%.c $(guest_headers)
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -o $@ $<

$(G)/musl/%: tests/guests/%.c $(guest_headers)
	@mkdir -p $(@D)
	musl-gcc $(GUEST_CFLAGS) -static -o $@ $<

$(G)/go/%: tests/guests/go/%.go tests/guests/go/common.go tests/guests/go/go.mod
	@mkdir -p $(@D)
	cd tests/guests/go && CGO_ENABLED=0 GOPROXY=off go build -trimpath -o $(abspath $@) $*.go common.go

# A service that the chaos test runs.
$(G)/records: tests/chaos/records.go
	@mkdir -p $(@D)
	CGO_ENABLED=0 GOPROXY=off go build -trimpath -o $@ $<

# Who changes a tree and who looks at it.
coherent_sources := $(wildcard tests/coherent/*.c)
guest_programs += $(G)/coherent

$(G)/coherent: $(coherent_sources) tests/coherent/coherent.h
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -static -o $@ $(coherent_sources)

# The fuzzer is one program of several files.
fuzz_sources := $(wildcard tests/fuzz/*.c)
guest_programs += $(G)/fuzz

$(G)/fuzz: $(fuzz_sources) tests/fuzz/fuzz.h tests/guests/guest.h
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -Wno-missing-field-initializers -static -o $@ $(fuzz_sources)

guests: $(guest_programs)

# Unit tests link archives, not objects: each takes what it calls and may stub the rest.
unit_programs := $(addprefix $(B)/unit/,$(unit_names))

$(B)/unit/trace.a: $(filter-out $(B)/tracer/main.o,$(trace_all))
$(B)/unit/agent.a: $(filter-out $(B)/agent/main.o,$(agent_all))
$(B)/unit/%.a:
	@mkdir -p $(@D)
	rm -f $@
	ar rcs $@ $^

$(B)/unit/test_agent%: tests/unit/test_agent%.c $(wildcard tests/unit/*.h) $(B)/unit/agent.a
	$(CC) $(CPPFLAGS) -Iagent $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/unit/agent.a -lcmocka $(agent_libs)

$(B)/unit/test_agent: tests/unit/test_agent.c $(wildcard tests/unit/*.h) $(B)/unit/agent.a
	$(CC) $(CPPFLAGS) -Iagent $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/unit/agent.a -lcmocka $(agent_libs)

$(B)/unit/test_%: tests/unit/test_%.c $(wildcard tests/unit/*.h) $(B)/unit/trace.a
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/unit/trace.a -lcmocka $(tracer_libs)

# Who tries to get out of an agent's root.
escape_sources := $(wildcard tests/escape/*.c)
unit_programs += $(B)/escape

$(B)/escape: $(escape_sources) tests/escape/escape.h $(B)/proto/frame.o $(pb)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(escape_sources) $(B)/proto/frame.o $(pb) -lprotobuf-nanopb

units: $(unit_programs)

test_run = B=$(abspath $(B)) RT=$(abspath $(B))/remotefs-trace GUESTS=$(abspath $(G)) tests/run

# What the tests need and is missing is installed first, where that is possible; then make looks again.
deps:
	@tests/install-deps
	@! command -v $(CROSS_CC) >/dev/null || agent/cross-libs $(CROSS_LIBS) $(CROSS_DEBARCH) $(CROSS_PACKAGES) || true

check: deps
	@$(MAKE) --no-print-directory check-run

check-run: all guests units $(B)/fuzz-config libfuzzer-programs
	@$(test_run) unit escape diff fuzz libfuzzer e2e race chaos targets

# Containers and servers of this machine as targets: TARGETS="docker ssh" make check-targets
check-targets: all guests
	@V=1 TARGETS="$(TARGETS)" $(test_run) targets

# Everything with calls trapped by ptrace stops.
check-ptrace: all guests units
	@RT_FLAGS=--trap=ptrace SCALE=$${SCALE:-3} $(test_run) diff e2e race

# Everything with the lowest free numbers for remote descriptors.
check-posix: all guests units
	@RT_FLAGS=--fd-numbering=posix SCALE=$${SCALE:-3} $(test_run) diff e2e race

# For while one works: units, one libc, no races.
check-fast: all guests units
	@$(test_run) unit escape fast e2e

# Random file calls, natively and supervised, with new seeds each time: make fuzz SECONDS=1800
fuzz: all $(G)/fuzz
	@RT=$(abspath $(B))/remotefs-trace FUZZ=$(abspath $(G))/fuzz tests/fuzz/run-fuzz --seconds $(or $(SECONDS),20)

# The reader of configurations, always sanitised: on a corpus and on what comes of it at random.
config_fuzzed := $(addprefix $(B)/checked/,$(config_objs) proto/address.o)
CHECKED ?= -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

$(B)/checked/%.o: %.c $(B)/proto/remotefs.pb.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(CHECKED) -MMD -MP -c -o $@ $<

$(B)/fuzz-config: tests/config/fuzz.c $(config_fuzzed)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(CHECKED) $(FUZZER) -o $@ $^ -lyaml -lpcre2-8

# make fuzz-config SECONDS=300: with libFuzzer where clang has it, which finds its way further in.
config_corpus := $(filter-out %.out,$(wildcard tests/config/good/* tests/config/bad/*))
fuzz-config:
	@if clang -fsanitize=fuzzer -x c /dev/null -c -o /dev/null 2>/dev/null; then \
		$(MAKE) --no-print-directory B=build-fuzz CC=clang FUZZER="-fsanitize=fuzzer -DLIBFUZZER" \
			CHECKED="$(CHECKED) -fsanitize=fuzzer-no-link" build-fuzz/fuzz-config && \
		tests/config/run-libfuzzer build-fuzz $(or $(SECONDS),20) $(config_corpus); \
	else \
		$(MAKE) --no-print-directory $(B)/fuzz-config && $(B)/fuzz-config $(or $(SECONDS),20) $$$$ $(config_corpus); \
	fi

# What takes bytes of others, with libFuzzer: FUZZ_SECONDS each, TARGETS names some. What they find stays in build-libfuzzer.
fuzz-libfuzzer:
	@tests/libfuzzer/build.sh $(TARGETS)
	@tests/libfuzzer/run build-libfuzzer $(or $(FUZZ_SECONDS),60) $(TARGETS)

# How much of the decoders those run.
coverage-libfuzzer:
	@tests/libfuzzer/coverage build-libfuzzer

# For make check, where clang has libFuzzer; else they are skipped by name.
libfuzzer-programs:
	@if clang -fsanitize=fuzzer -x c /dev/null -c -o /dev/null 2>/dev/null; then OUT=$(B)/libfuzzer tests/libfuzzer/build.sh; fi

# Which guests make which call, on what.
coverage-syscalls: all guests
	@RT=$(abspath $(B))/remotefs-trace GUESTS=$(abspath $(G)) tests/run-diff --kinds glibc,go --coverage $(B)/calls >$(B)/calls.log || \
		{ cat $(B)/calls.log; exit 1; }
	@tests/coverage $(B)/calls

# Real programs on a mount against native runs of them: make apps APPS="git fio", STRESS_SECONDS=5 make apps APPS=stress
apps: all
	@tests/install-deps apps
	@V=1 APPS="$(APPS)" $(test_run) apps

# Real programs while what is between them and their files breaks: make chaos CHAOS_SECONDS=1800 CHAOS_FLAGS="--seed 7 --programs git"
chaos: all guests
	@V=1 CHAOS_SECONDS=$(or $(CHAOS_SECONDS),60) CHAOS_FLAGS="$(CHAOS_FLAGS)" $(test_run) chaos

race: all guests
	@LOOPS=$${LOOPS:-100} $(test_run) race

# The supervisor, the agent and the unit tests sanitised; the guests are the same as ever.
asan:
	@$(MAKE) --no-print-directory B=build-asan G=$(abspath $(G)) SANITIZE="-fsanitize=address,undefined -fno-omit-frame-pointer" sanitised

tsan:
	@$(MAKE) --no-print-directory B=build-tsan G=$(abspath $(G)) SANITIZE="-fsanitize=thread -fno-omit-frame-pointer" sanitised

sanitised: all guests units
	@SANITIZED=1 SCALE=$${SCALE:-5} $(test_run) unit diff fuzz e2e race

# The same tests by a user who may nothing: nobody, with a copy of the build that nobody can read.
check-user: all guests units
	@tests/run-as-user $(abspath $(B)) $(abspath $(G))

# What the agent for aarch64 does: it serves the guests, in an emulator.
check-aarch64: deps
	@$(MAKE) --no-print-directory all guests units
	@tests/run-on-aarch64 $(abspath $(B)) $(abspath $(G)) emulated

.PHONY: apps chaos coverage-syscalls fuzz fuzz-config fuzz-libfuzzer coverage-libfuzzer libfuzzer-programs guests units deps check check-run check-targets check-ptrace check-posix check-fast race asan tsan sanitised check-user check-aarch64
.SECONDARY: $(guest_programs) $(unit_programs)
