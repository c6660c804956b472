#include "log_trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "table.h"

static bool row_has(const struct syscall_row *row, int kind, int or_kind)
{
	for (int i = 0; i < table_arg_count(row); i++)
		if (row->args[i] == kind || row->args[i] == or_kind)
			return true;
	return false;
}

static bool is_file(const struct syscall_row *row)
{
	/* symlink's link text and getcwd's result are paths to strace too */
	return row_has(row, A_PATH, A_CHANGED) || row_has(row, A_CWD_OUT, A_CWD_OUT);
}

static bool is_desc(const struct syscall_row *row)
{
	return row_has(row, A_FD, A_DIRFD);
}

static bool is_process(const struct syscall_row *row)
{
	static const char *const names[] = {
		"clone",
		"clone3",
		"execve",
		"execveat",
		"exit",
		"exit_group",
		"fork",
		"kill",
		"pidfd_send_signal",
		"rt_sigqueueinfo",
		"rt_tgsigqueueinfo",
		"tgkill",
		"tkill",
		"vfork",
		"wait4",
		"waitid",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(row->name, names[i]))
			return true;
	return false;
}

static bool is_any(const struct syscall_row *row)
{
	return row != NULL;
}

static bool is_none(const struct syscall_row *row)
{
	return row == NULL;
}

/* As in strace, the older spelling without "%" is understood. */
static const struct trace_class {
	const char *name;
	bool (*has)(const struct syscall_row *row);
} classes[] = {
	{"%file", is_file},	  {"file", is_file},	   {"%desc", is_desc}, {"desc", is_desc},
	{"%process", is_process}, {"process", is_process}, {"all", is_any},    {"none", is_none},
};

/* Adds what WORD stands for. False when it stands for nothing. */
static bool add_word(struct trace_set *set, const char *word)
{
	size_t count;
	const struct syscall_row *rows = table_all(&count), *row = table_find(word);

	if (row) {
		set->shown[row->nr] = true;
		return true;
	}
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (strcmp(word, classes[i].name))
			continue;
		for (size_t j = 0; j < count; j++)
			if (classes[i].has(&rows[j]))
				set->shown[rows[j].nr] = true;
		set->others |= classes[i].has == is_any;
		return true;
	}
	return false;
}

static void invert(struct trace_set *set)
{
	for (int i = 0; i < TRACE_NUMBERS; i++)
		set->shown[i] = !set->shown[i];
	set->others = !set->others;
}

int trace_parse(const char *expr, struct trace_set *set, char *err, size_t err_len)
{
	bool inverted = expr && *expr == '!';
	char word[64];

	memset(set, 0, sizeof(*set));
	if (!expr)
		expr = "all";
	expr += inverted;
	do {
		size_t len = strcspn(expr, ",");
		bool optional = *expr == '?'; /* strace: no complaint when there is no such call */

		snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word)) - optional,
			 expr + optional);
		if (!add_word(set, word) && !(optional && *word)) {
			snprintf(
				err, err_len,
				"\"%s\" is no syscall and no class; use names, %%file, %%desc, %%process, all or none, "
				"with commas between them and ! before all of them to invert",
				word);
			return -EINVAL;
		}
		expr += len;
	} while (*expr++ == ',');
	if (inverted)
		invert(set);
	return 0;
}

bool trace_shows(const struct trace_set *set, int nr)
{
	return table_row(nr) ? set->shown[nr] : set->others;
}

int log_trace_check(const char *expr, char *err, size_t err_len)
{
	struct trace_set set;

	return trace_parse(expr, &set, err, err_len);
}
