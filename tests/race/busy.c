/* busy TREE: threads and children that do every kind of call without end, to be killed at any moment. */
#include <pthread.h>

#include "../guests/guest.h"

static void work(long id)
{
	char path[PATH_MAX], other[PATH_MAX], buf[70000];
	struct stat st;

	for (unsigned i = 0;; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/dir/b%ld-%d", T, id, getpid());
		snprintf(other, sizeof(other), "%s/dir/c%ld-%d", T, id, getpid());
		fd = sys(open, path, O_CREAT | O_RDWR, 0600);
		sys(write, fd, buf, i % sizeof(buf));
		sys(close, fd);
		sys(rename, path, other);
		sys(stat, other, &st);
		sys(unlink, other);
		fd = sys(open, P("sizes/s3145745"), O_RDONLY);
		sys(pread64, fd, buf, sizeof(buf), i * 997 % 3000000);
		sys(close, fd);
		fd = sys(open, P("dir"), O_RDONLY);
		sys(getdents64, fd, buf, sizeof(buf));
		sys(close, fd);
		if (i % 20 == 19 && fork() == 0)
			_exit(0);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

static void *body(void *arg)
{
	work((long)arg);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	guest_init(argc, argv);
	puts("busy");
	if (fork() == 0)
		work(9);
	for (long i = 0; i < 3; i++)
		pthread_create(&thread, NULL, body, (void *)i);
	work(8);
}
