/* Pods, and what makes them: reached through kubectl, by an agent in the container. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kube_int.h"
#include "shell.h"
#include "util.h"

void kube_command(const struct kube *k, struct words *w)
{
	reach_command(w, k->reach->kubectl, "kubectl");
	words_option(w, "--kubeconfig", k->reach->kubeconfig);
	words_option(w, "--context", k->reach->context);
	words_option(w, "--namespace", k->reach->namespace);
}

int kube_fail(const struct kube *k, int rc, const char *said, char *err, size_t err_len)
{
	const char *kubectl = k->reach->kubectl ? k->reach->kubectl : "kubectl";

	if (rc == -ETIMEDOUT)
		return reach_late("kubectl", said, err, err_len);
	if (rc < 0)
		return target_fail(rc, err, err_len, "\"%s\" cannot be run: %s; see --kubectl", kubectl, strerror(-rc));
	return reach_explain(-EIO, "kubectl", said, err, err_len);
}

/* A file with TEXT in it, to be read from its start; -1 for none. */
static int text_file(const char *text)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	size_t len = strlen(text);

	if (fd >= 0 && (write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int kube_run(const struct kube *k, const struct words *w, const char *input, struct output *o, unsigned ms, char *err, size_t err_len)
{
	CLEANUP_WORDS struct words all = { 0 };
	CLEANUP_FD int in = input ? text_file(input) : -1;

	kube_command(k, &all);
	words_append(&all, w);
	int rc = child_command(all.v, in, o, reach_deadline(k->reach, ms));
	return rc ? kube_fail(k, rc, o->err, err, err_len) : 0;
}

static int exec_agent(struct kube *k, struct target_stream *s, char *err, size_t err_len)
{
	char args[128];
	struct shell sh = { .args = args, .who = "kubectl", .target = *k->pod ? k->pod : k->target.name };
	const char *as = k->reach->as;

	snprintf(args, sizeof(args), "--stdio --inside" REACH_PATIENCE "%s%s", as ? " --as " : "", as ? as : "");
	kube_command(k, &sh.command);
	words_split(&sh.command, "exec -i");
	words_addf(&sh.command, "pod/%s", sh.target);
	words_option(&sh.command, "-c", *k->container ? k->container : NULL);
	words_add(&sh.command, "--");
	int rc = shell_start(k->reach, &sh, s, err, err_len);
	words_free(&sh.command);
	return rc;
}

/*
 * kubectl has taken a container by itself and says so: "Defaulted container "a" out of: a, b, c (init)", as long as there is no annotation;
 * 1.20 says "Defaulting container name to a.", and knows no annotation.
 */
static bool is_doubtful(const char *said, char *container)
{
	const char *old = strstr(said, "efaulting container name to "), *at = strstr(said, "efaulted container \"");

	at = old ? old + strlen("efaulting container name to ") : at ? at + strlen("efaulted container \"") : NULL;
	size_t n = at ? strcspn(at, "\"\n\r") : 0;
	n -= old && n && at[n - 1] == '.';
	if (!n || n >= KUBE_NAME)
		return false;
	snprintf(container, KUBE_NAME, "%.*s", (int)n, at);
	return old || kube_is_sidecar(at, n);
}

/* A pod that was named needs no looking up, unless kubectl chose what nobody would mean. */
static int start_in_pod(struct kube *k, struct target_stream *s, char *err, size_t err_len)
{
	char said[8192], taken[KUBE_NAME];
	int rc = exec_agent(k, s, err, err_len);

	if (rc || *k->container)
		return rc;
	said_text(s->said, 0, said, sizeof(said));
	if (!is_doubtful(said, taken))
		return 0;
	rc = kube_find_pod(k, err, err_len);
	if (!rc && !strcmp(k->container, taken))
		return 0;
	child_drop(s);
	return rc ? rc : exec_agent(k, s, err, err_len);
}

static int start_inside(struct kube *k, struct target_stream *s, char *err, size_t err_len)
{
	if (!strcmp(k->target.resource, "pod"))
		return start_in_pod(k, s, err, err_len);
	/* kubectl could find one as well, but would take one that is terminating, and for the next agent perhaps another one. */
	int rc = kube_find_pod(k, err, err_len);
	return rc ? rc : exec_agent(k, s, err, err_len);
}

/* What is known of T; the list is the launcher's alone. */
static struct kube *kube_of(const struct reach *r, const struct target *t)
{
	static struct kube *known;
	struct kube *k = known;

	while (k && (strcmp(k->target.resource, t->resource) || strcmp(k->target.name, t->name) ||
		     strcmp(k->target.container, t->container)))
		k = k->next;
	if (!k) {
		k = xcalloc(1, sizeof(*k));
		*k = (struct kube){ .next = known, .target = *t };
		memcpy(k->container, t->container, sizeof(k->container));
		known = k;
	}
	/* The caller's, for as long as this start takes; what it says of the way there is the same in all of a run. */
	k->reach = r;
	return k;
}

/* A pod that has gone takes along what was started beside it. */
static void forget(struct kube *k)
{
	k->pod[0] = k->node[0] = k->id[0] = k->beside_pod[0] = k->beside[0] = '\0';
	memcpy(k->container, k->target.container, sizeof(k->container));
}

static int start(struct kube *k, const struct reach *r, struct target_stream *s, char *err, size_t err_len)
{
	int rc = -ENOEXEC;

	if (r->mode == REACH_EXEC || (r->mode == REACH_AUTO && !*k->beside))
		rc = start_inside(k, s, err, err_len);
	if (rc != -ENOEXEC)
		return rc;
	if (r->mode != REACH_EXEC) {
		rc = kube_start_beside(k, s, err, err_len);
		s->beside = true;
		return rc;
	}
	size_t n = strlen(err);
	snprintf(err + n, err_len - n, ": --agent-mode ephemeral and job need none");
	return rc;
}

int kube_start(const struct reach *r, const struct target *t, struct target_stream *s, char *err, size_t err_len)
{
	struct kube *k = kube_of(r, t);
	int rc = start(k, r, s, err, err_len);

	if (rc)
		forget(k);
	/* Only a pod that was named has no other in its place. */
	return rc == -ENODEV && strcmp(t->resource, "pod") ? -EAGAIN : rc;
}
