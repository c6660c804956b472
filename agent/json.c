#include "json.h"

#include <stdlib.h>
#include <string.h>

#define SPACE " \t\r\n"

static const char *skip_space(const char *p)
{
	return p + strspn(p, SPACE);
}

/* Behind the string that begins at P, or NULL if it does not end. */
static const char *skip_string(const char *p)
{
	for (p++; *p != '"'; p++) {
		if (*p == '\\')
			p++;
		if (!*p)
			return NULL;
	}
	return p + 1;
}

/* Behind the value that begins at P, or NULL. What stands between brackets is only counted. */
static const char *skip_value(const char *p)
{
	size_t depth = 0, n;

	do {
		p = skip_space(p);
		if (*p == '"') {
			p = skip_string(p);
		} else if (*p == '{' || *p == '[') {
			depth++, p++;
		} else if (depth && (*p == '}' || *p == ']')) {
			depth--, p++;
		} else if (depth && (*p == ',' || *p == ':')) {
			p++;
		} else {
			n = strcspn(p, SPACE "\",:[]{}");
			p = n ? p + n : NULL;
		}
	} while (p && depth);
	return p;
}

const char *json_member(const char *object, const char *name)
{
	const char *p = skip_space(object), *key;
	size_t n = strlen(name);

	for (char before = '{'; *p == before; before = ',') {
		key = skip_space(p + 1);
		p = *key == '"' ? skip_string(key) : NULL;
		if (!p)
			return NULL;
		bool found = (size_t)(p - key) == n + 2 && !strncmp(key + 1, name, n);
		p = skip_space(p);
		if (*p != ':')
			return NULL;
		p = skip_space(p + 1);
		if (found)
			return p;
		p = skip_value(p);
		if (!p)
			return NULL;
		p = skip_space(p);
	}
	return NULL;
}

bool json_number(const char *value, long long *number)
{
	char *end;

	if (!value || !(*value == '-' || (*value >= '0' && *value <= '9')))
		return false;
	*number = strtoll(value, &end, 10);
	return !strchr(".eE", *end) || !*end;
}

bool json_string(const char *value, char *string, size_t size)
{
	size_t n;

	if (!value || *value != '"')
		return false;
	n = strcspn(value + 1, "\"\\");
	if (value[1 + n] != '"' || n >= size)
		return false;
	memcpy(string, value + 1, n);
	string[n] = '\0';
	return true;
}
