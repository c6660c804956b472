/* Locks that are waited for: who gets them, what interrupts the wait, and what would wait for ever. */
#include <pthread.h>

#include "lockers.h"

static struct locker *a, *b, *c;

static void open_all(const char *name, int count)
{
	for (int i = 0; i < count; i++) {
		struct order_msg m = { OPEN_(1, "", O_RDWR) };

		snprintf(m.path, sizeof(m.path), "%s", name);
		locker_start();
		locker_do(&lockers[i], "open", &m);
	}
	a = &lockers[0];
	b = &lockers[1];
	c = &lockers[2];
}

static void granted(void)
{
	section("granted");
	open_all("lines.txt", 3);
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 0, 10));
	START(b, LOCK_(1, F_SETLKW, F_WRLCK, 5, 10));
	locker_waits(b);
	DO(a, LOCK_(1, F_SETLK, F_UNLCK, 0, 5));
	locker_waits(b);
	DO(a, LOCK_(1, F_SETLK, F_UNLCK, 0, 10));
	locker_ends(b, "lock");
	/* by a close, by a death */
	START(a, LOCK_(1, F_SETLKW, F_RDLCK, 5, 10));
	START(c, LOCK_(1, F_SETLKW, F_RDLCK, 0, 0));
	locker_waits(a);
	locker_waits(c);
	DO(b, CLOSE_(1));
	locker_ends(a, "lock");
	locker_ends(c, "lock");
	DO(b, OPEN_(1, "lines.txt", O_RDWR));
	START(b, LOCK_(1, F_SETLKW, F_WRLCK, 100, 0));
	locker_waits(b);
	locker_stop(c, SIGKILL);
	locker_ends(b, "lock");
	DO(a, LOCK_(1, F_GETLK, F_WRLCK, 50, 0));
	/* who is killed while it waits gets nothing */
	c = locker_start();
	DO(c, OPEN_(1, "lines.txt", O_RDWR));
	START(c, LOCK_(1, F_SETLKW, F_RDLCK, 0, 0));
	locker_waits(c);
	locker_stop(c, SIGKILL);
	DO(b, LOCK_(1, F_SETLK, F_UNLCK, 0, 0));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 100, 0));
	lockers_stop();
}

/* A conversion that has to wait leaves what there is. */
static void conversions(void)
{
	section("conversions");
	open_all("lines.txt", 3);
	DO(a, LOCK_(1, F_SETLK, F_RDLCK, 0, 10));
	DO(b, LOCK_(1, F_SETLK, F_RDLCK, 0, 10));
	START(a, LOCK_(1, F_SETLKW, F_WRLCK, 0, 10));
	locker_waits(a);
	DO(c, LOCK_(1, F_SETLK, F_WRLCK, 0, 10));
	DO(c, LOCK_(1, F_SETLK, F_RDLCK, 0, 10));
	DO(b, LOCK_(1, F_SETLK, F_UNLCK, 0, 10));
	locker_waits(a);
	DO(c, LOCK_(1, F_SETLK, F_UNLCK, 0, 10));
	locker_ends(a, "lock");
	DO(c, LOCK_(1, F_GETLK, F_RDLCK, 0, 10));
	lockers_stop();
}

static void deadlocks(void)
{
	section("deadlocks");
	open_all("lines.txt", 4);
	struct locker *d = &lockers[3];
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 0, 1));
	DO(b, LOCK_(1, F_SETLK, F_WRLCK, 1, 1));
	START(a, LOCK_(1, F_SETLKW, F_WRLCK, 1, 1));
	locker_waits(a);
	DO(b, LOCK_(1, F_SETLKW, F_WRLCK, 0, 1));
	DO(b, LOCK_(1, F_SETLKW, F_RDLCK, 0, 1));
	DO(b, LOCK_(1, F_SETLK, F_UNLCK, 1, 1));
	locker_ends(a, "lock");
	/* three, in two files */
	for (int i = 0; i < 3; i++)
		locker_do(&lockers[i], "open", ORDER(OPEN_(2, "hello.txt", O_RDWR)));
	DO(b, LOCK_(2, F_SETLK, F_WRLCK, 0, 0));
	DO(c, LOCK_(1, F_SETLK, F_RDLCK, 7, 1));
	START(a, LOCK_(2, F_SETLKW, F_RDLCK, 0, 1));
	locker_waits(a);
	START(b, LOCK_(1, F_SETLKW, F_WRLCK, 7, 1));
	locker_waits(b);
	DO(c, LOCK_(1, F_SETLKW, F_WRLCK, 0, 2));
	/* who only waits is no deadlock */
	START(d, LOCK_(1, F_SETLKW, F_WRLCK, 0, 1));
	locker_waits(d);
	DO(c, LOCK_(1, F_SETLK, F_UNLCK, 7, 1));
	locker_ends(b, "lock");
	locker_stop(b, SIGKILL);
	locker_ends(a, "lock");
	DO(a, CLOSE_(1));
	locker_ends(d, "lock");
	/* open files' locks are not looked through */
	DO(c, LOCK_(1, F_OFD_SETLK, F_WRLCK, 0x100, 1));
	DO(a, OPEN_(1, "lines.txt", O_RDWR));
	DO(a, LOCK_(1, F_OFD_SETLK, F_WRLCK, 0x101, 1));
	START(c, LOCK_(1, F_OFD_SETLKW, F_WRLCK, 0x101, 1));
	locker_waits(c);
	START(a, LOCK_(1, F_OFD_SETLKW, F_WRLCK, 0x100, 1));
	locker_waits(a);
	locker_stop(a, SIGKILL);
	locker_ends(c, "lock");
	lockers_stop();
}

static void queues(void)
{
	section("queues");
	open_all("lines.txt", 4);
	struct locker *d = &lockers[3];
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 0, 0));
	START(b, LOCK_(1, F_SETLKW, F_WRLCK, 0, 0));
	locker_waits(b);
	START(c, LOCK_(1, F_SETLKW, F_WRLCK, 0, 0));
	locker_waits(c);
	START(d, LOCK_(1, F_SETLKW, F_WRLCK, 0, 0));
	locker_waits(d);
	DO(a, LOCK_(1, F_SETLK, F_UNLCK, 0, 0));
	/* One has it, whoever; the others wait. */
	usleep(100000);
	for (int round = 0; round < 3; round++) {
		struct pollfd p[] = { { b->from, POLLIN, 0 }, { c->from, POLLIN, 0 }, { d->from, POLLIN, 0 } };
		struct locker *l = NULL;
		int ready = 0;

		for (int i = 0; i < 3; i++)
			p[i].fd = lockers[i + 1].busy ? p[i].fd : -1;
		poll(p, 3, 5000);
		usleep(100000);
		poll(p, 3, 0);
		for (int i = 0; i < 3; i++)
			if (p[i].revents) {
				ready++;
				l = &lockers[i + 1];
			}
		printf("%d has it\n", ready);
		if (!l)
			break;
		struct answer got = locker_answer(l);
		printf("%s\n", result_name(&got));
		locker_send(l, ORDER(LOCK_(1, F_SETLK, F_UNLCK, 0, 0)));
		locker_answer(l);
	}
	lockers_stop();
}

static void flocks(const char *name)
{
	section("flock %s", name);
	open_all(name, 3);
	DO(a, FLOCK_(1, LOCK_EX));
	START(b, FLOCK_(1, LOCK_SH));
	locker_waits(b);
	START(c, FLOCK_(1, LOCK_SH));
	locker_waits(c);
	DO(a, FLOCK_(1, LOCK_SH));
	locker_ends(b, "flock");
	locker_ends(c, "flock");
	/* A conversion gives up what it had before it waits. */
	START(a, FLOCK_(1, LOCK_EX));
	locker_waits(a);
	DO(b, FLOCK_(1, LOCK_EX | LOCK_NB)); /* refused, and its shared lock is gone */
	locker_waits(a);
	DO(c, FLOCK_(1, LOCK_UN));
	locker_ends(a, "flock");
	START(b, FLOCK_(1, LOCK_EX));
	locker_waits(b);
	locker_stop(a, SIGKILL);
	locker_ends(b, "flock");
	DO(b, CLOSE_(1));
	DO(c, FLOCK_(1, LOCK_EX));
	lockers_stop();
}

/* ---- signals ---- */

static volatile int signals;

static void handler(int sig)
{
	signals++;
}

static void catch(int sig, int flags)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = flags };

	sigaction(sig, &act, NULL);
}

static pid_t send_later(int sig, int ms)
{
	pid_t parent = getpid(), pid = fork_clean();

	if (pid)
		return pid;
	usleep((unsigned)ms * 1000);
	kill(parent, sig);
	_exit(0);
}

static long lockw(int fd, int cmd, int type)
{
	struct flock fl = { .l_type = (short)type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };

	return sys(fcntl, fd, cmd, &fl);
}

static void interrupted(const char *name, int cmd)
{
	int fd = open(P(name), O_RDWR);
	pid_t senders[4];
	sigset_t usr2;

	section("signals %d", cmd);
	open_all(name, 3);
	if (cmd < 0)
		DO(a, FLOCK_(1, LOCK_EX));
	else
		DO(a, LOCK_(1, F_OFD_SETLK, F_WRLCK, 0, 0));
#define WAIT() (cmd < 0 ? sys(flock, fd, LOCK_EX) : lockw(fd, cmd, F_WRLCK))
	catch(SIGUSR1, 0);
	senders[0] = send_later(SIGUSR1, 100);
	SHOW(WAIT());
	wait_child("sender", senders[0]);
	printf("%d signals\n", signals);
	/* One that is blocked does not; one that is ignored does not; one that restarts does not. */
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	sigprocmask(SIG_BLOCK, &usr2, NULL);
	catch(SIGUSR2, 0);
	senders[0] = send_later(SIGUSR2, 50);
	signal(SIGWINCH, SIG_IGN);
	senders[1] = send_later(SIGWINCH, 60);
	catch(SIGALRM, SA_RESTART);
	senders[2] = send_later(SIGALRM, 70);
	senders[3] = send_later(SIGUSR1, 400);
	SHOW(WAIT());
	for (int i = 0; i < 4; i++)
		wait_child("sender", senders[i]);
	printf("%d signals\n", signals);
	sigprocmask(SIG_UNBLOCK, &usr2, NULL);
	printf("%d signals\n", signals);
	signals = 0;
	/* What was interrupted holds nothing. */
	if (cmd < 0)
		DO(a, FLOCK_(1, LOCK_UN));
	else
		DO(a, LOCK_(1, F_OFD_SETLK, F_UNLCK, 0, 0));
	if (cmd < 0)
		DO(b, FLOCK_(1, LOCK_EX | LOCK_NB));
	else
		DO(b, LOCK_(1, F_OFD_SETLK, F_WRLCK, 0, 0));
	lockers_stop();
	SHOW(WAIT());
	close(fd);
}

static void *lock_in_thread(void *arg)
{
	return (void *)lockw(*(int *)arg, F_SETLKW, F_WRLCK);
}

/* Two threads of one process wait for the same bytes, and both get them. */
static void threads(void)
{
	int fd = open(P("lines.txt"), O_RDWR);
	pthread_t t[2];
	void *result;

	section("threads");
	open_all("lines.txt", 3);
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 0, 0));
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, lock_in_thread, &fd);
	usleep(100000);
	DO(a, LOCK_(1, F_SETLK, F_UNLCK, 0, 0));
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], &result);
		printf("thread: %ld\n", (long)result);
	}
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	lockers_stop();
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	granted();
	conversions();
	deadlocks();
	queues();
	flocks("lines.txt");
	flocks("sizes/s3145745");
	interrupted("lines.txt", F_SETLKW);
	interrupted("lines.txt", F_OFD_SETLKW);
	interrupted("lines.txt", -1);
	threads();
	return 0;
}
