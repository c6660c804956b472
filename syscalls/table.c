#include <string.h>

#include "handlers.h"
#include "table.h"

static const struct syscall_row rows[] = {
#define SYSCALL(nr, name, class, handler, ...) {nr, #name, CLASS_##class, handler, {__VA_ARGS__}},
#include "table.def"
#undef SYSCALL
};

enum position {
#define SYSCALL(nr, name, ...) POSITION_##name,
#include "table.def"
#undef SYSCALL
};

enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]), NUMBER_LIMIT = 512 };

/* 1 + the place of each number's row; 0: none. -Woverride-init finds two rows with one number. */
static const unsigned short place_of[NUMBER_LIMIT] = {
#define SYSCALL(nr, name, ...) [nr] = 1 + POSITION_##name,
#include "table.def"
#undef SYSCALL
};

const struct syscall_row *table_row(int nr)
{
	if (nr < 0 || nr >= NUMBER_LIMIT || !place_of[nr])
		return NULL;
	return &rows[place_of[nr] - 1];
}

const struct syscall_row *table_find(const char *name)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

const struct syscall_row *table_all(size_t *count)
{
	*count = ROW_COUNT;
	return rows;
}

int table_arg_count(const struct syscall_row *row)
{
	int n = 0;

	while (n < 6 && row->args[n] != A_NONE)
		n++;
	return n;
}
