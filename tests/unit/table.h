/* Tables of tests/rules: lines of fields that tabs divide; lines that begin with # are comments. */
#ifndef TEST_TABLE_H
#define TEST_TABLE_H

#include <stdio.h>
#include <string.h>

/* Makes FILE, a path from the root of the source, the string NAME. */
#define TABLE(name, file)                                                                                                  \
	extern const char name[];                                                                                          \
	__asm__(".pushsection .rodata\n" #name ":\n.incbin \"" file "\"\n.byte 0\n.popsection\n")

/* The fields, at most COUNT, of the line at *AT, copied to LINE; *AT is moved behind it. Their number, 0 at the end. */
static inline int table_next(const char **at, char *line, size_t len, char **fields, int count)
{
	int n = 0;

	while (**at == '#' || **at == '\n')
		*at += strcspn(*at, "\n") + 1;
	if (!**at)
		return 0;
	size_t width = strcspn(*at, "\n");
	snprintf(line, len, "%.*s", (int)width, *at);
	*at += width + 1;
	for (char *field = strtok(line, "\t"); field && n < count; field = strtok(NULL, "\t"))
		fields[n++] = field;
	return n;
}

#endif
