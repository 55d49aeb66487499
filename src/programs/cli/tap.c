/* SPDX-License-Identifier: Apache-2.0 */
/* Taps; see tap.h. Documentation/networking/tuntap.rst of the kernel. */
#include "programs/cli/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "programs/cli/may_open.h"
#include "wall/net_config.h"

static int explain(const char *name, int r, struct err *err)
{
	err_set(err, r, "--net tap=%s: %s", name,
		r == -ENODEV   ? "there is no such interface"
		: r == -EBUSY  ? "somebody else has it"
		: r == -EPERM  ? "it is not yours"
		: r == -EACCES ? "VMs of this host may not use it"
		: r == -EINVAL ? "it is no tap of one queue"
			       : err_words(r));
	switch (r) {
	case -ENODEV:
		return err_fix(err,
			       "make it: ip tuntap add dev %s mode tap user %u && ip "
			       "link set %s up",
			       name, geteuid(), name);
	case -EBUSY:
		return err_fix(err, "end the VM that has it, or take another tap");
	case -EPERM:
		return err_fix(err,
			       "make it yours: ip tuntap del dev %s mode tap && ip "
			       "tuntap "
			       "add dev %s mode tap user %u",
			       name, name, geteuid());
	case -EINVAL:
		return err_fix(err, "see what it is: ip -d link show %s", name);
	case -EACCES:
		return err_fix(err, "list it in " HOST_ALLOW ": tap %s", name);
	case -ENOENT:
		return err_fix(err, "load the kernel's module: modprobe tun");
	default:
		return err_fix(err, "check who may use /dev/net/tun");
	}
}

/* What the interface can leave to the guest; an older kernel is asked for less. */
static int set_offloads(int fd)
{
	static const unsigned wanted[] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
		TUN_F_CSUM,
		0,
	};
	int size = sizeof(struct virtio_net_hdr);

	if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
		return -errno;
	for (size_t k = 0; k < ARRAY_COUNT(wanted); k++)
		if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)wanted[k]) == 0)
			return 0;
	return -errno;
}

static u16 mtu_of(struct ifreq *request)
{
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCGIFMTU, request) < 0 ||
	    request->ifr_mtu < NET_MIN_MTU)
		return NET_MIN_MTU;
	return (u16)min_u64((u64)request->ifr_mtu, NET_MAX_MTU);
}

int tap_open(const char *name, int *ret_fd, u16 *ret_mtu, struct err *err)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	AUTO_CLOSE int fd = -1;
	int r;

	/* The kernel would make one that goes again with us, and that leads nowhere. */
	if (!may_use_tap(name))
		return explain(name, -EACCES, err);
	if (if_nametoindex(name) == 0)
		return explain(name, -ENODEV, err);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return explain(name, -errno, err);
	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return explain(name, -errno, err);
	r = set_offloads(fd);
	if (r < 0)
		return explain(name, r, err);
	*ret_mtu = mtu_of(&request);
	*ret_fd = take_fd(&fd);
	return 0;
}
