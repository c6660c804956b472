#include "reach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "dial.h"
#include "shell.h"
#include "util.h"

#define NOISE_MAX 65536
#define DIAL_MS 10000

int reach_mode_parse(const char *text, enum reach_mode *mode)
{
	static const char *const names[] = { "auto", "exec", "ephemeral", "job" };

	for (int i = 0; i < 4; i++)
		if (!strcmp(text, names[i])) {
			*mode = (enum reach_mode)i;
			return 0;
		}
	return -EINVAL;
}

void reach_nonce(char nonce[NONCE_LEN + 1])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
	unsigned char bytes[NONCE_LEN];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		die("no random numbers");
	for (int i = 0; i < NONCE_LEN; i++)
		nonce[i] = digits[bytes[i] % 32];
	nonce[NONCE_LEN] = '\0';
}

int64_t reach_deadline(const struct reach *r, unsigned default_ms)
{
	return child_now_ms() + (r->timeout_ms ? r->timeout_ms : default_ms);
}

void reach_command(struct words *w, const char *given, const char *name)
{
	words_split(w, given ? given : name);
	if (!w->count)
		words_add(w, name);
}

/* ---- what helpers say ---- */

/* Words of theirs and what to do about them. */
static const struct advice {
	const char *a, *b; /* both are in it */
	const char *text;
	bool gone; /* what was named is, and no other try is of use */
} advices[] = {
	{ "pods/exec", "forbidden", "your account there needs the right to \"create\" pods/exec", false },
	{ "pods/ephemeralcontainers", "forbidden", "your account there needs the right to \"patch\" pods/ephemeralcontainers, or use --agent-mode job", false },
	{ "cannot create resource \"jobs\"", "forbidden", "your account there needs the right to \"create\" jobs", false },
	{ "forbidden", "", "your account there lacks a right", false },
	{ "Unauthorized", "", "log in to the cluster", false },
	{ "must be logged in", "", "log in to the cluster", false },
	{ "Please enter Username", "", "log in to the cluster", false },
	{ "Unable to connect to the server", "", "is the cluster of this context up and to be reached from here?", false },
	{ "connection to the server", "refused", "is the cluster of this context up and to be reached from here?", false },
	{ "no kind \"EphemeralContainers\"", "", "this kubectl is too new for this cluster; use another one with --kubectl, or --agent-mode job", false },
	{ "deploy", "not found", "remotefs-trace ls shows what there is", false },
	{ "pods", "not found", "remotefs-trace ls shows what there is", true },
	{ "No such container", "", "docker ps shows those that run", true },
	{ "no such container", "no container with", "podman ps shows those that run", true },
	{ "is not running", "", "start it first", false },
	{ "Cannot connect to the Docker daemon", "", "is it running, and may you use its socket?", false },
	{ "Host key verification failed", "", "connect with ssh by hand once", false },
	{ "Permission denied (", "", "ssh cannot ask for a password here: use a key, and ssh-agent", false },
};

static const struct advice *find_advice(const char *said)
{
	static const struct advice none = { "", "", "", false };

	for (size_t i = 0; i < sizeof(advices) / sizeof(*advices); i++)
		if (strstr(said, advices[i].a) && strstr(said, advices[i].b))
			return &advices[i];
	return &none;
}

/* What kubectl says where nothing is wrong. */
static bool is_chatter(const char *line)
{
	return !strncmp(line, "Defaulted container ", 20) || !strncmp(line, "Defaulting container ", 21) ||
	       !strncmp(line, "Use 'kubectl describe ", 22);
}

/* The line that tells most: the last one that speaks of an error, else the last one. */
static size_t telling_line(const char *said, const char **line)
{
	size_t len = 0;
	bool error = false;

	for (const char *p = said; *p;) {
		size_t n = strcspn(p, "\r\n");
		bool is_error = !strncasecmp(p, "error", 5) || !strncmp(p, "OCI", 3);

		if (n && (is_error || !error) && !is_chatter(p)) {
			*line = p;
			len = n;
			error |= is_error;
		}
		p += n;
		p += strspn(p, "\r\n");
	}
	return len;
}

int reach_explain(int code, const char *who, const char *said, char *err, size_t err_len)
{
	const struct advice *advice = find_advice(said);
	const char *line = "";
	size_t n = telling_line(said, &line);

	if (!n)
		return target_fail(code, err, err_len, "%s failed and said nothing", who);
	if (code && advice->gone)
		code = -ENODEV;
	return target_fail(code, err, err_len, "%s says \"%.*s\"%s%s", who, (int)(n < 300 ? n : 300), line, *advice->text ? ": " : "",
			   advice->text);
}

void reach_add_last_words(struct said *s, char *why, size_t len)
{
	char said[8192], words[448];
	size_t n = strlen(why);

	said_text(s, 200, said, sizeof(said));
	if (*said && reach_explain(0, "it", said, words, sizeof(words)) == 0 && n < len)
		snprintf(why + n, len - n, "; %s", words);
}

int reach_late(const char *who, const char *said, char *err, size_t err_len)
{
	const char *line = "", *advice = find_advice(said)->text;
	size_t n = telling_line(said, &line);

	if (!n)
		return target_fail(-ETIMEDOUT, err, err_len, "%s has not answered in time; see --connect-timeout", who);
	return target_fail(-ETIMEDOUT, err, err_len, "%s has not answered in time, and says \"%.*s\": %s", who, (int)(n < 300 ? n : 300), line,
			   *advice ? advice : "see --connect-timeout");
}

bool reach_is_missing(const char *said)
{
	return strstr(said, "executable file not found") || strstr(said, "executable file `sh` not found") ||
	       (strstr(said, "no such file or directory") && (strstr(said, "exec:") || strstr(said, "exec failed")));
}

/* ---- the first words ---- */

int reach_await(const struct target_stream *s, const char *nonce, int64_t deadline_ms, char *line, size_t len)
{
	char start[NONCE_LEN + 8];
	size_t at = 0, prefix = (size_t)snprintf(start, sizeof(start), "RFS-%s ", nonce);

	for (size_t seen = 0; seen < NOISE_MAX; seen++) {
		char c;

		if (child_wait_readable(s->in, deadline_ms)) {
			/* Perhaps a question, which has no end. */
			line[at] = '\0';
			said_add(s->said, line);
			return -ETIMEDOUT;
		}
		/* One by one: what is behind the line is the agent's. */
		ssize_t n = read(s->in, &c, 1);
		if (n < 0 && errno == EINTR)
			continue;
		line[at] = '\0';
		if (n <= 0) {
			said_add(s->said, line);
			return -EPIPE;
		}
		if (c == '\n') {
			if (!strncmp(line, start, prefix)) {
				memmove(line, line + prefix, at - prefix + 1);
				line[strcspn(line, "\r")] = '\0';
				return 0;
			}
			said_add(s->said, line);
			at = 0;
		} else if (at + 1 < len) {
			line[at++] = c;
		}
	}
	return -EPROTO;
}

int reach_await_agent(struct target_stream *s, const char *nonce, const char *who, int64_t deadline_ms, char *err, size_t err_len)
{
	char line[256], said[8192], fate[64];
	int rc = reach_await(s, nonce, deadline_ms, line, sizeof(line));

	if (!rc)
		return 0;
	if (rc != -ETIMEDOUT)
		child_fate(s->pid, 1000, fate, sizeof(fate));
	said_text(s->said, rc == -ETIMEDOUT ? 0 : 200, said, sizeof(said));
	return rc == -ETIMEDOUT ? reach_late(who, said, err, err_len) : reach_explain(rc, who, said, err, err_len);
}

void reach_at_end(const struct words *command)
{
	CLEANUP_WORDS struct words w = { 0 };
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	CLEANUP_FD int in = ends[0];
	CLEANUP_FD int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	words_add(&w, "sh");
	words_add(&w, "-c");
	/* What is to be removed may be in use for a moment yet, or on its way there when we are killed. */
	words_add(&w, "read x; for i in 1 2 3 4 5 6 7 8 9 10; do if \"$@\"; then exit; fi; sleep 1; done");
	words_add(&w, "sh");
	words_append(&w, command);
	/* Nobody waits for it: it outlives us. The writing end stays open as long as we do. */
	if (null < 0 || child_start(w.v, in, null, null, &pid) < 0)
		close(ends[1]);
}

/* ---- targets that need nothing brought ---- */

/* An agent of ours for WHAT: --root PATH, --process PID or --container ID. */
static int start_here(const struct reach *r, const char *option, const char *what, struct target_stream *s, char *err, size_t err_len)
{
	char agent[PATH_MAX];
	CLEANUP_WORDS struct words w = { 0 };
	int rc = target_find_agent(NULL, agent, sizeof(agent), err, err_len);

	if (rc)
		return rc;
	words_add(&w, agent);
	words_add(&w, "--stdio");
	words_option(&w, option, what);
	words_option(&w, "--as", r->as);
	/* Of a directory all is known here that it could complain of; a process or a container may be none. */
	rc = child_start_socket(w.v, strcmp(option, "--root") != 0, s);
	return rc ? target_fail(rc, err, err_len, "\"%s\" cannot be run: %s", agent, strerror(-rc)) : 0;
}

static int start_dir(const struct reach *r, const char *name, struct target_stream *s, char *err, size_t err_len)
{
	char path[PATH_MAX];
	int rc = target_find_dir(name, path, err, err_len);

	return rc ? rc : start_here(r, "--root", path, s, err, err_len);
}

static int start_command(const char *command, struct target_stream *s, char *err, size_t err_len)
{
	char *argv[] = { "/bin/sh", "-c", (char *)command, NULL };
	int rc = child_start_pipes(argv, false, s);

	return rc ? target_fail(rc, err, err_len, "\"%s\" cannot be run: %s", argv[0], strerror(-rc)) : 0;
}

static int start_dialed(const struct reach *r, const char *address, struct target_stream *s, char *err, size_t err_len)
{
	int fd = dial_open(address, r->token_file, r->timeout_ms ? (int)r->timeout_ms : DIAL_MS, err, err_len);

	*s = (struct target_stream){ .in = fd, .out = fd };
	return fd < 0 ? fd : 0;
}

static int ssh_start(const struct reach *r, const struct target *t, struct target_stream *s, char *err, size_t err_len)
{
	struct shell sh = { .quoted = true, .who = "ssh", .target = t->name };
	char args[128];

	snprintf(args, sizeof(args), "--stdio --root /" REACH_PATIENCE "%s%s", r->as ? " --as " : "", r->as ? r->as : "");
	sh.args = args;
	reach_command(&sh.command, r->ssh, "ssh");
	/* It has no terminal to ask anything on. */
	words_option(&sh.command, "-o", "BatchMode=yes");
	words_add(&sh.command, "-T");
	words_option(&sh.command, "-p", *t->port ? t->port : NULL);
	words_add(&sh.command, t->name);
	int rc = shell_start(r, &sh, s, err, err_len);
	words_free(&sh.command);
	return rc;
}

int reach_start(const struct reach *r, const char *text, struct target_stream *s, char *err, size_t err_len)
{
	struct target t;
	int rc = target_parse(text, &t, err, err_len);

	if (rc)
		return rc;
	switch (t.kind) {
	case TARGET_DIR:
		return start_dir(r, t.name, s, err, err_len);
	case TARGET_PID:
		return start_here(r, "--process", t.name, s, err, err_len);
	case TARGET_CONTAINER:
		return start_here(r, "--container", t.name, s, err, err_len);
	case TARGET_EXEC:
		return start_command(t.name, s, err, err_len);
	case TARGET_UNIX:
	case TARGET_TCP:
		return start_dialed(r, t.name, s, err, err_len);
	case TARGET_SSH:
		return ssh_start(r, &t, s, err, err_len);
	case TARGET_KUBE:
		return kube_start(r, &t, s, err, err_len);
	default:
		return engine_start(r, &t, s, err, err_len);
	}
}
