/* Which pod and which container a target's name means. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kube_int.h"
#include "progress.h"
#include "util.h"

/* As in mirrord's list. */
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

/* ---- what makes pods ---- */

/* A selector as kubectl takes it, each part with a comma behind it. */
#define SELECTOR \
	"go-template={{range $k,$v := .spec.selector.matchLabels}}{{$k}}={{$v}},{{end}}{{range .spec.selector.matchExpressions}}" \
	"{{if eq .operator \"DoesNotExist\"}}!{{end}}{{.key}}{{if eq .operator \"In\"}} in ({{end}}{{if eq .operator \"NotIn\"}} notin ({{end}}" \
	"{{range $i,$v := .values}}{{if $i}},{{end}}{{$v}}{{end}}{{if .values}}){{end}},{{end}}"
#define SERVICE_SELECTOR "go-template={{range $k,$v := .spec.selector}}{{$k}}={{$v}},{{end}}"

/* The label selector of what makes pods. */
static int find_selector(const struct kube *k, const char *resource, char *selector, size_t len, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_WORDS struct words w = { 0 };

	words_add(&w, "get");
	words_add(&w, resource);
	words_add(&w, "-o");
	words_add(&w, !strncmp(resource, "service/", 8) ? SERVICE_SELECTOR : SELECTOR);
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
static int find_job(const struct kube *k, char *job, size_t len, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_WORDS struct words w = { 0 };
	char name[KUBE_NAME];

	words_split(&w, "get jobs --sort-by=.metadata.creationTimestamp -o");
	words_add(&w, "go-template={{range .items}}{{$n := .metadata.name}}{{range .metadata.ownerReferences}}{{.kind}} {{.name}} {{$n}}\n{{end}}{{end}}");
	int rc = kube_run(k, &w, NULL, o, REACH_STEP_MS, err, err_len);
	if (rc)
		return rc;
	job[0] = '\0';
	for (char *line = strtok(o->out, "\n"); line; line = strtok(NULL, "\n")) {
		char owner[KUBE_NAME];

		if (sscanf(line, "CronJob %255s %255s", owner, name) == 2 && !strcmp(owner, k->target.name))
			snprintf(job, len, "job/%s", name);
	}
	return *job ? 0 : target_fail(-ENOENT, err, err_len, "the cronjob has no job now whose pod could be the target");
}

/* ---- pods ---- */

#define POD \
	"pod {{.metadata.name}} {{.status.phase}} {{if .metadata.deletionTimestamp}}going{{else}}stays{{end}} {{.spec.nodeName}}\n" \
	"{{range .status.conditions}}{{if eq .type \"Ready\"}}ready {{.status}}\n{{end}}{{end}}" \
	"share {{.spec.shareProcessNamespace}} {{.spec.hostPID}}\n" \
	"default {{with .metadata.annotations}}{{index . \"kubectl.kubernetes.io/default-container\"}}{{end}}\n" \
	"{{range .spec.containers}}container {{.name}}\n{{end}}" \
	"{{range .status.containerStatuses}}id {{.name}} {{.containerID}}\n{{end}}" \
	"{{range .status.initContainerStatuses}}id {{.name}} {{.containerID}}\n{{end}}" \
	"{{range .status.ephemeralContainerStatuses}}id {{.name}} {{.containerID}}\n{{end}}"

/* A pod while its lines are read. */
struct sight {
	char pod[KUBE_NAME], phase[64], node[KUBE_NAME];
	char named[KUBE_NAME], chosen[KUBE_NAME], first[KUBE_NAME], id[KUBE_NAME];
	bool is_named; /* by the user: nothing else is chosen */
	bool going, ready, shares_pids;
};

/* The annotation's container if the pod has it, else the first that is no sidecar. */
static void see_container(struct sight *p, const char *name)
{
	if (!*p->first)
		snprintf(p->first, sizeof(p->first), "%s", name);
	if (!p->is_named && (!strcmp(name, p->named) || (!*p->chosen && !kube_is_sidecar(name, strlen(name)))))
		snprintf(p->chosen, sizeof(p->chosen), "%s", name);
}

static void see_line(struct sight *p, const char *line)
{
	char a[KUBE_NAME], b[KUBE_NAME];

	if (sscanf(line, "ready %255s", a) == 1) {
		p->ready = !strcmp(a, "True");
	} else if (sscanf(line, "share %255s %255s", a, b) == 2) {
		p->shares_pids = !strcmp(a, "true") || !strcmp(b, "true");
	} else if (sscanf(line, "default %255s", a) == 1) {
		snprintf(p->named, sizeof(p->named), "%s", a);
	} else if (sscanf(line, "container %255s", a) == 1) {
		see_container(p, a);
	} else if (sscanf(line, "id %255s %255s", a, b) == 2) {
		if (!*p->chosen)
			memcpy(p->chosen, p->first, sizeof(p->chosen));
		if (!strcmp(a, p->chosen))
			memcpy(p->id, b, sizeof(p->id));
	}
}

static void begin_sight(const struct kube *k, struct sight *p, const char *line)
{
	char going[16] = "";

	*p = (struct sight){ .is_named = *k->target.container };
	memcpy(p->chosen, k->target.container, sizeof(p->chosen));
	sscanf(line, "pod %255s %63s %15s %255s", p->pod, p->phase, going, p->node);
	p->going = !strcmp(going, "going");
}

/* Rather one that is ready; none that is about to go. */
static int rank(const struct sight *p)
{
	return strcmp(p->phase, "Running") || p->going ? 0 : 1 + p->ready;
}

/* The first of the best pods in TEXT, which POD printed, into BEST. */
static void choose(const struct kube *k, char *text, struct sight *best)
{
	struct sight p = { 0 };

	*best = p;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (strncmp(line, "pod ", 4)) {
			see_line(&p, line);
			continue;
		}
		if (rank(&p) > rank(best) || !*best->pod)
			*best = p;
		begin_sight(k, &p, line);
	}
	if (rank(&p) > rank(best) || !*best->pod)
		*best = p;
}

/* Asks for the pods with W's words; what is wrong with all of them is told of WHAT. -EAGAIN: there may be others in a moment. */
static int look(struct kube *k, struct words *w, const char *template, const char *what, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	struct sight p;

	words_add(w, "-o");
	words_add(w, template);
	int rc = kube_run(k, w, NULL, o, REACH_STEP_MS, err, err_len);
	if (rc)
		return rc;
	choose(k, o->out, &p);
	if (!*p.pod)
		return target_fail(-EAGAIN, err, err_len, "%s has no pods", what);
	if (!rank(&p))
		return target_fail(-EAGAIN, err, err_len, "no pod of %s is running: %s is %s", what, p.pod, p.going ? "terminating" : p.phase);
	memcpy(k->pod, p.pod, sizeof(k->pod));
	memcpy(k->container, p.chosen, sizeof(k->container));
	memcpy(k->node, p.node, sizeof(k->node));
	memcpy(k->id, p.id, sizeof(k->id));
	k->shares_pids = p.shares_pids;
	return 0;
}

static int find_by_label(struct kube *k, const char *selector, const char *what, char *err, size_t err_len)
{
	CLEANUP_WORDS struct words w = { 0 };

	words_split(&w, "get pods -l");
	words_add(&w, selector);
	return look(k, &w, "go-template={{range .items}}" POD "{{end}}", what, err, err_len);
}

static int find_by_name(struct kube *k, char *err, size_t err_len)
{
	CLEANUP_WORDS struct words w = { 0 };

	words_split(&w, "get pod");
	words_add(&w, k->target.name);
	return look(k, &w, "go-template=" POD, "that name", err, err_len);
}

static int find(struct kube *k, char *err, size_t err_len)
{
	const char *kind = k->target.resource;
	char selector[4096], resource[512], what[512];
	int rc = 0;

	if (!strcmp(kind, "pod"))
		return find_by_name(k, err, err_len);
	if (!strcmp(kind, "label"))
		return find_by_label(k, k->target.name, "that label", err, err_len);
	snprintf(resource, sizeof(resource), "%s/%.250s", kind, k->target.name);
	memcpy(what, resource, sizeof(what));
	if (!strcmp(kind, "cronjob"))
		rc = find_job(k, resource, sizeof(resource), err, err_len);
	rc = rc ? rc : find_selector(k, resource, selector, sizeof(selector), err, err_len);
	return rc ? rc : find_by_label(k, selector, what, err, err_len);
}

int kube_find_pod(struct kube *k, char *err, size_t err_len)
{
	if (*k->node)
		return 0;
	progress_begin("looking for the pod of %s/%s", k->target.resource, k->target.name);
	int rc = find(k, err, err_len);
	progress_end();
	return rc;
}
