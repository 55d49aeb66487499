/* SPDX-License-Identifier: Apache-2.0 */
/* A tap of the host's: a network interface whose other end is a descriptor. It must be there already. */
#pragma once

#include "base/err.h"
#include "base/types.h"

#define TAP_NAME_SIZE 16 /* with its end */

/*
 * With a struct virtio_net_hdr in front of each frame, and check sums and TCP's segments left to be done
 * both ways. mtu: the interface's. -ENODEV: there is none of that name.
 */
int tap_open(const char *name, int *ret_fd, u16 *ret_mtu, struct err *err) MUST_CHECK;
