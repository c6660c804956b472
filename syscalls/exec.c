/*
 * execve, execveat. The kernel runs a remote program from its local copy. So that it gets its name from the
 * path as usual, the call becomes execveat(DIR, NAME): DIR holds one symbolic link, NAME, to the copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"
#include "handlers.h"
#include "exe.h"
#include "locks.h"
#include "log.h"
#include "mem.h"
#include "ofd.h"
#include "place.h"
#include "placeholder.h"
#include "program.h"
#include "remote.h"
#include "scratch.h"
#include "util.h"

#define MAX_ARGS (1u << 20)

enum { FD_DIR, FD_PROGRAM, FD_COUNT };

/* What an exec under way has put into the task, and must not leave there. */
struct exec {
	int fd[FD_COUNT];
	bool has_loader;
	char dir[128];
	struct scratch scratch;
};

static void exec_undo(struct call *c, struct exec *e, bool failed)
{
	for (int i = 0; i < FD_COUNT; i++) {
		if (e->fd[i] < 0)
			continue;
		if (failed)
			call_inject(c, SYS_close, (uint64_t)e->fd[i]);
		ofd_release_number(e->fd[i]);
	}
	if (failed && e->has_loader)
		call_inject(c, SYS_close, (uint64_t)program_loader_number());
	scratch_done(c, &e->scratch, failed);
	if (*e->dir)
		placeholder_unlink(e->dir);
	free(e);
}

static long exec_done(struct call *c, long result)
{
	if (c->after_arg)
		exec_undo(c, c->after_arg, result != 0);
	/* The kernel closes what is close-on-exec without a word. */
	if (!result) {
		ofd_doubt_closed(c->tid);
		locks_unshare(c->tid);
		locks_verify(NULL);
	}
	return result;
}

/* A copy of our descriptor SRC for the task, at *NUMBER. */
static int give_new(struct call *c, int src, int *number)
{
	CLEANUP_FD int own = fcntl(src, F_DUPFD_CLOEXEC, 0); /* the state lock is released meanwhile */
	int rc = own < 0 ? -errno : call_install_aside(c, own);

	if (rc >= 0)
		*number = rc;
	return rc;
}

static int give_loader(struct call *c, int src)
{
	CLEANUP_FD int own = fcntl(src, F_DUPFD_CLOEXEC, 0);
	CLEANUP_FD int theirs = fd_all_trapped() ? call_get_fd(c, FD_SPARE) : -1;

	if (theirs >= 0) {
		log_error("process %d: its descriptor %d is needed for the loader of a remote program: leave it free", (int)c->tid, FD_SPARE);
		return -EMFILE;
	}
	return own < 0 ? -errno : call_install_fd(c, own, program_loader_number(), true);
}

/* ---- arguments ---- */

static long count_args(struct call *c, uint64_t argv)
{
	uint64_t chunk[64];

	for (long n = 0; argv && n < MAX_ARGS;) {
		ssize_t got = mem_read(c->tid, argv + 8 * (uint64_t)n, chunk, sizeof(chunk));

		if (got < 8)
			return -EFAULT;
		for (ssize_t i = 0; i < got / 8; i++, n++)
			if (!chunk[i])
				return n;
	}
	return argv ? -E2BIG : 0;
}

static size_t text_size(const struct program *p, const char *name)
{
	size_t size = strlen(name) + 1;

	for (size_t i = 0; i < p->arg_count; i++)
		size += strlen(p->args[i]) + 1;
	return size;
}

/*
 * The arguments of P, with what its `#!` lines put in front, and NAME behind them, in memory of the task's that it
 * knows nothing of. *ARGV is changed only when there is anything in front.
 */
static long put_args(struct call *c, struct exec *e, const struct program *p, const char *name, uint64_t *argv, uint64_t *at)
{
	long own = p->arg_count ? count_args(c, *argv) : 0;
	size_t skip = own > 0, count = p->arg_count + (size_t)(own > 0 ? own : 0) - skip, n = 0;
	size_t pointers = (count + 1) * sizeof(uint64_t), size = pointers + text_size(p, name);

	if (own < 0)
		return own;
	int rc = scratch_get(c, size, &e->scratch);
	if (rc < 0)
		return rc;
	CLEANUP_FREE char *memory = xcalloc(1, size);
	uint64_t *pointer = (uint64_t *)memory, base = e->scratch.addr;
	size_t text = pointers;
	for (; n < p->arg_count; n++) {
		pointer[n] = base + text;
		text += strlen(strcpy(memory + text, p->args[n])) + 1;
	}
	if (count > n && call_read(c, *argv + 8 * skip, pointer + n, (count - n) * 8) < 0)
		return -EFAULT;
	*at = base + text;
	strcpy(memory + text, name);
	if (p->arg_count)
		*argv = base;
	return call_write(c, base, memory, size);
}

/* ---- the call ---- */

static int put_files(struct call *c, struct exec *e, const struct program *p, const char *name)
{
	char link[PATH_MAX];
	int rc = 0;

	if (p->exe) {
		rc = give_new(c, p->exe->fd, &e->fd[FD_PROGRAM]);
		snprintf(link, sizeof(link), "/proc/self/fd/%d", e->fd[FD_PROGRAM]);
	} else {
		snprintf(link, sizeof(link), "%s", p->local);
	}
	if (rc >= 0 && p->loader) {
		rc = give_loader(c, p->loader->fd);
		e->has_loader = rc >= 0;
	}
	CLEANUP_FD int dir = rc < 0 ? rc : placeholder_link(name, link, e->dir, sizeof(e->dir));
	return dir < 0 ? dir : give_new(c, dir, &e->fd[FD_DIR]);
}

/* The name that the process gets: the last one of the path. */
static void last_name(const char *text, char name[NAME_MAX + 1])
{
	size_t end = strlen(text), start;

	while (end > 1 && text[end - 1] == '/')
		end--;
	for (start = end; start && text[start - 1] != '/'; start--)
		;
	snprintf(name, NAME_MAX + 1, "%.*s", (int)(end - start), text + start);
}

/* Has the kernel run P, found as TEXT at ADDR, instead. */
static long exec_run(struct call *c, const struct program *p, const char *text, uint64_t addr, uint64_t argv, uint64_t envp)
{
	struct exec *e = xcalloc(1, sizeof(*e));
	char name[NAME_MAX + 1];
	size_t len = strlen(text);

	last_name(text, name);
	e->fd[FD_DIR] = e->fd[FD_PROGRAM] = -1;
	long rc = put_files(c, e, p, name);
	uint64_t at = addr + len - strlen(name);
	/* TEXT need not be what stands at ADDR: a descriptor has a name of its own. */
	if (rc >= 0 && (p->arg_count || !addr || !len || text[len - 1] == '/'))
		rc = put_args(c, e, p, name, &argv, &at);
	if (rc < 0) {
		exec_undo(c, e, true);
		return rc;
	}
	c->after_arg = e;
	c->rewrite_nr = SYS_execveat;
	memcpy(c->rewrite_arg, (uint64_t[6]){ (uint64_t)e->fd[FD_DIR], at, argv, envp }, sizeof(c->rewrite_arg));
	return CALL_REWRITE;
}

static bool closes_on_exec(const struct call *c, int fd)
{
	char path[64], line[128];
	unsigned flags = 0;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)c->tid, fd);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "flags: %o", &flags) == 1)
			break;
	if (f)
		fclose(f);
	return flags & O_CLOEXEC;
}

static long exec_place(struct call *c, struct place *p, int dirfd, uint64_t addr, uint64_t argv, uint64_t envp)
{
	char text[PATH_MAX], path[PATH_MAX + 32];
	struct program program = { .arg_count = 0 };

	if (!addr || mem_read_string(c->tid, addr, text, sizeof(text)) < 0)
		return CALL_CONTINUE;
	bool by_fd = *text != '/' && dirfd != AT_FDCWD;
	/* As the kernel calls it to a script's interpreter. */
	if (by_fd)
		snprintf(path, sizeof(path), *text ? "/dev/fd/%d/%s" : "/dev/fd/%d%s", dirfd, text);
	else
		snprintf(path, sizeof(path), "%s", text);
	long rc = program_find(c, p, path, &program);
	/* The interpreter could not open a descriptor that is gone. */
	if (!rc && program.arg_count && by_fd && closes_on_exec(c, dirfd))
		rc = -ENOENT;
	/* Since 6.14 the process is called by what is run then. */
	if (!rc && !*text)
		rc = exec_run(c, &program, program.exe ? program.exe->path : realpath(program.local, path) ? path : "", 0, argv, envp);
	else if (!rc)
		rc = exec_run(c, &program, text, addr, argv, envp);
	program_release(&program);
	return rc;
}

static void exec_begin(struct call *c)
{
	log_prepare(c);
	locks_note_all(c->tid);
	c->after = exec_done;
}

long sys_execve(struct call *c)
{
	PLACE_ON_STACK(p);

	exec_begin(c);
	long rc = place_resolve(c, AT_FDCWD, c->arg[0], PLACE_FOLLOW, &p);
	return rc ? rc : exec_place(c, &p, AT_FDCWD, c->arg[0], c->arg[1], c->arg[2]);
}

long sys_execveat(struct call *c)
{
	PLACE_ON_STACK(p);
	int flags = (int)c->arg[4];
	rfs_Attr attr;

	exec_begin(c);
	if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return CALL_CONTINUE;
	long rc = place_resolve(c, (int)c->arg[0], c->arg[1], place_flags(flags), &p);
	if (!rc && p.mount && flags & AT_SYMLINK_NOFOLLOW) {
		rc = remote_place_attr(c, &p, true, &attr);
		rc = rc ? rc : S_ISLNK(attr.mode) ? -ELOOP : 0;
	}
	return rc ? rc : exec_place(c, &p, (int)c->arg[0], c->arg[1], c->arg[2], c->arg[3]);
}
