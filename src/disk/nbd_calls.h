/* SPDX-License-Identifier: Apache-2.0 */
/* What of libnbd is used, by the types of its own header; filled by nbd_library_load. */
#pragma once

#include <libnbd.h>

/* clang-format off */
#define NBD_FUNCTIONS(each) \
	each(create) each(close) each(get_error) each(get_errno) each(set_debug) \
	each(set_export_name) each(aio_connect_socket) each(aio_disconnect) \
	each(aio_get_fd) each(aio_get_direction) each(aio_notify_read) \
	each(aio_notify_write) each(aio_is_connecting) each(aio_is_ready) \
	each(aio_is_processing) each(get_size) each(get_block_size) each(is_read_only) \
	each(can_flush) each(can_fua) each(can_trim) each(can_zero) each(aio_pread) \
	each(aio_pwrite) each(aio_flush) each(aio_trim) each(aio_zero)
/* clang-format on */

struct nbd_library {
#define NBD_MEMBER(name) __typeof__(nbd_##name) *name;
	NBD_FUNCTIONS(NBD_MEMBER)
#undef NBD_MEMBER
};
extern struct nbd_library nbd_library;
