/* Reading and writing emulated files, for whoever brings the buffers. All want the state lock held. */
#ifndef SYSCALLS_IO_H
#define SYSCALLS_IO_H

#include <stdbool.h>
#include <stdint.h>

#include "buffers.h"

struct call;
struct ofd;

/* 4.16, 6.9, 6.11, 6.14 and 6.18: newer than some libc. */
#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif
#ifndef RWF_ATOMIC
#define RWF_ATOMIC 0x40
#endif
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100
#endif

#define AT_POS (-1) /* at the file's own offset, moving it */

/* What the kernel says of COUNT bytes at OFF (rw_verify_area): 0 or -EINVAL. */
int io_verify(int64_t off, uint64_t count);

/*
 * What the kernel says of the flags of preadv2(2) or pwritev2(2) by themselves (kiocb_set_rw_flags): 0, -EOPNOTSUPP,
 * -EINVAL. What depends on the file system, the target says.
 */
int io_check_flags(unsigned flags, bool writing);

/*
 * Reads O, which the kernel cannot do on its placeholder, from OFF or AT_POS into the buffers, with preadv2(2)'s FLAGS. How many bytes, or a
 * negative errno when none.
 */
long io_read(struct call *c, struct ofd *o, struct buffers *b, int64_t off, unsigned flags);

/* Writes the buffers, likewise. */
long io_write(struct call *c, struct ofd *o, struct buffers *b, int64_t off, unsigned flags);

/* Every file system allows offsets up to here. */
#define PLAIN_OFFSET (INT64_C(1) << 40)

/*
 * What only the target's file system knows: where data and holes are, and how far offsets go. The offset that lseek(2)
 * comes to from OFF with WHENCE (not SEEK_CUR or SEEK_END), or a negative errno. O's own offset stays.
 */
long io_seek(struct call *c, struct ofd *o, int64_t off, int whence);

/* fsync(2), or with DATA_ONLY fdatasync(2), of O: what it was written natively goes first. 0 or a negative errno. */
long io_sync(struct call *c, struct ofd *o, bool data_only);

#endif
