#include "progress.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "util.h"

#define SHOW_NS UINT64_C(500000000)

static char text[256];
static uint64_t since;
static bool shown;

void progress_begin(const char *format, ...)
{
	va_list ap;

	progress_end();
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	since = now_ns();
}

void progress_tick(void)
{
	if (!since || shown || now_ns() - since < SHOW_NS || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "remotefs-trace: %s…", text);
	fflush(stderr);
	shown = true;
}

void progress_end(void)
{
	since = 0;
	if (!shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	shown = false;
}
