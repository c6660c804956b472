/* What a program file is. */

/*
 * This file's name hides the system's <elf.h>, which libelf.h includes. Outside of the guard: found beside
 * its includer, this file is its own next one, once (which clang warns of).
 */
#ifdef __clang__
#pragma clang diagnostic ignored "-Winclude-next-absolute-path"
#endif
#include_next <elf.h>

#ifndef TRACER_ELF_H
#define TRACER_ELF_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum elf_kind {
	ELF_NOT,     /* nothing that the kernel could run, as far as can be told */
	ELF_STATIC,  /* no interpreter: static, static-pie, or an interpreter itself */
	ELF_DYNAMIC, /* has an interpreter */
	ELF_SCRIPT,  /* "#!" */
	ELF_FOREIGN, /* for another machine or another ABI of this one */
};

struct elf_info {
	enum elf_kind kind;
	char interp[256];    /* ELF_DYNAMIC, ELF_SCRIPT: the interpreter's path; else "" */
	char arg[256];       /* ELF_SCRIPT: the argument that its first line has for the interpreter; else "" */
	char arch[16];       /* machine: "x86-64", "i386", "x32", "aarch64" …; "" for ELF_SCRIPT and ELF_NOT */
	bool go;             /* made by the Go toolchain */
	char go_version[32]; /* "go1.22.1"; "" when unknown */
	char why[128];       /* ELF_NOT, ELF_FOREIGN: one clause in English */
	char text[512];      /* all of this in a few words, without control characters */
};

/*
 * Classifies the file open at FD (its offset is not used) into INFO, which is filled in whatever happens.
 * 0, or a negative errno when the file cannot be read; a strange file is not an error but ELF_NOT.
 */
int elf_classify(int fd, struct elf_info *info);

/* The linker's digest of the program open at FD, of any machine, as hexadecimal digits of at least 8 bytes. 0 or -ENOENT. */
int elf_build_id(int fd, char *digits, size_t len);

/*
 * Makes the x86-64 program open at FD for reading and writing name PATH as its interpreter: in place of the one
 * that it names, or behind its end. 0 or a negative errno (-ENOEXEC: it is damaged, or names none).
 */
int elf_set_interp(int fd, const char *path);

/* INFO in a few words: "static x86-64, go1.22.1". Lives as long as INFO. */
const char *elf_describe(const struct elf_info *info);

#endif
