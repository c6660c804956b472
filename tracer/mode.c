#include "mode.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	enum mode mode;
} modes[] = {
	{ "overlay", MODE_OVERLAY },
	{ "read", MODE_READ },
	{ "write", MODE_WRITE },
	{ "local", MODE_LOCAL },
	{ "localwithoverrides", MODE_LOCAL_OVERRIDES },
};

#define MODE_COUNT (sizeof(modes) / sizeof(*modes))

int mode_parse(const char *name, enum mode *mode)
{
	for (size_t i = 0; i < MODE_COUNT; i++)
		if (!strcmp(name, modes[i].name)) {
			*mode = modes[i].mode;
			return 0;
		}
	return -EINVAL;
}

const char *mode_names(char *out, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < MODE_COUNT && n < len; i++)
		n += (size_t)snprintf(out + n, len - n, "%s%s", !i ? "" : i + 1 < MODE_COUNT ? ", " : " or ", modes[i].name);
	return out;
}
