#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frame.h"
#include "inside.h"
#include "ops.h"

static int proc_open(const char *process)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%s", process);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int proc_open_pid(pid_t pid)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", (int)pid);
	return proc_open(name);
}

static int take(struct rights *r, const struct identity *as, const char **what)
{
	const char *missing;
	int rc;

	if (as->given)
		rights_as(r, as);
	rc = rights_take(r, &missing);
	*what = "its rights cannot be taken";
	if (as->given && rc == -EPERM)
		*what = !strcmp(missing, "CAP_SETUID") ? "--as needs CAP_SETUID" : "--as needs CAP_SETGID";
	else if (as->given)
		*what = "--as";
	return rc;
}

/* One descriptor of /proc/PID for all that is read: that number cannot become another process on the way. */
int process_become(pid_t pid, const struct identity *as, struct process *p, const char **what)
{
	struct rights r = { .groups = NULL };
	int dir = proc_open_pid(pid), rc;

	*p = (struct process){ -1, -1 };
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
		rc = rights_read(dir, &r);
	}
	if (!rc)
		rc = take(&r, as, what);
	rights_free(&r);
	close(dir);
	return rc;
}

int process_as(const struct identity *as, const char **what)
{
	struct rights r = { .groups = NULL };
	int dir = proc_open("self"), rc;

	*what = "our rights cannot be read";
	rc = dir < 0 ? -errno : rights_read(dir, &r);
	if (!rc)
		rc = take(&r, as, what);
	rights_free(&r);
	if (dir >= 0)
		close(dir);
	return rc;
}

/* The main process of the container around us, or -1. */
static int inside_open(void)
{
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	pid_t pid = proc < 0 ? 0 : inside_main(proc);

	if (proc >= 0)
		close(proc);
	return pid ? proc_open_pid(pid) : -1;
}

int process_inside(const struct identity *as, struct process *p, const char **what)
{
	struct rights r = { .groups = NULL };
	int dir = inside_open(), rc = 0;
	bool known = dir >= 0 && !rights_read(dir, &r);

	*p = (struct process){ -1, -1 };
	*what = "the root cannot be opened";
	p->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->root < 0)
		rc = -errno;
	if (dir >= 0)
		p->environ = openat(dir, "environ", O_RDONLY | O_CLOEXEC);
	if (p->environ < 0)
		p->environ = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
	if (!rc && as->given)
		rc = known ? take(&r, as, what) : process_as(as, what);
	else if (!rc && known && rights_can_take(&r))
		rc = take(&r, as, what);
	rights_free(&r);
	if (dir >= 0)
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
