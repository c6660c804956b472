/* What the files of the overlay share among themselves. */
#ifndef TRACER_OVERLAY_INT_H
#define TRACER_OVERLAY_INT_H

#include "overlay.h"

/* A copy of the lower file with attributes ATTR is at PATH now: whoever has it open, has that open from here on. */
void overlay_switch(struct call *c, struct overlay *ov, const rfs_Attr *attr, const char *path);

/* Whether a copy was made of the lower file with attributes ATTR by another of its names. */
bool overlay_indexed(struct overlay *ov, const rfs_Attr *attr);

#endif
