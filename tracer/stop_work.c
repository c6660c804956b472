#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>

#include "behalf.h"
#include "log.h"
#include "overlay.h"
#include "state.h"
#include "stop_int.h"
#include "task.h"

/* What workers want of the ptrace thread. */
static struct job *orders, **last_order = &orders;
static pthread_t ptrace_thread;

void stop_hear_workers(void)
{
	ptrace_thread = pthread_self();
}

struct job *stop_next_order(void)
{
	struct job *j = orders;

	if (j)
		orders = j->next;
	if (!orders)
		last_order = &orders;
	return j;
}

static void post(struct job *order)
{
	order->next = NULL;
	*last_order = order;
	last_order = &order->next;
	/* It sleeps in sigwait: the kernel rings the same bell for the tasks. */
	pthread_kill(ptrace_thread, SIGCHLD);
}

static void wish(struct stop *s, enum wish what)
{
	s->wish = what;
	s->posted = true;
	post(&s->order);
}

struct interruption {
	struct job order;
	pid_t tid;
	bool done;
	pthread_cond_t told;
};

static void interrupt(struct job *order)
{
	struct interruption *i = (struct interruption *)((char *)order - offsetof(struct interruption, order));

	ptrace(PTRACE_INTERRUPT, i->tid, 0, 0);
	i->done = true;
	pthread_cond_signal(&i->told);
}

void stop_interrupt(pid_t tid)
{
	struct interruption i = { .order.run = interrupt, .tid = tid, .told = PTHREAD_COND_INITIALIZER };

	task_lock();
	post(&i.order);
	while (!i.done)
		pthread_cond_wait(&i.told, &task_mutex);
	task_unlock();
}

void stop_replace(pid_t tid, int nr, uint64_t arg, long result)
{
	task_lock();
	struct task *t = task_find(tid);
	if (t) {
		t->replace_nr = nr;
		t->replace_arg = arg;
		t->replace = result;
	}
	task_unlock();
	/* On its way back to the program it stops. */
	stop_interrupt(tid);
}

/* What the program gets of a call that the kernel has done. */
static long look_after(struct call *c, long result)
{
	if (!c->after)
		return result;
	state_lock();
	result = c->after(c, result);
	behalf_end();
	overlay_leave(c);
	state_unlock();
	return result;
}

void stop_serve(struct job *job)
{
	struct stop *s = (struct stop *)((char *)job - offsetof(struct stop, job));
	struct call *c = &s->call;
	long result = s->over ? look_after(c, s->result) : call_dispatch(c);
	/* What the kernel will answer is logged when it has. */
	bool unknown = !s->over && (result == CALL_REWRITE || (result == CALL_CONTINUE && (c->after || s->phase == BEHIND)));

	if (!unknown)
		log_call(c, result == CALL_CONTINUE ? c->expected : result);
	task_lock();
	s->result = result;
	wish(s, WISH_FINISH);
	task_unlock();
}

long stop_inject(struct stop *s, int nr, const uint64_t arg[6])
{
	long result = -ESRCH;

	task_lock();
	if (!s->dead) {
		s->nr = nr;
		memcpy(s->arg, arg, sizeof(s->arg));
		wish(s, WISH_INJECT);
		while (s->wish == WISH_INJECT)
			pthread_cond_wait(&s->answered, &task_mutex);
		result = s->result;
	}
	task_unlock();
	return result;
}

long stop_install_fd(struct stop *s, int src, int at, bool cloexec)
{
	static const uint64_t none[6];

	task_lock();
	s->install = (struct stop_install){ .src = src, .at = at, .cloexec = cloexec };
	task_unlock();
	long rc = stop_inject(s, STOP_INSTALL_NR, none);
	task_lock();
	s->install.src = -1;
	task_unlock();
	return rc;
}

bool stop_valid(const struct stop *s)
{
	task_lock();
	bool valid = !s->dead;
	task_unlock();
	return valid;
}

bool stop_has(pid_t tid, struct stop_install *wanted)
{
	task_lock();
	const struct task *t = task_find(tid);
	bool found = t && t->stop;
	if (found)
		*wanted = t->stop->install;
	task_unlock();
	return found;
}
