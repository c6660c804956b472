/*
 * meanwhile TREE ROUNDS [SEED [NAME]]: two calls at once, and then what both have left. What the one was told must not be what is believed
 * when the other, which changed it, has returned.
 */
#include <dirent.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "../guests/guest.h"

/* So many names, of this length, that they do not come with the open all at once. */
#define MANY 900
#define LENGTH 200
#define BATCH 8192

static char dir[PATH_MAX], many[PATH_MAX], file[PATH_MAX], name[PATH_MAX], other[PATH_MAX], inside[PATH_MAX];
static unsigned bad, seed;
static const char *round_name;
static pthread_barrier_t start;

static void check(bool right, const char *what)
{
	if (right)
		return;
	bad++;
	printf("%s: %s\n", round_name, what);
}

/* ---- two calls ---- */

struct one { long (*call)(void); unsigned pause_us; long result; int error; };

static void *run_one(void *arg)
{
	struct one *o = arg;

	pthread_barrier_wait(&start);
	usleep(o->pause_us);
	errno = 0;
	o->result = o->call();
	o->error = errno;
	return NULL;
}

static void at_once(struct one *a, struct one *b)
{
	pthread_t thread;

	a->pause_us = (unsigned)rand_r(&seed) % 4 * 100;
	b->pause_us = (unsigned)rand_r(&seed) % 8 * 100;
	pthread_create(&thread, NULL, run_one, a);
	run_one(b);
	pthread_join(thread, NULL);
}

/* ---- listings ---- */

static long open_dir(void) { return open(dir, O_RDONLY | O_DIRECTORY); }
static long make_name(void) { return close(open(name, O_CREAT | O_WRONLY, 0644)); }
static long remove_name(void) { return unlink(name); }

static bool lists(int fd, const char *path)
{
	const char *last = strrchr(path, '/') + 1;
	DIR *d = fdopendir(fd);
	bool found = false;

	for (struct dirent *e; d && (e = readdir(d));)
		found |= !strcmp(e->d_name, last);
	closedir(d);
	return found;
}

static void round_listing(void)
{
	struct one a = { .call = open_dir }, b = { .call = make_name }, c = { .call = open_dir }, d = { .call = remove_name };

	at_once(&a, &b);
	check(a.result >= 0 && !b.result, "failed");
	check(lists((int)a.result, name), "a new name is not listed");
	at_once(&c, &d);
	check(c.result >= 0 && !d.result, "failed");
	check(!lists((int)c.result, name), "a name that is gone is listed");
}

static int shared;
static char batch[BATCH];

static long next_batch(void) { return syscall(SYS_getdents64, shared, batch, BATCH); }
static long go_back(void) { return lseek(shared, 0, SEEK_SET); }

static long cookie_of(const char *at)
{
	long off;

	memcpy(&off, at + 8, sizeof(off));
	return off;
}

/* As one was before the other: the batch is the first, or the next one is. */
static void round_rewind(void)
{
	struct one a = { .call = next_batch }, b = { .call = go_back };

	shared = open(many, O_RDONLY | O_DIRECTORY);
	next_batch();
	long first = cookie_of(batch);
	for (int i = rand_r(&seed) % 12; i; i--)
		next_batch();
	at_once(&a, &b);
	check(a.result >= 0 && !b.result, "failed");
	bool is_first = a.result > 0 && cookie_of(batch) == first;
	next_batch();
	check(is_first != (cookie_of(batch) == first), "a directory that was gone back in does not begin anew");
	close(shared);
}

static mode_t mode;

static void name_one(int i)
{
	int n = snprintf(inside, sizeof(inside), "%s/%0*d", many, LENGTH, i);

	inside[n < PATH_MAX ? n : 0] = '\0';
}

static long change_mode(void) { return chmod(inside, mode); }

static long list_many(void)
{
	DIR *d = opendir(many);

	while (d && readdir(d))
		continue;
	return d ? closedir(d) : -1;
}

static void round_learned(void)
{
	struct one a = { .call = list_many }, b = { .call = change_mode };
	struct stat st;

	mode = 0600 | (rand_r(&seed) & 0177);
	name_one(rand_r(&seed) % MANY);
	at_once(&a, &b);
	check(!a.result && !b.result, "failed");
	check(stat(inside, &st) == 0 && (st.st_mode & 07777) == mode, "a mode is that of before");
}

/* ---- files ---- */

static off_t size;

static long open_file(void) { return open(file, O_RDONLY); }
static long cut_file(void) { return truncate(file, size); }

static long write_file(void)
{
	int fd = open(file, O_WRONLY | O_TRUNC);
	long n = write(fd, "0123456789", (size_t)size);

	return close(fd) || n != size ? -1 : 0;
}

static void round_opened(void)
{
	struct one a = { .call = open_file }, b = { .call = rand_r(&seed) % 2 ? cut_file : write_file };
	char buf[32];
	struct stat st;

	size = rand_r(&seed) % 10;
	at_once(&a, &b);
	check(a.result >= 0 && !b.result, "failed");
	check(fstat((int)a.result, &st) == 0 && st.st_size == size, "a size is that of before");
	check(pread((int)a.result, buf, sizeof(buf), 0) == size, "bytes are those of before");
	close((int)a.result);
}

static int held;

static long look_at_held(void)
{
	struct stat st;

	return fstat(held, &st);
}

static long link_file(void) { return link(file, name); }

static void round_linked(void)
{
	struct one a = { .call = look_at_held }, b = { .call = link_file }, c = { .call = look_at_held }, d = { .call = remove_name };
	struct stat st;

	held = open(file, O_RDWR);
	fchmod(held, 0600 | (rand_r(&seed) & 0177));
	at_once(&a, &b);
	check(!a.result && !b.result, "failed");
	check(fstat(held, &st) == 0 && st.st_nlink == 2, "a new link is not counted");
	fchmod(held, 0600 | (rand_r(&seed) & 0177));
	at_once(&c, &d);
	check(!c.result && !d.result, "failed");
	check(fstat(held, &st) == 0 && st.st_nlink == 1, "a link that is gone is counted");
	close(held);
}

/* ---- one of two ---- */

static long make_exclusively(void)
{
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);

	return fd < 0 ? -1 : close(fd);
}

static long make_dir(void) { return mkdir(name, 0755); }
static long rename_other(void) { return renameat2(AT_FDCWD, other, AT_FDCWD, name, RENAME_NOREPLACE); }

/* NAME is made by the one or by the other. */
static void round_exclusive(void)
{
	struct one a = { .call = rand_r(&seed) % 2 ? link_file : rename_other };
	struct one b = { .call = rand_r(&seed) % 3 ? make_exclusively : make_dir };

	close(open(other, O_CREAT | O_WRONLY, 0644));
	at_once(&a, &b);
	check(!a.result != !b.result, !a.result ? "both have made it" : "nobody has made it");
	if (unlink(name) < 0)
		rmdir(name);
	unlink(other);
}

static void join(char *path, const char *directory, const char *last)
{
	if (snprintf(path, PATH_MAX, "%s/%s", directory, last) >= PATH_MAX)
		abort();
}

static long remove_dir(void) { return rmdir(name); }
static long rename_dir(void) { return rename(name, other); }

static long make_inside(void)
{
	int fd = open(inside, O_CREAT | O_EXCL | O_WRONLY, 0644);

	return fd < 0 || write(fd, "x", 1) != 1 ? -1 : close(fd);
}

/* A file is made in a directory that goes away: it is there, or there was no directory any more. */
static void round_removed(void)
{
	bool moves = rand_r(&seed) % 2;
	struct one a = { .call = moves ? rename_dir : remove_dir }, b = { .call = make_inside };
	struct stat st;
	char path[PATH_MAX];

	mkdir(name, 0755);
	join(inside, name, "a");
	make_inside();
	unlink(inside);
	at_once(&a, &b);
	join(path, moves ? other : name, "a");
	if (moves)
		check(!a.result && (!b.result || b.error == ENOENT), "failed");
	else
		check(!a.result != !b.result, "both, or none, had their way");
	check(!b.result == (stat(path, &st) == 0 && st.st_size == 1), "a file that was made is not there");
	unlink(path);
	rmdir(name);
	rmdir(other);
}

static long open_named(void) { return open(name, O_RDONLY | O_DIRECTORY); }

static long replace_dir(void)
{
	char path[PATH_MAX];

	join(path, name, "a");
	if (unlink(path) < 0 || rmdir(name) < 0 || mkdir(name, 0755) < 0)
		return -1;
	join(path, name, "b");
	return close(open(path, O_CREAT | O_WRONLY, 0644));
}

/* A directory that is opened while it is moved, or removed, is what it is by its descriptor, and nothing by the name that it had. */
static void round_moved(void)
{
	bool moves = rand_r(&seed) % 2;
	struct one a = { .call = open_named }, b = { .call = moves ? rename_dir : replace_dir };
	struct stat st, at;

	mkdir(name, 0755);
	join(inside, name, "a");
	close(open(inside, O_CREAT | O_WRONLY, 0644));
	at_once(&a, &b);
	check(!b.result && (a.result >= 0 || a.error == ENOENT), "failed");
	int fd = (int)a.result;
	bool there = stat(name, &st) == 0;
	check(there != moves, "a name is there, or is not");
	/* It was found before, or behind. */
	bool is_new = there && fd >= 0 && fstat(fd, &at) == 0 && at.st_ino == st.st_ino;
	if (fd >= 0) {
		check((faccessat(fd, "a", F_OK, 0) == 0) == moves, "what is in a directory is looked for by its old name");
		check((faccessat(fd, "b", F_OK, 0) == 0) == is_new, "what is in another directory is found");
		check(!moves || mkdirat(fd, "c", 0755) == 0, "a directory is not made");
		close(fd);
	}
	const char *now = moves ? other : name;
	join(inside, now, "c");
	check((stat(inside, &st) == 0) == (fd >= 0 && moves), "a directory that was made is not there");
	rmdir(inside);
	for (char last[] = "a"; *last <= 'b'; ++*last) {
		join(inside, now, last);
		unlink(inside);
	}
	check(rmdir(now) == 0, "not empty");
}

/* ---- all ---- */

static const struct { void (*round)(void); const char *name; } rounds_of[] = {
	{ round_listing, "listing" }, { round_rewind, "rewind" }, { round_learned, "learned" }, { round_opened, "opened" },
	{ round_linked, "linked" }, { round_exclusive, "exclusive" }, { round_removed, "removed" }, { round_moved, "moved" },
};

static void set_paths(void)
{
	snprintf(dir, sizeof(dir), "%s/meanwhile", T);
	snprintf(many, sizeof(many), "%s/many", T);
	snprintf(file, sizeof(file), "%s/meanwhile/file", T);
	snprintf(name, sizeof(name), "%s/meanwhile/name", T);
	snprintf(other, sizeof(other), "%s/meanwhile/other", T);
	mkdir(dir, 0755);
	mkdir(many, 0755);
	for (int i = 0; i < MANY; i++) {
		name_one(i);
		close(open(inside, O_CREAT | O_WRONLY, 0644));
	}
	close(open(file, O_CREAT | O_WRONLY, 0644));
}

static void clean_up(void)
{
	for (int i = 0; i < MANY; i++) {
		name_one(i);
		unlink(inside);
	}
	unlink(file);
	rmdir(many);
	rmdir(dir);
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 100;
	const char *only = argc > 4 ? argv[4] : "";

	guest_init(argc, argv);
	seed = argc > 3 ? (unsigned)atoi(argv[3]) : (unsigned)time(NULL) ^ (unsigned)getpid() << 8;
	unsigned first = seed;
	pthread_barrier_init(&start, NULL, 2);
	set_paths();
	for (int i = 0; i < rounds && bad < 20; i++) {
		size_t kind = (size_t)rand_r(&seed) % COUNT(rounds_of);

		round_name = rounds_of[kind].name;
		if (strstr(round_name, only))
			rounds_of[kind].round();
	}
	clean_up();
	if (bad)
		printf("seed %u\n", first);
	printf("%d rounds, %u bad\n", rounds, bad);
	return bad != 0;
}
