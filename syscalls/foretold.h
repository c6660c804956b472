/*
 * Calls whose result is known before the agent has done them: what they ask for is sent behind (behind.h), and they return at
 * once. That a name can be made is known where all names of its directory are, and we have made some there; that attributes can be changed, by
 * whose the file is. With --sync=fsync; a change that changes nothing also with --sync=close. All want the state lock held.
 */
#ifndef SYSCALLS_FORETOLD_H
#define SYSCALLS_FORETOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "remotefs.pb.h"

struct call;
struct link_reply;
struct mount;
struct ofd;
struct place;

/*
 * As call_rpc with REQ, which makes, moves or removes the names P and OTHER (NULL: none): until it is answered nothing is foretold of
 * these and of what is below them, since nobody knows what comes of that first.
 */
int foretold_rpc(struct call *c, const struct place *p, const struct place *other, const rfs_Request *req, const void *payload, size_t len,
		 struct link_reply *rep);

/* Opens P, which FLAGS make, as REQ (an Open) says. The ofd, whose one reference is the caller's; NULL: it has to be asked for. */
struct ofd *foretold_open(struct call *c, const struct place *p, int flags, rfs_Request *req);

/* Makes the directory P as REQ (a Mkdir) says. False: it has to be asked for. */
bool foretold_mkdir(struct call *c, const struct place *p, rfs_Request *req);

/* Makes P as REQ says: a Symlink with its TEXT (TYPE is DT_LNK), or a Mknod. False: as above. */
bool foretold_name(struct call *c, const struct place *p, rfs_Request *req, const char *text, unsigned type);

/* Changes the mode, owner or times of P as REQ says. False: as above. */
bool foretold_change(struct call *c, const struct place *p, const rfs_Request *req);

/* Whether REQ, a change of what ATTR describes, will succeed, as far as the rights of M's agent tell. */
bool foretold_rights(const struct mount *m, const rfs_Attr *attr, const rfs_Request *req);

/*
 * What went wrong with a name in the directory O, as a negative errno; 0: nothing that was not told. It counts as told.
 * What is on its way is not waited for.
 */
int foretold_error(const struct ofd *o);

#endif
