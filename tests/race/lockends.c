/*
 * lockends TREE WORKERS ROUNDS: what a child has locked is free when it has ended, or has closed it, at once.
 * Whatever it did with the file before, and what others do to it meanwhile.
 */
#include <signal.h>
#include <sys/file.h>

#include "../guests/guest.h"

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif

enum kind { FLOCK, OFD, POSIX, KINDS };
enum end { EXIT, KILLED, CLOSED, REPLACED, EXECUTED, ENDS };

static const char *const kind_names[] = { "flock", "F_OFD_SETLK", "F_SETLK" };
static const char *const end_names[] = { "exit", "kill", "close", "dup2", "exec" };

static unsigned seed;

static unsigned below(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static long lock(int fd, enum kind kind, bool exclusive)
{
	struct flock l = { .l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };

	if (kind == FLOCK)
		return sys(flock, fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
	return sys(fcntl, fd, kind == OFD ? F_OFD_SETLK : F_SETLK, &l);
}

static void unlock(int fd, enum kind kind)
{
	struct flock l = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (kind == FLOCK)
		sys(flock, fd, LOCK_UN);
	else
		sys(fcntl, fd, kind == OFD ? F_OFD_SETLK : F_SETLK, &l);
}

struct plan {
	const char *path;
	enum kind kind;
	enum end end;
	int flags;
	unsigned deeds; /* bits */
};

static void do_deeds(const struct plan *p, int fd)
{
	char buf[5000] = "";

	if (p->deeds & 1)
		sys(pread64, fd, buf, sizeof(buf), 0);
	if (p->deeds & 2)
		sys(pwrite64, fd, buf, sizeof(buf), 100);
	if (p->deeds & 4)
		mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (p->deeds & 8)
		dup2(fd, 30);
	if (p->deeds & 16)
		lseek(open(p->path, O_RDONLY | O_CLOEXEC), 0, SEEK_END);
}

/* Locks, says so, and ends; or has ended the lock when it says so for the second time. */
static void child(const struct plan *p, int say)
{
	int fd = open(p->path, p->flags | O_CLOEXEC);
	char ok = fd >= 0 && lock(fd, p->kind, false) == 0 ? 'y' : 'n';

	do_deeds(p, fd);
	if (write(say, &ok, 1) != 1)
		_exit(1);
	if (p->end == KILLED)
		pause();
	if (p->end == EXIT)
		_exit(0);
	if (p->end == EXECUTED)
		execl("/proc/self/exe", "lockends", NULL);
	if (p->deeds & 8)
		close(30);
	if (p->end == CLOSED)
		close(fd);
	else
		dup2(say, fd);
	if (write(say, &ok, 1) != 1)
		_exit(1);
	pause();
}

static bool one(const struct plan *p, int own, unsigned round)
{
	int say[2], status;
	char ok = 0, again;

	if (pipe(say) < 0)
		return false;
	pid_t pid = fork();
	if (!pid)
		child(p, say[1]);
	close(say[1]);
	if (read(say[0], &ok, 1) != 1 || ok != 'y')
		printf("round %u: the child cannot lock: %c\n", round, ok ? ok : '-');
	bool waits = p->end == CLOSED || p->end == REPLACED;
	if (waits && read(say[0], &again, 1) != 1)
		printf("round %u: the child is gone\n", round);
	if (p->end == KILLED)
		kill(pid, SIGKILL);
	if (!waits)
		waitpid(pid, &status, 0);
	bool good = lock(own, p->kind, true) == 0;
	if (!good)
		printf("round %u: %s of %s %o, ended by %s, deeds %x: %s\n", round, kind_names[p->kind], p->path + strlen(T),
		       p->flags, end_names[p->end], p->deeds, err_name(errno));
	fflush(stdout);
	unlock(own, p->kind);
	if (waits) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	close(say[0]);
	return good && ok == 'y';
}

static void make_file(char *path, unsigned worker, unsigned which)
{
	static const off_t sizes[] = { 10, 5000, 200000, 3000000 };

	snprintf(path, PATH_MAX, "%s/lockends.%u.%u", T, worker, which);
	if (which == COUNT(sizes)) {
		mkdir(path, 0755);
		return;
	}
	int fd = open(path, O_CREAT | O_RDWR, 0644);
	if (ftruncate(fd, sizes[which]) < 0)
		perror(path);
	close(fd);
}

static int work(unsigned worker, unsigned rounds)
{
	enum { FILES = 5 };
	char path[FILES][PATH_MAX];
	int own[FILES], bad = 0;

	seed = worker + 1;
	for (unsigned i = 0; i < FILES; i++) {
		make_file(path[i], worker, i);
		own[i] = open(path[i], (i < FILES - 1 ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	}
	for (unsigned round = 0; round < rounds; round++) {
		unsigned which = below(FILES);
		bool dir = which == FILES - 1;
		struct plan p = { path[which], dir ? FLOCK : below(KINDS), below(ENDS), O_RDONLY, below(32) };

		if (dir)
			p.deeds = 0;
		else if (below(2))
			p.flags = O_RDWR;
		/* A duplicate keeps the lock over all of these but the end. */
		if (p.end == EXECUTED)
			p.deeds &= ~8u;
		/* A mapping keeps the open file. */
		if (p.end == CLOSED || p.end == REPLACED)
			p.deeds &= ~4u;
		bad += !one(&p, own[which], round);
	}
	for (unsigned i = 0; i < FILES; i++)
		i < FILES - 1 ? unlink(path[i]) : rmdir(path[i]);
	return bad;
}

int main(int argc, char **argv)
{
	unsigned workers, rounds, bad = 0;

	if (argc < 2)
		return 0; /* what was executed */
	guest_init(argc, argv);
	workers = argc > 2 ? (unsigned)atoi(argv[2]) : 2;
	rounds = argc > 3 ? (unsigned)atoi(argv[3]) : 20;
	for (unsigned i = 0; i < workers; i++)
		if (!fork_clean())
			_exit(work(i, rounds) > 0);
	for (unsigned i = 0; i < workers; i++) {
		int status = -1;

		wait(&status);
		bad += status != 0;
	}
	printf("%u workers of %u rounds, %u bad\n", workers, rounds, bad);
	return bad;
}
