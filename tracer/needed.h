/* What stays local under a mount at "/", unless a rule says otherwise: without it no program could be run here. */
#ifndef TRACER_NEEDED_H
#define TRACER_NEEDED_H

struct elf_info;

/* What is the kernel's of this machine. */
void needed_keep_system(void);

/* The program at PATH, which is what INFO says, and what starts it: its loader with its libraries, its interpreter. */
void needed_keep_program(const char *path, const struct elf_info *info);

#endif
