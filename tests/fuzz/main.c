/* Options, the two processes and their turns. */
#include <getopt.h>
#include <signal.h>

#include "fuzz.h"

#define SUB_OPS 8

unsigned families = ~0u;
char tree[PATH_MAX], local[PATH_MAX];
uint64_t current_op;

static uint64_t seed = 1, count = 1000;
static bool *dropped; /* operations that --drop leaves out */
static char self[PATH_MAX];

static const struct {
	const char *name;
	unsigned bit;
} family_names[] = {
	{ "open", FAM_OPEN },	{ "data", FAM_DATA },	  { "name", FAM_NAME },	  { "meta", FAM_META },	{ "fd", FAM_FD },
	{ "cwd", FAM_CWD },	{ "map", FAM_MAP },	  { "proc", FAM_PROC },	  { "mixed", FAM_MIXED }, { "special", FAM_SPECIAL },
	{ "lock", FAM_LOCK },	{ "xattr", FAM_XATTR },	  { "copy", FAM_COPY },	  { "splice", FAM_SPLICE }, { "shared", FAM_SHARED },
	{ "tmpfile", FAM_TMPFILE }, { "handle", FAM_HANDLE }, { "watch", FAM_WATCH }, { "links-out", FAM_LINKS_OUT },
	{ "magic", FAM_MAGIC },
};

static void usage(void)
{
	fputs("usage: fuzz [--seed N] [--ops N] [--drop A-B,C…] [--families a,b…] TREE LOCAL\n", stderr);
	exit(98);
}

static unsigned parse_families(char *text)
{
	unsigned set = 0;

	for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		unsigned bit = 0;

		for (size_t i = 0; i < COUNT(family_names); i++)
			if (!strcmp(word, family_names[i].name))
				bit = family_names[i].bit;
		if (!bit)
			usage();
		set |= bit;
	}
	return set;
}

static void parse_dropped(const char *text)
{
	dropped = calloc(count, 1);
	for (char *end; *text; text = *end ? end + 1 : end) {
		uint64_t a = strtoull(text, &end, 10), b = a;

		if (*end == '-')
			b = strtoull(end + 1, &end, 10);
		if (*end && *end != ',')
			usage();
		for (; a <= b && a < count; a++)
			dropped[a] = true;
	}
}

/* ---- one operation ---- */

static const struct op *pick_op(void)
{
	static const struct op *const all[] = { open_ops, data_ops, name_ops, meta_ops, fd_ops, map_ops, proc_ops, mixed_ops, xattr_ops };
	unsigned sum = 0, at;

	for (size_t i = 0; i < COUNT(all); i++)
		for (const struct op *o = all[i]; o->run; o++)
			sum += families & o->family ? o->weight : 0;
	at = below(sum);
	for (size_t i = 0;; i++)
		for (const struct op *o = all[i]; o->run; o++) {
			unsigned w = families & o->family ? o->weight : 0;
			if (at < w)
				return o;
			at -= w;
		}
}

void run_op(uint64_t n)
{
	current_op = n;
	draw_seed(seed, n);
	pick_op()->run();
	say_flush();
}

/* Numbers that no operation of the run itself has. */
void run_sub_ops(uint64_t n, unsigned sub_count)
{
	for (unsigned i = 0; i < sub_count; i++) {
		say("  %llu.%u ", (unsigned long long)(n & 0xffffff), i);
		run_op((n + 1) * SUB_OPS << 32 | i);
	}
}

/* ---- a program executed again ---- */

void exec_again(uint64_t n, unsigned sub_count)
{
	char text[7][32], slot_text[SLOTS * 12] = "", *p = slot_text;

	snprintf(text[0], 32, "%llu", (unsigned long long)seed);
	snprintf(text[1], 32, "%u", families);
	snprintf(text[2], 32, "%llu", (unsigned long long)n);
	snprintf(text[3], 32, "%u", sub_count);
	for (int i = 0; i < SLOTS; i++)
		p += sprintf(p, "%d,", slots[i]);
	char *argv[] = { self, "--again", text[0], text[1], text[2], text[3], slot_text, tree, local, NULL };
	execve(self, argv, (char *[]){ NULL });
	_exit(97);
}

static int run_again(char **argv)
{
	char *p = argv[6];
	uint64_t n;

	seed = strtoull(argv[2], NULL, 10);
	families = (unsigned)strtoul(argv[3], NULL, 10);
	n = strtoull(argv[4], NULL, 10);
	snprintf(tree, sizeof(tree), "%s", argv[7]);
	snprintf(local, sizeof(local), "%s", argv[8]);
	say("  inherited:");
	for (int i = 0; i < SLOTS; i++) {
		slots[i] = (int)strtol(p, &p, 10);
		p++;
		if (slots[i] >= 0 && fcntl(slots[i], F_GETFD) < 0)
			slots[i] = -1;
		if (slots[i] >= 0)
			say(" s%d", i);
	}
	say_flush();
	run_sub_ops(n, (unsigned)strtoul(argv[5], NULL, 10));
	return 0;
}

/* ---- turns ---- */

static int owner(uint64_t n)
{
	draw_seed(seed ^ 0x5bd1e995, n);
	return (int)below(2);
}

static void start_actor(int me)
{
	for (int i = 0; i < SLOTS; i++)
		slots[i] = -1;
	if (chdir(tree) < 0) {
		perror(tree);
		exit(96);
	}
	umask(me ? 027 : 022);
}

/* BATON[i] is read by process i: whoever holds the byte may go on. */
static void run_actor(int me, int baton[2][2])
{
	bool mine = !me;
	char byte = 0;

	start_actor(me);
	close(baton[me][1]);
	close(baton[!me][0]);
	for (uint64_t n = 0; n < count; n++) {
		bool turn = owner(n) == me;

		if (dropped && dropped[n])
			continue;
		if (turn && !mine && read(baton[me][0], &byte, 1) != 1)
			_exit(94); /* the other one died */
		if (!turn && mine && write(baton[!me][1], &byte, 1) != 1)
			_exit(95);
		mine = turn;
		if (!turn)
			continue;
		say("%llu %c ", (unsigned long long)n, "AB"[me]);
		run_op(n);
	}
	_exit(0);
}

bool has_record_locks(void)
{
	return families & FAM_LOCK && seed % 2 == 0;
}

bool has_collapses(void)
{
	return families & FAM_COPY && seed / 2 % 2 == 0;
}

static int play(void)
{
	int baton[2][2], status[2] = { 0 };
	pid_t pid[2];

	signal(SIGPIPE, SIG_IGN); /* for the batons, and in what is executed */
	if (pipe2(baton[0], O_CLOEXEC) < 0 || pipe2(baton[1], O_CLOEXEC) < 0)
		return 92;
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (!pid[i])
			run_actor(i, baton);
	}
	for (int i = 0; i < 2; i++) {
		close(baton[i][0]);
		close(baton[i][1]);
	}
	for (int i = 0; i < 2; i++)
		while (waitpid(pid[i], &status[i], 0) < 0 && errno == EINTR)
			;
	for (int i = 0; i < 2; i++) {
		say("process %c: status %x", "AB"[i], status[i]);
		say_flush();
	}
	return status[0] || status[1] ? 91 : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' }, { "ops", required_argument, NULL, 'n' },
		{ "drop", required_argument, NULL, 'd' }, { "families", required_argument, NULL, 'f' },
		{ 0 },
	};
	const char *drop = NULL;

	if (argc == 9 && !strcmp(argv[1], "--again"))
		return run_again(argv);
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
		switch (o) {
		case 's': seed = strtoull(optarg, NULL, 10); break;
		case 'n': count = strtoull(optarg, NULL, 10); break;
		case 'd': drop = optarg; break;
		case 'f': families = parse_families(optarg); break;
		default: usage();
		}
	if (argc - optind != 2 || readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		usage();
	snprintf(tree, sizeof(tree), "%s", argv[optind]);
	snprintf(local, sizeof(local), "%s", argv[optind + 1]);
	if (drop)
		parse_dropped(drop);
	return play();
}
