/* execthread TREE: other threads are in the middle of file calls while one of them calls execve. */
#include <pthread.h>

#include "../guests/guest.h"

static char self[PATH_MAX];

static void *busy(void *arg)
{
	char path[PATH_MAX], buf[4096];

	snprintf(path, sizeof(path), "%s/%s", T, (long)arg & 1 ? "sizes/s3145745" : "hello.txt");
	for (;;) {
		int fd = sys(open, path, (long)arg & 2 ? O_RDONLY : O_RDWR);

		sys(read, fd, buf, sizeof(buf));
		sys(close, fd);
	}
	return NULL;
}

static void *execs(void *arg)
{
	char *args[] = { self, (char *)T, "again", NULL };

	usleep(rand() % 3000);
	sys(execve, self, args, NULL);
	_exit(96);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char buf[13];
	int fd;

	guest_init(argc, argv);
	if (argc > 2) {
		fd = sys(open, P("hello.txt"), O_RDWR);
		if (sys(read, fd, buf, sizeof(buf)) != sizeof(buf))
			return 95;
		printf("after exec: %.12s\n", buf);
		return 0;
	}
	srand(getpid());
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 94;
	for (long i = 0; i < 4; i++)
		pthread_create(&thread, NULL, busy, (void *)i);
	pthread_create(&thread, NULL, execs, NULL);
	for (;;)
		pause();
}
