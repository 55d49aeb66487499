/* SPDX-License-Identifier: Apache-2.0 */
/* Making empty images; see create.h. */
#include "disk/create.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void image_new_id(u8 *ret_id)
{
	if (getrandom(ret_id, 16, 0) != 16)
		abort();
	ret_id[7] = (u8)((ret_id[7] & 0x0f) | 0x40); /* version 4 */
	ret_id[8] = (u8)((ret_id[8] & 0x3f) | 0x80);
}

static int raw_create(struct storage *storage, const struct image_create *c,
		      struct err *err)
{
	int r;

	if (c->type == IMAGE_DIFFERENCING)
		return err_set(err, -EINVAL, "a raw image has no parent: use .vhdx");
	if (c->size == 0 || c->size % 512)
		return err_set(err, -EINVAL,
			       "the size must be whole sectors of 512 bytes");
	r = storage->ops->set_size(storage, c->size);
	if (r == 0)
		r = storage_flush(storage);
	return r < 0 ? err_set(err, r, "it cannot be written: %s", err_words(r)) : 0;
}

int image_create(struct storage *storage, const struct image_create *create,
		 struct err *err)
{
	switch (create->format) {
	case DISK_RAW:
		return raw_create(storage, create, err);
	case DISK_VHD:
		return vhd_create(storage, create, err);
	case DISK_VHDX:
		return vhdx_create(storage, create, err);
	case DISK_ISO:
	case DISK_FORMATS:
		break;
	}
	return err_set(err, -EOPNOTSUPP, "images of this format cannot be made");
}
