/* What the files of the overlay share among themselves. */
#ifndef TRACER_OVERLAY_INT_H
#define TRACER_OVERLAY_INT_H

#include "overlay.h"

struct stat;

/* Learns what the lower tree's root is, and makes the upper one's a copy of it. Once; 0 or a negative errno. */
int overlay_begin(struct call *c, struct overlay *ov);

/* A copy of the lower file with attributes ATTR is at PATH now: whoever has it open, has that open from here on. */
void overlay_switch(struct call *c, struct overlay *ov, const rfs_Attr *attr, const char *path);

/* Whether a copy was made of the lower file with attributes ATTR by another of its names. */
bool overlay_indexed(struct overlay *ov, const rfs_Attr *attr);

/* Names that come and go in DIR, O_PATH, without the program's doing do not move its times: they are ST's again. */
void overlay_keep_times(int dir, const struct stat *st);

#endif
