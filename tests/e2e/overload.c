/*
 * overload HOW DIR N [SECONDS]: more than there is room for. Prints one line, and what was wrong before it. With SECONDS all agents
 * of the run are stopped (SIGSTOP) meanwhile, for so long.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STACK (64u << 10)

static const char *dir;
static int count; /* N */
static unsigned seconds;
static atomic_int wrong;

static void complain(const char *what, long n)
{
	atomic_fetch_add(&wrong, 1);
	printf("%s: %ld %s\n", what, n, n < 0 ? strerror(errno) : "");
}

/* Runs RUN in so many threads, all of which are there before the first begins. */
static pthread_barrier_t ready;

static void in_threads(int threads, void *(*run)(void *))
{
	pthread_t *t = calloc((size_t)threads, sizeof(*t));
	pthread_attr_t attr;

	pthread_barrier_init(&ready, NULL, (unsigned)threads);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (long i = 0; i < threads; i++)
		if (pthread_create(&t[i], &attr, run, (void *)i))
			exit(99);
	for (int i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	free(t);
}

static void name_of(char *path, size_t len, const char *kind, long id)
{
	snprintf(path, len, "%s/%s.%ld", dir, kind, id);
}

/* One thread's file: made, written, read, appended to, looked at, closed, opened again. */
static void *use_file(void *arg)
{
	char path[512], text[4096], got[4096];
	long id = (long)arg, n;
	struct stat st;

	pthread_barrier_wait(&ready);
	name_of(path, sizeof(path), "thread", id);
	memset(text, 'a' + (int)(id % 26), sizeof(text));
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0644);
	if (fd < 0)
		complain("open", fd);
	if ((n = write(fd, text, sizeof(text))) != sizeof(text))
		complain("write", n);
	if ((n = pread(fd, got, sizeof(got), 0)) != sizeof(got) || memcmp(got, text, sizeof(text)))
		complain("pread", n);
	if ((n = write(fd, path, strlen(path))) != (long)strlen(path))
		complain("write of the name", n);
	if ((n = fstat(fd, &st)) || st.st_size != (off_t)(sizeof(text) + strlen(path)))
		complain("fstat", n ? n : (long)st.st_size);
	if ((n = close(fd)))
		complain("close", n);
	fd = open(path, O_RDONLY);
	memset(got, 0, sizeof(got));
	if ((n = pread(fd, got, sizeof(got), sizeof(text))) != (long)strlen(path) || strcmp(got, path))
		complain("pread of the name", n);
	if ((n = stat(path, &st)) || st.st_size != (off_t)(sizeof(text) + strlen(path)))
		complain("stat", n ? n : (long)st.st_size);
	close(fd);
	return NULL;
}

static void threads(void)
{
	in_threads(count, use_file);
}

/* Each thread waits for a byte of one FIFO, whose writer begins when all wait. */
static int shared;

static void *await_byte(void *arg)
{
	char byte;
	long n;

	pthread_barrier_wait(&ready);
	if ((n = read(shared, &byte, 1)) != 1)
		complain("read of the FIFO", n);
	return NULL;
}

static void *give_bytes(void *arg)
{
	pthread_barrier_wait(&ready);
	sleep(2);
	for (int i = 0; i < count; i++)
		if (write(shared, "x", 1) != 1)
			complain("write to the FIFO", -1);
	return NULL;
}

static void *waiter(void *arg)
{
	return (long)arg == count ? give_bytes(arg) : await_byte(arg);
}

static void waiters(void)
{
	char path[512];

	name_of(path, sizeof(path), "fifo", 0);
	if (mkfifo(path, 0644) || (shared = open(path, O_RDWR)) < 0)
		complain("the FIFO", -1);
	in_threads(count + 1, waiter);
}

static bool is_agent(pid_t pid)
{
	char path[64], name[32] = "";

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	FILE *f = fopen(path, "r");
	if (f && !fgets(name, sizeof(name), f))
		name[0] = '\0';
	if (f)
		fclose(f);
	return !strncmp(name, "remotefs-agent", 14);
}

/* The agents are children of some thread of the supervisor, whose child we are, or theirs. */
static void signal_agents(pid_t parent, int signal)
{
	char path[300];
	int pid;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)parent);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)parent, e->d_name);
		FILE *f = fopen(path, "r");
		while (f && fscanf(f, "%d", &pid) == 1)
			if (is_agent(pid)) {
				kill(pid, signal);
				signal_agents(pid, signal);
			}
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
}

static void stop_agents(unsigned seconds)
{
	pid_t supervisor = getppid();

	if (!seconds)
		return;
	signal_agents(supervisor, SIGSTOP);
	if (fork())
		return;
	sleep(seconds);
	signal_agents(supervisor, SIGCONT);
	_exit(0);
}

/* Opened and closed again and again, which asks the agent for nothing that has to be waited for. */
static void closes(void)
{
	char path[512];

	name_of(path, sizeof(path), "known", 0);
	for (int i = 0; i < 3; i++)
		close(open(path, O_RDONLY));
	stop_agents(seconds);
	for (int i = 0; i < count; i++) {
		int fd = open(path, O_RDONLY);

		if (fd < 0)
			complain("open", fd);
		if (close(fd))
			complain("close", -1);
	}
}

/* Small appends, then what was written. */
static void appends(void)
{
	char path[512], line[128];
	long n;

	name_of(path, sizeof(path), "appends", 0);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	stop_agents(seconds);
	for (int i = 0; i < count; i++) {
		snprintf(line, sizeof(line), "%99d\n", i);
		if ((n = write(fd, line, 100)) != 100)
			complain("append", n);
	}
	if (close(fd))
		complain("close", -1);
}

/* COUNT MiB, written and read again in order. */
static void blocks(void)
{
	static uint32_t block[1 << 18], got[1 << 18];
	char path[512];
	long n;

	name_of(path, sizeof(path), "blocks", 0);
	int fd = open(path, O_RDWR | O_CREAT, 0644);
	for (int i = 0; i < count; i++) {
		if (i == count / 8)
			stop_agents(seconds);
		for (uint32_t k = 0; k < sizeof(block) / sizeof(*block); k++)
			block[k] = (uint32_t)i * 2654435761u + k;
		if ((n = write(fd, block, sizeof(block))) != sizeof(block))
			complain("write", n);
	}
	if (fsync(fd))
		complain("fsync", -1);
	lseek(fd, 0, SEEK_SET);
	for (int i = 0; i < count; i++) {
		if (i == count / 8)
			stop_agents(2);
		if ((n = read(fd, got, sizeof(got))) != sizeof(got))
			complain("read", n);
		for (uint32_t k = 0; k < sizeof(got) / sizeof(*got); k++)
			if (got[k] != (uint32_t)i * 2654435761u + k) {
				complain("byte", i);
				break;
			}
	}
	if (close(fd))
		complain("close", -1);
}

/* COUNT files of which each gets one byte. */
static void creates(void)
{
	char path[512];
	long n;

	stop_agents(seconds);
	for (int i = 0; i < count; i++) {
		name_of(path, sizeof(path), "created", i);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd < 0)
			complain("create", fd);
		if ((n = write(fd, "x", 1)) != 1)
			complain("write", n);
		if (close(fd))
			complain("close", -1);
	}
}

/* Pairs of threads, each with a FIFO through which a MiB goes. */
static void *use_fifo(void *arg)
{
	uint8_t buf[16 << 10];
	long id = (long)arg / 2, n;
	bool writes = (long)arg % 2;
	char path[512];

	name_of(path, sizeof(path), "fifo", id);
	if (writes && mkfifo(path, 0644))
		complain("mkfifo", -1);
	pthread_barrier_wait(&ready);
	int fd = open(path, writes ? O_WRONLY : O_RDONLY);
	for (long done = 0; done < 1 << 20; done += n) {
		size_t len = done + (long)sizeof(buf) > 1 << 20 ? (1 << 20) - (size_t)done : sizeof(buf);

		for (size_t i = 0; writes && i < len; i++)
			buf[i] = (uint8_t)(id + (done + (long)i) / 1000);
		n = writes ? write(fd, buf, len) : read(fd, buf, sizeof(buf));
		if (n <= 0) {
			complain(writes ? "write to the FIFO" : "read of the FIFO", n);
			break;
		}
		for (long i = 0; !writes && i < n; i++)
			if (buf[i] != (uint8_t)(id + (done + i) / 1000)) {
				complain("bytes of the FIFO", done);
				break;
			}
	}
	close(fd);
	return NULL;
}

static void fifos(void)
{
	in_threads(2 * count, use_fifo);
}

/* Lines of the log: a call that is shown, COUNT times. */
static void lines(void)
{
	char path[512];
	struct stat st;

	name_of(path, sizeof(path), "known", 0);
	for (int i = 0; i < count; i++)
		if (stat(path, &st))
			complain("stat", -1);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); } ways[] = {
		{ "threads", threads }, { "waiters", waiters }, { "closes", closes }, { "appends", appends },
		{ "creates", creates }, { "blocks", blocks }, { "fifos", fifos }, { "lines", lines },
	};

	if (argc < 4)
		return 2;
	dir = argv[2];
	count = atoi(argv[3]);
	seconds = argc > 4 ? (unsigned)atoi(argv[4]) : 0;
	for (unsigned i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (!strcmp(argv[1], ways[i].name))
			ways[i].run();
	printf("%s: %d wrong\n", argv[1], atomic_load(&wrong));
	return atomic_load(&wrong) != 0;
}
