/* Chance, and the line that an operation prints. */
#include "fuzz.h"

static uint64_t state;
static char line[65536];
static size_t line_len;

uint64_t draw(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

void draw_seed(uint64_t seed, uint64_t op)
{
	state = seed * 0xd1342543de82ef95ULL + op;
	state = draw() ^ op;
}

unsigned below(unsigned n)
{
	return (unsigned)(draw() % n);
}

bool chance(unsigned per_thousand)
{
	return below(1000) < per_thousand;
}

long pick_of(const long *values, unsigned count)
{
	return values[below(count)];
}

long pick_flags(const struct flag *set, unsigned count, unsigned per_thousand)
{
	const char *separator = "";
	long flags = 0;

	for (unsigned i = 0; i < count; i++)
		if (chance(per_thousand)) {
			flags |= set[i].value;
			say("%s%s", separator, set[i].name);
			separator = "|";
		}
	if (!*separator)
		say("0");
	return flags;
}

long pick_flag(const struct flag *set, unsigned count)
{
	const struct flag *f = &set[below(count)];

	say("%s", f->name);
	return f->value;
}

void say(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	int n = vsnprintf(line + line_len, sizeof(line) - line_len, format, ap);
	va_end(ap);
	line_len += (size_t)n;
	if (line_len >= sizeof(line))
		line_len = sizeof(line) - 1;
}

long say_result(long r)
{
	int e = errno;

	if (r < 0)
		say(" = %s", err_name(e));
	else
		say(" = %ld", r);
	errno = e;
	return r;
}

void say_data(const void *data, long len)
{
	const unsigned char *p = data;

	if (len <= 0)
		return;
	say(" %016llx", (unsigned long long)hash(data, (size_t)len));
	for (long i = 0; i < len && i < 8; i++)
		say(" %02x", p[i]);
}

/* Times that an operation set are small and exact; all others are of this run. */
void say_time(const char *label, int64_t sec, long nsec)
{
	if (sec < 1500000000)
		say(" %s=%lld.%09ld", label, (long long)sec, nsec);
	else
		say(" %s=now", label);
}

void say_stat(const struct stat *st)
{
	/* What a link in /proc lets its descriptor do shows for O_PATH that there is a placeholder behind it. */
	say(" %o n%ld %d:%d", S_ISLNK(st->st_mode) ? S_IFLNK : st->st_mode, (long)st->st_nlink, (int)st->st_uid, (int)st->st_gid);
	if (!S_ISDIR(st->st_mode))
		say(" size=%lld", (long long)st->st_size);
	if (st->st_rdev)
		say(" rdev=%lx", (long)st->st_rdev);
	say_time("mtime", st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

/* One write: what a crash leaves behind is whole lines. */
void say_flush(void)
{
	if (!line_len)
		return;
	for (size_t i = 0; i < line_len; i++)
		if (line[i] == '\n')
			line[i] = '~';
	line[line_len] = '\n';
	for (size_t done = 0; done < line_len + 1;) {
		ssize_t n = write(STDOUT_FILENO, line + done, line_len + 1 - done);
		if (n < 0 && errno != EINTR)
			_exit(90);
		done += n > 0 ? (size_t)n : 0;
	}
	line_len = 0;
}
