#include "self.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXE "/proc/self/exe"
#define SERVING_TRIES 20

void self_unlink(void)
{
	char path[PATH_MAX];
	struct stat own, named;
	ssize_t n = readlink(EXE, path, sizeof(path) - 1);

	if (n <= 0)
		return;
	path[n] = '\0';
	if (!stat(EXE, &own) && !lstat(path, &named) && own.st_dev == named.st_dev && own.st_ino == named.st_ino)
		unlink(path);
}

/* A holder has the lock for a moment only; somebody else may keep it, and is not waited for. */
void self_serving(void)
{
	int fd = open(EXE, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	for (int i = 0; i < SERVING_TRIES && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static bool somebody_serves(int exe)
{
	if (flock(exe, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK;
	flock(exe, LOCK_UN);
	return false;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits a second; false if we are to end. Process 1 gets no signal that it has not asked for, so they are fetched. */
static bool pause_second(const sigset_t *signals)
{
	int s = sigtimedwait(signals, NULL, &(struct timespec){ .tv_sec = 1 });

	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return s < 0 || s == SIGCHLD;
}

int self_hold(unsigned int seconds)
{
	int64_t since = now_ms();
	sigset_t signals;
	int exe;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGCHLD, SIG_DFL);
	exe = open(EXE, O_RDONLY | O_CLOEXEC);
	if (exe < 0)
		return -errno;
	/* Whoever serves now may do so until we look again. */
	while (now_ms() - since < (int64_t)seconds * 1000 && pause_second(&signals))
		if (somebody_serves(exe))
			since = now_ms() + 1000;
	close(exe);
	return 0;
}
