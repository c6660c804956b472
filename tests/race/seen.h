/* What seen.c has changed, and the many ways to look at that. */
#ifndef SEEN_H
#define SEEN_H

#include <dirent.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

#include "../guests/guest.h"

#define MAX ((size_t)3 << 19)

static char dir[PATH_MAX], file[PATH_MAX], other[PATH_MAX], name[PATH_MAX], link_path[PATH_MAX], hard[PATH_MAX];
static bool has_hard; /* HARD is FILE, too */
static volatile bool done;
static unsigned bad;
static unsigned seed;
static int held = -1; /* on FILE, for reading and writing */
static int dir_fd = -1;
static DIR *listing; /* of DIR, read again and again */

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

static void send_some(int fd, char *buf)
{
	int ends[2];
	UNUSED ssize_t n;

	if (pipe(ends) < 0)
		return;
	n = sendfile(ends[1], fd, NULL, 4000);
	n = n > 0 ? read(ends[0], buf, 4000) : 0;
	close(ends[0]);
	close(ends[1]);
}

static void glance(unsigned *r, char *buf)
{
	UNUSED ssize_t n;
	struct stat st;
	int fd = -1;

	switch (rand_r(r) % 14) {
	case 0: stat(file, &st); break;
	case 1: fd = open(file, O_RDONLY); break;
	case 2: n = read(fd = open(file, O_RDONLY), buf, 70000); break;
	case 3: fd = open(file, O_RDWR); if (fd >= 0) touch_map(fd, MAP_SHARED, *r); break;
	case 4: fd = open(file, O_RDONLY); if (fd >= 0) touch_map(fd, MAP_PRIVATE, *r); break;
	case 5: list(dir); break;
	case 6: stat(other, &st); stat(name, &st); break;
	case 7: if (readlink(link_path, buf, 100) > 0) stat(link_path, &st); break;
	case 8: getxattr(file, "user.seen", buf, 100); break;
	case 9: fstat(held, &st); break;
	case 10: fd = openat(dir_fd, "file", O_RDONLY); if (fd >= 0) send_some(fd, buf); break;
	case 11: fstatat(dir_fd, "name", &st, AT_SYMLINK_NOFOLLOW); fstatat(dir_fd, "hard", &st, 0); break;
	case 12: fd = open(hard, O_RDONLY); break;
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

/* The same in another process, until that is killed. */
static pid_t look_from_outside(void)
{
	pid_t child = fork();

	if (!child) {
		unsigned r = seed;

		look_on(&r);
	}
	return child;
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

/* What a pipe takes of it at most. */
static void check_sent(int fd, const char *what)
{
	size_t len = size < 60000 ? size : 60000, done = 0;
	char *got = malloc(60000);
	off_t from = 0;
	int ends[2];
	ssize_t n;

	check(pipe(ends) == 0, "pipe");
	n = rand_r(&seed) % 2 ? sendfile(ends[1], fd, &from, len) : splice(fd, &from, ends[1], NULL, len, 0);
	close(ends[1]);
	while (n > 0 && done < (size_t)n) {
		ssize_t part = read(ends[0], got + done, (size_t)n - done);
		if (part <= 0)
			break;
		done += (size_t)part;
	}
	close(ends[0]);
	/* Less may be given in one call. */
	check((done || !len) && !memcmp(got, data, done), what);
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
static void check_file_here(void)
{
	struct stat st;
	int fd = -1;

	switch (rand_r(&seed) % 14) {
	case 0: check(stat(file, &st) == 0 && (size_t)st.st_size == size, "size by stat"); break;
	case 1: check(fstat(held, &st) == 0 && (size_t)st.st_size == size, "size by fstat"); break;
	case 2: check_read(held, "pread"); break;
	case 3: check_read(fd = open(file, O_RDONLY), "read of a new descriptor"); break;
	case 4: check_map(held, MAP_SHARED, "shared mapping"); break;
	case 5: check_map(fd = open(file, O_RDONLY), MAP_PRIVATE, "private mapping"); break;
	case 6: check_map(fd = open(file, O_RDWR), MAP_SHARED, "new shared mapping"); break;
	case 7: check_read(fd = openat(dir_fd, "file", O_RDONLY), "read by openat"); break;
	case 8: check(fstatat(dir_fd, "file", &st, 0) == 0 && (size_t)st.st_size == size, "size by fstatat"); break;
	case 9: check_read(fd = dup(held), "read of a duplicate"); break;
	case 10: check_sent(held, "sent"); break;
	case 11: check_sent(fd = open(file, O_RDONLY), "sent of a new descriptor"); break;
	case 12: check_read(fd = open(has_hard ? hard : file, O_RDONLY), "read by another name"); break;
	default: check(lseek(held, 0, SEEK_END) == (off_t)size, "lseek");
	}
	if (fd >= 0)
		close(fd);
}

/* Has LOOK done by another process, perhaps, which has all that was there. */
static void look_somewhere(void (*look)(void))
{
	int status = -1;

	if (rand_r(&seed) % 12)
		return look();
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		unsigned before = bad;

		look();
		fflush(stdout);
		_exit(bad != before);
	}
	waitpid(child, &status, 0);
	bad += status != 0;
}

static void check_file(void)
{
	look_somewhere(check_file_here);
}

static bool is_in(DIR *d, const char *path)
{
	const char *last = strrchr(path, '/') + 1;
	bool found = false;

	for (struct dirent *e; d && (e = readdir(d));)
		found |= !strcmp(e->d_name, last);
	return found;
}

static bool is_listed(const char *path)
{
	DIR *d = opendir(dir);
	bool found = is_in(d, path);

	if (d)
		closedir(d);
	return found;
}

static bool is_listed_again(const char *path)
{
	rewinddir(listing);
	return is_in(listing, path);
}

static const char *looked_for;
static bool wanted;

static void check_name_here(void)
{
	const char *path = looked_for, *last = strrchr(path, '/') + 1;
	bool is = wanted;
	struct stat st;
	int fd;

	switch (rand_r(&seed) % 7) {
	case 0: check((lstat(path, &st) == 0) == is, is ? "is not there by lstat" : "is there by lstat"); break;
	case 1: check((access(path, F_OK) == 0) == is, is ? "is not there by access" : "is there by access"); break;
	case 2: check(is_listed(path) == is, is ? "is not listed" : "is listed"); break;
	case 3: check(is_listed_again(path) == is, is ? "is not listed again" : "is listed again"); break;
	case 4: check((faccessat(dir_fd, last, F_OK, AT_SYMLINK_NOFOLLOW) == 0) == is, is ? "is not there" : "is there"); break;
	case 5: check((fstatat(dir_fd, last, &st, AT_SYMLINK_NOFOLLOW) == 0) == is, is ? "is not found" : "is found"); break;
	default:
		fd = open(path, O_PATH | O_NOFOLLOW);
		check((fd >= 0) == is, is ? "cannot be opened" : "can be opened");
		close(fd);
	}
}

static void check_name(const char *path, bool is)
{
	looked_for = path;
	wanted = is;
	look_somewhere(check_name_here);
}

#endif
