/* Directories that are in the upper layer, listed with what is below them. Wants the state lock held. */
#ifndef TRACER_OVERLAY_LIST_H
#define TRACER_OVERLAY_LIST_H

struct call;
struct ofd;

/*
 * Makes what follows O's cookie O's list, to its end: of what is there now, or, where the two layers' offsets do not go together, of what
 * was there when the reader began, or began again. 0 or a negative errno.
 */
int overlay_list(struct call *c, struct ofd *o);

/* O, of the lower layer until now, was read in part: what is still to be read is what it would have been. */
void overlay_list_keep(struct call *c, struct ofd *o);

/* Whether the merged directory PATH has any entry but "." and "..": 1, 0, or a negative errno. */
struct overlay;
int overlay_list_any(struct call *c, struct overlay *ov, const char *path);

#endif
