/* Shared writable mappings: stores, what others see of them, truncation, msync, and the file afterwards. */
#include <setjmp.h>
#include <signal.h>

#include "guest.h"

#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif
#define PAGE 4096UL

static sigjmp_buf escape;

static void on_signal(int sig)
{
	siglongjmp(escape, sig);
}

static void store(const char *label, char *p, char value)
{
	int sig = sigsetjmp(escape, 1);

	if (!sig)
		*(volatile char *)p = value;
	printf("%s: %s\n", label, !sig ? "stored" : sig == SIGBUS ? "SIGBUS" : sig == SIGSEGV ? "SIGSEGV" : "another signal");
}

static void load(const char *label, const char *p)
{
	int sig = sigsetjmp(escape, 1);

	if (sig)
		printf("%s: %s\n", label, sig == SIGBUS ? "SIGBUS" : "another signal");
	else
		printf("%s: %02x\n", label, (unsigned char)*(volatile const char *)p);
}

static char *map(int fd, size_t len, int prot, int flags, long off)
{
	char *p = (char *)sys(mmap, NULL, len, prot, flags, fd, off);

	if (p == MAP_FAILED)
		printf("mmap len %zu prot %d flags %x off %ld: %s\n", len, prot, flags, off, err_name(errno));
	return p == MAP_FAILED ? NULL : p;
}

static char *map_rw(int fd, size_t len)
{
	return map(fd, len, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
}

static void show_read(const char *label, int fd, size_t len, long off)
{
	char buf[64];

	show_data(label, buf, sys(pread64, fd, buf, len, off));
}

/* Stores are seen by read, writes by the mapping; through this descriptor, another one, and another mapping. */
static void coherent(const char *name)
{
	int fd = sys(open, P(name), O_RDWR), other = sys(open, P(name), O_RDWR), reader = sys(open, P(name), O_RDONLY);
	char *p = map_rw(fd, 2 * PAGE), *q = map_rw(other, 2 * PAGE), *r = map(reader, 2 * PAGE, PROT_READ, MAP_SHARED, 0);
	char *priv = map(other, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	struct stat st;

	section("coherent: %s", name);
	if (!p || !q || !r || !priv)
		return;
	memcpy(p + 10, "STORED", 6);
	show_read("same descriptor", fd, 16, 4);
	show_read("other descriptor", other, 16, 4);
	show_read("reader", reader, 16, 4);
	show_data("other mapping", q + 4, 16);
	show_data("reader's mapping", r + 4, 16);
	memcpy(priv + 20, "PRIVATE", 7);
	show_read("private stays private", other, 16, 16);
	SHOW(sys(pwrite64, other, "written", 7, 30));
	show_data("written, in the mapping", p + 26, 16);
	SHOW(sys(pwrite64, fd, "again", 5, 12));
	show_data("over the store", q + 4, 24);
	memcpy(q + PAGE + 5, "second page", 11);
	show_read("second page", reader, 20, (long)PAGE);
	SHOW(sys(lseek, reader, 8, SEEK_SET));
	{
		char buf[12];

		show_data("read at an offset", buf, sys(read, reader, buf, sizeof(buf)));
	}
	sys(fstat, fd, &st);
	printf("size %lld\n", (long long)st.st_size);
	SHOW(sys(msync, p, 2 * PAGE, MS_SYNC));
	show_file(name);
	close(fd);
	close(other);
	memcpy(p + 40, "after close", 11);
	show_read("after close", reader, 16, 38);
	SHOW(sys(munmap, p, 2 * PAGE));
	SHOW(sys(munmap, q, 2 * PAGE));
	munmap(priv, 2 * PAGE);
	munmap(r, 2 * PAGE);
	close(reader);
	show_file(name);
}

/* A reader that was there before anybody mapped. */
static void early_reader(const char *name)
{
	int reader = sys(open, P(name), O_RDONLY), fd = sys(open, P(name), O_RDWR);
	char *r = map(reader, PAGE, PROT_READ, MAP_SHARED, 0), *p;

	section("early reader: %s", name);
	show_read("before", reader, 12, 0);
	p = map_rw(fd, PAGE);
	if (!p || !r)
		return;
	memcpy(p, "early", 5);
	show_read("after", reader, 12, 0);
	show_data("mapped", r, 12);
	SHOW(sys(ftruncate, fd, 3));
	show_read("truncated", reader, 12, 0);
	munmap(p, PAGE);
	munmap(r, PAGE);
	close(fd);
	show_read("closed", reader, 12, 0);
	close(reader);
}

static void sizes(void)
{
	int fd = sys(open, P("sizes/s65536"), O_RDWR);
	char *p = map_rw(fd, 32 * PAGE);
	struct stat st;

	section("sizes");
	if (!p)
		return;
	load("in the file", p + 15 * PAGE);
	load("behind it", p + 16 * PAGE);
	SHOW(sys(ftruncate, fd, 20 * PAGE));
	load("grown", p + 19 * PAGE);
	store("store there", p + 19 * PAGE + 7, 'g');
	load("not that far", p + 20 * PAGE);
	SHOW(sys(ftruncate, fd, 2 * PAGE + 100));
	load("shrunk: in", p + 2 * PAGE + 99);
	load("shrunk: same page", p + 2 * PAGE + 100);
	load("shrunk: behind", p + 3 * PAGE);
	SHOW(sys(ftruncate, fd, 20 * PAGE));
	load("grown again: zeros", p + 19 * PAGE + 7);
	load("grown again: zeros", p + 2 * PAGE + 200);
	store("a store", p + 5 * PAGE, '5');
	SHOW(sys(pwrite64, fd, "end", 3, 20 * PAGE));
	load("written behind", p + 20 * PAGE + 2);
	SHOW(sys(fsync, fd));
	sys(fstat, fd, &st);
	printf("size %lld\n", (long long)st.st_size);
	SHOW(sys(munmap, p, 32 * PAGE));
	close(fd);
	show_file("sizes/s65536");
}

/* What is stored behind the end, in the last page, is nobody's. */
static void tail(void)
{
	int fd = sys(open, P("hello.txt"), O_RDWR);
	char *p = map_rw(fd, PAGE);
	struct stat st;

	section("tail");
	if (!p)
		return;
	store("in the last page", p + 1000, 't');
	store("in the file", p, 'J');
	SHOW(sys(msync, p, PAGE, MS_SYNC));
	sys(fstat, fd, &st);
	printf("size %lld\n", (long long)st.st_size);
	munmap(p, PAGE);
	close(fd);
	show_file("hello.txt");
}

static void errors(void)
{
	int ro = sys(open, P("lines.txt"), O_RDONLY), wo = sys(open, P("lines.txt"), O_WRONLY);
	int fd = sys(open, P("lines.txt"), O_RDWR), ap = sys(open, P("lines.txt"), O_RDWR | O_APPEND);
	char *p;

	section("errors");
	SHOW(sys(mmap, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0));
	SHOW(sys(mmap, NULL, PAGE, PROT_WRITE, MAP_SHARED, wo, 0));
	SHOW(sys(mmap, NULL, PAGE, PROT_READ, MAP_SHARED, wo, 0));
	SHOW(sys(mmap, NULL, 0, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	SHOW(sys(mmap, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 1));
	SHOW(sys(mmap, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, -4096L));
	SHOW(sys(mmap, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_PRIVATE | 4, fd, 0));
	SHOW(sys(mmap, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0));
	SHOW(sys(mmap, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_HUGETLB, fd, 0));
	SHOW(sys(mmap, 1, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0));
	SHOW(sys(mmap, NULL, -1UL, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	p = map(ro, PAGE, PROT_READ, MAP_SHARED, 0);
	SHOW(sys(mprotect, p, PAGE, PROT_READ | PROT_WRITE));
	p = map_rw(ap, PAGE);
	store("an appending descriptor's mapping", p, 'A');
	SHOW(sys(write, ap, "appended\n", 9));
	p = map(fd, PAGE, PROT_READ, MAP_SHARED, 0);
	SHOW(sys(mprotect, p, PAGE, PROT_READ | PROT_WRITE));
	store("made writable", p + 1, 'B');
	SHOW(sys(msync, p, PAGE, MS_SYNC | MS_ASYNC));
	SHOW(sys(msync, p, PAGE, 64));
	SHOW(sys(msync, p + 1, PAGE, MS_SYNC));
	SHOW(sys(msync, p, PAGE, MS_ASYNC));
	SHOW(sys(msync, p, PAGE, MS_SYNC | MS_INVALIDATE));
	SHOW(sys(msync, p, 0, MS_SYNC));
	SHOW(sys(msync, 4096UL, PAGE, MS_SYNC));
	SHOW(sys(munmap, p, PAGE));
	SHOW(sys(msync, p, PAGE, MS_SYNC));
	show_file("lines.txt");
}

static void advice(void)
{
	int fd = sys(open, P("sizes/s1048577"), O_RDWR);
	char *p = (char *)sys(mmap, NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, PAGE), *q;

	section("advice");
	if (p == MAP_FAILED)
		return;
	memset(p + 3 * PAGE, 'a', 5 * PAGE);
	SHOW(sys(madvise, p, 64 * PAGE, MADV_DONTNEED));
	show_data("kept", p + 3 * PAGE, 16);
	SHOW(sys(madvise, p + 4 * PAGE, PAGE, MADV_REMOVE));
	load("removed", p + 4 * PAGE + 9);
	load("not removed", p + 5 * PAGE + 9);
	SHOW(sys(mlock, p, 2 * PAGE));
	SHOW(sys(msync, p, PAGE, MS_INVALIDATE | MS_SYNC));
	SHOW(sys(munlock, p, 2 * PAGE));
	q = (char *)sys(mremap, p, 64 * PAGE, 100 * PAGE, MREMAP_MAYMOVE);
	if (q == MAP_FAILED)
		return;
	show_data("grown mapping", q + 99 * PAGE, 32);
	store("there", q + 99 * PAGE, 'm');
	q = (char *)sys(mremap, q, 100 * PAGE, 2 * PAGE, 0);
	SHOW(sys(remap_file_pages, q, PAGE, 0, 5, 0));
	show_data("remapped", q, 16);
	munmap(q, 2 * PAGE);
	close(fd);
	show_file("sizes/s1048577");
}

/* Two processes that have nothing in common but the file; one dies with its stores not synced. */
static void processes(void)
{
	int fds[2], back[2], fd;
	char *p, byte;
	pid_t pid;

	section("processes");
	sys(pipe2, fds, 0);
	sys(pipe2, back, 0);
	pid = fork_clean();
	if (!pid) {
		fd = sys(open, P("sizes/s4097"), O_RDWR);
		p = map_rw(fd, 2 * PAGE);
		close(fd);
		memcpy(p + 100, "the child's", 11);
		sys(write, back[1], "1", 1);
		sys(read, fds[0], &byte, 1);
		show_data("child sees", p + 200, 16);
		fflush(stdout);
		memcpy(p + 300, "last words", 10);
		raise(SIGKILL);
	}
	fd = sys(open, P("sizes/s4097"), O_RDWR);
	p = map_rw(fd, 2 * PAGE);
	sys(read, back[0], &byte, 1);
	show_data("parent sees", p + 98, 16);
	memcpy(p + 200, "the parent's", 12);
	sys(write, fds[1], "1", 1);
	wait_child("child", pid);
	show_read("last words", fd, 16, 298);
	munmap(p, 2 * PAGE);
	close(fd);
	show_file("sizes/s4097");
	pid = fork_clean();
	if (!pid) {
		fd = sys(open, P("sizes/s4096"), O_RDWR);
		p = map_rw(fd, PAGE);
		memcpy(p, "left to exit", 12);
		_exit(0);
	}
	wait_child("child", pid);
	show_file("sizes/s4096");
}

/* The mapping is inherited, and the file has no name any more. */
static void inherited(void)
{
	int fd = sys(open, P("sizes/s131073"), O_RDWR);
	char *p = map_rw(fd, 131073);
	pid_t pid;

	section("inherited");
	SHOW(sys(unlink, P("sizes/s131073")));
	pid = fork_clean();
	if (!pid) {
		memcpy(p + 70000, "from the child", 14);
		_exit(0);
	}
	wait_child("child", pid);
	show_read("parent reads", fd, 20, 69998);
	SHOW(sys(msync, p, 131073, MS_SYNC));
	munmap(p, 131073);
	show_read("unmapped", fd, 20, 69998);
	close(fd);
}

static void grown_from_nothing(void)
{
	int fd = SHOWFD(sys(open, P("new.db"), O_RDWR | O_CREAT | O_EXCL, 0644));
	char *p = map_rw(fd, 8 * PAGE);
	struct stat st;

	section("grown from nothing");
	load("empty", p);
	SHOW(sys(ftruncate, fd, 8 * PAGE));
	for (unsigned i = 0; i < 8; i++)
		fill_pattern(p + i * PAGE + i, 100, i);
	show_read("third", fd, 32, 2 * PAGE);
	SHOW(sys(fdatasync, fd));
	SHOW(sys(fallocate, fd, 3 /* PUNCH_HOLE | KEEP_SIZE */, PAGE, PAGE));
	load("punched", p + PAGE + 20);
	SHOW(sys(fallocate, fd, 0, 0, 12 * PAGE));
	sys(fstat, fd, &st);
	printf("size %lld\n", (long long)st.st_size);
	munmap(p, 8 * PAGE);
	close(fd);
	show_file("new.db");
}

/* The newest descriptor of a file is the one that can do nothing. */
static void beside_path(void)
{
	int fd = SHOWFD(sys(open, P("lines.txt"), O_RDWR)), path = SHOWFD(sys(open, P("lines.txt"), O_PATH));
	char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	section("beside an O_PATH descriptor");
	if (at == MAP_FAILED)
		return;
	memcpy(at, "beside", 6);
	SHOW(sys(msync, at, 4096, MS_SYNC));
	SHOW(sys(msync, at, 4096, MS_SYNC | MS_INVALIDATE));
	close(fd);
	SHOW(sys(msync, at, 4096, MS_SYNC));
	close(path);
	SHOW(sys(msync, at, 4096, MS_SYNC));
	munmap(at, 4096);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_NODEFER };

	guest_init(argc, argv);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	coherent("sizes/s131073");
	coherent("sizes/s3145745");
	early_reader("sizes/s65536");
	early_reader("lines.txt");
	sizes();
	tail();
	errors();
	advice();
	beside_path();
	processes();
	inherited();
	grown_from_nothing();
	return 0;
}
