/* Paths that lead out, each with every request; also over mounts. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"

#define REBUILD "chmod 777 tree && rm -rf tree/[a-oq-z]* && mkdir -p tree/d/e tree/q && echo inside >tree/f && echo inside >tree/d/g"

static char here[256];
static char culprit[512]; /* the first request that did something outside, and what */

/* OP is about to begin: what is different now was done by the one before. */
static void told(const char *op)
{
	static const char *before;
	char what[256];

	if (!*culprit && outside_touched(what))
		snprintf(culprit, sizeof(culprit), "%s: %s", before, what);
	before = op;
}

/* Everything in the tree is to be its user's, who may do everything. */
static void rebuild(const struct agent_how *how)
{
	shell(REBUILD);
	shell("ln -s %s/outside tree/abs && ln -s ../outside tree/rel && ln -s ../../../outside/canary tree/d/e/far && "
	      "ln -s %s/outside/new tree/new && ln -s l2 tree/l1 && ln -s d/../l3 tree/l2 && ln -s %s/outside tree/l3 && ln -s .. tree/up && "
	      "ln -s /.. tree/top && ln -s proc/self/root tree/magic && ln -s proc/self/cwd/../outside tree/cwd",
	      here, here, here);
	shell("{ chown -hR %u tree/[a-oq-z]* && chown %u tree; } 2>/dev/null || [ $(id -u) -ne 0 ]", how->uid, how->uid);
}

/* An inotify watch leaves no trace at what is watched, but in /proc. */
static bool is_watched(const char *path)
{
	char command[512];
	struct stat st;

	must(stat(path, &st), path);
	snprintf(command, sizeof(command), "cat /proc/%d/fdinfo/* 2>/dev/null | grep -q '^inotify.* ino:%lx '", client_agent(), (unsigned long)st.st_ino);
	return system(command) == 0;
}

static void try_path(const struct agent_how *how, uint64_t dir, const char *path)
{
	char what[256];

	rebuild(how);
	culprit[0] = '\0';
	ops_try(dir, path, told);
	told("the end");
	if (*culprit)
		fail("%s by %s", path, culprit);
	else if (outside_touched(what) || is_watched("outside") || is_watched("outside/canary"))
		fail("%s: what is outside is watched", path);
	else
		pass("%s", path);
}

static const char *const plain[] = {
	"../outside/canary", "..", "/..", "/../outside/canary", "d/../../outside/canary", "d/e/../../../outside/canary", "./.././outside", "../outside/new/",
	"abs", "abs/", "abs/canary", "abs/new", "abs/d/canary", "abs/d/../canary", "rel/canary", "rel/d/", "rel/..", "abs/..", "d/e/far", "new", "new/",
	"l1", "l1/canary", "l1/d/canary", "up/outside/canary", "up/up/outside/canary", "top/outside/canary", "d/../rel/canary", "//abs//canary", "up/..",
	NULL
};

static const char *const magic[] = {
	"proc/self/root/etc/passwd", "proc/self/cwd/outside/canary", "proc/self/cwd", "proc/self/root", "proc/thread-self/root/etc/passwd", "magic", "magic/etc",
	"magic/", "cwd/canary", "cwd", "proc/1/root/etc", "proc/self/task/../root/etc", "proc/self/exe", "proc/self/fd/0", "proc/self/map_files", NULL
};

/* Numbers are not known before the agent runs. */
static void try_numbered(const struct agent_how *how)
{
	static const char *const forms[] = { "proc/%d/root%s/outside/canary", "proc/%d/cwd/outside/canary", "proc/%d/fd/3/../outside/canary",
					     "proc/%d/task/%d/root%s/outside/canary" };
	char path[512];

	snprintf(path, sizeof(path), forms[0], client_agent(), here);
	try_path(how, 0, path);
	snprintf(path, sizeof(path), forms[1], client_agent());
	try_path(how, 0, path);
	for (int fd = 3; fd < 8; fd++) {
		snprintf(path, sizeof(path), "proc/%d/fd/%d/../outside/canary", client_agent(), fd);
		try_path(how, 0, path);
		snprintf(path, sizeof(path), "proc/self/fd/%d/../outside/canary", fd);
		try_path(how, 0, path);
	}
	snprintf(path, sizeof(path), forms[3], client_agent(), client_agent(), here);
	try_path(how, 0, path);
}

/* Who can write into the agent's memory is the agent. */
static void try_memory(const char *path)
{
	uint64_t by_path = ops_open(0, path, O_PATH | O_NOFOLLOW);

	if (!by_path)
		skip("%s: there is none", path);
	else if (ops_open(0, path, O_RDWR) || ops_open(0, path, O_RDONLY) || ops_open(0, path, O_WRONLY))
		fail("%s can be opened", path);
	else if (ops_open(by_path, "", O_RDWR) || ops_open(by_path, "", O_RDONLY))
		fail("%s can be opened by a handle", path);
	else
		pass("%s", path);
}

void try_paths(const struct agent_how *how)
{
	char path[64];

	must(getcwd(here, sizeof(here)) ? 0 : -1, "getcwd");
	rebuild(how);
	client_start(how);
	for (const char *const *p = plain; *p; p++)
		try_path(how, 0, *p);
	rebuild(how);
	uint64_t dir = ops_open(0, "q", O_DIRECTORY);
	must(dir ? 0 : -1, "a handle");
	try_path(how, dir, "../../outside/canary");
	try_path(how, dir, "../..");
	try_path(how, dir, "/../outside/canary");
	if (!access("tree/proc/self", F_OK)) {
		for (const char *const *p = magic; *p; p++)
			try_path(how, 0, *p);
		try_numbered(how);
		try_memory("proc/self/mem");
		try_memory("proc/thread-self/mem");
		snprintf(path, sizeof(path), "proc/%d/mem", client_agent());
		try_memory(path);
		snprintf(path, sizeof(path), "proc/%d/task/%d/mem", client_agent(), client_agent());
		try_memory(path);
	} else {
		skip("links of procfs: it cannot be mounted");
	}
	client_stop();
	rebuild(how);
}

/* The way up from a mount leads to where it is mounted; from one that was moved out of what is mounted, nowhere else. */
void try_mounts(const struct agent_how *how)
{
	char what[256];

	rebuild(how);
	shell("mkdir -p tree/p1 tree/p2 aside/x/y && chown %u aside/x aside/x/y 2>/dev/null || [ $(id -u) -ne 0 ]", how->uid);
	if (mount("aside/x", "tree/p1", NULL, MS_BIND, NULL)) {
		skip("bind mounts and other file systems: nothing can be mounted");
		return;
	}
	must(mount("none", "tree/p2", "tmpfs", 0, "mode=777"), "mount");
	shell("ln -sfn ../../outside tree/p2/rel && ln -sfn ../../../outside aside/x/y/rel");
	client_start(how);
	static const char *const paths[] = { "p1/../../outside/canary", "p2/../../outside/canary", "p1/y/../../../outside/canary", "p1/y/rel/canary",
					     "p2/rel/canary", "p2/../p1/../../outside/canary", NULL };
	for (const char *const *p = paths; *p; p++)
		try_path(how, 0, *p);
	/* Its parent is none that is below the root from here on. */
	rebuild(how);
	uint64_t dir = ops_open(0, "p1/y", O_DIRECTORY);
	must(dir ? 0 : -1, "a handle");
	shell("mv aside/x/y outside.2");
	static const char *const up[] = { "..", "../outside/canary", "../../outside/canary", "../outside", NULL };
	for (const char *const *p = up; *p; p++) {
		ops_try(dir, *p, told);
		if (outside_touched(what))
			fail("%s of what left a bind mount: %s", *p, what);
		else
			pass("%s of what left a bind mount", *p);
	}
	client_stop();
	umount2("tree/p1", MNT_DETACH);
	umount2("tree/p2", MNT_DETACH);
	shell("rm -rf outside.2 aside tree/p1 tree/p2");
}
