/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks on NBD servers: nbd://HOST[:PORT]/EXPORT and nbd+unix:///EXPORT?socket=PATH, as the NBD
 * project writes them down (doc/uri.md), without TLS. Here a server is only connected to: not a byte
 * of it is read. Who gets the socket negotiates (disk/nbd.h).
 */
#pragma once

#include "base/disk_format.h"
#include "base/err.h"

struct nbd_address {
	bool local;		 /* a socket of this host */
	char host[256], port[8]; /* else */
	char path[108];		 /* local: the socket */
	char export[DISK_EXPORT_SIZE];
};

/* address: disk_name_is_nbd. -EINVAL with the sentence. */
int nbd_address_parse(const char *address, struct nbd_address *ret_address,
		      struct err *err) MUST_CHECK;
/* A connected socket, or negative. Waits for some seconds at most, and for names. */
int nbd_address_connect(const char *address, const struct nbd_address *where,
			struct err *err) MUST_CHECK;
