#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

/* The smallest page; where it is a divisor of the real one, a copy is only cut into more pieces. */
#define PAGE UINT64_C(4096)

#define MOST_STRINGS 256

static inline uint64_t to_page_end(uint64_t addr)
{
	return PAGE - addr % PAGE;
}

/*
 * How many bytes from ADDR, at most LEN, the task itself may read (write). /proc/TID/mem overrides page
 * protection, which the copy that the kernel would make does not.
 */
static size_t permitted_length(pid_t tid, uint64_t addr, size_t len, bool write)
{
	char name[32], line[512];
	uint64_t at = addr;

	snprintf(name, sizeof(name), "/proc/%d/maps", tid);
	FILE *maps = fopen(name, "re");
	if (!maps)
		return 0;
	while (at - addr < len && fgets(line, sizeof(line), maps)) {
		uint64_t start, end;
		char perms[5];

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, perms) != 3 || end <= at)
			continue;
		if (start > at || perms[write ? 1 : 0] == '-')
			break;
		at = end;
	}
	fclose(maps);
	return at - addr < len ? at - addr : len;
}

/* For tasks that process_vm_readv may not touch (EPERM) and kernels built without it (ENOSYS). */
static ssize_t copy_by_file(pid_t tid, uint64_t addr, void *buf, size_t len, bool write)
{
	char name[32];
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/%d/mem", tid);
	CLEANUP_FD int fd = open(name, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -EFAULT;
	len = permitted_length(tid, addr, len, write);
	if (!len)
		return -EFAULT;
	n = write ? pwrite(fd, buf, len, (off_t)addr) : pread(fd, buf, len, (off_t)addr);
	/* 0: the task has given up its memory and is on its way out. */
	return n > 0 ? n : n == 0 ? -ESRCH : -EFAULT;
}

/* One attempt: how much was copied (at least one byte) or a negative errno. */
static ssize_t copy_once(pid_t tid, uint64_t addr, void *buf, size_t len, bool write)
{
	struct iovec ours = {buf, len}, theirs = {(void *)(uintptr_t)addr, len};
	ssize_t n = write ? process_vm_writev(tid, &ours, 1, &theirs, 1, 0)
			  : process_vm_readv(tid, &ours, 1, &theirs, 1, 0);

	if (n > 0)
		return n;
	if (n < 0 && (errno == EPERM || errno == ENOSYS))
		return copy_by_file(tid, addr, buf, len, write);
	return n < 0 && errno == ESRCH ? -ESRCH : -EFAULT;
}

static ssize_t copy(pid_t tid, uint64_t addr, void *buf, size_t len, bool write)
{
	size_t done = 0;

	while (done < len) {
		size_t left = len - done, page = to_page_end(addr + done);
		ssize_t n = copy_once(tid, addr + done, (char *)buf + done, left, write);

		/* process_vm_readv(2) promises nothing about how much it copies of a range that turns bad. */
		if (n == -EFAULT && left > page)
			n = copy_once(tid, addr + done, (char *)buf + done, page, write);
		if (n < 0)
			return done ? (ssize_t)done : n;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t mem_read(pid_t tid, uint64_t addr, void *buf, size_t len)
{
	return copy(tid, addr, buf, len, false);
}

ssize_t mem_write(pid_t tid, uint64_t addr, const void *buf, size_t len)
{
	return copy(tid, addr, (void *)(uintptr_t)buf, len, true);
}

ssize_t mem_read_string(pid_t tid, uint64_t addr, char *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t chunk = to_page_end(addr + done);

		/* Most strings are short: what is behind them need not be copied. */
		if (chunk > MOST_STRINGS)
			chunk = MOST_STRINGS;
		if (chunk > len - done)
			chunk = len - done;
		ssize_t n = mem_read(tid, addr + done, buf + done, chunk);
		if (n < 0)
			return n;
		const char *nul = memchr(buf + done, 0, (size_t)n);
		if (nul)
			return nul - buf;
		done += (size_t)n;
		if ((size_t)n < chunk)
			return -EFAULT;
	}
	return -ENAMETOOLONG;
}
