/* Arrays and lists in the tracee's memory: their lengths are its word and bound nothing of ours. */
#include <dirent.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "log_decode.h"
#include "mem.h"
#include "util.h"

#define DENTS_MAX ((size_t)4 << 20)
#define ENVP_MAX 65536

/* Both kinds of directory entry start with inode number, offset and record length. */
struct dent_head {
	uint64_t ino, off;
	uint16_t reclen;
};

static unsigned count_dents(const char *buf, size_t len)
{
	struct dent_head head;
	unsigned n = 0;

	for (size_t at = 0; at + offsetof(struct dent_head, reclen) + sizeof(head.reclen) <= len; at += head.reclen) {
		memcpy(&head.reclen, buf + at + offsetof(struct dent_head, reclen), sizeof(head.reclen));
		if (head.reclen < offsetof(struct dent_head, reclen))
			break;
		n++;
	}
	return n;
}

void decode_dents(struct decoding *d, uint64_t addr)
{
	size_t len = (size_t)d->result < DENTS_MAX ? (size_t)d->result : DENTS_MAX;
	CLEANUP_FREE char *buf = malloc(len + 1);
	ssize_t n = buf ? mem_read(d->c->tid, addr, buf, len) : -1;

	decode_address(d, addr);
	if (n < 0)
		return;
	unsigned count = count_dents(buf, (size_t)n);
	text_format(d->t, " /* %u entries */", count);
}

/* Element I of an array at ADDR cannot be read: the rest of the array. */
static void add_unreadable(struct decoding *d, uint64_t addr, uint64_t i, size_t size)
{
	if (i)
		text_format(d->t, ", ... /* %#" PRIx64 " */]", addr + i * size);
	else
		decode_address(d, addr);
}

void decode_iovec(struct decoding *d, uint64_t addr, uint64_t count, bool out)
{
	bool contents = !out || d->filled;
	uint64_t left = out && d->filled ? (uint64_t)d->result : UINT64_MAX;
	struct iovec iov;

	if (!addr || !count) {
		text_add(d->t, addr ? "[]" : "NULL");
		return;
	}
	for (uint64_t i = 0; i < count; i++) {
		if (i == d->style->string_max) {
			text_add(d->t, i ? ", ..." : "[...");
			break;
		}
		if (mem_read(d->c->tid, addr + i * sizeof(iov), &iov, sizeof(iov)) != sizeof(iov)) {
			add_unreadable(d, addr, i, sizeof(iov));
			return;
		}
		text_add(d->t, i ? ", {iov_base=" : "[{iov_base=");
		uint64_t len = iov.iov_len < left ? iov.iov_len : left;
		if (contents)
			decode_buffer(d, (uint64_t)(uintptr_t)iov.iov_base, len);
		else
			decode_address(d, (uint64_t)(uintptr_t)iov.iov_base);
		text_format(d->t, ", iov_len=%zu}", iov.iov_len);
		left -= len;
	}
	text_add(d->t, "]");
}

void decode_argv(struct decoding *d, uint64_t addr)
{
	uint64_t string;

	if (!addr) {
		text_add(d->t, "NULL");
		return;
	}
	for (unsigned i = 0;; i++) {
		if (mem_read(d->c->tid, addr + i * sizeof(string), &string, sizeof(string)) != sizeof(string)) {
			add_unreadable(d, addr, i, sizeof(string));
			return;
		}
		if (i == 0)
			text_add(d->t, "[");
		if (!string)
			break;
		if (i)
			text_add(d->t, ", ");
		if (i == d->style->string_max) {
			text_add(d->t, "...");
			break;
		}
		decode_string(d, string);
	}
	text_add(d->t, "]");
}

void decode_envp(struct decoding *d, uint64_t addr)
{
	uint64_t strings[512];
	unsigned count = 0;

	decode_address(d, addr);
	if (!addr)
		return;
	while (count < ENVP_MAX) {
		ssize_t n = mem_read(d->c->tid, addr + count * sizeof(strings[0]), strings, sizeof(strings));

		for (ssize_t i = 0; i < n / (ssize_t)sizeof(strings[0]); i++, count++) {
			if (strings[i])
				continue;
			text_format(d->t, " /* %u var%s */", count, count == 1 ? "" : "s");
			return;
		}
		if (n != sizeof(strings))
			break;
	}
	if (!count)
		return;
	text_format(d->t, " /* %u vars, unterminated */", count);
}
