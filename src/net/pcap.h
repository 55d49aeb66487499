/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capture of frames as tcpdump and Wireshark read it: a pcap file of Ethernet frames, whole, with
 * times in nanoseconds. Check sums that a sender left to be made are made in the copy; what it left to
 * be segmented stays one frame.
 *
 * Thread: one.
 */
#pragma once

#include <linux/virtio_net.h>

#include "base/types.h"

#define PCAP_BUFFER (256u << 10)

struct net_pcap {
	int fd; /* -1: none, or no more */
	u32 used;
	u8 *buffer;
};

/* fd: ours from now on; empty, written from its start. 0 or a negative errno. */
int net_pcap_init(struct net_pcap *pcap, int fd) MUST_CHECK;
void net_pcap_done(struct net_pcap *pcap);
/* size <= NET_MAX_FRAME. */
void net_pcap_add(struct net_pcap *pcap, const struct virtio_net_hdr *todo,
		  const u8 *frame, u32 size);
/* What was added is in the file. A file that takes no more ends the capture, and says so. */
void net_pcap_flush(struct net_pcap *pcap);
