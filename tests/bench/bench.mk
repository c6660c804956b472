# make bench [BENCH="--quick calls latency http startup reach peers projects"]: tables of times, beside counts that do not depend on them.
bench_bin := $(B)/bench
bench_tools := $(addprefix $(bench_bin)/,calls nulltrace nullfilter delayrelay filtertime clock peerio)
bench_go := $(addprefix $(bench_bin)/,goread httpd)

bench: bench-tools
	tests/bench/bench --build $(B) $(BENCH)

bench-tools: $(B)/remotefs-trace $(B)/remotefs-agent $(bench_tools) $(bench_go)

# Static: what is measured is the call, not a loader.
$(bench_bin)/calls $(bench_bin)/nulltrace $(bench_bin)/nullfilter $(bench_bin)/delayrelay $(bench_bin)/clock $(bench_bin)/peerio: $(bench_bin)/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -static -o $@ $<

$(bench_bin)/filtertime: tests/bench/filtertime.c $(filter-out $(B)/tracer/main.o,$(trace_all))
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $^ $(tracer_libs)

# Without Go its rows are left out, by name.
$(bench_bin)/goread: tests/bench/goread.go
	@mkdir -p $(@D)
	-CGO_ENABLED=0 go build -o $@ $<

$(bench_bin)/httpd: tests/guests/go/httpd.go tests/guests/go/common.go
	@mkdir -p $(@D)
	-CGO_ENABLED=0 go build -o $@ $^

.PHONY: bench bench-tools
