/* The journal of what is open, and the process that goes on with it. */
#include "agent_tables.h"

#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>

#include "keep.h"
#include "keeper.h"

#define ROUNDS 200

static int setup(void **state)
{
	return tree_make(base, "mkdir d e && echo hello >f && mkfifo p");
}

static int teardown(void **state)
{
	return tree_remove(base);
}

/* ---- slots ---- */

static struct keep_instance *put(uint64_t number)
{
	struct keep_instance k = { .number = number, .fd = (int)(number * 3) };

	return keep_put(KEEP_INSTANCE, &k);
}

/* How many instances there are; each is whole. */
static unsigned int count(void)
{
	struct keep_instance *k = NULL;
	unsigned int n = 0;

	for (; (k = keep_next(KEEP_INSTANCE, k)); n++)
		assert_int_equal(k->fd, (int)(k->number * 3));
	return n;
}

static void test_nothing_is_kept_without(void **state)
{
	assert_false(keep_on());
	assert_null(put(1));
	assert_null(keep_next(KEEP_INSTANCE, NULL));
	keep_end(NULL);
	keep_drop(KEEP_INSTANCE, NULL);
	keep_bit(NULL, KEEP_LOCKED, true);
	keep_mend();
	assert_int_equal(atomic_load(&keep_one()->inotify), 0);
}

static void test_slots(void **state)
{
	struct keep_instance *one, *two;

	assert_int_equal(keep_begin(), 0);
	one = put(1);
	two = put(2);
	assert_int_equal(count(), 2);
	keep_end(one);
	assert_int_equal(count(), 1);
	assert_ptr_not_equal(put(3), one); /* an ended slot is its owner's still */
	keep_drop(KEEP_INSTANCE, one);
	assert_ptr_equal(put(4), one);
	keep_end(two);
	keep_mend();
	assert_ptr_equal(put(5), two);
	assert_int_equal(count(), 3);
}

static void test_no_room(void **state)
{
	unsigned int n = 0;

	assert_int_equal(keep_begin(), 0);
	while (put(n + 1))
		n++;
	assert_int_equal(n, 4096);
	assert_int_equal(count(), n);
	keep_drop(KEEP_INSTANCE, keep_next(KEEP_INSTANCE, NULL));
	assert_non_null(put(n + 1));
	assert_null(put(n + 2));
}

static void *writer(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	void *slot[16] = { NULL };

	for (uint64_t n = 1;; n++) {
		unsigned int i = (unsigned int)rand_r(&seed) % 16;

		if (slot[i] && n % 3)
			keep_end(slot[i]);
		keep_drop(KEEP_INSTANCE, slot[i]);
		slot[i] = n % 2 ? put(n) : NULL;
	}
	return NULL;
}

static void test_killed_at_any_time(void **state)
{
	pthread_t thread;
	int status;

	assert_int_equal(keep_begin(), 0);
	for (int i = 0; i < ROUNDS; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			keep_mend();
			pthread_create(&thread, NULL, writer, (void *)(uintptr_t)(2 * i));
			writer((void *)(uintptr_t)(2 * i + 1));
		}
		usleep(1000 + (useconds_t)(random() % 2000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(count() <= 32 * (unsigned int)(i + 1));
		keep_mend();
		if (i % 32 == 31) /* what nobody owns any more */
			for (struct keep_instance *k = NULL; (k = keep_next(KEEP_INSTANCE, k));)
				keep_drop(KEEP_INSTANCE, k);
	}
}

/* ---- tables ---- */

static void test_handles(void **state)
{
	struct agent a, b;
	struct handle *f, *h, *gone;

	assert_int_equal(keep_begin(), 0);
	a = agent_new();
	f = opened(&a, 1, "f", O_RDWR);
	done(&a, f);
	handle_note_lock(f);
	h = opened(&a, 2, "d", O_RDONLY);
	h->path = strdup("/d");
	done(&a, h);
	h = opened(&a, 3, "e", O_RDONLY);
	h->path = strdup("/e");
	done(&a, h);
	h = opened(&a, 4, "p", O_RDONLY);
	assert_int_equal(channel_make(h, true), 0);
	done(&a, h);
	done(&a, opened(&a, 5, "f", O_RDONLY));
	assert_int_equal(handle_remove(a.handles, 5, &gone), 0); /* closed, but in use */
	opened(&a, 6, "f", O_RDONLY);                            /* not open yet */
	assert_int_equal(renameat(a.root.fd, "e", a.root.fd, "g"), 0);

	keep_mend();
	b = agent_new();
	assert_int_equal(handles_restore(b.handles, &b.root), 0);
	assert_int_equal(handle_get(b.handles, 1, &h), 0);
	assert_int_equal(h->fd, f->fd);
	assert_int_equal(h->flags, O_RDWR);
	assert_true(S_ISREG(h->type) && h->ino == f->ino && h->dev == f->dev);
	assert_true(handle_is_locked(b.handles, 1));
	assert_int_equal(handle_get(b.handles, 2, &h), 0);
	assert_string_equal(h->path, "/d");
	assert_false(handle_is_locked(b.handles, 2));
	assert_int_equal(handle_get(b.handles, 3, &h), 0);
	assert_null(h->path); /* it has another one */
	assert_int_equal(handle_get(b.handles, 4, &h), 0);
	assert_int_equal(channel_kept(h), KEEP_CHANNEL | KEEP_PENDING);
	assert_int_equal(handle_get(b.handles, 5, &h), -EBADF);
	assert_int_equal(handle_get(b.handles, 6, &h), -EBADF);
	handle_put(a.handles, gone);
}

static int lock(struct agent *a, uint64_t handle, uint64_t owner, int type, uint64_t start)
{
	rfs_Request q = { .which_op = rfs_Request_lock_tag };
	rfs_Reply reply = { 0 };
	struct op op = { .agent = a, .req = &q, .reply = &reply };

	q.op.lock = (rfs_Lock){ .handle = handle, .owner = owner, .command = F_OFD_SETLK, .type = type, .start = start, .length = 1 };
	return op_lock(&op);
}

static void test_owners(void **state)
{
	struct agent a, b;
	struct handle *h;

	assert_int_equal(keep_begin(), 0);
	a = agent_new();
	done(&a, opened(&a, 1, "f", O_RDWR));
	done(&a, opened(&a, 2, "f", O_RDWR));
	done(&a, opened(&a, 3, "f", O_RDWR));
	assert_int_equal(lock(&a, 1, 7, F_WRLCK, 0), 0);
	assert_int_equal(lock(&a, 2, 7, F_WRLCK, 5), 0);
	assert_int_equal(lock(&a, 2, 8, F_RDLCK, 9), 0);
	assert_int_equal(lock(&a, 1, 0, F_RDLCK, 20), 0);

	keep_mend();
	b = agent_new();
	assert_int_equal(handles_restore(b.handles, &b.root), 0);
	assert_int_equal(locks_restore(&b), 0);
	assert_int_equal(lock(&b, 1, 7, F_RDLCK, 5), 0); /* its own */
	assert_int_equal(lock(&b, 2, 8, F_RDLCK, 0), -EAGAIN);
	assert_int_equal(lock(&b, 2, 8, F_WRLCK, 20), -EAGAIN);
	assert_int_equal(lock(&b, 1, 0, F_WRLCK, 20), 0);
	/* Handle 2 is the only one of owner 8's: its close is the end of his locks; owner 7 has another one. */
	assert_int_equal(handle_remove(b.handles, 2, &h), 0);
	locks_forget(&b, h);
	handle_put(b.handles, h);
	assert_int_equal(lock(&b, 3, 9, F_WRLCK, 0), -EAGAIN);
	assert_int_equal(lock(&b, 3, 9, F_WRLCK, 9), 0);
	assert_int_equal(lock(&b, 3, 9, F_WRLCK, 20), -EAGAIN);
	assert_int_equal(handle_remove(b.handles, 1, &h), 0);
	locks_forget(&b, h);
	handle_put(b.handles, h);
	assert_int_equal(lock(&b, 3, 9, F_WRLCK, 0), 0);
}

static unsigned int overflows;

static void emit(void *arg, const struct observed *e)
{
	overflows += e->mask == IN_Q_OVERFLOW && e->wd == -1 && e->instance == 3;
}

static void ready(void *arg)
{
}

static void test_instances(void **state)
{
	struct keep_instance k = { .number = 3 }, *kept;
	struct agent b;

	assert_int_equal(keep_begin(), 0);
	k.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	kept = keep_put(KEEP_INSTANCE, &k);
	atomic_store(&kept->taking, true); /* events that were taken and not told */
	b = agent_new();
	observe_start(b.observer, ready, NULL);
	assert_int_equal(observe_restore(b.observer), 0);
	overflows = 0;
	observe_take(b.observer, emit, NULL);
	observe_take(b.observer, emit, NULL);
	assert_int_equal(overflows, 1);
	assert_false(atomic_load(&kept->taking));
}

/* ---- processes ---- */

/* What the agents of the test tell of themselves. */
struct told {
	pid_t pid[8];
	atomic_int lives, offset, descriptors;
	atomic_bool locked;
};

static struct told *told;

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* An agent that opens one more file in each life, and leaves another one about that nobody knows of. Does not return. */
static void live(void)
{
	struct agent a;
	struct handle *h;
	int life, again;

	signal(SIGSEGV, SIG_DFL); /* cmocka has a handler */
	told->descriptors = descriptors();
	again = keeper_start();
	life = atomic_load(&told->lives);
	keep_mend();
	a = agent_new();
	if (again) {
		close(a.root.fd); /* it has one that was its predecessor's already */
		if (handles_restore(a.handles, &a.root))
			_exit(10);
		keeper_sweep(NULL, 0, NULL, 0);
		told->descriptors = descriptors();
		if (handle_get(a.handles, 1, &h))
			_exit(11);
		told->offset = (int)lseek(h->fd, 0, SEEK_CUR);
		told->locked = flock(open(base, O_RDONLY | O_DIRECTORY), LOCK_EX | LOCK_NB) != 0;
		a.root.fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	h = opened(&a, (uint64_t)life + 1, "f", O_RDWR);
	(void)!read(h->fd, (char[1]){ 0 }, 1);
	done(&a, h);
	if (!again)
		flock(open(base, O_RDONLY | O_DIRECTORY), LOCK_EX);
	told->pid[life] = getpid();
	atomic_fetch_add(&told->lives, 1);
	for (;;)
		pause();
}

static pid_t start(void)
{
	pid_t pid;

	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(keep_begin(), 0);
	pid = fork();
	if (pid == 0)
		live();
	return pid;
}

static void await_life(int lives)
{
	for (int i = 0; i < 5000 && atomic_load(&told->lives) < lives; i++)
		usleep(1000);
	assert_int_equal(atomic_load(&told->lives), lives);
}

static int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* No process is left: its own parent, or nobody, knows PID. */
static void await_end(pid_t pid)
{
	for (int i = 0; i < 5000 && kill(pid, 0) == 0; i++)
		usleep(1000);
	assert_int_equal(kill(pid, 0), -1);
}

static void test_killed(void **state)
{
	pid_t keeper = start();
	int first;

	await_life(1);
	first = told->descriptors;
	kill(told->pid[0], SIGKILL);
	assert_int_equal(status_of(keeper), 128 + SIGKILL); /* the connection's end */
	await_life(2);
	assert_int_equal(told->offset, 1);
	kill(told->pid[1], SIGSEGV);
	await_life(3);
	assert_int_equal(told->offset, 1);
	/* Handles 1 and 2; not what nobody knows of, its lock among it. */
	assert_int_equal(told->descriptors, first + 2);
	assert_false(told->locked);
	kill(told->pid[2], SIGTERM);
	await_end(told->pid[2]);
	assert_int_equal(atomic_load(&told->lives), 3);
}

static void test_told_to_end(void **state)
{
	pid_t keeper = start();

	await_life(1);
	kill(keeper, SIGTERM);
	assert_int_equal(status_of(keeper), 128 + SIGTERM);
	await_end(told->pid[0]);
	assert_int_equal(atomic_load(&told->lives), 1);
}

static void test_keeper_killed(void **state)
{
	pid_t keeper = start();

	await_life(1);
	kill(keeper, SIGKILL);
	assert_int_equal(status_of(keeper), 256 + SIGKILL);
	usleep(20000);
	assert_int_equal(kill(told->pid[0], 0), 0);
	kill(told->pid[0], SIGKILL);
	await_end(told->pid[0]);
	assert_int_equal(atomic_load(&told->lives), 1);
}

static void test_crashes(void **state)
{
	pid_t keeper = start();

	for (int lives = 1; lives <= 3; lives++) {
		await_life(lives);
		kill(told->pid[lives - 1], SIGSEGV);
	}
	assert_int_equal(status_of(keeper), 128 + SIGSEGV);
	await_end(told->pid[2]);
	usleep(20000);
	assert_int_equal(atomic_load(&told->lives), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_kept_without),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_killed_at_any_time),
		cmocka_unit_test_setup_teardown(test_handles, setup, teardown),
		cmocka_unit_test_setup_teardown(test_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_instances, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told_to_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keeper_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crashes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
