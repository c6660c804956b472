#include "log_flags.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

const char *flags_name(const struct name *table, uint64_t value)
{
	for (; table->name; table++)
		if (table->value == value)
			return table->name;
	return NULL;
}

void flags_add_value(struct text *t, const struct name *table, uint64_t value, const char *other)
{
	const char *name = flags_name(table, value);

	if (name)
		text_add(t, name);
	else
		text_format(t, "%#" PRIx64 " /* %s */", value, other);
}

/* Adds the names of VALUE's bits, each behind SEP except that the first is behind FIRST. The bits without a name. */
static uint64_t add_bits(struct text *t, const struct name *table, uint64_t value, const char *first)
{
	for (; table->name; table++) {
		if (!table->value || (value & table->value) != table->value)
			continue;
		text_add(t, first);
		text_add(t, table->name);
		first = "|";
		value &= ~table->value;
	}
	return value;
}

void flags_add(struct text *t, const struct name *table, uint64_t value, const char *other)
{
	const char *zero = flags_name(table, 0);

	if (!value) {
		text_add(t, zero ? zero : "0");
		return;
	}
	uint64_t rest = add_bits(t, table, value, "");
	if (rest && rest != value)
		text_format(t, "|%#" PRIx64, rest);
	else if (rest)
		text_format(t, "%#" PRIx64 " /* %s */", rest, other);
}

/* As flags_add behind a name that was written already: nothing for no bits, and no comment. */
static void add_more(struct text *t, const struct name *table, uint64_t value)
{
	uint64_t rest = add_bits(t, table, value, "|");

	if (rest)
		text_format(t, "|%#" PRIx64, rest);
}

void flags_add_open(struct text *t, uint64_t flags)
{
	static const char *const modes[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};

	text_add(t, modes[flags & O_ACCMODE]);
	add_more(t, names_open, flags & ~(uint64_t)O_ACCMODE);
}

/* The size of huge pages, as a power of two. */
#define HUGE_BITS (UINT64_C(0x3f) << 26)

void flags_add_map(struct text *t, uint64_t flags)
{
	static const char *const types[] = {"MAP_FILE", "MAP_SHARED", "MAP_PRIVATE", "MAP_SHARED_VALIDATE"};
	unsigned type = flags & MAP_TYPE;

	if (type < 4)
		text_add(t, types[type]);
	else
		text_format(t, "%#x /* MAP_??? */", type);
	add_more(t, names_map, flags & ~(uint64_t)MAP_TYPE & ~HUGE_BITS);
	if (flags & HUGE_BITS)
		text_format(t, "|%" PRIu64 "<<MAP_HUGE_SHIFT", (flags & HUGE_BITS) >> 26);
}

void flags_add_at(struct text *t, int nr, uint64_t flags)
{
	switch (nr) {
	case SYS_statx:
		if (!(flags & AT_STATX_SYNC_TYPE)) {
			text_add(t, "AT_STATX_SYNC_AS_STAT");
			add_more(t, names_at_statx, flags);
		} else {
			flags_add(t, names_at_statx, flags, "AT_???");
		}
		break;
	case SYS_faccessat2:
		flags_add(t, names_at_access, flags, "AT_???");
		break;
	case SYS_execveat:
		flags_add(t, names_at_exec, flags, "AT_???");
		break;
	default:
		flags_add(t, names_at, flags, "AT_???");
	}
}

static const char *type_name(unsigned mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "S_IFREG";
	case S_IFDIR:
		return "S_IFDIR";
	case S_IFLNK:
		return "S_IFLNK";
	case S_IFCHR:
		return "S_IFCHR";
	case S_IFBLK:
		return "S_IFBLK";
	case S_IFIFO:
		return "S_IFIFO";
	case S_IFSOCK:
		return "S_IFSOCK";
	default:
		return NULL;
	}
}

void flags_add_file_mode(struct text *t, unsigned mode)
{
	const char *type = type_name(mode);

	if (!type) {
		text_format(t, "%#03o", mode);
		return;
	}
	text_format(t, "%s%s%s%s|%#03o", type, mode & S_ISUID ? "|S_ISUID" : "", mode & S_ISGID ? "|S_ISGID" : "",
		    mode & S_ISVTX ? "|S_ISVTX" : "", mode & ~(unsigned)(S_IFMT | S_ISUID | S_ISGID | S_ISVTX));
}

void flags_add_signal(struct text *t, int sig)
{
	const char *name = sigabbrev_np(sig);

	if (sig == SIGIO)
		text_add(t, "SIGIO");
	else if (name)
		text_format(t, "SIG%s", name);
	else if (sig >= 32 && sig <= 64)
		text_format(t, sig == 32 ? "SIGRTMIN" : "SIGRT_%d", sig - 32);
	else
		text_format(t, "%d", sig);
}
