/* What a file is: real programs, made-up headers, and damage that must not hurt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "elf.h"
#include "util.h"

void die(const char *format, ...)
{
	abort();
}

static struct elf_info info;

static int make_file(const void *data, size_t len)
{
	int fd = memfd_create("program", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, 0), len);
	return fd;
}

static void classify(const void *data, size_t len)
{
	CLEANUP_FD int fd = make_file(data, len);

	assert_int_equal(elf_classify(fd, &info), 0);
}

/* False when there is no such file here. */
static bool classify_path(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	assert_int_equal(elf_classify(fd, &info), 0);
	return true;
}

/* A program of one read-only and one writable segment, which holds DATA at address 0x500000. */
struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	char interp[32];
	unsigned char data[512];
};

static struct image make_image(const char *interp)
{
	struct image i = {
		.eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		       .e_type = ET_EXEC,
		       .e_machine = EM_X86_64,
		       .e_version = EV_CURRENT,
		       .e_phoff = offsetof(struct image, ph),
		       .e_ehsize = sizeof(Elf64_Ehdr),
		       .e_phentsize = sizeof(Elf64_Phdr),
		       .e_phnum = interp ? 3 : 2},
	};

	i.ph[0] = (Elf64_Phdr){.p_type = PT_LOAD,
			       .p_flags = PF_R | PF_X,
			       .p_vaddr = 0x400000,
			       .p_filesz = sizeof(i),
			       .p_memsz = sizeof(i)};
	i.ph[1] = (Elf64_Phdr){.p_type = PT_LOAD,
			       .p_flags = PF_R | PF_W,
			       .p_vaddr = 0x500000,
			       .p_offset = offsetof(struct image, data),
			       .p_filesz = sizeof(i.data),
			       .p_memsz = sizeof(i.data)};
	i.ph[2] = (Elf64_Phdr){.p_type = PT_INTERP,
			       .p_offset = offsetof(struct image, interp),
			       .p_filesz = interp ? strlen(interp) + 1 : 0};
	if (interp)
		strcpy(i.interp, interp);
	return i;
}

static void test_static_and_dynamic(void **state)
{
	struct image i = make_image(NULL);

	classify(&i, sizeof(i));
	assert_int_equal(info.kind, ELF_STATIC);
	assert_string_equal(info.arch, "x86-64");
	assert_false(info.go);
	assert_string_equal(elf_describe(&info), "static x86-64");
	i = make_image("/lib/ld-musl-x86_64.so.1");
	classify(&i, sizeof(i));
	assert_int_equal(info.kind, ELF_DYNAMIC);
	assert_string_equal(info.interp, "/lib/ld-musl-x86_64.so.1");
	i.eh.e_type = ET_DYN;
	classify(&i, sizeof(i));
	assert_int_equal(info.kind, ELF_DYNAMIC);
	i.eh.e_type = ET_REL;
	classify(&i, sizeof(i));
	assert_int_equal(info.kind, ELF_NOT);
}

static void test_bad_interpreter(void **state)
{
	struct image i = make_image("/lib/ld.so");

	i.ph[2].p_filesz--;
	classify(&i, sizeof(i));
	assert_int_equal(info.kind, ELF_NOT);
	assert_non_null(strstr(info.why, "cut off"));
	i.ph[2].p_filesz = 1 << 20;
	classify(&i, sizeof(i));
	assert_int_equal(info.kind, ELF_NOT);
	i.ph[2].p_filesz = 100;
	i.ph[2].p_offset = sizeof(i) - 10;
	classify(&i, sizeof(i));
	assert_int_equal(info.kind, ELF_NOT);
}

static void test_foreign(void **state)
{
	static const struct {
		unsigned machine;
		const char *name;
	} machines[] = {{EM_AARCH64, "aarch64"}, {EM_RISCV, "riscv"}, {EM_S390, "s390"}, {0x9999, "machine 39321"}};
	struct image i = make_image(NULL);
	Elf32_Ehdr small = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
			    .e_type = ET_EXEC,
			    .e_machine = EM_386,
			    .e_version = EV_CURRENT,
			    .e_ehsize = sizeof(Elf32_Ehdr)};

	for (size_t m = 0; m < sizeof(machines) / sizeof(machines[0]); m++) {
		i.eh.e_machine = machines[m].machine;
		classify(&i, sizeof(i));
		assert_int_equal(info.kind, ELF_FOREIGN);
		assert_string_equal(info.arch, machines[m].name);
	}
	classify(&small, sizeof(small));
	assert_int_equal(info.kind, ELF_FOREIGN);
	assert_string_equal(info.arch, "i386");
	small.e_machine = EM_X86_64;
	classify(&small, sizeof(small));
	assert_int_equal(info.kind, ELF_FOREIGN);
	assert_string_equal(info.arch, "x32");
}

static void test_scripts(void **state)
{
	char line[400];

	classify("#!/bin/sh\necho", 14);
	assert_int_equal(info.kind, ELF_SCRIPT);
	assert_string_equal(info.interp, "/bin/sh");
	classify("#! \t/usr/bin/env python3 -u\n", 28);
	assert_string_equal(info.interp, "/usr/bin/env");
	classify("#!/bin/sh", 9);
	assert_int_equal(info.kind, ELF_SCRIPT);
	assert_string_equal(info.interp, "/bin/sh");
	classify("#!\n", 3);
	assert_int_equal(info.kind, ELF_NOT);
	classify("#!   ", 5);
	assert_int_equal(info.kind, ELF_NOT);
	memset(line, 'x', sizeof(line));
	memcpy(line, "#!/", 3);
	classify(line, sizeof(line));
	assert_int_equal(info.kind, ELF_NOT);
	line[100] = ' ';
	classify(line, sizeof(line));
	assert_int_equal(info.kind, ELF_SCRIPT);
	assert_int_equal(strlen(info.interp), 98);
}

static void test_no_programs(void **state)
{
	classify("", 0);
	assert_int_equal(info.kind, ELF_NOT);
	assert_non_null(strstr(info.why, "empty"));
	classify("hello world", 11);
	assert_int_equal(info.kind, ELF_NOT);
	classify("\177ELF", 4);
	assert_int_equal(info.kind, ELF_NOT);
	assert_true(classify_path("/"));
	assert_int_equal(info.kind, ELF_NOT);
	assert_int_equal(elf_classify(-1, &info), -EBADF);
	assert_int_equal(info.kind, ELF_NOT);
}

static const char magic[] = "\xff Go buildinf:";

/* Go 1.18 and later. */
static void test_go_inline(void **state)
{
	struct image i = make_image(NULL);
	unsigned char *header = i.data + 64;

	memcpy(header, magic, 14);
	header[14] = 8;
	header[15] = 2;
	header[32] = 8;
	memcpy(header + 33, "go1.22.1\x00rest", 13);
	classify(&i, sizeof(i));
	assert_int_equal(info.kind, ELF_STATIC);
	assert_true(info.go);
	assert_string_equal(info.go_version, "go1.22.1");
	assert_string_equal(elf_describe(&info), "static x86-64, go1.22.1");
	memset(header + 32, 0xff, 20); /* a length without an end */
	classify(&i, sizeof(i));
	assert_true(info.go);
	assert_string_equal(info.go_version, "");
	memmove(header + 8, header, 40); /* not aligned: not Go's */
	memset(header, 0, 8);
	classify(&i, sizeof(i));
	assert_false(info.go);
}

static void put64(unsigned char *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* Go up to 1.17. */
static void test_go_pointers(void **state)
{
	struct image i = make_image(NULL);

	memcpy(i.data, magic, 14);
	i.data[14] = 8;
	i.data[15] = 0;
	put64(i.data + 16, 0x500000 + 100);
	put64(i.data + 100, 0x500000 + 200);
	put64(i.data + 108, 6);
	memcpy(i.data + 200, "go1.16junk", 10);
	classify(&i, sizeof(i));
	assert_true(info.go);
	assert_string_equal(info.go_version, "go1.16");
	put64(i.data + 108, UINT64_MAX);
	classify(&i, sizeof(i));
	assert_true(info.go);
	put64(i.data + 100, 0x500000 + 511);
	classify(&i, sizeof(i));
	assert_string_equal(info.go_version, "");
	put64(i.data + 16, UINT64_MAX - 3);
	classify(&i, sizeof(i));
	assert_string_equal(info.go_version, "");
	i.data[14] = 77;
	classify(&i, sizeof(i));
	assert_true(info.go);
}

static void test_real_programs(void **state)
{
	if (classify_path("/bin/busybox"))
		assert_string_equal(elf_describe(&info), "static x86-64");
	assert_true(classify_path("/bin/ls"));
	assert_int_equal(info.kind, ELF_DYNAMIC);
	assert_string_equal(info.interp, "/lib64/ld-linux-x86-64.so.2");
	if (classify_path("/lib64/ld-linux-x86-64.so.2"))
		assert_int_equal(info.kind, ELF_STATIC);
	if (classify_path("/usr/bin/ldd"))
		assert_int_equal(info.kind, ELF_SCRIPT);
	assert_true(classify_path("/proc/self/exe"));
	assert_int_equal(info.kind, ELF_DYNAMIC);
}

/* Damages headers and lengths: nothing to find out but that we live. */
static void mutate(const unsigned char *from, size_t len, unsigned seed)
{
	static unsigned char copy[65536];
	size_t n = len < sizeof(copy) ? len : sizeof(copy);

	srand(seed);
	for (int round = 0; round < 3000; round++) {
		memcpy(copy, from, n);
		for (int i = rand() % 8; i >= 0; i--) {
			size_t at = (size_t)rand() % (rand() % 2 && n > 256 ? 256 : n);

			copy[at] = rand() % 3 ? (unsigned char)rand() : rand() % 2 ? 0xff : 0;
		}
		classify(copy, rand() % 4 ? n : (size_t)rand() % n);
		assert_true(strlen(info.text) < sizeof(info.text));
	}
}

static void test_damage(void **state)
{
	struct image i = make_image("/lib/ld.so");
	unsigned char buf[65536];

	memcpy(i.data, magic, 14);
	i.data[14] = 8;
	put64(i.data + 16, 0x500000 + 100);
	put64(i.data + 100, 0x500000 + 200);
	put64(i.data + 108, 6);
	mutate((unsigned char *)&i, sizeof(i), 1);
	CLEANUP_FD int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, buf, sizeof(buf));
	assert_true(n > 4096);
	mutate(buf, (size_t)n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_static_and_dynamic),
		cmocka_unit_test(test_bad_interpreter),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_no_programs),
		cmocka_unit_test(test_go_inline),
		cmocka_unit_test(test_go_pointers),
		cmocka_unit_test(test_real_programs),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
