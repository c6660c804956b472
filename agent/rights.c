#include "rights.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "procfile.h"

#define GROUPS_MAX 65536 /* NGROUPS_MAX */

static bool parse_ids(const char *text, struct ids *ids)
{
	return text && sscanf(text, "%u %u %u %u", &ids->real, &ids->effective, &ids->saved, &ids->files) == 4;
}

static bool parse_mask(const char *text, uint64_t *mask)
{
	unsigned long long value;

	if (!text || sscanf(text, "%llx", &value) != 1)
		return false;
	*mask = value;
	return true;
}

static bool parse_groups(const char *text, struct rights *r)
{
	char *end;

	r->groups = text ? calloc(GROUPS_MAX, sizeof(*r->groups)) : NULL;
	if (!r->groups)
		return false;
	while (r->group_count < GROUPS_MAX) {
		text += strspn(text, " \t");
		if (*text == '\n' || !*text)
			return true;
		r->groups[r->group_count++] = (gid_t)strtoul(text, &end, 10);
		if (end == text)
			return false;
		text = end;
	}
	return true;
}

int rights_read(int dir, struct rights *r)
{
	char *text = procfile_read(dir, "status");
	int rc = text ? 0 : -errno;

	*r = (struct rights){ .groups = NULL };
	if (text && !(parse_ids(procfile_field(text, "Uid"), &r->user) &&
		      parse_ids(procfile_field(text, "Gid"), &r->group) &&
		      parse_groups(procfile_field(text, "Groups"), r) &&
		      parse_mask(procfile_field(text, "CapPrm"), &r->permitted) &&
		      parse_mask(procfile_field(text, "CapEff"), &r->effective) &&
		      parse_mask(procfile_field(text, "CapBnd"), &r->bounding)))
		rc = -EBADMSG;
	free(text);
	return rc;
}

void rights_free(struct rights *r)
{
	free(r->groups);
	r->groups = NULL;
}

void rights_as(struct rights *r, const struct identity *who)
{
	r->user = (struct ids){ who->uid, who->uid, who->uid, who->uid };
	r->group = (struct ids){ who->gid, who->gid, who->gid, who->gid };
	r->group_count = 0;
	if (who->uid)
		r->permitted = r->effective = 0;
	r->exact = true;
}

/* Who has these groups already needs no right to keep them. */
static bool same_groups(const struct rights *r)
{
	int n = getgroups(0, NULL);
	gid_t *own = n < 0 || (size_t)n != r->group_count ? NULL : calloc((size_t)n + 1, sizeof(*own));
	bool same = own && getgroups(n, own) == n && (!n || !memcmp(own, r->groups, (size_t)n * sizeof(*own)));

	free(own);
	return same;
}

static int take_ids(const struct rights *r, const char **missing)
{
	*missing = "CAP_SETGID";
	if (!same_groups(r) && setgroups(r->group_count, r->groups) < 0)
		return -errno;
	if (setresgid(r->group.real, r->group.effective, r->group.saved) < 0)
		return -errno;
	*missing = "CAP_SETUID";
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setresuid(r->user.real, r->user.effective, r->user.saved) < 0)
		return -errno;
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	setfsgid(r->group.files);
	setfsuid(r->user.files);
	return 0;
}

/* Only what we have ourselves can be kept; setresuid from root has taken the effective ones. */
static int take_capabilities(const struct rights *r)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(r->permitted >> 32 * i);
		data[i].effective = data[i].permitted & (uint32_t)(r->effective >> 32 * i);
		data[i].inheritable = 0;
	}
	/* Unknown before 4.3, which has no ambient set. */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* Nothing of ours is ever executed: what cannot be dropped for want of CAP_SETPCAP does no harm. */
static void limit_bounding(const struct rights *r)
{
	for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(r->bounding >> cap & 1))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

int rights_take(const struct rights *r, const char **missing)
{
	int rc;

	limit_bounding(r);
	rc = take_ids(r, missing);
	if (rc == -EPERM && !r->exact && r->user.effective == geteuid() && r->group.effective == getegid())
		rc = 0;
	if (!rc)
		rc = take_capabilities(r);
	if (!rc && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = -errno;
	return rc;
}

bool rights_can_take(const struct rights *r)
{
	const char *missing;
	int status;
	pid_t child;

	/* Whoever started us may have had children reaped by the kernel. */
	signal(SIGCHLD, SIG_DFL);
	child = fork();
	if (!child)
		_exit(rights_take(r, &missing) ? 1 : 0);
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* In a user namespace of its own a process has capabilities over the files of those users only that are mapped there. */
static bool all_users_are_mapped(void)
{
	unsigned long inside, outside, count;
	FILE *f = fopen("/proc/self/uid_map", "re");
	bool all = f && fscanf(f, "%lu %lu %lu", &inside, &outside, &count) == 3 && !inside && count >= UINT32_MAX;

	if (f)
		fclose(f);
	return all;
}

void rights_over_files(bool *owns_all, bool *gives_away)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	bool known = syscall(SYS_capget, &header, data) == 0 && all_users_are_mapped();

	*owns_all = known && data[0].effective & 1u << CAP_FOWNER;
	*gives_away = known && data[0].effective & 1u << CAP_CHOWN;
}
