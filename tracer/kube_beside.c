/* Agents beside a pod's container: in an ephemeral container of the pod, or in a job's pod on the same node. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kube_int.h"
#include "progress.h"
#include "util.h"

#define POLL_US 300000
#define ASK_WHY 10 /* polls without success */
#define HOLD_S "60" /* how long what is started there waits for its first agent, and after its last one */

static bool is_job(const struct kube *k)
{
	return k->reach->mode == REACH_JOB;
}

/* ---- waiting until it runs ---- */

/* STATE is what the template printed of the container: "running", "waiting REASON MESSAGE", "terminated REASON MESSAGE". */
static int judge(const struct kube *k, const char *state, char *err, size_t err_len)
{
	if (!strncmp(state, "running", 7))
		return 0;
	bool stuck = strstr(state, "ErrImage") || strstr(state, "ImagePull") || strstr(state, "InvalidImage") || strstr(state, "CreateContainer");
	if (!strncmp(state, "terminated", 10) || stuck)
		return target_fail(-EIO, err, err_len, "the agent's container %s in pod %s does not start: %.200s (its image: --agent-image)",
				   k->beside, k->beside_pod, state);
	return -EAGAIN;
}

static void add_state_template(const struct kube *k, struct words *w)
{
	words_addf(w,
		   "go-template={{range .status.%s}}{{if eq .name \"%s\"}}{{range $k,$v := .state}}{{$k}} {{.reason}} {{.message}}{{end}}\n"
		   "{{end}}{{end}}",
		   is_job(k) ? "containerStatuses" : "ephemeralContainerStatuses", k->beside);
}

static int await_running(const struct kube *k, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_WORDS struct words w = { 0 };
	int64_t deadline = reach_deadline(k->reach, REACH_PULL_MS);
	int rc = -EAGAIN;

	words_split(&w, "get pod");
	words_add(&w, k->beside_pod);
	words_add(&w, "-o");
	add_state_template(k, &w);
	while (rc == -EAGAIN) {
		rc = kube_run(k, &w, NULL, o, REACH_STEP_MS, err, err_len);
		rc = rc ? rc : judge(k, o->out, err, err_len);
		if (rc == -EAGAIN && child_now_ms() >= deadline)
			return target_fail(-ETIMEDOUT, err, err_len, "the agent's container in pod %s has not started in time; see --connect-timeout",
					   k->beside_pod);
		if (rc == -EAGAIN)
			usleep(POLL_US);
		progress_tick();
	}
	return rc;
}

/* ---- ephemeral containers ---- */

static const char *image_of(const struct kube *k)
{
	return k->reach->image ? k->reach->image : REACH_IMAGE;
}

static int debug(const struct kube *k, const char *profile, struct output *o, char *err, size_t err_len)
{
	CLEANUP_WORDS struct words w = { 0 };

	words_add(&w, "debug");
	words_add(&w, k->beside_pod);
	words_addf(&w, "--image=%s", image_of(k));
	words_addf(&w, "--target=%s", k->container);
	words_addf(&w, "--container=%s", k->beside);
	if (profile)
		words_addf(&w, "--profile=%s", profile);
	words_split(&w, "--attach=false -- /remotefs-agent --hold " HOLD_S);
	return kube_run(k, &w, NULL, o, REACH_STEP_MS, err, err_len);
}

/* kubectl has profiles since 1.23, this one since 1.27; before, the option is one for its own profiling. */
static bool is_about_profile(const char *said)
{
	return strstr(said, "unknown flag") || strstr(said, "unknown profile") || strstr(said, "securityContext") || strstr(said, "violates");
}

/* With the right to look at the target's process (SYS_PTRACE), or without, where that is not known or not allowed. */
static int start_ephemeral(struct kube *k, const char *name, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));

	memcpy(k->beside_pod, k->pod, sizeof(k->beside_pod));
	snprintf(k->beside, sizeof(k->beside), "%s", name);
	int rc = debug(k, "general", o, err, err_len);

	if (rc && is_about_profile(o->err))
		rc = debug(k, NULL, o, err, err_len);
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

/* Why the job NAME has no pod, as the cluster's events tell: a clause in ERR. */
static int explain_no_pod(const struct kube *k, const char *name, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_WORDS struct words w = { 0 };
	char unread[256];

	words_split(&w, "get events --field-selector");
	words_addf(&w, "involvedObject.name=%s,type=Warning", name);
	words_split(&w, "-o go-template={{range.items}}{{.message}}{{\"\\n\"}}{{end}}");
	if (!kube_run(k, &w, NULL, o, REACH_STEP_MS, unread, sizeof(unread)) && *o->out)
		return target_fail(-EIO, err, err_len, "the agent's job %s makes no pod: %.*s", name, (int)strcspn(o->out, "\n"), o->out);
	return -EAGAIN;
}

/* The pod that the job NAME has made, as soon as there is one. */
static int await_pod(struct kube *k, const char *name, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_WORDS struct words w = { 0 };
	int64_t deadline = reach_deadline(k->reach, REACH_STEP_MS);

	words_split(&w, "get pods -l");
	words_addf(&w, "job-name=%s", name);
	words_split(&w, "-o go-template={{range.items}}{{.metadata.name}}{{end}}");
	for (int i = 1;; i++) {
		int rc = kube_run(k, &w, NULL, o, REACH_STEP_MS, err, err_len);

		snprintf(k->beside_pod, sizeof(k->beside_pod), "%.250s", o->out);
		if (rc || *o->out)
			return rc;
		rc = i % ASK_WHY ? -EAGAIN : explain_no_pod(k, name, err, err_len);
		if (rc != -EAGAIN)
			return rc;
		if (child_now_ms() >= deadline)
			return target_fail(-ETIMEDOUT, err, err_len, "the agent's job %s has made no pod in time; see --connect-timeout", name);
		usleep(POLL_US);
		progress_tick();
	}
}

/* Deletes the job NAME when we end; it ends by itself a minute later, but would be kept. */
static void delete_at_end(const struct kube *k, const char *name)
{
	CLEANUP_WORDS struct words end = { 0 };

	kube_command(k, &end);
	words_split(&end, "delete job --wait=false --ignore-not-found");
	words_add(&end, name);
	if (!k->reach->keep)
		reach_at_end(&end);
}

static int start_job(struct kube *k, const char *name, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_FREE char *manifest = NULL;
	CLEANUP_WORDS struct words w = { 0 };

	strcpy(k->beside, "agent");
	if (strpbrk(image_of(k), "\"\\") || asprintf(&manifest, job_manifest, name, k->node, image_of(k)) < 0)
		return target_fail(-EINVAL, err, err_len, "--agent-image \"%s\" is no name of an image", image_of(k));
	words_split(&w, "create -f -");
	/* Before it is there: we may be killed while it is made. */
	delete_at_end(k, name);
	int rc = kube_run(k, &w, manifest, o, REACH_STEP_MS, err, err_len);
	return rc ? rc : await_pod(k, name, err, err_len);
}

/* ---- the agent in it ---- */

static int exec_agent(const struct kube *k, struct target_stream *s, char *err, size_t err_len)
{
	CLEANUP_WORDS struct words w = { 0 };
	char nonce[NONCE_LEN + 1];
	bool by_id = is_job(k) || k->shares_pids;

	reach_nonce(nonce);
	kube_command(k, &w);
	words_split(&w, "exec -i");
	words_addf(&w, "pod/%s", k->beside_pod);
	words_option(&w, "-c", k->beside);
	words_split(&w, "-- /remotefs-agent --stdio" REACH_PATIENCE " --announce");
	words_add(&w, nonce);
	words_option(&w, by_id ? "--container" : "--process", by_id ? k->id : "1");
	words_option(&w, "--as", k->reach->as);
	int rc = child_start_pipes(w.v, true, s);
	if (rc)
		return kube_fail(k, rc, "", err, err_len);
	rc = reach_await_agent(s, nonce, "kubectl", reach_deadline(k->reach, REACH_STEP_MS), err, err_len);
	if (rc)
		child_drop(s);
	return rc;
}

/* What agents beside K's container run in. */
static int start_beside(struct kube *k, char *err, size_t err_len)
{
	char nonce[NONCE_LEN + 1], name[64];

	if (!*k->id)
		return target_fail(-ENOENT, err, err_len, "the pod %s has no container %s that runs", k->pod, k->container);
	reach_nonce(nonce);
	snprintf(name, sizeof(name), "remotefs-agent-%.8s", nonce);
	int rc = is_job(k) ? start_job(k, name, err, err_len) : start_ephemeral(k, name, err, err_len);
	return rc ? rc : await_running(k, err, err_len);
}

int kube_start_beside(struct kube *k, struct target_stream *s, char *err, size_t err_len)
{
	int rc = kube_find_pod(k, err, err_len);

	if (rc)
		return rc;
	progress_begin("starting the agent beside %s", k->pod);
	rc = *k->beside ? 0 : start_beside(k, err, err_len);
	rc = rc ? rc : exec_agent(k, s, err, err_len);
	progress_end();
	return rc;
}
