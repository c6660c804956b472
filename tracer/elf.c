#include "elf.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

/* binfmt_script looks at this much of a file. */
#define SCRIPT_MAX 256

#define BUILD_INFO_MAGIC "\xff Go buildinf:"
#define BUILD_INFO_MAGIC_LEN (sizeof(BUILD_INFO_MAGIC) - 1)
#define BUILD_INFO_HEADER 32
#define BUILD_INFO_SEARCH ((size_t)1 << 20) /* how far into a data segment it is looked for, as Go's reader does */

enum { BUILD_INFO_BIG_ENDIAN = 1, BUILD_INFO_INLINE = 2 };

static void set_why(struct elf_info *info, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void set_why(struct elf_info *info, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(info->why, sizeof(info->why), format, ap);
	va_end(ap);
}

/* Copies what is printable; a file's word is not put on a terminal as it is. */
static void copy_printable(char *to, size_t size, const char *from, size_t len)
{
	size_t n = 0;

	for (; n < len && n + 1 < size && from[n]; n++)
		to[n] = from[n] >= ' ' && from[n] <= '~' ? from[n] : '?';
	to[n] = 0;
}

static const char *machine_name(unsigned machine, bool is64)
{
	static const struct {
		unsigned machine;
		const char *name;
	} names[] = {
		{EM_386, "i386"},    {EM_AARCH64, "aarch64"}, {EM_ARM, "arm"},
		{EM_RISCV, "riscv"}, {EM_PPC64, "ppc64"},     {EM_PPC, "ppc"},
		{EM_S390, "s390"},   {EM_MIPS, "mips"},	      {EM_SPARCV9, "sparc64"},
		{EM_SPARC, "sparc"}, {EM_68K, "m68k"},	      {EM_ALPHA, "alpha"},
		{EM_IA_64, "ia64"},  {EM_PARISC, "parisc"},   {EM_LOONGARCH, "loongarch"},
		{EM_BPF, "bpf"},
	};

	if (machine == EM_X86_64)
		return is64 ? "x86-64" : "x32";
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].machine == machine)
			return names[i].name;
	return NULL;
}

static void classify_script(const char *head, size_t len, struct elf_info *info)
{
	const char *end = memchr(head, '\n', len), *p = head + 2;

	if (!end)
		end = head + len;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	size_t n = 0;
	while (p + n < end && p[n] && p[n] != ' ' && p[n] != '\t')
		n++;
	/* The kernel refuses an interpreter that it may have seen only the beginning of. */
	if (!n || (p + n == head + SCRIPT_MAX)) {
		set_why(info, n ? "its #! line is longer than the kernel reads" : "its #! line names no interpreter");
		return;
	}
	memcpy(info->interp, p, n);
	info->interp[n] = 0;
	info->kind = ELF_SCRIPT;
	p += n;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	for (n = (size_t)(end - p); n && (p[n - 1] == ' ' || p[n - 1] == '\t'); n--)
		;
	memcpy(info->arg, p, n);
	info->arg[strnlen(info->arg, n)] = 0;
}

/* The SIZE bytes at file offset AT, or at virtual address AT when BY_ADDRESS; false when they are not in the file. */
static bool read_at(int fd, Elf *elf, uint64_t at, bool by_address, void *buf, size_t size)
{
	size_t count;
	GElf_Phdr ph;

	if (by_address) {
		if (elf_getphdrnum(elf, &count) < 0)
			return false;
		for (size_t i = 0; i < count; i++) {
			if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_LOAD || at < ph.p_vaddr ||
			    at - ph.p_vaddr >= ph.p_filesz || ph.p_filesz - (at - ph.p_vaddr) < size)
				continue;
			return read_at(fd, elf, ph.p_offset + (at - ph.p_vaddr), false, buf, size);
		}
		return false;
	}
	return at <= INT64_MAX - size && pread(fd, buf, size, (off_t)at) == (ssize_t)size;
}

static uint64_t get_word(const unsigned char *p, unsigned size, bool big)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)p[big ? size - 1 - i : i] << (8 * i);
	return v;
}

/* Go up to 1.17: the header holds the address of a string's header, which is an address and a length. */
static void version_by_pointer(int fd, Elf *elf, const unsigned char *header, struct elf_info *info)
{
	unsigned word = header[14];
	bool big = header[15] & BUILD_INFO_BIG_ENDIAN;
	unsigned char string[16];
	char version[sizeof(info->go_version)];

	if ((word != 4 && word != 8) ||
	    !read_at(fd, elf, get_word(header + 16, word, big), true, string, 2 * (size_t)word))
		return;
	uint64_t addr = get_word(string, word, big), len = get_word(string + word, word, big);
	if (len > sizeof(version))
		len = sizeof(version);
	if (read_at(fd, elf, addr, true, version, (size_t)len))
		copy_printable(info->go_version, sizeof(info->go_version), version, (size_t)len);
}

/* Go 1.18 and later: behind the header, a length as a varint and the string. */
static void version_inline(const unsigned char *p, size_t len, struct elf_info *info)
{
	uint64_t n = 0;
	size_t i = 0;

	for (unsigned shift = 0; i < len && shift < 64; shift += 7) {
		n |= (uint64_t)(p[i] & 0x7f) << shift;
		if (!(p[i++] & 0x80))
			break;
	}
	if (n > len - i)
		return;
	copy_printable(info->go_version, sizeof(info->go_version), (const char *)p + i, (size_t)n);
}

/* Looks for Go's build information from file offset AT on, LEN bytes; it is aligned to 16. */
static bool find_build_info(int fd, Elf *elf, uint64_t at, uint64_t len, struct elf_info *info)
{
	unsigned char buf[BUILD_INFO_HEADER + 64];

	if (len > BUILD_INFO_SEARCH)
		len = BUILD_INFO_SEARCH;
	CLEANUP_FREE unsigned char *data = malloc((size_t)len + 1);
	ssize_t n = data && at <= INT64_MAX ? pread(fd, data, (size_t)len, (off_t)at) : -1;
	for (ssize_t i = 0; i + BUILD_INFO_HEADER <= n; i += 16) {
		if (memcmp(data + i, BUILD_INFO_MAGIC, BUILD_INFO_MAGIC_LEN) != 0)
			continue;
		info->go = true;
		ssize_t got = pread(fd, buf, sizeof(buf), (off_t)at + i);
		if (got < BUILD_INFO_HEADER)
			return true;
		if (buf[15] & BUILD_INFO_INLINE)
			version_inline(buf + BUILD_INFO_HEADER, (size_t)got - BUILD_INFO_HEADER, info);
		else
			version_by_pointer(fd, elf, buf, info);
		return true;
	}
	return false;
}

/* By section; a stripped file has none of the names, but keeps the data segment. */
static void look_for_go(int fd, Elf *elf, struct elf_info *info)
{
	size_t names, count;
	Elf_Scn *section = NULL;
	GElf_Shdr sh;
	GElf_Phdr ph;

	if (elf_getshdrstrndx(elf, &names) == 0) {
		while ((section = elf_nextscn(elf, section))) {
			const char *name = gelf_getshdr(section, &sh) ? elf_strptr(elf, names, sh.sh_name) : NULL;

			if (name && !strcmp(name, ".note.go.buildid"))
				info->go = true;
			if (name && !strcmp(name, ".go.buildinfo") &&
			    find_build_info(fd, elf, sh.sh_offset, sh.sh_size, info))
				return;
		}
	}
	if (elf_getphdrnum(elf, &count) < 0)
		return;
	for (size_t i = 0; i < count; i++)
		if (gelf_getphdr(elf, (int)i, &ph) && ph.p_type == PT_LOAD && (ph.p_flags & PF_W) &&
		    find_build_info(fd, elf, ph.p_offset, ph.p_filesz, info))
			return;
}

/* False, with the reason in INFO, when the interpreter's path is not what the kernel accepts. */
static bool read_interp(int fd, const GElf_Phdr *ph, struct elf_info *info)
{
	size_t n = ph->p_filesz;

	if (n < 2 || n > PATH_MAX || ph->p_offset > INT64_MAX) {
		set_why(info, "the path of its interpreter has a bad length");
		return false;
	}
	char path[PATH_MAX];
	if (pread(fd, path, n, (off_t)ph->p_offset) != (ssize_t)n || path[n - 1]) {
		set_why(info, "the path of its interpreter is cut off");
		return false;
	}
	copy_printable(info->interp, sizeof(info->interp), path, n);
	return true;
}

static void classify_program(int fd, Elf *elf, struct elf_info *info)
{
	size_t count;
	GElf_Phdr ph;
	bool loads = false;

	if (elf_getphdrnum(elf, &count) < 0 || !count) {
		set_why(info, "it has no program headers: not a linked program");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, (int)i, &ph)) {
			set_why(info, "its program headers are cut off");
			return;
		}
		loads |= ph.p_type == PT_LOAD;
		if (ph.p_type == PT_INTERP && !info->interp[0] && !read_interp(fd, &ph, info))
			return;
	}
	if (!loads) {
		set_why(info, "it has nothing to load");
		return;
	}
	info->kind = info->interp[0] ? ELF_DYNAMIC : ELF_STATIC;
	look_for_go(fd, elf, info);
}

static void classify_elf(int fd, struct elf_info *info)
{
	GElf_Ehdr eh;
	Elf *elf;

	elf_version(EV_CURRENT);
	/* Not mapped: a file that is truncated while it is looked at would be a SIGBUS for us. */
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &eh)) {
		set_why(info, "its ELF header is damaged");
		elf_end(elf);
		return;
	}
	bool is64 = eh.e_ident[EI_CLASS] == ELFCLASS64;
	const char *name = machine_name(eh.e_machine, is64);
	if (name)
		snprintf(info->arch, sizeof(info->arch), "%s", name);
	else
		snprintf(info->arch, sizeof(info->arch), "machine %u", eh.e_machine);
	if (eh.e_type != ET_EXEC && eh.e_type != ET_DYN) {
		set_why(info, "it is an ELF file, but no program");
	} else if (eh.e_machine != EM_X86_64 || !is64) {
		info->kind = ELF_FOREIGN;
		set_why(info, "it is for %s", info->arch);
	} else {
		classify_program(fd, elf, info);
	}
	elf_end(elf);
}

static bool find_build_id(Elf_Data *notes, char *digits, size_t len)
{
	size_t name, desc, next;
	GElf_Nhdr note;

	for (size_t at = 0; (next = gelf_getnote(notes, at, &note, &name, &desc)) > 0; at = next) {
		const unsigned char *id = (const unsigned char *)notes->d_buf + desc;

		if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 || memcmp((char *)notes->d_buf + name, "GNU", 4) || note.n_descsz < 8)
			continue;
		for (size_t i = 0; i < note.n_descsz && 2 * i + 2 < len; i++)
			snprintf(digits + 2 * i, 3, "%02x", id[i]);
		return true;
	}
	return false;
}

int elf_build_id(int fd, char *digits, size_t len)
{
	size_t count = 0;
	bool found = false;
	GElf_Phdr ph;

	elf_version(EV_CURRENT);
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && (elf_kind(elf) != ELF_K_ELF || elf_getphdrnum(elf, &count) < 0))
		count = 0;
	for (size_t i = 0; i < count && !found; i++) {
		if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_NOTE)
			continue;
		Elf_Data *notes = elf_getdata_rawchunk(elf, (int64_t)ph.p_offset, ph.p_filesz, ph.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
		found = notes && find_build_id(notes, digits, len);
	}
	elf_end(elf);
	return found ? 0 : -ENOENT;
}

int elf_set_interp(int fd, const char *path)
{
	size_t len = strlen(path) + 1;
	struct stat st;
	Elf64_Ehdr eh;
	Elf64_Phdr ph = { .p_type = PT_NULL };
	off_t at = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh) || eh.e_phentsize != sizeof(ph) || eh.e_phoff > (uint64_t)st.st_size)
		return -ENOEXEC;
	for (unsigned i = 0; i < eh.e_phnum && ph.p_type != PT_INTERP; i++) {
		at = (off_t)(eh.e_phoff + i * sizeof(ph));
		if (pread(fd, &ph, sizeof(ph), at) != sizeof(ph))
			return -ENOEXEC;
	}
	if (ph.p_type != PT_INTERP)
		return -ENOEXEC;
	if (ph.p_filesz < len || ph.p_offset > (uint64_t)st.st_size)
		ph.p_offset = (uint64_t)st.st_size;
	ph.p_filesz = ph.p_memsz = len;
	if (pwrite(fd, path, len, (off_t)ph.p_offset) != (ssize_t)len || pwrite(fd, &ph, sizeof(ph), at) != sizeof(ph))
		return -errno;
	return 0;
}

static void describe(struct elf_info *info)
{
	char interp[sizeof(info->interp)];

	copy_printable(interp, sizeof(interp), info->interp, sizeof(info->interp));
	switch (info->kind) {
	case ELF_STATIC:
		snprintf(info->text, sizeof(info->text), "static %s", info->arch);
		break;
	case ELF_DYNAMIC:
		snprintf(info->text, sizeof(info->text), "dynamic %s, interpreter %s", info->arch, interp);
		break;
	case ELF_SCRIPT:
		snprintf(info->text, sizeof(info->text), "script, interpreter %s", interp);
		break;
	case ELF_FOREIGN:
		snprintf(info->text, sizeof(info->text), "foreign: for %s", info->arch);
		break;
	case ELF_NOT:
		snprintf(info->text, sizeof(info->text), "no program: %s", info->why);
		break;
	}
	if (info->go) {
		size_t len = strlen(info->text);
		snprintf(info->text + len, sizeof(info->text) - len, ", %s",
			 info->go_version[0] ? info->go_version : "Go");
	}
}

int elf_classify(int fd, struct elf_info *info)
{
	char head[SCRIPT_MAX] = {0};
	struct stat st;
	int r = 0;

	memset(info, 0, sizeof(*info));
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		set_why(info, "it is not a regular file");
	else if (pread(fd, head, sizeof(head), 0) < 0)
		r = -errno;
	else if (!memcmp(head, "#!", 2))
		classify_script(head, st.st_size < SCRIPT_MAX ? (size_t)st.st_size : SCRIPT_MAX, info);
	else if (!memcmp(head, ELFMAG, SELFMAG))
		classify_elf(fd, info);
	else
		set_why(info, st.st_size ? "it is neither an ELF file nor a #! script" : "it is empty");
	if (r < 0)
		set_why(info, "it cannot be read (%s)", strerror(-r));
	describe(info);
	return r;
}

const char *elf_describe(const struct elf_info *info)
{
	return info->text;
}
