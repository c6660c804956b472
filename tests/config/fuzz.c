/*
 * The configuration reader on bytes of any kind. The first byte of an input says which language the rest is in. What it accepts must
 * come out as a configuration that comes to the same.
 *
 * Built with libFuzzer (make fuzz-config) it is its target. Otherwise: fuzz SECONDS SEED FILE… mutates the files at random.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "log.h"
#include "util.h"

void die(const char *format, ...)
{
	abort();
}

void log_error(const char *format, ...)
{
}

/* What C comes to; the caller frees it. */
static char *printed(const struct config *c)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	config_print(c, f);
	fclose(f);
	return text;
}

static void read_bytes(struct config *c, const char *name, const char *bytes, size_t len)
{
	struct source s;

	if (source_take(&s, name, bytes, len, &c->problems) == 0)
		config_read_source(c, &s);
	source_free(&s);
	config_check(c);
}

/* Each problem has its place, and no line is broken. */
static void check_lines(const struct problems *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (strncmp(p->lines[i], "f.", 2) != 0 || strpbrk(p->lines[i], "\n\r\033"))
			abort();
}

static void check_again(const struct config *c)
{
	struct config again = { 0 };
	char *once = printed(c), *twice;

	read_bytes(&again, "f.json", once, strlen(once));
	twice = printed(&again);
	if (again.problems.count || strcmp(once, twice) != 0)
		abort();
	free(once);
	free(twice);
	config_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const names[] = { "f.json", "f.toml", "f.yaml" };
	struct config c = { 0 };

	if (!len)
		return 0;
	read_bytes(&c, names[data[0] % 3], (const char *)data + 1, len - 1);
	check_lines(&c.problems);
	char *text = c.problems.count ? NULL : printed(&c);
	/* What is a template by now would be rendered the next time. */
	if (text && !strstr(text, "{{") && !strstr(text, "{#") && !strstr(text, "{%"))
		check_again(&c);
	free(text);
	config_free(&c);
	return 0;
}

#ifndef LIBFUZZER
#define MOST (1u << 16)

struct input {
	uint8_t *bytes;
	size_t len;
};

static struct input read_input(const char *name)
{
	struct input in = { xcalloc(1, MOST), 1 };
	const char *ending = strrchr(name, '.');
	FILE *f = fopen(name, "r");

	in.bytes[0] = ending && !strcmp(ending, ".toml") ? 1 : ending && (!strcmp(ending, ".yaml") || !strcmp(ending, ".yml")) ? 2 : 0;
	if (!f)
		abort();
	in.len += fread(in.bytes + 1, 1, MOST / 2, f);
	fclose(f);
	return in;
}

static size_t below(size_t n)
{
	return n ? (size_t)random() % n : 0;
}

/* Puts, takes out, doubles, or moves some of IN's bytes, or words that matter to readers. */
static void mutate(struct input *in, const struct input *other)
{
	static const char *const words[] = {
		"{", "}", "[", "]", "[[", "]]", "\"", "'", "\"\"\"", "'''", "\\u0000", "\\ud800\\udc00", "\\", "\n", "\r\n", "\t", ": ", "- ", "&a ",
		"*a", "!!str ", "<<", "---\n", "? ", "|\n", "{{", "}}", "{#", "#}", "{{ get_env(name=\"X\", default=\"y\") }}", "{{ key }}", "= ",
		".", ",", "#", "null", "true", "1e9", "0x", "1979-05-27", "\xff", "\xc3\xa9", "\xf0\x9f\x98\x80", "feature", "fs", "mode", "(?i)", "(",
	};
	size_t at = below(in->len), end = at + below(in->len - at < 40 ? in->len - at : 40);
	const char *word = words[below(sizeof(words) / sizeof(*words))];
	const uint8_t *from = (const uint8_t *)word;
	size_t n = strlen(word);

	if (below(4) == 0) { /* of another input */
		size_t start = below(other->len);

		from = other->bytes + start;
		n = below(other->len - start < 64 ? other->len - start : 64);
	}
	if (below(3) == 0 && at) { /* takes the place of what is there */
		memmove(in->bytes + at, in->bytes + end, in->len - end);
		in->len -= end - at;
	}
	if (below(5) == 0 && in->len > at)
		in->bytes[at] = (uint8_t)random();
	else if (in->len + n < MOST) {
		memmove(in->bytes + at + n, in->bytes + at, in->len - at);
		memcpy(in->bytes + at, from, n);
		in->len += n;
	}
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return fprintf(stderr, "usage: fuzz SECONDS SEED FILE...\n"), 2;
	size_t count = (size_t)argc - 3;
	struct input *inputs = xcalloc(count, sizeof(*inputs)), work = { xcalloc(1, MOST), 0 };
	time_t end = time(NULL) + atoi(argv[1]);
	unsigned long runs = 0;

	srandom((unsigned)atoi(argv[2]));
	for (size_t i = 0; i < count; i++) {
		inputs[i] = read_input(argv[3 + i]);
		LLVMFuzzerTestOneInput(inputs[i].bytes, inputs[i].len);
	}
	for (; time(NULL) < end; runs++) {
		const struct input *of = &inputs[below(count)];

		memcpy(work.bytes, of->bytes, work.len = of->len);
		for (size_t n = 1 + below(6); n > 0; n--)
			mutate(&work, &inputs[below(count)]);
		LLVMFuzzerTestOneInput(work.bytes, work.len);
	}
	printf("%lu configurations read\n", runs);
	for (size_t i = 0; i < count; i++)
		free(inputs[i].bytes);
	free(inputs);
	free(work.bytes);
	return 0;
}
#endif
