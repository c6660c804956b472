#include "procfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *procfile_read(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
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

const char *procfile_field(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (; text; text = strchr(text, '\n') ? strchr(text, '\n') + 1 : NULL)
		if (!strncmp(text, name, n) && text[n] == ':')
			return text + n + 1;
	return NULL;
}

int procfile_stat(int dir, const char *process, struct procfile_stat *s)
{
	char name[64], *text, *rest;
	int rc = 0;

	snprintf(name, sizeof(name), "%s/stat", process);
	text = procfile_read(dir, name);
	if (!text)
		return -errno;
	/* A program's name may have any characters in it. */
	rest = strrchr(text, ')');
	if (!rest || sscanf(text, "%d", &s->pid) != 1 ||
	    sscanf(rest, ") %*c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &s->parent,
		   &s->session, &s->start) != 3)
		rc = -EBADMSG;
	free(text);
	return rc;
}
