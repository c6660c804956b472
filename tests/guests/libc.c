/* The C library's own ways to files: stdio, dirent, nftw, realpath, mkstemp, glob. */
#include <dirent.h>
#include <ftw.h>
#include <glob.h>

#include "guest.h"

static int cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void stdio(void)
{
	char line[200];
	FILE *f = fopen(P("lines.txt"), "r+");
	long n = 0;

	section("stdio");
	while (f && fgets(line, sizeof(line), f))
		n++;
	printf("%ld lines, at %ld, eof %d\n", n, ftell(f), feof(f));
	SHOW(fseek(f, 7, SEEK_SET));
	SHOW(fgetc(f));
	SHOW(fseek(f, 0, SEEK_CUR));
	SHOW(fputs("XXXX", f) >= 0);
	SHOW(fflush(f));
	SHOW(ftell(f));
	SHOW(fclose(f));
	f = fopen(P("lines.txt"), "a+");
	SHOW(fprintf(f, "the end\n"));
	rewind(f);
	SHOW(fgets(line, sizeof(line), f) != NULL);
	printf("first: %s", line);
	SHOW(fclose(f));
	show_file("lines.txt");
	SHOW(fopen(P("lines.txt"), "wx") == NULL && errno == EEXIST);
	f = fopen(P("written"), "w");
	for (int i = 0; i < 5000; i++)
		fprintf(f, "%d squared is %d\n", i, i * i);
	SHOW(fclose(f));
	show_file("written");
	f = freopen(P("dir/file"), "r", stdin);
	SHOW(f != NULL && fgets(line, sizeof(line), stdin) != NULL);
	printf("stdin: %s", line);
}

static void dirent(void)
{
	DIR *d = opendir(P("odd"));
	char *names[64];
	struct dirent *e;
	int count = 0, again = 0;
	long at = 0;
	struct stat st;

	section("dirent");
	while (d && (e = readdir(d)) && count < 64) {
		names[count++] = strdup(e->d_name);
		if (count == 5)
			at = telldir(d);
	}
	seekdir(d, at);
	e = readdir(d);
	printf("seekdir: %d\n", e && !strcmp(e->d_name, names[5]));
	rewinddir(d);
	while (readdir(d))
		again++;
	printf("%d entries, %d again\n", count, again);
	SHOW(fstatat(dirfd(d), "...", &st, 0));
	SHOW(closedir(d));
	qsort(names, count, sizeof(names[0]), cmp);
	for (int i = 0; i < count; i++)
		show_data("name", names[i], strlen(names[i]));
	SHOW(opendir(P("hello.txt")) == NULL && errno == ENOTDIR);
	SHOW(opendir(P("missing")) == NULL && errno == ENOENT);
	d = fdopendir(open(P("dir"), O_RDONLY | O_DIRECTORY));
	for (count = 0; d && readdir(d);)
		count++;
	printf("fdopendir: %d\n", count);
	SHOW(closedir(d));
}

static char *walked[300];
static int walked_count;

static int on_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	char line[400];

	snprintf(line, sizeof(line), "%s flag %d level %d size %lld", path + strlen(T), flag, ftw->level,
		 S_ISREG(st->st_mode) ? (long long)st->st_size : 0LL);
	if (walked_count < 300)
		walked[walked_count++] = strdup(line);
	return 0;
}

static void walking(void)
{
	char buf[PATH_MAX];
	glob_t g;

	section("nftw");
	SHOW(nftw(T, on_entry, 8, FTW_PHYS));
	qsort(walked, walked_count, sizeof(walked[0]), cmp);
	for (int i = 0; i < walked_count; i++)
		puts(walked[i]);
	walked_count = 0;
	SHOW(chdir(T));
	SHOW(nftw(T, on_entry, 3, FTW_PHYS | FTW_CHDIR | FTW_DEPTH));
	printf("%d entries\n", walked_count);
	section("glob");
	SHOW(glob("s*/s1*", 0, NULL, &g));
	for (size_t i = 0; i < g.gl_pathc; i++)
		puts(g.gl_pathv[i]);
	globfree(&g);
	section("realpath");
	SHOW(realpath("links/through", buf) != NULL);
	printf("%s\n", buf + strlen(T));
	SHOW(realpath("links/abs", buf) != NULL);
	printf("%s\n", buf + strlen(T));
	SHOW(realpath("links/loop1", buf) == NULL && errno == ELOOP);
	SHOW(realpath("links/dangling", buf) == NULL && errno == ENOENT);
	SHOW(realpath("dir/../links/up/deep/a/..", buf) != NULL);
	printf("%s\n", buf + strlen(T));
	SHOW(getcwd(buf, sizeof(buf)) != NULL);
}

static void temporary(void)
{
	char name[PATH_MAX], other[PATH_MAX];
	int fd;
	FILE *f;

	section("temporary files");
	strcpy(name, P("tmpXXXXXX"));
	fd = mkstemp(name);
	SHOW(write(fd, "temporary", 9));
	stat_fd("mkstemp", fd);
	strcpy(other, P("dirXXXXXX"));
	SHOW(mkdtemp(other) != NULL);
	strcat(other, "/moved");
	SHOW(rename(name, other));
	SHOW(access(name, F_OK));
	SHOW(access(other, R_OK | W_OK));
	close(fd);
	f = fopen(other, "r");
	SHOW(fgetc(f));
	fclose(f);
	SHOW(remove(other));
	*strrchr(other, '/') = 0;
	SHOW(remove(other));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	stdio();
	dirent();
	walking();
	temporary();
	return 0;
}
