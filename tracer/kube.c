/* Pods, and what makes them: reached through kubectl. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kube_int.h"
#include "shell.h"
#include "util.h"

/* What is beside the application in many pods, and is never meant: as in mirrord's list. */
static const char *const sidecars[] = { "istio-proxy", "istio-init",  "linkerd-proxy", "linkerd-init", "proxy-init",
					"envoy",       "vault-agent", "vault-agent-init", "cilium-envoy", "kuma-sidecar",
					"consul-connect-envoy-sidecar", "consul-dataplane", "cloudsql-proxy", "daprd" };

bool kube_is_sidecar(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(sidecars) / sizeof(*sidecars); i++)
		if (strlen(sidecars[i]) == len && !strncmp(sidecars[i], name, len))
			return true;
	return false;
}

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
		return target_fail(rc, err, err_len, "kubectl has not answered in time; see --connect-timeout");
	if (rc < 0)
		return target_fail(rc, err, err_len, "\"%s\" cannot be run: %s; see --kubectl", kubectl, strerror(-rc));
	return reach_explain(-EIO, "kubectl", said, err, err_len);
}

int kube_run(const struct kube *k, const struct words *w, const char *input, struct output *o, unsigned ms, char *err, size_t err_len)
{
	CLEANUP_WORDS struct words all = { 0 };
	CLEANUP_FD int in = input ? kube_memfd(input) : -1;

	kube_command(k, &all);
	words_append(&all, w);
	int rc = child_command(all.v, in, o, reach_deadline(k->reach, ms));
	return rc ? kube_fail(k, rc, o->err, err, err_len) : 0;
}

/* ---- which pod, which container ---- */

/* The label selector of what makes pods; empty for what has none. */
static int find_selector(struct kube *k, const char *resource, char *selector, size_t len, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_WORDS struct words w = { 0 };
	bool service = !strncmp(resource, "service/", 8);

	words_add(&w, "get");
	words_add(&w, resource);
	words_add(&w, "-o");
	words_addf(&w, "go-template={{range $k,$v := .spec.selector%s}}{{$k}}={{$v}},{{end}}", service ? "" : ".matchLabels");
	int rc = kube_run(k, &w, NULL, o, REACH_STEP_MS, err, err_len);
	if (rc)
		return rc;
	size_t n = strcspn(o->out, "\n");
	n -= n && o->out[n - 1] == ',';
	if (!n || n >= len)
		return target_fail(-ENOENT, err, err_len, "%s selects no pods", resource);
	snprintf(selector, len, "%.*s", (int)n, o->out);
	return 0;
}

/* The newest job of a cronjob: its resource's name into JOB. */
static int find_job(struct kube *k, char *job, size_t len, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_WORDS struct words w = { 0 };
	char name[256];

	words_split(&w, "get jobs --sort-by=.metadata.creationTimestamp -o");
	words_add(&w, "go-template={{range .items}}{{$n := .metadata.name}}{{range .metadata.ownerReferences}}{{.kind}} {{.name}} {{$n}}\n{{end}}{{end}}");
	int rc = kube_run(k, &w, NULL, o, REACH_STEP_MS, err, err_len);
	if (rc)
		return rc;
	job[0] = '\0';
	for (char *line = strtok(o->out, "\n"); line; line = strtok(NULL, "\n")) {
		char owner[256];

		if (sscanf(line, "CronJob %255s %255s", owner, name) == 2 && !strcmp(owner, k->target->name))
			snprintf(job, len, "job/%s", name);
	}
	return *job ? 0 : target_fail(-ENOENT, err, err_len, "the cronjob has no job now whose pod could be the target");
}

static const char pods_template[] =
	"go-template={{range .items}}{{.metadata.name}} {{.status.phase}} {{if .metadata.deletionTimestamp}}going{{else}}stays{{end}}\n{{end}}";

/* The first running pod that SELECTOR selects. */
static int find_pod(struct kube *k, const char *selector, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_WORDS struct words w = { 0 };

	words_split(&w, "get pods -l");
	words_add(&w, selector);
	words_add(&w, "-o");
	words_add(&w, pods_template);
	int rc = kube_run(k, &w, NULL, o, REACH_STEP_MS, err, err_len);
	for (char *line = rc ? NULL : strtok(o->out, "\n"); line; line = strtok(NULL, "\n")) {
		char *phase = strchr(line, ' ');

		if (!phase || strcmp(phase, " Running stays"))
			continue;
		*phase = '\0';
		snprintf(k->pod, sizeof(k->pod), "%s", line);
		return 0;
	}
	return rc ? rc : target_fail(-ENOENT, err, err_len, "no pod with %s is running", selector);
}

int kube_find_pod(struct kube *k, char *err, size_t err_len)
{
	const char *kind = k->target->resource;
	char selector[1024], resource[512];
	int rc = 0;

	if (*k->pod)
		return 0;
	if (!strcmp(kind, "pod")) {
		snprintf(k->pod, sizeof(k->pod), "%.250s", k->target->name);
		return 0;
	}
	if (!strcmp(kind, "label"))
		return find_pod(k, k->target->name, err, err_len);
	snprintf(resource, sizeof(resource), "%s/%.250s", kind, k->target->name);
	if (!strcmp(kind, "cronjob"))
		rc = find_job(k, resource, sizeof(resource), err, err_len);
	rc = rc ? rc : find_selector(k, resource, selector, sizeof(selector), err, err_len);
	return rc ? rc : find_pod(k, selector, err, err_len);
}

/*
 * kubectl has taken a container by itself and says so. When it is a sidecar, the first that is none goes into k->container: true. It names
 * them all since 1.21: "Defaulted container "a" out of: a, b, c (init)".
 */
static bool is_wrong_container(struct kube *k, const char *said)
{
	const char *at = strstr(said, "efaulted container \""), *list = at ? strstr(at, "out of: ") : NULL;

	if (!list || *k->container)
		return false;
	at += strlen("efaulted container \"");
	if (!kube_is_sidecar(at, strcspn(at, "\"")))
		return false;
	for (list += strlen("out of: "); *list && *list != '\n'; list += strspn(list, ", ")) {
		size_t n = strcspn(list, ", \n");

		if (!kube_is_sidecar(list, n) && strncmp(list + n, " (", 2) && n < sizeof(k->container)) {
			snprintf(k->container, sizeof(k->container), "%.*s", (int)n, list);
			return true;
		}
		list += n + (strncmp(list + n, " (", 2) ? 0 : strcspn(list + n, ",\n"));
	}
	return false;
}

/* ---- in the container ---- */

static int exec_agent(struct kube *k, struct target_stream *s, char *err, size_t err_len)
{
	char args[128];
	struct shell sh = { .args = args, .who = "kubectl", .target = k->target->name };
	const char *as = k->reach->as;

	snprintf(args, sizeof(args), "--stdio --inside%s%s", as ? " --as " : "", as ? as : "");
	kube_command(k, &sh.command);
	words_split(&sh.command, "exec -i");
	if (*k->pod)
		words_addf(&sh.command, "pod/%s", k->pod);
	else
		words_addf(&sh.command, "%s/%s", k->target->resource, k->target->name);
	words_option(&sh.command, "-c", *k->container ? k->container : NULL);
	words_add(&sh.command, "--");
	int rc = shell_start(k->reach, &sh, s, err, err_len);
	words_free(&sh.command);
	return rc;
}

/* What kubectl exec cannot find a pod of by itself. */
static bool needs_pod(const struct kube *k)
{
	return !strcmp(k->target->resource, "label") || !strcmp(k->target->resource, "cronjob");
}

static int start_inside(struct kube *k, struct target_stream *s, char *err, size_t err_len)
{
	char said[8192];
	int rc = needs_pod(k) ? kube_find_pod(k, err, err_len) : 0;

	rc = rc ? rc : exec_agent(k, s, err, err_len);
	if (rc || *k->container)
		return rc;
	said_text(s->said, 0, said, sizeof(said));
	if (!is_wrong_container(k, said))
		return 0;
	child_drop(s);
	return exec_agent(k, s, err, err_len);
}

int kube_start(const struct reach *r, const struct target *t, struct target_stream *s, char *err, size_t err_len)
{
	struct kube k = { .reach = r, .target = t };
	int rc = -ENOEXEC;

	snprintf(k.container, sizeof(k.container), "%s", t->container);
	if (r->mode == REACH_AUTO || r->mode == REACH_EXEC)
		rc = start_inside(&k, s, err, err_len);
	if (rc != -ENOEXEC || r->mode == REACH_EXEC)
		return rc;
	rc = kube_start_beside(&k, s, err, err_len);
	s->beside = true;
	return rc;
}
