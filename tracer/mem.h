/* The memory of a stopped or notified task. */
#ifndef TRACER_MEM_H
#define TRACER_MEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/*
 * Copies LEN bytes from (to) address ADDR of task TID. Returns how many bytes were copied before the first
 * bad page (so a result shorter than LEN ends where a native copy would), or -EFAULT when none were;
 * -ESRCH when the task is gone.
 */
ssize_t mem_read(pid_t tid, uint64_t addr, void *buf, size_t len);
ssize_t mem_write(pid_t tid, uint64_t addr, const void *buf, size_t len);

/*
 * Copies the NUL-terminated string at ADDR into BUF (LEN bytes, terminator included). Its length;
 * -EFAULT; -ENAMETOOLONG when no NUL is among the first LEN bytes; -ESRCH.
 */
ssize_t mem_read_string(pid_t tid, uint64_t addr, char *buf, size_t len);

#endif
