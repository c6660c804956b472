#include "template.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "value.h"
#include "util.h"

/* A rendering under way. */
struct render {
	struct reader r;
	struct text out;
	const struct template_names *names;
	struct source_piece *pieces;
	size_t count;
};

static void skip_space(struct reader *r)
{
	r->at += strspn(r->source->text + r->at, " \t\r\n");
}

static bool take(struct reader *r, const char *word)
{
	skip_space(r);
	if (!reader_sees(r, word))
		return false;
	r->at += strlen(word);
	return true;
}

static bool expect(struct reader *r, const char *word)
{
	return take(r, word) ||
	       reader_fail(r, r->at, "'%s' is due in this template; only {{ get_env(name=\"X\", default=\"Y\") }}, {{ key }} and "
				     "{{ git_branch }} are understood, with | default(value=\"Y\")", word);
}

/* A string in one of Tera's three quotes, which the caller frees; NULL with a line. */
static char *read_string(struct reader *r)
{
	skip_space(r);
	char quote = reader_peek(r, 0);
	const char *start = r->source->text + r->at + 1, *end;

	if (!quote || !strchr("\"'`", quote)) {
		expect(r, "\"");
		return NULL;
	}
	end = strchr(start, quote);
	if (!end) {
		reader_fail(r, r->at, "this string does not end; close it with %c", quote);
		return NULL;
	}
	r->at += (size_t)(end - start) + 2;
	return strndup(start, (size_t)(end - start));
}

/* NAME = "…" */
static char *read_argument(struct reader *r, const char *name)
{
	return expect(r, name) && expect(r, "=") ? read_string(r) : NULL;
}

/* get_env's value, or its default; *VALUE is NULL when there is neither. */
static bool read_get_env(struct reader *r, char **value)
{
	size_t at = r->at;

	if (!expect(r, "("))
		return false;
	CLEANUP_FREE char *name = read_argument(r, "name");
	if (!name)
		return false;
	const char *set = getenv(name);
	*value = set ? xstrdup(set) : NULL;
	if (take(r, ",")) {
		CLEANUP_FREE char *otherwise = read_argument(r, "default");
		if (!otherwise)
			return false;
		if (!set) {
			*value = otherwise;
			otherwise = NULL;
		}
	}
	if (!expect(r, ")"))
		return false;
	return *value || reader_fail(r, at, "the environment variable %s is not set; set it, or give a default", name);
}

/* What FILE's first line says, without its end; NULL if it cannot be read. */
static char *first_line(const char *file)
{
	char line[512] = "";
	CLEANUP_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (n <= 0)
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return xstrdup(line);
}

/* The branch that is checked out here, NULL when there is none. A worktree's .git is a file that names the directory. */
static char *git_branch(void)
{
	static const char ref[] = "ref: refs/heads/", dir[] = "gitdir: ";
	char here[PATH_MAX], path[2 * PATH_MAX];
	const char *set = getenv("MIRRORD_BRANCH_NAME");

	if (set)
		return xstrdup(set);
	if (!getcwd(here, sizeof(here)))
		return NULL;
	for (char *slash = here + strlen(here); slash; slash = strrchr(here, '/')) {
		*slash = '\0';
		snprintf(path, sizeof(path), "%s/.git", here);
		CLEANUP_FREE char *link = first_line(path);
		if (link && !strncmp(link, dir, strlen(dir)))
			snprintf(path, sizeof(path), "%s%s%s", link[strlen(dir)] == '/' ? "" : here,
				 link[strlen(dir)] == '/' ? "" : "/", link + strlen(dir));
		strncat(path, "/HEAD", sizeof(path) - strlen(path) - 1);
		CLEANUP_FREE char *head = first_line(path);
		if (head)
			return strncmp(head, ref, strlen(ref)) ? NULL : xstrdup(head + strlen(ref));
	}
	return NULL;
}

/* | default(value="…"): takes the place of a value that there is not. */
static bool read_filter(struct reader *r, char **value)
{
	if (!take(r, "|"))
		return true;
	if (!expect(r, "default") || !expect(r, "("))
		return false;
	char *otherwise = read_argument(r, "value");
	if (!otherwise)
		return false;
	if (*value)
		free(otherwise);
	else
		*value = otherwise;
	return expect(r, ")");
}

/* The value of the expression where R is. */
static bool read_expression(struct render *t, char **value)
{
	struct reader *r = &t->r;
	size_t at;

	skip_space(r);
	at = r->at;
	if (take(r, "get_env"))
		return read_get_env(r, value) && read_filter(r, value);
	if (take(r, "git_branch")) {
		*value = git_branch();
		return read_filter(r, value) &&
		       (*value || reader_fail(r, at, "no git branch is checked out here; set MIRRORD_BRANCH_NAME, or write "
						     "git_branch | default(value=\"…\")"));
	}
	if (take(r, "key")) {
		*value = xstrdup(t->names->key);
		return read_filter(r, value);
	}
	return expect(r, "get_env");
}

/* From now on what is put out comes from where R is. */
static void begin_piece(struct render *t, bool fixed)
{
	t->pieces = xrealloc(t->pieces, (t->count + 1) * sizeof(*t->pieces));
	t->pieces[t->count++] = (struct source_piece){ .at = t->out.len, .from = t->r.at, .fixed = fixed };
}

/* "{{-" takes what is blank before it along, "-}}" what is blank behind it. */
static void trim_before(struct render *t)
{
	while (t->out.len && isspace((unsigned char)t->out.s[t->out.len - 1]))
		t->out.s[--t->out.len] = '\0';
}

static bool render_expression(struct render *t)
{
	struct reader *r = &t->r;
	char *value = NULL;

	if (reader_peek(r, 2) == '-')
		trim_before(t);
	begin_piece(t, true);
	r->at += reader_peek(r, 2) == '-' ? 3 : 2;
	bool good = read_expression(t, &value);
	if (good && value)
		text_put_string(&t->out, value, strlen(value));
	free(value);
	if (!good)
		return false;
	if (take(r, "-}}")) {
		skip_space(r);
		return true;
	}
	return expect(r, "}}");
}

static bool skip_comment(struct render *t)
{
	const char *s = t->r.source->text + t->r.at, *end = strstr(s, "#}");

	if (!end)
		return reader_fail(&t->r, t->r.at, "this template comment does not end; close it with #}");
	t->r.at += (size_t)(end + 2 - s);
	return true;
}

static bool render_all(struct render *t)
{
	struct reader *r = &t->r;

	begin_piece(t, false);
	while (r->at < r->source->len) {
		const char *s = r->source->text + r->at;
		size_t n = strcspn(s, "{");

		if (s[n] && !strchr("{#%", s[n + 1] ? s[n + 1] : ' '))
			n++;
		else if (!n && s[1] == '%')
			return reader_fail(r, r->at, "template statements ({%% … %%}) are not understood; write the setting out");
		if (n) {
			text_put_string(&t->out, s, n);
			r->at += n;
			continue;
		}
		if (!(s[1] == '{' ? render_expression(t) : skip_comment(t)))
			return false;
		begin_piece(t, false);
	}
	return true;
}

int template_render(struct source *s, const struct template_names *names, struct problems *p)
{
	struct render t = { .r = { .source = s, .problems = p }, .names = names };

	if (!render_all(&t)) {
		free(t.out.s);
		free(t.pieces);
		return -EINVAL;
	}
	free(s->text);
	s->len = t.out.len;
	s->text = text_take(&t.out);
	s->pieces = t.pieces;
	s->piece_count = t.count;
	return 0;
}
