/* Mappings. They live on after their descriptor is closed. */
#include "fuzz.h"

#define MAPS 4
#define MAP_MAX (128 << 10)

static struct {
	char *at;
	size_t len;
	long off;
	int file; /* O_PATH */
	bool shared, writable;
} maps[MAPS];

static const struct flag prots[] = {
	FLAG(PROT_READ), FLAG(PROT_READ), { PROT_READ | PROT_WRITE, "PROT_READ|PROT_WRITE" }, FLAG(PROT_NONE), { PROT_READ | PROT_EXEC, "PROT_READ|PROT_EXEC" },
};

static void drop_map(int i)
{
	if (!maps[i].at)
		return;
	munmap(maps[i].at, maps[i].len);
	close(maps[i].file);
	maps[i].at = NULL;
}

static size_t bytes_behind(int fd, long off)
{
	struct stat st;

	return sys(fstat, fd, &st) || st.st_size < off ? 0 : (size_t)(st.st_size - off);
}

static void run_mmap(void)
{
	int i = (int)below(MAPS);

	drop_map(i);
	say("m%d = mmap(", i);
	long prot = PICK_FLAG(prots);
	bool shared = chance(400);
	/* A shared mapping that could be made writable later is another family. */
	if (!(families & FAM_SHARED) && prot & PROT_WRITE)
		shared = false;
	say(", %s, ", shared ? "MAP_SHARED" : "MAP_PRIVATE");
	int fd = pick_fd();
	size_t len = (size_t)PICK(1, 4096, 8192, 10000, MAP_MAX, 0);
	long off = PICK(0, 0, 0, 4096, 8192, 65536, 1, -4096);
	say(", %ld, %zu)", off, len);
	long at = sys(mmap, NULL, len, prot, shared ? MAP_SHARED : MAP_PRIVATE, fd, off);
	if (at < 0 && at > -4096) {
		say_result(at);
		return;
	}
	say(" = ok");
	maps[i].at = (char *)at;
	maps[i].len = len;
	maps[i].off = off;
	char link[64];
	sprintf(link, "/proc/self/fd/%d", fd);
	maps[i].file = (int)sys(open, link, O_PATH | O_CLOEXEC);
	maps[i].shared = shared;
	maps[i].writable = prot & PROT_WRITE;
}

static int pick_map(void)
{
	int i = (int)below(MAPS);

	for (int tried = 0; tried < MAPS && !maps[i].at; tried++)
		i = (i + 1) % MAPS;
	say("m%d", i);
	return i;
}

/* Reads as far as there are pages: behind the file's end is SIGBUS. */
static void run_look(void)
{
	say("look(");
	int i = pick_map();
	size_t at = (size_t)PICK(0, 0, 1, 4096, 5000);
	say(", %zu)", at);
	if (!maps[i].at || at >= maps[i].len) {
		say(" nothing");
		return;
	}
	struct iovec to = { buffer, MAP_MAX }, from = { maps[i].at + at, maps[i].len - at };
	long n = sys(process_vm_readv, getpid(), &to, 1, &from, 1, 0);
	say_result(n);
	say_data(buffer, n);
}

/* LEN bytes, other ones than are at AT: of storing what is there already nobody may hear (README's limits). */
static void fill_other(const char *at, size_t len)
{
	static char there[100];
	struct iovec to = { there, len }, from = { (void *)at, len };

	memset(buffer, (int)below(256), len);
	if (sys(process_vm_readv, getpid(), &to, 1, &from, 1, 0) == (long)len && !memcmp(there, buffer, len))
		buffer[0] ^= 1;
}

static void run_poke(void)
{
	say("poke(");
	int i = pick_map();
	size_t at = (size_t)PICK(0, 1, 100, 4090, 5000), len = (size_t)PICK(1, 10, 100);
	say(", %zu, %zu)", at, len);
	/* How long what is stored behind the end stays in the page, is not specified (mmap(2)). */
	if (!maps[i].at || !maps[i].writable || at >= maps[i].len || (!maps[i].shared && has_collapses()) || (maps[i].shared && at + len > bytes_behind(maps[i].file, maps[i].off))) {
		say(" nothing");
		return;
	}
	if (len > maps[i].len - at)
		len = maps[i].len - at;
	fill_other(maps[i].at + at, len);
	struct iovec from = { buffer, len }, to = { maps[i].at + at, len };
	/* A store into a page that is dirty already moves no mtime; when a page was written back last is chance. */
	if (maps[i].shared)
		sys(madvise, maps[i].at, maps[i].len, MADV_DONTNEED);
	say_result(sys(process_vm_writev, getpid(), &from, 1, &to, 1, 0));
	/* Until then it is found once in a second (README), and the times that were set meanwhile are those of the file. */
	if (maps[i].shared) {
		say(" msync");
		say_result(sys(msync, maps[i].at, maps[i].len, PICK(MS_SYNC, MS_ASYNC, MS_SYNC | MS_INVALIDATE)));
	}
}

static void run_munmap(void)
{
	say("munmap(");
	int i = pick_map();
	say(")");
	drop_map(i);
}

const struct op map_ops[] = {
	{ "mmap", FAM_MAP, 20, run_mmap },
	{ "look", FAM_MAP, 30, run_look },
	{ "poke", FAM_MAP, 15, run_poke },
	{ "munmap", FAM_MAP, 5, run_munmap },
	{ 0 },
};
