#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

void die(const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	log_error("%s", text);
	/* Tracees go with us (PTRACE_O_EXITKILL), the agents at the end of their streams. */
	_exit(EXIT_OWN_FAILURE);
}
