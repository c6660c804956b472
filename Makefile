# remotefs-trace: build, test, install. `make help` lists the targets.
VERSION := 0.1.0
PREFIX ?= /usr/local
LIBEXECDIR ?= $(PREFIX)/libexec/remotefs-trace
B ?= build

CC ?= gcc
CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter
STANDARD := -std=gnu11 $(WARN) $(WERROR) -fno-strict-aliasing
override CFLAGS += $(STANDARD) $(SANITIZE)
override CPPFLAGS += -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -DLIBEXECDIR='"$(LIBEXECDIR)"' \
	-Iproto -Itracer -Isyscalls -I$(B)/proto

proto_objs := proto/frame.o proto/plain.o proto/digest.o proto/auth.o proto/address.o

agent_objs := agent/main.o agent/listen.o agent/serve.o agent/session.o agent/attach.o agent/conn.o agent/input.o agent/output.o agent/dispatch.o agent/handle.o agent/greet.o agent/tables.o agent/session_lost.o agent/keep.o agent/keeper.o agent/doubt.o \
	agent/copy.o agent/lock_wait.o \
	agent/channel.o agent/flow.o agent/socket.o \
	agent/resolve.o agent/walk.o agent/attr.o agent/open.o agent/close.o agent/file.o agent/digest.o agent/dir.o agent/stat.o agent/name.o agent/meta.o \
	agent/ioctl.o agent/fhandle.o agent/ticket.o agent/reopen.o agent/moved.o agent/spare.o agent/process.o agent/rights.o agent/confine.o agent/inside.o agent/procfile.o agent/options.o agent/self.o \
	agent/container.o agent/container_state.o agent/container_cgroup.o agent/docker.o agent/json.o \
	agent/subject.o agent/own.o agent/xattr.o agent/wire.o agent/lock.o agent/umask.o agent/watch.o agent/promise.o agent/event.o agent/observe.o

log_objs := tracer/log.o tracer/log_text.o tracer/log_flags.o tracer/log_names.o tracer/log_decode.o tracer/log_fcntl.o \
	tracer/log_struct.o tracer/log_array.o tracer/log_trace.o tracer/stats.o

# What reads configurations; needs nothing else of ours.
config_objs := tracer/config.o tracer/config_table.o tracer/config_file.o tracer/config_print.o tracer/dotenv.o tracer/source.o tracer/template.o \
	tracer/pattern.o tracer/pattern_syntax.o tracer/value.o tracer/read_json.o tracer/read_toml.o tracer/read_toml_value.o tracer/read_yaml.o tracer/mode.o tracer/target.o

tracer_objs := tracer/main.o tracer/explain.o tracer/ls.o tracer/list.o tracer/diagnose.o tracer/probe.o tracer/needed.o tracer/command.o tracer/options.o tracer/options_check.o tracer/options_mount.o tracer/options_log.o tracer/options_help.o $(config_objs) tracer/config_rules.o tracer/environment.o \
	tracer/launch.o tracer/reach.o tracer/dial.o tracer/shell.o tracer/engine.o tracer/kube.o tracer/kube_pod.o tracer/kube_beside.o \
	tracer/child.o tracer/said.o tracer/die.o tracer/words.o tracer/progress.o tracer/listing.o tracer/order.o tracer/ahead.o tracer/link.o tracer/link_open.o tracer/link_again.o tracer/link_reopen.o tracer/greet.o tracer/sender.o tracer/reopen.o tracer/reopen_again.o tracer/reopen_watch.o tracer/takeover.o tracer/stream.o \
	tracer/shadow.o tracer/channel.o tracer/relay.o tracer/relay_connect.o tracer/relay_bind.o tracer/pump.o tracer/locks.o tracer/ranges.o \
	tracer/spawn.o tracer/filter.o tracer/loop.o tracer/stop.o tracer/stop_work.o tracer/pass.o tracer/regs.o tracer/task.o tracer/worker.o tracer/notify.o \
	tracer/proclink.o tracer/overlay.o tracer/overlay_walk.o tracer/overlay_copy.o tracer/overlay_switch.o tracer/overlay_list.o \
	tracer/overlay_place.o tracer/overlay_name.o tracer/upper.o tracer/inomap.o \
	tracer/call.o tracer/mem.o tracer/place.o tracer/behalf.o tracer/intent.o tracer/path.o tracer/rules.o tracer/rules_default.o tracer/cache.o tracer/cache_own.o tracer/node.o tracer/ofd.o tracer/pages.o \
	tracer/placeholder.o tracer/drain.o tracer/image.o tracer/image_fill.o tracer/flight.o tracer/sync.o tracer/bring.o tracer/synced.o tracer/push.o tracer/behind.o tracer/behind_hold.o tracer/carrier.o tracer/watch.o tracer/watch_below.o tracer/watch_holder.o tracer/elf.o tracer/exe.o \
	tracer/upper_info.o tracer/overlay_cmd.o tracer/changes.o tracer/apply.o tracer/inode.o tracer/attrs.o tracer/entries.o $(log_objs)

syscalls_objs := syscalls/table.o syscalls/remote.o syscalls/readahead.o syscalls/open.o syscalls/close.o syscalls/io.o syscalls/stat.o \
	syscalls/transfer.o syscalls/pipes.o syscalls/fsize.o syscalls/late.o syscalls/foretold.o syscalls/buffers.o syscalls/flow.o syscalls/socket.o \
	syscalls/aio.o syscalls/aio_ring.o syscalls/flush.o syscalls/clone.o \
	syscalls/dir.o syscalls/name.o syscalls/apart.o syscalls/fd.o syscalls/rights.o syscalls/widen.o syscalls/map.o syscalls/copy.o syscalls/lock.o \
	syscalls/ioctl.o syscalls/fhandle.o syscalls/mount.o syscalls/ptrace.o \
	syscalls/known.o syscalls/limit.o syscalls/aim.o syscalls/meta.o syscalls/allocate.o syscalls/truncate.o syscalls/link.o syscalls/xattr.o syscalls/cwd.o syscalls/exec.o syscalls/program.o syscalls/scratch.o syscalls/watch.o

tracer_libs := -lyaml -lseccomp -lelf -lpcre2-8 -lprotobuf-nanopb -lmd -pthread
agent_libs := -lprotobuf-nanopb -lmd -pthread

# The agent for another architecture: with Debian's cross compiler, and libraries that `make deps` puts into CROSS_LIBS.
CROSS := aarch64
CROSS_DEBARCH := arm64
CROSS_PACKAGES := libnanopb-dev libmd-dev
CROSS_CC ?= $(CROSS)-linux-gnu-gcc
CROSS_CFLAGS ?= -O2 -g
CROSS_LIBS ?= build/cross
cross_dir := $(CROSS_LIBS)/usr/lib/$(CROSS)-linux-gnu
cross_wants := libc.a $(patsubst -l%,lib%.a,$(filter -l%,$(agent_libs)))
# What -print-file-name does not find it says as it was asked. A sanitised agent needs only the one that runs here.
cross_lacks := $(if $(SANITIZE),any,$(shell command -v $(CROSS_CC) >/dev/null || { echo $(CROSS_CC); exit; }; \
	for lib in $(cross_wants); do [ "$$($(CROSS_CC) -B$(cross_dir)/ -print-file-name=$$lib)" != $$lib ] || echo $$lib; done))
CROSS_AGENT := $(if $(cross_lacks),$(if $(SANITIZE),,no-cross-agent),$(B)/remotefs-agent-$(CROSS))

pb := $(B)/proto/remotefs.pb.o
trace_all := $(addprefix $(B)/,$(tracer_objs) $(syscalls_objs) $(proto_objs)) $(pb)
agent_all := $(addprefix $(B)/,$(agent_objs) $(proto_objs)) $(pb)
cross_all := $(addprefix $(B)/$(CROSS)/,$(agent_objs) $(proto_objs) proto/remotefs.pb.o)

all: $(B)/remotefs-trace $(B)/remotefs-agent $(CROSS_AGENT)

$(B)/remotefs-trace: $(trace_all)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(tracer_libs)

# One static file: it is carried into containers that have no libc, under a name that its linker's digest is in.
$(B)/remotefs-agent: $(agent_all)
	$(CC) $(CFLAGS) $(LDFLAGS) $(if $(SANITIZE),,-static -s) -Wl,--build-id=sha1 -o $@ $^ $(agent_libs)

$(B)/remotefs-agent-$(CROSS): $(cross_all)
	$(CROSS_CC) $(CROSS_CFLAGS) $(STANDARD) -static -s -Wl,--build-id=sha1 -o $@ $^ -L$(cross_dir) $(agent_libs)

no-cross-agent:
	@echo "remotefs-agent-$(CROSS): not built: $(cross_lacks) missing (make deps)"

$(B)/proto/remotefs.pb.c $(B)/proto/remotefs.pb.h &: proto/remotefs.proto proto/remotefs.options
	@mkdir -p $(@D)
	cd proto && protoc --plugin=protoc-gen-nanopb=/usr/bin/protoc-gen-nanopb --nanopb_out=$(abspath $(B))/proto remotefs.proto

$(pb): $(B)/proto/remotefs.pb.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(B)/%.o: %.c $(B)/proto/remotefs.pb.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

cross_compile = $(CROSS_CC) $(CPPFLAGS) -I$(CROSS_LIBS)/usr/include $(CROSS_CFLAGS) $(STANDARD) -c -o $@ $<

$(B)/$(CROSS)/proto/remotefs.pb.o: $(B)/proto/remotefs.pb.c
	@mkdir -p $(@D)
	$(cross_compile)

$(B)/$(CROSS)/%.o: %.c $(B)/proto/remotefs.pb.h
	@mkdir -p $(@D)
	$(cross_compile) -MMD -MP

clean:
	rm -rf $(B)

demo: deps
	@$(MAKE) --no-print-directory all
	@tests/demo/demo.sh $(abspath $(B))

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(PREFIX)/share/man/man1 \
		$(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions
	install -m 755 $(B)/remotefs-trace $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(B)/remotefs-agent $(filter $(B)/%,$(CROSS_AGENT)) $(DESTDIR)$(LIBEXECDIR)/
	install -m 644 man/remotefs-trace.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 man/remotefs-agent.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 completions/remotefs-trace.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/remotefs-trace
	install -m 644 completions/_remotefs-trace $(DESTDIR)$(PREFIX)/share/zsh/site-functions/

# Whether the compilers and cppcheck find anything to say. ctuuninitvar takes an array that is filled in piece by piece
# (struct place's paths, a frame's bytes) for one that is not.
lint: $(B)/proto/remotefs.pb.h
	$(MAKE) B=build-lint WERROR=-Werror all
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --error-exitcode=1 --inline-suppr \
		--suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches --suppress=ctuuninitvar -D_GNU_SOURCE -Iproto -Itracer -Isyscalls -Iagent agent proto tracer syscalls

help:
	@echo "all demo check check-fast check-ptrace check-user check-aarch64 coverage-syscalls fuzz fuzz-config fuzz-libfuzzer coverage-libfuzzer asan tsan race chaos bench lint install clean"

include tests/tests.mk tests/bench/bench.mk

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.PHONY: all clean demo install lint help no-cross-agent
