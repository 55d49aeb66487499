/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ports of tabique-switch: whoever connects to its socket is one. Frames go from one port's socket to
 * the others' by way of a queue each; what a sender left to be done of a frame goes with it. A port
 * that does not read loses frames, nobody else does.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "net/pcap.h"
#include "net/queue.h"
#include "net/switch.h"

#define SWITCH_QUEUE (4u << 20) /* bytes that wait for a port */

struct net_port;
struct switch_ports;

struct switch_port {
	struct switch_ports *all;
	struct net_port *port; /* NULL: nobody */
	struct net_queue queue;
	struct loop_alarm gone; /* a port is freed outside of its own calls */
};

struct switch_ports {
	struct loop *loop;
	struct loop_watch *watch;
	int listener;
	struct net_switch sw;
	struct net_pcap *capture; /* NULL: none */
	u64 frames, dropped;
	struct switch_port port[SWITCH_PORTS];
};

/* The descriptor and the capture stay the caller's. */
int switch_ports_init(struct switch_ports *ports, struct loop *loop, int listener,
		      struct net_pcap *capture, bool isolated, bool spoofing,
		      struct err *err) MUST_CHECK;
