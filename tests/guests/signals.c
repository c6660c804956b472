/* Signals that arrive in the middle of calls: no call may fail, be cut short or happen twice. */
#include <signal.h>
#include <sys/time.h>

#include "guest.h"

static volatile long caught;

static void on_signal(int sig)
{
	caught++;
}

static void storm(int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };
	struct itimerval every = { { 0, 500 }, { 0, 500 } };

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

static void calm(void)
{
	struct itimerval never = { { 0, 0 }, { 0, 0 } };

	setitimer(ITIMER_REAL, &never, NULL);
}

static void work(const char *label)
{
	static char buf[200000];
	int append = sys(open, P("log"), O_CREAT | O_WRONLY | O_APPEND, 0644), bad = 0;
	int big = sys(open, P("sizes/s3145745"), O_RDONLY);
	struct stat st;

	for (int i = 0; i < 300; i++) {
		char name[32];

		bad += sys(write, append, "0123456789", 10) != 10;
		bad += sys(pread64, big, buf, sizeof(buf), i * 9000L) != (long)sizeof(buf);
		snprintf(name, sizeof(name), "dir/s%d", i);
		bad += sys(mkdir, P(name), 0755) != 0;
		bad += sys(stat, P(name), &st) != 0;
		bad += sys(rmdir, P(name)) != 0;
	}
	sys(fstat, append, &st);
	close(append);
	close(big);
	calm();
	printf("%s: %d bad, log of %lld bytes, signals came: %d\n", label, bad, (long long)st.st_size, caught > 0);
}

/* A signal sent to itself is handled before the next call, whatever that call is. */
static void synchronous(void)
{
	int fd = sys(open, P("hello.txt"), O_RDWR);
	char c;

	section("synchronous");
	caught = 0;
	for (int i = 0; i < 100; i++) {
		raise(SIGALRM);
		sys(pread64, fd, &c, 1, 0);
		if (caught != i + 1) {
			printf("%ld signals after %d\n", caught, i + 1);
			break;
		}
	}
	printf("%ld\n", caught);
	close(fd);
}

/* A blocking call that is interrupted natively is interrupted here too. */
static void interrupted(int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };
	struct itimerval once = { { 0, 0 }, { 0, 50000 } };
	int pipes[2];
	char c;
	pid_t pid;

	section("interrupted, flags %x", flags);
	sigaction(SIGALRM, &sa, NULL);
	if (pipe(pipes) < 0)
		return;
	pid = fork_clean();
	if (!pid) {
		usleep(200000);
		sys(write, pipes[1], "x", 1);
		_exit(0);
	}
	setitimer(ITIMER_REAL, &once, NULL);
	SHOW(sys(read, pipes[0], &c, 1));
	wait_child("writer", pid);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	storm(SA_RESTART);
	work("restarting");
	SHOW(unlink(P("log")));
	storm(0);
	work("not restarting");
	synchronous();
	interrupted(0);
	interrupted(SA_RESTART);
	return 0;
}
