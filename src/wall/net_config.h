/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tabique-nat and tabique-switch are told at their start: one message from their owner at
 * OWNER_FD, with descriptors beside it. They answer by struct owner_message: OWNER_READY when they are
 * jailed and serve, or OWNER_FAILED. When their owner closes its end, they end.
 */
#pragma once

#include "base/err.h"
#include "base/ipc.h"
#include "base/types.h"
#include "wall/wall.h"
#include "wall/worker_config.h"

#define NET_CONFIG_VERSION WALL_VERSION
#define NET_MIN_MTU 576
#define NET_MAX_MTU 9000

/* A port of the host's that leads into the guest. Addresses and ports as on the wire. */
#define NAT_MAX_FORWARDS 32
struct nat_forward {
	u32 host;  /* address of the host's; 0: every one */
	u32 guest; /* 0: the first that DHCP gives */
	u16 host_port, guest_port;
	u32 udp;
};

/* An adapter's network is its own: 10.0.(2 + net).0/24, fd00:7461:6269:(2 + net)::/64. */
struct nat_adapter_config {
	u32 net; /* < WORKER_MAX_NICS */
	u32 mtu; /* of the guest's adapter */
	u32 forward_count;
	struct nat_forward forward[NAT_MAX_FORWARDS];
};

/* One descriptor an adapter, in order: the other end of its port. */
struct nat_config {
	u32 version;
	u32 uid;	/* to become; 0: stay */
	u32 jail_flags; /* jail.h */
	u32 resolver;	/* the host's name server, as on the wire; 0: none */
	u32 adapter_count;
	struct nat_adapter_config adapter[WORKER_MAX_NICS];
};

/* A listening socket, then the file of the capture where capture is set. */
struct switch_config {
	u32 version;
	u32 uid;
	u32 jail_flags;
	u32 capture;
	u32 isolated; /* its ports reach the first one alone */
	u32 spoofing; /* a port may send from any address */
};

/* To the owner: why the program can't run, or that it runs (NULL). An owner that is gone is noticed elsewhere. */
static inline void net_program_say(int owner, const struct err *err)
{
	struct owner_message m = { .kind = err ? OWNER_FAILED : OWNER_READY };

	if (err) {
		m.u.failed.code = err->code;
		memcpy(m.u.failed.text, err->text, sizeof m.u.failed.text);
		memcpy(m.u.failed.fix, err->fix, sizeof m.u.failed.fix);
	}
	(void)!ipc_send(owner, &m, sizeof m, NULL, 0);
}
