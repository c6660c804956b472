#include "list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kube_int.h"
#include "options.h"
#include "progress.h"
#include "util.h"

#define TICK_MS 100
#define PRINTED_MAX (16 << 20)

static void __attribute__((format(printf, 2, 3))) add(struct list *l, const char *format, ...)
{
	va_list ap;

	l->v = xrealloc(l->v, (l->count + 1) * sizeof(*l->v));
	va_start(ap, format);
	if (vasprintf(&l->v[l->count++], format, ap) < 0)
		die("out of memory");
	va_end(ap);
}

/* A slash is before all else: "pod/a/container/b" is of the pod "a", which is before "a-b". */
static int compare(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	return (*x == '/' ? 1 : (unsigned char)*x) - (*y == '/' ? 1 : (unsigned char)*y);
}

void list_sort(struct list *l)
{
	if (l->count)
		qsort(l->v, l->count, sizeof(*l->v), compare);
}

void list_free(struct list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct list){ 0 };
}

/* ---- commands that print more than a struct output has room for ---- */

/* All that is in FD, NUL-terminated, the caller's. */
static char *read_all(int fd, size_t *len)
{
	struct stat st;
	size_t at = 0;
	ssize_t n = 1;

	if (fstat(fd, &st) < 0)
		st.st_size = 0;
	char *text = xcalloc(1, (size_t)st.st_size + 1);
	while (at < (size_t)st.st_size && n > 0) {
		n = pread(fd, text + at, (size_t)st.st_size - at, (off_t)at);
		at += n > 0 ? (size_t)n : 0;
	}
	*len = at;
	return text;
}

static bool is_too_much(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size > PRINTED_MAX;
}

/* 0 when PID has ended, or why it is not waited for any longer. */
static int wait_for(pid_t pid, int out, int err, int64_t deadline_ms)
{
	char fate[64];

	while (child_fate(pid, TICK_MS, fate, sizeof(fate)) == -ETIMEDOUT) {
		if (is_too_much(out) || is_too_much(err))
			return -E2BIG;
		if (child_now_ms() >= deadline_ms)
			return -ETIMEDOUT;
		progress_tick();
	}
	return 0;
}

/*
 * Runs W to its end. Its exit status or a negative errno, as child_command; *OUT and *SAID, what it printed on its two outputs, are the
 * caller's whatever is returned.
 */
static int run(const struct words *w, const struct reach *r, char **out, char **said)
{
	CLEANUP_FD int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CLEANUP_FD int printed = memfd_create("output", MFD_CLOEXEC);
	CLEANUP_FD int spoken = memfd_create("errors", MFD_CLOEXEC);
	size_t len, said_len;
	pid_t pid = 0;
	int rc = in < 0 || printed < 0 || spoken < 0 ? -EMFILE : child_start(w->v, in, printed, spoken, &pid);

	if (!rc) {
		progress_begin("asking %s", w->v[0]);
		rc = wait_for(pid, printed, spoken, reach_deadline(r, REACH_STEP_MS));
		progress_end();
		int status = child_stop(pid, 0);
		rc = rc ? rc : status;
	}
	*out = read_all(printed, &len);
	*said = read_all(spoken, &said_len);
	return !rc && strlen(*out) != len ? -EPROTO : rc;
}

static int fail_at(const char *who, const char *line, char *err, size_t err_len)
{
	size_t n = strcspn(line, "\n");

	return target_fail(-EPROTO, err, err_len, "%s printed something else than a list: \"%.*s\"", who, (int)(n < 60 ? n : 60), line);
}

/* ---- of a cluster ---- */

static const struct kind {
	const char *many, *kind, *prefix;
} kinds[] = {
	{ "pods", "Pod", "pod" },
	{ "deployments", "Deployment", "deployment" },
	{ "statefulsets", "StatefulSet", "statefulset" },
	{ "daemonsets", "DaemonSet", "daemonset" },
	{ "replicasets", "ReplicaSet", "replicaset" },
	{ "jobs", "Job", "job" },
	{ "cronjobs", "CronJob", "cronjob" },
	{ "services", "Service", "service" },
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

/* A line for each: its kind, its name, and of a pod its phase and containers. */
static const char template[] =
	"go-template={{range .items}}{{if not (or .metadata.deletionTimestamp (and (eq .kind \"ReplicaSet\") .metadata.ownerReferences) "
	"(and (eq .kind \"Service\") (not .spec.selector)))}}{{.kind}} {{.metadata.name}}"
	"{{if eq .kind \"Pod\"}} {{.status.phase}}{{range .spec.containers}} {{.name}}{{end}}{{end}}\n{{end}}{{end}}";

/* What Kubernetes lets names be made of. */
static bool is_name(const char *text)
{
	return *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-")];
}

/* REST is a pod's phase and containers. */
static bool take_pod(struct list *l, const char *name, char *rest)
{
	char *save, *phase = strtok_r(rest, " ", &save);
	const char *containers[64];
	size_t count = 0;

	if (!phase || strcmp(phase, "Running"))
		return phase;
	for (char *c = strtok_r(NULL, " ", &save); c; c = strtok_r(NULL, " ", &save)) {
		if (!is_name(c))
			return false;
		if (!kube_is_sidecar(c, strlen(c)) && count < sizeof(containers) / sizeof(*containers))
			containers[count++] = c;
	}
	if (count < 2)
		add(l, "pod/%s", name);
	for (size_t i = 0; count > 1 && i < count; i++)
		add(l, "pod/%s/container/%s", name, containers[i]);
	return true;
}

/* False when LINE is none that the template makes. */
static bool take_line(struct list *l, char *line)
{
	char *save, *kind = strtok_r(line, " ", &save), *name = strtok_r(NULL, " ", &save);

	if (!name || !is_name(name))
		return false;
	for (size_t i = 0; i < KINDS; i++) {
		if (strcmp(kind, kinds[i].kind))
			continue;
		if (i == 0)
			return take_pod(l, name, save);
		add(l, "%s/%s", kinds[i].prefix, name);
		return !*save;
	}
	return false;
}

static int take_lines(struct list *l, char *out, char *err, size_t err_len)
{
	char *save;

	for (char *line = strtok_r(out, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		CLEANUP_FREE char *whole = xstrdup(line);

		if (!take_line(l, line))
			return fail_at("kubectl", whole, err, err_len);
	}
	return 0;
}

static void say_left_out(char *said)
{
	char *save;

	for (char *line = strtok_r(said, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save))
		options_say("ls: left out: kubectl says \"%.300s\"", line);
}

/* The kind of WANTED that kubectl has SAID the cluster lacks is wanted no more. False when it has said something else. */
static bool drop_missing(const char *said, bool wanted[KINDS])
{
	static const char words[] = "the server doesn't have a resource type \"";
	const char *name = strstr(said, words);

	name = name ? name + strlen(words) : "";
	for (size_t i = 0; i < KINDS; i++) {
		size_t n = strlen(kinds[i].many);

		if (!wanted[i] || strncmp(name, kinds[i].many, n) || name[n] != '"')
			continue;
		options_say("ls: left out: the server knows no %s", kinds[i].many);
		wanted[i] = false;
		return true;
	}
	return false;
}

/* One command for all kinds: each would log in anew. False when there is no kind left to ask for. */
static bool make_command(const struct kube *k, const bool wanted[KINDS], struct words *w)
{
	char all[256];
	size_t n = 0;

	for (size_t i = 0; i < KINDS; i++)
		if (wanted[i])
			n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", n ? "," : "", kinds[i].many);
	if (!n)
		return false;
	kube_command(k, w);
	words_add(w, "get");
	words_add(w, all);
	words_add(w, "-o");
	words_add(w, template);
	return true;
}

int list_cluster(const struct reach *r, struct list *l, char *err, size_t err_len)
{
	struct kube k = { .reach = r };
	bool wanted[KINDS];

	memset(wanted, true, sizeof(wanted));
	for (;;) {
		CLEANUP_WORDS struct words w = { 0 };
		CLEANUP_FREE char *out = NULL;
		CLEANUP_FREE char *said = NULL;

		if (!make_command(&k, wanted, &w))
			return target_fail(-ENOENT, err, err_len, "this cluster has nothing that could be a target");
		int rc = run(&w, r, &out, &said);
		if (rc > 0 && drop_missing(said, wanted))
			continue;
		if (rc == -EPROTO || rc == -E2BIG)
			return fail_at("kubectl", out, err, err_len);
		/* Of what is forbidden it says so at the end, and prints the rest. */
		if (rc < 0 || (rc && !*out))
			return kube_fail(&k, rc, said, err, err_len);
		int taken = take_lines(l, out, err, err_len);
		if (rc && !taken)
			say_left_out(said);
		return taken;
	}
}

/* ---- of an engine ---- */

/* The name in LINE; links of other containers may be there, too ("db,web/db"). NULL: there is none. */
static char *engine_name(char *line)
{
	char *save;

	for (char *name = strtok_r(line, ",", &save); name; name = strtok_r(NULL, ",", &save))
		if (!strpbrk(name, "/ "))
			return name;
	return NULL;
}

static int engine_failed(const struct words *w, const char *engine, int rc, const char *said, char *err, size_t err_len)
{
	if (rc == -ETIMEDOUT)
		return target_fail(rc, err, err_len, "%s has not answered in time; see --connect-timeout", engine);
	if (rc < 0)
		return target_fail(rc, err, err_len, "\"%s\" cannot be run: %s; see --%s", w->v[0], strerror(-rc), engine);
	return reach_explain(-EIO, engine, said, err, err_len);
}

int list_engine(const struct reach *r, const char *engine, struct list *l, char *err, size_t err_len)
{
	CLEANUP_WORDS struct words w = { 0 };
	CLEANUP_FREE char *out = NULL;
	CLEANUP_FREE char *said = NULL;
	char *save;

	reach_command(&w, strcmp(engine, "docker") ? r->podman : r->docker, engine);
	words_split(&w, "ps --format {{.Names}}");
	int rc = run(&w, r, &out, &said);
	if (rc == -EPROTO || rc == -E2BIG)
		return fail_at(engine, out, err, err_len);
	if (rc)
		return engine_failed(&w, engine, rc, said, err, err_len);
	for (char *line = strtok_r(out, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		CLEANUP_FREE char *whole = xstrdup(line);
		const char *name = engine_name(line);

		if (!name)
			return fail_at(engine, whole, err, err_len);
		add(l, "%s/%s", engine, name);
	}
	return 0;
}
