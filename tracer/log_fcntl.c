/* fcntl and ioctl, whose arguments and results depend on the command. */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "log_decode.h"
#include "log_flags.h"

void decode_ioctl(struct decoding *d, uint32_t request)
{
	static const char *const dirs[] = {"_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE"};
	const char *name = flags_name(names_ioctl, request);

	if (name)
		text_add(d->t, name);
	else
		text_format(d->t, "_IOC(%s, %#x, %#x, %#x)", dirs[_IOC_DIR(request)], _IOC_TYPE(request),
			    _IOC_NR(request), _IOC_SIZE(request));
}

void decode_ioctl_arg(struct decoding *d, uint32_t request, uint64_t arg)
{
	if (request == FICLONE)
		decode_fd(d, (int)arg);
	else if (request == TIOCSCTTY)
		text_format(d->t, "%d", (int)arg);
	else if (flags_name(names_ioctl, request))
		decode_address(d, arg);
	else
		text_format(d->t, "%#" PRIx64, arg);
}

void decode_fcntl_arg(struct decoding *d, int cmd, uint64_t arg)
{
	switch (cmd) {
	case F_SETFD:
		flags_add(d->t, names_fd_flags, arg, "FD_???");
		break;
	case F_SETFL:
		flags_add_open(d->t, arg);
		break;
	case 5: /* F_GETLK: <fcntl.h> has one number where the kernel has two */
	case 12:
	case 36:
		decode_flock(d, arg, true);
		break;
	case 6:
	case 7:
	case 13:
	case 14:
	case 37:
	case 38:
		decode_flock(d, arg, false);
		break;
	case F_SETLEASE:
		flags_add_value(d->t, names_lock_type, arg, "F_???");
		break;
	case F_NOTIFY:
		flags_add(d->t, names_dnotify, arg, "DN_???");
		break;
	case F_ADD_SEALS:
		flags_add(d->t, names_seals, arg, "F_SEAL_???");
		break;
	case F_SETSIG:
		flags_add_signal(d->t, (int)arg);
		break;
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
	case F_SETOWN:
	case F_SETPIPE_SZ:
		text_format(d->t, "%d", (int)arg);
		break;
	default:
		text_format(d->t, "%#" PRIx64, arg);
	}
}

bool decode_fcntl_result(struct decoding *d)
{
	long r = d->result;

	switch (d->c->arg[1]) {
	case F_GETFL:
		text_format(d->t, "%#lx (flags ", r);
		flags_add_open(d->t, (uint64_t)r);
		break;
	case F_GETFD:
	case F_GET_SEALS:
		if (!r)
			return false;
		text_format(d->t, "%#lx (%s ", r, d->c->arg[1] == F_GETFD ? "flags" : "seals");
		flags_add(d->t, d->c->arg[1] == F_GETFD ? names_fd_flags : names_seals, (uint64_t)r, "F_???");
		break;
	default:
		return false;
	}
	text_add(d->t, ")");
	return true;
}
