#include "upper_info.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>

#include "upper.h"
#include "util.h"

static int fail(int rc, char *err, size_t err_len, const char *dir, const char *why)
{
	snprintf(err, err_len, "%s: %s", dir, why);
	return rc;
}

/* The next line of *TEXT, which it is taken from; NULL when there is none that is whole. */
static char *take_line(char **text)
{
	char *line = *text, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = 0;
	*text = end + 1;
	return line;
}

static int read_info(int top, struct upper_info *info)
{
	CLEANUP_FD int fd = openat(top, "info", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char buf[PATH_MAX * 2 + 64], *rest = buf;
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (n < 0)
		return -errno;
	buf[n] = 0;
	const char *head = take_line(&rest), *target = head ? take_line(&rest) : NULL, *from = target ? take_line(&rest) : NULL;
	if (!from || strcmp(head, UPPER_INFO_HEAD) || *from != '/')
		return -EINVAL;
	info->target = xstrdup(target);
	info->from = xstrdup(from);
	return 0;
}

int upper_lock(const char *dir, bool alone, struct upper_info *info, char *err, size_t err_len)
{
	CLEANUP_FD int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*info = (struct upper_info){ 0 };
	if (top < 0)
		return fail(-errno, err, err_len, dir, strerror(errno));
	int rc = read_info(top, info);
	if (rc == -ENOENT || rc == -EINVAL || rc == -ELOOP)
		return fail(-EINVAL, err, err_len, dir, "is no overlay: give the directory that --overlay-dir was given, or one of those "
			    "in it where there were several trees");
	if (rc)
		return fail(rc, err, err_len, dir, strerror(-rc));
	if (flock(top, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0) {
		upper_info_free(info);
		return fail(-EBUSY, err, err_len, dir, "is in use by a run: wait for its end");
	}
	int fd = top;
	top = -1;
	return fd;
}

void upper_info_free(struct upper_info *info)
{
	free(info->target);
	free(info->from);
	*info = (struct upper_info){ 0 };
}
