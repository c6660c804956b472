/* threadexit TREE COUNT: threads that end, or are ended by exit_group, in the middle of file calls. */
#include <pthread.h>

#include "../guests/guest.h"

static void *endless(void *arg)
{
	char path[PATH_MAX], buf[200000];

	snprintf(path, sizeof(path), "%s/sizes/s3145745", T);
	for (;;) {
		int fd = sys(open, path, O_RDONLY);

		sys(pread64, fd, buf, sizeof(buf), 0);
		sys(close, fd);
	}
	return NULL;
}

/* A raw exit ends this thread alone, right behind a call. */
static void *brief(void *arg)
{
	char path[PATH_MAX], buf[10];
	int fd;

	snprintf(path, sizeof(path), "%s/hello.txt", T);
	fd = sys(open, path, O_RDWR);
	sys(read, fd, buf, sizeof(buf));
	sys(close, fd);
	return NULL;
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 10, bad = 0;

	guest_init(argc, argv);
	for (int i = 0; i < count; i++) {
		pthread_t threads[4], thread;
		pid_t pid = fork_clean();
		int status = -1;

		if (!pid) {
			for (int t = 0; t < 4; t++)
				pthread_create(&thread, NULL, endless, NULL);
			usleep(i * 731 % 20000);
			_exit(i);
		}
		for (int t = 0; t < 4; t++)
			pthread_create(&threads[t], NULL, brief, NULL);
		for (int t = 0; t < 4; t++)
			pthread_join(threads[t], NULL);
		bad += waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != i % 256;
	}
	printf("%d rounds, %d bad\n", count, bad);
	return bad;
}
