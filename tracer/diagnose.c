/* diagnose: how a target is reached, what its agent may do there and how fast, and what would fail. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "command.h"
#include "environment.h"
#include "link.h"
#include "log.h"
#include "options.h"
#include "probe.h"
#include "util.h"

#define GOODBYE_MS 2000
#define ROUND_TRIPS 100
#define THROUGHPUT_BYTES (64u << 20)
#define MEASURE_MS 2000

struct diagnosis {
	const struct options *options;
	struct target target;
	struct target_stream stream;
	struct link *link;
	FILE *failing; /* what would fail, a line for each, into */
	char *fails;
	size_t fails_len;
	char status[8192]; /* /proc/PID/status of the agent; "" where it cannot be read */
};

static atomic_bool finishing;
static char late[512]; /* the line of a target that is silent */

/* ---- what is shown ---- */

/* All of it may come from the target, also what a terminal would act upon. */
static void put(FILE *out, const char *before, const char *format, va_list ap)
{
	char line[2048];

	vsnprintf(line, sizeof(line), format, ap);
	for (char *p = line; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	fprintf(out, "%s%s\n", before, line);
}

static void __attribute__((format(printf, 2, 3))) row(const char *name, const char *format, ...)
{
	char before[32];
	va_list ap;

	snprintf(before, sizeof(before), "%-13s", name);
	va_start(ap, format);
	put(stdout, before, format, ap);
	va_end(ap);
}

static void __attribute__((format(printf, 2, 3))) fails(struct diagnosis *d, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	put(d->failing, "  ", format, ap);
	va_end(ap);
}

static int refuse(const struct diagnosis *d, const char *why)
{
	options_say("%s: %s", d->options->target, why);
	return EXIT_OWN_FAILURE;
}

/* ---- reaching it ---- */

/* Nothing is of use after that, whatever is asked just now. */
static void lost(struct link *l, const char *why, void *arg)
{
	if (atomic_load(&finishing))
		return;
	refuse(arg, why);
	_exit(EXIT_OWN_FAILURE);
}

static void give_up(int sig)
{
	ssize_t n = write(STDERR_FILENO, late, strlen(late));

	_exit(n >= 0 ? EXIT_OWN_FAILURE : EXIT_OWN_FAILURE + 1);
}

static unsigned step_ms(const struct diagnosis *d)
{
	return d->options->reach.timeout_ms ? d->options->reach.timeout_ms : REACH_STEP_MS;
}

/* Each step has its time, since no request has an end of its own. */
static void next_step(const struct diagnosis *d)
{
	alarm(step_ms(d) < 1000 ? 1 : step_ms(d) / 1000);
}

static void watch_time(const struct diagnosis *d)
{
	const struct sigaction on_alarm = { .sa_handler = give_up };
	sigset_t pipe;

	/* Who writes to a helper that has ended learns it from write(2). */
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe, NULL);
	snprintf(late, sizeof(late), "remotefs-trace: %.400s: the agent has not answered in time; see --connect-timeout\n", d->options->target);
	for (char *p = late; p[1]; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	sigaction(SIGALRM, &on_alarm, NULL);
}

/* The link has, or had, the rest of the stream. */
static void drop_said(struct diagnosis *d)
{
	d->stream = (struct target_stream){ .in = -1, .out = -1, .said = d->stream.said };
	child_drop(&d->stream);
}

static int open_link(struct diagnosis *d)
{
	const struct options *o = d->options;
	struct link_callbacks callbacks = { .lost = lost, .arg = d };
	/* Not read-only: then the agent would say so of everything. No request here changes anything. */
	struct link_greeting greeting = { .at = "", .sub = "" };
	char why[1024] = "";

	if (reach_start(&o->reach, o->target, &d->stream, why, sizeof(why)) < 0)
		return refuse(d, why);
	d->link = link_open(d->stream.in, d->stream.out, d->stream.pid, o->target, &greeting, (int)o->startup_ms, &callbacks, why, sizeof(why));
	if (d->link)
		return 0;
	reach_add_last_words(d->stream.said, why, sizeof(why));
	drop_said(d);
	return refuse(d, why);
}

/* By what, as far as the target's name does not tell. */
static const char *way(const struct diagnosis *d)
{
	switch (d->target.kind) {
	case TARGET_EXEC:
		return "by the command";
	case TARGET_DOCKER:
		return d->stream.beside ? "by docker run, in a container beside it" : "by docker exec, in the container";
	case TARGET_PODMAN:
		return d->stream.beside ? "by podman run, in a container beside it" : "by podman exec, in the container";
	case TARGET_SSH:
		return "by ssh";
	case TARGET_UNIX:
	case TARGET_TCP:
		return "an agent that listens";
	case TARGET_KUBE:
		if (!d->stream.beside)
			return "by kubectl exec, in the container";
		return d->options->reach.mode == REACH_JOB ? "in a job's pod on the same node" : "in an ephemeral container beside it";
	default:
		return "on this machine";
	}
}

/* ---- what is there ---- */

/* The agent is a process of this machine, with this machine's kernel. */
static bool is_here(const struct diagnosis *d)
{
	return d->target.kind == TARGET_DIR || d->target.kind == TARGET_PID || d->target.kind == TARGET_CONTAINER;
}

static void tell_machine(struct diagnosis *d)
{
	struct utsname u = { .machine = "" };
	char text[256];

	if (is_here(d)) {
		uname(&u);
	} else {
		if (probe_read(d->link, "/proc/sys/kernel/osrelease", text, sizeof(text)) == 0)
			snprintf(u.release, sizeof(u.release), "%.*s", (int)strcspn(text, "\n"), text);
		/* Since Linux 6.1. */
		if (probe_read(d->link, "/proc/sys/kernel/arch", text, sizeof(text)) == 0)
			snprintf(u.machine, sizeof(u.machine), "%.*s", (int)strcspn(text, "\n"), text);
	}
	if (*u.release)
		row("machine", "Linux %s%s%s", u.release, *u.machine ? ", " : "", u.machine);
	if (*u.machine && strcmp(u.machine, "x86_64"))
		fails(d, "programs of the target: they are for %s", u.machine);
}

static void tell_versions(struct diagnosis *d)
{
	const char *program = link_program(d->link);

	row("versions", "remotefs-trace " VERSION ", %s", *program ? program : "an agent that does not say its own");
	if (*program && strcmp(program, "remotefs-agent " VERSION))
		fails(d, "perhaps what the agent does not know yet: it is of another version");
}

/* ---- who the agent is ---- */

static void read_local(pid_t pid, char *text, size_t len)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "re");
	text[f ? fread(text, 1, len - 1, f) : 0] = '\0';
	if (f)
		fclose(f);
}

/* What STATUS has behind "NAME:" in its line, without blanks around it. "" for none. */
static const char *field(const char *status, const char *name, char *value, size_t len)
{
	char start[32];
	int n = snprintf(start, sizeof(start), "\n%s:", name);
	const char *at = strstr(status, start);

	value[0] = '\0';
	if (!at)
		return value;
	at += n + (int)strspn(at + n, " \t");
	size_t end = strcspn(at, "\n");
	while (end && isspace((unsigned char)at[end - 1]))
		end--;
	snprintf(value, len, "%.*s", (int)end, at);
	return value;
}

/* The effective one of the four numbers of the field NAME, or -1. */
static long number(const char *status, const char *name)
{
	char value[128];
	long effective;

	return sscanf(field(status, name, value, sizeof(value)), "%*d %ld", &effective) == 1 ? effective : -1;
}

static void tell_capabilities(const char *status)
{
	/* As linux/capability.h numbers them. */
	static const char *const names[] = {
		"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
		"net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot",
		"sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease",
		"audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read",
		"perfmon", "bpf", "checkpoint_restore",
	};
	const size_t count = sizeof(names) / sizeof(*names);
	char value[64], text[1024] = "";
	unsigned long long set = strtoull(field(status, "CapEff", value, sizeof(value)), NULL, 16);
	unsigned long long lacking = ~set & ((1ull << count) - 1);
	bool most = __builtin_popcountll(lacking) < 8;
	size_t n = 0;

	for (size_t i = 0; i < count && n < sizeof(text); i++)
		if ((most ? lacking : set) >> i & 1)
			n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", names[i]);
	row("capabilities", "%s%s", !set ? "none" : !most ? "" : lacking ? "all but" : "all", set && !most ? text + 1 : text);
}

/* Of the process whose files are meant, "" where there is none or it is not known. */
static void read_process(struct diagnosis *d, char *status, size_t len)
{
	status[0] = '\0';
	if (d->target.kind == TARGET_PID)
		read_local((pid_t)atoi(d->target.name), status, len);
	else if (d->target.kind == TARGET_KUBE || d->target.kind == TARGET_DOCKER || d->target.kind == TARGET_PODMAN)
		probe_read(d->link, "/proc/1/status", status, len);
	/* Where a pod's containers share their processes. */
	if (!strncmp(status, "Name:\tpause\n", 12))
		status[0] = '\0';
}

static void tell_identity(struct diagnosis *d)
{
	char process[8192], groups[512];
	int rc = 0;

	if (is_here(d))
		read_local(d->stream.pid, d->status, sizeof(d->status));
	else
		rc = probe_read(d->link, "/proc/self/status", d->status, sizeof(d->status));
	long uid = number(d->status, "Uid"), gid = number(d->status, "Gid");
	if (uid < 0 || gid < 0) {
		row("agent", "its user is not known: /proc/self/status cannot be read there%s%s", rc ? ": " : "", rc ? strerror(-rc) : "");
		return;
	}
	field(d->status, "Groups", groups, sizeof(groups));
	row("agent", "user %ld, group %ld, groups %s", uid, gid, *groups ? groups : "none");
	tell_capabilities(d->status);
	read_process(d, process, sizeof(process));
	long puid = number(process, "Uid"), pgid = number(process, "Gid");
	if (!d->options->reach.as && puid >= 0 && (puid != uid || pgid != gid))
		fails(d, "being the process: it is user %ld, group %ld, and what is made there belongs to the agent's; see --as", puid, pgid);
}

/* ---- what can be done ---- */

static void tell_access(struct diagnosis *d)
{
	int reads = probe_access(d->link, R_OK), writes = probe_access(d->link, W_OK);

	row("/", "%s, %s", reads ? "cannot be read" : "can be read", writes ? "cannot be written" : "can be written");
	if (reads)
		fails(d, "listing /: %s", strerror(-reads));
	if (writes)
		fails(d, "making and removing files in /, with --mode write: %s", strerror(-writes));
}

static void tell_environment(struct diagnosis *d)
{
	CLEANUP_FREE char *block = NULL;
	char why[512];
	size_t len, count = 0;
	int rc = environment_fetch(d->link, &block, &len, why, sizeof(why));

	for (size_t i = 0; !rc && i < len; i++)
		count += !block[i];
	if (rc)
		row("environment", "none");
	else
		row("environment", "%zu variables", count);
	if (rc)
		fails(d, "--env: %s", why);
}

static void tell_changes(struct diagnosis *d)
{
	bool notices = false;
	int rc = probe_notices(d->link, &notices);

	row("changes", "%s", notices ? "are noticed" : "are not noticed");
	if (rc)
		fails(d, "everything: / cannot be looked at: %s", strerror(-rc));
	else if (!notices)
		fails(d, "answers from what is known: nobody is told of changes on this file system, and every call asks the target");
}

static void tell_speed(struct diagnosis *d)
{
	uint64_t max_ns = UINT64_C(1000000) * (step_ms(d) < 2 * MEASURE_MS ? step_ms(d) / 2 : MEASURE_MS);
	struct probe_times t;
	uint64_t bytes, ns;
	int rc = probe_latency(d->link, ROUND_TRIPS, max_ns, &t);

	if (!rc)
		row("round trip", "%.3f ms at least, %.3f on average, %.3f at most, of %u", (double)t.min_ns / 1e6,
		    (double)t.sum_ns / t.count / 1e6, (double)t.max_ns / 1e6, t.count);
	next_step(d);
	rc = probe_throughput(d->link, THROUGHPUT_BYTES, max_ns, &bytes, &ns);
	if (rc || !ns)
		row("throughput", "not measured: /dev/zero cannot be read there: %s", strerror(-rc));
	else
		row("throughput", "%.1f MiB/s, of /dev/zero", (double)bytes / (1 << 20) / ((double)ns / 1e9));
}

/* Helpers warn of what they go on with, too. */
static void tell_said(struct diagnosis *d)
{
	char said[8192], *save;

	said_text(d->stream.said, 0, said, sizeof(said));
	for (char *line = strtok_r(said, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save))
		row("said", "%s", line);
}

static int diagnose(const struct options *o)
{
	struct diagnosis d = { .options = o };
	char err[512];
	uint64_t begin = now_ns();

	if (target_parse(o->target, &d.target, err, sizeof(err)))
		return options_refuse("%s: %s", config_from(&o->config, CONFIG_TARGET), err);
	watch_time(&d);
	int r = open_link(&d);
	if (r)
		return r;
	static void (*const tells[])(struct diagnosis *) = {
		tell_versions, tell_machine, tell_identity, tell_access, tell_environment, tell_changes, tell_speed, tell_said,
	};
	d.failing = open_memstream(&d.fails, &d.fails_len);
	if (!d.failing)
		die("out of memory");
	setlinebuf(stdout);
	row("target", "%s", o->target);
	row("reached", "%s, in %llu ms", way(&d), (unsigned long long)(now_ns() - begin) / 1000000);
	for (size_t i = 0; i < sizeof(tells) / sizeof(*tells); i++) {
		next_step(&d);
		tells[i](&d);
	}
	alarm(0);
	fclose(d.failing);
	printf(d.fails_len ? "\nWhat would fail, and why:\n%s" : "\nNothing was found that would fail.\n", d.fails);
	free(d.fails);
	atomic_store(&finishing, true);
	link_close(d.link, GOODBYE_MS);
	drop_said(&d);
	return 0;
}

int command_diagnose(int argc, char **argv)
{
	struct options o;
	char *target;
	int r = command_flags(argc, argv, &o, &target);

	if (!r && target && o.config.of[CONFIG_TARGET].count)
		r = options_refuse("diagnose \"%s\": a target was given already with --target; leave one of them out", target);
	if (!r && target)
		config_put(&o.config, CONFIG_TARGET, CONFIG_BY_FLAG, NULL, target, "diagnose");
	r = r ? r : options_settle(&o);
	if (!r && !o.target)
		r = options_refuse("diagnose: there is no target; give one, e.g. remotefs-trace diagnose pid/1. remotefs-trace ls shows those of a cluster");
	r = r ? r : diagnose(&o);
	options_free(&o);
	return r < 0 ? 0 : r;
}
