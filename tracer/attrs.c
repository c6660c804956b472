#include "attrs.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/xattr.h>

#include "util.h"

struct attr {
	char *name;
	char *value;
	size_t size;
};

/* What a copy has to have. The rest is the machine's own: labels of security modules, other file systems' notes. */
static bool belongs(const char *name)
{
	return !strncmp(name, "user.", 5) || !strncmp(name, "system.posix_acl_", 17) || !strcmp(name, "security.capability");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct attr *)a)->name, ((const struct attr *)b)->name);
}

void attrs_free(struct attrs *a)
{
	for (size_t i = 0; i < a->count; i++) {
		free(a->list[i].name);
		free(a->list[i].value);
	}
	free(a->list);
	*a = (struct attrs){ 0 };
}

static int read_one(int fd, const char *name, struct attrs *a)
{
	CLEANUP_FREE char *value = xcalloc(1, XATTR_SIZE_MAX);
	ssize_t n = fgetxattr(fd, name, value, XATTR_SIZE_MAX);

	if (n < 0)
		return errno == ENODATA ? 0 : -errno;
	a->list = xrealloc(a->list, (a->count + 1) * sizeof(*a->list));
	a->list[a->count++] = (struct attr){ xstrdup(name), xrealloc(value, (size_t)n + 1), (size_t)n };
	value = NULL;
	return 0;
}

int attrs_read(int fd, struct attrs *a)
{
	CLEANUP_FREE char *names = xcalloc(1, XATTR_LIST_MAX);
	ssize_t n = flistxattr(fd, names, XATTR_LIST_MAX);
	int rc = 0;

	*a = (struct attrs){ 0 };
	if (n < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (char *name = names; !rc && name < names + n; name += strlen(name) + 1)
		rc = belongs(name) ? read_one(fd, name, a) : 0;
	if (rc)
		attrs_free(a);
	else if (a->count)
		qsort(a->list, a->count, sizeof(*a->list), by_name);
	return rc;
}

int attrs_compare(const struct attrs *a, const struct attrs *b, char *names, size_t len)
{
	size_t i = 0, j = 0, used = 0;

	while (i < a->count || j < b->count) {
		const struct attr *x = i < a->count ? a->list + i : NULL, *y = j < b->count ? b->list + j : NULL;
		int order = !x ? 1 : !y ? -1 : by_name(x, y);

		i += order <= 0;
		j += order >= 0;
		if (!order && x->size == y->size && !memcmp(x->value, y->value, x->size))
			continue;
		if (used < len)
			used += (size_t)snprintf(names + used, len - used, "%s%s", used ? " " : "", (order < 0 ? x : y)->name);
		else
			break;
	}
	return used > 0;
}

static const struct attr *find(const struct attrs *a, const char *name)
{
	const struct attr key = { (char *)name, NULL, 0 };

	return a->count ? bsearch(&key, a->list, a->count, sizeof(key), by_name) : NULL;
}

static int make_equal(const struct attrs *a, const struct attrs *b, int to)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < b->count; i++)
		if (!find(a, b->list[i].name) && fremovexattr(to, b->list[i].name) < 0)
			rc = -errno;
	for (size_t i = 0; !rc && i < a->count; i++) {
		const struct attr *x = a->list + i, *y = find(b, x->name);
		if (y && y->size == x->size && !memcmp(x->value, y->value, x->size))
			continue;
		rc = fsetxattr(to, x->name, x->value, x->size, 0) < 0 ? -errno : 0;
	}
	return rc;
}

int attrs_copy(int from, int to)
{
	struct attrs a, b;
	int rc = attrs_read(from, &a);

	if (rc)
		return rc;
	rc = attrs_read(to, &b);
	if (!rc) {
		rc = make_equal(&a, &b, to);
		attrs_free(&b);
	}
	attrs_free(&a);
	return rc;
}
