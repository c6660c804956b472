/* What becomes of the files of a remote tree. */
#ifndef TRACER_MODE_H
#define TRACER_MODE_H

#include <stddef.h>

enum mode {
	MODE_READ,  /* remote files are read only: what would change the target is refused */
	MODE_WRITE, /* remote files are read and written */
	MODE_OVERLAY, /* remote files are read and written, and what is written stays here: see overlay.h */
	MODE_LOCAL, /* everything is local: the log and the counts only */
	MODE_LOCAL_OVERRIDES, /* what no rule makes remote is local */
};

/* The mode that is called NAME, in *MODE: 0, or -EINVAL. */
int mode_parse(const char *name, enum mode *mode);

/* "read, write or local": all names, for messages, in OUT (LEN bytes), which is returned. */
const char *mode_names(char *out, size_t len);

#endif
