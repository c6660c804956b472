/* Who looks at the tree, supervised. */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "coherent.h"

#define PROCESSES 2
#define THREADS 2
#define HELD 4

struct held { int fd, inode, path; int64_t t0, t1; };

static __thread struct held held[HELD];
static __thread sigjmp_buf fault;
static __thread int tid;

static struct answer ask(enum what what, int path)
{
	return (struct answer){ .what = what, .path = path, .tid = tid, .inode = UNKNOWN, .field = { UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN }, .t0 = now() };
}

/* RC is what a call for A's path gave. */
static void take_path(struct answer *a, long rc)
{
	int e = errno;

	a->t1 = now();
	a->absent = rc < 0;
	a->error = rc < 0 ? e : 0;
	take_answer(a, a->error && e != ENOENT ? NEVER : path_age(a->path, a));
}

static void fill_stat(struct answer *a, const struct stat *st)
{
	a->ino = st->st_ino;
	a->kind = st->st_mode & S_IFMT;
	if (!S_ISDIR(st->st_mode))
		a->field[SIZE] = st->st_size;
	a->field[MODE] = st->st_mode & 07777;
}

/* What BYTES, N of them from the file's beginning, say of it. */
static void fill_header(struct answer *a, const char *bytes, long n)
{
	char text[HEADER + 1] = "";

	memcpy(text, bytes, n < HEADER ? n : HEADER);
	a->field[VERSION] = n ? 12345678 : NO_VERSION;
	int inode, version;
	if (n >= HEADER && sscanf(text, "%7d %7d", &inode, &version) == 2 && inode > 0 && inode <= L->inodes) {
		a->inode = inode;
		a->field[VERSION] = version;
	}
}

static void do_stat(int path)
{
	struct answer a = ask(STAT, path);
	struct stat st;
	long rc = L->path[path].kind == S_IFLNK || roll(3) == 0 ? lstat(L->path[path].name, &st) : stat(L->path[path].name, &st);

	if (!rc && S_ISLNK(st.st_mode) && L->path[path].kind != S_IFLNK)
		return; /* cm/key itself */
	if (!rc)
		fill_stat(&a, &st);
	take_path(&a, rc);
}

static void do_access(int path)
{
	struct answer a = ask(ACCESS, path);

	take_path(&a, access(L->path[path].name, F_OK));
}

static void do_readlink(int path)
{
	struct answer a = ask(READLINK, path);
	char text[64] = "";
	long n = readlink(L->path[path].name, text, sizeof(text) - 1);

	if (n >= 0)
		a.field[VERSION] = atoi(text + 1);
	take_path(&a, n);
}

static void hold(int fd, const struct answer *a)
{
	struct held *h = &held[roll(HELD)];

	if (a->inode <= 0 || roll(4)) {
		close(fd);
		return;
	}
	if (h->inode)
		close(h->fd);
	*h = (struct held){ fd, (int)a->inode, a->path, a->t0, a->t1 };
}

static void do_read(int path)
{
	struct answer a = ask(OPEN_READ, path);
	char bytes[READ];
	int fd = open(L->path[path].name, O_RDONLY | O_CLOEXEC);
	long n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));

	if (n >= 0) {
		fill_header(&a, bytes, n);
		a.field[READ_SIZE] = n;
	}
	take_path(&a, n);
	if (fd >= 0)
		hold(fd, &a);
}

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(fault, 1);
}

static void do_mmap(int path)
{
	struct answer a = ask(MMAP, path);
	char bytes[HEADER];
	int fd = open(L->path[path].name, O_RDONLY | O_CLOEXEC);
	char *map = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, roll(2) ? MAP_SHARED : MAP_PRIVATE, fd, 0);

	if (map != MAP_FAILED) {
		if (sigsetjmp(fault, 1)) {
			fill_header(&a, bytes, 0); /* it was cut off to nothing */
		} else {
			memcpy(bytes, map, HEADER);
			fill_header(&a, bytes, HEADER);
		}
	}
	take_path(&a, map == MAP_FAILED ? -1 : 0);
	if (map != MAP_FAILED)
		munmap(map, 4096);
	if (fd >= 0)
		hold(fd, &a);
}

/* Each name that the directory PATH may have, by itself: NAMES has those that were listed. */
static void take_names(struct answer *a, const char (*names)[32], int count)
{
	const char *dir = L->path[a->path].name;
	size_t len = strlen(dir);

	for (int i = 0; i < PATHS; i++) {
		const char *name = L->path[i].name;
		if (strncmp(name, dir, len) || name[len] != '/' || strchr(name + len + 1, '/'))
			continue;
		struct answer one = *a;
		one.path = i;
		one.absent = true;
		for (int n = 0; n < count; n++)
			one.absent &= strcmp(names[n], name + len + 1) != 0;
		take_answer(&one, path_age(i, &one));
	}
}

static void do_list(int path)
{
	struct answer a = ask(LIST, path);
	char names[64][32];
	int count = 0;
	DIR *dir = opendir(L->path[path].name);

	if (!dir) {
		take_path(&a, -1);
		return;
	}
	for (struct dirent *e; count < 64 && (e = readdir(dir)); count++)
		snprintf(names[count], sizeof(names[count]), "%.31s", e->d_name);
	a.t1 = now();
	take_names(&a, names, count);
	closedir(dir);
}

/*
 * What is known opens without a wait. If its name leads elsewhere by the time that the agent is asked for it, there is no handle
 * on it, and it stays as it was known: right where the file was replaced, old where it was moved and changed afterwards.
 */
static bool may_be_lost(const struct held *h)
{
	for (int i = L->path[h->path].head; i; i = L->record[i].prev) {
		const struct record *r = &L->record[i];
		if (r->after && r->after < h->t0 - L->limit)
			return false;
		if (r->before < h->t1 + L->limit + SLOW_NS)
			return true;
	}
	return false;
}

static void do_held(bool pread_it)
{
	struct held *h = &held[roll(HELD)];
	struct answer a = ask(pread_it ? PREAD : FSTAT, -1);
	char bytes[HEADER];
	struct stat st;

	if (h->inode && may_be_lost(h)) {
		close(h->fd);
		h->inode = 0;
	}
	if (!h->inode)
		return;
	long rc = pread_it ? pread(h->fd, bytes, sizeof(bytes), 0) : fstat(h->fd, &st);
	a.t1 = now();
	a.error = rc < 0 ? errno : 0;
	if (!a.error && pread_it)
		fill_header(&a, bytes, rc);
	else if (!a.error)
		fill_stat(&a, &st);
	bool other = a.error || (a.inode != UNKNOWN && a.inode != h->inode) || (a.ino && a.ino != L->inode[h->inode].ino);
	a.path = -1 - (a.inode != UNKNOWN && a.inode != h->inode ? (int)a.inode : 0);
	a.inode = h->inode;
	take_answer(&a, other ? NEVER : inode_age(h->inode, &a));
}

static void look(int path, unsigned how)
{
	unsigned kind = L->path[path].kind;

	switch (how) {
	case 0:
	case 1:
		do_stat(path);
		break;
	case 2:
		do_access(path);
		break;
	case 3:
		do_held(roll(2));
		break;
	case 4:
		if (kind == S_IFREG) {
			do_mmap(path);
			break;
		}
		/* fall through */
	default:
		if (kind == S_IFDIR)
			do_list(path);
		else if (kind == S_IFLNK)
			do_readlink(path);
		else
			do_read(path);
	}
}

static int pick(void)
{
	int path = (int)roll(PATHS + 8);

	return path >= PATHS ? (int)(PATH_DATA + roll(3)) : path;
}

/* Once everything has settled nothing may be of before. */
static void look_at_all(void)
{
	for (int path = 0; path < PATHS; path++)
		for (unsigned how = 0; how < 6 && L->path[path].kind; how++)
			look(path, how);
	for (int i = 0; i < 8 * HELD; i++)
		do_held(i % 2);
}

static void *work(void *arg)
{
	tid = (int)(intptr_t)arg;
	roll_seed(L->seed * 100 + tid);
	while (!L->stopped) {
		int path = pick();
		if (!L->path[path].kind)
			continue;
		/* What was asked for once is likely to be kept. */
		for (unsigned n = 1 + roll(4); n--;)
			look(path, roll(8));
		pause_us(roll(600));
	}
	while (now() < L->stopped + L->settled)
		pause_us(10000);
	look_at_all();
	return NULL;
}

static int run_threads(int process)
{
	pthread_t thread[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, work, (void *)(intptr_t)(process * THREADS + i + 1));
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	return 0;
}

int observe(const char *tree)
{
	int bad = 0;

	signal(SIGBUS, on_fault);
	while (!L->ready)
		pause_us(1000);
	if (chdir(tree))
		die(tree);
	L->settled = L->limit + INT64_C(500000000);
	L->observed = 1;
	for (int i = 0; i < PROCESSES; i++)
		if (!fork())
			_exit(run_threads(i));
	for (int status; wait(&status) > 0;)
		bad |= status;
	L->finished = !bad;
	return bad != 0;
}
