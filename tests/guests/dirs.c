/* Directories that change, move and go away while they are read or stood in; positions, also by low descriptors. */
#include <dirent.h>

#include "guest.h"

struct dirent64_ { uint64_t ino; int64_t off; uint16_t reclen; uint8_t type; char name[]; };

/* Of names that were removed since, a file system may tell or not. */
static bool kept;

/* What a read of at most SIZE bytes brings, in order. */
static int read_some(const char *label, int fd, size_t size)
{
	char buf[8192];
	long n = sys(getdents64, fd, buf, size);
	int count = 0;

	printf("%s:", label);
	for (long at = 0; at < n; at += ((struct dirent64_ *)(buf + at))->reclen, count++)
		if (!kept || !sys(faccessat, fd, ((struct dirent64_ *)(buf + at))->name, F_OK))
			printf(" %s", ((struct dirent64_ *)(buf + at))->name);
	puts(n < 0 ? err_name(errno) : n ? "" : " end");
	return n < 0 ? -1 : count;
}

static void read_rest(const char *label, int fd, size_t size)
{
	while (read_some(label, fd, size) > 0)
		;
}

static void make(const char *dir, int count)
{
	char name[64];

	sys(mkdir, P(dir), 0755);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s/n%02d", dir, i);
		close(sys(open, P(name), O_CREAT | O_WRONLY, 0600));
	}
}

static void tiny(void)
{
	int fd;

	section("tiny buffers");
	make("tiny", 7);
	fd = sys(open, P("tiny"), O_RDONLY);
	for (size_t size = 20; size < 60; size += 4)
		read_some("", fd, size);
	read_rest("rest", fd, 24);
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	read_rest("again", fd, 48);
	close(fd);
}

static void low(void)
{
	int fd = sys(open, P("tiny"), O_RDONLY), low = dup2(fd, 70);
	long at;
	pid_t pid;

	section("a low descriptor");
	read_some("low", low, 56);
	at = sys(lseek, low, 0, SEEK_CUR);
	printf("somewhere: %d\n", at > 0);
	printf("both at the same place: %d\n", sys(lseek, fd, 0, SEEK_CUR) == at);
	read_some("high", fd, 56);
	read_some("low", low, 56);
	SHOW(sys(lseek, low, at, SEEK_SET) == at);
	read_rest("from the first place", fd, 128);
	SHOW(sys(lseek, low, 0, SEEK_SET));
	read_some("rewound by the low one", fd, 4096);
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	read_some("rewound by the high one", low, 4096);
	SHOW(sys(lseek, low, -1L, SEEK_SET));
	SHOW(sys(lseek, low, 0, 9));
	SHOW(sys(lseek, fd, at, SEEK_SET) == at);
	close(fd);
	read_rest("alone", low, 128);
	pid = fork_clean();
	if (!pid) {
		sys(lseek, low, 0, SEEK_SET);
		read_some("the child", low, 80);
		_exit(0);
	}
	wait_child("child", pid);
	read_rest("the parent goes on", low, 128);
	close(low);
}

static void changing(void)
{
	int fd;

	section("changing");
	make("busy", 6);
	fd = sys(open, P("busy"), O_RDONLY);
	close(sys(open, P("busy/early"), O_CREAT | O_WRONLY, 0600));
	read_some("made after the open", fd, 4096);
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	read_some("first", fd, 48);
	for (int i = 0; i < 6; i += 2) {
		char name[32];

		snprintf(name, sizeof(name), "busy/n%02d", i);
		SHOW(sys(unlink, P(name)));
	}
	SHOW(sys(rename, P("busy/early"), P("busy/late")));
	kept = true;
	read_rest("the rest", fd, 4096);
	kept = false;
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	read_rest("all", fd, 4096);
	make("busy", 3);
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	read_rest("new ones", fd, 96);
	close(fd);
}

static void with_libc(void)
{
	DIR *d = opendir(P("tiny"));
	struct dirent *e;
	long places[32];
	char names[32][16];
	int count = 0, wrong = 0;

	section("telldir, seekdir, rewinddir");
	for (places[0] = telldir(d); (e = readdir(d)) && count < 31; places[++count] = telldir(d))
		snprintf(names[count], sizeof(names[0]), "%.15s", e->d_name);
	for (int i = count - 1; i >= 0; i--) {
		seekdir(d, places[i]);
		e = readdir(d);
		wrong += !e || strcmp(e->d_name, names[i]);
	}
	printf("%d entries, %d wrong\n", count, wrong);
	close(sys(open, P("tiny/later"), O_CREAT | O_WRONLY, 0600));
	rewinddir(d);
	for (wrong = count, count = 0; readdir(d);)
		count++;
	printf("one more: %d\n", count - wrong);
	closedir(d);
}

static void here(const char *label)
{
	char buf[PATH_MAX];
	long n = sys(getcwd, buf, sizeof(buf));

	printf("%s: %s\n", label, n < 0 ? err_name(errno) : strncmp(buf, T, strlen(T)) ? buf : buf + strlen(T));
}

static void gone(void)
{
	struct stat st;
	int fd;
	pid_t pid;

	section("gone");
	SHOW(sys(mkdir, P("g"), 0755));
	fd = sys(open, P("g"), O_RDONLY);
	SHOW(sys(rmdir, P("g")));
	SHOW(sys(fchdir, fd));
	here("in a removed one");
	SHOW(sys(stat, ".", &st));
	printf("%d links\n", (int)st.st_nlink);
	SHOW(sys(stat, "..", &st));
	SHOW(sys(stat, "x", &st));
	SHOW(sys(mkdir, "x", 0700));
	SHOW(sys(symlink, "x", "y"));
	SHOW(sys(openat, fd, "x", O_CREAT | O_RDWR, 0600));
	SHOW(sys(rmdir, "."));
	SHOW(sys(chmod, ".", 0700));
	SHOW(sys(rename, P("hello.txt"), "h"));
	SHOW(sys(chdir, "."));
	read_some("listing", fd, 4096);
	SHOW(sys(mkdir, P("g"), 0755));
	here("one of its name");
	SHOW(sys(stat, "x", &st));
	SHOW(sys(chdir, P("g")));
	pid = fork_clean();
	if (!pid) {
		sys(chdir, "..");
		_exit(sys(rmdir, P("g")) < 0);
	}
	wait_child("child", pid);
	here("removed by a child");
	SHOWFD(sys(open, ".", O_RDONLY));
	SHOW(sys(access, ".", F_OK));
	SHOW(sys(chdir, T));
	here("out of it");
	close(fd);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	tiny();
	low();
	changing();
	with_libc();
	gone();
	return 0;
}
