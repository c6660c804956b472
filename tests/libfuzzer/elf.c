/* The ELF reader on files of any kind. What it says goes to a terminal. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "elf.h"
#include "fuzzer.h"
#include "stubs.h"

static void check_text(const char *text, size_t room)
{
	if (strnlen(text, room) == room)
		abort();
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct elf_info info;
	char digits[65] = "";
	int fd = memfd_create("elf", MFD_CLOEXEC);

	if (fd < 0 || pwrite(fd, data, len, 0) != (ssize_t)len)
		abort();
	if (elf_classify(fd, &info))
		abort();
	check_text(elf_describe(&info), sizeof(info.text));
	check_text(info.why, sizeof(info.why));
	check_text(info.arch, sizeof(info.arch));
	check_text(info.go_version, sizeof(info.go_version));
	if (strnlen(info.interp, sizeof(info.interp)) == sizeof(info.interp) || strnlen(info.arg, sizeof(info.arg)) == sizeof(info.arg))
		abort();
	elf_build_id(fd, digits, sizeof(digits));
	check_text(digits, sizeof(digits));
	/* What was given another interpreter has that, whatever else is wrong with it. */
	if (elf_set_interp(fd, "/lib64/ld-linux-x86-64.so.2") == 0 && !elf_classify(fd, &info) && info.kind == ELF_DYNAMIC)
		check_text(info.interp, sizeof(info.interp));
	close(fd);
	return 0;
}
