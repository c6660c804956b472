#include "source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define MAX_BYTES (1u << 20)
#define MAX_PROBLEMS 100

static void problem_put(struct problems *p, const char *where, const char *format, va_list ap)
{
	char what[1024], line[1400];

	if (p->count == MAX_PROBLEMS)
		return;
	vsnprintf(what, sizeof(what), format, ap);
	snprintf(line, sizeof(line), "%s: %s", where, what);
	for (char *c = line; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	p->lines = xrealloc(p->lines, (p->count + 1) * sizeof(*p->lines));
	p->lines[p->count++] = xstrdup(line);
}

void problem_of(struct problems *p, const char *where, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	problem_put(p, where, format, ap);
	va_end(ap);
}

void problem_at(struct problems *p, const struct source *s, size_t at, const char *format, ...)
{
	CLEANUP_FREE char *where = source_name_of(s, at);
	va_list ap;

	va_start(ap, format);
	problem_put(p, where, format, ap);
	va_end(ap);
}

void problems_free(struct problems *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->lines[i]);
	free(p->lines);
	*p = (struct problems){ 0 };
}

static size_t written_offset(const struct source *s, size_t at)
{
	for (size_t i = s->piece_count; i-- > 0;)
		if (at >= s->pieces[i].at)
			return s->pieces[i].from + (s->pieces[i].fixed ? 0 : at - s->pieces[i].at);
	return at;
}

/* Line and column, in characters from 1, of what was written for AT. */
static void where_is(const struct source *s, size_t at, unsigned *line, unsigned *column)
{
	size_t end = written_offset(s, at);
	struct source_place p = s->last->offset <= end ? *s->last : (struct source_place){ 0, 1, 1 };

	for (; p.offset < end && p.offset < s->written_len; p.offset++) {
		if (s->written[p.offset] == '\n') {
			p.line++;
			p.column = 1;
		} else if ((s->written[p.offset] & 0xc0) != 0x80) {
			p.column++;
		}
	}
	*s->last = p;
	*line = p.line;
	*column = p.column;
}

char *source_name_of(const struct source *s, size_t at)
{
	unsigned line, column;
	char *where;

	where_is(s, at, &line, &column);
	if (asprintf(&where, "%s:%u:%u", s->name, line, column) < 0)
		die("out of memory");
	return where;
}

/* How many bytes of the LEN at S are one character of UTF-8; 0 when none is. */
static size_t utf8_length(const unsigned char *s, size_t len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf8 ? 4 : 0;
	uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);

	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

static int check_text(const struct source *s, struct problems *p)
{
	size_t n;

	for (size_t at = 0; at < s->len; at += n) {
		n = utf8_length((unsigned char *)s->text + at, s->len - at);
		if (n && s->text[at])
			continue;
		problem_at(p, s, at, "this is not text: %s; save the file as UTF-8", n ? "a NUL byte" : "not UTF-8");
		return -EINVAL;
	}
	return 0;
}

int source_take(struct source *s, const char *name, const char *bytes, size_t len, struct problems *p)
{
	*s = (struct source){ .name = xstrdup(name), .written_len = len, .len = len };
	s->last = xcalloc(1, sizeof(*s->last));
	*s->last = (struct source_place){ 0, 1, 1 };
	s->written = xcalloc(1, len + 1);
	memcpy(s->written, bytes, len);
	s->text = xcalloc(1, len + 1);
	memcpy(s->text, bytes, len);
	if (len > MAX_BYTES) {
		problem_of(p, name, "the file is larger than %u bytes, which no configuration is; give another file", MAX_BYTES);
		return -EINVAL;
	}
	return check_text(s, p);
}

/* All of FD, but not much more than MAX_BYTES. The number of bytes, or a negative errno. */
static ssize_t read_all(int fd, char **bytes)
{
	size_t len = 0;
	ssize_t n;

	*bytes = xcalloc(1, MAX_BYTES + 2);
	do {
		n = read(fd, *bytes + len, MAX_BYTES + 1 - len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : (ssize_t)len;
}

int source_read(struct source *s, const char *name, const char *wanted, struct problems *p)
{
	CLEANUP_FREE char *bytes = NULL;
	CLEANUP_FD int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t len = fd < 0 ? -errno : read_all(fd, &bytes);

	if (len >= 0)
		return source_take(s, name, bytes, (size_t)len, p);
	*s = (struct source){ 0 };
	problem_of(p, name, "cannot be read (%s); give the path of a %s file", strerror((int)-len), wanted);
	return -EINVAL;
}

void source_free(struct source *s)
{
	free(s->name);
	free(s->written);
	free(s->text);
	free(s->pieces);
	free(s->last);
	*s = (struct source){ 0 };
}
