#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIX_PREFIX "unix:"
#define TCP_PREFIX "tcp:"

/* What follows PREFIX in TEXT, or NULL. */
static const char *address_rest(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(text, prefix, len) ? NULL : text + len;
}

static int address_fail(char *err, size_t err_len, const char *text, const char *what)
{
	snprintf(err, err_len, "the address \"%s\" %s", text, what);
	return -EINVAL;
}

static const char *parse_unix(const char *path, struct address *a)
{
	if (!*path)
		return "names no socket: unix:PATH does";
	if (strlen(path) >= sizeof(a->un.sun_path))
		return "has a path of more than 107 bytes: use a shorter one";
	a->is_unix = true;
	a->un.sun_family = AF_UNIX;
	strcpy(a->un.sun_path, path);
	return NULL;
}

static bool parse_port(const char *text, uint16_t *port)
{
	size_t len = strlen(text);
	long value = strtol(text, NULL, 10);

	*port = (uint16_t)value;
	return len && len <= 5 && strspn(text, "0123456789") == len && value <= UINT16_MAX;
}

/* The brackets keep the colons of an IPv6 address from being that of the port. */
static const char *parse_tcp(const char *rest, struct address *a)
{
	const char *colon = strrchr(rest, ':'), *from = rest, *to = colon;
	struct in6_addr v6;

	if (!colon || !parse_port(colon + 1, &a->port))
		return "names no port: tcp:HOST:PORT does, with its number";
	bool bracketed = *rest == '[' && to[-1] == ']';
	from += bracketed;
	to -= bracketed;
	if (to <= from || (size_t)(to - from) >= sizeof(a->host))
		return "names no host: tcp:HOST:PORT does";
	memcpy(a->host, from, (size_t)(to - from));
	a->host[to - from] = '\0';
	if (bracketed && inet_pton(AF_INET6, a->host, &v6) != 1)
		return "has no IPv6 address in its brackets";
	if (!bracketed && strpbrk(a->host, ":[]"))
		return "has colons in its host: an IPv6 address stands in brackets, as in tcp:[::1]:7000";
	if (strpbrk(a->host, "/ \t\n"))
		return "names no host: tcp:HOST:PORT does";
	return NULL;
}

int address_parse(const char *text, struct address *a, char *err, size_t err_len)
{
	const char *path = address_rest(text, UNIX_PREFIX), *tcp = address_rest(text, TCP_PREFIX);
	const char *what = "is none: unix:PATH and tcp:HOST:PORT are";

	memset(a, 0, sizeof(*a));
	if (path)
		what = parse_unix(path, a);
	else if (tcp)
		what = parse_tcp(tcp, a);
	return what ? address_fail(err, err_len, text, what) : 0;
}
