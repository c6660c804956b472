/*
 * How old answers are. One process changes a tree natively and notes in LOG, a file that both map, what each name and each
 * inode was between which moments; others, supervised, ask about the same tree, and look into LOG how old each answer is:
 *
 *   coherent change TREE LOG SEED SECONDS QUIET_MS   makes TREE, and changes it once somebody observes
 *   coherent observe TREE LOG LIMIT_US               asks until the changes end, then whether all is as it is
 *   coherent report LOG                              prints what came of it; 1 if any answer was older than LIMIT_US
 *
 * A state was current from some moment in the call that made it until some moment in the call that ended it, so an answer's age is
 * what passed from the return of the call that ended the state to the beginning of the call that got it, if that is later.
 * What a machine is late with everything, each role measures beside it, and an answer may be older by that: see is_excused.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "coherent.h"

struct log *L;
static __thread uint64_t dice;

int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

unsigned roll(unsigned sides)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (dice >> 20) % sides;
}

void roll_seed(uint64_t seed)
{
	dice = (seed + 1) * 0x9e3779b97f4a7c15u;
}

void pause_us(unsigned us)
{
	nanosleep(&(struct timespec){ us / 1000000, us % 1000000 * 1000L }, NULL);
}

/* ---- how late this machine is ---- */

static int64_t own_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Who only sleeps is woken before all others; those who are measured here work, too. */
static void *measure_noise(void *arg)
{
	_Atomic int64_t *noise = arg;

	for (int64_t start = now(), end;; start = end) {
		pause_us(1000);
		for (int64_t until = own_time() + WORK_NS; own_time() < until;)
			;
		end = now();
		for (int64_t t = start - NOISE_NS; t < end; t += NOISE_NS) {
			int64_t at = (t + NOISE_NS - L->start) / NOISE_NS;
			if (at >= 0 && at < NOISES && noise[at] < end - start - 1000000 - WORK_NS)
				noise[at] = end - start - 1000000 - WORK_NS;
		}
	}
	return NULL;
}

static int64_t noise_between(int64_t from, int64_t to)
{
	int64_t most = 0;

	for (int64_t at = (from - L->start) / NOISE_NS; at <= (to - L->start) / NOISE_NS + 1; at++)
		for (int role = 0; role < 2 && at >= 0 && at < NOISES; role++)
			most = L->noise[role][at] > most ? L->noise[role][at] : most;
	return most;
}

/* ---- how old an answer is ---- */

/* By how much the state of R, which NEXT ended (NULL: none did), was over before T0. */
static int64_t age_of(const struct record *next, int64_t t0)
{
	int64_t after = next ? next->after : 0;

	return after && after < t0 ? t0 - after : 0;
}

static bool has_field(const struct record *r, enum field f, int64_t value)
{
	switch (f) {
	case SIZE:
		return r->size == value;
	case READ_SIZE:
		return (r->size < READ ? r->size : READ) == value;
	case MODE:
		return r->mode == value;
	default:
		return r->version == value;
	}
}

/* The least age of VALUE of F in the history of INODE; NEVER: it was never that. */
static int64_t field_age(int inode, enum field f, int64_t value, int64_t t0, int64_t t1)
{
	const struct record *next = NULL, *r;

	if (value == UNKNOWN)
		return 0;
	for (int i = L->inode[inode].head; i; next = r, i = r->prev) {
		r = &L->record[i];
		if (r->before <= t1 && has_field(r, f, value))
			return age_of(next, t0);
	}
	return NEVER;
}

int64_t inode_age(int inode, const struct answer *a)
{
	int64_t worst = 0;

	for (enum field f = 0; f < FIELDS; f++) {
		int64_t age = field_age(inode, f, a->field[f], a->t0, a->t1);
		worst = age > worst ? age : worst;
	}
	return worst;
}

static bool may_be(int inode, const struct answer *a)
{
	if (a->absent || !inode)
		return a->absent && !inode;
	uint64_t ino = L->inode[inode].ino;
	return (a->inode == UNKNOWN || a->inode == inode) && (!a->ino || !ino || a->ino == ino) &&
	       (!a->kind || a->kind == L->inode[inode].kind);
}

int64_t path_age(int path, const struct answer *a)
{
	const struct record *next = NULL, *r;
	int64_t best = NEVER;

	for (int i = L->path[path].head; i; next = r, i = r->prev) {
		r = &L->record[i];
		int64_t age = age_of(next, a->t0);
		if (age >= best)
			break;
		if (r->before > a->t1 || !may_be(r->inode, a))
			continue;
		int64_t fields = r->inode ? inode_age(r->inode, a) : 0;
		age = fields > age ? fields : age;
		best = age < best ? age : best;
	}
	return best;
}

void take_answer(const struct answer *a, int64_t age)
{
	if (a->t1 - a->t0 > SLOW_NS) {
		L->slow++;
		return;
	}
	L->answers[a->what]++;
	L->ages[age >= AGES * AGE_NS ? AGES - 1 : (age + AGE_NS - 1) / AGE_NS]++;
	if (age <= (L->stopped && a->t0 > L->stopped + L->settled ? 0 : L->limit))
		return;
	int at = L->suspects++;
	if (at < SUSPECTS)
		L->suspect[at] = (struct suspect){ .answer = *a, .age = age };
}

/* ---- the report ---- */

/* Each hand that a change goes through (agent, relay, supervisor, program) may come late by as much as we did. */
static bool is_excused(const struct suspect *s)
{
	const struct answer *a = &s->answer;

	if (s->age == NEVER || (L->stopped && a->t0 > L->stopped + L->settled))
		return false;
	return s->age <= L->limit + 6 * noise_between(a->t0 - s->age - 2 * NOISE_NS, a->t1 + NOISE_NS);
}

static void print_history(int head, const struct answer *a)
{
	for (int i = head, n = 0; i && n < 6; i = L->record[i].prev) {
		const struct record *r = &L->record[i];
		if (r->before > a->t1 + 20000000)
			continue;
		printf("      from %.3f ms (after %.3f): inode %d (%llu), size %d, version %d, mode %o\n", (r->before - a->t0) / 1e6,
		       (r->after - a->t0) / 1e6, r->inode, r->inode ? (unsigned long long)L->inode[r->inode].ino : 0, r->size, r->version, r->mode);
		n++;
	}
}

static void print_suspect(const struct suspect *s)
{
	static const char *const names[] = { WHATS };
	const struct answer *a = &s->answer;

	if (a->path < -1)
		printf("  inode %d instead:\n", -1 - a->path);
	printf("  %s %s by %d at %.3f s, %.3f ms long: ", names[a->what], a->path < 0 ? "of an open file" : L->path[a->path].name, a->tid,
	       (a->t0 - L->start) / 1e9, (a->t1 - a->t0) / 1e6);
	if (s->age == NEVER)
		printf("never true");
	else
		printf("%.3f ms old", s->age / 1e6);
	printf("%s: %s, error %d, inode %lld (%llu), size %lld, read %lld, version %lld, mode %llo\n",
	       L->stopped && a->t0 > L->stopped ? ", after the last change" : "", a->absent ? "absent" : "there", a->error,
	       (long long)a->inode, (unsigned long long)a->ino, (long long)a->field[SIZE], (long long)a->field[READ_SIZE],
	       (long long)a->field[VERSION], (unsigned long long)a->field[MODE]);
	if (a->path >= 0)
		print_history(L->path[a->path].head, a);
	if (a->inode > 0)
		print_history(L->inode[a->inode].head, a);
}

static int report(void)
{
	static const char *const names[] = { WHATS };
	uint64_t all = 0, above = 0;
	int suspects = L->suspects < SUSPECTS ? L->suspects : SUSPECTS, bad = 0, most, p999;

	for (int i = 0; i < WHAT_COUNT; i++)
		all += L->answers[i];
	for (most = AGES - 1; most && !L->ages[most]; most--)
		;
	for (p999 = AGES - 1; p999 && above + L->ages[p999] <= all / 1000; p999--)
		above += L->ages[p999];
	for (int i = 0; i < suspects; i++)
		if (!is_excused(&L->suspect[i]) && bad++ < (getenv("COHERENT_ALL") ? SUSPECTS : 8))
			print_suspect(&L->suspect[i]);
	printf("seed %llu: %llu changes, %llu answers (", (unsigned long long)L->seed, (unsigned long long)L->changes, (unsigned long long)all);
	for (int i = 0; i < WHAT_COUNT; i++)
		printf("%s%s %llu", i ? ", " : "", names[i], (unsigned long long)L->answers[i]);
	printf("), %llu too slow to tell; oldest %s%.1f ms, 99.9 %% up to %.1f ms; limit %.1f ms, noise up to %.1f ms, %d excused by it, %d bad%s\n",
	       (unsigned long long)L->slow, most == AGES - 1 ? "over " : "", most * (AGE_NS / 1e6), p999 * (AGE_NS / 1e6), L->limit / 1e6,
	       noise_between(L->start, now()) / 1e6, suspects - bad, bad, L->suspects > SUSPECTS ? " and more" : "");
	return bad || L->suspects > SUSPECTS || all < 500 || L->slow > all / 5 || !L->finished;
}

/* ---- roles ---- */

static void map_log(const char *name, bool create)
{
	int fd = open(name, O_RDWR | (create ? O_CREAT | O_TRUNC : 0), 0600);

	if (fd < 0 || (create && ftruncate(fd, sizeof(*L))))
		die(name);
	L = mmap(NULL, sizeof(*L), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (L == MAP_FAILED)
		die(name);
	close(fd);
}

static void start_noise(int role)
{
	pthread_t thread;

	pthread_create(&thread, NULL, measure_noise, L->noise[role]);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "report")) {
		map_log(argv[2], false);
		return report();
	}
	if (argc == 7 && !strcmp(argv[1], "change")) {
		map_log(argv[3], true);
		L->seed = strtoull(argv[4], NULL, 0);
		L->start = now();
		start_noise(0);
		return change(argv[2], atoi(argv[5]), atoi(argv[6]) * INT64_C(1000000));
	}
	if (argc == 5 && !strcmp(argv[1], "observe")) {
		map_log(argv[3], false);
		L->limit = atoi(argv[4]) * INT64_C(1000);
		start_noise(1);
		return observe(argv[2]);
	}
	fputs("usage: coherent change TREE LOG SEED SECONDS QUIET_MS | observe TREE LOG LIMIT_US | report LOG\n", stderr);
	return 2;
}
