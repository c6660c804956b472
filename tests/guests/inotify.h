/* What the guests that use inotify share: events as text. */
#ifndef GUEST_INOTIFY_H
#define GUEST_INOTIFY_H

#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "guest.h"

static const struct { uint32_t bit; const char *name; } bits[] = {
	{ IN_ACCESS, "ACCESS" }, { IN_MODIFY, "MODIFY" }, { IN_ATTRIB, "ATTRIB" }, { IN_CLOSE_WRITE, "CLOSE_WRITE" },
	{ IN_CLOSE_NOWRITE, "CLOSE_NOWRITE" }, { IN_OPEN, "OPEN" }, { IN_MOVED_FROM, "MOVED_FROM" },
	{ IN_MOVED_TO, "MOVED_TO" }, { IN_CREATE, "CREATE" }, { IN_DELETE, "DELETE" },
	{ IN_DELETE_SELF, "DELETE_SELF" }, { IN_MOVE_SELF, "MOVE_SELF" }, { IN_UNMOUNT, "UNMOUNT" },
	{ IN_Q_OVERFLOW, "Q_OVERFLOW" }, { IN_IGNORED, "IGNORED" }, { IN_ISDIR, "ISDIR" },
};

/* Cookies by the order in which they were first seen: only which are equal matters. */
static int cookie_number(uint32_t cookie)
{
	static uint32_t seen[256];
	static int count;
	int i;

	for (i = 0; i < count; i++)
		if (seen[i] == cookie)
			return i + 1;
	seen[count++] = cookie;
	return count;
}

static UNUSED void show_event(const struct inotify_event *e)
{
	printf("   %d", e->wd);
	for (size_t i = 0; i < COUNT(bits); i++)
		if (e->mask & bits[i].bit)
			printf(" %s", bits[i].name);
	if (e->cookie)
		printf(" cookie %d", cookie_number(e->cookie));
	if (e->len)
		printf(" len %u \"%s\"", e->len, e->name);
	putchar('\n');
}

/* Everything that waits in FD, without waiting for more: what was done before is there. */
static UNUSED void drain(const char *label, int fd)
{
	static char buf[65536] __attribute__((aligned(8)));
	int waiting = 0;
	long n;

	sys(ioctl, fd, FIONREAD, &waiting);
	printf("%s: %d bytes\n", label, waiting);
	while ((n = sys(read, fd, buf, sizeof(buf))) > 0)
		for (long at = 0; at < n;) {
			const struct inotify_event *e = (const struct inotify_event *)(buf + at);

			show_event(e);
			at += sizeof(*e) + e->len;
		}
	if (errno != EAGAIN)
		printf("read: %s\n", err_name(errno));
}

static UNUSED int make_file(const char *name, const char *text)
{
	int fd = sys(open, P(name), O_CREAT | O_RDWR | O_TRUNC, 0644);

	if (fd >= 0 && *text)
		sys(write, fd, text, strlen(text));
	return fd;
}

#endif
