/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest says of a frame beside its bytes (RNDIS' per-packet information), and what becomes of it:
 * a struct virtio_net_hdr for the port, and changes in the frame's headers. Pure functions over private
 * copies.
 */
#pragma once

#include <linux/virtio_net.h>

#include "abi/netvsp.h"

/* Headers up to TCP's options lie in these first bytes of a frame. */
#define FRAME_HEAD 192u
#define VLAN_TAG 4u

/* The beginning of a frame, sent from here; room for a tag in front. */
struct frame_head {
	u8 bytes[VLAN_TAG + FRAME_HEAD];
	u32 start, size;
};

struct frame_infos {
	bool has_sum, has_lso, has_vlan;
	u32 sum, lso, vlan; /* as the guest said it */
};

/* All that is said, at most 16 pieces; what we don't know is skipped. False: it makes no sense. */
bool frame_infos_read(const u8 *bytes, u32 size, struct frame_infos *ret_infos);

/*
 * head->bytes + VLAN_TAG: the first head->size bytes of a frame of frame_size. Does what infos ask for as
 * far as it concerns headers; the rest is said in *ret_todo. *ret_size: the frame's size then. False: it
 * makes no sense.
 */
bool frame_head_finish(struct frame_head *head, u32 frame_size,
		       const struct frame_infos *infos, struct virtio_net_hdr *ret_todo,
		       u32 *ret_size);
