/* What the supervisor's parts call when it is too late, and their log. */
#ifndef LIBFUZZER_STUBS_H
#define LIBFUZZER_STUBS_H

#include <stdlib.h>

#include "log.h"
#include "util.h"

void die(const char *format, ...)
{
	abort();
}

#endif
