#include "shell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <sha2.h>

#include "elf.h"
#include "progress.h"
#include "util.h"

#define HASH_LEN 16
#define BROUGHT "RFS-brought"
#define UPLOAD_MS 120000

/* Machines that an agent may be there for, by what uname -m calls them. */
static const char *const machines[] = { "x86_64", "aarch64" };
#define MACHINES (sizeof(machines) / sizeof(*machines))

struct program {
	char path[PATH_MAX];
	char hash[HASH_LEN + 1]; /* of what is in it, or its linker's; "none" where it was not built */
	off_t size;
};

/*
 * What is run there. An agent of the right contents that is there already takes the stream over; only one of our own user's is believed.
 * Otherwise a directory is looked for in which a program can be put and run, which only trying tells (noexec), and we say what
 * is needed; it comes by another command, and "go" says that it is there. A shell whose exec fails is gone, so the agent, of which
 * half may be missing, is tried before. No single quotes: it is put between some.
 */
static const char script[] =
	"PATH=$PATH:/bin:/usr/bin:/busybox; m=$(uname -m 2>/dev/null)\n"
	"case $m in x86_64|amd64) h=%s;; aarch64|arm64) h=%s;; *) h=;; esac\n"
	"set -- \"$TMPDIR\" /tmp /var/tmp /dev/shm /run \"$HOME\" \"$PWD\" /\n"
	"for d; do f=$d/.remotefs-agent-$h\n"
	"if [ -n \"$d\" ] && [ -x \"$f\" ] && [ -O \"$f\" ]; then echo RFS-%s ok; exec \"$f\" %s; fi; done\n"
	"umask 077; w=; for s in /bin/sh /usr/bin/sh /busybox/sh \"$(command -v sh)\"; do if [ -x \"$s\" ]; then break; fi; done\n"
	"for d; do if [ -n \"$d\" ] && [ -d \"$d\" ]; then f=$d/.rfs-%s\n"
	"if (echo \"#!$s\" >\"$f\") 2>/dev/null && chmod 700 \"$f\" && \"$f\" 2>/dev/null; then w=$d; break; fi\n"
	"rm -f \"$f\" 2>/dev/null; fi; done\n"
	"if [ -z \"$w\" ]; then echo RFS-%s none \"$m\"; exit 0; fi\n"
	"echo RFS-%s need \"${m:--}\" \"$f\"\n"
	"if read x k && [ \"$x\" = go ]; then\n"
	"if \"$f\" --version >/dev/null 2>&1; then\n"
	"if [ -n \"$k\" ]; then mv -f \"$f\" \"$w/$k\"; echo RFS-%s ok; exec \"$w/$k\" %s; fi\n"
	"echo RFS-%s ok; exec \"$f\" %s --unlink; fi\n"
	"echo RFS-%s bad; fi\n"
	"rm -f \"$f\"";

/*
 * The file is there: whoever finds none comes too late, and is to leave none. The length is told, so that no end has to be. Something is said
 * last: the shell would become a last command whose output is a file, and where nobody has a container's output open any more containerd (1.6)
 * ends its input, too.
 */
static const char upload_script[] =
	"f=\"%s\"; [ -f \"$f\" ] || exit 1\n"
	"if command -v head >/dev/null; then head -c %ld >\"$f\"; else echo " CHILD_WANTS_END "; cat >\"$f\"; fi || exit 1\n"
	"echo " BROUGHT;

/* Two programs are hashed at each start, which takes 6 ms for a megabyte: the linker has done it already. */
static void find_program(const char *machine, struct program *p)
{
	char err[PATH_MAX * 2 + 128], digest[SHA256_DIGEST_STRING_LENGTH];
	struct stat st;

	strcpy(p->hash, "none");
	if (target_find_agent(machine, p->path, sizeof(p->path), err, sizeof(err)))
		return;
	CLEANUP_FD int fd = open(p->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	p->size = st.st_size;
	if (elf_build_id(fd, digest, sizeof(digest)) == 0 || SHA256File(p->path, digest))
		snprintf(p->hash, sizeof(p->hash), "%.*s", HASH_LEN, digest);
}

/* The program for MACHINE, as uname there calls it ("-": nobody knows). */
static const struct program *choose(const struct program *programs, const char *machine)
{
	if (!strcmp(machine, "-"))
		return &programs[0];
	for (size_t i = 0; i < MACHINES; i++)
		if (!strcmp(machine, machines[i]))
			return &programs[i];
	return !strcmp(machine, "amd64") ? &programs[0] : !strcmp(machine, "arm64") ? &programs[1] : NULL;
}

static const struct program *programs_here(void)
{
	static struct program programs[MACHINES];

	for (size_t i = 0; i < MACHINES && !programs[i].hash[0]; i++)
		find_program(machines[i], &programs[i]);
	return programs;
}

void shell_agent_image(char *name, size_t len)
{
	struct utsname here;

	uname(&here);
	const struct program *p = choose(programs_here(), here.machine);
	snprintf(name, len, "remotefs-agent:%s", p ? p->hash : "none");
}

static char *make_script(const struct program *p, const char *nonce, const char *args)
{
	char *text;

	if (asprintf(&text, script, p[0].hash, p[1].hash, nonce, args, nonce, nonce, nonce, nonce, args, nonce, args, nonce) < 0)
		die("out of memory");
	return text;
}

/* The command that runs TEXT in a shell there. */
static void add_shell(struct words *w, const struct shell *sh, const char *text)
{
	words_append(w, &sh->command);
	if (sh->quoted) {
		words_addf(w, "exec sh -c '%s'", text);
		return;
	}
	words_add(w, "sh");
	words_add(w, "-c");
	words_add(w, text);
}

static int upload(const struct reach *r, const struct shell *sh, const struct program *p, const char *to, char *err, size_t err_len)
{
	CLEANUP_WORDS struct words w = { 0 };
	CLEANUP_FREE struct output *o = xcalloc(1, sizeof(*o));
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FD int input = open(p->path, O_RDONLY | O_CLOEXEC);

	if (input < 0)
		return target_fail(-errno, err, err_len, "the agent program \"%s\" cannot be read: %s", p->path, strerror(errno));
	if (asprintf(&text, upload_script, to, (long)p->size) < 0)
		die("out of memory");
	add_shell(&w, sh, text);
	progress_begin("uploading the agent, %ld KiB, to %s", (long)(p->size >> 10), sh->target);
	int rc = child_upload(w.v, input, o, reach_deadline(r, UPLOAD_MS));
	progress_end();
	if (rc == -ETIMEDOUT)
		return target_fail(rc, err, err_len, "the agent could not be uploaded in time; see --connect-timeout");
	if (rc)
		return reach_explain(rc < 0 ? rc : -EIO, sh->who, o->err, err, err_len);
	if (!child_printed(o, BROUGHT))
		return target_fail(-EIO, err, err_len, "%s ended before the agent was uploaded, and did not say why", sh->who);
	return 0;
}

/* LINE is "need MACHINE PATH". */
static int bring(const struct reach *r, const struct shell *sh, const struct program *programs, const char *line, struct target_stream *s,
		 char *err, size_t err_len)
{
	char machine[64], path[PATH_MAX], go[64];

	if (sscanf(line, "need %63s %4095[^\n]", machine, path) != 2 || strpbrk(path, "\"\\$`'"))
		return target_fail(-EPROTO, err, err_len, "the shell there gave an answer that is none: \"%.60s\"", line);
	const struct program *p = choose(programs, machine);
	if (!p || !strcmp(p->hash, "none"))
		return target_fail(-ENOEXEC, err, err_len, "there is no agent for its machine (%s): x86_64 and aarch64 can be built (make)", machine);
	int rc = upload(r, sh, p, path, err, err_len);
	if (rc)
		return rc;
	int n = r->keep ? snprintf(go, sizeof(go), "go .remotefs-agent-%s\n", p->hash) : snprintf(go, sizeof(go), "go\n");
	return write(s->out, go, (size_t)n) == n ? 0 : target_fail(-EPIPE, err, err_len, "the shell there is gone");
}

/* Why the first words did not come. */
static int explain_silence(int rc, const struct shell *sh, struct target_stream *s, char *err, size_t err_len)
{
	char said[8192], fate[64] = "";

	if (rc == -ETIMEDOUT) {
		said_text(s->said, 0, said, sizeof(said));
		return reach_late(sh->who, said, err, err_len);
	}
	child_fate(s->pid, 1000, fate, sizeof(fate));
	said_text(s->said, 200, said, sizeof(said));
	if (reach_is_missing(said))
		return target_fail(-ENOEXEC, err, err_len, "there is no shell");
	if (!*said)
		return target_fail(-EIO, err, err_len, "%s %s and said nothing", sh->who, *fate ? fate : "closed the stream");
	return reach_explain(-EIO, sh->who, said, err, err_len);
}

/* From the shell's first words on. */
static int settle(const struct reach *r, const struct shell *sh, const struct program *programs, const char *nonce, struct target_stream *s,
		  char *err, size_t err_len)
{
	char line[PATH_MAX + 128];

	progress_begin("reaching %s", sh->target);
	int rc = reach_await(s, nonce, reach_deadline(r, REACH_STEP_MS), line, sizeof(line));
	progress_end();
	if (rc)
		return explain_silence(rc, sh, s, err, err_len);
	if (!strncmp(line, "none", 4))
		return target_fail(-ENOEXEC, err, err_len, "it has no directory where a program can be put and run");
	if (strncmp(line, "need ", 5))
		return 0;
	rc = bring(r, sh, programs, line, s, err, err_len);
	if (rc)
		return rc;
	rc = reach_await(s, nonce, reach_deadline(r, REACH_STEP_MS), line, sizeof(line));
	if (rc)
		return explain_silence(rc, sh, s, err, err_len);
	return strcmp(line, "bad") ? 0 : target_fail(-ENOEXEC, err, err_len, "the agent that was brought there cannot be run");
}

int shell_start(const struct reach *r, const struct shell *sh, struct target_stream *s, char *err, size_t err_len)
{
	const struct program *programs = programs_here();
	CLEANUP_WORDS struct words w = { 0 };
	char nonce[NONCE_LEN + 1];

	reach_nonce(nonce);
	CLEANUP_FREE char *text = make_script(programs, nonce, sh->args);
	add_shell(&w, sh, text);
	int rc = child_start_pipes(w.v, true, s);
	if (rc)
		return target_fail(rc, err, err_len, "\"%s\" cannot be run: %s; see --%s", w.v[0], strerror(-rc), sh->who);
	if (r->meanwhile)
		r->meanwhile(r->meanwhile_arg);
	rc = settle(r, sh, programs, nonce, s, err, err_len);
	if (rc)
		child_drop(s);
	return rc;
}
