/* Random lock calls of several processes, one after the other. lockfuzz TREE [SEED [STEPS]] */
#include "lockers.h"

#define LOCKERS 4
#define OWN_SLOTS 5

static const char *const files[] = { "lines.txt", "hello.txt" };
static const int modes[] = { O_RDWR, O_RDWR, O_WRONLY, O_RDONLY };
static uint64_t state;

static unsigned pick(unsigned n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(state >> 33) % n;
}

/* What each slot is: -1 closed, else the mode it was opened with. */
static int slot_mode[LOCKERS][OWN_SLOTS];

static void begin(int i)
{
	for (int s = 0; s < OWN_SLOTS; s++)
		slot_mode[i][s] = -1;
}

static void open_slot(int i, int s, struct order_msg *m)
{
	m->order = OPEN;
	m->arg = modes[pick(COUNT(modes))];
	strcpy(m->path, files[pick(COUNT(files))]);
	slot_mode[i][s] = m->arg;
}

/* Few bytes, so that ranges meet; now and then an end that is far. */
static void random_range(struct flock *l)
{
	l->l_type = (short[]){ F_RDLCK, F_WRLCK, F_UNLCK, F_WRLCK }[pick(4)];
	l->l_whence = pick(8) ? SEEK_SET : SEEK_END;
	l->l_start = l->l_whence == SEEK_SET ? (off_t)pick(20) : -(off_t)pick(5);
	l->l_len = pick(6) ? (off_t)pick(12) : (off_t[]){ 0, INT64_MAX, -5, INT64_MAX - 25 }[pick(4)];
}

static const int commands[] = { F_SETLK, F_SETLK, F_SETLK, F_GETLK, F_GETLK, F_OFD_SETLK, F_OFD_GETLK };

static void random_order(int i, struct order_msg *m)
{
	int s = (int)pick(OWN_SLOTS);

	m->slot = s;
	if (slot_mode[i][s] < 0) {
		open_slot(i, s, m);
		return;
	}
	switch (pick(16)) {
	case 0:
		m->order = CLOSE;
		slot_mode[i][s] = -1;
		return;
	case 1:
	case 2: {
		int to = (int)pick(OWN_SLOTS);

		/* Copies of descriptors that are only read are a limit of ours: see README. */
		if (to && slot_mode[i][to] < 0 && slot_mode[i][s] != O_RDONLY) {
			m->order = DUP;
			m->arg = -to;
			slot_mode[i][to] = slot_mode[i][s];
			return;
		}
		break;
	}
	case 3:
		m->order = FLOCK;
		m->arg = (int[]){ LOCK_SH, LOCK_EX, LOCK_UN }[pick(3)] | LOCK_NB;
		return;
	}
	m->order = LOCK;
	m->arg = commands[pick(COUNT(commands))];
	random_range(&m->fl);
}

static void print_step(int step, int i, struct order_msg *m)
{
	char what[128];

	snprintf(what, sizeof(what), "%d: order %d slot %d arg %d %s %d %d %lld %lld", step, m->order, m->slot, m->arg,
		 m->path, m->fl.l_type, m->fl.l_whence, (long long)m->fl.l_start, (long long)m->fl.l_len);
	locker_do(&lockers[i], what, m);
}

static void restart(int i, int sig)
{
	struct locker *old = &lockers[i];
	int count = locker_count;

	locker_stop(old, sig);
	/* The new one takes the place of the old. */
	locker_count = i;
	locker_start();
	locker_count = count;
	begin(i);
}

static void run(uint64_t seed, int steps)
{
	section("seed %llu", (unsigned long long)seed);
	state = seed;
	for (int i = 0; i < LOCKERS; i++) {
		locker_start();
		begin(i);
	}
	for (int step = 0; step < steps; step++) {
		struct order_msg m = { .order = LOCK };
		int i = (int)pick(LOCKERS);

		if (!pick(60)) {
			restart(i, pick(2) ? SIGKILL : 0);
			continue;
		}
		random_order(i, &m);
		print_step(step, i, &m);
	}
	lockers_stop();
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	if (argc > 2) {
		run(strtoull(argv[2], NULL, 10), argc > 3 ? atoi(argv[3]) : 1000);
		return 0;
	}
	for (uint64_t seed = 1; seed <= 4; seed++)
		run(seed, 400);
	return 0;
}
