/*
 * seen TREE ROUNDS [SEED]: what a call has changed is seen however one looks, when it has returned, whatever other threads look at
 * meanwhile. One thread changes; the others only look, so each look behind a change has one right answer.
 */
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>

#include "seen.h"

#define LOOKERS 3

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

/* By a low number, so the kernel writes it. */
static void change_low(void)
{
	int fd = open(file, O_RDWR), low = dup2(fd, 300);
	size_t len = 1 + (size_t)rand_r(&seed) % 9000, off = (size_t)rand_r(&seed) % (MAX - len);

	close(fd);
	memset(data + off, 'l', len);
	if (off > size)
		memset(data + size, 0, off - size);
	check(pwrite(low, data + off, len, (off_t)off) == (ssize_t)len, "failed");
	size = off + len > size ? off + len : size;
	check_file();
	close(low);
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

struct append { char fill; size_t len; ssize_t result; };

static void *append_one(void *arg)
{
	struct append *a = arg;
	int fd = open(file, O_WRONLY | O_APPEND);
	char *bytes = malloc(a->len);

	memset(bytes, a->fill, a->len);
	a->result = write(fd, bytes, a->len);
	free(bytes);
	close(fd);
	return NULL;
}

/* Two append at once: the one behind the other. */
static void change_ends(void)
{
	struct append a = { 'x', 1 + (size_t)rand_r(&seed) % 70000, 0 }, b = { 'y', 1 + (size_t)rand_r(&seed) % 70000, 0 };
	pthread_t thread;
	char first = 0;

	if (size + a.len + b.len > MAX)
		return;
	pthread_create(&thread, NULL, append_one, &a);
	append_one(&b);
	pthread_join(thread, NULL);
	check(a.result == (ssize_t)a.len && b.result == (ssize_t)b.len, "failed");
	check(pread(held, &first, 1, (off_t)size) == 1 && (first == a.fill || first == b.fill), "first byte");
	memset(data + size, first, a.len + b.len);
	memset(data + size + (first == a.fill ? a.len : b.len), first == a.fill ? b.fill : a.fill, first == a.fill ? b.len : a.len);
	size += a.len + b.len;
	check_file();
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

static void check_links(nlink_t count)
{
	struct stat st;

	check((rand_r(&seed) % 2 ? stat(file, &st) : fstat(held, &st)) == 0 && st.st_nlink == count, "link count");
}

static void change_hard(void)
{
	check((has_hard ? unlinkat(dir_fd, "hard", 0) : linkat(dir_fd, "file", AT_FDCWD, hard, 0)) == 0, "failed");
	has_hard = !has_hard;
	check_name(hard, has_hard);
	check_links(has_hard ? 2 : 1);
}

/* Another file of the same name: by rename over it, or without it meanwhile. */
static void change_whole(void)
{
	char fill = (char)('a' + rand_r(&seed) % 26);
	int fd = open(other, O_RDWR | O_CREAT | O_EXCL, 0644);

	if (has_hard)
		change_hard();
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
	{ change_ends, "appends" }, { change_low, "low" }, { change_hard, "hard link" },
};

static void set_paths(void)
{
	snprintf(dir, sizeof(dir), "%s/seen", T);
	snprintf(file, sizeof(file), "%s/seen/file", T);
	snprintf(other, sizeof(other), "%s/seen/other", T);
	snprintf(name, sizeof(name), "%s/seen/name", T);
	snprintf(link_path, sizeof(link_path), "%s/seen/link", T);
	snprintf(hard, sizeof(hard), "%s/seen/hard", T);
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
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	listing = opendir(dir);
	pid_t outside = look_from_outside();
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
	kill(outside, SIGKILL);
	waitpid(outside, NULL, 0);
	for (int i = 0; i < LOOKERS; i++)
		pthread_join(thread[i], NULL);
	unlink(file);
	unlink(link_path);
	unlink(hard);
	rmdir(dir);
	if (bad)
		printf("seed %u\n", first);
	printf("%d rounds, %u bad\n", rounds, bad);
	return bad != 0;
}
