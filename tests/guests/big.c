/* Files around the sizes where the way of transport changes, read and written in pieces of every size. */
#include "guest.h"

static char buf[(1 << 20) + 65536];

static void read_in(const char *name, int flags, size_t piece)
{
	int fd = sys(open, P(name), flags);
	uint64_t h = hash("", 0);
	long n, total = 0, calls = 0, shorts = 0;

	while ((n = sys(read, fd, buf, piece)) > 0) {
		h = hash_more(h, buf, n);
		total += n;
		calls++;
		shorts += (size_t)n < piece;
	}
	printf("%s by %zu: %ld bytes, %ld calls, %ld short, last %ld, %016llx\n", name, piece, total, calls, shorts, n,
	       (unsigned long long)h);
	close(fd);
}

static void backwards(const char *name, size_t piece)
{
	int fd = sys(open, P(name), O_RDONLY);
	long end = sys(lseek, fd, 0, SEEK_END), at = end;
	uint64_t h = hash("", 0);

	while (at > 0) {
		long n;

		at = at > (long)piece ? at - (long)piece : 0;
		n = sys(pread64, fd, buf, piece, at);
		h = hash_more(h, buf, n < 0 ? 0 : n);
	}
	printf("%s backwards by %zu: %ld, %016llx\n", name, piece, end, (unsigned long long)h);
	close(fd);
}

static void at_random(const char *name)
{
	int fd = sys(open, P(name), O_RDONLY);
	long end = sys(lseek, fd, 0, SEEK_END);
	uint32_t seed = 1;
	uint64_t h = hash("", 0);

	for (int i = 0; i < 200; i++) {
		long n, at, len;

		seed = seed * 1664525 + 1013904223;
		at = seed % (end + 10);
		len = (seed >> 7) % 9000;
		n = sys(pread64, fd, buf, len, at);
		h = hash_more(h, buf, n < 0 ? 0 : n);
		h = hash_more(h, &n, sizeof(n));
	}
	printf("%s at random: %016llx\n", name, (unsigned long long)h);
	close(fd);
}

static void write_in(const char *name, size_t total, size_t piece, int flags)
{
	int fd = sys(open, P(name), O_CREAT | O_TRUNC | O_RDWR | flags, 0644);
	long n = 0;

	for (size_t at = 0; at < total; at += n) {
		size_t len = total - at < piece ? total - at : piece;

		fill_pattern(buf, len, at);
		n = sys(write, fd, buf, len);
		if (n <= 0) {
			printf("write at %zu: %ld %s\n", at, n, err_name(errno));
			break;
		}
	}
	stat_fd("before close", fd);
	SHOW(sys(close, fd));
	show_file(name);
}

int main(int argc, char **argv)
{
	static const char *const names[] = {
		"sizes/s1", "sizes/s4095", "sizes/s4096", "sizes/s4097", "sizes/s131071", "sizes/s131072", "sizes/s131073",
		"sizes/s1048575", "sizes/s1048576", "sizes/s1048577", "sizes/s3145745", "sparse", "empty",
	};

	guest_init(argc, argv);
	for (size_t i = 0; i < COUNT(names); i++) {
		read_in(names[i], O_RDONLY, 65536);
		read_in(names[i], O_RDWR, 100003);
		read_in(names[i], O_RDONLY, 131072);
		read_in(names[i], O_RDONLY, sizeof(buf));
		backwards(names[i], 70001);
		at_random(names[i]);
	}
	read_in("sizes/s4097", O_RDONLY, 1);
	read_in("sizes/s131073", O_RDWR, 997);
	write_in("w1", 131071, 4096, 0);
	write_in("w2", 131073, 131072, 0);
	write_in("w3", 1048577, 100003, 0);
	write_in("w4", 3145745, sizeof(buf), 0);
	write_in("w5", 20000, 7, 0);
	write_in("w6", 300001, 65536, O_APPEND);
	return 0;
}
