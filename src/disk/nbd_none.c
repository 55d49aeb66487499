/* SPDX-License-Identifier: Apache-2.0 */
/* In place of nbd.c and nbd_library.c in a build without libnbd: says so. */
#include <errno.h>

#include "disk/nbd.h"
#include "disk/nbd_library.h"

int nbd_library_load(struct err *err)
{
	return nbd_library_missing(err);
}

bool nbd_library_loaded(void)
{
	return false;
}

int nbd_library_missing(struct err *err)
{
	err_set(err, -EOPNOTSUPP, "this build has no disks over NBD");
	return err_fix(err, "apt-get install libnbd-dev libnbd0, then build again");
}

int nbd_thread_new(int (*enter)(void *owner), void *owner, unsigned patience,
		   struct nbd_thread **ret_thread)
{
	*ret_thread = NULL;
	return 0;
}

void nbd_thread_free(struct nbd_thread *thread) {}

int nbd_open(struct nbd_thread *thread, int socket, const char *export_name,
	     bool read_only, struct storage **ret_storage, struct err *err)
{
	close(socket);
	return nbd_library_missing(err);
}
