/*
 * seen TREE ROUNDS [SEED]: what a call has changed is seen however one looks, when it has returned, whatever other threads look at
 * meanwhile. One thread changes; the others only look, so each look behind a change has one right answer.
 */
#include <dirent.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sys/xattr.h>

#include "../guests/guest.h"

#define LOOKERS 3
#define MAX ((size_t)3 << 19)

static char dir[PATH_MAX], file[PATH_MAX], other[PATH_MAX], name[PATH_MAX], link_path[PATH_MAX];
static volatile bool done;
static unsigned bad;
static unsigned seed;
static int held = -1; /* on FILE, for reading and writing */

static char *data; /* what FILE has */
static size_t size;

/* ---- looking, at anything: what is found is of no account ---- */

static void touch_map(int fd, int flags, unsigned r)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !st.st_size)
		return;
	char *map = mmap(NULL, (size_t)st.st_size, PROT_READ, flags, fd, 0);
	/* Not touched: the file may be cut off meanwhile. */
	usleep(r % 100);
	if (map != MAP_FAILED)
		munmap(map, (size_t)st.st_size);
}

static void list(const char *path)
{
	DIR *d = opendir(path);

	while (d && readdir(d))
		continue;
	if (d)
		closedir(d);
}

static void glance(unsigned *r, char *buf)
{
	UNUSED ssize_t n;
	struct stat st;
	int fd = -1;

	switch (rand_r(r) % 10) {
	case 0: stat(file, &st); break;
	case 1: fd = open(file, O_RDONLY); break;
	case 2: n = read(fd = open(file, O_RDONLY), buf, 70000); break;
	case 3: fd = open(file, O_RDWR); if (fd >= 0) touch_map(fd, MAP_SHARED, *r); break;
	case 4: fd = open(file, O_RDONLY); if (fd >= 0) touch_map(fd, MAP_PRIVATE, *r); break;
	case 5: list(dir); break;
	case 6: stat(other, &st); stat(name, &st); break;
	case 7: if (readlink(link_path, buf, 100) > 0) stat(link_path, &st); break;
	case 8: getxattr(file, "user.seen", buf, 100); break;
	default: n = pread(held, buf, 5000, (off_t)(*r % MAX));
	}
	if (fd >= 0)
		close(fd);
}

static void *look_on(void *arg)
{
	unsigned r = *(unsigned *)arg;
	char *buf = malloc(MAX);

	while (!done)
		glance(&r, buf);
	free(buf);
	return NULL;
}

/* ---- looking behind a change ---- */

static const char *change_name;

static void check(bool right, const char *what)
{
	if (right)
		return;
	bad++;
	printf("after %s: %s (%s)\n", change_name, what, err_name(errno));
}

static void check_bytes(const char *got, size_t len, const char *what)
{
	size_t at = 0;

	if (len != size) {
		bad++;
		printf("after %s: %s has %zu bytes, not %zu\n", change_name, what, len, size);
		return;
	}
	while (at < len && got[at] == data[at])
		at++;
	if (at == len)
		return;
	bad++;
	printf("after %s: %s has %d at %zu of %zu, not %d\n", change_name, what, got[at], at, size, data[at]);
}

static void check_read(int fd, const char *what)
{
	char *got = malloc(MAX + 1);
	ssize_t n = pread(fd, got, MAX + 1, 0);

	check_bytes(got, n < 0 ? 0 : (size_t)n, what);
	free(got);
}

static void check_map(int fd, int flags, const char *what)
{
	char *map = size ? mmap(NULL, size, PROT_READ, flags, fd, 0) : NULL;
	struct stat st = { 0 };

	fstat(fd, &st);
	if (map && map != MAP_FAILED && (size_t)st.st_size >= size)
		check_bytes(map, size, what);
	else
		check(!map && !st.st_size, what);
	if (map && map != MAP_FAILED)
		munmap(map, size);
}

/* FILE has DATA, and SIZE bytes of it. */
static void check_file(void)
{
	struct stat st;
	int fd = -1;

	switch (rand_r(&seed) % 8) {
	case 0: check(stat(file, &st) == 0 && (size_t)st.st_size == size, "size by stat"); break;
	case 1: check(fstat(held, &st) == 0 && (size_t)st.st_size == size, "size by fstat"); break;
	case 2: check_read(held, "pread"); break;
	case 3: check_read(fd = open(file, O_RDONLY), "read of a new descriptor"); break;
	case 4: check_map(held, MAP_SHARED, "shared mapping"); break;
	case 5: check_map(fd = open(file, O_RDONLY), MAP_PRIVATE, "private mapping"); break;
	case 6: check_map(fd = open(file, O_RDWR), MAP_SHARED, "new shared mapping"); break;
	default: check(lseek(held, 0, SEEK_END) == (off_t)size, "lseek");
	}
	if (fd >= 0)
		close(fd);
}

static bool is_listed(const char *path)
{
	const char *last = strrchr(path, '/') + 1;
	DIR *d = opendir(dir);
	bool found = false;

	for (struct dirent *e; d && (e = readdir(d));)
		found |= !strcmp(e->d_name, last);
	if (d)
		closedir(d);
	return found;
}

static void check_name(const char *path, bool is)
{
	struct stat st;
	int fd;

	switch (rand_r(&seed) % 4) {
	case 0: check((lstat(path, &st) == 0) == is, is ? "is not there by lstat" : "is there by lstat"); break;
	case 1: check((access(path, F_OK) == 0) == is, is ? "is not there by access" : "is there by access"); break;
	case 2: check(is_listed(path) == is, is ? "is not listed" : "is listed"); break;
	default:
		fd = open(path, O_PATH | O_NOFOLLOW);
		check((fd >= 0) == is, is ? "cannot be opened" : "can be opened");
		close(fd);
	}
}

/* ---- changes ---- */

static void change_bytes(void)
{
	size_t len = (size_t)rand_r(&seed) % MAX, off;

	len = rand_r(&seed) % 2 ? len : len % 9000;
	off = (size_t)rand_r(&seed) % (MAX - len);
	memset(data + off, 'a' + rand_r(&seed) % 26, len);
	if (off > size)
		memset(data + size, 0, off - size);
	check(pwrite(held, data + off, len, (off_t)off) == (ssize_t)len, "failed");
	size = len && off + len > size ? off + len : size;
	check_file();
}

static void change_end(void)
{
	int fd = open(file, O_WRONLY | O_APPEND);
	size_t len = 1 + (size_t)rand_r(&seed) % 500;

	if (size + len > MAX)
		len = MAX - size;
	memset(data + size, 'A' + rand_r(&seed) % 26, len);
	check(write(fd, data + size, len) == (ssize_t)len, "failed");
	size += len;
	if (rand_r(&seed) % 2)
		check_file();
	close(fd);
	check_file();
}

static void change_size(void)
{
	size_t to = (size_t)rand_r(&seed) % MAX;

	to = rand_r(&seed) % 3 ? to : to % 5000;
	if (to > size)
		memset(data + size, 0, to - size);
	check((rand_r(&seed) % 2 ? ftruncate(held, (off_t)to) : truncate(file, (off_t)to)) == 0, "failed");
	size = to;
	check_file();
}

static void change_hole(void)
{
	size_t off = (size_t)rand_r(&seed) % MAX, len = 1 + (size_t)rand_r(&seed) % 100000;

	if (off < size)
		memset(data + off, 0, off + len < size ? len : size - off);
	check(fallocate(held, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) == 0, "failed");
	check_file();
}

static void change_copy(void)
{
	size_t len = size / 2;
	off_t in = 0, out = (off_t)(size - len);

	check(copy_file_range(held, &in, held, &out, len, 0) == (ssize_t)len, "failed");
	memmove(data + size - len, data, len);
	check_file();
}

static void change_store(void)
{
	char *map = size ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, held, 0) : NULL;
	size_t at = size ? (size_t)rand_r(&seed) % size : 0;

	if (!map || map == MAP_FAILED)
		return;
	map[at] = data[at] = (char)('0' + rand_r(&seed) % 10);
	if (rand_r(&seed) % 2)
		check(msync(map, size, MS_SYNC) == 0, "failed");
	munmap(map, size);
	check_file();
}

/* Another file of the same name: by rename over it, or without it meanwhile. */
static void change_whole(void)
{
	char fill = (char)('a' + rand_r(&seed) % 26);
	int fd = open(other, O_RDWR | O_CREAT | O_EXCL, 0644);

	size = (size_t)rand_r(&seed) % 20000;
	memset(data, fill, size);
	check(fd >= 0 && write(fd, data, size) == (ssize_t)size, "failed");
	check_name(other, true);
	if (rand_r(&seed) % 2) {
		check(unlink(file) == 0, "unlink failed");
		check_name(file, false);
	}
	check(rename(other, file) == 0, "rename failed");
	check_name(file, true);
	check_name(other, false);
	dup2(fd, held);
	close(fd);
	check_file();
}

static void change_names(void)
{
	bool is_dir = rand_r(&seed) % 2;

	check((is_dir ? mkdir(name, 0755) : symlink(".", name)) == 0, "failed");
	check_name(name, true);
	check((is_dir ? rmdir(name) : unlink(name)) == 0, "failed");
	check_name(name, false);
}

static void change_link(void)
{
	char text[32], got[64];

	snprintf(text, sizeof(text), "to-%d", rand_r(&seed));
	check(symlink(text, name) == 0 && rename(name, link_path) == 0, "failed");
	ssize_t n = readlink(link_path, got, sizeof(got));
	check(n == (ssize_t)strlen(text) && !memcmp(got, text, (size_t)n), "readlink");
}

static void change_attributes(void)
{
	mode_t mode = 0600 | (rand_r(&seed) & 0177);
	struct timespec times[2] = { { rand_r(&seed), 0 }, { rand_r(&seed), 5 } };
	char value[32], got[64];
	struct stat st;

	snprintf(value, sizeof(value), "%d", rand_r(&seed));
	check((rand_r(&seed) % 2 ? fchmod(held, mode) : chmod(file, mode)) == 0, "chmod failed");
	check((rand_r(&seed) % 2 ? stat(file, &st) : fstat(held, &st)) == 0 && (st.st_mode & 07777) == mode, "mode");
	check((rand_r(&seed) % 2 ? futimens(held, times) : utimensat(AT_FDCWD, file, times, 0)) == 0, "utimens failed");
	check((rand_r(&seed) % 2 ? stat(file, &st) : fstat(held, &st)) == 0 && st.st_mtim.tv_sec == times[1].tv_sec, "mtime");
	if (setxattr(file, "user.seen", value, strlen(value), 0) < 0)
		return;
	ssize_t n = fgetxattr(held, "user.seen", got, sizeof(got));
	check(n == (ssize_t)strlen(value) && !memcmp(got, value, (size_t)n), "fgetxattr");
}

static const struct { void (*change)(void); const char *name; } changes[] = {
	{ change_bytes, "pwrite" }, { change_end, "append" }, { change_size, "truncate" }, { change_hole, "hole" },
	{ change_copy, "copy" }, { change_store, "store" }, { change_whole, "rename" }, { change_names, "names" },
	{ change_link, "link" }, { change_attributes, "attributes" }, { change_bytes, "pwrite" }, { change_end, "append" },
};

static void set_paths(void)
{
	snprintf(dir, sizeof(dir), "%s/seen", T);
	snprintf(file, sizeof(file), "%s/seen/file", T);
	snprintf(other, sizeof(other), "%s/seen/other", T);
	snprintf(name, sizeof(name), "%s/seen/name", T);
	snprintf(link_path, sizeof(link_path), "%s/seen/link", T);
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 200;
	unsigned seeds[LOOKERS];
	pthread_t thread[LOOKERS];

	guest_init(argc, argv);
	seed = argc > 3 ? (unsigned)atoi(argv[3]) : (unsigned)time(NULL) ^ (unsigned)getpid() << 8;
	unsigned first = seed;
	set_paths();
	data = calloc(1, MAX);
	mkdir(dir, 0755);
	held = open(file, O_RDWR | O_CREAT | O_TRUNC, 0644);
	for (int i = 0; i < LOOKERS; i++) {
		seeds[i] = seed + (unsigned)i;
		pthread_create(&thread[i], NULL, look_on, &seeds[i]);
	}
	for (int i = 0; i < rounds && bad < 5; i++) {
		size_t kind = (size_t)rand_r(&seed) % COUNT(changes);

		change_name = changes[kind].name;
		changes[kind].change();
	}
	done = true;
	for (int i = 0; i < LOOKERS; i++)
		pthread_join(thread[i], NULL);
	unlink(file);
	unlink(link_path);
	rmdir(dir);
	if (bad)
		printf("seed %u\n", first);
	printf("%d rounds, %u bad\n", rounds, bad);
	return bad != 0;
}
