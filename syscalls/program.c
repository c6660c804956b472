#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "exe.h"
#include "image_fill.h"
#include "link.h"
#include "log.h"
#include "ofd.h"
#include "place.h"
#include "remote.h"
#include "rules.h"
#include "state.h"
#include "util.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

int program_loader_number(void)
{
	static int number = -1;

	/* Every patched copy names it, so it is never given back. */
	if (number < 0)
		number = fd_all_trapped() ? FD_SPARE : ofd_reserve_number(NULL);
	return number;
}

void program_release(struct program *program)
{
	while (program->arg_count)
		free(program->args[--program->arg_count]);
}

/* Where the interpreter of a remote program is, if that is remote as well. */
static bool find_loader(const char *interp, struct place *p)
{
	char norm[PATH_MAX];

	memset(p, 0, offsetof(struct place, path));
	p->key[0] = '\0';
	if (*interp != '/' || path_normalise(interp, norm, sizeof(norm)) < 0)
		return false;
	const struct decision *d = rules_decide(norm, false, true);
	p->mount = d->mount;
	return p->mount && !path_to_target(p->mount, d->path ? d->path : norm, p->path, sizeof(p->path));
}

/* ---- copies ---- */

/* Holes stay holes: a size is the agent's word alone, and costs nothing. */
static int copy_all(int from, int to, uint64_t size)
{
	off_t at = 0, hole;

	if (size > INT64_MAX || ftruncate(to, (off_t)size))
		return size > INT64_MAX ? -EFBIG : -errno;
	while ((uint64_t)at < size && (at = lseek(from, at, SEEK_DATA)) >= 0 && (hole = lseek(from, at, SEEK_HOLE)) >= 0) {
		ssize_t n = 1;

		hole = (uint64_t)hole < size ? hole : (off_t)size;
		if (lseek(to, at, SEEK_SET) < 0)
			return -errno;
		while (at < hole && n > 0)
			n = sendfile(to, from, &at, (size_t)(hole - at));
		if (n <= 0 && at < hole)
			return n < 0 ? -errno : 0;
	}
	return at < 0 && errno != ENXIO ? -errno : 0;
}

#define MEMFD_NAME (NAME_MAX - 6) /* the kernel puts "memfd:" in front: memfd_create(2) */

static int new_memfd(const char *path)
{
	const char *last = strrchr(path, '/');
	char name[MEMFD_NAME + 1];

	snprintf(name, sizeof(name), "%.*s", MEMFD_NAME, last ? last + 1 : path);
	/* Since 6.3 a system may want to be told that it is to be run. */
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int classify_and_patch(int fd, struct elf_info *info)
{
	struct place loader;
	char link[64];
	int rc = elf_classify(fd, info);

	if (rc < 0 || info->kind != ELF_DYNAMIC || !find_loader(info->interp, &loader))
		return rc;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", program_loader_number());
	return program_loader_number() < 0 ? -EMFILE : elf_set_interp(fd, link);
}

/* The bytes of O, whose placeholder is open as SRC, in a memfd; INFO is what they were. */
static int copy_file(struct call *c, struct ofd *o, int src, const char *path, struct elf_info *info)
{
	int rc = image_fill(c, o);
	CLEANUP_FD int fd = rc ? rc : new_memfd(path);

	if (fd < 0)
		return fd;
	uint64_t size = o->node->attr.size;
	state_unlock();
	rc = copy_all(src, fd, size);
	state_lock();
	rc = rc ? rc : classify_and_patch(fd, info);
	return rc ? rc : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static struct exe *fetch(struct call *c, struct place *p, int *error)
{
	CLEANUP_OFD struct ofd *o = NULL;
	struct exe *exe = NULL;
	struct elf_info info;
	char path[PATH_MAX], link[PATH_MAX];
	CLEANUP_FD int src = remote_open_own(c, p, O_RDONLY, &o);

	*error = src < 0 ? src : 0;
	if (src < 0)
		o = NULL;
	if (*error == -EACCES)
		c->note = "it may be run, but not be read to be brought here";
	if (!o)
		return NULL;
	ofd_ref(o);
	/* What /proc/PID/exe shows has no links. */
	if (remote_link_text(c, o, link, sizeof(link)) < 0 || path_to_target(o->mount, link, path, sizeof(path)) < 0)
		snprintf(path, sizeof(path), "%s", o->path);
	CLEANUP_FD int fd = copy_file(c, o, src, path, &info);
	if (fd < 0)
		*error = fd;
	else
		exe = exe_add(o->mount, path, &o->node->attr, &info, fd, error);
	return exe;
}

static int may_run(struct call *c, const struct place *p)
{
	rfs_Request req = { .which_op = rfs_Request_access_tag,
			    .op.access = { .has_where = true, .mode = X_OK, .flags = AT_EACCESS } };
	struct link_reply rep;

	place_where(p, &req.op.access.where);
	int rc = call_rpc(c, p->mount, &req, NULL, 0, &rep);
	if (!rc)
		link_reply_free(&rep);
	return rc;
}

/* Whether somebody here has the file open for writing; who has at the target, its kernel does not tell. */
static bool is_written(const struct mount *m, const rfs_Attr *attr)
{
	const struct node *n = node_find(m, attr);

	for (const struct ofd *o = n ? n->ofds : NULL; o; o = o->next_of_node)
		if ((o->flags & O_ACCMODE) != O_RDONLY && !(o->flags & O_PATH))
			return true;
	return false;
}

/* The copy of the remote program P; NULL with a negative errno in *ERROR. */
static struct exe *get_exe(struct call *c, struct place *p, int *error)
{
	rfs_Attr attr;

	*error = remote_place_attr(c, p, false, &attr);
	if (!*error && !S_ISREG(attr.mode))
		*error = -EACCES;
	if (!*error)
		*error = may_run(c, p);
	if (!*error && is_written(p->mount, &attr))
		*error = -ETXTBSY;
	if (*error)
		return NULL;
	struct exe *exe = exe_find(p->mount, &attr);
	exe = exe ? exe : fetch(c, p, error);
	if (*error == -ENOSPC) {
		log_error("%s: no room for a copy of the program: free memory, or space in /dev/shm", p->path);
		*error = -ENOMEM;
	}
	return exe;
}

/* ---- the way to the program ---- */

/* A foreign binary would use other syscall numbers, which the filter answers with ENOSYS. */
static void tell_foreign(const struct call *c, const struct elf_info *info)
{
	log_error("process %d: cannot run a program for %s: only x86-64 programs can be traced; use a 64-bit x86 build",
		  (int)c->tid, info->arch);
}

/* PATH, which the kernel would find, as we find it: in the task's working directory and root. */
static int name_local(const struct call *c, const struct place *p, const char *path, char *out)
{
	int fd, at = 0, n;

	if (p->behalf)
		n = snprintf(out, PATH_MAX, "%s", p->local);
	else if (sscanf(path, "/dev/fd/%d%n", &fd, &at) == 1 && at)
		n = snprintf(out, PATH_MAX, "/proc/%d/fd/%d%s", (int)c->tid, fd, path + at);
	else
		n = snprintf(out, PATH_MAX, *path == '/' ? "/proc/%d/root%s" : "/proc/%d/cwd/%s", (int)c->tid, path);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static long look_local(struct call *c, const struct place *p, const char *path, struct program *program, struct elf_info *info)
{
	int rc = name_local(c, p, path, program->local);
	CLEANUP_FD int fd = rc ? rc : open(program->local, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	/* What cannot be read or is no program, the kernel says in its own words. */
	if (fd < 0 || elf_classify(fd, info) < 0 || info->kind == ELF_NOT)
		info->kind = ELF_STATIC;
	if (info->kind == ELF_FOREIGN)
		tell_foreign(c, info);
	return info->kind == ELF_FOREIGN ? -ENOEXEC : info->kind == ELF_SCRIPT && access(program->local, X_OK) < 0 ? -errno : 0;
}

static long look_remote(struct call *c, struct place *p, struct program *program, struct elf_info *info)
{
	struct place *loader = NULL;
	int error;

	program->exe = get_exe(c, p, &error);
	if (!program->exe)
		return error;
	*info = program->exe->info;
	if (info->kind == ELF_FOREIGN)
		tell_foreign(c, info);
	if (info->kind == ELF_FOREIGN || info->kind == ELF_NOT)
		return -ENOEXEC;
	CLEANUP_FREE void *memory = loader = xcalloc(1, sizeof(*loader));
	if (info->kind == ELF_DYNAMIC && find_loader(info->interp, loader))
		program->loader = get_exe(c, loader, &error);
	return error;
}

/* A script's interpreter gets its own path, what the first line says, and the script's path before the rest. */
static void put_in_front(struct program *program, const struct elf_info *info, const char *script)
{
	char *first[3] = { xstrdup(info->interp), *info->arg ? xstrdup(info->arg) : NULL, NULL };
	size_t n = first[1] ? 2 : 1;

	if (!program->arg_count)
		program->args[program->arg_count++] = xstrdup(script);
	memmove(program->args + n, program->args, program->arg_count * sizeof(*program->args));
	memcpy(program->args, first, n * sizeof(*first));
	program->arg_count += n;
}

static long look(struct call *c, struct place *p, const char *path, struct program *program, struct elf_info *info)
{
	program->exe = program->loader = NULL;
	return p->mount ? look_remote(c, p, program, info) : look_local(c, p, path, program, info);
}

long program_find(struct call *c, struct place *p, const char *text, struct program *program)
{
	PLACE_ON_STACK(next);
	struct elf_info info;
	bool any_remote = p->mount || p->behalf;
	long rc = look(c, p, text, program, &info);

	for (int depth = 0; !rc && info.kind == ELF_SCRIPT; depth++) {
		if (depth == PROGRAM_DEPTH)
			return -ELOOP;
		put_in_front(program, &info, text);
		place_release(&next);
		rc = place_resolve_text(c, program->args[0], PLACE_FOLLOW, &next);
		any_remote = any_remote || (!rc && (next.mount || next.behalf));
		rc = rc ? rc : look(c, &next, program->args[0], program, &info);
	}
	return any_remote ? rc : rc == -ENOEXEC ? rc : CALL_CONTINUE;
}
