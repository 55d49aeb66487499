/* SPDX-License-Identifier: Apache-2.0 */
/* Loading libnbd; see nbd_library.h. */
#include "disk/nbd_library.h"

#include <dlfcn.h>
#include <errno.h>

#include "disk/nbd_calls.h"

struct nbd_library nbd_library;
static bool loaded;

static bool find(void *library, const char *name, void *ret_function)
{
	void *found = dlsym(library, name);

	memcpy(ret_function, &found, sizeof found);
	return found != NULL;
}

int nbd_library_load(struct err *err)
{
	void *library = loaded ? NULL : dlopen("libnbd.so.0", RTLD_NOW | RTLD_LOCAL);
	bool all = library != NULL;

	if (loaded)
		return 0;
#define NBD_FIND(name) all = all && find(library, "nbd_" #name, &nbd_library.name);
	NBD_FUNCTIONS(NBD_FIND)
#undef NBD_FIND
	loaded = all;
	return loaded ? 0 : nbd_library_missing(err);
}

bool nbd_library_loaded(void)
{
	return loaded;
}

int nbd_library_missing(struct err *err)
{
	err_set(err, -EOPNOTSUPP, "this host has no libnbd, which disks over NBD need");
	return err_fix(err, "apt-get install libnbd0");
}
