/*
 * What a service does with its files: reads its configuration, writes its state aside and renames it in, keeps a
 * log, moves its work from directory to directory, deletes and lists. servicego.go does the same and prints the same.
 */
#include <dirent.h>
#include <sys/xattr.h>

#include "guest.h"

static char path[2][PATH_MAX];

static const char *in(int slot, const char *format, ...)
{
	va_list ap;
	int n = snprintf(path[slot], PATH_MAX, "%s/", T);

	va_start(ap, format);
	vsnprintf(path[slot] + n, (size_t)(PATH_MAX - n), format, ap);
	va_end(ap);
	return path[slot];
}

static void done(const char *what, long rc)
{
	printf("%s: %s\n", what, rc < 0 ? err_name(errno) : "ok");
}

static uint32_t digest(uint32_t hash, const unsigned char *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ data[i]) * 16777619;
	return hash;
}

static void put(const char *name, int flags, const char *text)
{
	int fd = open(name, flags | O_WRONLY | O_CREAT, 0644);
	long rc = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	printf("write %s: %s\n", name + strlen(T), rc < 0 ? err_name(errno) : "ok");
}

static uint32_t file_digest(const char *name)
{
	static unsigned char buf[65536];
	uint32_t hash = 2166136261;
	int fd = open(name, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		hash = digest(hash, buf, (size_t)n);
	close(fd);
	return hash;
}

static void list(const char *dir, const char *shown)
{
	struct dirent **found;
	char name[PATH_MAX], sub[PATH_MAX], text[PATH_MAX] = "";
	struct stat st;
	int n = scandir(dir, &found, NULL, alphasort);

	if (n < 0)
		printf("%s: %s\n", shown, err_name(errno));
	for (int i = 0; i < n; i++) {
		const char *base = found[i]->d_name;
		if (!strcmp(base, ".") || !strcmp(base, ".."))
			continue;
		snprintf(name, sizeof(name), "%s/%s", dir, base);
		snprintf(sub, sizeof(sub), "%s/%s", shown, base);
		if (lstat(name, &st) < 0) {
			printf("%s: %s\n", sub, err_name(errno));
		} else if (S_ISDIR(st.st_mode)) {
			printf("%s %o\n", sub, st.st_mode);
			list(name, sub);
		} else if (S_ISLNK(st.st_mode)) {
			ssize_t len = readlink(name, text, sizeof(text) - 1);
			printf("%s -> %zd %08x\n", sub, len, digest(2166136261, (unsigned char *)text, strcmp(base, "current") ? 0 : (size_t)len));
		} else {
			printf("%s %o %lld %08x\n", sub, st.st_mode, (long long)st.st_size, file_digest(name));
		}
	}
	for (int i = 0; i < n; i++)
		free(found[i]);
	if (n >= 0)
		free(found);
}

/* The number of lines that the configuration has, and their digest. */
static int configure(void)
{
	FILE *f = fopen(in(0, "lines.txt"), "r");
	char line[256];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n++;
	printf("configuration: %d lines, %08x\n", n, file_digest(in(0, "lines.txt")));
	if (f)
		fclose(f);
	return n / 200;
}

static void save_state(int n)
{
	char text[64];

	snprintf(text, sizeof(text), "state of round %d\n", n);
	put(in(0, "dir/state.new"), O_TRUNC, text);
	done("rename the state", rename(in(0, "dir/state.new"), in(1, "dir/state")));
	put(in(0, "dir/log"), O_APPEND, text);
	unlink(in(0, "dir/current"));
	snprintf(text, sizeof(text), "state.%d", n);
	done("symlink", symlink(text, in(0, "dir/current")));
	done("link", link(in(0, "dir/state"), in(1, "dir/state.%d", n)));
}

static void work(int n)
{
	done("mkdir", mkdir(in(0, "work.%d", n), 0755));
	put(in(0, "work.%d/a", n), 0, "a\n");
	put(in(0, "work.%d/b", n), O_EXCL, "b\n");
	done("rename a directory", rename(in(0, "work.%d", n), in(1, "done.%d", n)));
	done("unlink", unlink(in(0, "done.%d/a", n)));
	if (n > 1)
		done("unlink an old one", unlink(in(0, "done.%d/b", n - 2)));
	if (n > 1)
		done("rmdir", rmdir(in(0, "done.%d", n - 2)));
}

/* What was there before the service came. */
static void change_old(int n)
{
	switch (n) {
	case 0:
		done("rename deep", rename(in(0, "deep"), in(1, "deeper")));
		put(in(0, "deeper/a/leaf"), O_APPEND, "more\n");
		done("unlink", unlink(in(0, "dir/file")));
		break;
	case 1:
		done("chmod", chmod(in(0, "exec.sh"), 0700));
		done("setxattr", setxattr(in(0, "hello.txt"), "user.seen", "1", 1, 0));
		done("truncate", truncate(in(0, "sizes/s65536"), 100));
		break;
	case 2:
		put(in(0, "dir/file"), O_EXCL, "again\n");
		done("rmdir", rmdir(in(0, "dir/empty")));
		done("mkdir", mkdir(in(0, "dir/empty"), 0700));
		put(in(0, "hard/b"), O_TRUNC, "through another name\n");
		break;
	case 3:
		done("rename over", rename(in(0, "sizes/s4096"), in(1, "sizes/s4095")));
		done("rename into", rename(in(0, "deeper/a/b"), in(1, "dir/one/b")));
		done("unlink", unlink(in(0, "dir/one/only")));
		break;
	}
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	int rounds = configure();
	for (int n = 0; n < rounds; n++) {
		printf("-- round %d\n", n);
		change_old(n);
		work(n);
		save_state(n);
		list(in(0, "dir"), "dir");
	}
	puts("-- at last");
	list(T, ".");
	return 0;
}
