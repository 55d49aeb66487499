/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network adapters of `tabique run`: --net, parsed without touching anything, then opened.
 *
 *	--net nat[,forward=[udp:][ADDRESS:]PORT-[GUEST]:PORT]...[,WORD...]
 *	--net tap=NAME[,WORD...]
 *	--net socket=PATH[,WORD...]
 *	--net none
 *		WORD: mac=00:15:5d:..., mtu=1500, spoofing
 *
 * An adapter without mac= gets an address that follows from what the VM is made of, so that the next run
 * has the same.
 */
#pragma once

#include "base/err.h"
#include "wall/net_config.h"

struct run_options;

enum run_nic_kind { RUN_NIC_NAT, RUN_NIC_TAP, RUN_NIC_SOCKET };

struct run_nic {
	enum run_nic_kind kind;
	char name[4096]; /* the tap's, or the switch's path */
	bool spoofing, has_mac;
	u8 mac[6];
	u16 mtu; /* 0: not given, until it is opened */
	unsigned forward_count;
	struct nat_forward forward[NAT_MAX_FORWARDS];
};

struct run_nics {
	bool none;
	unsigned count;
	struct run_nic nic[WORKER_MAX_NICS];
};

/* One option's value. -EINVAL with the sentence. */
int run_nics_add(struct run_nics *nics, const char *value, struct err *err) MUST_CHECK;

/*
 * Opens ports, fills in what was not given, and says what the worker and tabique-nat are told. ret_fd: a port
 * each; ret_nat_fd: the other end of each that is the translator's. The caller's, also after a
 * failure; -1: none. *ret_not_found: a tap or switch is not there.
 */
int run_nics_open(struct run_options *options, struct worker_config *worker,
		  struct nat_config *nat, int ret_fd[WORKER_MAX_NICS],
		  int ret_nat_fd[WORKER_MAX_NICS], bool *ret_not_found, struct err *err)
	MUST_CHECK;

/* "nat", "tap=tap0", "socket=/run/lan", and a forward as it is given. */
void run_nic_network(const struct run_nic *nic, char *ret_text, size_t size);
void nat_forward_text(const struct nat_forward *forward, char *ret_text, size_t size);
