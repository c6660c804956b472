#include "subject.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "attr.h"

int subject_get(struct op *op, bool present, const rfs_Where *where, bool nofollow, struct subject *s)
{
	int r = place_get(op, present, where, &s->place);

	s->fd = -1;
	s->own = false;
	if (r)
		return r;
	if (!s->place.path[0]) {
		s->fd = place_fd(&s->place);
		return 0;
	}
	s->fd = resolve_open(&s->place, O_PATH | (nofollow ? O_NOFOLLOW : 0), 0, 0);
	s->own = s->fd >= 0;
	return s->fd < 0 ? s->fd : 0;
}

void subject_put(struct subject *s)
{
	if (s->own)
		close(s->fd);
	place_put(&s->place);
}

const char *subject_proc(int fd, char *text)
{
	snprintf(text, 32, "/proc/self/fd/%d", fd);
	return text;
}

int subject_reply_attr(struct op *op, int fd)
{
	op->reply->which_op = rfs_Reply_stat_tag;
	op->reply->op.stat.has_attr = true;
	return attr_of(fd, &op->reply->op.stat.attr);
}
