#include "pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pattern_syntax.h"
#include "util.h"

/* Steps of PCRE2's that a search may take: some milliseconds. Rust's engine, which has no bad cases, needs no such bound. */
#define MATCH_LIMIT 200000
#define HEAP_LIMIT_KIB 4096
/* Of a pattern, in bytes: what compiling may cost is bounded as well. */
#define TEXT_MAX 16384
/* A byte of a path may take four in UTF-8. */
#define SUBJECT_MAX (4 * PATH_MAX)

struct pattern {
	char *text;
	pcre2_code *code;
	pcre2_match_data *match;
	struct pattern_syntax syntax;
	bool told;
};

/* ---- bytes that are not UTF-8 ---- */

/* Stand for the bytes 0x80 to 0xff: the last private characters there are. */
#define BYTE_FIRST 0x10ff80u

/* The length of the UTF-8 character that P begins with and its CODE, or 0 when P begins with none. */
static size_t decode(const unsigned char *p, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 : *p >> 3 == 30 ? 4 : 0;

	if (n < 2) {
		*code = *p;
		return n;
	}
	*code = *p & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (p[i] & 0x3fu);
	}
	return *code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000) ? 0 : n;
}

/* PATH as UTF-8 in OUT, LEN bytes; returns its length. Reversed by unescape_bytes. */
static size_t escape_bytes(const char *path, char *out, size_t len)
{
	const unsigned char *p = (const unsigned char *)path;
	size_t n = 0;
	uint32_t code;

	while (*p && n + 5 <= len) {
		size_t width = decode(p, &code);

		if (width && code < BYTE_FIRST) {
			memcpy(out + n, p, width);
			n += width;
			p += width;
		} else {
			const unsigned char escaped[] = { 0xf4, 0x8f, (unsigned char)(0xbc | *p >> 6), (unsigned char)(0x80 | (*p & 0x3f)) };

			memcpy(out + n, escaped, 4);
			n += 4;
			p++;
		}
	}
	out[n] = '\0';
	return n;
}

static int unescape_bytes(const char *text, size_t text_len, char *out, size_t len)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + text_len;
	size_t n = 0;
	uint32_t code;

	while (p < end) {
		size_t width = decode(p, &code);

		if (n + width + 1 > len)
			return -ENAMETOOLONG;
		if (width == 4 && code >= BYTE_FIRST) {
			out[n++] = (char)(code & 0xff);
		} else {
			memcpy(out + n, p, width);
			n += width;
		}
		p += width;
	}
	out[n] = '\0';
	return 0;
}

/* ---- compiling ---- */

static pcre2_match_context *match_context(void)
{
	static pcre2_match_context *context;

	if (context)
		return context;
	context = pcre2_match_context_create(NULL);
	if (!context)
		die("out of memory");
	pcre2_set_match_limit(context, MATCH_LIMIT);
	pcre2_set_heap_limit(context, HEAP_LIMIT_KIB);
	/* The 32 KiB of its own that the compiled code takes from the machine stack are little. */
	pcre2_jit_stack *stack = pcre2_jit_stack_create(32 * 1024, 1024 * 1024, NULL);
	if (stack)
		pcre2_jit_stack_assign(context, NULL, stack);
	return context;
}

static void tell_error(const char *text, const struct pattern_syntax *s, int code, size_t offset, char *err, size_t len)
{
	char why[256];
	size_t at = offset < s->len ? s->from[offset] : strlen(text);

	pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
	snprintf(err, len, "character %u: %s", pattern_syntax_column(text, at), why);
}

static pcre2_code *compile(const char *text, const struct pattern_syntax *s, char *err, size_t len)
{
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_CASELESS | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
	PCRE2_SIZE offset;
	int code;

	if (!context)
		die("out of memory");
	pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	pcre2_code *c = pcre2_compile((PCRE2_SPTR)s->text, s->len, options, &code, &offset, context);
	pcre2_compile_context_free(context);
	if (!c)
		tell_error(text, s, code, offset, err, len);
	else
		pcre2_jit_compile(c, PCRE2_JIT_COMPLETE); /* without it, it is slower */
	return c;
}

struct pattern *pattern_compile(const char *text, char *err, size_t len)
{
	struct pattern *p = xcalloc(1, sizeof(*p));

	p->text = xstrdup(text);
	if (strlen(text) > TEXT_MAX)
		snprintf(err, len, "character %d: the pattern is too long", TEXT_MAX + 1);
	else if (!pattern_syntax_translate(text, &p->syntax, err, len))
		p->code = compile(text, &p->syntax, err, len);
	p->match = p->code ? pcre2_match_data_create_from_pattern(p->code, NULL) : NULL;
	if (p->match)
		return p;
	pattern_free(p);
	return NULL;
}

struct pattern *pattern_compile_literal(const char *head, const char *literal, const char *tail)
{
	char plain[SUBJECT_MAX + 8], text[2 * SUBJECT_MAX], err[256];
	size_t len = escape_bytes(literal, plain, SUBJECT_MAX), n = 0;

	n += (size_t)snprintf(text, sizeof(text), "%s", head);
	for (size_t i = 0; i < len && n + 64 < sizeof(text); i++) {
		if (ispunct((unsigned char)plain[i]) && !strchr("<>", plain[i]))
			text[n++] = '\\';
		text[n++] = plain[i];
	}
	snprintf(text + n, sizeof(text) - n, "%s", tail);
	struct pattern *p = pattern_compile(text, err, sizeof(err));
	if (!p)
		die("the pattern %s is refused: %s", text, err);
	return p;
}

void pattern_free(struct pattern *p)
{
	pcre2_match_data_free(p->match);
	pcre2_code_free(p->code);
	pattern_syntax_free(&p->syntax);
	free(p->text);
	free(p);
}

const char *pattern_text(const struct pattern *p)
{
	return p->text;
}

/* ---- searching ---- */

/* What is searched, and what it is in UTF-8; kept, since all lists are asked about one path after the other. */
static char searched[PATH_MAX], subject[SUBJECT_MAX + 8];
static size_t subject_len;

static void take_subject(const char *path)
{
	if (!strcmp(path, searched))
		return;
	snprintf(searched, sizeof(searched), "%s", path);
	subject_len = escape_bytes(searched, subject, sizeof(subject));
}

static bool search(struct pattern *p, const char *path)
{
	take_subject(path);
	int rc = pcre2_match(p->code, (PCRE2_SPTR)subject, subject_len, 0, PCRE2_NO_UTF_CHECK, p->match, match_context());

	if (rc < 0 && rc != PCRE2_ERROR_NOMATCH && !p->told) {
		p->told = true;
		log_error("the pattern \"%s\" takes too long to be looked for and counts as not found: simplify it, without nested repetitions like (a+)+",
			  p->text);
	}
	return rc >= 0;
}

bool pattern_matches(struct pattern *p, const char *path)
{
	return search(p, path);
}

/* ---- replacing ---- */

/* What one step of a replacement stands for. */
struct step {
	const char *text; /* literally, if no GROUP is meant */
	size_t len;
	long group; /* its number; -1: none is meant; -2: one that P does not have, which is empty in Rust */
};

static long find_group(const struct pattern *p, const char *name, size_t len)
{
	if (len && strspn(name, "0123456789") >= len) {
		unsigned long n = strtoul(name, NULL, 10);
		return n < p->syntax.groups ? (long)n : -2;
	}
	for (size_t i = 1; i < p->syntax.groups; i++)
		if (p->syntax.names[i] && strlen(p->syntax.names[i]) == len && !memcmp(p->syntax.names[i], name, len))
			return (long)i;
	return -2;
}

/* The step that *AT begins with; *AT is moved behind it. As Rust: the longest name, unless it stands in braces. */
static struct step next_step(const struct pattern *p, const char **at)
{
	struct step s = { .text = *at, .len = strcspn(*at, "$"), .group = -1 };
	const char *name = *at + 1, *close = *name == '{' ? strchr(name, '}') : NULL;
	size_t n = 0;

	*at += s.len;
	if (s.len)
		return s;
	s.len = 1;
	*at += *name == '$' ? 2 : 1;
	if (close) {
		*at = close + 1;
		s = (struct step){ name + 1, (size_t)(close - name - 1), find_group(p, name + 1, (size_t)(close - name - 1)) };
	} else if (*name != '$' && *name != '{') {
		while (isalnum((unsigned char)name[n]) || name[n] == '_')
			n++;
		*at = name + n;
		if (n)
			s = (struct step){ name, n, find_group(p, name, n) };
	}
	return s;
}

static struct {
	char bytes[2 * SUBJECT_MAX];
	size_t len;
	bool full;
} new_text;

static void append(const char *bytes, size_t len)
{
	new_text.full |= new_text.len + len > sizeof(new_text.bytes);
	if (new_text.full)
		return;
	memcpy(new_text.bytes + new_text.len, bytes, len);
	new_text.len += len;
}

int pattern_replace(struct pattern *p, const char *path, const char *replacement, char *out, size_t len)
{
	static char with[SUBJECT_MAX + 8];

	if (!search(p, path))
		return 0;
	escape_bytes(replacement, with, sizeof(with));
	replacement = with;
	new_text.len = 0;
	new_text.full = false;
	const PCRE2_SIZE *found = pcre2_get_ovector_pointer(p->match);
	append(subject, found[0]);
	while (*replacement) {
		struct step s = next_step(p, &replacement);

		if (s.group == -1)
			append(s.text, s.len);
		else if (s.group >= 0 && found[2 * s.group] != PCRE2_UNSET)
			append(subject + found[2 * s.group], found[2 * s.group + 1] - found[2 * s.group]);
	}
	append(subject + found[1], subject_len - found[1]);
	if (new_text.full)
		return -ENAMETOOLONG;
	int rc = unescape_bytes(new_text.bytes, new_text.len, out, len);
	return rc < 0 ? rc : 1;
}
