/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key-value pairs: what a guest says about itself (its name, system, addresses), what is written for
 * it to read, and the addresses of its network cards. A program of the guest's answers (Linux:
 * hv_kvp_daemon); where it does not run, its kernel says so, the first time after up to a minute.
 *
 * Pools: what the host has written, what the guest's programs have written, and what the guest's
 * system says of itself ("auto").
 *
 * Thread: the loop's.
 */
#pragma once

#include "vsp/ic/request.h"

#define KVP_ANSWER_SECONDS 10
/* Networks are taken down and put up; after 30 s Linux' driver says that nobody answers. */
#define KVP_ADDRESS_SECONDS 35
#define KVP_LIST_SECONDS 30 /* of a whole list, however slowly each pair comes */
#define KVP_MAX_PAIRS 1024  /* of a pool */

/* In UTF-8, terminated; the texts are gone afterwards. */
typedef void (*kvp_pair_fn)(void *owner, u8 pool, const char *key, const char *value);

struct kvp_address {
	const char *adapter;			    /* the card's instance: {GUID} */
	bool dhcp;				    /* the rest is not looked at then */
	const char *address, *mask, *gateway, *dns; /* lists with ';' between; "" none */
};

struct kvp {
	struct ic_channel channel;
	struct ic_request request;
	/* a list that is being read */
	kvp_pair_fn pair; /* NULL: something else is asked */
	bool sets_address;
	unsigned at; /* of the pools in their order */
	u32 index;
	u64 list_end_ns;
	u64 pairs;
};

int kvp_offer(struct kvp *kvp, struct ic_host *host) MUST_CHECK;

/* All pairs of all pools, then done. */
void kvp_list(struct kvp *kvp, kvp_pair_fn pair, ic_done_fn done, void *owner);
/* In the host's pool; value NULL: the key goes. */
void kvp_set(struct kvp *kvp, const char *key, const char *value, ic_done_fn done,
	     void *owner);
void kvp_set_address(struct kvp *kvp, const struct kvp_address *address, ic_done_fn done,
		     void *owner);
