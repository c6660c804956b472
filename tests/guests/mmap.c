/* mmap of files in the tree: private and shared read-only, and what a mapping sees later. */
#include <setjmp.h>
#include <signal.h>

#include "guest.h"

static sigjmp_buf escape;
static volatile bool expected;

static void on_signal(int sig)
{
	if (!expected)
		_exit(100 + sig);
	siglongjmp(escape, sig);
}

/* Reads one byte, or prints which signal that is. */
static void touch(const char *label, const char *p)
{
	int sig;

	expected = true;
	sig = sigsetjmp(escape, 1);
	if (sig)
		printf("%s: signal %d\n", label, sig);
	else
		printf("%s: %02x\n", label, (unsigned char)*(volatile const char *)p);
	expected = false;
}

static void map(const char *name, int open_flags, size_t len, int prot, int flags, long offset)
{
	int fd = sys(open, P(name), open_flags);
	char *p = (char *)sys(mmap, NULL, len, prot, flags, fd, offset);
	struct stat st;
	size_t have;

	printf("%s %o len %zu prot %d flags %x offset %ld: %s\n", name, open_flags, len, prot, flags, offset,
	       p == MAP_FAILED ? err_name(errno) : "mapped");
	sys(close, fd);
	if (p == MAP_FAILED)
		return;
	sys(stat, P(name), &st);
	have = (size_t)st.st_size > (size_t)offset ? st.st_size - offset : 0;
	if (prot & PROT_READ) {
		show_data("   contents", p, have < len ? have : len);
		if (have && have < len && have % 4096)
			touch("   behind the end, same page", p + have);
		if (len > ((have + 4095) & ~4095UL))
			touch("   a page behind the end", p + ((have + 4095) & ~4095UL));
	}
	if (have && prot & PROT_WRITE && flags & MAP_PRIVATE) {
		p[0] = '!';
		printf("   written %c\n", p[0]);
	}
	munmap(p, len);
	if (prot & PROT_WRITE)
		show_file(name);
}

static void many(const char *name, size_t size)
{
	section("%s", name);
	map(name, O_RDONLY, size, PROT_READ, MAP_PRIVATE, 0);
	map(name, O_RDONLY, size, PROT_READ, MAP_SHARED, 0);
	map(name, O_RDWR, size, PROT_READ, MAP_SHARED, 0);
	map(name, O_RDWR, size, PROT_READ, MAP_PRIVATE, 0);
	map(name, O_RDONLY, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	map(name, O_RDONLY, size + 8192, PROT_READ, MAP_PRIVATE, 0);
	map(name, O_RDONLY, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, 0);
	map(name, O_RDONLY, 4096, PROT_READ, MAP_SHARED, size > 8192 ? (size / 4096 - 1) * 4096 : 0);
	map(name, O_RDONLY, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0);
}

static void errors(void)
{
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY)), path = SHOWFD(sys(open, P("hello.txt"), O_PATH));

	section("errors");
	map("hello.txt", O_RDONLY, 0, PROT_READ, MAP_PRIVATE, 0);
	map("hello.txt", O_RDONLY, 100, PROT_READ, MAP_PRIVATE, 5);
	map("hello.txt", O_RDONLY, 100, PROT_READ, 0, 0);
	map("hello.txt", O_RDONLY, 100, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	map("hello.txt", O_WRONLY, 100, PROT_READ, MAP_PRIVATE, 0);
	map("hello.txt", O_WRONLY, 100, PROT_WRITE, MAP_SHARED, 0);
	map("sizes/s3145745", O_RDONLY, 100, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	map("sizes/s3145745", O_RDONLY, 100, PROT_READ, MAP_PRIVATE, 1L << 40);
	SHOW(sys(mmap, NULL, 100, PROT_READ, MAP_PRIVATE, dir, 0));
	SHOW(sys(mmap, NULL, 100, PROT_READ, MAP_PRIVATE, path, 0));
	SHOW(sys(mmap, NULL, 100, PROT_READ, MAP_PRIVATE, -1, 0));
	SHOW(sys(mmap, NULL, 100, PROT_READ, MAP_PRIVATE, 999999, 0));
}

/* A mapping and what is written through descriptors are one thing. */
static void coherent(const char *name, int reader_flags)
{
	int reader = sys(open, P(name), reader_flags), writer = sys(open, P(name), O_RDWR);
	char *p = (char *)sys(mmap, NULL, 8192, PROT_READ, MAP_SHARED, reader, 0);

	section("coherent: %s %o", name, reader_flags);
	if (p == MAP_FAILED) {
		puts("not mapped");
		return;
	}
	show_data("before", p, 8);
	SHOW(sys(pwrite64, writer, "CHANGED", 7, 0));
	show_data("written", p, 8);
	close(reader);
	SHOW(sys(pwrite64, writer, "AGAIN", 5, 1));
	show_data("reader closed", p, 8);
	SHOW(sys(pwrite64, writer, "tail", 4, 5000));
	show_data("further on", p + 4998, 8);
	SHOW(sys(unlink, P(name)));
	show_data("unlinked", p, 8);
	SHOW(sys(ftruncate, writer, 0));
	touch("truncated", p);
	close(writer);
	munmap(p, 8192);
}

static void over_fork(void)
{
	int fd = sys(open, P("sizes/s4097"), O_RDONLY);
	char *p = (char *)sys(mmap, NULL, 4097, PROT_READ, MAP_SHARED, fd, 0);
	pid_t pid;

	section("over fork");
	close(fd);
	pid = fork_clean();
	if (!pid) {
		show_data("child", p, 4097);
		fflush(stdout);
		_exit(0);
	}
	wait_child("child", pid);
	show_data("parent", p, 4097);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };

	guest_init(argc, argv);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	many("hello.txt", 13);
	many("sizes/s4096", 4096);
	many("sizes/s131073", 131073);
	many("sizes/s1048577", 1048577);
	many("sizes/s3145745", 3145745);
	many("empty", 100);
	errors();
	over_fork();
	coherent("lines.txt", O_RDONLY);
	coherent("sizes/s65536", O_RDWR);
	coherent("sizes/s3145745", O_RDONLY);
	return 0;
}
