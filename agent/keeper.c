#include "keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "keep.h"

#define KEEPER_CRASHES 3 /* one after another, each within … */
#define KEEPER_CRASH_S 10
#define KEEPER_ORPHAN SIGUSR2

/* ---- sets of descriptors ---- */

struct fds {
	int *fd;
	size_t count, room;
};

/* Out of memory it ends us: what is not in a set might be closed. */
static void fds_add(struct fds *s, int fd)
{
	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->fd = realloc(s->fd, s->room * sizeof(*s->fd));
		if (!s->fd)
			abort();
	}
	s->fd[s->count++] = fd;
}

static int fds_order(const void *a, const void *b)
{
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static bool fds_has(const struct fds *s, int fd)
{
	return s->count && bsearch(&fd, s->fd, s->count, sizeof(*s->fd), fds_order);
}

/* What this process has open, in order. */
static struct fds fds_open(void)
{
	struct fds s = { NULL, 0, 0 };
	DIR *d = opendir("/proc/self/fd");
	const struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d))
			fds_add(&s, atoi(e->d_name));
	if (d)
		closedir(d);
	qsort(s.fd, s.count, sizeof(*s.fd), fds_order);
	return s;
}

/* What was open before there was a keeper: the root, and what nobody closes. */
static struct fds first;

static struct fds fds_kept(void)
{
	struct fds s = { NULL, 0, 0 };
	struct keep_handle *h = NULL;
	struct keep_owner *o = NULL;
	struct keep_instance *i = NULL;

	while ((h = keep_next(KEEP_HANDLE, h)))
		fds_add(&s, h->fd);
	while ((o = keep_next(KEEP_OWNER, o)))
		fds_add(&s, o->fd);
	while ((i = keep_next(KEEP_INSTANCE, i)))
		fds_add(&s, i->fd);
	fds_add(&s, atomic_load(&keep_one()->inotify) - 1);
	return s;
}

void keeper_sweep(const int *keep, size_t count, const int *drop, size_t drops)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct fds kept = fds_kept(), dropped = { NULL, 0, 0 }, now = fds_open();
	size_t i;

	for (i = 0; i < count; i++)
		fds_add(&kept, keep[i]);
	for (i = 0; i < drops; i++)
		fds_add(&dropped, drop[i]);
	qsort(kept.fd, kept.count, sizeof(*kept.fd), fds_order);
	if (dropped.count)
		qsort(dropped.fd, dropped.count, sizeof(*dropped.fd), fds_order);
	for (i = 0; i < now.count; i++) {
		int fd = now.fd[i];

		if (fds_has(&kept, fd) || (fd == null && fd > STDERR_FILENO))
			continue;
		if (fd <= STDERR_FILENO)
			dup2(null, fd);
		else if (!fds_has(&first, fd) || fds_has(&dropped, fd))
			close(fd);
	}
	if (null > STDERR_FILENO)
		close(null);
	free(kept.fd);
	free(dropped.fd);
	free(now.fd);
}

/* ---- the title ---- */

static const char title[] = "remotefs-agent: keeper";
static struct {
	char *at, *own;
	size_t len;
} titled;

void keeper_title_at(int argc, char **argv)
{
	char *end = argc ? argv[argc - 1] + strlen(argv[argc - 1]) + 1 : NULL;

	titled.at = argc ? argv[0] : NULL;
	titled.len = argc ? (size_t)(end - argv[0]) : 0;
	titled.own = malloc(titled.len);
	if (titled.own)
		memcpy(titled.own, titled.at, titled.len);
}

static void title_set(bool keeper)
{
	size_t len = sizeof(title) < titled.len ? sizeof(title) : titled.len;

	if (!titled.own || !titled.len)
		return;
	memset(titled.at, 0, titled.len);
	memcpy(titled.at, keeper ? title : titled.own, keeper ? len : titled.len);
	titled.at[titled.len - 1] = '\0'; /* else ps goes on reading behind it */
}

/* ---- the processes ---- */

/* Not fork(3): the child has our descriptors, not a copy of their table. There is one thread, so its memory is sound. */
static pid_t keeper_clone(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
}

static void keeper_orphaned(int sig)
{
	static const char line[] = "remotefs-agent: its keeper was killed: it goes on without; if it is killed, too, another agent opens its files again\n";
	ssize_t n = write(STDERR_FILENO, line, sizeof(line) - 1);

	(void)n;
}

static void agent_begin(pid_t keeper, const sigset_t *mask)
{
	struct sigaction orphaned = { .sa_handler = keeper_orphaned, .sa_flags = SA_RESTART };

	title_set(false);
	sigaction(KEEPER_ORPHAN, &orphaned, NULL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	prctl(PR_SET_PDEATHSIG, KEEPER_ORPHAN);
	if (getppid() != keeper)
		raise(KEEPER_ORPHAN);
}

/* How CHILD ended. What we are told to do it is told. */
static int keeper_wait(pid_t child, const sigset_t *signals)
{
	int status, sig;

	for (;;) {
		if (waitpid(child, &status, WNOHANG) == child)
			return status;
		sig = sigwaitinfo(signals, NULL);
		if (sig > 0 && sig != SIGCHLD)
			kill(child, sig);
	}
}

static int64_t keeper_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Whether an agent that lived from SINCE on and ended with STATUS is to be replaced: not when it was told to end, and not for ever. */
static bool keeper_replaces(int status, int64_t since)
{
	static int crashes;
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (!sig || sig == SIGTERM || sig == SIGHUP)
		return false;
	crashes = sig == SIGKILL || keeper_now() - since > KEEPER_CRASH_S ? 0 : crashes + 1;
	if (crashes < KEEPER_CRASHES) {
		agent_say("it was killed by signal %d (%s); another process goes on with its open files", sig, strsignal(sig));
		return true;
	}
	agent_say("it crashed again and again (%s): it is given up, with its open files", strsignal(sig));
	return false;
}

/*
 * The process that was started for a connection makes way for another keeper: its end is what ends the connection (docker exec,
 * ssh), which is of no more use.
 */
static void keeper_hand_on(int status)
{
	pid_t next = keeper_clone();

	if (next > 0)
		_exit(128 + WTERMSIG(status));
	setsid(); /* what hangs up then is not for those who go on */
}

int keeper_start(void)
{
	sigset_t signals, mask;
	pid_t child, self;
	int64_t since;
	int status, again = 0;

	first = fds_open();
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &signals, &mask);
	for (;;) {
		self = getpid();
		child = keeper_clone();
		if (child <= 0)
			break;
		title_set(true);
		since = keeper_now();
		status = keeper_wait(child, &signals);
		if (!keeper_replaces(status, since))
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
		if (!again)
			keeper_hand_on(status);
		again = 1;
	}
	if (child < 0 && again)
		_exit(125);
	if (child < 0) {
		status = -errno;
		sigprocmask(SIG_SETMASK, &mask, NULL);
		return status;
	}
	agent_begin(self, &mask);
	return again;
}
