/*
 * Processes that lock on command, so that what several of them do has an order and its results can be
 * printed. Each has descriptors in numbered slots.
 */
#ifndef LOCKERS_H
#define LOCKERS_H

#include <poll.h>
#include <signal.h>
#include <sys/file.h>

#include "guest.h"

#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#endif

#define SLOTS 8

enum order { OPEN, CLOSE, DUP, LOCK, FLOCK, EXIT };

struct order_msg {
	enum order order;
	int slot, arg; /* OPEN: flags; DUP: another slot, onto which; LOCK: the command; FLOCK: the operation */
	struct flock fl;
	char path[64];
};

struct answer {
	long result;
	int error;
	struct flock fl;
};

struct locker {
	char name;
	pid_t pid;
	int to, from;
	bool busy; /* an order is being waited on */
};

static struct locker lockers[8];
static int locker_count;
static int slots[SLOTS];

static UNUSED const char *who(pid_t pid)
{
	static char name[2];

	for (int i = 0; i < locker_count; i++)
		if (lockers[i].pid == pid) {
			name[0] = lockers[i].name;
			return name;
		}
	return pid == -1 ? "-1" : pid == getpid() ? "me" : pid == 0 ? "0" : "?";
}

static long obey(struct order_msg *m)
{
	switch (m->order) {
	case OPEN:
		slots[m->slot] = open(P(m->path), m->arg, 0644);
		return slots[m->slot] < 0 ? -1 : 0;
	case CLOSE:
		return close(slots[m->slot]);
	case DUP:
		if (m->arg > 0) {
			long r = dup2(slots[m->slot], slots[m->arg]);

			return r == slots[m->arg] ? 0 : -1;
		}
		slots[-m->arg] = dup(slots[m->slot]);
		return slots[-m->arg] < 0 ? -1 : 0;
	case LOCK:
		return fcntl(slots[m->slot], m->arg, &m->fl);
	case FLOCK:
		return flock(slots[m->slot], m->arg);
	case EXIT:
		_exit(0);
	default:
		return -1;
	}
}

static void obey_all(int in, int out)
{
	struct order_msg m;

	while (read(in, &m, sizeof(m)) == sizeof(m)) {
		struct answer a = { 0 };

		errno = 0;
		a.result = obey(&m);
		a.error = a.result < 0 ? errno : 0;
		a.fl = m.fl;
		if (write(out, &a, sizeof(a)) != sizeof(a))
			break;
	}
	_exit(0);
}

static UNUSED struct locker *locker_start(void)
{
	struct locker *l = &lockers[locker_count];
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		exit(97);
	l->name = (char)('A' + locker_count);
	l->to = to[1];
	l->from = from[0];
	l->busy = false;
	l->pid = fork_clean();
	if (!l->pid) {
		for (size_t i = 0; i < COUNT(lockers); i++)
			if (lockers[i].pid) {
				close(lockers[i].to);
				close(lockers[i].from);
			}
		close(to[1]);
		close(from[0]);
		obey_all(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	locker_count++;
	return l;
}

static UNUSED void locker_send(struct locker *l, const struct order_msg *m)
{
	if (write(l->to, m, sizeof(*m)) != sizeof(*m))
		printf("%c does not listen\n", l->name);
	l->busy = true;
}

static UNUSED struct answer locker_answer(struct locker *l)
{
	struct answer a = { .result = -2 };

	if (read(l->from, &a, sizeof(a)) != sizeof(a))
		a.result = -2;
	l->busy = false;
	return a;
}

static const char *result_name(const struct answer *a)
{
	static char text[32];

	if (a->result == -1)
		return err_name(a->error);
	snprintf(text, sizeof(text), "%ld", a->result);
	return text;
}

static UNUSED void print_answer(struct locker *l, const char *what, const struct order_msg *m, const struct answer *a)
{
	printf("%c %s = %s", l->name, what, result_name(a));
	if (m->order == LOCK && (m->arg == F_GETLK || m->arg == F_OFD_GETLK) && !a->result) {
		printf(" type %d whence %d start %lld len %lld", a->fl.l_type, a->fl.l_whence, (long long)a->fl.l_start,
		       (long long)a->fl.l_len);
		if (a->fl.l_type != F_UNLCK)
			printf(" of %s", who(a->fl.l_pid));
	}
	putchar('\n');
}

static UNUSED struct answer locker_do(struct locker *l, const char *what, const struct order_msg *m)
{
	locker_send(l, m);
	struct answer a = locker_answer(l);

	print_answer(l, what, m, &a);
	return a;
}

/* Whether L's order is still being waited on, after it had time to be carried out. */
static UNUSED void locker_waits(struct locker *l)
{
	struct pollfd p = { .fd = l->from, .events = POLLIN };

	printf("%c %s\n", l->name, poll(&p, 1, 150) ? "does not wait" : "waits");
}

/* What the order that was waited on came to. */
static UNUSED void locker_ends(struct locker *l, const char *what)
{
	static const struct order_msg none = { .order = OPEN };
	struct pollfd p = { .fd = l->from, .events = POLLIN };

	if (!poll(&p, 1, 10000)) {
		printf("%c %s: waits for ever\n", l->name, what);
		return;
	}
	struct answer a = locker_answer(l);

	print_answer(l, what, &none, &a);
}

static UNUSED void locker_stop(struct locker *l, int sig)
{
	int status = 0;

	if (sig)
		kill(l->pid, sig);
	close(l->to);
	while (waitpid(l->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(l->from);
	printf("%c %s %d\n", l->name, WIFSIGNALED(status) ? "killed by" : "exits",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	l->pid = 0;
}

static UNUSED void lockers_stop(void)
{
	for (int i = 0; i < locker_count; i++)
		if (lockers[i].pid)
			locker_stop(&lockers[i], 0);
	locker_count = 0;
}

#define ORDER(...) (&(struct order_msg){ __VA_ARGS__ })
#define DO(l, ...) locker_do(l, #__VA_ARGS__, ORDER(__VA_ARGS__))
#define START(l, ...) locker_send(l, ORDER(__VA_ARGS__))

/* Orders by name. Slots are given by the test. */
#define OPEN_(s, name, flags) .order = OPEN, .slot = s, .arg = flags, .path = name
#define CLOSE_(s) .order = CLOSE, .slot = s
#define DUP_TO(s, other) .order = DUP, .slot = s, .arg = -(other)
#define DUP_OVER(s, other) .order = DUP, .slot = s, .arg = other
#define LOCK_(s, cmd, type, start, len) \
	.order = LOCK, .slot = s, .arg = cmd, .fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len }
#define LOCK_W(s, cmd, type, whence, start, len) \
	.order = LOCK, .slot = s, .arg = cmd, .fl = { .l_type = type, .l_whence = whence, .l_start = start, .l_len = len }
#define FLOCK_(s, op) .order = FLOCK, .slot = s, .arg = op

#endif
