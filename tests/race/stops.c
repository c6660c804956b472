/*
 * stops TREE COUNT: signals, stop signals and death in the middle of calls that are served at ptrace stops,
 * for which the task may have to do other calls as well (chdir, execve).
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>

#include "../guests/guest.h"

static char self[PATH_MAX];
static volatile sig_atomic_t ticks;
static int bad;

static void expect(bool good, const char *what)
{
	if (good)
		return;
	printf("%s: %s\n", what, err_name(errno));
	bad++;
}

/* chdir, and whether every register but the result's (and rcx, r11) is what it was. */
static long chdir_checked(const char *path)
{
	register long r10 asm("r10") = 0x1010, r8 asm("r8") = 0x0808, r9 asm("r9") = 0x0909;
	register long r12 asm("r12") = 0x1212, r13 asm("r13") = 0x1313;
	long rdi = (long)path, rsi = 0x5151, rdx = 0xd0d0, rax = SYS_chdir;

	asm volatile("syscall"
		     : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10), "+r"(r8), "+r"(r9), "+r"(r12), "+r"(r13)
		     :
		     : "rcx", "r11", "memory");
	if (rdi != (long)path || rsi != 0x5151 || rdx != 0xd0d0 || r10 != 0x1010 || r8 != 0x0808 || r9 != 0x0909 ||
	    r12 != 0x1212 || r13 != 0x1313)
		errno = EFAULT, expect(false, "registers");
	if (rax >= 0)
		return 0;
	errno = (int)-rax;
	return -1;
}

static void tick(int sig)
{
	int saved = errno;
	struct stat st;

	ticks++;
	/* A file call of its own, wherever the signal hit. */
	if (lstat(T, &st) < 0)
		_exit(90);
	errno = saved;
}

static void tick_at(int hertz)
{
	struct sigaction sa = { .sa_handler = tick };
	struct itimerval often = { .it_interval.tv_usec = hertz ? 1000000 / hertz : 0 };

	often.it_value = often.it_interval;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

static void wander(int count)
{
	struct stat st;

	for (int i = 0; i < count; i++) {
		expect(chdir_checked(T) == 0, "chdir to the tree");
		expect(stat("hello.txt", &st) == 0 && st.st_size == 13, "stat in it");
		expect(chdir_checked("dir") == 0, "chdir on");
		expect(chdir_checked("nothing") == -1 && errno == ENOENT, "chdir to nothing");
		expect(chdir_checked("..") == 0, "chdir back");
		expect(chdir_checked("/") == 0, "chdir home");
	}
}

/* What an exec passes on: no signal blocked, none ignored that was not. */
static int again(void)
{
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int sig = 1; sig < 64; sig++)
		if (sigismember(&mask, sig) == 1)
			return 2;
	return 0;
}

static void exec_again(void)
{
	char *args[] = { self, (char *)T, "again", NULL };

	execve("/nowhere/at/all", args, NULL);
	execve(self, args, NULL);
	_exit(91);
}

static void under_signals(int count)
{
	int status;

	tick_at(2000);
	wander(count);
	for (int i = 0; i < count; i++) {
		pid_t pid = fork_clean();

		if (!pid) {
			tick_at(2000);
			wander(1);
			/* A timer goes on over an exec, and the default of its signal ends. */
			tick_at(0);
			exec_again();
		}
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "exec");
	}
	tick_at(0);
	expect(ticks > 0, "signals");
	printf("under signals: %d bad\n", bad);
}

static void *thread_wanders(void *arg)
{
	if (unshare(CLONE_FS) == 0)
		wander((int)(long)arg);
	return NULL;
}

static void in_threads(int count)
{
	pthread_t threads[6];

	tick_at(2000);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_create(&threads[i], NULL, thread_wanders, (void *)(long)count);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	tick_at(0);
	printf("in threads: %d bad\n", bad);
}

static pid_t wanderer(bool threads)
{
	pid_t pid = fork_clean();
	pthread_t thread;

	if (pid)
		return pid;
	if (threads)
		for (int i = 0; i < 3; i++)
			pthread_create(&thread, NULL, thread_wanders, (void *)1000000L);
	for (;;)
		wander(1000);
}

static void stopped(int count)
{
	pid_t pid = wanderer(false);
	int status;

	for (int i = 0; i < count; i++) {
		usleep((useconds_t)(i * 377 % 900));
		kill(pid, SIGSTOP);
		expect(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status), "stop");
		kill(pid, SIGCONT);
		expect(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status), "continue");
	}
	kill(pid, SIGKILL);
	expect(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "kill");
	printf("stopped and continued: %d bad\n", bad);
}

static void killed(int count)
{
	int status;

	for (int i = 0; i < count; i++) {
		pid_t pid = wanderer(i & 1);

		usleep((useconds_t)(i * 1377 % 9000));
		kill(pid, SIGKILL);
		expect(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "kill");
	}
	printf("killed: %d bad\n", bad);
}

static void *exec_from_thread(void *arg)
{
	usleep((useconds_t)(long)arg);
	exec_again();
	return NULL;
}

/* All other threads, the first one included, are in the middle of something when one of them execs. */
static void execs_among(int count)
{
	pthread_t thread;
	int status;

	for (int i = 0; i < count; i++) {
		pid_t pid = fork_clean();

		if (!pid) {
			for (int t = 0; t < 3; t++)
				pthread_create(&thread, NULL, thread_wanders, (void *)1000000L);
			pthread_create(&thread, NULL, exec_from_thread, (void *)(long)(i * 1777 % 6000));
			for (;;)
				wander(1000);
		}
		expect(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0, "exec from a thread");
	}
	printf("exec among threads: %d bad\n", bad);
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 20;

	guest_init(argc, argv);
	if (argc > 2 && !strcmp(argv[2], "again"))
		return again();
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 94;
	under_signals(count);
	in_threads(count);
	stopped(count);
	killed(count);
	execs_among(count);
	return bad != 0;
}
