/* Containers of docker and podman. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "progress.h"
#include "reach.h"
#include "shell.h"
#include "util.h"

struct engine {
	const struct reach *reach;
	const struct target *target;
	const char *who;	/* "docker" */
	struct words command;	/* what runs it */
	char image[96];		/* of the agent alone */
	char id[128];		/* of the target */
	bool shares_pids;	/* its first process is not process 1 for those beside it */
};

/* Runs the engine with the words of W behind its own. As child_command. */
static int engine_run(const struct engine *e, const struct words *w, int input, struct output *o, unsigned ms)
{
	CLEANUP_WORDS struct words all = { 0 };

	words_append(&all, &e->command);
	words_append(&all, w);
	return child_command(all.v, input, o, reach_deadline(e->reach, ms));
}

static int engine_fail(const struct engine *e, int rc, const struct output *o, char *err, size_t err_len)
{
	if (rc == -ETIMEDOUT)
		return target_fail(rc, err, err_len, "%s has not answered in time; see --connect-timeout", e->who);
	if (rc < 0)
		return target_fail(rc, err, err_len, "\"%s\" cannot be run: %s", e->command.v[0], strerror(-rc));
	return reach_explain(-EIO, e->who, o->err, err, err_len);
}

/* What has to be known of the target to run something beside it. */
static int inspect(struct engine *e, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_WORDS struct words w = { 0 };
	char mode[64] = "";

	words_split(&w, "inspect --type container -f");
	words_add(&w, "{{.Id}} {{.State.Running}} {{.HostConfig.PidMode}}");
	words_add(&w, e->target->name);
	int rc = engine_run(e, &w, -1, o, REACH_STEP_MS);
	if (rc)
		return engine_fail(e, rc, o, err, err_len);
	if (sscanf(o->out, "%127s true %63s", e->id, mode) < 1)
		return target_fail(-EPROTO, err, err_len, "%s inspect printed something else than an id: \"%.60s\"", e->who, o->out);
	e->shares_pids = *mode && strcmp(mode, "private");
	return 0;
}

/* Is there an image of that name? */
static bool has_image(const struct engine *e, struct output *o)
{
	CLEANUP_WORDS struct words w = { 0 };

	words_split(&w, "image inspect -f {{.Id}}");
	words_add(&w, e->image);
	return engine_run(e, &w, -1, o, REACH_STEP_MS) == 0;
}

/* The image goes when we have gone, however that happens. */
static void remove_at_end(const struct engine *e)
{
	CLEANUP_WORDS struct words w = { 0 };

	words_append(&w, &e->command);
	words_add(&w, "rmi");
	words_add(&w, e->image);
	reach_at_end(&w);
}

/* An image of nothing but the agent, which is taken from here. One that does not stay is ours alone: other runs must not miss it. */
static int import_image(struct engine *e, const char *agent, char *err, size_t err_len)
{
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_WORDS struct words w = { 0 };
	CLEANUP_FREE char *dir = xstrdup(agent);

	shell_agent_image(e->image, sizeof(e->image));
	if (has_image(e, o))
		return 0;
	if (!e->reach->keep) {
		size_t n = strlen(e->image);
		e->image[n] = '-';
		reach_nonce(e->image + n + 1);
		remove_at_end(e);
	}
	words_add(&w, "sh");
	words_add(&w, "-c");
	words_add(&w, "d=$1; shift; tar -C \"$d\" -cf - remotefs-agent | exec \"$@\"");
	words_add(&w, "sh");
	words_add(&w, dirname(dir));
	words_append(&w, &e->command);
	words_split(&w, "import -");
	words_add(&w, e->image);
	progress_begin("giving the agent to %s as an image", e->who);
	int rc = child_command(w.v, -1, o, reach_deadline(e->reach, REACH_PULL_MS));
	progress_end();
	return rc ? engine_fail(e, rc, o, err, err_len) : 0;
}

/* An agent in a container of its own that sees the target's processes. */
static int start_beside(struct engine *e, struct target_stream *s, char *err, size_t err_len)
{
	CLEANUP_WORDS struct words w = { 0 };
	char agent[PATH_MAX], nonce[NONCE_LEN + 1];
	int rc = target_find_agent(NULL, agent, sizeof(agent), err, err_len);

	rc = rc ? rc : inspect(e, err, err_len);
	if (rc)
		return rc;
	rc = import_image(e, agent, err, err_len);
	if (rc)
		return rc;
	reach_nonce(nonce);
	words_append(&w, &e->command);
	words_split(&w, "run -i --rm --network=none --user=0:0 --cap-add=SYS_PTRACE");
	words_addf(&w, "--pid=container:%s", e->id);
	words_add(&w, e->image);
	words_split(&w, "/remotefs-agent --stdio" REACH_PATIENCE " --announce");
	words_add(&w, nonce);
	words_option(&w, e->shares_pids ? "--container" : "--process", e->shares_pids ? e->id : "1");
	words_option(&w, "--as", e->reach->as);
	rc = child_start_pipes(w.v, true, s);
	if (rc)
		return target_fail(rc, err, err_len, "\"%s\" cannot be run: %s", w.v[0], strerror(-rc));
	progress_begin("starting the agent beside %s", e->target->name);
	rc = reach_await_agent(s, nonce, e->who, reach_deadline(e->reach, REACH_PULL_MS), err, err_len);
	progress_end();
	if (rc)
		child_drop(s);
	return rc;
}

static int start_inside(struct engine *e, struct target_stream *s, char *err, size_t err_len)
{
	const struct reach *r = e->reach;
	char args[128];
	struct shell sh = { .args = args, .who = e->who, .target = e->target->name };

	snprintf(args, sizeof(args), "--stdio --inside" REACH_PATIENCE "%s%s", r->as ? " --as " : "", r->as ? r->as : "");
	words_append(&sh.command, &e->command);
	words_split(&sh.command, "exec -i");
	words_add(&sh.command, e->target->name);
	int rc = shell_start(r, &sh, s, err, err_len);
	words_free(&sh.command);
	return rc;
}

int engine_start(const struct reach *r, const struct target *t, struct target_stream *s, char *err, size_t err_len)
{
	struct engine e = { .reach = r, .target = t, .who = t->kind == TARGET_DOCKER ? "docker" : "podman" };
	int rc = -ENOEXEC;

	reach_command(&e.command, t->kind == TARGET_DOCKER ? r->docker : r->podman, e.who);
	if (r->mode == REACH_AUTO || r->mode == REACH_EXEC)
		rc = start_inside(&e, s, err, err_len);
	if (rc == -ENOEXEC && r->mode != REACH_EXEC) {
		rc = start_beside(&e, s, err, err_len);
		s->beside = true;
	}
	words_free(&e.command);
	return rc;
}
