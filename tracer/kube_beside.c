/* Agents beside a pod's container: in an ephemeral container of the pod, or in a job's pod on the same node. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kube_int.h"
#include "progress.h"
#include "util.h"

#define POLL_US 300000
#define HOLD_S "60" /* how long what is started there waits for its first agent, and after its last one */

struct beside {
	struct kube *kube;
	char pod[256], container[256]; /* where the agent will be */
	char node[256], id[256];       /* the target's */
	bool shares_pids;	       /* its first process is not process 1 there */
	bool job;
};

int kube_memfd(const char *text)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	size_t len = strlen(text);

	if (fd >= 0 && (write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static const char pod_template[] =
	"go-template=node {{.spec.nodeName}}\nshare {{.spec.shareProcessNamespace}} {{.spec.hostPID}}\n"
	"default {{with .metadata.annotations}}{{index . \"kubectl.kubernetes.io/default-container\"}}{{end}}\n"
	"{{range .status.containerStatuses}}id {{.name}} {{.containerID}}\n{{end}}";

/* The node, and the container's id: of the one that was named, else of the default one, else of the first. */
static int look_at_pod(struct beside *b, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_WORDS struct words w = { 0 };
	struct kube *k = b->kube;
	char name[256], id[256], host[32], share[32];

	words_split(&w, "get pod");
	words_add(&w, k->pod);
	words_add(&w, "-o");
	words_add(&w, pod_template);
	int rc = kube_run(k, &w, NULL, o, REACH_STEP_MS, err, err_len);
	for (char *line = rc ? NULL : strtok(o->out, "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, "node %255s", b->node) == 1)
			continue;
		if (sscanf(line, "share %31s %31s", share, host) == 2)
			b->shares_pids = !strcmp(share, "true") || !strcmp(host, "true");
		else if (sscanf(line, "default %255s", name) == 1 && *name != '<' && !*k->container)
			snprintf(k->container, sizeof(k->container), "%s", name);
		else if (sscanf(line, "id %255s %255s", name, id) == 2 && (!*k->container || !strcmp(name, k->container))) {
			snprintf(k->container, sizeof(k->container), "%s", name);
			snprintf(b->id, sizeof(b->id), "%s", id);
		}
	}
	if (!rc && !*b->id)
		rc = target_fail(-ENOENT, err, err_len, "the pod %s has no container %s that runs", k->pod, k->container);
	return rc;
}

/* ---- waiting until it runs ---- */

/* STATE is what the template printed of the container: "running", "waiting REASON MESSAGE", "terminated REASON MESSAGE". */
static int judge(const struct beside *b, const char *state, char *err, size_t err_len)
{
	if (!strncmp(state, "running", 7))
		return 0;
	bool stuck = strstr(state, "ErrImage") || strstr(state, "ImagePull") || strstr(state, "InvalidImage") || strstr(state, "CreateContainer");
	if (!strncmp(state, "terminated", 10) || stuck)
		return target_fail(-EIO, err, err_len, "the agent's container %s in pod %s does not start: %.200s (its image: --agent-image)",
				   b->container, b->pod, state);
	return -EAGAIN;
}

static void add_state_template(const struct beside *b, struct words *w)
{
	words_addf(w,
		   "go-template={{range .status.%s}}{{if eq .name \"%s\"}}{{range $k,$v := .state}}{{$k}} {{.reason}} {{.message}}{{end}}\n"
		   "{{end}}{{end}}",
		   b->job ? "containerStatuses" : "ephemeralContainerStatuses", b->container);
}

static int await_running(const struct beside *b, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_WORDS struct words w = { 0 };
	int64_t deadline = reach_deadline(b->kube->reach, REACH_PULL_MS);
	int rc = -EAGAIN;

	words_split(&w, "get pod");
	words_add(&w, b->pod);
	words_add(&w, "-o");
	add_state_template(b, &w);
	while (rc == -EAGAIN) {
		rc = kube_run(b->kube, &w, NULL, o, REACH_STEP_MS, err, err_len);
		rc = rc ? rc : judge(b, o->out, err, err_len);
		if (rc == -EAGAIN && child_now_ms() >= deadline)
			return target_fail(-ETIMEDOUT, err, err_len, "the agent's container in pod %s has not started in time; see --connect-timeout",
					   b->pod);
		if (rc == -EAGAIN)
			usleep(POLL_US);
		progress_tick();
	}
	return rc;
}

/* ---- ephemeral containers ---- */

static const char *image_of(const struct beside *b)
{
	return b->kube->reach->image ? b->kube->reach->image : REACH_IMAGE;
}

static int debug(const struct beside *b, const char *profile, struct output *o, char *err, size_t err_len)
{
	CLEANUP_WORDS struct words w = { 0 };

	words_add(&w, "debug");
	words_add(&w, b->pod);
	words_addf(&w, "--image=%s", image_of(b));
	words_addf(&w, "--target=%s", b->kube->container);
	words_addf(&w, "--container=%s", b->container);
	if (profile)
		words_addf(&w, "--profile=%s", profile);
	words_split(&w, "--attach=false -- /remotefs-agent --hold " HOLD_S);
	return kube_run(b->kube, &w, NULL, o, REACH_STEP_MS, err, err_len);
}

/* With the right to look at the target's process (SYS_PTRACE), or without, where that is not known or not allowed. */
static int start_ephemeral(struct beside *b, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	int rc = debug(b, "general", o, err, err_len);

	if (rc && (strstr(o->err, "unknown flag") || strstr(o->err, "securityContext") || strstr(o->err, "violates")))
		rc = debug(b, NULL, o, err, err_len);
	return rc;
}

/* ---- jobs ---- */

/*
 * The node's processes, and the rights that a container's root usually has, so that it can be like the target; and none of the node's
 * files. The names are ours or the cluster's own.
 */
static const char job_manifest[] =
	"{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"app\":\"remotefs-agent\"}},"
	"\"spec\":{\"backoffLimit\":0,\"ttlSecondsAfterFinished\":1,\"template\":{\"metadata\":{\"labels\":{\"app\":\"remotefs-agent\"}},"
	"\"spec\":{\"hostPID\":true,\"nodeName\":\"%s\",\"restartPolicy\":\"Never\",\"automountServiceAccountToken\":false,"
	"\"terminationGracePeriodSeconds\":0,\"tolerations\":[{\"operator\":\"Exists\"}],\"containers\":[{\"name\":\"agent\",\"image\":\"%s\","
	"\"command\":[\"/remotefs-agent\",\"--hold\",\"" HOLD_S "\"],\"securityContext\":{\"runAsUser\":0,\"capabilities\":{\"add\":[\"SYS_PTRACE\"]}}}]}}}}";

/* The pod that the job NAME has made, as soon as there is one. */
static int await_pod(struct beside *b, const char *name, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_WORDS struct words w = { 0 };
	int64_t deadline = reach_deadline(b->kube->reach, REACH_STEP_MS);

	words_split(&w, "get pods -l");
	words_addf(&w, "job-name=%s", name);
	words_split(&w, "-o go-template={{range.items}}{{.metadata.name}}{{end}}");
	for (;;) {
		int rc = kube_run(b->kube, &w, NULL, o, REACH_STEP_MS, err, err_len);

		if (rc || *o->out) {
			snprintf(b->pod, sizeof(b->pod), "%.250s", o->out);
			return rc;
		}
		if (child_now_ms() >= deadline)
			return target_fail(-ETIMEDOUT, err, err_len, "the agent's job %s has made no pod in time; kubectl describe job tells why", name);
		usleep(POLL_US);
		progress_tick();
	}
}

static int start_job(struct beside *b, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_FREE char *manifest = NULL;
	CLEANUP_WORDS struct words w = { 0 };
	CLEANUP_WORDS struct words end = { 0 };
	char name[256];

	snprintf(name, sizeof(name), "%s", b->container);
	strcpy(b->container, "agent");
	if (strpbrk(image_of(b), "\"\\") || asprintf(&manifest, job_manifest, name, b->node, image_of(b)) < 0)
		return target_fail(-EINVAL, err, err_len, "--agent-image \"%s\" is no name of an image", image_of(b));
	words_split(&w, "create -f -");
	int rc = kube_run(b->kube, &w, manifest, o, REACH_STEP_MS, err, err_len);
	if (rc)
		return rc;
	kube_command(b->kube, &end);
	words_split(&end, "delete job --wait=false");
	words_add(&end, name);
	if (!b->kube->reach->keep)
		reach_at_end(&end);
	return await_pod(b, name, err, err_len);
}

/* ---- the agent in it ---- */

static int exec_agent(const struct beside *b, struct target_stream *s, char *err, size_t err_len)
{
	CLEANUP_WORDS struct words w = { 0 };
	char nonce[NONCE_LEN + 1];

	reach_nonce(nonce);
	kube_command(b->kube, &w);
	words_split(&w, "exec -i");
	words_addf(&w, "pod/%s", b->pod);
	words_option(&w, "-c", b->container);
	words_split(&w, "-- /remotefs-agent --stdio --announce");
	words_add(&w, nonce);
	bool by_id = b->job || b->shares_pids;
	words_option(&w, by_id ? "--container" : "--process", by_id ? b->id : "1");
	words_option(&w, "--as", b->kube->reach->as);
	int rc = child_start_pipes(w.v, true, s);
	if (rc)
		return kube_fail(b->kube, rc, "", err, err_len);
	rc = reach_await_agent(s, nonce, "kubectl", reach_deadline(b->kube->reach, REACH_STEP_MS), err, err_len);
	if (rc)
		child_drop(s);
	return rc;
}

int kube_start_beside(struct kube *k, struct target_stream *s, char *err, size_t err_len)
{
	struct beside b = { .kube = k, .job = k->reach->mode == REACH_JOB };
	char nonce[NONCE_LEN + 1];
	int rc = kube_find_pod(k, err, err_len);

	rc = rc ? rc : look_at_pod(&b, err, err_len);
	if (rc)
		return rc;
	reach_nonce(nonce);
	snprintf(b.pod, sizeof(b.pod), "%s", k->pod);
	snprintf(b.container, sizeof(b.container), "remotefs-agent-%.8s", nonce);
	progress_begin("starting the agent beside %s", k->pod);
	rc = b.job ? start_job(&b, err, err_len) : start_ephemeral(&b, err, err_len);
	rc = rc ? rc : await_running(&b, err, err_len);
	rc = rc ? rc : exec_agent(&b, s, err, err_len);
	progress_end();
	return rc;
}
