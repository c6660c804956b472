#include "behalf.h"

#include <linux/capability.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

#define CAP(n) (UINT64_C(1) << (n))
/* What a change of the file system's user takes away and gives back: CAP_FS_MASK of linux/capability.h, and LINUX_IMMUTABLE. */
#define FILE_CAPS                                                                                                         \
	(CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_FOWNER) | CAP(CAP_FSETID) |          \
	 CAP(CAP_LINUX_IMMUTABLE) | CAP(CAP_MKNOD) | CAP(CAP_MAC_OVERRIDE) | CAP(CAP_SYS_ADMIN) | CAP(CAP_SYS_RESOURCE))

struct rights {
	unsigned user, group, mask; /* of the file system; the umask */
	uint64_t caps;              /* effective */
	gid_t *groups;
	size_t group_count;
};

/* What the thread had before. */
static __thread struct {
	bool begun, changed, own_umask;
	struct rights old;
} self;

static void take_groups(struct rights *r, char *text)
{
	char *end;

	for (gid_t group = (gid_t)strtoul(text, &end, 10); end != text; group = (gid_t)strtoul(text, &end, 10)) {
		r->groups = xrealloc(r->groups, (r->group_count + 1) * sizeof(*r->groups));
		r->groups[r->group_count++] = group;
		text = end;
	}
}

/* As seen from here. False when the task is gone. */
static bool read_rights(pid_t tid, struct rights *r)
{
	char path[64], *line = NULL;
	unsigned long long caps = 0;
	size_t size = 0;
	int found = 0;

	*r = (struct rights){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	FILE *f = fopen(path, "re");
	while (f && getline(&line, &size, f) > 0) {
		found += sscanf(line, "Umask: %o", &r->mask) == 1;
		found += sscanf(line, "Uid: %*u %*u %*u %u", &r->user) == 1;
		found += sscanf(line, "Gid: %*u %*u %*u %u", &r->group) == 1;
		found += sscanf(line, "CapEff: %llx", &caps) == 1;
		if (!strncmp(line, "Groups:", 7))
			take_groups(r, line + 7);
	}
	r->caps = caps;
	if (f)
		fclose(f);
	free(line);
	return found == 4;
}

static bool same_namespace(pid_t tid)
{
	struct stat own, other;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)tid);
	return stat("/proc/self/ns/user", &own) == 0 && stat(path, &other) == 0 && own.st_ino == other.st_ino && own.st_dev == other.st_dev;
}

static void set_file_caps(uint64_t caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return;
	for (int i = 0; i < 2; i++) {
		uint32_t file = (uint32_t)(FILE_CAPS >> 32 * i), wanted = (uint32_t)(caps >> 32 * i);

		data[i].effective = (data[i].effective & ~file) | (data[i].permitted & wanted & file);
	}
	syscall(SYS_capset, &header, data);
}

/* The calls, not the library's functions: those would change all threads. */
static void set_rights(const struct rights *r)
{
	syscall(SYS_setgroups, r->group_count, r->groups);
	setfsgid(r->group);
	setfsuid(r->user);
	set_file_caps(r->caps);
}

static bool are_equal(const struct rights *a, const struct rights *b)
{
	return a->user == b->user && a->group == b->group && (a->caps & FILE_CAPS) == (b->caps & FILE_CAPS) && a->group_count == b->group_count &&
	       (!a->group_count || !memcmp(a->groups, b->groups, a->group_count * sizeof(*a->groups)));
}

static bool may_change(const struct rights *own)
{
	return own->caps & CAP(CAP_SETUID) && own->caps & CAP(CAP_SETGID);
}

void behalf_begin(pid_t tid)
{
	struct rights r;

	if (self.begun || !read_rights((pid_t)syscall(SYS_gettid), &self.old))
		return;
	self.begun = true;
	/* One umask for all threads it is, unless one asks for its own. */
	self.own_umask = self.own_umask || unshare(CLONE_FS) == 0;
	if (!read_rights(tid, &r))
		return;
	/* In a namespace of its own it may have all capabilities, and none here. */
	if (!same_namespace(tid))
		r.caps = 0;
	if (self.own_umask)
		umask((mode_t)r.mask);
	self.changed = may_change(&self.old) && !are_equal(&r, &self.old);
	if (self.changed)
		set_rights(&r);
	free(r.groups);
}

void behalf_end(void)
{
	if (!self.begun)
		return;
	if (self.changed)
		set_rights(&self.old);
	if (self.own_umask)
		umask((mode_t)self.old.mask);
	free(self.old.groups);
	self.old.groups = NULL;
	self.begun = self.changed = false;
}
