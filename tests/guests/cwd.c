/* chdir, fchdir, getcwd: where a task stands, and who shares it. */
#include <dirent.h>
#include <pthread.h>

#include "guest.h"

static void here(const char *label)
{
	char buf[PATH_MAX];
	struct stat dot;
	long n = sys(getcwd, buf, sizeof(buf));

	if (n < 0)
		printf("%s: %s\n", label, err_name(errno));
	else
		printf("%s: %ld %s\n", label, n - (long)strlen(T), strncmp(buf, T, strlen(T)) ? buf : buf + strlen(T));
	if (sys(stat, ".", &dot) < 0)
		printf("   .: %s\n", err_name(errno));
	else
		printf("   . mode %o nlink %ld\n", dot.st_mode, strncmp(buf, T, strlen(T)) ? 0 : (long)dot.st_nlink);
}

static void go(const char *path)
{
	printf("chdir %s: %s\n", path[0] == '/' ? "(absolute)" : path, sys(chdir, path) < 0 ? err_name(errno) : "ok");
	here("   now");
}

static void moves(void)
{
	section("moves");
	here("at first");
	go(T);
	go("dir");
	go("one");
	go("..");
	go("../links/dirlink");
	go("../links");
	go("dirlink/one");
	go("../..");
	go("./deep//a/./b/../b/c/");
	go("../../../..");
	go("..");
	go("..");
	go("/");
	go(P("links/up"));
	go(P("links/abs/.."));
	go(P("links/absdir"));
	go(P("dir/"));
	go(P("dir/../../t/dir"));
	go("/usr");
	go(P("odd"));
}

/* After a listing of the directory that it is in, what NAME is is known. */
static long access_listed(const char *name)
{
	DIR *d = opendir(T);
	struct stat st;

	while (d && readdir(d))
		;
	if (d)
		closedir(d);
	return stat(name, &st);
}

static void errors(void)
{
	char long_name[300], buf[PATH_MAX], *end;

	section("errors");
	SHOW(sys(chdir, T));
	SHOW(sys(chdir, "hello.txt"));
	SHOW(sys(chdir, "missing"));
	SHOW(sys(chdir, ""));
	SHOW(sys(chdir, "links/self"));
	SHOW(sys(chdir, "links/dangling"));
	SHOW(sys(chdir, "hello.txt/.."));
	SHOW(sys(chdir, NULL));
	SHOW(sys(chdir, BAD_KERNEL));
	memset(long_name, 'c', 299);
	long_name[299] = 0;
	SHOW(sys(chdir, long_name));
	SHOW(sys(chdir, "modes/d0000"));
	SHOW(sys(chdir, T));
	/* What is known of it says nothing of the right to search it. */
	SHOW(sys(mkdir, "closed", 0444));
	SHOW(access_listed("closed"));
	SHOW(sys(chdir, "closed"));
	SHOW(sys(chdir, T));
	SHOWFD(sys(open, P("closed/."), O_PATH));
	SHOWFD(sys(open, P("closed"), O_PATH));
	SHOW(sys(getcwd, buf, 0));
	SHOW(sys(getcwd, buf, 1));
	SHOW(sys(getcwd, buf, strlen(T)));
	SHOW(sys(getcwd, buf, strlen(T) + 1) == (long)strlen(T) + 1);
	SHOW(sys(getcwd, NULL, 100));
	SHOW(sys(getcwd, NULL, 1));
	SHOW(sys(getcwd, BAD_KERNEL, 100));
	end = edge(3);
	SHOW(sys(getcwd, end, 100));
	here("still");
}

static void by_descriptor(void)
{
	int dir = SHOWFD(sys(open, P("dir/one"), O_RDONLY)), path = SHOWFD(sys(open, P("deep/a"), O_PATH));
	int file = SHOWFD(sys(open, P("hello.txt"), O_RDONLY)), link;
	int local = SHOWFD(sys(open, "/usr", O_RDONLY | O_DIRECTORY));

	section("fchdir");
	SHOW(sys(mkdir, P("fenced"), 0444));
	/* At a low number as well, where a placeholder stands for it. */
	int fenced = SHOWFD(sys(open, P("fenced"), O_RDONLY));
	SHOW(sys(fchdir, fenced));
	SHOW(sys(dup2, fenced, 71));
	SHOW(sys(fchdir, 71));
	SHOW(sys(close, 71));
	SHOW(sys(close, fenced));
	/* What it was when it was opened says nothing. */
	fenced = SHOWFD(sys(open, P("modes/d1777"), O_RDONLY));
	SHOW(sys(chmod, P("modes/d1777"), 0644));
	SHOW(sys(fchdir, fenced));
	SHOW(sys(close, fenced));
	SHOW(sys(fchdir, dir));
	here("dir");
	close(SHOWFD(sys(open, "only", O_RDONLY)));
	SHOW(sys(fchdir, path));
	here("O_PATH");
	SHOW(sys(fchdir, file));
	SHOW(sys(fchdir, -1));
	SHOW(sys(fchdir, 999999));
	link = SHOWFD(sys(open, P("links/dirlink"), O_PATH | O_NOFOLLOW));
	SHOW(sys(fchdir, link));
	here("still");
	SHOW(sys(fchdir, local));
	here("local");
	SHOW(sys(fchdir, dir));
	SHOW(sys(close, dir));
	SHOW(sys(close, path));
	here("closed");
	SHOW(sys(rename, P("dir/one"), P("dir/two")));
	here("renamed");
	SHOW(sys(rename, P("dir"), P("moved")));
	here("parent renamed");
	close(SHOWFD(sys(open, "only", O_RDONLY)));
	close(SHOWFD(sys(open, "../file", O_RDONLY)));
	SHOW(sys(chdir, ".."));
	here("above");
	SHOW(sys(rename, P("moved"), P("dir")));
}

static void removed(void)
{
	section("removed");
	SHOW(sys(mkdir, P("gone"), 0755));
	SHOW(sys(chdir, P("gone")));
	SHOW(sys(rmdir, P("gone")));
	here("gone");
	SHOWFD(sys(open, "x", O_CREAT | O_WRONLY, 0600));
	SHOWFD(sys(open, ".", O_RDONLY));
	SHOW(sys(mkdir, "y", 0700));
	SHOW(sys(access, "..", F_OK));
	SHOW(sys(mkdir, P("gone"), 0755));
	here("made again");
	SHOW(sys(chdir, ".."));
	here("above");
}

static void *thread_moves(void *arg)
{
	sys(chdir, P("links"));
	return NULL;
}

static void sharing(void)
{
	pthread_t thread;
	pid_t pid;

	section("sharing");
	SHOW(sys(chdir, P("dir")));
	pid = fork_clean();
	if (!pid) {
		here("child");
		SHOW(sys(chdir, "../deep"));
		here("child");
		fflush(stdout);
		_exit(0);
	}
	wait_child("child", pid);
	here("parent");
	pthread_create(&thread, NULL, thread_moves, NULL);
	pthread_join(thread, NULL);
	here("after a thread moved");
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	moves();
	errors();
	by_descriptor();
	removed();
	sharing();
	return 0;
}
