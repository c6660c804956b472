#include "needed.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "elf.h"
#include "rules.h"
#include "util.h"

static void keep(const char *path, enum rules_for programs)
{
	char real[PATH_MAX], norm[PATH_MAX];

	if (*path == '/' && !path_normalise(path, norm, sizeof(norm)))
		rules_keep_local(norm, programs);
	if (realpath(path, real))
		rules_keep_local(real, programs);
}

/* What the dynamic loader opens before the program has said a word. */
static void keep_loader(const char *interp)
{
	static const char *const places[] = { "/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib32", "/usr/lib64",
					      "/usr/local/lib", "/etc/ld.so.cache", "/etc/ld.so.preload" };

	keep(interp, FOR_LOCAL);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		rules_keep_local(places[i], FOR_LOCAL);
}

void needed_keep_system(void)
{
	rules_keep_local("/proc", FOR_ALL);
	rules_keep_local("/sys", FOR_ALL);
	rules_keep_local("/dev", FOR_ALL);
}

void needed_keep_program(const char *path, const struct elf_info *info)
{
	struct elf_info interp = { .kind = ELF_NOT };

	keep(path, ALWAYS);
	if (info->kind == ELF_DYNAMIC)
		keep_loader(info->interp);
	if (info->kind != ELF_SCRIPT)
		return;
	keep(info->interp, ALWAYS);
	CLEANUP_FD int fd = open(info->interp, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && !elf_classify(fd, &interp) && interp.kind == ELF_DYNAMIC)
		keep_loader(interp.interp);
}
