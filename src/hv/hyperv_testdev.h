/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device for bare test kernels (--test-devices): the far end of SynIC connections. A write of 32
 * bits to port 0x3000, connection << 24 | command << 16 | VP << 8 | SINT:
 *
 *	1 create a route to the SINT	2 destroy it	3 raise the SINT
 *	4 create a message connection to the SINT	5 destroy it
 *	6 create an event connection to the SINT	7 destroy it
 *
 * What the guest posts to a message connection comes back as a message of its SINT; what it
 * signals at an event connection sets the flag with the connection's number.
 *
 * It keeps no state worth saving: a VM with test devices is not saved. Threads: any VP's, with no
 * lock held; its connections are under the chipset lock.
 */
#pragma once

#include "abi/hv_tlfs.h"
#include "base/types.h"

struct partition;

#define HYPERV_TESTDEV_CONNECTIONS 256

struct hyperv_testdev_end {
	bool on;
	u8 vp, sint;
};

struct hyperv_testdev { /* by connection */
	struct hyperv_testdev_end message[HYPERV_TESTDEV_CONNECTIONS];
	struct hyperv_testdev_end event[HYPERV_TESTDEV_CONNECTIONS];
};

void hyperv_testdev_write(struct partition *p, u32 command);
void hyperv_testdev_reset(struct partition *p);

/* False: no connection of this device. */
bool hyperv_testdev_message(struct partition *p, u32 connection, u32 type,
			    const void *payload, u32 size, enum hv_status *ret_status);
bool hyperv_testdev_event(struct partition *p, u32 connection,
			  enum hv_status *ret_status);
