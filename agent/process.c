#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "frame.h"
#include "ops.h"

#define GROUPS_MAX 65536 /* NGROUPS_MAX */

/* Real, effective, saved, and for files, as /proc/PID/status has them. */
struct ids {
	unsigned real, effective, saved, files;
};

struct rights {
	struct ids user, group;
	gid_t *groups;
	size_t group_count;
	uint64_t permitted, effective; /* capabilities */
};

/* The whole of NAME below DIR as a string, which the caller frees; NULL with errno. */
static char *read_text(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t room = 1 << 20, len = 0;
	char *text = fd < 0 ? NULL : malloc(room);
	ssize_t n = 1;

	while (text && n > 0 && len < room - 1) {
		n = read(fd, text + len, room - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (text)
		text[len] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

/* What stands behind NAME at the beginning of a line of TEXT, or NULL. */
static const char *field(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (; text; text = strchr(text, '\n') ? strchr(text, '\n') + 1 : NULL)
		if (!strncmp(text, name, n) && text[n] == ':')
			return text + n + 1;
	return NULL;
}

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

static int read_rights(int dir, struct rights *r)
{
	char *text = read_text(dir, "status");
	int rc = text ? 0 : -errno;

	if (text && !(parse_ids(field(text, "Uid"), &r->user) && parse_ids(field(text, "Gid"), &r->group) &&
		      parse_groups(field(text, "Groups"), r) && parse_mask(field(text, "CapPrm"), &r->permitted) &&
		      parse_mask(field(text, "CapEff"), &r->effective)))
		rc = -EBADMSG;
	free(text);
	return rc;
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
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int take_ids(const struct rights *r)
{
	if (setgroups(r->group_count, r->groups) < 0 || setresgid(r->group.real, r->group.effective, r->group.saved) < 0 ||
	    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setresuid(r->user.real, r->user.effective, r->user.saved) < 0)
		return -errno;
	setfsgid(r->group.files);
	setfsuid(r->user.files);
	return 0;
}

/* One without the right to change who he is may stay who he is, if that is who the process is. */
static int take_rights(const struct rights *r)
{
	int rc = take_ids(r);

	if (rc == -EPERM && r->user.effective == geteuid() && r->group.effective == getegid())
		rc = 0;
	return rc ? rc : take_capabilities(r);
}

/* One descriptor of /proc/PID for all that is read: that number cannot become another process on the way. */
int process_become(pid_t pid, struct process *p, const char **what)
{
	struct rights r = { .groups = NULL };
	char path[32];
	int rc;

	*p = (struct process){ -1, -1 };
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*what = "there is no such process";
	if (dir < 0)
		return -errno;
	*what = "its root cannot be opened";
	p->root = openat(dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	rc = p->root < 0 ? -errno : 0;
	if (!rc) {
		*what = "its environment cannot be opened";
		p->environ = openat(dir, "environ", O_RDONLY | O_CLOEXEC);
		rc = p->environ < 0 ? -errno : 0;
	}
	if (!rc) {
		*what = "its rights cannot be read";
		rc = read_rights(dir, &r);
	}
	if (!rc) {
		*what = "its rights cannot be taken";
		rc = take_rights(&r);
	}
	free(r.groups);
	close(dir);
	return rc;
}

int op_environment(struct op *op)
{
	const rfs_Environment *req = &op->req->op.environment;
	int fd = op->agent->environ;

	if (fd < 0)
		return -ESRCH;
	if (req->size > FRAME_MAX_PAYLOAD || req->offset > INT64_MAX)
		return -EINVAL;
	op->out = malloc(req->size + 1);
	if (!op->out)
		return -ENOMEM;
	ssize_t n = pread(fd, op->out, req->size, (off_t)req->offset);
	if (n < 0)
		return -errno;
	op->out_len = (size_t)n;
	return 0;
}
