#include "pattern_syntax.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

struct translation {
	const char *pattern, *p;
	struct pattern_syntax *s;
	/* What stands in front. */
	enum { NOTHING, ATOM, REPETITION } before;
	char *err;
	size_t err_len;
};

unsigned pattern_syntax_column(const char *pattern, size_t offset)
{
	unsigned column = 1;

	for (size_t i = 0; i < offset && pattern[i]; i++)
		column += (pattern[i + 1] & 0xc0) != 0x80;
	return column;
}

static int refuse(struct translation *t, const char *at, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int refuse(struct translation *t, const char *at, const char *format, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	snprintf(t->err, t->err_len, "character %u: %s", pattern_syntax_column(t->pattern, (size_t)(at - t->pattern)), what);
	return -EINVAL;
}

static void put(struct translation *t, const char *text, size_t len)
{
	struct pattern_syntax *s = t->s;

	if (s->len + len + 1 > s->room) {
		s->room = 2 * (s->len + len + 1);
		s->text = xrealloc(s->text, s->room);
		s->from = xrealloc(s->from, s->room * sizeof(*s->from));
	}
	for (size_t i = 0; i < len; i++) {
		s->from[s->len] = (size_t)(t->p - t->pattern);
		s->text[s->len++] = text[i];
	}
	s->text[s->len] = '\0';
}

static void put_text(struct translation *t, const char *text)
{
	put(t, text, strlen(text));
}

/* LEN bytes as they are. */
static void copy(struct translation *t, size_t len)
{
	put(t, t->p, len);
	t->p += len;
}

static void add_group(struct translation *t, const char *name, size_t len)
{
	struct pattern_syntax *s = t->s;

	s->names = xrealloc(s->names, (s->groups + 1) * sizeof(*s->names));
	s->names[s->groups++] = name ? strndup(name, len) : NULL;
}

/* ---- escapes ---- */

/* \x7F, \u00e9, \U0001F600, and each with braces. */
static int hex_escape(struct translation *t)
{
	const char *start = t->p, *digits = t->p + 2, *end;
	char hex[24], *stop;
	size_t n = t->p[1] == 'x' ? 2 : t->p[1] == 'u' ? 4 : 8;

	if (*digits == '{') {
		digits++;
		n = strspn(digits, "0123456789abcdefABCDEF");
		end = digits + n + 1;
	} else {
		end = digits + n;
	}
	if (!n || n > 8 || strspn(digits, "0123456789abcdefABCDEF") < n || (digits[-1] == '{' && digits[n] != '}'))
		return refuse(t, start, "\\%c is not followed by the hexadecimal number of a character", t->p[1]);
	snprintf(hex, sizeof(hex), "%.*s", (int)n, digits);
	snprintf(hex, sizeof(hex), "\\x{%lx}", strtoul(hex, &stop, 16));
	put_text(t, hex);
	t->p = end;
	return 0;
}

static int property_escape(struct translation *t)
{
	size_t n = 3;

	if (t->p[2] == '{') {
		n = 2 + strcspn(t->p + 2, "}^");
		if (t->p[n] != '}')
			return refuse(t, t->p, "\\%c{…} does not name a property of characters", t->p[1]);
		n++;
	}
	if (!t->p[2])
		return refuse(t, t->p, "\\%c does not name a property of characters", t->p[1]);
	copy(t, n);
	return 0;
}

static int boundary_escape(struct translation *t)
{
	static const struct {
		const char *rust, *pcre;
	} boundaries[] = {
		{ "\\<", "\\b(?=\\w)" }, { "\\>", "\\b(?<=\\w)" }, { "\\b{start}", "\\b(?=\\w)" }, { "\\b{end}", "\\b(?<=\\w)" },
		{ "\\b{start-half}", "(?<!\\w)" }, { "\\b{end-half}", "(?!\\w)" },
	};

	for (size_t i = 0; i < sizeof(boundaries) / sizeof(*boundaries); i++)
		if (!strncmp(t->p, boundaries[i].rust, strlen(boundaries[i].rust))) {
			put_text(t, boundaries[i].pcre);
			t->p += strlen(boundaries[i].rust);
			return 0;
		}
	if (t->p[2] == '{')
		return refuse(t, t->p, "\\b{…} is none of \\b{start}, \\b{end}, \\b{start-half} and \\b{end-half}");
	copy(t, 2);
	return 0;
}

static int escape(struct translation *t, bool in_class)
{
	unsigned char c = (unsigned char)t->p[1];

	if (!c)
		return refuse(t, t->p, "a \\ at the end escapes nothing; write \\\\ for a backslash");
	if (strchr("xuU", c))
		return hex_escape(t);
	if (strchr("pP", c))
		return property_escape(t);
	if (!in_class && strchr("b<>", c))
		return boundary_escape(t);
	if (strchr("dDsSwWafnrt", c) || (!in_class && strchr("ABz", c)) || (ispunct(c) && c != '<' && c != '>')) {
		copy(t, 2);
	} else if (c == 'v') {
		put_text(t, "\\x0b");
		t->p += 2;
	} else if (isdigit(c)) {
		return refuse(t, t->p, "\\%c, a back reference or an octal number, is not part of Rust's regex syntax", c);
	} else {
		return refuse(t, t->p, "\\%.*s is not an escape of Rust's regex syntax%s", c < 0x80 ? 1 : 0, t->p + 1,
			      in_class ? " in […]" : "");
	}
	return 0;
}

/* ---- classes ---- */

static int is_word(int c)
{
	return isalnum(c) || c == '_';
}

static int is_ascii(int c)
{
	return c < 0x80;
}

/* [:alpha:] and its like are of ASCII in Rust, where PCRE2 takes all letters there are. */
static int posix_class(struct translation *t)
{
	static const struct {
		const char *name;
		int (*holds)(int c);
	} classes[] = {
		{ "alnum", isalnum }, { "alpha", isalpha }, { "ascii", is_ascii }, { "blank", isblank }, { "cntrl", iscntrl },
		{ "digit", isdigit }, { "graph", isgraph }, { "lower", islower }, { "print", isprint }, { "punct", ispunct },
		{ "space", isspace }, { "upper", isupper }, { "word", is_word }, { "xdigit", isxdigit },
	};
	bool named = t->p[1] == ':', inverted = named && t->p[2] == '^';
	const char *name = t->p + 1 + named + inverted;
	size_t i = 0, n = strcspn(name, ":]"), count = sizeof(classes) / sizeof(*classes);
	char item[16];

	while (i < count && (strlen(classes[i].name) != n || memcmp(name, classes[i].name, n)))
		i++;
	if (!named || i == count || strncmp(name + n, ":]", 2))
		return refuse(t, t->p, "a [ inside […] starts a class inside a class, which is not supported; write \\[ for the character");
	for (int c = 0; c < 0x80; c++)
		if (!classes[i].holds(c) == inverted) {
			snprintf(item, sizeof(item), "\\x{%x}", (unsigned)c);
			put_text(t, item);
		}
	if (inverted)
		put_text(t, "\\x{80}-\\x{10ffff}");
	t->p = name + n + 2;
	return 0;
}

static int class_item(struct translation *t)
{
	if (*t->p == '[')
		return posix_class(t);
	if (*t->p == '\\')
		return escape(t, true);
	if (*t->p == t->p[1] && strchr("&-~", *t->p))
		return refuse(t, t->p, "the set operation %.2s inside […] is not supported; write the characters out, or \\%c for the character", t->p,
			      *t->p);
	copy(t, 1);
	return 0;
}

static int class(struct translation *t)
{
	const char *start = t->p;
	int rc = 0;

	copy(t, t->p[1] == '^' ? 2 : 1);
	if (*t->p == ']') {
		put_text(t, "\\]");
		t->p++;
	}
	while (!rc && *t->p && *t->p != ']')
		rc = class_item(t);
	if (!rc && !*t->p)
		return refuse(t, start, "the [ is not closed; write \\[ for the character");
	if (!rc)
		copy(t, 1);
	return rc;
}

/* ---- groups ---- */

static int named_group(struct translation *t, const char *name)
{
	size_t n = strcspn(name, ">");

	if (!name[n] || !n || isdigit((unsigned char)*name))
		return refuse(t, t->p, "the name of a group is missing or not closed; write (?P<name>…)");
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("_.[]", name[i]))
			return refuse(t, name + i, "a group's name is made of letters of ASCII, digits and _");
	for (size_t i = 1; i < t->s->groups; i++)
		if (t->s->names[i] && strlen(t->s->names[i]) == n && !memcmp(t->s->names[i], name, n))
			return refuse(t, name, "two groups have the name %s; rename one", t->s->names[i]);
	add_group(t, name, n);
	put_text(t, "(");
	t->p = name + n + 1;
	return 0;
}

/* (?i) and (?i:…) */
static int flag_group(struct translation *t)
{
	const char *flags = t->p + 2;
	size_t n = strspn(flags, "imsUuxR-");
	bool off = false;

	if (!n || !flags[n] || !strchr(":)", flags[n]) || flags[n - 1] == '-')
		return refuse(t, t->p, "(?%.*s is not part of Rust's regex syntax", (signed char)flags[n] > 0 ? (int)n + 1 : (int)n, flags);
	put_text(t, "(?");
	for (const char *f = flags; f < flags + n; f++) {
		off |= *f == '-';
		if (strchr("xR", *f) || (*f == 'u' && off))
			return refuse(t, f, "the flag %s%c is not supported; write the pattern without it", *f == 'u' ? "-" : "", *f);
		if (*f != 'u') /* patterns are Unicode's as it is */
			put(t, f, 1);
	}
	t->p = flags + n;
	copy(t, 1);
	return 0;
}

static int group(struct translation *t)
{
	const char *p = t->p;

	if (p[1] != '?') {
		add_group(t, NULL, 0);
		copy(t, 1);
		return 0;
	}
	if (p[2] == ':') {
		copy(t, 3);
		return 0;
	}
	if (p[2] == '=' || p[2] == '!' || (p[2] == '<' && (p[3] == '=' || p[3] == '!')))
		return refuse(t, p, "look-around, (?%.*s…), is not part of Rust's regex syntax", p[2] == '<' ? 2 : 1, p + 2);
	if (p[2] == '<')
		return named_group(t, p + 3);
	if (p[2] == 'P' && p[3] == '<')
		return named_group(t, p + 4);
	if (p[2] == '>')
		return refuse(t, p, "an atomic group, (?>…), is not part of Rust's regex syntax; write (?:…)");
	return flag_group(t);
}

/* ---- repetitions ---- */

/* {2}, {2,}, {2,3}; and {,3}, which PCRE2 would take for text. */
static int counted(struct translation *t)
{
	const char *start = t->p, *p = t->p + 1;
	size_t low = strspn(p, "0123456789"), high;
	bool comma = p[low] == ',';

	high = comma ? strspn(p + low + 1, "0123456789") : 0;
	if (p[low + comma + high] != '}' || (!low && !high))
		return refuse(t, start, "the { starts no repetition, {2} or {2,3}; write \\{ for the character");
	put_text(t, low ? "{" : "{0");
	t->p++;
	copy(t, low + comma + high + 1);
	return 0;
}

static int repetition(struct translation *t)
{
	/* Behind a "(" PCRE2 would not even take it for a repetition. */
	if (t->before == NOTHING)
		return refuse(t, t->p, "there is nothing for the %c to repeat; write \\%c for the character", *t->p, *t->p);
	if (t->before == REPETITION)
		return refuse(t, t->p, "%c repeats a repetition; write (?:…)%c around the inner one", *t->p, *t->p);
	if (*t->p == '{') {
		int rc = counted(t);
		if (rc)
			return rc;
	} else {
		copy(t, 1);
	}
	if (*t->p == '?')
		copy(t, 1);
	t->before = REPETITION;
	return 0;
}

static int item(struct translation *t)
{
	if (*t->p && strchr("*+?{", *t->p))
		return repetition(t);
	t->before = *t->p == '(' || *t->p == '|' ? NOTHING : ATOM;
	switch (*t->p) {
	case '\\':
		return escape(t, false);
	case '[':
		return class(t);
	case '(':
		return group(t);
	default:
		copy(t, 1);
		return 0;
	}
}

int pattern_syntax_translate(const char *pattern, struct pattern_syntax *s, char *err, size_t len)
{
	struct translation t = { .pattern = pattern, .p = pattern, .s = s, .err = err, .err_len = len };
	int rc = 0;

	memset(s, 0, sizeof(*s));
	put_text(&t, "");
	add_group(&t, NULL, 0);
	while (!rc && *t.p)
		rc = item(&t);
	return rc;
}

void pattern_syntax_free(struct pattern_syntax *s)
{
	for (size_t i = 0; i < s->groups; i++)
		free(s->names[i]);
	free(s->names);
	free(s->from);
	free(s->text);
	memset(s, 0, sizeof(*s));
}
