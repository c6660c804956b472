/* Structures that calls read and write. */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <utime.h>

#include "log_decode.h"
#include "log_flags.h"
#include "mem.h"
#include "util.h"

/* Copies a structure; when that fails, the address is all there is to show. */
static bool fetch(struct decoding *d, uint64_t addr, void *to, size_t len)
{
	if (addr && mem_read(d->c->tid, addr, to, len) == (ssize_t)len)
		return true;
	decode_address(d, addr);
	return false;
}

void decode_stat(struct decoding *d, uint64_t addr)
{
	struct stat st;

	if (!fetch(d, addr, &st, sizeof(st)))
		return;
	text_add(d->t, "{st_mode=");
	flags_add_file_mode(d->t, st.st_mode);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		text_format(d->t, ", st_rdev=makedev(%#x, %#x), ...}", major(st.st_rdev), minor(st.st_rdev));
	else
		text_format(d->t, ", st_size=%" PRId64 ", ...}", (int64_t)st.st_size);
}

void decode_statx(struct decoding *d, uint64_t addr)
{
	struct statx stx;

	if (!fetch(d, addr, &stx, sizeof(stx)))
		return;
	text_add(d->t, "{stx_mask=");
	flags_add(d->t, names_statx, stx.stx_mask, "STATX_???");
	text_add(d->t, ", stx_attributes=");
	flags_add(d->t, names_statx_attr, stx.stx_attributes, "STATX_ATTR_???");
	text_add(d->t, ", stx_mode=");
	flags_add_file_mode(d->t, stx.stx_mode);
	text_format(d->t, ", stx_size=%" PRIu64 ", ...}", (uint64_t)stx.stx_size);
}

void decode_statfs(struct decoding *d, uint64_t addr)
{
	struct statfs fs;

	if (!fetch(d, addr, &fs, sizeof(fs)))
		return;
	text_add(d->t, "{f_type=");
	flags_add_value(d->t, names_fs_magic, (uint64_t)fs.f_type, "???_MAGIC");
	text_format(d->t,
		    ", f_bsize=%ld, f_blocks=%lu, f_bfree=%lu, f_bavail=%lu, f_files=%lu, f_ffree=%lu, "
		    "f_fsid={val=[%#x, %#x]}, f_namelen=%ld, f_frsize=%ld, f_flags=",
		    (long)fs.f_bsize, (unsigned long)fs.f_blocks, (unsigned long)fs.f_bfree, (unsigned long)fs.f_bavail,
		    (unsigned long)fs.f_files, (unsigned long)fs.f_ffree, (unsigned)fs.f_fsid.__val[0],
		    (unsigned)fs.f_fsid.__val[1], (long)fs.f_namelen, (long)fs.f_frsize);
	flags_add(d->t, names_statfs, (uint64_t)fs.f_flags, "ST_???");
	text_add(d->t, "}");
}

/* What a newer program than us has behind the structure that we know, unless it is all zero. */
static void add_tail(struct decoding *d, uint64_t addr, uint64_t from, uint64_t to)
{
	unsigned char tail[64];
	size_t n = to - from < sizeof(tail) ? to - from : sizeof(tail);
	bool zero = true;

	if (to <= from || mem_read(d->c->tid, addr + from, tail, n) != (ssize_t)n)
		return;
	for (size_t i = 0; i < n; i++)
		zero = zero && !tail[i];
	if (zero)
		return;
	text_format(d->t, ", /* bytes %" PRIu64 "..%" PRIu64 " */ \"", from, to - 1);
	for (size_t i = 0; i < n && i < d->style->string_max; i++)
		text_format(d->t, "\\x%02x", tail[i]);
	text_add(d->t, n < to - from || n > d->style->string_max ? "\"..." : "\"");
}

void decode_open_how(struct decoding *d, uint64_t addr, uint64_t size)
{
	struct open_how how;

	if (size < sizeof(how)) {
		decode_address(d, addr);
		return;
	}
	if (!fetch(d, addr, &how, sizeof(how)))
		return;
	text_add(d->t, "{flags=");
	flags_add_open(d->t, how.flags);
	if (how.mode || (how.flags & OPEN_MAKES))
		text_format(d->t, ", mode=%#03" PRIo64, (uint64_t)how.mode);
	text_add(d->t, ", resolve=");
	flags_add(d->t, names_resolve, how.resolve, "RESOLVE_???");
	add_tail(d, addr, sizeof(how), size);
	text_add(d->t, "}");
}

/* The time in words, as a comment. FRACTION has DIGITS digits. */
static void add_time_comment(struct decoding *d, int64_t seconds, long fraction, int digits)
{
	time_t when = seconds;
	struct tm tm;
	char s[64], zone[16];

	if ((!seconds && !fraction) || !localtime_r(&when, &tm) || !strftime(s, sizeof(s), "%FT%T", &tm) ||
	    !strftime(zone, sizeof(zone), "%z", &tm))
		return;
	text_format(d->t, " /* %s", s);
	if (fraction)
		text_format(d->t, ".%0*ld", digits, fraction);
	text_format(d->t, "%s */", zone);
}

static void add_timespec(struct decoding *d, const struct timespec *t)
{
	if (t->tv_nsec == UTIME_NOW || t->tv_nsec == UTIME_OMIT) {
		text_add(d->t, t->tv_nsec == UTIME_NOW ? "UTIME_NOW" : "UTIME_OMIT");
		return;
	}
	text_format(d->t, "{tv_sec=%ld, tv_nsec=%ld}", (long)t->tv_sec, t->tv_nsec);
	if (t->tv_nsec >= 0 && t->tv_nsec < 1000000000)
		add_time_comment(d, t->tv_sec, t->tv_nsec, 9);
}

void decode_timespecs(struct decoding *d, uint64_t addr)
{
	struct timespec t[2];

	if (!fetch(d, addr, t, sizeof(t)))
		return;
	text_add(d->t, "[");
	add_timespec(d, &t[0]);
	text_add(d->t, ", ");
	add_timespec(d, &t[1]);
	text_add(d->t, "]");
}

void decode_timevals(struct decoding *d, uint64_t addr)
{
	struct timeval t[2];

	if (!fetch(d, addr, t, sizeof(t)))
		return;
	for (int i = 0; i < 2; i++) {
		text_format(d->t, "%s{tv_sec=%ld, tv_usec=%ld}", i ? ", " : "[", (long)t[i].tv_sec, (long)t[i].tv_usec);
		if (t[i].tv_usec >= 0 && t[i].tv_usec < 1000000)
			add_time_comment(d, t[i].tv_sec, t[i].tv_usec, 6);
	}
	text_add(d->t, "]");
}

void decode_utimbuf(struct decoding *d, uint64_t addr)
{
	struct utimbuf t;

	if (!fetch(d, addr, &t, sizeof(t)))
		return;
	text_format(d->t, "{actime=%ld", (long)t.actime);
	add_time_comment(d, t.actime, 0, 0);
	text_format(d->t, ", modtime=%ld", (long)t.modtime);
	add_time_comment(d, t.modtime, 0, 0);
	text_add(d->t, "}");
}

static void add_limit(struct decoding *d, const char *name, uint64_t value)
{
	text_add(d->t, name);
	if (value == RLIM_INFINITY)
		text_add(d->t, "RLIM64_INFINITY");
	else if (value > 1024 && value % 1024 == 0)
		text_format(d->t, "%" PRIu64 "*1024", value / 1024);
	else
		text_format(d->t, "%" PRIu64, value);
}

void decode_rlimit(struct decoding *d, uint64_t addr)
{
	struct rlimit limit;

	if (!fetch(d, addr, &limit, sizeof(limit)))
		return;
	add_limit(d, "{rlim_cur=", limit.rlim_cur);
	add_limit(d, ", rlim_max=", limit.rlim_max);
	text_add(d->t, "}");
}

/* OUT: the call fills in who holds the lock. */
void decode_flock(struct decoding *d, uint64_t addr, bool out)
{
	struct flock lock;

	if (out && !d->filled) {
		decode_address(d, addr);
		return;
	}
	if (!fetch(d, addr, &lock, sizeof(lock)))
		return;
	text_add(d->t, "{l_type=");
	flags_add_value(d->t, names_lock_type, (uint16_t)lock.l_type, "F_???");
	text_add(d->t, ", l_whence=");
	flags_add_value(d->t, names_whence, (uint16_t)lock.l_whence, "SEEK_???");
	text_format(d->t, ", l_start=%ld, l_len=%ld", (long)lock.l_start, (long)lock.l_len);
	if (out)
		text_format(d->t, ", l_pid=%d", (int)lock.l_pid);
	text_add(d->t, "}");
}

void decode_sockaddr(struct decoding *d, uint64_t addr, uint64_t len)
{
	struct sockaddr_un un = { 0 };
	size_t at = offsetof(struct sockaddr_un, sun_path);

	if (len <= at || len > sizeof(un) || !fetch(d, addr, &un, len))
		return;
	if (un.sun_family != AF_UNIX) {
		text_format(d->t, "{sa_family=%d, ...}", un.sun_family);
		return;
	}
	text_add(d->t, "{sa_family=AF_UNIX, sun_path=");
	if (!un.sun_path[0])
		text_add(d->t, "@");
	text_quote(d->t, un.sun_path + !un.sun_path[0], un.sun_path[0] ? strnlen(un.sun_path, len - at) : len - at - 1, "");
	text_add(d->t, "}");
}
