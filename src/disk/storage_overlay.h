/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storage that is read only below and takes what is written to it in memory: how the log of an
 * image is replayed that must not be written. Few and small writes.
 */
#pragma once

#include "disk/storage.h"

/* below becomes the overlay's. */
int storage_overlay_new(struct storage *below, struct storage **ret_storage) MUST_CHECK;
