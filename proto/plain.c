#include "plain.h"

#include "remotefs.pb.h"

bool request_is_plain(unsigned op)
{
	switch (op) {
	case rfs_Request_stat_tag:
	case rfs_Request_access_tag:
	case rfs_Request_readlink_tag:
	case rfs_Request_read_tag:
	case rfs_Request_list_tag:
	case rfs_Request_fetch_tag:
	case rfs_Request_path_tag:
	case rfs_Request_seek_tag:
	case rfs_Request_digest_tag:
	case rfs_Request_statfs_tag:
	case rfs_Request_getxattr_tag:
	case rfs_Request_listxattr_tag:
	case rfs_Request_name_to_handle_tag:
	case rfs_Request_handle_to_name_tag:
	case rfs_Request_ioctl_tag:
	case rfs_Request_environment_tag:
	case rfs_Request_reopen_tag: /* what it makes goes with its agent */
		return true;
	}
	return false;
}
