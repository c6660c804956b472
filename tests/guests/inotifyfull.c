/* inotify: more events than the queue takes, which nobody reads meanwhile. */
#include "inotify.h"

int main(int argc, char **argv)
{
	int in = sys(inotify_init1, IN_NONBLOCK), fd, most = 0, events = 0, overflows = 0, last = 0;
	static char buf[65536] __attribute__((aligned(8)));
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	long n;

	guest_init(argc, argv);
	if (!f || fscanf(f, "%d", &most) != 1)
		return 1;
	fclose(f);
	fd = make_file("over", "");
	SHOW(sys(inotify_add_watch, in, P("over"), IN_MODIFY | IN_ATTRIB));
	for (int i = 0; i < most + 10; i++)
		if (i % 2)
			sys(fchmod, fd, 0600);
		else
			sys(write, fd, "x", 1);
	while ((n = sys(read, in, buf, sizeof(buf))) > 0)
		for (long at = 0; at < n;) {
			const struct inotify_event *e = (const struct inotify_event *)(buf + at);

			events++;
			overflows += !!(e->mask & IN_Q_OVERFLOW);
			last = e->wd;
			at += sizeof(*e) + e->len;
		}
	printf("all but %d, %d overflow, last wd %d\n", most - events, overflows, last);
	sys(unlink, P("over"));
	close(fd);
	drain("after it", in);
	close(in);
	return 0;
}
