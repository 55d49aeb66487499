/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of NBD servers: storages whose bytes come over a socket that somebody else has connected.
 * All of it, the negotiation too, is done by one thread for all servers of a process, with system
 * calls of its own list (JAIL_THREAD_DISK_NBD): what a server says is hostile, and reaches nothing
 * that may touch an image. The thread sleeps in poll until a server or one of ours has something
 * for it; no server can hold up another's disk.
 *
 *	1. nbd_thread_new	NULL where there is no libnbd; see nbd_library.h
 *	2. nbd_open		waits for the negotiation: a storage with start()
 *	3. storage_close	of each
 *	4. nbd_thread_free
 *
 * A server that owes an answer and says nothing for a time (enum nbd_patience) is given up. A
 * connection that has ended stays so: each request gives -EIO.
 */
#pragma once

#include "base/err.h"
#include "disk/storage.h"

struct nbd_thread;

/* Milliseconds. */
enum nbd_patience { NBD_PATIENCE_OPENING = 10000, NBD_PATIENCE = 60000 };

/*
 * enter is called first on the new thread. patience 0: as above; else
 * milliseconds for everything (tests).
 */
int nbd_thread_new(int (*enter)(void *owner), void *owner, unsigned patience,
		   struct nbd_thread **ret_thread) MUST_CHECK;
void nbd_thread_free(struct nbd_thread *thread); /* NULL is fine */

/*
 * Any thread but the loop's. socket is connected, and the storage's, whatever is returned.
 * export_name "": the server's own choice. Refused: what is read-only, unless that was asked for,
 * and servers whose blocks are larger than our sectors can be. err is one sentence.
 */
int nbd_open(struct nbd_thread *thread, int socket, const char *export_name,
	     bool read_only, struct storage **ret_storage, struct err *err) MUST_CHECK;
